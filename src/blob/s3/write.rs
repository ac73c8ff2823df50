//! The requests that write, each made again where it was not answered.

use std::io;

use bytes::Bytes;
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::{Attribute, Attributes, Error, GetOptions, ObjectStore as _};
use object_store::{PutMode, PutMultipartOptions, PutOptions, PutPayload};
use tokio::time::timeout;

use super::fault::{TRIES_MAX, fault, is_missing, is_unknown, late, pause};
use super::{SENT_WITHIN, Shared};
use crate::blob::BlobError;

/// Where an object says by which stage it was written, so that one whose answer was lost knows its own.
const WRITTEN_BY: &str = "written-by";

pub(super) const WRITING: &str = "writing a blob";
pub(super) const COMMITTING: &str = "committing a blob";

impl Shared {
    pub(super) async fn put_part(
        &self,
        path: &Path,
        id: &String,
        number: usize,
        part: Bytes,
    ) -> Result<PartId, BlobError> {
        let mut tries = 1;
        loop {
            let sending = self
                .store
                .put_part(path, id, number, PutPayload::from(part.clone()));
            let error = match timeout(SENT_WITHIN, sending).await {
                Ok(Ok(part)) => return Ok(part),
                Ok(Err(error)) => fault(WRITING, &error),
                Err(_) => late(WRITING, SENT_WITHIN),
            };
            another_try(error, &mut tries).await?;
        }
    }

    /// Has the store begin an upload. One that it began without being heard is left to a sweep.
    pub(super) async fn begin_upload(
        &self,
        path: &Path,
        writer: &str,
    ) -> Result<String, BlobError> {
        const DOING: &str = "beginning an upload";
        let mut tries = 1;
        loop {
            let options = PutMultipartOptions {
                attributes: written_by(writer),
                ..PutMultipartOptions::default()
            };
            let asked = self.store.create_multipart_opts(path, options);
            let error = match self.within(DOING, asked).await {
                Ok(Ok(id)) => return Ok(id),
                Ok(Err(error)) => fault(DOING, &error),
                Err(late) => late,
            };
            another_try(error, &mut tries).await?;
        }
    }

    /// Puts an object that must be new, in one request. A request whose answer was lost may have been carried
    /// out: then the object is there, and says that it is ours. The client of the store makes requests again
    /// by itself, too, so that even the first answer may be one to a second request.
    pub(super) async fn put(
        &self,
        path: &Path,
        bytes: Bytes,
        writer: &str,
    ) -> Result<(), BlobError> {
        let size = bytes.len() as u64;
        let attributes = written_by(writer);
        let mut mode = PutMode::Create;
        let mut tries = 1;
        loop {
            let options = PutOptions {
                mode: mode.clone(),
                attributes: attributes.clone(),
                ..PutOptions::default()
            };
            let payload = PutPayload::from(bytes.clone());
            let putting = self.store.put_opts(path, payload, options);
            let error = match timeout(SENT_WITHIN, putting).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error @ Error::AlreadyExists { .. })) => {
                    match self.is_written(path, size, writer).await? {
                        Some(true) => return Ok(()),
                        Some(false) => return Err(taken()),
                        // Two requests met in the store, and neither was carried out.
                        None => fault(WRITING, &error),
                    }
                }
                // A store that knows no such condition: looking first is the best that can be had.
                Ok(Err(error)) if is_unknown(&error) && matches!(mode, PutMode::Create) => {
                    if self.look(path).await?.is_some() {
                        return Err(taken());
                    }
                    mode = PutMode::Overwrite;
                    continue;
                }
                Ok(Err(error)) => fault(WRITING, &error),
                Err(_) => late(WRITING, SENT_WITHIN),
            };
            another_try(error, &mut tries).await?;
        }
    }

    /// Whether an object is of this size and says that this stage wrote it; `None` where there is none.
    pub(super) async fn is_written(
        &self,
        path: &Path,
        size: u64,
        writer: &str,
    ) -> Result<Option<bool>, BlobError> {
        let options = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        let asked = self.store.get_opts(path, options);
        let found = match self.within(COMMITTING, asked).await? {
            Ok(found) => found,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(fault(COMMITTING, &error)),
        };
        let said = found
            .attributes
            .get(&Attribute::Metadata(WRITTEN_BY.into()));
        let is_ours = said.is_some_and(|said| said.as_ref() == writer);
        Ok(Some(is_ours && found.meta.size == size))
    }
}

/// Waits for the next of [`TRIES_MAX`] tries, where there is one and it may help; else it is this error.
async fn another_try(error: BlobError, tries: &mut u32) -> Result<(), BlobError> {
    if *tries == TRIES_MAX || !matches!(error, BlobError::Unavailable { .. }) {
        return Err(error);
    }
    pause(*tries).await;
    *tries += 1;
    Ok(())
}

fn written_by(writer: &str) -> Attributes {
    let mut attributes = Attributes::new();
    let name = Attribute::Metadata(WRITTEN_BY.into());
    attributes.insert(name, writer.to_owned().into());
    attributes
}

pub(super) fn taken() -> BlobError {
    BlobError::Io {
        doing: COMMITTING,
        source: io::ErrorKind::AlreadyExists.into(),
    }
}
