//! Sending a client on to the store that keeps the bytes.
//!
//! The link is verified as ever, and the conditions are; then the answer is 302 with a URL that the store
//! signed for this file and method, and the bytes never pass through here. That URL opens for a minute at
//! most and never longer than the link. The store repeats what it is told of the type, the name and the
//! caching, but knows no `nosniff` and no policy: what could run in a browser is saved there, never shown.

use hyper::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, ETAG, HeaderValue, LAST_MODIFIED,
    LOCATION,
};
use hyper::{Method, Response, StatusCode};

use super::body::Body;
use super::context::RequestContext;
use super::problem::Problem;
use crate::gateway::download::{Download, LinkRequest, Presign, Verified};
use crate::gateway::refusal::Refusal;
use crate::model::disposition::Disposition;

/// For how many seconds the store's URL opens at most.
const URL_SECONDS_MAX: u64 = 60;

/// The most times that a URL is signed because the clock went on meanwhile.
const SIGNED_MAX: u32 = 5;

/// The file and where the store gives its bytes, if it does. A link's last second is its URL's. A link that is
/// for some addresses only has none: the store would open it to all.
///
/// What was waited for on the way, the row or our own credentials, took time in which the link may have died:
/// it is verified again, and what was signed earlier than in this second is signed again.
pub(super) async fn url(
    context: &RequestContext<'_>,
    link: &LinkRequest<'_>,
    verified: &Verified<'_>,
) -> Result<Option<(Download, HeaderValue)>, Problem> {
    if verified.claims().ip().is_some() {
        return Ok(None);
    }
    let gateway = context.gateway();
    let download = gateway.leave_with_store(verified).await?;
    for _ in 0..SIGNED_MAX {
        let lives = download.ends().since(gateway.clock().now());
        // Either the link is dead, which verifying it says below, or its file expired.
        if lives == 0 {
            gateway.verify_link(link).await?;
            return Err(Refusal::FileNotFound.into());
        }
        let Some(url) = signed(context, &download, lives).await? else {
            return Ok(None);
        };
        gateway.verify_link(link).await?;
        if download.ends().since(gateway.clock().now()) == lives {
            return Ok(Some((download, url)));
        }
    }
    let why = "signing a URL of the store takes too long".into();
    Err(Refusal::Unavailable(why).into())
}

/// A URL for a link that lives so many seconds.
async fn signed(
    context: &RequestContext<'_>,
    download: &Download,
    lives: u64,
) -> Result<Option<HeaderValue>, Problem> {
    let head = context.shared.heads.of(download, context.settings());
    let capped = context.settings().cap_cache_to_expiry.then_some(lives);
    let headers = head.whole(capped);
    let cache_control = headers.get(CACHE_CONTROL);
    let asked = Presign {
        is_head: context.request.method == Method::HEAD,
        seconds: lives.clamp(1, URL_SECONDS_MAX),
        content_type: &download.content_type(),
        disposition: &disposition(download),
        cache_control: cache_control
            .and_then(|value| value.to_str().ok())
            .unwrap_or("no-store"),
    };
    let url = context
        .gateway()
        .url_of_store(&download.file, &asked)
        .await?;
    // A URL is a header value.
    let mut url = url.and_then(|url| HeaderValue::try_from(url).ok());
    if let Some(url) = &mut url {
        url.set_sensitive(true);
    }
    Ok(url)
}

/// Makes an answer with the headers of a 304 one that sends the client on. Nobody may keep it.
pub(super) fn send_on(response: &mut Response<Body>, url: HeaderValue) {
    *response.status_mut() = StatusCode::FOUND;
    let headers = response.headers_mut();
    for name in [ETAG, LAST_MODIFIED, CONTENT_SECURITY_POLICY] {
        headers.remove(name);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    headers.insert(LOCATION, url);
}

/// Shown or saved. What is not passive under both its types is saved, whatever the link says.
fn disposition(download: &Download) -> String {
    let said = download.disposition();
    let is_passive = download.media_type().is_passive() && download.file.media_type.is_passive();
    let is_saved = said.starts_with(Disposition::Attachment.as_str());
    if is_passive || is_saved {
        said.into_owned()
    } else {
        Disposition::Attachment.header(&download.file.name)
    }
}
