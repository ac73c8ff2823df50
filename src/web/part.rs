//! The head of a multipart part (RFC 7578, §4.2; RFC 8187 for `filename*`).

use hyper::HeaderMap;
use hyper::header::CONTENT_DISPOSITION;
use percent_encoding::percent_decode_str;

/// A part's `Content-Disposition: form-data`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartHead {
    /// The field's name.
    pub name: Option<String>,
    /// The file's name: `filename*` where it can be decoded, else `filename`.
    pub filename: Option<String>,
}

/// The reason that a part's head cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a part's Content-Disposition cannot be read: {0}")]
pub struct UnreadableHead(&'static str);

impl PartHead {
    /// Reads the head. Text is UTF-8; `\"` and `\\` in a quoted text are `"` and `\`, and `%22`, `%0D` and
    /// `%0A` are what browsers write for `"`, CR and LF. Other backslashes stand for themselves, since
    /// some clients send whole Windows paths.
    pub fn read(headers: &HeaderMap) -> Result<Self, UnreadableHead> {
        let line = headers
            .get(CONTENT_DISPOSITION)
            .ok_or(UnreadableHead("there is none"))?;
        let line =
            str::from_utf8(line.as_bytes()).map_err(|_| UnreadableHead("it is not UTF-8"))?;
        let (kind, mut rest) = line.split_once(';').unwrap_or((line, ""));
        if !kind.trim().eq_ignore_ascii_case("form-data") {
            return Err(UnreadableHead("it is not form-data"));
        }
        let mut head = Self::default();
        let mut extended: Option<Option<String>> = None;
        while !rest.trim().is_empty() {
            let (name, value, after) = parameter(rest)?;
            let is_again = match name.to_ascii_lowercase().as_str() {
                "name" => head.name.replace(value).is_some(),
                "filename" => head.filename.replace(value).is_some(),
                "filename*" => extended.replace(extended_text(&value)).is_some(),
                _ => false,
            };
            if is_again {
                return Err(UnreadableHead("a parameter is there twice"));
            }
            rest = after;
        }
        head.filename = extended.flatten().or(head.filename);
        Ok(head)
    }
}

/// The `boundary` among a content type's parameters, which stand behind its first `;`.
pub fn boundary(parameters: &str) -> Result<Option<String>, UnreadableHead> {
    let (mut rest, mut boundary) = (parameters, None);
    while !rest.trim().is_empty() {
        let (name, value, after) = parameter(rest)?;
        if name.eq_ignore_ascii_case("boundary") && boundary.replace(value).is_some() {
            return Err(UnreadableHead("a parameter is there twice"));
        }
        rest = after;
    }
    Ok(boundary)
}

/// The next `name=value`, and what follows its `;`.
fn parameter(text: &str) -> Result<(&str, String, &str), UnreadableHead> {
    let (name, value) = text
        .split_once('=')
        .ok_or(UnreadableHead("a parameter has no value"))?;
    let value = value.trim_start();
    let (value, after) = match value.strip_prefix('"') {
        Some(quoted) => quoted_text(quoted)?,
        None => {
            let end = value.find(';').unwrap_or(value.len());
            let (plain, after) = value.split_at(end);
            (plain.trim().to_owned(), after)
        }
    };
    let after = after.trim_start();
    match after.strip_prefix(';') {
        Some(after) => Ok((name.trim(), value, after)),
        None if after.is_empty() => Ok((name.trim(), value, after)),
        None => Err(UnreadableHead("text follows a quoted value")),
    }
}

/// A quoted text without its opening quote, and what follows the closing one.
fn quoted_text(text: &str) -> Result<(String, &str), UnreadableHead> {
    let mut value = String::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        let is_escape = next == '\\' && rest.as_str().starts_with(['"', '\\']);
        match next {
            '"' => return Ok((unescape_form(&value), rest.as_str())),
            _ if is_escape => value.extend(rest.next()),
            plain => value.push(plain),
        }
    }
    Err(UnreadableHead("a quote is not closed"))
}

fn unescape_form(text: &str) -> String {
    text.replace("%22", "\"")
        .replace("%0D", "\r")
        .replace("%0A", "\n")
}

/// Decodes `charset'language'percent-encoded` (RFC 8187, §3.2). `None` where it is not that, and where the
/// charset is none of the two that the RFC ever named, UTF-8 and ISO-8859-1.
fn extended_text(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let (charset, encoded) = (parts.next()?, parts.nth(1)?);
    let bytes: Vec<u8> = percent_decode_str(encoded).collect();
    // A `%` that begins no escape is left as it is, and then this is no encoding.
    let is_whole = encoded.matches('%').count() * 2 + bytes.len() == encoded.len();
    if !is_whole {
        return None;
    }
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" => String::from_utf8(bytes).ok(),
        "iso-8859-1" => Some(bytes.into_iter().map(char::from).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn filename(parameters: &str) -> Result<Option<String>, UnreadableHead> {
        let line = format!("form-data; name=\"file\"{parameters}");
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_DISPOSITION,
            HeaderValue::from_bytes(line.as_bytes()).unwrap(),
        );
        PartHead::read(&headers).map(|head| head.filename)
    }

    #[test]
    fn names_are_read_as_clients_write_them() {
        let cases = [
            ("", None),
            ("; filename=\"a.txt\"", Some("a.txt")),
            ("; filename=a.txt", Some("a.txt")),
            ("; FileName=\"a;b=c.txt\"", Some("a;b=c.txt")),
            ("; filename=\"отчёт.pdf\"", Some("отчёт.pdf")),
            (r#"; filename="a\"b.txt""#, Some("a\"b.txt")),
            (r#"; filename="C:\dir\x.txt""#, Some(r"C:\dir\x.txt")),
            ("; filename=\"a%22b%0D%0A.txt\"", Some("a\"b\r\n.txt")),
            ("; filename=\"a%00.png\"", Some("a%00.png")),
            (
                "; filename=\"x\"; filename*=utf-8''%D0%B6.txt",
                Some("ж.txt"),
            ),
            ("; filename*=UTF-8'en'a%27b; filename=x", Some("a'b")),
            ("; filename=\"\"", Some("")),
            ("; filename*=ISO-8859-1''Gr%FC%DFe.txt", Some("Grüße.txt")),
            ("; filename*=utf-8''a%25b", Some("a%b")),
            ("; filename*=utf-8''%ff; filename=x", Some("x")),
            ("; filename=x; filename*=utf-8''%4", Some("x")),
            ("; filename=x; filename*=utf-8''100%.txt", Some("x")),
            ("; filename=x; filename*=windows-1252''a", Some("x")),
            ("; filename=x; filename*=us-ascii''a", Some("x")),
            ("; filename=x; filename*=''a", Some("x")),
            ("; filename=x; filename*=a", Some("x")),
            ("; filename*=utf-8''%ff", None),
        ];
        for (parameters, name) in cases {
            assert_eq!(
                filename(parameters).unwrap().as_deref(),
                name,
                "{parameters}"
            );
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for bad in [
            "; filename=\"open",
            "; filename=\"a\"b",
            "; filename",
            "; filename=a; filename=b",
            "; name=again",
            "; filename*=utf-8''a; filename*=utf-8''a",
            "; filename*=utf-8''%ff; filename*=utf-8''a",
        ] {
            assert!(filename(bad).is_err(), "{bad}");
        }
    }
}
