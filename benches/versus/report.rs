//! What a run leaves behind: every round as it was measured, and a summary of ratios against the goals.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::load::{Client, Measured};
use super::machine::Machine;
use super::process::Outcome;
use super::spin::Latencies;
pub(crate) use super::spread::Spread;

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

/// Which way a goal goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// One turn as it is noted.
pub(crate) struct TurnNote<'a> {
    pub(crate) case: &'a str,
    pub(crate) round: usize,
    pub(crate) client: Client,
    pub(crate) label: &'a str,
    /// True if it counts; else it was disturbed, and is repeated.
    pub(crate) counts: bool,
    pub(crate) measured: &'a Measured,
}

struct Goal {
    what: String,
    bound: Bound,
    unit: &'static str,
    spread: Spread,
}

/// The figures of one contender in the rounds of one case.
pub(crate) struct Rounds {
    pub(crate) server: &'static str,
    /// The kind of its requests, where that differs inside the case.
    pub(crate) what: &'static str,
    pub(crate) measured: Vec<Measured>,
}

impl Rounds {
    /// A figure of each round.
    pub(crate) fn each(&self, figure: impl Fn(&Measured) -> f64) -> Vec<f64> {
        self.measured.iter().map(figure).collect()
    }

    /// The server's processor time a request in each round, in microseconds.
    pub(crate) fn cpu(&self) -> Vec<f64> {
        self.each(Measured::cpu_micros)
    }

    /// Its requests a second in each round.
    pub(crate) fn rate(&self) -> Vec<f64> {
        self.each(Measured::rate)
    }

    /// Its 99th percentile in each round, in microseconds; not a number in one that ended before any
    /// answer did.
    pub(crate) fn p99(&self) -> Vec<f64> {
        self.each(|measured| measured.latencies.p99)
    }

    /// Its name, and what was asked of it.
    pub(crate) fn label(&self) -> String {
        label(self.server, self.what)
    }
}

/// A contender's name in tables and in the raw data.
pub(crate) fn label(server: &str, what: &str) -> String {
    if what.is_empty() {
        server.to_owned()
    } else {
        format!("{server}: {what}")
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
            "case,round,client,server,counts,requests,bytes,answer_bytes,seconds,cpu_nanos,cpu_micros_per_request,\
             requests_per_second,p50_micros,p99_micros,p999_micros,max_micros,switches_per_request,\
             server_core_busy,client_core_busy,foreign_share,cpu_model,sha_ni,congestion_control"
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

    /// Notes one turn, whether it counts or is repeated.
    pub(crate) fn turn(&mut self, turn: &TurnNote<'_>, machine: &Machine) -> Outcome<()> {
        let of = turn.measured;
        let (latencies, conditions) = (of.latencies, of.conditions);
        let mut line = format!(
            "{},{},{},\"{}\",{}",
            turn.case,
            turn.round,
            turn.client.name(),
            turn.label,
            turn.counts
        );
        let _ = write!(
            line,
            ",{:.3},{},{},{:.6},{},{:.4},{:.2}",
            of.requests,
            of.bytes,
            of.answer_bytes,
            of.seconds,
            conditions.cpu_nanos,
            of.cpu_micros(),
            of.rate()
        );
        let Latencies {
            p50,
            p99,
            p999,
            max,
        } = latencies;
        let _ = write!(line, ",{p50:.1},{p99:.1},{p999:.1},{max:.1}");
        let _ = write!(
            line,
            ",{:.4},{:.3},{:.3},{:.3},\"{}\",{},{}",
            of.switches(),
            conditions.server_core,
            conditions.client_core,
            conditions.foreign,
            machine.model,
            machine.has_sha_ni,
            machine.congestion_control
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
    pub(crate) fn table(&mut self, case: &str, client: Client, rounds: &[Rounds]) {
        let mut text = format!("\n### {case}, {}\n\n", client.heading());
        text += "| server | CPU a request, µs | requests a second | p50, µs | p99, µs | p99.9, µs | switches a request \
                 | cores busy, server and client | foreign |\n|---|---|---|---|---|---|---|---|---|\n";
        for of in rounds {
            let spread = |figure: fn(&Measured) -> f64| Spread::of(of.each(figure));
            let columns = [
                spread(Measured::cpu_micros),
                spread(Measured::rate),
                spread(|of| of.latencies.p50),
                spread(|of| of.latencies.p99),
                spread(|of| of.latencies.p999),
            ];
            let _ = write!(text, "| {}", of.label());
            for column in columns {
                let _ = write!(text, " | {}", column.text());
            }
            let median = |figure| spread(figure).median;
            let _ = writeln!(
                text,
                " | {:.2} | {:.2}, {:.2} | {:.2} |",
                median(Measured::switches),
                median(|of| of.conditions.server_core),
                median(|of| of.conditions.client_core),
                median(|of| of.conditions.foreign)
            );
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
        text += "- cores: a round counts where others used at most 12 % of one core, or where three repetitions did not help; \
                 the raw data has both cores' use, foreign load and context switches of every turn\n";
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

fn begin(path: &Path) -> Outcome<File> {
    Ok(OpenOptions::new()
        .create_new(true)
        .append(true)
        .open(path)?)
}
