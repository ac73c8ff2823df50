//! Which call a path names, and which methods it has. 404, 405 and 501 are decided here, before any
//! credential is looked at.
//!
//! Paths are matched as they were sent: nothing is decoded, folded or normalised, so one file has one
//! path and a proxy cannot be made to disagree with us about it.

use hyper::Method;
use memchr::memchr;

use super::dialects::{aitronos, koodrive, qoder};
use super::problem::Problem;
use super::verify;
use crate::model::address::is_name_in_path;
use crate::telemetry::metrics::Route as Kind;

/// A call. Borrowed parts are path segments as sent: not empty, not decoded, not yet ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// `/v1/organizations/{organization}/files/{file}/download`, and the same with a name behind it: the
    /// one byte route.
    Download(FilePath<'a>),
    /// `/verify`: whether the link in a header opens.
    Verify,
    /// A call of the Aitronos API.
    Aitronos(aitronos::Call<'a>),
    /// A call of the Qoder API.
    Qoder(qoder::Call<'a>),
    /// A call of the KooDrive API.
    KooDrive(koodrive::Call),
}

/// The two segments that name a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilePath<'a> {
    /// The organization's segment.
    pub organization: &'a str,
    /// The file's segment.
    pub file: &'a str,
}

impl<'a> Route<'a> {
    /// The call that `method` and `path` name.
    pub fn parse(method: &Method, path: &'a str) -> Result<Self, Problem> {
        if !is_known(method) {
            return Err(Problem::UnknownMethod);
        }
        let route = Self::of_path(path).ok_or(Problem::NoRoute)?;
        let allowed = route.methods();
        if allowed.contains(&method.as_str()) {
            Ok(route)
        } else {
            Err(Problem::MethodNotAllowed { allowed })
        }
    }

    /// Whether the path names a call.
    pub fn is_path(path: &str) -> bool {
        Route::of_path(path).is_some()
    }

    fn of_path(path: &'a str) -> Option<Self> {
        if path == verify::PATH {
            return Some(Self::Verify);
        }
        let download = || FilePath::of_bytes(path).map(Self::Download);
        let aitronos = || aitronos::Call::of_path(path).map(Self::Aitronos);
        let qoder = || qoder::Call::of_path(path).map(Self::Qoder);
        let koodrive = || koodrive::Call::of_path(path).map(Self::KooDrive);
        download()
            .or_else(aitronos)
            .or_else(qoder)
            .or_else(koodrive)
    }

    /// The methods of the call, as `Allow` lists them.
    pub const fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::Download(_) => &["GET", "HEAD", "OPTIONS"],
            Self::Verify => &["GET", "HEAD"],
            Self::Aitronos(call) => call.methods(),
            Self::Qoder(call) => call.methods(),
            Self::KooDrive(call) => call.methods(),
        }
    }

    /// What kind of call it is, in logs and numbers.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Download(_) => Kind::Download,
            Self::Verify => Kind::Verify,
            Self::Aitronos(call) => call.kind(),
            Self::Qoder(call) => call.kind(),
            Self::KooDrive(call) => call.kind(),
        }
    }

    /// The organization and the file in the path, as they were sent.
    pub const fn names(&self) -> (Option<&'a str>, Option<&'a str>) {
        match self {
            Self::Download(at) => (Some(at.organization), Some(at.file)),
            Self::Aitronos(call) => call.names(),
            Self::Qoder(call) => (None, call.file()),
            Self::Verify | Self::KooDrive(_) => (None, None),
        }
    }
}

impl<'a> FilePath<'a> {
    /// Reads `/v1/organizations/{organization}/files/{file}/{last}`.
    pub(super) fn before(path: &'a str, last: &str) -> Option<Self> {
        let (at, tail) = Self::and_tail(path)?;
        (tail == last).then_some(at)
    }

    /// Reads the path of the byte route: `…/{file}/download`, or `…/{file}/download/{name}`. The name is
    /// for the programs that save a file under the last segment of its URL, and says nothing here.
    pub(super) fn of_bytes(path: &'a str) -> Option<Self> {
        const DOWNLOAD: &str = "download";
        let (at, tail) = Self::and_tail(path)?;
        if tail == DOWNLOAD {
            return Some(at);
        }
        let name = tail.strip_prefix(DOWNLOAD)?.strip_prefix('/')?;
        is_name_in_path(name).then_some(at)
    }

    /// Reads `/v1/organizations/{organization}/files/{file}/`, and what follows.
    fn and_tail(path: &'a str) -> Option<(Self, &'a str)> {
        let rest = path.strip_prefix("/v1/organizations/")?;
        let (organization, rest) = cut(rest)?;
        let (file, tail) = cut(rest.strip_prefix("files/")?)?;
        let has_both = !organization.is_empty() && !file.is_empty();
        has_both.then_some((Self { organization, file }, tail))
    }
}

/// What stands before and behind the first `/`. Every request comes by here.
fn cut(path: &str) -> Option<(&str, &str)> {
    let at = memchr(b'/', path.as_bytes())?;
    Some((path.get(..at)?, path.get(at + 1..)?))
}

/// The methods of RFC 9110 §9 and RFC 5789; any other is not implemented.
pub(super) fn is_known(method: &Method) -> bool {
    let known = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
    ];
    known.contains(&method.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::dialects::aitronos::Call;

    fn parse(method: &str, path: &'static str) -> Result<Route<'static>, Problem> {
        Route::parse(&Method::from_bytes(method.as_bytes()).unwrap(), path)
    }

    #[test]
    fn every_call_has_its_path() {
        let at = FilePath {
            organization: "o",
            file: "f",
        };
        let cases = [
            (
                "GET",
                "/v1/organizations/o/files/f/download",
                Route::Download(at),
            ),
            (
                "OPTIONS",
                "/v1/organizations/o/files/f/download",
                Route::Download(at),
            ),
            ("GET", "/verify", Route::Verify),
            (
                "HEAD",
                "/v1/organizations/o/files/f/content",
                Route::Aitronos(Call::Content(at)),
            ),
            (
                "DELETE",
                "/v1/organizations/o/files/f",
                Route::Aitronos(Call::File(at)),
            ),
            (
                "GET",
                "/v1/organizations/o/files",
                Route::Aitronos(Call::Files { organization: "o" }),
            ),
            (
                "POST",
                "/v1/organizations/o/files/upload",
                Route::Aitronos(Call::Upload { organization: "o" }),
            ),
            (
                "POST",
                "/koodrive/ose/v1/files/download",
                Route::KooDrive(koodrive::Call::Links),
            ),
            ("POST", "/v1/files", Route::Qoder(qoder::Call::Files)),
            (
                "GET",
                "/api/v1/cloud/files",
                Route::Qoder(qoder::Call::Files),
            ),
            (
                "DELETE",
                "/v1/files/f",
                Route::Qoder(qoder::Call::File { file: "f" }),
            ),
            (
                "HEAD",
                "/api/v1/cloud/files/f/content",
                Route::Qoder(qoder::Call::Content { file: "f" }),
            ),
        ];
        for (method, path, route) in cases {
            assert_eq!(parse(method, path).ok(), Some(route), "{method} {path}");
        }
    }

    #[test]
    fn a_name_behind_the_byte_route_names_the_same_file() {
        let at = FilePath {
            organization: "o",
            file: "f",
        };
        for path in [
            "/v1/organizations/o/files/f/download/%D0%BE%2Fx;y=..",
            "/v1/organizations/o/files/f/download/download",
            "/v1/organizations/o/files/f/download/content",
            "/v1/organizations/o/files/f/download/...",
        ] {
            assert_eq!(parse("GET", path).ok(), Some(Route::Download(at)), "{path}");
        }
    }

    #[test]
    fn other_spellings_are_no_route() {
        for path in [
            "/",
            "/v1",
            "/v1/organizations",
            "/v1/organizations//files",
            "/v1/organizations/o/files/",
            "/v1/organizations/o/files//download",
            "/v1/organizations/o/files/f/download/",
            "/v1/organizations/o/files/f/download/.",
            "/v1/organizations/o/files/f/download/..",
            "/v1/organizations/o/files/f/download//",
            "/v1/organizations/o/files/f/download//a",
            "/v1/organizations/o/files/f/download/a/",
            "/v1/organizations/o/files/f/download/a/b",
            "/v1/organizations/o/files/f/downloads/a",
            "/v1/organizations/o/files/f/content/a",
            "/V1/organizations/o/files",
            "//v1/organizations/o/files",
            "/v1/./organizations/o/files",
            "/v1/organizations/o/files/f/d%6fwnload",
            "/v1/organizations/o/files/f/download;v=1",
            "/v1/organizations/o/files/f/x/download",
            "/v1/organizations/o/x/files/f/download",
            "/v1/organizations//files/f/download",
            "/v1/files/",
            "/v1/files//content",
            "/v1/files/f/",
            "/v1/files/f/content/",
            "/v1/files/f/download",
            "/v1/filesf",
            "/api/v1/files",
            "/api/v1/cloud",
            "/api/v1/cloud/v1/files",
            "/koodrive/ose/v1/files/download/",
            "/koodrive/ose/v1/files",
            "/livez",
            "/metrics",
        ] {
            assert!(
                matches!(parse("GET", path), Err(Problem::NoRoute)),
                "{path}"
            );
        }
    }

    #[test]
    fn methods_are_decided_with_the_path() {
        assert!(matches!(
            parse("POST", "/v1/organizations/o/files/f/download"),
            Err(Problem::MethodNotAllowed {
                allowed: ["GET", "HEAD", "OPTIONS"]
            })
        ));
        assert!(matches!(parse("PUT", "/nowhere"), Err(Problem::NoRoute)));
        assert!(matches!(
            parse("get", "/nowhere"),
            Err(Problem::UnknownMethod)
        ));
    }
}
