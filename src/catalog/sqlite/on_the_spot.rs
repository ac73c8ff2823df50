//! The reads of one row, of a file or of a ticket, that are made on the thread that asks for it.
//!
//! The driver runs each statement on a thread of its own. Two hand-overs cost twenty times what SQLite itself takes to find
//! one row, and a download of a file that no cache has, or by a ticket, needs just that. But a thread that serves others must not wait for
//! a disk, or for anybody:
//!
//! 1. There is a connection for every second processor, so that a disk that hangs takes no more threads than that. One that
//!    nobody else has is taken, and none is waited for.
//! 2. The catalogue's file and its log must be in memory, as far as a sample of their pages tells, once a second. Where they
//!    are not, the kernel is told to read them, if they are small for this machine.
//! 3. A read that waits for a disk all the same ends this for a while, and the next one for twice as long. One that waited
//!    for a processor does not: those who wait for the driver then would wait for longer.
//!
//! A caller that is not answered here asks the driver, also after any error, which that then says.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Advice, fadvise};

use super::BUSY_TIME_MAX;
use crate::catalog::CatalogError;
use crate::catalog::redemptions::Ticket;
use crate::catalog::sql::fault::Fault;
use crate::catalog::sql::files::BY_ID;
use crate::catalog::sql::rows::{self, FILE_COLUMNS, Row};
use crate::catalog::sql::tickets::{self, TICKET, TICKET_COLUMNS};
use crate::model::file::FileRecord;
use crate::model::id::{FileId, OrganizationId};
use crate::model::redemption::RedemptionId;

mod archive_files;
pub(super) mod pauses;

use pauses::{Pauses, millis};

/// The most connections, on a machine of any size.
const CONNECTIONS_MAX: usize = 16;

/// The memory for pages that each connection adds to what those of the process share, in KiB: the upper levels of the
/// indexes of a million files.
const PAGES_KIB: i64 = 4 * 1024;

/// A read that is under way for longer than this may be waiting for a disk: no other one begins.
const READING_TIME_MAX: Duration = Duration::from_millis(2);

/// The part of the machine's memory that a file may take to be read into it as a whole.
const WARMED_PART: u64 = 32;

/// The time after which a file is read into memory once more.
const WARM_EVERY: Duration = Duration::from_secs(10);

/// The time after which that is done where a sample lacks [`FEW_PAGES`] at most: a kernel that takes memory back lets go of
/// some pages at any time, which are read again in no time.
const WARM_FEW_EVERY: Duration = Duration::from_secs(1);

/// The most pages that a sample lacks of a file of which few are missing: an eighth.
const FEW_PAGES: u64 = pauses::SAMPLED_PAGES / 8;

/// Reads rows on the spot.
#[derive(Debug)]
pub(super) struct OnTheSpot {
    path: PathBuf,
    /// None until the first read asked for them, and then only once they were opened in the background.
    opened: OnceLock<Opened>,
    is_opening: AtomicBool,
    is_closed: AtomicBool,
    /// All times are since then.
    begun: Instant,
    pauses: Pauses,
    /// The time at which the files were last read into memory, in milliseconds; 0 where they never were.
    warmed_at: AtomicU64,
}

#[derive(Debug)]
struct Opened {
    connections: Vec<Reader>,
    next: AtomicUsize,
    file: &'static File,
}

#[derive(Debug)]
struct Reader {
    /// None once closed.
    connection: Mutex<Option<Connection>>,
    /// The time at which the read under way began, in microseconds since the beginning; 0 where there is none.
    reading_since: AtomicU64,
}

/// The files of catalogues that samples are taken of, by device and inode. They stay open: a process that closes any
/// descriptor of a file gives up all its POSIX locks on it, those of SQLite's connections, too, and with them the catalogue
/// ("How To Corrupt An SQLite Database File", §2.2).
static SAMPLED: Mutex<BTreeMap<(u64, u64), &File>> = Mutex::new(BTreeMap::new());

/// The most of them.
const SAMPLED_MAX: usize = 256;

impl OnTheSpot {
    /// Returns a reader of the catalogue at `path`, which opens it when it is asked for the first time.
    pub(super) fn new(path: &Path) -> Arc<Self> {
        Arc::new(Self {
            path: path.to_owned(),
            opened: OnceLock::new(),
            is_opening: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            begun: Instant::now(),
            pauses: Pauses::default(),
            warmed_at: AtomicU64::new(0),
        })
    }

    /// Returns the file, or that there is none. `None` where that cannot be told without waiting.
    pub(super) fn file(
        self: &Arc<Self>,
        organization: &OrganizationId,
        id: &FileId,
    ) -> Option<Option<FileRecord>> {
        let of = (organization.as_str(), id.as_str());
        self.read(BY_ID, of, |row| {
            rows::file(Row::OnTheSpot(row, &FILE_COLUMNS))
        })
    }

    /// Returns a started download with its allowance, as [`OnTheSpot::file`] does a file.
    pub(super) fn ticket(
        self: &Arc<Self>,
        organization: &OrganizationId,
        rid: RedemptionId,
    ) -> Option<Option<Ticket>> {
        let of = (rid.as_str(), organization.as_str());
        self.read(TICKET, of, |row| {
            tickets::ticket_row(Row::OnTheSpot(row, &TICKET_COLUMNS))
        })
    }

    /// Returns the row that a text finds, which every connection has prepared.
    fn read<T>(
        self: &Arc<Self>,
        text: &str,
        of: (&str, &str),
        map: impl FnOnce(&rusqlite::Row<'_>) -> Result<T, Fault>,
    ) -> Option<Option<T>> {
        let begun = self.begun.elapsed();
        let Some(opened) = self.opened.get() else {
            self.open_in_background(begun);
            return None;
        };
        let sample = |seed| self.is_sample_in_memory(opened.file, seed, begun);
        if !self.pauses.is_in_memory(begun, sample) || opened.is_reading_for_long(begun) {
            return None;
        }
        let watch = self.pauses.watch(begun);
        let found = opened.with_free(begun, |connection| read(connection, text, of, map))?;
        self.pauses.note(watch, begun, self.begun.elapsed());
        found.ok()
    }

    /// Closes the connections, once nobody reads on them, for good. Waits on the disk.
    pub(super) fn close(&self) {
        self.is_closed.store(true, SeqCst);
        if let Some(opened) = self.opened.get() {
            opened.close();
        }
    }

    fn open_in_background(self: &Arc<Self>, now: Duration) {
        let is_paused = !self.pauses.are_over(now);
        if is_paused || self.is_closed.load(SeqCst) || self.is_opening.swap(true, Relaxed) {
            return;
        }
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || match Opened::open(&this.path) {
            Ok(opened) => {
                let opened = this.opened.get_or_init(|| opened);
                // It may have been closed meanwhile.
                if this.is_closed.load(SeqCst) {
                    opened.close();
                }
            }
            Err(error) => {
                tracing::warn!(%error, "rows are read by the driver alone for now: opening the catalogue once more failed");
                this.pauses.pause(this.begun.elapsed());
                this.is_opening.store(false, Relaxed);
            }
        });
    }

    /// Has a read be under way for so long already, until the answer is dropped.
    #[cfg(test)]
    pub(super) fn hang(&self, for_so_long: Duration) -> impl Drop + '_ {
        struct Hanging<'a>(&'a Reader);
        impl Drop for Hanging<'_> {
            fn drop(&mut self) {
                self.0.reading_since.store(0, Relaxed);
            }
        }
        let reader = self
            .opened
            .get()
            .and_then(|opened| opened.connections.first());
        let reader = reader.unwrap();
        let since = self.begun.elapsed().checked_sub(for_so_long).unwrap();
        reader.reading_since.store(micros(since), Relaxed);
        Hanging(reader)
    }

    /// Returns whether the file and its write-ahead log are in memory, as far as a sample tells. Where they are not, they may
    /// be a moment later.
    fn is_sample_in_memory(
        self: &Arc<Self>,
        file: &'static File,
        seed: u64,
        now: Duration,
    ) -> bool {
        let of_log = match self.log() {
            Ok(log) => pauses::missing_of_sample(&log, seed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(_) => pauses::SAMPLED_PAGES,
        };
        let missing = pauses::missing_of_sample(file, seed) + of_log;
        let every = match missing {
            0 => return true,
            1..=FEW_PAGES => WARM_FEW_EVERY,
            _ => WARM_EVERY,
        };
        let (now, warmed_at) = (millis(now), self.warmed_at.load(Relaxed));
        let is_due = (warmed_at == 0 || now >= warmed_at + millis(every))
            && self
                .warmed_at
                .compare_exchange(warmed_at, now.max(1), Relaxed, Relaxed)
                .is_ok();
        if is_due {
            let this = Arc::clone(self);
            tokio::task::spawn_blocking(move || {
                warm(file);
                if let Ok(log) = this.log() {
                    warm(&log);
                }
            });
        }
        false
    }

    /// Opens the write-ahead log. No lock is on that file.
    fn log(&self) -> io::Result<File> {
        let mut path = self.path.clone().into_os_string();
        path.push("-wal");
        File::open(path)
    }
}

/// Has the kernel read a file into memory, if it is small. Waits on the disk, and on an error leaves it where it is.
pub(super) fn warm(file: &File) {
    let machine = rustix::system::sysinfo();
    let memory = u64::from(machine.mem_unit) * machine.totalram;
    if file
        .metadata()
        .is_ok_and(|found| found.len() <= memory / WARMED_PART)
    {
        let _ = fadvise(file, 0, None, Advice::WillNeed);
    }
}

impl Opened {
    fn open(path: &Path) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let file = sampled(path)?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let open = |_| {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(BUSY_TIME_MAX)?;
            connection.pragma_update(None, "query_only", "ON")?;
            connection.pragma_update(None, "cache_size", -PAGES_KIB)?;
            for text in [BY_ID, TICKET] {
                connection.prepare_cached(text)?;
            }
            // Nobody is waited for from now on.
            connection.busy_timeout(Duration::ZERO)?;
            Ok(Reader {
                connection: Mutex::new(Some(connection)),
                reading_since: AtomicU64::new(0),
            })
        };
        let connections = (0..(processors / 2).clamp(1, CONNECTIONS_MAX)).map(open);
        Ok(Self {
            connections: connections.collect::<Result<_, rusqlite::Error>>()?,
            next: AtomicUsize::new(0),
            file,
        })
    }

    /// Runs `work` on a connection that nobody has, if there is one.
    fn with_free<T>(&self, now: Duration, work: impl FnOnce(&Connection) -> T) -> Option<T> {
        let first = self.next.fetch_add(1, Relaxed);
        let count = self.connections.len();
        let mut places = (0..count).map(|place| (first + place) % count.max(1));
        let (reader, held) = places.find_map(|place| {
            let reader = self.connections.get(place)?;
            match reader.connection.try_lock() {
                Ok(held) => Some((reader, held)),
                Err(TryLockError::Poisoned(poisoned)) => Some((reader, poisoned.into_inner())),
                Err(TryLockError::WouldBlock) => None,
            }
        })?;
        reader.reading_since.store(micros(now).max(1), Relaxed);
        let done = held.as_ref().map(work);
        reader.reading_since.store(0, Relaxed);
        done
    }

    fn is_reading_for_long(&self, now: Duration) -> bool {
        let (now, longest) = (micros(now), micros(READING_TIME_MAX));
        self.connections.iter().any(|reader| {
            let since = reader.reading_since.load(Relaxed);
            since != 0 && now.saturating_sub(since) > longest
        })
    }

    fn close(&self) {
        for reader in &self.connections {
            let connection = reader.connection.lock();
            *connection.unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

/// Returns the file to take samples of.
fn sampled(path: &Path) -> io::Result<&'static File> {
    let mut files = SAMPLED.lock().unwrap_or_else(PoisonError::into_inner);
    let identity = |found: &Metadata| (found.dev(), found.ino());
    if let Some(file) = files.get(&identity(&std::fs::metadata(path)?)) {
        return Ok(file);
    }
    if files.len() == SAMPLED_MAX {
        return Err(io::Error::other("too many catalogues were opened"));
    }
    let file: &File = Box::leak(Box::new(File::open(path)?));
    // It may be another one by now.
    files.insert(identity(&file.metadata()?), file);
    Ok(file)
}

fn read<T>(
    connection: &Connection,
    text: &str,
    of: (&str, &str),
    map: impl FnOnce(&rusqlite::Row<'_>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    let unread = |error: rusqlite::Error| {
        let (doing, source) = ("looking for a row", error.into());
        CatalogError::Unavailable { doing, source }
    };
    let mut statement = connection.prepare_cached(text).map_err(unread)?;
    let mut found = statement.query(of).map_err(unread)?;
    found.next().map_err(unread)?.map(map).transpose()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
