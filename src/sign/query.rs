//! The query of a link, read strictly and once.

use std::borrow::Cow;

use memchr::memchr;

use super::claims::{LinkKind, has_good_length};
use super::encoding::is_encoded;
pub use super::encoding::{percent_decode, seconds};

const EXPIRES: &str = "expires";
const TOKEN: &str = "token";

/// The known parameters of a query, for a link of the kind `K`, decoded. None of it is proven by anything yet.
pub(super) struct Parameters<'a, K: LinkKind> {
    pub(super) expires: Cow<'a, str>,
    pub(super) token: Cow<'a, str>,
    /// Sorted by name, each name once, each text of good length.
    pub(super) claims: Vec<(K::Name, Cow<'a, str>)>,
}

/// Returns whether the query means a link: one of its names, decoded, is `token` or `expires`. A piece that cannot be
/// decoded does not count, and says nothing about the others.
pub fn names_a_link(query: &str) -> bool {
    pieces(query)
        .filter_map(|piece| percent_decode(name_and_value(piece).0))
        .any(|name| name == TOKEN || name == EXPIRES)
}

impl<'a, K: LinkKind> Parameters<'a, K> {
    /// `None` for whatever the grammar of queries does not allow, and when `expires` or `token` is
    /// missing or a known parameter is there twice.
    pub(super) fn parse(query: &'a str) -> Option<Self> {
        // Most links have nothing to decode: that is asked once, not of every piece.
        let is_encoded = is_encoded(query);
        let decode = |text: &'a str| match is_encoded {
            true => percent_decode(text),
            false => Some(Cow::Borrowed(text)),
        };
        let mut expires = None;
        let mut token = None;
        let mut claims: Vec<(K::Name, Cow<'a, str>)> = Vec::new();
        for piece in pieces(query) {
            // An editor or a script that takes a parameter of its own away leaves its `&` there.
            if piece.is_empty() {
                continue;
            }
            let (name, value) = name_and_value(piece);
            let name = decode(name)?;
            if name.is_empty() {
                return None;
            }
            let twice = if name == EXPIRES {
                expires.replace(decode(value)?).is_some()
            } else if name == TOKEN {
                token.replace(decode(value)?).is_some()
            } else if let Some(claim) = K::parse_name(&name) {
                let twice = claims.iter().any(|(other, _)| *other == claim);
                let text = decode(value).filter(|text| has_good_length(text))?;
                claims.push((claim, text));
                twice
            } else {
                // Mail and chat programs append parameters of their own.
                false
            };
            if twice {
                return None;
            }
        }
        claims.sort_by_key(|(name, _)| *name);
        Some(Self {
            expires: expires?,
            token: token?,
            claims,
        })
    }
}

/// Returns the pieces between the `&`; of an empty query one empty piece.
fn pieces(query: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(query);
    std::iter::from_fn(move || {
        let all = rest?;
        let (piece, behind) = cut(all, b'&').map_or((all, None), |(one, two)| (one, Some(two)));
        rest = behind;
        Some(piece)
    })
}

/// Returns the texts before and behind the first such byte, which is an ASCII character.
fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let place = memchr(at, text.as_bytes())?;
    Some((text.get(..place)?, text.get(place + 1..)?))
}

fn name_and_value(piece: &str) -> (&str, &str) {
    cut(piece, b'=').unwrap_or((piece, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::claims::{ClaimName, Claims};

    type Owned = (String, String, Vec<(ClaimName, String)>);

    fn parse(query: &str) -> Option<Owned> {
        let parameters = Parameters::<Claims>::parse(query)?;
        let claims = parameters.claims.into_iter();
        Some((
            parameters.expires.into_owned(),
            parameters.token.into_owned(),
            claims
                .map(|(name, text)| (name, text.into_owned()))
                .collect(),
        ))
    }

    #[test]
    fn order_spelling_and_unknown_names_mean_nothing() {
        let plain = parse("expires=1&token=a.b").unwrap();
        for same in [
            "token=a.b&expires=1",
            "%74oken=a%2Eb&expires=%31",
            "utm_source=%zz&expires=1&token=a.b&fbclid",
            "expires=1&&token=a.b",
            "&expires=1&token=a.b",
            "&&&expires=1&&&token=a.b&&&",
            "token[]=x&TOKEN=x&Expires=2&expires[]=2&expires=1&token=a.b",
        ] {
            assert_eq!(parse(same), Some(plain.clone()), "{same}");
        }
        let (_, _, claims) =
            parse("response-content-type=a/b&ip=%3A%3a1&token=a.b&expires=1").unwrap();
        let ip = (ClaimName::Ip, "::1".to_owned());
        assert_eq!(claims, [ip, (ClaimName::ContentType, "a/b".to_owned())]);
        let (_, _, claims) =
            parse("expires=1&token=t&response-content-disposition=a+b%20c%2B%3D=").unwrap();
        assert_eq!(
            claims,
            [(ClaimName::ContentDisposition, "a b c+==".to_owned())]
        );
    }

    #[test]
    fn everything_else_is_malformed() {
        let bad = [
            "",
            "token=a",
            "expires=1",
            "expires=1;token=a",
            "&",
            "&&",
            "expires=1&token=a&=",
            "expires=1&token=a&=v",
            "expires=1&token=a&%=v",
            "expires=1&token=a&%ff=v",
            "expires=1&token=%",
            "expires=1&token=%4",
            "expires=1&token=%zz",
            "expires=1&token=%ff",
            "expires=1&token=a&token=a",
            "token=a&expires=1&expires=1",
            "expires=1&token=a&%74oken=b",
            "%65xpires=2&expires=1&token=a",
            "expires=1&token=a&ip=::1&ip=::1",
            "expires=1&token=a&ip=::1&i%70=::1",
            "expires=1&token=a&ip=",
            "expires=1&token=a&ip",
            "expires=1&token=a&ip=%zz",
            "expires=1&token[]=a",
            "expires=1&TOKEN=a",
            "expires[]=1&token=a",
        ];
        for query in bad {
            assert!(Parameters::<Claims>::parse(query).is_none(), "{query}");
        }
        let with_claim = |length| {
            format!(
                "expires=1&token=a&response-content-type={}",
                "x".repeat(length)
            )
        };
        assert!(Parameters::<Claims>::parse(&with_claim(2_048)).is_some());
        assert!(Parameters::<Claims>::parse(&with_claim(2_049)).is_none());
    }

    #[test]
    fn a_link_is_told_by_its_names() {
        for yes in [
            "token",
            "token=",
            "a=b&expires=1",
            "%zz&%74oken=x",
            "&&token=%zz",
            "expires=1;token=a",
        ] {
            assert!(names_a_link(yes), "{yes}");
        }
        for no in [
            "",
            "a=token",
            "TOKEN=a",
            "token[]=a",
            "tok%zzen=a",
            "expires_in=60",
        ] {
            assert!(!names_a_link(no), "{no}");
        }
    }
}
