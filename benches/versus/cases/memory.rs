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
use crate::process::{Core, Outcome, Running, pause};
use crate::report::{Bound, Spread};
use crate::servers::{HALLPASS, Nginx, nginx_link, start_nginx};

const IDLE: usize = 5_000;
const READERS: usize = 100;
/// How often a server's memory is looked at.
const LOOK_TIME: Duration = Duration::from_millis(20);

/// What an idle connection costs after one GET.
pub(super) fn idle(bench: &mut Bench) -> Outcome<()> {
    bench.site.add("get-1k", KIB)?;
    let mut ours = Vec::new();
    let mut text = String::from("\n### idle\n\n| server | Pss a connection, KiB |\n|---|---|\n");
    for round in 1..=bench.rounds.min(3) {
        let (hallpass, at) = bench.site.serve(Core::Server)?;
        let link = Request::get(bench.site.mint(at, "get-1k")?);
        ours.push(of_a_connection(
            bench,
            round,
            HALLPASS,
            &hallpass,
            (at, &link),
        )?);
        let [how, ..] = Nginx::ALL;
        let (nginx, at) = start_nginx(bench, how)?;
        let link = Request::get(nginx_link("get-1k")?);
        let theirs = of_a_connection(bench, round, "nginx", &nginx, (at, &link))?;
        text += &format!("| nginx, round {round} | {theirs:.2} |\n");
    }
    let spread = Spread::of(ours);
    text += &format!("| hallpass, median | {:.2} |\n", spread.median);
    bench.report.say(&text);
    let what =
        format!("idle: memory of a connection after one GET (difference in Pss over {IDLE})");
    bench
        .report
        .goal(&what, Bound::AtMost(12.0), " KiB", spread);
    Ok(())
}

fn of_a_connection(
    bench: &mut Bench,
    round: usize,
    name: &str,
    server: &Running,
    (at, link): (SocketAddr, &Request),
) -> Outcome<f64> {
    // What is made once and kept, whoever comes, is no connection's.
    drop(open_idle(at, link, 100)?);
    pause(Duration::from_millis(500));
    let before = server.memory()?.pss;
    let connections = open_idle(at, link, IDLE)?;
    pause(Duration::from_millis(500));
    let after = server.memory()?.pss;
    if !are_idle(&connections)? {
        return Err(format!("{name} closed idle connections").into());
    }
    let kib = float(after.saturating_sub(before)) / 1024.0 / float(IDLE as u64);
    let what = format!("{name}: Pss a connection");
    bench.report.figure("idle", round, &what, kib, "KiB")?;
    Ok(kib)
}

/// What a server has at most while many read a large file.
pub(super) fn readers(bench: &mut Bench) -> Outcome<()> {
    let (name, size) = if bench.quick {
        ("quick", 64 * MIB)
    } else {
        ("readers", 4 * GIB)
    };
    bench.site.add(name, size)?;
    let (hallpass, at) = bench.site.serve(Core::Server)?;
    let request = Request::get(bench.site.mint(at, name)?);
    let expected = bench.site.file(name)?.sha256;
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
