//! Uploads as `multipart/form-data` (RFC 7578): the file's bytes go straight to the gateway while they
//! come in, in whatever order the parts stand.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use multer::{Field, Multipart};

use super::Exchange;
use super::part::PartHead;
use super::problem::Problem;
use super::{query, wire};
use crate::gateway::Gateway;
use crate::gateway::refusal::{FieldFault, Refusal};
use crate::gateway::upload::Upload;
use crate::model::file::Purpose;
use crate::model::metadata::Metadata;
use crate::model::name::FileName;

/// The longest boundary (RFC 2046, §5.1.1).
const BOUNDARY_CHARS_MAX: usize = 70;
/// The most parts in one form.
const PARTS_MAX: usize = 64;
/// How much may come in before a part's head is complete.
const PART_HEAD_BYTES_MAX: u64 = 16 * 1024;
/// The longest text field; the largest that any style knows is metadata, 8 KiB.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// What a client reads, if it still reads, whose body ended before its end.
const BROKE_OFF: &str = "the body broke off";
/// All of a body that is not the file.
const OVERHEAD_BYTES_MAX: u64 = 1024 * 1024;

const CONTENT_TRANSFER_ENCODING: HeaderName = HeaderName::from_static("content-transfer-encoding");

/// A form that was read to its end.
pub(super) struct Form {
    /// The file, its bytes staged.
    pub(super) file: Option<FilePart>,
    /// Its text fields.
    pub(super) texts: Texts,
}

/// The text fields of a form, each read as soon as its part is, so that a form with a wrong one is not
/// read further.
#[derive(Default)]
pub(super) struct Texts {
    /// What the file is for.
    pub(super) purpose: Option<Purpose>,
    /// The caller's own pairs.
    pub(super) metadata: Option<Metadata>,
    /// The file's name, in a field of its own.
    pub(super) filename: Option<FileName>,
}

/// The part that is the file.
pub(super) struct FilePart {
    /// Its bytes.
    pub(super) upload: Upload,
    /// Its name, cleaned, or why it is none: a style may have the name in a field of its own.
    pub(super) name: Result<FileName, FieldFault>,
    /// The type that the part declares.
    pub(super) declared_type: Option<String>,
}

/// A text part that a style may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextField {
    /// `purpose`: what the file is for.
    Purpose,
    /// `metadata`: a JSON object.
    Metadata,
    /// `filename`: the file's name, which counts before the file part's.
    Filename,
}

/// What a style calls the parts. Parts under other names are read past.
pub(super) struct Fields {
    /// Names of the one file part.
    pub(super) file: &'static [&'static str],
    /// The text parts, each at most once.
    pub(super) texts: &'static [TextField],
}

impl Form {
    /// Reads the form. What was staged is gone again if this fails, or is dropped.
    pub(super) async fn read(
        exchange: &mut Exchange<'_>,
        fields: &Fields,
    ) -> Result<Self, Problem> {
        let (gateway, headers) = (exchange.gateway, &exchange.request.headers);
        let body_max = gateway
            .settings()
            .upload_size_max
            .saturating_add(OVERHEAD_BYTES_MAX);
        check_length(gateway, headers, body_max)?;
        let boundary = boundary(headers)?;
        let head_budget = Arc::new(AtomicU64::new(PART_HEAD_BYTES_MAX));
        let chunks = Chunks {
            body: exchange.body,
            head_budget: Arc::clone(&head_budget),
            left: body_max,
            body_max,
            rest: false,
        };
        let mut parts = Multipart::new(chunks, boundary);
        let mut form = Self {
            file: None,
            texts: Texts::default(),
        };
        for parts_before in 0..=PARTS_MAX {
            head_budget.store(PART_HEAD_BYTES_MAX, Ordering::Relaxed);
            let Some(part) = parts.next_field().await.map_err(broken)? else {
                drop(parts);
                read_to_end(exchange.body).await?;
                return Ok(form);
            };
            if parts_before == PARTS_MAX {
                break;
            }
            head_budget.store(u64::MAX, Ordering::Relaxed);
            form.take(gateway, part, fields).await?;
        }
        Err(Problem::bad_body(format!("more than {PARTS_MAX} parts")))
    }

    async fn take(
        &mut self,
        gateway: &Gateway,
        part: Field<'_>,
        fields: &Fields,
    ) -> Result<(), Problem> {
        check_encoding(&part)?;
        let head =
            PartHead::read(part.headers()).map_err(|error| Problem::bad_body(error.to_string()))?;
        let name = head
            .name
            .ok_or_else(|| Problem::bad_body("a part has no name"))?;
        if fields.file.contains(&name.as_str()) {
            return self
                .take_file(gateway, part, name, head.filename.unwrap_or_default())
                .await;
        }
        let known = fields.texts.iter().find(|field| field.name() == name);
        let Some(field) = known else {
            return read_past(part).await;
        };
        let text = text_of(part, &name).await?;
        Ok(self.texts.take(*field, &text)?)
    }

    async fn take_file(
        &mut self,
        gateway: &Gateway,
        mut part: Field<'_>,
        field: String,
        filename: String,
    ) -> Result<(), Problem> {
        if self.file.is_some() {
            return Err(FieldFault::missing(field, "must be exactly one file").into());
        }
        let name = FileName::from_client(&filename)
            .map_err(|error| FieldFault::invalid("filename", filename, error));
        let declared = part
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|line| line.to_str().ok());
        let declared_type = declared.map(str::to_owned);
        let mut upload = gateway.begin_upload().await?;
        while let Some(chunk) = part.chunk().await.map_err(broken)? {
            upload.write(chunk).await?;
        }
        self.file = Some(FilePart {
            upload,
            name,
            declared_type,
        });
        Ok(())
    }
}

impl Texts {
    fn take(&mut self, field: TextField, text: &str) -> Result<(), FieldFault> {
        let again = match field {
            TextField::Purpose => self.purpose.replace(query::purpose(text)?).is_some(),
            TextField::Metadata => self.metadata.replace(wire::metadata(text)?).is_some(),
            TextField::Filename => {
                let name = FileName::from_client(text)
                    .map_err(|error| FieldFault::invalid(field.name(), text, error))?;
                self.filename.replace(name).is_some()
            }
        };
        if again {
            return Err(FieldFault::missing(field.name(), "must not be given twice"));
        }
        Ok(())
    }
}

impl TextField {
    const fn name(self) -> &'static str {
        match self {
            Self::Purpose => "purpose",
            Self::Metadata => "metadata",
            Self::Filename => "filename",
        }
    }
}

/// Refuses a body that says beforehand that it is too large, or is compressed.
fn check_length(gateway: &Gateway, headers: &HeaderMap, body_max: u64) -> Result<(), Problem> {
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(Problem::UnsupportedBody("a Content-Encoding is not taken"));
    }
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|line| line.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > body_max) {
        return Err(Refusal::TooLarge {
            limit: gateway.settings().upload_size_max,
        }
        .into());
    }
    Ok(())
}

fn boundary(headers: &HeaderMap) -> Result<String, Problem> {
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let line = lines.next().and_then(|line| line.to_str().ok());
    let line = line.unwrap_or_default();
    if lines.next().is_some() {
        return Err(Problem::bad_body("Content-Type is there twice"));
    }
    match multer::parse_boundary(line) {
        Ok(boundary) if (1..=BOUNDARY_CHARS_MAX).contains(&boundary.len()) => Ok(boundary),
        Ok(_) => Err(Problem::bad_body(format!(
            "the boundary is not 1 to {BOUNDARY_CHARS_MAX} characters"
        ))),
        Err(multer::Error::NoBoundary) => Err(Problem::bad_body("Content-Type names no boundary")),
        Err(_) => Err(Problem::UnsupportedBody(
            "the Content-Type is not multipart/form-data",
        )),
    }
}

/// Refuses a part whose bytes are not what they stand for: encoded, or a multipart of its own.
fn check_encoding(part: &Field<'_>) -> Result<(), Problem> {
    let line = |name: HeaderName| {
        let line = part
            .headers()
            .get(name)
            .and_then(|line| line.to_str().ok())
            .unwrap_or_default();
        line.trim().to_ascii_lowercase()
    };
    if !matches!(
        line(CONTENT_TRANSFER_ENCODING).as_str(),
        "" | "7bit" | "8bit" | "binary"
    ) {
        return Err(Problem::bad_body("a part has a Content-Transfer-Encoding"));
    }
    if line(CONTENT_TYPE).starts_with("multipart/") {
        return Err(Problem::bad_body("a part is a multipart of its own"));
    }
    Ok(())
}

async fn text_of(mut part: Field<'_>, name: &str) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = part.chunk().await.map_err(broken)? {
        if bytes.len() + chunk.len() > TEXT_BYTES_MAX {
            let why = format!("must be at most {TEXT_BYTES_MAX} bytes");
            return Err(FieldFault::missing(name, why).into());
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| FieldFault::missing(name, "must be text in UTF-8").into())
}

async fn read_past(mut part: Field<'_>) -> Result<(), Problem> {
    let mut left = OVERHEAD_BYTES_MAX;
    while let Some(chunk) = part.chunk().await.map_err(broken)? {
        let length = chunk.len() as u64;
        left = left.checked_sub(length).ok_or(Problem::BodyTooLarge {
            limit: OVERHEAD_BYTES_MAX,
        })?;
    }
    Ok(())
}

/// Reads what follows the form's last line. It means nothing (RFC 2046, §5.1.1), but a body that breaks
/// off even there was not sent whole, and is not answered with a yes.
async fn read_to_end(body: &mut Incoming) -> Result<(), Problem> {
    let mut left = OVERHEAD_BYTES_MAX;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::unreadable_body(BROKE_OFF, &error))?;
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        left = left.checked_sub(length).ok_or(Problem::BodyTooLarge {
            limit: OVERHEAD_BYTES_MAX,
        })?;
    }
    Ok(())
}

/// The request body as the multipart parser takes it, held to bounds that the parser does not have: it
/// would gather a part's head in memory however long it is, and read ahead as fast as the client sends.
struct Chunks<'a> {
    body: &'a mut Incoming,
    /// What may still come in before the part's head must be complete.
    head_budget: Arc<AtomicU64>,
    /// What may still come in at all.
    left: u64,
    body_max: u64,
    /// Whether the next poll rests, so that the parser works on one chunk before it asks for another.
    rest: bool,
}

impl Stream for Chunks<'_> {
    type Item = Result<Bytes, BodyFault>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if std::mem::take(&mut this.rest) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            let frame = match ready!(Pin::new(&mut *this.body).poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => {
                    return Poll::Ready(Some(Err(BodyFault::Broken(error.to_string()))));
                }
                Some(Ok(frame)) => frame,
            };
            // Trailers are read past.
            if let Ok(chunk) = frame.into_data() {
                this.rest = true;
                return Poll::Ready(Some(this.admit(chunk)));
            }
        }
    }
}

impl Chunks<'_> {
    fn admit(&mut self, chunk: Bytes) -> Result<Bytes, BodyFault> {
        let length = chunk.len() as u64;
        self.left = self.left.checked_sub(length).ok_or(BodyFault::TooLarge {
            limit: self.body_max,
        })?;
        let budget = self.head_budget.load(Ordering::Relaxed);
        if budget == 0 {
            return Err(BodyFault::HeadTooLong);
        }
        if budget != u64::MAX {
            self.head_budget
                .store(budget.saturating_sub(length), Ordering::Relaxed);
        }
        Ok(chunk)
    }
}

/// What was wrong with the body itself, carried through the parser.
#[derive(Debug)]
enum BodyFault {
    Broken(String),
    HeadTooLong,
    TooLarge { limit: u64 },
}

impl fmt::Display for BodyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(cause) => write!(f, "{BROKE_OFF}: {cause}"),
            Self::HeadTooLong => write!(
                f,
                "a part's head is longer than {PART_HEAD_BYTES_MAX} bytes"
            ),
            Self::TooLarge { limit } => write!(f, "the body is larger than {limit} bytes"),
        }
    }
}

impl StdError for BodyFault {}

/// The parser's fault in our own words: its own repeat what the client sent.
fn broken(error: multer::Error) -> Problem {
    use multer::Error as Fault;
    let why = match &error {
        Fault::StreamReadFailed(cause) => match cause.downcast_ref::<BodyFault>() {
            Some(BodyFault::TooLarge { limit }) => return Problem::BodyTooLarge { limit: *limit },
            Some(fault @ BodyFault::HeadTooLong) => return Problem::bad_body(fault.to_string()),
            Some(BodyFault::Broken(cause)) => return Problem::unreadable_body(BROKE_OFF, cause),
            None => BROKE_OFF,
        },
        Fault::IncompleteFieldData { .. } | Fault::IncompleteStream => "the form has no end",
        Fault::IncompleteHeaders => "a part's head has no end",
        Fault::ReadHeaderFailed(_)
        | Fault::DecodeHeaderName { .. }
        | Fault::DecodeHeaderValue { .. } => "a part's head cannot be read",
        _ => "it is not a form",
    };
    Problem::unreadable_body(why, &error)
}
