//! Idempotency keys.

use super::calls::calls;
use super::fault::Fault;
use super::rows::Row;
use super::session::{Query, Session, query};
use super::{Database, rows, usage};
use crate::catalog::idempotency::{
    Claim, Claimed, Completed, Completion, Idempotency, KEY_SECONDS, KEYS_MAX, KeyRow,
};
use crate::catalog::taken;
use crate::model::time::UnixSeconds;

/// Takes a key that is new, old, or not held any more.
const CLAIM: &str = "INSERT INTO idempotency_key \
     (organization, api_key, key, owner, created_at, held_until) VALUES ($1, $2, $3, $4, $5, $6) \
     ON CONFLICT (organization, api_key, key) DO UPDATE SET owner = excluded.owner, \
     created_at = excluded.created_at, held_until = excluded.held_until, fingerprint = NULL, outcome = NULL \
     WHERE idempotency_key.created_at <= $7 \
     OR (idempotency_key.outcome IS NULL AND idempotency_key.held_until <= excluded.created_at)";
const FIND: &str = "SELECT fingerprint, outcome FROM idempotency_key \
     WHERE organization = $1 AND api_key = $2 AND key = $3";
/// Deletes the keys that were claimed longest ago, beyond the most that there may be.
const EVICT: &str = "DELETE FROM idempotency_key WHERE organization = $1 AND (api_key, key) IN \
     (SELECT api_key, key FROM idempotency_key WHERE organization = $1 \
     ORDER BY created_at DESC, api_key DESC, key DESC LIMIT 1000 OFFSET $2)";
const RENEW: &str = "UPDATE idempotency_key SET held_until = $5 \
     WHERE organization = $1 AND api_key = $2 AND key = $3 AND owner = $4 AND outcome IS NULL";
const RELEASE: &str = "DELETE FROM idempotency_key \
     WHERE organization = $1 AND api_key = $2 AND key = $3 AND owner = $4 AND outcome IS NULL";
const COMPLETE: &str = "UPDATE idempotency_key SET fingerprint = $5, outcome = $6 \
     WHERE organization = $1 AND api_key = $2 AND key = $3 AND owner = $4 AND outcome IS NULL";
const FORGET: &str = "DELETE FROM idempotency_key WHERE (organization, api_key, key) IN \
     (SELECT organization, api_key, key FROM idempotency_key WHERE created_at <= $1 \
     ORDER BY created_at LIMIT $2)";

impl<D: Database> Idempotency for D {
    calls! {
        fn claim(of: &'a Claim, now: UnixSeconds, until: UnixSeconds) -> Claimed
            => Write, "claiming an idempotency key", claim;
        fn renew(of: &'a Claim, until: UnixSeconds) -> ()
            => Write, "holding an idempotency key", renew;
        fn release(of: &'a Claim) -> ()
            => Write, "giving an idempotency key up", release;
        fn forget_keys(before: UnixSeconds, limit: u32) -> u64
            => Write, "forgetting idempotency keys", forget;
    }
}

/// Reads what was kept of a completed request.
fn completed(row: Row<'_>) -> Result<Option<Completed>, Fault> {
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
pub(super) fn key_row(row: Row<'_>) -> Result<KeyRow, Fault> {
    let claim = Claim {
        organization: rows::organization_id(row, "organization")?,
        api_key: rows::api_key_id(row, "api_key")?,
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

async fn claim(
    session: &mut Session<'_>,
    claim: &Claim,
    now: UnixSeconds,
    until: UnixSeconds,
) -> Result<Claimed, Fault> {
    // First, as in every write that adds files.
    usage::lock(session, &claim.organization).await?;
    let take = of_owner(CLAIM, claim)
        .bind(now)
        .bind(until)
        .bind(now.minus(KEY_SECONDS));
    if session.execute(take).await? == 1 {
        let evict = query(EVICT).bind(&claim.organization).bind(KEYS_MAX);
        session.execute(evict).await?;
        return Ok(Claimed::Ours);
    }
    let found = session.optional(of_key(FIND, claim), completed).await?;
    Ok(found.flatten().map_or(Claimed::AtWork, Claimed::Completed))
}

async fn renew(session: &mut Session<'_>, of: &Claim, until: UnixSeconds) -> Result<(), Fault> {
    change_one(session, of_owner(RENEW, of).bind(until)).await
}

async fn release(session: &mut Session<'_>, of: &Claim) -> Result<(), Fault> {
    session.execute(of_owner(RELEASE, of)).await.map(drop)
}

async fn forget(session: &mut Session<'_>, before: UnixSeconds, limit: u32) -> Result<u64, Fault> {
    session
        .execute(query(FORGET).bind(before).bind(limit))
        .await
}

/// Completes a claim, if it still holds its key. The organization was locked before.
pub(super) async fn complete(
    session: &mut Session<'_>,
    completion: &Completion,
) -> Result<(), Fault> {
    let completed = &completion.completed;
    let complete = of_owner(COMPLETE, &completion.claim)
        .bind(completed.fingerprint.as_bytes().as_slice())
        .bind(completed.outcome.as_str());
    change_one(session, complete).await
}

/// `Conflict` unless a statement changes the key of a claim.
async fn change_one(session: &mut Session<'_>, change: Query<'_>) -> Result<(), Fault> {
    match session.execute(change).await? {
        1 => Ok(()),
        _ => Err(taken("the idempotency key of another request").into()),
    }
}

fn of_key<'q>(text: &'static str, claim: &'q Claim) -> Query<'q> {
    query(text)
        .bind(&claim.organization)
        .bind(&claim.api_key)
        .bind(claim.key.as_str())
}

fn of_owner<'q>(text: &'static str, claim: &'q Claim) -> Query<'q> {
    of_key(text, claim).bind(claim.owner.as_slice())
}
