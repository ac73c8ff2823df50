//! `Content-Disposition` values (RFC 6266, §4; RFC 8187, §3.2).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::name::FileName;

/// A way for a browser to present a file: show it or save it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Shown where the browser can.
    Inline,
    /// Saved under the file's name.
    Attachment,
}

/// The bytes that a `filename*` must escape: all but the `attr-char` of RFC 8187, §3.2.1.
const NOT_ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

impl Disposition {
    /// `inline` or `attachment`; nothing else, and lower case only.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "inline" => Some(Self::Inline),
            "attachment" => Some(Self::Attachment),
            _ => None,
        }
    }

    /// The word in the header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inline => "inline",
            Self::Attachment => "attachment",
        }
    }

    /// The header's value for a file of this name: printable ASCII on one line, whatever the name.
    /// `filename*` is there exactly when the ASCII fallback differs from the name.
    pub fn header(self, name: &FileName) -> String {
        let kind = self.as_str();
        let fallback = name.ascii_fallback();
        let mut header = [kind, "; filename=\"", &fallback, "\""].concat();
        if fallback != name.as_str() {
            header.push_str("; filename*=UTF-8''");
            header.extend(utf8_percent_encode(name.as_str(), NOT_ATTR_CHAR));
        }
        header
    }
}

/// Returns whether `text` may be a whole `Content-Disposition`: `inline` or `attachment`, alone or followed by `;` and
/// parameters in printable ASCII.  A signed claim is held to this before it reaches a header.
pub fn is_valid_header(text: &str) -> bool {
    let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
    Disposition::parse(kind.trim_end_matches(' ')).is_some()
        && parameters.bytes().all(|byte| matches!(byte, 0x20..=0x7e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str) -> String {
        Disposition::Inline.header(&FileName::from_client(name).unwrap())
    }

    #[test]
    fn plain_names_have_no_extended_parameter() {
        assert_eq!(header("report.png"), "inline; filename=\"report.png\"");
        assert_eq!(
            header("John's (1).pdf"),
            "inline; filename=\"John's (1).pdf\""
        );
    }

    #[test]
    fn other_names_have_both() {
        assert_eq!(
            header("отчёт \"x\".pdf"),
            "inline; filename=\"_____ _x_.pdf\"; \
             filename*=UTF-8''%D0%BE%D1%82%D1%87%D1%91%D1%82%20%22x%22.pdf"
        );
        assert_eq!(
            header("é's.pdf"),
            "inline; filename=\"_'s.pdf\"; filename*=UTF-8''%C3%A9%27s.pdf"
        );
    }

    #[test]
    fn claims_that_are_no_disposition_are_told_apart() {
        for good in [
            "inline",
            "attachment",
            "attachment; filename=\"a b.txt\"",
            "inline ; x=y",
        ] {
            assert!(is_valid_header(good), "{good}");
        }
        for bad in [
            "",
            "Inline",
            "form-data",
            "attachment; filename=\"é\"",
            "inline;\r\nX: y",
            "inlinex",
        ] {
            assert!(!is_valid_header(bad), "{bad}");
        }
    }
}
