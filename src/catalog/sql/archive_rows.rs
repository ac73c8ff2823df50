//! Many rows as one text: the files of a share, and what an archive has of files. The drivers take longer to hand a row
//! over than the databases to find it, and a share has up to ten thousand.

use std::path::PathBuf;

use super::fault::Fault;
use super::rows::{self, Row};
use crate::model::archive_file::ArchiveFile;
use crate::model::digest::{Crc32, Sha256Digest, unhex};
use crate::model::file::InPlace;
use crate::model::id::FileId;
use crate::model::share::SharedFile;

/// Finds what an archive has of one file that is there.
pub(in crate::catalog) const ARCHIVE_FILE: &str = "SELECT size, updated_at, CASE WHEN link_revision > 0 AND link_epoch <> \
     (SELECT epoch FROM organization WHERE organization.id = file.organization) THEN 0 ELSE link_revision END \
     AS link_revision, expires_at, crc32, sha256, inode, modified_nanos, device, changed_nanos \
     FROM file WHERE organization = $1 AND id = $2 AND state = 'ready' AND damaged_at IS NULL";
/// The columns of [`ARCHIVE_FILE`].
pub(in crate::catalog) const ARCHIVE_FILE_COLUMNS: [&str; 10] = [
    "size",
    "updated_at",
    "link_revision",
    "expires_at",
    "crc32",
    "sha256",
    "inode",
    "modified_nanos",
    "device",
    "changed_nanos",
];

/// Reads a row of [`ARCHIVE_FILE`], of the file of this id.
pub(in crate::catalog) fn archive_file(row: Row<'_>, id: &FileId) -> Result<ArchiveFile, Fault> {
    let size = rows::number(row, "size")?;
    let fingerprint = rows::digest(row, "sha256")?;
    let place = match rows::optional(row, "inode", Some::<i64>)? {
        None => None,
        Some(inode) => Some(InPlace {
            path: PathBuf::new(),
            inode: inode.cast_unsigned(),
            modified_nanos: rows::value(row, "modified_nanos", Some::<i64>)?,
            device: rows::optional(row, "device", |of: i64| Some(of.cast_unsigned()))?,
            changed_nanos: rows::optional(row, "changed_nanos", Some::<i64>)?,
        }),
    };
    Ok(ArchiveFile {
        id: id.clone(),
        size,
        is_hashed: is_hashed(place.as_ref(), size, &fingerprint),
        fingerprint,
        crc32: rows::optional(row, "crc32", |stored: i64| {
            u32::try_from(stored).ok().map(Crc32::new)
        })?,
        updated_at: rows::time(row, "updated_at")?,
        expires_at: rows::optional(row, "expires_at", rows::unix_seconds)?,
        link_revision: rows::number(row, "link_revision")?,
    })
}

/// Reads files of an archive from the column `files`: words with a blank between them, and files with a comma. Nothing
/// where there is none.
pub(super) fn files(row: Row<'_>) -> Result<Vec<ArchiveFile>, Fault> {
    let files = rows::optional(row, "files", |text: &str| {
        text.split(',').map(file).collect::<Option<Vec<_>>>()
    })?;
    Ok(files.unwrap_or_default())
}

/// Reads `id size updated_at link_revision expires_at crc32 sha256`, and the identity of a file in place.
fn file(text: &str) -> Option<ArchiveFile> {
    let mut words = text.split(' ');
    let number = |word: &str| word.parse::<i64>().ok();
    let id = FileId::parse(words.next()?).ok()?;
    let size = u64::try_from(number(words.next()?)?).ok()?;
    let updated_at = rows::unix_seconds(number(words.next()?)?)?;
    let link_revision = u64::try_from(number(words.next()?)?).ok()?;
    let expires_at = match words.next()? {
        "-" => None,
        word => Some(rows::unix_seconds(number(word)?)?),
    };
    let crc32 = match words.next()? {
        "-" => None,
        word => Some(Crc32::new(word.parse().ok()?)),
    };
    let fingerprint = Sha256Digest::new(bytes(words.next()?)?);
    let place = match words.next() {
        None => None,
        Some(inode) => Some(in_place(inode, &mut words)?),
    };
    Some(ArchiveFile {
        id,
        size,
        is_hashed: is_hashed(place.as_ref(), size, &fingerprint),
        fingerprint,
        crc32,
        updated_at,
        expires_at,
        link_revision,
    })
}

/// Returns whether the fingerprint is a digest of the file's bytes, and not of its identity in place, as `rows::file` tells
/// it.
fn is_hashed(place: Option<&InPlace>, size: u64, fingerprint: &Sha256Digest) -> bool {
    place.is_none_or(|place| place.fingerprint(size) != *fingerprint)
}

/// Reads the identity of a file in place, without its path.
fn in_place<'a>(inode: &str, words: &mut impl Iterator<Item = &'a str>) -> Option<InPlace> {
    let known = |word: &str| match word {
        "-" => Some(None),
        word => word.parse::<i64>().ok().map(Some),
    };
    Some(InPlace {
        path: PathBuf::new(),
        inode: inode.parse::<i64>().ok()?.cast_unsigned(),
        modified_nanos: words.next()?.parse().ok()?,
        device: known(words.next()?)?.map(i64::cast_unsigned),
        changed_nanos: known(words.next()?)?,
    })
}

/// Reads hex digits in either case.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    unhex(&text.to_ascii_lowercase())
}

/// Reads the files of a share from the column `files`, in the order of their positions: `position file link_revision`, the
/// bytes that the path has and the path, with a blank between them. Nothing where there is none.
pub(super) fn shared_files(row: Row<'_>) -> Result<Vec<SharedFile>, Fault> {
    let files = rows::optional(row, "files", |text: &str| {
        let (mut files, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let (file, after) = shared_file(rest)?;
            files.push(file);
            rest = after.strip_prefix(' ').unwrap_or(after);
        }
        files.sort_by_key(|file| file.position);
        Some(files)
    })?;
    Ok(files.unwrap_or_default())
}

/// Reads one, and returns what follows.
fn shared_file(text: &str) -> Option<(SharedFile, &str)> {
    let (position, rest) = text.split_once(' ')?;
    let (file, rest) = rest.split_once(' ')?;
    let (link_revision, rest) = rest.split_once(' ')?;
    let (bytes, rest) = rest.split_once(' ')?;
    let (path, after) = rest.split_at_checked(bytes.parse().ok()?)?;
    let file = SharedFile {
        path: path.to_owned(),
        file: FileId::parse(file).ok()?,
        link_revision: link_revision.parse().ok()?,
        position: position.parse().ok()?,
    };
    Some((file, after))
}
