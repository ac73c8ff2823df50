//! Opening a catalogue file: made whole or not at all, checked before it is used, never replaced.
//!
//! 1. A lock file beside it lets one process at a time through what follows.
//! 2. Where nothing is, a new catalogue is made under another name and moved into place when it is
//!    complete. So an empty or half-made file under the catalogue's own name is always damage.
//! 3. The first bytes must say that this is an SQLite file, and ours, before SQLite touches it.
//! 4. The schema is brought up to date, and the write-ahead log is on.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{Migrate as _, Migrator};
use sqlx::pool::PoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, query_scalar, raw_sql};
use tokio::fs::{self, OpenOptions};
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::announcement_file::AnnouncementFile;
use super::on_the_spot::OnTheSpot;
use super::whole_write::{WholeWriter, WriteTurns};
use super::{Driver, LOG_BYTES_KEPT, OpenFile, READERS_MAX, Sqlite};
use crate::catalog::reserve::DiskReserve;
use crate::catalog::sql::bounded;
use crate::catalog::sql::fault::Fault;
use crate::catalog::sql::open::{
    Missing, OPEN_TIME_MAX, OPENING, UPGRADING, migrator, say_upgrading,
};
use crate::catalog::{CatalogError, OLDER, missing, taken};
use crate::model::digest::hex;

/// The pause before trying again for the lock file, which the system does not announce.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The table in which the driver notes the steps of the schema.
const STEPS: &str = "_sqlx_migrations";

/// Says in the file's header that it is ours: `Hall`. SQLite keeps it at byte 68.
const APPLICATION_ID: u32 = u32::from_be_bytes(*b"Hall");

/// The header of an SQLite file (<https://sqlite.org/fileformat.html#the_database_header>).
const HEADER_BYTES: usize = 100;
const HEADER_MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The oldest SQLite without the write-ahead log bug that could damage a file (its release notes,
/// "WAL-reset").
const SQLITE_VERSION_MIN: [u32; 3] = [3, 51, 3];

/// A catalogue that is being opened: nobody else opens it meanwhile.
struct Opening {
    path: PathBuf,
    policy: Missing,
    watcher: SqliteConnection,
    file: OpenFile,
    is_older: bool,
    lock: File,
}

/// Opens the catalogue at `path`. `busy` bounds the wait for a connection and for the write lock.
pub(super) async fn open(
    path: &Path,
    missing: Missing,
    busy: Duration,
) -> Result<Sqlite, CatalogError> {
    open_within(OPEN_TIME_MAX, path, missing, busy)
        .await
        .map_err(|error| name_the_file(error, path))
}

/// Opens it. `time_max` bounds what comes before the schema's steps, and what comes after them.
pub(super) async fn open_within(
    time_max: Duration,
    path: &Path,
    missing: Missing,
    busy: Duration,
) -> Result<Sqlite, CatalogError> {
    let mut opening = bounded(time_max, OPENING, Opening::begin(path, missing, busy)).await?;
    if opening.is_older {
        say_upgrading();
    }
    let done = schema().run(&mut opening.watcher).await;
    done.map_err(|error| Fault::from(error).while_doing(UPGRADING))?;
    bounded(time_max, OPENING, opening.finish(busy)).await
}

impl Opening {
    async fn begin(path: &Path, policy: Missing, busy: Duration) -> Result<Self, Fault> {
        // Absolute, so that no path is taken for one of SQLite's `file:` addresses.
        let path = std::path::absolute(path)?;
        if policy == Missing::Refuse && !fs::try_exists(&path).await? {
            return Err(missing("the catalogue").into());
        }
        let lock = lock(&beside(&path, "-lock")).await?;
        if !fs::try_exists(&path).await? {
            if policy == Missing::Refuse {
                return Err(missing("the catalogue").into());
            }
            make(&path, policy).await?;
        }
        check_header(&path).await?;
        let mut watcher = options_of(&path, busy, policy).connect().await?;
        let file = OpenFile::of(path.clone()).await?;
        let version = query_scalar("SELECT sqlite_version()").fetch_one(&mut watcher);
        let version: String = version.await?;
        check_version(&version)?;
        let is_older = is_older(&mut watcher).await?;
        if policy == Missing::MakeAndChangeNone && is_older {
            return Err(taken(OLDER).into());
        }
        Ok(Self {
            path,
            policy,
            watcher,
            file,
            is_older,
            lock,
        })
    }

    async fn finish(mut self, busy: Duration) -> Result<Sqlite, Fault> {
        turn_log_on(&mut self.watcher).await?;
        drop(self.lock);
        let options = options_of(&self.path, busy, self.policy);
        let pool = |connections| {
            let options = PoolOptions::<Driver>::new().max_connections(connections);
            let options = options.acquire_timeout(busy).test_before_acquire(false);
            let options = options.idle_timeout(None).max_lifetime(None);
            options.after_release(|connection, _| Box::pin(is_reusable(connection)))
        };
        Ok(Sqlite {
            writer: pool(1).connect_lazy_with(options.clone()),
            readers: pool(READERS_MAX).connect_lazy_with(options.pragma("query_only", "ON")),
            watcher: Mutex::new(Some(self.watcher)),
            on_the_spot: OnTheSpot::new(&self.path),
            turns: WriteTurns::new(busy),
            whole_writer: Arc::new(WholeWriter::new(
                &self.path,
                busy,
                self.policy == Missing::MakeTemporary,
            )),
            reserve: DiskReserve::of_catalogue(&self.path),
            announcements: match self.policy {
                Missing::MakeTemporary => AnnouncementFile::never_made(&self.path),
                _ => AnnouncementFile::of_catalogue(&self.path),
            },
            file: self.file,
        })
    }
}

/// Returns the settings of every connection to a catalogue.
pub(super) fn options(path: &Path, busy: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(busy)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", LOG_BYTES_KEPT.to_string())
        .disable_statement_logging()
}

/// Returns those of a catalogue that is opened with this policy: one that goes with its process waits for no disk.
fn options_of(path: &Path, busy: Duration, policy: Missing) -> SqliteConnectOptions {
    let options = options(path, busy);
    match policy {
        Missing::MakeTemporary => options.synchronous(SqliteSynchronous::Off),
        Missing::Make | Missing::MakeAndChangeNone | Missing::Refuse => options,
    }
}

/// A connection that still has a transaction when it comes back is not used again: SQLite undoes a
/// transaction by itself when the disk is full, and the driver then counts it as open for ever.
async fn is_reusable(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // One that was dropped is undone in the background; this waits for it. Nothing else is worth a question to the
        // driver's thread: a `BEGIN` that nobody waits for is undone there.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

/// Returns whether steps of the schema are still to be done.
async fn is_older(connection: &mut SqliteConnection) -> Result<bool, Fault> {
    let done: i64 = query_scalar("SELECT count(*) FROM _sqlx_migrations WHERE success")
        .fetch_one(connection)
        .await?;
    Ok(done.cast_unsigned() < schema().iter().count() as u64)
}

pub(super) fn schema() -> Migrator {
    macro_rules! step {
        ($name:literal, $file:literal) => {
            ($name, include_str!(concat!("../schema/sqlite/", $file)))
        };
    }
    migrator(&[
        step!("first", "0001_first.sql"),
        step!("lists by id", "0002_lists_by_id.sql"),
        step!("apps", "0003_apps.sql"),
        step!("revocation version", "0004_revocation_version.sql"),
        step!("row version", "0005_row_version.sql"),
        step!("damaged", "0006_damaged.sql"),
        step!("kept", "0007_kept.sql"),
        step!("counts", "0008_counts.sql"),
        step!("installation", "0009_installation.sql"),
        step!("copy note", "0010_copy_note.sql"),
        step!("text, identity and expiry", "0011_text_identity_expiry.sql"),
        step!("changes", "0012_changes.sql"),
        step!("list anchors", "0013_list_anchors.sql"),
        step!("redemptions", "0014_redemptions.sql"),
        step!("link counter", "0015_link_counter.sql"),
        step!("crc32", "0016_crc32.sql"),
        step!("shares", "0017_shares.sql"),
        step!("sent marks", "0018_sent_marks.sql"),
    ])
}

/// Returns the text that makes a catalogue of an empty database: all steps of the schema in one transaction, each with the
/// note that the driver makes of it. The driver hands a text to its thread once, and would hand over each statement of each
/// step.
fn whole_schema() -> String {
    let mut text = String::from("BEGIN;\n");
    for step in schema().iter() {
        let (version, description) = (step.version, &step.description);
        let (sql, checksum) = (step.sql.as_str(), hex(&step.checksum));
        text += &format!(
            "{sql}\nINSERT INTO {STEPS} (version, description, success, checksum, execution_time) \
             VALUES ({version}, '{description}', TRUE, x'{checksum}', 0);\n"
        );
    }
    text + "COMMIT;"
}

/// Makes an empty catalogue at `path`, where nothing is, and makes it durable, unless it is a temporary one.
async fn make(path: &Path, policy: Missing) -> Result<(), Fault> {
    if fs::try_exists(beside(path, "-wal")).await? {
        // SQLite would write the old catalogue's log into the new one.
        return Err(Fault::damage(
            "it is gone, but its write-ahead log is still there",
        ));
    }
    let new = beside(path, "-new");
    // A process that died right here left this behind. Nobody else is here: we hold the lock.
    match fs::remove_file(&new).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .await?;
    // With the journal in memory there is no second file to clean up after a crash. The file is brought to the disk once, at
    // the end: nobody opens it under this name.
    let options = options(&new, Duration::ZERO).journal_mode(SqliteJournalMode::Memory);
    let options = options.synchronous(SqliteSynchronous::Off);
    let options = options.pragma("application_id", APPLICATION_ID.to_string());
    let mut connection = options.connect().await?;
    connection.ensure_migrations_table(STEPS).await?;
    raw_sql(AssertSqlSafe(whole_schema()))
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    if policy == Missing::MakeTemporary {
        fs::rename(&new, path).await?;
        return Ok(());
    }
    file.sync_all().await?;
    fs::rename(&new, path).await?;
    let directory = path.parent().unwrap_or(path);
    File::open(directory)?.sync_all()?;
    Ok(())
}

/// Reads the header without SQLite, which would lock the file, and take an empty one for an empty
/// database.
async fn check_header(path: &Path) -> Result<(), Fault> {
    let file = fs::File::open(path).await?;
    let mut header = Vec::with_capacity(HEADER_BYTES);
    file.take(HEADER_BYTES as u64)
        .read_to_end(&mut header)
        .await?;
    if header.is_empty() {
        return Err(Fault::damage("it is empty"));
    }
    if !header.starts_with(HEADER_MAGIC) || header.len() < HEADER_BYTES {
        return Err(Fault::damage("it is no SQLite file"));
    }
    if header.get(68..72) != Some(&APPLICATION_ID.to_be_bytes()) {
        return Err(Fault::damage("it is an SQLite file of another program"));
    }
    Ok(())
}

pub(super) fn check_version(version: &str) -> Result<(), Fault> {
    let numbers: Vec<u32> = version
        .split('.')
        .map_while(|part| part.parse().ok())
        .collect();
    if numbers.as_slice() >= SQLITE_VERSION_MIN.as_slice() {
        return Ok(());
    }
    let [major, minor, patch] = SQLITE_VERSION_MIN;
    let needed = format!("SQLite {version} can damage the file; {major}.{minor}.{patch} is needed");
    Err(unavailable(&needed))
}

async fn turn_log_on(connection: &mut SqliteConnection) -> Result<(), Fault> {
    let mode = query_scalar("PRAGMA journal_mode = WAL").fetch_one(connection);
    let mode: String = mode.await?;
    if mode == "wal" {
        return Ok(());
    }
    Err(unavailable(
        "this file system cannot share memory, which the write-ahead log needs",
    ))
}

fn unavailable(why: &str) -> Fault {
    let (doing, source) = (OPENING, why.into());
    CatalogError::Unavailable { doing, source }.into()
}

/// Waits for the lock file. Closing it unlocks it, also when the process dies.
async fn lock(path: &Path) -> Result<File, Fault> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .await?;
    let file = file.into_std().await;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => sleep(LOCK_PAUSE).await,
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}

/// The name that SQLite, too, makes of `path` for a file that belongs to it.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn name_the_file(error: CatalogError, path: &Path) -> CatalogError {
    match error {
        CatalogError::Corrupt { what } => CatalogError::Corrupt {
            what: format!("{}: {what}", path.display()),
        },
        other => other,
    }
}
