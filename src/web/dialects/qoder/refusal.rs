//! Problems as Qoder tells them: one envelope, one function.

use hyper::{Response, StatusCode};

use super::generation::Generation;
use super::wire::{self, QoderFault};
use crate::gateway::refusal::{FieldFault, Refusal};
use crate::web::body::Body;
use crate::web::dialects::{REVOCATION_HELD, REVOCATION_LOST, cut};
use crate::web::problem::Problem;
use crate::web::reply;
use crate::web::trace::Trace;

const INVALID_REQUEST: &str = "invalid_request_error";
const NOT_FOUND: &str = "not_found_error";
const AUTHENTICATION: &str = "authentication_error";
const PERMISSION: &str = "permission_error";
const CONFLICT: &str = "conflict_error";
const RATE_LIMIT: &str = "rate_limit_error";
const API: &str = "api_error";

/// Returns the answer to a problem. `file` is the file that the path names, if it names one.
pub(in crate::web) fn answer(
    problem: &Problem,
    file: &str,
    trace: &Trace,
    generation: Generation,
) -> Response<Body> {
    let fault = fault(problem, file);
    let request_id = match generation {
        Generation::First => None,
        Generation::Third => Some(trace.request_id()),
    };
    reply::json(fault.status, trace, wire::error(&fault, request_id))
}

fn fault<'a>(problem: &'a Problem, file: &str) -> QoderFault<'a> {
    match problem {
        Problem::Refused(refusal) => refused(refusal, file),
        // No call of this dialect opens a link.
        Problem::NotStarted | Problem::ShareNotStarted { .. } => {
            of(403, PERMISSION, "A download is started with POST.")
        }
        Problem::PurposeDenied => of(
            403,
            PERMISSION,
            "Only files with purpose 'tool_output' or 'skill_output' can be downloaded.",
        ),
        Problem::NoRoute => of(404, NOT_FOUND, "There is nothing here."),
        Problem::MethodNotAllowed { .. } => {
            of(405, INVALID_REQUEST, "The method is not allowed here.")
        }
        Problem::UnknownMethod => of(501, API, "The method is not implemented."),
        Problem::UnknownCoding => of(501, API, "The transfer coding is not implemented."),
        Problem::TargetTooLong => of(414, INVALID_REQUEST, "The address is too long."),
        Problem::BadHead(why) => {
            let message = format!("The request could not be read: {why}.");
            of(400, INVALID_REQUEST, message)
        }
        Problem::BadBody { why, .. } => {
            let message = format!("The request body could not be read: {why}.");
            of(400, INVALID_REQUEST, message)
        }
        Problem::UnsupportedBody(why) => {
            let message = format!("The request body is not supported: {why}.");
            of(415, INVALID_REQUEST, message)
        }
        Problem::BodyTooLarge { limit } => too_large(*limit),
        Problem::BodyTooSlow { .. } | Problem::UploadTooLong { .. } => {
            of(408, INVALID_REQUEST, "The request took too long.")
        }
        Problem::PreconditionFailed => of(412, INVALID_REQUEST, "The file is another one."),
        Problem::RangeNotSatisfiable { .. } => of(416, INVALID_REQUEST, "There is no such range."),
    }
}

fn refused<'a>(refusal: &'a Refusal, file: &str) -> QoderFault<'a> {
    match refusal {
        Refusal::KeyMissing
        | Refusal::KeyUnknown
        | Refusal::KeyExpired
        | Refusal::KeyPaused
        | Refusal::KeyDeactivated => of(401, AUTHENTICATION, "Invalid API key or token."),
        Refusal::ScopeMissing(_) | Refusal::OrganizationDenied => of(
            403,
            PERMISSION,
            "This API key does not have the required scope.",
        ),
        Refusal::Field(fault) => field_fault(fault),
        Refusal::FileNotFound => {
            let message = format!("File '{}' was not found.", cut(file));
            of(404, NOT_FOUND, message)
        }
        Refusal::Missing { .. } => of(404, NOT_FOUND, "There is nothing here."),
        Refusal::Exists { .. } | Refusal::Limit { .. } | Refusal::RevocationsFull { .. } => {
            of(409, CONFLICT, "This contradicts what is there already.")
        }
        Refusal::TooLarge { limit } => too_large(*limit),
        Refusal::TooMany { .. } => of(
            429,
            RATE_LIMIT,
            "Too many requests. Please try again later.",
        ),
        Refusal::Quota { .. } => of(
            403,
            PERMISSION,
            "The storage limit of the organization is reached.",
        ),
        Refusal::KeyAtWork => of(
            409,
            CONFLICT,
            "A request with this Idempotency-Key is still being worked on.",
        ),
        Refusal::KeyOfAnother => of(
            422,
            INVALID_REQUEST,
            "This Idempotency-Key was used for another request.",
        ),
        Refusal::NoSpace => of(507, API, "There is no room for the file."),
        Refusal::RevocationHeld => of(507, API, REVOCATION_HELD),
        Refusal::RevocationLost => of(507, API, REVOCATION_LOST),
        Refusal::Unavailable(_) => of(503, API, "Please try again in a moment."),
        // The cause of an internal error is for the log alone. No call of this dialect opens a link.
        Refusal::Internal(_)
        | Refusal::Link(_)
        | Refusal::DownloadsExhausted
        | Refusal::ShareRevoked
        | Refusal::ShareStale
        | Refusal::PasswordNeeded { .. }
        | Refusal::DownloadsHeld { .. }
        | Refusal::Overdrawn => of(500, API, "Something went wrong on our side."),
    }
}

fn field_fault(fault: &FieldFault) -> QoderFault<'_> {
    let field = cut(&fault.field);
    let message = format!("Field '{field}' {}.", fault.why);
    QoderFault {
        param: Some(field),
        ..of(400, INVALID_REQUEST, message)
    }
}

/// This dialect has no status of its own for what is too large.
fn too_large(limit: u64) -> QoderFault<'static> {
    let message = format!("The request is too large: the limit is {limit} bytes.");
    of(400, INVALID_REQUEST, message)
}

fn of(status: u16, kind: &'static str, message: impl Into<String>) -> QoderFault<'static> {
    QoderFault {
        status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        kind,
        message: message.into(),
        param: None,
    }
}
