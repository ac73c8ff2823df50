//! Whole archives, read by another reader, and their ranges.

use std::collections::HashMap;
use std::io::{Cursor, Read as _};

use proptest::prelude::*;

use super::*;

/// A file, and whether its CRC-32 is known.
#[derive(Clone, Debug)]
struct TestFile {
    path: String,
    bytes: Vec<u8>,
    is_known: bool,
    is_read_ahead: bool,
}

fn test_file(path: &str, bytes: &[u8]) -> TestFile {
    TestFile {
        path: path.into(),
        bytes: bytes.into(),
        is_known: true,
        is_read_ahead: false,
    }
}

fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds::new(seconds).unwrap()
}

fn member(of: &TestFile) -> Member<'_> {
    Member {
        path: &of.path,
        size: of.bytes.len() as u64,
        fingerprint: Sha256Digest::new(Sha256::digest(&of.bytes).into()),
        crc32: of.is_known.then(|| crc32(&of.bytes)),
        is_read_ahead: of.is_read_ahead,
        modified: at(1_779_118_492),
    }
}

fn crc32(bytes: &[u8]) -> Crc32 {
    Crc32::new(crc32fast::hash(bytes))
}

fn layout(files: &[TestFile]) -> Layout {
    let members: Vec<Member<'_>> = files.iter().map(member).collect();
    Layout::new(&members).unwrap()
}

/// The bytes of a range, made piece by piece, as an answer sends them.
fn bytes(layout: &Layout, files: &[TestFile], range: Range<u64>, most: usize) -> Vec<u8> {
    let mut sent = Vec::new();
    let mut learned = HashMap::new();
    let mut next = range.start;
    while next < range.end {
        let before = sent.len();
        if let Some(entry) = layout.reads_ahead_at(next) {
            learned.insert(entry, crc32(&files[entry].bytes));
        }
        match layout.file_at(next, range.end) {
            None => {
                let known = |entry: usize| learned.get(&entry).copied();
                let heads = layout.heads(next, range.end, most, known).unwrap();
                assert!((1..=most).contains(&heads.len()));
                sent.extend(heads);
            }
            Some((entry, part)) => {
                assert!(!part.is_empty());
                let [start, end] = [part.start, part.end].map(|at| usize::try_from(at).unwrap());
                sent.extend(&files[entry].bytes[start..end]);
                if layout.wants_crc32(entry) {
                    learned.insert(entry, crc32(&files[entry].bytes));
                }
            }
        }
        next += (sent.len() - before) as u64;
    }
    sent
}

fn whole(layout: &Layout, files: &[TestFile]) -> Vec<u8> {
    let sent = bytes(layout, files, 0..layout.length(), HEADS_AT_ONCE);
    assert_eq!(sent.len() as u64, layout.length());
    sent
}

fn read(archive: Vec<u8>) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut files = Vec::new();
    for number in 0..archive.len() {
        let mut entry = archive.by_index(number).unwrap();
        assert_eq!(entry.compression(), zip::CompressionMethod::Stored);
        assert!(entry.enclosed_name().is_some());
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.push((entry.name().unwrap().into_owned(), bytes));
    }
    files
}

#[test]
fn another_reader_reads_what_was_put_in() {
    let mut files = vec![
        test_file("a.txt", b"hello"),
        test_file("empty", b""),
        test_file("dir/\u{43e}\u{442}\u{447}\u{451}\u{442}.bin", &[7; 100_000]),
    ];
    files.push(TestFile {
        is_known: false,
        ..test_file("unknown", b"PK\x07\x08 and more")
    });
    files.push(TestFile {
        is_known: false,
        is_read_ahead: true,
        ..test_file("read ahead", b"of many bytes")
    });
    let wanted: Vec<(String, Vec<u8>)> = files
        .iter()
        .map(|file| (file.path.clone(), file.bytes.clone()))
        .collect();
    let layout = layout(&files);
    assert_eq!(layout.etag(), None);
    assert_eq!(read(whole(&layout, &files)), wanted);
    assert!(read(whole(&self::layout(&[]), &[])).is_empty());
}

#[test]
fn an_archive_needs_no_zip64_where_nothing_is_large() {
    let files: Vec<_> = (0..100)
        .map(|number| test_file(&format!("f{number}"), &[1; 10]))
        .collect();
    let archive = whole(&layout(&files), &files);
    let has = |signature: &[u8; 4]| archive.windows(4).any(|four| four == signature);
    assert!(has(b"PK\x05\x06") && !has(b"PK\x06\x06") && !has(b"PK\x06\x07"));
    assert!(!has(b"PK\x07\x08"), "no descriptors");
    // Version 2.0, and flag 11 alone, in the first head.
    assert_eq!(&archive[4..8], [20, 0, 0, 8]);
}

/// An archive whose files are not there: only its heads are looked at.
fn sizes(sizes: &[u64]) -> Layout {
    let file = test_file("f", b"");
    let members: Vec<Member<'_>> = sizes
        .iter()
        .map(|size| Member {
            size: *size,
            ..member(&file)
        })
        .collect();
    Layout::new(&members).unwrap()
}

fn heads(layout: &Layout, start: u64) -> Vec<u8> {
    let mut all = Vec::new();
    let mut next = start;
    while next < layout.length() {
        if let Some((_, part)) = layout.file_at(next, layout.length()) {
            next += part.end - part.start;
            continue;
        }
        let heads = layout.heads(next, layout.length(), HEADS_AT_ONCE, |_| None);
        let heads = heads.unwrap();
        next += heads.len() as u64;
        all.extend(heads);
    }
    all
}

#[test]
fn zip64_is_where_a_number_needs_it() {
    let count = |heads: &[u8], signature: &[u8]| {
        heads
            .windows(signature.len())
            .filter(|w| *w == signature)
            .count()
    };
    // Its sizes, its offset, and the end.
    let most = u64::from(u32::MAX) - 1;
    for (of, extras, ends) in [
        (vec![1, 1], 0, 0),
        (vec![most], 0, 1),
        (vec![most + 1], 2, 1),
        // The second one's offset.
        (vec![most, 1], 1, 1),
        (vec![most + 1, 1], 3, 1),
        (vec![1, most - 200], 0, 0),
        (vec![1, 1, most + 1], 2, 1),
    ] {
        let layout = sizes(&of);
        let heads = heads(&layout, 0);
        let extra = [&[1, 0, 8, 0][..], &[1, 0, 16, 0], &[1, 0, 24, 0]];
        let found: usize = extra.iter().map(|extra| count(&heads, extra)).sum();
        assert_eq!(found, extras, "{of:?}");
        assert_eq!(count(&heads, b"PK\x06\x06"), ends, "{of:?}");
        let is_as_long = layout.length() == of.iter().sum::<u64>() + heads.len() as u64;
        assert!(is_as_long, "{of:?}");
    }
}

#[test]
fn too_many_and_too_long_are_refused() {
    let one = test_file("a", b"");
    let error = |members: &[Member<'_>]| {
        Layout::new(members)
            .map(|layout| layout.length())
            .unwrap_err()
    };
    let members = vec![member(&one); ENTRIES_MAX + 1];
    assert_eq!(error(&members), ZipError::TooMany);
    assert!(Layout::new(&members[1..]).is_ok());
    let long = test_file(&"x".repeat(0x1_0000), b"");
    assert_eq!(error(&[member(&long)]), ZipError::NamesTooLong);
    let long = test_file(&"x".repeat(4_000), b"");
    assert_eq!(error(&vec![member(&long); 3_000]), ZipError::NamesTooLong);
    let large = Member {
        size: i64::MAX.cast_unsigned(),
        ..member(&one)
    };
    assert_eq!(error(&[large]), ZipError::TooLarge);
}

#[test]
fn the_entity_tag_changes_with_all_that_the_bytes_are_made_of() {
    let (a, b) = (test_file("a", b"a"), test_file("b", b"b"));
    let etag = |members: &[Member<'_>]| Layout::new(members).unwrap().etag().unwrap();
    let [one, other] = [member(&a), member(&b)];
    let later = Member {
        modified: at(1_779_118_493),
        ..one
    };
    let elsewhere = Member { path: "c", ..one };
    let of_others = Member {
        fingerprint: other.fingerprint,
        ..one
    };
    let tags = [
        etag(&[one, other]),
        etag(&[other, one]),
        etag(&[one]),
        etag(&[later, other]),
        etag(&[elsewhere, other]),
        etag(&[of_others, other]),
        etag(&[]),
    ];
    let different: std::collections::HashSet<_> = tags.iter().collect();
    assert_eq!(different.len(), tags.len());
    assert_eq!(etag(&[one, other]), tags[0]);
    assert!(
        tags.iter()
            .all(|tag| tag.starts_with("\"zip1-") && tag.len() == 71)
    );
}

#[test]
fn the_crc32_of_an_entry_that_was_not_read_is_not_made_up() {
    let files = [TestFile {
        is_known: false,
        ..test_file("a", b"a")
    }];
    let layout = layout(&files);
    let after = layout.length() - 10;
    assert!(
        layout.heads(after, layout.length(), 9, |_| None).is_ok(),
        "the end has none"
    );
    let descriptor = records::local_bytes(&layout.entries[0]) + 1;
    assert_eq!(
        layout.heads(descriptor, layout.length(), 9, |_| None),
        Err(UnknownCrc32(0))
    );
}

/// Found by the property below: no byte of such a file ever goes out.
#[test]
fn an_empty_file_has_a_crc32_that_everybody_knows() {
    let files = [TestFile {
        is_known: false,
        ..test_file("empty", b"")
    }];
    let layout = layout(&files);
    assert!(layout.etag().is_some() && !layout.wants_crc32(0));
    assert_eq!(read(whole(&layout, &files)).len(), 1);
}

#[test]
fn ten_thousand_files_need_little_memory_and_a_little_at_a_time() {
    let files: Vec<_> = (0..ENTRIES_MAX)
        .map(|number| test_file(&format!("f{number}"), b""))
        .collect();
    let layout = layout(&files);
    assert!(
        layout.memory_bytes() < 1024 * 1024,
        "{}",
        layout.memory_bytes()
    );
    assert_eq!(read(whole(&layout, &files)).len(), ENTRIES_MAX);
}

fn files() -> impl Strategy<Value = Vec<TestFile>> {
    let one = ("[a-c/.]{0,4}", prop::collection::vec(any::<u8>(), 0..40));
    prop::collection::vec(one, 0..12).prop_map(|files| {
        let made = files.into_iter().map(|(path, bytes)| TestFile {
            path,
            bytes,
            is_known: true,
            is_read_ahead: false,
        });
        made.collect()
    })
}

proptest! {
    #[test]
    fn any_range_is_a_slice_of_the_whole(
        files in files(),
        ends in any::<(prop::sample::Index, prop::sample::Index)>(),
        most in 1_usize..200,
    ) {
        let layout = layout(&files);
        let whole = whole(&layout, &files);
        let length = whole.len() + 1;
        let (one, other) = (ends.0.index(length), ends.1.index(length));
        let (start, end) = (one.min(other), one.max(other));
        let range = start as u64..end as u64;
        prop_assert_eq!(&bytes(&layout, &files, range, most), &whole[start..end]);
        prop_assert_eq!(read(whole).len(), files.len());
    }

    #[test]
    fn an_unknown_crc32_makes_no_archive_longer_than_was_said(
        files in files(),
        unknown in prop::collection::vec(any::<bool>(), 12),
    ) {
        let mut files = files;
        for (file, is_unknown) in files.iter_mut().zip(unknown) {
            file.is_known = !is_unknown;
        }
        let layout = layout(&files);
        let found: Vec<_> = read(whole(&layout, &files)).into_iter().map(|(_, bytes)| bytes).collect();
        let wanted: Vec<_> = files.into_iter().map(|file| file.bytes).collect();
        prop_assert_eq!(found, wanted);
    }
}
