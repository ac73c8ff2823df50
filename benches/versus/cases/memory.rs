//! Memory: of connections that do nothing, and of many that read much.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{GIB, KIB, MIB};
use crate::Bench;
use crate::client::{Request, connect};
use crate::crowd::{are_idle, idle as open_idle};
use crate::load::float;
use crate::nginx::{self, Nginx};
use crate::process::{Core, Outcome, Running, pause};
use crate::report::{Bound, Spread};
use crate::sites::HALLPASS;

const IDLE: usize = 5_000;
const READERS: usize = 100;
/// The time for which connections are left alone before they are measured, longer than a server takes to put them by and its
/// allocator to give back what is free.
const SETTLE_TIME: Duration = Duration::from_secs(15);
/// The time in which a server must have given memory back.
const CLOSE_TIME: Duration = Duration::from_secs(15);
/// How often a server's memory is looked at.
const LOOK_TIME: Duration = Duration::from_millis(20);

/// The memory of an idle connection after one GET, and the memory that is kept once it is closed.
pub(super) fn idle(bench: &mut Bench) -> Outcome<()> {
    bench.sites.add("get-1k", KIB)?;
    let mut text = String::from(
        "\n### idle\n\n| server | Pss a connection, KiB | kept of each after all closed, KiB |\n|---|---|---|\n",
    );
    let (mut open, mut kept) = (Vec::new(), Vec::new());
    for round in 1..=bench.rounds.min(3) {
        for gateway in bench.sites.start(&bench.identity)? {
            let site = bench.sites.of(gateway.name);
            let link = Request::get(site.mint(gateway.at, "get-1k")?);
            let at = (gateway.at, &link);
            let cost = of_a_connection(bench, round, gateway.name, &gateway.running, at)?;
            text += &cost.row(gateway.name, round);
            if gateway.name == HALLPASS {
                open.push(cost.open);
                kept.push(cost.kept);
            }
        }
        if bench.has_peers {
            let started = nginx::start(bench, Nginx::USUAL, 0)?;
            let link = Request::get(nginx::link("get-1k"));
            let at = (started.at, &link);
            let cost = of_a_connection(bench, round, "nginx", &started.running, at)?;
            text += &cost.row("nginx", round);
        }
    }
    bench.report.say(&text);
    for (what, most, figures) in [
        ("of a connection after one GET", 4.0, open),
        ("kept of each connection after all closed", 2.0, kept),
    ] {
        let what = format!("idle: memory {what} (difference in Pss over {IDLE})");
        let spread = Spread::of(figures);
        bench
            .report
            .goal(&what, Bound::AtMost(most), " KiB", spread);
    }
    Ok(())
}

/// The memory of a connection, in KiB.
struct Cost {
    /// While it is open and idle.
    open: f64,
    /// Once it is closed.
    kept: f64,
}

impl Cost {
    fn row(&self, name: &str, round: usize) -> String {
        let Self { open, kept } = self;
        format!("| {name}, round {round} | {open:.2} | {kept:.2} |\n")
    }
}

fn of_a_connection(
    bench: &mut Bench,
    round: usize,
    name: &str,
    server: &Running,
    (at, link): (SocketAddr, &Request),
) -> Outcome<Cost> {
    // What is made once and kept, whoever comes, is no connection's.
    drop(open_idle(at, link, 100)?);
    pause(SETTLE_TIME);
    let before = server.memory()?.pss;
    let connections = open_idle(at, link, IDLE)?;
    pause(SETTLE_TIME);
    let open = server.memory()?.pss;
    if !are_idle(&connections)? {
        return Err(format!("{name} closed idle connections").into());
    }
    drop(connections);
    pause(CLOSE_TIME);
    let kept = server.memory()?.pss;
    let of_each = |pss: u64| float(pss.saturating_sub(before)) / 1024.0 / float(IDLE as u64);
    let cost = Cost {
        open: of_each(open),
        kept: of_each(kept),
    };
    for (what, kib) in [
        ("Pss a connection", cost.open),
        ("Pss kept of each", cost.kept),
    ] {
        let what = format!("{name}: {what}");
        bench.report.figure("idle", round, &what, kib, "KiB")?;
    }
    Ok(cost)
}

/// What a server has at most while many read a large file.
pub(super) fn readers(bench: &mut Bench) -> Outcome<()> {
    let (name, size) = if bench.is_quick {
        ("quick", 64 * MIB)
    } else {
        ("readers", 4 * GIB)
    };
    bench.sites.add(name, size)?;
    let (hallpass, at) = bench.sites.main.serve(Core::Server)?;
    let request = Request::get(bench.sites.main.mint(at, name)?);
    let expected = bench.sites.main.file(name)?.sha256;
    let (mut pss, mut rss) = (0, 0);
    std::thread::scope(|scope| -> Outcome<()> {
        let reading: Vec<_> = (0..READERS)
            .map(|number| {
                let request = &request;
                scope.spawn(move || read_all(at, request, size, number == 0))
            })
            .collect();
        while reading.iter().any(|thread| !thread.is_finished()) {
            let memory = hallpass.memory()?;
            (pss, rss) = (memory.pss.max(pss), memory.rss.max(rss));
            pause(LOOK_TIME);
        }
        for thread in reading {
            let sha256 = thread.join().map_err(|_| "a reader panicked")??;
            if sha256.is_some_and(|sha256| sha256 != *expected.as_bytes()) {
                return Err("a reader got other bytes".into());
            }
        }
        Ok(())
    })?;
    let mib = |bytes: u64| float(bytes) / float(MIB);
    bench
        .report
        .figure("readers", 1, "Pss at most", mib(pss), "MiB")?;
    bench
        .report
        .figure("readers", 1, "Rss at most", mib(rss), "MiB")?;
    let text = format!(
        "\n### readers\n\nwhile {READERS} read {} MiB each: Pss at most {:.1} MiB, Rss at most {:.1} MiB\n",
        size / MIB,
        mib(pss),
        mib(rss)
    );
    bench.report.say(&text);
    let what = format!(
        "readers: memory (Pss at most) while {READERS} read {} MiB",
        size / MIB
    );
    let spread = Spread::of([mib(pss)]);
    bench
        .report
        .goal(&what, Bound::AtMost(64.0), " MiB", spread);
    Ok(())
}

/// Reads an answer to its end, and hashes it if that is wanted: a hundred that hash would be slow readers.
fn read_all(
    at: SocketAddr,
    request: &Request,
    size: u64,
    hashed: bool,
) -> Outcome<Option<[u8; 32]>> {
    let mut stream = connect(at)?;
    stream.write_all(request.head(at, 0).as_bytes())?;
    let mut buffer = vec![0; 64 * 1024];
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
    }
    let (mut hasher, mut left) = (Sha256::new(), size);
    while left > 0 {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err("a reader's answer broke off".into());
        }
        if hashed {
            hasher.update(buffer.split_at(read).0);
        }
        left -= (read as u64).min(left);
    }
    Ok(hashed.then(|| hasher.finalize().into()))
}
