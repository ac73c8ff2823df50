//! The calls of background tasks and of idempotency keys, counted.

use super::Counting;
use crate::catalog::Answer;
use crate::catalog::idempotency::{Claim, Claimed, Idempotency};
use crate::catalog::maintenance::{Maintenance, Text};
use crate::model::file::{FileRecord, InPlace};
use crate::model::id::{FileId, OrganizationId};
use crate::model::time::UnixSeconds;

impl Maintenance for Counting {
    fn files_of_unknown_text<'a>(
        &'a self,
        after: Option<&'a (OrganizationId, FileId)>,
        limit: u32,
    ) -> Answer<'a, Vec<FileRecord>> {
        self.counted().files_of_unknown_text(after, limit)
    }

    fn set_text<'a>(&'a self, texts: &'a [Text]) -> Answer<'a, ()> {
        self.counted().set_text(texts)
    }

    fn replace_identity<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
        seen: &'a InPlace,
        found: &'a InPlace,
    ) -> Answer<'a, ()> {
        self.counted()
            .replace_identity(organization, id, seen, found)
    }

    fn expired_files(&self, now: UnixSeconds, limit: u32) -> Answer<'_, Vec<FileRecord>> {
        self.counted().expired_files(now, limit)
    }
}

impl Idempotency for Counting {
    fn claim<'a>(
        &'a self,
        claim: &'a Claim,
        now: UnixSeconds,
        until: UnixSeconds,
    ) -> Answer<'a, Claimed> {
        self.counted().claim(claim, now, until)
    }

    fn renew<'a>(&'a self, claim: &'a Claim, until: UnixSeconds) -> Answer<'a, ()> {
        self.counted().renew(claim, until)
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> Answer<'a, ()> {
        self.counted().release(claim)
    }

    fn forget_keys(&self, before: UnixSeconds, limit: u32) -> Answer<'_, u64> {
        self.counted().forget_keys(before, limit)
    }
}
