//! Latency in an open loop, at half of the rate that the slower of Hallpass and nginx reaches alone.

use super::KIB;
use super::get::least;
use crate::Bench;
use crate::beside;
use crate::load::{Client, Target, float};
use crate::nginx::{self, Nginx};
use crate::process::Outcome;
use crate::report::{Bound, Rounds, Spread};
use crate::servers::{self, Expected, Match, Peers, alternate};
use crate::sites::HALLPASS;

const CASE: &str = "latency";
/// The file of the small GET.
const FILE: &str = "get-1k";

pub(super) fn run(bench: &mut Bench) -> Outcome<()> {
    bench.sites.add(FILE, KIB)?;
    let gateways = bench.sites.start(&bench.identity)?;
    let ours = bench.sites.line_up(&gateways, "", |site, at| {
        Ok(Target::get(&site.mint(at, FILE)?))
    })?;
    let file = bench.sites.main.file(FILE)?.clone();
    let expected = Expected::Whole(&file);
    let [first, ..] = ours.as_slice() else {
        return Err("no gateway".into());
    };
    let target = first.target.clone();
    let like = servers::check(HALLPASS, first.at, &target.sample(), expected, None)?;
    let theirs = Target::get(&nginx::link(FILE));
    let peers = Peers::of_nginx(bench, &theirs, &like)?
        .with_floor(bench, &like, FILE)?
        .with_bare(bench, &like, FILE, false)?;
    let mut contenders = ours;
    contenders.extend(peers.line_up(&theirs, &target, false));
    let of = |client| Match {
        case: CASE,
        client,
        expected,
        tls: None,
    };
    let rounds = std::mem::replace(&mut bench.rounds, 1);
    let alone = alternate(bench, of(Client::Saturating), &contenders);
    bench.rounds = rounds;
    let rate = half_of_the_slower(&alone?);
    let what = "rate of the open loop";
    bench
        .report
        .figure(CASE, 1, what, float(rate), "requests a second")?;
    let rounds = alternate(bench, of(Client::OpenLoop { rate }), &contenders)?;
    judge(bench, &rounds);
    beside::judge(bench, CASE, &rounds);
    Ok(())
}

/// Half of the requests a second that the slower one of Hallpass and nginx at its best reaches.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A rate is small and positive.
fn half_of_the_slower(alone: &[Rounds]) -> u64 {
    let rate = |rounds: &Rounds| Spread::of(rounds.rate()).median;
    let of = |name: &str| alone.iter().find(|rounds| rounds.server == name).map(rate);
    let nginx = Nginx::ALL.iter().filter_map(|how| of(how.name));
    let nginx = nginx.max_by(f64::total_cmp).unwrap_or(f64::INFINITY);
    let slower = of(HALLPASS).unwrap_or(f64::INFINITY).min(nginx);
    (slower / 2.0).max(1.0) as u64
}

fn judge(bench: &mut Bench, rounds: &[Rounds]) {
    let of = |name: &str| rounds.iter().find(|rounds| rounds.server == name);
    let nginx = Nginx::ALL.iter().filter_map(|how| of(how.name));
    let Some(ours) = of(HALLPASS) else { return };
    if let Some(theirs) = least(nginx.map(Rounds::p99)) {
        let ratio = Spread::of_ratios(&ours.p99(), &theirs);
        let what = "latency: p99 at half load, of nginx's best setting";
        bench.report.goal(what, Bound::AtMost(1.2), " ×", ratio);
    }
}
