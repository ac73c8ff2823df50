//! Reading an object, from wherever on and however often the store drops us.
//!
//! A download asks for a window at a time, and for the next one only when that was taken (backpressure): a quick client
//! gets larger windows, and a slow one smaller ones where memory is scarce. Bytes that wait for a client hold a permit
//! of the memory budget ([`super::memory_budget`]).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectStore as _};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::fault::{fault, is_missing, late};
use super::memory_budget::{MemoryPermit, PIECE_BYTES, held};
use super::retry::Retry;
use super::{BYTES_WITHIN, Shared};
use crate::blob::{BlobError, BlobFuture, ObjectReader, ObjectStream};

/// The most memory that the bytes of one download take: the piece in hand, and the connection's read-ahead (hyper's
/// buffer, at most 408 KiB each). No more is fetched before that is taken.
pub const HELD_BYTES_MAX: usize = 1024 * 1024;

/// The smallest and the largest window. The store answers once for each.
const WINDOW_BYTES_MIN: u64 = 64 * 1024;
const WINDOW_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A window that was taken in less is followed by one twice as large.
const QUICK: Duration = Duration::from_millis(500);

/// One that took longer, by one half as large, unless there is plenty of memory.
const SLOW: Duration = Duration::from_secs(2);

/// The bytes after which the tries are counted anew.
const PROGRESS_BYTES: u64 = 64 * 1024;

const READING: &str = "reading a blob";

/// An object as it was when it was looked at.
pub(super) struct Object {
    pub(super) shared: Arc<Shared>,
    pub(super) path: Path,
    pub(super) e_tag: Option<String>,
    pub(super) size: u64,
}

/// A part of an object on its way here.
struct WindowedStream {
    object: Arc<Object>,
    open: Option<Open>,
    /// The bytes of one request.
    window: u64,
    /// A permit for one piece where no window fits: the next is read when that is gone.
    piece: Arc<Semaphore>,
    next: u64,
    end: u64,
    /// The tries since `mark`.
    retry: Retry,
    mark: u64,
}

/// A window that is being read.
struct Open {
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    end: u64,
    is_small: bool,
    taken: MemoryPermit,
    begun: Instant,
}

impl Object {
    fn damaged(&self, what: &str) -> BlobError {
        let what = format!("object {}: {what}", self.path);
        BlobError::Damaged { what }
    }
}

impl ObjectReader for Object {
    fn size(&self) -> u64 {
        self.size
    }

    fn check(&self) -> BlobFuture<'_, ()> {
        Box::pin(async {
            let now = self.shared.look(&self.path).await?;
            match now {
                Some(now) if now.size == self.size && now.e_tag == self.e_tag => Ok(()),
                Some(now) => {
                    Err(self.damaged(&format!("it is another one, of {} bytes", now.size)))
                }
                None => Err(self.damaged("it is not there")),
            }
        })
    }

    fn read(self: Arc<Self>, start: u64, end: u64) -> BlobFuture<'static, Bytes> {
        Box::pin(async move {
            let mut stream = WindowedStream::new(self, start, end);
            let length = usize::try_from(end - start).unwrap_or(HELD_BYTES_MAX);
            let mut all = BytesMut::with_capacity(length.min(HELD_BYTES_MAX));
            while let Some(bytes) = stream.next_bytes().await? {
                all.extend_from_slice(&bytes);
            }
            Ok(all.freeze())
        })
    }

    fn stream(self: Arc<Self>, start: u64, end: u64, first: usize) -> Box<dyn ObjectStream> {
        let is_plentiful = self.shared.memory.is_plentiful();
        let mut stream = WindowedStream::new(self, start, end);
        if !is_plentiful {
            stream.window = stream.window.min(first as u64);
        }
        Box::new(stream)
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, size) = (&self.path, self.size);
        write!(f, "Object({path}, {size} bytes)")
    }
}

impl ObjectStream for WindowedStream {
    fn next(&mut self) -> BlobFuture<'_, Option<Bytes>> {
        Box::pin(self.next_bytes())
    }
}

impl WindowedStream {
    /// Returns a stream of the part from `start` up to `end`, which must lie inside. Nothing is asked for yet.
    fn new(object: Arc<Object>, start: u64, end: u64) -> Self {
        Self {
            object,
            open: None,
            window: HELD_BYTES_MAX as u64,
            piece: Arc::new(Semaphore::new(1)),
            next: start,
            end,
            retry: Retry::default(),
            mark: start,
        }
    }

    /// The next bytes. Where the connection to the store breaks or falls silent, the rest is asked for anew, until
    /// the tries without progress are used up.
    async fn next_bytes(&mut self) -> Result<Option<Bytes>, BlobError> {
        while self.next < self.end {
            match self.try_next().await {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => {
                    self.next += bytes.len() as u64;
                    if self.next - self.mark >= PROGRESS_BYTES {
                        (self.mark, self.retry) = (self.next, Retry::default());
                    }
                    return Ok(Some(bytes));
                }
                Err(error @ BlobError::Unavailable { .. }) => {
                    self.open = None;
                    tracing::debug!(error = %error, at = self.next, "reading a blob failed");
                    if !self.retry.again().await {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        self.open = None;
        Ok(None)
    }

    async fn try_next(&mut self) -> Result<Bytes, BlobError> {
        if let Some(done) = self.open.take_if(|open| open.end == self.next) {
            self.window = match done.begun.elapsed() {
                took if took < QUICK => (self.window * 2).min(WINDOW_BYTES_MAX),
                took if took > SLOW && !self.object.shared.memory.is_plentiful() => {
                    (self.window / 2).max(WINDOW_BYTES_MIN)
                }
                _ => self.window,
            };
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let open = self.open_window().await?;
                self.open.insert(open)
            }
        };
        let next = timeout(BYTES_WITHIN, open.stream.next());
        let next = next.await.map_err(|_| late(READING, BYTES_WITHIN))?;
        match next {
            Some(Ok(bytes)) if bytes.len() as u64 <= open.end - self.next => {
                // A few bytes may keep a large buffer of the connection to the store.
                let bytes = match open.is_small {
                    true => Bytes::copy_from_slice(&bytes),
                    false => bytes,
                };
                Ok(held(bytes, Arc::clone(&open.taken)))
            }
            Some(Ok(_)) => Err(self
                .object
                .damaged("the store sends more than was asked for")),
            Some(Err(error)) => Err(fault(READING, &error)),
            None => {
                let missing = open.end - self.next;
                let why = format!("the store's answer ended {missing} bytes early");
                Err(BlobError::Unavailable {
                    doing: READING,
                    why,
                })
            }
        }
    }

    /// Asks for the next window, or for as much of it as there is room for.
    async fn open_window(&mut self) -> Result<Open, BlobError> {
        let left = self.end - self.next;
        let window = self.window.min(left);
        // Of a larger one no more is ever in memory.
        let most =
            usize::try_from(window).map_or(HELD_BYTES_MAX, |window| window.min(HELD_BYTES_MAX));
        let (bytes, taken) = match self.object.shared.memory.window(most) {
            Some((bytes, taken)) if bytes == most => (window, taken),
            Some((bytes, taken)) => (bytes as u64, taken),
            None => {
                let piece = Arc::clone(&self.piece).acquire_owned().await;
                // It is never closed.
                let piece = piece.map_err(|_| self.object.damaged("it was closed"))?;
                (left.min(PIECE_BYTES as u64), Arc::new(piece))
            }
        };
        let end = self.next + bytes;
        Ok(Open {
            stream: open(&self.object, self.next, end).await?,
            end,
            is_small: bytes < HELD_BYTES_MAX as u64,
            taken,
            begun: Instant::now(),
        })
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
    // The stream makes it again.
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
