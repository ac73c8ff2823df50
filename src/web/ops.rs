//! `/livez` and `/readyz`, for operators, on the private listener only.

use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use bytes::Bytes;

use crate::gateway::Gateway;

/// Answers one request on the private listener: `/livez` says that the process runs, `/readyz` whether
/// it can answer from a catalogue that it has just looked at, and from a blob store that answers.
pub async fn handle<B>(gateway: &Gateway, request: &Request<B>) -> Response<Full<Bytes>> {
    let known = matches!(request.uri().path(), "/livez" | "/readyz");
    if !known {
        return plain(StatusCode::NOT_FOUND, "not found\n");
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
        response
            .headers_mut()
            .insert(hyper::header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    if request.uri().path() == "/livez" {
        return plain(StatusCode::OK, "ok\n");
    }
    let catalogue = gateway.look_in_time().await.map(|_| ());
    let both = match catalogue {
        Ok(()) => gateway.reach_blobs().await,
        refused => refused,
    };
    match both {
        Ok(()) => plain(StatusCode::OK, "ok\n"),
        Err(refusal) => {
            tracing::warn!(error = %refusal, "not ready");
            plain(StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
