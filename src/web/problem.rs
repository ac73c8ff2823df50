//! Everything that can end a request early: what the gateway refused, and what HTTP itself forbids.

use std::time::Duration;

use crate::gateway::refusal::{FieldFault, Refusal};

/// The reason that a request was not answered as asked. Each API dialect maps these to its own envelope.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The gateway's own no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The API dialect does not let files of this purpose be downloaded.
    #[error("files of this purpose cannot be downloaded")]
    PurposeDenied,
    /// The request only looks at a counted link, which starts no download.
    #[error("the request starts no download")]
    NotStarted,
    /// The request only looks at a share, which starts no download.
    #[error("the request starts no download: open the page, or send its form")]
    ShareNotStarted {
        /// The address of the share's page. It is a credential, and the caller's own.
        share_url: String,
    },
    /// No call has this path.
    #[error("no such route")]
    NoRoute,
    /// The path's call has other methods.
    #[error("the method is not allowed here")]
    MethodNotAllowed {
        /// Those that it has.
        allowed: &'static [&'static str],
    },
    /// No call has this method.
    #[error("the method is not implemented")]
    UnknownMethod,
    /// The request target is longer than [`super::framing::TARGET_BYTES_MAX`].
    #[error("the request target is too long")]
    TargetTooLong,
    /// The head says what no head may say, or says in two ways what it must say once.
    #[error("bad request: {0}")]
    BadHead(&'static str),
    /// The body comes in a transfer coding that is not implemented.
    #[error("the only transfer coding that is implemented is chunked")]
    UnknownCoding,
    /// The body is not framed as it says it is, or broke off.
    #[error("bad request: {why}")]
    BadBody {
        /// The message for the client, in our own words.
        why: String,
        /// The place and the kind of the fault, for the log alone: our own words and numbers, never a library's,
        /// which may repeat the body.
        cause: Option<String>,
    },
    /// The body is of a type, or in an encoding, that the call does not take.
    #[error("the body's type is not supported: {0}")]
    UnsupportedBody(&'static str),
    /// The body is larger than the call takes, the file in it apart.
    #[error("the body is larger than {limit} bytes")]
    BodyTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The body did not come, or did not end, in time.
    #[error("too little of the body came in {seconds} seconds")]
    BodyTooSlow {
        /// The time limit in seconds.
        seconds: u64,
    },
    /// The upload was not whole at the end of the longest time that one may take.
    #[error("the upload was not whole after {seconds} seconds")]
    UploadTooLong {
        /// `uploads.duration_max`, in seconds.
        seconds: u64,
    },
    /// The file is not the one that the request's conditions name.
    #[error("a condition of the request does not hold")]
    PreconditionFailed,
    /// No byte of the wanted range lies inside the file.
    #[error("the range lies outside the file")]
    RangeNotSatisfiable {
        /// The file's length in bytes.
        size: u64,
    },
}

impl Problem {
    /// A body that is wrong in a way that we found ourselves.
    pub(super) fn bad_body(why: impl Into<String>) -> Self {
        let why = why.into();
        Self::BadBody { why, cause: None }
    }

    /// A body that is wrong at a place that the log is told of. The cause repeats nothing that was sent.
    pub(super) fn unreadable_body(why: impl Into<String>, cause: impl Into<String>) -> Self {
        Self::BadBody {
            why: why.into(),
            cause: Some(cause.into()),
        }
    }

    /// The same, and whoever may try again later is told to wait no shorter than this.
    pub(super) fn waiting_for(self, least: impl FnOnce() -> Duration) -> Self {
        match self {
            Self::Refused(Refusal::TooMany { what, wait }) => {
                let wait = wait.max(least());
                Self::Refused(Refusal::TooMany { what, wait })
            }
            other => other,
        }
    }

    /// Returns the cause that the log names besides the label, if there is one.
    pub(super) fn cause(&self) -> Option<&str> {
        match self {
            Self::BadBody { cause, .. } => cause.as_deref(),
            _ => None,
        }
    }

    /// The setting that an operator changes so that the same is not refused again, where there is one.
    pub(super) fn setting(&self) -> Option<&'static str> {
        match self {
            Self::Refused(refusal) => refusal.setting(),
            Self::UploadTooLong { .. } => Some("uploads.duration_max"),
            _ => None,
        }
    }

    /// A short, stable word for logs and metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.label(),
            Self::PurposeDenied => "purpose_denied",
            Self::NotStarted | Self::ShareNotStarted { .. } => "download_not_started",
            Self::NoRoute => "no_route",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::UnknownMethod => "unknown_method",
            Self::TargetTooLong => "target_too_long",
            Self::BadHead(_) => "bad_head",
            Self::UnknownCoding => "unknown_coding",
            Self::BadBody { .. } => "bad_body",
            Self::UnsupportedBody(_) => "unsupported_body",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodyTooSlow { .. } | Self::UploadTooLong { .. } => "request_timeout",
            Self::PreconditionFailed => "precondition_failed",
            Self::RangeNotSatisfiable { .. } => "range_not_satisfiable",
        }
    }
}

impl From<FieldFault> for Problem {
    fn from(fault: FieldFault) -> Self {
        Self::Refused(Refusal::Field(fault))
    }
}
