//! What an answer of the store means to us.

use std::time::Duration;

use object_store::Error;

use crate::blob::BlobError;

/// How often a thing is tried before it counts as refused.
pub(super) const TRIES_MAX: u32 = 4;

/// How long the second try waits; each further one twice as long. A random part of it, at least half, so that
/// those who failed together do not come back together.
const PAUSE: Duration = Duration::from_millis(200);

/// How much of an error's text is kept, in bytes. A store may say anything in it.
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

/// Whether the store says that an object is not there. It says the same status of a bucket that is not, in
/// which case nothing at all is known of the object.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. })
        && code_of(&error.to_string()).is_none_or(|code| code != "NoSuchBucket")
}

/// Whether the store does not know the condition (501).
pub(super) fn is_unknown(error: &Error) -> bool {
    matches!(error, Error::NotImplemented { .. }) || error.to_string().contains("NotImplemented")
}

/// Waits before another try.
pub(super) async fn pause(tries: u32) {
    let whole = PAUSE * (1 << tries.min(5));
    let mut random = [0];
    // Without randomness it is the whole time.
    let share = getrandom::fill(&mut random).map_or(255, |()| random[0]);
    tokio::time::sleep(whole / 2 + whole / 2 * u32::from(share) / 255).await;
}

/// The `Code` of S3's error documents.
fn code_of(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Code>")?;
    Some(rest.split_once("</Code>")?.0)
}

/// What a person needs of an error: all in front of the store's own document, and the code in that. The rest
/// may hold what was signed.
fn brief(text: &str, code: Option<&str>) -> String {
    let own = text.split('<').next().unwrap_or_default();
    let mut end = own.len().min(TEXT_BYTES_MAX);
    while !own.is_char_boundary(end) {
        end -= 1;
    }
    let own = own.get(..end).unwrap_or_default().trim_end();
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
