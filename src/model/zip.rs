//! The layout of a zip archive that lies nowhere: the position of every byte of it is known before one is read.
//!
//! ```text
//! local head, bytes │ local head, bytes │ … │ directory: a head for each │ end
//! ```
//!
//! Entries are stored as they are, so names and sizes give all lengths, and the archive its exact length, any range of it
//! and a strong entity tag. Only heads are made, those that are asked for, and a few at a time: the archive of ten
//! thousand files needs no more memory than one of ten. No library gives that, so the records are written here
//! (`records.rs`), with names that every system can unpack (`names.rs`).
//!
//! A file whose CRC-32 nobody knows yet has it behind its bytes, once they were read; or it is read once before its head goes
//! out, which every reader can take. Such an archive has the same length all the same, but no entity tag and no ranges: it
//! can only be sent from its beginning.

use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::digest::{Crc32, Sha256Digest, hex, write_hex};
use super::time::UnixSeconds;

mod names;
mod records;
#[cfg(test)]
mod tests;

/// The most entries of an archive.
pub const ENTRIES_MAX: usize = 10_000;

/// The most bytes that all heads and the directory of an archive have together.
pub const HEADS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The most bytes of heads that are made at once.
pub const HEADS_AT_ONCE: usize = 16 * 1024;

/// The bytes of lines that are hashed at once.
const HASHED_AT_ONCE: usize = 4 * 1024;

/// The version of the layout, which the entity tag covers: another one has other bytes.
const VERSION: &str = "1";

/// A file that is to be in an archive.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Its path in the archive as somebody gave it, with `/` between segments.
    pub path: &'a str,
    /// Length in bytes.
    pub size: u64,
    /// What tells its bytes from others: their SHA-256, where it is known.
    pub fingerprint: Sha256Digest,
    /// Their CRC-32, if somebody knows it.
    pub crc32: Option<Crc32>,
    /// True if it is taken before the head goes out where nobody knows it.
    pub is_read_ahead: bool,
    /// The time that the archive says of it, in UTC.
    pub modified: UnixSeconds,
}

/// The reason why files cannot be in one archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZipError {
    /// There are too many.
    #[error("an archive has at most {ENTRIES_MAX} files")]
    TooMany,
    /// A path, or all of them together, are too long.
    #[error(
        "the names in an archive are at most 65,535 bytes each, and {HEADS_BYTES_MAX} bytes with their heads"
    )]
    NamesTooLong,
    /// The sizes do not fit into 63 bits.
    #[error("an archive has at most 2^63 bytes")]
    TooLarge,
}

/// The CRC-32 of an entry is not known yet: its bytes come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the CRC-32 of entry {0} of an archive is not known yet")]
pub struct UnknownCrc32(pub usize);

/// The layout of an archive. It holds names and numbers only.
#[derive(Debug)]
pub struct Layout {
    entries: Box<[Entry]>,
    directory: Range<u64>,
    length: u64,
    /// A digest of all that its bytes are made of.
    digest: [u8; 32],
    /// True if all CRC-32s are known.
    is_known: bool,
}

/// A file in an archive.
#[derive(Debug)]
struct Entry {
    name: Box<str>,
    size: u64,
    crc32: Option<Crc32>,
    /// True if that is taken before the head goes out.
    is_read_ahead: bool,
    modified: UnixSeconds,
    /// The position of its local head.
    start: u64,
    /// The position of its head in the directory.
    central: u64,
}

/// The region that a byte of an archive lies in.
enum Region<'a> {
    LocalHead(usize, &'a Entry),
    File(usize, &'a Entry),
    Descriptor(usize, &'a Entry),
    Central(usize, &'a Entry),
    End,
}

impl Entry {
    /// Returns whether its CRC-32 stands behind its bytes.
    const fn has_crc32_behind(&self) -> bool {
        self.crc32.is_none() && !self.is_read_ahead
    }
}

impl Layout {
    /// Lays out an archive of these files, in their order. Names are cleaned, and told apart where a file system would
    /// take two for one.
    ///
    /// # Errors
    /// [`ZipError`] beyond [`ENTRIES_MAX`] files or [`HEADS_BYTES_MAX`] bytes of heads.
    pub fn new(members: &[Member<'_>]) -> Result<Self, ZipError> {
        if members.len() > ENTRIES_MAX {
            return Err(ZipError::TooMany);
        }
        let names = names::names(members.iter().map(|member| member.path));
        let digest = digest(members, &names);
        let (mut at, mut heads) = (0_u64, 0_u64);
        let (mut entries, mut is_known) = (Vec::with_capacity(members.len()), true);
        for (member, name) in members.iter().zip(names) {
            if u16::try_from(name.len()).is_err() {
                return Err(ZipError::NamesTooLong);
            }
            let entry = Entry {
                name,
                size: member.size,
                // Of no bytes everybody knows it.
                crc32: member.crc32.or((member.size == 0).then_some(Crc32::new(0))),
                is_read_ahead: member.is_read_ahead,
                modified: member.modified,
                start: at,
                central: 0,
            };
            is_known &= entry.crc32.is_some();
            let made = records::local_bytes(&entry) + records::descriptor_bytes(&entry);
            heads += made;
            at = add(at, add(made, entry.size)?)?;
            entries.push(entry);
        }
        let start = at;
        for entry in &mut entries {
            entry.central = at;
            at = add(at, records::central_bytes(entry))?;
        }
        let directory = start..at;
        let end = records::end_bytes(entries.len(), start, at);
        if heads + (at - start) + end > HEADS_BYTES_MAX {
            return Err(ZipError::NamesTooLong);
        }
        Ok(Self {
            entries: entries.into(),
            directory,
            length: add(at, end)?,
            digest,
            is_known,
        })
    }

    /// Returns the exact length of the archive in bytes.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Returns the strong entity tag, with its quotes. `None` where a CRC-32 is not known: then there are no ranges.
    pub fn etag(&self) -> Option<String> {
        let etag = || format!("\"zip{VERSION}-{}\"", hex(&self.digest));
        self.is_known.then(etag)
    }

    /// Returns a digest of all that the bytes are made of: archives of one digest are equal.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Returns the number of entries.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Returns the length of an entry's file in bytes.
    pub fn size(&self, entry: usize) -> u64 {
        self.entries.get(entry).map_or(0, |entry| entry.size)
    }

    /// Returns whether the CRC-32 of an entry is to be taken while its bytes go out.
    pub fn wants_crc32(&self, entry: usize) -> bool {
        let entry = self.entries.get(entry);
        entry.is_some_and(Entry::has_crc32_behind)
    }

    /// Returns the entry whose local head begins at `at`, if its CRC-32 is to be taken before that goes out.
    pub fn reads_ahead_at(&self, at: u64) -> Option<usize> {
        match self.region(at) {
            (Region::LocalHead(number, entry), 0) if entry.crc32.is_none() => {
                entry.is_read_ahead.then_some(number)
            }
            _ => None,
        }
    }

    /// Returns the bytes of memory that the layout takes, about.
    pub fn memory_bytes(&self) -> u64 {
        let names: usize = self.entries.iter().map(|entry| entry.name.len()).sum();
        (names + self.entries.len() * size_of::<Entry>()) as u64
    }

    /// Returns the entry whose file has the byte at `at`, and the part of the file from there on that lies before `end`,
    /// never none of it. `None` where the byte is one of a head.
    pub fn file_at(&self, at: u64, end: u64) -> Option<(usize, Range<u64>)> {
        match self.region(at) {
            (Region::File(number, entry), skipped) => {
                let length = (entry.size - skipped).min(end - at);
                Some((number, skipped..skipped + length))
            }
            _ => None,
        }
    }

    /// Makes the heads from `at` on, at most `most` bytes of them and more than none: up to `end`, to the next byte of
    /// a file, or to a head whose file is to be read first. `at` is one of a head, and lies before `end`, which lies in the archive. `learned` has the CRC-32 of entries
    /// that were read.
    ///
    /// # Errors
    /// [`UnknownCrc32`] where a head is to have the CRC-32 of an entry that nobody knew and that was not read yet.
    pub fn heads(
        &self,
        at: u64,
        end: u64,
        most: usize,
        learned: impl Fn(usize) -> Option<Crc32>,
    ) -> Result<Vec<u8>, UnknownCrc32> {
        debug_assert!(at < end && end <= self.length, "heads lie inside");
        let (mut heads, mut made, mut next) = (Vec::new(), Vec::new(), at);
        while next < end && heads.len() < most {
            let (region, skipped) = self.region(next);
            if let Region::File(..) = region {
                break;
            }
            made.clear();
            match self.write(&region, &learned, &mut made) {
                Err(_) if !heads.is_empty() => break,
                written => written?,
            }
            let left = (end - next).min((most - heads.len()) as u64);
            let before = heads.len();
            heads.extend(made.iter().skip(usize_of(skipped)).take(usize_of(left)));
            next += (heads.len() - before) as u64;
        }
        debug_assert!(!heads.is_empty(), "there is a head");
        Ok(heads)
    }

    /// Returns the region that a byte lies in, and how many bytes of it lie before.
    fn region(&self, at: u64) -> (Region<'_>, u64) {
        if at >= self.directory.end {
            return (Region::End, at - self.directory.end);
        }
        let (number, entry) = if at < self.directory.start {
            self.last(|entry| entry.start <= at)
        } else {
            self.last(|entry| entry.central <= at)
        };
        if at >= self.directory.start {
            return (Region::Central(number, entry), at - entry.central);
        }
        let (head, offset) = (records::local_bytes(entry), at - entry.start);
        match offset.checked_sub(head) {
            None => (Region::LocalHead(number, entry), offset),
            Some(offset) if offset < entry.size => (Region::File(number, entry), offset),
            Some(offset) => (Region::Descriptor(number, entry), offset - entry.size),
        }
    }

    /// Returns the last entry that begins so.
    #[expect(
        clippy::expect_used,
        reason = "an archive without entries has an end alone"
    )]
    fn last(&self, begins: impl Fn(&Entry) -> bool) -> (usize, &Entry) {
        let number = self.entries.partition_point(begins).checked_sub(1);
        let number = number.expect("the first entry begins at the first byte");
        (number, self.entries.get(number).expect("an entry"))
    }

    fn write(
        &self,
        region: &Region<'_>,
        learned: &impl Fn(usize) -> Option<Crc32>,
        into: &mut Vec<u8>,
    ) -> Result<(), UnknownCrc32> {
        let crc32 = |number, entry: &Entry| {
            let known = entry.crc32.or_else(|| learned(number));
            known.ok_or(UnknownCrc32(number))
        };
        match region {
            Region::LocalHead(_, entry) if entry.has_crc32_behind() => {
                records::local(entry, None, into);
            }
            Region::LocalHead(number, entry) => {
                records::local(entry, Some(crc32(*number, entry)?), into);
            }
            Region::Descriptor(number, entry) => {
                records::descriptor(entry, crc32(*number, entry)?, into);
            }
            Region::Central(number, entry) => {
                records::central(entry, crc32(*number, entry)?, into);
            }
            Region::End => {
                let Range { start, end } = self.directory;
                records::end(self.entries.len(), start, end, into);
            }
            Region::File(..) => {}
        }
        Ok(())
    }
}

/// Returns a digest of the layout's version and, on a line each, of all that an entry's bytes are made of.
/// Names have no line break and no tab.
fn digest(members: &[Member<'_>], names: &[Box<str>]) -> [u8; 32] {
    let (mut hasher, mut lines) = (Sha256::new(), Vec::with_capacity(2 * HASHED_AT_ONCE));
    lines.extend_from_slice(VERSION.as_bytes());
    lines.push(b'\n');
    let (mut size, mut time) = (itoa::Buffer::new(), itoa::Buffer::new());
    for (member, name) in members.iter().zip(names) {
        lines.extend_from_slice(name.as_bytes());
        lines.push(b'\t');
        lines.extend_from_slice(size.format(member.size).as_bytes());
        lines.push(b'\t');
        write_hex(member.fingerprint.as_bytes(), &mut lines);
        lines.push(b'\t');
        match member.crc32 {
            Some(crc32) => write_hex(&crc32.get().to_be_bytes(), &mut lines),
            None => lines.push(if member.is_read_ahead { b'+' } else { b'-' }),
        }
        lines.push(b'\t');
        lines.extend_from_slice(time.format(member.modified.get()).as_bytes());
        lines.push(b'\n');
        if lines.len() >= HASHED_AT_ONCE {
            hasher.update(&lines);
            lines.clear();
        }
    }
    hasher.update(&lines);
    hasher.finalize().into()
}

fn add(one: u64, other: u64) -> Result<u64, ZipError> {
    let sum = one.checked_add(other);
    sum.filter(|sum| i64::try_from(*sum).is_ok())
        .ok_or(ZipError::TooLarge)
}

/// Returns a number of bytes that lie in memory, or are to.
fn usize_of(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
