//! The ids of one request.

use std::fmt;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use uuid::Uuid;

use super::reply;
use super::style::Style;

/// The longest request id that a caller may choose, in characters.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// KooDrive's own header for the same purpose.
pub(super) const X_TRACEID: HeaderName = HeaderName::from_static("x-traceid");

/// How long its value is, in characters.
pub(super) const TRACEID_CHARS: usize = 58;

/// How long a UUID is, in characters.
const UUID_CHARS: usize = 36;

/// Names one request in answers and in the log.
#[derive(Clone, Debug)]
pub struct Trace {
    /// A fresh UUIDv4, whatever the caller sent.
    pub trace_id: TraceId,
    /// The caller's own request id, if it can be repeated.
    own_request_id: Option<HeaderValue>,
    /// The caller's own `X-Traceid`, if it is one.
    own_traceid: Option<HeaderValue>,
}

/// A UUIDv4 as text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; UUID_CHARS]);

impl TraceId {
    /// From random bytes of this thread's own generator, which costs no call of the system.
    fn random() -> Self {
        let mut text = [0; UUID_CHARS];
        Uuid::new_v4().hyphenated().encode_lower(&mut text);
        Self(text)
    }

    /// The UUID's text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Trace {
    /// The ids of a request with these headers, in this API style. `X-Traceid` is KooDrive's alone.
    pub fn of(headers: &HeaderMap, style: Style) -> Self {
        let own = headers
            .get(&reply::X_REQUEST_ID)
            .filter(|value| is_repeatable(value.as_bytes()));
        let is_koodrive = style == Style::KooDrive;
        Self {
            trace_id: TraceId::random(),
            own_request_id: own.cloned(),
            own_traceid: is_koodrive.then(|| traceid(headers)).flatten(),
        }
    }

    /// What `X-Request-Id` answers: the caller's own if it can be repeated, else the trace id.
    pub fn request_id(&self) -> &str {
        let own = self.own_request_id.as_ref();
        own.and_then(|own| own.to_str().ok())
            .unwrap_or(self.trace_id.as_str())
    }

    /// The same as a header.
    pub fn request_id_header(&self) -> HeaderValue {
        let own = self.own_request_id.clone();
        own.unwrap_or_else(|| header(self.trace_id.as_str()))
    }

    /// What `X-Traceid` answers: the caller's own if it is one, else one made of the trace id, its 32
    /// digits and then zeros.
    pub fn traceid(&self) -> HeaderValue {
        self.own_traceid.clone().unwrap_or_else(|| {
            let hex = self.trace_id.as_str().replace('-', "");
            header(&format!("{hex:0<TRACEID_CHARS$}"))
        })
    }

    /// Whether that is the caller's own.
    pub const fn is_own_traceid(&self) -> bool {
        self.own_traceid.is_some()
    }
}

/// A header's value of hex digits and hyphens.
fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("-"))
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
        Trace::of(&headers, Style::Aitronos).request_id().to_owned()
    }

    #[test]
    fn only_plain_ids_are_repeated() {
        assert_eq!(request_id("a-B_9.z"), "a-B_9.z");
        for sent in ["", "a b", "a/b", "<x>", &"x".repeat(129)] {
            assert!(Uuid::parse_str(&request_id(sent)).is_ok(), "{sent}");
        }
        assert_ne!(
            Trace::of(&HeaderMap::new(), Style::Aitronos).trace_id,
            Trace::of(&HeaderMap::new(), Style::Aitronos).trace_id
        );
    }

    #[test]
    fn a_traceid_is_the_caller_s_own_in_koodrive_alone() {
        let own = "a_".repeat(TRACEID_CHARS / 2);
        let mut headers = HeaderMap::new();
        headers.insert(X_TRACEID, HeaderValue::from_str(&own).unwrap());
        let trace = Trace::of(&headers, Style::KooDrive);
        assert!(trace.is_own_traceid() && trace.traceid() == own);
        let trace = Trace::of(&headers, Style::Aitronos);
        let made = trace.traceid();
        assert!(!trace.is_own_traceid());
        let digits = trace.trace_id.as_str().replace('-', "");
        assert_eq!(made.to_str().unwrap(), digits + &"0".repeat(26));
    }
}
