//! What links begin with: a running gateway's word reaches the commands beside it.

use std::fs;
use std::process::Output;

use super::support::{Place, Serving, set_mode, until};

const BASE: &str = "https://files.example.com/x";

/// A gateway that was told what links begin with as the systemd unit tells it: by its environment alone.
fn serve(place: &Place, base: &str) -> Serving {
    let mut command = place.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("HALLPASS_SERVER_PUBLIC_BASE_URL", base);
    let mut serve = Serving::of(command);
    serve.url();
    serve
}

/// The link and what standard error says beside it.
fn signed(output: &Output) -> (String, String) {
    assert!(output.status.success(), "{output:?}");
    let texts = [&output.stdout, &output.stderr];
    let [link, note] = texts.map(|text| String::from_utf8(text.clone()).unwrap());
    (link, note)
}

fn notes(place: &Place) -> usize {
    let entries = fs::read_dir(place.path("data")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("gateway-")).count()
}

#[test]
fn sign_begins_with_what_the_running_gateway_says_and_names_it() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let sign = ["sign", "--file", &file];
    let (link, note) = signed(&place.run(&sign));
    assert!(link.starts_with("http://127.0.0.1:8080/v1/"), "{link}");
    assert!(note.contains("no gateway runs on"), "{note}");
    assert!(note.contains("server.listen"), "{note}");

    let gateway = serve(&place, BASE);
    let (link, note) = signed(&place.run(&sign));
    assert!(link.starts_with(&format!("{BASE}/v1/")), "{link}");
    assert!(
        note.contains("as the gateway that runs here says"),
        "{note}"
    );
    // Standard output stays what a program reads.
    assert_eq!(link.lines().count(), 1);

    // The configuration says the same: there is nothing to say.
    let same = place
        .command(&sign)
        .env("HALLPASS_SERVER_PUBLIC_BASE_URL", BASE)
        .output();
    assert_eq!(signed(&same.unwrap()).1, "");

    // It says something else: whoever opens the link comes to the gateway that runs.
    place.file(
        "h.toml",
        b"[server]\npublic_base_url = \"https://other.example.com\"\n",
    );
    let (link, note) = signed(&place.run(&[&sign[..], &["--config", "h.toml"]].concat()));
    assert!(link.starts_with(&format!("{BASE}/v1/")), "{link}");
    for part in [
        "warning",
        BASE,
        "https://other.example.com",
        "server.public_base_url",
    ] {
        assert!(note.contains(part), "{part}: {note}");
    }

    // The flag wins, without a word.
    let (link, note) =
        signed(&place.run(&[&sign[..], &["--public-base-url", "http://a"]].concat()));
    assert!(link.starts_with("http://a/v1/"), "{link}");
    assert_eq!(note, "");

    // A gateway that stopped says nothing any more.
    assert_eq!(gateway.stop("TERM").0.code(), Some(0));
    assert_eq!(notes(&place), 0);
    let (link, _) = signed(&place.run(&sign));
    assert!(link.starts_with("http://127.0.0.1:8080/v1/"), "{link}");
}

#[test]
fn a_gateway_that_was_killed_is_not_believed() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let sign = ["sign", "--file", &file];
    let gateway = serve(&place, BASE);
    gateway.stop("KILL");
    assert_eq!(notes(&place), 1, "nobody could remove it");
    let (link, note) = signed(&place.run(&sign));
    assert!(link.starts_with("http://127.0.0.1:8080/v1/"), "{link}");
    assert!(note.contains("no gateway runs on"), "{note}");
    let again = serve(&place, "http://again.example.com");
    assert_eq!(notes(&place), 1, "the next one removes it");
    assert!(
        signed(&place.run(&sign))
            .0
            .starts_with("http://again.example.com/")
    );
    drop(again);
}

#[test]
fn of_two_gateways_the_configured_one_counts_else_the_last_and_the_other_is_named() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let sign = ["sign", "--file", &file];
    let _first = serve(&place, "http://first.example.com");
    let second = serve(&place, "http://second.example.com");
    let (link, note) = signed(&place.run(&sign));
    assert!(link.starts_with("http://second.example.com/"), "{link}");
    assert!(note.contains("http://first.example.com"), "{note}");
    place.file(
        "h.toml",
        b"[server]\npublic_base_url = \"http://first.example.com\"\n",
    );
    let (link, note) = signed(&place.run(&[&sign[..], &["--config", "h.toml"]].concat()));
    assert!(link.starts_with("http://first.example.com/"), "{link}");
    assert_eq!(note, "");
    second.stop("TERM");
    until("the second one being gone", || notes(&place) == 1);
    assert!(
        signed(&place.run(&sign))
            .0
            .starts_with("http://first.example.com/")
    );
}

/// A link is to open longer than a terminal is.
#[test]
fn beside_serve_a_later_share_says_nothing_of_links() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let sign = ["sign", "--file", &file];
    let gateway = serve(&place, BASE);
    let share = ["share", "--keep", "a.txt", "--listen", "127.0.0.1:0"];
    let mut share = place.start(&share);
    let shared = share.line();
    let (link, note) = signed(&place.run(&sign));
    assert!(link.starts_with(&format!("{BASE}/v1/")), "{link}");
    let of_share = shared.split_once("/v1/").unwrap().0;
    assert!(note.contains(of_share), "the other one is named: {note}");
    gateway.stop("TERM");
    until("the gateway being gone", || notes(&place) == 1);
    let (link, _) = signed(&place.run(&sign));
    assert!(link.starts_with(&format!("{of_share}/v1/")), "{link}");
    share.stop("TERM");
}

/// Whoever else is on the machine learns nothing of it, and a file that holds something else is no gateway's.
#[test]
fn the_note_is_for_its_owner_and_nothing_else_is_taken_for_one() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let gateway = serve(&place, BASE);
    let entries = fs::read_dir(place.path("data")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_note = |path: &std::path::PathBuf| path.to_string_lossy().contains("gateway-");
    let note = paths.into_iter().find(is_note).unwrap();
    assert_eq!(super::support::mode(&note), 0o600);
    let held = fs::File::create(place.data("gateway-odd.toml")).unwrap();
    held.lock().unwrap();
    std::os::unix::fs::symlink("/dev/zero", place.data("gateway-zero.toml")).unwrap();
    set_mode(&note, 0o600);
    let (link, _) = signed(&place.run(&["sign", "--file", &file]));
    assert!(link.starts_with(BASE), "{link}");
    gateway.stop("TERM");
}
