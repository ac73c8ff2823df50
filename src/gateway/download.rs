//! Opening a signed URL.

use std::fs::File;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::Gateway;
use super::refusal::Refusal;
use crate::blob::Blob;
pub use crate::blob::Stamp;
use crate::model::disposition::Disposition;
use crate::model::file::FileRecord;
use crate::model::media::MediaType;
use crate::model::revocation::Revocations;
use crate::model::time::UnixSeconds;
use crate::sign::keyring::Keyring;
use crate::sign::verify::{Attempt, Conditions, Rejection, Verified};

/// A request for bytes, as it was sent.
#[derive(Clone, Copy, Debug)]
pub struct LinkRequest<'a> {
    /// The organization in the path, not decoded.
    pub organization: &'a str,
    /// The file in the path, not decoded.
    pub file: &'a str,
    /// The query, not decoded, without its `?`.
    pub query: &'a str,
    /// The client's address, where it is known.
    pub client: Option<IpAddr>,
}

/// A file that a link opened.
#[derive(Debug)]
pub struct Download {
    /// The file.
    pub file: FileRecord,
    /// What to serve it as: the link's own claim, else the file's type.
    pub media_type: MediaType,
    /// Shown or saved, and under which name: the link's own claim, else inline under the file's name.
    pub disposition: String,
    /// From when on the link no longer opens.
    pub expires: UnixSeconds,
    /// The bytes.
    pub content: Content,
}

/// The bytes of an open file. Cloning is a reference count.
#[derive(Clone, Debug)]
pub struct Content(Blob);

impl Content {
    /// Exactly `length` bytes from `offset` on. A file that was cut short under us is an error, never a
    /// short answer. Dropping the future gives the bytes up.
    pub async fn read(&self, offset: u64, length: usize) -> Result<Bytes, Refusal> {
        Ok(self.0.read_at(offset, length).await?)
    }

    /// The open file, if the bytes are one's.
    pub const fn file(&self) -> Option<&Arc<File>> {
        match &self.0 {
            Blob::File { file, .. } => Some(file),
            Blob::Memory(_) => None,
        }
    }

    /// The bytes, if they are in memory.
    pub const fn bytes(&self) -> Option<&Bytes> {
        match &self.0 {
            Blob::File { .. } => None,
            Blob::Memory(bytes) => Some(bytes),
        }
    }

    /// Whether this part can be sent without waiting for a disk, as far as can be told at once.
    pub fn is_at_hand(&self, offset: u64, length: usize) -> bool {
        self.0.is_at_hand(offset, length)
    }

    /// Brings this part into memory, for [`Content::is_at_hand`] to be true for now.
    pub async fn fetch(&self, offset: u64, length: usize) -> Result<(), Refusal> {
        Ok(self.0.fetch(offset, length).await?)
    }

    /// What tells that the bytes have changed under us. An error where they are fewer, or more, than
    /// they were when they were opened.
    pub fn stamp(&self) -> Result<Stamp, Refusal> {
        Ok(self.0.stamp()?)
    }
}

impl Gateway {
    /// Where a file's bytes lie below the data directory, for a proxy that sends them itself. `None` of
    /// bytes that lie elsewhere.
    pub fn path_below_data_dir(&self, file: &FileRecord) -> Option<PathBuf> {
        self.blobs.path_below(&file.location)
    }

    /// Whether a query has a parameter that only a signed URL has, `token` or `expires`.
    pub fn names_a_link(&self, query: &str) -> bool {
        crate::sign::query::names_a_link(query)
    }

    /// Verifies a signed URL, in memory: neither the catalogue's files nor the disk are asked, so a bad
    /// link costs no query and cannot learn whether the file exists.
    pub async fn verify_link(&self, request: &LinkRequest<'_>) -> Result<Verified, Refusal> {
        let revocations = self.revocations().await?;
        self.judge(request, &revocations, Keyring::verify)
            .map_err(Refusal::Link)
    }

    /// Holds a link against this moment. `by` is [`Keyring::verify`], or for an operator
    /// [`Keyring::explain`].
    pub(super) fn judge(
        &self,
        request: &LinkRequest<'_>,
        revocations: &Revocations,
        by: fn(&Keyring, &Attempt<'_>, &Conditions<'_>) -> Result<Verified, Rejection>,
    ) -> Result<Verified, Rejection> {
        let attempt = Attempt {
            organization: request.organization,
            file: request.file,
            query: request.query,
        };
        let conditions = Conditions {
            now: self.clock.now(),
            lifetime_max: self.settings.lifetime_max,
            not_before_leeway: self.settings.not_before_leeway,
            client: request.client,
            revocations,
        };
        by(&self.keyring(), &attempt, &conditions)
    }

    /// The file of a link, if it is there, without opening it.
    pub async fn file_of(&self, verified: &Verified) -> Result<FileRecord, Refusal> {
        self.ready_file(verified.organization(), verified.file())
            .await
    }

    /// Opens the file of a link. The only way to the bytes: it takes what [`Gateway::verify_link`] let
    /// through.
    pub async fn open_verified(&self, verified: Verified) -> Result<Download, Refusal> {
        let file = self.file_of(&verified).await?;
        let blob = self.blobs.open(&file.location, file.size).await?;
        let claims = verified.claims();
        let own_disposition = || Disposition::Inline.header(&file.name);
        Ok(Download {
            media_type: claims.content_type().unwrap_or(&file.media_type).clone(),
            disposition: claims
                .content_disposition()
                .map_or_else(own_disposition, str::to_owned),
            expires: verified.expires(),
            content: Content(blob),
            file,
        })
    }
}
