//! Counting: within bounds, through failures of the catalogue, and beside what is kept in memory.

use std::path::Path;

use futures_util::FutureExt as _;

use super::*;
use crate::catalog::Catalog;
use crate::catalog::contract::{file, organization};
use crate::catalog::sqlite::Sqlite;
use crate::gateway::download::LinkRequest;
use crate::gateway::mint::{MintOptions, Minted};
use crate::gateway::testing::{NOW, gateway, memory_blobs};
use crate::gateway::upload::NewFile;
use crate::model::file::Purpose;
use crate::model::id::SpaceId;
use crate::model::metadata::Metadata;
use crate::model::name::FileName;
use crate::sign::url;

fn one(bytes_sent: u64) -> Counts {
    Counts {
        downloads: 1,
        whole: 1,
        bytes_sent,
        last_at: UnixSeconds::new(NOW),
    }
}

fn link(number: usize) -> LinkId {
    LinkId::parse(&format!("{number:012}")).unwrap()
}

/// A new catalogue at this path, a gateway on it, and the one file that it has.
async fn with_file(path: &Path) -> (Arc<Sqlite>, Gateway, Arc<FileRecord>) {
    let catalog = Arc::new(Sqlite::open(path).await.unwrap());
    let owner = organization(catalog.as_ref(), "o").await;
    let some = Arc::new(file(&owner, "f", 1));
    catalog.add_file(&some).await.unwrap();
    let gateway = gateway(Arc::clone(&catalog) as _, memory_blobs());
    (catalog, gateway, some)
}

#[tokio::test]
async fn counts_that_cannot_be_written_are_bounded_and_retried() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalogue.sqlite3");
    let (first, gateway, some) = with_file(&path).await;
    let owner = some.organization.clone();
    let expires = UnixSeconds::new(NOW + 60).unwrap();
    first.close().await;
    for _ in 0..3 {
        gateway.count_download(&some, link(1), expires, one(10));
    }
    let refused = gateway.flush_counts().await;
    assert!(
        matches!(refused, Err(Refusal::Unavailable(_))),
        "{refused:?}"
    );
    gateway.count_download(&some, link(1), expires, one(10));
    // Every one begins with the same character, so they are all in one map.
    let room = LINKS_COUNTED_MAX / SHARDS;
    for number in 2..room + 8 {
        gateway.count_download(&some, link(number), expires, one(1));
    }
    assert_eq!(gateway.uncounted_downloads(), 7);
    gateway.flush_counts().await.unwrap_err();

    let again: Arc<dyn Catalog> = Arc::new(Sqlite::open(&path).await.unwrap());
    let gateway = Gateway {
        catalog: Arc::clone(&again),
        ..gateway
    };
    assert_eq!(gateway.flush_counts().await.unwrap(), room);
    assert_eq!(gateway.flush_counts().await.unwrap(), 0);
    let of_link = gateway.counts(&owner, Counted::Link(link(1)));
    let of_link = of_link.await.unwrap();
    assert_eq!((of_link.downloads, of_link.bytes_sent), (4, 40));
    let of_file = gateway.counts(&owner, Counted::File(&some.id));
    let of_file = of_file.await.unwrap();
    assert_eq!(of_file.downloads, 4 + room as u64 - 1);
}

/// At full speed a gateway counts more links between two ticks than there is room for.
#[tokio::test]
async fn links_are_due_once_a_map_is_half_full_and_no_failure_makes_them_due_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalogue.sqlite3");
    let (catalog, gateway, some) = with_file(&path).await;
    let expires = UnixSeconds::new(NOW + 60).unwrap();
    let count = |number| gateway.count_download(&some, link(number), expires, one(1));
    let are_due = || gateway.counts_are_due().now_or_never().is_some();
    // Every one begins with the same character, so they are all in one map.
    let half = LINKS_OF_SHARD_MAX / 2;
    (1..half).for_each(count);
    count(1);
    assert!(!are_due());
    count(half);
    assert!(are_due() && !are_due());
    assert_eq!(gateway.flush_counts().await.unwrap(), half);
    (1..=half).for_each(count);
    assert!(are_due(), "once more");
    catalog.close().await;
    gateway.flush_counts().await.unwrap_err();
    assert!(
        !are_due(),
        "a catalogue that is away is not asked again at once"
    );
    assert_eq!(gateway.uncounted_downloads(), 0);
}

/// Runs a statement in the catalogue's file, as another program would.
fn run(path: &Path, text: &str) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    connection.execute_batch(text).unwrap();
}

/// A count is written once, wherever the catalogue stops: within the batches for files, at the links, and within those.
#[tokio::test]
async fn nothing_is_counted_twice_or_lost_where_the_catalogue_stops_in_between() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalogue.sqlite3");
    let (catalog, gateway, some) = with_file(&path).await;
    let many = COUNTS_ADDED_MAX + 500;
    let owner = &some.organization;
    let mut files = vec![Arc::clone(&some)];
    for number in 1..many {
        let another = Arc::new(file(owner, &format!("f{number:05}"), 1));
        catalog.add_file(&another).await.unwrap();
        files.push(another);
    }
    let expires = UnixSeconds::new(NOW + 60).unwrap();
    let count_all = || {
        for (number, file) in files.iter().enumerate() {
            gateway.count_download(file, link(number), expires, one(1));
        }
    };
    let stops = [
        // The batches begin with the last rows.
        ("file_count", "NEW.file < 'f00400'"),
        ("link_count", "true"),
        ("link_count", "NEW.link < '000000000400'"),
    ];
    for (table, rows) in stops {
        count_all();
        let stop = format!(
            "CREATE TRIGGER stop_insert BEFORE INSERT ON {table} WHEN {rows} BEGIN SELECT raise(ABORT, 'stop'); END"
        );
        run(&path, &stop);
        gateway.flush_counts().await.unwrap_err();
        run(&path, "DROP TRIGGER stop_insert");
        // Downloads that are counted meanwhile are added to those that are left.
        count_all();
        gateway.flush_counts().await.unwrap();
    }
    let all = 2 * stops.len() as u64;
    for (number, file) in files.iter().enumerate() {
        for of in [Counted::File(&file.id), Counted::Link(link(number))] {
            let counts = gateway.counts(owner, of).await.unwrap();
            assert_eq!((counts.downloads, counts.bytes_sent), (all, all), "{of:?}");
        }
    }
    assert_eq!(gateway.uncounted_downloads(), 0);
}

/// Two gateways on one catalogue, as two processes have it: what one counts empties no cache of the
/// other, nor its own.
#[tokio::test]
async fn a_flush_evicts_nothing_from_the_caches() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalogue.sqlite3");
    let [mine, theirs]: [Arc<dyn Catalog>; 2] = [
        Arc::new(Sqlite::open(&path).await.unwrap()),
        Arc::new(Sqlite::open(&path).await.unwrap()),
    ];
    let owner = organization(mine.as_ref(), "o").await;
    let blobs = memory_blobs();
    let [one_gateway, other] =
        [mine, theirs].map(|catalog| Arc::new(gateway(catalog, Arc::clone(&blobs))));
    let mut upload = one_gateway.begin_upload().await.unwrap();
    upload.write("bytes".into()).await.unwrap();
    let name = FileName::from_client("a.txt").unwrap();
    let new = NewFile {
        organization: owner.clone(),
        space: SpaceId::default_space(),
        id: None,
        media_type: None,
        name,
        purpose: Purpose::UserUpload,
        metadata: Metadata::default(),
        created_at: None,
        uploaded_by: None,
        expires_in: None,
    };
    let record = one_gateway.finish_upload(upload, new).await.unwrap();
    let options = MintOptions::default();
    let minted = one_gateway.mint_for(&owner, record.id.as_str(), &options);
    let minted: Minted = minted.await.unwrap();
    let opened = async |gateway: &Gateway| {
        gateway.refresh().await.unwrap();
        let (organization, file, query) = url::split(&minted.download_url).unwrap();
        let request = LinkRequest {
            organization,
            file,
            query,
            client: None,
        };
        let verified = gateway.verify_link(&request).await.unwrap();
        gateway.open_verified(verified).await.unwrap().file
    };
    let before = [opened(&one_gateway).await, opened(&other).await];
    for (gateway, file) in [&one_gateway, &other].into_iter().zip(&before) {
        assert!(
            Arc::ptr_eq(&opened(gateway).await, file),
            "it is kept at all"
        );
    }
    one_gateway.count_download(&before[0], minted.link_id, minted.expires, one(5));
    other.count_download(&before[1], minted.link_id, minted.expires, one(5));
    assert_eq!(one_gateway.flush_counts().await.unwrap(), 1);
    assert_eq!(other.flush_counts().await.unwrap(), 1);
    for (gateway, file) in [&one_gateway, &other].into_iter().zip(&before) {
        assert!(Arc::ptr_eq(&opened(gateway).await, file), "it was let go");
    }
    let counted = other.counts(&owner, Counted::File(&record.id));
    let counted = counted.await.unwrap();
    assert_eq!((counted.downloads, counted.bytes_sent), (2, 10));
    // A change of the row is seen, so the check above can fail.
    one_gateway.delete(&owner, &record.id).await.unwrap();
    other.refresh().await.unwrap();
    assert!(other.ready_file(&owner, &record.id).await.is_err());
}
