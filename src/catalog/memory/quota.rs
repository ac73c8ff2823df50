//! What organizations keep, and how much they may, in memory.

use std::collections::BTreeMap;

use super::Memory;
use super::rows::Rows;
use crate::catalog::quota::{Quota, Quotas};
use crate::catalog::{Answer, CatalogError};
use crate::model::file::FileRecord;
use crate::model::id::OrganizationId;

/// How many files an organization keeps, and how many bytes they have.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept {
    files: u64,
    bytes: u64,
}

impl Kept {
    pub(super) const fn add(&mut self, file: &FileRecord) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(file.size);
    }

    pub(super) const fn take(&mut self, file: &FileRecord) {
        self.files = self.files.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(file.size);
    }
}

impl Rows {
    /// Says no where one of these files' organizations would keep more than it may.
    fn allow(&self, files: &[FileRecord], quota: Quota) -> Result<(), CatalogError> {
        let mut then: BTreeMap<&OrganizationId, Kept> = BTreeMap::new();
        for file in files {
            let now = || self.kept.get(&file.organization).copied();
            let kept = then.entry(&file.organization);
            kept.or_insert_with(|| now().unwrap_or_default()).add(file);
        }
        then.values()
            .try_for_each(|kept| quota.allow(kept.files, kept.bytes))
    }
}

impl Quotas for Memory {
    fn add_files_within<'a>(&'a self, files: &'a [FileRecord], quota: Quota) -> Answer<'a, ()> {
        self.change(move |rows| {
            rows.allow(files, quota)?;
            rows.add_files(files)
        })
    }
}
