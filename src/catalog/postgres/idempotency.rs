//! Idempotency keys.

use sqlx::PgConnection;

use super::calls::call;
use super::{Postgres, quota};
use crate::catalog::idempotency_sql::idempotent_on;

idempotent_on!(PgConnection);

impl Idempotency for Postgres {
    fn claim<'a>(
        &'a self,
        of: &'a Claim,
        now: UnixSeconds,
        until: UnixSeconds,
    ) -> Answer<'a, Claimed> {
        call!(self, "claiming an idempotency key", change, |connection| {
            claim(connection, of, now, until)
        })
    }

    fn renew<'a>(&'a self, claim: &'a Claim, until: UnixSeconds) -> Answer<'a, ()> {
        call!(self, "holding an idempotency key", change, |connection| {
            renew(connection, claim, until)
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> Answer<'a, ()> {
        call!(self, "giving an idempotency key up", change, |connection| {
            release(connection, claim)
        })
    }

    fn forget_keys(&self, before: UnixSeconds, limit: u32) -> Answer<'_, u64> {
        call!(self, "forgetting idempotency keys", change, |connection| {
            forget_keys(connection, before, limit)
        })
    }
}
