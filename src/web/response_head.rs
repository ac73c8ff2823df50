//! A cache of response heads: the headers of answers with a file are made once for each file, and copied for each
//! answer or, where the connection can do that, sent as a header block that is serialised already.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderName, HeaderValue, LAST_MODIFIED, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use quick_cache::sync::Cache;

use super::cors;
use super::digest::{self, REPR_DIGEST};
use super::settings::WebSettings;
use crate::gateway::download::Download;
use crate::model::condition::Validators;
use crate::model::file::FileRecord;

/// The most files whose heads are cached, about three kilobytes each. The least recently used are evicted.
const HEADS_MAX: usize = 2_048;

/// The longest that a browser may keep the bytes, in seconds.
const MAX_AGE_SECONDS: u64 = 3_600;

/// The policy of a file that could run in a browser: it may show itself, and do nothing else.
/// Passive types have none, since a sandbox breaks the PDF viewer.
/// A drawing has its styles, pictures, fonts and sounds inside.
const SANDBOX: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
                       font-src data:; media-src data:; sandbox";

/// A replayed answer would not be counted.
pub(super) const NOT_STORED: HeaderValue = HeaderValue::from_static("private, no-store");

const X_ROBOTS_TAG: HeaderName = HeaderName::from_static("x-robots-tag");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// The headers that a 304 does not repeat: they describe the bytes that it does not have.
const DESCRIPTION: [HeaderName; 4] = [
    CONTENT_TYPE,
    CONTENT_DISPOSITION,
    REPR_DIGEST,
    ACCEPT_RANGES,
];

/// A cache of the heads of hot files, each under the address in memory of the record that it is made of and holds: as
/// long as it is cached, no other record can be there.
pub(super) struct ResponseHeads(Cache<Place, Arc<ResponseHead>>);

/// The address of a record, and whether the answer is to be saved whatever it is.
type Place = (usize, bool);

/// The name and the value of a header.
type Field = (HeaderName, HeaderValue);

/// The head of every answer with a file, as long as nothing of the file changes.
pub(super) struct ResponseHead {
    /// The record that it is made of, held so that its address stays its own.
    _file: Arc<FileRecord>,
    pub(super) validators: Validators,
    /// The headers in the order in which they are sent, no name twice.
    fields: Vec<Field>,
    /// The headers as a map, once an answer needs one: most have the serialised head alone.
    headers: OnceLock<HeaderMap>,
    /// The head, serialised.
    header_block: Bytes,
    /// The head of counted answers, serialised once there is one.
    counted_block: OnceLock<Bytes>,
    /// The digest, where only a client that asks for it has it.
    digest: Option<HeaderValue>,
}

impl ResponseHeads {
    pub(super) fn new() -> Self {
        Self(Cache::new(HEADS_MAX))
    }

    /// The head of an opened file. One whose link says otherwise than the file is made anew, unless all that it says is that
    /// the file is to be saved, as a share's page does.
    pub(super) fn of(&self, download: &Download, settings: &WebSettings) -> Arc<ResponseHead> {
        let (file, claims) = (&download.file, &download.claims);
        let is_saved = match (claims.content_type(), claims.content_disposition()) {
            (None, None) => false,
            (None, Some("attachment")) => true,
            _ => return Arc::new(ResponseHead::new(download, settings)),
        };
        let place = (Arc::as_ptr(file).addr(), is_saved);
        if let Some(cached) = self.0.get(&place) {
            return cached;
        }
        let made = Arc::new(ResponseHead::new(download, settings));
        self.0.insert(place, Arc::clone(&made));
        made
    }
}

impl ResponseHead {
    fn new(download: &Download, settings: &WebSettings) -> Self {
        let file = &download.file;
        let validators = Validators {
            etag: Some(file.etag()),
            last_modified: Some(file.updated_at),
        };
        let mut fields = Vec::with_capacity(16);
        let mut set = |name, value: &str| {
            // Of our own making; one that is no header value after all is left out.
            if let Ok(value) = HeaderValue::from_str(value) {
                fields.push((name, value));
            }
        };
        if let Some(etag) = &validators.etag {
            set(ETAG, etag);
        }
        if let Some(date) = validators.last_modified_header() {
            set(LAST_MODIFIED, &date);
        }
        set(CONTENT_TYPE, &download.content_type());
        set(CONTENT_DISPOSITION, &download.disposition());
        // Of a file that nobody has read, none is promised.
        let digest = file
            .sha256
            .map(|sha256| format!("sha-256=:{}:", sha256.to_base64()));
        let is_said_unasked = digest::is_said_unasked(download.media_type());
        if let Some(digest) = digest.as_ref().filter(|_| is_said_unasked) {
            set(REPR_DIGEST, digest);
        }
        fields.push((ACCEPT_RANGES, HeaderValue::from_static("bytes")));
        fields.push((CACHE_CONTROL, cache_control(MAX_AGE_SECONDS)));
        fields.extend(protection(settings, download));
        fields.extend(cors::of_every_origin(&settings.origins));
        Self {
            _file: Arc::clone(file),
            validators,
            header_block: serialised(fields.iter().map(|(name, value)| (name, value))),
            counted_block: OnceLock::new(),
            headers: OnceLock::new(),
            fields,
            digest: digest
                .filter(|_| !is_said_unasked)
                .and_then(|digest| HeaderValue::try_from(digest).ok()),
        }
    }

    /// The digest that this client asks for and would not have otherwise, to be added to the headers.
    pub(super) fn digest_asked_for(&self, request: &HeaderMap) -> Option<&HeaderValue> {
        let digest = self.digest.as_ref();
        digest.filter(|_| digest::is_asked_for(request))
    }

    /// Returns the headers of a whole answer as a header block, for [`crate::zero_copy::WriterHandle::add_to_head`]. `None`
    /// where they are others than most answers': then they are those of [`ResponseHead::whole`]. An answer that is counted
    /// has all of those but that no cache may keep it.
    pub(super) fn header_block(&self, lives: Option<u64>, is_counted: bool) -> Option<Bytes> {
        if is_counted {
            return Some(self.counted_block());
        }
        let is_usual = lives.is_none_or(|lives| lives >= MAX_AGE_SECONDS);
        is_usual.then(|| self.header_block.clone())
    }

    fn counted_block(&self) -> Bytes {
        let made = self.counted_block.get_or_init(|| {
            let not_stored = NOT_STORED;
            let fields = self.fields.iter();
            serialised(fields.map(|(name, value)| match *name {
                CACHE_CONTROL => (name, &not_stored),
                _ => (name, value),
            }))
        });
        made.clone()
    }

    /// The headers of a whole answer. `lives` is for how many seconds the link does, where browsers must
    /// forget the bytes with it.
    pub(super) fn whole(&self, lives: Option<u64>) -> HeaderMap {
        let made = || self.fields.iter().cloned().collect();
        let mut headers = self.headers.get_or_init(made).clone();
        if let Some(lives) = lives.filter(|lives| *lives < MAX_AGE_SECONDS) {
            headers.insert(CACHE_CONTROL, cache_control(lives));
        }
        headers
    }

    /// Returns those that a 304 has, too: they identify the bytes, and say who may keep them for how long.
    pub(super) fn of_not_modified(&self, lives: Option<u64>) -> HeaderMap {
        let mut headers = self.whole(lives);
        for name in &DESCRIPTION {
            headers.remove(name);
        }
        headers
    }
}

/// Serialises headers, each on a line of its own, its name in the case that the HTTP library writes names in, but for the
/// one that its registration spells otherwise (RFC 9110, §18.4).
fn serialised<'a>(
    fields: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)> + Clone,
) -> Bytes {
    let line = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    let mut block = Vec::with_capacity(fields.clone().map(line).sum());
    for (name, value) in fields {
        match *name {
            ETAG => block.extend_from_slice(b"ETag"),
            _ => push_title_case(name.as_str().as_bytes(), &mut block),
        }
        for part in [b": ", value.as_bytes(), b"\r\n"] {
            block.extend_from_slice(part);
        }
    }
    block.into()
}

/// Appends a name, each of its words with a capital letter.
fn push_title_case(name: &[u8], block: &mut Vec<u8>) {
    let mut is_first = true;
    block.extend(name.iter().map(|byte| {
        let cased = match is_first {
            true => byte.to_ascii_uppercase(),
            false => *byte,
        };
        is_first = *byte == b'-';
        cased
    }));
}

fn cache_control(max_age: u64) -> HeaderValue {
    let value = HeaderValue::from_str(&format!("private, max-age={max_age}"));
    value.unwrap_or_else(|_| HeaderValue::from_static("no-store"))
}

/// Returns the headers that keep strangers' bytes from doing harm, and the link from leaking.
fn protection(settings: &WebSettings, download: &Download) -> impl Iterator<Item = Field> {
    // Both types, the file's own and the one that the link claims, must be harmless to go without.
    let is_passive = download.media_type().is_passive() && download.file.media_type.is_passive();
    let sandbox = (CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
    let sandbox = (!is_passive).then_some(sandbox);
    link_protection(&settings.resource_policy)
        .into_iter()
        .chain(sandbox)
}

/// Returns those of them that do not depend on the type of the bytes.
pub(super) fn link_protection(resource_policy: &HeaderValue) -> [Field; 4] {
    let no_index = HeaderValue::from_static("noindex, nofollow, noarchive");
    [
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (X_ROBOTS_TAG, no_index),
        (CROSS_ORIGIN_RESOURCE_POLICY, resource_policy.clone()),
    ]
}
