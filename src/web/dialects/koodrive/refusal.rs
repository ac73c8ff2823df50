//! Problems as KooDrive tells them: one envelope, one function.

use hyper::{Response, StatusCode};

use super::codes::{
    BAD_REQUEST, Code, INTERNAL, NO_PERMISSION, NOT_FOUND, SPACE_NOT_FOUND, VERIFY_FAILED,
};
use super::{headers, wire};
use crate::gateway::refusal::{FOLDER, Refusal, SPACE};
use crate::web::body::Body;
use crate::web::problem::Problem;
use crate::web::reply;
use crate::web::trace::Trace;

/// The answer to a problem.
pub(in crate::web) fn answer(problem: &Problem, trace: &Trace) -> Response<Body> {
    let (status, code) = fault(problem);
    let mut response = reply::json(status, trace, wire::error(code));
    headers::put_trace(&mut response, trace);
    response
}

fn fault(problem: &Problem) -> (StatusCode, Code) {
    let bad_request = |code| (StatusCode::BAD_REQUEST, code);
    match problem {
        Problem::Refused(refusal) => refused(refusal),
        Problem::BadHead(_) | Problem::BadBody { .. } => bad_request(BAD_REQUEST),
        Problem::UnsupportedBody(_) => bad_request(VERIFY_FAILED),
        Problem::NoRoute => plain(StatusCode::NOT_FOUND),
        Problem::MethodNotAllowed { .. } => plain(StatusCode::METHOD_NOT_ALLOWED),
        Problem::UnknownMethod | Problem::UnknownCoding => plain(StatusCode::NOT_IMPLEMENTED),
        Problem::TargetTooLong => plain(StatusCode::URI_TOO_LONG),
        Problem::BodyTooLarge { .. } => plain(StatusCode::PAYLOAD_TOO_LARGE),
        Problem::BodyTooSlow { .. } | Problem::UploadTooLong { .. } => {
            plain(StatusCode::REQUEST_TIMEOUT)
        }
        Problem::PurposeDenied | Problem::NotStarted | Problem::ShareNotStarted { .. } => {
            plain(StatusCode::FORBIDDEN)
        }
        Problem::PreconditionFailed => plain(StatusCode::PRECONDITION_FAILED),
        Problem::RangeNotSatisfiable { .. } => plain(StatusCode::RANGE_NOT_SATISFIABLE),
    }
}

fn refused(refusal: &Refusal) -> (StatusCode, Code) {
    let bad_request = |code| (StatusCode::BAD_REQUEST, code);
    match refusal {
        Refusal::Field(_) => bad_request(VERIFY_FAILED),
        Refusal::Missing { what: SPACE } => bad_request(SPACE_NOT_FOUND),
        Refusal::Missing { what: FOLDER } | Refusal::FileNotFound => bad_request(NOT_FOUND),
        Refusal::ScopeMissing(_) | Refusal::OrganizationDenied => bad_request(NO_PERMISSION),
        Refusal::KeyMissing
        | Refusal::KeyUnknown
        | Refusal::KeyExpired
        | Refusal::KeyPaused
        | Refusal::KeyDeactivated
        | Refusal::Link(_) => plain(StatusCode::UNAUTHORIZED),
        Refusal::Missing { .. } => plain(StatusCode::NOT_FOUND),
        Refusal::Exists { .. }
        | Refusal::Limit { .. }
        | Refusal::RevocationsFull { .. }
        | Refusal::KeyAtWork => plain(StatusCode::CONFLICT),
        // This API dialect has no upload.
        // No call of this dialect opens a link.
        Refusal::DownloadsExhausted => plain(StatusCode::GONE),
        Refusal::DownloadsHeld { .. } | Refusal::ShareRevoked | Refusal::ShareStale => {
            plain(StatusCode::CONFLICT)
        }
        Refusal::PasswordNeeded { .. } => plain(StatusCode::UNAUTHORIZED),
        Refusal::KeyOfAnother => plain(StatusCode::UNPROCESSABLE_ENTITY),
        Refusal::TooLarge { .. } => plain(StatusCode::PAYLOAD_TOO_LARGE),
        Refusal::TooMany { .. } | Refusal::Overdrawn => plain(StatusCode::TOO_MANY_REQUESTS),
        Refusal::Quota { .. }
        | Refusal::NoSpace
        | Refusal::RevocationHeld
        | Refusal::RevocationLost => plain(StatusCode::INSUFFICIENT_STORAGE),
        Refusal::Unavailable(_) => plain(StatusCode::SERVICE_UNAVAILABLE),
        Refusal::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, INTERNAL),
    }
}

/// A status for which the vendor has no code: it stands for itself.
fn plain(status: StatusCode) -> (StatusCode, Code) {
    let reason = status.canonical_reason().unwrap_or_default();
    (status, Code(status.as_u16().into(), reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::refusal::FieldFault;

    #[test]
    fn every_problem_has_its_code() {
        let missing = |what| Problem::Refused(Refusal::Missing { what });
        let cases = [
            (FieldFault::missing("x", "y").into(), 400, 13_000_102),
            (missing(SPACE), 400, 13_000_301),
            (missing(FOLDER), 400, 13_000_309),
            (missing("the organization"), 404, 404),
            (Refusal::OrganizationDenied.into(), 400, 13_000_410),
            (Refusal::KeyPaused.into(), 401, 401),
            (
                Refusal::TooMany {
                    what: "x",
                    wait: std::time::Duration::ZERO,
                }
                .into(),
                429,
                429,
            ),
            (
                Refusal::Quota {
                    what: "x",
                    limit: 1,
                }
                .into(),
                507,
                507,
            ),
            (Refusal::NoSpace.into(), 507, 507),
            (Refusal::Unavailable("secret".into()).into(), 503, 503),
            (Refusal::Internal("secret".into()).into(), 500, 13_000_201),
            (Problem::RangeNotSatisfiable { size: 1 }, 416, 416),
            (Problem::BodyTooSlow { seconds: 1 }, 408, 408),
        ];
        for (problem, status, code) in cases {
            let (found, Code(number, message)) = fault(&problem);
            assert_eq!((found.as_u16(), number), (status, code), "{problem}");
            assert!(!message.is_empty() && message != "secret");
        }
    }
}
