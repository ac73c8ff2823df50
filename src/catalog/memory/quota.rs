//! What organizations keep, and how much they may, in memory.

use std::collections::BTreeMap;

use super::Memory;
use super::rows::{Rows, is_swept};
use crate::catalog::idempotency::Completion;
use crate::catalog::quota::{Quota, Quotas, Recount};
use crate::catalog::{Answer, CatalogError, quota};
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

    const fn with_ready(self, ready: u64) -> quota::Kept {
        quota::Kept {
            ready,
            files: self.files,
            bytes: self.bytes,
        }
    }

    pub(super) const fn take(&mut self, file: &FileRecord) {
        self.files = self.files.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(file.size);
    }
}

impl Rows {
    fn counted(&self, organization: &OrganizationId) -> Result<quota::Kept, CatalogError> {
        self.know(organization)?;
        let ready = self.ready.get(organization).map_or(0, BTreeMap::len);
        let kept = self.kept.get(organization).copied().unwrap_or_default();
        Ok(kept.with_ready(ready as u64))
    }

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
    fn add_files_within<'a>(
        &'a self,
        files: &'a [FileRecord],
        quota: Quota,
        key: Option<&'a Completion>,
    ) -> Answer<'a, ()> {
        self.change(move |rows| {
            rows.allow(files, quota)?;
            if let Some(key) = key {
                rows.held(&key.claim)?;
            }
            rows.add_files(files)?;
            if let Some(key) = key {
                rows.held(&key.claim)?.completed = Some(key.completed.clone());
            }
            Ok(())
        })
    }

    fn kept<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, quota::Kept> {
        self.look(move |rows| rows.counted(organization))
    }

    /// Lists are what they count, so only the other two can be wrong.
    fn recount<'a>(&'a self, organization: &'a OrganizationId, mend: bool) -> Answer<'a, Recount> {
        self.change(move |rows| {
            let counted = rows.counted(organization)?;
            let mut found = Kept::default();
            let files = rows.files.values();
            let kept = files.filter(|file| file.organization == *organization && !is_swept(file));
            kept.for_each(|file| found.add(file));
            if mend {
                rows.kept.insert(organization.clone(), found);
            }
            let found = found.with_ready(counted.ready);
            Ok(Recount { counted, found })
        })
    }
}
