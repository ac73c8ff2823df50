//! Load by `wrk`, and what it and the kernel say of it.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::client::Request;
use super::process::{Core, Outcome, Running, launcher, program};

/// How many connections `wrk` has, all in one thread.
const CONNECTIONS: u32 = 32;

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// One request, again and again.
    Same(Request),
    /// GETs of these, each time another one.
    Any(Vec<String>),
    /// GETs of `length` bytes at a random place among the first `span` of this.
    Ranges {
        /// The request target.
        target: String,
        /// Where ranges end at the latest.
        span: u64,
        /// How long each is.
        length: u64,
    },
}

/// The tool and where its scripts are.
pub(crate) struct Load {
    wrk: PathBuf,
    directory: PathBuf,
}

/// What one round came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Answers.
    pub(crate) requests: f64,
    /// How long it took, in seconds.
    pub(crate) seconds: f64,
    /// The server's processor time, in nanoseconds.
    pub(crate) cpu_nanos: u64,
    /// Half of the answers came in this time, in microseconds.
    pub(crate) p50_micros: u64,
    /// All but one in a hundred came in this time.
    pub(crate) p99_micros: u64,
    /// All came in this time.
    pub(crate) max_micros: u64,
}

impl Measured {
    /// The server's processor time a request, in microseconds.
    pub(crate) fn cpu_micros(&self) -> f64 {
        float(self.cpu_nanos) / 1e3 / self.requests
    }

    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests / self.seconds
    }
}

impl Load {
    /// With scripts in this directory. An error if there is no `wrk`.
    pub(crate) fn new(directory: &Path) -> Outcome<Self> {
        let directory = directory.to_owned();
        fs::write(directory.join("load.lua"), include_str!("load.lua"))?;
        let wrk = program("wrk", "wrk")?;
        Ok(Self { wrk, directory })
    }

    /// What the tool says of itself.
    pub(crate) fn version(&self) -> String {
        let said = super::process::said(&self.wrk, &["-v"]);
        said.lines().next().unwrap_or_default().to_owned()
    }

    /// Loads a server for so long. Every answer must be good. They are counted by the bytes that came where
    /// it is said how long an answer is, head and body, so that one that is on its way at the end counts
    /// in part.
    pub(crate) fn run(
        &self,
        server: &Running,
        at: SocketAddr,
        target: &Target,
        answer_bytes: Option<u64>,
        time: Duration,
    ) -> Outcome<Measured> {
        let table = self.directory.join("target.lua");
        fs::write(&table, target.table())?;
        let mut command = launcher(Core::Load, &self.wrk)?;
        command
            .env("VERSUS_TARGET", &table)
            .args(["-t1", &format!("-c{CONNECTIONS}"), "--timeout", "30s"])
            .arg(format!("-d{}s", time.as_secs().max(1)))
            .arg("-s")
            .arg(self.directory.join("load.lua"))
            .arg(format!("http://{at}"))
            .stdout(Stdio::piped());
        let before = server.cpu_time()?;
        let said = Running::start(&mut command)?.output()?;
        let cpu_nanos = server.cpu_time()?.since(&before);
        let value = |name: &str| -> Outcome<u64> {
            let words = said.lines().find_map(|line| line.strip_prefix("versus "));
            let mut pairs = words.into_iter().flat_map(|words| words.split(' '));
            let value = pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            Ok(value.ok_or_else(|| format!("wrk said: {said}"))?.parse()?)
        };
        if value("failed")? > 0 || value("bytes")? == 0 {
            return Err(format!("answers were missing or bad: {said}").into());
        }
        let requests = match answer_bytes {
            Some(bytes) => float(value("bytes")?) / float(bytes),
            None => float(value("requests")?),
        };
        Ok(Measured {
            requests,
            seconds: float(value("micros")?) / 1e6,
            cpu_nanos,
            p50_micros: value("p50")?,
            p99_micros: value("p99")?,
            max_micros: value("max")?,
        })
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
                for target in targets {
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
