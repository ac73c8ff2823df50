//! Signed GETs, beside nginx, the floor, and hyper alone.

use std::sync::Arc;

use rustls::ClientConfig;

use super::{GIB, KIB, MIB};
use crate::Bench;
use crate::beside;
use crate::load::{Client, Target};
use crate::nginx::{self, Nginx};
use crate::process::Outcome;
use crate::report::{Bound, Rounds, Spread};
use crate::servers::{self, BARE, Expected, FLOOR, Match, Peers, alternate};
use crate::sites::HALLPASS;

/// Up to this size Hallpass sends a file from memory, and hyper alone stands beside it.
const FROM_MEMORY_MAX: u64 = 16 * KIB;

/// The goals of one case under one client.
#[derive(Clone, Copy, Default)]
pub(super) struct Goals {
    pub(super) cpu_of_nginx: Option<f64>,
    pub(super) cpu_of_usual_nginx: Option<f64>,
    pub(super) cpu_of_floor: Option<f64>,
    pub(super) cpu_of_bare: Option<f64>,
    pub(super) rate_of_nginx: Option<f64>,
}

pub(super) fn kib_1(bench: &mut Bench) -> Outcome<()> {
    let saturated = Goals {
        cpu_of_nginx: Some(0.85),
        cpu_of_bare: Some(1.45),
        ..Goals::default()
    };
    let by_wrk = Goals {
        cpu_of_nginx: Some(0.75),
        ..Goals::default()
    };
    let clients = [(Client::Saturating, saturated), (Client::Wrk, by_wrk)];
    whole(bench, "get-1k", KIB, &clients)
}

pub(super) fn kib_16(bench: &mut Bench) -> Outcome<()> {
    let goals = Goals {
        cpu_of_nginx: Some(1.0),
        ..Goals::default()
    };
    whole(bench, "get-16k", 16 * KIB, &[(Client::Saturating, goals)])
}

pub(super) fn kib_64(bench: &mut Bench) -> Outcome<()> {
    let goals = Goals {
        cpu_of_nginx: Some(0.95),
        cpu_of_floor: Some(1.45),
        ..Goals::default()
    };
    whole(bench, "get-64k", 64 * KIB, &[(Client::Saturating, goals)])
}

pub(super) fn mib_1(bench: &mut Bench) -> Outcome<()> {
    let goals = Goals {
        rate_of_nginx: Some(1.0),
        cpu_of_floor: Some(1.10),
        ..Goals::default()
    };
    whole(bench, "get-1m", MIB, &[(Client::Saturating, goals)])
}

pub(super) fn mib_64(bench: &mut Bench) -> Outcome<()> {
    let goals = Goals {
        rate_of_nginx: Some(1.0),
        cpu_of_floor: Some(1.0),
        ..Goals::default()
    };
    whole(bench, "get-64m", 64 * MIB, &[(Client::Saturating, goals)])
}

/// GETs of one whole file, loaded by each of these clients.
fn whole(
    bench: &mut Bench,
    case: &'static str,
    size: u64,
    clients: &[(Client, Goals)],
) -> Outcome<()> {
    bench.sites.add(case, size)?;
    let gateways = bench.sites.start(&bench.identity)?;
    let ours = bench.sites.line_up(&gateways, "", |site, at| {
        Ok(Target::get(&site.mint(at, case)?))
    })?;
    let file = bench.sites.main.file(case)?.clone();
    let expected = Expected::Whole(&file);
    let [first, ..] = ours.as_slice() else {
        return Err("no gateway".into());
    };
    let target = first.target.clone();
    let like = servers::check(HALLPASS, first.at, &target.sample(), expected, None)?;
    let theirs = Target::get(&nginx::link(case));
    let mut peers = Peers::of_nginx(bench, &theirs, &like)?.with_floor(bench, &like, case)?;
    if size <= FROM_MEMORY_MAX {
        peers = peers.with_bare(bench, &like, case, false)?;
    }
    let counted = beside::counted(&ours);
    let mut contenders = ours;
    contenders.extend(peers.line_up(&theirs, &target, false));
    for (client, goals) in clients {
        let of = Match {
            case,
            client: *client,
            expected,
            tls: None,
        };
        let rounds = alternate(bench, of, &contenders)?;
        let case = match client {
            Client::Wrk => format!("{case}, wrk"),
            Client::Saturating | Client::OpenLoop { .. } => case.to_owned(),
        };
        judge(bench, &case, &rounds, goals);
        beside::judge(bench, &case, &rounds);
    }
    drop(contenders);
    drop((gateways, peers));
    beside::count(bench, None, case, &counted, expected.shape())
}

/// GETs of a part somewhere in a large file.
pub(super) fn range(bench: &mut Bench) -> Outcome<()> {
    let (case, length) = ("range", 64 * KIB);
    let span = if bench.is_quick { 64 * MIB } else { GIB };
    bench.sites.add(case, span)?;
    let gateways = bench.sites.start(&bench.identity)?;
    let ranges = |target: String| Target::Ranges {
        target,
        span,
        length,
    };
    let ours = bench
        .sites
        .line_up(&gateways, "", |site, at| Ok(ranges(site.mint(at, case)?)))?;
    let file = bench.sites.main.file(case)?.clone();
    let [first, ..] = ours.as_slice() else {
        return Err("no gateway".into());
    };
    // All of it once, so that every byte was looked at and is in memory.
    let all = Target::get(&bench.sites.main.mint(first.at, case)?);
    servers::check(
        HALLPASS,
        first.at,
        &all.sample(),
        Expected::Whole(&file),
        None,
    )?;
    let target = first.target.clone();
    let expected = Expected::Part(length);
    let like = servers::check(HALLPASS, first.at, &target.sample(), expected, None)?;
    let theirs = ranges(nginx::link(case));
    let peers = Peers::of_nginx(bench, &theirs, &like)?.with_floor(bench, &like, case)?;
    let counted = beside::counted(&ours);
    let mut contenders = ours;
    contenders.extend(peers.line_up(&theirs, &target, false));
    let of = Match {
        case,
        client: Client::Saturating,
        expected,
        tls: None,
    };
    let rounds = alternate(bench, of, &contenders)?;
    for most in [1.05, 0.90] {
        let goals = Goals {
            cpu_of_nginx: Some(most),
            ..Goals::default()
        };
        judge(bench, case, &rounds, &goals);
    }
    beside::judge(bench, case, &rounds);
    drop(contenders);
    drop((gateways, peers));
    beside::count(bench, None, case, &counted, expected.shape())
}

/// GETs of whole files over TLS, one version and one cipher suite.
pub(super) fn https(bench: &mut Bench) -> Outcome<()> {
    for (case, size, most) in [
        ("https-1k", KIB, 0.85),
        ("https-64k", 64 * KIB, 0.70),
        ("https-1m", MIB, 0.70),
    ] {
        https_of(bench, case, size, most)?;
    }
    Ok(())
}

fn https_of(bench: &mut Bench, case: &'static str, size: u64, most: f64) -> Outcome<()> {
    bench.sites.add(case, size)?;
    let tls: Arc<ClientConfig> = Arc::clone(&bench.identity.client);
    let gateways = bench.sites.start(&bench.identity)?;
    let mut ours = bench.sites.line_up(&gateways, "", |site, at| {
        Ok(Target::get(&site.mint(at, case)?))
    })?;
    for (one, gateway) in ours.iter_mut().zip(&gateways) {
        one.at = gateway.tls_at;
    }
    let file = bench.sites.main.file(case)?.clone();
    let expected = Expected::Whole(&file);
    let [first, ..] = ours.as_slice() else {
        return Err("no gateway".into());
    };
    let target = first.target.clone();
    let like = servers::check(HALLPASS, first.at, &target.sample(), expected, Some(&tls))?;
    let theirs = Target::get(&nginx::link(case));
    let mut peers = Peers::of_nginx(bench, &theirs, &like)?;
    if size <= FROM_MEMORY_MAX {
        peers = peers.with_bare(bench, &like, case, true)?;
    }
    let mut contenders = ours;
    contenders.extend(peers.line_up(&theirs, &target, true));
    let of = Match {
        case,
        client: Client::Saturating,
        expected,
        tls: Some(&tls),
    };
    let rounds = alternate(bench, of, &contenders)?;
    let goals = Goals {
        cpu_of_nginx: Some(most),
        ..Goals::default()
    };
    judge(bench, case, &rounds, &goals);
    beside::judge(bench, case, &rounds);
    Ok(())
}

/// Holds the measured binary's rounds against those of its peers.
pub(super) fn judge(bench: &mut Bench, case: &str, rounds: &[Rounds], goals: &Goals) {
    let of = |name: &str| rounds.iter().find(|rounds| rounds.server == name);
    let nginx = || Nginx::ALL.iter().filter_map(|how| of(how.name));
    let Some(ours) = of(HALLPASS) else { return };
    let mut goal = |what: &str, bound: Bound, ours: &[f64], theirs: &[f64]| {
        let what = format!("{case}: {what}");
        let ratio = Spread::of_ratios(ours, theirs);
        bench.report.goal(&what, bound, " ×", ratio);
    };
    let cpu_goals = [
        (
            "nginx's best setting",
            goals.cpu_of_nginx,
            least(nginx().map(Rounds::cpu)),
        ),
        (
            Nginx::USUAL.name,
            goals.cpu_of_usual_nginx,
            of(Nginx::USUAL.name).map(Rounds::cpu),
        ),
        ("the floor", goals.cpu_of_floor, of(FLOOR).map(Rounds::cpu)),
        ("hyper alone", goals.cpu_of_bare, of(BARE).map(Rounds::cpu)),
    ];
    for (whose, most, theirs) in cpu_goals {
        if let (Some(most), Some(theirs)) = (most, theirs) {
            let what = format!("CPU a request, of {whose}");
            goal(&what, Bound::AtMost(most), &ours.cpu(), &theirs);
        }
    }
    let faster = nginx()
        .map(Rounds::rate)
        .max_by(|a, b| median(a).total_cmp(&median(b)));
    if let (Some(least), Some(theirs)) = (goals.rate_of_nginx, faster) {
        let what = "requests a second, of nginx's best setting";
        goal(what, Bound::AtLeast(least), &ours.rate(), &theirs);
    }
}

/// Returns the figures whose median is the least.
pub(super) fn least(all: impl Iterator<Item = Vec<f64>>) -> Option<Vec<f64>> {
    all.min_by(|a, b| median(a).total_cmp(&median(b)))
}

fn median(figures: &[f64]) -> f64 {
    Spread::of(figures.iter().copied()).median
}
