//! What a run leaves behind: every round as it was measured, and a summary of ratios against the goals.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::load::{Measured, float};
use super::process::{Outcome, said};

/// The runs of one day at most.
const RUNS_MAX: u32 = 100;

/// The figures so far.
pub(crate) struct Report {
    folder: PathBuf,
    rounds: File,
    figures: File,
    tables: String,
    goals: Vec<Goal>,
}

/// The middle of several figures, the least and the greatest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// Which way a goal goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

struct Goal {
    what: String,
    bound: Bound,
    unit: &'static str,
    spread: Spread,
}

/// What one server did in the rounds of one case.
pub(crate) struct Rounds {
    pub(crate) server: &'static str,
    pub(crate) measured: Vec<Measured>,
}

impl Spread {
    /// Of these figures, of which there must be one.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let at = |place: usize| figures.get(place).copied().unwrap_or(f64::NAN);
        Self {
            median: at(figures.len() / 2),
            min: at(0),
            max: at(figures.len().saturating_sub(1)),
        }
    }

    /// Of the ratios of figures that were taken in the same rounds.
    pub(crate) fn of_ratios(ours: &[f64], theirs: &[f64]) -> Self {
        Self::of(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs))
    }

    fn text(&self) -> String {
        if self.max.is_nan() {
            return "–".into();
        }
        let digits = if self.median >= 100.0 { 0 } else { 2 };
        let Self { median, min, max } = self;
        format!("{median:.digits$} ({min:.digits$} to {max:.digits$})")
    }
}

impl Rounds {
    /// The server's processor time a request in each round, in microseconds.
    pub(crate) fn cpu(&self) -> Vec<f64> {
        self.measured.iter().map(Measured::cpu_micros).collect()
    }

    /// Its requests a second in each round.
    pub(crate) fn rate(&self) -> Vec<f64> {
        self.measured.iter().map(Measured::rate).collect()
    }

    /// Its 99th percentile in each round, in milliseconds; not a number in one that ended before any
    /// answer did.
    pub(crate) fn p99(&self) -> Vec<f64> {
        let millis = |measured: &Measured| match measured.p99_micros {
            0 => f64::NAN,
            micros => float(micros) / 1e3,
        };
        self.measured.iter().map(millis).collect()
    }
}

impl Report {
    /// A new folder for a run of today below `runs`. One that is there is never written to.
    pub(crate) fn new(runs: &Path) -> Outcome<Self> {
        fs::create_dir_all(runs)?;
        let day = jiff::Zoned::now().strftime("%Y-%m-%d-versus").to_string();
        let names = (1..=RUNS_MAX).map(|run| match run {
            1 => day.clone(),
            _ => format!("{day}-{run}"),
        });
        let mut folders = names.map(|name| runs.join(name));
        let folder = folders.find(|folder| fs::create_dir(folder).is_ok());
        let folder =
            folder.ok_or_else(|| format!("no folder can be made in {}", runs.display()))?;
        let mut rounds = begin(&folder.join("rounds.csv"))?;
        let mut figures = begin(&folder.join("figures.csv"))?;
        writeln!(
            rounds,
            "case,round,server,requests,seconds,cpu_nanos,cpu_micros_per_request,\
             requests_per_second,p50_micros,p99_micros,max_micros"
        )?;
        writeln!(figures, "case,round,what,value,unit")?;
        Ok(Self {
            folder,
            rounds,
            figures,
            tables: String::new(),
            goals: Vec::new(),
        })
    }

    /// Where it is written.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Notes one round.
    pub(crate) fn round(
        &mut self,
        case: &str,
        round: usize,
        server: &str,
        of: &Measured,
    ) -> Outcome<()> {
        let line = format!(
            "{case},{round},\"{server}\",{:.3},{:.6},{},{:.4},{:.2},{},{},{}",
            of.requests,
            of.seconds,
            of.cpu_nanos,
            of.cpu_micros(),
            of.rate(),
            of.p50_micros,
            of.p99_micros,
            of.max_micros
        );
        Ok(writeln!(self.rounds, "{line}")?)
    }

    /// Notes one figure of another kind.
    pub(crate) fn figure(
        &mut self,
        case: &str,
        round: usize,
        what: &str,
        value: f64,
        unit: &str,
    ) -> Outcome<()> {
        Ok(writeln!(
            self.figures,
            "{case},{round},\"{what}\",{value:.6},{unit}"
        )?)
    }

    /// Puts the rounds of a case into the summary, and prints them.
    pub(crate) fn table(&mut self, case: &str, rounds: &[Rounds]) {
        let mut text = format!("\n### {case}\n\n");
        text += "| server | CPU a request, µs | requests a second | p99, ms |\n|---|---|---|---|\n";
        for of in rounds {
            let [cpu, rate, p99] =
                [of.cpu(), of.rate(), of.p99()].map(|all| Spread::of(all).text());
            let _ = writeln!(text, "| {} | {cpu} | {rate} | {p99} |", of.server);
        }
        self.say(&text);
    }

    /// Puts a line of text into the summary, and prints it.
    pub(crate) fn say(&mut self, text: &str) {
        println!("{text}");
        self.tables += text;
        self.tables += "\n";
    }

    /// Holds a figure against its goal.
    pub(crate) fn goal(&mut self, what: &str, bound: Bound, unit: &'static str, spread: Spread) {
        let goal = Goal {
            what: what.to_owned(),
            bound,
            unit,
            spread,
        };
        println!("{}", goal.row());
        self.goals.push(goal);
    }

    /// Writes the summary. Answers whether every goal was met.
    pub(crate) fn finish(&self, machine: &str) -> Outcome<bool> {
        let mut text = String::from("# Hallpass beside nginx and the floor\n\n");
        text += machine;
        text += "\nEvery figure is the median of the rounds, with the least and the greatest behind it; \
                 a ratio is taken inside each round.\n\n## Goals\n\n";
        text += "| what | goal | measured | |\n|---|---|---|---|\n";
        for goal in &self.goals {
            text += &goal.row();
            text += "\n";
        }
        text += "\n## Figures\n";
        text += &self.tables;
        fs::write(self.folder.join("summary.md"), text)?;
        Ok(self.goals.iter().all(Goal::is_met))
    }
}

impl Goal {
    fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtMost(most) => self.spread.median <= most,
            Bound::AtLeast(least) => self.spread.median >= least,
        }
    }

    fn row(&self) -> String {
        let (words, limit) = match self.bound {
            Bound::AtMost(limit) => ("at most", limit),
            Bound::AtLeast(limit) => ("at least", limit),
        };
        let verdict = if self.is_met() { "met" } else { "missed" };
        let (what, unit, measured) = (&self.what, self.unit, self.spread.text());
        format!("| {what} | {words} {limit}{unit} | {measured} | {verdict} |")
    }
}

/// The machine and what ran on it, as lines of a list.
pub(crate) fn machine(rounds: &str, nginx: &str, wrk: &str, load_before: &str) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let line = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let cpu = line(&read("/proc/cpuinfo"), "model name");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = line(&read("/proc/meminfo"), "MemTotal");
    let kernel = read("/proc/sys/kernel/osrelease");
    let load_after = load_average();
    let hallpass = said(Path::new(super::site::HALLPASS), &["--version"]);
    let git = |words: &[&str]| said(Path::new("git"), words);
    let commit = git(&["rev-parse", "--short", "HEAD"]);
    let changed = git(&[
        "status",
        "--porcelain",
        "--",
        "src",
        "benches",
        "Cargo.toml",
        "Cargo.lock",
    ]);
    let changed = if changed.is_empty() {
        ""
    } else {
        ", with changes"
    };
    let rustc = said(Path::new("rustc"), &["--version"]);
    let mut text = String::new();
    for (name, value) in [
        (
            "when",
            jiff::Timestamp::now()
                .strftime("%Y-%m-%dT%H:%M:%SZ")
                .to_string(),
        ),
        ("rounds", rounds.to_owned()),
        (
            "machine",
            format!("{cpu}, {cores} cores, {memory} of memory"),
        ),
        ("kernel", format!("Linux {}", kernel.trim())),
        (
            "load average",
            format!("{load_before} before, {load_after} after"),
        ),
        ("Hallpass", format!("{hallpass}, commit {commit}{changed}")),
        ("compiler", rustc),
        ("nginx", nginx.to_owned()),
        ("wrk", wrk.to_owned()),
    ] {
        let _ = writeln!(text, "- {name}: {value}");
    }
    text
}

/// The load averages of now.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let fields: Vec<&str> = text.split(' ').take(3).collect();
    fields.join(" ")
}

fn begin(path: &Path) -> Outcome<File> {
    Ok(OpenOptions::new()
        .create_new(true)
        .append(true)
        .open(path)?)
}
