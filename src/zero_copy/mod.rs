//! Zero-copy: sends bytes of a file from the page cache to the socket by `sendfile`, under an HTTP library that
//! knows nothing of it.
//!
//! # The trick
//!
//! hyper takes a body as a row of buffers, and hands slices of them to the connection's own writer. It never
//! looks at the bytes. So the buffer of a region of a file need not hold them:
//!
//! 1. The body asks [`Regions::hand_over`] for a [`BodyPiece`] that stands for, say, bytes 0 to 1 MiB of a file.
//!    The piece reports that length, and its slice lies in `BLOCK`, a static block of zeros that nobody
//!    reads. Its file, offset and length wait in the connection's queue.
//! 2. hyper puts the piece behind the head of the response and calls
//!    [`Wire`]`::poll_write_vectored` with two slices: the head, and one that lies in `BLOCK`.
//! 3. The wire knows that slice by its address. It sends the head by `send(MSG_MORE)`, so that the
//!    kernel waits for what follows, and then the region by `sendfile`; it says how much went out, as any
//!    writer does, and hyper calls again with the rest. What a region has before the next page of its file it copies
//!    behind the head: so both fill one segment, which takes 17 pieces of memory.
//!
//! No other byte of the file is ever in this process. Nothing of this is `unsafe`: were a slice of the block
//! really read, it would be zeros.
//!
//! The lines of a head about one file are the same every time, so they need not be put together anew either:
//! [`Regions::add_to_head`] leaves ready lines with the queue, and the wire sends them just before the empty line that
//! ends the head. A stream that seals its bytes does the same with [`ReadyLines`].
//!
//! # What must not happen
//!
//! Zeros with status 200. They would go out if hyper copied a piece's slice into a buffer of its own, which
//! it does where its writer is not vectored, or `pipeline_flush` is on. So:
//!
//! - a piece can be made by a queue only, and a queue belongs to one [`Wire`], which reports itself as
//!   vectored;
//! - every write is held against the queue: each region that waits must be claimed, in its turn, by a slice
//!   of its own place in the block and of just its length, and no slice of the block may be without a
//!   region. A write that is anything else ends the connection before a byte of it is out;
//! - lines go into a head only: where a write does not begin with one, or with what is left of one, the
//!   connection ends;
//! - a file that ends before its region does ends the connection: a response never looks whole when it
//!   is not.
//!
//! # What the kernel sees
//!
//! One hot request for a small file, whose bytes are in memory, is one `recvfrom` and one `sendto`. For a
//! large one, as `strace` shows it:
//!
//! ```text
//! recvfrom(9, "GET /v1/organizations/org_default"..., 8192, 0, NULL, NULL) = 236
//! sendto(9, "HTTP/1.1 200 OK\r\nContent-Length:"..., 653, MSG_NOSIGNAL|MSG_MORE, NULL, 0) = 653
//! sendfile(9, 14, [0], 1048576)           = 1048576
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};

use self::ready_lines::HeadLines;
use crate::page_cache;

mod ready_lines;
mod socket;
mod tcp_info;
#[cfg(test)]
mod tests;
mod unsent;
mod wire;

pub use ready_lines::{LinedStream, ReadyLines};
pub use socket::Socket;
pub use tcp_info::TcpInfo;
pub use unsent::{UNSENT_BYTES, UnsentBudget};
pub use wire::Wire;

/// The longest region that one [`BodyPiece`] stands for, in bytes.
pub const REGION_BYTES_MAX: usize = 1024 * 1024;

/// The smallest page of a file that Linux has, in bytes.
const PAGE_BYTES: usize = 4096;

/// The number of regions in a row that have places of their own in the block. hyper queues at most 16.
const PLACES: usize = 64;

/// Memory that the slices of regions point into: the region with place `p` and `n` bytes left has `BLOCK[p..p + n]`.
static BLOCK: [u8; REGION_BYTES_MAX + PLACES] = [0; REGION_BYTES_MAX + PLACES];

/// The regions of files that one connection has yet to send, shared between the bodies of its responses
/// and its [`Wire`]. Cloning is a reference count.
#[derive(Clone, Debug, Default)]
pub struct Regions(Arc<Mutex<RegionQueue>>);

/// The handle of a connection's writer, by which an answer reaches it past the HTTP library. Cloning is a reference count.
#[derive(Clone, Debug)]
pub enum WriterHandle {
    /// The queue of a plain connection, which sends files itself.
    Plain(Regions),
    /// The lines of a connection whose bytes are sealed, and so go through memory.
    Sealed(ReadyLines),
}

impl WriterHandle {
    /// Returns the queue of a connection that sends files itself.
    pub const fn regions(&self) -> Option<&Regions> {
        match self {
            Self::Plain(regions) => Some(regions),
            Self::Sealed(_) => None,
        }
    }

    /// Adds lines to the head that this connection writes next: each with its `\r\n`, and none that hyper writes
    /// by itself or that the response has as a header. The response has a body that is not empty and headers that
    /// hyper takes, and is given to hyper at once: its head is the last that hyper has when it writes next.
    pub fn add_to_head(&self, lines: Bytes) {
        match self {
            Self::Plain(regions) => regions.add_to_head(lines),
            Self::Sealed(ready) => ready.add_to_head(lines),
        }
    }
}

/// On whose behalf a file is sent. It must not hold the queue that holds it: neither would ever be freed.
pub trait Owner: fmt::Debug + Send + Sync {
    /// The file could not be sent to the end of its region; the connection is ended for it. Not called
    /// where it was the client that went away.
    fn note_fault(&self, fault: &io::Error);
}

#[derive(Debug, Default)]
struct RegionQueue {
    waiting: VecDeque<QueuedRegion>,
    next_place: usize,
    lines: HeadLines,
}

/// A part of a file that is on its way.
#[derive(Debug)]
struct QueuedRegion {
    file: Arc<File>,
    offset: u64,
    left: usize,
    place: usize,
    owner: Arc<dyn Owner>,
}

/// The bytes of a region that go out with the head.
#[derive(Default)]
struct Beginning<'p> {
    bytes: &'p [u8],
    /// True if the rest of the region is to follow in the same segments.
    is_followed: bool,
}

/// A piece of a response body: bytes, or a region of a file that the connection's [`Wire`] sends.
#[derive(Debug)]
pub struct BodyPiece(PieceKind);

#[derive(Debug)]
enum PieceKind {
    Bytes(Bytes),
    Region { place: usize, left: usize },
}

impl Regions {
    /// An empty queue, for one connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// A piece that stands for `length` bytes of the file, from `offset` on: up to [`REGION_BYTES_MAX`],
    /// the rest is cut off. The caller sees to it that the file has them, and yields the piece as the next
    /// frame of the response that this connection sends: what is handed over and then not sent ends the
    /// connection.
    pub fn hand_over(
        &self,
        file: Arc<File>,
        offset: u64,
        length: usize,
        owner: Arc<dyn Owner>,
    ) -> BodyPiece {
        let left = length.min(REGION_BYTES_MAX);
        if left == 0 {
            return BodyPiece::from(Bytes::new());
        }
        let mut queue = self.lock();
        let place = queue.next_place;
        queue.next_place = (place + 1) % PLACES;
        queue.waiting.push_back(QueuedRegion {
            file,
            offset,
            left,
            place,
            owner,
        });
        BodyPiece(PieceKind::Region { place, left })
    }

    /// Adds lines to the head that this connection writes next, as [`WriterHandle::add_to_head`] does.
    pub fn add_to_head(&self, lines: Bytes) {
        self.lock().lines.add(lines);
    }

    fn lock(&self) -> MutexGuard<'_, RegionQueue> {
        // Nothing that holds the lock can leave the queue half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RegionQueue {
    /// Returns the number of slices before the first region, all of them where none does. An error, unless each region
    /// that waits is claimed, in its turn, by exactly its own slice.
    fn check(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut waiting = self.waiting.iter();
        let mut first = slices.len();
        for (at, slice) in slices.iter().enumerate() {
            if let Some(place) = place_in_block(slice) {
                let claimed = (place, slice.len());
                if waiting.next().map(|region| (region.place, region.left)) != Some(claimed) {
                    return Err(unclaimed());
                }
                first = first.min(at);
            }
        }
        match waiting.next() {
            None => Ok(first),
            Some(_) => Err(unclaimed()),
        }
    }

    /// Returns whether the first region begins where a page of its file does, so that the head and it fill whole
    /// segments. Elsewhere they would need one more for the head's sake, which costs more than sending that alone.
    fn begins_with_a_page(&self) -> bool {
        let first = self.waiting.front();
        first.is_some_and(|region| region.offset % PAGE_BYTES as u64 == 0)
    }

    /// Reads what the first region has before the next page of its file, to be sent with the head: with it the head is one
    /// of the 17 pieces of memory that a segment takes, and sixteen pages are the others (Linux, `MAX_SKB_FRAGS`). Nothing
    /// where that is not in memory.
    fn beginning<'p>(&self, page: &'p mut [u8; PAGE_BYTES]) -> Beginning<'p> {
        let Some(region) = self.waiting.front() else {
            return Beginning::default();
        };
        let next_page = region.offset.next_multiple_of(PAGE_BYTES as u64);
        if next_page == region.offset {
            return Beginning {
                bytes: &[],
                is_followed: true,
            };
        }
        let before = usize::try_from(next_page - region.offset);
        let length = before.map_or(region.left, |before| before.min(region.left));
        let room = page.get_mut(..length).unwrap_or_default();
        match page_cache::read_now(&region.file, room, region.offset) {
            Ok(read) if read == length => Beginning {
                bytes: room,
                is_followed: length < region.left,
            },
            _ => Beginning::default(),
        }
    }

    /// Takes `sent` bytes off the first region.
    fn advance(&mut self, sent: usize) {
        if let Some(region) = self.waiting.front_mut() {
            region.offset += sent as u64;
            region.left = region.left.saturating_sub(sent);
            if region.left == 0 {
                self.waiting.pop_front();
            }
        }
    }
}

/// Returns the offset in the block at which a slice begins, if it lies there.
fn place_in_block(slice: &[u8]) -> Option<usize> {
    let start = slice.as_ptr().addr().checked_sub(BLOCK.as_ptr().addr())?;
    (start < BLOCK.len() && !slice.is_empty()).then_some(start)
}

fn unclaimed() -> io::Error {
    tracing::error!("a connection is ended: what was written is not what was handed over");
    io::Error::new(
        io::ErrorKind::InvalidData,
        "what was handed over is not where it was to go",
    )
}

impl BodyPiece {
    /// Takes the last of several bytes off. `None` for a region of a file, which the connection sends itself.
    pub fn split_last_byte(&mut self) -> Option<Self> {
        match &mut self.0 {
            PieceKind::Bytes(bytes) if bytes.len() > 1 => {
                let last = bytes.split_off(bytes.len() - 1);
                Some(Self::from(last))
            }
            _ => None,
        }
    }
}

impl From<Bytes> for BodyPiece {
    fn from(bytes: Bytes) -> Self {
        Self(PieceKind::Bytes(bytes))
    }
}

impl Buf for BodyPiece {
    fn remaining(&self) -> usize {
        match &self.0 {
            PieceKind::Bytes(bytes) => bytes.len(),
            PieceKind::Region { left, .. } => *left,
        }
    }

    #[expect(
        clippy::expect_used,
        reason = "the block is as long as the last place and the longest region together"
    )]
    fn chunk(&self) -> &[u8] {
        match &self.0 {
            PieceKind::Bytes(bytes) => bytes,
            PieceKind::Region { place, left } => {
                let slice = BLOCK.get(*place..place + left);
                slice.expect("a slice of the block")
            }
        }
    }

    fn advance(&mut self, count: usize) {
        match &mut self.0 {
            PieceKind::Bytes(bytes) => bytes.advance(count),
            PieceKind::Region { left, .. } => *left = left.saturating_sub(count),
        }
    }
}
