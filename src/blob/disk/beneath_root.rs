//! Opening what lies below an open directory, and nothing else.
//!
//! Every name is resolved by the kernel below a directory that was opened once (`openat2`): no symbolic
//! link is followed, on the last name or on the way, and no `..` leads out.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, openat2, statat};
use rustix::io::Errno;

const LINK: &str = "a symbolic link is on its path, or its path leads out of its directory";
const IS_LINK: &str = "it is a symbolic link, which is not followed: mount there what it leads to";
const NO_DIRECTORY: &str = "it is no directory";
const OTHER_VOLUME: &str =
    "it is a mount or a file system of its own, and nothing can be renamed out of it";
const IRREGULAR: &str = "it is no regular file";

const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW);
const RESOLVE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// The reason why a name could not be opened.
#[derive(Debug)]
pub(super) enum Unfit {
    /// The file there is of a kind that must not be opened.
    Odd(&'static str),
    /// The operating system said no.
    Failed(io::Error),
}

impl From<Unfit> for io::Error {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Odd(why) => Self::other(why),
            Unfit::Failed(error) => error,
        }
    }
}

impl From<io::Error> for Unfit {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Errno> for Unfit {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::NOTDIR => Self::Odd("it is not there"),
            Errno::LOOP | Errno::XDEV => Self::Odd(LINK),
            Errno::INVAL | Errno::NAMETOOLONG => Self::Odd("its name can be no file's"),
            other => Self::Failed(other.into()),
        }
    }
}

/// Opens the regular file `path` below `directory` for reading, and says what it is.
///
/// It is looked at before it is opened, as opening a device or a FIFO is an act in itself, and again
/// when it is open, as the name can have come to mean another file in between; it does not hang even
/// then.
pub(super) fn regular(directory: &File, path: &Path) -> Result<(File, Metadata), Unfit> {
    let seen = statat(directory, path, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(seen.st_mode) {
        FileType::RegularFile => {}
        FileType::Symlink => return Err(Unfit::Odd(LINK)),
        _ => return Err(Unfit::Odd(IRREGULAR)),
    }
    let file = open(directory, path, OFlags::NONBLOCK | OFlags::NOCTTY)?;
    let metadata = file.metadata().map_err(Unfit::Failed)?;
    if !metadata.is_file() {
        return Err(Unfit::Odd(IRREGULAR));
    }
    Ok((file, metadata))
}

/// Opens the regular file `path` below `directory`, where nobody but the gateway writes, if the kernel has its name and all
/// on the way to it in memory, so that nothing waits for a disk (openat2(2), `RESOLVE_CACHED`, of Linux 5.12). `None` for
/// whatever else there may be. It is looked at when it is open, and not before, too; what is no regular file does not make
/// it hang.
pub(super) fn regular_in_memory(directory: &File, path: &Path) -> Option<(File, Metadata)> {
    let flags = FLAGS | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = RESOLVE | ResolveFlags::CACHED;
    let file = openat2(directory, path, flags, Mode::empty(), resolve).ok()?;
    let file = File::from(file);
    let metadata = file.metadata().ok().filter(Metadata::is_file)?;
    Some((file, metadata))
}

/// Opens the directory `path` below `directory`. A file system that is mounted there is entered.
pub(super) fn directory(directory: &File, path: &Path) -> Result<File, Unfit> {
    open(directory, path, OFlags::DIRECTORY).map_err(|errno| match errno {
        // The kernel says so of a link, too, that is not to be followed.
        Errno::NOTDIR => no_directory(directory, path),
        other => other.into(),
    })
}

/// Opens the directory `path` below `directory`, which must lie on the same file system: what is in one can
/// be renamed into the other.
pub(super) fn directory_beside(parent: &File, path: &Path) -> Result<File, Unfit> {
    let found = directory(parent, path)?;
    let same_mount = RESOLVE | ResolveFlags::NO_XDEV;
    let flags = OFlags::DIRECTORY | FLAGS;
    match openat2(parent, path, flags, Mode::empty(), same_mount) {
        Ok(_) => {}
        Err(Errno::XDEV) => return Err(Unfit::Odd(OTHER_VOLUME)),
        Err(errno) => return Err(errno.into()),
    }
    // A subvolume is no mount, and has a device of its own.
    let device = |file: &File| file.metadata().map(|found| found.dev());
    let is_same = device(&found).and_then(|one| Ok(one == device(parent)?));
    match is_same.map_err(Unfit::Failed)? {
        true => Ok(found),
        false => Err(Unfit::Odd(OTHER_VOLUME)),
    }
}

/// Returns the reason why there is no directory at a path that leads to something.
fn no_directory(directory: &File, path: &Path) -> Unfit {
    match statat(directory, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(seen) if FileType::from_raw_mode(seen.st_mode) == FileType::Symlink => {
            Unfit::Odd(IS_LINK)
        }
        Ok(_) => Unfit::Odd(NO_DIRECTORY),
        Err(errno) => errno.into(),
    }
}

/// Returns whether `name` in `directory` still is `file`.
pub(super) fn is_named(directory: &File, name: &str, file: &File) -> io::Result<bool> {
    let held = file.metadata()?;
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) => Ok((named.st_dev, named.st_ino) == (held.dev(), held.ino())),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// The names in `directory` that `choose` makes something of, in the order of what it makes.
pub(super) fn names<T: Ord>(
    directory: &File,
    mut choose: impl FnMut(&str) -> Option<T>,
) -> io::Result<Vec<T>> {
    let mut chosen = Vec::new();
    for entry in Dir::read_from(directory)? {
        chosen.extend(entry?.file_name().to_str().ok().and_then(&mut choose));
    }
    chosen.sort_unstable();
    Ok(chosen)
}

fn open(directory: &File, path: &Path, flags: OFlags) -> rustix::io::Result<File> {
    let file = openat2(directory, path, FLAGS | flags, Mode::empty(), RESOLVE)?;
    Ok(file.into())
}
