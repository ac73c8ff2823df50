//! The file beside the catalogue in which processes read of each other's revocations that there was no room to write.
//!
//! Its blocks are written once, with zeros, while the disk has room. An announcement is written over one of them, which
//! needs no free block, and stays there when its process ends, however it does.
//!
//! 1. The file is made under another name, and has its own once all blocks are on the disk.
//! 2. The first block is its head: a line that names it, and a version, which is another one after each change. Every
//!    other block is zero, or begins with the line of one announcement.
//! 3. A writer locks the file, changes the version, writes the blocks, and waits until they are on the disk. A block is
//!    the smallest piece that a disk writes, so that none is half of the one line and half of another.
//! 4. A reader looks at the version first, and at the rest only where that is another one.
//! 5. What is written to the catalogue is said so in the same block: that a line is not there says nothing, as somebody may
//!    have removed the file. Such a block is used again where no zeros are left.
//!
//! On a file system that writes every change to new blocks (Btrfs, ZFS) this may find no room on a full disk.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::spawn_blocking;

use crate::catalog::announcements::{ANNOUNCED_MAX, Announcements};
use crate::catalog::reserve::lock;
use crate::catalog::sql::fault::Fault;
use crate::catalog::{Answer, CatalogError};
use crate::model::held_revocation::{ANNOUNCEMENT_BYTES_MAX, Announcement, HeldCall};

/// The name of the file, and its name while it is made.
const FILE: &str = "held-revocations";
const FILE_NEW: &str = "held-revocations-new";

/// A block, which no disk writes in part.
const BLOCK_BYTES: usize = 512;
const _: () = assert!(ANNOUNCEMENT_BYTES_MAX < BLOCK_BYTES);

/// The blocks of the file: its head, and one for each announcement. Two MiB.
const BLOCKS: usize = 1 + ANNOUNCED_MAX;
const FILE_BYTES: usize = BLOCKS * BLOCK_BYTES;

/// The first bytes of the file. The version follows, as eight bytes.
const MAGIC: &[u8; 24] = b"hallpass announcements1\n";

const ANNOUNCING: &str = "noting a revocation beside the catalogue";
const HEARING: &str = "reading the revocations that are noted beside the catalogue";
const PREPARING: &str = "setting room aside for revocations beside the catalogue";

/// The file of one catalogue, which any number of processes share.
#[derive(Clone, Debug)]
pub(super) struct AnnouncementFile {
    directory: PathBuf,
    /// False where preparing makes no file.
    is_made: bool,
    seen: Arc<Mutex<Snapshot>>,
}

/// What this process has read of the file, or written there.
#[derive(Debug, Default)]
struct Snapshot {
    /// The version of the file of which everything is known.
    version: Option<u64>,
    held: BTreeSet<HeldCall>,
    written: BTreeSet<HeldCall>,
}

/// All bytes of a file, which is locked until this is dropped.
struct Locked {
    file: File,
    bytes: Vec<u8>,
}

impl AnnouncementFile {
    /// Returns the file beside this catalogue. Nothing is made.
    pub(super) fn of_catalogue(path: &Path) -> Self {
        Self {
            directory: path.parent().unwrap_or(Path::new("")).to_owned(),
            is_made: true,
            seen: Arc::default(),
        }
    }

    /// Returns the file beside a catalogue that one process has, and that goes with it: there is none, as nobody would read
    /// it.
    pub(super) fn never_made(path: &Path) -> Self {
        Self {
            is_made: false,
            ..Self::of_catalogue(path)
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    fn make(&self) -> io::Result<()> {
        let (path, new) = (self.path(), self.directory.join(FILE_NEW));
        if path.exists() {
            return Ok(());
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&new)?;
        if file.try_lock().is_err() {
            // Another process makes it.
            return Ok(());
        }
        if path.exists() {
            // It did so just now: the other name may be its file's, or that of a new one.
            return fs::remove_file(&new).or_else(unless_missing);
        }
        let mut version = [0; 8];
        getrandom::fill(&mut version).map_err(io::Error::other)?;
        let mut bytes = vec![0; FILE_BYTES];
        put(&mut bytes, 0, &[MAGIC.as_slice(), &version].concat());
        file.write_all_at(&bytes, 0)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(&self.directory)?.sync_all()
    }

    /// Writes what is not there yet.
    fn write(&self, all: &[Announcement]) -> Result<(), Fault> {
        let file = OpenOptions::new().read(true).write(true).open(self.path());
        let file = match file {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(full()),
            file => file?,
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.version == Some(version_of(&file)?) && all.iter().all(|one| seen.has(one)) {
            return Ok(());
        }
        lock(&file)?;
        let mut locked = Locked::read(file)?;
        let before = version(&locked.bytes);
        let after = before.wrapping_add(1);
        // First: a process that reads too early waits for the lock, and none passes over what is written.
        locked.put(0, &[MAGIC.as_slice(), &after.to_le_bytes()].concat())?;
        for announced in all {
            match locked.block_for(announced) {
                Place::At(block) => locked.put(block, format!("{announced}\n").as_bytes())?,
                Place::NotNeeded => {}
                Place::Full => return Err(full()),
            }
        }
        locked.file.sync_data()?;
        if seen.version == Some(before) {
            seen.version = Some(after);
        }
        all.iter().for_each(|announced| seen.add(announced));
        Ok(())
    }

    /// Reads what others wrote since the last time.
    fn read(&self) -> Result<Vec<Announcement>, Fault> {
        let file = match File::open(self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file?,
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.version == Some(version_of(&file)?) {
            return Ok(Vec::new());
        }
        lock(&file)?;
        let locked = Locked::read(file)?;
        let mut now = Snapshot {
            version: Some(version(&locked.bytes)),
            ..Snapshot::default()
        };
        let mut new = Vec::new();
        for (line, block) in locked.lines() {
            match line.and_then(Announcement::parse) {
                Some(announced) => {
                    now.add(&announced);
                    if !seen.has(&announced) {
                        new.push(announced);
                    }
                }
                None => tracing::error!(
                    block,
                    "{} is damaged: a revocation that stood there may be forgotten",
                    self.path().display()
                ),
            }
        }
        *seen = now;
        Ok(new)
    }

    /// Does this on a thread that may wait for the disk.
    fn answer<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Self) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<'static, T> {
        let own = self.clone();
        Box::pin(async move {
            let done = spawn_blocking(move || work(&own)).await;
            let done = done.unwrap_or_else(|error| Err(io::Error::other(error).into()));
            done.map_err(|fault| fault.while_doing(doing))
        })
    }
}

impl Announcements for AnnouncementFile {
    fn prepare(&self) -> Answer<'_, ()> {
        if !self.is_made {
            return Box::pin(async { Ok(()) });
        }
        self.answer(PREPARING, |own| Ok(own.make()?))
    }

    fn are_persistent(&self) -> bool {
        true
    }

    fn announce<'a>(&'a self, all: &'a [Announcement]) -> Answer<'a, ()> {
        let all = all.to_vec();
        self.answer(ANNOUNCING, move |own| own.write(&all))
    }

    fn received(&self) -> Answer<'_, Vec<Announcement>> {
        self.answer(HEARING, Self::read)
    }
}

impl Snapshot {
    fn has(&self, announced: &Announcement) -> bool {
        match announced {
            Announcement::Held(call, _) => self.held.contains(call) || self.written.contains(call),
            Announcement::Written(call) => self.written.contains(call),
        }
    }

    fn add(&mut self, announced: &Announcement) {
        match announced {
            Announcement::Held(call, _) => self.held.insert(*call),
            Announcement::Written(call) => self.held.remove(call) | self.written.insert(*call),
        };
    }
}

/// The block to which an announcement is to be written.
enum Place {
    At(usize),
    NotNeeded,
    Full,
}

impl Locked {
    fn read(file: File) -> Result<Self, Fault> {
        let mut bytes = vec![0; FILE_BYTES];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(Self { file, bytes })
    }

    /// Returns the line of each block that has one, and the number of the block; no line of one that is damaged.
    fn lines(&self) -> impl Iterator<Item = (Option<&str>, usize)> {
        let blocks = self.bytes.chunks_exact(BLOCK_BYTES).enumerate().skip(1);
        let used = blocks.filter(|(_, block)| block.first() != Some(&0));
        used.map(|(number, block)| {
            let line = block.split(|byte| *byte == b'\n').next();
            (line.and_then(|line| str::from_utf8(line).ok()), number)
        })
    }

    fn block_for(&self, announced: &Announcement) -> Place {
        let (Announcement::Held(own, _) | Announcement::Written(own)) = announced;
        let mut reusable = None;
        for (line, block) in self.lines() {
            match line.and_then(Announcement::parse) {
                Some(Announcement::Held(call, _)) if call == *own => {
                    return match announced {
                        Announcement::Held(..) => Place::NotNeeded,
                        Announcement::Written(_) => Place::At(block),
                    };
                }
                Some(Announcement::Written(call)) if call == *own => return Place::NotNeeded,
                Some(Announcement::Written(_)) => reusable = reusable.or(Some(block)),
                Some(Announcement::Held(..)) | None => {}
            }
        }
        if matches!(announced, Announcement::Written(_)) {
            return Place::NotNeeded;
        }
        let mut blocks = self.bytes.chunks_exact(BLOCK_BYTES);
        let unused = blocks.position(|block| block.first() == Some(&0));
        unused.or(reusable).map_or(Place::Full, Place::At)
    }

    /// Writes a block that begins with these bytes.
    fn put(&mut self, block: usize, begin: &[u8]) -> io::Result<()> {
        put(&mut self.bytes, block, begin);
        let at = block * BLOCK_BYTES;
        let whole = self.bytes.get(at..at + BLOCK_BYTES).unwrap_or_default();
        self.file.write_all_at(whole, at as u64)
    }
}

/// Has a block of these bytes begin with those, and then be zero.
fn put(bytes: &mut [u8], block: usize, begin: &[u8]) {
    let at = block * BLOCK_BYTES;
    if let Some(block) = bytes.get_mut(at..at + BLOCK_BYTES) {
        block.fill(0);
        block
            .iter_mut()
            .zip(begin)
            .for_each(|(to, from)| *to = *from);
    }
}

/// Returns the version of a file of ours.
fn version_of(file: &File) -> Result<u64, Fault> {
    let mut head = [0; BLOCK_BYTES];
    file.read_exact_at(&mut head, 0)?;
    if head.starts_with(MAGIC) {
        return Ok(version(&head));
    }
    Err(Fault::damage(format!(
        "{FILE} beside it is of another program, or damaged"
    )))
}

fn version(head: &[u8]) -> u64 {
    let version = head.get(MAGIC.len()..).and_then(<[u8]>::first_chunk);
    version.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn full() -> Fault {
    CatalogError::NoSpace { doing: ANNOUNCING }.into()
}

fn unless_missing(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests;
