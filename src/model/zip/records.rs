//! The records of an archive, byte by byte ("APPNOTE.TXT - .ZIP File Format Specification", PKWARE, 6.3.10; its sections
//! are named here). Numbers are little-endian.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::Entry;
use crate::model::digest::Crc32;
use crate::model::time::UnixSeconds;

/// From this number on a field of 32 bits says that the number stands in the ZIP64 record (§4.3.9.2, §4.5.3).
const ZIP64_FROM: u64 = 0xffff_ffff;

/// The same of a field of 16 bits.
const ZIP64_COUNT_FROM: usize = 0xffff;

/// Bit 3: the CRC-32 stands behind the bytes. Bit 11: names are UTF-8 (§4.4.4).
const CRC_FOLLOWS: u16 = 1 << 3;
const UTF8: u16 = 1 << 11;

/// The version that is needed to extract an entry, and one with ZIP64 (§4.4.3).
const VERSION: u16 = 20;
const VERSION_ZIP64: u16 = 45;

/// The system that attributes are of: Unix (§4.4.2).
const MADE_BY_UNIX: u16 = 3 << 8;

/// A regular file that its owner may write and everybody read.
const ATTRIBUTES: u32 = 0o100_644 << 16;

/// The lengths of the parts that never change.
const LOCAL_BYTES: u64 = 30;
const CENTRAL_BYTES: u64 = 46;
const TIME_BYTES: u64 = 9;
const END_BYTES: u64 = 22;
const END_ZIP64_BYTES: u64 = 56 + 20;

/// The first and the last time that an entry's own field can hold: it has seven bits for the year.
const DOS_YEARS: (i16, i16) = (1980, 2107);

/// Returns the length of an entry's local head.
pub(super) fn local_bytes(entry: &Entry) -> u64 {
    let zip64 = if is_large(entry) { 20 } else { 0 };
    LOCAL_BYTES + entry.name.len() as u64 + time_bytes(entry.modified) + zip64
}

/// Returns the length of what follows an entry's bytes.
pub(super) const fn descriptor_bytes(entry: &Entry) -> u64 {
    match (entry.has_crc32_behind(), is_large(entry)) {
        (false, _) => 0,
        (true, false) => 16,
        (true, true) => 24,
    }
}

/// Returns the length of an entry's head in the directory.
pub(super) fn central_bytes(entry: &Entry) -> u64 {
    let zip64 = zip64_bytes(central_zip64(entry).iter().flatten().count());
    CENTRAL_BYTES + entry.name.len() as u64 + time_bytes(entry.modified) + zip64
}

/// Returns the length of the records at the end of the archive, whose directory stands here.
pub(super) const fn end_bytes(entries: usize, start: u64, end: u64) -> u64 {
    if ends_in_zip64(entries, start, end) {
        END_BYTES + END_ZIP64_BYTES
    } else {
        END_BYTES
    }
}

/// Writes an entry's local head (§4.3.7). Where its CRC-32 follows, the sizes stand here all the same: most readers need
/// them to find the end of bytes that are stored as they are.
pub(super) fn local(entry: &Entry, crc32: Option<Crc32>, into: &mut Vec<u8>) {
    into.extend_from_slice(b"PK\x03\x04");
    let is_large = is_large(entry);
    put16(into, if is_large { VERSION_ZIP64 } else { VERSION });
    put_common(entry, crc32, into);
    let size = field32(entry.size);
    put32(into, size);
    put32(into, size);
    put16(into, short(entry.name.len()));
    let extra = time_bytes(entry.modified) + if is_large { 20 } else { 0 };
    put16(into, short(extra));
    into.extend_from_slice(entry.name.as_bytes());
    put_time(entry.modified, into);
    if is_large {
        put_zip64(&[Some(entry.size), Some(entry.size)], into);
    }
}

/// Writes what follows an entry's bytes (§4.3.9), whose CRC-32 was taken on their way.
pub(super) fn descriptor(entry: &Entry, crc32: Crc32, into: &mut Vec<u8>) {
    into.extend_from_slice(b"PK\x07\x08");
    put32(into, crc32.get());
    for _ in 0..2 {
        match is_large(entry) {
            true => put64(into, entry.size),
            false => put32(into, field32(entry.size)),
        }
    }
}

/// Writes an entry's head in the directory (§4.3.12).
pub(super) fn central(entry: &Entry, crc32: Crc32, into: &mut Vec<u8>) {
    into.extend_from_slice(b"PK\x01\x02");
    let zip64 = central_zip64(entry);
    let count = zip64.iter().flatten().count();
    let version = if count > 0 { VERSION_ZIP64 } else { VERSION };
    put16(into, MADE_BY_UNIX | version);
    put16(into, version);
    put_common(entry, Some(crc32), into);
    let size = field32(entry.size);
    put32(into, size);
    put32(into, size);
    put16(into, short(entry.name.len()));
    put16(into, short(time_bytes(entry.modified) + zip64_bytes(count)));
    // No comment, the first disk, no internal attributes.
    for _ in 0..3 {
        put16(into, 0);
    }
    put32(into, ATTRIBUTES);
    put32(into, field32(entry.start));
    into.extend_from_slice(entry.name.as_bytes());
    put_time(entry.modified, into);
    if count > 0 {
        put_zip64(&zip64, into);
    }
}

/// Writes the records at the end of the archive (§4.3.14 to §4.3.16), whose directory of so many entries stands here.
pub(super) fn end(entries: usize, start: u64, end: u64, into: &mut Vec<u8>) {
    let (count, length) = (entries as u64, end - start);
    if ends_in_zip64(entries, start, end) {
        into.extend_from_slice(b"PK\x06\x06");
        // The length of what follows of this record.
        put64(into, 44);
        put16(into, MADE_BY_UNIX | VERSION_ZIP64);
        put16(into, VERSION_ZIP64);
        // This disk, and that of the directory.
        put32(into, 0);
        put32(into, 0);
        for number in [count, count, length, start] {
            put64(into, number);
        }
        into.extend_from_slice(b"PK\x06\x07");
        put32(into, 0);
        put64(into, end);
        put32(into, 1);
    }
    into.extend_from_slice(b"PK\x05\x06");
    put16(into, 0);
    put16(into, 0);
    let count = u16::try_from(count).unwrap_or(u16::MAX);
    put16(into, count);
    put16(into, count);
    put32(into, field32(length));
    put32(into, field32(start));
    put16(into, 0);
}

/// Returns whether the sizes of an entry need ZIP64. Readers refuse an archive that has it where nothing needs it.
const fn is_large(entry: &Entry) -> bool {
    entry.size >= ZIP64_FROM
}

/// Returns the numbers of an entry's head in the directory that its own fields cannot hold, in their order.
const fn central_zip64(entry: &Entry) -> [Option<u64>; 3] {
    let size = if is_large(entry) {
        Some(entry.size)
    } else {
        None
    };
    let start = if entry.start >= ZIP64_FROM {
        Some(entry.start)
    } else {
        None
    };
    [size, size, start]
}

const fn ends_in_zip64(entries: usize, start: u64, end: u64) -> bool {
    entries >= ZIP64_COUNT_FROM || start >= ZIP64_FROM || end - start >= ZIP64_FROM
}

const fn zip64_bytes(count: usize) -> u64 {
    match count {
        0 => 0,
        count => 4 + 8 * count as u64,
    }
}

/// Returns the length of the field that has the time in seconds: none has it whose time a signed number of 32 bits
/// does not hold.
const fn time_bytes(time: UnixSeconds) -> u64 {
    if time.get() <= i32::MAX as u64 {
        TIME_BYTES
    } else {
        0
    }
}

/// Writes the fields that both heads of an entry have: flags, method (stored), time and CRC-32.
fn put_common(entry: &Entry, crc32: Option<Crc32>, into: &mut Vec<u8>) {
    let follows = if entry.has_crc32_behind() {
        CRC_FOLLOWS
    } else {
        0
    };
    put16(into, UTF8 | follows);
    put16(into, 0);
    let (date, time) = dos_time(entry.modified);
    put16(into, time);
    put16(into, date);
    put32(into, crc32.map_or(0, Crc32::get));
}

/// Writes the time of the last change in UTC ("UT", Info-ZIP's extended timestamp): the field of the heads themselves is
/// read as local time.
fn put_time(time: UnixSeconds, into: &mut Vec<u8>) {
    if let (1.., Ok(seconds)) = (time_bytes(time), i32::try_from(time.get())) {
        into.extend_from_slice(b"UT\x05\x00\x01");
        into.extend_from_slice(&seconds.to_le_bytes());
    }
}

fn put_zip64(numbers: &[Option<u64>], into: &mut Vec<u8>) {
    put16(into, 1);
    put16(into, short(8 * numbers.iter().flatten().count() as u64));
    for number in numbers.iter().flatten() {
        put64(into, *number);
    }
}

/// Returns date and time as MS-DOS has them, in UTC, to two seconds. A time outside its years is the nearest that it has.
#[expect(clippy::expect_used, reason = "the bounds of years and fields fit")]
fn dos_time(time: UnixSeconds) -> (u16, u16) {
    let (first, last) = DOS_YEARS;
    let civil = i64::try_from(time.get())
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    let civil = civil.map(|at| at.to_zoned(TimeZone::UTC).datetime());
    let earliest = DateTime::constant(first, 1, 1, 0, 0, 0, 0);
    let latest = DateTime::constant(last, 12, 31, 23, 59, 58, 0);
    let civil = civil.map_or(latest, |civil| civil.clamp(earliest, latest));
    let field = |number: i8| u16::try_from(number).expect("a field of a date");
    let year = u16::try_from(civil.year() - first).expect("a year that it has");
    let date = (year << 9) | (field(civil.month()) << 5) | field(civil.day());
    let half_seconds = field(civil.second()) / 2;
    let time = (field(civil.hour()) << 11) | (field(civil.minute()) << 5) | half_seconds;
    (date, time)
}

/// Returns what stands in a field of 32 bits: the number, or that it stands elsewhere.
fn field32(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Returns a length that fits into 16 bits: names are bounded, and extra fields short.
#[expect(clippy::expect_used, reason = "`Layout::new` refuses longer names")]
fn short(length: impl TryInto<u16>) -> u16 {
    length.try_into().ok().expect("a length of 16 bits")
}

fn put16(into: &mut Vec<u8>, number: u16) {
    into.extend_from_slice(&number.to_le_bytes());
}

fn put32(into: &mut Vec<u8>, number: u32) {
    into.extend_from_slice(&number.to_le_bytes());
}

fn put64(into: &mut Vec<u8>, number: u64) {
    into.extend_from_slice(&number.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Info-ZIP's `zipinfo` says the same of an archive of these times.
    #[test]
    fn times_are_those_of_ms_dos() {
        let dos = |seconds| dos_time(UnixSeconds::new(seconds).unwrap());
        // 1980-01-01, also of what was before.
        assert_eq!(dos(0), (0x0021, 0));
        assert_eq!(dos(315_532_800), (0x0021, 0));
        // 2026-05-18 15:34:52 UTC
        assert_eq!(
            dos(1_779_118_492),
            ((46 << 9) | (5 << 5) | 18, (15 << 11) | (34 << 5) | 26)
        );
        // 2107-12-31 23:59:58, also of what is after.
        let last = ((127 << 9) | (12 << 5) | 31, (23 << 11) | (59 << 5) | 29);
        assert_eq!(dos(4_354_819_199), last);
        assert_eq!(dos(99_999_999_999), last);
    }
}
