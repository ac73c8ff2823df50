//! Uploading: what every API style does once it knows its caller.

use std::sync::Arc;

use super::Exchange;
use super::form::{Fields, Form};
use super::problem::Problem;
use crate::gateway::principal::Principal;
use crate::gateway::refusal::FieldFault;
use crate::gateway::upload::NewFile;
use crate::model::file::{FileRecord, Purpose};
use crate::model::id::SpaceId;

/// Reads a form with exactly one file, and with `purpose`, `metadata` and `filename` where the style has
/// these fields; stores the file in the caller's default space and answers its record. A name in a field
/// of its own counts before the part's.
pub(super) async fn take_in(
    exchange: &mut Exchange<'_>,
    caller: Principal,
    fields: &Fields,
) -> Result<FileRecord, Problem> {
    let form = Form::read(exchange, &caller.organization, fields).await?;
    let (texts, file) = (form.texts, form.file);
    let file = file.ok_or_else(|| FieldFault::required("file"))?;
    let name = texts.filename.or(file.name);
    let name = name.ok_or_else(|| FieldFault::required("filename"))?;
    let new = NewFile {
        organization: caller.organization,
        space: SpaceId::default_space(),
        id: None,
        media_type: file.declared_type,
        name,
        purpose: texts.purpose.unwrap_or(Purpose::UserUpload),
        metadata: texts.metadata.unwrap_or_default(),
        created_at: None,
        uploaded_by: Some(caller.key),
    };
    let gateway = Arc::clone(exchange.gateway);
    let store = async move { gateway.finish_upload(file.upload, new).await };
    let stored = exchange.carry_out(store, |teller, record| teller.uploaded(record));
    Ok(stored.await?)
}
