//! The conformance suite: every sentence of [`Catalog`]'s contract, as checks that any adapter must pass.
//!
//! Each check makes organizations of its own, so that the checks may run on one catalogue one after
//! another. What is asked of the whole catalogue is narrowed down to them.

use std::path::PathBuf;

use super::changes::{Change, FeedPosition};
use super::{Catalog, CatalogError};
use crate::model::address::FileAddress;
use crate::model::count::{Counts, FileCount, LinkCount};
use crate::model::digest::{Crc32, Sha256Digest};
use crate::model::file::{BlobLocation, FileRecord, FileState, InPlace, Purpose};
use crate::model::id::{ApiKeyId, BlobKey, FileId, FolderId, OrganizationId, SpaceId};
use crate::model::key::{ApiKey, ApiKeyState, Scopes};
use crate::model::media::MediaType;
use crate::model::metadata::Metadata;
use crate::model::name::FileName;
use crate::model::revocation::{Denial, LinkId, RevocationBounds, Revocations, SignedFor};
use crate::model::tenancy::{Folder, Organization, Space};
use crate::model::time::UnixSeconds;

pub(super) mod announcements;
mod apps;
mod batch;
pub(super) mod changes;
mod checksums;
mod counters;
mod files;
mod idempotency;
mod integrity;
mod keys;
pub(crate) mod link_counts;
mod lists;
mod maintenance;
mod moved;
mod numbered;
pub(crate) mod original;
mod quota;
pub(crate) mod redemptions;
mod revocation;
pub(crate) mod shares;
mod sweeping;
mod tenancy;
pub(crate) mod transfer;

/// Runs every check on a catalogue that nothing else uses meanwhile.
pub(crate) async fn all(catalog: &dyn Catalog) {
    tenancy::all(catalog).await;
    files::all(catalog).await;
    lists::all(catalog).await;
    numbered::all(catalog).await;
    sweeping::all(catalog).await;
    keys::all(catalog).await;
    revocation::all(catalog).await;
    batch::all(catalog).await;
    apps::all(catalog).await;
    changes::all(catalog, catalog).await;
    integrity::all(catalog).await;
    quota::all(catalog).await;
    counters::all(catalog).await;
    link_counts::all(catalog).await;
    maintenance::all(catalog).await;
    checksums::all(catalog).await;
    idempotency::all(catalog).await;
    redemptions::all(catalog).await;
    shares::all(catalog).await;
    transfer::all(catalog).await;
    moved::all(catalog).await;
}

/// Bounds of what an organization may revoke that no check reaches.
pub(crate) const MANY: RevocationBounds = RevocationBounds {
    links: 1_000,
    ids: 1_000,
    files: 1_000,
};

/// Returns the file, which is the same on the spot where it is read there.
pub(crate) async fn found(
    catalog: &dyn Catalog,
    organization: &OrganizationId,
    id: &FileId,
) -> Option<FileRecord> {
    let found = catalog.file(organization, id).await.unwrap();
    if let Some(on_the_spot) = catalog.file_on_the_spot(organization, id) {
        assert_eq!(on_the_spot, found);
    }
    found
}

/// Returns what was revoked and still matters at `now`.
pub(crate) async fn revoked(catalog: &dyn Catalog, now: u64) -> Revocations {
    catalog.revoked(at(now)).await.unwrap().revocations
}

/// Returns the newest entry of the change feed.
pub(crate) async fn position(catalog: &dyn Catalog) -> FeedPosition {
    catalog.revoked(at(0)).await.unwrap().position
}

/// Returns the changes since a position.
pub(crate) async fn changes_since(catalog: &dyn Catalog, position: FeedPosition) -> Vec<Change> {
    let page = catalog.changes(position).await.unwrap().unwrap();
    page.changes.into_iter().map(|(_, change)| change).collect()
}

/// A link of a file, signed with this epoch and the first link revision.
pub(crate) fn signed(file: &str, epoch: u64) -> SignedFor {
    SignedFor {
        file: file_id(file),
        epoch,
        link_revision: 0,
    }
}

/// A whole link of a file, signed with the first counters.
pub(crate) fn denial(owner: &OrganizationId, link: LinkId, expires: u64) -> Denial {
    Denial {
        organization: owner.clone(),
        link,
        expires: at(expires),
        signed: Some(signed("f", 0)),
    }
}

pub(crate) fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds::new(seconds).unwrap()
}

pub(crate) fn organization_id(text: &str) -> OrganizationId {
    OrganizationId::parse(text).unwrap()
}

pub(crate) fn file_id(text: &str) -> FileId {
    FileId::parse(text).unwrap()
}

fn folder_id(text: &str) -> FolderId {
    FolderId::parse(text).unwrap()
}

/// Makes an organization and answers its id.
pub(crate) async fn organization(catalog: &dyn Catalog, id: &str) -> OrganizationId {
    let made = Organization {
        id: organization_id(id),
        name: format!("The {id} people"),
        epoch: 0,
        created_at: at(1_000),
    };
    catalog.create_organization(&made).await.unwrap();
    made.id
}

fn space(organization: &OrganizationId, id: &str) -> Space {
    Space {
        organization: organization.clone(),
        id: SpaceId::parse(id).unwrap(),
        name: "Räume".into(),
        created_at: at(2_000),
    }
}

fn folder(organization: &OrganizationId, id: &str, members: &[&OrganizationId]) -> Folder {
    Folder {
        organization: organization.clone(),
        id: folder_id(id),
        name: "Shared".into(),
        members: members.iter().map(|member| (*member).clone()).collect(),
        created_at: at(3_000),
    }
}

/// A ready file of the default space.
pub(crate) fn file(organization: &OrganizationId, id: &str, created_at: u64) -> FileRecord {
    FileRecord {
        organization: organization.clone(),
        id: file_id(id),
        space: SpaceId::default_space(),
        name: FileName::from_client("report.txt").unwrap(),
        media_type: MediaType::parse("text/plain").unwrap(),
        size: 110,
        sha256: Some(Sha256Digest::new([7; 32])),
        purpose: Purpose::UserUpload,
        state: FileState::Ready,
        metadata: Metadata::default(),
        created_at: at(created_at),
        updated_at: at(created_at + 1),
        uploaded_by: None,
        damaged_at: None,
        link_revision: 0,
        location: BlobLocation::Stored(blob(id)),
        is_text: None,
        crc32: None,
        expires_at: None,
    }
}

/// A blob key made of a name, so that files of different names have different ones.
fn blob(name: &str) -> BlobKey {
    let mut bytes = [0; 16];
    for (place, byte) in name.bytes().enumerate() {
        bytes[place % 16] ^= byte.rotate_left(u32::try_from(place / 16).unwrap());
    }
    BlobKey::from_random(bytes)
}

/// A file that uses everything a row can hold.
pub(crate) fn rich_file(organization: &OrganizationId, id: &str) -> FileRecord {
    use std::os::unix::ffi::OsStringExt;
    let path = std::ffi::OsString::from_vec(b"/srv/caf\xe9/\xff.png".to_vec());
    let pairs = [
        ("project", "te\"st"),
        ("ключ", "\u{1f600}\n"),
        ("empty", ""),
    ];
    FileRecord {
        name: FileName::from_client("отчёт \"x\" 100%.png").unwrap(),
        media_type: MediaType::parse("image/png; x=\"y\"").unwrap(),
        size: 1 << 53,
        purpose: Purpose::SkillOutput,
        metadata: Metadata::new(pairs.map(|(key, value)| (key.into(), value.into()))).unwrap(),
        uploaded_by: Some(ApiKeyId::from_random([9; 16])),
        link_revision: 3,
        is_text: Some(true),
        crc32: Some(Crc32::new(u32::MAX)),
        expires_at: Some(at(99_999_999_999)),
        location: BlobLocation::InPlace(InPlace {
            path: PathBuf::from(path),
            inode: u64::MAX - 1,
            modified_nanos: -5,
            device: Some(u64::MAX - 2),
            changed_nanos: Some(-6),
        }),
        ..file(organization, id, 99_999_999_998)
    }
}

/// Downloads by one link.
#[derive(Clone)]
struct Count {
    file: FileAddress,
    link: LinkId,
    expires: UnixSeconds,
    counts: Counts,
}

/// Counts downloads for their files, and for their links. Returns how many links were counted for their files alone.
async fn add_counts(catalog: &dyn Catalog, counts: &[Count], links_max: u64) -> u64 {
    let of_files = counts.iter().map(|count| FileCount {
        file: count.file.clone(),
        counts: count.counts,
    });
    catalog.add_file_counts(of_files.collect()).await.unwrap();
    let of_links = counts.iter().map(|count| LinkCount {
        organization: count.file.organization.clone(),
        link: count.link,
        expires: count.expires,
        counts: count.counts,
    });
    let folded = catalog.add_link_counts(of_links.collect(), links_max);
    folded.await.unwrap()
}

fn api_key(organization: &OrganizationId, id: u8, created_at: u64) -> ApiKey {
    ApiKey {
        id: ApiKeyId::from_random([id; 16]),
        organization: organization.clone(),
        name: "for the tests".into(),
        digest: Sha256Digest::new([id; 32]),
        scopes: Scopes::USUAL,
        state: ApiKeyState::Active,
        created_at: at(created_at),
        expires_at: None,
    }
}

#[track_caller]
pub(crate) fn assert_missing<T>(outcome: Result<T, CatalogError>) {
    match outcome {
        Err(CatalogError::NotFound { .. }) => {}
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was found"),
    }
}

#[track_caller]
pub(crate) fn assert_taken<T>(outcome: Result<T, CatalogError>) {
    match outcome {
        Err(CatalogError::Conflict { .. }) => {}
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was free"),
    }
}
