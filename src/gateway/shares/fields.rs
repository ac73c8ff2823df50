//! What may be asked of a share, and what is wrong with it.

use super::super::Gateway;
use super::super::passwords::Password;
use super::super::refusal::FieldFault;
use crate::catalog::shares::ShareEdit;
use crate::model::name::is_hidden;
use crate::model::share::{ShareNetwork, ShareOptions};
use crate::model::time::{UNIX_SECONDS_MAX, UnixSeconds};
use crate::sign::counted::DOWNLOADS_MAX;

/// The longest heading, in characters.
pub const SHARE_TITLE_CHARS_MAX: usize = 200;

/// The longest text under it, in characters.
pub const SHARE_NOTE_CHARS_MAX: usize = 2_000;

/// The lifetime of a share of which nobody said one, in seconds, where `shares.lifetime_max` allows it: 30 days.
pub const SHARE_LIFETIME_DEFAULT: u64 = 2_592_000;

/// The time for which the link id of a share is denied where shares may have no end, in seconds: ten years.
const SHARE_DENIED_SECONDS: u64 = 10 * 366 * 86_400;

/// What is asked of a share, each as the caller wrote it. `None` is not said; of what may be missing, `Some(None)` is
/// said to be none.
#[derive(Debug, Default)]
pub struct ShareFields {
    /// The ids of its files.
    pub files: Option<Vec<String>>,
    /// The paths of these files there, from the first on; a file without one goes by its name.
    pub paths: Vec<String>,
    /// A folder, whose files as they are now are put into it, too.
    pub folder_id: Option<String>,
    /// Its heading.
    pub title: Option<String>,
    /// The text under it.
    pub note: Option<String>,
    /// Its lifetime from now on, in seconds; none: until it is revoked.
    pub expires_in: Option<Option<u64>>,
    /// Unix seconds from which on it opens.
    pub not_before: Option<Option<u64>>,
    /// The downloads that it allows; none: they are not counted.
    pub max_downloads: Option<Option<u64>>,
    /// Its password; none: it opens without one.
    pub password: Option<Option<Password>>,
    /// The address or network that may open it.
    pub ip: Option<Option<String>>,
    /// Whether its page shows pictures and plays media.
    pub preview: Option<bool>,
    /// Whether its page offers all files as one archive.
    pub zip: Option<bool>,
    /// `active` or `paused`; of a share that is there alone.
    pub state: Option<String>,
}

impl Gateway {
    /// Checks what is asked of a share, but for its files; `before` is what its page offers unless something else is asked.
    pub(super) fn asked_of_share(
        &self,
        fields: &ShareFields,
        now: UnixSeconds,
        before: ShareOptions,
    ) -> Result<ShareEdit, FieldFault> {
        let options = ShareOptions {
            preview: fields.preview.unwrap_or(before.preview),
            zip: fields.zip.unwrap_or(before.zip),
        };
        let title = fields.title.as_deref();
        let note = fields.note.as_deref();
        Ok(ShareEdit {
            title: title.map(of_title).transpose()?,
            note: note.map(of_note).transpose()?,
            expires: match fields.expires_in {
                Some(lifetime) => Some(self.end_of_share(lifetime, now)?),
                None => None,
            },
            not_before: fields.not_before.map(of_not_before).transpose()?,
            allowed: fields.max_downloads.map(of_downloads).transpose()?,
            ip: match &fields.ip {
                Some(text) => Some(text.as_deref().map(of_network).transpose()?),
                None => None,
            },
            // It is hashed once all else is good.
            password: None,
            paused: fields.state.as_deref().map(of_state).transpose()?,
            options: (options != before).then_some(options),
            files: None,
        })
    }

    /// The longest that anything which has a link id may open from now on, in seconds: a link, or a share, whose time
    /// nobody makes longer while it is denied.
    pub(in crate::gateway) fn longest_lifetime(&self) -> u64 {
        let of_shares = self.settings.share_lifetime_max;
        let of_shares = of_shares.unwrap_or(SHARE_DENIED_SECONDS);
        self.settings.lifetime_max.max(of_shares)
    }

    /// The end of a share of this lifetime.
    pub(super) fn end_of_share(
        &self,
        lifetime: Option<u64>,
        now: UnixSeconds,
    ) -> Result<Option<UnixSeconds>, FieldFault> {
        let max = self.settings.share_lifetime_max;
        let Some(lifetime) = lifetime else {
            return match max {
                None => Ok(None),
                Some(max) => Err(FieldFault::missing(
                    "expires_in",
                    format!("must be 1 to {max} seconds: shares.lifetime_max is not \"never\""),
                )),
            };
        };
        // A time has eleven digits.
        let longest = UNIX_SECONDS_MAX.saturating_sub(now.get());
        let max = max.unwrap_or(longest).min(longest);
        if !(1..=max).contains(&lifetime) {
            let why = format!("must be 1 to {max} seconds");
            return Err(FieldFault::new("expires_in", lifetime.to_string(), why));
        }
        Ok(Some(now.plus(lifetime)))
    }
}

fn of_title(text: &str) -> Result<String, FieldFault> {
    let is_good = text.chars().count() <= SHARE_TITLE_CHARS_MAX && !text.chars().any(is_hidden);
    let why = || {
        format!(
            "must be at most {SHARE_TITLE_CHARS_MAX} characters, none of which is a control character or turns \
             the direction of text"
        )
    };
    match is_good {
        true => Ok(text.trim().to_owned()),
        false => Err(FieldFault::new("title", text, why())),
    }
}

fn of_note(text: &str) -> Result<String, FieldFault> {
    let is_bad = |c: char| is_hidden(c) && c != '\n';
    let text = text.replace("\r\n", "\n");
    let is_good = text.chars().count() <= SHARE_NOTE_CHARS_MAX && !text.chars().any(is_bad);
    let why = || {
        format!(
            "must be at most {SHARE_NOTE_CHARS_MAX} characters, none of which but the ends of lines is a control \
             character or turns the direction of text"
        )
    };
    match is_good {
        true => Ok(text.trim().to_owned()),
        false => Err(FieldFault::new("note", text, why())),
    }
}

fn of_not_before(seconds: Option<u64>) -> Result<Option<UnixSeconds>, FieldFault> {
    let Some(seconds) = seconds else {
        return Ok(None);
    };
    let why = "must be Unix time in seconds, of eleven digits at most";
    let fault = || FieldFault::new("not_before", seconds.to_string(), why);
    UnixSeconds::new(seconds).map(Some).ok_or_else(fault)
}

fn of_downloads(number: Option<u64>) -> Result<Option<u64>, FieldFault> {
    let max = u64::from(DOWNLOADS_MAX);
    match number {
        Some(number) if !(1..=max).contains(&number) => {
            let why = format!("must be a whole number from 1 to {max}");
            Err(FieldFault::new("max_downloads", number.to_string(), why))
        }
        number => Ok(number),
    }
}

fn of_network(text: &str) -> Result<ShareNetwork, FieldFault> {
    let why = "must be an IP address, or a network such as 192.0.2.0/24";
    ShareNetwork::parse(text).ok_or_else(|| FieldFault::new("ip", text, why))
}

fn of_state(word: &str) -> Result<bool, FieldFault> {
    match word {
        "active" => Ok(false),
        "paused" => Ok(true),
        other => Err(FieldFault::new("state", other, "must be active or paused")),
    }
}
