//! Clocks that jump, and those that are past 2038.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::rig::{Ledger, Site, until};
use crate::server::Server;

/// A server whose clock a file sets.
struct Shifted {
    site: Site,
    server: Server,
}

impl Shifted {
    fn start(shift: &str) -> Self {
        let site = Site::new();
        let file = site.path("time");
        fs::write(&file, shift).unwrap();
        let set = format!("FAKETIME_TIMESTAMP_FILE={}", file.display());
        let library = "LD_PRELOAD=/usr/$LIB/faketime/libfaketimeMT.so.1";
        let words = [
            "env",
            library,
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            "DONT_FAKE_MONOTONIC=1",
            "NO_FAKE_STAT=1",
            &set,
        ];
        let mut command = site.serve_command(&words);
        command.env("HALLPASS_LOG_LEVEL", "debug");
        let server = Server::start(command).unwrap_or_else(|ended| panic!("{ended:?}"));
        // The files' times are the kernel's, which no library shifts: to a sweep in a far future a blob
        // that is just made looks old, as it would on a disk whose clock is not ours.
        until("the sweep of the start", || {
            server.log().contains(": swept")
        });
        Self { site, server }
    }

    /// Moves its clock, and waits until it shows.
    fn shift(&self, shift: &str) {
        let new = self.site.path("new");
        fs::write(&new, shift).unwrap();
        fs::rename(new, self.site.path("time")).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }

    fn status(&self, link: &str) -> u16 {
        self.site.get(&self.server, link).unwrap().status
    }

    /// What its clock says, by the Date of an answer.
    fn date(&self) -> String {
        let reply = self.site.get(&self.server, "/").unwrap();
        reply.header("date").unwrap().to_owned()
    }
}

fn expires(link: &str) -> u64 {
    let value = link.split_once("expires=").unwrap().1;
    value.split_once('&').unwrap().0.parse().unwrap()
}

#[test]
fn links_end_by_the_clock_on_the_wall_however_it_jumps() {
    let shifted = Shifted::start("+0");
    let ledger = Ledger::default();
    let id = shifted.site.put(&shifted.server, &ledger, 1000);
    let link = shifted.site.mint(&shifted.server, &id);
    assert_eq!(shifted.status(&link), 200);
    for (shift, status) in [
        ("+3500", 200),
        ("+3700", 401),
        ("+1d", 401),
        ("+0", 200),
        ("-1h", 200),
        ("-1d", 200),
        ("+0", 200),
    ] {
        shifted.shift(shift);
        until(&format!("{status} at {shift}"), || {
            shifted.status(&link) == status
        });
    }
    // One that was minted while the clock was far ahead is no eternal one.
    shifted.shift("+30d");
    let mut ahead = String::new();
    until("a link of the future", || {
        ahead = shifted.site.mint(&shifted.server, &id);
        expires(&ahead) > expires(&link) + 29 * 86_400
    });
    assert_eq!(shifted.status(&ahead), 200);
    shifted.shift("+0");
    until("it being refused", || shifted.status(&ahead) == 401);
    // Uploads, lists and connections do not mind.
    for shift in ["+1d", "-1d", "+1h", "-1h", "+0"] {
        shifted.shift(shift);
        shifted.site.put(&shifted.server, &ledger, 1000);
    }
    shifted.site.check(&shifted.server, &ledger);
    let Shifted { site, server } = shifted;
    server.stop();
    site.check_all(&ledger);
}

#[test]
fn a_jump_ends_no_connection() {
    use std::io::{Read as _, Write as _};
    let shifted = Shifted::start("+0");
    let ledger = Ledger::default();
    let id = shifted.site.put(&shifted.server, &ledger, 1000);
    let link = shifted.site.mint(&shifted.server, &id);
    let mut idle = crate::rig::connect(&shifted.server.host).unwrap();
    let large = shifted.site.put(&shifted.server, &ledger, 20_000_000);
    let large = shifted.site.mint(&shifted.server, &large);
    let mut reader = crate::slow::Reader::begin(&shifted.server, &large, None);
    for shift in ["+1d", "-1d"] {
        shifted.shift(shift);
        std::thread::sleep(Duration::from_secs(2));
    }
    shifted.shift("+0");
    assert_eq!(reader.finish(), 20_000_000);
    let request = format!("GET {link} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    idle.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    idle.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

#[test]
fn after_2038_and_2106_all_is_as_ever() {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    for moment in [(1_u64 << 31) - 3, 1 << 31, (1 << 32) - 3, (1 << 32) + 8] {
        let shifted = Shifted::start(&format!("+{}", moment - now));
        let ledger = Ledger::default();
        let id = shifted.site.put(&shifted.server, &ledger, 1000);
        let link = shifted.site.mint(&shifted.server, &id);
        println!("{}: {}", shifted.date(), expires(&link));
        assert!(expires(&link) >= moment + 3600 - 60);
        assert_eq!(shifted.status(&link), 200, "{}", shifted.server.log());
        shifted.shift(&format!("+{}", moment - now + 3700));
        until("the link being over", || shifted.status(&link) == 401);
        shifted.site.check(&shifted.server, &ledger);
        let log = shifted.server.stop();
        assert!(!log.contains("panicked"), "{log}");
    }
}
