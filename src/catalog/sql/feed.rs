//! The calls of the change feed.

use super::calls::calls;
use super::changes::position_of;
use super::fault::Fault;
use super::session::{Session, SessionKind, query};
use super::{Database, revocation, rows};
use crate::catalog::Answer;
use crate::catalog::changes::{Changes, FeedPage, FeedPosition, Revoked};
use crate::model::time::UnixSeconds;

const NEWEST: &str = "SELECT version, stamp FROM change ORDER BY version DESC LIMIT 1";

/// Finds the last of the oldest rows that are to be forgotten.
const TRIMMABLE: &str = "SELECT max(version) AS version FROM (SELECT version FROM change \
     WHERE version <= (SELECT max(version) FROM change) - $1 ORDER BY version LIMIT $2) AS old";

impl<D: Database> Changes for D {
    calls! {
        fn revoked(now: UnixSeconds) -> Revoked
            => ReadTransaction, "reading what was revoked", revoked;
    }

    fn changes(&self, after: FeedPosition) -> Answer<'_, Option<FeedPage>> {
        self.read_changes(after)
    }

    fn trim_changes(&self, kept: u64, limit: u32) -> Answer<'_, u64> {
        Box::pin(async move {
            let look = self.run(
                SessionKind::Read,
                "looking for old changes",
                move |session| Box::pin(trimmable(session, kept, limit)),
            );
            let Some(last) = look.await? else {
                return Ok(0);
            };
            let trim = self.run(
                SessionKind::Write,
                "forgetting old changes",
                move |session| Box::pin(trim(session, last)),
            );
            trim.await
        })
    }

    fn changed(&self) -> Answer<'_, ()> {
        self.heard()
    }
}

async fn revoked(session: &mut Session<'_>, now: UnixSeconds) -> Result<Revoked, Fault> {
    let position = session.one(query(NEWEST), position_of).await?;
    let revocations = revocation::all(session, now).await?;
    Ok(Revoked {
        revocations,
        position,
    })
}

async fn trimmable(session: &mut Session<'_>, kept: u64, limit: u32) -> Result<Option<i64>, Fault> {
    // The newest one stays: others find out by it that nothing was changed.
    let kept = rows::stored(kept.max(1))?;
    let find = query(TRIMMABLE).bind(kept).bind(limit);
    let found = session.one(find, |row| rows::optional(row, "version", Some::<i64>));
    found.await
}

async fn trim(session: &mut Session<'_>, last: i64) -> Result<u64, Fault> {
    let forget = query("DELETE FROM change WHERE version <= $1").bind(last);
    session.execute(forget).await
}
