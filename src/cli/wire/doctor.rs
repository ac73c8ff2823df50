//! What `doctor` prints.

use serde::Serialize;

use crate::cli::output::Show;
use crate::gateway::doctor::{Complaint, Finding};

/// A file that something is the matter with.
#[derive(Serialize)]
pub(in crate::cli) struct Patient {
    organization_id: String,
    file_id: String,
    filename: String,
    status: &'static str,
    /// `damaged`, `unreadable`, or `healed`: marked as damaged and whole.
    problem: &'static str,
    what: String,
    /// Whether it is marked, so that no gateway serves it.
    marked: bool,
}

impl From<&Finding> for Patient {
    fn from(finding: &Finding) -> Self {
        let file = &finding.file;
        let marked = file.damaged_at.is_some();
        let (problem, what) = match &finding.complaint {
            Complaint::Damaged(what) => ("damaged", what.as_str()),
            Complaint::Unreadable(what) => ("unreadable", what.as_str()),
            Complaint::Healed if marked => ("healed", "it is whole, and still marked"),
            Complaint::Healed => ("healed", "it is whole, and marked no more"),
        };
        Self {
            organization_id: file.organization.to_string(),
            file_id: file.id.to_string(),
            filename: file.name.to_string(),
            status: file.state.as_str(),
            problem,
            what: what.to_owned(),
            marked,
        }
    }
}

impl Show for Patient {
    fn lines(&self) -> Vec<String> {
        let marked = if self.marked && self.problem == "damaged" {
            "  (marked: not served)"
        } else {
            ""
        };
        vec![format!(
            "{}  {}  {}: {}{marked}",
            self.organization_id, self.file_id, self.problem, self.what
        )]
    }
}

/// The whole check.
#[derive(Serialize)]
pub(in crate::cli) struct Checkup {
    pub(in crate::cli) files_checked: u64,
    pub(in crate::cli) bytes_checked: u64,
    /// Files that cannot be had as they were: damaged ones and unreadable ones.
    pub(in crate::cli) damaged: u64,
    /// As many of those that something is the matter with as there is room for.
    pub(in crate::cli) files: Vec<Patient>,
    /// Uploads that broke off.
    pub(in crate::cli) stages: usize,
    /// Blobs without a row.
    pub(in crate::cli) orphans: usize,
    /// Whether those were left alone because they are too many.
    pub(in crate::cli) orphans_left: bool,
    /// Whether what is safe to mend was mended.
    pub(in crate::cli) mended: bool,
}

impl Show for Checkup {
    /// The sum: the files were printed when they were found.
    fn lines(&self) -> Vec<String> {
        let any = self.orphans + self.stages > 0;
        let left = if self.orphans_left {
            " (left alone)"
        } else {
            ""
        };
        let any = any && !(self.orphans_left && self.stages == 0);
        let removed = if self.mended && any { ", removed" } else { "" };
        vec![
            format!(
                "{} files checked, {} bytes: {} damaged",
                self.files_checked, self.bytes_checked, self.damaged
            ),
            format!(
                "leftovers: {} blobs without a row{left}, {} broken uploads{removed}",
                self.orphans, self.stages
            ),
        ]
    }
}
