//! Uploads: a form becomes files and one answer, which an idempotency key may have given before.

use std::sync::Arc;

use hyper::header::{HeaderName, RETRY_AFTER};
use hyper::{HeaderMap, Response, StatusCode};

use super::body::Body;
use super::context::RequestContext;
use super::form::{Fields, FilePart, Form, Texts};
use super::problem::Problem;
use super::reply::RETRY_AFTER_SECONDS;
use super::trace::Trace;
use super::{form, header, reply};
use crate::gateway::idempotency::{Completed, Fingerprint, HeldKey, KEY_CHARS_MAX, UnderKey};
use crate::gateway::principal::Principal;
use crate::gateway::refusal::{FieldFault, Refusal};
use crate::gateway::upload::{NewFile, StagedFile};
use crate::model::digest::Sha256Digest;
use crate::model::file::{FileRecord, Purpose};
use crate::model::id::SpaceId;

/// The header with a request's idempotency key.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// The header of an answer that was given before.
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The sign of a file that was taken in.
const TAKEN: char = '+';
/// The sign of a file that was refused while it came in.
const REFUSED: char = '-';

/// One file of a form, and what became of it.
pub(super) struct UploadedFile<'a> {
    /// Its name as it was sent; of a batch's alone.
    pub(super) filename: &'a str,
    /// Its record, once it is stored.
    pub(super) stored: Result<&'a FileRecord, &'a Refusal>,
}

/// The upload call of an API dialect.
pub(super) struct UploadDialect {
    /// Its name. Requests of two dialects are never the same.
    pub(super) name: &'static str,
    /// The names of its parts.
    pub(super) fields: Fields,
    /// The function that makes the answer to one file, which is stored.
    pub(super) one: fn(&FileRecord) -> UploadAnswer,
    /// The function that makes the answer to the files of a batch, in their order, where `fields` have one.
    pub(super) batch: Option<fn(&[UploadedFile<'_>]) -> UploadAnswer>,
}

/// The status and the text of the answer to an upload.
pub(super) type UploadAnswer = (StatusCode, Vec<u8>);

/// A form, described file by file in their order.
struct Described {
    is_batch: bool,
    /// The names as they were sent, each with why the file is refused, if it is.
    files: Vec<(String, Option<Refusal>)>,
    /// Those that are not, in the same order.
    kept: Vec<StagedFile>,
    fingerprint: Fingerprint,
}

/// An answer that was given before.
struct Given {
    status: StatusCode,
    /// True for each file that was refused while it came in, in their order.
    refused: Vec<bool>,
    text: String,
    fingerprint: Sha256Digest,
}

/// Reads a form with exactly one file, or with a batch where the dialect has one, and with the text fields that
/// it has; stores each file in the caller's default space. A name in a field of its own counts before the
/// part's. Nothing is stored of a form that is refused as a whole, nor of one whose idempotency key was
/// completed before: that is answered again. An upload beyond those that its caller may have at once is refused before
/// its body is read, and one that is not whole after `uploads.duration_max` then.
pub(super) async fn take_in(
    context: &mut RequestContext<'_>,
    caller: Principal,
    dialect: &'static UploadDialect,
) -> Result<Response<Body>, Problem> {
    // Held until the answer: of one that is refused no byte is read.
    let _permit = context.gateway().limits().admit_upload(&caller)?;
    context
        .body
        .end_within(context.shared.settings.upload_time_max);
    let under_key = match idempotency_key(&context.request.headers)? {
        Some(key) => Some(context.gateway().claim_key(&caller, key).await?),
        None => None,
    };
    let (status, text) = match under_key {
        Some(UnderKey::Completed(completed)) => {
            return again(context, &caller, dialect, completed).await;
        }
        Some(UnderKey::Nothing(held)) => match read(context, &caller, dialect, None).await {
            Ok(described) => add(context, dialect, described, Some(held)).await?,
            Err(problem) => {
                held.release().await;
                return Err(problem);
            }
        },
        None => {
            let described = read(context, &caller, dialect, None).await?;
            add(context, dialect, described, None).await?
        }
    };
    Ok(answered(status, &context.trace, text))
}

/// The answer to an upload. A batch has a body of its own also where nothing of it was stored, for now perhaps.
fn answered(status: StatusCode, trace: &Trace, text: Vec<u8>) -> Response<Body> {
    let mut response = reply::json(status, trace, text);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        reply::set(&mut response, RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    response
}

/// Reads the key, which is 1 to 255 visible ASCII characters.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let key = header::optional(headers, IDEMPOTENCY_KEY)?;
    let is_good = |key: &str| {
        (1..=KEY_CHARS_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if key.is_some_and(|key| !is_good(key)) {
        let why = format!("must be 1 to {KEY_CHARS_MAX} visible characters");
        return Err(FieldFault::missing(IDEMPOTENCY_KEY, why).into());
    }
    Ok(key)
}

/// Reads the form and describes its files; as they were taken before, if they were.
async fn read(
    context: &mut RequestContext<'_>,
    caller: &Principal,
    dialect: &UploadDialect,
    given: Option<&Given>,
) -> Result<Described, Problem> {
    // A form that is only compared is not stored, and needs no quota.
    let organization = given.is_none().then_some(&caller.organization);
    let form = Form::read(context, organization, &dialect.fields).await?;
    if form.files.is_empty() {
        return Err(FieldFault::required("file").into());
    }
    let mut described = Described {
        is_batch: form.is_batch,
        files: Vec::new(),
        kept: Vec::new(),
        fingerprint: Fingerprint::new(dialect.name, form.is_batch),
    };
    for (number, part) in form.files.into_iter().enumerate() {
        if given.is_some_and(|given| given.refused.get(number) == Some(&true)) {
            described.fingerprint.add_refused(&part.filename);
            continue;
        }
        described.take(context, caller, &form.texts, part).await?;
    }
    Ok(described)
}

impl Described {
    /// Makes a file durable and describes it. One that is refused by itself refuses no other of a batch.
    async fn take(
        &mut self,
        context: &RequestContext<'_>,
        caller: &Principal,
        texts: &Texts,
        FilePart { filename, taken }: FilePart,
    ) -> Result<(), Refusal> {
        let stored = match taken {
            Ok(file) => {
                let name = texts.filename.clone().or(file.name);
                let new = NewFile {
                    organization: caller.organization.clone(),
                    space: SpaceId::default_space(),
                    id: None,
                    media_type: file.declared_type,
                    name: name.ok_or_else(|| FieldFault::required("filename"))?,
                    purpose: texts.purpose.unwrap_or(Purpose::UserUpload),
                    metadata: texts.metadata.clone().unwrap_or_default(),
                    created_at: None,
                    uploaded_by: Some(caller.key.clone()),
                    expires_in: texts.expires_in,
                };
                let stored = context.gateway().store(file.upload).await;
                stored.map(|bytes| (bytes, new))
            }
            Err(refusal) => Err(refusal),
        };
        let refused = match stored {
            Ok((bytes, new)) => {
                self.fingerprint.add(&new, bytes.sha256());
                self.kept.push(context.gateway().describe(bytes, new)?);
                None
            }
            Err(refusal) if self.is_batch && form::is_of_one_file(&refusal) => {
                self.fingerprint.add_refused(&filename);
                Some(refusal)
            }
            Err(refusal) => return Err(refusal),
        };
        self.files.push((filename, refused));
        Ok(())
    }
}

impl Given {
    /// Reads what is kept under a key: the status, a sign for each file, and the text.
    fn read(completed: Completed) -> Result<Self, Refusal> {
        let damaged =
            || Refusal::Internal("what is kept under an idempotency key is damaged".into());
        let mut pieces = completed.outcome.splitn(3, ' ');
        let mut piece = || pieces.next().ok_or_else(damaged);
        let (status, files, text) = (piece()?, piece()?, piece()?);
        Ok(Self {
            status: status.parse().map_err(|_| damaged())?,
            refused: files.chars().map(|sign| sign == REFUSED).collect(),
            text: text.to_owned(),
            fingerprint: completed.fingerprint,
        })
    }

    /// Writes what is kept under a key.
    fn write(status: StatusCode, files: &[(String, Option<Refusal>)], text: &str) -> String {
        let sign =
            |(_, refused): &(_, Option<Refusal>)| if refused.is_some() { REFUSED } else { TAKEN };
        let files: String = files.iter().map(sign).collect();
        format!("{} {files} {text}", status.as_u16())
    }
}

/// Adds the rows, completes the key with the answer, if there is one, and answers.
async fn add(
    context: &RequestContext<'_>,
    dialect: &'static UploadDialect,
    described: Described,
    held: Option<HeldKey>,
) -> Result<UploadAnswer, Problem> {
    let Described {
        is_batch,
        files,
        kept,
        fingerprint,
    } = described;
    let gateway = Arc::clone(context.gateway());
    let store = async move {
        let Some(held) = held else {
            return Ok((gateway.add_in_group(kept).await, files));
        };
        let write = |added: &[Result<FileRecord, Refusal>]| {
            let (status, text) = answer(dialect, is_batch, &uploaded(&files, added)?)?;
            let text = String::from_utf8(text);
            let text = text.map_err(|_| Refusal::Internal("an answer that is no text".into()))?;
            Ok(Given::write(status, &files, &text))
        };
        let added = gateway.complete_key(held, kept, fingerprint.finish(), write);
        Ok((added.await?, files))
    };
    let added = context.carry_out(store, |recorder, (added, _)| {
        for file in added.iter().flatten() {
            recorder.uploaded(file);
        }
    });
    let (mut added, files) = added.await?;
    // The refusal of a form's only file is that of the request.
    if !is_batch && let Some(Err(refusal)) = added.pop_if(|one| one.is_err()) {
        return Err(refusal.into());
    }
    let uploaded = uploaded(&files, &added)?;
    log_refused(context, &uploaded);
    Ok(answer(dialect, is_batch, &uploaded)?)
}

/// Logs why files of a batch were not stored, with the request's trace id: the request itself is answered.
fn log_refused(context: &RequestContext<'_>, files: &[UploadedFile<'_>]) {
    let trace_id = context.trace.trace_id.as_str();
    for (number, file) in files.iter().enumerate() {
        match file.stored {
            Ok(_) => {}
            Err(refusal @ (Refusal::Internal(_) | Refusal::Unavailable(_) | Refusal::NoSpace)) => {
                tracing::error!(trace_id, number, error = %refusal, "a file of a batch was not stored")
            }
            Err(refusal) => tracing::info!(
                trace_id,
                number,
                refusal = refusal.label(),
                setting = refusal.setting(),
                "a file of a batch was refused"
            ),
        }
    }
}

/// Answers what was answered before, if the same was asked.
async fn again(
    context: &mut RequestContext<'_>,
    caller: &Principal,
    dialect: &UploadDialect,
    completed: Completed,
) -> Result<Response<Body>, Problem> {
    let given = Given::read(completed)?;
    let described = read(context, caller, dialect, Some(&given)).await?;
    context.gateway().discard(described.kept).await?;
    if described.fingerprint.finish() != given.fingerprint {
        return Err(Refusal::KeyOfAnother.into());
    }
    let mut response = answered(given.status, &context.trace, given.text.into_bytes());
    reply::set(&mut response, IDEMPOTENT_REPLAYED, "true");
    Ok(response)
}

/// Returns the files of a form, each with what became of it.
fn uploaded<'a>(
    files: &'a [(String, Option<Refusal>)],
    added: &'a [Result<FileRecord, Refusal>],
) -> Result<Vec<UploadedFile<'a>>, Refusal> {
    let mut added = added.iter();
    let one = |(filename, refused): &'a (String, Option<Refusal>)| {
        let stored = match refused {
            Some(refusal) => Err(refusal),
            None => added.next().ok_or_else(unanswered)?.as_ref(),
        };
        Ok(UploadedFile { filename, stored })
    };
    files.iter().map(one).collect()
}

/// Returns the answer to the files of a form. One that is no batch is stored.
fn answer(
    dialect: &UploadDialect,
    is_batch: bool,
    files: &[UploadedFile<'_>],
) -> Result<UploadAnswer, Refusal> {
    if is_batch {
        let batch = dialect.batch.ok_or_else(unanswered)?;
        return Ok(batch(files));
    }
    let stored = files.first().and_then(|file| file.stored.ok());
    stored.map(dialect.one).ok_or_else(unanswered)
}

fn unanswered() -> Refusal {
    Refusal::Internal("a file of a form was not answered for".into())
}
