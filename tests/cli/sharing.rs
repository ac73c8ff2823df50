//! `share` as people use it: the links that it prints for others, and Ctrl-C in the midst of storing files.

use std::fs::{self, File};
use std::process::Command;

use super::support::{Place, Serving, Writer, open, status, unshare, until};

/// So large that no machine reads it while a test waits. It takes no room.
const ENDLESS: u64 = 1 << 40;

/// Files that are stored, by a gateway of the test's own.
const KEEP: &[&str] = &["share", "--keep", "--listen", "127.0.0.1:0"];

/// A machine with these addresses, in a network of its own. They are on the loopback interface, as every kernel
/// has that one.
pub(super) const NETWORK: &str = "ip link set lo up && ip address add 192.0.2.7/32 dev lo && \
    ip address add 169.254.7.7/32 dev lo && ip address add 198.51.100.7/32 dev lo && \
    ip address add fe80::7/64 dev lo && ip address add 2001:db8::7/128 dev lo nodad && exec \"$@\"";

/// A machine that has no address but its own.
const LONELY: &str = "ip link set lo up && exec \"$@\"";

pub(super) fn share_in(place: &Place, network: &str, words: &[&str]) -> Serving {
    let under = [unshare("-n"), vec!["sh", "-c", network, "sh"]].concat();
    place.start_under(&under, &[&["share", "a.txt"], words].concat())
}

/// Opens a link from within the network of a process.
pub(super) fn fetched(pid: u32, link: &str) -> Vec<u8> {
    let pid = pid.to_string();
    let mut nsenter = Command::new("nsenter");
    nsenter.args(["-t", &pid, "-n"]);
    if !rustix::process::geteuid().is_root() {
        nsenter.args(["-U", "--preserve-credentials"]);
    }
    let output = nsenter
        .args(["curl", "-fsSg", "--max-time", "10", link])
        .output()
        .unwrap();
    assert!(output.status.success(), "{link}: {output:?}");
    output.stdout
}

#[test]
fn a_wildcard_listener_s_link_opens_at_the_machine_s_own_addresses() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    for (listen, first, rest) in [
        (":0", "http://192.0.2.7:", &["http://198.51.100.7:"][..]),
        ("0.0.0.0:0", "http://192.0.2.7:", &["http://198.51.100.7:"]),
        (
            "[::]:0",
            "http://192.0.2.7:",
            &["http://198.51.100.7:", "http://[2001:db8::7]:"],
        ),
        ("127.0.0.1:0", "http://127.0.0.1:", &[]),
    ] {
        let mut share = share_in(&place, NETWORK, &["--listen", listen]);
        let link = share.line();
        assert!(link.starts_with(first), "{listen}: {link}");
        assert_eq!(fetched(share.pid(), &link), b"bytes");
        let port = link[first.len()..].split('/').next().unwrap().to_owned();
        for other in rest {
            let other = link.replacen(first, other, 1);
            assert_eq!(fetched(share.pid(), &other), b"bytes", "{other}");
        }
        let (ended, more, errors) = share.stop("INT");
        assert_eq!((ended.code(), more.as_str()), (Some(0), ""), "{errors}");
        let others: Vec<String> = rest.iter().map(|other| format!("{other}{port}")).collect();
        let said = format!("the links open at these, too: {}", others.join(", "));
        assert_eq!(errors.contains(&said), !rest.is_empty(), "{errors}");
        for never in ["169.254", "fe80", "[::1]"] {
            assert!(!errors.contains(never), "{errors}");
        }
    }
}

#[test]
fn a_public_base_url_wins_over_the_machine_s_addresses() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    let base = "https://files.example.com/x";
    let words = ["--listen", "0.0.0.0:0", "--public-base-url", base];
    let mut share = share_in(&place, NETWORK, &words);
    assert!(share.line().starts_with("https://files.example.com/x/v1/"));
    let (_, _, errors) = share.stop("INT");
    assert_eq!(errors, "");
}

#[test]
fn a_machine_without_addresses_says_that_its_links_open_here_only() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    let mut share = share_in(&place, LONELY, &["--listen", "0.0.0.0:0"]);
    assert!(share.line().starts_with("http://127.0.0.1:"));
    let (_, _, errors) = share.stop("INT");
    assert!(errors.contains("the links open here only"), "{errors}");
}

/// A place with a small file and one whose end nobody waits for, in this order.
fn endless() -> Place {
    let place = Place::new();
    place.file("docs/a.txt", b"bytes");
    let file = File::create(place.path("docs/b.bin")).unwrap();
    file.set_len(ENDLESS).unwrap();
    place
}

fn is_being_taken_in(place: &Place) -> bool {
    fs::read_dir(place.data("blobs/stage")).is_ok_and(|stages| {
        let mut sizes =
            stages.map(|stage| stage.unwrap().metadata().map_or(0, |found| found.len()));
        sizes.any(|size| size > 1 << 20)
    })
}

fn blobs(place: &Place) -> usize {
    let output = Command::new("find")
        .arg(place.data("blobs"))
        .args(["-type", "f"])
        .output();
    String::from_utf8(output.unwrap().stdout)
        .unwrap()
        .lines()
        .count()
}

#[test]
fn a_share_that_is_stopped_before_its_links_were_printed_leaves_nothing() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        for words in [
            &["docs/b.bin"][..],
            &["docs", "--each", "--json"],
            &["docs"],
        ] {
            let place = endless();
            let share = place.start(&[KEEP, words].concat());
            until("taking the file in", || is_being_taken_in(&place));
            let (ended, printed, errors) = share.stop(signal);
            assert_eq!(ended.code(), Some(code), "{words:?} {errors}");
            assert_eq!(printed, "", "{words:?}");
            assert!(errors.contains("stopped before every link"), "{errors}");
            assert_eq!(place.json(&["ls"]), serde_json::json!([]), "{words:?}");
            assert_eq!(fs::read_dir(place.data("blobs/stage")).unwrap().count(), 0);
            assert_eq!(blobs(&place), 0, "{words:?}");
        }
    }
}

#[test]
fn files_whose_links_were_printed_stay_when_the_rest_is_stopped() {
    let place = endless();
    let mut share = place.start(&[KEEP, &["docs", "--each"]].concat());
    let link = share.line();
    until("taking the second file in", || is_being_taken_in(&place));
    assert_eq!(open(&link), (200, b"bytes".to_vec()));
    let (ended, printed, _) = share.stop("INT");
    assert_eq!((ended.code(), printed.as_str()), (Some(130), ""));
    assert_eq!(place.json(&["ls"])[0]["filename"], "a.txt");
    assert_eq!(
        (
            blobs(&place),
            fs::read_dir(place.data("blobs/stage")).unwrap().count()
        ),
        (1, 0)
    );
    let mut serve = place.serve();
    let base = serve.url();
    assert_eq!(
        status(&format!("{base}/v1/{}", link.split_once("/v1/").unwrap().1)),
        200
    );
}

#[test]
fn an_add_that_is_stopped_tells_what_it_stored_and_leaves_nothing_else() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let place = endless();
        let add = place.start(&["add", "docs", "--json"]);
        until("taking the file in", || is_being_taken_in(&place));
        let (ended, printed, errors) = add.stop(signal);
        assert_eq!(ended.code(), Some(code), "{errors}");
        let told: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(place.json(&["ls"]), told);
        assert_eq!(told.as_array().unwrap().len(), blobs(&place));
        assert_eq!(fs::read_dir(place.data("blobs/stage")).unwrap().count(), 0);
    }
}

/// The first signal has what was stored removed, which another process keeps from happening.
#[test]
fn a_share_that_is_stopped_twice_names_the_files_that_stay() {
    let place = endless();
    place.add("before.txt", b"before");
    let share = place.start(&[KEEP, &["docs", "--each", "--json"]].concat());
    until("taking the second file in", || is_being_taken_in(&place));
    let id = place.json(&["ls"])[0]["file_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let writer = Writer::begin(&place);
    share.signal("INT");
    until("giving the second file up", || {
        fs::read_dir(place.data("blobs/stage")).unwrap().count() == 0
    });
    let (ended, printed, errors) = share.stop("INT");
    assert_eq!(
        (ended.code(), printed.as_str()),
        (Some(130), ""),
        "{errors}"
    );
    assert!(
        errors.contains(&format!(
            "a.txt was stored and its link was not printed: `hallpass rm --purge {id}`"
        )),
        "{errors}"
    );
    writer.end();
    assert_eq!(place.json(&["ls"])[0]["file_id"], id);
}

/// Another process keeps rows from being made.
#[test]
fn an_add_that_is_stopped_twice_ends_its_json_and_names_what_may_be_stored() {
    let place = endless();
    place.add("before.txt", b"before");
    let writer = Writer::begin(&place);
    let add = place.start(&["add", "docs", "--json"]);
    until("keeping the first file", || {
        blobs(&place) == 3 && is_being_taken_in(&place)
    });
    add.signal("INT");
    until("giving the second file up", || {
        fs::read_dir(place.data("blobs/stage")).unwrap().count() == 0
    });
    let (ended, printed, errors) = add.stop("INT");
    writer.end();
    assert_eq!(ended.code(), Some(130), "{errors}");
    let told: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(told, serde_json::json!([]));
    // Its row was being made by then, or not begun.
    let stored = place.json(&["ls"]);
    let stored = stored.as_array().unwrap();
    let is_there = stored.iter().any(|file| file["filename"] == "a.txt");
    assert!(!is_there || errors.contains("docs/a.txt: "), "{errors}");
}

/// Nobody reads what it prints: the bytes that it keeps must not wait for their rows until somebody does.
#[test]
fn an_add_whose_output_nobody_reads_makes_the_rows_of_what_it_keeps() {
    const FILES: usize = 300;
    let place = Place::new();
    let long = "x".repeat(200);
    for number in 0..FILES {
        place.file(&format!("docs/{long}{number:03}"), b"bytes");
    }
    place.add("before.txt", b"before");
    let mut add = place.start(&["add", "docs", "--json"]);
    until("the row of every file", || {
        place.json(&["ls"]).as_array().unwrap().len() == FILES + 1
    });
    assert_eq!(blobs(&place), FILES + 1);
    let told: serde_json::Value = serde_json::from_str(&add.line()).unwrap();
    assert_eq!(add.stop("CONT").0.code(), Some(0));
    assert_eq!(told.as_array().unwrap().len(), FILES);
}
