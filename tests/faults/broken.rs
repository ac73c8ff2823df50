//! Disks that answer with errors, are slow, or can only be read.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::rig::{FILES, Ledger, Site, files_below, rounds, until};
use crate::server::Server;
use crate::volume::Volume;

/// The file of the newest blob.
fn blob_of_size(site: &Site, size: u64) -> PathBuf {
    let blobs = files_below(&site.data.join("blobs"));
    let found = blobs
        .into_iter()
        .find(|blob| blob.metadata().unwrap().len() == size);
    found.expect("a blob of that size")
}

#[test]
fn a_disk_that_fails_to_write_refuses_uploads_and_recovers() {
    let Some(volume) = Volume::breakable() else {
        return;
    };
    let (site, ledger) = (Site::on(volume.path()), Ledger::default());
    let server = site.serve();
    site.put(&server, &ledger, 100_000);
    volume.break_writes(true);
    let refused = site.upload(&server, &ledger, 100_000).unwrap();
    println!("an upload to a disk that fails to write: {refused:?}");
    assert!(matches!(refused, Err(500..=599)));
    site.check(&server, &ledger);
    volume.break_writes(false);
    // ext4 may have made itself read-only, as it should: then the process must say so, and serve on.
    let after = site.upload(&server, &ledger, 100_000).unwrap();
    println!("and when the disk is well again: {after:?}");
    site.check(&server, &ledger);
    server.kill();
}

#[test]
fn a_disk_that_fails_to_read_never_pads_an_answer() {
    let Some(volume) = Volume::breakable() else {
        return;
    };
    let (site, ledger) = (Site::on(volume.path()), Ledger::default());
    let server = site.serve();
    let large = site.put(&server, &ledger, 5_000_000);
    let link = site.mint(&server, &large);
    volume.forget();
    volume.break_reads(true);
    for _ in 0..3 {
        match site.get(&server, &link) {
            Ok(reply) => assert!(reply.status >= 500, "{}", reply.status),
            Err(error) => println!("aborted: {error}"),
        }
    }
    volume.break_reads(false);
    assert!(server.log().contains("error"), "{}", server.log());
    site.check(&server, &ledger);
    server.stop();
}

#[test]
fn a_read_error_in_the_midst_aborts_the_answer() {
    let (site, ledger) = (Site::new(), Ledger::default());
    let server = site.serve();
    let large = site.put(&server, &ledger, 5_000_000);
    server.stop();
    let blob = blob_of_size(&site, 5_000_000);
    for calls in ["preadv2,pread64", "sendfile"] {
        for when in ["1+", "3+"] {
            let inject = format!("inject={calls}:error=EIO:when={when}");
            let strace = [
                "strace",
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-P",
                blob.to_str().unwrap(),
                "-e",
                &inject,
            ];
            let server = site.serve_under(&strace);
            let link = site.mint(&server, &large);
            let answer = site.get(&server, &link);
            match &answer {
                Ok(reply) if reply.status == 200 => {
                    // What could be read in another way was.
                    assert_eq!(reply.body.len(), 5_000_000);
                }
                Ok(reply) => assert!(reply.status >= 500, "{}", reply.status),
                Err(_) => {}
            }
            let said = answer
                .map(|reply| reply.status)
                .map_err(|error| error.kind());
            println!("{inject}: {said:?}");
            // The process lives, and the rest of it answers.
            site.listed(&server);
            server.kill();
        }
    }
    site.check_all(&ledger);
}

#[test]
fn a_sync_that_fails_fails_its_upload_alone() {
    for (call, n) in [
        ("fsync", 1),
        ("fsync", 2),
        ("fsync", 3),
        ("fdatasync", 1),
        ("fdatasync", 3),
    ] {
        let (site, ledger) = (Site::new(), Ledger::default());
        // The directories that come with the first upload are there.
        let server = site.serve();
        site.put(&server, &ledger, 1000);
        server.stop();
        // Only below the data directory's own files, not what opening syncs.
        let inject = format!("inject={call}:error=EIO:when={n}");
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &inject];
        let server = match Server::start(site.serve_command(&strace)) {
            Ok(server) => server,
            Err((status, log)) => {
                println!("{inject}: it did not start: {status}: {log}");
                assert!(
                    log.contains("Input/output error") && !log.contains("panicked"),
                    "{log}"
                );
                continue;
            }
        };
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..20 {
            match site.upload(&server, &ledger, 50_000).unwrap() {
                Ok(_) => taken += 1,
                Err(status) => {
                    assert!((500..600).contains(&status));
                    refused += 1;
                }
            }
        }
        println!("{inject}: {taken} taken, {refused} refused");
        site.check(&server, &ledger);
        server.kill();
        site.check_all(&ledger);
    }
}

#[test]
fn a_disk_that_syncs_slowly_holds_up_uploads_alone() {
    let (site, ledger) = (Site::new(), Ledger::default());
    let server = site.serve();
    let small = site.put(&server, &ledger, 1000);
    server.stop();
    let strace = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "inject=fsync,fdatasync:delay_enter=1500000",
    ];
    let server = site.serve_under(&strace);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let uploads = scope.spawn(|| {
            for _ in 0..rounds(5, 2) {
                site.put(&server, &ledger, 100_000);
            }
            begun.elapsed()
        });
        let (mut answered, mut longest) = (0, Duration::ZERO);
        while !uploads.is_finished() {
            let asked = Instant::now();
            assert_eq!(site.download(&server, &small).unwrap().status, 200);
            longest = longest.max(asked.elapsed());
            answered += 1;
        }
        let slow = uploads.join().unwrap();
        println!(
            "uploads took {slow:?}; meanwhile {answered} mints and downloads, the longest {longest:?}"
        );
        assert!(slow > Duration::from_secs(3), "nothing was slow");
        assert!(answered > 10, "others waited for the disk, too");
    });
    server.kill();
    site.check_all(&ledger);
}

#[test]
fn a_volume_that_can_only_be_read_is_said_so() {
    let Some(volume) = Volume::small(32, &[]) else {
        return;
    };
    let (site, ledger) = (Site::on(volume.path()), Ledger::default());
    let server = site.serve();
    site.put(&server, &ledger, 1000);
    server.stop();
    volume.remount("ro");
    let refused = Server::start(site.serve_command(&[]));
    let (status, log) = refused
        .err()
        .expect("no start on a volume that can only be read");
    println!("{status}: {log}");
    assert!(matches!(status.code(), Some(1 | 2)), "{log}");
    assert!(log.contains("is mounted read-only"), "{log}");
    volume.remount("rw");
    site.check_all(&ledger);
}

#[test]
fn permissions_that_are_lost_refuse_uploads_and_downloads_go_on() {
    if !rustix::process::geteuid().is_root() {
        return permissions_are_lost(&[]);
    }
    // Nothing is forbidden to root.
    permissions_are_lost(&[
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ]);
}

#[test]
fn bytes_that_cannot_be_given_to_the_group_that_shall_read_them_refuse_the_start() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!(
            "NOT TESTED: only root may give a directory to a group that is not its own"
        );
    }
    let site = Site::new();
    let everything = [site.data.parent().unwrap()];
    let owned = Command::new("chown")
        .args(["-R", "65534:65534"])
        .args(everything)
        .status();
    assert!(owned.unwrap().success());
    std::os::unix::fs::chown(&site.data, None, Some(54_321)).unwrap();
    let serve = |groups: &str| {
        let user = ["setpriv", "--reuid=65534", "--regid=65534", groups];
        let mut command = site.serve_command(&user);
        command.env("HALLPASS_BLOBS_MODE", "0640");
        Server::start(command)
    };
    let (status, log) = serve("--clear-groups").err().expect("no start");
    assert_eq!(status.code(), Some(2), "{log}");
    let why =
        "its group (54321) is to read the stored bytes, and this process is not in that group";
    assert!(
        log.contains(&format!("{}: {why}", site.data.display())),
        "{log}"
    );
    let server = serve("--groups=54321").expect("a start");
    site.put(&server, &Ledger::default(), 1000);
    let blob = files_below(&site.data.join("blobs")).remove(0);
    let found = fs::metadata(blob).unwrap();
    assert_eq!((found.gid(), found.mode() & 0o777), (54_321, 0o640));
    server.stop();
}

fn permissions_are_lost(under: &[&str]) {
    let (site, ledger) = (Site::new(), Ledger::default());
    if !under.is_empty() {
        let everything = [site.data.parent().unwrap()];
        let owned = Command::new("chown")
            .args(["-R", "65534:65534"])
            .args(everything)
            .status();
        assert!(owned.unwrap().success());
    }
    let server = site.serve_under(under);
    for _ in 0..3 {
        site.put(&server, &ledger, 1000);
    }
    let set = |name: &str, mode: u32| {
        fs::set_permissions(site.data.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    for directory in ["blobs/stage", "blobs"] {
        let mode = fs::metadata(site.data.join(directory))
            .unwrap()
            .permissions()
            .mode();
        set(directory, 0o500);
        let inner = files_below(&site.data.join("blobs"));
        assert!(!inner.is_empty());
        // The fan-out of a new blob is new, nearly always.
        let refused = (0..5).any(|_| {
            let answer = site.upload(&server, &ledger, 1000).unwrap();
            matches!(answer, Err(500..=599))
        });
        assert!(refused, "{directory}");
        site.check(&server, &ledger);
        set(directory, mode & 0o7777);
        site.put(&server, &ledger, 1000);
    }
    let listed = site.get(&server, FILES).unwrap();
    assert_eq!(listed.status, 200);
    server.stop();
    until("the stages are gone", || {
        files_below(&site.data.join("blobs/stage")).is_empty()
    });
}
