//! Disks that are full: of blocks, of inodes, by a limit of the process; of the bytes and of the catalogue.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use crate::rig::{Ledger, Reply, Site, files_below, name_of, until};
use crate::server::Server;
use crate::volume::Volume;

const NO_SPACE: u16 = 507;

/// Writes into a file until the volume holds no byte more.
pub(crate) fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
    drop(file.sync_all());
}

fn refused_upload(site: &Site, server: &Server, length: usize) -> Reply {
    let reply = site.upload_reply(server, &name_of(length)).unwrap();
    assert!(reply.status >= 500, "{}", reply.text());
    let json: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let code = if reply.status == NO_SPACE {
        "INSUFFICIENT_STORAGE"
    } else {
        "SERVICE_UNAVAILABLE"
    };
    assert_eq!(json["error"]["code"], code);
    assert!(!reply.text().contains(site.data.to_str().unwrap()));
    reply
}

/// Uploads until there is no room. Answers one of those that were taken.
pub(crate) fn upload_until_full(
    site: &Site,
    server: &Server,
    ledger: &Ledger,
    length: usize,
) -> String {
    let mut last = None;
    for _ in 0..500 {
        match site.upload(server, ledger, length).unwrap() {
            Ok(id) => last = Some(id),
            Err(status) => {
                assert_eq!(status, NO_SPACE, "{}", server.log());
                return last.expect("one that was taken");
            }
        }
    }
    panic!("it never is full");
}

fn no_stage_is_left(site: &Site) {
    until("the stages are gone", || {
        files_below(&site.data.join("blobs/stage")).is_empty()
    });
}

#[test]
fn a_full_volume_refuses_uploads_and_serves_and_deletes_what_is_there() {
    let Some(volume) = Volume::small(48, &[]) else {
        return;
    };
    let (site, ledger) = (Site::on(volume.path()), Ledger::default());
    let server = site.serve();
    let victim = upload_until_full(&site, &server, &ledger, 1_000_000);
    no_stage_is_left(&site);
    site.check(&server, &ledger);
    assert!(
        site.delete(&server, &ledger, &victim) < 300,
        "{}",
        server.log()
    );
    // And now not one block is free.
    let filler = volume.path().join("filler");
    fill(&filler);
    let reply = refused_upload(&site, &server, 100_000);
    println!(
        "an upload to a brim-full volume: {} {}",
        reply.status,
        reply.text()
    );
    let files = site.check(&server, &ledger);
    let mut statuses = Vec::new();
    for id in site.listed(&server).into_keys().take(5) {
        statuses.push(site.delete(&server, &ledger, &id));
    }
    println!("deletes on a brim-full volume: {statuses:?}; {files} files open");
    no_stage_is_left(&site);
    fs::remove_file(filler).unwrap();
    site.put(&server, &ledger, 100_000);
    site.check(&server, &ledger);
    server.stop();
}

#[test]
fn a_restart_on_a_full_volume_serves() {
    let Some(volume) = Volume::small(48, &[]) else {
        return;
    };
    let (site, ledger) = (Site::on(volume.path()), Ledger::default());
    let server = site.serve();
    for _ in 0..3 {
        site.put(&server, &ledger, 100_000);
    }
    server.kill();
    let filler = volume.path().join("filler");
    fill(&filler);
    match Server::start(site.serve_command(&[])) {
        Ok(server) => {
            println!("a full volume: it starts");
            site.check(&server, &ledger);
            server.stop();
        }
        Err((status, log)) => {
            println!("a full volume: {status}: {log}");
            assert!(
                matches!(status.code(), Some(1 | 2)) && !log.contains("panicked"),
                "{log}"
            );
        }
    }
    fs::remove_file(filler).unwrap();
    let server = site.serve();
    site.check(&server, &ledger);
    server.stop();
}

#[test]
fn a_volume_without_inodes_refuses_uploads_and_serves_on() {
    let Some(volume) = Volume::small(48, &["-N", "64"]) else {
        return;
    };
    let (site, ledger) = (Site::on(volume.path()), Ledger::default());
    let server = site.serve();
    let victim = upload_until_full(&site, &server, &ledger, 1000);
    no_stage_is_left(&site);
    site.check(&server, &ledger);
    assert!(site.delete(&server, &ledger, &victim) < 300);
    site.check(&server, &ledger);
    server.stop();
}

#[test]
fn a_full_volume_of_the_catalogue_refuses_uploads_and_serves_on() {
    let Some(volume) = Volume::small(8, &[]) else {
        return;
    };
    let (site, ledger) = (Site::new(), Ledger::default());
    // The catalogue alone on a volume of its own, behind a link.
    let (own, small) = (
        site.data.join("catalogue.sqlite3"),
        volume.path().join("catalogue.sqlite3"),
    );
    crate::rig::write_log_into(&own);
    fs::copy(&own, &small).unwrap();
    fs::remove_file(&own).unwrap();
    std::os::unix::fs::symlink(&small, &own).unwrap();
    let server = site.serve();
    for _ in 0..5 {
        site.put(&server, &ledger, 10_000);
    }
    fill(&volume.path().join("filler"));
    let mut refused = 0;
    for _ in 0..300 {
        match site.upload(&server, &ledger, 10_000).unwrap() {
            Ok(_) => {}
            Err(status) => {
                assert!(matches!(status, 503 | 507), "{status} {}", server.log());
                refused += 1;
            }
        }
        if refused == 3 {
            break;
        }
    }
    println!(
        "a full volume of the catalogue: {} taken before {refused} refused",
        ledger.len()
    );
    assert!(refused > 0, "it never is full");
    site.check(&server, &ledger);
    fs::remove_file(volume.path().join("filler")).unwrap();
    site.put(&server, &ledger, 10_000);
    server.stop();
    site.check_all(&ledger);
}

#[test]
fn a_limit_of_file_sizes_is_507_and_no_end_of_the_process() {
    let (site, ledger) = (Site::new(), Ledger::default());
    let server = site.serve_under(&["prlimit", "--fsize=1048576"]);
    site.put(&server, &ledger, 900_000);
    for _ in 0..3 {
        assert_eq!(refused_upload(&site, &server, 3_000_000).status, NO_SPACE);
    }
    site.put(&server, &ledger, 900_000);
    no_stage_is_left(&site);
    site.check(&server, &ledger);
    server.stop();
    site.check_all(&ledger);
}
