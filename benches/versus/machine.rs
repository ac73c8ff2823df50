//! The machine while it measures: what its cores did, who used them, and what it can do.

use std::fs;
use std::time::Instant;

use super::load::float;
use super::process::{Cores, CpuTime, Outcome, Running, TICK_NANOS};

/// The greatest share of a core that others may use in a turn; a turn with more is repeated.
pub(crate) const FOREIGN_MAX: f64 = 0.12;

/// A description of the machine, which every row of the raw data repeats.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// The processor's name.
    pub(crate) model: String,
    /// True if the processor hashes SHA-256 in hardware.
    pub(crate) has_sha_ni: bool,
    /// True if it does AES in hardware.
    pub(crate) has_aes: bool,
    /// The congestion control of new TCP connections.
    pub(crate) congestion_control: String,
    cores: Cores,
}

/// The processor time that cores and processes used up to one moment.
pub(crate) struct Sample {
    at: Instant,
    /// Time in which the server's core and the client's were busy, in nanoseconds.
    busy: [u64; 2],
    server: CpuTime,
    server_switches: u64,
    /// Processor time of this process and of those that it waited for.
    client_nanos: u64,
}

/// The conditions between two samples: utilisation, context switches, foreign load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    /// The server's processor time, in nanoseconds.
    pub(crate) cpu_nanos: u64,
    /// Context switches of the server's threads.
    pub(crate) switches: u64,
    /// The share of the time in which the server's core was busy.
    pub(crate) server_core: f64,
    /// The share of the time in which the client's core was busy.
    pub(crate) client_core: f64,
    /// The foreign load: the time of both cores that neither the server nor the client used, as a share of one core.
    pub(crate) foreign: f64,
}

impl Machine {
    /// Looks at this machine. The calling thread must not be bound to a core yet.
    pub(crate) fn new() -> Outcome<Self> {
        let cpu = fs::read_to_string("/proc/cpuinfo")?;
        let value = |name: &str| {
            let line = cpu.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(':'));
            value.map_or("", |(_, value)| value.trim())
        };
        let has = |flag: &str| value("flags").split(' ').any(|word| word == flag);
        let control = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control")?;
        Ok(Self {
            model: value("model name").to_owned(),
            has_sha_ni: has("sha_ni"),
            has_aes: has("aes"),
            congestion_control: control.trim().to_owned(),
            cores: Cores::of_this_thread()?,
        })
    }

    /// Takes a sample for this server.
    pub(crate) fn sample(&self, server: &Running) -> Outcome<Sample> {
        let stat = fs::read_to_string("/proc/stat")?;
        Ok(Sample {
            at: Instant::now(),
            busy: [
                busy_nanos(&stat, self.cores.server)?,
                busy_nanos(&stat, self.cores.client)?,
            ],
            server: server.cpu_time()?,
            server_switches: server.switches()?,
            client_nanos: own_nanos()?,
        })
    }
}

impl Sample {
    /// Returns the conditions since an earlier sample of the same server.
    pub(crate) fn since(&self, earlier: &Self) -> Conditions {
        let nanos = (self.at - earlier.at).as_secs_f64() * 1e9;
        let [server_busy, client_busy] = [0, 1].map(|core: usize| {
            let at = |sample: &Self| sample.busy.get(core).copied().unwrap_or_default();
            float(at(self).saturating_sub(at(earlier))) / nanos
        });
        let cpu_nanos = self.server.since(&earlier.server);
        let known = cpu_nanos + self.client_nanos.saturating_sub(earlier.client_nanos);
        Conditions {
            cpu_nanos,
            switches: self.server_switches.saturating_sub(earlier.server_switches),
            server_core: server_busy,
            client_core: client_busy,
            foreign: (server_busy + client_busy - float(known) / nanos).max(0.0),
        }
    }
}

impl Conditions {
    /// Returns whether the foreign load is more than a turn may bear.
    pub(crate) fn is_disturbed(&self) -> bool {
        self.foreign > FOREIGN_MAX
    }
}

/// The time in which a core was not idle: what programs, the kernel, interrupts and other virtual machines
/// took (`proc(5)`, `/proc/stat`).
fn busy_nanos(stat: &str, core: usize) -> Outcome<u64> {
    let name = format!("cpu{core}");
    let line = stat
        .lines()
        .find_map(|line| line.strip_prefix(name.as_str())?.strip_prefix(' '));
    let line = line.ok_or("a core is missing in /proc/stat")?;
    let ticks: Vec<u64> = line
        .split_ascii_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [user, nice, system, _, _, interrupts, soft, stolen, ..] = ticks.as_slice() else {
        return Err("/proc/stat has too few columns".into());
    };
    Ok((user + nice + system + interrupts + soft + stolen) * TICK_NANOS)
}

/// The processor time of this process, with that of the processes it waited for (`proc(5)`, fields 14 to 17
/// of `/proc/PID/stat`).
fn own_nanos() -> Outcome<u64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("/proc/self/stat")?;
    let times = fields.split_ascii_whitespace().skip(11).take(4);
    let ticks = times.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(ticks * TICK_NANOS)
}
