//! How the process ends while it is at work, and a log that nobody reads or that has no room.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::rig::{Ledger, Site, connect, form, name_of, rounds, until};
use crate::server::Server;

const LARGE: usize = 20_000_000;

/// A download that stands still behind its head.
fn begin_download(server: &Server, link: &str) -> TcpStream {
    let mut stream = connect(&server.host).unwrap();
    let request = format!("GET {link} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_exact(&mut [0; 1]).unwrap();
    stream
}

#[test]
fn a_stop_under_load_lets_everything_in_flight_finish() {
    let (site, ledger) = (Site::new(), Ledger::default());
    let mut server = site.serve();
    let large = site.put(&server, &ledger, LARGE);
    let link = site.mint(&server, &large);
    let downloads: Vec<_> = (0..rounds(50, 20))
        .map(|_| begin_download(&server, &link))
        .collect();
    // Half of a form each, the other half after the signal.
    let uploads: Vec<_> = (0..10)
        .map(|_| {
            let form = form(&name_of(200_000));
            let mut stream = connect(&server.host).unwrap();
            let head = format!(
                "POST {}/upload HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\nContent-Length: {}\r\n\
                Content-Type: multipart/form-data; boundary=b\r\n\r\n",
                crate::rig::FILES,
                site.key,
                form.len()
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&form[..100_000]).unwrap();
            (stream, form)
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let host = server.host.clone();
    server.signal("TERM");
    until("nothing new being accepted", || {
        TcpStream::connect(&host).is_err()
    });
    for (mut stream, form) in uploads {
        stream.write_all(&form[100_000..]).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }
    let count = downloads.len();
    for mut stream in downloads {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.len() > LARGE, "{} bytes", rest.len());
    }
    let begun = Instant::now();
    assert_eq!(server.wait().unwrap().code(), Some(0), "{}", server.log());
    println!(
        "{count} downloads and 10 uploads finished; it ended {:?} later",
        begun.elapsed()
    );
    let server = site.serve();
    assert_eq!(site.check(&server, &ledger), 11);
    server.stop();
}

#[test]
fn a_second_signal_ends_what_does_not_end() {
    let (site, ledger) = (Site::new(), Ledger::default());
    let mut server = site.serve();
    let large = site.put(&server, &ledger, LARGE);
    let link = site.mint(&server, &large);
    let stalled = begin_download(&server, &link);
    server.signal("TERM");
    assert!(
        server.wait_for(Duration::from_secs(2)).is_none(),
        "it waits"
    );
    server.signal("TERM");
    let status = server.wait_for(Duration::from_secs(20)).expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", server.log());
    drop(stalled);
    site.check_all(&ledger);
}

/// Serves with this as its standard error, and sends it more than any buffer holds.
fn serves_with_log(stderr: Stdio, what: &str) {
    let site = Site::new();
    let mut command = site.command(&["serve", "--listen", "unix:socket"]);
    command
        .args(["--public-base-url", "http://x"])
        .env("HALLPASS_LOG_LEVEL", "debug");
    let mut child = command
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap();
    let socket = site.path("socket");
    // The file is there a moment before anybody listens.
    until("listening", || UnixStream::connect(&socket).is_ok());
    let begun = Instant::now();
    let count = rounds(20_000, 4_000);
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    for _ in 0..count {
        stream
            .write_all(b"GET /nothing/of/that/name HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 404"), "{head}");
        let length = head.to_lowercase();
        let length = length.split_once("content-length: ").unwrap().1;
        let length: usize = length.split_once("\r\n").unwrap().0.parse().unwrap();
        stream.read_exact(&mut vec![0; length]).unwrap();
    }
    println!("{what}: {count} requests in {:?}", begun.elapsed());
    crate::server::signal(child.id(), "TERM");
    let ended = until("the end", || child.try_wait().unwrap().is_some());
    assert!(
        ended < Duration::from_secs(20),
        "the end waited for the log"
    );
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let mut sleeper = Command::new("sleep")
        .arg("600")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let pipe = sleeper.stdin.take().unwrap();
    serves_with_log(
        Stdio::from(std::os::fd::OwnedFd::from(pipe)),
        "a log that nobody reads",
    );
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
}

#[test]
fn a_log_without_room_stops_nothing() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    serves_with_log(Stdio::from(full), "a log on a full volume");
}
