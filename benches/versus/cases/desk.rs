//! How soon `hallpass share` prints the link of a large file that lies on the disk.

use std::fs::File;
use std::time::Instant;

use super::GIB;
use crate::Bench;
use crate::process::{Core, Outcome, Running, launcher};
use crate::report::{Bound, Spread};

const CASE: &str = "desk";
/// The length of the file. It is sparse.
const SIZE: u64 = 20 * GIB;
/// The longest that its link may take, in milliseconds.
const MILLIS_MAX: f64 = 100.0;

/// From the start of the process to its link.
pub(super) fn run(bench: &mut Bench) -> Outcome<()> {
    let path = bench.disk.join("holiday video.mp4");
    File::create(&path)?.set_len(SIZE)?;
    let mut times = Vec::new();
    for round in 1..=bench.rounds {
        let mut share = launcher(Core::Any, &bench.binary)?;
        share.args(["share", "--listen", "127.0.0.1:0"]).arg(&path);
        let started = Instant::now();
        let (running, line) = Running::start_and_listen(&mut share)?;
        let millis = started.elapsed().as_secs_f64() * 1e3;
        if !line.starts_with("http://") {
            return Err(format!("no link was printed: {line}").into());
        }
        running.stop()?;
        bench
            .report
            .figure(CASE, round, "start to the link", millis, "ms")?;
        times.push(millis);
    }
    let spread = Spread::of(times);
    let what = "desk: to the link of a sparse file of 20 GiB";
    bench
        .report
        .goal(what, Bound::AtMost(MILLIS_MAX), " ms", spread);
    Ok(())
}
