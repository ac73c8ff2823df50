//! The servers that stand beside each other: started, looked at, and loaded in turns.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use super::client::{Reply, Request};
use super::connection::Shape;
use super::load::{Client, Target, Turn};
use super::nginx::{self, Nginx};
use super::process::{Outcome, Running};
use super::report::{Rounds, TurnNote, label};
use super::site::Served;
use super::{Bench, bare, floor};

/// The most repetitions of a turn that foreign load disturbed.
const REPEATS_MAX: usize = 3;
/// The length of the turns that warm up.
const WARM_UP: Duration = Duration::from_secs(1);

/// The floor's.
pub(crate) const FLOOR: &str = "floor";
/// The library's.
pub(crate) const BARE: &str = "hyper alone";

/// A server, and what is asked of it.
pub(crate) struct Contender<'a> {
    pub(crate) name: &'static str,
    /// The kind of requests, where that differs inside the case.
    pub(crate) what: &'static str,
    pub(crate) running: &'a Running,
    pub(crate) at: SocketAddr,
    pub(crate) target: Target,
}

/// A kind of answers that is expected.
#[derive(Clone, Copy)]
pub(crate) enum Expected<'a> {
    /// All of a file.
    Whole(&'a Served),
    /// So many bytes of a file, with status 206.
    Part(u64),
    /// Whatever, with status 200.
    Good,
}

/// The rules of a comparison, which hold for all contenders.
#[derive(Clone, Copy)]
pub(crate) struct Match<'a> {
    pub(crate) case: &'a str,
    pub(crate) client: Client,
    pub(crate) expected: Expected<'a>,
    /// The configuration of TLS, if any is spoken.
    pub(crate) tls: Option<&'a Arc<ClientConfig>>,
}

/// The servers that know nothing of Hallpass.
pub(crate) struct Peers {
    nginx: Vec<nginx::Started>,
    plain: Vec<(&'static str, Running, SocketAddr)>,
}

impl Expected<'_> {
    /// Returns the status and the length that clients hold every answer against.
    pub(crate) fn shape(self) -> Shape {
        match self {
            Self::Whole(file) => Shape {
                status: 200,
                length: Some(file.size),
            },
            Self::Part(length) => Shape {
                status: 206,
                length: Some(length),
            },
            Self::Good => Shape {
                status: 200,
                length: None,
            },
        }
    }
}

impl Peers {
    /// None.
    pub(crate) const fn none() -> Self {
        Self {
            nginx: Vec::new(),
            plain: Vec::new(),
        }
    }

    /// Every nginx, with heads as long as that of `like`, the answer of a gateway to the same thing.
    pub(crate) fn of_nginx(bench: &Bench, target: &Target, like: &Reply) -> Outcome<Self> {
        if !bench.has_peers {
            return Ok(Self::none());
        }
        let start = |how| nginx::start_alike(bench, how, &target.sample(), like.head.len());
        Ok(Self {
            nginx: Nginx::ALL.into_iter().map(start).collect::<Outcome<_>>()?,
            plain: Vec::new(),
        })
    }

    /// Adds the floor, which answers as Hallpass just did.
    pub(crate) fn with_floor(mut self, bench: &Bench, like: &Reply, file: &str) -> Outcome<Self> {
        if bench.has_peers {
            let head = bench.disk.join(format!("{file}.head"));
            fs::write(&head, &like.head)?;
            let answer = floor::Answer {
                head,
                file: bench.sites.main.www().join(file),
                length: like.length,
                scattered: like.status == 206,
            };
            let (running, at) = start_and_find(&mut answer.command()?)?;
            self.plain.push((FLOOR, running, at));
        }
        Ok(self)
    }

    /// Adds hyper alone, which answers as Hallpass just did, over TLS or not.
    pub(crate) fn with_bare(
        mut self,
        bench: &Bench,
        like: &Reply,
        file: &str,
        is_tls: bool,
    ) -> Outcome<Self> {
        if bench.has_peers {
            let head = bench.disk.join(format!("{file}-bare.head"));
            fs::write(&head, &like.head)?;
            let file = bench.sites.main.www().join(file);
            let identity = &bench.identity;
            let answer = bare::Answer {
                head,
                file,
                identity: is_tls.then(|| [identity.certificate.clone(), identity.key.clone()]),
            };
            let (running, at) = start_and_find(&mut answer.command()?)?;
            self.plain.push((BARE, running, at));
        }
        Ok(self)
    }

    /// Lines them up: nginx with a target of its own, the others with ours.
    pub(crate) fn line_up(
        &self,
        theirs: &Target,
        ours: &Target,
        is_tls: bool,
    ) -> Vec<Contender<'_>> {
        let contender = |name, running, at, target: &Target| Contender {
            name,
            what: "",
            running,
            at,
            target: target.clone(),
        };
        let nginx = self.nginx.iter().map(|nginx| {
            let at = if is_tls { nginx.tls_at } else { nginx.at };
            contender(nginx.how.name, &nginx.running, at, theirs)
        });
        let plain = self
            .plain
            .iter()
            .map(|(name, running, at)| contender(name, running, *at, ours));
        nginx.chain(plain).collect()
    }
}

fn start_and_find(command: &mut Command) -> Outcome<(Running, SocketAddr)> {
    let (running, line) = Running::start_and_listen(command)?;
    let at = line.trim().strip_prefix("listening on http://");
    Ok((running, at.ok_or("it said something else")?.parse()?))
}

/// Looks at an answer.
pub(crate) fn check(
    name: &str,
    at: SocketAddr,
    request: &Request,
    expected: Expected<'_>,
    tls: Option<&Arc<ClientConfig>>,
) -> Outcome<Reply> {
    let reply = match tls {
        None => request.send(at)?,
        Some(tls) => request.send_tls(at, tls)?,
    };
    let is_good = match expected {
        Expected::Whole(file) => {
            reply.status == 200 && reply.length == file.size && reply.sha256 == file.sha256
        }
        Expected::Part(length) => reply.status == 206 && reply.length == length,
        Expected::Good => reply.status == 200,
    };
    if !is_good {
        let head = String::from_utf8_lossy(&reply.head);
        return Err(format!("{name} answers with other bytes: {head}").into());
    }
    Ok(reply)
}

/// Loads them in turns, round after round, and notes every turn. The first, shorter one warms up.
pub(crate) fn alternate(
    bench: &mut Bench,
    of: Match<'_>,
    contenders: &[Contender<'_>],
) -> Outcome<Vec<Rounds>> {
    let mut rounds = Vec::new();
    let mut lengths = Vec::new();
    for one in contenders {
        let sample = one.target.sample();
        let reply = check(one.name, one.at, &sample, of.expected, of.tls)?;
        lengths.push(reply.head.len() as u64 + reply.length);
        rounds.push(Rounds {
            server: one.name,
            what: one.what,
            measured: Vec::new(),
        });
    }
    for round in 0..=bench.rounds {
        for ((one, answer_bytes), rounds) in contenders.iter().zip(&lengths).zip(&mut rounds) {
            let time = if round == 0 { WARM_UP } else { bench.time };
            let turn = Turn {
                server: one.running,
                at: one.at,
                tls: of.tls,
                target: &one.target,
                shape: of.expected.shape(),
                answer_bytes: *answer_bytes,
                client: of.client,
                time,
                seed: round as u64,
            };
            if round == 0 {
                bench.load.run(&turn)?;
            } else {
                let measured = quiet_turn(bench, of.case, round, rounds, &turn)?;
                rounds.measured.push(measured);
            }
        }
    }
    bench.report.table(of.case, of.client, &rounds);
    Ok(rounds)
}

/// A turn that others did not disturb, or the last of several that they all did.
fn quiet_turn(
    bench: &mut Bench,
    case: &str,
    round: usize,
    rounds: &Rounds,
    turn: &Turn<'_>,
) -> Outcome<super::load::Measured> {
    let repeats_max = if bench.is_quick { 0 } else { REPEATS_MAX };
    let mut repeats = 0;
    loop {
        let measured = bench.load.run(turn)?;
        let counts = !measured.conditions.is_disturbed() || repeats == repeats_max;
        let note = TurnNote {
            case,
            round,
            client: turn.client,
            label: &label(rounds.server, rounds.what),
            counts,
            measured: &measured,
        };
        bench.report.turn(&note, &bench.load.machine)?;
        if counts {
            return Ok(measured);
        }
        repeats += 1;
    }
}
