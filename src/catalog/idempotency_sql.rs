//! Idempotency keys, on a connection of either database.

use super::fault::Fault;
use super::idempotency::{Claim, Completed, KeyRow};
use super::rows::{self, Columns};
use crate::model::id::ApiKeyId;

/// Takes a key that is new, old, or not held any more.
pub(super) const CLAIM: &str = "INSERT INTO idempotency_key \
     (organization, api_key, key, owner, created_at, held_until) VALUES ($1, $2, $3, $4, $5, $6) \
     ON CONFLICT (organization, api_key, key) DO UPDATE SET owner = excluded.owner, \
     created_at = excluded.created_at, held_until = excluded.held_until, fingerprint = NULL, outcome = NULL \
     WHERE idempotency_key.created_at <= $7 \
     OR (idempotency_key.outcome IS NULL AND idempotency_key.held_until <= excluded.created_at)";
pub(super) const FIND: &str = "SELECT fingerprint, outcome FROM idempotency_key \
     WHERE organization = $1 AND api_key = $2 AND key = $3";
/// Those claimed longest ago, beyond the most that there may be.
pub(super) const EVICT: &str = "DELETE FROM idempotency_key WHERE organization = $1 AND (api_key, key) IN \
     (SELECT api_key, key FROM idempotency_key WHERE organization = $1 \
     ORDER BY created_at DESC, api_key DESC, key DESC LIMIT 1000 OFFSET $2)";
pub(super) const RENEW: &str = "UPDATE idempotency_key SET held_until = $5 \
     WHERE organization = $1 AND api_key = $2 AND key = $3 AND owner = $4 AND outcome IS NULL";
pub(super) const RELEASE: &str = "DELETE FROM idempotency_key \
     WHERE organization = $1 AND api_key = $2 AND key = $3 AND owner = $4 AND outcome IS NULL";
pub(super) const COMPLETE: &str = "UPDATE idempotency_key SET fingerprint = $5, outcome = $6 \
     WHERE organization = $1 AND api_key = $2 AND key = $3 AND owner = $4 AND outcome IS NULL";
pub(super) const FORGET: &str = "DELETE FROM idempotency_key WHERE (organization, api_key, key) IN \
     (SELECT organization, api_key, key FROM idempotency_key WHERE created_at <= $1 \
     ORDER BY created_at LIMIT $2)";

/// Reads what was kept of a completed request.
pub(super) fn completed(row: &impl Columns) -> Result<Option<Completed>, Fault> {
    let outcome = rows::optional(row, "outcome", |text: &str| Some(text.to_owned()))?;
    let Some(outcome) = outcome else {
        return Ok(None);
    };
    Ok(Some(Completed {
        fingerprint: rows::digest(row, "fingerprint")?,
        outcome,
    }))
}

/// Reads a row of `idempotency_key`.
pub(super) fn key_row(row: &impl Columns) -> Result<KeyRow, Fault> {
    let claim = Claim {
        organization: rows::organization_id(row, "organization")?,
        api_key: rows::value(row, "api_key", |text: &str| ApiKeyId::parse(text).ok())?,
        key: rows::value(row, "key", |text: &str| Some(text.to_owned()))?,
        owner: rows::value(row, "owner", |bytes: &[u8]| bytes.try_into().ok())?,
    };
    Ok(KeyRow {
        claim,
        created_at: rows::time(row, "created_at")?,
        held_until: rows::time(row, "held_until")?,
        completed: completed(row)?,
    })
}

/// Makes the functions for one kind of connection, in a module that has `quota` beside it.
macro_rules! idempotent_on {
    ($Connection:ty) => {
        use sqlx::query;

        use $crate::catalog::fault::Fault;
        use $crate::catalog::idempotency::{
            Claim, Claimed, Completion, Idempotency, KEY_SECONDS, KEYS_MAX,
        };
        use $crate::catalog::idempotency_sql as sql;
        use $crate::catalog::rows;
        use $crate::catalog::{Answer, taken};
        use $crate::model::time::UnixSeconds;

        const KEY: &str = "the idempotency key of another request";

        macro_rules! of_claim {
            ($sql:expr, $claim:expr) => {
                query($sql)
                    .bind($claim.organization.as_str())
                    .bind($claim.api_key.as_str())
                    .bind($claim.key.as_str())
            };
        }

        async fn claim(
            connection: &mut $Connection,
            claim: &Claim,
            now: UnixSeconds,
            until: UnixSeconds,
        ) -> Result<Claimed, Fault> {
            // First, as in every change that adds files.
            quota::lock(connection, &claim.organization).await?;
            let taken = of_claim!(sql::CLAIM, claim)
                .bind(claim.owner.as_slice())
                .bind(rows::stored_time(now))
                .bind(rows::stored_time(until))
                .bind(rows::stored_time(now.minus(KEY_SECONDS)))
                .execute(&mut *connection)
                .await?;
            if taken.rows_affected() == 1 {
                query(sql::EVICT)
                    .bind(claim.organization.as_str())
                    .bind(i64::from(KEYS_MAX))
                    .execute(connection)
                    .await?;
                return Ok(Claimed::Ours);
            }
            let found = of_claim!(sql::FIND, claim)
                .fetch_optional(connection)
                .await?;
            let completed = found.as_ref().map(sql::completed).transpose()?.flatten();
            Ok(completed.map_or(Claimed::AtWork, Claimed::Completed))
        }

        async fn renew(
            connection: &mut $Connection,
            claim: &Claim,
            until: UnixSeconds,
        ) -> Result<(), Fault> {
            let renewed = of_claim!(sql::RENEW, claim)
                .bind(claim.owner.as_slice())
                .bind(rows::stored_time(until))
                .execute(connection)
                .await?;
            match renewed.rows_affected() {
                1 => Ok(()),
                _ => Err(taken(KEY).into()),
            }
        }

        async fn release(connection: &mut $Connection, claim: &Claim) -> Result<(), Fault> {
            of_claim!(sql::RELEASE, claim)
                .bind(claim.owner.as_slice())
                .execute(connection)
                .await?;
            Ok(())
        }

        /// Completes a claim, if it still holds its key. The organization was locked before.
        pub(super) async fn complete(
            connection: &mut $Connection,
            completion: &Completion,
        ) -> Result<(), Fault> {
            let completed = of_claim!(sql::COMPLETE, completion.claim)
                .bind(completion.claim.owner.as_slice())
                .bind(completion.completed.fingerprint.as_bytes().as_slice())
                .bind(completion.completed.outcome.as_str())
                .execute(connection)
                .await?;
            match completed.rows_affected() {
                1 => Ok(()),
                _ => Err(taken(KEY).into()),
            }
        }

        async fn forget_keys(
            connection: &mut $Connection,
            before: UnixSeconds,
            limit: u32,
        ) -> Result<u64, Fault> {
            let forgotten = query(sql::FORGET)
                .bind(rows::stored_time(before))
                .bind(i64::from(limit))
                .execute(connection)
                .await?;
            Ok(forgotten.rows_affected())
        }
    };
}
pub(super) use idempotent_on;
