//! The lines for a person under the links of a share: further addresses, the end, and how it is stopped.

use super::people::{self, People};
use super::publish::Published;
use crate::cli::failure::complain;
use crate::cli::link_base::Others;
use crate::cli::qr;
use crate::model::time::UnixSeconds;

/// The width of an address that the end stands beside.
const ADDRESS_WIDTH: usize = 42;

/// The facts that the lines say.
pub(in crate::cli) struct Announcement<'a> {
    pub(in crate::cli) published: &'a Published,
    pub(in crate::cli) others: &'a Others,
    /// True if the files stay when the command has ended.
    pub(in crate::cli) is_kept: bool,
    /// True if another process serves them, and the command ends at once.
    pub(in crate::cli) is_served_elsewhere: bool,
    /// True if the first address is drawn as a QR code, too.
    pub(in crate::cli) is_drawn: bool,
}

impl Announcement<'_> {
    /// Says it. Where nobody looks on, the other addresses are said on standard error all the same.
    pub(in crate::cli) fn say(&self, is_json: bool, now: UnixSeconds) {
        let people = People::find(is_json);
        if people == People::Nobody {
            return self.others.note();
        }
        self.others.only_here().into_iter().for_each(complain);
        for line in self.lines(now) {
            people.say(&line);
        }
        let drawn = self.published.urls.first().filter(|_| self.is_drawn);
        match drawn.map(|url| qr::drawn(url)) {
            Some(Some(code)) => code.iter().for_each(|line| people.draw(line)),
            Some(None) => complain("the address is too long for a QR code"),
            None => {}
        }
    }

    /// Returns the lines under the links: at what else they open, until when, and how it is stopped.
    fn lines(&self, now: UnixSeconds) -> Vec<String> {
        let until = self.published.expires.map(|end| {
            // To the nearest minute: a second has gone by since an hour began.
            let left = end.since(now);
            let span = people::span(if left < 60 { left } else { left + 30 });
            format!("open until {} ({span})", people::clock(end, now))
        });
        let how = match (self.is_served_elsewhere, self.is_kept) {
            (true, _) => "served by the gateway that runs here",
            (false, true) => "Ctrl-C stops it, the files stay",
            (false, false) => "Ctrl-C stops it",
        };
        let last: Vec<String> = until.into_iter().chain([how.to_owned()]).collect();
        let last = last.join(" · ");
        let bases = self.others.bases();
        let mut lines: Vec<String> = bases.map(|base| format!("also at {base}/…")).collect();
        match lines.last_mut() {
            Some(line) => *line = format!("{line:<ADDRESS_WIDTH$} {last}"),
            None => lines.push(last),
        }
        lines
    }
}
