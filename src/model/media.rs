//! Media types (RFC 9110, §8.3.1).

use std::borrow::Cow;
use std::fmt;

use super::name::FileName;

mod names;
#[cfg(test)]
mod tests;

/// The longest media type we store, in bytes.
pub const MEDIA_TYPE_BYTES_MAX: usize = 255;

const OCTET_STREAM: &str = "application/octet-stream";

/// Types that clients declare when they know none, beside those with a `*`.
const PLACEHOLDERS: [&str; 7] = [
    "application/download",
    "application/force-download",
    OCTET_STREAM,
    "application/octetstream",
    "application/x-unknown",
    "binary/octet-stream",
    "unknown/unknown",
];

/// JavaScript's types outside `text/` that browsers show as text.
const SCRIPTS: [&str; 3] = [
    "application/ecmascript",
    "application/javascript",
    "application/x-javascript",
];

/// A media type: `token/token`, with parameters perhaps, in printable ASCII. Kept verbatim, so it is held
/// to the grammar by the letter: a text that a browser could take for another type is refused.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MediaType(Box<str>);

/// The text is no media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a media type is token/token, at most {MEDIA_TYPE_BYTES_MAX} bytes")]
pub struct InvalidMediaType;

/// The text is no media type that a link may serve its file as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a link's type is token/token, perhaps with a charset, and no range such as image/*")]
pub struct InvalidLinkType;

impl MediaType {
    /// Takes `token/token`, then any number of `;`, each with one `name=value` behind it or nothing, the
    /// value a token or in quotes. A comma is refused even in quotes: browsers split the header there, and
    /// the last type counts for them.
    ///
    /// # Errors
    /// [`InvalidMediaType`] for any other text.
    pub fn parse(text: &str) -> Result<Self, InvalidMediaType> {
        let (essence, parameters) = split(text);
        let printable = text
            .bytes()
            .all(|byte| matches!(byte, 0x20..=0x7e) && byte != b',');
        let good = text.len() <= MEDIA_TYPE_BYTES_MAX
            && printable
            && is_essence(essence)
            && are_parameters(parameters);
        if good {
            Ok(Self(text.into()))
        } else {
            Err(InvalidMediaType)
        }
    }

    /// Takes `token/token`, with one `charset` perhaps, as a signed claim must be.
    ///
    /// # Errors
    /// [`InvalidMediaType`] for any other text.
    pub fn parse_claim(text: &str) -> Result<Self, InvalidMediaType> {
        let claim = Self::parse(text)?;
        let mut parameters = MediaParameters(claim.parameters());
        let first = parameters.next();
        let is_charset = first.is_none_or(|(name, _)| name.eq_ignore_ascii_case("charset"));
        // A `;` with nothing behind it says nothing, and is none of a claim's.
        let is_plain = first.is_some() || claim.parameters().is_empty();
        if is_charset && is_plain && parameters.next().is_none() {
            Ok(claim)
        } else {
            Err(InvalidMediaType)
        }
    }

    /// Takes what a caller asks a link to serve its file as: a claim that says something, so no `*`.
    ///
    /// # Errors
    /// [`InvalidLinkType`] for any other text.
    pub fn parse_asked(text: &str) -> Result<Self, InvalidLinkType> {
        let asked = Self::parse_claim(text).ok();
        asked
            .filter(|asked| !asked.has_wildcard())
            .ok_or(InvalidLinkType)
    }

    /// Returns an upload's type: the declared one, unless it is a placeholder, else the type that the
    /// name stands for. Where the name leaves it open, `begins_as_text` decides: whether the first bytes
    /// are text.
    pub fn of_file(declared: Option<Self>, name: &FileName, begins_as_text: bool) -> Self {
        declared
            .filter(|declared| !declared.is_placeholder())
            .unwrap_or_else(|| names::of_name(name, begins_as_text))
    }

    fn octet_stream() -> Self {
        Self(OCTET_STREAM.into())
    }

    /// Returns whether this is what clients declare when they do not know the type.
    pub fn is_placeholder(&self) -> bool {
        let essence = self.essence();
        // A multipart type means nothing without its boundary (RFC 2046, §5.1.1).
        let is_empty_multipart =
            essence.starts_with("multipart/") && self.parameter("boundary").is_none();
        self.has_wildcard() || is_empty_multipart || PLACEHOLDERS.contains(&essence.as_str())
    }

    /// Returns whether the type or the subtype is `*`, as in `image/*`: a range of types (RFC 9110, §12.5.1).
    fn has_wildcard(&self) -> bool {
        self.essence().split('/').any(|part| part == "*")
    }

    /// Returns the type for an answer whose bytes are all UTF-8 text: with `charset=utf-8` where browsers
    /// take the type for text and would else guess the charset from its first bytes or the reader's
    /// language. A declared charset stays; JSON and XML say themselves what they are written in.
    pub fn with_utf8(&self) -> Cow<'_, str> {
        let text = self.as_str();
        if !self.is_browser_text() || self.parameter("charset").is_some() {
            return text.into();
        }
        let text = text.trim_end_matches([' ', ';']);
        [text, "; charset=utf-8"].concat().into()
    }

    /// Returns whether browsers take this type for text without a charset of its own.
    #[expect(clippy::expect_used, reason = "a media type has a slash")]
    fn is_browser_text(&self) -> bool {
        let essence = self.essence();
        let (kind, subtype) = essence.split_once('/').expect("`kind/subtype`");
        let is_data = ["json", "xml"].iter().any(|data| {
            subtype == *data
                || subtype
                    .strip_suffix(data)
                    .is_some_and(|rest| rest.ends_with('+'))
        });
        SCRIPTS.contains(&essence.as_str()) || (kind == "text" && !is_data)
    }

    /// The text, verbatim.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether a browser only paints or plays this type and can run nothing of it: images but for SVG, audio,
    /// video, fonts and PDF. XML of any kind is a document, and can run; `image/*` is no type, and a browser may take
    /// its bytes for anything.
    #[expect(clippy::expect_used, reason = "a media type has a slash")]
    pub fn is_passive(&self) -> bool {
        let essence = self.essence();
        if essence.ends_with("+xml") || self.has_wildcard() {
            return false;
        }
        let kind = essence.split_once('/').map(|(kind, _)| kind);
        match kind.expect("`kind/subtype`") {
            "image" => !essence.starts_with("image/svg"),
            "audio" | "video" | "font" => true,
            _ => essence == "application/pdf",
        }
    }

    fn essence(&self) -> String {
        let (essence, _) = split(&self.0);
        essence.to_ascii_lowercase()
    }

    /// Everything behind the essence.
    fn parameters(&self) -> &str {
        split(&self.0).1
    }

    /// The value of the first parameter of this name, as it is written, in its quotes if it has some.
    fn parameter(&self, wanted: &str) -> Option<&str> {
        MediaParameters(self.parameters())
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value)
    }
}

/// The essence, and the parameters from their first space or `;` on.
fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find([' ', ';']).unwrap_or(text.len()))
}

fn is_essence(text: &str) -> bool {
    text.split_once('/')
        .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

/// Returns whether this is `*( OWS ";" OWS [ token "=" ( token / quoted-string ) ] )` of RFC 9110, §5.6.6, in
/// printable ASCII.
fn are_parameters(text: &str) -> bool {
    let mut parameters = MediaParameters(text);
    while parameters.next().is_some() {}
    parameters.0.is_empty()
}

/// An iterator over the names and values of parameters. It ends at what is no parameter, and then
/// holds the text from there on.
struct MediaParameters<'a>(&'a str);

impl<'a> Iterator for MediaParameters<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let parameter = self.0.trim_start_matches(' ').strip_prefix(';')?;
            let parameter = parameter.trim_start_matches(' ');
            let (name, value) = parameter.split_at(token_length(parameter));
            let Some(value) = value.strip_prefix('=') else {
                if !name.is_empty() {
                    return None;
                }
                self.0 = value;
                continue;
            };
            let after = after_value(value).filter(|_| !name.is_empty())?;
            let length = value.len() - after.len();
            self.0 = after;
            return Some((name, value.get(..length).unwrap_or_default()));
        }
    }
}

/// Returns the rest of `text` behind the token or the quoted string that it begins with.
fn after_value(text: &str) -> Option<&str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (token, after) = text.split_at(token_length(text));
        return (!token.is_empty()).then_some(after);
    };
    let mut escaped = false;
    let end = quoted.find(|character| {
        let closes = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        closes
    })?;
    quoted.get(end + 1..)
}

fn token_length(text: &str) -> usize {
    text.bytes().take_while(|byte| is_token_byte(*byte)).count()
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// `tchar` of RFC 9110, §5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}
