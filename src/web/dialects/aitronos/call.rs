//! The calls of the Aitronos API, by their paths.

use crate::telemetry::metrics::Route;
use crate::web::file_path::FilePath;

/// A call of this API, with the segments of its file or of its organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AitronosCall<'a> {
    /// `…/files/{file}/content`: mint.
    Content(FilePath<'a>),
    /// `…/files/{file}`: retrieve and delete.
    File(FilePath<'a>),
    /// `…/files`: list.
    Files(&'a str),
    /// `…/files/upload`.
    Upload(&'a str),
    /// `/v1/organizations/{organization}/links/revoke`.
    RevokeLink(&'a str),
    /// `…/links/{link}`: what was counted of a counted link.
    Link {
        /// The organization's segment.
        organization: &'a str,
        /// The link's.
        link: &'a str,
    },
    /// `/v1/organizations/{organization}/shares`: make and list.
    Shares(&'a str),
    /// `…/shares/{share}`: show, change and revoke.
    Share {
        /// The organization's segment.
        organization: &'a str,
        /// The share's.
        share: &'a str,
    },
    /// `…/shares/{share}/rotate`.
    RotateShare {
        /// The organization's segment.
        organization: &'a str,
        /// The share's.
        share: &'a str,
    },
    /// `…/files/{file}/revoke`.
    RevokeFile(FilePath<'a>),
    /// `/v1/organizations/{organization}/revoke`.
    RevokeOrganization(&'a str),
}

impl<'a> AitronosCall<'a> {
    /// The call on a file, with what follows the file in the path.
    pub(in crate::web) fn of_file(at: FilePath<'a>, tail: Option<&str>) -> Option<Self> {
        match tail {
            None if at.file == "upload" => Some(Self::Upload(at.organization)),
            None => Some(Self::File(at)),
            Some("content") => Some(Self::Content(at)),
            Some("revoke") => Some(Self::RevokeFile(at)),
            Some(_) => None,
        }
    }

    /// The call on an organization, with what follows it in the path.
    pub(in crate::web) fn of_organization(organization: &'a str, rest: &'a str) -> Option<Self> {
        match rest {
            "files" => Some(Self::Files(organization)),
            "links/revoke" => Some(Self::RevokeLink(organization)),
            "revoke" => Some(Self::RevokeOrganization(organization)),
            "shares" => Some(Self::Shares(organization)),
            _ if rest.starts_with("shares/") => {
                let mut segments = rest.split('/').skip(1);
                let share = segments.next().filter(|share| !share.is_empty())?;
                match (segments.next(), segments.next()) {
                    (None, _) => Some(Self::Share {
                        organization,
                        share,
                    }),
                    (Some("rotate"), None) => Some(Self::RotateShare {
                        organization,
                        share,
                    }),
                    _ => None,
                }
            }
            _ => {
                let link = rest.strip_prefix("links/")?;
                let is_one = !link.is_empty() && !link.contains('/');
                is_one.then_some(Self::Link { organization, link })
            }
        }
    }

    /// The methods of the call, as `Allow` lists them.
    pub const fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::Content(_) | Self::Files(_) | Self::Link { .. } => &["GET", "HEAD"],
            Self::File(_) => &["GET", "HEAD", "DELETE"],
            Self::Shares(_) => &["GET", "HEAD", "POST"],
            Self::Share { .. } => &["GET", "HEAD", "PATCH", "DELETE"],
            Self::Upload(_)
            | Self::RotateShare { .. }
            | Self::RevokeLink(_)
            | Self::RevokeFile(_)
            | Self::RevokeOrganization(_) => &["POST"],
        }
    }

    /// The kind of the call, for logs and metrics.
    pub const fn kind(&self) -> Route {
        match self {
            Self::Content(_) => Route::AitronosContent,
            Self::File(_) => Route::AitronosFile,
            Self::Files(_) => Route::AitronosFiles,
            Self::Upload(_) => Route::AitronosUpload,
            Self::Link { .. } => Route::AitronosLink,
            Self::Shares(_) => Route::Shares,
            Self::Share { .. } => Route::Share,
            Self::RotateShare { .. } => Route::ShareRotate,
            Self::RevokeLink(_) => Route::RevokeLink,
            Self::RevokeFile(_) => Route::RevokeFile,
            Self::RevokeOrganization(_) => Route::RevokeOrganization,
        }
    }

    /// The organization and the file in the path, as they were sent.
    pub const fn names(&self) -> (Option<&'a str>, Option<&'a str>) {
        match self {
            Self::Content(at) | Self::File(at) | Self::RevokeFile(at) => {
                (Some(at.organization), Some(at.file))
            }
            Self::Files(organization)
            | Self::Link { organization, .. }
            | Self::Shares(organization)
            | Self::Share { organization, .. }
            | Self::RotateShare { organization, .. }
            | Self::Upload(organization)
            | Self::RevokeLink(organization)
            | Self::RevokeOrganization(organization) => (Some(organization), None),
        }
    }
}
