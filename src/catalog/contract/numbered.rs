//! Numbered pages deep in a list.

use super::*;
use crate::catalog::transfer::{ROWS_AT_ONCE_MAX, Row};

pub(super) async fn all(catalog: &dyn Catalog) {
    deep_pages_are_where_the_whole_list_has_them(catalog).await;
}

/// So many files that a list has several anchors.
const FILES: u64 = 6_000;

/// The files of an organization, as lists should have them.
struct Listed {
    owner: OrganizationId,
    files: Vec<FileRecord>,
}

impl Listed {
    /// Compares pages about the anchors, and at the end, with the whole list.
    async fn compare(&self, catalog: &dyn Catalog, now: u64, what: &str) {
        let is_listed = |file: &&FileRecord| file.expires_at.is_none_or(|end| end > at(now));
        let mut listed: Vec<&FileRecord> = self.files.iter().filter(is_listed).collect();
        listed.sort_by_key(|file| (file.created_at, file.id.as_str()));
        listed.reverse();
        let total = listed.len() as u64;
        let about = [0, 1_023, 1_024, 1_025, 2_047, 2_049, 3_000, 4_100];
        let offsets = about.into_iter().filter(|offset| *offset < total);
        for offset in offsets.chain([total - 3, total, total + 1, u64::MAX]) {
            let page = catalog.numbered_page(&self.owner, offset, 5, at(now)).await;
            let page = page.unwrap();
            let skipped = usize::try_from(offset).unwrap();
            let wanted = listed.iter().skip(skipped).take(5);
            let wanted: Vec<&str> = wanted.map(|file| file.id.as_str()).collect();
            let found: Vec<&str> = page.files.iter().map(|file| file.id.as_str()).collect();
            assert_eq!((found, page.total), (wanted, total), "{what}, {offset}");
        }
        let recount = catalog.recount(&self.owner, false).await.unwrap();
        assert!(recount.is_right(), "{what}: {recount:?}");
    }

    /// Moves the place of so many files, as a transfer that puts rows again does.
    async fn put_elsewhere(&mut self, catalog: &dyn Catalog) {
        for file in self.files.iter_mut().take(ROWS_AT_ONCE_MAX) {
            file.created_at = at(file.created_at.get() / 2 + 3);
        }
        let moved = self.files.iter().take(ROWS_AT_ONCE_MAX).cloned();
        let rows: Vec<Row> = moved.map(|file| Row::File(Box::new(file))).collect();
        catalog.put_rows(&rows).await.unwrap();
    }
}

async fn deep_pages_are_where_the_whole_list_has_them(catalog: &dyn Catalog) {
    let owner = organization(catalog, "numbered_deep").await;
    let made = (0..FILES).map(|number| FileRecord {
        expires_at: (number % 5 < 3).then(|| at(5_000)),
        ..file(
            &owner,
            &format!("f{}", number * 7_919 % 6_007),
            number * 131 % 901,
        )
    });
    let files: Vec<FileRecord> = made.collect();
    for some in [&files[..3_500], &files[3_500..3_501], &files[3_501..]] {
        catalog.add_files(some).await.unwrap();
    }
    let mut listed = Listed { owner, files };
    listed.compare(catalog, 0, "all").await;
    listed.compare(catalog, 5_000, "some are expired").await;
    listed.files.sort_by_key(|file| file.created_at);
    for deleted in listed.files.drain(5_900..) {
        let deleted = catalog.delete_file(&deleted.organization, &deleted.id, at(9));
        deleted.await.unwrap();
    }
    listed.compare(catalog, 0, "the newest are deleted").await;
    listed.put_elsewhere(catalog).await;
    listed.compare(catalog, 4_999, "some are elsewhere").await;
    while catalog.expire_files(at(5_000), 500).await.unwrap() > 0 {}
    listed.files.retain(|file| file.expires_at.is_none());
    listed
        .compare(catalog, 5_000, "those that expired are deleted")
        .await;
    let moved: Vec<Row> = listed.files[..ROWS_AT_ONCE_MAX]
        .iter()
        .map(|file| Row::File(Box::new(file.clone())))
        .collect();
    catalog.remove_rows(&moved).await.unwrap();
    listed.files.drain(..ROWS_AT_ONCE_MAX);
    listed.compare(catalog, 5_000, "some are removed").await;
}
