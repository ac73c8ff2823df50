//! Opening a signed URL.

use std::borrow::Cow;
use std::fs::File;
use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::Mutex;

use super::Gateway;
use super::clock::Clock;
use super::doctor::expect_whole;
use super::refusal::Refusal;
use super::revocations::{RowsAt, STALENESS_MAX};
use super::warm_windows::WarmWindows;
use crate::blob::{Blob, ObjectStream};
pub use crate::blob::{Presign, Stamp};
use crate::model::address::FileRef;
use crate::model::disposition::Disposition;
use crate::model::file::{BlobLocation, FileRecord};
use crate::model::media::MediaType;
use crate::model::revocation::Revocations;
use crate::model::time::UnixSeconds;
use crate::sign::claims::Claims;
pub use crate::sign::query::names_a_link;
pub use crate::sign::verify::Verified;
use crate::sign::verify::{Attempt, Conditions};

/// A request for bytes, as it was sent. Its query is a credential, so it has no `Debug`.
#[derive(Clone, Copy)]
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

impl<'a> LinkRequest<'a> {
    /// The link, for the keyring to verify.
    pub(super) const fn attempt(&self) -> Attempt<'a> {
        Attempt {
            organization: self.organization,
            file: self.file,
            query: self.query,
        }
    }
}

/// A file that a link opened.
#[derive(Debug)]
pub struct Download {
    /// The file: the same `Arc` as long as it is kept in memory and nothing of it changed.
    pub file: Arc<FileRecord>,
    /// The link's claims about the answer.
    pub claims: Claims,
    /// From when on the link no longer opens.
    pub expires: UnixSeconds,
    /// The bytes; none where they were left with the store.
    pub content: Content,
}

impl Download {
    /// From when on nobody is served by this link: it no longer opens, or the file is expired.
    pub fn ends(&self) -> UnixSeconds {
        let expired = self.file.expires_at.unwrap_or(self.expires);
        expired.min(self.expires)
    }

    /// Returns the type to serve it as: the link's own claim, else the file's type.
    pub fn media_type(&self) -> &MediaType {
        self.claims.content_type().unwrap_or(&self.file.media_type)
    }

    /// Returns the answer's `Content-Type`: [`Download::media_type`], with the charset of text that is
    /// known to be UTF-8.
    pub fn content_type(&self) -> Cow<'_, str> {
        let said = self.media_type();
        match self.file.is_text {
            Some(true) => said.with_utf8(),
            Some(false) | None => said.as_str().into(),
        }
    }

    /// Shown or saved, and under which name: the link's own claim, else inline. A claim that is one of the
    /// two words alone says nothing of a name, so that is the file's.
    pub fn disposition(&self) -> Cow<'_, str> {
        let of_row = |word: Disposition| word.header(&self.file.name).into();
        match self.claims.content_disposition() {
            None => of_row(Disposition::Inline),
            Some(claim) => Disposition::parse(claim).map_or(claim.into(), of_row),
        }
    }
}

/// A part of a file as a store sends it. Cloning is a reference count, and no second stream.
#[derive(Clone)]
pub struct Stream(Arc<Mutex<Box<dyn ObjectStream>>>);

impl Stream {
    /// The next bytes. What breaks off is asked for again a few times; then, and where the bytes are other
    /// ones, it is an error. Asking behind the last byte is one, too. Dropping the future loses nothing.
    pub async fn next(&self) -> Result<Bytes, Refusal> {
        let bytes = self.0.lock().await.next().await?;
        bytes.ok_or_else(|| Refusal::Internal("a stream was read past its end".into()))
    }
}

/// The bytes of an open file. Cloning is two reference counts.
#[derive(Clone, Debug)]
pub struct Content {
    blob: Blob,
    /// What of it was found in memory of late.
    warm: Arc<WarmWindows>,
}

impl Content {
    pub(super) fn new(blob: Blob, clock: &Arc<dyn Clock>) -> Self {
        let warm = WarmWindows::new(blob.size(), Arc::clone(clock));
        Self {
            blob,
            warm: Arc::new(warm),
        }
    }

    /// Exactly `length` bytes from `offset` on. A file that was cut short under us is an error, never a
    /// short answer. Dropping the future gives the bytes up.
    pub async fn read(&self, offset: u64, length: usize) -> Result<Bytes, Refusal> {
        Ok(self.blob.read_at(offset, length).await?)
    }

    /// The open file, if the bytes are one's.
    pub const fn file(&self) -> Option<&Arc<File>> {
        match &self.blob {
            Blob::File { file, .. } => Some(file),
            Blob::Memory(_) | Blob::Object(_) => None,
        }
    }

    /// The bytes, if they are in memory.
    pub const fn bytes(&self) -> Option<&Bytes> {
        match &self.blob {
            Blob::File { .. } | Blob::Object(_) => None,
            Blob::Memory(bytes) => Some(bytes),
        }
    }

    /// The bytes from `start` up to `end`, where they come from a store piece by piece. Unless there is plenty of
    /// room, it is asked for `first` bytes at most at first; whoever takes them quickly has more asked for.
    pub fn stream(&self, start: u64, end: u64, first: usize) -> Option<Stream> {
        let stream = self.blob.stream(start, end, first)?;
        Some(Stream(Arc::new(Mutex::new(stream))))
    }

    /// Returns whether this part can be sent without waiting for a disk, as far as can be told at once. A window of a
    /// file that was found to be in memory is believed to stay there for [`STALENESS_MAX`].
    pub fn is_at_hand(&self, offset: u64, length: usize) -> bool {
        let look = |part: Range<u64>| {
            let length = usize::try_from(part.end - part.start).unwrap_or(usize::MAX);
            self.blob.is_at_hand(part.start, length)
        };
        let part = offset..offset + length as u64;
        self.warm.have(part.clone(), look) || look(part)
    }

    /// Brings this part into memory, for [`Content::is_at_hand`] to be true for now.
    pub async fn fetch(&self, offset: u64, length: usize) -> Result<(), Refusal> {
        Ok(self.blob.fetch(offset, length).await?)
    }

    /// Returns a stamp that differs once the bytes have changed under us. An error where they are fewer, or more,
    /// than they were when they were opened.
    pub fn stamp(&self) -> Result<Stamp, Refusal> {
        Ok(self.blob.stamp()?)
    }
}

/// A file that stays open, or whose bytes stay in memory.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) record: Arc<FileRecord>,
    pub(super) content: Content,
    /// The time when the store last said that it is whole, in milliseconds of the gateway's clock.
    checked: AtomicU64,
}

impl Gateway {
    /// Returns the path of a file's bytes below the data directory, for a proxy that sends them itself. `None` of
    /// bytes that lie elsewhere.
    pub fn path_below_data_dir(&self, file: &FileRecord) -> Option<PathBuf> {
        self.blobs.path_below(&file.location)
    }

    /// Returns a URL at which the store itself gives a file's bytes to its holder, for as long as asked from the
    /// moment that it is signed. That may come later than the call, since the source of our credentials may be
    /// slow: so the link is to be verified again. `None` of bytes that only the gateway can give. The URL is a
    /// credential.
    pub async fn url_of_store(
        &self,
        file: &FileRecord,
        asked: &Presign<'_>,
    ) -> Result<Option<String>, Refusal> {
        Ok(self.blobs.presign(&file.location, asked).await?)
    }

    /// Verifies a signed URL, in memory: neither the catalogue's files nor the disk are asked, so a bad
    /// link costs no query and cannot learn whether the file exists.
    pub async fn verify_link<'a>(
        &self,
        request: &LinkRequest<'a>,
    ) -> Result<Verified<'a>, Refusal> {
        let known = self.current().await?;
        let conditions = self.conditions(request.client, &known.revocations);
        let verified = self.keyring().verify(&request.attempt(), &conditions);
        verified.map_err(Refusal::Link)
    }

    /// The conditions of this moment, which whatever is signed is held against.
    pub(super) fn conditions<'a>(
        &self,
        client: Option<IpAddr>,
        revocations: &'a Revocations,
    ) -> Conditions<'a> {
        Conditions {
            now: self.clock.now(),
            lifetime_max: self.settings.lifetime_max,
            not_before_leeway: self.settings.not_before_leeway,
            client,
            revocations,
        }
    }

    /// The file of a link without its bytes, which are left with the store for it to give them: nothing is
    /// looked at there. Refused as [`Gateway::file_of`] does.
    pub async fn leave_with_store(&self, verified: &Verified<'_>) -> Result<Download, Refusal> {
        Ok(Download {
            file: self.file_of(verified).await?,
            claims: verified.claims().clone(),
            expires: verified.expires(),
            content: Content::new(Blob::Memory(Bytes::new()), &self.clock),
        })
    }

    /// The file of a link, if it is there, without opening it. One whose bytes are known to be damaged is
    /// broken on our side.
    pub async fn file_of(&self, verified: &Verified<'_>) -> Result<Arc<FileRecord>, Refusal> {
        self.whole_file(verified.file()).await
    }

    /// The file of this address, if it is there and not known to be damaged.
    pub(super) async fn whole_file(&self, file: FileRef<'_>) -> Result<Arc<FileRecord>, Refusal> {
        let at = self.rows_at();
        let file = self.row(file, at).await?;
        expect_whole(&file)?;
        Ok(file)
    }

    /// Opens the file of a link. The only way to the bytes besides that of a ticket: it takes what
    /// [`Gateway::verify_link`] let through.
    ///
    /// A stored file stays open, or its bytes stay in memory, within the limits of `cache.…`. An open one is
    /// looked at again when that was last done [`STALENESS_MAX`] ago: one that was cut or removed is damage
    /// then, and aborts an answer until then. Bytes in memory go on being right whatever becomes of the
    /// disk. A file that was registered in place is opened anew every time, and held to what it was.
    pub async fn open_verified(&self, verified: Verified<'_>) -> Result<Download, Refusal> {
        let (file, expires) = (verified.file(), verified.expires());
        self.open_file(file, expires, || verified.into_claims())
            .await
    }

    /// Opens a file that something which was verified names. `claims` are those about the answer.
    pub(super) async fn open_file(
        &self,
        file: FileRef<'_>,
        expires: UnixSeconds,
        claims: impl FnOnce() -> Claims,
    ) -> Result<Download, Refusal> {
        let at = self.rows_at();
        let opened = match self.cache.open_file(file, at) {
            Some(kept) if self.was_found_whole(&kept) => {
                self.expect_unexpired(&kept.record)?;
                kept
            }
            // Boxed, so that a hot file needs no room for it.
            kept => Box::pin(self.open_again(file, at, kept)).await?,
        };
        Ok(Download {
            file: Arc::clone(&opened.record),
            expires,
            claims: claims(),
            content: opened.content.clone(),
        })
    }

    /// Opens a file of which there is nothing in memory, or something that is to be looked at. Of many who do
    /// so at once, one asks the store.
    async fn open_again(
        &self,
        file: FileRef<'_>,
        at: Option<RowsAt>,
        kept: Option<Arc<OpenFile>>,
    ) -> Result<Arc<OpenFile>, Refusal> {
        if let Some(kept) = kept {
            let look = || async { Ok(Some(self.is_whole(&kept).await)) };
            let checks = &self.cache.checks;
            if checks.read(file.to_address(), at, look).await? == Some(true) {
                self.expect_unexpired(&kept.record)?;
                return Ok(kept);
            }
        }
        let record = self.row(file, at).await?;
        expect_whole(&record)?;
        match record.location {
            BlobLocation::Stored(_) => {
                let open = || async { self.open(&record, at).await.map(Some) };
                let flights = &self.cache.open.flights;
                let opened = flights.read(record.address(), at, open).await?;
                opened.ok_or_else(|| Refusal::Internal("opening a file came to nothing".into()))
            }
            // It may be another one at any time.
            BlobLocation::InPlace(_) => self.open(&record, at).await,
        }
    }

    async fn open(
        &self,
        record: &Arc<FileRecord>,
        at: Option<RowsAt>,
    ) -> Result<Arc<OpenFile>, Refusal> {
        let address = record.address();
        let file = FileRef::new(&address.organization, &address.file);
        let opened = self.open_bytes(record).await;
        let mut blob = opened.inspect_err(|_| self.cache.forget_open_file(file))?;
        let is_ours = matches!(record.location, BlobLocation::Stored(_));
        if is_ours && self.cache.is_small(record.size) {
            let length = usize::try_from(record.size).unwrap_or(usize::MAX);
            blob = Blob::Memory(blob.read_at(0, length).await?);
        }
        let opened = Arc::new(OpenFile {
            record: Arc::clone(record),
            content: Content::new(blob, &self.clock),
            checked: AtomicU64::new(self.millis()),
        });
        if is_ours {
            self.cache.keep_open_file(&opened, at);
        }
        Ok(opened)
    }

    /// Returns whether an open file was found whole within the last [`STALENESS_MAX`]. Bytes in memory always are.
    pub(super) fn was_found_whole(&self, opened: &OpenFile) -> bool {
        if let Blob::Memory(_) = &opened.content.blob {
            return true;
        }
        let last = opened.checked.load(Ordering::Relaxed);
        u128::from(self.millis().saturating_sub(last)) < STALENESS_MAX.as_millis()
    }

    /// Checks at the disk, or at the store, whether an open file is still whole. The staleness bound runs from the
    /// answer on: a store that takes a second for one would else be asked by every request for ever.
    async fn is_whole(&self, opened: &OpenFile) -> bool {
        let is_whole = opened.content.blob.check().await.is_ok();
        if is_whole {
            opened.checked.store(self.millis(), Ordering::Relaxed);
        }
        is_whole
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.clock.coarse_elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
