//! The body of an answer that is a zip archive, or a part of one: heads that are made as they are taken, and between
//! them the files, each as the answer with that file alone would send it.

use std::collections::HashMap;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};

use super::region::{DownloadIdentity, Region, RegionOptions};
use super::response_memory::{ConnectionMemory, Grant, HeldBytes};
use super::throttled::Throttle;
use crate::gateway::Gateway;
use crate::gateway::archives::{Archive, EntryReader};
use crate::gateway::download::Content;
use crate::gateway::limits::Admitted;
use crate::gateway::refusal::Refusal;
use crate::model::digest::Crc32;
use crate::model::zip::HEADS_AT_ONCE;
use crate::zero_copy::{BodyPiece, Regions};

/// An archive's bytes from some position up to another. A file that cannot be opened or read aborts the connection: what
/// is missing is never made up.
pub struct ArchiveBody {
    archive: Arc<Archive>,
    next: u64,
    end: u64,
    /// The reader of its files, while none is being opened.
    reader: Option<EntryReader>,
    opening: Option<Opening>,
    /// The entry whose file is read before its head goes out.
    reading: Option<(usize, ReadEntry)>,
    /// The file that goes out now.
    file: Option<OpenEntry>,
    /// The CRC-32 of entries that nobody knew.
    learned: HashMap<usize, Crc32>,
    /// The pace of what goes out, of which each file has one of its own.
    throttle: Option<Throttle>,
    grant: Option<Grant>,
    identity: DownloadIdentity,
    regions: Option<Regions>,
    memory: Option<ConnectionMemory>,
}

/// The answer of a reader, which comes back with it.
type OpenedEntry = Pin<Box<dyn Future<Output = (EntryReader, Result<Content, Refusal>)> + Send>>;

/// The answer of a reader that reads a file for its CRC-32, which comes back with it.
type ReadEntry = Pin<Box<dyn Future<Output = (EntryReader, Result<Crc32, Refusal>)> + Send>>;

/// An entry's file on its way to being open, and the part of it that is to go out.
struct Opening {
    entry: usize,
    part: Range<u64>,
    opened: OpenedEntry,
}

/// An entry's file that goes out.
struct OpenEntry {
    source: Source,
    /// The entry, and the hasher of its bytes, where nobody knows its CRC-32.
    hashed: Option<(usize, crc32fast::Hasher)>,
}

/// The bytes of an entry.
enum Source {
    /// In memory, and cut as heads are.
    Bytes(Bytes),
    Region(Box<Region>),
}

impl ArchiveBody {
    /// Returns the bytes of an archive from `start` up to `end`.
    pub(super) fn new(
        gateway: &Arc<Gateway>,
        archive: Arc<Archive>,
        (start, end): (u64, u64),
        options: &RegionOptions<'_>,
    ) -> Self {
        Self {
            reader: Some(EntryReader::new(gateway, &archive)),
            archive,
            next: start,
            end,
            opening: None,
            reading: None,
            file: None,
            learned: HashMap::new(),
            throttle: options.admitted.and_then(Admitted::pace).map(Throttle::new),
            grant: None,
            identity: options.identity,
            regions: options.regions.cloned(),
            memory: options.memory.cloned(),
        }
    }

    /// Returns the number of bytes that are left of it.
    pub(super) const fn left(&self) -> u64 {
        self.end.saturating_sub(self.next)
    }

    /// The next piece; `None` after the last one, or after an error.
    pub(super) fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyPiece, Refusal>>> {
        if self.next >= self.end {
            return Poll::Ready(None);
        }
        let piece = ready!(self.poll_next(context));
        match &piece {
            Ok(piece) => self.next += piece.remaining() as u64,
            Err(_) => self.next = self.end,
        }
        Poll::Ready(Some(piece))
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<BodyPiece, Refusal>> {
        loop {
            if let Some(mut file) = self.file.take() {
                if !file.is_over() {
                    let piece = self.poll_file(&mut file, context);
                    self.file = Some(file);
                    return piece;
                }
                self.finish(file);
            } else if let Some(opening) = &mut self.opening {
                let (reader, opened) = ready!(opening.opened.as_mut().poll(context));
                self.reader = Some(reader);
                match opened {
                    Ok(content) => self.begin_file(content),
                    Err(refusal) => return Poll::Ready(Err(self.aborted(refusal))),
                }
            } else if let Some((entry, reading)) = &mut self.reading {
                let (reader, read) = ready!(reading.as_mut().poll(context));
                let entry = *entry;
                (self.reader, self.reading) = (Some(reader), None);
                match read {
                    Ok(crc32) => self.learned.insert(entry, crc32),
                    Err(refusal) => return Poll::Ready(Err(self.aborted(refusal))),
                };
            } else if let Some((entry, part)) = self.archive.layout().file_at(self.next, self.end) {
                self.open(entry, part)?;
            } else if let Some(entry) = self.unread() {
                self.read(entry)?;
            } else {
                let (most, held) = ready!(self.poll_grant(context));
                let heads = self.heads(most);
                return Poll::Ready(heads.map(|heads| self.counted(heads, held)));
            }
        }
    }

    /// The entry whose head is next, if its file is to be read before.
    fn unread(&self) -> Option<usize> {
        let entry = self.archive.layout().reads_ahead_at(self.next)?;
        (!self.learned.contains_key(&entry)).then_some(entry)
    }

    fn read(&mut self, entry: usize) -> Result<(), Refusal> {
        let mut reader = self.taken_reader()?;
        let read = Box::pin(async move {
            let read = reader.crc32(entry).await;
            (reader, read)
        });
        self.reading = Some((entry, read));
        Ok(())
    }

    fn taken_reader(&mut self) -> Result<EntryReader, Refusal> {
        let reader = self.reader.take();
        reader.ok_or_else(|| Refusal::Internal("a file is open".into()))
    }

    fn heads(&self, most: usize) -> Result<Bytes, Refusal> {
        let learned = |entry| self.learned.get(&entry).copied();
        let layout = self.archive.layout();
        let heads = layout.heads(self.next, self.end, most, learned);
        let heads = heads.map_err(|unknown| Refusal::Internal(unknown.to_string()));
        heads
            .map(Bytes::from)
            .map_err(|refusal| self.aborted(refusal))
    }

    fn open(&mut self, entry: usize, part: Range<u64>) -> Result<(), Refusal> {
        let mut reader = self.taken_reader()?;
        let opened = Box::pin(async move {
            let opened = reader.open(entry).await;
            (reader, opened)
        });
        self.opening = Some(Opening {
            entry,
            part,
            opened,
        });
        Ok(())
    }

    fn begin_file(&mut self, content: Content) {
        let Some(Opening { entry, part, .. }) = self.opening.take() else {
            return;
        };
        let Range { start, end } = part;
        let is_hashed = self.archive.layout().wants_crc32(entry);
        let source = match content.bytes() {
            Some(bytes) => {
                // They lie in memory, so it fits.
                let [start, end] = [start, end].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
                Source::Bytes(bytes.slice(start..end))
            }
            None => {
                let options = RegionOptions {
                    identity: self.identity,
                    // The head is out already.
                    takes_lines: false,
                    // Bytes that are hashed come by here.
                    regions: self.regions.as_ref().filter(|_| !is_hashed),
                    memory: self.memory.as_ref(),
                    admitted: None,
                };
                let pace = self
                    .throttle
                    .as_ref()
                    .map(|throttle| throttle.pace.another());
                Source::Region(Box::new(
                    Region::new(content, start, end, &options).paced(pace),
                ))
            }
        };
        self.file = Some(OpenEntry {
            source,
            hashed: is_hashed.then(|| (entry, crc32fast::Hasher::new())),
        });
    }

    fn poll_file(
        &mut self,
        file: &mut OpenEntry,
        context: &mut Context<'_>,
    ) -> Poll<Result<BodyPiece, Refusal>> {
        let piece = match &mut file.source {
            Source::Region(region) => match ready!(region.poll_piece(context)) {
                Some(piece) => piece?,
                None => return Poll::Ready(Err(Refusal::Internal("a file ended early".into()))),
            },
            Source::Bytes(bytes) => {
                let (most, held) = ready!(self.poll_grant(context));
                let cut = bytes.split_to(most.min(bytes.len()));
                self.counted(cut, held)
            }
        };
        if let Some((_, hasher)) = &mut file.hashed {
            hasher.update(piece.chunk());
        }
        Poll::Ready(Ok(piece))
    }

    /// Keeps the CRC-32 of a file that is out, where nobody knew it.
    fn finish(&mut self, file: OpenEntry) {
        if let Some((entry, hasher)) = file.hashed {
            self.learned.insert(entry, Crc32::new(hasher.finalize()));
        }
    }

    /// Waits until bytes from memory may go out: how many at most, and their part of the budget, if they count.
    fn poll_grant(&mut self, context: &mut Context<'_>) -> Poll<(usize, Option<HeldBytes>)> {
        let mut most = HEADS_AT_ONCE;
        if let Some(throttle) = &mut self.throttle {
            ready!(throttle.poll_grant(context, self.end - self.next));
            most =
                usize::try_from(throttle.pace.granted()).map_or(most, |granted| most.min(granted));
        }
        let Some(memory) = &self.memory else {
            return Poll::Ready((most, None));
        };
        let mut grant = self.grant.take().unwrap_or_else(|| memory.grant(most));
        match Pin::new(&mut grant).poll(context) {
            Poll::Ready(held) => Poll::Ready((held.bytes().min(most), Some(held))),
            Poll::Pending => {
                self.grant = Some(grant);
                Poll::Pending
            }
        }
    }

    /// A piece of these bytes, which count and are spent.
    fn counted(&mut self, bytes: Bytes, held: Option<HeldBytes>) -> BodyPiece {
        if let Some(throttle) = &mut self.throttle {
            throttle.pace.spend(bytes.len() as u64);
        }
        BodyPiece::from(match held {
            Some(held) => held.around(bytes),
            None => bytes,
        })
    }

    fn aborted(&self, refusal: Refusal) -> Refusal {
        self.identity.note_aborted(&refusal);
        refusal
    }
}

impl OpenEntry {
    fn is_over(&self) -> bool {
        match &self.source {
            Source::Bytes(bytes) => bytes.is_empty(),
            Source::Region(region) => region.left() == 0,
        }
    }
}
