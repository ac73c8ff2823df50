//! The two cookies of a share's page: the pass of whoever gave the password, and the one by which a client that started a
//! download is known again. Both are sent back to the share's own path alone.

use hyper::HeaderMap;
use hyper::header::COOKIE;

use crate::gateway::share_access::{PASS_CHARS_MAX, PASS_SECONDS};

/// The cookie of the pass.
const PASS: &str = "hallpass-share";

/// The most passes of one request that are checked: a browser sends more than one only where somebody else has set them.
pub(super) const PASSES_MAX: usize = 8;

/// Returns the values of the pass's cookies, [`PASSES_MAX`] of them at the most. One that is too long to be a pass is
/// passed over.
pub(super) fn passes(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(COOKIE).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';'));
    let passes = pairs.filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == PASS && value.len() <= PASS_CHARS_MAX).then_some(value)
    });
    passes.take(PASSES_MAX)
}

/// Returns the header line that sets the cookie of a pass for the share whose page has this path.
pub(super) fn pass(value: &str, page: &str, is_secure: bool) -> String {
    let secure = if is_secure { "; Secure" } else { "" };
    format!("{PASS}={value}; Path={page}; HttpOnly; SameSite=Lax; Max-Age={PASS_SECONDS}{secure}")
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn passes_are_those_of_the_name_and_not_many() {
        let mut headers = HeaderMap::new();
        let long = format!("hallpass-share={}", "x".repeat(1_000));
        for line in [
            "a=b; hallpass-share=1;hallpass-share=2",
            "Hallpass-Share=x; hallpass-share ; hallpass-sharex=y",
            &long,
        ] {
            headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
        }
        assert_eq!(passes(&headers).collect::<Vec<_>>(), ["1", "2"]);
        for number in 0..30 {
            let line = format!("hallpass-share={number}");
            headers.append(COOKIE, HeaderValue::from_str(&line).unwrap());
        }
        assert_eq!(passes(&headers).count(), PASSES_MAX);
    }

    #[test]
    fn a_pass_is_for_its_path_alone() {
        assert_eq!(
            pass("k.1.m", "/base/s/c", true),
            "hallpass-share=k.1.m; Path=/base/s/c; HttpOnly; SameSite=Lax; Max-Age=3600; Secure"
        );
        assert!(!pass("k.1.m", "/s/c", false).contains("Secure"));
    }
}
