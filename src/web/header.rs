//! Request headers that are read alike wherever they are read.

use hyper::HeaderMap;
use hyper::header::{AsHeaderName, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};

use super::problem::Problem;
use crate::gateway::refusal::FieldFault;

/// A header that could be read in two ways: it is there on several lines, or it is not visible ASCII.
pub(super) struct Ambiguous;

/// Returns the one line of a header; `None` where it is not there.
///
/// # Errors
/// [`Ambiguous`] if it could be read in two ways.
pub(super) fn only_line(
    headers: &HeaderMap,
    name: impl AsHeaderName,
) -> Result<Option<&str>, Ambiguous> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next().map(HeaderValue::to_str), lines.next()) {
        (None, _) => Ok(None),
        (Some(Ok(line)), None) => Ok(Some(line)),
        _ => Err(Ambiguous),
    }
}

/// Returns the one line of a header of a call, for which another one is a fault.
pub(super) fn optional<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let fault = |Ambiguous| FieldFault::missing(name, "one line of visible ASCII").into();
    only_line(headers, name).map_err(fault)
}

/// Refuses a body that says it is anything but plain JSON. One that says nothing may be JSON.
pub(super) fn takes_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = optional(headers, CONTENT_TYPE.as_str())?;
    if kind.is_some_and(|line| !is_json(line)) {
        return Err(Problem::UnsupportedBody(
            "it is not application/json in UTF-8",
        ));
    }
    if is_encoded(headers) {
        return Err(Problem::UnsupportedBody("it is encoded"));
    }
    Ok(())
}

/// Returns whether a body's head names a coding other than `identity`, which is none (RFC 9110, §8.4.1).
pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CONTENT_ENCODING).iter();
    let mut codings = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    codings.any(|coding| {
        let coding = coding.trim_ascii();
        !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")
    })
}

/// Returns whether a `Content-Type` is JSON, in UTF-8 if it names a charset (RFC 8259, §8.1). Other parameters
/// say nothing about JSON.
fn is_json(line: &str) -> bool {
    let mut parts = line.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    let mut charsets = parts.filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim_matches('"');
        name.eq_ignore_ascii_case("charset").then_some(value)
    });
    kind.eq_ignore_ascii_case("application/json")
        && charsets.all(|charset| charset.eq_ignore_ascii_case("utf-8"))
}
