//! The one read of a file's row that is made on the thread that asks for it.
//!
//! The driver runs each statement on a thread of its own. Two hand-overs cost twenty times what SQLite itself takes to find
//! one row, and a download of a file that no cache has needs just that. But a thread that serves others must not wait for
//! a disk, or for anybody:
//!
//! 1. One connection for each processor; one that nobody else has is taken, and none is waited for.
//! 2. The catalogue's file must be in memory, as far as a sample of its pages tells, once a second.
//! 3. A read that took long all the same ends this for a while, and the next one for twice as long.
//!
//! Whoever is not answered here asks the driver, also after any error, which that then says.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use crate::catalog::CatalogError;
use crate::catalog::sql::fault::Fault;
use crate::catalog::sql::files::BY_ID;
use crate::catalog::sql::rows::{self, Row};
use crate::model::file::FileRecord;
use crate::model::id::{FileId, OrganizationId};
use crate::page_cache;

/// The most connections, on a machine of any size.
const CONNECTIONS_MAX: usize = 16;

/// The memory for pages of each connection, in KiB: the upper levels of the indexes of a million files.
const PAGES_KIB: i64 = 4 * 1024;

/// The pages of a sample, and their length.
const SAMPLED_PAGES: u64 = 64;
const PAGE_BYTES: u64 = 4096;

/// The time for which a sample holds.
const SAMPLE_TIME: Duration = Duration::from_secs(1);

/// A read that takes longer than this waited for a disk. Threads that want the same processor take it for less.
pub(super) const READ_TIME_MAX: Duration = Duration::from_millis(10);

/// The pause after a read that waited, the first time, and at most.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(16);

/// Reads rows on the spot.
#[derive(Debug)]
pub(super) struct OnTheSpot {
    path: PathBuf,
    /// None until the first read asked for them, and then only once they were opened in the background.
    opened: OnceLock<Opened>,
    is_opening: AtomicBool,
    begun: Instant,
    /// The time until which nothing is read here, in milliseconds since `begun`.
    pause_until: AtomicU64,
    /// The reads that waited since the last one that did not.
    waited: AtomicU64,
    sampled_at: AtomicU64,
}

#[derive(Debug)]
struct Opened {
    connections: Vec<Mutex<Option<Connection>>>,
    next: AtomicUsize,
    file: &'static File,
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
            begun: Instant::now(),
            pause_until: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            sampled_at: AtomicU64::new(0),
        })
    }

    /// Returns the file, or that there is none. `None` where that cannot be told without waiting.
    pub(super) fn file(
        self: &Arc<Self>,
        organization: &OrganizationId,
        id: &FileId,
    ) -> Option<Option<FileRecord>> {
        let Some(opened) = self.opened.get() else {
            self.open_in_background();
            return None;
        };
        let begun = self.begun.elapsed();
        if !self.is_in_memory(opened.file, begun) {
            return None;
        }
        let found = opened.with_free(|connection| read(connection, organization, id))?;
        self.note(begun, self.begun.elapsed());
        found.ok()
    }

    /// Closes the connections, once nobody reads on them.
    pub(super) fn close(&self) {
        self.is_opening.store(true, Relaxed);
        for connection in self
            .opened
            .get()
            .iter()
            .flat_map(|opened| &opened.connections)
        {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            *connection = None;
        }
    }

    fn open_in_background(self: &Arc<Self>) {
        if self.is_opening.swap(true, Relaxed) {
            return;
        }
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || match Opened::open(&this.path) {
            Ok(opened) => drop(this.opened.set(opened)),
            Err(error) => {
                tracing::warn!(%error, "rows are read by the driver alone: opening the catalogue once more failed");
            }
        });
    }

    /// Returns whether the file is in memory as far as can be told, at this time since `begun`.
    pub(super) fn is_in_memory(&self, file: &File, now: Duration) -> bool {
        let now = millis(now);
        if now < self.pause_until.load(Relaxed) {
            return false;
        }
        let sampled_at = self.sampled_at.load(Relaxed);
        // The first one is taken at once.
        if sampled_at != 0 && now - sampled_at.min(now) < millis(SAMPLE_TIME) {
            return true;
        }
        // Of several who find it too old, one takes the next.
        let taken = self
            .sampled_at
            .compare_exchange(sampled_at, now.max(1), Relaxed, Relaxed);
        if taken.is_ok() && !is_sample_in_memory(file, now) {
            self.pause_until.store(now + millis(SAMPLE_TIME), Relaxed);
            return false;
        }
        sampled_at != 0 || taken.is_ok()
    }

    /// Notes the time of a read.
    pub(super) fn note(&self, begun: Duration, now: Duration) {
        if now.saturating_sub(begun) <= READ_TIME_MAX {
            if self.waited.load(Relaxed) != 0 {
                self.waited.store(0, Relaxed);
            }
            return;
        }
        let times = self.waited.fetch_add(1, Relaxed).min(16);
        let pause = (millis(PAUSE) << times).min(millis(PAUSE_MAX));
        self.pause_until.store(millis(now) + pause, Relaxed);
    }
}

impl Opened {
    fn open(path: &Path) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let file = sampled(path)?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let open = |_| {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(Duration::ZERO)?;
            connection.pragma_update(None, "query_only", "ON")?;
            connection.pragma_update(None, "cache_size", -PAGES_KIB)?;
            connection.prepare_cached(BY_ID)?;
            Ok(Mutex::new(Some(connection)))
        };
        let connections = (0..processors.min(CONNECTIONS_MAX)).map(open);
        Ok(Self {
            connections: connections.collect::<Result<_, rusqlite::Error>>()?,
            next: AtomicUsize::new(0),
            file,
        })
    }

    /// Runs `work` on a connection that nobody has, if there is one.
    fn with_free<T>(&self, work: impl FnOnce(&Connection) -> T) -> Option<T> {
        let first = self.next.fetch_add(1, Relaxed);
        let count = self.connections.len();
        let mut places = (0..count).map(|place| (first + place) % count.max(1));
        let held = places.find_map(|place| match self.connections.get(place)?.try_lock() {
            Ok(held) => Some(held),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        })?;
        held.as_ref().map(work)
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

fn read(
    connection: &Connection,
    organization: &OrganizationId,
    id: &FileId,
) -> Result<Option<FileRecord>, Fault> {
    let unread = |error: rusqlite::Error| {
        let (doing, source) = ("looking for a file", error.into());
        CatalogError::Unavailable { doing, source }
    };
    let mut statement = connection.prepare_cached(BY_ID).map_err(unread)?;
    let mut found = statement
        .query((organization.as_str(), id.as_str()))
        .map_err(unread)?;
    let row = found.next().map_err(unread)?;
    row.map(|row| rows::file(Row::WholeFile(row))).transpose()
}

/// Returns whether some pages are in memory, which differ from one time to the next.
pub(super) fn is_sample_in_memory(file: &File, seed: u64) -> bool {
    let Ok(pages) = file
        .metadata()
        .map(|found| found.len().div_ceil(PAGE_BYTES))
    else {
        return false;
    };
    (0..SAMPLED_PAGES).all(|number| {
        // Knuth's multiplicative hash (The Art of Computer Programming, vol. 3, §6.4).
        let mixed = (seed * SAMPLED_PAGES + number).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        page_cache::has_byte(file, mixed % pages.max(1) * PAGE_BYTES)
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
