//! App authentication (the vendor's pages "App authentication" and "Canonical request"): the caller
//! signs the request with HMAC-SHA256 under its app's secret.
//!
//! ```text
//! Authorization: HMAC-SHA256 AppId=<id>,SignedHeaders=host;x-date;x-user-id,Signature=<64 hex digits>
//!
//! string to sign    = "HMAC-SHA256" \n hex(SHA-256(canonical request))
//! canonical request = method \n path, with a / at its end \n query, encoded and sorted \n
//!                     for each signed header: name ":" trimmed value \n
//!                     \n names of the signed headers, with ; between \n hex(SHA-256(body))
//! ```

use hyper::header::{HOST, HeaderName};
use hyper::http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use super::headers::{X_DATE, X_USER_ID, required};
use crate::gateway::refusal::Refusal;
use crate::model::digest::{hex, unhex};
use crate::web::credential;
use crate::web::problem::Problem;
use crate::web::query;

/// The one algorithm, which is also the scheme's name.
const ALGORITHM: &str = "HMAC-SHA256";

/// The beginning of the names of the vendor's own headers.
const VENDOR_PREFIX: &str = "x-hw-";

/// RFC 3986 §2.3: what is not encoded.
const NOT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A signed request's credential.
#[derive(Debug)]
pub(super) struct AppSignature<'a> {
    /// The app's id as it was sent.
    pub(super) app: &'a str,
    /// The signature.
    pub(super) mac: [u8; 32],
    signed_headers: &'a str,
}

impl<'a> AppSignature<'a> {
    /// Reads an `Authorization`. `None` for another scheme. Each part must be there once, and the two
    /// headers that bind the signature to a moment and to a user must be among the signed ones.
    pub(super) fn of_line(line: &'a str) -> Result<Option<Self>, Refusal> {
        let Some((scheme, parts)) = line.split_once(' ') else {
            return Ok(None);
        };
        if !scheme.eq_ignore_ascii_case(ALGORITHM) {
            return Ok(None);
        }
        let (mut app, mut signed_headers, mut mac) = (None, None, None);
        for part in parts.split(',') {
            let (name, value) = part.trim().split_once('=').ok_or(Refusal::KeyUnknown)?;
            let slot = match name {
                "AppId" => &mut app,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut mac,
                _ => return Err(Refusal::KeyUnknown),
            };
            if slot.replace(value).is_some() {
                return Err(Refusal::KeyUnknown);
            }
        }
        let whole = app.zip(signed_headers).zip(mac.and_then(unhex));
        let ((app, signed_headers), mac) = whole.ok_or(Refusal::KeyUnknown)?;
        let names = |wanted: &str| {
            signed_headers
                .split(';')
                .filter(|name| *name == wanted)
                .count()
        };
        if names(X_DATE) != 1 || names(X_USER_ID) != 1 {
            return Err(Refusal::KeyUnknown);
        }
        Ok(Some(Self {
            app,
            mac,
            signed_headers,
        }))
    }

    /// Says no unless every header that the app says it signed is there once, and every header of the vendor's that is
    /// there is among them: it says what the call does. A missing `X-Date` or `X-User-Id` is a fault of that header.
    pub(super) fn expect_headers(&self, request: &Parts) -> Result<(), Problem> {
        let mut names = self.signed_headers.split(';');
        names.try_for_each(|name| signed_header(request, name).map(drop))?;
        let is_signed = |name: &str| self.signed_headers.split(';').any(|signed| signed == name);
        let mut vendor_headers = request.headers.keys().map(HeaderName::as_str);
        match vendor_headers.find(|name| name.starts_with(VENDOR_PREFIX) && !is_signed(name)) {
            Some(_) => Err(Refusal::KeyUnknown.into()),
            None => Ok(()),
        }
    }

    /// Returns the text that the app must have signed; `body` is the SHA-256 of the body. A query that is not text is
    /// refused: nobody signed it.
    pub(super) fn string_to_sign(
        &self,
        request: &Parts,
        body: &[u8; 32],
    ) -> Result<String, Problem> {
        let method = request.method.as_str();
        let mut path = request.uri.path().to_owned();
        if !path.ends_with('/') {
            path.push('/');
        }
        let query = canonical_query(request.uri.query().unwrap_or_default())?;
        let mut canonical = format!("{method}\n{path}\n{query}\n");
        for name in self.signed_headers.split(';') {
            let value = signed_header(request, name)?;
            canonical.push_str(&format!("{name}:{}\n", value.trim_matches([' ', '\t'])));
        }
        canonical.push_str(&format!("\n{}\n{}", self.signed_headers, hex(body)));
        let canonical = hex(&Sha256::digest(canonical.as_bytes()));
        Ok(format!("{ALGORITHM}\n{canonical}"))
    }
}

/// A header that the app says it signed: its name in lower case, there once.
fn signed_header<'a>(request: &'a Parts, name: &str) -> Result<&'a str, Problem> {
    if matches!(name, X_DATE | X_USER_ID) {
        return required(&request.headers, name);
    }
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(Refusal::KeyUnknown.into());
    }
    // The `:authority` of HTTP/2 (RFC 9113, §8.3.1) and that of a whole URL (RFC 9112, §3.2.2) count instead of the
    // `Host`, which need not be there, or may be a proxy's.
    if name == HOST.as_str()
        && let Some(authority) = request.uri.authority()
    {
        return Ok(authority.as_str());
    }
    credential::only_line(&request.headers, name).map_err(|_| Refusal::KeyUnknown.into())
}

fn canonical_query(query: &str) -> Result<String, Refusal> {
    let encode = |text: &str| utf8_percent_encode(text, NOT_UNRESERVED).to_string();
    let pairs = query::pairs(query).map_err(|_| Refusal::KeyUnknown)?;
    let pairs = pairs.into_iter();
    let mut pairs: Vec<_> = pairs
        .map(|(name, value)| (encode(&name), encode(&value)))
        .collect();
    pairs.sort();
    let pieces: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    Ok(pieces.join("&"))
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    const BODY: &str = r#"{"containerId":"IAADfsBFCO6WtAtuA9add2fea594e4e75b8feb8474ef236","fileIds":["Fn1bTLIOomJkTCAe9DEVBRY4U6IkuqkMZ"]}"#;
    const MAC: &str = "d28c2ff2fde7482593cf9b3ad83357d5445d8f0112d5ef636530ae28b00ee086";

    fn line(signed_headers: &str) -> String {
        format!("HMAC-SHA256 AppId=app_1,SignedHeaders={signed_headers},Signature={MAC}")
    }

    fn signed(signed_headers: &str, target: &str, body: &str) -> Result<String, String> {
        let request = Request::post(target)
            .header("host", "127.0.0.1:8080")
            .header("x-date", "\t20240909T033325Z ")
            .header("x-user-id", "1505084218764547200")
            .header("x-twice", "1")
            .header("x-twice", "2")
            .body(())
            .unwrap();
        let line = line(signed_headers);
        let signature = AppSignature::of_line(&line).unwrap().unwrap();
        let message =
            signature.string_to_sign(&request.into_parts().0, &Sha256::digest(body).into());
        message.map_err(|problem| problem.label().to_owned())
    }

    #[test]
    fn the_worked_example_holds() {
        let path = "/koodrive/ose/v1/files/download";
        assert_eq!(BODY.len(), 113);
        assert_eq!(
            hex(&Sha256::digest(BODY)),
            "81721ff2caeaa63a878d18c76a00e02f96427f826e04a8f50f961e8e8bb3a0f6"
        );
        let message = signed("host;x-date;x-user-id", path, BODY).unwrap();
        assert_eq!(
            message,
            "HMAC-SHA256\n24bc5b2bf07469ce09d09bd021011f0654b64d1409afe79983b002afc3e4f2d5"
        );
    }

    #[test]
    fn whatever_is_signed_changes_the_message() {
        let base = signed("x-date;x-user-id", "/a", "{}").unwrap();
        assert_eq!(signed("x-date;x-user-id", "/a/", "{}").unwrap(), base);
        for (headers, target, body) in [
            ("x-user-id;x-date", "/a", "{}"),
            ("host;x-date;x-user-id", "/a", "{}"),
            ("x-date;x-user-id", "/b", "{}"),
            ("x-date;x-user-id", "/a?x", "{}"),
            ("x-date;x-user-id", "/a", "{ }"),
        ] {
            assert_ne!(
                signed(headers, target, body).unwrap(),
                base,
                "{headers} {target}"
            );
        }
        let query = |target| signed("x-date;x-user-id", target, "").unwrap();
        assert_eq!(query("/a?b=%7E&a=x+y&c"), query("/a?c=&a=x%20y&b=~"));
    }

    #[test]
    fn headers_are_signed_once_and_in_lower_case() {
        for headers in ["x-twice", "x-none", "X-Date", "Host", "", "x y"] {
            let headers = format!("x-date;x-user-id;{headers}");
            assert_eq!(
                signed(&headers, "/a", "").unwrap_err(),
                "key_unknown",
                "{headers}"
            );
        }
    }

    #[test]
    fn other_lines_are_refused_or_of_another_scheme() {
        let read = |line: &str| AppSignature::of_line(line).map(|found| found.is_some());
        assert!(read(&line("x-date;x-user-id").replacen("HMAC-SHA256", "hmac-sha256", 1)).unwrap());
        for other in [
            "",
            "tok",
            "Bearer tok",
            "HMAC-SHA256",
            "HMAC-SHA512 AppId=a",
        ] {
            assert!(!read(other).unwrap(), "{other}");
        }
        let good = line("x-date;x-user-id");
        for bad in [
            line("x-date"),
            line("host;x-user-id"),
            line("x-date;x-date;x-user-id"),
            line(""),
            good.replace("AppId", "appid"),
            good.replace("AppId=app_1,", ""),
            good.replace(MAC, &MAC[1..]),
            good.replace(MAC, &MAC.to_uppercase()),
            format!("{good},AppId=app_1"),
            format!("{good},X=y"),
            format!("{good},"),
            "HMAC-SHA256 ".into(),
        ] {
            assert!(read(&bad).is_err(), "{bad}");
        }
    }
}
