//! Forms as a client writes them, byte by byte.

/// The boundary of every form made here.
pub(crate) const BOUNDARY: &str = "----hallpass-tests";

/// The header that goes with them.
pub(crate) const FORM: (&str, &str) = (
    "Content-Type",
    "multipart/form-data; boundary=----hallpass-tests",
);

/// A form under way.
#[derive(Default)]
pub(crate) struct Form(Vec<u8>);

impl Form {
    /// Adds a part with these head lines.
    pub(crate) fn part(mut self, head: &str, body: &[u8]) -> Self {
        self.0
            .extend_from_slice(format!("--{BOUNDARY}\r\n{head}\r\n\r\n").as_bytes());
        self.0.extend_from_slice(body);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    /// Adds a text field.
    pub(crate) fn text(self, name: &str, text: &str) -> Self {
        self.part(
            &format!("Content-Disposition: form-data; name=\"{name}\""),
            text.as_bytes(),
        )
    }

    /// Adds a file under the field `file`.
    pub(crate) fn file(self, name: &str, body: &[u8]) -> Self {
        self.part(
            &format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\""),
            body,
        )
    }

    /// The form without its closing line.
    pub(crate) fn open(self) -> Vec<u8> {
        self.0
    }

    /// The whole form.
    pub(crate) fn close(mut self) -> Vec<u8> {
        self.0
            .extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        self.0
    }
}
