//! The form of a share's page: the password, and what is to be started.

use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;

use crate::web::header::only_line;
use crate::web::problem::Problem;
use crate::web::query::pairs;

/// The type of a form (HTML Living Standard, "URL-encoded form data").
const FORM: &str = "application/x-www-form-urlencoded";

/// The most that is read of a form, in bytes.
pub(super) const FORM_BYTES_MAX: u64 = 4 * 1024;

/// What a form says. Fields that nobody knows are passed over.
#[derive(Default)]
pub(super) struct OpenForm {
    /// The password as it was sent, if one was.
    pub(super) password: Option<String>,
    /// True if a download is to be started.
    pub(super) starts: bool,
    /// The number of the file that is to be started, where it is one.
    pub(super) position: Option<u64>,
}

impl OpenForm {
    /// Reads a form. One without a byte has no fields, whatever its type.
    ///
    /// # Errors
    /// `BadBody` for a body of another type, a text that is no form, and a field that is there twice or means nothing. What
    /// was sent is not repeated.
    pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, Problem> {
        let bad = |why: &str| Problem::bad_body(why);
        let mut form = Self::default();
        if body.is_empty() {
            return Ok(form);
        }
        let kind = only_line(headers, CONTENT_TYPE).ok().flatten();
        let essence = kind.and_then(|kind| kind.split(';').next());
        if !essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(FORM)) {
            return Err(bad("the body must be an URL-encoded form"));
        }
        let text = str::from_utf8(body).map_err(|_| bad("the form is not UTF-8"))?;
        let mut started = None;
        // The fault would repeat what was sent.
        let fields = pairs(text).map_err(|_| bad("a field of the form is not UTF-8"))?;
        for (name, value) in fields {
            let is_second = match name.as_str() {
                "password" => form.password.replace(value).is_some(),
                "start" => match value.as_str() {
                    "1" => started.replace(true).is_some(),
                    _ => return Err(bad("start is 1 or not there")),
                },
                "n" => {
                    let position = number(&value).ok_or_else(|| bad("n is no number"))?;
                    form.position.replace(position).is_some()
                }
                _ => false,
            };
            if is_second {
                return Err(bad("a field of the form is there twice"));
            }
        }
        form.starts = started.is_some();
        Ok(form)
    }
}

/// Reads the number of a file: decimal, without sign or leading zero.
pub(super) fn number(text: &str) -> Option<u64> {
    let is_canonical = text == "0" || !text.starts_with('0');
    let is_good = is_canonical && text.bytes().all(|byte| byte.is_ascii_digit());
    is_good.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn read(kind: Option<&'static str>, body: &str) -> Option<(Option<String>, bool, Option<u64>)> {
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        let form = OpenForm::parse(&headers, body.as_bytes()).ok()?;
        Some((form.password, form.starts, form.position))
    }

    fn of_form(body: &str) -> Option<(Option<String>, bool, Option<u64>)> {
        read(Some(FORM), body)
    }

    #[test]
    fn fields_are_read_as_a_browser_writes_them() {
        let word = |text: &str| Some(text.to_owned());
        assert_eq!(of_form(""), Some((None, false, None)));
        assert_eq!(read(None, ""), Some((None, false, None)));
        assert_eq!(
            of_form("password=a+b%2B%C3%A9"),
            Some((word("a b+é"), false, None))
        );
        assert_eq!(of_form("password=%zz"), Some((word("%zz"), false, None)));
        assert_eq!(of_form("start=1&n=12"), Some((None, true, Some(12))));
        assert_eq!(
            of_form("&password=&x=%00&x=2&start=1&"),
            Some((word(""), true, None))
        );
        let kind = Some("Application/X-WWW-Form-URLEncoded; charset=utf-8");
        assert_eq!(read(kind, "n=0"), Some((None, false, Some(0))));
    }

    #[test]
    fn what_is_no_form_or_says_a_thing_twice_is_refused() {
        for bad in [
            "password=a&password=a",
            "start=1&start=1",
            "start=0",
            "start=",
            "n=0&n=0",
            "n=-1",
            "n=01",
            "n=",
            "n=18446744073709551616",
            "password=%ff",
            "%ff=a",
        ] {
            assert_eq!(of_form(bad), None, "{bad}");
        }
        for kind in [
            None,
            Some("text/plain"),
            Some("multipart/form-data; boundary=a"),
        ] {
            assert_eq!(read(kind, "start=1"), None, "{kind:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
        assert!(OpenForm::parse(&headers, b"password=\xff").is_err());
    }
}
