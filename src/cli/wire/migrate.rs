//! The output of `migrate`.

use std::path::PathBuf;

use indicatif::HumanBytes;
use serde::Serialize;

use crate::cli::output::Show;
use crate::model::file::FileRecord;

/// A file whose bytes were not copied.
#[derive(Serialize)]
pub(in crate::cli) struct LeftOut {
    organization_id: String,
    file_id: String,
    filename: String,
    what: String,
}

impl LeftOut {
    pub(in crate::cli) fn new(file: &FileRecord, why: &str) -> Self {
        Self {
            organization_id: file.organization.to_string(),
            file_id: file.id.to_string(),
            filename: file.name.to_string(),
            what: why.to_owned(),
        }
    }
}

/// The halves of the installation that are migrated.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Halves {
    pub(in crate::cli) rows: bool,
    pub(in crate::cli) bytes: bool,
}

/// The whole run.
#[derive(Serialize)]
pub(in crate::cli) struct Migrated {
    pub(in crate::cli) rows_copied: u64,
    pub(in crate::cli) rows_removed: u64,
    pub(in crate::cli) files_copied: u64,
    pub(in crate::cli) bytes_copied: u64,
    /// Files whose bytes an earlier run or pass had copied.
    pub(in crate::cli) files_there: u64,
    /// Files whose bytes are damaged, cannot be read, or are too many for one blob.
    pub(in crate::cli) left_out: u64,
    /// Files that are served in place, and stay there.
    pub(in crate::cli) in_place: u64,
    pub(in crate::cli) passes: u32,
    /// True if the last pass found nothing to do.
    pub(in crate::cli) in_step: bool,
    /// The first files that were left out, as many as there is room for.
    pub(in crate::cli) files: Vec<LeftOut>,
    #[serde(skip)]
    pub(in crate::cli) keyring: Option<PathBuf>,
    #[serde(skip)]
    pub(in crate::cli) halves: Halves,
}

impl Show for Migrated {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!(
                "{} rows copied, {} removed",
                self.rows_copied, self.rows_removed
            ),
            format!(
                "{} files copied, {}; {} were there; {} left out",
                self.files_copied,
                HumanBytes(self.bytes_copied),
                self.files_there,
                self.left_out
            ),
        ];
        if self.left_out > 0 {
            let marked = match self.halves.rows {
                true => ", and is marked so in the copy",
                false => "",
            };
            lines.push(format!(
                "what is left out is damaged, too large or cannot be read{marked}; `hallpass doctor` looks at it"
            ));
        }
        if self.in_place > 0 {
            let count = self.in_place;
            lines.push(format!(
                "{count} files are served in place and stay there: only with their rows can they be moved"
            ));
        }
        if !self.in_step {
            let until_then = match self.halves.rows {
                true => "; until it is, the copy opens for nobody",
                false => "",
            };
            lines.push(format!(
                "the source is changing: what it changed last is not copied yet{until_then}"
            ));
        }
        if !self.halves.bytes {
            let why = "the bytes stay, and two catalogues know them: once the destination is in use, never start the \
                       gateways of the source again, they would remove what the new ones store";
            lines.push(why.into());
        }
        let keyring = self.keyring.as_ref().map_or_else(
            || "the keyring of HALLPASS_KEYRING".into(),
            |path| format!("the keyring {}", path.display()),
        );
        lines.push(format!(
            "to move over: stop the gateways of the source, run this once more, and start those of the destination \
             with {keyring}"
        ));
        lines
    }
}
