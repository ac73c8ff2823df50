//! The query of an API call: every parameter at most once, decoded once.

use percent_encoding::percent_decode_str;

use crate::gateway::mint::MintOptions;
use crate::gateway::refusal::FieldFault;

/// Splits a query at `&` and decodes each name and value once, `+` as a space. A piece that is no UTF-8
/// after decoding is a fault of the field as it was sent.
pub fn pairs(query: &str) -> Result<Vec<(String, String)>, FieldFault> {
    query
        .split('&')
        .filter(|piece| !piece.is_empty())
        .map(pair)
        .collect()
}

fn pair(piece: &str) -> Result<(String, String), FieldFault> {
    let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        let decoded = percent_decode_str(&spaced)
            .decode_utf8()
            .map(|text| text.into_owned());
        decoded.map_err(|_| FieldFault::new(name, value, "must be text in UTF-8, percent-encoded"))
    };
    Ok((decode(name)?, decode(value)?))
}

/// Reads mint options from a query. Parameters that are no option are ignored, but for `token` and
/// `expires`: they belong to a link, and their being here means that somebody mixed the two up.
pub fn mint_options(query: &str) -> Result<MintOptions, FieldFault> {
    let mut options = MintOptions::default();
    for (name, value) in pairs(query)? {
        if name == "token" || name == "expires" {
            return Err(FieldFault::new(
                name,
                value,
                "is a link's parameter, not an option of its minting",
            ));
        }
        options.take(&name, &value)?;
    }
    Ok(options)
}

/// Which page of a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageWanted {
    /// From 1.
    pub page: u64,
    /// 1 to the style's maximum.
    pub limit: u32,
}

/// Reads `page` and `limit`; other parameters are ignored.
pub fn page_wanted(
    query: &str,
    limit_default: u32,
    limit_max: u32,
) -> Result<PageWanted, FieldFault> {
    let (mut page, mut limit) = (None, None);
    for (name, value) in pairs(query)? {
        let (slot, max) = match name.as_str() {
            "page" => (&mut page, u64::MAX),
            "limit" => (&mut limit, u64::from(limit_max)),
            _ => continue,
        };
        let digits = value.bytes().all(|byte| byte.is_ascii_digit());
        let number = value
            .parse()
            .ok()
            .filter(|number| digits && (1..=max).contains(number));
        let Some(number) = number else {
            let why = if name == "page" {
                "must be 1 or more".to_owned()
            } else {
                format!("must be 1 to {max}")
            };
            return Err(FieldFault::new(name, value, why));
        };
        if slot.replace(number).is_some() {
            return Err(FieldFault::new(name, value, "must not be given twice"));
        }
    }
    let limit = limit
        .and_then(|limit| u32::try_from(limit).ok())
        .unwrap_or(limit_default);
    Ok(PageWanted {
        page: page.unwrap_or(1),
        limit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_bounds_and_defaults() {
        let wanted = |query: &str| page_wanted(query, 50, 100).map_err(|fault| fault.field);
        assert_eq!(wanted(""), Ok(PageWanted { page: 1, limit: 50 }));
        assert_eq!(
            wanted("page=3&limit=%31%30&x=y"),
            Ok(PageWanted { page: 3, limit: 10 })
        );
        for bad in [
            "0",
            "-1",
            "abc",
            "1.5",
            "",
            "101",
            "1e2",
            "+1",
            "99999999999999999999",
        ] {
            assert_eq!(
                wanted(&format!("limit={bad}")),
                Err("limit".into()),
                "{bad}"
            );
        }
        assert_eq!(wanted("page=0"), Err("page".into()));
        assert_eq!(wanted("limit=1&limit=2"), Err("limit".into()));
        assert_eq!(wanted("limit=%ff"), Err("limit".into()));
    }

    #[test]
    fn options_are_taken_once() {
        let fault = |query| mint_options(query).map_err(|fault| fault.field).err();
        assert_eq!(fault("expires_in=60&disposition=attachment&utm=1"), None);
        assert_eq!(
            fault("expires_in=60&expires_in=60"),
            Some("expires_in".into())
        );
        assert_eq!(fault("expires=60"), Some("expires".into()));
        assert_eq!(fault("token="), Some("token".into()));
        for bad in [
            "expires_in=-1",
            "expires_in=1.5",
            "disposition=Inline",
            "content_type=html",
            "filename=",
        ] {
            assert!(fault(bad).is_some(), "{bad}");
        }
    }
}
