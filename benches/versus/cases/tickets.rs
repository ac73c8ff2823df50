//! Bytes by tickets of counted downloads, beside the same bytes by links.

use std::net::SocketAddr;

use super::{GIB, KIB, MIB};
use crate::Bench;
use crate::beside;
use crate::client::Request;
use crate::links::Signer;
use crate::load::{Client, Target};
use crate::process::Outcome;
use crate::report::{Bound, Rounds, Spread};
use crate::servers::{Expected, Match, alternate};
use crate::site::Site;
use crate::sites::HALLPASS;

/// How many times the processor time of a link's GET one of a ticket may take.
const RATIO_MAX: f64 = 1.15;

const BY_LINKS: &str = "by links";
const BY_TICKETS: &str = "by tickets";

/// GETs of 1 KiB: of the first of a large file by one ticket, and of whole files by very many, as a ticket of so small a
/// file gives no more than a thousand.
pub(super) fn run(bench: &mut Bench) -> Outcome<()> {
    one(bench)?;
    many(bench)
}

fn one(bench: &mut Bench) -> Outcome<()> {
    let (case, file) = ("ticket-1k", "range");
    let size = if bench.is_quick { 64 * MIB } else { GIB };
    bench.sites.add(file, size)?;
    let first = |target: String| {
        Target::Same(Request {
            headers: vec![("Range", format!("bytes=0-{}", KIB - 1))],
            ..Request::get(target)
        })
    };
    let gateways = bench.sites.start(&bench.identity)?;
    let sites = &bench.sites;
    let mut contenders = sites.line_up(&gateways, BY_LINKS, |site, at| {
        Ok(first(site.mint(at, file)?))
    })?;
    contenders.extend(sites.line_up(&gateways, BY_TICKETS, |site, at| {
        let tickets = tickets(site, at, file, 1)?;
        let [ticket] = <[String; 1]>::try_from(tickets).map_err(|_| "one ticket")?;
        Ok(first(ticket))
    })?);
    let of = Match {
        case,
        client: Client::Saturating,
        expected: Expected::Part(KIB),
        tls: None,
    };
    let rounds = alternate(bench, of, &contenders)?;
    judge(bench, case, &rounds)?;
    beside::judge(bench, case, &rounds);
    Ok(())
}

fn many(bench: &mut Bench) -> Outcome<()> {
    let (case, file) = ("tickets-1k", "get-1k");
    let count = if bench.is_quick { 400 } else { 2_500 };
    bench.sites.add(file, KIB)?;
    let gateways = bench.sites.start(&bench.identity)?;
    let sites = &bench.sites;
    let served = sites.main.file(file)?.clone();
    let mut contenders = sites.line_up(&gateways, BY_LINKS, |site, _| {
        let (signer, id) = (Signer::new(site)?, &site.file(file)?.id);
        Ok(Target::Any(
            std::iter::repeat_with(|| signer.link("org_default", id))
                .take(count)
                .collect::<Outcome<Vec<_>>>()?
                .into(),
        ))
    })?;
    contenders.extend(sites.line_up(&gateways, BY_TICKETS, |site, at| {
        Ok(Target::Any(tickets(site, at, file, count)?.into()))
    })?);
    let of = Match {
        case,
        client: Client::Saturating,
        expected: Expected::Whole(&served),
        tls: None,
    };
    let rounds = alternate(bench, of, &contenders)?;
    judge(bench, case, &rounds)?;
    beside::judge(bench, case, &rounds);
    Ok(())
}

/// Starts so many downloads of a file, each by a link of its own, and answers their tickets.
fn tickets(site: &Site, at: SocketAddr, file: &str, count: usize) -> Outcome<Vec<String>> {
    let (signer, id) = (Signer::new(site)?, &site.file(file)?.id);
    let port = u64::from(at.port()) << 32;
    let start = |number: u64| {
        let request = Request {
            method: "POST",
            ..Request::get(signer.counted_link(id, port | number)?)
        };
        let reply = request.expect(at, 303)?;
        let head = String::from_utf8(reply.head)?;
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        let place = lines.find(|(name, _)| name.eq_ignore_ascii_case("location"));
        Ok(place.ok_or("a start without a place")?.1.to_owned())
    };
    (0..count as u64).map(start).collect()
}

fn judge(bench: &mut Bench, case: &str, rounds: &[Rounds]) -> Outcome<()> {
    let ours = |what: &str| {
        let mut all = rounds.iter();
        let ours = all.find(|rounds| rounds.server == HALLPASS && rounds.what == what);
        ours.map(Rounds::cpu).ok_or("a contender is missing")
    };
    let ratio = Spread::of_ratios(&ours(BY_TICKETS)?, &ours(BY_LINKS)?);
    let what = format!("{case}: CPU a request by a ticket, of one by a link");
    bench
        .report
        .goal(&what, Bound::AtMost(RATIO_MAX), " ×", ratio);
    Ok(())
}
