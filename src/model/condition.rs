//! Conditional requests (RFC 9110, §13).

use std::time::{Duration, UNIX_EPOCH};

use super::time::UnixSeconds;

/// The entity tag and the date by which a client recognises a version of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators {
    /// The strong entity tag, with its quotes, if there is one.
    pub etag: Option<String>,
    /// Time at which the file became ready. Its bytes never changed since, so this date is a strong validator, too.
    /// `None` of what has no such time.
    pub last_modified: Option<UnixSeconds>,
}

/// The conditions of one request, as its headers say them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// `If-Match`.
    pub if_match: Option<EntityTags>,
    /// `If-Unmodified-Since`, where it is a date.
    pub if_unmodified_since: Option<UnixSeconds>,
    /// `If-None-Match`.
    pub if_none_match: Option<EntityTags>,
    /// `If-Modified-Since`, where it is a date.
    pub if_modified_since: Option<UnixSeconds>,
}

/// The result of evaluating the conditions of a GET or HEAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreconditionOutcome {
    /// The file is to be sent.
    Send,
    /// The client has it: 304.
    NotModified,
    /// The client wants another one: 412.
    Failed,
}

/// The entity tags in a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`: whatever there is.
    Any,
    /// The entity tags of a list. Text that is no entity tag is among them and equals none of ours.
    These(Vec<String>),
}

impl EntityTags {
    /// Reads the value of `If-Match` or `If-None-Match`; several lines are joined with commas first.
    pub fn parse(text: &str) -> Self {
        if text.trim() == "*" {
            return Self::Any;
        }
        // A comma may stand inside the quotes of a foreign tag. Cutting there leaves pieces that equal
        // none of ours, whose tags have none.
        let pieces = text
            .split(',')
            .map(str::trim)
            .filter(|piece| !piece.is_empty());
        Self::These(pieces.map(str::to_owned).collect())
    }

    /// Compares by strong comparison (RFC 9110, §8.8.3.2): a weak tag equals nothing.
    fn match_strongly(&self, etag: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|tag| Some(tag.as_str()) == etag),
        }
    }

    /// Compares by weak comparison.
    fn match_weakly(&self, etag: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags
                .iter()
                .any(|tag| Some(tag.strip_prefix("W/").unwrap_or(tag)) == etag),
        }
    }
}

impl Preconditions {
    /// Evaluates the conditions of a GET or HEAD in the order of RFC 9110, §13.2.2. A date in the future
    /// is one like any other (§13.1.3): what was not changed since then was not changed.
    pub fn evaluate(&self, file: &Validators) -> PreconditionOutcome {
        let etag = file.etag.as_deref();
        // Without a date of its own, a condition on one counts for nothing (§13.1.3, §13.1.4).
        let is_later = |date| file.last_modified.map(|own| own > date);
        let failed = match (&self.if_match, self.if_unmodified_since) {
            (Some(tags), _) => !tags.match_strongly(etag),
            (None, Some(date)) => is_later(date) == Some(true),
            (None, None) => false,
        };
        if failed {
            return PreconditionOutcome::Failed;
        }
        let client_has_it = match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) => tags.match_weakly(etag),
            (None, Some(date)) => is_later(date) == Some(false),
            (None, None) => false,
        };
        if client_has_it {
            PreconditionOutcome::NotModified
        } else {
            PreconditionOutcome::Send
        }
    }
}

impl Validators {
    /// `Last-Modified` as it stands in the header, if there is a time for it.
    pub fn last_modified_header(&self) -> Option<String> {
        let since = self
            .last_modified
            .map(|time| Duration::from_secs(time.get()));
        since.map(|since| httpdate::fmt_http_date(UNIX_EPOCH + since))
    }

    /// Returns whether an `If-Range` of this value lets a range through (RFC 9110, §13.1.5): our own tag, or exactly
    /// our own date.
    pub fn let_range_through(&self, if_range: &str) -> bool {
        let is_tag = self.etag.as_ref().is_some_and(|etag| etag == if_range);
        is_tag
            || self
                .last_modified
                .is_some_and(|own| http_date(if_range) == Some(own))
    }
}

/// Reads an HTTP date in any of its three forms (RFC 9110, §5.6.7).
pub fn http_date(text: &str) -> Option<UnixSeconds> {
    let time = httpdate::parse_http_date(text).ok()?;
    UnixSeconds::new(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "\"0123\"";

    fn file() -> Validators {
        Validators {
            etag: Some(OURS.into()),
            last_modified: UnixSeconds::new(1_000),
        }
    }

    fn outcome(conditions: &Preconditions) -> PreconditionOutcome {
        conditions.evaluate(&file())
    }

    fn tags(text: &str) -> Option<EntityTags> {
        Some(EntityTags::parse(text))
    }

    fn seconds(seconds: u64) -> Option<UnixSeconds> {
        UnixSeconds::new(seconds)
    }

    #[test]
    fn if_none_match_compares_weakly() {
        for has_it in [
            "*",
            OURS,
            "W/\"0123\"",
            "\"zz\", W/\"0123\"",
            " \"a,b\" ,\"0123\"",
        ] {
            let conditions = Preconditions {
                if_none_match: tags(has_it),
                ..Preconditions::default()
            };
            assert_eq!(
                outcome(&conditions),
                PreconditionOutcome::NotModified,
                "{has_it}"
            );
        }
        for other in ["\"zz\"", "0123", "", "garbage", "\"0123", "w/\"0123\""] {
            let conditions = Preconditions {
                if_none_match: tags(other),
                ..Preconditions::default()
            };
            assert_eq!(outcome(&conditions), PreconditionOutcome::Send, "{other}");
        }
    }

    #[test]
    fn if_match_compares_strongly() {
        for ours in ["*", OURS, "\"zz\",\"0123\""] {
            let conditions = Preconditions {
                if_match: tags(ours),
                ..Preconditions::default()
            };
            assert_eq!(outcome(&conditions), PreconditionOutcome::Send, "{ours}");
        }
        for other in ["W/\"0123\"", "\"zz\"", "garbage", ""] {
            let conditions = Preconditions {
                if_match: tags(other),
                ..Preconditions::default()
            };
            assert_eq!(outcome(&conditions), PreconditionOutcome::Failed, "{other}");
        }
    }

    #[test]
    fn dates_compare_to_the_second_and_tags_come_first() {
        let since = |date| Preconditions {
            if_modified_since: seconds(date),
            ..Preconditions::default()
        };
        assert_eq!(outcome(&since(999)), PreconditionOutcome::Send);
        assert_eq!(outcome(&since(1_000)), PreconditionOutcome::NotModified);
        assert_eq!(
            outcome(&since(99_999_999_999)),
            PreconditionOutcome::NotModified
        );
        let other_tag = Preconditions {
            if_none_match: tags("\"zz\""),
            ..since(1_000)
        };
        assert_eq!(outcome(&other_tag), PreconditionOutcome::Send);
        let unmodified = |date| Preconditions {
            if_unmodified_since: seconds(date),
            ..Preconditions::default()
        };
        assert_eq!(outcome(&unmodified(999)), PreconditionOutcome::Failed);
        assert_eq!(outcome(&unmodified(1_000)), PreconditionOutcome::Send);
        let our_tag = Preconditions {
            if_match: tags(OURS),
            ..unmodified(0)
        };
        assert_eq!(outcome(&our_tag), PreconditionOutcome::Send);
        let both = Preconditions {
            if_match: tags("\"zz\""),
            if_none_match: tags("*"),
            ..Preconditions::default()
        };
        assert_eq!(
            outcome(&both),
            PreconditionOutcome::Failed,
            "412 comes before 304"
        );
    }

    #[test]
    fn if_range_is_our_tag_or_exactly_our_date() {
        let file = file();
        let date = "Thu, 01 Jan 1970 00:16:40 GMT";
        assert_eq!(file.last_modified_header().as_deref(), Some(date));
        for good in [OURS, date, "Thursday, 01-Jan-70 00:16:40 GMT"] {
            assert!(file.let_range_through(good), "{good}");
        }
        for bad in [
            "W/\"0123\"",
            "\"zz\"",
            "*",
            "",
            "Thu, 01 Jan 1970 00:16:41 GMT",
            "0123",
        ] {
            assert!(!file.let_range_through(bad), "{bad}");
        }
    }

    #[test]
    fn without_validators_only_tags_and_stars_decide() {
        let bare = Validators {
            etag: None,
            last_modified: None,
        };
        let send = PreconditionOutcome::Send;
        let with = |conditions: Preconditions| conditions.evaluate(&bare);
        for date in [0, 99_999_999_999] {
            let since = Preconditions {
                if_modified_since: seconds(date),
                if_unmodified_since: seconds(date),
                ..Preconditions::default()
            };
            assert_eq!(with(since), send);
        }
        let if_match = |text| Preconditions {
            if_match: tags(text),
            ..Preconditions::default()
        };
        assert_eq!(with(if_match(OURS)), PreconditionOutcome::Failed);
        assert_eq!(with(if_match("*")), send);
        let if_none_match = Preconditions {
            if_none_match: tags(OURS),
            ..Preconditions::default()
        };
        assert_eq!(with(if_none_match), send);
        assert!(!bare.let_range_through(OURS));
        assert!(!bare.let_range_through("Thu, 01 Jan 1970 00:16:40 GMT"));
    }
}
