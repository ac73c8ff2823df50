//! The claims of a link: its words besides the file and the end. Each claim is signed as the text that it is, and
//! judged only once its MAC is known to be good. A link's kind is told by the claims that it may have.

use std::borrow::Cow;
use std::fmt;

use super::encoding;
use super::message::DOWNLOAD_LABEL;
use crate::model::disposition::{self, Disposition};
use crate::model::media::MediaType;
use crate::model::name::FileName;
use crate::model::network::Network;
use crate::model::time::UnixSeconds;

/// The longest value of a claim, decoded, in bytes.
pub const CLAIM_BYTES_MAX: usize = 2_048;

/// A kind of link, told by its claims: what is signed, and the route that opens it.
pub trait LinkKind: Sized {
    /// The names of its claims, in the order they are signed in.
    type Name: Copy + Ord;

    /// The first line of its message.
    const LABEL: &'static str;

    /// The segment of its path behind the file.
    const ROUTE: &'static str;

    /// The claim of this name, in exactly this spelling.
    fn parse_name(text: &str) -> Option<Self::Name>;

    /// The name of the query parameter.
    fn name(claim: Self::Name) -> &'static str;

    /// Reads the claims of a link whose MAC is good, sorted by name, each name once. `None` where they mean nothing.
    fn judge(texts: Vec<(Self::Name, Cow<'_, str>)>) -> Option<Self>;

    /// The claims that a link of any kind may have.
    fn plain(&self) -> &Claims;

    /// The claims that are there, as signed, sorted by name.
    fn signed_texts(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)>;
}

/// The claims there are, in the order of their names, which is the order they are signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClaimName {
    /// `ip`: who may use the link.
    Ip,
    /// `not-before`: from when on.
    NotBefore,
    /// `response-content-disposition`: the answer's `Content-Disposition`.
    ContentDisposition,
    /// `response-content-type`: the answer's `Content-Type`.
    ContentType,
}

impl ClaimName {
    /// All of them, ordered.
    pub const ALL: [Self; 4] = [
        Self::Ip,
        Self::NotBefore,
        Self::ContentDisposition,
        Self::ContentType,
    ];

    /// The name of the query parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::NotBefore => "not-before",
            Self::ContentDisposition => "response-content-disposition",
            Self::ContentType => "response-content-type",
        }
    }

    /// The claim of this name, in exactly this spelling.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|claim| claim.as_str() == name)
    }
}

impl fmt::Display for ClaimName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that may not stand in this claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is {}", expected(*name))]
pub struct InvalidClaim {
    /// The claim it was meant for.
    pub name: ClaimName,
}

fn expected(name: ClaimName) -> &'static str {
    match name {
        ClaimName::Ip => "an address, or a CIDR without host bits",
        ClaimName::NotBefore => "a Unix time of 1 to 11 digits",
        ClaimName::ContentDisposition => {
            "`inline` or `attachment`, perhaps with parameters in printable ASCII, at most 2,048 bytes"
        }
        ClaimName::ContentType => "token/token, perhaps with a charset, at most 255 bytes",
    }
}

/// Claims whose texts all mean something. The texts are kept as they are; nothing is normalised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Sorted by name, each name once.
    texts: Vec<(ClaimName, String)>,
    content_type: Option<MediaType>,
    not_before: Option<UnixSeconds>,
    ip: Option<Network>,
}

impl Claims {
    /// Returns a set of no claims.
    pub fn none() -> Self {
        Self::default()
    }

    /// Returns these claims and one more, in place of an earlier one of the same name. Refuses a text that the verifier
    /// would refuse.
    ///
    /// # Errors
    /// [`InvalidClaim`] if the verifier would refuse the text.
    pub fn with(mut self, name: ClaimName, text: impl Into<String>) -> Result<Self, InvalidClaim> {
        let text = text.into();
        let invalid = InvalidClaim { name };
        if !has_good_length(&text) {
            return Err(invalid);
        }
        match name {
            ClaimName::Ip => self.ip = Some(Network::parse(&text).ok_or(invalid)?),
            ClaimName::NotBefore => {
                self.not_before = Some(encoding::seconds(&text).ok_or(invalid)?);
            }
            ClaimName::ContentDisposition => {
                if !disposition::is_valid_header(&text) {
                    return Err(invalid);
                }
            }
            ClaimName::ContentType => {
                self.content_type = Some(MediaType::parse_claim(&text).map_err(|_| invalid)?);
            }
        }
        self.put(name, text);
        Ok(self)
    }

    /// Returns these claims and the disposition of a file that is saved or shown under this name, in place of an earlier
    /// one.
    ///
    /// # Errors
    /// [`InvalidClaim`] if the name makes it longer than a claim may be.
    pub fn with_disposition(
        mut self,
        disposition: Disposition,
        name: &FileName,
    ) -> Result<Self, InvalidClaim> {
        let (claim, text) = (ClaimName::ContentDisposition, disposition.header(name));
        debug_assert!(disposition::is_valid_header(&text), "{text}");
        if !has_good_length(&text) {
            return Err(InvalidClaim { name: claim });
        }
        self.put(claim, text);
        Ok(self)
    }

    fn put(&mut self, name: ClaimName, text: String) {
        self.texts.retain(|(other, _)| *other != name);
        self.texts.push((name, text));
        self.texts.sort_by_key(|(name, _)| *name);
    }

    /// The answer's `Content-Disposition`: printable ASCII on one line.
    pub fn content_disposition(&self) -> Option<&str> {
        let mut texts = self.texts();
        texts
            .find(|(name, _)| *name == ClaimName::ContentDisposition)
            .map(|(_, text)| text)
    }

    /// The answer's `Content-Type`.
    pub fn content_type(&self) -> Option<&MediaType> {
        self.content_type.as_ref()
    }

    /// Returns the time at which the link begins to be good.
    pub fn not_before(&self) -> Option<UnixSeconds> {
        self.not_before
    }

    /// Returns the network that may use the link.
    pub fn ip(&self) -> Option<Network> {
        self.ip
    }

    /// The claims that are there, as signed, sorted by name.
    pub fn texts(&self) -> impl Iterator<Item = (ClaimName, &str)> {
        self.texts.iter().map(|(name, text)| (*name, text.as_str()))
    }
}

impl LinkKind for Claims {
    type Name = ClaimName;

    const LABEL: &'static str = DOWNLOAD_LABEL;
    const ROUTE: &'static str = "download";

    fn parse_name(text: &str) -> Option<ClaimName> {
        ClaimName::parse(text)
    }

    fn name(claim: ClaimName) -> &'static str {
        claim.as_str()
    }

    fn judge(texts: Vec<(ClaimName, Cow<'_, str>)>) -> Option<Self> {
        let mut claims = Self::none();
        for (name, text) in texts {
            claims = claims.with(name, text).ok()?;
        }
        Some(claims)
    }

    fn plain(&self) -> &Claims {
        self
    }

    fn signed_texts(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        let texts = self.texts();
        texts.map(|(name, text)| (name.as_str(), Cow::Borrowed(text)))
    }
}

/// Returns whether a claim's text is 1 to 2,048 bytes long.
pub(super) fn has_good_length(text: &str) -> bool {
    (1..=CLAIM_BYTES_MAX).contains(&text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_read_back() {
        assert!(ClaimName::ALL.is_sorted());
        assert!(ClaimName::ALL.map(ClaimName::as_str).is_sorted());
        for name in ClaimName::ALL {
            assert_eq!(ClaimName::parse(name.as_str()), Some(name));
        }
        assert_eq!(ClaimName::parse("IP"), None);
    }

    #[test]
    fn claims_keep_their_text_and_their_meaning() {
        let claims = Claims::none()
            .with(ClaimName::ContentType, "Text/HTML; charset=UTF-8")
            .and_then(|claims| claims.with(ClaimName::Ip, "::FFFF:192.0.2.0/120"))
            .and_then(|claims| claims.with(ClaimName::NotBefore, "12"))
            .and_then(|claims| claims.with(ClaimName::NotBefore, "13"))
            .and_then(|claims| claims.with(ClaimName::ContentDisposition, "inline"))
            .unwrap();
        let texts: Vec<_> = claims.texts().map(|(_, text)| text).collect();
        assert_eq!(
            texts,
            [
                "::FFFF:192.0.2.0/120",
                "13",
                "inline",
                "Text/HTML; charset=UTF-8"
            ]
        );
        assert_eq!(claims.not_before(), UnixSeconds::new(13));
        assert_eq!(claims.ip(), Network::parse("192.0.2.0/24"));
        assert_eq!(
            claims.content_type().unwrap().as_str(),
            "Text/HTML; charset=UTF-8"
        );
        assert_eq!(claims.content_disposition(), Some("inline"));
    }

    #[test]
    fn texts_without_a_meaning_are_refused_by_name() {
        let long = format!("inline; x={}", "y".repeat(CLAIM_BYTES_MAX));
        let cases = [
            (ClaimName::Ip, "192.0.2.1/24"),
            (ClaimName::Ip, ""),
            (ClaimName::NotBefore, "+1"),
            (ClaimName::NotBefore, "01"),
            (ClaimName::ContentDisposition, "attachment; filename=\"é\""),
            (ClaimName::ContentDisposition, "inline\r\nX: y"),
            (ClaimName::ContentDisposition, &long),
            (ClaimName::ContentType, "text/html; x=y"),
            (ClaimName::ContentType, "text/html;"),
        ];
        for (name, text) in cases {
            let refused = Claims::none().with(name, text).unwrap_err();
            assert_eq!(refused, InvalidClaim { name }, "{text}");
            assert!(refused.to_string().contains(name.as_str()));
        }
    }
}
