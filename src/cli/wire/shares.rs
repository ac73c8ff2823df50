//! Shares, as the command line prints them, with the names of the API's fields. The API writes its own
//! (`web/dialects/aitronos/shares/wire.rs`): neither layer imports the other, and a change of what a command prints is to be
//! none of the API.

use serde::Serialize;

use crate::cli::output::Show;
use crate::gateway::shares::{ShareView, SharedEntry};
use crate::model::time::UnixSeconds;

/// A share in a list.
#[derive(Serialize)]
pub(in crate::cli) struct ListedShare {
    share_id: String,
    organization_id: String,
    /// None while it is stale.
    share_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_id: Option<String>,
    state: &'static str,
    title: String,
    note: String,
    expires: Option<u64>,
    not_before: Option<u64>,
    max_downloads: Option<u64>,
    done: u64,
    open: u64,
    downloads: u64,
    bytes_sent: u64,
    last_download_at: Option<String>,
    opened: u64,
    first_opened_at: Option<String>,
    has_password: bool,
    ip: Option<String>,
    preview: bool,
    zip: bool,
    created_at: String,
    created_by_api_key_id: Option<String>,
    file_count: u64,
}

/// A share, alone, with its files.
#[derive(Serialize)]
pub(in crate::cli) struct WholeShare {
    #[serde(flatten)]
    share: ListedShare,
    files: Vec<FileOfShare>,
}

#[derive(Serialize)]
struct FileOfShare {
    n: u64,
    path: String,
    file_id: String,
    file_size: Option<u64>,
    mime_type: Option<String>,
    state: &'static str,
}

impl From<&ShareView> for ListedShare {
    fn from(view: &ShareView) -> Self {
        let (share, counts) = (&view.share, &view.counts);
        let at = |time: UnixSeconds| time.to_string();
        Self {
            share_id: share.id.to_string(),
            organization_id: share.organization.to_string(),
            share_url: view.url.clone(),
            link_id: view.link_id.map(|id| id.to_string()),
            state: view.standing.as_str(),
            title: share.title.clone(),
            note: share.note.clone(),
            expires: share.expires.map(UnixSeconds::get),
            not_before: share.not_before.map(UnixSeconds::get),
            max_downloads: share.allowed,
            done: counts.done,
            open: counts.open,
            downloads: counts.counts.downloads,
            bytes_sent: counts.counts.bytes_sent,
            last_download_at: counts.counts.last_at.map(at),
            opened: counts.opened,
            first_opened_at: counts.first_opened_at.map(at),
            has_password: share.password.is_some(),
            ip: share.ip.as_ref().map(|network| network.as_str().to_owned()),
            preview: share.options.preview,
            zip: share.options.zip,
            created_at: at(share.created_at),
            created_by_api_key_id: share.created_by.as_ref().map(ToString::to_string),
            file_count: view.file_count,
        }
    }
}

impl From<&ShareView> for WholeShare {
    fn from(view: &ShareView) -> Self {
        Self {
            share: view.into(),
            files: view.files.iter().map(FileOfShare::from).collect(),
        }
    }
}

impl From<&SharedEntry> for FileOfShare {
    fn from(entry: &SharedEntry) -> Self {
        let record = entry.file.as_ref();
        Self {
            n: entry.shared.position,
            path: entry.shared.path.clone(),
            file_id: entry.shared.file.to_string(),
            file_size: record.map(|record| record.size),
            mime_type: record.map(|record| record.media_type.to_string()),
            state: entry.standing.as_str(),
        }
    }
}

impl ListedShare {
    /// Returns when it ends, for a person.
    fn end(&self) -> String {
        match self.expires.and_then(UnixSeconds::new) {
            Some(end) => format!("until {end}"),
            None => "until revoked".into(),
        }
    }

    /// Returns how many of its downloads are spent, for a person.
    fn downloads(&self) -> String {
        match self.max_downloads {
            Some(max) => format!("{} of {max} downloads", self.done),
            None => format!("{} downloads", self.downloads),
        }
    }
}

impl Show for ListedShare {
    fn lines(&self) -> Vec<String> {
        let files = match self.file_count {
            1 => "1 file".to_owned(),
            count => format!("{count} files"),
        };
        vec![format!(
            "{}  {}  {files}  {}  {}  {}",
            self.share_id,
            self.state,
            self.downloads(),
            self.end(),
            self.title
        )]
    }
}

impl Show for WholeShare {
    fn lines(&self) -> Vec<String> {
        let share = &self.share;
        let url = share.share_url.as_deref();
        let url = url.unwrap_or("none: `hallpass share rotate` gives it one");
        let mut lines = vec![
            format!("share_url: {url}"),
            format!("share_id: {}", share.share_id),
            format!("state: {}, {}", share.state, share.end()),
        ];
        let mut say = |name: &str, text: Option<&str>| {
            let text = text.filter(|text| !text.is_empty());
            lines.extend(text.map(|text| format!("{name}: {text}")));
        };
        say("title", Some(&share.title));
        say("note", Some(&share.note.replace('\n', " ")));
        let begin = share.not_before.and_then(UnixSeconds::new);
        say("not_before", begin.map(|time| time.to_string()).as_deref());
        say("ip", share.ip.as_deref());
        say("password", share.has_password.then_some("yes"));
        say("downloads", Some(&share.downloads()));
        say("last_download_at", share.last_download_at.as_deref());
        for file in &self.files {
            let size = file.file_size.map(|size| size.to_string());
            let state = match file.state {
                "ready" => String::new(),
                other => format!("  {other}"),
            };
            let (n, id, path) = (file.n, &file.file_id, &file.path);
            lines.push(format!(
                "{n:>5}  {id}  {:>12}  {path}{state}",
                size.unwrap_or_default()
            ));
        }
        lines
    }
}
