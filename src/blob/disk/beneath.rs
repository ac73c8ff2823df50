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
const IRREGULAR: &str = "it is no regular file";

/// Why a name could not be opened.
#[derive(Debug)]
pub(super) enum Unfit {
    /// What is there is not what may be opened.
    Odd(&'static str),
    /// The operating system said no.
    Failed(io::Error),
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

/// Opens the directory `path` below `directory`.
pub(super) fn directory(directory: &File, path: &Path) -> Result<File, Unfit> {
    open(directory, path, OFlags::DIRECTORY)
}

/// Whether `name` in `directory` still is `file`.
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

fn open(directory: &File, path: &Path, flags: OFlags) -> Result<File, Unfit> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(directory, path, flags, Mode::empty(), resolve)?.into())
}
