//! Path expansion: the files that a path on the command line stands for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::failure::{Failure, complain};
use crate::config::Config;

/// The installation's own files: its data directory and its keyring. None of them is ever stored, as a link to the
/// keyring would give every file away.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    paths: Vec<PathBuf>,
}

impl Own {
    /// Returns the installation's own files under this configuration, as far as they are there.
    pub(super) fn of(config: &Config) -> Self {
        let places = [config.server.data_dir.clone(), config.keyring_file()];
        let paths = places.iter().filter_map(|path| fs::canonicalize(path).ok());
        Self {
            paths: paths.collect(),
        }
    }

    /// Counts another directory among them.
    pub(super) fn and(mut self, path: &Path) -> Self {
        self.paths.extend(fs::canonicalize(path).ok());
        self
    }

    /// Returns whether this file or directory is one of them, or lies in one.
    fn has(&self, path: &Path) -> io::Result<bool> {
        let path = fs::canonicalize(path)?;
        Ok(self.paths.iter().any(|own| path.starts_with(own)))
    }
}

/// One file to be stored.
#[derive(Debug)]
pub(super) struct FoundFile {
    /// The path.
    pub(super) path: PathBuf,
    /// True if a person named this very path. Links are followed only then.
    pub(super) named: bool,
}

/// The regular files that paths stand for: a file for itself, a directory for every one below it, in name order.
/// Below a directory, symbolic links, special files and the installation's own files are skipped with a warning, and
/// names that begin with a dot unless they are asked for. The walk reads the disk as it goes, and holds no more than
/// the names of the directories it is in.
pub(super) struct Walk {
    /// The paths still to expand, the next one last.
    waiting: Vec<FoundFile>,
    own: Own,
    takes_hidden: bool,
    /// The number of names that begin with a dot and were left out, not reported yet.
    hidden: usize,
    /// True if nothing is said of what is left out.
    is_silent: bool,
}

/// Refuses texts that are no paths, though a person may mean something by them: `-`, and URLs.
pub(super) fn expect_paths(paths: &[PathBuf]) -> Result<(), Failure> {
    for path in paths {
        if path.as_os_str() == "-" {
            let why = "- is no file: standard input is not read. Write it to a file first; a file of that name is ./-";
            return Err(Failure::Usage(why.into()));
        }
        let text = path.to_string_lossy();
        let Some((scheme, rest)) = text.split_once("://") else {
            continue;
        };
        if path.exists() {
            continue;
        }
        // The rest may hold a password or a token.
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        let remedy = if scheme.eq_ignore_ascii_case("file") {
            "name the path alone"
        } else {
            "download it first (curl -OJ URL), then name the file"
        };
        return Err(Failure::Usage(format!(
            "{scheme}://{host}/... is a URL, and no file on this machine: {remedy}"
        )));
    }
    Ok(())
}

impl Walk {
    /// Walks the paths in the order they were given, with hidden names below them if `takes_hidden`.
    pub(super) fn new(paths: &[PathBuf], own: Own, takes_hidden: bool) -> Self {
        let named = |path: &PathBuf| FoundFile {
            path: path.clone(),
            named: true,
        };
        Self {
            waiting: paths.iter().rev().map(named).collect(),
            own,
            takes_hidden,
            hidden: 0,
            is_silent: false,
        }
    }

    /// The same walk, which says nothing of what it leaves out.
    pub(super) fn silent(mut self) -> Self {
        self.is_silent = true;
        self
    }

    /// Walks nothing.
    pub(super) fn empty() -> Self {
        Self::new(&[], Own::default(), false)
    }

    fn look(&mut self, found: FoundFile) -> io::Result<Option<FoundFile>> {
        let metadata = if found.named {
            fs::metadata(&found.path)?
        } else {
            fs::symlink_metadata(&found.path)?
        };
        let why = if !metadata.is_symlink() && self.own.has(&found.path)? {
            "it belongs to the installation, and may hold its keys"
        } else if metadata.is_dir() {
            self.enter(&found.path)?;
            return Ok(None);
        } else if metadata.is_file() {
            return Ok(Some(found));
        } else if metadata.is_symlink() {
            "it is a symbolic link"
        } else {
            "it is neither a file nor a directory"
        };
        if found.named {
            return Err(io::Error::other(why));
        }
        if !self.is_silent {
            tracing::warn!("{} is skipped: {why}", found.path.display());
        }
        Ok(None)
    }

    fn enter(&mut self, directory: &Path) -> io::Result<()> {
        let mut below = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if is_hidden && !self.takes_hidden {
                self.hidden += 1;
            } else {
                below.push(entry.path());
            }
        }
        below.sort();
        let found = |path| FoundFile { path, named: false };
        self.waiting.extend(below.into_iter().rev().map(found));
        Ok(())
    }
}

impl Iterator for Walk {
    type Item = Result<FoundFile, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(found) = self.waiting.pop() {
            let path = found.path.clone();
            match self.look(found) {
                Ok(None) => {}
                Ok(Some(file)) => return Some(Ok(file)),
                Err(error) => return Some(Err(Failure::unreadable(&path, &error))),
            }
        }
        let hidden = std::mem::take(&mut self.hidden);
        if hidden > 0 && !self.is_silent {
            let names = match hidden {
                1 => "1 name that begins with a dot was".to_owned(),
                more => format!("{more} names that begin with a dot were"),
            };
            complain(&format!("{names} left out: --hidden takes them in, too"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_give_their_files_in_name_order_without_links() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for below in ["b", "b/inner", "empty", ".hid"] {
            fs::create_dir(root.join(below)).unwrap();
        }
        for file in ["c", "a", "b/2", "b/1", "b/inner/x", ".hidden", ".hid/y"] {
            fs::write(root.join(file), file).unwrap();
        }
        std::os::unix::fs::symlink(root.join("a"), root.join("b/link")).unwrap();
        std::os::unix::fs::symlink("/", root.join("all")).unwrap();
        let paths = [root.join("c"), root.to_owned(), root.join("missing")];
        let walk = |takes_hidden| {
            let walked: Vec<_> = Walk::new(&paths, Own::default(), takes_hidden)
                .map(|found| found.map(|found| found.path.strip_prefix(root).unwrap().to_owned()))
                .collect();
            let (last, files) = walked.split_last().unwrap();
            assert!(matches!(last, Err(Failure::Failed(why)) if why.contains("missing")));
            let files = files.iter();
            files
                .map(|file| file.as_ref().unwrap().to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let seen = ["c", "a", "b/1", "b/2", "b/inner/x", "c"];
        assert_eq!(walk(false), seen);
        let all = [
            "c",
            ".hid/y",
            ".hidden",
            "a",
            "b/1",
            "b/2",
            "b/inner/x",
            "c",
        ];
        assert_eq!(walk(true), all);
    }
}
