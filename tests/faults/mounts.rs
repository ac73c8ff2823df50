//! Blobs on a file system of their own, mounted below the data directory.

use std::fs;
use std::net::TcpListener;

use crate::full::fill;
use crate::rig::{Ledger, Site, name_of};
use crate::server::Server;
use crate::volume::Volume;

/// Serves with a private listener, and answers its address.
fn serve(site: &Site) -> (Server, String) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = free.local_addr().unwrap().to_string();
    drop(free);
    let mut command = site.serve_command(&[]);
    command.args(["--admin-listen", &admin]);
    let server = Server::start(command).unwrap_or_else(|ended| panic!("{ended:?}"));
    (server, admin)
}

#[test]
fn blobs_may_lie_on_a_volume_of_their_own_and_readiness_is_what_uploads_find() {
    let (site, ledger) = (Site::new(), Ledger::default());
    let blobs = site.data.join("blobs");
    let Some(volume) = Volume::small_at(&blobs, 48) else {
        return;
    };
    let (server, admin) = serve(&site);
    let ready = || site.get_from(&admin, "/readyz").unwrap().status;
    let refused = || site.upload_reply(&server, &name_of(1000)).unwrap().status;
    site.put(&server, &ledger, 100_000);
    assert_eq!(ready(), 200);

    let filler = blobs.join("filler");
    fill(&filler);
    assert_eq!((ready(), refused()), (503, 507));
    fs::remove_file(&filler).unwrap();
    assert_eq!(ready(), 200);
    site.put(&server, &ledger, 100_000);

    volume.remount("ro");
    assert_eq!((ready(), refused()), (503, 500));
    site.check(&server, &ledger);
    volume.remount("rw");
    assert_eq!(ready(), 200);
    site.put(&server, &ledger, 100_000);
    site.check(&server, &ledger);
    server.stop();
    site.check_all(&ledger);
}

#[test]
fn blobs_that_could_not_be_renamed_into_their_place_refuse_the_start() {
    let site = Site::new();
    let stage = site.data.join("blobs/stage");
    let Some(_volume) = Volume::small_at(&stage, 8) else {
        return;
    };
    let (status, log) = Server::start(site.serve_command(&[]))
        .err()
        .expect("no start");
    assert_eq!(status.code(), Some(2), "{log}");
    let why = format!(
        "{}: it is a mount or a file system of its own",
        stage.display()
    );
    assert!(log.contains(&why), "{log}");
}
