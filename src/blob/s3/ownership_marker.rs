//! The ownership marker: an object beside the blobs names the installation that they belong to.
//!
//! Blobs that no row of a catalogue names are swept, so two catalogues on one prefix would sweep each other's blobs.
//! The first installation marks the prefix as its own, with a request that only one can succeed with.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectStore as _, PutMode, PutOptions, PutPayload};

use super::Shared;
use super::fault::{fault, is_missing, is_unknown};
use crate::blob::BlobError;
use crate::model::id::InstallationId;

/// The name of the object below the prefix.
const NAME: &str = "installation";

/// The most bytes of such an object. A longer one is none of ours.
const BYTES_MAX: u64 = 64;

const CHECKING_OWNER: &str = "looking whose bytes they are";

impl Shared {
    /// Checks that the prefix is ours, and marks it if it has no marker. If it is another's now, nothing more is
    /// written until it is ours again.
    pub(super) async fn take_ownership(&self) -> Result<(), BlobError> {
        let Some(ours) = self.owner else {
            return Ok(());
        };
        let mut found = self.marked().await?;
        if found.is_none() {
            self.mark(ours).await?;
            // Another one may have been quicker.
            found = self.marked().await?;
        }
        self.expect_ours(ours, found.as_deref())?;
        self.is_owned.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Checks that the prefix is ours or nobody's, and changes nothing there.
    pub(super) async fn expect_no_other(&self) -> Result<(), BlobError> {
        let Some(ours) = self.owner else {
            return Ok(());
        };
        match self.marked().await? {
            Some(found) => self.expect_ours(ours, Some(&found)),
            None => Ok(()),
        }
    }

    fn expect_ours(&self, ours: InstallationId, found: Option<&str>) -> Result<(), BlobError> {
        let found = found.and_then(InstallationId::parse);
        if found == Some(ours) {
            return Ok(());
        }
        self.is_owned.store(false, Ordering::Relaxed);
        Err(BlobError::Foreign {
            mark: format!("s3://{}/{}", self.bucket, self.mark_path()),
            found: found.map_or_else(|| "?".into(), |id| id.to_string()),
            ours,
        })
    }

    /// Checks the marker like [`Shared::take_ownership`], unless the last check was good.
    pub(super) async fn expect_owned(&self) -> Result<(), BlobError> {
        if self.is_owned.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.take_ownership().await
    }

    /// Checks that we may read here and write. The last write of a blob told the latter; if it failed, or there was
    /// none yet, the marker is written once more: the store says that it is there, or that we may not. Only where it is
    /// ours: a store that knows no condition would write over another's.
    pub(super) async fn look_around(&self) -> Result<(), BlobError> {
        let Some(ours) = self.owner else {
            return self.list(None, 1).await.map(drop);
        };
        self.take_ownership().await?;
        if !self.is_writable.load(Ordering::Relaxed) {
            self.mark(ours).await?;
            self.is_writable.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Notes whether a blob could be written: others can be if it could.
    pub(super) fn note_write<T>(&self, outcome: &Result<T, BlobError>) {
        match outcome {
            Ok(_) => self.is_writable.store(true, Ordering::Relaxed),
            Err(BlobError::Unavailable { .. }) => self.is_writable.store(false, Ordering::Relaxed),
            Err(_) => {}
        }
    }

    pub(super) fn mark_path(&self) -> Path {
        Path::from(format!("{}{NAME}", self.prefix))
    }

    /// Returns the text of the marker, if there is one.
    async fn marked(&self) -> Result<Option<String>, BlobError> {
        let path = self.mark_path();
        let get = || async {
            let found = self.store.get_opts(&path, GetOptions::default()).await?;
            if found.meta.size > BYTES_MAX {
                return Ok(Bytes::new());
            }
            found.bytes().await
        };
        match self.ask(CHECKING_OWNER, get).await? {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(fault(CHECKING_OWNER, &error)),
        }
    }

    /// Marks the prefix, unless it is marked.
    async fn mark(&self, ours: InstallationId) -> Result<(), BlobError> {
        const DOING: &str = "marking whose bytes they are";
        let path = self.mark_path();
        let put = |mode: PutMode| {
            let (path, payload) = (&path, PutPayload::from(format!("{ours}\n")));
            self.ask(DOING, move || {
                let options = PutOptions::from(mode.clone());
                self.store.put_opts(path, payload.clone(), options)
            })
        };
        match put(PutMode::Create).await? {
            Ok(_) | Err(Error::AlreadyExists { .. }) => Ok(()),
            // A store that knows no such condition: having looked first is the best that can be had.
            Err(error) if is_unknown(&error) => {
                if self.marked().await?.is_none() {
                    let done = put(PutMode::Overwrite).await?;
                    done.map_err(|error| fault(DOING, &error))?;
                }
                Ok(())
            }
            Err(error) => Err(fault(DOING, &error)),
        }
    }
}
