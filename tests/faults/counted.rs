//! Counted downloads under `kill -9`: at each call that makes a start durable, and in the midst of the bytes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::rig::{FILES, Ledger, Site, bytes_of, connect, rounds, until};
use crate::server::Server;

/// Long enough for what was sent to be written.
const FLUSHED: Duration = Duration::from_millis(4_500);

const LARGE: usize = 20_000_000;

/// What a counted link of a file says behind the host, and its id.
fn counted_link(site: &Site, server: &Server, id: &str, allowed: u64) -> (String, String) {
    let minted = site.json(
        server,
        &format!("{FILES}/{id}/content?max_downloads={allowed}"),
    );
    let url = minted["download_url"].as_str().unwrap();
    let mac = minted["token"].as_str().unwrap().split_once('.').unwrap().1;
    let link = url[url.find("/v1/").unwrap()..].to_owned();
    (link, mac[..12].to_owned())
}

/// How many downloads of a link are done and open.
fn spent(site: &Site, server: &Server, link_id: &str) -> (u64, u64) {
    let target = format!("/v1/organizations/org_default/links/{link_id}");
    let reply = site.get(server, &target).unwrap();
    if reply.status == 404 {
        return (0, 0);
    }
    assert_eq!(reply.status, 200, "{}", reply.text());
    let said: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let number = |name: &str| said[name].as_u64().unwrap();
    (number("done"), number("open"))
}

/// No start that was answered is lost, and a link never gives more than it allows, wherever the gateway dies.
fn starts_survive_a_kill_at_each(call: &str, last: u64, step: u64) {
    // Calls are counted for each thread, and starts run on any of a few.
    const ALLOWED: u64 = 12;
    let (site, ledger) = (Site::new(), Ledger::default());
    let server = site.serve();
    let id = site.put(&server, &ledger, 1_000);
    server.stop();
    let (mut died, mut unanswered) = (0, 0);
    for n in (1..=last).step_by(usize::try_from(rounds(1, step)).unwrap()) {
        let server = site.serve();
        let (link, link_id) = counted_link(&site, &server, &id, ALLOWED);
        server.stop();
        let inject = format!("inject={call}:signal=SIGKILL:when={n}");
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &inject];
        let Ok(server) = Server::start(site.serve_command(&strace)) else {
            continue;
        };
        let mut answered = 0;
        loop {
            match site.send(&server, "POST", &link, b"") {
                Ok(reply) if reply.status == 303 => answered += 1,
                Ok(reply) => {
                    assert_eq!(reply.status, 409, "{}", reply.text());
                    break;
                }
                Err(_) => {
                    died += 1;
                    break;
                }
            }
        }
        server.kill();
        let server = site.serve();
        let (done, open) = spent(&site, &server, &link_id);
        assert_eq!(done, 0);
        assert!(open >= answered, "{call} {n}: {open} of {answered}");
        assert!(open <= answered + 1, "{call} {n}: {open} of {answered}");
        unanswered += open - answered;
        let mut more = 0;
        while site.send(&server, "POST", &link, b"").unwrap().status == 303 {
            more += 1;
        }
        assert_eq!(open + more, ALLOWED, "{call} {n}");
        server.stop();
    }
    println!("{call}: it died {died} times, {unanswered} starts were made and not answered");
    assert!(died > 0, "no call was ever reached");
}

#[test]
fn a_start_survives_a_kill_at_the_nth_sync() {
    starts_survive_a_kill_at_each("fsync,fdatasync", 12, 1);
}

#[test]
fn a_start_survives_a_kill_at_the_nth_write_into_the_catalogue() {
    starts_survive_a_kill_at_each("pwrite64", 40, 5);
}

/// Asks for a part, and reads the head of the answer.
fn begin(server: &Server, ticket: &str, range: &str) -> TcpStream {
    let mut stream = connect(&server.host).unwrap();
    let request = format!(
        "GET {ticket} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nRange: bytes={range}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 206"), "{head:?}");
    stream
}

/// The client has a part of it when the gateway dies, and takes the rest from the one that is started after it.
#[test]
fn a_download_goes_on_after_a_kill() {
    let (site, ledger) = (Site::new(), Ledger::default());
    let mut server = site.serve();
    let id = site.put(&server, &ledger, LARGE);
    let file = site.json(&server, &format!("{FILES}/{id}"));
    let all = bytes_of(file["original_filename"].as_str().unwrap());
    let (link, link_id) = counted_link(&site, &server, &id, 1);
    let started = site.send(&server, "POST", &link, b"").unwrap();
    let ticket = started.header("location").unwrap().to_owned();
    let mut stream = begin(&server, &ticket, "0-");
    let mut got = vec![0; 1_000_000];
    stream.read_exact(&mut got).unwrap();
    std::thread::sleep(FLUSHED);
    server.signal("KILL");
    assert!(server.wait().is_some());
    // What the kernel had taken still comes.
    let _ = stream.read_to_end(&mut got);
    assert!(got.len() < LARGE && got == all[..got.len()]);

    let server = site.serve();
    // The place is held, so nobody else is let in.
    let other = site.send(&server, "POST", &link, b"").unwrap();
    assert_eq!(other.status, 409, "{}", other.text());
    let mut stream = begin(&server, &ticket, &format!("{}-", got.len()));
    let taken = got.len();
    stream.read_to_end(&mut got).unwrap();
    assert!(got == all, "every byte is there");
    // What was sent in the last seconds before the kill is forgotten: at most that is still to be sent.
    let mut again = Vec::new();
    begin(&server, &ticket, &format!("0-{}", taken - 1))
        .read_to_end(&mut again)
        .unwrap();
    assert!(again == all[..taken]);
    until("the download is done", || {
        spent(&site, &server, &link_id) == (1, 0)
    });
    let other = site.send(&server, "POST", &link, b"").unwrap();
    assert_eq!(other.status, 410, "{}", other.text());
    server.stop();
}
