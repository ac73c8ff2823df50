//! A client that never sleeps: one thread that asks its sockets again and again. No server pays to wake it, so that servers
//! of every speed are compared in one regime.
//!
//! It works in two ways. In a closed loop each connection sends its next request as soon as the last one is answered, which
//! saturates the server. In an open loop requests are sent at a constant rate, whatever the server does, and their
//! latency counts from the moment at which each was to be sent: a server that stalls cannot hide it by slowing the
//! client down. Beside other clients on its core it may sleep in that loop until something is due.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::ClientConfig;

use super::connection::{BODY_BYTES_AT_ONCE, Connection, Shape};
use super::load::{Target, float};
use super::process::Outcome;

/// The time in which the last answers of an open loop must come in.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections that are open, and what they ask for.
pub(crate) struct Spin {
    connections: Vec<Connection>,
    requests: Requests,
    shape: Shape,
    scratch: Vec<u8>,
    sleeps: bool,
}

/// The answers of a loop.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Answers that came whole.
    pub(crate) answers: u64,
    /// Bytes that came, of heads and bodies, those of answers that were under way at the end too.
    pub(crate) bytes: u64,
    /// The time it took.
    pub(crate) seconds: f64,
    /// The latency of each answer, in nanoseconds, 4 s at most.
    latencies: Vec<u32>,
}

/// Percentiles of latencies, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latencies {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

/// The requests of a target, one after the other.
pub(crate) struct Requests {
    target: Target,
    /// The head of the request that never changes, or what follows the request line.
    fixed: String,
    next: String,
    /// The state of a xorshift generator.
    random: u64,
}

impl Spin {
    /// Opens the connections.
    pub(crate) fn open(
        at: SocketAddr,
        tls: Option<&Arc<ClientConfig>>,
        connections: usize,
        requests: Requests,
        shape: Shape,
    ) -> Outcome<Self> {
        let open = |_| Connection::open(at, tls);
        Ok(Self {
            connections: (0..connections).map(open).collect::<Outcome<_>>()?,
            requests,
            shape,
            scratch: vec![0; BODY_BYTES_AT_ONCE],
            sleeps: false,
        })
    }

    /// Sleeps in the open loop until a request is due or an answer comes in.
    pub(crate) fn sleeping(mut self) -> Self {
        self.sleeps = true;
        self
    }

    /// Sends on every connection as soon as its last answer is whole, for so long.
    pub(crate) fn saturate(&mut self, time: Duration) -> Outcome<Tally> {
        let started = Instant::now();
        let mut now = started;
        for connection in &mut self.connections {
            connection.send(self.requests.next(), now)?;
        }
        let mut tally = Tally::default();
        while now < started + time {
            for connection in &mut self.connections {
                let received = connection.receive(&self.shape, &mut self.scratch)?;
                tally.bytes += received.bytes;
                if received.is_whole {
                    now = Instant::now();
                    tally.answered(now - connection.since());
                    connection.send(self.requests.next(), now)?;
                }
            }
            now = Instant::now();
        }
        tally.seconds = (now - started).as_secs_f64();
        Ok(tally)
    }

    /// Sends so many requests a second for so long, each on a connection that is free, and waits for all answers. Where
    /// none is free, requests wait, and their time runs.
    pub(crate) fn pace(&mut self, rate: u64, time: Duration) -> Outcome<Tally> {
        let total = (float(rate) * time.as_secs_f64()).round().max(1.0);
        let started = Instant::now();
        let due = |number: u64| started + Duration::from_nanos(number * 1_000_000_000 / rate);
        let mut tally = Tally::default();
        let mut free: VecDeque<usize> = (0..self.connections.len()).collect();
        let mut busy: Vec<usize> = Vec::new();
        let mut sent = 0;
        while float(tally.answers) < total {
            let now = Instant::now();
            if now > started + time + PATIENCE {
                return Err("answers are missing long after all requests were due".into());
            }
            while float(sent) < total && due(sent) <= now {
                let Some(place) = free.pop_front() else { break };
                if let Some(connection) = self.connections.get_mut(place) {
                    connection.send(self.requests.next(), due(sent))?;
                }
                busy.push(place);
                sent += 1;
            }
            let mut next = 0;
            while let Some(place) = busy.get(next).copied() {
                let Some(connection) = self.connections.get_mut(place) else {
                    return Err("no such connection".into());
                };
                let received = connection.receive(&self.shape, &mut self.scratch)?;
                tally.bytes += received.bytes;
                if received.is_whole {
                    tally.answered(connection.since().elapsed());
                    busy.swap_remove(next);
                    free.push_back(place);
                } else {
                    next += 1;
                }
            }
            if self.sleeps && float(tally.answers) < total {
                let is_all_sent = float(sent) >= total;
                let may_send = !is_all_sent && !free.is_empty();
                self.sleep(&busy, may_send.then(|| due(sent)))?;
            }
        }
        tally.seconds = started.elapsed().as_secs_f64();
        Ok(tally)
    }

    /// Waits until one of these connections can be read, or until then, 100 ms at most.
    fn sleep(&self, busy: &[usize], until: Option<Instant>) -> Outcome<()> {
        let longest = Duration::from_millis(100);
        let left = until.map_or(longest, |until| {
            until.saturating_duration_since(Instant::now()).min(longest)
        });
        let mut waited_for: Vec<PollFd<'_>> = busy
            .iter()
            .filter_map(|place| self.connections.get(*place))
            .map(|connection| PollFd::from_borrowed_fd(connection.descriptor(), PollFlags::IN))
            .collect();
        let left = Timespec::try_from(left)?;
        poll(&mut waited_for, Some(&left))?;
        Ok(())
    }
}

impl Tally {
    fn answered(&mut self, took: Duration) {
        self.answers += 1;
        let nanos = u32::try_from(took.as_nanos());
        self.latencies.push(nanos.unwrap_or(u32::MAX));
    }

    /// Returns the percentiles; they are not numbers where no answer came whole.
    pub(crate) fn latencies(mut self) -> Latencies {
        self.latencies.sort_unstable();
        let count = self.latencies.len();
        let at = |per_mille: usize| {
            let place = (count * per_mille).div_ceil(1_000).max(1) - 1;
            let nanos = self.latencies.get(place);
            nanos.map_or(f64::NAN, |nanos| f64::from(*nanos) / 1e3)
        };
        Latencies {
            p50: at(500),
            p99: at(990),
            p999: at(999),
            max: at(1_000),
        }
    }
}

impl Requests {
    /// Begins the requests of this target. Equal seeds give equal requests.
    pub(crate) fn new(target: &Target, at: SocketAddr, seed: u64) -> Self {
        let fixed = match target {
            Target::Same(request) => {
                request.head(at, request.body.len() as u64) + request.body.as_str()
            }
            Target::Any(_) | Target::Ranges { .. } => format!(" HTTP/1.1\r\nHost: {at}\r\n"),
        };
        Self {
            target: target.clone(),
            fixed,
            next: String::new(),
            random: 0x9e37_79b9_7f4a_7c15 ^ seed.wrapping_mul(0xbf58_476d_1ce4_e5b9),
        }
    }

    /// Writes the next one.
    pub(crate) fn next(&mut self) -> &[u8] {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        match &self.target {
            Target::Same(_) => return self.fixed.as_bytes(),
            Target::Any(targets) => {
                let count = targets.len().max(1) as u64;
                let place = usize::try_from(self.random % count).unwrap_or_default();
                let target = targets.get(place).map_or("/", String::as_str);
                self.next.clear();
                for part in ["GET ", target, &self.fixed, "\r\n"] {
                    self.next.push_str(part);
                }
            }
            Target::Ranges {
                target,
                span,
                length,
            } => {
                let first = self.random % (span - length + 1);
                let last = first + length - 1;
                self.next.clear();
                let _ = write!(
                    self.next,
                    "GET {target}{}Range: bytes={first}-{last}\r\n\r\n",
                    self.fixed
                );
            }
        }
        self.next.as_bytes()
    }
}
