//! Uploads as `multipart/form-data` (RFC 7578): the file's bytes go straight to the gateway while they
//! come in, in whatever order the parts stand.

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};

use super::Exchange;
use super::multipart::{HEAD_BYTES_MAX, Head, Piece, Splitter, Unreadable};
use super::part::{self, PartHead};
use super::problem::Problem;
use super::received::Received;
use super::{header, query, wire};
use crate::gateway::Gateway;
use crate::gateway::refusal::{FieldFault, Refusal};
use crate::gateway::upload::{Room, Upload};
use crate::model::file::Purpose;
use crate::model::id::OrganizationId;
use crate::model::media::MediaType;
use crate::model::metadata::Metadata;
use crate::model::name::FileName;

/// The longest boundary (RFC 2046, §5.1.1).
const BOUNDARY_CHARS_MAX: usize = 70;
/// The most parts in one form.
const PARTS_MAX: usize = 64;
/// The longest text field; the largest that any style knows is metadata, 8 KiB.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// All of a body that is not the file.
const OVERHEAD_BYTES_MAX: u64 = 1024 * 1024;

const CONTENT_TRANSFER_ENCODING: HeaderName = HeaderName::from_static("content-transfer-encoding");

/// A form that was read to its end.
pub(super) struct Form {
    /// How many bytes the file may have by its organization's quota.
    room: Option<Room>,
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
    /// Its name, cleaned. `None` where the part has none: a name in a field of its own counts.
    pub(super) name: Option<FileName>,
    /// The type that the part declares, if it is a media type.
    pub(super) declared_type: Option<MediaType>,
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
    /// A file that its organization has no room for is refused before the body is read, as far as it says how
    /// long it is, and else at the first byte too many.
    pub(super) async fn read(
        exchange: &mut Exchange<'_>,
        organization: &OrganizationId,
        fields: &Fields,
    ) -> Result<Self, Problem> {
        let (gateway, headers) = (exchange.gateway, &exchange.request.headers);
        let body_max = gateway
            .settings()
            .upload_size_max
            .saturating_add(OVERHEAD_BYTES_MAX);
        check_length(gateway, headers, body_max)?;
        let boundary = boundary(headers)?;
        let file_min = exchange
            .body
            .length_min()
            .saturating_sub(OVERHEAD_BYTES_MAX);
        let room = gateway.room(organization, file_min).await?;
        let mut parts = Parts {
            body: exchange.body,
            splitter: Splitter::new(&boundary),
            last_name: String::new(),
            left: body_max,
            body_max,
        };
        parts.skip_preamble().await?;
        let mut form = Self {
            room,
            file: None,
            texts: Texts::default(),
        };
        for parts_before in 0..=PARTS_MAX {
            let Some(head) = parts.head().await? else {
                read_to_end(parts.body).await?;
                return Ok(form);
            };
            if parts_before < PARTS_MAX {
                form.take(gateway, &head, &mut parts, fields).await?;
            }
        }
        Err(Problem::bad_body(format!("more than {PARTS_MAX} parts")))
    }

    async fn take(
        &mut self,
        gateway: &Gateway,
        lines: &HeaderMap,
        parts: &mut Parts<'_>,
        fields: &Fields,
    ) -> Result<(), Problem> {
        check_encoding(lines)?;
        let head = PartHead::read(lines).map_err(|error| Problem::bad_body(error.to_string()))?;
        let name = head
            .name
            .ok_or_else(|| Problem::bad_body("a part has no name"))?;
        parts.last_name.clone_from(&name);
        if fields.file.contains(&name.as_str()) {
            if self.file.is_some() {
                return Err(FieldFault::missing(name, "must be exactly one file").into());
            }
            // A fault of the name is told here, before the bytes come in.
            let filename = self.name_of_file(head.filename.as_deref(), fields)?;
            return self.take_file(gateway, lines, parts, filename).await;
        }
        let known = fields.texts.iter().find(|field| field.name() == name);
        let Some(field) = known else {
            return parts.skip().await;
        };
        let text = parts.text(&name).await?;
        Ok(self.texts.take(*field, &text)?)
    }

    async fn take_file(
        &mut self,
        gateway: &Gateway,
        lines: &HeaderMap,
        parts: &mut Parts<'_>,
        name: Option<FileName>,
    ) -> Result<(), Problem> {
        let mut upload = gateway.begin_upload().await?.within(self.room);
        while let Some(chunk) = parts.chunk().await? {
            upload.write(chunk).await?;
        }
        self.file = Some(FilePart {
            upload,
            name,
            declared_type: declared_type(lines),
        });
        Ok(())
    }

    /// Returns the name of the file part, if it needs one: a field of its own that came earlier counts
    /// before it, and where there is no name in the part such a field may come later.
    fn name_of_file(
        &self,
        filename: Option<&str>,
        fields: &Fields,
    ) -> Result<Option<FileName>, FieldFault> {
        let filename = filename.unwrap_or_default();
        let has_field = fields.texts.contains(&TextField::Filename);
        if self.texts.filename.is_some() || (filename.is_empty() && has_field) {
            return Ok(None);
        }
        let name = FileName::from_client(filename);
        name.map(Some)
            .map_err(|error| FieldFault::invalid("filename", filename, error))
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
    if header::is_encoded(headers) {
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
    let (kind, parameters) = line.split_once(';').unwrap_or((line, ""));
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return Err(Problem::UnsupportedBody(
            "the Content-Type is not multipart/form-data",
        ));
    }
    match part::boundary(parameters) {
        Err(_) => Err(Problem::bad_body("the Content-Type cannot be read")),
        Ok(None) => Err(Problem::bad_body("Content-Type names no boundary")),
        Ok(Some(boundary)) if is_boundary(&boundary) => Ok(boundary),
        Ok(Some(_)) => Err(Problem::bad_body(format!(
            "the boundary is not 1 to {BOUNDARY_CHARS_MAX} characters that may be in one"
        ))),
    }
}

/// Visible ASCII, and spaces but at the end: more than RFC 2046 allows, since clients write more.
fn is_boundary(text: &str) -> bool {
    (1..=BOUNDARY_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && !text.ends_with(' ')
}

/// Refuses a part whose bytes are not what they stand for: encoded, or a multipart of its own.
fn check_encoding(lines: &HeaderMap) -> Result<(), Problem> {
    let line = |name: HeaderName| {
        let bytes = lines.get(name).map(|line| line.as_bytes());
        bytes.unwrap_or_default().trim_ascii().to_ascii_lowercase()
    };
    let encoding = line(CONTENT_TRANSFER_ENCODING);
    if ![&b""[..], b"7bit", b"8bit", b"binary"].contains(&encoding.as_slice()) {
        return Err(Problem::bad_body("a part has a Content-Transfer-Encoding"));
    }
    // Without a boundary it cannot be one, and the type says nothing.
    let is_form = line(CONTENT_TYPE).starts_with(b"multipart/");
    if is_form && !declared_type(lines).is_some_and(|declared| declared.is_placeholder()) {
        return Err(Problem::bad_body("a part is a multipart of its own"));
    }
    Ok(())
}

/// The type in a part's head, if it is a media type.
fn declared_type(lines: &HeaderMap) -> Option<MediaType> {
    let text = lines.get(CONTENT_TYPE)?.to_str().ok()?;
    MediaType::parse(text).ok()
}

/// The parts of the form, while they come in.
struct Parts<'a> {
    body: &'a mut Received,
    splitter: Splitter,
    /// The name of the part that was begun last, for the log.
    last_name: String,
    /// What may still come in.
    left: u64,
    body_max: u64,
}

impl Parts<'_> {
    /// Reads past what stands before the first boundary.
    async fn skip_preamble(&mut self) -> Result<(), Problem> {
        let mut left = HEAD_BYTES_MAX;
        while let Some(chunk) = self.chunk().await? {
            left = left
                .checked_sub(chunk.len())
                .ok_or_else(|| Problem::bad_body("no boundary near its beginning"))?;
        }
        Ok(())
    }

    /// The head of the next part, once the bytes of the last one are read; `None` if there is no more.
    async fn head(&mut self) -> Result<Option<HeaderMap>, Problem> {
        let bad = |error: Unreadable| Problem::bad_body(error.to_string());
        loop {
            match self.splitter.head().map_err(bad)? {
                Head::Part(head) => return Ok(Some(head)),
                Head::End => return Ok(None),
                Head::Incomplete => self.pull().await?,
            }
        }
    }

    /// The next bytes of the part; `None` at its end.
    async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            match self.splitter.piece() {
                Piece::Bytes(bytes) => return Ok(Some(bytes)),
                Piece::End => return Ok(None),
                Piece::Incomplete => self.pull().await?,
            }
        }
    }

    /// The part's bytes as the text of the field `name`.
    async fn text(&mut self, name: &str) -> Result<String, Problem> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if bytes.len() + chunk.len() > TEXT_BYTES_MAX {
                let why = format!("must be at most {TEXT_BYTES_MAX} bytes");
                return Err(FieldFault::missing(name, why).into());
            }
            bytes.extend_from_slice(&chunk);
        }
        String::from_utf8(bytes)
            .map_err(|_| FieldFault::missing(name, "must be text in UTF-8").into())
    }

    /// Reads past the part's bytes.
    async fn skip(&mut self) -> Result<(), Problem> {
        let limit = OVERHEAD_BYTES_MAX;
        let mut left = limit;
        while let Some(chunk) = self.chunk().await? {
            let length = chunk.len() as u64;
            left = left
                .checked_sub(length)
                .ok_or(Problem::BodyTooLarge { limit })?;
        }
        Ok(())
    }

    /// Waits for more of the body.
    async fn pull(&mut self) -> Result<(), Problem> {
        let Some(chunk) = self.body.chunk().await? else {
            let place = format!("it ended in or behind the part {:?}", self.last_name);
            return Err(Problem::unreadable_body("the form has no end", &place));
        };
        let length = chunk.len() as u64;
        let limit = self.body_max;
        self.left = self
            .left
            .checked_sub(length)
            .ok_or(Problem::BodyTooLarge { limit })?;
        self.splitter.push(chunk);
        Ok(())
    }
}

/// Reads what follows the form's last line. It means nothing (RFC 2046, §5.1.1), but a body that breaks
/// off even there was not sent whole, and is not answered with a yes.
async fn read_to_end(body: &mut Received) -> Result<(), Problem> {
    let limit = OVERHEAD_BYTES_MAX;
    let mut left = limit;
    while let Some(chunk) = body.chunk().await? {
        left = left
            .checked_sub(chunk.len() as u64)
            .ok_or(Problem::BodyTooLarge { limit })?;
    }
    Ok(())
}
