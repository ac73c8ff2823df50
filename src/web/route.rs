//! Which call a path names, and which methods it has. 404, 405 and 501 are decided here, before any
//! credential is looked at.
//!
//! Paths are matched as they were sent: nothing is decoded, folded or normalised, so one file has one
//! path and a proxy cannot be made to disagree with us about it.

use hyper::Method;

use super::problem::Problem;

/// A call. Borrowed parts are path segments as sent: not empty, not decoded, not yet ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// `/v1/organizations/{organization}/files/{file}/download`: the one byte route.
    Download(FilePath<'a>),
    /// `…/files/{file}/content`: mint.
    Content(FilePath<'a>),
    /// `…/files/{file}`: retrieve and delete.
    File(FilePath<'a>),
    /// `…/files`: list.
    Files {
        /// The organization's segment.
        organization: &'a str,
    },
    /// `…/files/upload`.
    Upload {
        /// The organization's segment.
        organization: &'a str,
    },
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

    fn of_path(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix("/v1/organizations/")?;
        let mut segments = rest.split('/');
        let organization = segments.next().filter(|segment| !segment.is_empty())?;
        let "files" = segments.next()? else {
            return None;
        };
        let parts = (segments.next(), segments.next(), segments.next());
        match parts {
            (None, ..) => Some(Self::Files { organization }),
            (Some("upload"), None, _) => Some(Self::Upload { organization }),
            (Some(""), ..) => None,
            (Some(file), None, _) => Some(Self::File(FilePath { organization, file })),
            (Some(file), Some("content"), None) => {
                Some(Self::Content(FilePath { organization, file }))
            }
            (Some(file), Some("download"), None) => {
                Some(Self::Download(FilePath { organization, file }))
            }
            _ => None,
        }
    }

    /// The methods of the call, as `Allow` lists them.
    pub const fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::Download(_) => &["GET", "HEAD", "OPTIONS"],
            Self::Content(_) | Self::Files { .. } => &["GET", "HEAD"],
            Self::File(_) => &["GET", "HEAD", "DELETE"],
            Self::Upload { .. } => &["POST"],
        }
    }

    /// The call's name in logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Download(_) => "download",
            Self::Content(_) => "content",
            Self::File(_) => "file",
            Self::Files { .. } => "files",
            Self::Upload { .. } => "upload",
        }
    }
}

/// The methods of RFC 9110 §9 and RFC 5789; any other is not implemented.
fn is_known(method: &Method) -> bool {
    let known = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
    ];
    known.contains(&method.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

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
            (
                "HEAD",
                "/v1/organizations/o/files/f/content",
                Route::Content(at),
            ),
            ("DELETE", "/v1/organizations/o/files/f", Route::File(at)),
            (
                "GET",
                "/v1/organizations/o/files",
                Route::Files { organization: "o" },
            ),
            (
                "POST",
                "/v1/organizations/o/files/upload",
                Route::Upload { organization: "o" },
            ),
        ];
        for (method, path, route) in cases {
            assert_eq!(parse(method, path).ok(), Some(route), "{method} {path}");
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
            "/V1/organizations/o/files",
            "//v1/organizations/o/files",
            "/v1/./organizations/o/files",
            "/v1/organizations/o/files/f/d%6fwnload",
            "/v1/organizations/o/files/f/download;v=1",
            "/v1/organizations/o/files/f/x/download",
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
