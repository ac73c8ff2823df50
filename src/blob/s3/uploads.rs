//! Uploads in parts that nobody finished.
//!
//! The store keeps the parts of an upload until it is completed or aborted. A process that dies leaves its
//! uploads behind, and nobody can tell from the store whether one is still under way. So no upload may take
//! longer than [`UPLOAD_SECONDS_MAX`], and only those are swept that began long before that.

use futures_util::StreamExt as _;
use http::{Method, StatusCode};
use object_store::client::{HttpRequest, HttpRequestBody, HttpResponseBody};
use object_store::multipart::MultipartStore as _;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer as _};

use super::Shared;
use super::fault::{fault, is_missing};
use super::wire::{Unfinished, UploadsPage};
use crate::blob::BlobError;

/// The longest time that an upload may take: it writes no part later.
pub(super) const UPLOAD_SECONDS_MAX: u64 = 86_400;

/// The age at which an upload is swept. Clocks that differ by less than a day do no harm.
const SWEEP_SECONDS: u64 = 2 * UPLOAD_SECONDS_MAX;

/// The lifetime of the URL of a list of uploads, in seconds.
const URL_SECONDS: u64 = 60;

/// The most uploads in one answer.
const PAGE: usize = 1000;

/// The most bytes of such an answer: an upload in it takes one or two thousand.
const LIST_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The most answers that are read: ten million uploads.
const PAGES_MAX: usize = 10_000;

const LISTING: &str = "listing uploads";
const ENDLESS: &str = "the store's list of uploads has no end";

impl Shared {
    /// Aborts up to `limit` uploads that nobody can be at any more. Returns their number.
    pub(super) async fn sweep_uploads(&self, limit: usize) -> Result<usize, BlobError> {
        self.go_through_uploads(limit, true).await
    }

    /// Returns the number of uploads that a sweep would find.
    pub(super) async fn abandoned_uploads(&self) -> Result<usize, BlobError> {
        self.go_through_uploads(usize::MAX, false).await
    }

    /// Counts up to `limit` uploads that nobody can be at any more, and aborts each if `aborts`.
    async fn go_through_uploads(&self, limit: usize, aborts: bool) -> Result<usize, BlobError> {
        let mut count = 0;
        let mut from = None;
        for _ in 0..PAGES_MAX {
            let page = self.unfinished(from).await?;
            for upload in page.uploads.iter().filter(|one| self.is_abandoned(one)) {
                if count == limit {
                    return Ok(count);
                }
                if aborts {
                    let path = Path::from(upload.key.as_str());
                    self.abort(&path, &upload.upload_id).await?;
                }
                count += 1;
            }
            from = page.next();
            if from.is_none() {
                return Ok(count);
            }
        }
        Err(unreadable(ENDLESS))
    }

    /// Gives up an upload. One that is gone already is no error.
    pub(super) async fn abort(&self, path: &Path, id: &str) -> Result<(), BlobError> {
        const DOING: &str = "aborting an upload";
        let id = id.to_owned();
        let abort = || self.store.abort_multipart(path, &id);
        match self.ask(DOING, abort).await? {
            Ok(()) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(fault(DOING, &error)),
        }
    }

    /// Returns the time at which the only unfinished upload began, in seconds since 1970.
    #[cfg(test)]
    pub(super) async fn unfinished_since(&self) -> u64 {
        self.unfinished(None).await.unwrap().uploads[0]
            .initiated
            .get()
    }

    fn is_abandoned(&self, upload: &Unfinished) -> bool {
        (self.now)().since(upload.initiated) >= SWEEP_SECONDS
    }

    /// One page of the unfinished uploads below our prefix.
    async fn unfinished(&self, from: Option<(String, String)>) -> Result<UploadsPage, BlobError> {
        let (name, id) = from.clone().unwrap_or_default();
        let mut query = vec![
            ("max-uploads", PAGE.to_string()),
            ("prefix", self.blobs()),
            ("uploads", String::new()),
        ];
        if !name.is_empty() {
            query.push(("key-marker", name));
            query.push(("upload-id-marker", id));
        }
        let options = SignedUrlOptions::default().with_query(query);
        let (bucket, lives) = (Path::default(), std::time::Duration::from_secs(URL_SECONDS));
        let sign = || {
            self.store
                .signed_url_opts(Method::GET, &bucket, lives, &options)
        };
        let url = self.ask(LISTING, sign).await?;
        let url = url.map_err(|error| fault(LISTING, &error))?;
        let text = self.within(LISTING, self.get(url.as_str())).await??;
        let page = UploadsPage::parse(&text)
            .ok_or_else(|| unreadable("the store's list of uploads is not as documented"))?;
        let is_behind = |next: &(String, String)| {
            let before = from.as_ref();
            before.is_some_and(|from| next == from || next.0 < from.0)
        };
        if page.next().as_ref().is_some_and(is_behind) {
            return Err(unreadable(ENDLESS));
        }
        Ok(page)
    }

    /// Returns the store's answer to a GET of the URL. The URL is a credential, and in no error.
    async fn get(&self, url: &str) -> Result<String, BlobError> {
        let request = HttpRequest::new(HttpRequestBody::empty());
        let (mut parts, body) = request.into_parts();
        parts.uri = url
            .parse()
            .map_err(|_| unreadable("the store's URL is none"))?;
        let request = HttpRequest::from_parts(parts, body);
        let answer = self.http.execute(request).await;
        let (head, body): (_, HttpResponseBody) = answer
            .map_err(|error| unreadable(&format!("{:?}", error.kind())))?
            .into_parts();
        if head.status != StatusCode::OK {
            return Err(unreadable(&format!("the store answers {}", head.status)));
        }
        let mut stream = body.bytes_stream();
        let mut text = Vec::new();
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(|error| unreadable(&format!("{:?}", error.kind())))?;
            if text.len() + bytes.len() > LIST_BYTES_MAX {
                return Err(unreadable(ENDLESS));
            }
            text.extend_from_slice(&bytes);
        }
        String::from_utf8(text).map_err(|_| unreadable("the store's list of uploads is no text"))
    }
}

fn unreadable(why: &str) -> BlobError {
    BlobError::Unavailable {
        doing: LISTING,
        why: why.to_owned(),
    }
}
