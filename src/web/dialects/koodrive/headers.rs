//! The headers that every call has besides its credentials (the vendor's table "Request header
//! parameters"): `X-User-Id`, `X-Date`, `X-Traceid`, `language`, `x-hw-share-folder-id`.

use hyper::{HeaderMap, Response};

use crate::gateway::refusal::FieldFault;
use crate::model::time::UnixSeconds;
use crate::web::body::Body;
use crate::web::context::RequestContext;
use crate::web::header::{optional, takes_json};
use crate::web::problem::Problem;
use crate::web::trace::{TRACEID_CHARS, Trace, X_TRACEID};

pub(super) const X_USER_ID: &str = "x-user-id";
pub(super) const X_DATE: &str = "x-date";
const LANGUAGE: &str = "language";
const SHARE_FOLDER: &str = "x-hw-share-folder-id";

/// The greatest age of a request, in seconds.
const AGE_MAX: u64 = 15 * 60;
/// The longest user id, in characters.
const USER_CHARS_MAX: usize = 64;
/// The longest language code, in characters (RFC 5646, §4.4.1).
const LANGUAGE_CHARS_MAX: usize = 35;

/// The values of the call's own headers, checked.
pub(super) struct Headers<'a> {
    /// The vendor's user, whom only the audit stream is told.
    pub(super) user: &'a str,
    /// The shared folder that the call is about.
    pub(super) folder: Option<&'a str>,
}

impl<'a> Headers<'a> {
    /// Checks them all.
    pub(super) fn read(context: &RequestContext<'a>) -> Result<Self, Problem> {
        let headers = &context.request.headers;
        let user = required(headers, X_USER_ID)?;
        if !is_user(user) {
            return Err(fault(X_USER_ID, user, "1 to 64 visible ASCII characters"));
        }
        let date = required(headers, X_DATE)?;
        let now = context.gateway().clock().now();
        let skew = context.settings().koodrive_date_skew;
        let sent = date_of(date).ok_or_else(|| fault(X_DATE, date, "yyyyMMdd'T'HHmmss'Z'"))?;
        if sent > now.plus(skew) || sent < now.minus(AGE_MAX).minus(skew) {
            return Err(fault(X_DATE, date, "within the last 15 minutes"));
        }
        // One that can be echoed is one that is good.
        if let Some(traceid) = optional(headers, X_TRACEID.as_str())?
            && !context.trace.has_client_traceid()
        {
            let why = format!("{TRACEID_CHARS} letters, digits and underscores");
            return Err(FieldFault::new(X_TRACEID.as_str(), traceid, why).into());
        }
        if let Some(language) = optional(headers, LANGUAGE)?
            && !is_language(language)
        {
            return Err(fault(LANGUAGE, language, "a language code, such as en-US"));
        }
        takes_json(headers)?;
        let folder = optional(headers, SHARE_FOLDER)?;
        Ok(Self { user, folder })
    }
}

/// Says which trace this was: the caller's own, or the one that we made.
pub(super) fn put_trace(response: &mut Response<Body>, trace: &Trace) {
    let traceid = trace.traceid();
    response.headers_mut().insert(X_TRACEID, traceid);
}

/// The one line of a header that must be there.
pub(super) fn required<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Problem> {
    let missing = || FieldFault::missing(name, "a header of the call").into();
    optional(headers, name)?.ok_or_else(missing)
}

fn fault(name: &str, value: &str, why: &str) -> Problem {
    FieldFault::new(name, value, why).into()
}

fn is_user(text: &str) -> bool {
    (1..=USER_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Exactly `yyyyMMdd'T'HHmmss'Z'`, and a moment that there is: what it stands for must print the same.
fn date_of(text: &str) -> Option<UnixSeconds> {
    let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if day.len() != 8 || time.len() != 6 || !digits(day) || !digits(time) {
        return None;
    }
    let (year, day) = day.split_at(4);
    let (month, day) = day.split_at(2);
    let (hour, second) = time.split_at(2);
    let (minute, second) = second.split_at(2);
    let spelled = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    UnixSeconds::parse_rfc3339(&spelled).filter(|time| time.to_string() == spelled)
}

/// Subtags of letters and digits, separated by `-` or `_`; the first is 2 to 8 letters.
fn is_language(text: &str) -> bool {
    let mut subtags = text.split(['-', '_']);
    let first = subtags.next().unwrap_or_default();
    let first_good =
        (2..=8).contains(&first.len()) && first.bytes().all(|byte| byte.is_ascii_alphabetic());
    let good = |subtag: &str| {
        (1..=8).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    text.len() <= LANGUAGE_CHARS_MAX && first_good && subtags.all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_one_spelling() {
        let time = date_of("20260518T153452Z").unwrap();
        assert_eq!(time.get(), 1_779_118_492);
        assert!(date_of("20240229T235959Z").is_some());
        for bad in [
            "",
            "2026-05-18T15:34:52Z",
            "20260518T153452",
            "20260230T000000Z",
            "20250229T000000Z",
            "20260518T246000Z",
            "20260518T240000Z",
            "20260518T236000Z",
            "20260518T235960Z",
            "20260518t153452Z",
            "20260518T153452z",
            "20260518T153452+",
            "20260518T153452.0Z",
            " 20260518T153452Z",
            "2026518T0153452Z",
            "+0260518T153452Z",
            "20261318T153452Z",
            "00000000T000000Z",
            "19691231T235959Z",
            "20260518T15345\u{663}Z",
        ] {
            assert_eq!(date_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn languages_have_subtags() {
        for good in [
            "en",
            "en-US",
            "en_us",
            "zh-CN",
            "zh-Hans-CN",
            "EN_us",
            "es-419",
        ] {
            assert!(is_language(good), "{good}");
        }
        for bad in [
            "",
            "e",
            "!!",
            "en-",
            "-US",
            "en--US",
            "en US",
            "1n",
            "abcdefghi",
            "*",
        ] {
            assert!(!is_language(bad), "{bad}");
        }
        assert!(!is_language(&format!("en{}", "-abc".repeat(9))));
    }
}
