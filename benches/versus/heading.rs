//! The head of a summary: the machine, and what ran on it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::machine::Machine;
use super::process::said;

/// The tools, binaries and loads that a run was made with.
pub(crate) struct Ran<'a> {
    pub(crate) rounds: &'a str,
    pub(crate) nginx: &'a str,
    pub(crate) wrk: &'a str,
    pub(crate) load_before: &'a str,
    pub(crate) binary: &'a Path,
    pub(crate) beside: Option<&'a Path>,
}

/// The machine and what ran on it, as lines of a list.
pub(crate) fn heading(machine: &Machine, ran: &Ran<'_>) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = read("/proc/meminfo");
    let memory = memory.lines().next().and_then(|line| line.split_once(':'));
    let memory = memory.map_or("", |(_, value)| value.trim());
    let has = |has: bool| if has { "yes" } else { "no" };
    let when = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "- {name}: {value}");
    };
    line("when", when.to_string());
    line("rounds", ran.rounds.to_owned());
    line(
        "machine",
        format!("{}, {cores} cores, {memory} of memory", machine.model),
    );
    let (sha, aes) = (has(machine.has_sha_ni), has(machine.has_aes));
    line("processor flags", format!("sha_ni {sha}, aes {aes}"));
    line(
        "kernel",
        format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
    );
    line("congestion control", machine.congestion_control.clone());
    line(
        "load average",
        format!("{} before, {} after", ran.load_before, load_average()),
    );
    line("Hallpass", binary(ran.binary));
    if let Some(beside) = ran.beside {
        line("beside it", binary(beside));
    }
    line("the benches", format!("commit {}", commit()));
    line("compiler", said(Path::new("rustc"), &["--version"]));
    line("nginx", ran.nginx.to_owned());
    line("wrk", ran.wrk.to_owned());
    text
}

/// Returns a binary's version, its length, and its SHA-256, by which it is told from others.
fn binary(path: &Path) -> String {
    let version = said(path, &["--version"]);
    let bytes = fs::read(path).unwrap_or_default();
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    let hex: String = digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    format!("{version}, {} bytes, SHA-256 {hex}", bytes.len())
}

fn commit() -> String {
    let git = |words: &[&str]| said(Path::new("git"), words);
    let commit = git(&["rev-parse", "--short", "HEAD"]);
    let paths = ["src", "benches", "Cargo.toml", "Cargo.lock"];
    let changed = git(&[&["status", "--porcelain", "--"][..], &paths].concat());
    let changed = if changed.is_empty() {
        ""
    } else {
        ", with changes"
    };
    format!("{commit}{changed}")
}

/// The load averages of now.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let fields: Vec<&str> = text.split(' ').take(3).collect();
    fields.join(" ")
}
