//! Archives that are equal, and how many of one organization there may be.

use super::*;
use crate::catalog::contract::{file, organization_id};
use crate::catalog::testing::TestCatalog;
use crate::gateway::testing::{gateway, memory_blobs};

async fn empty_gateway() -> Gateway {
    let catalog = Arc::new(TestCatalog::new().await);
    gateway(catalog as _, memory_blobs())
}

/// The archive of so many files of an organization, with long names.
fn archive_of(
    gateway: &Gateway,
    owner: &OrganizationId,
    count: usize,
    name: &str,
) -> Result<Arc<Archive>, Refusal> {
    let file = ArchiveFile::from(&file(owner, "f", 1));
    let paths: Vec<String> = (0..count)
        .map(|number| format!("{name}/{number}"))
        .collect();
    let members: Vec<ArchiveMember<'_>> = paths
        .iter()
        .map(|path| ArchiveMember { path, file: &file })
        .collect();
    gateway.archive(owner, &members)
}

#[tokio::test]
async fn equal_archives_are_one_and_it_goes_with_its_last_answer() {
    let gateway = empty_gateway().await;
    let [one, other] = ["one", "other"].map(organization_id);
    let of = |owner, name| archive_of(&gateway, owner, 3, name).unwrap();
    let first = of(&one, "a");
    assert!(Arc::ptr_eq(&first, &of(&one, "a")));
    for another in [of(&one, "b"), of(&other, "a")] {
        assert!(!Arc::ptr_eq(&first, &another));
    }
    assert!(gateway.archives.lock().bytes > 0);
    drop(first);
    let state = gateway.archives.lock();
    assert_eq!((state.bytes, state.of.len(), state.known.len()), (0, 0, 0));
}

#[tokio::test]
async fn the_archives_of_one_organization_leave_memory_for_others() {
    let gateway = empty_gateway().await;
    let [one, other] = ["one", "other"].map(organization_id);
    let mut held = Vec::new();
    let refusal = loop {
        let name = format!("{}{}", "x".repeat(500), held.len());
        match archive_of(&gateway, &one, 5_000, &name) {
            Ok(archive) => held.push(archive),
            Err(refusal) => break refusal,
        }
    };
    assert!(matches!(refusal, Refusal::TooMany { .. }), "{refusal}");
    assert!(gateway.archives.lock().bytes <= ORGANIZATION_BYTES_MAX);
    held.push(archive_of(&gateway, &other, 5_000, "y").unwrap());
    // Those that are being sent already cost nothing more.
    let again = format!("{}0", "x".repeat(500));
    assert!(archive_of(&gateway, &one, 5_000, &again).is_ok());
    held.clear();
    assert!(archive_of(&gateway, &one, 5_000, "z").is_ok());
}

#[tokio::test]
async fn more_files_than_an_archive_has_are_refused() {
    let gateway = empty_gateway().await;
    let refused = archive_of(&gateway, &organization_id("one"), ENTRIES_MAX + 1, "x");
    let is_limit = matches!(refused, Err(Refusal::Limit { limit: 10_000, .. }));
    assert!(is_limit, "{refused:?}");
}
