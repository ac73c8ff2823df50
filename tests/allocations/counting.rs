//! What counting allocates: nothing, once a link is known.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;

use hallpass::blob::disk::{Disk, Readers};
use hallpass::catalog::quota::Quota;
use hallpass::catalog::sqlite::Sqlite;
use hallpass::gateway::clock::ManualClock;
use hallpass::gateway::{Gateway, GatewaySettings, cache::CacheLimits, limits};
use hallpass::model::count::Counts;
use hallpass::model::digest::Sha256Digest;
use hallpass::model::file::{BlobLocation, FileRecord, FileState, Purpose};
use hallpass::model::id::{BlobKey, FileId, OrganizationId, SpaceId};
use hallpass::model::media::MediaType;
use hallpass::model::metadata::Metadata;
use hallpass::model::name::FileName;
use hallpass::model::revocation::{LinkId, RevocationBounds};
use hallpass::telemetry::metrics::{Metrics, Outcome, Route};

use super::{NOW, at, keyring};

async fn gateway(directory: &Path) -> Gateway {
    let settings = GatewaySettings {
        public_base_url: "http://localhost".into(),
        lifetime: 3_600,
        lifetime_max: 604_800,
        expiry_window: 0,
        revocation_bounds: RevocationBounds {
            links: 100_000,
            ids: 100_000,
            files: 100_000,
        },
        revoke_reserve: 0,
        name_in_url: false,
        not_before_leeway: 0,
        share_lifetime_max: None,
        share_preview_names: false,
        upload_size_max: 1 << 20,
        link_counts_max: u64::MAX,
        counts_at_start: false,
        recycle_days: 0,
        cache: CacheLimits {
            rows_bytes: 0,
            open_files: 0,
            small_files_bytes: 0,
            small_file_max: 0,
        },
        limits: limits::RateLimits::default(),
        quota: Quota::default(),
    };
    let blobs = Disk::open(directory, &[], Readers::Owner).unwrap();
    let clock = Arc::new(ManualClock::at(NOW * 1_000));
    let catalog = Sqlite::open(&directory.join("catalogue.sqlite3")).await;
    Gateway::new(
        Arc::new(catalog.unwrap()),
        Arc::new(blobs),
        clock,
        keyring(),
        settings,
    )
}

#[tokio::test]
async fn a_download_by_a_known_link_is_counted_without_allocating() {
    let directory = tempfile::tempdir().unwrap();
    let gateway = gateway(directory.path()).await;
    let file = Arc::new(FileRecord {
        organization: OrganizationId::parse("o").unwrap(),
        id: FileId::parse("f").unwrap(),
        space: SpaceId::default_space(),
        name: FileName::from_client("x.txt").unwrap(),
        media_type: MediaType::parse("text/plain").unwrap(),
        purpose: Purpose::UserUpload,
        metadata: Metadata::default(),
        size: 1,
        sha256: Some(Sha256Digest::new([0; 32])),
        location: BlobLocation::Stored(BlobKey::from_random([0; 16])),
        created_at: at(NOW),
        updated_at: at(NOW),
        state: FileState::Ready,
        link_revision: 0,
        is_text: None,
        crc32: None,
        expires_at: None,
        damaged_at: None,
        uploaded_by: None,
    });
    let link = LinkId::parse("aaaaaaaaaaaa").unwrap();
    let one = Counts {
        downloads: 1,
        whole: 1,
        bytes_sent: 1_024,
        last_at: Some(at(NOW)),
    };
    let count = || gateway.count_download(&file, link, at(NOW + 60), one);
    assert!(measure(count).count_total > 0, "the first one makes room");
    assert_eq!(measure(count).count_total, 0);
}

#[test]
fn the_numbers_of_a_request_are_counted_without_allocating() {
    let metrics = Metrics::new(NOW, ["expired"]);
    let count = || {
        metrics.note_answered(Route::Download, 200);
        metrics.note_download_begun();
        metrics.note_first_byte(Route::Download, Duration::from_micros(70));
        metrics.note_done(Route::Download, Duration::from_micros(70));
        metrics.note_sent(Route::Download, 1_024);
        metrics.note_download(Outcome::Whole);
    };
    assert_eq!(measure(count).count_total, 0);
}
