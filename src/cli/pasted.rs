//! A link as a person pasted it: what happened to it on its way, and what is wrong with its spelling.
//!
//! Mail, chat and HTML change links in a few ways of their own. [`mended`] undoes those and says which they
//! were; whether that makes a good link is for the verifier to say. [`fault`] says why a text is none.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::model::id::{FileId, OrganizationId};
use crate::sign::claims::{CLAIM_BYTES_MAX, ClaimName};
use crate::sign::counted::CountedClaimName;
use crate::sign::keyring::Kid;
use crate::sign::query::{percent_decode, seconds};
use crate::sign::url::{self, SignedUrl};

/// The characters of a token behind its dot: 32 bytes in base64url.
const MAC_CHARS: usize = 43;

/// The most characters of a pasted text that are shown.
const SHOWN_CHARS_MAX: usize = 20;

/// The beginning of a link's path, on every server.
const PATH_BEGINS: &str = "/v1/organizations/";

/// What stands before the code of a share.
const PAGE_BEGINS: &str = "/s/";

/// The characters of a share's code.
const CODE_CHARS: usize = 22;

/// The notice on a token whose letters some program changed.
pub(super) const ONE_CASE: &str =
    "the letters of its token were all made small or capital, and cannot be told apart any more";

/// The notice on a URL whose path is that of a ticket.
pub(super) const NO_TICKET: &str = "its ticket is none: a ticket is kid.expires.id.mac";

/// A text with the damage undone that was found in it.
pub(super) struct Mended {
    pub(super) text: String,
    /// The repaired damage, each as a clause. Empty if the text is as it was pasted.
    pub(super) damage: Vec<String>,
}

/// A repair of one kind of damage: returns the text without it and the damage, where there is any.
type RepairStep = fn(&str) -> Option<(String, String)>;

/// Undoes what programs do to links, and says what they did.
pub(super) fn mended(pasted: &str) -> Mended {
    let mut text = pasted.to_owned();
    let steps: [RepairStep; 7] = [
        without_quoted_printable,
        without_spaces,
        without_beginning,
        without_entities,
        decoded_once,
        with_clean_token,
        with_clean_code,
    ];
    let mut damage = Vec::new();
    for step in steps {
        if let Some((better, clause)) = step(&text) {
            damage.push(clause);
            text = better;
        }
    }
    Mended { text, damage }
}

/// Mail in quoted-printable (RFC 2045, §6.7) writes `=3D` for `=`, and breaks lines behind a `=`.
fn without_quoted_printable(text: &str) -> Option<(String, String)> {
    let clause = "it is in the quoted-printable of mail, which has `=3D` for `=`";
    let is_encoded = ["expires=3D", "token=3D", "before=3D", "=\n", "=\r\n"];
    let is_encoded = is_encoded.iter().any(|piece| text.contains(piece));
    is_encoded.then(|| {
        let joined = text.replace("=\r\n", "").replace("=\n", "");
        (joined.replace("=3D", "="), clause.to_owned())
    })
}

fn without_spaces(text: &str) -> Option<(String, String)> {
    let at = text.chars().position(char::is_whitespace)?;
    let what = match text.chars().nth(at) {
        Some('\n' | '\r') => "a line break",
        Some('\t') => "a tab",
        _ => "a space",
    };
    let joined: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let behind = joined.chars().count() <= at;
    let place = match (at, behind) {
        (0, _) => "before it".to_owned(),
        (_, true) => "behind it".to_owned(),
        (at, false) => format!("in it, behind character {at}"),
    };
    Some((joined, format!("{what} stands {place}")))
}

fn without_beginning(text: &str) -> Option<(String, String)> {
    let begins = ["https://", "http://"].iter();
    let at = begins.filter_map(|scheme| text.find(scheme)).min()?;
    let (before, link) = text.split_at_checked(at).filter(|_| at > 0)?;
    Some((
        link.to_owned(),
        format!("{} stands before it", shown(before)),
    ))
}

/// HTML writes `&amp;` for `&`, and reads `&not` as a sign of its own.
fn without_entities(text: &str) -> Option<(String, String)> {
    let entities = ["&amp;", "&#38;", "&#x26;", "&#X26;"];
    let found = entities.iter().find(|entity| text.contains(**entity));
    if let Some(entity) = found {
        let mut plain = text.to_owned();
        // Some programs do it twice: `&amp;amp;`.
        while let Some(entity) = entities.iter().find(|entity| plain.contains(**entity)) {
            plain = plain.replace(entity, "&");
        }
        return Some((
            plain,
            format!("`{entity}` stands for `&` in it, as in the source of HTML"),
        ));
    }
    let clause = "HTML took the `&not` of `&not-before` for the sign `¬`";
    let is_read = text.contains("¬-before=");
    is_read.then(|| (text.replace("¬-before=", "&not-before="), clause.to_owned()))
}

/// A link that was put into another link's query, and taken out again as it was there.
fn decoded_once(text: &str) -> Option<(String, String)> {
    let lower = text.to_ascii_lowercase();
    let is_encoded = ["download%3f", "expires%3d", "token%3d", "%26token="];
    let is_encoded = is_encoded.iter().any(|piece| lower.contains(piece));
    let plain = is_encoded.then(|| percent_decode_str(text).decode_utf8().ok())??;
    let clause = "its `?`, `&` or `=` are percent-encoded";
    Some((plain.into_owned(), clause.to_owned()))
}

/// A token in the other alphabet of base64, or with something at its end.
fn with_clean_token(text: &str) -> Option<(String, String)> {
    let start = text.rfind("token=")? + "token=".len();
    let rest = text.get(start..)?;
    let end = rest.find(['&', '#']).unwrap_or(rest.len());
    let (value, after) = rest.split_at_checked(end)?;
    let plain = percent_decode(value)?;
    let (kid, mac) = plain.split_once('.')?;
    let respelled = mac.replace(['+', ' '], "-").replace('/', "_");
    let is_of_alphabet = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let (mac_end, behind) = respelled.split_at_checked(MAC_CHARS)?;
    let mut clauses = Vec::new();
    let original = mac.get(..MAC_CHARS).unwrap_or(mac);
    if original != mac_end {
        clauses.push(
            "its token is spelled with `+` and `/`, for which a link has `-` and `_`".to_owned(),
        );
    }
    if !behind.is_empty() {
        clauses.push(match behind.trim_matches('=') {
            "" => "its token ends with the padding `=`, which a link has not".to_owned(),
            _ => format!("{} stands behind its end", shown(behind)),
        });
    }
    let is_whole = mac_end.chars().all(is_of_alphabet) && !clauses.is_empty();
    let before = text.get(..start)?;
    is_whole.then(|| {
        (
            format!("{before}{kid}.{mac_end}{after}"),
            clauses.join(", and "),
        )
    })
}

/// The address of a share's page, with something at its end.
fn with_clean_code(text: &str) -> Option<(String, String)> {
    let start = text.rfind(PAGE_BEGINS)? + PAGE_BEGINS.len();
    let code = start + CODE_CHARS;
    let (page, behind) = text.split_at_checked(code)?;
    let is_code = page
        .get(start..)?
        .chars()
        .all(|c| c.is_ascii_alphanumeric());
    let is_behind = !behind.is_empty() && !behind.starts_with(['/', '?', '#']);
    // More letters and digits are another code, or none.
    let is_other = behind.starts_with(|c: char| c.is_ascii_alphanumeric());
    (is_code && is_behind && !is_other).then(|| {
        (
            page.to_owned(),
            format!("{} stands behind its end", shown(behind)),
        )
    })
}

/// Returns the reason why the code in the URL of a share is none, as the end of a sentence.
pub(super) fn fault_of_code(code: &str) -> String {
    let count = code.chars().count();
    match count < CODE_CHARS && code.chars().all(|c| c.is_ascii_alphanumeric()) {
        true => format!("it is cut off: {count} of {CODE_CHARS} characters follow `{PAGE_BEGINS}`"),
        false => {
            format!("its code is none: {CODE_CHARS} letters and digits follow `{PAGE_BEGINS}`")
        }
    }
}

/// Returns the reason why this text is no signed URL, as the end of a sentence. `None` where its spelling is good.
pub(super) fn fault(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("there is nothing".into());
    }
    let plain = ClaimName::ALL.map(ClaimName::as_str);
    let counted = CountedClaimName::ALL.map(CountedClaimName::as_str);
    let (link, claims): (_, &[&str]) = match url::parse(text) {
        Some(SignedUrl::Download(link)) => (link, &plain),
        Some(SignedUrl::Counted(link)) => (link, &counted),
        Some(SignedUrl::Ticket(_)) => return Some(NO_TICKET.to_owned()),
        None => return Some(fault_of_path(text)),
    };
    let is_bad =
        OrganizationId::parse(link.organization).is_err() || FileId::parse(link.file).is_err();
    if is_bad {
        return Some("one of the ids in its path is none".into());
    }
    fault_of_query(link.query, claims)
}

fn fault_of_path(text: &str) -> String {
    let is_shouted = text.to_ascii_lowercase().contains(PATH_BEGINS) && !text.contains(PATH_BEGINS);
    if is_shouted {
        return "its letters were made capital ones, and a link cannot do without its small ones"
            .into();
    }
    let why = if text.contains(PATH_BEGINS) {
        "its path is cut off, or is that of another call"
    } else {
        "its path is not that of a link"
    };
    format!("{why}: /v1/organizations/…/files/…/download")
}

fn fault_of_query(query: &str, claims: &[&str]) -> Option<String> {
    if query.is_empty() {
        return Some("it is cut off: nothing follows its path".into());
    }
    let mut seen: Vec<(Cow<'_, str>, &str)> = Vec::new();
    for piece in query.split('&').filter(|piece| !piece.is_empty()) {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        match percent_decode(name) {
            Some(name) if !name.is_empty() => seen.push((name, value)),
            _ => return Some(format!("{} in it is no parameter", shown(piece))),
        }
    }
    for known in ["expires", "token"].iter().chain(claims).copied() {
        let mut values = seen
            .iter()
            .filter(|(name, _)| name == known)
            .map(|(_, value)| *value);
        let value = values.next();
        if values.next().is_some() {
            return Some(format!("`{known}=` is there twice"));
        }
        let fault = match (known, value) {
            ("expires" | "token" | "max-downloads", None) => {
                Some(fault_of_missing(known, query, &seen))
            }
            (_, None) => None,
            ("expires", Some(value)) => fault_of_expires(value),
            ("token", Some(value)) => fault_of_token(value),
            (_, Some(value)) => fault_of_claim(known, value),
        };
        if fault.is_some() {
            return fault;
        }
    }
    None
}

fn fault_of_missing(known: &str, query: &str, seen: &[(Cow<'_, str>, &str)]) -> String {
    let shouted = seen
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(known));
    if let Some((name, _)) = shouted {
        return format!("`{}=` must be spelled `{known}=`", name.escape_debug());
    }
    if query.contains(&format!(";{known}=")) {
        return "`;` stands in it where `&` belongs".into();
    }
    match known {
        "token" => "it is cut off: it has no `token=`, with which a link ends".into(),
        _ => format!("it has no `{known}=`: something of it is lost"),
    }
}

fn fault_of_expires(value: &str) -> Option<String> {
    let is_good = percent_decode(value).is_some_and(|text| seconds(&text).is_some());
    (!is_good).then(|| format!("its `expires={}` is no Unix time", escaped(value)))
}

fn fault_of_token(value: &str) -> Option<String> {
    let Some(token) = percent_decode(value) else {
        return Some("its token has a `%` without two hex digits, or is no text".into());
    };
    let (kid, mac) = token.split_once('.').unwrap_or((&token, ""));
    let count = mac.chars().count();
    if count < MAC_CHARS {
        let why = format!("its token has {count} of {MAC_CHARS} characters behind the dot");
        return Some(format!("it is cut off: {why}"));
    }
    if Kid::parse(kid).is_none() {
        return Some("its token begins with no signing key's kid".into());
    }
    let is_of_alphabet = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if let Some(other) = mac.chars().take(MAC_CHARS).find(|c| !is_of_alphabet(*c)) {
        let other = escaped(&other.to_string());
        return Some(format!("its token holds `{other}`, which no token has"));
    }
    if count > MAC_CHARS {
        let behind: String = mac.chars().skip(MAC_CHARS).collect();
        return Some(format!("{} stands behind its end", shown(&behind)));
    }
    // The last of 43 characters stands for four bits alone.
    let last = mac.chars().last().unwrap_or_default();
    let why = match has_letters_of_one_case(mac) {
        true => ONE_CASE,
        false => "the last character of its token was changed",
    };
    (!"AEIMQUYcgkosw048".contains(last)).then(|| why.to_owned())
}

fn fault_of_claim(name: &str, value: &str) -> Option<String> {
    let length = percent_decode(value).map(|text| text.len());
    let is_good = length.is_some_and(|length| (1..=CLAIM_BYTES_MAX).contains(&length));
    (!is_good).then(|| format!("its `{name}=` is empty, too long or no text"))
}

/// Returns whether a link of good spelling may have the wrong token because a program changed its letters.
pub(super) fn has_one_case(text: &str) -> bool {
    let token = match url::parse(text) {
        Some(SignedUrl::Download(link) | SignedUrl::Counted(link)) => {
            link.query.rsplit("token=").next()
        }
        Some(SignedUrl::Ticket(_)) | None => None,
    };
    let mac = token
        .and_then(|token| token.split_once('.'))
        .map_or("", |(_, mac)| mac);
    has_letters_of_one_case(mac)
}

/// Of some thirty letters at random, no token's own are all small or all capital.
fn has_letters_of_one_case(mac: &str) -> bool {
    let letters = || mac.chars().filter(char::is_ascii_alphabetic);
    letters().count() > MAC_CHARS / 2
        && (letters().all(|c| c.is_ascii_lowercase()) || letters().all(|c| c.is_ascii_uppercase()))
}

/// A piece of somebody's text in quotes, the beginning of one that is long.
fn shown(text: &str) -> String {
    format!("`{}`", escaped(text))
}

fn escaped(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown.escape_debug().to_string()
}
