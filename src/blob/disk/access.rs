//! The access rights of blobs: their mode and group, and those of the directories on the way to them.
//!
//! Each file and directory is given to the group of the data directory. The set-group-ID bit would do that, too, but
//! a sandbox may forbid it (systemd's `RestrictSUIDSGID=`), and the kernel takes it away where somebody outside of
//! the group changes a mode.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use rustix::fs::{Mode, fchmod};
use rustix::process::{Gid, getegid, geteuid, getgroups};

use super::{OPENING, Readers, failed};
use crate::blob::BlobError;

/// The readers of a store, known by the group of its directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    /// The group that reads; `None` where only the owner does.
    group: Option<u32>,
}

impl Access {
    /// The access that `readers` are to have below the open directory `root`, whose path this is.
    pub(super) fn of(readers: Readers, root: &File, path: &Path) -> Result<Self, BlobError> {
        if readers == Readers::Owner {
            return Ok(Self { group: None });
        }
        let group = root.metadata().map_err(failed(OPENING))?.gid();
        if !is_member(group).map_err(failed(OPENING))? {
            return Err(BlobError::Unfit {
                path: path.to_owned(),
                why: format!(
                    "its group ({group}) is to read the stored bytes, and this process is not in that group, so it \
                     cannot give them to it: put its user into the group, or give the directory another one"
                ),
            });
        }
        Ok(Self { group: Some(group) })
    }

    /// Returns whether anybody but the owner is to have access.
    pub(super) const fn is_shared(self) -> bool {
        self.group.is_some()
    }

    /// The mode of a blob.
    pub(super) fn blob_mode(self) -> Mode {
        let owner = Mode::RUSR | Mode::WUSR;
        self.group.map_or(owner, |_| owner | Mode::RGRP)
    }

    /// The mode of a directory on the way to blobs. A group passes through, and does not list.
    pub(super) fn directory_mode(self) -> Mode {
        let owner = Mode::RWXU;
        self.group.map_or(owner, |_| owner | Mode::XGRP)
    }

    /// Gives a blob to its readers.
    pub(super) fn open_blob(self, file: &File) -> io::Result<()> {
        self.give(file, self.blob_mode())
    }

    /// Gives a directory to the readers of the blobs below it.
    pub(super) fn open_directory(self, directory: &File) -> io::Result<()> {
        self.give(directory, self.directory_mode())
    }

    /// Sets the group, and adds these permissions to those that are there. The umask has no say in it.
    fn give(self, file: &File, wanted: Mode) -> io::Result<()> {
        let found = file.metadata()?;
        if let Some(group) = self.group
            && found.gid() != group
        {
            fchown(file, None, Some(group))?;
        }
        let permissions = Mode::RWXU | Mode::RWXG | Mode::RWXO;
        let mode = Mode::from_raw_mode(found.permissions().mode()) & permissions;
        if !mode.contains(wanted) {
            fchmod(file, mode | wanted)?;
        }
        Ok(())
    }
}

/// Returns whether this process may give files of its own to a group.
fn is_member(group: u32) -> io::Result<bool> {
    let is_it = |one: &Gid| one.as_raw() == group;
    Ok(geteuid().is_root() || is_it(&getegid()) || getgroups()?.iter().any(is_it))
}
