//! The output of `doctor`.

use serde::Serialize;

use crate::cli::output::Show;
use crate::gateway::doctor::{Complaint, Finding, Miscount};

/// A file that something is the matter with.
#[derive(Serialize)]
pub(in crate::cli) struct FileFinding {
    organization_id: String,
    file_id: String,
    filename: String,
    status: &'static str,
    /// `damaged`, `unreadable`, `healed`: marked as damaged and whole; or `moved`: a file in place that is whole and
    /// is another one for the file system.
    problem: &'static str,
    what: String,
    /// True if the file is marked as damaged, so that no gateway serves it.
    marked: bool,
}

impl From<&Finding> for FileFinding {
    fn from(finding: &Finding) -> Self {
        let file = &finding.file;
        let marked = file.damaged_at.is_some();
        let (problem, what) = match &finding.complaint {
            Complaint::Damaged(what) => ("damaged", what.as_str()),
            Complaint::Unreadable(what) => ("unreadable", what.as_str()),
            Complaint::Healed if marked => ("healed", "it is whole, and still marked"),
            Complaint::Healed => ("healed", "it is whole, and marked no more"),
            Complaint::Moved { is_noted: true } => (
                "moved",
                "it was restored or changed outside, its bytes are its own, and its row knows it again",
            ),
            Complaint::Moved { is_noted: false } => (
                "moved",
                "it was restored or changed outside, and its bytes are its own",
            ),
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

impl Show for FileFinding {
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

/// An organization whose counters are not what its rows are.
#[derive(Serialize)]
pub(in crate::cli) struct Miscounted {
    organization_id: String,
    counted: Amount,
    found: Amount,
    /// The anchors of its list that are wrong.
    wrong_list_anchors: u64,
    /// The links and shares whose open downloads are counted wrongly.
    wrong_allowances: u64,
    /// By how much the counter of its links that have counts is wrong.
    wrong_links: u64,
}

/// The counters of an organization.
#[derive(Serialize)]
struct Amount {
    /// The files that lists count.
    files: u64,
    /// The files that quotas count: deleted ones, too, as long as their bytes are there.
    files_kept: u64,
    bytes_kept: u64,
}

impl From<&Miscount> for Miscounted {
    fn from(miscount: &Miscount) -> Self {
        let (counted, found) = (&miscount.counted, &miscount.found);
        Self {
            organization_id: miscount.organization.to_string(),
            counted: Amount {
                files: counted.ready,
                files_kept: counted.files,
                bytes_kept: counted.bytes,
            },
            found: Amount {
                files: found.ready,
                files_kept: found.files,
                bytes_kept: found.bytes,
            },
            wrong_list_anchors: miscount.wrong_anchors,
            wrong_allowances: miscount.wrong_allowances,
            wrong_links: miscount.wrong_links,
        }
    }
}

impl Show for Miscounted {
    fn lines(&self) -> Vec<String> {
        let say = |of: &Amount| {
            let Amount {
                files,
                files_kept,
                bytes_kept,
            } = of;
            format!("{files} files, {files_kept} kept with {bytes_kept} bytes")
        };
        let (counted, found) = (say(&self.counted), say(&self.found));
        let anchors = match self.wrong_list_anchors {
            0 => String::new(),
            wrong => format!("; {wrong} anchors of its list are wrong"),
        };
        let allowances = match self.wrong_allowances {
            0 => String::new(),
            wrong => format!("; {wrong} links or shares count their open downloads wrongly"),
        };
        let links = match self.wrong_links {
            0 => String::new(),
            wrong => format!("; the counter of its links is off by {wrong}"),
        };
        vec![format!(
            "{}  miscounted: {counted}; there are {found}{anchors}{allowances}{links}",
            self.organization_id
        )]
    }
}

/// The whole check.
#[derive(Serialize)]
pub(in crate::cli) struct CheckSummary {
    pub(in crate::cli) files_checked: u64,
    pub(in crate::cli) bytes_checked: u64,
    /// Files that cannot be had as they were: damaged ones and unreadable ones.
    pub(in crate::cli) damaged: u64,
    /// The first findings, as many as there is room for.
    pub(in crate::cli) files: Vec<FileFinding>,
    /// Organizations whose counters were not what their rows are.
    pub(in crate::cli) miscounted: u64,
    /// The first of them, as many as there is room for.
    pub(in crate::cli) organizations: Vec<Miscounted>,
    /// Uploads that broke off.
    pub(in crate::cli) stages: usize,
    /// Blobs without a row.
    pub(in crate::cli) orphans: usize,
    /// True if those were left alone because they are too many.
    pub(in crate::cli) orphans_left: bool,
    /// The bytes that the disk reserve lacks, if it is not whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) reserve_missing_bytes: Option<u64>,
    /// True if the check mended what is safe to mend.
    pub(in crate::cli) mended: bool,
}

impl Show for CheckSummary {
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
        let mut lines = vec![
            format!(
                "{} files checked, {} bytes: {} damaged",
                self.files_checked, self.bytes_checked, self.damaged
            ),
            format!(
                "leftovers: {} blobs without a row{left}, {} broken uploads{removed}",
                self.orphans, self.stages
            ),
        ];
        if self.miscounted > 0 {
            let right = if self.mended { ", set right" } else { "" };
            lines.push(format!(
                "counters: {} organizations miscounted{right}",
                self.miscounted
            ));
        }
        if let Some(missing) = self.reserve_missing_bytes {
            lines.push(format!(
                "disk reserve: {missing} bytes are missing, until a running gateway finds room for them"
            ));
        }
        lines
    }
}
