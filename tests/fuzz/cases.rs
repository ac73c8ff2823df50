//! What must hold for any bytes at all: one function each, for the fuzzer (`tests/fuzz/Cargo.toml`) and for
//! the replay of its corpus among the ordinary tests. Each panics where it does not hold.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    unreachable_pub
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::{Range, RangeInclusive};

use bytes::Bytes;
use hallpass::model::address::FileRef;
use hallpass::model::disposition::{Disposition, is_valid_header};
use hallpass::model::id::{FileId, OrganizationId};
use hallpass::model::name::FileName;
use hallpass::model::network::Network;
use hallpass::model::range::{RangeSet, Selection};
use hallpass::model::revocation::Revocations;
use hallpass::model::time::UnixSeconds;
use hallpass::sign::claims::{ClaimName, Claims};
use hallpass::sign::grant::Grant;
use hallpass::sign::keyring::{KeyState, Keyring, Kid, SigningKey};
use hallpass::sign::secret::Secret;
use hallpass::sign::url::{self, SignedUrl};
use hallpass::sign::verify::{Attempt, Conditions};
use hallpass::web::client::{Peer, TrustedProxies};
use hallpass::web::dialects::aitronos::{LinkNamed, link_named};
use hallpass::web::dialects::koodrive;
use hallpass::web::multipart::{Head, Piece, Splitter};
use hallpass::web::part::{self, PartHead};
use hallpass::web::query;
use hallpass::web::wire;
use hyper::HeaderMap;
use hyper::header::{CONTENT_DISPOSITION, HeaderValue};
use serde_json::{Map, Value};

/// A function of [`ALL`].
pub type Case = fn(&[u8]);

/// Every case with the name of its corpus.
pub const ALL: [(&str, Case); 7] = [
    ("links", links),
    ("ranges", ranges),
    ("multipart", multipart),
    ("disposition", disposition),
    ("cursors", cursors),
    ("json", json),
    ("forwarded", forwarded),
];

const NOW: u64 = 1_779_118_492;

fn seconds(seconds: u64) -> UnixSeconds {
    UnixSeconds::new(seconds).unwrap()
}

/// The one link that opens something, as the corpus has it.
pub fn good_link() -> (Keyring, Grant, String) {
    let key = SigningKey {
        kid: Kid::parse("a").unwrap(),
        state: KeyState::Active,
        secret: Some(Secret::new((0..32).collect()).unwrap()),
        created_at: seconds(NOW),
    };
    let keyring = Keyring::new(vec![key]).unwrap();
    let claims = Claims::none()
        .with(
            ClaimName::ContentDisposition,
            "attachment; filename=\"a b.txt\"",
        )
        .unwrap();
    let grant = Grant {
        organization: OrganizationId::parse("org_123").unwrap(),
        file: FileId::parse("file_abc123").unwrap(),
        expires: seconds(NOW + 3600),
        claims,
    };
    let link = keyring.mint(&grant, 0, 0).url("https://x");
    (keyring, grant, link)
}

/// A text is a whole link, or means nothing: and what opens says exactly what was minted.
pub fn links(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let (keyring, grant, _) = good_link();
    let revocations = Revocations::default();
    let conditions = Conditions {
        now: seconds(NOW),
        lifetime_max: 604_800,
        not_before_leeway: 0,
        client: None,
        revocations: &revocations,
    };
    let attempt = match url::parse(text) {
        None => return,
        Some(SignedUrl::Download(link)) => link,
        Some(SignedUrl::Counted(link)) => {
            let verified = keyring.verify_counted(&link, &conditions);
            assert!(verified.is_err(), "no counted link was ever made");
            return;
        }
        Some(SignedUrl::Ticket(ticket)) => {
            let verified = keyring.verify_ticket(&ticket, &conditions);
            assert!(verified.is_err(), "no ticket was ever made");
            return;
        }
    };
    let Attempt {
        organization, file, ..
    } = attempt;
    let verified = keyring.verify(&attempt, &conditions);
    let explained = keyring.explain(&attempt, &conditions);
    assert_eq!(verified.is_ok(), explained.is_ok());
    let Ok(verified) = verified else { return };
    let file_of = FileRef::new(&grant.organization, &grant.file);
    assert_eq!(
        (verified.file(), verified.expires()),
        (file_of, grant.expires)
    );
    assert_eq!(verified.claims(), &grant.claims);
    assert_eq!(
        (organization, file),
        (grant.organization.as_str(), grant.file.as_str())
    );
}

/// The bytes of a small file that a header asks for, found one by one; `None` where it is to be ignored.
fn wanted(header: &str, size: u64) -> Option<BTreeSet<u64>> {
    let (unit, set) = header.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let number = |text: &str| {
        let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let (mut bytes, mut count) = (BTreeSet::new(), 0);
    for member in set.split(',').map(|text| text.trim_matches([' ', '\t'])) {
        if member.is_empty() {
            continue;
        }
        count += 1;
        let (first, last) = member.split_once('-')?;
        let is_in: Box<dyn Fn(u64) -> bool> = match (first, last) {
            ("", last) => {
                let last = number(last)?;
                Box::new(move |at| size - at <= last)
            }
            (first, "") => {
                let first = number(first)?;
                Box::new(move |at| at >= first)
            }
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                if first > last {
                    return None;
                }
                Box::new(move |at| at >= first && at <= last)
            }
        };
        bytes.extend((0..size).filter(|at| is_in(*at)));
    }
    (1..=100).contains(&count).then_some(bytes)
}

/// The first byte is a file's size, the rest a header: the selection is what a slow reading of it gives.
pub fn ranges(data: &[u8]) {
    let Some((size, header)) = data.split_first() else {
        return;
    };
    let (size, Ok(header)) = (u64::from(*size), str::from_utf8(header)) else {
        return;
    };
    let parsed = RangeSet::parse(header);
    let slow = wanted(header, size);
    assert_eq!(parsed.is_some(), slow.is_some(), "{header:?}");
    let (Some(set), Some(slow)) = (parsed, slow) else {
        return;
    };
    let check = |parts: &[Range<u64>]| {
        let bytes: BTreeSet<u64> = parts.iter().cloned().flatten().collect();
        let length: u64 = parts.iter().map(|part| part.end - part.start).sum();
        assert_eq!(bytes, slow, "{header:?} of {size}");
        assert_eq!(length, bytes.len() as u64, "{header:?}: nothing twice");
    };
    match set.resolve(size) {
        Selection::Part(part) => check(&[part]),
        Selection::Parts(parts) => {
            assert!((2..=8).contains(&parts.len()));
            check(&parts);
        }
        Selection::Unsatisfiable => assert!(slow.is_empty(), "{header:?} of {size}"),
        // An empty file's last bytes, or more parts than there may be.
        Selection::Whole => assert!(size == 0 || slow.len() > 8, "{header:?} of {size}"),
    }
    // And sizes of any length.
    let _ = set.resolve(u64::MAX);
}

/// A form and its parts' heads and bytes; `None` where it does not end or cannot be read.
fn parts(chunks: &[&[u8]]) -> Option<Vec<(HeaderMap, Vec<u8>)>> {
    let mut splitter = Splitter::new("b");
    let mut parts: Vec<(HeaderMap, Vec<u8>)> = Vec::new();
    for chunk in chunks {
        splitter.push(Bytes::copy_from_slice(chunk));
        loop {
            match splitter.piece() {
                Piece::Incomplete => break,
                Piece::Bytes(bytes) => {
                    if let Some((_, all)) = parts.last_mut() {
                        all.extend_from_slice(&bytes);
                    }
                    continue;
                }
                Piece::End => {}
            }
            match splitter.head().ok()? {
                Head::Incomplete => break,
                Head::Part(head) => {
                    let _ = PartHead::read(&head);
                    parts.push((head, Vec::new()));
                }
                Head::End => return Some(parts),
            }
        }
    }
    None
}

/// A form says the same however it is cut on its way. The first two bytes say where.
pub fn multipart(data: &[u8]) {
    let Some((cuts, form)) = data.split_at_checked(2) else {
        return;
    };
    let whole = parts(&[form]);
    let (first, second) = (
        usize::from(cuts[0]).min(form.len()),
        usize::from(cuts[1]).min(form.len()),
    );
    let (first, second) = (first.min(second), first.max(second));
    let cut = parts(&[&form[..first], &form[first..second], &form[second..]]);
    assert_eq!(whole, cut, "cut at {first} and {second}");
    let bytes: Vec<&[u8]> = form.chunks(1).collect();
    assert_eq!(whole, parts(&bytes), "byte by byte");
    if let Ok(text) = str::from_utf8(form) {
        let _ = part::boundary(text);
    }
}

/// What a client reads out of a header: the extended name if there is one, else the quoted one.
fn read_back(header: &str) -> (String, String) {
    let rest = header
        .strip_prefix("attachment; filename=\"")
        .expect(header);
    let (quoted, rest) = rest.split_once('"').expect(header);
    let extended = rest.strip_prefix("; filename*=UTF-8''");
    let name = extended.map_or_else(
        || quoted.to_owned(),
        |encoded| {
            let mut bytes = Vec::new();
            let mut left = encoded.bytes();
            while let Some(byte) = left.next() {
                if byte == b'%' {
                    let hex = [left.next().unwrap(), left.next().unwrap()];
                    bytes.push(u8::from_str_radix(str::from_utf8(&hex).unwrap(), 16).unwrap());
                } else {
                    let plain = byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte);
                    assert!(plain, "{header}");
                    bytes.push(byte);
                }
            }
            String::from_utf8(bytes).unwrap()
        },
    );
    assert!(extended.is_some() || rest.is_empty(), "{header}");
    (quoted.to_owned(), name)
}

/// Any name is one safe header line, and comes back out of it. Read as a part's head, nothing panics.
pub fn disposition(data: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(data) {
        let _ = PartHead::read(&HeaderMap::from_iter([(CONTENT_DISPOSITION, value)]));
    }
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let _ = is_valid_header(text);
    let Ok(name) = FileName::from_client(text) else {
        return;
    };
    let header = Disposition::Attachment.header(&name);
    assert!(
        header.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
        "{header:?}"
    );
    assert!(is_valid_header(&header), "{header}");
    let (quoted, back) = read_back(&header);
    assert_eq!(back, name.as_str());
    assert!(!quoted.contains(['"', '\\', '/']), "{header}");
    assert!(
        !name.as_str().contains(['/', '\0', '\r', '\n']) && !matches!(name.as_str(), "." | "..")
    );
    // As browsers write it into a form, it is read as it was.
    let line = format!("form-data; name=\"file\"; filename=\"{quoted}\"");
    let line = HeaderValue::from_str(&line).unwrap();
    let head = PartHead::read(&HeaderMap::from_iter([(CONTENT_DISPOSITION, line)])).unwrap();
    let percent = ["%22", "%0D", "%0A", "%0d", "%0a"]
        .iter()
        .any(|code| quoted.contains(code));
    assert!(
        percent || head.filename.as_deref() == Some(&*quoted),
        "{quoted}"
    );
}

/// Queries of lists and of mints stay inside their bounds.
pub fn cursors(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Ok(list) = query::list_wanted(text, 20, 100) {
        assert!((1..=100).contains(&list.limit));
    }
    if let Ok(page) = query::page_wanted(text, 50, 100) {
        assert!((1..=100).contains(&page.limit) && page.page >= 1);
    }
    let _ = query::mint_options(text);
    if let Ok(pairs) = query::pairs(text) {
        assert!(pairs.len() <= text.split('&').count());
    }
}

/// How many keys stand in a JSON text, counted by the colons outside of its strings.
fn keys_written(text: &str) -> usize {
    let (mut keys, mut is_in_string, mut bytes) = (0, false, text.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if is_in_string => drop(bytes.next()),
            b'"' => is_in_string = !is_in_string,
            b':' if !is_in_string => keys += 1,
            _ => {}
        }
    }
    keys
}

/// How many keys are left once it is read.
fn keys_read(value: &Value) -> usize {
    match value {
        Value::Object(object) => object.len() + object.values().map(keys_read).sum::<usize>(),
        Value::Array(items) => items.iter().map(keys_read).sum(),
        _ => 0,
    }
}

/// A text of so many characters.
fn text_of(value: Option<&Value>, chars: RangeInclusive<usize>) -> Option<String> {
    let text = value?.as_str()?;
    chars.contains(&text.chars().count()).then(|| text.into())
}

/// The space and the files that a KooDrive call names.
fn batch_of(fields: &Map<String, Value>) -> Option<(String, Vec<String>)> {
    let files = fields.get("fileIds")?.as_array()?;
    let ids: Option<Vec<String>> = files.iter().map(|id| text_of(Some(id), 1..=128)).collect();
    let ids = ids.filter(|ids| (1..=100).contains(&ids.len()))?;
    Some((text_of(fields.get("containerId"), 1..=128)?, ids))
}

/// The one field of two that names the link to be revoked.
fn link_of(fields: &Map<String, Value>) -> Option<(&'static str, String)> {
    let named = |name: &&str| fields.get(*name).is_some_and(|value| !value.is_null());
    let mut there = ["download_url", "link_id"].into_iter().filter(named);
    let (Some(name), None) = (there.next(), there.next()) else {
        return None;
    };
    Some((name, text_of(fields.get(name), 0..=usize::MAX)?))
}

/// The pairs of a file's metadata.
fn metadata_of(fields: &Map<String, Value>) -> Option<BTreeMap<String, String>> {
    let is_good = |key: &str| (1..=64).contains(&key.chars().count()) && key != "__proto__";
    let pair = |(key, value): (&String, &Value)| {
        let value = text_of(Some(value), 0..=512)?;
        is_good(key).then(|| (key.clone(), value))
    };
    (fields.len() <= 16).then(|| fields.iter().map(pair).collect())?
}

/// Bodies in JSON say what a second reading of them says, or nothing; and no key is there twice.
pub fn json(data: &[u8]) {
    const OPTIONS: [&str; 7] = [
        "expires_in",
        "expiry_window",
        "not_before",
        "disposition",
        "filename",
        "content_type",
        "ip",
    ];
    let (batch, link) = (koodrive::wanted(data), link_named(data));
    let text = str::from_utf8(data).unwrap_or_default();
    let metadata = wire::metadata(text);
    let value: Option<Value> = serde_json::from_str(text).ok();
    let is_strict = value.as_ref().map(keys_read) == Some(keys_written(text));
    let Some(Value::Object(fields)) = &value else {
        assert!(batch.is_err() && metadata.is_err(), "{text:?}");
        return;
    };
    let has_options = OPTIONS.iter().any(|name| fields.contains_key(*name));
    let wanted = batch_of(fields).filter(|_| is_strict);
    match batch {
        Ok(batch) => assert_eq!(Some((batch.container, batch.files)), wanted, "{text:?}"),
        Err(_) => assert!(wanted.is_none() || has_options, "{text:?}"),
    }
    match link {
        Ok(LinkNamed::Url(url)) => assert_eq!(link_of(fields), Some(("download_url", url))),
        Ok(LinkNamed::Id(id)) => assert_eq!(link_of(fields), Some(("link_id", id))),
        Err(_) => assert!(link_of(fields).is_none() || !is_strict, "{text:?}"),
    }
    let pairs = metadata_of(fields).filter(|_| is_strict && text.len() <= 8 * 1024);
    let read = metadata.ok().map(|metadata| {
        let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        metadata.pairs().map(own).collect::<BTreeMap<_, _>>()
    });
    assert_eq!(read, pairs, "{text:?}");
}

/// Whoever is not trusted is taken for whom it is, and of a trusted one's list the last stranger counts.
pub fn forwarded(data: &[u8]) {
    let own = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    let trusted = TrustedProxies {
        networks: vec![Network::parse("10.0.0.0/8").unwrap()],
        unix_sockets: false,
    };
    let Ok(value) = HeaderValue::from_bytes(data) else {
        return;
    };
    for name in ["x-forwarded-for", "forwarded"] {
        let mut headers = HeaderMap::new();
        headers.insert(hyper::header::HeaderName::from_static(name), value.clone());
        let nobody = TrustedProxies::default();
        assert_eq!(nobody.client(Peer::Address(own), &headers), Some(own));
        assert_eq!(trusted.client(Peer::Unknown, &headers), None);
        let client = trusted.client(Peer::Address(own), &headers);
        let text = value.to_str().unwrap_or_default();
        let hops: Option<Vec<IpAddr>> =
            text.split(',').map(|hop| hop.trim().parse().ok()).collect();
        let Some(hops) = hops.filter(|_| name == "x-forwarded-for") else {
            continue;
        };
        let hops: Vec<IpAddr> = hops.iter().map(IpAddr::to_canonical).collect();
        let ours = |hop: &&IpAddr| !matches!(hop, IpAddr::V4(v4) if v4.octets()[0] == 10);
        let expected = hops.iter().rev().find(ours).or(hops.first());
        assert_eq!(client.as_ref(), expected, "{text:?}");
        headers.append("x-forwarded-for", HeaderValue::from_static("192.0.2.1"));
        assert_eq!(
            trusted.client(Peer::Address(own), &headers),
            None,
            "two lines"
        );
    }
}
