//! `Repr-Digest` and `Want-Repr-Digest` (RFC 9530): which answers say the SHA-256 of the whole file.
//!
//! A proxy that compresses an answer on its way makes the digest of the bytes as stored a false one, and does
//! not take it away. So it goes out unasked only with types that proxies leave alone, since they are compressed
//! already or say nothing of what they hold; with others only to a client that asks, and knows why.

use hyper::HeaderMap;
use hyper::header::HeaderName;

use super::query::whole_number;
use crate::model::media::MediaType;

pub(super) const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
const WANT_REPR_DIGEST: HeaderName = HeaderName::from_static("want-repr-digest");

/// The one algorithm that files are known by, as RFC 9530 §5 calls it.
const SHA_256: &str = "sha-256";

/// The largest weight of an algorithm (RFC 9530, §4).
const WEIGHT_MAX: u8 = 10;

/// Types below `application/` that are compressed already, or whose bytes are of no known kind.
const INCOMPRESSIBLE: [&str; 24] = [
    "epub+zip",
    "gzip",
    "java-archive",
    "octet-stream",
    "pdf",
    "vnd.android.package-archive",
    "vnd.debian.binary-package",
    "vnd.ms-cab-compressed",
    "vnd.rar",
    "x-7z-compressed",
    "x-apple-diskimage",
    "x-bzip",
    "x-bzip2",
    "x-compress",
    "x-debian-package",
    "x-gzip",
    "x-lzma",
    "x-rar-compressed",
    "x-redhat-package-manager",
    "x-rpm",
    "x-tar",
    "x-xz",
    "zip",
    "zstd",
];

/// Returns whether the digest goes out with this type whoever asks: images but SVG, audio, video, archives, PDF, and
/// what is of no known type.
pub(super) fn is_said_unasked(kind: &MediaType) -> bool {
    let essence = kind.as_str().split(';').next().unwrap_or_default();
    let essence = essence.trim_end().to_ascii_lowercase();
    match essence.split_once('/') {
        Some(("image", subtype)) => !subtype.starts_with("svg"),
        Some(("audio" | "video", _)) => true,
        Some(("application" | "model", subtype)) => {
            INCOMPRESSIBLE.contains(&subtype) || subtype.ends_with("+zip")
        }
        _ => false,
    }
}

/// Returns whether the client asks for it: `Want-Repr-Digest` gives `sha-256` a weight above 0. A header that is no
/// dictionary of weights is ignored as a whole (RFC 8941, §4.2).
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(WANT_REPR_DIGEST).iter();
    let texts: Option<Vec<&str>> = lines.map(|line| line.to_str().ok()).collect();
    let texts = texts.filter(|texts| !texts.is_empty());
    texts
        .and_then(|texts| weight(&texts.join(",")))
        .is_some_and(|weight| weight > 0)
}

/// The weight of `sha-256` in a dictionary of weights (RFC 8941, §3.2); of several, the last one counts.
/// `None` if it is not there, or the text is no such dictionary.
fn weight(dictionary: &str) -> Option<u8> {
    let mut found = None;
    for member in dictionary.split(',') {
        let member = member.trim_matches([' ', '\t']);
        let item = member.split(';').next().unwrap_or_default().trim_end();
        let (key, value) = item.split_once('=')?;
        // An integer of RFC 8941, §3.3.1, that is not negative.
        let weight = whole_number(value).filter(|weight| *weight <= WEIGHT_MAX)?;
        if !is_key(key) {
            return None;
        }
        if key == SHA_256 {
            found = Some(weight);
        }
    }
    found
}

/// `key` of RFC 8941, §3.1.2.
fn is_key(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '*');
    let inside = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*');
    begins && text.bytes().all(inside)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn types_that_proxies_leave_alone_are_told_apart() {
        let unasked = |text: &str| is_said_unasked(&MediaType::parse(text).unwrap());
        for yes in [
            "image/png",
            "IMAGE/JPEG; x=y",
            "image/vnd.djvu",
            "audio/mpeg",
            "video/mp4",
            "application/pdf",
            "application/octet-stream",
            "application/zip",
            "application/gzip",
            "application/zstd",
            "application/epub+zip",
            "model/vnd.usdz+zip",
        ] {
            assert!(unasked(yes), "{yes}");
        }
        for no in [
            "image/svg+xml",
            "image/svg",
            "text/plain",
            "text/html; charset=utf-8",
            "application/json",
            "application/javascript",
            "application/wasm",
            "application/xml",
            "font/ttf",
            "model/obj",
        ] {
            assert!(!unasked(no), "{no}");
        }
        assert!(INCOMPRESSIBLE.is_sorted());
    }

    #[test]
    fn a_wish_is_a_weight_above_zero() {
        let asked = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(WANT_REPR_DIGEST, HeaderValue::from_static(line));
            }
            is_asked_for(&headers)
        };
        for yes in [
            &["sha-256=1"][..],
            &["sha-256=10"],
            &["sha-512=3, sha-256=10, unixsum=0"],
            &["sha-512=3", "sha-256=1"],
            &["sha-256=0, sha-256=5"],
            &[" sha-256=3;a=b ,\tmd5=1"],
        ] {
            assert!(asked(yes), "{yes:?}");
        }
        for no in [
            &[][..],
            &[""],
            &["sha-256=0"],
            &["sha-256=5, sha-256=0"],
            &["sha-512=3"],
            &["sha-256"],
            &["sha-256=?1"],
            &["sha-256=11"],
            &["sha-256=-1"],
            &["sha-256=1.5"],
            &["SHA-256=1"],
            &["sha-256=1,"],
            &["sha-256=1, x"],
            &["sha-256 =1"],
            &["sha-256= 1"],
        ] {
            assert!(!asked(no), "{no:?}");
        }
    }
}
