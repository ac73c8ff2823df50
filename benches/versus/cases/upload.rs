//! Taking in a large file, beside `sha256sum` over the same bytes.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::MIB;
use crate::Bench;
use crate::client::{Reply, Request, connect};
use crate::load::float;
use crate::process::{Core, Outcome, Running, kibibytes, launcher, pause, program};
use crate::report::{Bound, Spread};
use crate::site::{Site, write_random};

const CASE: &str = "upload";
const BOUNDARY: &str = "versus-0123456789";
/// How often the gateway's memory is looked at.
const LOOK_TIME: Duration = Duration::from_millis(20);
/// What is left of the memory for everything else.
const MEMORY_LEFT: u64 = 1024 * MIB;

/// On tmpfs, in turns with `sha256sum`, and then on the disk.
pub(super) fn run(bench: &mut Bench) -> Outcome<()> {
    let wanted = if bench.is_quick {
        256 * MIB
    } else {
        4096 * MIB
    };
    let size = size_that_fits(&bench.memory, wanted)?;
    let source = bench.memory.join("source");
    let expected = write_random(&source, size)?;
    let mut ratios = Vec::new();
    let mut text = format!("\n### upload\n\n{} MiB, source on tmpfs\n\n", size / MIB);
    text += "| where | MB/s | memory (Pss at most), MiB |\n|---|---|---|\n";
    for (place, directory) in [
        ("tmpfs", bench.memory.clone()),
        ("disk", bench.disk.clone()),
    ] {
        let site = Site::new(&bench.binary, &directory.join("upload"))?;
        let (running, at) = site.serve(Core::Any)?;
        let (mut speeds, mut pss_max) = (Vec::new(), 0);
        for round in 1..=bench.rounds.min(5) {
            let summed = sum(&source)?;
            let (reply, took, pss) = upload(&site, &running, at, &source, size)?;
            let id = reply.get("id").and_then(Value::as_str);
            let id = id.ok_or("no id in the answer")?;
            if round == 1 {
                expect_bytes(&site, at, id, size, expected)?;
            }
            forget(&site.data_dir().join("blobs"))?;
            let speed = |time: Duration| float(size) / time.as_secs_f64() / 1e6;
            let (ours, theirs) = (speed(took), speed(summed));
            for (what, value) in [("upload", ours), ("sha256sum", theirs)] {
                let what = format!("{what}, {place}");
                bench.report.figure(CASE, round, &what, value, "MB/s")?;
            }
            if place == "tmpfs" {
                ratios.push(ours / theirs);
            }
            speeds.push((ours, theirs));
            pss_max = pss.max(pss_max);
        }
        let ours = Spread::of(speeds.iter().map(|(ours, _)| *ours)).median;
        let theirs = Spread::of(speeds.iter().map(|(_, theirs)| *theirs)).median;
        let pss = float(pss_max) / float(MIB);
        text += &format!(
            "| upload, {place} | {ours:.0} | {pss:.1} |\n| sha256sum beside it | {theirs:.0} | |\n"
        );
        let what = format!("Pss at most, {place}");
        bench.report.figure(CASE, 1, &what, pss, "MiB")?;
    }
    bench.report.say(&text);
    let what = format!(
        "upload: speed of {} MiB on tmpfs, of sha256sum's",
        size / MIB
    );
    bench
        .report
        .goal(&what, Bound::AtLeast(0.8), " ×", Spread::of(ratios));
    Ok(())
}

/// Half of it, and half of that, until source and stored bytes fit in the memory that is free.
fn size_that_fits(memory: &Path, wanted: u64) -> Outcome<u64> {
    let space = rustix::fs::statvfs(memory)?;
    let text = fs::read_to_string("/proc/meminfo")?;
    let free = (space.f_bavail * space.f_frsize).min(kibibytes(&text, "MemAvailable:")?);
    let mut size = wanted;
    while 2 * size + MEMORY_LEFT > free && size > MIB {
        size /= 2;
    }
    Ok(size)
}

/// How long `sha256sum` takes.
fn sum(source: &Path) -> Outcome<Duration> {
    let mut command = launcher(Core::Any, &program("sha256sum", "coreutils")?)?;
    command.arg(source).stdout(Stdio::piped());
    let started = Instant::now();
    Running::start(&mut command)?.output()?;
    Ok(started.elapsed())
}

/// Sends the file as a form. Answers the reply, how long it took, and the most memory meanwhile.
fn upload(
    site: &Site,
    running: &Running,
    at: SocketAddr,
    source: &Path,
    size: u64,
) -> Outcome<(Value, Duration, u64)> {
    let before = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_upload\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"large\"\r\n\r\n"
    );
    let after = format!("\r\n--{BOUNDARY}--\r\n");
    let request = Request {
        method: "POST",
        target: "/v1/organizations/org_default/files/upload".into(),
        headers: vec![
            site.key_header(),
            (
                "Content-Type",
                format!("multipart/form-data; boundary={BOUNDARY}"),
            ),
        ],
        body: String::new(),
    };
    let length = (before.len() + after.len()) as u64 + size;
    let finished = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut most = 0;
            while !finished.load(Ordering::Relaxed) {
                most = running.memory().map_or(most, |memory| memory.pss.max(most));
                pause(LOOK_TIME);
            }
            most
        });
        let started = Instant::now();
        let sent = send(at, &request.head(at, length), &before, source, &after);
        let took = started.elapsed();
        finished.store(true, Ordering::Relaxed);
        let most = watching.join().map_err(|_| "the watch panicked")?;
        Ok((sent?, took, most))
    })
}

fn send(at: SocketAddr, head: &str, before: &str, source: &Path, after: &str) -> Outcome<Value> {
    let mut stream = connect(at)?;
    let file = File::open(source)?;
    let mut left = file.metadata()?.len();
    stream.write_all(format!("{head}{before}").as_bytes())?;
    let mut offset = 0;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(1 << 30);
        let sent = rustix::fs::sendfile(&stream, &file, Some(&mut offset), most)?;
        if sent == 0 {
            return Err("the source was cut".into());
        }
        left -= sent as u64;
    }
    stream.write_all(after.as_bytes())?;
    let reply = Reply::read(&stream)?;
    if reply.status != 201 {
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        return Err(format!("an upload was answered {}: {text}", reply.status).into());
    }
    Ok(serde_json::from_slice(&reply.body)?)
}

/// Fetches the stored file by a link, and compares.
fn expect_bytes(
    site: &Site,
    at: SocketAddr,
    id: &str,
    size: u64,
    sha256: hallpass::model::digest::Sha256Digest,
) -> Outcome<()> {
    let target = site.mint_id(at, id)?;
    let reply = Request::get(target).expect(at, 200)?;
    if reply.length == size && reply.sha256 == sha256 {
        Ok(())
    } else {
        Err("other bytes were stored than were sent".into())
    }
}

/// Makes room: removes the stored bytes behind the gateway's back.
fn forget(blobs: &Path) -> Outcome<()> {
    let mut folders: Vec<PathBuf> = vec![blobs.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(())
}
