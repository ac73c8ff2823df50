//! The paths that are shared: what kind of share they make, where their files lie, and what these are called on its page.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;
use crate::cli::path_expansion::FoundFile;
use crate::cli::standard_input::DASH;
use crate::model::name::FileName;

/// The most directories that are held open for the files below them. Of more, the directory that has them all is.
const ROOTS_MAX: usize = 64;

/// The paths of one share, which were there when they were resolved.
#[derive(Debug)]
pub(in crate::cli) struct SharedPaths {
    /// The paths as they were given.
    paths: Vec<PathBuf>,
    /// Each without symbolic links, and whether it is a directory. None of standard input.
    found: Vec<(PathBuf, bool)>,
}

impl SharedPaths {
    /// Resolves the symbolic links of the paths.
    ///
    /// # Errors
    /// One that is not there or cannot be looked at.
    pub(in crate::cli) fn resolve(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut found = Vec::new();
        for path in paths.iter().filter(|path| path.as_os_str() != DASH) {
            let resolved = || {
                let is_directory = fs::metadata(path)?.is_dir();
                Ok((fs::canonicalize(path)?, is_directory))
            };
            found.push(resolved().map_err(|error| Failure::unreadable(path, &error))?);
        }
        Ok(Self {
            paths: paths.to_vec(),
            found,
        })
    }

    /// Returns whether there is more than one file, or may be: a directory, or several paths.
    pub(in crate::cli) fn are_many(&self) -> bool {
        self.paths.len() > 1 || self.found.iter().any(|(_, is_directory)| *is_directory)
    }

    /// Returns the directories that the files lie below, without symbolic links.
    pub(in crate::cli) fn roots(&self) -> Vec<PathBuf> {
        let directory = |(path, is_directory): &(PathBuf, bool)| match path.parent() {
            Some(parent) if !is_directory => parent.to_owned(),
            _ => path.clone(),
        };
        let mut all: Vec<PathBuf> = self.found.iter().map(directory).collect();
        // In this order what lies below a directory follows it.
        all.sort();
        let mut roots: Vec<PathBuf> = Vec::new();
        for path in all {
            if !roots.last().is_some_and(|root| path.starts_with(root)) {
                roots.push(path);
            }
        }
        if let [first, ..] = roots.as_slice()
            && roots.len() > ROOTS_MAX
        {
            let mut common = first.clone();
            while !roots.iter().all(|root| root.starts_with(&common)) {
                common.pop();
            }
            roots = vec![common];
        }
        roots
    }

    /// Returns the name of the only directory, as a heading of its page.
    pub(in crate::cli) fn directory_name(&self) -> Option<String> {
        match self.found.as_slice() {
            [(path, true)] => name_of(path).map(|name| name.to_string()),
            _ => None,
        }
    }

    /// Returns the path of a file on the page: below the only directory, or else below what was named. `None` of one of which a
    /// part can be the name of no file.
    pub(in crate::cli) fn path_on_page(&self, file: &FoundFile) -> Option<String> {
        let mut named = self.paths.iter().zip(&self.found);
        let below = named.find_map(|(given, (found, is_directory))| {
            let rest = file.path.strip_prefix(given).ok()?;
            is_directory.then_some((found, rest))
        });
        let Some((directory, rest)) = below else {
            return name_of(&file.path).map(|name| name.to_string());
        };
        let first = (self.paths.len() > 1).then(|| name_of(directory));
        let parts = rest.iter().map(|part| name_of(Path::new(part)));
        let parts: Option<Vec<String>> = first
            .into_iter()
            .chain(parts)
            .map(|name| name.map(|name| name.to_string()))
            .collect();
        parts.map(|parts| parts.join("/"))
    }
}

/// Returns the last part of a path, as a file may be called. Bytes that are no UTF-8 are replaced.
fn name_of(path: &Path) -> Option<FileName> {
    let last = path.file_name()?.to_string_lossy();
    FileName::from_command_line(&last).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: PathBuf) -> FoundFile {
        FoundFile { path, named: true }
    }

    #[test]
    fn one_directory_s_files_go_by_their_paths_below_it_and_others_by_what_was_named() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("docs/sub")).unwrap();
        for file in ["docs/a", "docs/sub/b", "c"] {
            fs::write(root.join(file), file).unwrap();
        }
        let one = SharedPaths::resolve(&[root.join("docs")]).unwrap();
        assert!(one.are_many());
        assert_eq!(one.directory_name().as_deref(), Some("docs"));
        assert_eq!(
            one.path_on_page(&named(root.join("docs/sub/b"))).as_deref(),
            Some("sub/b")
        );
        assert_eq!(one.roots(), [root.join("docs")]);
        let both = SharedPaths::resolve(&[root.join("docs"), root.join("c")]).unwrap();
        assert_eq!(both.directory_name(), None);
        let path = both.path_on_page(&named(root.join("docs/sub/b")));
        assert_eq!(path.as_deref(), Some("docs/sub/b"));
        assert_eq!(
            both.path_on_page(&named(root.join("c"))).as_deref(),
            Some("c")
        );
        assert_eq!(both.roots(), std::slice::from_ref(&root));
        let file = SharedPaths::resolve(&[root.join("c")]).unwrap();
        assert!(!file.are_many());
        assert_eq!(file.roots(), std::slice::from_ref(&root));
        assert!(SharedPaths::resolve(&[root.join("missing")]).is_err());
        let input = SharedPaths::resolve(&["-".into()]).unwrap();
        assert!(!input.are_many() && input.roots().is_empty());
    }

    #[test]
    fn the_files_of_many_directories_lie_below_the_one_that_has_them_all() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        let paths: Vec<PathBuf> = (0..=ROOTS_MAX)
            .map(|number| root.join(number.to_string()))
            .collect();
        for path in &paths {
            fs::create_dir(path).unwrap();
        }
        assert_eq!(SharedPaths::resolve(&paths).unwrap().roots(), [root]);
        let few = SharedPaths::resolve(&paths[..3]).unwrap();
        assert_eq!(few.roots(), paths[..3]);
    }
}
