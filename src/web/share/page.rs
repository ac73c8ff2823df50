//! The page of a share: what is in it, and how each thing is had. Showing it spends nothing, and it has no script.
//!
//! It has five states: the files; the question for the password, before which nothing at all is said of the share; busy,
//! where all downloads that are left are held; over, where it opens no more or never did; and the files with a hint that
//! all downloads were started, for whoever started one of them. The title, and what previews show, never name a file or
//! the share unless the operator wants it so; the page does, to those who are let in.

use std::time::Duration;

use askama::Template;

use super::path::encoded;
use super::texts::TEXTS;
use crate::model::time::UnixSeconds;
use crate::web::html::{STYLE, essence, fill};
use crate::web::people;

/// The most files that one page lists. Its successors list the others.
pub(super) const FILES_PER_PAGE: usize = 500;

/// The most previews on one page.
pub(super) const PREVIEWS_MAX: usize = 24;

/// What a share is, as its page says it.
#[derive(Debug)]
pub(super) struct PageView<'a> {
    /// The path of its page, as browsers have it.
    pub path: &'a str,
    /// Its title, where it has one.
    pub title: Option<&'a str>,
    /// Its note, where it has one.
    pub note: Option<&'a str>,
    /// Its files, in their order.
    pub files: Vec<FileOnPage<'a>>,
    /// How its files are had.
    pub access: Access,
    /// The size of the zip of all, where there is one.
    pub zip: Option<u64>,
    /// Its end, where it has one.
    pub expires: Option<UnixSeconds>,
    /// True if browsers may show files on the page, of kinds that cannot run.
    pub has_previews: bool,
    /// True if the title and what previews show may name it.
    pub is_named_to_previews: bool,
}

/// A file of a share.
#[derive(Clone, Debug)]
pub(super) struct FileOnPage<'a> {
    /// Its number in the share.
    pub position: u64,
    /// Its name.
    pub name: &'a str,
    /// Its state, and if it is there, what it is.
    pub state: EntryState<'a>,
}

/// What is known of a file of a share.
#[derive(Clone, Copy, Debug)]
pub(super) enum EntryState<'a> {
    /// It is there.
    Ready {
        /// Its size in bytes.
        size: u64,
        /// Its media type, perhaps with parameters, which are not shown.
        media_type: &'a str,
        /// True if its type is one that cannot run in a browser.
        is_passive: bool,
    },
    /// It was deleted, or its links were revoked.
    Gone,
    /// Its bytes are not what they were.
    Damaged,
}

/// How the files of a share are had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Each at an address of its own.
    Links,
    /// Each by a download that is started, since the share has a password.
    Starts,
    /// All at once, and so many times.
    Counted {
        /// How many downloads may be started. 0 is no end: whoever has started one goes on with it.
        left: u64,
        /// How many the share allows.
        allowed: u64,
    },
}

/// What the template writes.
#[derive(Template)]
#[template(path = "share.html", config = "src/web/templates/askama.toml")]
struct Page<'a> {
    title: &'a str,
    style: &'a str,
    heading: &'a str,
    note: Option<&'a str>,
    facts: Vec<(&'a str, String)>,
    password: Option<Question>,
    /// The path to which its forms are posted.
    open: String,
    /// The word on the button for all of it, if there is one.
    start: Option<String>,
    caption: String,
    columns: Columns,
    has_actions: bool,
    rows: Vec<Row<'a>>,
    text: Option<String>,
    links: Vec<(&'a str, String)>,
    qr: Option<String>,
    qr_label: &'a str,
    trace: Option<String>,
}

/// The question for the password.
struct Question {
    label: &'static str,
    button: &'static str,
    fault: Option<&'static str>,
}

struct Columns {
    name: &'static str,
    size: &'static str,
    kind: &'static str,
    action: &'static str,
}

struct Row<'a> {
    name: &'a str,
    size: String,
    kind: &'a str,
    label: String,
    preview: Option<Preview>,
    preview_label: String,
    action: RowAction,
}

/// A file that the page shows, by its address.
enum Preview {
    Image(String),
    Audio(String),
    Video(String),
}

/// How the file of a row is had.
enum RowAction {
    Link(String),
    Form(u64),
    Empty,
    None,
}

impl<'a> Page<'a> {
    fn new(path: &str, heading: &'a str) -> Self {
        Self {
            title: TEXTS.title,
            style: STYLE,
            heading,
            note: None,
            facts: Vec::new(),
            password: None,
            open: format!("{path}/open"),
            start: None,
            caption: String::new(),
            columns: Columns {
                name: TEXTS.name,
                size: TEXTS.size,
                kind: TEXTS.kind,
                action: TEXTS.download,
            },
            has_actions: false,
            rows: Vec::new(),
            text: None,
            links: Vec::new(),
            qr: None,
            qr_label: TEXTS.qr,
            trace: None,
        }
    }

    #[expect(clippy::expect_used, reason = "a text takes whatever is written")]
    fn written(&self) -> String {
        self.render().expect("every value is a text")
    }
}

/// Returns how many pages list so many files: one at the least.
pub(super) const fn pages(files: usize) -> usize {
    let pages = files.div_ceil(FILES_PER_PAGE);
    if pages == 0 { 1 } else { pages }
}

/// Writes the page with the files, the one of this number, from 0 on, at `now`.
pub(super) fn files(share: &PageView<'_>, number: usize, now: UnixSeconds) -> String {
    let heading = heading(share);
    let mut page = Page::new(share.path, &heading);
    if share.is_named_to_previews {
        page.title = &heading;
    }
    page.note = share.note;
    page.facts = facts(share, now);
    page.start = start(share);
    let is_there = |file: &&FileOnPage<'_>| matches!(file.state, EntryState::Ready { .. });
    page.text = match share.access {
        _ if !share.files.iter().any(|file| is_there(&file)) => Some(TEXTS.nothing.to_owned()),
        Access::Counted { left: 0, .. } => Some(TEXTS.all_started.to_owned()),
        Access::Counted { .. } => Some(TEXTS.counted.to_owned()),
        Access::Links | Access::Starts => None,
    };
    let first = number * FILES_PER_PAGE;
    let listed = share.files.iter().skip(first).take(FILES_PER_PAGE);
    page.has_actions = !matches!(share.access, Access::Counted { .. });
    let mut previews = PREVIEWS_MAX;
    page.rows = listed.map(|file| row(share, file, &mut previews)).collect();
    page.caption = match pages(share.files.len()) {
        1 => TEXTS.files.to_owned(),
        all => {
            for (words, other) in [
                (TEXTS.previous, number.checked_sub(1)),
                (TEXTS.next, Some(number + 1).filter(|next| *next < all)),
            ] {
                let href = other.map(|other| format!("{}?page={}", share.path, other + 1));
                page.links.extend(href.map(|href| (words, href)));
            }
            let last = first + page.rows.len();
            let numbers = [first + 1, last, share.files.len()];
            fill(TEXTS.page_of, &numbers.map(|number| number.to_string()))
        }
    };
    page.qr = Some(format!("{}/qr.svg", share.path));
    page.written()
}

/// Writes the page that asks for the password, and says nothing else. `is_wrong`: one was given that is not it.
pub(super) fn password(path: &str, is_wrong: bool) -> String {
    let mut page = Page::new(path, TEXTS.password_heading);
    page.password = Some(Question {
        label: TEXTS.password_label,
        button: TEXTS.password_button,
        fault: is_wrong.then_some(TEXTS.password_wrong),
    });
    page.text = Some(TEXTS.password_why.to_owned());
    page.written()
}

/// Writes the page of a share all of whose downloads are held, the first of them for so long at the most.
pub(super) fn busy(path: &str, wait: Duration, trace: &str) -> String {
    let mut page = Page::new(path, TEXTS.busy);
    page.text = Some(match wait.as_secs().div_ceil(60) {
        0 => TEXTS.busy_no_more.to_owned(),
        minutes => fill(TEXTS.busy_for, &[people::span(minutes * 60)]),
    });
    page.links.push((TEXTS.again, path.to_owned()));
    page.trace = Some(fill(TEXTS.trace, &[trace]));
    page.written()
}

/// Writes the page of whatever else does not open, in these words.
pub(super) fn over(heading: &str, text: &str, trace: &str) -> String {
    let mut page = Page::new("", heading);
    page.text = Some(text.to_owned());
    page.trace = Some(fill(TEXTS.trace, &[trace]));
    page.written()
}

fn heading(share: &PageView<'_>) -> String {
    match (share.title, share.files.as_slice()) {
        (Some(title), _) => title.to_owned(),
        (None, [file]) => file.name.to_owned(),
        (None, files) => people::count(files.len() as u64, TEXTS.file),
    }
}

/// The bytes of the files that are there.
fn total(share: &PageView<'_>) -> u64 {
    let sizes = share.files.iter().map(|file| match file.state {
        EntryState::Ready { size, .. } => size,
        EntryState::Gone | EntryState::Damaged => 0,
    });
    sizes.fold(0, u64::saturating_add)
}

fn facts(share: &PageView<'_>, now: UnixSeconds) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if share.files.len() > 1 {
        let files = people::count(share.files.len() as u64, TEXTS.file);
        let total = [files, people::size(total(share))];
        facts.push((TEXTS.total, fill(TEXTS.total_of, &total)));
    }
    if let Some(expires) = share.expires {
        let end = [people::time(expires), people::span(expires.since(now))];
        facts.push((TEXTS.expires, fill(TEXTS.ends_in, &end)));
    }
    if let Access::Counted { left, allowed } = share.access {
        let left = [left, allowed].map(|number| number.to_string());
        facts.push((TEXTS.left, fill(TEXTS.left_of, &left)));
    }
    facts
}

/// The word on the button for all of it.
fn start(share: &PageView<'_>) -> Option<String> {
    let is_one =
        matches!(share.files.as_slice(), [file] if matches!(file.state, EntryState::Ready { .. }));
    match (share.access, share.zip) {
        (Access::Counted { .. }, _) if is_one => Some(TEXTS.download.to_owned()),
        (_, Some(size)) => Some(fill(TEXTS.all_as_zip, &[people::size(size)])),
        (_, None) => None,
    }
}

fn row<'a>(share: &PageView<'_>, file: &FileOnPage<'a>, previews: &mut usize) -> Row<'a> {
    let href = || {
        let name = encoded(file.name);
        format!("{}/files/{}/{name}", share.path, file.position)
    };
    // A column of buttons has a cell for each row.
    let without = match share.access {
        Access::Counted { .. } => RowAction::None,
        Access::Links | Access::Starts => RowAction::Empty,
    };
    let (size, kind, action) = match file.state {
        EntryState::Ready {
            size, media_type, ..
        } => {
            let action = match share.access {
                Access::Links => RowAction::Link(href()),
                Access::Starts => RowAction::Form(file.position),
                Access::Counted { .. } => RowAction::None,
            };
            (people::size(size), essence(media_type), action)
        }
        EntryState::Gone => (String::new(), TEXTS.gone, without),
        EntryState::Damaged => (String::new(), TEXTS.damaged, without),
    };
    let preview = match file.state {
        EntryState::Ready {
            media_type,
            is_passive: true,
            ..
        } if share.has_previews && share.access == Access::Links && *previews > 0 => {
            let essence = essence(media_type).to_ascii_lowercase();
            match essence.split('/').next() {
                Some("image") => Some(Preview::Image(href())),
                Some("audio") => Some(Preview::Audio(href())),
                Some("video") => Some(Preview::Video(href())),
                _ => None,
            }
        }
        _ => None,
    };
    *previews -= usize::from(preview.is_some());
    Row {
        name: file.name,
        size,
        kind,
        label: fill(TEXTS.download_of, &[file.name]),
        preview,
        preview_label: fill(TEXTS.preview_of, &[file.name]),
        action,
    }
}

#[cfg(test)]
mod tests;
