//! The claims of a counted link: those of any link, and what is counted.

use std::borrow::Cow;
use std::fmt;

use super::claims::{ClaimName, Claims, LinkKind};
use super::encoding::percent_decode;
use super::message::{COUNTED_LABEL, claim_lines};
use crate::model::base62;

/// The most downloads that a link may allow.
pub const DOWNLOADS_MAX: u32 = 1_000_000;

/// The claims of a counted link, in the order of their names, which is the order they are signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CountedClaimName {
    /// `ip`: as of any link.
    Ip,
    /// `max-downloads`: how often it starts a download.
    MaxDownloads,
    /// `nonce`: tells it from other links of the same file, claims and end.
    Nonce,
    /// `not-before`: as of any link.
    NotBefore,
    /// `redeem`: the method that starts a download.
    Redeem,
    /// `response-content-disposition`: as of any link.
    ContentDisposition,
    /// `response-content-type`: as of any link.
    ContentType,
}

impl CountedClaimName {
    /// All of them, ordered.
    pub const ALL: [Self; 7] = [
        Self::Ip,
        Self::MaxDownloads,
        Self::Nonce,
        Self::NotBefore,
        Self::Redeem,
        Self::ContentDisposition,
        Self::ContentType,
    ];

    /// The name of the query parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ip => ClaimName::Ip.as_str(),
            Self::MaxDownloads => "max-downloads",
            Self::Nonce => "nonce",
            Self::NotBefore => ClaimName::NotBefore.as_str(),
            Self::Redeem => "redeem",
            Self::ContentDisposition => ClaimName::ContentDisposition.as_str(),
            Self::ContentType => ClaimName::ContentType.as_str(),
        }
    }

    /// The claim of this name, in exactly this spelling.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|claim| claim.as_str() == name)
    }
}

/// How many downloads a link allows: 1 to [`DOWNLOADS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxDownloads(u32);

impl MaxDownloads {
    /// One download.
    pub const ONE: Self = Self(1);

    /// Reads decimal digits without a leading zero.
    pub fn parse(text: &str) -> Option<Self> {
        let is_canonical = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = is_canonical.then(|| text.parse().ok())??;
        (1..=DOWNLOADS_MAX)
            .contains(&number)
            .then_some(Self(number))
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for MaxDownloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The method of the request that starts a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedeemMethod {
    /// `get`: for machines alone. Programs that look at links for people send it, too.
    Get,
    /// `post`: a person's click. It is so where a link does not say.
    Post,
}

impl RedeemMethod {
    /// `get` or `post`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
        }
    }

    /// Reads the word back, in exactly this spelling.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [Self::Get, Self::Post];
        all.into_iter().find(|method| method.as_str() == word)
    }
}

/// Tells a counted link from others that are the same besides, which would be one link and share one allowance: 22
/// letters and digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// Takes 32 random bytes.
    pub fn from_random(random: [u8; 32]) -> Self {
        Self(base62::drawn(random))
    }

    /// Takes 22 letters and digits.
    pub fn parse(text: &str) -> Option<Self> {
        base62::is_drawn(text).then(|| Self(text.to_owned()))
    }

    /// The 22 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The claims of a counted link, all of which mean something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedClaims {
    plain: Claims,
    max_downloads: MaxDownloads,
    nonce: Option<Nonce>,
    redeem: Option<RedeemMethod>,
}

impl CountedClaims {
    /// Returns the claims of a fresh link. That a POST starts a download is not said.
    pub fn new(
        plain: Claims,
        max_downloads: MaxDownloads,
        redeem: RedeemMethod,
        nonce: Nonce,
    ) -> Self {
        Self {
            plain,
            max_downloads,
            nonce: Some(nonce),
            redeem: Some(redeem).filter(|method| *method == RedeemMethod::Get),
        }
    }

    /// How many downloads the link allows.
    pub const fn max_downloads(&self) -> MaxDownloads {
        self.max_downloads
    }

    /// The method that starts a download.
    pub fn redeem(&self) -> RedeemMethod {
        self.redeem.unwrap_or(RedeemMethod::Post)
    }

    /// Returns the claims in one text, with which the started downloads are kept: the lines of the signed message.
    pub fn to_text(&self) -> String {
        claim_lines(self.signed_texts())
    }

    /// Reads what [`Self::to_text`] gave. `None` for what it gives for no claims.
    pub fn from_text(lines: &str) -> Option<Self> {
        let claim = |line| {
            let (name, text) = str::split_once(line, '=')?;
            Some((CountedClaimName::parse(name)?, percent_decode(text)?))
        };
        let texts: Option<Vec<_>> = lines.lines().map(claim).collect();
        Self::judge(texts?).filter(|claims| claims.to_text() == lines)
    }
}

impl LinkKind for CountedClaims {
    type Name = CountedClaimName;

    const LABEL: &'static str = COUNTED_LABEL;
    const ROUTE: &'static str = "redeem";

    fn parse_name(text: &str) -> Option<CountedClaimName> {
        CountedClaimName::parse(text)
    }

    fn name(claim: CountedClaimName) -> &'static str {
        claim.as_str()
    }

    fn judge(texts: Vec<(CountedClaimName, Cow<'_, str>)>) -> Option<Self> {
        let (mut max_downloads, mut nonce, mut redeem) = (None, None, None);
        let mut plain = Claims::none();
        for (name, text) in texts {
            let of_any_link = match name {
                CountedClaimName::MaxDownloads => {
                    max_downloads = Some(MaxDownloads::parse(&text)?);
                    continue;
                }
                CountedClaimName::Nonce => {
                    nonce = Some(Nonce::parse(&text)?);
                    continue;
                }
                CountedClaimName::Redeem => {
                    redeem = Some(RedeemMethod::parse(&text)?);
                    continue;
                }
                CountedClaimName::Ip => ClaimName::Ip,
                CountedClaimName::NotBefore => ClaimName::NotBefore,
                CountedClaimName::ContentDisposition => ClaimName::ContentDisposition,
                CountedClaimName::ContentType => ClaimName::ContentType,
            };
            plain = plain.with(of_any_link, text).ok()?;
        }
        Some(Self {
            plain,
            max_downloads: max_downloads?,
            nonce,
            redeem,
        })
    }

    fn plain(&self) -> &Claims {
        &self.plain
    }

    fn signed_texts(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        let own = [
            (
                CountedClaimName::MaxDownloads,
                Some(Cow::Owned(self.max_downloads.to_string())),
            ),
            (
                CountedClaimName::Nonce,
                self.nonce.as_ref().map(|nonce| nonce.as_str().into()),
            ),
            (
                CountedClaimName::Redeem,
                self.redeem.map(|method| method.as_str().into()),
            ),
        ];
        let own = own
            .into_iter()
            .filter_map(|(name, text)| Some((name.as_str(), text?)));
        let mut texts: Vec<_> = self.plain.signed_texts().chain(own).collect();
        texts.sort_unstable_by_key(|(name, _)| *name);
        texts.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_read_back() {
        assert!(CountedClaimName::ALL.is_sorted());
        assert!(
            CountedClaimName::ALL
                .map(CountedClaimName::as_str)
                .is_sorted()
        );
        for name in CountedClaimName::ALL {
            assert_eq!(CountedClaimName::parse(name.as_str()), Some(name));
        }
        for name in ClaimName::ALL {
            assert!(CountedClaimName::parse(name.as_str()).is_some(), "{name}");
        }
        assert_eq!(CountedClaimName::parse("Nonce"), None);
    }

    #[test]
    fn numbers_and_words_have_one_spelling() {
        for (text, number) in [("1", 1), ("10", 10), ("1000000", DOWNLOADS_MAX)] {
            assert_eq!(MaxDownloads::parse(text), Some(MaxDownloads(number)));
        }
        let bad = [
            "",
            "0",
            "01",
            "1e3",
            "1000001",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1.0",
            "0x1",
            "4294967297",
            "18446744073709551617",
            "\u{661}",
        ];
        for text in bad {
            assert_eq!(MaxDownloads::parse(text), None, "{text}");
        }
        assert_eq!(RedeemMethod::parse("get"), Some(RedeemMethod::Get));
        assert_eq!(RedeemMethod::parse("post"), Some(RedeemMethod::Post));
        for text in ["", "GET", "Post", "put", "get "] {
            assert_eq!(RedeemMethod::parse(text), None, "{text}");
        }
    }

    #[test]
    fn claims_round_trip_through_their_text() {
        let plain = Claims::none()
            .with(ClaimName::NotBefore, "7")
            .and_then(|claims| claims.with(ClaimName::ContentDisposition, "inline; x=\"a+b%\""))
            .unwrap();
        let max = MaxDownloads::parse("12").unwrap();
        let nonce = Nonce::from_random([1; 32]);
        let get = CountedClaims::new(plain, max, RedeemMethod::Get, nonce.clone());
        let text = get.to_text();
        let expected = format!(
            "max-downloads=12\nnonce={}\nnot-before=7\nredeem=get\n\
             response-content-disposition=inline%3B%20x%3D%22a%2Bb%25%22\n",
            nonce.as_str()
        );
        assert_eq!(text, expected);
        assert_eq!(CountedClaims::from_text(&text), Some(get));
        let post = CountedClaims::new(Claims::none(), max, RedeemMethod::Post, nonce);
        assert_eq!(post.redeem(), RedeemMethod::Post);
        assert_eq!(CountedClaims::from_text(&post.to_text()), Some(post));
        let said = CountedClaims::from_text("max-downloads=1\nredeem=post\n").unwrap();
        assert_eq!(said.to_text(), "max-downloads=1\nredeem=post\n");
        for bad in [
            "",
            "max-downloads=1",
            "max-downloads=01\n",
            "redeem=get\n",
            "max-downloads=1\nx=y\n",
            "max-downloads=1\nmax-downloads=1\n",
            "redeem=get\nmax-downloads=1\n",
            "max-downloads=%31\n",
            "max-downloads=1\n\n",
        ] {
            assert_eq!(CountedClaims::from_text(bad), None, "{bad:?}");
        }
    }
}
