//! Every reason why the gateway says no, in its own words. There is no HTTP in here: each API dialect
//! maps these to its envelope in one function of its own.

use std::time::Duration;

use crate::blob::BlobError;
use crate::catalog::quota::{BYTES_KEPT, FILES_KEPT};
use crate::catalog::{self, CatalogError, KeyEnd};
use crate::model::key::Scope;
use crate::sign::verify::Rejection;

/// The names that [`Refusal::Missing`] has for a space, and a folder, that the caller cannot see.
pub use crate::catalog::{FOLDER, SPACE};

/// What [`Refusal::TooMany`] counts where an API key uploads too much at once.
pub const API_KEY_UPLOADS: &str = "uploads with one API key";
/// What it counts where an organization does.
pub const ORGANIZATION_UPLOADS: &str = "uploads of one organization";

/// The reason why the gateway did not do as asked. `Display` is for the log and the command line; what a client may
/// see is each dialect's own decision.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The link opens nothing. A client is never told why.
    #[error("the link does not open: {}", .0.label())]
    Link(Rejection),
    /// There is no such file, or it was deleted.
    #[error("the file does not exist or has been deleted")]
    FileNotFound,
    /// All downloads of a counted link are spent.
    #[error("all downloads of the link are spent")]
    DownloadsExhausted,
    /// All downloads of a counted link that are left are held by others.
    #[error("all downloads of the link are held by others: again in {} s", whole_seconds(*.wait))]
    DownloadsHeld {
        /// The time until the first of them may lapse.
        wait: Duration,
    },
    /// The share was revoked, and stays as it is.
    #[error("the share has been revoked")]
    ShareRevoked,
    /// The share opens nothing until it is rotated, and gets no more time before.
    #[error("the share opens nothing until it is rotated")]
    ShareStale,
    /// The ticket of a counted download gave as many bytes as it may, or would with this answer.
    #[error("the ticket gives no so many bytes any more")]
    Overdrawn,
    /// A share has a password, and the client neither has its pass nor gave it.
    #[error("the password of the share {}", if *.is_wrong { "is wrong" } else { "was not given" })]
    PasswordNeeded {
        /// True if another one was given.
        is_wrong: bool,
    },
    /// No API key was presented.
    #[error("no API key was presented")]
    KeyMissing,
    /// No such API key, or none could be read.
    #[error("the API key is unknown")]
    KeyUnknown,
    /// The API key's time is over.
    #[error("the API key has expired")]
    KeyExpired,
    /// The API key is paused.
    #[error("the API key is paused")]
    KeyPaused,
    /// The API key was deactivated.
    #[error("the API key has been deactivated")]
    KeyDeactivated,
    /// The API key belongs to another organization.
    #[error("the API key belongs to another organization")]
    OrganizationDenied,
    /// The API key lacks a scope.
    #[error("the API key lacks the scope {}", .0.as_str())]
    ScopeMissing(Scope),
    /// One field or parameter of the call is wrong.
    #[error(transparent)]
    Field(#[from] FieldFault),
    /// The thing to be made exists already.
    #[error("{what} exists already")]
    Exists {
        /// The kind of thing.
        what: &'static str,
    },
    /// The named thing, other than a file, does not exist.
    #[error("{what} does not exist")]
    Missing {
        /// The kind of thing.
        what: &'static str,
    },
    /// A named limit is reached.
    #[error("the limit of {limit} {what} is reached")]
    Limit {
        /// The kind of thing that is counted.
        what: &'static str,
        /// The most that there may be.
        limit: u64,
    },
    /// An organization revoked as many links by their ids alone as it may.
    #[error("the limit of {limit} {what} is reached: send the whole link, whose file is known")]
    RevocationsFull {
        /// The kind of thing that is counted.
        what: &'static str,
        /// The most that there may be.
        limit: u64,
    },
    /// The file is larger than it may be: than `uploads.size_max` where it came over the network.
    #[error("the file is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Somebody has had as much as there may be, and may have more later.
    #[error("too many {what}: again in {} s", whole_seconds(*.wait))]
    TooMany {
        /// The thing that is counted, and its owner.
        what: &'static str,
        /// The time until it may be tried again.
        wait: Duration,
    },
    /// The organization keeps as much as it may.
    #[error("the quota of {limit} {what} is reached")]
    Quota {
        /// The thing that is counted.
        what: &'static str,
        /// The most that there may be.
        limit: u64,
    },
    /// A request with the same idempotency key is being worked on.
    #[error("a request with this idempotency key is being worked on")]
    KeyAtWork,
    /// The idempotency key was used for something else.
    #[error("this idempotency key was used for another request")]
    KeyOfAnother,
    /// There is no room for more bytes or rows.
    #[error("no space left")]
    NoSpace,
    /// A revocation could not be written, and holds in memory.
    #[error("the revocation holds on this gateway, but could not be written yet: the disk is full")]
    RevocationHeld,
    /// A revocation could not be written, and as many hold in memory as may.
    #[error("the revocation could not be written: the disk is full")]
    RevocationLost,
    /// The catalogue or the blob store cannot be reached in time; trying again later may help.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// Something is broken on our side. The text is for the log alone.
    #[error("internal error: {0}")]
    Internal(String),
}

/// An error in one field or parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub struct FieldFault {
    /// The field's name as the caller wrote it.
    pub field: String,
    /// The value as the caller wrote it, if there was one.
    pub value: Option<String>,
    /// The error, as the end of a sentence that begins with the field: `must be 1 to 100`.
    pub why: String,
}

impl FieldFault {
    /// A fault of a field that has a value.
    pub fn new(field: impl Into<String>, value: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            value: Some(value.into()),
            why: why.into(),
        }
    }

    /// A fault of a field whose value some parser refused, in that parser's words.
    pub fn invalid(
        field: impl Into<String>,
        value: impl Into<String>,
        error: impl std::error::Error,
    ) -> Self {
        Self::new(field, value, format!("is not valid: {error}"))
    }

    /// A field that must be there and is not.
    pub fn required(field: impl Into<String>) -> Self {
        Self::missing(field, "is required")
    }

    /// A fault of a field whose value is not repeated: there is none, or it is long or secret.
    pub fn missing(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            value: None,
            why: why.into(),
        }
    }
}

/// The error and everything that led to it, on one line. Some libraries repeat the cause in their own
/// text: what the line ends with already is not said again.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

/// The setting that a quota of `what` comes from.
fn quota_setting(what: &str) -> &'static str {
    if what == FILES_KEPT {
        "limits.organization_files"
    } else {
        "limits.organization_bytes"
    }
}

/// So many seconds that no less time has passed after them, and at least one.
pub fn whole_seconds(wait: Duration) -> u64 {
    let begun = u64::from(wait.subsec_nanos() > 0);
    wait.as_secs().saturating_add(begun).max(1)
}

impl Refusal {
    /// Returns the refusal of a text that is no link at all.
    pub const fn no_link() -> Self {
        Self::Link(Rejection::Malformed)
    }

    /// Returns whether the caller's API key is the reason: there is none, or it does not work.
    pub const fn is_of_the_key(&self) -> bool {
        matches!(
            self,
            Self::KeyMissing
                | Self::KeyUnknown
                | Self::KeyExpired
                | Self::KeyPaused
                | Self::KeyDeactivated
        )
    }

    /// The setting that an operator changes so that the same is not refused again, where there is one.
    pub fn setting(&self) -> Option<&'static str> {
        match self {
            Self::TooLarge { .. } => Some("uploads.size_max"),
            Self::Quota { what, .. } => Some(quota_setting(what)),
            Self::RevocationsFull { .. } => Some("links.denied_ids_max"),
            Self::TooMany { what, .. } if *what == API_KEY_UPLOADS => {
                Some("limits.api_key_uploads")
            }
            Self::TooMany { what, .. } if *what == ORGANIZATION_UPLOADS => {
                Some("limits.organization_uploads")
            }
            _ => None,
        }
    }

    /// A short, stable word for logs and metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Link(rejection) => rejection.label(),
            Self::FileNotFound => "file_not_found",
            Self::DownloadsExhausted => "downloads_exhausted",
            Self::DownloadsHeld { .. } => "download_in_progress",
            Self::ShareRevoked => "share_revoked",
            Self::ShareStale => "share_stale",
            Self::Overdrawn => "overdrawn",
            Self::PasswordNeeded { is_wrong: true } => "password_wrong",
            Self::PasswordNeeded { is_wrong: false } => "password_missing",
            Self::KeyMissing => "key_missing",
            Self::KeyUnknown => "key_unknown",
            Self::KeyExpired => "key_expired",
            Self::KeyPaused => "key_paused",
            Self::KeyDeactivated => "key_deactivated",
            Self::OrganizationDenied => "organization_denied",
            Self::ScopeMissing(_) => "scope_missing",
            Self::Field(_) => "field",
            Self::Exists { .. } => "exists",
            Self::Missing { .. } => "missing",
            Self::Limit { .. } => "limit",
            Self::RevocationsFull { .. } => "revocations_full",
            Self::TooLarge { .. } => "too_large",
            Self::TooMany { .. } => "too_many",
            Self::Quota { .. } => "quota",
            Self::KeyAtWork => "idempotency_key_at_work",
            Self::KeyOfAnother => "idempotency_key_of_another",
            Self::NoSpace => "no_space",
            Self::RevocationHeld => "revocation_held",
            Self::RevocationLost => "revocation_lost",
            Self::Unavailable(_) => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// Returns the refusal of an error of the catalogue. A gateway counts such errors: it asks
    /// [`Gateway::ask`](super::Gateway) for this.
    pub(super) fn of_catalogue(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound {
                what: catalog::FILE | catalog::DELETED_FILE,
            } => Self::FileNotFound,
            CatalogError::NotFound { what } => Self::Missing { what },
            CatalogError::KeyEnded(KeyEnd::Unknown) => Self::KeyUnknown,
            CatalogError::KeyEnded(KeyEnd::Expired) => Self::KeyExpired,
            CatalogError::KeyEnded(KeyEnd::Paused) => Self::KeyPaused,
            CatalogError::KeyEnded(KeyEnd::Deactivated) => Self::KeyDeactivated,
            CatalogError::Conflict { what } => Self::Exists { what },
            CatalogError::Limit {
                what: what @ (FILES_KEPT | BYTES_KEPT),
                limit,
            } => Self::Quota { what, limit },
            CatalogError::Limit { what, limit } => Self::Limit { what, limit },
            CatalogError::NoSpace { .. } => Self::NoSpace,
            CatalogError::Unavailable { .. } => Self::Unavailable(with_causes(&error)),
            CatalogError::Corrupt { .. } => Self::Internal(with_causes(&error)),
        }
    }
}

impl From<BlobError> for Refusal {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::NoSpace { .. } => Self::NoSpace,
            BlobError::Unavailable { .. } | BlobError::Foreign { .. } => {
                Self::Unavailable(with_causes(&error))
            }
            BlobError::Damaged { .. }
            | BlobError::Moved { .. }
            | BlobError::Refused { .. }
            | BlobError::Unfit { .. }
            | BlobError::Io { .. } => Self::Internal(with_causes(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: io::Error,
    }

    #[test]
    fn every_cause_is_said_once() {
        let cases = [
            ("opening it failed", "opening it failed: disk on fire"),
            (
                "opening it failed: disk on fire",
                "opening it failed: disk on fire",
            ),
        ];
        for (text, wanted) in cases {
            let source = io::Error::other("disk on fire");
            assert_eq!(with_causes(&Layer { text, source }), wanted);
        }
    }

    #[test]
    fn what_the_stores_repeat_is_said_once_in_a_refusal() {
        let source = Layer {
            text: "no answer: disk on fire",
            source: io::Error::other("disk on fire"),
        };
        let error = CatalogError::Unavailable {
            doing: "testing",
            source: source.into(),
        };
        assert_eq!(
            Refusal::of_catalogue(error).to_string(),
            "unavailable: the catalogue is unavailable while testing: no answer: disk on fire"
        );
    }
}
