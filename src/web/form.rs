//! Uploads as `multipart/form-data` (RFC 7578): the file's bytes go straight to the gateway while they
//! come in, in whatever order the parts stand.

use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, HeaderName};

use super::context::RequestContext;
use super::multipart::Splitter;
use super::part::{self, PartHead};
use super::problem::Problem;
use super::{header, query, wire};
use crate::gateway::Gateway;
use crate::gateway::refusal::{FieldFault, Refusal};
use crate::gateway::upload::{FILE_LIFETIME_MAX, RemainingQuota, Upload};
use crate::model::file::Purpose;
use crate::model::id::OrganizationId;
use crate::model::media::MediaType;
use crate::model::metadata::Metadata;
use crate::model::name::FileName;

mod destination;
mod parts;

use destination::Destination;
use parts::{Parts, read_to_end};

/// The longest boundary (RFC 2046, §5.1.1).
const BOUNDARY_CHARS_MAX: usize = 70;
/// The most parts in one form.
const PARTS_MAX: usize = 64;
/// The longest text field; the largest that any dialect knows is metadata, 8 KiB.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// The most files in a batch.
pub(super) const BATCH_FILES_MAX: usize = 10;
/// All of a body that is not the file.
const OVERHEAD_BYTES_MAX: u64 = 1024 * 1024;

/// The name of the one file part.
const FILE: &str = "file";

const CONTENT_TRANSFER_ENCODING: HeaderName = HeaderName::from_static("content-transfer-encoding");

/// A form that was read to its end.
#[derive(Default)]
pub(super) struct Form {
    /// True if its files are a batch. Else there is one at most.
    pub(super) is_batch: bool,
    /// Its files, in their order.
    pub(super) files: Vec<FilePart>,
    /// Its text fields.
    pub(super) texts: Texts,
    /// The bytes that the organization's quota leaves for the one file.
    quota: Option<RemainingQuota>,
}

/// The text fields of a form, each read as soon as its part is, so that a form with a wrong one is not
/// read further.
#[derive(Default)]
pub(super) struct Texts {
    /// The purpose of the file.
    pub(super) purpose: Option<Purpose>,
    /// The caller's own pairs.
    pub(super) metadata: Option<Metadata>,
    /// The file's name, in a field of its own.
    pub(super) filename: Option<FileName>,
    /// For how many seconds the file is there.
    pub(super) expires_in: Option<u64>,
}

/// A part that is a file.
pub(super) struct FilePart {
    /// Its name as it was sent; of a batch's alone.
    pub(super) filename: String,
    /// The file, or why it is refused. The others of a batch are taken all the same.
    pub(super) taken: Result<TakenFile, Refusal>,
}

/// A file that was taken. Its bytes stay staged until the whole form is read: bytes that are durable and have no row
/// are swept once they are an hour old, and a form may take longer.
pub(super) struct TakenFile {
    /// Its bytes.
    pub(super) upload: Upload,
    /// Its name, cleaned. `None` where the part has none: a name in a field of its own counts.
    pub(super) name: Option<FileName>,
    /// The type that the part declares, if it is a media type.
    pub(super) declared_type: Option<MediaType>,
}

/// A text part that a dialect may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextField {
    /// `purpose`: what the file is for.
    Purpose,
    /// `metadata`: a JSON object.
    Metadata,
    /// `filename`: the file's name, which counts before the file part's.
    Filename,
    /// `name`: the same under another name.
    Name,
    /// `expires_in_seconds`: for how long the file is there.
    ExpiresIn,
}

/// The parts of an API dialect's forms besides [`FILE`]. Parts under other names are read past.
pub(super) struct Fields {
    /// The name of the parts of a batch, of which there may be [`BATCH_FILES_MAX`], but none beside [`FILE`].
    pub(super) batch: Option<&'static str>,
    /// True if a text part `null` counts as none: what a client writes that turns its own values into JSON.
    pub(super) skips_null: bool,
    /// The text parts, each at most once.
    pub(super) texts: &'static [TextField],
}

impl Form {
    /// Reads the form. What was staged is gone again if this fails, or is dropped.
    /// A file that its organization has no room for is refused before the body is read, as far as it says how
    /// long it is, and else at the first byte too many. Without an organization no quota holds.
    pub(super) async fn read(
        context: &mut RequestContext<'_>,
        organization: Option<&OrganizationId>,
        fields: &Fields,
    ) -> Result<Self, Problem> {
        let (gateway, headers) = (context.gateway(), &context.request.headers);
        let limit = gateway.settings().upload_size_max;
        let files_max = fields.batch.map_or(1, |_| BATCH_FILES_MAX as u64);
        let files_bytes = limit.saturating_mul(files_max);
        let body_max = files_bytes.saturating_add(OVERHEAD_BYTES_MAX);
        let body_min = context.body.length_min();
        if header::is_encoded(headers) {
            return Err(Problem::UnsupportedBody("a Content-Encoding is not taken"));
        }
        if body_min > body_max {
            return Err(Refusal::TooLarge { limit }.into());
        }
        let boundary = boundary(headers)?;
        let destination = Destination {
            gateway,
            organization,
            file_min: body_min.saturating_sub(OVERHEAD_BYTES_MAX),
        };
        let quota = match fields.batch {
            None => destination.remaining_quota_for_one().await?,
            // The first part tells one file from a batch, and is not read yet.
            Some(_) => destination.remaining_quota(0).await?,
        };
        let mut parts = Parts {
            body: context.body,
            splitter: Splitter::new(&boundary),
            begun: 0,
            left: body_max,
            body_max,
        };
        parts.skip_preamble().await?;
        let mut form = Self {
            quota,
            ..Self::default()
        };
        for parts_before in 0..=PARTS_MAX {
            let Some(head) = parts.head().await? else {
                read_to_end(parts.body).await?;
                return Ok(form);
            };
            if parts_before < PARTS_MAX {
                form.take(&destination, &head, &mut parts, fields).await?;
            }
        }
        Err(Problem::bad_body(format!("more than {PARTS_MAX} parts")))
    }

    async fn take(
        &mut self,
        to: &Destination<'_>,
        lines: &HeaderMap,
        parts: &mut Parts<'_>,
        fields: &Fields,
    ) -> Result<(), Problem> {
        check_encoding(lines)?;
        let head = PartHead::read(lines).map_err(|error| Problem::bad_body(error.to_string()))?;
        let unnamed = || Problem::bad_body("a part has no name");
        let name = head.name.ok_or_else(unnamed)?;
        if name == FILE {
            if !self.files.is_empty() {
                return Err(FieldFault::missing(name, "must be exactly one file").into());
            }
            if fields.batch.is_some() {
                self.quota = to.remaining_quota_for_one().await?;
            }
            // A fault of the name is told here, before the bytes come in.
            let name = self.name_of_file(head.filename.as_deref(), fields)?;
            let taken = taken(to.gateway, self.quota.take(), lines, parts, name).await?;
            self.files.push(FilePart {
                filename: String::new(),
                taken: Ok(taken),
            });
            return Ok(());
        }
        if fields.batch == Some(name.as_str()) {
            if !self.is_batch && !self.files.is_empty() {
                return Err(FieldFault::missing(name, "must not be there beside file").into());
            }
            if self.files.len() == BATCH_FILES_MAX {
                let why = format!("must be 1 to {BATCH_FILES_MAX} files");
                return Err(FieldFault::missing(name, why).into());
            }
            let filename = head.filename.unwrap_or_default();
            return self.take_one_of_batch(to, lines, parts, filename).await;
        }
        let Some(field) = fields.texts.iter().find(|field| field.name() == name) else {
            return parts.skip().await;
        };
        let text = parts.text(&name).await?;
        if fields.skips_null && text == "null" {
            return Ok(());
        }
        Ok(self.texts.take(*field, &text)?)
    }

    /// Takes one file of a batch. What is wrong with it alone refuses no other.
    async fn take_one_of_batch(
        &mut self,
        to: &Destination<'_>,
        lines: &HeaderMap,
        parts: &mut Parts<'_>,
        filename: String,
    ) -> Result<(), Problem> {
        let taking = async {
            let name = file_name("filename", &filename)?;
            let quota = to.remaining_quota(0).await?;
            taken(to.gateway, quota, lines, parts, Some(name)).await
        };
        let taken = match taking.await {
            Ok(file) => Ok(file),
            Err(Problem::Refused(refusal)) if is_of_one_file(&refusal) => {
                // The limit of the whole body bounds this.
                while parts.chunk().await?.is_some() {}
                Err(refusal)
            }
            Err(problem) => return Err(problem),
        };
        self.is_batch = true;
        self.files.push(FilePart { filename, taken });
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
        file_name("filename", filename).map(Some)
    }
}

impl Texts {
    fn take(&mut self, field: TextField, text: &str) -> Result<(), FieldFault> {
        let again = match field {
            TextField::Purpose => self.purpose.replace(query::purpose(text)?).is_some(),
            TextField::Metadata => self.metadata.replace(wire::metadata(text)?).is_some(),
            TextField::Filename | TextField::Name => {
                let name = file_name(field.name(), text)?;
                self.filename.replace(name).is_some()
            }
            TextField::ExpiresIn => self.expires_in.replace(expires_in(text)?).is_some(),
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
            Self::Name => "name",
            Self::ExpiresIn => "expires_in_seconds",
        }
    }
}

/// Cleans the name of a file, as it stands in this field.
fn file_name(field: &str, text: &str) -> Result<FileName, FieldFault> {
    let name = FileName::from_client(text);
    name.map_err(|error| FieldFault::invalid(field, text, error))
}

/// Stages the bytes of a file part, of which no more than the quota may come.
async fn taken(
    gateway: &Gateway,
    quota: Option<RemainingQuota>,
    lines: &HeaderMap,
    parts: &mut Parts<'_>,
    name: Option<FileName>,
) -> Result<TakenFile, Problem> {
    let mut upload = gateway.begin_upload().await?.within(quota);
    while let Some(chunk) = parts.chunk().await? {
        upload.write(chunk).await?;
    }
    Ok(TakenFile {
        upload,
        name,
        declared_type: declared_type(lines),
    })
}

/// Returns whether only the file is wrong, and not the request or the gateway.
pub(super) const fn is_of_one_file(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Field(_) | Refusal::TooLarge { .. } | Refusal::Quota { .. } | Refusal::NoSpace
    )
}

/// Reads for how many seconds a file is there.
fn expires_in(text: &str) -> Result<u64, FieldFault> {
    let seconds = query::whole_number(text);
    let seconds = seconds.filter(|seconds| (1..=FILE_LIFETIME_MAX).contains(seconds));
    seconds.ok_or_else(|| {
        let why = format!("must be a whole number from 1 to {FILE_LIFETIME_MAX}");
        FieldFault::new(TextField::ExpiresIn.name(), text, why)
    })
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
