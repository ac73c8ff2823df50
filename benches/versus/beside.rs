//! The judgement whether a binary is slower than the one beside it.
//!
//! By processor time, one binary against itself differs by several in a hundred on a machine that others share. So the
//! measured one runs twice, and its ratio to the other one is held against the spread of its ratio to itself.
//! By instructions, which repeat to one or two in a hundred beside other work and better on a quiet machine, the bound is
//! 2 %. They are counted by valgrind, which offers programs no SHA extensions: SHA-256 counts as it costs in software.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;

use super::Bench;
use super::client;
use super::connection::Shape;
use super::load::{Target, float};
use super::process::{Outcome, program};
use super::report::{Bound, Rounds, Spread, label};
use super::servers::Contender;
use super::site::Site;
use super::sites::{AGAIN, BESIDE, HALLPASS, Sites};
use super::spin::Requests;

/// The greatest ratio of a binary's instructions to those of the one beside it.
const INSTRUCTIONS_MAX: f64 = 1.02;
/// The requests whose instructions are counted.
const REQUESTS: u64 = 1_000;
/// The requests before them. What these take, with the start and the end, is counted apart and taken off.
const FIRST_REQUESTS: u64 = 100;

/// A target whose instructions are to be counted.
pub(crate) struct Counted {
    name: &'static str,
    what: &'static str,
    target: Target,
}

/// Holds the rounds of each binary against the other's, where there is another one.
pub(crate) fn judge(bench: &mut Bench, case: &str, rounds: &[Rounds]) {
    let of = |name: &str, what: &str| {
        rounds
            .iter()
            .find(|rounds| rounds.server == name && rounds.what == what)
            .map(Rounds::cpu)
    };
    for ours in rounds.iter().filter(|rounds| rounds.server == HALLPASS) {
        let (Some(again), Some(theirs)) = (of(AGAIN, ours.what), of(BESIDE, ours.what)) else {
            continue;
        };
        let itself = Spread::of_ratios(&again, &ours.cpu());
        let spread = itself.max.max(1.0 / itself.min);
        let spread = (spread * 1e3).ceil() / 1e3;
        let case = label(case, ours.what);
        let medians = [ours.cpu(), again, theirs].map(|cpu| Spread::of(cpu).median);
        let [first, second, other] = medians;
        let ratio = Spread::of([first / other, second / other]);
        let what = format!(
            "{case}: CPU a request, of the binary beside it; of itself {}",
            itself.text()
        );
        bench.report.goal(&what, Bound::AtMost(spread), " ×", ratio);
    }
}

/// Notes what the gateways among these are asked for.
pub(crate) fn counted(contenders: &[Contender<'_>]) -> Vec<Counted> {
    let ours = contenders
        .iter()
        .filter(|one| [HALLPASS, BESIDE].contains(&one.name));
    let noted = ours.map(|one| Counted {
        name: one.name,
        what: one.what,
        target: one.target.clone(),
    });
    noted.collect()
}

/// Counts the instructions of a request, where that is wanted, and holds those of each binary against the other's. No gateway may
/// run on these installations meanwhile.
pub(crate) fn count(
    bench: &mut Bench,
    sites: Option<&Sites>,
    case: &str,
    targets: &[Counted],
    shape: Shape,
) -> Outcome<()> {
    if !bench.counts_instructions {
        return Ok(());
    }
    let mut counts = Vec::new();
    for of in targets {
        let site = sites.unwrap_or(&bench.sites).of(of.name);
        let first = instructions(bench, site, &of.target, shape, FIRST_REQUESTS)?;
        let all = instructions(bench, site, &of.target, shape, FIRST_REQUESTS + REQUESTS)?;
        let each = float(all.saturating_sub(first)) / float(REQUESTS);
        counts.push((of, each));
    }
    for (of, each) in &counts {
        let what = format!("{}: instructions a request", label(of.name, of.what));
        bench.report.figure(case, 1, &what, *each, "instructions")?;
        bench.report.say(&format!("{case}, {what}: {each:.0}"));
    }
    for (ours, each) in counts.iter().filter(|(of, _)| of.name == HALLPASS) {
        let theirs = counts
            .iter()
            .find(|(of, _)| of.name == BESIDE && of.what == ours.what);
        if let Some((_, other)) = theirs {
            let case = label(case, ours.what);
            let what = format!("{case}: instructions a request, of the binary beside it");
            let ratio = Spread::of([each / other]);
            bench
                .report
                .goal(&what, Bound::AtMost(INSTRUCTIONS_MAX), " ×", ratio);
        }
    }
    Ok(())
}

/// The instructions of a gateway from its start to its end, with so many requests over one connection between.
fn instructions(
    bench: &Bench,
    site: &Site,
    target: &Target,
    shape: Shape,
    requests: u64,
) -> Outcome<u64> {
    let log = bench.disk.join("callgrind.log");
    let words = [
        "--tool=callgrind".to_owned(),
        "--callgrind-out-file=/dev/null".to_owned(),
        format!("--log-file={}", log.display()),
    ];
    let words = words.map(OsString::from);
    let valgrind = program("valgrind", "valgrind")?;
    let (running, at) = site.serve_under(&valgrind, &words)?;
    ask(at, target, shape, requests)?;
    running.stop()?;
    let text = fs::read_to_string(&log)?;
    // callgrind(1) ends its log with `==PID== Collected : NUMBER`.
    let collected = text.lines().find_map(|line| {
        let (_, number) = line.split_once("Collected :")?;
        number.trim().parse().ok()
    });
    Ok(collected.ok_or_else(|| format!("valgrind counted nothing: {text}"))?)
}

/// Sends so many requests, one after the other, and checks every answer.
fn ask(at: SocketAddr, target: &Target, shape: Shape, requests: u64) -> Outcome<()> {
    use std::io::Write as _;
    let mut next = Requests::new(target, at, 1);
    let mut stream = client::connect(at)?;
    for _ in 0..requests {
        stream.write_all(next.next())?;
        let reply = client::Reply::read(&stream)?;
        let is_good = reply.status == shape.status
            && shape.length.is_none_or(|length| length == reply.length);
        if !is_good {
            return Err(format!("status {} while instructions are counted", reply.status).into());
        }
    }
    Ok(())
}
