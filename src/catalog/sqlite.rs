//! The catalogue in one SQLite file, which any number of processes on one machine may share.
//!
//! 1. `open` makes or checks the file and brings its schema up to date.
//! 2. A write transaction runs on the one connection that writes. It takes SQLite's write lock at its start, so
//!    it either waits for the others there or has all the rest to itself.
//! 3. A read is one statement, or one read transaction where several must agree, on one of a few connections
//!    that only read. The write-ahead log lets them go on beside a writer.
//! 4. A write that may not wait for room on a full disk is made once more with blocks of the disk reserve (`full`).
//! 5. One more connection reads the change feed and nothing else, so that no long read keeps it waiting.
//! 6. A file's row is read on the thread that asks, where that waits for nothing (`on_the_spot`), and those of an archive on
//!    another one, but without the driver as well.
//! 7. The start of a counted download runs as a whole on one thread, without the driver (`whole_write`).
//! 8. Revocations that there is no room for stand in a file beside it, whose blocks are there already (`announcement_file`).
//!
//! The statements are those of `sql`.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection as _, Sqlite as Driver, SqliteConnection, SqlitePool, query};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::announcements::Announcements;
use super::changes::{FeedPage, FeedPosition};
use super::redemptions::Ticket;
use super::reserve::DiskReserve;
use super::sql::fault::Fault;
use super::sql::rows::Row;
use super::sql::session::{Connection, Session, SessionKind};
use super::sql::{Database, Working, batch, bounded, changes};
use super::{Answer, CatalogError, Missing};
use crate::model::archive_file::ArchiveFile;
use crate::model::file::FileRecord;
use crate::model::id::{FileId, OrganizationId};
use crate::model::redemption::RedemptionId;
use announcement_file::AnnouncementFile;
use full::GivingBack;
use on_the_spot::OnTheSpot;
use whole_write::{WholeWriter, WriteTurns};

mod announcement_file;
mod full;
mod on_the_spot;
mod open;
#[cfg(test)]
mod tests;
mod whole_write;

/// The longest that a call waits for a connection, and again for another process's write lock. Long enough for
/// a queue of commits on a slow disk, short enough for a client that waits.
pub const BUSY_TIME_MAX: Duration = Duration::from_secs(5);

/// The longest that a call takes, whatever it waits for: both waits above, and a disk that hangs.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(15);

/// The write-ahead log is cut back to this many bytes once it was written into the file.
const LOG_BYTES_KEPT: u32 = 16 * 1024 * 1024;

/// The number of connections that read.
pub const READERS_MAX: u32 = 4;

const WATCHING: &str = "looking for changes";

/// A catalogue in an SQLite file. Needs a Tokio runtime with timers.
///
/// Several `Sqlite`, of one process or of many, may have one file open.
#[derive(Debug)]
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    /// The connection that reads the change feed; `None` once closed.
    watcher: Mutex<Option<SqliteConnection>>,
    on_the_spot: Arc<OnTheSpot>,
    turns: WriteTurns,
    whole_writer: Arc<WholeWriter>,
    /// The file that the connections have open.
    file: OpenFile,
    reserve: DiskReserve,
    announcements: AnnouncementFile,
}

/// A catalogue's file, and which one it was when it was opened.
#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl OpenFile {
    async fn of(path: PathBuf) -> io::Result<Self> {
        let identity = identity(&path).await?;
        Ok(Self { path, identity })
    }

    /// Fails where another file is in its place. Some connections may have the one and some the other open then, so
    /// that what is written would not be what is read.
    async fn check(&self) -> Result<(), Fault> {
        if identity(&self.path).await? == self.identity {
            return Ok(());
        }
        let why = format!(
            "another file is in the place of {} since it was opened: start hallpass again",
            self.path.display()
        );
        let (doing, source) = (WATCHING, why.into());
        Err(CatalogError::Unavailable { doing, source }.into())
    }
}

async fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = tokio::fs::metadata(path).await?;
    Ok((found.dev(), found.ino()))
}

impl Sqlite {
    /// Opens the catalogue at `path`; where nothing is, makes an empty one with mode 0600.
    ///
    /// Brings an older schema up to date. Several processes may do this at the same moment. Dropping the future
    /// leaves the catalogue made or not made.
    ///
    /// # Errors
    ///
    /// A file that is there is never replaced: an empty, short or damaged one, another program's, and a newer
    /// schema are [`CatalogError::Corrupt`] and left as they are. `Unavailable` if the directory is
    /// missing, the path is not UTF-8, or the file cannot be opened or locked in time.
    pub async fn open(path: &Path) -> Result<Self, CatalogError> {
        Self::open_with(path, Missing::Make).await
    }

    /// Opens a catalogue as [`Sqlite::open`] does, with another policy on one that is missing or of an older schema.
    ///
    /// # Errors
    ///
    /// Those of [`Sqlite::open`] and of the policy.
    pub async fn open_with(path: &Path, missing: Missing) -> Result<Self, CatalogError> {
        full::opened(path, || open::open(path, missing, BUSY_TIME_MAX)).await
    }

    /// Waits for the calls that are under way, and closes all connections. The last process to close
    /// writes the log back into the file. Calls after this are `Unavailable`.
    ///
    /// Nothing is lost without it, since every write is durable when it answers.
    pub async fn close(&self) {
        self.turns.close();
        self.writer.close().await;
        self.readers.close().await;
        let (on_the_spot, whole_writer) = (self.on_the_spot.clone(), self.whole_writer.clone());
        let close = move || {
            on_the_spot.close();
            whole_writer.close();
        };
        // A panic there left nothing to close, and where the runtime ends the process does.
        let _ = spawn_blocking(close).await;
        if let Some(watcher) = self.watcher.lock().await.take()
            && let Err(error) = watcher.close().await
        {
            tracing::debug!(%error, "closing a connection to the catalogue failed");
        }
    }

    /// Opens a session. A transaction that is dropped without a commit is undone.
    async fn begin(&self, access: SessionKind) -> Result<Connection, Fault> {
        Ok(match access {
            SessionKind::Read => Connection::Sqlite(self.readers.acquire().await?),
            SessionKind::ReadTransaction => {
                Connection::SqliteTransaction(self.readers.begin().await?, None)
            }
            SessionKind::OneWrite
            | SessionKind::Write
            | SessionKind::ReservedWrite
            | SessionKind::PurgeWrite => {
                let turn = self.turns.take().await?;
                let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
                Connection::SqliteTransaction(transaction, Some(turn))
            }
        })
    }
}

/// Runs the statements of one call, and commits a write where they went well.
async fn finish<'a, T: Send>(
    mut session: Session<'a>,
    access: SessionKind,
    work: &(impl for<'s> Fn(&'s mut Session<'a>) -> Working<'s, T> + Send + Sync),
) -> Result<T, Fault> {
    let done = work(&mut session).await?;
    if let (true, Connection::SqliteTransaction(transaction, _turn)) =
        (access.writes(), session.into_connection())
    {
        transaction.commit().await?;
    }
    Ok(done)
}

impl Database for Sqlite {
    const IS_A_SERVER: bool = false;

    fn run<'a, T: Send + 'a>(
        &'a self,
        access: SessionKind,
        doing: &'static str,
        work: impl for<'s> Fn(&'s mut Session<'a>) -> Working<'s, T> + Send + Sync + 'a,
    ) -> Answer<'a, T> {
        let work = async move {
            let session = Session::new(self.begin(access).await?);
            let outcome = finish(session, access, &work).await;
            Ok(match (outcome, access.share()) {
                (Err(fault), Some(share)) if fault.is_full() => {
                    self.run_on_reserve(access, share, &work, fault).await
                }
                (outcome, _) => (outcome, GivingBack::nothing()),
            })
        };
        Box::pin(async move {
            let (outcome, giving_back) = bounded(ANSWER_TIME_MAX, doing, work).await?;
            giving_back.ended().await;
            outcome.map_err(|fault| fault.while_doing(doing))
        })
    }

    fn run_whole<'a, G: Send + Sync + 'static, T: Send + 'static>(
        &'a self,
        doing: &'static str,
        given: G,
        work: for<'s> fn(&'s mut Session<'_>, &'s G) -> Working<'s, T>,
    ) -> Answer<'a, T> {
        let written = async move {
            let turn = self.turns.take().await?;
            let writer = Arc::clone(&self.whole_writer);
            let write = spawn_blocking(move || {
                let done = writer.run(&given, work);
                drop(turn);
                done
            });
            match write.await {
                Ok(done) => done,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => resume_unwind(panic),
                    // The runtime ends.
                    Err(_) => Err(sqlx::Error::WorkerCrashed.into()),
                },
            }
        };
        Box::pin(bounded(ANSWER_TIME_MAX, doing, written))
    }

    fn reading_connections(&self) -> usize {
        READERS_MAX as usize
    }

    fn read_on_the_spot(
        &self,
        organization: &OrganizationId,
        id: &FileId,
    ) -> Option<Option<FileRecord>> {
        self.on_the_spot.file(organization, id)
    }

    fn read_ticket_on_the_spot(
        &self,
        organization: &OrganizationId,
        rid: RedemptionId,
    ) -> Option<Option<Ticket>> {
        self.on_the_spot.ticket(organization, rid)
    }

    fn read_archive_files<'a>(
        &'a self,
        organization: &'a OrganizationId,
        ids: &'a [FileId],
    ) -> Answer<'a, Option<Vec<ArchiveFile>>> {
        let of = (organization.clone(), Box::<[FileId]>::from(ids));
        let reads = Arc::clone(&self.on_the_spot);
        let read = spawn_blocking(move || reads.archive_files(&of.0, &of.1));
        // The driver reads them where the thread panicked.
        let work = async { Ok(read.await.unwrap_or(None)) };
        Box::pin(bounded(ANSWER_TIME_MAX, batch::ARCHIVING, work))
    }

    fn read_changes(&self, after: FeedPosition) -> Answer<'_, Option<FeedPage>> {
        let work = async move {
            let mut watcher = self.watcher.lock().await;
            let watcher = watcher.as_mut().ok_or(sqlx::Error::PoolClosed)?;
            self.file.check().await?;
            let (from, limit) = changes::read_from(after);
            let read = query(changes::READ).bind(from).bind(limit);
            let found = read.fetch_all(watcher).await?;
            changes::page(found.iter().map(Row::Sqlite), after)
        };
        Box::pin(bounded(ANSWER_TIME_MAX, WATCHING, work))
    }

    fn heard(&self) -> Answer<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn channel(&self) -> &dyn Announcements {
        &self.announcements
    }
}
