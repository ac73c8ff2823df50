//! What the pure parts cost: signing, verifying, reading what clients write, and the worst that they can write.
//!
//! `cargo bench --bench pure` measures, `cargo bench --bench pure -- verify` one group, and
//! `cargo test --bench pure` runs each once. The goal is that a link is verified in less than 300 ns. Worst
//! inputs are as long as the server lets them come in.
#![allow(missing_docs)] // The harness makes a function without one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // What fails here has failed.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hallpass::gateway::clock::SystemClock;
use hallpass::gateway::limits::{Limits, RateLimits, Rule};
use hallpass::model::condition::{EntityTags, Preconditions, Validators, http_date};
use hallpass::model::disposition::Disposition;
use hallpass::model::id::{FileId, OrganizationId};
use hallpass::model::name::FileName;
use hallpass::model::network::Network;
use hallpass::model::range::RangeSet;
use hallpass::model::revocation::Revocations;
use hallpass::model::time::UnixSeconds;
use hallpass::sign::claims::{ClaimName, Claims};
use hallpass::sign::grant::Grant;
use hallpass::sign::keyring::{KeyState, Keyring, Kid, SigningKey};
use hallpass::sign::secret::Secret;
use hallpass::sign::url;
use hallpass::sign::verify::{Attempt, Conditions};
use hallpass::web::TARGET_BYTES_MAX;
use hallpass::web::client::{Peer, TrustedProxies};
use hallpass::web::dialects::koodrive;
use hallpass::web::multipart::{HEAD_BYTES_MAX, Head, Piece, Splitter};
use hallpass::web::query;
use hallpass::web::route::{Route, RouteMatch};
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::Method;
use hyper::header::{HeaderMap, HeaderValue};
use sha2::Sha256;

const NOW: UnixSeconds = UnixSeconds::EPOCH;
const EXPIRES: u64 = 3_600;
const FILE: &str = "file_01a1fde99ff6754cb8bf883e3b982c46";
/// The largest head of a request that the server reads.
const HEADERS_BYTES_MAX: usize = 64 * 1024;
/// The largest body of a KooDrive call.
const JSON_BYTES_MAX: usize = 1024 * 1024;

fn keyring() -> Keyring {
    let key = SigningKey {
        kid: Kid::from_random([1, 2, 3, 4]),
        state: KeyState::Active,
        secret: Some(Secret::new((0..32).collect()).unwrap()),
        created_at: NOW,
    };
    Keyring::new(vec![key]).unwrap()
}

fn grant(claims: Claims) -> Grant {
    Grant {
        organization: OrganizationId::parse("org_123").unwrap(),
        file: FileId::parse(FILE).unwrap(),
        expires: NOW.plus(EXPIRES),
        claims,
    }
}

/// Every claim, as a browser's link has them.
fn usual_claims() -> Claims {
    let with = |claims: Claims, name, text: &str| claims.with(name, text).unwrap();
    let claims = Claims::none();
    let saved = "attachment; filename=\"Q3 report.png\"";
    let claims = with(claims, ClaimName::ContentDisposition, saved);
    let claims = with(claims, ClaimName::ContentType, "image/png");
    let claims = with(claims, ClaimName::NotBefore, "0");
    with(claims, ClaimName::Ip, "192.0.2.0/24")
}

/// The longest claim, of characters that grow threefold when they are written.
fn longest_claims() -> Claims {
    let text = format!("attachment; {}", "\"".repeat(2_048 - 12));
    let claims = Claims::none();
    claims.with(ClaimName::ContentDisposition, text).unwrap()
}

fn sign(c: &mut Criterion) {
    let keyring = keyring();
    let mut group = c.benchmark_group("sign");
    for (what, claims) in [
        ("plain", Claims::none()),
        ("every claim", usual_claims()),
        ("longest claim", longest_claims()),
    ] {
        let grant = grant(claims);
        group.bench_function(what, |b| {
            b.iter(|| {
                keyring
                    .mint(black_box(&grant), 0, 0)
                    .url("https://files.example.com")
            });
        });
    }
    group.finish();
}

fn verify(c: &mut Criterion) {
    let keyring = keyring();
    let link = |claims| keyring.mint(&grant(claims), 0, 0).url("");
    let plain = link(Claims::none());
    let cut = |url: &str, from: &str, to: &str| url.replacen(from, to, 1);
    let mut longest = link(longest_claims());
    // What nobody knows is read past, and is as long as a request target may be.
    longest.push_str(&"&a=b".repeat((TARGET_BYTES_MAX - longest.len()) / 4));
    let mac = plain.split('.').nth(1).unwrap().to_owned();
    let other = if mac.starts_with('A') { "B" } else { "A" };
    let other_mac = format!("{other}{}", &mac[1..]);
    let cases = [
        ("good", plain.clone(), true),
        ("good, every claim", link(usual_claims()), true),
        ("longest", longest, true),
        // Of the right shape: its first character is another one.
        ("bad MAC", cut(&plain, &mac, &other_mac), false),
        ("expired", link_of_the_past(&keyring), false),
        ("unknown kid", cut(&plain, "01020304", "01020305"), false),
        ("no link at all", cut(&plain, "token=", "tokem="), false),
    ];
    let revocations = Revocations::default();
    let conditions = Conditions {
        now: NOW.plus(1),
        lifetime_max: 7 * 24 * 3_600,
        not_before_leeway: 0,
        client: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))),
        revocations: &revocations,
    };
    let mut group = c.benchmark_group("verify");
    // What the check of the good link comes down to at least: the MAC of its message, compared.
    let lines = ["hallpass/v1/download", "org_123", FILE, "3600", "0", ""];
    let (message, key) = (lines.join("\n"), Hmac::<Sha256>::new_from_slice(&[7; 32]));
    let key = key.unwrap();
    let mac = key.clone().chain_update(&message).finalize().into_bytes();
    group.bench_function("the hash alone", |b| {
        b.iter(|| {
            let of_message = key.clone().chain_update(black_box(&message));
            of_message.verify(black_box(&mac)).is_ok()
        });
    });
    for (what, url, is_good) in &cases {
        let (organization, file, query) = url::split(url).unwrap();
        let attempt = Attempt {
            organization,
            file,
            query,
        };
        assert_eq!(
            keyring.verify(&attempt, &conditions).is_ok(),
            *is_good,
            "{what}"
        );
        group.bench_function(*what, |b| {
            b.iter(|| {
                keyring
                    .verify(black_box(&attempt), black_box(&conditions))
                    .is_ok()
            });
        });
    }
    group.finish();
}

fn link_of_the_past(keyring: &Keyring) -> String {
    let expired = Grant {
        expires: NOW.plus(1),
        ..grant(Claims::none())
    };
    keyring.mint(&expired, 0, 0).url("")
}

fn target(c: &mut Criterion) {
    let mut group = c.benchmark_group("target");
    let download = "/v1/organizations/org_123/files/file_01a1fde99ff6754cb8bf883e3b982c46/download";
    let parse = |path| RouteMatch::parse("", path).for_method(&Method::GET);
    let at = parse(download).unwrap();
    assert!(matches!(at, Route::Download(_)));
    let slashes = "/v1/organizations/".to_owned() + &"a/files/".repeat(TARGET_BYTES_MAX / 8);
    for (what, path) in [("download", download), ("longest", &slashes)] {
        group.bench_function(BenchmarkId::new("route", what), |b| {
            b.iter(|| parse(black_box(path)).is_ok());
        });
    }
    let options = "expires_in=60&disposition=attachment&filename=Q3%20report.png";
    let pairs = "a=b&".repeat(TARGET_BYTES_MAX / 4);
    let escapes = format!("filename={}", "%41".repeat(TARGET_BYTES_MAX / 3));
    for (what, text) in [
        ("options", options),
        ("pairs", &pairs),
        ("escapes", &escapes),
    ] {
        group.bench_function(BenchmarkId::new("query", what), |b| {
            b.iter(|| query::mint_options(black_box(text)).is_ok());
        });
    }
    group.finish();
}

fn ranges(c: &mut Criterion) {
    let many = |count: u64, range: &dyn Fn(u64) -> String| {
        let ranges: Vec<String> = (0..count).map(range).collect();
        format!("bytes={}", ranges.join(","))
    };
    let size = 1 << 30;
    let cases = [
        ("one", "bytes=65536-131071".to_owned()),
        (
            "eight apart",
            many(8, &|i| format!("{}-{}", i * 100, i * 100 + 9)),
        ),
        (
            "100 that overlap",
            many(100, &|i| format!("{}-{}", 99 - i, size)),
        ),
        (
            "100 apart",
            many(100, &|i| {
                format!("{}-{}", (99 - i) * 100, (99 - i) * 100 + 9)
            }),
        ),
        ("10,000", many(10_000, &|i| format!("{i}-"))),
        ("commas", format!("bytes={}", ",".repeat(HEADERS_BYTES_MAX))),
        (
            "digits",
            format!("bytes={}-", "9".repeat(HEADERS_BYTES_MAX)),
        ),
    ];
    let mut group = c.benchmark_group("range");
    for (what, text) in &cases {
        group.bench_function(*what, |b| {
            b.iter(|| RangeSet::parse(black_box(text)).map(|ranges| ranges.resolve(size)));
        });
    }
    group.finish();
}

fn headers(c: &mut Criterion) {
    let mut group = c.benchmark_group("headers");
    let etag = format!("\"{}\"", "ab".repeat(32));
    let file = Validators {
        etag: Some(etag.clone()),
        last_modified: Some(NOW),
    };
    let tags = format!("{}{etag}", "\"a\", ".repeat(HEADERS_BYTES_MAX / 5));
    for (what, text) in [("ours", &etag), ("longest", &tags)] {
        group.bench_function(BenchmarkId::new("If-None-Match", what), |b| {
            b.iter(|| {
                let asked = Preconditions {
                    if_none_match: Some(EntityTags::parse(black_box(text))),
                    ..Preconditions::default()
                };
                asked.evaluate(&file)
            });
        });
    }
    group.bench_function("If-Modified-Since", |b| {
        b.iter(|| http_date(black_box("Mon, 18 May 2026 15:34:52 GMT")));
    });
    let name = |text: &str| FileName::from_client(text).unwrap();
    for (what, name) in [
        ("ASCII", name("Q3 report.png")),
        ("longest", name(&"я".repeat(120))),
    ] {
        group.bench_function(BenchmarkId::new("Content-Disposition", what), |b| {
            b.iter(|| Disposition::Attachment.header(black_box(&name)));
        });
    }
    let proxies = TrustedProxies {
        networks: vec![Network::parse("10.0.0.0/8").unwrap()],
        unix_sockets: false,
    };
    let peer = Peer::Address(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
    let hops = "10.0.0.1,".repeat(HEADERS_BYTES_MAX / 9);
    let elements = "for=10.0.0.1,".repeat(HEADERS_BYTES_MAX / 13);
    for (name, what, text) in [
        ("x-forwarded-for", "one", "192.0.2.7"),
        ("x-forwarded-for", "longest", hops.trim_end_matches(',')),
        ("forwarded", "one", "for=192.0.2.7"),
        ("forwarded", "longest", elements.trim_end_matches(',')),
    ] {
        let mut lines = HeaderMap::new();
        lines.insert(name, HeaderValue::from_str(text).unwrap());
        assert!(proxies.client(peer, &lines).is_some(), "{name}, {what}");
        group.bench_function(BenchmarkId::new(name, what), |b| {
            b.iter(|| proxies.client(peer, black_box(&lines)));
        });
    }
    group.finish();
}

/// What a form's reader answers to a form that comes in in pieces of this size: bytes of parts.
fn split(form: &Bytes, piece: usize) -> Result<usize, ()> {
    let mut splitter = Splitter::new("b");
    let mut bytes = 0;
    for start in (0..form.len()).step_by(piece) {
        splitter.push(form.slice(start..form.len().min(start + piece)));
        loop {
            match splitter.piece() {
                Piece::Incomplete => break,
                Piece::Bytes(part) => {
                    bytes += part.len();
                    continue;
                }
                Piece::End => {}
            }
            match splitter.head() {
                Ok(Head::Part(_)) => {}
                Ok(Head::Incomplete) => break,
                Ok(Head::End) => return Ok(bytes),
                Err(_) => return Err(()),
            }
        }
    }
    Err(())
}

fn forms(c: &mut Criterion) {
    let form = |head: &str, body: &[u8]| {
        let before = format!("--b\r\n{head}\r\n\r\n");
        Bytes::from([before.as_bytes(), body, b"\r\n--b--\r\n"].concat())
    };
    let plain = "Content-Disposition: form-data; name=\"file\"; filename=\"a\"";
    let long = format!("x: {}", "1".repeat(HEAD_BYTES_MAX - 100));
    let lines: Vec<String> = (0..32)
        .map(|i| format!("x{i}: {}", "1".repeat(400)))
        .collect();
    let mebibyte: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let half_ends = "\r\n--".repeat(1 << 18);
    let cases = [
        ("1 MiB", form(plain, &mebibyte), 1 << 18),
        (
            "1 MiB of half boundaries",
            form(plain, half_ends.as_bytes()),
            1 << 18,
        ),
        (
            "1 MiB of CRs, a byte at a time",
            form(plain, &vec![b'\r'; 1 << 20]),
            1,
        ),
        ("a head of 16 KiB, a byte at a time", form(&long, b""), 1),
        (
            "a head of 32 lines",
            form(&lines.join("\r\n"), b""),
            1 << 18,
        ),
    ];
    let mut group = c.benchmark_group("form");
    for (what, form, piece) in &cases {
        assert!(split(form, *piece).is_ok(), "{what}");
        group.throughput(Throughput::Bytes(form.len() as u64));
        group.bench_function(*what, |b| b.iter(|| split(black_box(form), *piece)));
    }
    group.finish();
}

fn json(c: &mut Criterion) {
    let ids: Vec<String> = (0..100).map(|i| format!("\"file_{i:032x}\"")).collect();
    let ids = ids.join(",");
    let usual = format!("{{\"containerId\":\"space_default\",\"fileIds\":[{ids}]}}");
    let fields: Vec<String> = (0..JSON_BYTES_MAX / 16)
        .map(|i| format!("\"{i:07}\":1"))
        .collect();
    let cases = [
        ("100 ids", usual),
        ("as many fields as fit", format!("{{{}}}", fields.join(","))),
        (
            "the same field again",
            format!("{{{}\"a\":1}}", "\"a\":1,".repeat(JSON_BYTES_MAX / 6)),
        ),
        ("as deep as it goes", "[".repeat(JSON_BYTES_MAX)),
        (
            "one string",
            format!("{{\"a\":\"{}\"}}", "\\u0041".repeat(JSON_BYTES_MAX / 6)),
        ),
        (
            "as many ids as fit",
            format!(
                "{{\"fileIds\":[{}\"a\"]}}",
                "\"a\",".repeat(JSON_BYTES_MAX / 4)
            ),
        ),
    ];
    let mut group = c.benchmark_group("json");
    for (what, text) in &cases {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(*what, |b| {
            b.iter(|| koodrive::wanted(black_box(text.as_bytes())).is_ok());
        });
    }
    group.finish();
}

/// What a hot request for 1 KiB costs more where everything is limited: its address, its link, its places,
/// its bytes.
fn limits(c: &mut Criterion) {
    let rule = Rule {
        requests_per_minute: 60_000_000,
        at_once: 100,
        bytes_per_second: 1 << 40,
    };
    let all = RateLimits {
        api_key: rule,
        address: rule,
        link: rule,
        organization: rule,
        ..RateLimits::default()
    };
    let refusing = RateLimits {
        address: Rule {
            requests_per_minute: 1,
            ..Rule::default()
        },
        ..RateLimits::default()
    };
    let (keyring, revocations) = (keyring(), Revocations::default());
    let link = keyring.mint(&grant(Claims::none()), 0, 0).url("");
    let (organization, file, query) = url::split(&link).unwrap();
    let attempt = Attempt {
        organization,
        file,
        query,
    };
    let conditions = Conditions {
        now: NOW.plus(1),
        lifetime_max: 7 * 24 * 3_600,
        not_before_leeway: 0,
        client: None,
        revocations: &revocations,
    };
    let link = keyring.verify(&attempt, &conditions).unwrap();
    let client = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)));
    let mut group = c.benchmark_group("limits");
    for (what, settings) in [
        ("off", RateLimits::default()),
        ("all on", all),
        ("refused", refusing),
    ] {
        let limits = Limits::new(&settings, Arc::new(SystemClock::start()));
        group.bench_function(what, |b| {
            b.iter(|| {
                limits.admit_address(black_box(client)).ok()?;
                limits.admit_link(black_box(&link)).ok()?;
                let admitted = limits.admit_download(&link, client).ok()??;
                Some(admitted.pace()?.spend_at_once(1_024))
            });
        });
    }
    group.finish();
}

criterion_group!(
    benches, sign, verify, target, ranges, headers, forms, json, limits
);
criterion_main!(benches);
