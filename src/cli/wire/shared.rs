//! The output of `share` about links and pages.

use serde::Serialize;

use super::Link;
use crate::cli::output::Show;
use crate::gateway::shares::ShareView;
use crate::model::amount::RoundedSize;
use crate::model::time::UnixSeconds;

/// The link of a file that is shared.
#[derive(Serialize)]
pub(in crate::cli) struct SharedLink {
    #[serde(flatten)]
    pub(in crate::cli) link: Link,
    pub(in crate::cli) size_bytes: u64,
    /// The number of downloads it starts, if they are counted.
    pub(in crate::cli) max_downloads: Option<u32>,
    /// The other addresses at which it opens.
    pub(in crate::cli) other_urls: Vec<String>,
    /// True where a person reads along.
    #[serde(skip)]
    pub(in crate::cli) is_for_people: bool,
}

/// The page of files that are shared.
#[derive(Serialize)]
pub(in crate::cli) struct SharedPage {
    pub(in crate::cli) share_id: String,
    pub(in crate::cli) share_url: String,
    pub(in crate::cli) title: String,
    pub(in crate::cli) expires: Option<u64>,
    pub(in crate::cli) max_downloads: Option<u64>,
    pub(in crate::cli) has_password: bool,
    pub(in crate::cli) file_count: u64,
    pub(in crate::cli) size_bytes: u64,
    pub(in crate::cli) other_urls: Vec<String>,
    #[serde(skip)]
    pub(in crate::cli) is_for_people: bool,
}

impl SharedPage {
    /// Returns the page of a share at this address, whose files have so many bytes together.
    pub(in crate::cli) fn of(
        view: &ShareView,
        share_url: String,
        size_bytes: u64,
        other_urls: Vec<String>,
    ) -> Self {
        let share = &view.share;
        Self {
            share_id: share.id.to_string(),
            share_url,
            title: share.title.clone(),
            expires: share.expires.map(UnixSeconds::get),
            max_downloads: share.allowed,
            has_password: share.password.is_some(),
            file_count: view.file_count,
            size_bytes,
            other_urls,
            is_for_people: false,
        }
    }
}

impl Show for SharedLink {
    fn lines(&self) -> Vec<String> {
        let url = self.link.download_url.clone();
        if !self.is_for_people {
            return vec![url];
        }
        let size = RoundedSize(self.size_bytes);
        let heading = match &self.link.filename {
            Some(name) => format!("{name}   {size}"),
            None => size.to_string(),
        };
        vec![heading, url]
    }
}

impl Show for SharedPage {
    fn lines(&self) -> Vec<String> {
        let url = self.share_url.clone();
        if !self.is_for_people {
            return vec![url];
        }
        let files = match self.file_count {
            1 => "1 file".to_owned(),
            count => format!("{count} files"),
        };
        let size = RoundedSize(self.size_bytes);
        let heading = match self.title.as_str() {
            "" => format!("{files}   {size}"),
            title => format!("{title}   {files}, {size}"),
        };
        vec![heading, url]
    }
}
