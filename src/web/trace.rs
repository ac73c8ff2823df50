//! The ids of one request, and what the log may have of them.

use std::borrow::Cow;
use std::fmt;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use uuid::Uuid;

use super::dialects::ApiDialect;

/// The header that names the request in its answer.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that a caller may choose, in characters.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// KooDrive's own header for the same purpose.
pub(super) const X_TRACEID: HeaderName = HeaderName::from_static("x-traceid");

/// The length of its value, in characters.
pub(super) const TRACEID_CHARS: usize = 58;

/// The length of a UUID, in characters.
const UUID_CHARS: usize = 36;

/// The ids of one request, in answers and in the log.
#[derive(Clone, Debug)]
pub struct Trace {
    /// A fresh UUIDv4, whatever the caller sent.
    pub trace_id: TraceId,
    /// The client-supplied request id: the `X-Request-Id` that came with it.
    request_id: Option<ClientSupplied>,
    /// The `X-Traceid` that did, where the API has that header.
    traceid: Option<ClientSupplied>,
    /// The API dialect that it is a request of.
    dialect: ApiDialect,
    /// True if a trusted proxy sent it.
    is_from_proxy: bool,
}

/// A client-supplied id.
#[derive(Clone, Debug)]
struct ClientSupplied {
    /// The first line of the header.
    value: HeaderValue,
    /// True if answers may repeat it.
    is_repeatable: bool,
    /// True if there is no other line.
    is_only: bool,
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
    /// The ids of a request with these headers, in this API dialect. `X-Traceid` is KooDrive's alone.
    /// `is_from_proxy`: whether the peer is a trusted proxy, whose word counts.
    pub fn of(headers: &HeaderMap, dialect: ApiDialect, is_from_proxy: bool) -> Self {
        let sent = |name: &HeaderName, is_good: fn(&[u8]) -> bool| {
            let mut lines = headers.get_all(name).iter();
            let value = lines.next()?.clone();
            Some(ClientSupplied {
                is_repeatable: is_good(value.as_bytes()),
                is_only: lines.next().is_none(),
                value,
            })
        };
        let is_koodrive = dialect == ApiDialect::KooDrive;
        Self {
            trace_id: TraceId::random(),
            request_id: sent(&X_REQUEST_ID, is_request_id),
            traceid: is_koodrive.then(|| sent(&X_TRACEID, is_traceid)).flatten(),
            dialect,
            is_from_proxy,
        }
    }

    /// Returns the request id for an answer: the caller's own if it can be repeated, else the trace id. The log has
    /// [`Trace::logged_request_id`] instead.
    pub fn request_id(&self) -> &str {
        let own = self.request_id.as_ref().and_then(ClientSupplied::repeated);
        own.and_then(|own| own.to_str().ok())
            .unwrap_or(self.trace_id.as_str())
    }

    /// The same as the header `X-Request-Id`.
    pub fn request_id_header(&self) -> HeaderValue {
        let own = self.request_id.as_ref().and_then(ClientSupplied::repeated);
        own.cloned()
            .unwrap_or_else(|| header(self.trace_id.as_str()))
    }

    /// Returns the `X-Traceid` for an answer: the caller's own if it is one, else one made of the trace id, its 32
    /// digits and then zeros.
    pub fn traceid(&self) -> HeaderValue {
        let own = self.client_traceid().cloned();
        own.unwrap_or_else(|| {
            let hex = self.trace_id.as_str().replace('-', "");
            header(&format!("{hex:0<TRACEID_CHARS$}"))
        })
    }

    /// Returns whether that is the client-supplied one.
    pub fn has_client_traceid(&self) -> bool {
        self.client_traceid().is_some()
    }

    /// The one `X-Traceid` that came with the request, if it is one.
    fn client_traceid(&self) -> Option<&HeaderValue> {
        let sent = self.traceid.as_ref().filter(|sent| sent.is_only);
        sent.and_then(ClientSupplied::repeated)
    }

    /// The request's id for the log: the trace id, unless one was sent. Of that the log has what `hash` makes
    /// of it, or the text itself, where a trusted proxy sent it, once, and answers may repeat it.
    pub fn logged_request_id(&self, hash: impl FnOnce(&[u8]) -> String) -> Cow<'_, str> {
        match &self.request_id {
            None => self.trace_id.as_str().into(),
            Some(sent) => sent.logged(self.is_from_proxy, hash),
        }
    }

    /// The `X-Traceid` for the log, where the API has that header: the same of the one that was sent, else
    /// the one that is answered.
    pub fn logged_traceid(&self, hash: impl FnOnce(&[u8]) -> String) -> Option<Cow<'_, str>> {
        match &self.traceid {
            _ if self.dialect != ApiDialect::KooDrive => None,
            None => self
                .traceid()
                .to_str()
                .ok()
                .map(|text| text.to_owned().into()),
            Some(sent) => Some(sent.logged(self.is_from_proxy, hash)),
        }
    }
}

impl ClientSupplied {
    /// The id, if answers may repeat it.
    fn repeated(&self) -> Option<&HeaderValue> {
        self.is_repeatable.then_some(&self.value)
    }

    fn logged(&self, is_from_proxy: bool, hash: impl FnOnce(&[u8]) -> String) -> Cow<'_, str> {
        let is_trusted = is_from_proxy && self.is_only && self.is_repeatable;
        let text = self.value.to_str().ok().filter(|_| is_trusted);
        text.map_or_else(|| hash(self.value.as_bytes()).into(), Cow::Borrowed)
    }
}

/// A header's value of hex digits and hyphens.
fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

/// 58 letters, digits and underscores.
fn is_traceid(text: &[u8]) -> bool {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    text.len() == TRACEID_CHARS && text.iter().all(good)
}

fn is_request_id(text: &[u8]) -> bool {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=REQUEST_ID_CHARS_MAX).contains(&text.len()) && text.iter().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request_id(sent: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_str(sent).unwrap());
        let trace = Trace::of(&headers, ApiDialect::Aitronos, false);
        trace.request_id_header().to_str().unwrap().to_owned()
    }

    #[test]
    fn only_plain_ids_are_repeated() {
        assert_eq!(request_id("a-B_9.z"), "a-B_9.z");
        for sent in ["", "a b", "a/b", "<x>", &"x".repeat(129)] {
            assert!(Uuid::parse_str(&request_id(sent)).is_ok(), "{sent}");
        }
        let drawn = || Trace::of(&HeaderMap::new(), ApiDialect::Aitronos, false).trace_id;
        assert_ne!(drawn(), drawn());
    }

    #[test]
    fn a_traceid_is_the_caller_s_own_in_koodrive_alone() {
        let own = "a_".repeat(TRACEID_CHARS / 2);
        let mut headers = HeaderMap::new();
        headers.insert(X_TRACEID, HeaderValue::from_str(&own).unwrap());
        let trace = Trace::of(&headers, ApiDialect::KooDrive, false);
        assert!(trace.has_client_traceid() && trace.traceid() == own);
        let trace = Trace::of(&headers, ApiDialect::Aitronos, false);
        let made = trace.traceid();
        assert!(!trace.has_client_traceid());
        let digits = trace.trace_id.as_str().replace('-', "");
        assert_eq!(made.to_str().unwrap(), digits + &"0".repeat(26));
    }

    #[test]
    fn the_log_has_a_caller_s_own_ids_from_a_trusted_proxy_alone() {
        let traceid = "a_".repeat(TRACEID_CHARS / 2);
        let logged = |lines: &[(&'static str, &str)], is_from_proxy| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, HeaderValue::from_str(value).unwrap());
            }
            let trace = Trace::of(&headers, ApiDialect::KooDrive, is_from_proxy);
            let hash = |text: &[u8]| format!("{} bytes", text.len());
            let ids = [
                trace.logged_request_id(hash),
                trace.logged_traceid(hash).unwrap(),
            ];
            let own = [
                trace.trace_id.to_string(),
                trace.traceid().to_str().unwrap().into(),
            ];
            let ids = ids.map(String::from);
            [0, 1].map(|at| {
                if ids[at] == own[at] {
                    "own".to_owned()
                } else {
                    ids[at].clone()
                }
            })
        };
        assert_eq!(logged(&[], false), ["own", "own"], "what we drew");
        let both = [("x-request-id", "abc"), ("x-traceid", &traceid)];
        assert_eq!(logged(&both, false), ["3 bytes", "58 bytes"]);
        assert_eq!(logged(&both, true), ["abc", "own"], "repeated as it is");
        // What a proxy passes on beside its own, and what answers do not repeat, is a caller's.
        let twice = [both[0], both[0], both[1], both[1]];
        assert_eq!(logged(&twice, true), ["3 bytes", "58 bytes"]);
        let odd = [("x-request-id", "a b"), ("x-traceid", "short")];
        assert_eq!(logged(&odd, true), ["3 bytes", "5 bytes"]);
    }
}
