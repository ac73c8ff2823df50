//! The cookie by which the client of a page is known again: a download that it started is its own, in another tab and after
//! a lost answer. It is sent back to the page's own path alone.

use hyper::HeaderMap;
use hyper::header::COOKIE;

/// Its name.
const CLIENT_COOKIE: &str = "hallpass-client";

/// Returns the value of the client's cookie, the first one that may be one of ours: browsers send the one of the longest
/// path first (RFC 6265, §5.4).
pub(super) fn of(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        let is_drawn = value.len() == 22 && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
        (name == CLIENT_COOKIE && is_drawn).then_some(value)
    })
}

/// Returns the header line that sets it for this path and what is below it. `is_secure`: it is sent over TLS alone.
pub(super) fn line(value: &str, path: &str, is_secure: bool) -> String {
    let secure = if is_secure { "; Secure" } else { "" };
    format!("{CLIENT_COOKIE}={value}; Path={path}; HttpOnly; SameSite=Lax{secure}")
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn the_first_cookie_that_may_be_ours_is_taken() {
        let found = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_static(line));
            }
            of(&headers).map(str::to_owned)
        };
        let good = "0123456789abcdefghijkl";
        for none in [
            &[] as &[_],
            &["hallpass-client=x; a=b"],
            &["hallpass-client=\"0123456789abcdefghijkl\""],
            &["Hallpass-Client=0123456789abcdefghijkl"],
        ] {
            assert_eq!(found(none), None, "{none:?}");
        }
        let lines = [
            "a=b;hallpass-client=; c",
            "hallpass-client=0123456789abcdefghijkl; hallpass-client=9999999999abcdefghijkl",
        ];
        assert_eq!(found(&lines).as_deref(), Some(good));
    }

    #[test]
    fn a_cookie_is_for_its_path_alone() {
        let line = line("x", "/base/s/c", true);
        let wanted = "hallpass-client=x; Path=/base/s/c; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(line, wanted);
        assert!(!super::line("x", "/s/c", false).contains("Secure"));
    }
}
