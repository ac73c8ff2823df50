//! The answer to a request that is refused: in the envelope of the path's API dialect, or for a person as a
//! page.

use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::body::Body;
use super::problem::Problem;
use super::route::FilePath;
use super::style::Style;
use super::trace::Trace;
use super::{Web, page, verify};

impl Web {
    /// The answer to a problem, in the words of the API dialect or, for a person, as a page: where the
    /// answer is about a link, and at an address that leads nowhere.
    pub(super) fn refuse(
        &self,
        request: &Parts,
        path: &str,
        problem: &Problem,
        trace: &Trace,
    ) -> Response<Body> {
        let now = self.gateway.clock().now();
        let told = self
            .is_verify(path)
            .then(|| verify::told(problem))
            .flatten();
        let problem = told.as_ref().unwrap_or(problem);
        let generation = self.settings.qoder_generation.of(&request.headers);
        let mut response = Style::of_path(path).answer(problem, path, trace, now, generation);
        let is_about_a_link = self.is_about_a_link(path);
        let is_missing = response.status() == StatusCode::NOT_FOUND;
        if is_about_a_link || is_missing {
            let is_for_a_person = is_about_a_link || is_without_key(request);
            if is_for_a_person && page::is_wanted(&request.headers) {
                page::replace(&mut response, problem, trace);
            }
            page::depends_on_accept(&mut response);
        }
        response
    }

    /// Returns whether the answer may be shown to whoever opened a link: a proxy passes that of `/verify` on.
    pub(super) fn is_about_a_link(&self, path: &str) -> bool {
        FilePath::of_bytes(path).is_some() || self.is_verify(path)
    }

    fn is_verify(&self, path: &str) -> bool {
        path == verify::PATH && self.settings.verify_header.is_some()
    }
}

/// Returns whether a request only looks, and shows no API key: a person's browser does that. A program of an API
/// may name `text/html`, too, but it shows its key.
fn is_without_key(request: &Parts) -> bool {
    let looks = request.method == Method::GET || request.method == Method::HEAD;
    let has = |name: &str| request.headers.contains_key(name);
    looks && !has(AUTHORIZATION.as_str()) && !has("x-api-key")
}
