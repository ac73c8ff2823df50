//! Reading from an open blob.

use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use bytes::Bytes;

use super::blocking::blocking;
use super::{Answer, Blob, BlobError};

const READING: &str = "reading a blob";
const CHECKING: &str = "looking at an open blob";

impl Blob {
    /// Length in bytes, as it was when the blob was opened.
    pub fn size(&self) -> u64 {
        match self {
            Self::File { size, .. } => *size,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Whether the bytes are still there, all of them: a file that was cut short or removed after it was
    /// opened is `Damaged`.
    pub fn check(&self) -> Answer<'static, ()> {
        let blob = self.clone();
        Box::pin(async move {
            let Self::File { file, size } = blob else {
                return Ok(());
            };
            blocking(CHECKING, move || {
                let found = file.metadata().map_err(|source| BlobError::Io {
                    doing: CHECKING,
                    source,
                })?;
                let (links, length) = (found.nlink(), found.len());
                if links > 0 && length == size {
                    return Ok(());
                }
                let what = format!("an open file of {size} bytes has {length} and {links} names");
                Err(BlobError::Damaged { what })
            })
            .await
        })
    }

    /// Exactly the `length` bytes from `offset` on, held in memory: ask for a part that may be.
    ///
    /// The part must lie inside the blob; one that does not is an `Io` error of the kind
    /// `InvalidInput`. A file that was cut short after it was opened is `Damaged`. There are never
    /// fewer bytes than asked for. Dropping the answer lets a read that has begun run to its end unseen.
    pub fn read_at(&self, offset: u64, length: usize) -> Answer<'static, Bytes> {
        let blob = self.clone();
        Box::pin(async move {
            check_inside(blob.size(), offset, length)?;
            match blob {
                Self::Memory(bytes) => {
                    // Inside the bytes, so it fits.
                    let start = usize::try_from(offset).unwrap_or(bytes.len());
                    Ok(bytes.slice(start..start + length))
                }
                Self::File { file, .. } => {
                    blocking(READING, move || {
                        let mut bytes = vec![0; length];
                        file.read_exact_at(&mut bytes, offset)
                            .map_err(|error| unread(error, offset, length))?;
                        Ok(bytes.into())
                    })
                    .await
                }
            }
        })
    }
}

fn check_inside(size: u64, offset: u64, length: usize) -> Result<(), BlobError> {
    let end = offset.checked_add(length as u64);
    if end.is_some_and(|end| end <= size) {
        return Ok(());
    }
    let asked = format!("asked for {length} bytes at {offset} of {size}");
    Err(BlobError::Io {
        doing: READING,
        source: io::Error::new(io::ErrorKind::InvalidInput, asked),
    })
}

fn unread(error: io::Error, offset: u64, length: usize) -> BlobError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        BlobError::Damaged {
            what: format!("an open file ended before byte {}", offset + length as u64),
        }
    } else {
        BlobError::Io {
            doing: READING,
            source: error,
        }
    }
}
