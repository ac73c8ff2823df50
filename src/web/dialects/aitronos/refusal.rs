//! Problems as Aitronos tells them: one envelope, one function.

use hyper::{Response, StatusCode};

use super::wire::{self, AitronosFault};
use crate::gateway::refusal::{FieldFault, Refusal};
use crate::model::time::UnixSeconds;
use crate::web::body::Body;
use crate::web::dialects::{REVOCATION_HELD, REVOCATION_LOST, cut};
use crate::web::problem::Problem;
use crate::web::reply;
use crate::web::trace::Trace;

/// The answer to a problem.
pub(in crate::web) fn answer(problem: &Problem, trace: &Trace, now: UnixSeconds) -> Response<Body> {
    let fault = fault(problem);
    let text = wire::error(&fault, trace.trace_id.as_str(), now.to_string());
    reply::json(fault.status, trace, text)
}

/// The status of a refusal.
pub(super) fn status(refusal: &Refusal) -> StatusCode {
    refused(refusal).status
}

/// Returns the fault of one file of several, in a sentence.
pub(super) fn sentence(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Field(fault) => format!("{} {}.", cut(&fault.field), fault.why),
        refusal => refused(refusal).message.to_owned(),
    }
}

fn fault(problem: &Problem) -> AitronosFault<'_> {
    let (status, code, message) = match problem {
        Problem::Refused(refusal) => return refused(refusal),
        Problem::PurposeDenied => (
            403,
            "INSUFFICIENT_PERMISSIONS",
            "You don't have permission to perform this action",
        ),
        Problem::NotStarted => (
            403,
            "DOWNLOAD_NOT_STARTED",
            "A download by this link is started with POST.",
        ),
        Problem::ShareNotStarted { share_url } => {
            return AitronosFault {
                share_url: Some(share_url),
                ..of(
                    403,
                    "DOWNLOAD_NOT_STARTED",
                    "This is the address of a page: a download is started with the form on it.",
                    problem.to_string(),
                )
            };
        }
        Problem::NoRoute => (404, "NOT_FOUND", "There is nothing here."),
        Problem::MethodNotAllowed { .. } => {
            (405, "METHOD_NOT_ALLOWED", "This cannot be done here.")
        }
        Problem::UnknownMethod | Problem::UnknownCoding => {
            (501, "NOT_IMPLEMENTED", "This cannot be done.")
        }
        Problem::TargetTooLong => (414, "URI_TOO_LONG", "The address is too long."),
        Problem::BadHead(_) | Problem::BadBody { .. } => {
            (400, "BAD_REQUEST", "The request could not be read.")
        }
        Problem::UnsupportedBody(_) => (
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "This kind of request body is not supported.",
        ),
        Problem::BodyTooLarge { .. } => (413, "PAYLOAD_TOO_LARGE", "The request is too large."),
        Problem::BodyTooSlow { .. } | Problem::UploadTooLong { .. } => {
            (408, "REQUEST_TIMEOUT", "The request took too long.")
        }
        Problem::PreconditionFailed => (
            412,
            "PRECONDITION_FAILED",
            "The file is not the one that was asked for.",
        ),
        Problem::RangeNotSatisfiable { .. } => (
            416,
            "RANGE_NOT_SATISFIABLE",
            "The file does not have the requested part.",
        ),
    };
    of(status, code, message, problem.to_string())
}

const LINK_INVALID: &str = "The download link has expired or is invalid.";

fn refused(refusal: &Refusal) -> AitronosFault<'_> {
    let (status, code, message) = match refusal {
        // One answer for whatever is wrong with a link, so that nothing can be learned from it.
        Refusal::Link(_) => (401, "TOKEN_INVALID", LINK_INVALID),
        Refusal::FileNotFound => (
            404,
            "FILE_NOT_FOUND",
            "The file does not exist or has been deleted.",
        ),
        Refusal::DownloadsExhausted => (410, "DOWNLOADS_EXHAUSTED", "This link has been used."),
        Refusal::DownloadsHeld { .. } => (409, "DOWNLOAD_IN_PROGRESS", "This link is in use."),
        Refusal::ShareRevoked => (409, "CONFLICT", "This share has been revoked."),
        Refusal::ShareStale => (409, "CONFLICT", "This share has to be rotated first."),
        Refusal::PasswordNeeded { is_wrong } => password_needed(*is_wrong),
        Refusal::KeyMissing => (401, "AUTHENTICATION_REQUIRED", "Please sign in to continue"),
        Refusal::KeyUnknown => (401, "INVALID_API_KEY", "Your API key is invalid"),
        Refusal::KeyExpired => (401, "API_KEY_EXPIRED", "Your API key has expired"),
        Refusal::KeyPaused => (401, "API_KEY_PAUSED", "Your API key is paused"),
        Refusal::KeyDeactivated => (
            401,
            "API_KEY_DEACTIVATED",
            "Your API key has been deactivated",
        ),
        Refusal::OrganizationDenied => (
            403,
            "ORGANIZATION_ACCESS_DENIED",
            "You don't have access to this organization",
        ),
        Refusal::ScopeMissing(_) => (
            403,
            "INSUFFICIENT_PERMISSIONS",
            "You don't have permission to perform this action",
        ),
        Refusal::Field(fault) => return field_fault(fault),
        Refusal::TooLarge { .. } => (413, "PAYLOAD_TOO_LARGE", "The file is too large."),
        Refusal::Exists { .. } | Refusal::Limit { .. } | Refusal::RevocationsFull { .. } => {
            (409, "CONFLICT", "This contradicts what is there already.")
        }
        Refusal::Missing { .. } => (404, "NOT_FOUND", "There is nothing here."),
        Refusal::Overdrawn => (429, "RATE_LIMITED", "This download has sent all it may."),
        Refusal::TooMany { .. } => (
            429,
            "RATE_LIMITED",
            "Too many requests. Please try again later.",
        ),
        // RFC 4331, §6: the status of a quota that is reached, too.
        Refusal::Quota { .. } => (
            507,
            "INSUFFICIENT_STORAGE",
            "Your organization's storage is full.",
        ),
        Refusal::KeyAtWork => (
            409,
            "CONFLICT",
            "The same request is still being worked on.",
        ),
        Refusal::KeyOfAnother => (
            422,
            "VALIDATION_ERROR",
            "The idempotency key was used for another request.",
        ),
        Refusal::NoSpace => (
            507,
            "INSUFFICIENT_STORAGE",
            "There is no room for the file.",
        ),
        Refusal::RevocationHeld => (507, "INSUFFICIENT_STORAGE", REVOCATION_HELD),
        Refusal::RevocationLost => (507, "INSUFFICIENT_STORAGE", REVOCATION_LOST),
        Refusal::Unavailable(_) => (503, "SERVICE_UNAVAILABLE", "Please try again in a moment."),
        Refusal::Internal(_) => (500, "INTERNAL_ERROR", "Something went wrong on our side."),
    };
    of(status, code, message, system_message(refusal))
}

const fn password_needed(is_wrong: bool) -> (u16, &'static str, &'static str) {
    match is_wrong {
        false => (401, "PASSWORD_REQUIRED", "Please enter the password."),
        true => (401, "PASSWORD_INVALID", "This is not the password."),
    }
}

/// Returns the message that a developer may read. The cause of an internal error is for the log alone.
fn system_message(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Link(_) => "Token invalid or expired".into(),
        Refusal::FileNotFound => "File not found".into(),
        Refusal::Unavailable(_) => "Temporarily unavailable".into(),
        Refusal::Internal(_) => "Internal error".into(),
        refusal => refusal.to_string(),
    }
}

fn field_fault(fault: &FieldFault) -> AitronosFault<'_> {
    let system_message = format!("{} {}", cut(&fault.field), fault.why);
    AitronosFault {
        field: Some(cut(&fault.field)),
        value: fault.value.as_deref().map(cut),
        ..of(
            422,
            "VALIDATION_ERROR",
            "A value is missing or not valid.",
            system_message,
        )
    }
}

fn of(
    status: u16,
    code: &'static str,
    message: &'static str,
    system_message: String,
) -> AitronosFault<'static> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    AitronosFault {
        status,
        code,
        message,
        system_message,
        field: None,
        value: None,
        share_url: None,
    }
}
