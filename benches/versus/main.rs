//! Hallpass beside nginx and beside a server that does nothing but what the kernel asks for.
//!
//! `cargo bench --bench versus -- [OPTION…] [CASE…]` starts the real binary, nginx with `secure_link`
//! (both settings of `tcp_nopush`, with and without files kept open), the floor (`floor.rs`) and, for small
//! files, hyper alone (`bare.rs`), each on the first core, loads them in
//! turns from the second, and holds the ratios against our goals. `--list` names the cases;
//! without any, those are run that need no asking for, which takes about an hour. The bytes of every server are compared before
//! anything is measured, and the status and length of every answer are checked while it is.
//!
//! Figures compare inside one regime only. The client that saturates never sleeps (`spin.rs`): where a client sleeps, a
//! server pays to wake it, and a faster server sleeps itself. `wrk` does sleep; it is the other regime of the small GET. Latency
//! is measured in an open loop. Every turn is noted with what both cores did; one in which others used
//! more than 12 % of a core is repeated, three times at most.
//!
//! | option | |
//! |---|---|
//! | `--quick` | short rounds: whether everything works; the figures mean nothing, and a missed goal is no failure |
//! | `--binary PATH` | measures this binary of Hallpass; else the one that cargo built |
//! | `--beside PATH` | another binary, with an installation of its own, joins; the measured one runs twice; ten rounds |
//! | `--instructions` | counts the instructions of 1,000 requests with valgrind, for each binary |
//! | `--no-peers` | without nginx, the floor and hyper alone |
//!
//! `readers`, `tail`, `start`, `desk` and `upload` measure one binary alone; `start` fills its catalogue with the library that the bench
//! is built with, and so wants a binary of the same schema.
//!
//! It needs Linux, two cores, 16 GB of free disk, `wrk` and nginx (Debian: `apt-get install wrk nginx-light`; for `--instructions`
//! valgrind), and a quiet machine: ratios bear some noise, as they are taken inside each round, but not any. Every run
//! leaves a folder of its own in `benches/runs/`, with each turn as it was measured and a summary; with
//! `--quick` it is in cargo's target directory. A missed goal is exit code 1.
//!
//! Only loopback is used, and ports that are free. Ctrl-C ends all that was started and removes the files.
#![allow(clippy::unwrap_used, clippy::expect_used)] // In `million.rs`: what fails there has failed.

mod bare;
mod beside;
mod cases;
mod client;
mod connection;
mod crowd;
mod floor;
mod heading;
mod links;
mod load;
mod machine;
#[path = "../support/million.rs"]
#[allow(dead_code, reason = "the ids of the files are for another bench")]
mod million;
mod nginx;
mod options;
mod process;
mod report;
mod servers;
#[allow(dead_code, reason = "shared with another bench")]
mod site;
mod sites;
#[allow(dead_code, reason = "shared with another bench")]
mod spin;
mod spread;
mod tls;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use heading::Ran;
use load::Load;
use options::Options;
use process::{Outcome, end_all, pause, raise_open_files, said};
use report::Report;
use sites::Sites;
use tls::Identity;

/// A file system in memory.
const TMPFS: &str = "/dev/shm";

/// The state of a run, which the cases work with.
pub(crate) struct Bench {
    /// True if the run only shows that everything works.
    is_quick: bool,
    /// True if nginx, the floor and hyper alone take part.
    has_peers: bool,
    /// True if instructions are counted.
    counts_instructions: bool,
    /// The binary that is measured.
    binary: PathBuf,
    /// The rounds, besides the one that warms up.
    rounds: usize,
    /// The length of a turn.
    time: Duration,
    /// A directory on the disk.
    disk: PathBuf,
    /// A directory in memory.
    memory: PathBuf,
    load: Load,
    sites: Sites,
    identity: Identity,
    report: Report,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((first, rest)) if first == process::LAUNCH => return process::launch(rest),
        Some((first, rest)) if first == floor::FLOOR => return floor::run(rest),
        Some((first, rest)) if first == bare::BARE => return bare::run(rest),
        _ => {}
    }
    let options = match Options::read(&words) {
        Ok(options) => options,
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::from(2);
        }
    };
    if options.is_list {
        for case in &cases::ALL {
            let asked = if case.is_usual {
                ""
            } else {
                " (only if it is named)"
            };
            println!("{:<10}{}{asked}", case.name, case.about);
        }
        return ExitCode::SUCCESS;
    }
    let is_quick = options.is_quick;
    match run_until_stopped(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) if is_quick => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("versus: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the cases in a thread of their own, and leaves nothing behind: neither when they end, however
/// they do, nor when a signal comes. Answers whether every goal was met.
fn run_until_stopped(options: Options) -> Outcome<bool> {
    let disk = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    let memory = TempDir::new_in(TMPFS)?;
    let places = [disk.path().to_owned(), memory.path().to_owned()];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (tell, told) = oneshot::channel();
        std::thread::spawn(move || {
            let [disk, memory] = places;
            let _ = tell.send(run(&options, disk, memory));
        });
        let stopped = tokio::select! {
            ended = told => return ended?,
            _ = interrupt.recv() => "interrupted",
            _ = terminate.recv() => "terminated",
        };
        end_all();
        // The thread fails at once now that its servers are gone, but may still be making a file.
        pause(Duration::from_millis(200));
        drop((disk, memory));
        eprintln!("versus: {stopped}");
        std::process::exit(130)
    })
}

fn run(options: &Options, disk: PathBuf, memory: PathBuf) -> Outcome<bool> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let runs = if options.is_quick {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("runs")
    } else {
        manifest.join("benches/runs")
    };
    raise_open_files()?;
    let beside = options.beside.as_deref();
    let mut bench = Bench {
        is_quick: options.is_quick,
        has_peers: options.has_peers,
        counts_instructions: options.counts_instructions,
        binary: options.binary.clone(),
        rounds: options.rounds(),
        time: Duration::from_secs(if options.is_quick { 1 } else { 3 }),
        load: Load::new(&disk)?,
        sites: Sites::new(&options.binary, beside, &disk)?,
        identity: Identity::new(&disk)?,
        disk,
        memory,
        report: Report::new(&runs)?,
    };
    let load_before = heading::load_average();
    for case in &options.cases {
        println!("\n== {}: {}", case.name, case.about);
        (case.run)(&mut bench).map_err(|error| format!("{}: {error}", case.name))?;
    }
    let mut rounds = format!("{} of {} s each", bench.rounds, bench.time.as_secs());
    if bench.is_quick {
        rounds += ", only to see that everything works: the figures mean nothing";
    }
    let ran = Ran {
        rounds: &rounds,
        nginx: &said(&nginx::nginx()?, &["-v"]),
        wrk: &bench.load.version(),
        load_before: &load_before,
        binary: &bench.binary,
        beside,
    };
    let met = bench
        .report
        .finish(&heading::heading(&bench.load.machine, &ran))?;
    println!("\nwritten: {}", bench.report.folder().display());
    Ok(met)
}
