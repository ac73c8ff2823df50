//! Credentials as they stand in a request's headers, one function per place.

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, AsHeaderName, HeaderName};

use super::header;
use crate::gateway::refusal::Refusal;

/// The header of a key alone.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// `X-API-Key`, or else `Authorization: Bearer`. The key's own header counts where both are there.
pub fn api_key_or_bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    match only_line(headers, X_API_KEY) {
        Err(Refusal::KeyMissing) => bearer(headers),
        found => found,
    }
}

/// Returns whether the request names a key in a way that [`api_key_or_bearer`] would look at.
pub fn names_a_key(headers: &HeaderMap) -> bool {
    !matches!(api_key_or_bearer(headers), Err(Refusal::KeyMissing))
}

/// `Authorization: Bearer`, the scheme in any case (RFC 9110, §11.1). Another scheme is no key at all.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let line = only_line(headers, AUTHORIZATION)?;
    let (scheme, key) = line.split_once(' ').unwrap_or((line, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::KeyMissing);
    }
    Ok(key.trim_matches(' '))
}

/// A line with `Bearer`, then a plus or a space, then the key; the scheme in any case. KooDrive's pages
/// write the plus, its clients send both.
pub fn bearer_or_plus(line: &str) -> Result<&str, Refusal> {
    let (scheme, key) = line.split_once([' ', '+']).unwrap_or((line, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::KeyMissing);
    }
    // A plus is no space: what follows it is the key, whole.
    let is_plus = line.as_bytes().get(scheme.len()) == Some(&b'+');
    Ok(if is_plus { key } else { key.trim_matches(' ') })
}

/// The one line of a header. None is a missing key; two, or one that is not visible ASCII, could be read
/// in two ways and is an unknown one.
pub fn only_line(headers: &HeaderMap, name: impl AsHeaderName) -> Result<&str, Refusal> {
    let line = header::only_line(headers, name).map_err(|_| Refusal::KeyUnknown)?;
    line.ok_or(Refusal::KeyMissing)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn found(lines: &[(&'static str, &'static str)]) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        api_key_or_bearer(&headers)
            .map(str::to_owned)
            .map_err(|refusal| refusal.label())
    }

    #[test]
    fn a_key_is_found_where_the_style_puts_it() {
        assert_eq!(found(&[("x-api-key", "k")]), Ok("k".into()));
        assert_eq!(found(&[("authorization", "bearer k")]), Ok("k".into()));
        assert_eq!(
            found(&[("authorization", "Bearer a"), ("x-api-key", "b")]),
            Ok("b".into())
        );
        assert_eq!(found(&[("authorization", "Bearer")]), Ok(String::new()));
    }

    #[test]
    fn a_plus_may_stand_for_the_space() {
        let found = |line| bearer_or_plus(line).map_err(|refusal| refusal.label());
        assert_eq!(found("Bearer+tok"), Ok("tok"));
        assert_eq!(found("bEARER tok"), Ok("tok"));
        assert_eq!(found("Bearer a+b"), Ok("a+b"));
        assert_eq!(found("Bearer+"), Ok(""));
        assert_eq!(found("Bearer  tok "), Ok("tok"));
        assert_eq!(found("Bearer+ tok"), Ok(" tok"));
        for other in ["tok", "", "Basic+tok", "Bearer:tok", "BearerX+tok", "+tok"] {
            assert_eq!(found(other), Err("key_missing"), "{other}");
        }
    }

    #[test]
    fn anything_else_is_no_key_or_an_unknown_one() {
        assert_eq!(found(&[]), Err("key_missing"));
        assert_eq!(
            found(&[("authorization", "Basic eA==")]),
            Err("key_missing")
        );
        assert_eq!(
            found(&[("x-api-key", "a"), ("x-api-key", "a")]),
            Err("key_unknown")
        );
        assert_eq!(
            found(&[("authorization", "Bearer a"), ("authorization", "Bearer a")]),
            Err("key_unknown")
        );
    }
}
