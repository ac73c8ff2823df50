//! The source of a share: its files or standard input, one after the other.

use std::path::Path;

use crate::cli::failure::{Failure, complain};
use crate::cli::path_expansion::{FoundFile, Walk};
use crate::cli::standard_input::DASH;
use crate::model::name::FileName;
use crate::model::share::SHARE_FILES_MAX;

/// The files of a share, or its input.
pub(in crate::cli) enum Source {
    /// The files that paths stand for.
    Walk(Box<Walk>),
    /// Standard input, under this name.
    Input(FileName),
}

/// One thing that is shared.
pub(in crate::cli) enum Item {
    File(FoundFile),
    Input(FileName),
}

impl Iterator for Source {
    type Item = Result<Item, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Walk(walk) => walk.next().map(|found| found.map(Item::File)),
            Self::Input(name) => {
                let name = name.clone();
                *self = Self::Walk(Box::new(Walk::empty()));
                Some(Ok(Item::Input(name)))
            }
        }
    }
}

/// Returns all that is to be on one page, and complains about what cannot.
///
/// # Errors
/// More than one page has.
pub(super) fn listed(source: Source, failed: &mut u64) -> Result<Vec<Item>, Failure> {
    let mut items = Vec::new();
    for item in source {
        match item {
            Ok(_) if items.len() == SHARE_FILES_MAX => {
                return Err(Failure::Failed(format!(
                    "there are more than {SHARE_FILES_MAX} files, the most that one page has: share fewer of them, or \
                     have a link printed for each with --each"
                )));
            }
            Ok(item) => items.push(item),
            Err(Failure::Failed(why)) => {
                *failed += 1;
                complain(&why);
            }
            Err(other) => return Err(other),
        }
    }
    Ok(items)
}

/// Returns whether a path is the word for standard input.
pub(in crate::cli) fn is_input(path: &Path) -> bool {
    path.as_os_str() == DASH
}
