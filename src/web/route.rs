//! A table of all calls: which one a path names, and which methods it has. 404, 405 and 501 are decided here,
//! before any credential is looked at.
//!
//! A request's path is matched once, in [`RouteMatch::parse`], as it was sent: nothing is decoded, folded or
//! normalised, so one file has one path and a proxy cannot be made to disagree with us about it.

use hyper::Method;

use super::dialects::ApiDialect;
use super::dialects::aitronos::call::AitronosCall;
use super::dialects::koodrive::call::KooDriveCall;
use super::dialects::qoder::call::QoderCall;
use super::file_path::{FilePath, TicketPath, organization_of};
use super::problem::Problem;
use super::share::path::{SharePart, SharePath};
use crate::model::address::is_name_in_path;
use crate::telemetry::metrics::Route as Kind;

/// The path of [`Route::Verify`].
const VERIFY: &str = "/verify";

/// A call. Borrowed parts are path segments as sent: not empty, not decoded, not yet ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// `/v1/organizations/{organization}/files/{file}/download`, and the same with a name behind it: the
    /// one byte route.
    Download(FilePath<'a>),
    /// `/v1/organizations/{organization}/files/{file}/redeem`: a counted link, which starts a download.
    Redeem(FilePath<'a>),
    /// `/v1/organizations/{organization}/tickets/{ticket}/{name}`: the bytes of a download that was started.
    Ticket(TicketPath<'a>),
    /// `/s/{code}`, and what lies below it: a share.
    Share(SharePath<'a>),
    /// `/verify`: whether the link in a header opens.
    Verify,
    /// A call of the Aitronos API.
    Aitronos(AitronosCall<'a>),
    /// A call of the Qoder API.
    Qoder(QoderCall<'a>),
    /// A call of the KooDrive API.
    KooDrive(KooDriveCall),
}

/// The match of a request's path, whatever its method.
#[derive(Clone, Copy, Debug)]
pub struct RouteMatch<'a> {
    /// The call that the path names, if it names one.
    pub call: Option<Route<'a>>,
    /// The API dialect among whose paths it is.
    pub dialect: ApiDialect,
}

impl<'a> RouteMatch<'a> {
    /// Matches the path as sent, else what follows the mount in it: a proxy in front may strip that or leave it.
    /// Where neither names a call, whichever is among some API's own paths, so that its envelope tells the caller
    /// so. `mount` is empty for none.
    pub fn parse(mount: &str, sent: &'a str) -> Self {
        let whole = Self::of_path(sent);
        // A mount may be `/s`, too: a path below it is a share's only where it is no other call's.
        let is_of_share = matches!(whole.call, Some(Route::Share(_)));
        if mount.is_empty() || (whole.call.is_some() && !is_of_share) {
            return whole;
        }
        let below = sent.strip_prefix(mount);
        let Some(below) = below.filter(|rest| rest.starts_with('/')) else {
            return whole;
        };
        let below = Self::of_path(below);
        if is_of_share && below.call.is_none() {
            return whole;
        }
        if whole.dialect == ApiDialect::Aitronos || below.call.is_some() {
            below
        } else {
            whole
        }
    }

    fn of_path(path: &'a str) -> Self {
        let call = Route::of_path(path);
        let dialect = match call {
            Some(call) => call.dialect(),
            None => ApiDialect::of_path(path),
        };
        Self { call, dialect }
    }

    /// Returns the call, if it has this method.
    ///
    /// # Errors
    /// `UnknownMethod`, `NoRoute` and `MethodNotAllowed`, the first of them that is true.
    pub fn for_method(&self, method: &Method) -> Result<Route<'a>, Problem> {
        if !is_known(method) {
            return Err(Problem::UnknownMethod);
        }
        let call = self.call.ok_or(Problem::NoRoute)?;
        let allowed = call.methods();
        if allowed.contains(&method.as_str()) {
            Ok(call)
        } else {
            Err(Problem::MethodNotAllowed { allowed })
        }
    }
}

impl<'a> Route<'a> {
    fn of_path(path: &'a str) -> Option<Self> {
        if let Some((organization, rest)) = organization_of(path) {
            return match FilePath::split(organization, rest) {
                Some((at, Some(tail))) if is_byte_route(tail) => Some(Self::Download(at)),
                Some((at, Some("redeem"))) => Some(Self::Redeem(at)),
                Some((at, tail)) => AitronosCall::of_file(at, tail).map(Self::Aitronos),
                None => match TicketPath::split(organization, rest) {
                    Some(at) => Some(Self::Ticket(at)),
                    None => AitronosCall::of_organization(organization, rest).map(Self::Aitronos),
                },
            };
        }
        if path == VERIFY {
            return Some(Self::Verify);
        }
        if let Some(at) = SharePath::of_path(path) {
            return Some(Self::Share(at));
        }
        let qoder = QoderCall::of_path(path).map(Self::Qoder);
        qoder.or_else(|| KooDriveCall::of_path(path).map(Self::KooDrive))
    }

    const fn dialect(&self) -> ApiDialect {
        match self {
            Self::Download(_)
            | Self::Redeem(_)
            | Self::Ticket(_)
            | Self::Share(_)
            | Self::Verify
            | Self::Aitronos(_) => ApiDialect::Aitronos,
            Self::Qoder(_) => ApiDialect::Qoder,
            Self::KooDrive(_) => ApiDialect::KooDrive,
        }
    }

    /// The methods of the call, as `Allow` lists them.
    pub const fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::Download(_) | Self::Ticket(_) => &["GET", "HEAD", "OPTIONS"],
            Self::Redeem(_) => &["GET", "HEAD", "POST", "OPTIONS"],
            Self::Share(at) => match at.part {
                SharePart::Page | SharePart::Qr => &["GET", "HEAD"],
                SharePart::Open => &["POST"],
                SharePart::File(_) | SharePart::Ticket(_) => &["GET", "HEAD", "OPTIONS"],
            },
            Self::Verify => &["GET", "HEAD"],
            Self::Aitronos(call) => call.methods(),
            Self::Qoder(call) => call.methods(),
            Self::KooDrive(call) => call.methods(),
        }
    }

    /// The kind of the call, for logs and metrics.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Download(_) => Kind::Download,
            Self::Redeem(_) => Kind::Redeem,
            Self::Ticket(_) => Kind::Ticket,
            Self::Share(at) => match at.part {
                SharePart::Page | SharePart::Qr => Kind::SharePage,
                SharePart::Open => Kind::ShareOpen,
                SharePart::File(_) => Kind::ShareFile,
                SharePart::Ticket(_) => Kind::ShareTicket,
            },
            Self::Verify => Kind::Verify,
            Self::Aitronos(call) => call.kind(),
            Self::Qoder(call) => call.kind(),
            Self::KooDrive(call) => call.kind(),
        }
    }

    /// The organization and the file in the path, as they were sent.
    pub const fn names(&self) -> (Option<&'a str>, Option<&'a str>) {
        match self {
            Self::Download(at) | Self::Redeem(at) => (Some(at.organization), Some(at.file)),
            Self::Ticket(at) => (Some(at.organization), None),
            Self::Aitronos(call) => call.names(),
            Self::Qoder(call) => (None, call.file()),
            Self::Share(_) | Self::Verify | Self::KooDrive(_) => (None, None),
        }
    }
}

/// Returns whether this follows the file in the path of the byte route: `download`, or `download/{name}`. The name
/// is for the programs that save a file under the last segment of its URL, and says nothing here.
fn is_byte_route(tail: &str) -> bool {
    match tail.strip_prefix("download") {
        Some("") => true,
        Some(rest) => rest.strip_prefix('/').is_some_and(is_name_in_path),
        None => false,
    }
}

/// Returns whether the method is one of RFC 9110 §9 or RFC 5789; any other is not implemented.
pub(super) fn is_known(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::DELETE
            | Method::CONNECT
            | Method::OPTIONS
            | Method::TRACE
            | Method::PATCH
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &str, path: &'static str) -> Result<Route<'static>, Problem> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        RouteMatch::parse("", path).for_method(&method)
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
            (
                "POST",
                "/v1/organizations/o/files/f/redeem",
                Route::Redeem(at),
            ),
            (
                "GET",
                "/v1/organizations/o/tickets/t/a%2Fb",
                Route::Ticket(TicketPath {
                    organization: "o",
                    ticket: "t",
                    name: "a%2Fb",
                }),
            ),
            ("GET", "/verify", Route::Verify),
            (
                "HEAD",
                "/v1/organizations/o/files/f/content",
                Route::Aitronos(AitronosCall::Content(at)),
            ),
            (
                "DELETE",
                "/v1/organizations/o/files/f",
                Route::Aitronos(AitronosCall::File(at)),
            ),
            (
                "GET",
                "/v1/organizations/o/files",
                Route::Aitronos(AitronosCall::Files("o")),
            ),
            (
                "POST",
                "/v1/organizations/o/files/upload",
                Route::Aitronos(AitronosCall::Upload("o")),
            ),
            (
                "POST",
                "/koodrive/ose/v1/files/download",
                Route::KooDrive(KooDriveCall::Links),
            ),
            ("POST", "/v1/files", Route::Qoder(QoderCall::Files)),
            ("GET", "/api/v1/cloud/files", Route::Qoder(QoderCall::Files)),
            ("DELETE", "/v1/files/f", Route::Qoder(QoderCall::File("f"))),
            (
                "HEAD",
                "/api/v1/cloud/files/f/content",
                Route::Qoder(QoderCall::Content("f")),
            ),
        ];
        for (method, path, route) in cases {
            assert_eq!(parse(method, path).ok(), Some(route), "{method} {path}");
        }
    }

    #[test]
    fn a_share_has_its_paths() {
        for (method, path, part) in [
            ("HEAD", "/s/c", SharePart::Page),
            ("POST", "/s/c/open", SharePart::Open),
            ("OPTIONS", "/s/c/files/1/a", SharePart::File("1")),
        ] {
            let at = SharePath { code: "c", part };
            assert_eq!(parse(method, path).ok(), Some(Route::Share(at)), "{path}");
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
            "/v1/organizations/o/files/f/redeem/",
            "/v1/organizations/o/files/f/redeem/a",
            "/v1/organizations/o/tickets/t",
            "/v1/organizations/o/tickets/t/a/b",
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

    /// A proxy in front strips the path of `public_base_url` or leaves it.
    #[test]
    fn a_path_is_matched_with_the_mount_and_without_it() {
        let at = FilePath {
            organization: "o",
            file: "f",
        };
        for (path, call, dialect) in [
            (
                "/m/v1/organizations/o/files/f/download",
                Some(Route::Download(at)),
                ApiDialect::Aitronos,
            ),
            (
                "/v1/organizations/o/files/f/download",
                Some(Route::Download(at)),
                ApiDialect::Aitronos,
            ),
            ("/m/v1/files/f/x", None, ApiDialect::Qoder),
            ("/mv1/files", None, ApiDialect::Aitronos),
            ("/v1/files/m/x", None, ApiDialect::Qoder),
        ] {
            let matched = RouteMatch::parse("/m", path);
            assert_eq!((matched.call, matched.dialect), (call, dialect), "{path}");
        }
        let call = |path| RouteMatch::parse("/s", path).call;
        let content = Route::Qoder(QoderCall::Content("f"));
        assert_eq!(call("/s/v1/files/f/content"), Some(content));
        for path in ["/s/c", "/s/s/c"] {
            let at = SharePath {
                code: "c",
                part: SharePart::Page,
            };
            assert_eq!(call(path), Some(Route::Share(at)), "{path}");
        }
        // The mount is among an API's own paths: what is below it counts only where it is a call.
        let below = |path| RouteMatch::parse("/koodrive", path).dialect;
        assert_eq!(below("/koodrive/nothing"), ApiDialect::KooDrive);
        assert_eq!(below("/koodrive/v1/files"), ApiDialect::Qoder);
    }
}
