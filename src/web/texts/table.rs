//! The table of texts.

/// Every text of the pages in one language. `{}` is where a number, a size, a time, a name or a span of time goes.
#[derive(Debug)]
pub struct Texts {
    /// The language, as the attribute `lang` has it (RFC 5646).
    pub lang: &'static str,
    /// What stands before the fraction of a number.
    pub decimal: char,
    /// What stands between the thousands of a number.
    pub thousands: char,
    /// The unit of sizes below 1,000.
    pub bytes: Plural,
    /// A time to the minute: `{day}`, `{month}`, `{year}` and `{time}` stand for its parts.
    pub time: &'static str,
    /// The months, from January on.
    pub months: [&'static str; 12],
    /// A span of less than a minute.
    pub moment: &'static str,
    /// A span in minutes.
    pub minutes: Plural,
    /// A span in hours.
    pub hours: Plural,
    /// A span in days.
    pub days: Plural,
    /// A number of files.
    pub file_count: Plural,
    /// A number of downloads.
    pub download_count: Plural,
    /// What tabs and previews show.
    pub title: &'static str,
    /// The label of a file's name on a page that is about something else.
    pub file: &'static str,
    /// The caption of a list of files.
    pub files: &'static str,
    /// The caption of a part of a list: its first, its last, and how many there are.
    pub files_of: &'static str,
    /// The label of names.
    pub name: &'static str,
    /// The label of sizes.
    pub size: &'static str,
    /// The label of media types.
    pub kind: &'static str,
    /// The button that downloads.
    pub download: &'static str,
    /// The same for who cannot see of which file.
    pub download_of: &'static str,
    /// The button that downloads all, with the size.
    pub all_as_zip: &'static str,
    /// What stands for a picture of a file where it is not seen.
    pub preview_of: &'static str,
    /// The label of an end.
    pub expires: &'static str,
    /// An end: a time, and the span until then.
    pub ends_in: &'static str,
    /// The label of what is left of counted downloads.
    pub left: &'static str,
    /// How many are left, and of how many.
    pub left_of: &'static str,
    /// The label of what files are together.
    pub total: &'static str,
    /// How many files, and their size.
    pub total_of: &'static str,
    /// In the place of a file that was deleted or withdrawn.
    pub gone: &'static str,
    /// In the place of a file whose bytes are damaged.
    pub damaged: &'static str,
    /// Below the name of a file that has an end of its own, with the time.
    pub file_expires: &'static str,
    /// Below the name of a file that is served in place.
    pub in_place: &'static str,
    /// Where all files are served in place.
    pub all_in_place: &'static str,
    /// Below the button for all as zip, as long as checksums of files are not known.
    pub checksums_pending: &'static str,
    /// In the place of the button for all as zip, where there is none as the names are too long.
    pub names_too_long: &'static str,
    /// The same where downloads are counted, and there is no other way.
    pub names_too_long_to_count: &'static str,
    /// Says when a download is counted.
    pub counted: &'static str,
    /// Says that nothing is left but for who started a download.
    pub all_started: &'static str,
    /// Says that no file is left in a share.
    pub nothing: &'static str,
    /// The link to the next part of a list.
    pub next: &'static str,
    /// The link to the part of a list before.
    pub previous: &'static str,
    /// What stands for the QR code where it is not seen.
    pub qr: &'static str,
    /// Asks for the password.
    pub password_heading: &'static str,
    /// The label of the password.
    pub password_label: &'static str,
    /// The button that sends it.
    pub password_button: &'static str,
    /// Says who knows it.
    pub password_why: &'static str,
    /// Says that it was another one.
    pub password_wrong: &'static str,
    /// A share all of whose downloads are held.
    pub share_held: &'static str,
    /// Says for how long, at most.
    pub share_held_for: &'static str,
    /// Says that it may be over.
    pub share_held_no_more: &'static str,
    /// A counted link all of whose downloads are held.
    pub link_held: &'static str,
    /// Says for how long, at most.
    pub link_held_for: &'static str,
    /// Says that it may be over.
    pub link_held_no_more: &'static str,
    /// The link to the same page, later.
    pub again: &'static str,
    /// A counted link all of whose downloads are spent, with how many they were.
    pub link_spent: Message,
    /// The id by which the log knows the request.
    pub trace: &'static str,
    /// An address at which there never was anything.
    pub no_route: Message,
    /// 401: a link that is not valid, or no longer.
    pub link_invalid: Message,
    /// 404: a file that is not there.
    pub file_missing: Message,
    /// 409: a link that others use.
    pub in_use: Message,
    /// 410: a link that was used up.
    pub used_up: Message,
    /// 429: too many requests.
    pub too_many: Message,
    /// 503: a service that is busy.
    pub unavailable: Message,
    /// Any other 4xx.
    pub not_possible: Message,
    /// Any other 5xx.
    pub failed: Message,
}

/// A text about a number of things, which goes where `{}` is.
#[derive(Clone, Copy, Debug)]
pub struct Plural {
    /// The text for one thing.
    pub one: &'static str,
    /// The text for none, and for several.
    pub other: &'static str,
}

impl Plural {
    /// A text that is the same for every number.
    pub(super) const fn same(text: &'static str) -> Self {
        Self {
            one: text,
            other: text,
        }
    }
}

/// A heading, and a text that explains it.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// The heading.
    pub heading: &'static str,
    /// The text.
    pub text: &'static str,
}
