//! The kernel's page cache: which bytes of a file can be read without waiting for its disk.

use std::fs::File;
use std::io::IoSliceMut;

use rustix::fs::fstatfs;
use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// The file system that is memory, and does not say of a part that it is.
const TMPFS: u64 = 0x0102_1994;

/// Reads from `offset` on what is in memory, and returns the number of bytes. Never waits.
///
/// # Errors
/// `AGAIN` where the first of them is not in memory, `OPNOTSUPP` where the file system cannot tell (preadv2(2),
/// `RWF_NOWAIT`), and those of a read.
pub fn read_now(file: &File, bytes: &mut [u8], offset: u64) -> rustix::io::Result<usize> {
    preadv2(
        file,
        &mut [IoSliceMut::new(bytes)],
        offset,
        ReadWriteFlags::NOWAIT,
    )
}

/// Returns whether a byte can be read without waiting for a disk. Behind the end of the file nothing is waited for. False
/// where the file system cannot tell, but for one that is memory.
pub fn has_byte(file: &File, offset: u64) -> bool {
    match read_now(file, &mut [0], offset) {
        Ok(_) => true,
        Err(Errno::OPNOTSUPP) => {
            fstatfs(file).is_ok_and(|found| found.f_type.cast_unsigned() == TMPFS)
        }
        Err(_) => false,
    }
}
