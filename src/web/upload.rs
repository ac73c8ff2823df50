//! Uploading: what every API style does once it knows its caller.

use std::sync::Arc;

use super::Exchange;
use super::form::{BatchPart, Fields, Form, Texts};
use super::problem::Problem;
use crate::gateway::principal::Principal;
use crate::gateway::refusal::{FieldFault, Refusal};
use crate::gateway::upload::NewFile;
use crate::model::file::{FileRecord, Purpose};
use crate::model::id::SpaceId;
use crate::model::media::MediaType;
use crate::model::name::FileName;

/// One file of a batch, and what became of it.
pub(super) struct OneOfBatch {
    /// Its name as it was sent.
    pub(super) filename: String,
    /// Its record, once it is stored.
    pub(super) stored: Result<FileRecord, Refusal>,
}

/// What an upload came to.
pub(super) enum Uploaded {
    /// The one file of a form.
    One(Box<FileRecord>),
    /// The files of a batch, in their order.
    Batch(Vec<OneOfBatch>),
}

/// Reads a form with exactly one file, or with a batch where the style has one, and with the text fields that
/// it has; stores each file in the caller's default space. A name in a field of its own counts before the
/// part's. Nothing is stored of a form that is refused as a whole.
pub(super) async fn take_in(
    exchange: &mut Exchange<'_>,
    caller: Principal,
    fields: &Fields,
) -> Result<Uploaded, Problem> {
    let mut form = Form::read(exchange, &caller.organization, fields).await?;
    let batch = std::mem::take(&mut form.files);
    if !batch.is_empty() {
        let files = take_batch(exchange, &caller, form.texts, batch).await?;
        return Ok(Uploaded::Batch(files));
    }
    let (mut texts, file) = (form.texts, form.file);
    let file = file.ok_or_else(|| FieldFault::required("file"))?;
    let name = texts.filename.take().or(file.name);
    let name = name.ok_or_else(|| FieldFault::required("filename"))?;
    let new = new_file(&caller, &texts, name, file.declared_type);
    let gateway = Arc::clone(exchange.gateway);
    let store = async move { gateway.finish_upload(file.upload, new).await };
    let stored = exchange.carry_out(store, |teller, record| teller.uploaded(record));
    Ok(Uploaded::One(Box::new(stored.await?)))
}

/// Adds the rows of the files that were taken, and answers for all in their order.
async fn take_batch(
    exchange: &Exchange<'_>,
    caller: &Principal,
    texts: Texts,
    batch: Vec<BatchPart>,
) -> Result<Vec<OneOfBatch>, Refusal> {
    let (mut filenames, mut kept) = (Vec::new(), Vec::new());
    for BatchPart { filename, taken } in batch {
        let described = taken.and_then(|file| {
            let new = new_file(caller, &texts, file.name, file.declared_type);
            exchange.gateway.describe(file.bytes, new)
        });
        let refused = match described {
            Ok(one) => {
                kept.push(one);
                None
            }
            Err(refusal) => Some(refusal),
        };
        filenames.push((filename, refused));
    }
    let gateway = Arc::clone(exchange.gateway);
    let store = async move { Ok(gateway.add_kept(kept).await) };
    let added = exchange.carry_out(store, |teller, added: &Vec<Result<FileRecord, Refusal>>| {
        added
            .iter()
            .flatten()
            .for_each(|record| teller.uploaded(record));
    });
    let mut added = added.await?.into_iter();
    let unanswered = || Refusal::Internal("a file of a batch was not answered for".into());
    let of_one = |(filename, refused)| OneOfBatch {
        filename,
        stored: match refused {
            Some(refusal) => Err(refusal),
            None => added.next().unwrap_or_else(|| Err(unanswered())),
        },
    };
    Ok(filenames.into_iter().map(of_one).collect())
}

fn new_file(
    caller: &Principal,
    texts: &Texts,
    name: FileName,
    media_type: Option<MediaType>,
) -> NewFile {
    NewFile {
        organization: caller.organization.clone(),
        space: SpaceId::default_space(),
        id: None,
        media_type,
        name,
        purpose: texts.purpose.unwrap_or(Purpose::UserUpload),
        metadata: texts.metadata.clone().unwrap_or_default(),
        created_at: None,
        uploaded_by: Some(caller.key.clone()),
        expires_in: texts.expires_in,
    }
}
