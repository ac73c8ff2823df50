//! Other processes on the same data directory: one that holds the catalogue, a second gateway, deletes.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::rig::{Ledger, Reply, Site, bytes_of, name_of, rounds};

/// SQLite's own program with a transaction open that writes.
struct LongWriter(std::process::Child);

impl LongWriter {
    fn begin(site: &Site) -> Self {
        let mut child = Command::new("sqlite3")
            .arg(site.data.join("catalogue.sqlite3"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.as_mut().unwrap();
        writeln!(stdin, ".timeout 5000\nBEGIN IMMEDIATE;\nSELECT 'begun';").unwrap();
        let mut line = [0; 6];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        assert_eq!(&line, b"begun\n");
        Self(child)
    }
}

impl Drop for LongWriter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_long_writer_of_the_catalogue_bounds_uploads_and_leaves_downloads_alone() {
    let (site, ledger) = (Site::new(), Ledger::default());
    let server = site.serve();
    let small = site.put(&server, &ledger, 1000);
    let writer = LongWriter::begin(&site);
    std::thread::scope(|scope| {
        let begun = Instant::now();
        let uploads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| site.upload_reply(&server, &name_of(1000)).unwrap()))
            .collect();
        let mut answered = 0;
        while !uploads
            .iter()
            .all(std::thread::ScopedJoinHandle::is_finished)
        {
            assert_eq!(site.download(&server, &small).unwrap().status, 200);
            answered += 1;
        }
        let waited = begun.elapsed();
        for upload in uploads {
            let reply: Reply = upload.join().unwrap();
            assert_eq!(reply.status, 503, "{}", reply.text());
            assert!(reply.header("retry-after").is_some());
        }
        println!("8 uploads got their 503 within {waited:?}; meanwhile {answered} downloads");
        assert!(waited < Duration::from_secs(60) && answered > 10);
    });
    drop(writer);
    // As soon as it is gone.
    site.put(&server, &ledger, 1000);
    site.check(&server, &ledger);
    server.stop();
    site.check_all(&ledger);
}

#[test]
fn a_long_reader_of_the_catalogue_does_not_let_its_log_grow_for_ever() {
    let (site, ledger) = (Site::new(), Ledger::default());
    let server = site.serve();
    for _ in 0..rounds(600, 150) {
        site.put(&server, &ledger, 10);
    }
    let log = std::fs::metadata(site.data.join("catalogue.sqlite3-wal"))
        .unwrap()
        .len();
    println!("the log after {} uploads: {log} bytes", ledger.len());
    assert!(log <= 17 << 20);
    server.stop();
}

#[test]
fn two_gateways_on_one_data_directory_see_each_others_files() {
    let (site, ledger) = (Site::new(), Ledger::default());
    let (first, second) = (site.serve(), site.serve());
    std::thread::scope(|scope| {
        for server in [&first, &second] {
            scope.spawn(|| site.upload_for(server, &ledger, 3, Duration::from_secs(4), &[503]));
        }
    });
    println!("{} uploads by two", ledger.len());
    site.check(&first, &ledger);
    site.check(&second, &ledger);
    first.kill();
    site.check(&second, &ledger);
    site.put(&second, &ledger, 1000);
    second.stop();
    site.check_all(&ledger);
}

#[test]
fn a_file_deleted_while_it_is_read_is_read_whole_or_not_found() {
    let (site, ledger) = (Site::new(), Ledger::default());
    let server = site.serve();
    let (mut whole, mut gone) = (0, 0);
    for _ in 0..rounds(40, 10) {
        let name = name_of(2_000_000);
        let reply = site.upload_reply(&server, &name).unwrap();
        let file: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        let id = file["id"].as_str().unwrap();
        let (link, bytes) = (site.mint(&server, id), bytes_of(&name));
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..6)
                .map(|number| {
                    let (site, server, link) = (&site, &server, &link);
                    scope.spawn(move || {
                        std::thread::sleep(Duration::from_millis(number * 3));
                        site.get(server, link).unwrap()
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_millis(5));
            assert!(site.delete(&server, &ledger, id) < 300);
            assert_eq!(
                site.get(&server, &link).unwrap().status,
                404,
                "after the answer"
            );
            for reader in readers {
                let reply = reader.join().unwrap();
                match reply.status {
                    200 => assert!(reply.body == bytes, "mixed"),
                    status => assert_eq!(status, 404),
                }
                *if reply.status == 200 {
                    &mut whole
                } else {
                    &mut gone
                } += 1;
            }
        });
    }
    println!("{whole} read whole, {gone} not found");
    server.stop();
    site.check_all(&ledger);
}

#[test]
fn an_id_that_many_add_at_once_is_one_file() {
    let site = Site::new();
    let server = site.serve();
    let file = site.path("a.bin");
    std::fs::write(&file, vec![7; 100_000]).unwrap();
    let words = ["add", "--id", "file_of_many", file.to_str().unwrap()];
    let add = || {
        site.command(&words)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
    };
    let children: Vec<_> = (0..rounds(50, 20)).map(|_| add().unwrap()).collect();
    let codes = children
        .into_iter()
        .map(|mut child| child.wait().unwrap().code());
    let codes: Vec<_> = codes.map(Option::unwrap).collect();
    println!("{codes:?}");
    assert_eq!(
        codes.iter().filter(|code| **code == 0).count(),
        1,
        "{codes:?}"
    );
    assert!(codes.iter().all(|code| matches!(code, 0 | 1)), "{codes:?}");
    let listed = site.listed(&server);
    assert_eq!(listed.keys().collect::<Vec<_>>(), ["file_of_many"]);
    server.stop();
}
