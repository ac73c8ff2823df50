//! The meaning of a store's answers.

use std::time::Duration;

use object_store::Error;

use crate::blob::BlobError;

/// The client's error for a store in another region.
const REDIRECTED: &str = "Received redirect without LOCATION";

/// The error codes of S3 that ask for the request once more, whatever status they come with: 400, 403 and 409 too.
const TRANSIENT_CODES: [&str; 8] = [
    "ExpiredToken",
    "IncompleteBody",
    "InternalError",
    "OperationAborted",
    "RequestTimeTooSkewed",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
];

/// The most bytes of an error's text that are kept. A store may say anything in it.
const TEXT_BYTES_MAX: usize = 400;

/// The error of a store that did not do as asked: it may do so later.
pub(super) fn fault(doing: &'static str, error: &Error) -> BlobError {
    let text = error.to_string();
    let code = code_of(&text);
    match code {
        Some("QuotaExceeded" | "InsufficientStorage" | "EntityTooLarge") => {
            BlobError::NoSpace { doing }
        }
        _ => BlobError::Unavailable {
            doing,
            why: brief(&text, code),
        },
    }
}

/// The error of a store that does not answer in time.
pub(super) fn late(doing: &'static str, within: Duration) -> BlobError {
    let seconds = within.as_secs();
    let why = format!("no answer within {seconds} seconds");
    BlobError::Unavailable { doing, why }
}

/// Returns whether the store says that an object is not there. It says the same status of a bucket that is not, in
/// which case nothing at all is known of the object.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. }) && code_of(&error.to_string()) != Some("NoSuchBucket")
}

/// Returns whether the store does not know the condition (501).
pub(super) fn is_unknown(error: &Error) -> bool {
    matches!(error, Error::NotImplemented { .. }) || error.to_string().contains("NotImplemented")
}

/// Returns whether the same request may be answered otherwise a moment later: the store was not reached, broke off, or
/// says that it is out of order or too busy. The store's error code decides, or else the status.
pub(super) fn is_transient(error: &Error) -> bool {
    let text = error.to_string();
    if code_of(&text).is_some_and(|code| TRANSIENT_CODES.contains(&code)) {
        return true;
    }
    // The client has a kind for each other status that it knows.
    let Error::Generic { .. } = error else {
        return false;
    };
    let is_final = match status_of(&text) {
        Some(408 | 429) => false,
        Some(status) => (300..500).contains(&status),
        None => text.contains(REDIRECTED),
    };
    let is_full = matches!(fault("", error), BlobError::NoSpace { .. });
    !is_final && !is_full && !is_unknown(error)
}

/// The status in the client's text.
fn status_of(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// The `Code` of S3's error documents.
fn code_of(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Code>")?;
    Some(rest.split_once("</Code>")?.0)
}

/// Returns the part of an error that a person needs: all in front of the store's own document, and the code in that.
/// The rest may hold what was signed.
fn brief(text: &str, code: Option<&str>) -> String {
    let own = text.split('<').next().unwrap_or_default();
    let (own, _) = own.split_at(own.floor_char_boundary(TEXT_BYTES_MAX));
    let own = own.trim_end();
    format!("{own} {}", code.unwrap_or_default())
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> Error {
        Error::Generic {
            store: "S3",
            source: text.to_owned().into(),
        }
    }

    #[test]
    fn an_error_keeps_its_code_and_nothing_else_of_the_document() {
        let text = "403 Forbidden: <?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code>\
            <AWSAccessKeyId>AKIA</AWSAccessKeyId><StringToSign>secret</StringToSign></Error>";
        let said = fault("testing", &generic(text)).to_string();
        assert!(
            said.ends_with("403 Forbidden: SignatureDoesNotMatch"),
            "{said}"
        );
        assert!(!said.contains("AKIA") && !said.contains("secret"), "{said}");
    }

    #[test]
    fn an_error_is_never_long() {
        let said = fault("testing", &generic(&"ä".repeat(10_000))).to_string();
        assert!(said.len() < 2 * TEXT_BYTES_MAX, "{}", said.len());
    }

    #[test]
    fn a_full_store_is_no_space() {
        let full = generic("403 Forbidden: <Error><Code>QuotaExceeded</Code></Error>");
        assert!(matches!(fault("testing", &full), BlobError::NoSpace { .. }));
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let said = |status: &str| {
            format!(
                "Error performing PUT http://s/b in 1ms - Server returned non-2xx status code: {status}: <Error/>"
            )
        };
        for (text, is_passing) in [
            (said("500 Internal Server Error"), true),
            (said("503 Service Unavailable"), true),
            (said("429 Too Many Requests"), true),
            (said("400 Bad Request"), false),
            (said("301 Moved Permanently"), false),
            (
                said("501 Not Implemented") + "<Code>NotImplemented</Code>",
                false,
            ),
            (
                said("507 Insufficient Storage") + "<Code>InsufficientStorage</Code>",
                false,
            ),
            ("HTTP error: request or response body error".into(), true),
            (
                "Received redirect without LOCATION, this normally indicates".into(),
                false,
            ),
        ] {
            assert_eq!(is_transient(&generic(&text)), is_passing, "{text}");
        }
    }

    #[test]
    fn an_error_code_decides_before_the_kind_and_the_status() {
        let said = |status: &str, code: &str| {
            let text = format!(
                "Server returned non-2xx status code: {status}: <Error><Code>{code}</Code></Error>"
            );
            let (path, source) = ("a".to_owned(), text.into());
            match &status[..3] {
                "403" => Error::PermissionDenied { path, source },
                "409" => Error::AlreadyExists { path, source },
                _ => Error::Generic {
                    store: "S3",
                    source,
                },
            }
        };
        for code in TRANSIENT_CODES {
            for status in ["400 Bad Request", "403 Forbidden", "409 Conflict"] {
                assert!(is_transient(&said(status, code)), "{status} {code}");
            }
        }
        for (status, code) in [
            ("400 Bad Request", "BadDigest"),
            ("403 Forbidden", "AccessDenied"),
            ("403 Forbidden", ""),
            ("409 Conflict", "BucketAlreadyExists"),
            ("503 Service Unavailable", "QuotaExceeded"),
        ] {
            assert!(!is_transient(&said(status, code)), "{status} {code}");
        }
    }

    #[test]
    fn a_bucket_that_is_not_there_says_nothing_of_an_object() {
        let missing = |text: &str| Error::NotFound {
            path: "blobs/a".into(),
            source: text.to_owned().into(),
        };
        assert!(is_missing(&missing("404 Not Found")));
        assert!(is_missing(&missing("<Code>NoSuchKey</Code>")));
        assert!(!is_missing(&missing("<Code>NoSuchBucket</Code>")));
        assert!(!is_missing(&generic("404")));
    }
}
