//! Idempotency keys, in memory.

use super::Memory;
use super::rows::{Rows, count};
use crate::catalog::idempotency::{Claim, Claimed, Idempotency, KEY_SECONDS, KEYS_MAX, KeyRow};
use crate::catalog::{Answer, CatalogError, taken};
use crate::model::id::{ApiKeyId, OrganizationId};
use crate::model::time::UnixSeconds;

pub(super) fn key_of(claim: &Claim) -> (OrganizationId, ApiKeyId, String) {
    let Claim {
        organization,
        api_key,
        key,
        ..
    } = claim.clone();
    (organization, api_key, key)
}

impl Idempotency for Memory {
    fn claim<'a>(
        &'a self,
        claim: &'a Claim,
        now: UnixSeconds,
        until: UnixSeconds,
    ) -> Answer<'a, Claimed> {
        self.change(move |rows| {
            rows.know(&claim.organization)?;
            let key = key_of(claim);
            let old = now.minus(KEY_SECONDS);
            let known = rows.idempotency_keys.get(&key);
            let known = known.filter(|known| known.created_at > old);
            match known.map(|known| (&known.completed, known.held_until)) {
                Some((Some(completed), _)) => return Ok(Claimed::Completed(completed.clone())),
                Some((None, held)) if held > now => return Ok(Claimed::AtWork),
                _ => {}
            }
            let row = KeyRow {
                claim: claim.clone(),
                created_at: now,
                held_until: until,
                completed: None,
            };
            rows.idempotency_keys.insert(key, row);
            rows.evict_keys(&claim.organization);
            Ok(Claimed::Ours)
        })
    }

    fn renew<'a>(&'a self, claim: &'a Claim, until: UnixSeconds) -> Answer<'a, ()> {
        self.change(move |rows| {
            rows.held(claim)?.held_until = until;
            Ok(())
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> Answer<'a, ()> {
        self.change(move |rows| {
            if rows.held(claim).is_ok() {
                rows.idempotency_keys.remove(&key_of(claim));
            }
            Ok(())
        })
    }

    fn forget_keys(&self, before: UnixSeconds, limit: u32) -> Answer<'_, u64> {
        self.change(move |rows| {
            let old = rows.idempotency_keys.iter();
            let old = old.filter(|(_, row)| row.created_at <= before);
            let old: Vec<_> = old.map(|(key, _)| key.clone()).take(count(limit)).collect();
            for key in &old {
                rows.idempotency_keys.remove(key);
            }
            Ok(old.len() as u64)
        })
    }
}

impl Rows {
    /// The row of a claim that still has its key and is not completed.
    pub(super) fn held(&mut self, claim: &Claim) -> Result<&mut KeyRow, CatalogError> {
        let row = self.idempotency_keys.get_mut(&key_of(claim));
        let ours = row.filter(|row| row.claim.owner == claim.owner && row.completed.is_none());
        ours.ok_or(taken("the idempotency key of another request"))
    }

    fn evict_keys(&mut self, organization: &OrganizationId) {
        let own = self.idempotency_keys.iter();
        let own = own.filter(|((of, ..), _)| of == organization);
        let mut oldest_first: Vec<_> = own
            .map(|(key, row)| (row.created_at, key.clone()))
            .collect();
        oldest_first.sort();
        let too_many = oldest_first.len().saturating_sub(KEYS_MAX as usize);
        for (_, key) in oldest_first.into_iter().take(too_many) {
            self.idempotency_keys.remove(&key);
        }
    }
}
