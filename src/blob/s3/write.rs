//! The requests that write a blob.

use std::io;

use bytes::Bytes;
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::{Attribute, Attributes, Error, GetOptions, ObjectStore as _};
use object_store::{PutMode, PutMultipartOptions, PutOptions, PutPayload};

use super::fault::{fault, is_missing, is_unknown};
use super::retry::{Retry, in_time};
use super::{SENT_WITHIN, Shared};
use crate::blob::BlobError;
use crate::blob::staged::WRITING;

/// The metadata of an object in which its stage names itself, so that one whose answer was lost knows its own.
const WRITTEN_BY: &str = "written-by";

pub(super) const COMMITTING: &str = "committing a blob";

impl Shared {
    pub(super) async fn put_part(
        &self,
        path: &Path,
        id: &String,
        number: usize,
        part: Bytes,
    ) -> Result<PartId, BlobError> {
        let put = || {
            let payload = PutPayload::from(part.clone());
            self.store.put_part(path, id, number, payload)
        };
        let mut retry = Retry::default();
        let sent = retry.run(|| in_time(WRITING, SENT_WITHIN, put()));
        sent.await?.map_err(|error| fault(WRITING, &error))
    }

    /// Has the store begin an upload. One that it began without being heard is left to a sweep.
    pub(super) async fn begin_upload(
        &self,
        path: &Path,
        writer: &str,
    ) -> Result<String, BlobError> {
        const DOING: &str = "beginning an upload";
        let create = || {
            let options = PutMultipartOptions {
                attributes: written_by(writer),
                ..PutMultipartOptions::default()
            };
            self.store.create_multipart_opts(path, options)
        };
        // Each try waits for a permit of its own, and others have it during the pauses.
        let created = Retry::default().run(|| self.within(DOING, create())).await;
        created?.map_err(|error| fault(DOING, &error))
    }

    /// Puts an object that must be new, in one request. A request whose answer was lost may have been carried
    /// out: then the object is there, and says that it is ours. So even the first answer that comes may be one to a
    /// second request.
    pub(super) async fn put(
        &self,
        path: &Path,
        bytes: Bytes,
        writer: &str,
    ) -> Result<(), BlobError> {
        let size = bytes.len() as u64;
        let attributes = written_by(writer);
        let mut mode = PutMode::Create;
        let mut retry = Retry::default();
        loop {
            let put = || {
                let options = PutOptions {
                    mode: mode.clone(),
                    attributes: attributes.clone(),
                    ..PutOptions::default()
                };
                let payload = PutPayload::from(bytes.clone());
                self.store.put_opts(path, payload, options)
            };
            match retry.run(|| in_time(WRITING, SENT_WITHIN, put())).await? {
                Ok(_) => return Ok(()),
                Err(error @ Error::AlreadyExists { .. }) => {
                    match self.is_written(path, size, writer).await? {
                        Some(true) => return Ok(()),
                        Some(false) => return Err(taken()),
                        // Two requests met in the store, and neither was carried out.
                        None if retry.again().await => {}
                        None => return Err(fault(WRITING, &error)),
                    }
                }
                // A store that knows no such condition: looking first is the best that can be had.
                Err(error) if is_unknown(&error) && matches!(mode, PutMode::Create) => {
                    if self.look(path).await?.is_some() {
                        return Err(taken());
                    }
                    mode = PutMode::Overwrite;
                }
                Err(error) => return Err(fault(WRITING, &error)),
            }
        }
    }

    /// Returns whether an object is of this size and says that this stage wrote it; `None` where there is none.
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
        let get = || self.store.get_opts(path, options.clone());
        let found = match self.ask(COMMITTING, get).await? {
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
