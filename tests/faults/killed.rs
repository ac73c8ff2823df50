//! `kill -9`, at random moments and at each call that makes bytes durable.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::rig::{Ledger, Site, random, rounds};
use crate::server::{Server, hallpass_under};

/// How many clients upload at once.
const CLIENTS: u64 = 4;

/// A server that listens, however often it dies before it does.
fn serve_at_last(site: &Site, under: &[&str]) -> Option<Server> {
    Server::start(site.serve_command(under)).ok()
}

#[test]
fn nothing_acknowledged_is_lost_by_a_kill_at_any_moment() {
    let (site, ledger) = (Site::new(), Ledger::default());
    let (rounds, mut slowest) = (rounds(200, 20), Duration::ZERO);
    for round in 0..rounds {
        let mut server = site.serve();
        slowest = slowest.max(server.started_in);
        if round % 10 == 9 {
            site.check(&server, &ledger);
        }
        let moment = Duration::from_millis(random(500) as u64);
        std::thread::scope(|scope| {
            scope.spawn(|| site.upload_for(&server, &ledger, CLIENTS, Duration::from_secs(9), &[]));
            std::thread::sleep(moment);
            server.signal("KILL");
        });
        assert!(server.wait().is_some());
    }
    println!(
        "{rounds} kills, {} uploads acknowledged, slowest restart {slowest:?}",
        ledger.len()
    );
    assert!(ledger.len() as u64 > rounds, "hardly anything was uploaded");
    site.check_all(&ledger);
}

/// Each thread counts its own calls, so one N stands for several places.
fn killed_at_each(call: &str, last: u64, step: u64) {
    let (site, ledger) = (Site::new(), Ledger::default());
    let inject = |n: u64| format!("inject={call}:signal=SIGKILL:when={n}");
    let (mut died, mut died_early) = (0, 0);
    let step = usize::try_from(rounds(1, step)).unwrap();
    for n in (1..=last).step_by(step) {
        let inject = inject(n);
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &inject];
        let Some(server) = serve_at_last(&site, &strace) else {
            died_early += 1;
            continue;
        };
        let time = Duration::from_secs(4);
        site.upload_for(&server, &ledger, CLIENTS, time, &[]);
        let mut server = server;
        if server.wait_for(Duration::from_millis(500)).is_some() {
            died += 1;
        }
        server.kill();
        let server = site.serve();
        site.check(&server, &ledger);
        server.stop();
    }
    println!(
        "{call}, up to the {last}th: {died_early} died at the start and {died} under load; {} uploads \
        acknowledged",
        ledger.len()
    );
    assert!(died > 0, "no call was ever reached");
    site.check_all(&ledger);
}

#[test]
fn nothing_acknowledged_is_lost_by_a_kill_at_the_nth_sync() {
    killed_at_each("fsync,fdatasync", 24, 4);
}

#[test]
fn nothing_acknowledged_is_lost_by_a_kill_at_the_nth_rename() {
    killed_at_each("/^rename", 12, 4);
}

#[test]
fn nothing_acknowledged_is_lost_by_a_kill_at_the_nth_write_into_the_catalogue() {
    killed_at_each("pwrite64", 60, 9);
}

#[test]
fn nothing_acknowledged_is_lost_by_a_kill_at_the_nth_write_of_bytes() {
    killed_at_each("write", 60, 12);
}

#[test]
fn a_kill_while_a_new_installation_is_made_leaves_one_that_starts() {
    for call in ["fsync,fdatasync", "/^rename", "pwrite64"] {
        for n in 1..=rounds(12, 4) {
            let directory = tempfile::tempdir().unwrap();
            let data = directory.path().join("data");
            let inject = format!("inject={call}:signal=SIGKILL:when={n}");
            let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &inject];
            let start = |under: &[&str]| {
                let mut command = hallpass_under(under);
                command.env("HALLPASS_SERVER_DATA_DIR", &data);
                Server::start({
                    command.args(["serve", "--listen", "127.0.0.1:0"]);
                    command
                })
            };
            if let Ok(server) = start(&strace) {
                server.kill();
            }
            let again = start(&[]).unwrap_or_else(|ended| panic!("{call} {n}: {ended:?}"));
            again.stop();
        }
    }
}

/// A data directory whose catalogue is of the first schema there was.
fn of_the_first_schema() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let (data, fresh) = (
        directory.path().join("data"),
        directory.path().join("fresh"),
    );
    let made = hallpass_under::<&str>(&[])
        .env("HALLPASS_SERVER_DATA_DIR", &data)
        .args(["apikey", "create"])
        .output();
    assert!(made.unwrap().status.success());
    let catalogue = data.join("catalogue.sqlite3");
    std::fs::rename(&catalogue, &fresh).unwrap();
    let schema = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/catalog/schema/sqlite/0001_first.sql"
    );
    let script = format!(
        "PRAGMA application_id = {};\n{}\nATTACH '{}' AS fresh;\n\
        CREATE TABLE _sqlx_migrations AS SELECT * FROM fresh._sqlx_migrations WHERE version = 1;\n",
        u32::from_be_bytes(*b"Hall"),
        std::fs::read_to_string(schema).unwrap(),
        fresh.display()
    );
    let made = Command::new("sqlite3")
        .arg("-bail")
        .arg(&catalogue)
        .arg(script)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    (directory, data)
}

#[test]
fn a_kill_while_an_older_catalogue_is_brought_up_to_date_leaves_one_that_starts() {
    let mut died = 0;
    for call in ["fsync,fdatasync", "pwrite64"] {
        for n in (1..=20).step_by(usize::try_from(rounds(1, 5)).unwrap()) {
            let (_directory, data) = of_the_first_schema();
            let inject = format!("inject={call}:signal=SIGKILL:when={n}");
            let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &inject];
            let start = |under: &[&str]| {
                let mut command = hallpass_under(under);
                command.env("HALLPASS_SERVER_DATA_DIR", &data);
                command.args(["serve", "--listen", "127.0.0.1:0"]);
                Server::start(command)
            };
            match start(&strace) {
                Ok(server) => server.kill(),
                Err(_) => died += 1,
            }
            let again = start(&[]).unwrap_or_else(|ended| panic!("{call} {n}: {ended:?}"));
            again.stop();
        }
    }
    println!("it died {died} times on its way");
    assert!(died > 0, "no call was ever reached");
}
