//! The slowest answers, with and without a crowd beside the load.

use std::time::Duration;

use super::{GIB, KIB};
use crate::Bench;
use crate::client::Request;
use crate::crowd::{SlowReaders, idle};
use crate::load::{Client, Measured, Target, Turn, float};
use crate::process::{Core, Outcome, pause};
use crate::report::{Bound, Rounds, Spread, TurnNote};
use crate::servers::{self, Expected};
use crate::sites::HALLPASS;

const IDLE: usize = 5_000;
const SLOW: usize = 200;
const CASE: &str = "tail";
/// Slow readers need time on the client's core, too, which one that never sleeps would not leave them.
const CLIENT: Client = Client::Wrk;
/// How long a round is at least: the crowd takes its share of the first second.
const TIME_MIN: Duration = Duration::from_secs(3);

/// GETs of 64 KiB, in turns alone and beside the crowd.
pub(super) fn run(bench: &mut Bench) -> Outcome<()> {
    bench.sites.add("get-64k", 64 * KIB)?;
    bench.sites.add("range", GIB)?;
    let (running, at) = bench.sites.main.serve(Core::Server)?;
    let link = bench.sites.main.mint(at, "get-64k")?;
    let large = Request::get(bench.sites.main.mint(at, "range")?);
    let file = bench.sites.main.file("get-64k")?.clone();
    let target = Target::get(&link);
    let expected = Expected::Whole(&file);
    let reply = servers::check(HALLPASS, at, &target.sample(), expected, None)?;
    let mut rounds = ["alone", "beside the crowd"].map(|server| Rounds {
        server,
        what: "",
        measured: Vec::new(),
    });
    for round in 0..=bench.rounds {
        for rounds in &mut rounds {
            let crowded = rounds.server != "alone";
            let (idle_count, slow_count) = if crowded { (IDLE, SLOW) } else { (0, 0) };
            let connections = idle(at, &target.sample(), idle_count)?;
            let slow = SlowReaders::start(at, &large, slow_count)?;
            pause(Duration::from_millis(500));
            let turn = Turn {
                server: &running,
                at,
                tls: None,
                target: &target,
                shape: expected.shape(),
                answer_bytes: reply.head.len() as u64 + reply.length,
                client: CLIENT,
                time: if round == 0 {
                    TIME_MIN
                } else {
                    bench.time.max(TIME_MIN)
                },
                seed: round as u64,
            };
            let measured = bench.load.run(&turn)?;
            let taken = float(slow.taken());
            if crowded && taken == 0.0 {
                return Err("the slow readers read nothing".into());
            }
            if round > 0 {
                note(bench, round, rounds.server, &measured, taken)?;
                rounds.measured.push(measured);
            }
            drop((connections, slow));
            pause(Duration::from_secs(1));
        }
    }
    bench.report.table(CASE, CLIENT, &rounds);
    let [alone, crowded] = &rounds;
    let ratio = Spread::of_ratios(&crowded.p99(), &alone.p99());
    let what = format!("tail: p99 beside {IDLE} idle and {SLOW} slow connections, of p99 without");
    bench.report.goal(&what, Bound::AtMost(2.0), " ×", ratio);
    Ok(())
}

fn note(
    bench: &mut Bench,
    round: usize,
    label: &str,
    measured: &Measured,
    taken: f64,
) -> Outcome<()> {
    let turn = TurnNote {
        case: CASE,
        round,
        client: CLIENT,
        label,
        counts: true,
        measured,
    };
    bench.report.turn(&turn, &bench.load.machine)?;
    if taken > 0.0 {
        let what = "bytes that slow readers took";
        bench.report.figure(CASE, round, what, taken, "B")?;
    }
    Ok(())
}
