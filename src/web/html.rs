//! What all pages for people have in common: the language of their reader, what the operator puts on them, their style, the
//! policy that lets them have it, and the headers that keep them out of caches and indexes.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY, VARY,
};
use hyper::{Response, StatusCode};
use sha2::{Digest as _, Sha256};

use super::body::Body;
use super::branding::Branding;
use super::reply;
use super::texts::{Language, Texts};
use super::trace::Trace;

/// The style of pages. It stands in each of them as it is here, for its digest is in their policy.
const STYLE: &str = include_str!("templates/page.css");

/// Lets the page have its own style, media of this origin, and forms that lead to it. A form's answer is held to the
/// last one, too: the download that it is sent on to must be of this origin.
static POLICIES: LazyLock<Policies> = LazyLock::new(|| {
    let rest = "media-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    Policies::new("'self'", rest)
});

/// What every page is written with.
#[derive(Clone, Copy, Debug)]
pub struct PageContext<'a> {
    /// The texts, in the reader's language.
    pub(super) texts: &'static Texts,
    /// What the operator puts on it.
    pub(super) branding: &'a Branding,
}

impl<'a> PageContext<'a> {
    /// Pages in this language, with what the operator puts on them.
    pub const fn new(language: Language, branding: &'a Branding) -> Self {
        Self {
            texts: language.texts(),
            branding,
        }
    }
}

/// What stands around the content of a page: the template `base.html` writes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) page: PageContext<'a>,
    /// What tabs and previews show.
    pub(super) title: &'a str,
    pub(super) style: &'static str,
}

impl<'a> Frame<'a> {
    pub(super) const fn new(page: PageContext<'a>, title: &'a str) -> Self {
        let style = STYLE;
        Self { page, title, style }
    }
}

/// The policies of pages of one kind: a page that has the operator's logo may have it in itself.
pub(super) struct Policies {
    without_logo: HeaderValue,
    with_logo: HeaderValue,
}

impl Policies {
    /// Lets pages have their style, images from `images`, and `rest`.
    #[expect(
        clippy::expect_used,
        reason = "base64 and our own words are good in a header"
    )]
    pub(super) fn new(images: &str, rest: &str) -> Self {
        let digest = BASE64_STANDARD.encode(Sha256::digest(STYLE));
        let policy = |images: &str| {
            let images = match images.trim_ascii() {
                "" => String::new(),
                images => format!("img-src {images}; "),
            };
            let policy = format!("default-src 'none'; style-src 'sha256-{digest}'; {images}{rest}");
            HeaderValue::from_str(&policy).expect("visible ASCII")
        };
        Self {
            without_logo: policy(images),
            with_logo: policy(&format!("{images} data:")),
        }
    }

    /// Returns the one for this page.
    pub(super) fn of(&self, page: PageContext<'_>) -> HeaderValue {
        let has_logo = page.branding.logo.is_some();
        let policy = if has_logo {
            &self.with_logo
        } else {
            &self.without_logo
        };
        policy.clone()
    }
}

/// Returns the answer that is this page.
pub(super) fn answer(
    status: StatusCode,
    html: String,
    page: PageContext<'_>,
    trace: &Trace,
) -> Response<Body> {
    written(status, html, page, trace).map(Body::Full)
}

/// Returns the same, in memory.
pub(super) fn written(
    status: StatusCode,
    html: String,
    page: PageContext<'_>,
    trace: &Trace,
) -> Response<Bytes> {
    let mut response = reply::empty(status, trace).map(|_| Bytes::from(html));
    put_headers(response.headers_mut(), page);
    response
}

/// Puts a page in the place of what an answer has. Its status and its other headers stay.
pub(super) fn put(response: &mut Response<Body>, html: String, page: PageContext<'_>) {
    *response.body_mut() = Body::Full(Bytes::from(html));
    put_headers(response.headers_mut(), page);
}

fn put_headers(headers: &mut HeaderMap, page: PageContext<'_>) {
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("x-robots-tag"),
            "noindex, nofollow, noarchive",
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (VARY, "Cookie, Accept, Accept-Language"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(CONTENT_SECURITY_POLICY, POLICIES.of(page));
}

/// A media type without its parameters.
pub(super) fn essence(media_type: &str) -> &str {
    media_type
        .split_once(';')
        .map_or(media_type, |(essence, _)| essence)
        .trim_end()
}

/// Puts values where a text has `{}`, in their order.
pub(super) fn fill(text: &str, values: &[impl AsRef<str>]) -> String {
    let mut filled = String::new();
    let mut values = values.iter();
    for (at, part) in text.split("{}").enumerate() {
        if at > 0 {
            let value = values.next();
            debug_assert!(value.is_some(), "a value for each {{}} of {text}");
            filled.extend(value.map(AsRef::as_ref));
        }
        filled.push_str(part);
    }
    filled
}
