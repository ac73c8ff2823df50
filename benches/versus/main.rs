//! Hallpass beside nginx and beside a server that does nothing but what the kernel asks for.
//!
//! `cargo bench --bench versus -- [--quick] [CASE…]` starts the real binary, nginx with `secure_link`
//! (both settings of `tcp_nopush`, with and without files kept open), the floor (`floor.rs`) and, for small
//! files, hyper alone (`bare.rs`), each on the first core, loads them in
//! turns with `wrk` from the second, and holds the ratios against our goals. `--list` names the cases;
//! without any, all are run, which takes about 30 minutes. The bytes of every server are compared before anything is measured.
//!
//! It needs Linux, two cores, 16 GB of free disk, `wrk` and nginx (Debian: `apt-get install wrk nginx-light`), and a
//! quiet machine: ratios bear some noise, as they are taken inside each round, but not any. Every run
//! leaves a folder of its own in `benches/runs/`, with each round as it was measured and a summary. With
//! `--quick` rounds are short and few, the folder is in cargo's target directory, and the figures show that everything
//! works, and nothing else. A missed goal is exit code 1, but not with `--quick`.
//!
//! Only loopback is used, and ports that are free. Ctrl-C ends all that was started and removes the files.
#![allow(clippy::unwrap_used, clippy::expect_used)] // In `million.rs`: what fails there has failed.

mod bare;
mod cases;
mod client;
mod crowd;
mod floor;
mod load;
#[path = "../support/million.rs"]
#[allow(dead_code, reason = "the ids of the files are for another bench")]
mod million;
mod process;
mod report;
mod servers;
mod site;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use cases::Case;
use load::Load;
use process::{Outcome, end_all, pause, raise_open_files, said};
use report::Report;
use site::Site;

/// Where memory is a file system.
const TMPFS: &str = "/dev/shm";

/// What the cases work with.
pub(crate) struct Bench {
    /// Whether it is only shown that everything works.
    quick: bool,
    /// How often everyone has a turn, besides the one that warms up.
    rounds: usize,
    /// How long a turn is.
    time: Duration,
    /// A directory on the disk.
    disk: PathBuf,
    /// A directory in memory.
    memory: PathBuf,
    load: Load,
    site: Site,
    report: Report,
}

/// What was typed.
struct Words {
    quick: bool,
    cases: Vec<&'static Case>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((first, rest)) if first == process::LAUNCH => return process::launch(rest),
        Some((first, rest)) if first == floor::FLOOR => return floor::run(rest),
        Some((first, rest)) if first == bare::BARE => return bare::run(rest),
        _ => {}
    }
    let words = match Words::read(&words) {
        Ok(words) => words,
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::from(2);
        }
    };
    if words.cases.is_empty() {
        for case in &cases::ALL {
            println!("{:<10}{}", case.name, case.about);
        }
        return ExitCode::SUCCESS;
    }
    let quick = words.quick;
    match run_until_stopped(words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) if quick => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("versus: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Words {
    fn read(words: &[String]) -> Result<Self, String> {
        let mut read = Self {
            quick: false,
            cases: Vec::new(),
        };
        let mut is_list = false;
        for word in words {
            match word.as_str() {
                "--bench" => {} // From cargo.
                "--quick" => read.quick = true,
                "--list" => is_list = true,
                name => {
                    let case = cases::ALL.iter().find(|case| case.name == name);
                    let unknown = || format!("no case {name:?}: `--list` shows those there are");
                    read.cases.push(case.ok_or_else(unknown)?);
                }
            }
        }
        if read.cases.is_empty() && !is_list {
            read.cases = cases::ALL.iter().collect();
        }
        Ok(read)
    }
}

/// Runs the cases in a thread of their own, and leaves nothing behind: neither when they end, however
/// they do, nor when a signal comes. Answers whether every goal was met.
fn run_until_stopped(words: Words) -> Outcome<bool> {
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
            let _ = tell.send(run(&words, disk, memory));
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

fn run(words: &Words, disk: PathBuf, memory: PathBuf) -> Outcome<bool> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let runs = if words.quick {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("runs")
    } else {
        manifest.join("benches/runs")
    };
    raise_open_files()?;
    let load = Load::new(&disk)?;
    let nginx = said(&servers::nginx()?, &["-v"]);
    let wrk = load.version();
    let mut bench = Bench {
        quick: words.quick,
        rounds: if words.quick { 3 } else { 5 },
        time: Duration::from_secs(if words.quick { 1 } else { 3 }),
        site: Site::new(&disk)?,
        disk,
        memory,
        load,
        report: Report::new(&runs)?,
    };
    let load_before = report::load_average();
    for case in &words.cases {
        println!("\n== {}: {}", case.name, case.about);
        (case.run)(&mut bench).map_err(|error| format!("{}: {error}", case.name))?;
    }
    let mut rounds = format!("{} of {} s each", bench.rounds, bench.time.as_secs());
    if bench.quick {
        rounds += ", only to see that everything works: the figures mean nothing";
    }
    let machine = report::machine(&rounds, &nginx, &wrk, &load_before);
    let met = bench.report.finish(&machine)?;
    println!("\nwritten: {}", bench.report.folder().display());
    Ok(met)
}
