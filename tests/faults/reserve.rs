//! A full disk never keeps a link open: what may spend the disk reserve, what holds where that is spent, too, and how both
//! come back.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::Value;

use crate::full::{fill, upload_until_full};
use crate::rig::{Ledger, Site, until};
use crate::server::Server;
use crate::volume::Volume;

pub(crate) const ORGANIZATION: &str = "/v1/organizations/org_default";

/// The size of the whole reserve, and of the part of it that is left to purges.
const WHOLE: u64 = 8 << 20;
const OF_PURGES: u64 = 2 << 20;

/// A data directory on a volume, whose key may do everything.
pub(crate) fn site_on(volume: &Volume) -> Site {
    let mut site = Site::on(volume.path());
    let words = ["apikey", "create", "--scope", "admin", "--json"];
    site.key = json(&site, &words)["api_key"].as_str().unwrap().to_owned();
    site
}

/// What a command prints that goes well.
pub(crate) fn json(site: &Site, words: &[&str]) -> Value {
    let done = site.command(words).output().unwrap();
    assert!(done.status.success(), "{words:?} {done:?}");
    serde_json::from_slice(&done.stdout).unwrap_or_default()
}

/// What a command complains about that fails.
pub(crate) fn complaint(site: &Site, words: &[&str]) -> String {
    let done = site.command(words).output().unwrap();
    assert_eq!(done.status.code(), Some(1), "{words:?} {done:?}");
    String::from_utf8_lossy(&done.stderr).into_owned()
}

/// The bytes that the reserve has.
fn reserve(site: &Site) -> u64 {
    let found = site.data.join("reserve").metadata().unwrap();
    assert_eq!(found.mode() & 0o777, 0o600);
    (found.blocks() * 512).min(found.len())
}

/// The answer to a revocation: its status and its body.
pub(crate) fn revoke(site: &Site, server: &Server, target: &str, body: &str) -> (u16, Value) {
    let reply = site.send_json(server, &format!("{ORGANIZATION}{target}"), body);
    let reply = reply.unwrap();
    (reply.status, serde_json::from_slice(&reply.body).unwrap())
}

pub(crate) fn revoke_link(site: &Site, server: &Server, link: &str) -> (u16, Value) {
    let body = serde_json::json!({ "download_url": format!("http://localhost{link}") });
    revoke(site, server, "/links/revoke", &body.to_string())
}

pub(crate) fn status(site: &Site, server: &Server, link: &str) -> u16 {
    site.get(server, link).unwrap().status
}

/// The statuses of all the links, in their order.
fn all_of(site: &Site, server: &Server, links: &[String]) -> Vec<u16> {
    let links = links.iter();
    links.map(|link| status(site, server, link)).collect()
}

/// Checks that the answer is a 507 whose words say that the revocation holds.
pub(crate) fn holds(answer: &(u16, Value)) {
    let (status, body) = answer;
    assert_eq!(*status, 507, "{body}");
    assert_eq!(body["error"]["code"], "INSUFFICIENT_STORAGE");
    let said =
        "The revocation holds on this gateway, but could not be written yet: the disk is full.";
    assert_eq!(body["error"]["message"], said);
}

/// Leaves no free block on the volume, and this much of the reserve.
pub(crate) fn leave(site: &Site, volume: &Volume, bytes: u64) {
    let file = File::options().write(true).open(site.data.join("reserve"));
    let file = file.unwrap();
    file.set_len(bytes).unwrap();
    file.sync_all().unwrap();
    drop(file);
    fill(&volume.path().join("filler-2"));
}

/// Makes organizations until there is no room for one more, not even where the log was written before. Answers how many.
fn fill_log(site: &Site) -> usize {
    let refused = (0..500).find(|number| {
        let id = format!("org_{number}");
        let words = ["organization", "create", "--id", &id];
        site.command(&words).output().unwrap().status.code() == Some(1)
    });
    refused.expect("one that is refused")
}

/// Purges so many files that the reserve comes back, and waits until it is whole.
fn make_room(site: &Site, server: &Server, ledger: &Ledger) {
    for id in site.listed(server).into_keys().take(12) {
        json(site, &["rm", "--purge", &id, "--json"]);
        ledger.forget(&id);
    }
    until("the reserve is whole", || reserve(site) == WHOLE);
}

/// Revokes the file until that is not written for want of room: whatever of the log may still be written over is, and then
/// nothing more.
fn revoke_until_held(site: &Site, server: &Server, file: &str) {
    let mut answers = (0..100).map(|_| revoke(site, server, &format!("/files/{file}/revoke"), ""));
    let held = answers.find(|answer| answer.0 != 200);
    holds(&held.expect("one that is not written"));
}

/// Waits until the audit stream has this many revocations that hold and are not written.
fn await_held(audit: &Path, count: usize) {
    until("the audit stream says so", || {
        let lines = fs::read_to_string(audit).unwrap();
        let held = |line: &&str| {
            line.contains(r#""event":"revoke""#) && line.contains(r#""outcome":"held""#)
        };
        lines.lines().filter(held).count() == count
    });
}

fn free_blocks(path: &Path) -> u64 {
    rustix::fs::statvfs(path).unwrap().f_bfree
}

#[test]
fn revocations_deletes_purges_and_keys_go_on_where_not_one_block_is_free() {
    let Some(volume) = Volume::small(64, &[]) else {
        return;
    };
    let (site, ledger) = (site_on(&volume), Ledger::default());
    let server = site.serve();
    assert_eq!(reserve(&site), WHOLE);
    let files: Vec<String> = (0..6)
        .map(|_| site.put(&server, &ledger, 100_000))
        .collect();
    let links: Vec<String> = files.iter().map(|id| site.mint(&server, id)).collect();
    let large = upload_until_full(&site, &server, &ledger, 1_000_000);
    fill(&volume.path().join("filler"));
    println!("{} blocks are free", free_blocks(volume.path()));

    assert_eq!(revoke_link(&site, &server, &links[0]).0, 200);
    println!("after a link: {} of the reserve", reserve(&site));
    let of_file = format!("/files/{}/revoke", files[1]);
    assert_eq!(revoke(&site, &server, &of_file, "").0, 200);
    assert_eq!(site.delete(&server, &ledger, &files[2]), 204);
    let by_command = format!("http://localhost{}", links[3]);
    json(&site, &["revoke", "--no-wait", &by_command, "--json"]);
    println!("after a command: {} of the reserve", reserve(&site));
    until("the command's revocation", || {
        status(&site, &server, &links[3]) == 401
    });
    let open = all_of(&site, &server, &links);
    assert_eq!(open, [401, 401, 404, 401, 200, 200]);

    // Nothing else may spend it.
    let before = reserve(&site);
    assert_eq!(site.upload(&server, &ledger, 1000).unwrap(), Err(507));
    fs::write(site.path("a.txt"), "bytes").unwrap();
    complaint(&site, &["add", "a.txt"]);
    let fitted = fill_log(&site);
    println!("organizations that fit into the rest of the log: {fitted}");
    assert_eq!(reserve(&site), before);

    let kid = json(&site, &["key", "rotate", "--json"])["kid"].clone();
    println!("after a key: {} of the reserve", reserve(&site));
    until("the new key", || {
        site.mint(&server, &files[5])
            .contains(&format!("token={}.", kid.as_str().unwrap()))
    });
    let (status_of_all, body) = revoke(&site, &server, "/revoke", "");
    assert_eq!(status_of_all, 200, "{body}");
    assert_eq!(status(&site, &server, &links[4]), 401);
    // A hundred more cost next to nothing.
    for _ in 0..100 {
        assert_eq!(revoke(&site, &server, "/revoke", "").0, 200);
    }
    println!("after a hundred more: {} of the reserve", reserve(&site));
    assert!(reserve(&site) > WHOLE / 2, "{}", reserve(&site));

    // A purge gives more than it takes.
    let before = free_blocks(volume.path());
    json(&site, &["rm", "--purge", &large, "--json"]);
    ledger.forget(&large);
    let after = free_blocks(volume.path());
    println!("a purge: {before} blocks were free, and then {after}");
    assert!(after > before + 100);
    site.check(&server, &ledger);

    fs::remove_file(volume.path().join("filler")).unwrap();
    site.delete(&server, &ledger, &files[0]);
    make_room(&site, &server, &ledger);
    site.put(&server, &ledger, 100_000);
    server.stop();
    site.check_all(&ledger);
}

#[test]
fn where_the_reserve_is_spent_too_a_revocation_holds_until_there_is_room() {
    let Some(volume) = Volume::small(64, &[]) else {
        return;
    };
    let (site, ledger) = (site_on(&volume), Ledger::default());
    let audit = site.path("audit");
    let mut command = site.serve_command(&[]);
    command.env("HALLPASS_AUDIT_FILE", &audit);
    let server = Server::start(command).unwrap_or_else(|ended| panic!("{ended:?}"));
    let files: Vec<String> = (0..4)
        .map(|_| site.put(&server, &ledger, 100_000))
        .collect();
    let links: Vec<String> = files.iter().map(|id| site.mint(&server, id)).collect();
    let large = upload_until_full(&site, &server, &ledger, 1_000_000);
    fill(&volume.path().join("filler"));
    leave(&site, &volume, OF_PURGES);
    revoke_until_held(&site, &server, &files[3]);
    holds(&revoke_link(&site, &server, &links[0]));
    let open = || all_of(&site, &server, &links);
    assert_eq!(open(), [401, 200, 200, 401]);
    // Nobody knows yet with what a link of that file would be signed that is to live on.
    let target = format!("{ORGANIZATION}/files/{}/content", files[3]);
    assert_eq!(status(&site, &server, &target), 507);
    site.mint(&server, &files[1]);
    // A command knows of it, too, and what it cannot write either holds all the same.
    let url = |number: usize| format!("http://localhost{}", links[number]);
    let verified = site.command(&["verify", &url(0)]).output().unwrap();
    let verified = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.starts_with("link_revoked"), "{verified}");
    let why = complaint(&site, &["revoke", "--no-wait", &url(2)]);
    assert!(
        why.contains("the revocation holds on every gateway of this data directory"),
        "{why}"
    );
    until("the gateway holds it, too", || {
        open() == [401, 200, 401, 401]
    });
    until("the warning", || {
        server.log().contains("it holds in this process")
    });

    await_held(&audit, 2);

    // A purge has what it needs, and makes the room that the others lack.
    let before = free_blocks(volume.path());
    json(&site, &["rm", "--purge", &large, "--json"]);
    ledger.forget(&large);
    println!(
        "a purge: {before} blocks were free, and then {}",
        free_blocks(volume.path())
    );
    until("the revocations are written", || {
        let wrote = "wrote a revocation that there was no room for before";
        server.log().matches(wrote).count() == 3
    });
    assert_eq!(open(), [401, 200, 401, 401]);
    server.stop();
    let server = site.serve();
    assert_eq!(all_of(&site, &server, &links), [401, 200, 401, 401]);
    for filler in ["filler", "filler-2"] {
        fs::remove_file(volume.path().join(filler)).unwrap();
    }
    make_room(&site, &server, &ledger);
    until("it is said", || {
        server.log().contains("the disk reserve is whole again")
    });
    server.stop();
    site.check_all(&ledger);
}

#[test]
fn a_gateway_that_ended_starts_on_a_full_volume_and_revokes() {
    let Some(volume) = Volume::small(64, &[]) else {
        return;
    };
    let (site, ledger) = (site_on(&volume), Ledger::default());
    let server = site.serve();
    let id = site.put(&server, &ledger, 100_000);
    let link = site.mint(&server, &id);
    // In order: no log and no shared memory are left beside the catalogue.
    server.stop();
    crate::rig::write_log_into(&site.data.join("catalogue.sqlite3"));
    fill(&volume.path().join("filler"));
    let url = format!("http://localhost{link}");
    json(&site, &["revoke", "--no-wait", &url, "--json"]);
    println!("a command alone leaves {} of the reserve", reserve(&site));
    let server = site.serve();
    println!("a start leaves {} of the reserve", reserve(&site));
    assert_eq!(status(&site, &server, &link), 401);
    assert_eq!(revoke(&site, &server, "/revoke", "").0, 200);
    server.stop();
}

#[test]
fn a_disk_that_is_full_at_the_first_start_is_warned_of() {
    let Some(volume) = Volume::small(48, &[]) else {
        return;
    };
    let site = site_on(&volume);
    fs::write(site.path("a.bin"), vec![7; 1_000_000]).unwrap();
    let [deleted, ready] = ["deleted", "ready"];
    for id in [deleted, ready] {
        json(&site, &["add", "--id", id, "a.bin", "--json"]);
    }
    json(&site, &["rm", deleted, "--json"]);
    let filler = volume.path().join("filler");
    fill(&filler);
    // Some blocks are needed to start at all.
    let file = File::options().write(true).open(&filler).unwrap();
    file.set_len(file.metadata().unwrap().len() - (1 << 20))
        .unwrap();
    drop(file);
    let mut command = site.serve_command(&[]);
    command.env("HALLPASS_FILES_RECYCLE_DAYS", "30");
    let server = Server::start(command).unwrap_or_else(|ended| panic!("{ended:?}"));
    until("the warning", || {
        let log = server.log();
        log.contains("the disk has no room for the whole reserve")
    });
    // With no reserve at all, a file that was deleted before makes the room for its own purge.
    let second = volume.path().join("filler-2");
    fill(&second);
    fill_log(&site);
    let why = complaint(&site, &["rm", "--purge", ready]);
    assert!(why.contains("no space left"), "{why}");
    json(&site, &["rm", "--purge", deleted, "--json"]);
    json(&site, &["rm", "--purge", ready, "--json"]);
    fs::remove_file(&filler).unwrap();
    fs::remove_file(&second).unwrap();
    until("the reserve is whole", || reserve(&site) == WHOLE);
    assert_eq!(json(&site, &["doctor", "--json"])["orphans"], 0);
    server.stop();
}
