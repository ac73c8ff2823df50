//! The page of a share: what is in it, and how each thing is had. Showing it spends nothing, and it has no script.
//!
//! It has five states: the files; the question for the password, before which nothing at all is said of the share; busy,
//! where all downloads that are left are held; over, where it opens no more or never did; and the files with a hint that
//! all downloads were started, for whoever started one of them. The title, and what previews show, never name a file or
//! the share unless the operator wants it so; the page does, to those who are let in.

use std::time::Duration;

use askama::Template;

use super::path::encoded;
use crate::gateway::share_files::OfferedArchive;
use crate::model::time::UnixSeconds;
use crate::web::html::{Frame, PageContext, essence, fill};
use crate::web::people;
use crate::web::texts::{Message, Texts};

use notes::Notes;

mod notes;

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
    /// The zip of all, where there is one.
    pub zip: OfferedArchive,
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
        /// True if it is served from where it lay before.
        is_in_place: bool,
        /// True if the checksum that a zip has of each file is not known, and is being taken.
        is_checksum_pending: bool,
        /// Its own end, where it has one.
        expires: Option<UnixSeconds>,
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
    frame: Frame<'a>,
    heading: &'a str,
    note: Option<&'a str>,
    facts: Vec<(&'static str, String)>,
    password: Option<Question>,
    /// The path to which its forms are posted.
    open: String,
    /// The word on the button for all of it, if there is one.
    start: Option<String>,
    /// What is to be known before that is pressed.
    hints: Vec<&'static str>,
    caption: String,
    columns: Columns,
    has_actions: bool,
    rows: Vec<Row<'a>>,
    text: Option<String>,
    links: Vec<(&'static str, String)>,
    qr: Option<String>,
    qr_label: &'static str,
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
    notes: Vec<String>,
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
    fn new(page: PageContext<'a>, path: &str, heading: &'a str) -> Self {
        let texts = page.texts;
        Self {
            frame: Frame::new(page, texts.title),
            heading,
            note: None,
            facts: Vec::new(),
            password: None,
            open: format!("{path}/open"),
            start: None,
            hints: Vec::new(),
            caption: String::new(),
            columns: Columns {
                name: texts.name,
                size: texts.size,
                kind: texts.kind,
                action: texts.download,
            },
            has_actions: false,
            rows: Vec::new(),
            text: None,
            links: Vec::new(),
            qr: None,
            qr_label: texts.qr,
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
pub(super) fn files(
    context: PageContext<'_>,
    share: &PageView<'_>,
    number: usize,
    now: UnixSeconds,
) -> String {
    let texts = context.texts;
    let heading = heading(texts, share);
    let mut page = Page::new(context, share.path, &heading);
    if share.is_named_to_previews {
        page.frame.title = &heading;
    }
    page.note = share.note;
    page.facts = facts(texts, share, now);
    page.start = start(texts, share);
    let notes = Notes::of(share);
    page.hints = notes.of_all(texts);
    let is_there = |file: &&FileOnPage<'_>| matches!(file.state, EntryState::Ready { .. });
    page.text = match share.access {
        _ if !share.files.iter().any(|file| is_there(&file)) => Some(texts.nothing.to_owned()),
        Access::Counted { .. } if share.zip == OfferedArchive::NamesTooLong => {
            Some(texts.names_too_long_to_count.to_owned())
        }
        Access::Counted { left: 0, .. } => Some(texts.all_started.to_owned()),
        Access::Counted { .. } => Some(texts.counted.to_owned()),
        Access::Links | Access::Starts => None,
    };
    let first = number * FILES_PER_PAGE;
    let listed = share.files.iter().skip(first).take(FILES_PER_PAGE);
    page.has_actions = !matches!(share.access, Access::Counted { .. });
    let mut previews = PREVIEWS_MAX;
    page.rows = listed
        .map(|file| row(texts, share, file, &notes, &mut previews))
        .collect();
    page.caption = match pages(share.files.len()) {
        1 => texts.files.to_owned(),
        all => {
            for (words, other) in [
                (texts.previous, number.checked_sub(1)),
                (texts.next, Some(number + 1).filter(|next| *next < all)),
            ] {
                let href = other.map(|other| format!("{}?page={}", share.path, other + 1));
                page.links.extend(href.map(|href| (words, href)));
            }
            let last = first + page.rows.len();
            let numbers = [first + 1, last, share.files.len()];
            let numbers = numbers.map(|number| people::number(texts, number as u64));
            fill(texts.files_of, &numbers)
        }
    };
    page.qr = Some(format!("{}/qr.svg", share.path));
    page.written()
}

/// Writes the page that asks for the password, and says nothing else. `is_wrong`: one was given that is not it.
pub(super) fn password(context: PageContext<'_>, path: &str, is_wrong: bool) -> String {
    let texts = context.texts;
    let mut page = Page::new(context, path, texts.password_heading);
    page.password = Some(Question {
        label: texts.password_label,
        button: texts.password_button,
        fault: is_wrong.then_some(texts.password_wrong),
    });
    page.text = Some(texts.password_why.to_owned());
    page.written()
}

/// Writes the page of a share all of whose downloads are held, the first of them for so long at the most.
pub(super) fn busy(context: PageContext<'_>, path: &str, wait: Duration, trace: &str) -> String {
    let texts = context.texts;
    let mut page = Page::new(context, path, texts.share_held);
    page.text = Some(match wait.as_secs().div_ceil(60) {
        0 => texts.share_held_no_more.to_owned(),
        minutes => fill(texts.share_held_for, &[people::span(texts, minutes * 60)]),
    });
    page.links.push((texts.again, path.to_owned()));
    page.trace = Some(fill(texts.trace, &[trace]));
    page.written()
}

/// Writes the page of whatever else does not open.
pub(super) fn over(context: PageContext<'_>, message: Message, trace: &str) -> String {
    let mut page = Page::new(context, "", message.heading);
    page.text = Some(message.text.to_owned());
    page.trace = Some(fill(context.texts.trace, &[trace]));
    page.written()
}

fn heading(texts: &Texts, share: &PageView<'_>) -> String {
    match (share.title, share.files.as_slice()) {
        (Some(title), _) => title.to_owned(),
        (None, [file]) => file.name.to_owned(),
        (None, files) => people::count(texts, files.len() as u64, texts.file_count),
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

fn facts(
    texts: &'static Texts,
    share: &PageView<'_>,
    now: UnixSeconds,
) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if share.files.len() > 1 {
        let files = people::count(texts, share.files.len() as u64, texts.file_count);
        let total = [files, people::size(texts, total(share))];
        facts.push((texts.total, fill(texts.total_of, &total)));
    }
    if let Some(expires) = share.expires {
        let until = people::span(texts, expires.since(now));
        let end = [people::time(texts, expires), until];
        facts.push((texts.expires, fill(texts.ends_in, &end)));
    }
    if let Access::Counted { left, allowed } = share.access {
        let left = [left, allowed].map(|number| people::number(texts, number));
        facts.push((texts.left, fill(texts.left_of, &left)));
    }
    facts
}

/// The word on the button for all of it.
fn start(texts: &Texts, share: &PageView<'_>) -> Option<String> {
    let is_one =
        matches!(share.files.as_slice(), [file] if matches!(file.state, EntryState::Ready { .. }));
    match (share.access, share.zip) {
        (Access::Counted { .. }, _) if is_one => Some(texts.download.to_owned()),
        (_, OfferedArchive::Bytes(size)) => {
            Some(fill(texts.all_as_zip, &[people::size(texts, size)]))
        }
        (_, OfferedArchive::None | OfferedArchive::NamesTooLong) => None,
    }
}

fn row<'a>(
    texts: &'static Texts,
    share: &PageView<'_>,
    file: &FileOnPage<'a>,
    notes: &Notes,
    previews: &mut usize,
) -> Row<'a> {
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
            (people::size(texts, size), essence(media_type), action)
        }
        EntryState::Gone => (String::new(), texts.gone, without),
        EntryState::Damaged => (String::new(), texts.damaged, without),
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
        notes: notes.of_one(texts, file),
        size,
        kind,
        label: fill(texts.download_of, &[file.name]),
        preview,
        preview_label: fill(texts.preview_of, &[file.name]),
        action,
    }
}

#[cfg(test)]
mod tests;
