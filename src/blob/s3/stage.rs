//! Blobs being written. A blob that fits into one part is put in one request at the end; a larger one is sent a part at
//! a time, beside the hashing and beside the bytes that come in meanwhile.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::fault::fault;
use super::memory_budget::{FIRST_BYTES, MemoryPermit, held};
use super::retry::{Retry, in_time, may_pass};
use super::uploads::UPLOAD_SECONDS_MAX;
use super::write::{COMMITTING, taken};
use super::{SENT_WITHIN, Shared};
use crate::blob::content::ContentHasher;
use crate::blob::staged::{Hand, WRITING, begin, unwritten};
use crate::blob::{BlobError, BlobFuture, Staged, StoredBlob};
use crate::model::digest::hex;
use crate::model::id::BlobKey;
use crate::model::time::UnixSeconds;

/// The writing end that the port hands out. It holds two parts in memory at most, one being filled and one
/// being hashed and sent, each with a permit of its own.
pub(super) struct S3Stage {
    shared: Arc<Shared>,
    key: BlobKey,
    begun: UnixSeconds,
    gathered: BytesMut,
    /// The bytes that may be gathered, and their share of the memory budget.
    budget: (usize, Option<MemoryPermit>),
    /// Time at which that was taken.
    since: Instant,
    size: u64,
    hasher: Hand<ContentHasher>,
    parts: UploadParts,
    /// True as long as every call ran to its end and was good.
    sound: bool,
}

/// An upload in parts, from the first full one on. Dropped before it was completed, it is aborted.
struct UploadParts {
    shared: Arc<Shared>,
    path: Path,
    /// The id of this stage in the object's metadata.
    writer: String,
    id: Id,
    sent: Vec<PartId>,
    sending: Option<JoinHandle<Result<PartId, BlobError>>>,
}

/// The store's name of an upload.
enum Id {
    /// It was not begun.
    None,
    /// The store was asked; it may have begun the upload, also if nobody hears the answer.
    Asked(JoinHandle<Result<String, BlobError>>),
    Known(String),
}

impl S3Stage {
    pub(super) fn new(shared: Arc<Shared>, key: BlobKey) -> Result<Self, BlobError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| unwritten(error.into()))?;
        Ok(Self {
            key,
            begun: (shared.now)(),
            gathered: BytesMut::new(),
            budget: (0, None),
            since: Instant::now(),
            size: 0,
            hasher: Hand::Ours(ContentHasher::default()),
            parts: UploadParts {
                shared: Arc::clone(&shared),
                path: shared.path(key),
                writer: hex(&random),
                id: Id::None,
                sent: Vec::new(),
                sending: None,
            },
            shared,
            sound: true,
        })
    }

    async fn gather(&mut self, mut chunk: Bytes) -> Result<(), BlobError> {
        self.expect_in_time()?;
        while !chunk.is_empty() {
            if self.gathered.len() == self.shared.part_bytes {
                self.send_gathered().await?;
            }
            if self.gathered.len() == self.budget.0 {
                self.make_room().await?;
            }
            let free = self.budget.0 - self.gathered.len();
            let some = chunk.split_to(free.min(chunk.len()));
            self.gathered.extend_from_slice(&some);
            self.size += some.len() as u64;
        }
        Ok(())
    }

    /// Takes room for more bytes: at first for a small blob, then for a whole part, exactly.
    async fn make_room(&mut self) -> Result<(), BlobError> {
        let (memory, is_small) = (&self.shared.memory, self.size == 0);
        let (bytes, taken) = match is_small {
            true => (FIRST_BYTES, memory.first().await?),
            false => (self.shared.part_bytes, memory.part().await?),
        };
        let mut larger = BytesMut::with_capacity(bytes);
        larger.extend_from_slice(&self.gathered);
        (self.gathered, self.budget) = (larger, (bytes, Some(taken)));
        self.since = Instant::now();
        Ok(())
    }

    /// Evicts an upload that comes so slowly that others wait for its memory in vain.
    fn expect_in_time(&self) -> Result<(), BlobError> {
        let (is_first, held) = (self.budget.0 == FIRST_BYTES, self.since.elapsed());
        let memory = &self.shared.memory;
        if self.budget.1.is_none() || !memory.must_be_evicted(is_first, held, self.gathered.len()) {
            return Ok(());
        }
        Err(BlobError::Unavailable {
            doing: WRITING,
            why: "it came too slowly, while others waited for room in blobs.memory_max".into(),
        })
    }

    /// Takes the gathered bytes, with their share of the budget.
    fn take_gathered(&mut self) -> Bytes {
        let bytes = std::mem::take(&mut self.gathered).freeze();
        match std::mem::take(&mut self.budget).1 {
            Some(taken) => held(bytes, taken),
            None => bytes,
        }
    }

    /// Hands a part to the store and the hasher, once they are done with the one before it.
    async fn send_gathered(&mut self) -> Result<(), BlobError> {
        if (self.shared.now)().since(self.begun) > UPLOAD_SECONDS_MAX {
            let why = io::Error::new(io::ErrorKind::TimedOut, "it took more than a day");
            return Err(unwritten(why));
        }
        self.parts.begin().await?;
        self.parts.settle().await?;
        self.hasher.come_back().await?;
        let part = self.take_gathered();
        self.hasher.hash(part.clone())?;
        self.parts.send(part)
    }

    /// Puts all in one request.
    async fn put(&mut self) -> Result<(), BlobError> {
        let bytes = self.take_gathered();
        self.hasher.hash(bytes.clone())?;
        self.hasher.come_back().await?;
        let (path, writer) = (&self.parts.path, &self.parts.writer);
        self.shared.put(path, bytes, writer).await
    }

    /// Sends the rest, and has the store make one object of all parts.
    async fn complete(&mut self) -> Result<(), BlobError> {
        self.send_gathered().await?;
        self.parts.settle().await?;
        self.parts.complete(self.size).await?;
        self.hasher.come_back().await
    }
}

impl Staged for S3Stage {
    fn write(&mut self, chunk: Bytes) -> BlobFuture<'_, ()> {
        Box::pin(async move {
            begin(&mut self.sound)?;
            let gathered = self.gather(chunk).await;
            if gathered.is_err() {
                self.shared.note_write(&gathered);
            }
            self.sound = gathered.is_ok();
            gathered
        })
    }

    fn commit(mut self: Box<Self>) -> BlobFuture<'static, StoredBlob> {
        Box::pin(async move {
            begin(&mut self.sound)?;
            // The prefix may be another's by now, who would sweep this.
            self.shared.expect_owned().await?;
            let written = match self.parts.id {
                Id::None => self.put().await,
                Id::Asked(_) | Id::Known(_) => self.complete().await,
            };
            self.shared.note_write(&written);
            written?;
            let findings = self.hasher.take()?.finish();
            Ok(StoredBlob {
                key: self.key,
                size: self.size,
                sha256: findings.sha256,
                crc32: findings.crc32,
                text: findings.text,
            })
        })
    }
}

impl UploadParts {
    /// Has the store begin the upload, if it has not. The request goes on when the answer is dropped, so that
    /// an upload that it began can be aborted.
    async fn begin(&mut self) -> Result<(), BlobError> {
        if matches!(self.id, Id::None) {
            let (shared, path) = (Arc::clone(&self.shared), self.path.clone());
            let writer = self.writer.clone();
            self.id = Id::Asked(tokio::spawn(async move {
                shared.begin_upload(&path, &writer).await
            }));
        }
        if let Id::Asked(asked) = &mut self.id {
            let answer = asked.await;
            self.id = Id::None;
            let id = answer.map_err(|gone| unwritten(io::Error::other(gone)))??;
            self.id = Id::Known(id);
        }
        Ok(())
    }

    /// Waits until the part on its way was taken.
    async fn settle(&mut self) -> Result<(), BlobError> {
        if let Some(sending) = &mut self.sending {
            let sent = sending.await;
            self.sending = None;
            let part = sent.map_err(|gone| unwritten(io::Error::other(gone)))??;
            self.sent.push(part);
        }
        Ok(())
    }

    fn send(&mut self, part: Bytes) -> Result<(), BlobError> {
        let Id::Known(id) = &self.id else {
            return Err(unwritten(io::Error::other("the upload was not begun")));
        };
        let (shared, path, id) = (Arc::clone(&self.shared), self.path.clone(), id.clone());
        let number = self.sent.len();
        self.sending = Some(tokio::spawn(async move {
            shared.put_part(&path, &id, number, part).await
        }));
        Ok(())
    }

    /// Makes one object of the parts. Where the store's answer is lost, the object itself says whether it is
    /// there: nobody else draws its name. The request is made again only where it is not, since a store that has
    /// completed the upload may let each further try wait in vain.
    async fn complete(&mut self, size: u64) -> Result<(), BlobError> {
        let Id::Known(id) = &self.id else {
            return Err(unwritten(io::Error::other("the upload was not begun")));
        };
        if self.shared.look(&self.path).await?.is_some() {
            return Err(taken());
        }
        let (shared, path) = (&self.shared, &self.path);
        let mut retry = Retry::default();
        loop {
            let complete = shared.store.complete_multipart(path, id, self.sent.clone());
            let answer = in_time(COMMITTING, SENT_WITHIN, complete).await;
            match shared.is_written(path, size, &self.writer).await? {
                Some(true) => break,
                Some(false) => return Err(taken()),
                None if may_pass(&answer) && retry.again().await => {}
                None => {
                    answer?.map_err(|error| fault(COMMITTING, &error))?;
                    return Err(BlobError::Unavailable {
                        doing: COMMITTING,
                        why: format!("{size} bytes were completed, and are not there"),
                    });
                }
            }
        }
        self.id = Id::None;
        Ok(())
    }
}

impl Drop for UploadParts {
    fn drop(&mut self) {
        let id = std::mem::replace(&mut self.id, Id::None);
        // Without a runtime, as at the end of the process, it is left to a sweep.
        if let (Id::Asked(_) | Id::Known(_), Ok(runtime)) = (&id, Handle::try_current()) {
            let (shared, path) = (Arc::clone(&self.shared), self.path.clone());
            runtime.spawn(give_up(shared, path, id, self.sending.take()));
        }
    }
}

/// Aborts an upload. The part on its way is waited for: one that came later would be kept.
async fn give_up(
    shared: Arc<Shared>,
    path: Path,
    id: Id,
    sending: Option<JoinHandle<Result<PartId, BlobError>>>,
) {
    if let Some(sending) = sending {
        sending.abort();
        // The result does not matter here.
        let _ = sending.await;
    }
    let id = match id {
        Id::Known(id) => id,
        Id::Asked(asked) => match asked.await {
            Ok(Ok(id)) => id,
            _ => return,
        },
        Id::None => return,
    };
    if let Err(error) = shared.abort(&path, &id).await {
        tracing::warn!(%error, "an upload that was given up is left to a sweep");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::blob::contract;
    use crate::blob::s3::S3;
    use crate::blob::s3::tests::{answering, response};

    /// Completes an upload whose every request to do so ends without an answer; the object is there after `carried_out`
    /// of them. Returns the outcome and the number of those requests.
    async fn completed(carried_out: usize) -> (Result<(), BlobError>, usize) {
        let tries = AtomicUsize::new(0);
        let (settings, server) = answering(move |line| {
            if line.starts_with("POST") {
                tries.fetch_add(1, Ordering::Relaxed);
                String::new()
            } else if line.starts_with("HEAD") && tries.load(Ordering::Relaxed) >= carried_out {
                response("200 OK", "x-amz-meta-written-by: writer\r\n", "")
            } else {
                response("404 Not Found", "", "")
            }
        })
        .await;
        let store = S3::open(&settings, || UnixSeconds::EPOCH).unwrap();
        let content_id = "part".to_owned();
        let mut parts = UploadParts {
            shared: Arc::clone(&store.shared),
            path: store.shared.path(contract::key(13, 0)),
            writer: "writer".into(),
            id: Id::Known("id".into()),
            sent: vec![PartId { content_id }],
            sending: None,
        };
        let outcome = parts.complete(0).await;
        let asked = server.asked();
        let posts = asked.iter().filter(|line| line.starts_with("POST"));
        (outcome, posts.count())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_upload_is_completed_again_only_while_its_object_is_not_there() {
        for carried_out in [1, 2] {
            let (outcome, asked) = completed(carried_out).await;
            assert!(outcome.is_ok(), "{outcome:?}");
            assert_eq!(asked, carried_out);
        }
        let (outcome, asked) = completed(usize::MAX).await;
        assert!(matches!(outcome, Err(BlobError::Unavailable { .. })));
        assert_eq!(asked, 4);
    }
}
