//! What was stored and is not any more what it was: the catalogue, its log, blobs.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::rig::{Ledger, Site, digest, files_below, random, rounds};
use crate::server::Server;

/// So large SQLite makes a page.
const PAGE: u64 = 4096;

fn garble(path: &Path, at: u64, length: usize) {
    let mut noise = vec![0; length];
    getrandom::fill(&mut noise).unwrap();
    OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .write_all_at(&noise, at)
        .unwrap();
}

#[test]
fn a_torn_log_of_the_catalogue_loses_no_more_than_its_end() {
    for round in 0..rounds(20, 4) {
        let (site, ledger) = (Site::new(), Ledger::default());
        let server = site.serve();
        for _ in 0..10 {
            site.put(&server, &ledger, 10_000);
        }
        server.kill();
        let log = site.data.join("catalogue.sqlite3-wal");
        let length = fs::metadata(&log).unwrap().len();
        let torn = 1 + random(3000) as u64;
        if round % 2 == 0 {
            File::options()
                .write(true)
                .open(&log)
                .unwrap()
                .set_len(length - torn)
                .unwrap();
        } else {
            garble(&log, length - torn, torn as usize);
        }
        let server = site.serve();
        let listed = site.listed(&server);
        // The torn end is one commit; a disk that keeps what was synced never tears it.
        assert!(
            listed.len() >= ledger.len() - 1,
            "{} of {}",
            listed.len(),
            ledger.len()
        );
        site.check(&server, &Ledger::default());
        site.put(&server, &Ledger::default(), 1000);
        server.stop();
    }
}

#[test]
fn a_catalogue_with_a_garbled_page_is_never_taken_for_an_empty_one() {
    let mut seen = Vec::new();
    for _ in 0..rounds(40, 8) {
        let (site, ledger) = (Site::new(), Ledger::default());
        let server = site.serve();
        for _ in 0..30 {
            site.put(&server, &ledger, 100);
        }
        server.stop();
        let catalogue = site.data.join("catalogue.sqlite3");
        let before = fs::metadata(&catalogue).unwrap().len();
        let page = random((before / PAGE) as usize) as u64;
        garble(&catalogue, page * PAGE, PAGE as usize);
        let outcome = match Server::start(site.serve_command(&[])) {
            Err((status, log)) => {
                assert!(matches!(status.code(), Some(1 | 2)), "{status} {log}");
                assert!(
                    log.contains("catalogue") && !log.contains("panicked"),
                    "{log}"
                );
                "did not start"
            }
            Ok(mut server) => {
                let status = site.get(&server, crate::rig::FILES).unwrap().status;
                assert!(matches!(status, 200 | 401 | 500 | 503), "{status}");
                let answer = site.upload(&server, &ledger, 100).unwrap();
                assert!(
                    answer.is_ok() || matches!(answer, Err(401 | 403 | 404 | 500..=599)),
                    "{answer:?}"
                );
                assert!(
                    server.is_running() && !server.log().contains("panicked"),
                    "{}",
                    server.log()
                );
                server.stop();
                if status == 200 { "answered" } else { "refused" }
            }
        };
        assert!(
            fs::metadata(&catalogue).unwrap().len() >= before,
            "made anew"
        );
        seen.push(outcome);
    }
    println!("garbled pages: {seen:?}");
}

#[test]
fn a_catalogue_that_was_cut_is_refused_and_left_as_it_is() {
    let (site, ledger) = (Site::new(), Ledger::default());
    let server = site.serve();
    for _ in 0..30 {
        site.put(&server, &ledger, 100);
    }
    server.stop();
    let catalogue = site.data.join("catalogue.sqlite3");
    // Or it would mend what is cut from the file.
    crate::rig::write_log_into(&catalogue);
    let whole = fs::read(&catalogue).unwrap();
    for kept in [
        whole.len() - PAGE as usize,
        whole.len() / 2,
        PAGE as usize,
        100,
        1,
        0,
    ] {
        fs::write(&catalogue, &whole[..kept]).unwrap();
        let started = Server::start(site.serve_command(&[])).err();
        let (status, log) = started.unwrap_or_else(|| panic!("it started with {kept} bytes"));
        assert!(
            matches!(status.code(), Some(1 | 2)) && log.contains("catalogue"),
            "{status} {log}"
        );
        assert_eq!(fs::read(&catalogue).unwrap().len(), kept, "{log}");
    }
    fs::write(&catalogue, &whole).unwrap();
    site.check_all(&ledger);
}

#[test]
fn a_blob_that_is_not_as_long_as_it_was_is_never_served() {
    let (site, ledger) = (Site::new(), Ledger::default());
    let server = site.serve();
    let id = site.put(&server, &ledger, 100_000);
    let link = site.mint(&server, &id);
    let blob = files_below(&site.data.join("blobs")).remove(0);
    let whole = fs::read(&blob).unwrap();
    let longer = [&whole[..], b"x"].concat();
    for bytes in [
        None,
        Some(&whole[..99_999]),
        Some(&whole[..0]),
        Some(&longer),
    ] {
        match bytes {
            None => fs::remove_file(&blob).unwrap(),
            Some(bytes) => fs::write(&blob, bytes).unwrap(),
        }
        for method in ["GET", "HEAD"] {
            let status = site.send(&server, method, &link, b"").unwrap().status;
            assert_eq!(status, 500, "{method} {:?}", bytes.map(<[u8]>::len));
        }
    }
    assert!(server.log().contains("damaged"), "{}", server.log());
    fs::write(&blob, &whole).unwrap();
    site.check(&server, &ledger);
    // One bit: the length is right, and the digest that goes with the bytes is not theirs.
    let mut flipped = whole.clone();
    flipped[50_000] ^= 1;
    fs::write(&blob, &flipped).unwrap();
    let reply = site.get(&server, &link).unwrap();
    let tag = reply.header("etag").unwrap().trim_matches('"').to_owned();
    let hex = |bytes: [u8; 32]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    println!("a flipped bit: {} {tag}", reply.status);
    assert_ne!(hex(digest(&reply.body)), tag, "the client can see it");
    assert_eq!(hex(digest(&whole)), tag);
    server.stop();
}
