//! Idempotency keys.

use sqlx::SqliteConnection;

use super::{Sqlite, answer, quota};
use crate::catalog::idempotency_sql::idempotent_on;

idempotent_on!(SqliteConnection);

impl Idempotency for Sqlite {
    fn claim<'a>(
        &'a self,
        of: &'a Claim,
        now: UnixSeconds,
        until: UnixSeconds,
    ) -> Answer<'a, Claimed> {
        answer("claiming an idempotency key", async move {
            let mut change = self.change().await?;
            let claimed = claim(&mut change, of, now, until).await?;
            change.commit().await?;
            Ok(claimed)
        })
    }

    fn renew<'a>(&'a self, claim: &'a Claim, until: UnixSeconds) -> Answer<'a, ()> {
        answer("holding an idempotency key", async move {
            let mut change = self.change().await?;
            renew(&mut change, claim, until).await?;
            Ok(change.commit().await?)
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> Answer<'a, ()> {
        answer("giving an idempotency key up", async move {
            let mut change = self.change().await?;
            release(&mut change, claim).await?;
            Ok(change.commit().await?)
        })
    }

    fn forget_keys(&self, before: UnixSeconds, limit: u32) -> Answer<'_, u64> {
        answer("forgetting idempotency keys", async move {
            let mut change = self.change().await?;
            let forgotten = forget_keys(&mut change, before, limit).await?;
            change.commit().await?;
            Ok(forgotten)
        })
    }
}
