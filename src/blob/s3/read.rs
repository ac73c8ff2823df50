//! Reading an object, from wherever on and however often the store drops us.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectStore as _};
use tokio::time::timeout;

use super::fault::{TRIES_MAX, fault, is_missing, late, pause};
use super::{BYTES_WITHIN, Shared};
use crate::blob::BlobError;

/// What the bytes of one download take in memory at most: the piece in hand, and what the connection to the
/// store reads ahead of it (hyper's buffer, at most 408 KiB each). No more is fetched before that is taken.
pub const HELD_BYTES_MAX: usize = 1024 * 1024;

/// How many bytes must have come for the tries to be counted anew.
const PROGRESS_BYTES: u64 = 64 * 1024;

const READING: &str = "reading a blob";

/// An object as it was when it was looked at.
pub struct Object {
    pub(super) shared: Arc<Shared>,
    pub(super) path: Path,
    pub(super) e_tag: Option<String>,
    pub(super) size: u64,
}

/// A part of an object on its way here.
pub struct Reader {
    object: Arc<Object>,
    stream: Option<BoxStream<'static, object_store::Result<Bytes>>>,
    next: u64,
    end: u64,
    /// How often it failed since `mark`.
    failures: u32,
    mark: u64,
}

impl Object {
    pub(in crate::blob) const fn size(&self) -> u64 {
        self.size
    }

    /// Looks whether the object is still what it was.
    pub(in crate::blob) async fn check(&self) -> Result<(), BlobError> {
        let now = self.shared.look(&self.path).await?;
        match now {
            Some(now) if now.size == self.size && now.e_tag == self.e_tag => Ok(()),
            Some(now) => Err(self.damaged(&format!("it is another one, of {} bytes", now.size))),
            None => Err(self.damaged("it is not there")),
        }
    }

    /// The part from `start` up to `end`, which lies inside, held in memory.
    pub(in crate::blob) async fn read(
        self: &Arc<Self>,
        start: u64,
        end: u64,
    ) -> Result<Bytes, BlobError> {
        let mut reader = Reader::new(Arc::clone(self), start, end);
        let mut all = BytesMut::new();
        while let Some(bytes) = reader.next().await? {
            if all.is_empty() && bytes.len() as u64 == end - start {
                return Ok(bytes);
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all.freeze())
    }

    fn damaged(&self, what: &str) -> BlobError {
        let what = format!("object {}: {what}", self.path);
        BlobError::Damaged { what }
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, size) = (&self.path, self.size);
        write!(f, "Object({path}, {size} bytes)")
    }
}

impl Reader {
    /// Of the part from `start` up to `end`, which must lie inside. Nothing is asked for yet.
    pub(in crate::blob) fn new(object: Arc<Object>, start: u64, end: u64) -> Self {
        Self {
            object,
            stream: None,
            next: start,
            end,
            failures: 0,
            mark: start,
        }
    }

    /// The next bytes, at least one; `None` once there were all. The store is asked for more only from in
    /// here, so whoever takes slowly is sent slowly. Where the connection to the store breaks or falls
    /// silent, the rest is asked for anew, `TRIES_MAX` times without progress at most. Bytes of another
    /// object are `Damaged`, never sent. Dropping the answer loses no bytes.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        while self.next < self.end {
            match self.try_next().await {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => {
                    self.next += bytes.len() as u64;
                    if self.next - self.mark >= PROGRESS_BYTES {
                        (self.mark, self.failures) = (self.next, 0);
                    }
                    return Ok(Some(bytes));
                }
                Err(error @ BlobError::Unavailable { .. }) => {
                    self.stream = None;
                    self.failures += 1;
                    if self.failures >= TRIES_MAX {
                        return Err(error);
                    }
                    tracing::debug!(error = %error, at = self.next, "reading a blob again");
                    pause(self.failures).await;
                }
                Err(error) => return Err(error),
            }
        }
        self.stream = None;
        Ok(None)
    }

    async fn try_next(&mut self) -> Result<Bytes, BlobError> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(open(&self.object, self.next, self.end).await?),
        };
        let next = timeout(BYTES_WITHIN, stream.next());
        let next = next.await.map_err(|_| late(READING, BYTES_WITHIN))?;
        match next {
            Some(Ok(bytes)) if bytes.len() as u64 <= self.end - self.next => Ok(bytes),
            Some(Ok(_)) => Err(self
                .object
                .damaged("the store sends more than was asked for")),
            Some(Err(error)) => Err(fault(READING, &error)),
            None => {
                let missing = self.end - self.next;
                let why = format!("the store's answer ended {missing} bytes early");
                Err(BlobError::Unavailable {
                    doing: READING,
                    why,
                })
            }
        }
    }
}

/// Asks for a part of exactly this object. What comes is held to the range and to the object.
async fn open(
    object: &Object,
    start: u64,
    end: u64,
) -> Result<BoxStream<'static, object_store::Result<Bytes>>, BlobError> {
    let options = GetOptions {
        if_match: object.e_tag.clone(),
        range: Some(GetRange::Bounded(start..end)),
        ..GetOptions::default()
    };
    let asked = object.shared.store.get_opts(&object.path, options);
    let found = match object.shared.within(READING, asked).await? {
        Ok(found) => found,
        Err(Error::Precondition { .. }) => return Err(object.damaged("it is another one now")),
        Err(error) if is_missing(&error) => return Err(object.damaged("it is not there")),
        Err(error) => return Err(fault(READING, &error)),
    };
    let same = found.meta.size == object.size && found.meta.e_tag == object.e_tag;
    if !same || found.range != (start..end) {
        return Err(object.damaged("the store answers with another one, or another part"));
    }
    Ok(found.into_stream())
}
