//! A revocation that cannot be written keeps no link open: in no process on the data directory, and not after the end of
//! the one that was asked; whatever it is that keeps it from being written.

use std::fs;
use std::process::Command;

use crate::full::fill;
use crate::reserve::{
    ORGANIZATION, complaint, holds, json, leave, revoke, revoke_link, site_on, status,
};
use crate::rig::{Ledger, Site, until};
use crate::server::Server;
use crate::volume::Volume;

const FILLERS: [&str; 2] = ["filler", "filler-2"];

/// Revokes all links of a file until that is answered otherwise than by 200, as where no byte more can be written.
fn revoke_until_held(site: &Site, server: &Server, file: &str) {
    for _ in 0..100 {
        let answer = revoke(site, server, &format!("/files/{file}/revoke"), "");
        if answer.0 != 200 {
            return holds(&answer);
        }
    }
    panic!("all of them were written");
}

#[test]
fn every_process_on_the_data_directory_holds_it_and_the_end_of_one_forgets_nothing() {
    let Some(volume) = Volume::small(64, &[]) else {
        return;
    };
    let (site, ledger) = (site_on(&volume), Ledger::default());
    let (one, other) = (site.serve(), site.serve());
    let [own, heard, open] = [(); 3].map(|()| site.put(&one, &ledger, 100_000));
    let links = [&own, &heard, &open].map(|id| site.mint(&one, id));
    fill(&volume.path().join(FILLERS[0]));
    leave(&site, &volume, 0);
    revoke_until_held(&site, &one, &own);
    holds(&revoke_link(&site, &one, &links[1]));
    let statuses = |server: &Server| links.each_ref().map(|link| status(&site, server, link));
    assert_eq!(statuses(&one), [401, 401, 200]);
    until("the other gateway refuses them", || {
        statuses(&other) == [401, 401, 200]
    });
    // Nor does it mint what is held.
    let target = format!("{ORGANIZATION}/files/{own}/content");
    assert_eq!(status(&site, &other, &target), 507);
    let why = complaint(&site, &["rm", "--purge", &own]);
    assert!(why.contains("no space left"), "{why}");

    // As a power cut would end it, and the other one in order.
    one.kill();
    let log = other.stop();
    assert!(!log.contains("are forgotten"), "{log}");
    // A start needs some blocks.
    for filler in FILLERS {
        fs::remove_file(volume.path().join(filler)).unwrap();
    }
    let server = site.serve();
    assert_eq!(
        statuses(&server),
        [401, 401, 200],
        "from the first request on"
    );
    until("both are written", || {
        let wrote = "wrote a revocation that there was no room for before";
        server.log().matches(wrote).count() == 2
    });
    assert_eq!(statuses(&server), [401, 401, 200]);
    site.mint(&server, &own);
    server.stop();
    // And nothing is left to be written again.
    let server = site.serve();
    assert_eq!(statuses(&server), [401, 401, 200]);
    let minted = site.mint(&server, &own);
    assert_eq!(status(&site, &server, &minted), 200);
    assert!(!server.stop().contains("wrote a revocation"));
    site.check_all(&ledger);
}

/// A disk quota is answered likewise: the system refuses the write, and not for want of blocks.
#[test]
fn a_limit_of_file_sizes_keeps_no_link_open() {
    let (mut site, ledger) = (Site::new(), Ledger::default());
    let words = ["apikey", "create", "--scope", "admin", "--json"];
    site.key = json(&site, &words)["api_key"].as_str().unwrap().to_owned();
    let server = site.serve();
    let [own, open] = [(); 2].map(|()| site.put(&server, &ledger, 1000));
    let links = [&own, &open].map(|id| site.mint(&server, id));
    let limit = |bytes: &str| {
        let words = [format!("--pid={}", server.pid), format!("--fsize={bytes}")];
        assert!(
            Command::new("prlimit")
                .args(words)
                .status()
                .unwrap()
                .success()
        );
    };
    limit("16384:unlimited");
    revoke_until_held(&site, &server, &own);
    let statuses = || links.each_ref().map(|link| status(&site, &server, link));
    assert_eq!(statuses(), [401, 200]);
    holds(&revoke_link(&site, &server, &links[1]));
    assert_eq!(statuses(), [401, 401]);
    let url = format!("http://localhost{}", links[1]);
    let verified = site.command(&["verify", &url]).output().unwrap();
    assert!(String::from_utf8_lossy(&verified.stdout).starts_with("link_revoked"));
    limit("unlimited:unlimited");
    until("both are written", || {
        let wrote = "wrote a revocation that there was no room for before";
        server.log().matches(wrote).count() == 2
    });
    assert_eq!(statuses(), [401, 401]);
    server.stop();
    site.check_all(&ledger);
}

#[test]
fn a_disk_that_fails_to_write_keeps_no_link_open() {
    let Some(volume) = Volume::breakable() else {
        return;
    };
    let (site, ledger) = (site_on(&volume), Ledger::default());
    let server = site.serve();
    let [own, open] = [(); 2].map(|()| site.put(&server, &ledger, 1000));
    let links = [&own, &open].map(|id| site.mint(&server, id));
    volume.break_writes(true);
    holds(&revoke_link(&site, &server, &links[0]));
    let statuses = links.each_ref().map(|link| status(&site, &server, link));
    assert_eq!(statuses, [401, 200]);
    volume.break_writes(false);
    server.kill();
}
