//! How much of a process's memory many clients at once take.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;

use super::prefix;
use super::processes::{Installed, parts_of, upload};
use crate::cli::support::{Place, may_look_into_processes, pause, status, text};
use crate::support::store::Store;

/// What the process may hold of blobs, in KiB: half of it in each direction.
const MEMORY_KIB: u64 = 32 * 1024;

/// What a connection takes besides: its own 16 KiB of a download, its buffers, its tasks.
const CONNECTION_KIB: u64 = 96;

/// The same of one that sends: what was read of it and has to wait, hyper's buffer of 408 KiB.
const SENDER_KIB: u64 = 512;

/// What the allocator holds on to, and everything else.
const SLACK_KIB: u64 = 32 * 1024;

const READERS: usize = 400;
const WRITERS: usize = 32;
const SIZE: usize = 16 << 20;

/// Memory that is this process's alone, or its share of what is not.
fn pss_kib(pid: u32) -> u64 {
    let said = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = said.lines().find(|line| line.starts_with("Pss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn place(name: &str) -> Option<Installed> {
    if !may_look_into_processes() {
        return None;
    }
    let store = Store::needed()?;
    let mut settings = store.settings(&prefix(name));
    settings.push(("blobs.memory_max", format!("{}MiB", MEMORY_KIB / 1024)));
    let place = Place::new();
    Some(Installed { place, settings })
}

#[test]
fn many_slow_readers_are_bounded_together_and_all_get_their_bytes() {
    let Some(installed) = place("readers") else {
        return;
    };
    let bytes: Vec<u8> = (0..=250).cycle().take(SIZE).collect();
    let file = installed.add("large.bin", &bytes);
    let (serving, base) = installed.serve();
    let link = installed.link(&base, &file);
    assert_eq!(status(&link), 200);
    let (host, path) = parts_of(&link);
    let before = pss_kib(serving.pid());
    let mut clients = Vec::new();
    let mut most = before;
    for _ in 0..READERS {
        let mut client = TcpStream::connect(&host).unwrap();
        write!(
            client,
            "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        clients.push(client);
        // Not each time: on a busy machine that takes so long that the first ones are ended, who take nothing for
        // 30 seconds.
        if clients.len() % 20 == 0 {
            most = most.max(pss_kib(serving.pid()));
        }
    }
    // Each takes a little now and then: what is asked for ahead fills every room there is.
    let mut came = vec![Vec::new(); READERS];
    let mut piece = vec![0; 32 * 1024];
    for _ in 0..8 {
        for (client, came) in clients.iter_mut().zip(&mut came) {
            let read = client.read(&mut piece).unwrap();
            came.extend_from_slice(&piece[..read]);
        }
        for _ in 0..20 {
            pause();
            most = most.max(pss_kib(serving.pid()));
        }
    }
    let bound = before + MEMORY_KIB / 2 + READERS as u64 * CONNECTION_KIB + SLACK_KIB;
    println!("{READERS} readers: {before} KiB before, {most} KiB at most, {bound} KiB allowed");
    assert!(most < bound, "{before} {most} {bound}");
    // Some go on to the end beside those that stand still.
    let rest = clients.split_off(16);
    let finishing = clients.into_iter().zip(came).map(|(mut client, mut came)| {
        thread::spawn(move || {
            client.read_to_end(&mut came).unwrap();
            came
        })
    });
    let ended: Vec<_> = finishing.collect();
    let answers: Vec<Vec<u8>> = ended.into_iter().map(|done| done.join().unwrap()).collect();
    drop(rest);
    let (_, _, log) = serving.stop("TERM");
    for answer in answers {
        let whole = answer.ends_with(&bytes);
        assert!(whole, "{} bytes of {SIZE}: {log}", answer.len());
    }
}

#[test]
fn many_large_uploads_are_bounded_together_and_all_are_taken_in_turn() {
    let Some(installed) = place("writers") else {
        return;
    };
    let key = text(&installed.json(&["apikey", "create"]), "api_key");
    let (serving, base) = installed.serve();
    assert!(
        upload(&base, &key, 6 << 20, || 0)
            .0
            .starts_with("HTTP/1.1 20")
    );
    let (pid, before) = (serving.pid(), pss_kib(serving.pid()));
    let writers = (0..WRITERS).map(|_| {
        let (base, key) = (base.clone(), key.clone());
        thread::spawn(move || upload(&base, &key, 6 << 20, || pss_kib(pid)))
    });
    let mut most = before;
    for writer in writers.collect::<Vec<_>>() {
        let (answer, seen) = writer.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
        most = most.max(seen);
    }
    // The client of the store and the allocator hold as much again.
    let bound = before + MEMORY_KIB + WRITERS as u64 * SENDER_KIB + SLACK_KIB;
    println!("{WRITERS} writers: {before} KiB before, {most} KiB at most, {bound} KiB allowed");
    assert!(most < bound, "{before} {most} {bound}");
    serving.stop("TERM");
}
