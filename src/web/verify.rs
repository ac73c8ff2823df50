//! `GET|HEAD /verify`: a reverse proxy asks whether a link opens, and serves or refuses by itself.
//!
//! nginx `auth_request`, Caddy `forward_auth` and Traefik ForwardAuth send the URL that they were asked for
//! in a header. One header is configured, and no other is looked at. The answer is 204 with whose file it
//! is, or the 401 that the byte route gives a dead link: also where the file is gone, so that a proxy
//! need not know why.

use std::net::IpAddr;

use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};

use super::body::Body;
use super::problem::Problem;
use super::route::FilePath;
use super::{Exchange, Seen, TARGET_BYTES_MAX, reply};
use crate::gateway::download::LinkRequest;
use crate::gateway::refusal::Refusal;

/// The path of this call.
pub(super) const PATH: &str = "/verify";

const ORGANIZATION: HeaderName = HeaderName::from_static("x-hallpass-organization");
const FILE: HeaderName = HeaderName::from_static("x-hallpass-file");
const LINK_ID: HeaderName = HeaderName::from_static("x-hallpass-link-id");

/// `verify.header`: the one header that a proxy says the original URL in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyHeader(HeaderName);

/// A link in that header: where its file is, and its query.
pub(super) struct OriginalLink<'a> {
    at: FilePath<'a>,
    query: &'a str,
}

impl VerifyHeader {
    /// Takes a header's name.
    pub fn parse(text: &str) -> Option<Self> {
        HeaderName::from_bytes(text.as_bytes()).ok().map(Self)
    }

    /// The link in the only line of this header, as the client sent it to the proxy. `unmounted` takes
    /// the path of `public_base_url` off.
    pub(super) fn link<'a>(
        &self,
        headers: &'a HeaderMap,
        unmounted: impl Fn(&'a str) -> &'a str,
    ) -> Option<OriginalLink<'a>> {
        let mut lines = headers.get_all(&self.0).iter();
        let only = lines.next().filter(|_| lines.next().is_none());
        let url = only.map(HeaderValue::to_str)?.ok()?;
        if url.len() > TARGET_BYTES_MAX || url.contains(['#', ' ', '\t']) {
            return None;
        }
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let at = FilePath::of_bytes(unmounted(path))?;
        Some(OriginalLink { at, query })
    }
}

/// Says whose file the link opens, or refuses.
pub(super) async fn answer(
    exchange: &Exchange<'_>,
    link: Option<OriginalLink<'_>>,
    client: Option<IpAddr>,
    seen: &mut Seen,
) -> Result<Response<Body>, Problem> {
    let OriginalLink { at, query } = link.ok_or_else(Refusal::no_link)?;
    let link = LinkRequest {
        organization: at.organization,
        file: at.file,
        query,
        client,
    };
    let verified = exchange.gateway.verify_link(&link).await?;
    let link_id = verified.link_id();
    seen.link_id = Some(link_id);
    exchange.gateway.limits().admit_link(&verified)?;
    let file = exchange.gateway.file_of(&verified).await?;
    exchange.tell_verified(&file, link_id);
    let mut response = reply::empty(StatusCode::NO_CONTENT, exchange.trace);
    reply::set(&mut response, ORGANIZATION, file.organization.as_str());
    reply::set(&mut response, FILE, file.id.as_str());
    reply::set(&mut response, LINK_ID, link_id.as_str());
    Ok(response)
}

/// What is told of a problem here: of a file that is gone, a dead link.
pub(super) fn told(problem: &Problem) -> Option<Problem> {
    let is_gone = matches!(problem, Problem::Refused(Refusal::FileNotFound));
    is_gone.then(|| Refusal::no_link().into())
}
