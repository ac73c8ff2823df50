//! One turn of a server under load, by one of three clients, and what the clients and the kernel say of it.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use super::client::Request;
use super::connection::Shape;
use super::machine::{Conditions, Machine};
use super::process::{Core, Outcome, Running, launcher, pin, program};
use super::spin::{Latencies, Requests, Spin};

/// The connections of a client that saturates, all in one thread.
const CONNECTIONS: usize = 32;
/// The connections of a client that keeps a rate.
const PACED_CONNECTIONS: usize = 64;
/// From this length on, an answer that is on its way when the time is up counts in part.
const PARTS_COUNT_FROM: u64 = 256 * 1024;

/// A load generator. Figures compare under one of these only.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Client {
    /// One that never sleeps, and sends again as soon as it has its answer.
    Saturating,
    /// One that never sleeps, and sends so many requests a second, whatever the server does.
    OpenLoop {
        /// Requests a second.
        rate: u64,
    },
    /// `wrk`, which sleeps where the server is slower than it.
    Wrk,
}

/// A kind of requests.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// One request, again and again.
    Same(Request),
    /// GETs of these, each time another one.
    Any(Arc<[String]>),
    /// GETs of `length` bytes at a random place among the first `span` of this.
    Ranges {
        /// The request target.
        target: String,
        /// The end of the bytes that ranges are taken from.
        span: u64,
        /// The length of each range.
        length: u64,
    },
}

/// A turn: one server under one load for a time.
pub(crate) struct Turn<'a> {
    pub(crate) server: &'a Running,
    pub(crate) at: SocketAddr,
    /// The configuration of TLS, if any is spoken.
    pub(crate) tls: Option<&'a Arc<ClientConfig>>,
    pub(crate) target: &'a Target,
    /// The status and the length that every answer must have.
    pub(crate) shape: Shape,
    /// The length of an answer, head and body.
    pub(crate) answer_bytes: u64,
    pub(crate) client: Client,
    pub(crate) time: Duration,
    /// The seed of the requests: equal seeds give equal requests.
    pub(crate) seed: u64,
}

/// The clients, where their scripts are, and the machine that they run on.
pub(crate) struct Load {
    wrk: PathBuf,
    directory: PathBuf,
    pub(crate) machine: Machine,
}

/// The figures of one turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Answers; of long ones that were on their way at the end, the part that came.
    pub(crate) requests: f64,
    /// Bytes of them, heads included.
    pub(crate) bytes: u64,
    /// The length of an answer, head and body.
    pub(crate) answer_bytes: u64,
    /// The time it took, in seconds.
    pub(crate) seconds: f64,
    pub(crate) latencies: Latencies,
    pub(crate) conditions: Conditions,
}

impl Client {
    /// Its name in the raw data.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Saturating => "saturating",
            Self::OpenLoop { .. } => "open loop",
            Self::Wrk => "wrk",
        }
    }

    /// Returns the words above its figures.
    pub(crate) fn heading(self) -> String {
        match self {
            Self::Saturating => "saturated by a client that never sleeps".into(),
            Self::OpenLoop { rate } => {
                format!("open loop, {rate} requests a second over {PACED_CONNECTIONS} connections")
            }
            Self::Wrk => "loaded by wrk".into(),
        }
    }
}

impl Measured {
    /// The server's processor time a request, in microseconds.
    pub(crate) fn cpu_micros(&self) -> f64 {
        float(self.conditions.cpu_nanos) / 1e3 / self.requests
    }

    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests / self.seconds
    }

    /// Context switches of the server's threads a request.
    pub(crate) fn switches(&self) -> f64 {
        float(self.conditions.switches) / self.requests
    }
}

impl Load {
    /// Prepares the load generators, with scripts in this directory. An error if there is no `wrk`.
    pub(crate) fn new(directory: &Path) -> Outcome<Self> {
        let directory = directory.to_owned();
        fs::write(directory.join("load.lua"), include_str!("load.lua"))?;
        let wrk = program("wrk", "wrk")?;
        Ok(Self {
            wrk,
            directory,
            machine: Machine::new()?,
        })
    }

    /// Returns the version of `wrk`.
    pub(crate) fn version(&self) -> String {
        let said = super::process::said(&self.wrk, &["-v"]);
        said.lines().next().unwrap_or_default().to_owned()
    }

    /// Loads a server for one turn. Every answer must be good.
    pub(crate) fn run(&self, turn: &Turn<'_>) -> Outcome<Measured> {
        match turn.client {
            Client::Wrk => self.by_wrk(turn),
            Client::Saturating | Client::OpenLoop { .. } => std::thread::scope(|scope| {
                let spinning = scope.spawn(|| {
                    pin(1)?;
                    self.by_spin(turn)
                });
                spinning.join().map_err(|_| "the client panicked")?
            }),
        }
    }

    fn by_spin(&self, turn: &Turn<'_>) -> Outcome<Measured> {
        let connections = match turn.client {
            Client::OpenLoop { .. } => PACED_CONNECTIONS,
            Client::Saturating | Client::Wrk => CONNECTIONS,
        };
        let requests = Requests::new(turn.target, turn.at, turn.seed);
        let mut spin = Spin::open(turn.at, turn.tls, connections, requests, turn.shape)?;
        let before = self.machine.sample(turn.server)?;
        let tally = match turn.client {
            Client::OpenLoop { rate } => spin.pace(rate, turn.time)?,
            Client::Saturating | Client::Wrk => spin.saturate(turn.time)?,
        };
        let conditions = self.machine.sample(turn.server)?.since(&before);
        if tally.bytes == 0 {
            return Err("nothing was answered".into());
        }
        Ok(Measured {
            requests: turn.requests(tally.answers, tally.bytes),
            bytes: tally.bytes,
            answer_bytes: turn.answer_bytes,
            seconds: tally.seconds,
            latencies: tally.latencies(),
            conditions,
        })
    }

    fn by_wrk(&self, turn: &Turn<'_>) -> Outcome<Measured> {
        let table = self.directory.join("target.lua");
        fs::write(&table, turn.target.table())?;
        let mut command = launcher(Core::Load, &self.wrk)?;
        command
            .env("VERSUS_TARGET", &table)
            .args(["-t1", &format!("-c{CONNECTIONS}"), "--timeout", "30s"])
            .arg(format!("-d{}s", turn.time.as_secs().max(1)))
            .arg("-s")
            .arg(self.directory.join("load.lua"))
            .arg(format!("http://{}", turn.at))
            .stdout(Stdio::piped());
        let before = self.machine.sample(turn.server)?;
        let said = Running::start(&mut command)?.output()?;
        let conditions = self.machine.sample(turn.server)?.since(&before);
        let value = |name: &str| -> Outcome<u64> {
            let words = said.lines().find_map(|line| line.strip_prefix("versus "));
            let mut pairs = words.into_iter().flat_map(|words| words.split(' '));
            let value = pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            Ok(value.ok_or_else(|| format!("wrk said: {said}"))?.parse()?)
        };
        let micros = |name: &str| -> Outcome<f64> {
            Ok(match value(name)? {
                0 => f64::NAN, // The turn ended before any answer did.
                micros => float(micros),
            })
        };
        if value("failed")? > 0 || value("bytes")? == 0 {
            return Err(format!("answers were missing or bad: {said}").into());
        }
        Ok(Measured {
            requests: turn.requests(value("requests")?, value("bytes")?),
            bytes: value("bytes")?,
            answer_bytes: turn.answer_bytes,
            seconds: float(value("micros")?) / 1e6,
            latencies: Latencies {
                p50: micros("p50")?,
                p99: micros("p99")?,
                p999: micros("p999")?,
                max: micros("max")?,
            },
            conditions,
        })
    }
}

impl Turn<'_> {
    /// Returns the number of answers; where one is so long that a part of it counts, by their bytes.
    fn requests(&self, answers: u64, bytes: u64) -> f64 {
        if self.answer_bytes < PARTS_COUNT_FROM {
            float(answers)
        } else {
            float(bytes) / float(self.answer_bytes)
        }
    }
}

impl Target {
    /// A GET of this, again and again.
    pub(crate) fn get(target: &str) -> Self {
        Self::Same(Request::get(target))
    }

    /// A request of this kind, to look at the answer first.
    pub(crate) fn sample(&self) -> Request {
        match self {
            Self::Same(request) => request.clone(),
            Self::Any(targets) => Request::get(targets.first().cloned().unwrap_or_default()),
            Self::Ranges {
                target,
                span,
                length,
            } => {
                let last = format!("bytes={}-{}", span - length, span - 1);
                Request {
                    headers: vec![("Range", last)],
                    ..Request::get(target)
                }
            }
        }
    }

    /// It as the Lua table that `load.lua` reads.
    fn table(&self) -> String {
        let sample = self.sample();
        let mut text = format!("return {{ method = {:?}, headers = {{", sample.method());
        for (name, value) in &sample.headers {
            let _ = write!(text, " [{}] = {},", lua(name), lua(value));
        }
        text += " },\n";
        if !sample.body.is_empty() {
            let _ = writeln!(text, "body = {},", lua(&sample.body));
        }
        match self {
            Self::Any(targets) => {
                text += "paths = {\n";
                for target in targets.iter() {
                    let _ = writeln!(text, "{},", lua(target));
                }
                text += "},\n";
            }
            Self::Ranges { span, length, .. } => {
                let _ = writeln!(text, "span = {span}, length = {length},");
            }
            Self::Same(_) => {}
        }
        let _ = writeln!(text, "path = {} }}", lua(&sample.target));
        text
    }
}

/// A text of printable ASCII as Lua writes it.
fn lua(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// As a number that is divided; what is counted here stays far below 2^53.
#[allow(clippy::cast_precision_loss)]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}
