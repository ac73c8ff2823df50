//! The conditions and the range of a request, as its headers have them (RFC 9110, §13 and §14).

use hyper::HeaderMap;
use hyper::header::{
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};

use super::header::only_line;
use crate::model::condition::{EntityTags, Preconditions, Validators, http_date};
use crate::model::range::{RangeSet, Selection};

/// Returns whether there is a condition or a `Range`: most requests have none, and are looked through once.
pub(super) fn is_there(headers: &HeaderMap) -> bool {
    let asks = [
        IF_MATCH,
        IF_MODIFIED_SINCE,
        IF_NONE_MATCH,
        IF_UNMODIFIED_SINCE,
        RANGE,
    ];
    headers.keys().any(|name| asks.contains(name))
}

/// Returns the request's conditions. Several lines of one header count as one list; a date that is there twice,
/// or is none, is ignored.
pub(super) fn conditions(headers: &HeaderMap) -> Preconditions {
    let date = |name: HeaderName| only_line(headers, name).ok().flatten().and_then(http_date);
    let tags = |name: HeaderName| {
        let lines = headers.get_all(name).iter();
        let texts: Vec<_> = lines
            .map(|line| String::from_utf8_lossy(line.as_bytes()))
            .collect();
        (!texts.is_empty()).then(|| EntityTags::parse(&texts.join(",")))
    };
    Preconditions {
        if_match: tags(IF_MATCH),
        if_unmodified_since: date(IF_UNMODIFIED_SINCE),
        if_none_match: tags(IF_NONE_MATCH),
        if_modified_since: date(IF_MODIFIED_SINCE),
    }
}

/// Returns what the request's `Range` selects. A header that is there twice or is malformed is ignored, as
/// RFC 9110 §14.2 allows.
pub(super) fn selected(headers: &HeaderMap, validators: &Validators, size: u64) -> Selection {
    let range = only_line(headers, RANGE).ok().flatten();
    let Some(ranges) = range.and_then(RangeSet::parse) else {
        return Selection::Whole;
    };
    let same_bytes = headers.get(IF_RANGE).is_none_or(|condition| {
        condition
            .to_str()
            .is_ok_and(|condition| validators.let_range_through(condition))
    });
    if same_bytes {
        ranges.resolve(size)
    } else {
        Selection::Whole
    }
}
