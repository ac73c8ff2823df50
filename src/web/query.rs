//! The query of an API call: every parameter at most once, decoded once.

use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::gateway::files::Cursor;
use crate::gateway::mint::MintOptions;
use crate::gateway::refusal::FieldFault;
use crate::model::file::Purpose;

/// Splits a query at `&` and decodes each name and value once, `+` as a space. A piece that is no UTF-8
/// after decoding is a fault of the field as it was sent.
pub fn pairs(query: &str) -> Result<Vec<(String, String)>, FieldFault> {
    let pair = |(name, value): (&str, &str)| {
        let name = decoded(name).ok_or_else(|| not_utf8(name, value))?;
        let value = decoded(value).ok_or_else(|| not_utf8(&name, value))?;
        Ok((name, value))
    };
    pieces(query).map(pair).collect()
}

/// As [`pairs`], but only those whose name is one of `known`. Others are ignored, whatever they hold.
fn known_pairs(query: &str, known: &[&str]) -> Result<Vec<(String, String)>, FieldFault> {
    named_pieces(query)
        .filter(|(name, _)| known.contains(&name.as_str()))
        .map(|(name, value)| {
            let value = decoded(value).ok_or_else(|| not_utf8(&name, value))?;
            Ok((name, value))
        })
        .collect()
}

/// Each piece whose name is text, with its value as it was sent. A name that is none is no name that
/// anybody knows.
fn named_pieces(query: &str) -> impl Iterator<Item = (String, &str)> {
    pieces(query).filter_map(|(name, value)| Some((decoded(name)?, value)))
}

fn pieces(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| piece.split_once('=').unwrap_or((piece, "")))
}

fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.ok().map(Into::into)
}

fn not_utf8(name: &str, value: &str) -> FieldFault {
    FieldFault::new(name, value, "must be text in UTF-8, percent-encoded")
}

/// Reads mint options from a query. Parameters that are no option are ignored, but for `token` and
/// `expires`: they belong to a link, and their being here means that somebody mixed the two up.
pub fn mint_options(query: &str) -> Result<MintOptions, FieldFault> {
    let mut options = MintOptions::default();
    for (name, value) in named_pieces(query) {
        if name == "token" || name == "expires" {
            return Err(FieldFault::new(
                name,
                value,
                "is a link's parameter, not an option of its minting",
            ));
        }
        let Some(text) = decoded(value) else {
            // A known option takes the empty text or refuses it. Either way the text that was sent is wrong.
            match options.take(&name, "") {
                Ok(false) => continue,
                Ok(true) | Err(_) => return Err(not_utf8(&name, value)),
            }
        };
        options.take(&name, &text)?;
    }
    Ok(options)
}

/// A number of decimal digits and nothing else.
pub(super) fn whole_number<T: FromStr>(text: &str) -> Option<T> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_decimal)
}

/// The page of a list that a caller wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageWanted {
    /// From 1.
    pub page: u64,
    /// 1 to the dialect's maximum.
    pub limit: u32,
}

/// Reads `page` and `limit`; other parameters are ignored.
pub fn page_wanted(
    query: &str,
    limit_default: u32,
    limit_max: u32,
) -> Result<PageWanted, FieldFault> {
    let (mut page, mut limit) = (None, None);
    for (name, value) in known_pairs(query, &["page", "limit"])? {
        let (slot, max) = match name.as_str() {
            "page" => (&mut page, u64::MAX),
            "limit" => (&mut limit, u64::from(limit_max)),
            _ => continue,
        };
        let number = whole_number(&value).filter(|number| (1..=max).contains(number));
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

/// The page that a caller wants of a list of shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharesWanted {
    /// The share behind which it begins; the newest one if `None`.
    pub after: Option<String>,
    /// At least 1, and never more than the maximum.
    pub limit: u32,
}

/// Reads `after` and `limit`; other parameters are ignored.
pub fn shares_wanted(
    query: &str,
    limit_default: u32,
    limit_max: u32,
) -> Result<SharesWanted, FieldFault> {
    let (mut after, mut limit) = (None, None);
    for (name, value) in known_pairs(query, &["after", "limit"])? {
        let again = || FieldFault::new(&name, &value, "must not be given twice");
        if name == "after" {
            if after.replace(value.clone()).is_some() {
                return Err(again());
            }
            continue;
        }
        let number = whole_number::<u32>(&value).filter(|number| (1..=limit_max).contains(number));
        let why = || FieldFault::new(&name, &value, format!("must be 1 to {limit_max}"));
        if limit.replace(number.ok_or_else(why)?).is_some() {
            return Err(again());
        }
    }
    Ok(SharesWanted {
        after,
        limit: limit.unwrap_or(limit_default),
    })
}

/// One of the five purposes, exactly.
pub fn purpose(text: &str) -> Result<Purpose, FieldFault> {
    let fault = || {
        let words = Purpose::ALL.map(Purpose::as_str).join(", ");
        FieldFault::new("purpose", text, format!("must be one of: {words}"))
    };
    Purpose::parse(text).ok_or_else(fault)
}

/// The part that a caller wants of a list that is walked with cursors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListWanted {
    /// Files of this purpose only.
    pub purpose: Option<Purpose>,
    /// At least 1, and never more than the dialect's maximum.
    pub limit: u32,
    /// The cursor that it begins at; the newest file if `None`.
    pub cursor: Option<Cursor>,
}

const LIST_PARAMETERS: [&str; 6] = [
    "purpose",
    "limit",
    "after",
    "after_id",
    "before",
    "before_id",
];

/// Reads `purpose`, `limit` and one cursor: `after` or `before`, also called `after_id` and `before_id`.
/// A limit above the maximum is the maximum. Other parameters are ignored.
pub fn list_wanted(
    query: &str,
    limit_default: u32,
    limit_max: u32,
) -> Result<ListWanted, FieldFault> {
    let pairs = known_pairs(query, &LIST_PARAMETERS)?;
    let only = |wanted: &str| {
        let mut values = pairs.iter().filter(|(name, _)| name == wanted);
        let value = values.next().map(|(_, value)| value.as_str());
        match values.next() {
            Some((name, value)) => Err(FieldFault::new(name, value, "must not be given twice")),
            None => Ok(value),
        }
    };
    let one_of = |name: &str, alias: &str| match (only(name)?, only(alias)?) {
        (Some(value), Some(other)) if value != other => {
            let why = format!("must not differ from '{name}'");
            Err(FieldFault::new(alias, other, why))
        }
        (value, other) => Ok(value.or(other).map(str::to_owned)),
    };
    let purpose = only("purpose")?.map(purpose).transpose()?;
    let limit = only("limit")?.map(|text| capped(text, limit_max));
    let cursor = match (one_of("after", "after_id")?, one_of("before", "before_id")?) {
        (Some(_), Some(before)) => {
            let why = "and 'after' are mutually exclusive";
            return Err(FieldFault::new("before", before, why));
        }
        (Some(after), None) => Some(Cursor::After(after)),
        (None, before) => before.map(Cursor::Before),
    };
    Ok(ListWanted {
        purpose,
        limit: limit.transpose()?.unwrap_or(limit_default),
        cursor,
    })
}

/// A limit of 1 or more, cut to `max`.
fn capped(text: &str, max: u32) -> Result<u32, FieldFault> {
    let number = whole_number::<u64>(text).filter(|number| *number > 0);
    let fault = || FieldFault::new("limit", text, "must be a whole number of 1 or more");
    let number = number.ok_or_else(fault)?;
    Ok(u32::try_from(number).map_or(max, |number| number.min(max)))
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
    fn pages_of_shares_have_a_begin_and_a_limit() {
        let wanted = |query: &str| {
            let wanted = shares_wanted(query, 50, 100);
            wanted.map(|wanted| (wanted.after, wanted.limit))
        };
        assert_eq!(wanted(""), Ok((None, 50)));
        let after = Some("share_1".into());
        assert_eq!(wanted("after=share%5F1&limit=100&x=y"), Ok((after, 100)));
        for (bad, field) in [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=1e1", "limit"),
            ("limit=", "limit"),
            ("limit=1&limit=1", "limit"),
            ("after=a&after=a", "after"),
            ("after=%ff", "after"),
        ] {
            assert_eq!(wanted(bad).unwrap_err().field, field, "{bad}");
        }
    }

    #[test]
    fn lists_have_a_cursor_a_purpose_and_a_capped_limit() {
        let wanted = |query: &str| list_wanted(query, 20, 100);
        let limit = |query: &str| wanted(query).map(|wanted| wanted.limit).ok();
        assert_eq!(limit(""), Some(20));
        for (text, number) in [("1", 1), ("%31%30", 10), ("100", 100), ("101", 100)] {
            assert_eq!(limit(&format!("limit={text}")), Some(number), "{text}");
        }
        assert_eq!(limit("limit=18446744073709551615"), Some(100));
        for bad in [
            "0",
            "-1",
            "abc",
            "1.5",
            "",
            "1e2",
            "+1",
            "99999999999999999999",
        ] {
            assert_eq!(limit(&format!("limit={bad}")), None, "{bad}");
        }
        let cursor = |query: &str| wanted(query).map(|wanted| wanted.cursor).ok().flatten();
        let after = Some(Cursor::After("x".into()));
        for query in ["after=x", "after_id=x", "after=x&after_id=x"] {
            assert_eq!(cursor(query), after, "{query}");
        }
        assert_eq!(cursor("before_id=%27"), Some(Cursor::Before("'".into())));
        for (query, field) in [
            ("after=x&before=y", "before"),
            ("after_id=x&before_id=x", "before"),
            ("after=x&after_id=y", "after_id"),
            ("before=x&before=x", "before"),
            ("limit=1&limit=1", "limit"),
            ("purpose=", "purpose"),
            ("purpose=tool_output&purpose=tool_output", "purpose"),
            ("after=%ff", "after"),
            ("x=%ff&%70urpose=%ff", "purpose"),
        ] {
            let fault = wanted(query).unwrap_err();
            assert_eq!(fault.field, field, "{query}");
        }
    }

    #[test]
    fn what_is_unknown_need_not_be_text() {
        for query in ["x=%ff", "%ff=1", "limit%ff=0&page%ff", "%ff"] {
            assert_eq!(list_wanted(query, 20, 100), list_wanted("", 20, 100));
            assert_eq!(page_wanted(query, 20, 100), page_wanted("", 20, 100));
            assert!(mint_options(query).is_ok(), "{query}");
        }
        for name in [
            "expires_in",
            "disposition",
            "filename",
            "content_type",
            "ip",
        ] {
            let fault = mint_options(&format!("x=%ff&{name}=%ff")).unwrap_err();
            assert_eq!(fault, not_utf8(name, "%ff"));
        }
        assert_eq!(pairs("x=%ff"), Err(not_utf8("x", "%ff")));
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
