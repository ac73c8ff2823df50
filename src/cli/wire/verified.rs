//! The verdict of `verify`.

use serde::Serialize;

use super::Downloads;
use crate::cli::output::Show;

/// The verdict on a link, and its reason. Parts of the link that cannot be read are `None`.
#[derive(Serialize)]
pub(in crate::cli) struct Verification {
    pub(in crate::cli) valid: bool,
    pub(in crate::cli) reason: &'static str,
    pub(in crate::cli) file_id: Option<String>,
    pub(in crate::cli) organization_id: Option<String>,
    /// The share whose URL it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) share_id: Option<String>,
    pub(in crate::cli) expires: Option<u64>,
    pub(in crate::cli) kid: Option<String>,
    pub(in crate::cli) link_id: Option<String>,
    /// How many downloads a counted link, or a share, allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) max_downloads: Option<u32>,
    /// Those of them that are spent, and that are held by downloads under way, of a counted link whose token is good, and of a share.
    #[serde(flatten)]
    pub(in crate::cli) spent: Option<SpentDownloads>,
    /// The counters of a link whose token is good, or was before it was revoked.
    #[serde(flatten)]
    pub(in crate::cli) counts: Option<Downloads>,
    /// The reason in a sentence, for a person.
    pub(in crate::cli) detail: String,
}

/// The counters of a counted link.
#[derive(Clone, Copy, Serialize)]
pub(in crate::cli) struct SpentDownloads {
    pub(in crate::cli) downloads_done: u64,
    pub(in crate::cli) downloads_open: u64,
}

impl Show for Verification {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}: {}", self.reason, self.detail)];
        let expires = self.expires.map(|seconds| seconds.to_string());
        let max_downloads = self.max_downloads.map(|number| number.to_string());
        let known = [
            ("file_id", &self.file_id),
            ("organization_id", &self.organization_id),
            ("share_id", &self.share_id),
            ("expires", &expires),
            ("kid", &self.kid),
            ("link_id", &self.link_id),
            ("max_downloads", &max_downloads),
        ];
        for (name, value) in known {
            lines.extend(value.iter().map(|value| format!("{name}: {value}")));
        }
        if let Some(spent) = self.spent {
            lines.push(format!("downloads_done: {}", spent.downloads_done));
            lines.push(format!("downloads_open: {}", spent.downloads_open));
        }
        lines.extend(self.counts.iter().flat_map(Show::lines));
        lines
    }
}
