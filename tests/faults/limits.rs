//! Limits: descriptors, memory, and allocations that fail.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use crate::rig::{FILES, Ledger, Site, connect, form, name_of, rounds, until};
use crate::server::{PATIENCE, Server};
use crate::slow::{Reader, lazy};

/// What the process may hold in memory of its own, in KiB.
const MEMORY_MAX: u64 = 64 * 1024;

/// What is on its way to a slow reader.
const WINDOW: Option<usize> = Some(4096);

/// What one upload may take, in KiB: what was read from its socket at once, twice, and what is gathered to be
/// written.
const UPLOAD_MEMORY_MAX: u64 = 2 * 1024;

/// How many clients of one kind there are at once.
pub(crate) const CROWD: usize = 1_000;

#[test]
fn a_full_table_of_descriptors_is_waited_out_and_spins_no_processor() {
    let (site, ledger) = (Site::new(), Ledger::default());
    // More uploads than one key may have otherwise.
    let mut command = site.serve_command(&[]);
    command.env("HALLPASS_LIMITS_API_KEY_UPLOADS", "0");
    command.env("HALLPASS_LIMITS_ORGANIZATION_UPLOADS", "0");
    let server = Server::start(command).unwrap_or_else(|ended| panic!("{ended:?}"));
    let large = site.put(&server, &ledger, 20_000_000);
    server.stop();
    let server = site.serve_under(&["prlimit", "--nofile=64"]);
    let link = site.mint(&server, &large);
    let mut running: Vec<Reader> = (0..5)
        .map(|_| Reader::begin(&server, &link, None))
        .collect();
    let address = server.host.parse().unwrap();
    // Those that find the queue full would wait longer than a slow client may.
    let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(20)).ok();
    let crowd: Vec<TcpStream> = (0..500).filter_map(connect).collect();
    until("the table being full", || server.descriptors() >= 64);
    let before = server.cpu();
    let watched = Duration::from_secs(5);
    std::thread::sleep(watched);
    let used = server.cpu() - before;
    println!(
        "{} connections for 64 descriptors: {used:?} of processor time in {watched:?}",
        crowd.len()
    );
    assert!(used < watched / 4, "a busy loop");
    assert!(server.log().contains("accepting a connection failed"));
    for reader in &mut running {
        assert_eq!(reader.finish(), 20_000_000, "what was under way finishes");
    }
    drop((running, crowd));
    until("it recovering", || {
        site.get(&server, FILES)
            .is_ok_and(|reply| reply.status == 200)
    });
    site.put(&server, &ledger, 1000);
    let lines = server
        .log()
        .matches("accepting a connection failed")
        .count();
    println!("the log has {lines} lines on it");
    site.check(&server, &ledger);
    server.stop();
    site.check_all(&ledger);
}

/// A sparse file, served from where it lies.
fn sparse(site: &Site, length: u64) -> String {
    let path = site.path("sparse.bin");
    fs::File::create(&path).unwrap().set_len(length).unwrap();
    let roots = path.parent().unwrap().to_str().unwrap().to_owned();
    let mut command = site.command(&["add", "--json", "--in-place", path.to_str().unwrap()]);
    let added = command
        .env("HALLPASS_BLOBS_IN_PLACE_ROOTS", roots)
        .output()
        .unwrap();
    assert!(added.status.success(), "{added:?}");
    let added: serde_json::Value = serde_json::from_slice(&added.stdout).unwrap();
    added[0]["file_id"].as_str().unwrap().to_owned()
}

/// A group of processes with so little memory, where the kernel lets us make one.
struct Group(PathBuf);

impl Group {
    fn of(bytes: u64) -> Option<Self> {
        let name = format!("hallpass-{}", std::process::id());
        for (root, limit) in [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ] {
            let path = PathBuf::from(root).join(&name);
            if fs::create_dir(&path).is_err() {
                continue;
            }
            let group = Self(path);
            if fs::write(group.0.join(limit), bytes.to_string()).is_ok() {
                return Some(group);
            }
        }
        println!("no group of processes to be had: only what the process holds is looked at");
        None
    }

    /// The words that start a program in it.
    fn enter(&self) -> [String; 4] {
        let join = format!("echo $$ > {}/cgroup.procs; exec \"$@\"", self.0.display());
        ["sh".into(), "-c".into(), join, "sh".into()]
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that just ended may still be in it.
        let begun = std::time::Instant::now();
        while fs::remove_dir(&self.0).is_err() && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_thousand_slow_readers_of_a_large_file_take_next_to_no_memory() {
    let site = Site::new();
    let length = rounds(1 << 30, 1 << 28);
    let id = sparse(&site, length);
    // Page tables, buffers of sockets and the pages of files count here as well, so there is more room.
    let group = Group::of(256 << 20);
    let enter = group.as_ref().map(Group::enter);
    let words: Vec<&str> = enter.iter().flatten().map(String::as_str).collect();
    let mut command = site.serve_command(&words);
    command.env(
        "HALLPASS_BLOBS_IN_PLACE_ROOTS",
        site.path("").to_str().unwrap().trim_end_matches('/'),
    );
    let server = Server::start(command).unwrap_or_else(|ended| panic!("{ended:?}"));
    let link = site.mint(&server, &id);
    let before = server.memory();
    let readers: Vec<Reader> = (0..CROWD)
        .map(|_| Reader::begin(&server, &link, WINDOW))
        .collect();
    std::thread::sleep(Duration::from_secs(5));
    let during = server.memory();
    println!(
        "{CROWD} slow readers of {length} bytes: (all, own) KiB {before:?} before, {during:?} during"
    );
    assert!(during.1 < MEMORY_MAX, "{during:?}");
    assert_eq!(
        site.get(&server, FILES).unwrap().status,
        200,
        "others are served"
    );
    drop(readers);
    until("the descriptors being back", || server.descriptors() < 60);
    server.stop();
}

#[test]
fn a_hundred_uploads_at_once_take_a_buffer_each() {
    let (site, ledger) = (Site::new(), Ledger::default());
    let server = site.serve();
    let before = server.memory();
    let uploads: Vec<_> = (0..100)
        .map(|_| {
            let name = name_of(3_000_000);
            let form = form(&name);
            let mut stream = connect(&server.host).unwrap();
            let head = format!(
                "POST {FILES}/upload HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\nContent-Length: {}\r\n\
                Content-Type: multipart/form-data; boundary=b\r\nConnection: close\r\n\r\n",
                site.key,
                form.len()
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&form[..2_000_000]).unwrap();
            (stream, form)
        })
        .collect();
    std::thread::sleep(Duration::from_secs(2));
    let during = server.memory();
    println!("100 uploads under way: (all, own) KiB {before:?} before, {during:?} during");
    assert!(during.1 < 100 * UPLOAD_MEMORY_MAX, "{during:?}");
    for (mut stream, form) in uploads {
        stream.write_all(&form[2_000_000..]).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }
    assert_eq!(site.check(&server, &ledger), 100);
    server.stop();
}

#[test]
fn allocations_that_fail_may_end_it_and_lose_nothing() {
    let (site, ledger) = (Site::new(), Ledger::default());
    let mut died = 0;
    for _ in 0..rounds(20, 5) {
        let enable = "enable_random name=libc/mm/malloc,probability=0.0001";
        let mut command = site.serve_command(&["fiu-run", "-x", "-c", enable]);
        // Nothing is printed then that takes memory and a lock: it ends, and does not hang.
        command.env("RUST_BACKTRACE", "1");
        let Ok(mut server) = Server::start(command) else {
            died += 1;
            continue;
        };
        // A key that could not be looked up is refused as one that is not there: it fails closed.
        let refusals = [401, 500, 503, 507];
        site.upload_for(&server, &ledger, 4, Duration::from_secs(3), &refusals);
        if server.wait_for(Duration::from_millis(200)).is_some() {
            died += 1;
        }
        server.kill();
        let server = site.serve();
        site.check(&server, &ledger);
        // A panic on one of these ends the process, which knows them by their name.
        let threads = server.threads();
        assert!(
            threads
                .iter()
                .any(|name| name.starts_with("sqlx-sqlite-wor")),
            "{threads:?}"
        );
        server.stop();
    }
    println!("died {died} times; {} uploads acknowledged", ledger.len());
    site.check_all(&ledger);
}

#[test]
fn thousands_of_slow_clients_leave_others_and_the_memory_alone() {
    let (site, ledger) = (Site::new(), Ledger::default());
    let server = site.serve();
    let large = site.put(&server, &ledger, 20_000_000);
    let link = site.mint(&server, &large);
    let before = server.memory();
    let upload = format!(
        "POST {FILES}/upload HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\nContent-Length: 1000000\r\n\
        Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\nContent-Disposition: form-data; \
        name=\"file\"; filename=\"slow\"\r\n\r\nx",
        site.key
    );
    let heads = lazy(&server, CROWD, b"GET /v1/files HTTP/1.1\r\nHo");
    let bodies = lazy(&server, CROWD, upload.as_bytes());
    let readers: Vec<Reader> = (0..CROWD)
        .map(|_| Reader::begin(&server, &link, WINDOW))
        .collect();
    std::thread::sleep(Duration::from_secs(2));
    let during = server.memory();
    println!("{CROWD} of each kind: (all, own) KiB {before:?} before, {during:?} during");
    assert!(during.1 < 2 * MEMORY_MAX, "{during:?}");
    for _ in 0..50 {
        assert_eq!(site.get(&server, FILES).unwrap().status, 200);
    }
    // Slow heads end after 10 seconds and slow bodies after 30: neither waits for the others.
    let ends = |mut streams: Vec<TcpStream>, what: &str| {
        for stream in &mut streams {
            stream.set_read_timeout(Some(PATIENCE * 2)).unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
        }
        println!("{what} were ended");
    };
    ends(heads, "slow heads");
    ends(bodies, "slow bodies");
    drop(readers);
    until("the descriptors being back", || server.descriptors() < 60);
    let after = server.memory();
    println!("(all, own) KiB {after:?} after");
    site.put(&server, &ledger, 1000);
    site.check(&server, &ledger);
    server.stop();
    site.check_all(&ledger);
}
