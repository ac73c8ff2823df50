//! Media types (RFC 9110, §8.3.1).

use std::fmt;
use std::path::Path;

use super::name::FileName;

/// The longest media type we store, in bytes.
pub const MEDIA_TYPE_BYTES_MAX: usize = 255;

const OCTET_STREAM: &str = "application/octet-stream";

/// A media type: `token/token`, with parameters perhaps, in printable ASCII. Kept verbatim, so it is held
/// to the grammar by the letter: what a browser could take for another type is none here.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MediaType(Box<str>);

/// The text is no media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a media type is token/token, at most {MEDIA_TYPE_BYTES_MAX} bytes")]
pub struct InvalidMediaType;

impl MediaType {
    /// Takes `token/token`, then any number of `;`, each with one `name=value` behind it or nothing, the
    /// value a token or in quotes. A comma is refused even in quotes: browsers split the header there, and
    /// the last type counts for them.
    pub fn parse(text: &str) -> Result<Self, InvalidMediaType> {
        let (essence, parameters) = text.split_at(text.find([' ', ';']).unwrap_or(text.len()));
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

    /// Takes `token/token` with nothing behind it, as a signed claim must be.
    pub fn parse_essence(text: &str) -> Result<Self, InvalidMediaType> {
        if is_essence(text) {
            Self::parse(text)
        } else {
            Err(InvalidMediaType)
        }
    }

    /// The type that the name's extension stands for; `application/octet-stream` where it stands for none.
    pub fn of_name(name: &FileName) -> Self {
        let guess = mime_guess::from_path(Path::new(name.as_str())).first_raw();
        let known = guess.and_then(|text| Self::parse(text).ok());
        known.unwrap_or_else(|| Self(OCTET_STREAM.into()))
    }

    /// An upload's type: what the uploader declared if that is a media type that says something,
    /// else what the name stands for.
    pub fn of_upload(declared: Option<&str>, name: &FileName) -> Self {
        declared
            .and_then(|text| Self::parse(text).ok())
            .filter(|declared| declared.essence() != OCTET_STREAM)
            .unwrap_or_else(|| Self::of_name(name))
    }

    /// The text, verbatim.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a browser only paints or plays this type and can run nothing of it: images but for
    /// SVG, audio, video, fonts and PDF. XML of any kind is a document, and can run.
    pub fn is_passive(&self) -> bool {
        let essence = self.essence();
        if essence.ends_with("+xml") {
            return false;
        }
        let kind = essence.split('/').next().unwrap_or_default();
        match kind {
            "image" => !essence.starts_with("image/svg"),
            "audio" | "video" | "font" => true,
            _ => essence == "application/pdf",
        }
    }

    fn essence(&self) -> String {
        self.0
            .split(';')
            .next()
            .unwrap_or_default()
            .trim_end()
            .to_ascii_lowercase()
    }
}

fn is_essence(text: &str) -> bool {
    text.split_once('/')
        .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

/// `*( OWS ";" OWS [ token "=" ( token / quoted-string ) ] )` of RFC 9110, §5.6.6, in printable ASCII.
fn are_parameters(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let Some(parameter) = rest.trim_start_matches(' ').strip_prefix(';') else {
            return false;
        };
        let parameter = parameter.trim_start_matches(' ');
        let (name, value) = parameter.split_at(token_length(parameter));
        rest = match value.strip_prefix('=') {
            None if name.is_empty() => value,
            Some(value) if !name.is_empty() => match after_value(value) {
                Some(after) => after,
                None => return false,
            },
            _ => return false,
        };
    }
    true
}

/// What follows the token or the quoted string that `text` begins with.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> FileName {
        FileName::from_client(text).unwrap()
    }

    #[test]
    fn types_are_tokens_and_keep_their_parameters() {
        for good in [
            "image/png",
            "text/plain; charset=utf-8",
            "application/vnd.a+json",
            "a/b;",
            "a/b ; x=y;; z=\"q; \\\" r\"; ",
        ] {
            assert_eq!(MediaType::parse(good).unwrap().as_str(), good);
        }
        let long = format!("a/{}", "b".repeat(MEDIA_TYPE_BYTES_MAX));
        for bad in [
            "",
            "text",
            "text/",
            "/plain",
            "a b/c",
            "text/plain\r\nX: y",
            "text/plain;\u{e9}",
            "a/b ",
            "a/b x=y",
            "a/b;x",
            "a/b;x=",
            "a/b;=y",
            "a/b;x =y",
            "a/b;x=y z",
            "a/b;x=y ",
            "a/b;x=\"y",
            "a/b;x=\"y\\\"",
            "a/b;x=\"y\"z",
            "a/b;\tx=y",
            "a/b;x=\"\u{7f}\"",
            &long,
        ] {
            assert!(MediaType::parse(bad).is_err(), "{bad:?}");
        }
        assert!(MediaType::parse_essence("text/plain; charset=utf-8").is_err());
    }

    #[test]
    fn a_second_type_behind_a_comma_is_refused() {
        for bad in [
            "image/png,text/html",
            "image/png, text/html",
            "image/png; ,text/html",
            "image/png;,text/html",
            "image/png; a=b,text/html",
            "image/png; a=\"b,text/html\"",
            "font/x;, image/svg+xml",
        ] {
            assert!(MediaType::parse(bad).is_err(), "{bad}");
            assert!(MediaType::parse_essence(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn uploads_fall_back_to_the_name() {
        let of = |declared, file| {
            MediaType::of_upload(declared, &name(file))
                .as_str()
                .to_owned()
        };
        assert_eq!(of(Some("image/webp"), "a.png"), "image/webp");
        assert_eq!(of(Some("application/octet-stream"), "a.png"), "image/png");
        assert_eq!(of(Some("nonsense"), "a.pdf"), "application/pdf");
        assert_eq!(of(None, "a.unknown-extension"), "application/octet-stream");
    }

    #[test]
    fn passive_types_cannot_run() {
        let passive = |text| MediaType::parse(text).unwrap().is_passive();
        for yes in [
            "image/png",
            "IMAGE/GIF",
            "audio/ogg",
            "video/mp4",
            "font/woff2",
            "application/pdf",
        ] {
            assert!(passive(yes), "{yes}");
        }
        for no in [
            "image/svg+xml",
            "Image/SVG+xml; x=y",
            "image/x+XML",
            "font/x+xml ; x=y",
            "text/html",
            "text/xml",
            "application/json",
            "text/plain",
        ] {
            assert!(!passive(no), "{no}");
        }
    }
}
