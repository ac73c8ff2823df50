//! `Strict-Transport-Security`: a browser that has seen it asks this host over TLS alone (RFC 6797).

use hyper::header::{HeaderMap, HeaderValue, STRICT_TRANSPORT_SECURITY};

/// The most digits of `max-age`: three hundred years.
const AGE_DIGITS_MAX: usize = 10;

/// A checked value of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrictTransport(HeaderValue);

impl StrictTransport {
    /// Reads `max-age=SECONDS`, and the words that may stand beside it, each once (RFC 6797, §6.1). `None` of anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut names = Vec::new();
        for directive in text.split(';').map(str::trim) {
            let (name, age) = match directive.split_once('=') {
                Some((name, age)) => (name.to_ascii_lowercase(), Some(age)),
                None => (directive.to_ascii_lowercase(), None),
            };
            let is_known = match age {
                Some(age) => name == "max-age" && is_age(age),
                None => name == "includesubdomains" || name == "preload",
            };
            if !is_known || names.contains(&name) {
                return None;
            }
            names.push(name);
        }
        let has_age = names.iter().any(|name| name == "max-age");
        has_age.then(|| HeaderValue::from_str(text).ok().map(Self))?
    }

    /// Adds the header to those of an answer over TLS.
    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        headers.insert(STRICT_TRANSPORT_SECURITY, self.0.clone());
    }
}

fn is_age(text: &str) -> bool {
    (1..=AGE_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}
