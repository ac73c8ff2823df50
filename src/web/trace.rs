//! The ids of one request.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use uuid::Uuid;

/// The longest request id that a caller may choose, in characters.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// KooDrive's own header for the same purpose.
pub(super) const X_TRACEID: HeaderName = HeaderName::from_static("x-traceid");

/// How long its value is, in characters.
pub(super) const TRACEID_CHARS: usize = 58;

/// Names one request in answers and in the log.
#[derive(Clone, Debug)]
pub struct Trace {
    /// A fresh UUIDv4, whatever the caller sent.
    pub trace_id: String,
    /// What `X-Request-Id` answers: the caller's own if it can be repeated, else the trace id.
    pub request_id: HeaderValue,
    /// What `X-Traceid` answers, which is KooDrive's alone: the caller's own if it is one, else one made
    /// of the trace id.
    pub traceid: HeaderValue,
    /// Whether that is the caller's own.
    pub is_own_traceid: bool,
}

impl Trace {
    /// The ids of a request with these headers.
    pub fn of(headers: &HeaderMap) -> Self {
        let trace_id = Uuid::new_v4().to_string();
        let own = headers
            .get("x-request-id")
            .filter(|value| is_repeatable(value.as_bytes()));
        let request_id = own
            .cloned()
            .or_else(|| HeaderValue::from_str(&trace_id).ok());
        let own_traceid = traceid(headers);
        Self {
            request_id: request_id.unwrap_or_else(|| HeaderValue::from_static("-")),
            is_own_traceid: own_traceid.is_some(),
            traceid: own_traceid.unwrap_or_else(|| made_traceid(&trace_id)),
            trace_id,
        }
    }

    /// The request id as text.
    pub fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    /// The `X-Traceid` as text.
    pub fn traceid(&self) -> &str {
        self.traceid.to_str().unwrap_or_default()
    }
}

/// Its first 32 characters are the trace id, the others are zeros.
fn made_traceid(trace_id: &str) -> HeaderValue {
    let hex = trace_id.replace('-', "");
    let made = HeaderValue::from_str(&format!("{hex:0<TRACEID_CHARS$}"));
    made.unwrap_or_else(|_| HeaderValue::from_static("-"))
}

/// 58 letters, digits and underscores on one line.
fn traceid(headers: &HeaderMap) -> Option<HeaderValue> {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let mut lines = headers.get_all(X_TRACEID).iter();
    let line = lines.next().filter(|_| lines.next().is_none())?;
    let text = line.as_bytes();
    (text.len() == TRACEID_CHARS && text.iter().all(good)).then(|| line.clone())
}

fn is_repeatable(text: &[u8]) -> bool {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=REQUEST_ID_CHARS_MAX).contains(&text.len()) && text.iter().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request_id(sent: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_str(sent).unwrap());
        Trace::of(&headers).request_id().to_owned()
    }

    #[test]
    fn only_plain_ids_are_repeated() {
        assert_eq!(request_id("a-B_9.z"), "a-B_9.z");
        for sent in ["", "a b", "a/b", "<x>", &"x".repeat(129)] {
            assert!(Uuid::parse_str(&request_id(sent)).is_ok(), "{sent}");
        }
        assert_ne!(
            Trace::of(&HeaderMap::new()).trace_id,
            Trace::of(&HeaderMap::new()).trace_id
        );
    }
}
