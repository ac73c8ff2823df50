//! The SQL adapter: every call of the port once, for SQLite and for PostgreSQL.
//!
//! 1. A [`Database`] opens a [`Session`] for a call: a connection to read on, a read transaction, or a write
//!    transaction. It commits, and tries again what may be tried again ([`sqlite`](super::sqlite),
//!    [`postgres`](super::postgres)).
//! 2. The call runs its statements on the session. One text serves both databases: both number their
//!    placeholders, `$1`. What the dialects write differently is in `dialect`.
//! 3. Each write takes its locks in one order: `organization`, the rows themselves, `change_head`. So of two writes
//!    to one organization the second waits for the first, and none waits in a circle. SQLite has one write
//!    transaction at a time, and no such locks.
//!
//! `port` and the modules of the sub-traits name the calls, `rows` maps rows to values of the model, `values`
//! maps those to bind values, and `fault` says what an error of a database means.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use self::fault::Fault;
use self::session::{Session, SessionKind};
use super::announcements::Announcements;
use super::changes::{FeedPage, FeedPosition};
use super::redemptions::Ticket;
use super::{Answer, CatalogError};
use crate::model::archive_file::ArchiveFile;
use crate::model::file::FileRecord;
use crate::model::id::{FileId, OrganizationId};
use crate::model::redemption::RedemptionId;

pub(super) mod allowance;
pub(super) mod archive_rows;
pub(super) mod batch;
mod calls;
pub(super) mod changes;
pub(super) mod counters;
mod denial;
pub(super) mod dialect;
pub(super) mod fault;
mod feed;
pub(super) mod files;
mod idempotency;
mod keys;
mod maintenance;
pub(super) mod numbered;
pub(super) mod open;
mod port;
mod quota;
mod redemption_rows;
pub(super) mod redemptions;
mod revocation;
pub(super) mod rows;
pub(super) mod session;
pub(super) mod share_counts;
mod share_rows;
mod share_terms;
pub(super) mod shares;
pub(super) mod tables;
mod tenancy;
pub(super) mod tickets;
mod transfer;
mod usage;
mod values;

/// The most organizations for which a background task writes in one transaction. It locks each of them to its end,
/// and asks the server a few times for each.
const ORGANIZATIONS_LOCKED_MAX: usize = 16;

/// The statements of one call, at work on a session.
pub(super) type Working<'s, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 's>>;

/// A database that keeps a catalogue. Everything that has sessions is a [`Catalog`](super::Catalog).
pub trait Database: Send + Sync {
    /// Runs the statements of one call on a session of this kind. A write is committed where they went well,
    /// and undone where one failed.
    ///
    /// `doing` says in an error what was being done. The wait is bounded, whatever it is for. The statements
    /// may be run again on another session, where the first attempt did nothing.
    fn run<'a, T: Send + 'a>(
        &'a self,
        access: SessionKind,
        doing: &'static str,
        work: impl for<'s> Fn(&'s mut Session<'a>) -> Working<'s, T> + Send + Sync + 'a,
    ) -> Answer<'a, T>;

    /// Runs the statements of one write as [`Database::run`] does, on what they are given. Where the database is in this
    /// process, one thread runs all of them: then a caller that drops the call leaves them done.
    fn run_whole<'a, G: Send + Sync + 'static, T: Send + 'static>(
        &'a self,
        doing: &'static str,
        given: G,
        work: for<'s> fn(&'s mut Session<'_>, &'s G) -> Working<'s, T>,
    ) -> Answer<'a, T> {
        let given = Arc::new(given);
        self.run(SessionKind::Write, doing, move |session| {
            let given = Arc::clone(&given);
            Box::pin(async move { work(session, &given).await })
        })
    }

    /// True where every statement waits for a server.
    const IS_A_SERVER: bool;

    /// Answers [`Catalog::readers`](super::Catalog::readers).
    fn reading_connections(&self) -> usize;

    /// Answers [`Catalog::file_on_the_spot`](super::Catalog::file_on_the_spot).
    /// Nothing is read on the spot where the database is asked over a socket.
    fn read_on_the_spot(
        &self,
        _organization: &OrganizationId,
        _id: &FileId,
    ) -> Option<Option<FileRecord>> {
        None
    }

    /// Answers [`Redemptions::redemption_on_the_spot`](super::redemptions::Redemptions::redemption_on_the_spot).
    fn read_ticket_on_the_spot(
        &self,
        _organization: &OrganizationId,
        _rid: RedemptionId,
    ) -> Option<Option<Ticket>> {
        None
    }

    /// Answers [`Batch::archive_files`](super::batch::Batch::archive_files) where that takes less than one text of all of them;
    /// `None` where it does not, or where it failed.
    fn read_archive_files<'a>(
        &'a self,
        _organization: &'a OrganizationId,
        _ids: &'a [FileId],
    ) -> Answer<'a, Option<Vec<ArchiveFile>>> {
        Box::pin(async { Ok(None) })
    }

    /// Answers [`Changes::changes`](super::changes::Changes::changes), on a connection that waits for no other call.
    fn read_changes(&self, after: FeedPosition) -> Answer<'_, Option<FeedPage>>;

    /// Answers [`Changes::changed`](super::changes::Changes::changed).
    fn heard(&self) -> Answer<'_, ()>;

    /// Answers [`Catalog::announcements`](super::Catalog::announcements).
    fn channel(&self) -> &dyn Announcements;
}

/// Bounds the work and says, in an error, what was being done.
pub(super) async fn bounded<T>(
    time_max: Duration,
    doing: &'static str,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, CatalogError> {
    match timeout(time_max, work).await {
        Ok(outcome) => outcome.map_err(|fault| fault.while_doing(doing)),
        Err(late) => {
            let source = late.into();
            Err(CatalogError::Unavailable { doing, source })
        }
    }
}
