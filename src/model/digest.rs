//! SHA-256 digests and CRC-32s of contents, and the hex that ids and digests are written in.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The SHA-256 of a file's bytes. A public value: it is the file's `ETag`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Digest([u8; 32]);

impl Sha256Digest {
    /// Wraps the 32 bytes of a finished hash.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hex digits.
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// Standard base64 with padding, as a structured field's byte sequence holds it (RFC 9530, §3).
    pub fn to_base64(self) -> String {
        BASE64_STANDARD.encode(self.0)
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// The CRC-32 of a file's bytes, as zip archives have it (polynomial 0xEDB88320, ISO/IEC 3309). It finds accidents, and
/// proves nothing against people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Crc32(u32);

impl Crc32 {
    /// Wraps the number of a finished check.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Lower-case hex of `bytes`.
#[expect(clippy::expect_used, reason = "hex digits are ASCII")]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = Vec::with_capacity(2 * bytes.len());
    write_hex(bytes, &mut text);
    String::from_utf8(text).expect("hex digits are ASCII")
}

/// Appends the lower-case hex of `bytes`.
pub fn write_hex(bytes: &[u8], text: &mut Vec<u8>) {
    let digit = |nibble: u8| match nibble {
        0..10 => b'0' + nibble,
        _ => b'a' + (nibble - 10),
    };
    text.extend(
        bytes
            .iter()
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]),
    );
}

/// The `N` bytes that exactly `2 × N` lower-case hex digits stand for.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_reads_back() {
        let bytes = [0x00, 0x0f, 0xf0, 0xff, 0x12];
        assert_eq!(hex(&bytes), "000ff0ff12");
        assert_eq!(unhex::<5>("000ff0ff12"), Some(bytes));
        for bad in [
            "",
            "000ff0ff1",
            "000FF0FF12",
            "000ff0ff1g",
            "000ff0ff1\u{e9}",
        ] {
            assert_eq!(unhex::<5>(bad), None, "{bad}");
        }
    }
}
