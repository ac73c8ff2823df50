//! The slowest answers, with and without a crowd beside the load.

use std::time::Duration;

use super::{GIB, KIB};
use crate::Bench;
use crate::client::Request;
use crate::crowd::{SlowReaders, idle};
use crate::load::{Target, float};
use crate::process::{Core, Outcome, pause};
use crate::report::{Bound, Rounds, Spread};
use crate::servers::{self, Expected};

const IDLE: usize = 5_000;
const SLOW: usize = 200;
const CASE: &str = "tail";
/// How long a round is at least: the crowd takes its share of the first second.
const TIME_MIN: Duration = Duration::from_secs(3);

/// GETs of 64 KiB, in turns alone and beside the crowd.
pub(super) fn run(bench: &mut Bench) -> Outcome<()> {
    bench.site.add("get-64k", 64 * KIB)?;
    bench.site.add("range", GIB)?;
    let (running, at) = bench.site.serve(Core::Server)?;
    let link = bench.site.mint(at, "get-64k")?;
    let large = Request::get(bench.site.mint(at, "range")?);
    let file = bench.site.file("get-64k")?.clone();
    let target = Target::get(&link);
    servers::check(
        servers::HALLPASS,
        at,
        &target.sample(),
        Expected::Whole(&file),
    )?;
    let mut rounds = ["alone", "beside the crowd"].map(|server| Rounds {
        server,
        measured: Vec::new(),
    });
    for round in 0..=bench.rounds {
        for rounds in &mut rounds {
            let crowded = rounds.server != "alone";
            let (idle_count, slow_count) = if crowded { (IDLE, SLOW) } else { (0, 0) };
            let connections = idle(at, &target.sample(), idle_count)?;
            let slow = SlowReaders::start(at, &large, slow_count)?;
            pause(Duration::from_millis(500));
            let time = if round == 0 {
                TIME_MIN
            } else {
                bench.time.max(TIME_MIN)
            };
            let measured = bench.load.run(&running, at, &target, None, time)?;
            let taken = float(slow.taken());
            if crowded && taken == 0.0 {
                return Err("the slow readers read nothing".into());
            }
            if round > 0 {
                bench.report.round(CASE, round, rounds.server, &measured)?;
                if crowded {
                    bench
                        .report
                        .figure(CASE, round, "bytes that slow readers took", taken, "B")?;
                }
                rounds.measured.push(measured);
            }
            drop((connections, slow));
            pause(Duration::from_secs(1));
        }
    }
    bench.report.table(CASE, &rounds);
    let [alone, crowded] = &rounds;
    let ratio = Spread::of_ratios(&crowded.p99(), &alone.p99());
    let what = format!("tail: p99 beside {IDLE} idle and {SLOW} slow connections, of p99 without");
    bench.report.goal(&what, Bound::AtMost(2.0), " ×", ratio);
    Ok(())
}
