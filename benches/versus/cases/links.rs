//! Minting, beside our own small GET.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Instant;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;

use super::KIB;
use crate::Bench;
use crate::beside;
use crate::client::Request;
use crate::load::{Client, Target};
use crate::process::Outcome;
use crate::report::{Bound, Rounds, Spread};
use crate::servers::{Expected, Match, alternate};
use crate::site::Site;
use crate::sites::HALLPASS;

const CASE: &str = "mint";
/// The links that one call of the KooDrive API makes.
const BATCH: usize = 100;

/// The cost of the links of a batch besides their hashes, at most, in microseconds.
const BATCH_MICROS_MAX: f64 = 50.0;
/// The hashes that are timed together.
const HASHES: u32 = 200_000;

/// One link a call, and a hundred a call, in turns with GETs of 1 KiB from the same server.
pub(super) fn mint(bench: &mut Bench) -> Outcome<()> {
    bench.sites.add("get-1k", KIB)?;
    let many = bench.sites.add_many("many", 1_000)?;
    let gateways = bench.sites.start(&bench.identity)?;
    let sites = &bench.sites;
    let mut contenders = sites.line_up(&gateways, "GET of 1 KiB", |site, at| {
        Ok(Target::get(&site.mint(at, "get-1k")?))
    })?;
    contenders.extend(sites.line_up(&gateways, "mint", |site, _| {
        let file = &site.file("get-1k")?.id;
        let target = format!("/v1/organizations/org_default/files/{file}/content");
        Ok(Target::Same(Request {
            headers: vec![site.key_header()],
            ..Request::get(target)
        }))
    })?);
    contenders.extend(sites.line_up(&gateways, "mint of 100", |site, at| {
        let ids = many.iter().take(BATCH);
        let ids: Vec<&str> = ids
            .map(|name| Ok(site.file(name)?.id.as_str()))
            .collect::<Outcome<_>>()?;
        let batch = batch(site, &ids);
        expect_links(&batch, at)?;
        Ok(Target::Same(batch))
    })?);
    let counted = beside::counted(&contenders);
    let of = Match {
        case: CASE,
        client: Client::Saturating,
        expected: Expected::Good,
        tls: None,
    };
    let rounds = alternate(bench, of, &contenders)?;
    judge(bench, &rounds)?;
    beside::judge(bench, CASE, &rounds);
    drop(contenders);
    drop(gateways);
    beside::count(bench, None, CASE, &counted, Expected::Good.shape())
}

fn judge(bench: &mut Bench, rounds: &[Rounds]) -> Outcome<()> {
    let ours = |what: &str| {
        let mut all = rounds.iter();
        let ours = all.find(|rounds| rounds.server == HALLPASS && rounds.what == what);
        ours.map(Rounds::cpu).ok_or("a contender is missing")
    };
    let ratio = Spread::of_ratios(&ours("mint")?, &ours("GET of 1 KiB")?);
    let what = "mint: CPU a call, of our own GET of 1 KiB";
    bench.report.goal(what, Bound::AtMost(1.2), " ×", ratio);
    let hash = hash_micros()?;
    bench.report.figure(CASE, 1, "one hash", hash, "µs")?;
    let most = BATCH_MICROS_MAX + 100.0 * hash;
    let what = format!("mint: CPU a call for 100 links (100 hashes of {hash:.2} µs, and 50 µs)");
    let spread = Spread::of(ours("mint of 100")?);
    bench.report.goal(&what, Bound::AtMost(most), " µs", spread);
    Ok(())
}

/// Returns the time of an HMAC-SHA256 over a message as long as a link's, with the key taken in, in microseconds, as
/// the least of five.
fn hash_micros() -> Outcome<f64> {
    let message = [b'm'; 128];
    let keyed = Hmac::<Sha256>::new_from_slice(&[7; 32])?;
    let mut micros = Vec::new();
    for _ in 0..5 {
        let started = Instant::now();
        for _ in 0..HASHES {
            let mut mac = keyed.clone();
            mac.update(black_box(&message));
            black_box(mac.finalize());
        }
        micros.push(started.elapsed().as_secs_f64() * 1e6 / f64::from(HASHES));
    }
    Ok(Spread::of(micros).min)
}

/// An error unless the call answers with as many links as it should.
fn expect_links(batch: &Request, at: SocketAddr) -> Outcome<()> {
    let reply = batch.expect(at, 200)?;
    let answer: serde_json::Value = serde_json::from_slice(&reply.body)?;
    let links = answer.get("downloads").and_then(|links| links.as_array());
    let made = links
        .into_iter()
        .flatten()
        .filter(|link| link.get("url").is_some());
    if made.count() == BATCH {
        Ok(())
    } else {
        Err("the batch call made fewer links than were asked for".into())
    }
}

fn batch(site: &Site, ids: &[&str]) -> Request {
    let date = jiff::Timestamp::now()
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string();
    Request {
        method: "POST",
        target: "/koodrive/ose/v1/files/download".into(),
        headers: vec![
            site.bearer_header(),
            ("X-User-Id", "1505084218764547200".into()),
            ("X-Date", date),
            ("Content-Type", "application/json".into()),
        ],
        body: json!({ "containerId": "space_default", "fileIds": ids }).to_string(),
    }
}
