//! Detection of UTF-8 text while a file's bytes come in.

use memchr::memchr2;

/// The number of first bytes that tell text from binary data where a file's name does not (MIME Sniffing Standard,
/// §5.2, reads more; these are enough to tell a program's source from a video).
pub const HEAD_BYTES: usize = 512;

const NUL: u8 = 0;
/// Begins the escape sequences of ISO-2022-JP and its kin, whose bytes are all valid UTF-8.
const ESC: u8 = 0x1b;

/// A detector of text that reads a file's bytes once, in order, in pieces of any length.
#[derive(Clone, Debug)]
pub struct TextDetector {
    all: Utf8,
    head: Utf8,
    /// The number of first bytes that are still to come.
    head_left: usize,
    /// True if there are bytes behind the first ones.
    is_longer: bool,
}

/// A detector's findings on a file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DetectedText {
    /// True if all bytes are valid UTF-8 without NUL and without ESC. No bytes at all are.
    pub is_utf8: bool,
    /// True if the first [`HEAD_BYTES`] bytes are UTF-8 text: valid, with no control character that text
    /// does not have ("binary data bytes" of the MIME Sniffing Standard, §3, and ESC). A character that
    /// the last of these bytes cuts is valid.
    pub begins_as_text: bool,
}

impl Default for TextDetector {
    fn default() -> Self {
        Self {
            all: Utf8::default(),
            head: Utf8::default(),
            head_left: HEAD_BYTES,
            is_longer: false,
        }
    }
}

impl TextDetector {
    /// Reads the next bytes. Once they are no text, the rest costs nothing.
    pub fn update(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(self.head_left.min(bytes.len()));
        self.head_left -= head.len();
        self.is_longer |= !rest.is_empty();
        if head.iter().any(|byte| is_binary(*byte)) {
            self.head.is_valid = false;
        }
        self.head.update(head);
        if self.all.is_valid && memchr2(NUL, ESC, bytes).is_some() {
            self.all.is_valid = false;
        }
        self.all.update(bytes);
    }

    /// Returns whether the bytes so far may still be UTF-8 text. `false` is final.
    pub const fn may_be_utf8(&self) -> bool {
        self.all.is_valid
    }

    /// Returns the findings, once all bytes were read.
    pub const fn finish(&self) -> DetectedText {
        DetectedText {
            is_utf8: self.all.is_valid && self.all.cut_length == 0,
            begins_as_text: self.head.is_valid && (self.head.cut_length == 0 || self.is_longer),
        }
    }
}

/// A validator of UTF-8 in pieces.
#[derive(Clone, Debug)]
struct Utf8 {
    is_valid: bool,
    /// The first bytes of a character that the last piece cut.
    cut: [u8; 4],
    cut_length: usize,
}

impl Default for Utf8 {
    fn default() -> Self {
        Self {
            is_valid: true,
            cut: [0; 4],
            cut_length: 0,
        }
    }
}

impl Utf8 {
    #[expect(
        clippy::expect_used,
        reason = "bytes are valid up to a place among them"
    )]
    fn update(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while self.is_valid && self.cut_length > 0 {
            let Some((first, after)) = rest.split_first() else {
                return;
            };
            rest = after;
            self.complete(*first);
        }
        if !self.is_valid {
            return;
        }
        if let Err(error) = str::from_utf8(rest) {
            let cut = rest.get(error.valid_up_to()..).expect("a place in them");
            match (error.error_len(), self.cut.get_mut(..cut.len())) {
                (None, Some(kept)) => {
                    kept.copy_from_slice(cut);
                    self.cut_length = cut.len();
                }
                _ => self.is_valid = false,
            }
        }
    }

    /// Adds one byte to the character that was cut.
    #[expect(
        clippy::expect_used,
        reason = "three bytes of a character that still lacks one are the most that are cut"
    )]
    fn complete(&mut self, byte: u8) {
        let next = self.cut.get_mut(self.cut_length);
        *next.expect("the cut character lacks a byte") = byte;
        self.cut_length += 1;
        let so_far = self.cut.get(..self.cut_length);
        let so_far = so_far.expect("four bytes at most");
        match str::from_utf8(so_far) {
            Ok(_) => self.cut_length = 0,
            Err(error) => self.is_valid = error.error_len().is_none(),
        }
    }
}

/// Returns whether text has no such byte: "binary data byte" of the MIME Sniffing Standard, §3, or ESC.
const fn is_binary(byte: u8) -> bool {
    matches!(byte, 0..=0x08 | 0x0b | 0x0e..=0x1f)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(pieces: &[&[u8]]) -> DetectedText {
        let mut detector = TextDetector::default();
        for piece in pieces {
            detector.update(piece);
        }
        detector.finish()
    }

    /// Judges all bytes at once by the standard library.
    fn expected(bytes: &[u8]) -> bool {
        str::from_utf8(bytes).is_ok_and(|text| !text.contains(['\0', '\u{1b}']))
    }

    #[test]
    fn text_is_valid_utf_8_without_nul_and_escape() {
        for (bytes, is_utf8, begins_as_text) in [
            (&b""[..], true, true),
            (b"hello\r\n\tworld\x0c", true, true),
            ("Grüße, 表 😀 \u{feff}".as_bytes(), true, true),
            (b"a\0b", false, false),
            (b"\x1b$B%F%9%H\x1b(B", false, false),
            (b"a\x01b", true, false),
            (b"Gr\xfc\xdfe", false, false),
            (b"\xff\xfea\0", false, false),
            (b"\x83e\x83X\x83g", false, false),
            (b"\xe8\xa1", false, false),
            (b"\xed\xa0\x80", false, false),
            (b"\xc0\xaf", false, false),
            (b"\xf4\x90\x80\x80", false, false),
            (b"GIF89a\x01\0", false, false),
            (b"\x47\x40\0\x10\xff\xff", false, false),
        ] {
            let found = of(&[bytes]);
            let wanted = DetectedText {
                is_utf8,
                begins_as_text,
            };
            assert_eq!(found, wanted, "{bytes:?}");
            let by_byte: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(of(&by_byte), wanted, "{bytes:?}");
        }
    }

    #[test]
    fn the_first_bytes_may_cut_a_character_and_say_nothing_of_the_rest() {
        let cut = [&[b'a'; HEAD_BYTES - 1][..], "表".as_bytes()].concat();
        assert!(of(&[&cut]).is_utf8 && of(&[&cut]).begins_as_text);
        let ended = &cut[..HEAD_BYTES];
        assert!(!of(&[ended]).is_utf8 && !of(&[ended]).begins_as_text);
        let later = [&[b'a'; HEAD_BYTES][..], b"\0\xff"].concat();
        assert!(!of(&[&later]).is_utf8 && of(&[&later]).begins_as_text);
    }

    /// Bytes that are often text, and often nearly.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            8 => any::<char>().prop_map(|char| char.to_string().into_bytes()),
            4 => "[a-z \r\n]{1,300}".prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 1..3),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn pieces_of_any_length_are_judged_as_the_whole(
            bytes in bytes(),
            sizes in prop::collection::vec(1_usize..9, 1..20),
        ) {
            let mut sizes = sizes.iter().cycle();
            let mut rest = bytes.as_slice();
            let mut detector = TextDetector::default();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                detector.update(piece);
                rest = after;
            }
            prop_assert_eq!(detector.finish().is_utf8, expected(&bytes));
            prop_assert!(detector.may_be_utf8() || !expected(&bytes));
            prop_assert_eq!(detector.finish(), of(&[&bytes]));
        }
    }
}
