//! Splitting a `multipart/form-data` body into its parts while it comes in (RFC 2046, §5.1; RFC 7578).
//!
//! What two readers could take for two different forms is refused: a name that stands twice in one head, a
//! folded line, a line that does not end in CR LF, text behind a boundary.

use bytes::{Buf as _, Bytes, BytesMut};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use memchr::{memchr, memmem, memrchr};

/// The most bytes of the rest of a boundary's line and the head behind it together.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The most lines in a part's head.
const HEAD_LINES_MAX: usize = 32;
const HEAD_END: &[u8] = b"\r\n\r\n";

/// A form of which some came in: bytes are pushed in at one end, and parts come out at the other, first a
/// head, then its bytes. It holds no more than a head, or what was last pushed and a boundary.
pub struct Splitter {
    held: Bytes,
    /// The bytes of an incomplete head that were searched for its end.
    searched: usize,
    /// The delimiter that ends a part's bytes: CR LF, two hyphens and the boundary.
    delimiter: Vec<u8>,
    in_bytes: bool,
}

/// The result of reading on behind a boundary.
#[derive(Debug, PartialEq, Eq)]
pub enum Head {
    /// Not all of it came in.
    Incomplete,
    /// The head of a part; its bytes are next.
    Part(HeaderMap),
    /// The form's end.
    End,
}

/// The result of reading on in a part's bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Nothing for now.
    Incomplete,
    /// Some, never none.
    Bytes(Bytes),
    /// The part has ended; a head is next.
    End,
}

/// The reason that a form cannot be read, in words of our own: nothing the client sent is in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(&'static str);

impl Splitter {
    /// A form with this boundary, of which nothing came in. It begins in what stands before the first
    /// boundary, which is read as a part's bytes are, and means nothing.
    pub fn new(boundary: &str) -> Self {
        Self {
            // The first boundary needs no line before it.
            held: Bytes::from_static(b"\r\n"),
            searched: 0,
            delimiter: [b"\r\n--", boundary.as_bytes()].concat(),
            in_bytes: true,
        }
    }

    /// Takes more of the form in. Nothing is copied but behind what is still held, which among a part's
    /// bytes is the beginning of a delimiter at most.
    pub fn push(&mut self, bytes: Bytes) {
        if self.held.is_empty() {
            self.held = bytes;
            return;
        }
        let held = std::mem::take(&mut self.held);
        let mut held = held
            .try_into_mut()
            .unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
        held.extend_from_slice(&bytes);
        self.held = held.freeze();
    }

    /// The next bytes of the part whose head was last.
    pub fn piece(&mut self) -> Piece {
        if !self.in_bytes {
            return Piece::End;
        }
        let found = memmem::find(&self.held, &self.delimiter);
        let free = found.unwrap_or_else(|| self.before_half_delimiter());
        if free > 0 {
            return Piece::Bytes(self.held.split_to(free));
        }
        if found.is_none() {
            return Piece::Incomplete;
        }
        self.held.advance(self.delimiter.len());
        self.in_bytes = false;
        self.searched = 0;
        Piece::End
    }

    /// Returns the head behind the boundary that ended the bytes before; `Incomplete` while these have not ended.
    pub fn head(&mut self) -> Result<Head, Unreadable> {
        if self.in_bytes {
            return Ok(Head::Incomplete);
        }
        if self.held.starts_with(b"--") {
            return Ok(Head::End);
        }
        let from = self.searched.saturating_sub(HEAD_END.len() - 1);
        let unsearched = self.held.get(from..).unwrap_or_default();
        let end = memmem::find(unsearched, HEAD_END).map(|end| from + end);
        if end.unwrap_or(self.held.len()) > HEAD_BYTES_MAX {
            return Err(Unreadable("a part's head is longer than 16384 bytes"));
        }
        let Some(end) = end else {
            self.searched = self.held.len();
            return Ok(Head::Incomplete);
        };
        let head = self.held.split_to(end);
        self.held.advance(HEAD_END.len());
        self.in_bytes = true;
        head_lines(&head).map(Head::Part)
    }

    /// Returns the number of held bytes before a possible beginning of a delimiter. A CR begins one and is nowhere
    /// else in it, so only the last one counts.
    fn before_half_delimiter(&self) -> usize {
        memrchr(b'\r', &self.held)
            .filter(|start| {
                let tail = self.held.get(*start..).unwrap_or_default();
                self.delimiter.starts_with(tail)
            })
            .unwrap_or(self.held.len())
    }
}

/// Reads what stands between a boundary and the empty line: the rest of the boundary's line, then the
/// head's lines.
fn head_lines(text: &[u8]) -> Result<HeaderMap, Unreadable> {
    const UNREADABLE: Unreadable = Unreadable("a part's head cannot be read");
    let (padding, mut rest) = line(text);
    if !padding.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
        return Err(Unreadable("text follows a boundary"));
    }
    let mut head = HeaderMap::new();
    while let Some(lines) = rest {
        let (text, after) = line(lines);
        let colon = memchr(b':', text).ok_or(UNREADABLE)?;
        let (name, value) = text.split_at(colon);
        let value = trimmed(value.get(1..).unwrap_or_default());
        let name = HeaderName::from_bytes(name).map_err(|_| UNREADABLE)?;
        let value = HeaderValue::from_bytes(value).map_err(|_| UNREADABLE)?;
        if head.insert(name, value).is_some() {
            return Err(Unreadable("a line is there twice in a part's head"));
        }
        if head.len() > HEAD_LINES_MAX {
            return Err(Unreadable("a part's head has more than 32 lines"));
        }
        rest = after;
    }
    Ok(head)
}

/// Without spaces and tabs around it; other white space has no place in a line, and is left to be refused.
fn trimmed(value: &[u8]) -> &[u8] {
    let plain = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = value.iter().position(plain).unwrap_or(value.len());
    let end = value.iter().rposition(plain).map_or(start, |last| last + 1);
    value.get(start..end).unwrap_or_default()
}

/// The first line, and the lines behind it if it is not the last.
fn line(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let end = memmem::find(text, b"\r\n");
    let Some((line, after)) = end.and_then(|end| text.split_at_checked(end)) else {
        return (text, None);
    };
    (line, after.get(2..))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDARY: &str = "b-b";

    /// Of each part its `x` line and its bytes.
    type Parts = Vec<(String, Vec<u8>)>;

    /// The parts of a form that comes in in such pieces; `None` if the form does not end.
    fn parts(chunks: impl Iterator<Item = Vec<u8>>) -> Result<Option<Parts>, Unreadable> {
        let mut splitter = Splitter::new(BOUNDARY);
        let mut parts: Parts = Vec::new();
        for chunk in chunks {
            splitter.push(chunk.into());
            loop {
                match splitter.piece() {
                    Piece::Incomplete => break,
                    Piece::Bytes(bytes) => {
                        assert!(!bytes.is_empty());
                        if let Some((_, all)) = parts.last_mut() {
                            all.extend_from_slice(&bytes);
                        }
                        continue;
                    }
                    Piece::End => {}
                }
                match splitter.head()? {
                    Head::Incomplete => break,
                    Head::End => return Ok(Some(parts)),
                    Head::Part(head) => {
                        let x = head.get("x").map_or("", |x| x.to_str().unwrap());
                        parts.push((x.to_owned(), Vec::new()));
                    }
                }
            }
        }
        Ok(None)
    }

    fn whole(form: &[u8]) -> Result<Option<Parts>, Unreadable> {
        let by_byte = parts(form.iter().map(|byte| vec![*byte]));
        assert_eq!(parts(std::iter::once(form.to_vec())), by_byte);
        by_byte
    }

    #[test]
    fn parts_are_what_stands_between_the_boundaries() {
        let part = |x: &str, bytes: &str| (x.to_owned(), bytes.as_bytes().to_vec());
        for (form, read) in [
            ("--b-b--", vec![]),
            ("--b-b\r\nx: 1\r\n\r\n\r\n--b-b--", vec![part("1", "")]),
            (
                "a\r\n--b-b \t\r\nX:1\r\nY: 2\r\n\r\na\r\n--b-b--z",
                vec![part("1", "a")],
            ),
            (
                "--b-b\r\n\r\n--b-b\r\n--b-\r\n--b-b--",
                vec![part("", "--b-b\r\n--b-")],
            ),
            ("x--b-b--\r\n--b-b--", vec![]),
            (
                "--b-b\r\nx: 1\r\n\r\n\r\r\n\r\n--b-b\r\nx:\r\n\r\n\r\n\r\n--b-b--",
                vec![part("1", "\r\r\n"), part("", "\r\n")],
            ),
        ] {
            assert_eq!(whole(form.as_bytes()), Ok(Some(read)), "{form:?}");
        }
    }

    #[test]
    fn forms_without_an_end_have_none() {
        let form = b"--b-b\r\nx: 1\r\n\r\n\r\n--b-b--";
        for end in 0..form.len() {
            assert_eq!(whole(&form[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn heads_that_could_be_read_in_two_ways_are_refused() {
        let many: String = (0..33).map(|i| format!("x{i}: 1\r\n")).collect();
        for head in [
            "x: 1\r\nX: 1\r\n",
            "x: 1\r\n y: 2\r\n",
            " x: 1\r\n",
            "x : 1\r\n",
            "x\r\n",
            ": 1\r\n",
            "x: 1\n\r\n",
            "x: 1\ny: 2\r\n",
            "x: 1\ry: 2\r\n",
            "x: \0\r\n",
            &many,
            &format!("x: {}\r\n", "1".repeat(HEAD_BYTES_MAX)),
        ] {
            assert!(
                whole(format!("--b-b\r\n{head}\r\n").as_bytes()).is_err(),
                "{head:?}"
            );
        }
        for form in ["--b-bx\r\n\r\n", "--b-b-\r\n\r\n", "--b-b\n\r\n\r\n"] {
            assert!(whole(form.as_bytes()).is_err(), "{form:?}");
        }
    }

    #[test]
    fn a_head_without_an_end_is_not_gathered() {
        let mut splitter = Splitter::new(BOUNDARY);
        splitter.push(Bytes::from_static(b"--b-b\r\nx: "));
        assert_eq!(splitter.piece(), Piece::End);
        let refused = (0..HEAD_BYTES_MAX).any(|_| {
            splitter.push(Bytes::from_static(b"1"));
            splitter.head().is_err()
        });
        assert!(refused);
    }

    /// Bytes that are often nearly a delimiter.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            &b"\r"[..],
            b"\n",
            b"-",
            b"b",
            b"\r\n--b-",
            b"\r\n",
            b"a",
        ]);
        prop::collection::vec(piece, 0..20)
            .prop_map(|pieces| pieces.concat())
            .prop_filter("no delimiter", |bytes| {
                memmem::find(&[bytes, &b"\r\n"[..]].concat(), b"\r\n--b-b").is_none()
            })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_however_it_comes_in(
            parts_written in prop::collection::vec(("[a-z]{0,5}", bytes()), 0..5),
            sizes in prop::collection::vec(1_usize..12, 1..20),
        ) {
            let mut form = Vec::new();
            for (x, bytes) in &parts_written {
                form.extend_from_slice(format!("--{BOUNDARY}\r\nx: {x}\r\n\r\n").as_bytes());
                form.extend_from_slice(bytes);
                form.extend_from_slice(b"\r\n");
            }
            form.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
            let mut sizes = sizes.iter().cycle();
            let mut rest = form.as_slice();
            let chunks = std::iter::from_fn(|| {
                let size = rest.len().min(*sizes.next()?);
                let (chunk, after) = rest.split_at(size);
                rest = after;
                (size > 0).then(|| chunk.to_vec())
            });
            prop_assert_eq!(parts(chunks), Ok(Some(parts_written)));
        }
    }
}
