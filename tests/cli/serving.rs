//! `serve` and `share`: processes that go on until they are told to stop.

use std::fs;
use std::net::TcpListener;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::support::{
    Place, may_look_into_processes, mode, one_line_of_json, open, set_mode, status, text, until,
};

#[test]
fn share_prints_a_link_that_opens_and_ends_with_0_on_sigint() {
    let place = Place::new();
    place.file("docs/b.txt", b"second");
    place.file("docs/a/x.txt", b"first");
    place.file("docs/.hidden", b"hidden");
    std::os::unix::fs::symlink("b.txt", place.path("docs/link")).unwrap();
    let words = ["share", "docs", "--each", "--hidden"];
    let mut share = place.start(&[&words[..], &["--listen", "127.0.0.1:0"]].concat());
    for bytes in ["hidden", "first", "second"] {
        let link = share.line();
        assert_eq!(open(&link), (200, bytes.as_bytes().to_vec()), "{link}");
    }
    let (ended, rest, errors) = share.stop("INT");
    assert_eq!(ended.code(), Some(0), "{errors}");
    assert_eq!(rest, "");
    assert!(errors.contains("link is skipped"), "{errors}");
}

#[test]
fn links_of_files_that_are_kept_live_on_under_a_later_serve() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    let words = [
        "share",
        "--keep",
        "a.txt",
        "--listen",
        "127.0.0.1:0",
        "--expires-in",
        "2h",
    ];
    let mut share = place.start(&words);
    let link = share.line();
    share.stop("TERM");
    let mut serve = place.serve();
    let base = serve.url();
    let path = link.split_once("/v1/").unwrap().1;
    assert_eq!(open(&format!("{base}/v1/{path}")).1, b"bytes");
}

#[test]
fn share_json_is_one_array_and_then_it_serves() {
    let place = Place::new();
    place.file("a.txt", b"1");
    place.file("b.txt", b"2");
    let words = [
        "share",
        "--json",
        "--each",
        "a.txt",
        "b.txt",
        "--listen",
        "127.0.0.1:0",
    ];
    let mut share = place.start(&words);
    let links = one_line_of_json(&format!("{}\n", share.line()));
    assert_eq!(links.as_array().unwrap().len(), 2);
    for (link, name) in links.as_array().unwrap().iter().zip(["a.txt", "b.txt"]) {
        assert_eq!(link["filename"], name);
        assert_eq!(status(&text(link, "download_url")), 200);
        for field in ["file_id", "token", "link_id", "kid"] {
            text(link, field);
        }
        assert!(link["expires"].is_u64());
        assert_eq!(link["size_bytes"], 1);
        assert_eq!(link["max_downloads"], serde_json::Value::Null);
        assert_eq!(link["other_urls"], serde_json::json!([]));
    }
    assert_eq!(share.stop("INT").0.code(), Some(0));
}

#[test]
fn share_of_a_missing_path_exits_1_before_serving() {
    let place = Place::new();
    place.file("a.txt", b"");
    let output = place.run(&["share", "a.txt", "missing\u{1b}[31m"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("missing"), "{errors}");
    assert!(!errors.contains('\u{1b}'), "{errors}");
    assert!(!place.path("data").exists());
}

#[test]
fn share_of_nothing_exits_1() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).unwrap();
    let words = ["share", "empty", "--listen", "127.0.0.1:0"];
    assert!(place.bad(1, &words).contains("no file to share"));
}

#[test]
fn share_takes_a_free_port_where_its_own_is_taken_and_serve_does_not() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = format!("[server]\nlisten = [\"{address}\"]\n");
    place.file("h.toml", config.as_bytes());
    let mut share = place.start(&["share", "a.txt", "--config", "h.toml"]);
    let link = share.line();
    assert!(!link.contains(&address));
    assert_eq!(status(&link), 200);
    let (_, _, errors) = share.stop("INT");
    assert!(errors.contains(&format!("{address} is taken")), "{errors}");

    let errors = place.bad(1, &["share", "a.txt", "--listen", &address]);
    assert!(errors.contains(&address), "{errors}");
    let errors = place.bad(1, &["serve", "--config", "h.toml"]);
    assert!(errors.contains(&address), "{errors}");
}

#[test]
fn serve_prints_an_api_key_at_first_use_and_not_again() {
    let place = Place::new();
    for (first, signal) in [(true, "TERM"), (false, "INT")] {
        let mut serve = place.serve();
        serve.url();
        let (ended, rest, errors) = serve.stop(signal);
        assert_eq!(ended.code(), Some(0), "{errors}");
        // No terminal reads along, so the output may end in a journal that others may read.
        assert!(!rest.contains("hp_"), "{rest}");
        let file = place.data("first-api-key");
        let named = format!("api key: in {}\n", file.display());
        assert_eq!(rest.starts_with(&named), first, "{rest}");
        assert_eq!(rest.lines().count(), if first { 2 } else { 0 });
        assert_eq!(mode(&file), 0o600);
        assert!(fs::read_to_string(&file).unwrap().starts_with("hp_"));
        assert!(!errors.contains("hp_"), "{errors}");
    }
    assert_eq!(mode(&place.path("data")), 0o700);
    assert_eq!(mode(&place.data("keyring.toml")), 0o600);
    assert_eq!(mode(&place.data("catalogue.sqlite3")) & 0o077, 0);
}

#[test]
fn a_first_api_key_that_nobody_could_read_does_not_work() {
    let place = Place::new();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = place.command(&["serve", "--listen", "127.0.0.1:0"]);
    let output = command.stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("was deactivated"), "{errors}");
    assert_eq!(place.json(&["apikey", "list"])[0]["state"], "deactivated");
    assert!(!place.data("first-api-key").exists());
}

#[test]
fn the_first_api_key_that_no_file_can_take_does_not_work() {
    let place = Place::new();
    fs::create_dir_all(place.data("first-api-key/not-empty")).unwrap();
    let errors = place.bad(1, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(errors.contains("writing the first API key to"), "{errors}");
    assert!(errors.contains("was deactivated"), "{errors}");
    assert_eq!(place.json(&["apikey", "list"])[0]["state"], "deactivated");
}

#[test]
fn serve_json_is_one_object() {
    let place = Place::new();
    let words = [
        "serve",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    let mut serve = place.start(&words);
    let said = one_line_of_json(&format!("{}\n", serve.line()));
    assert_eq!(said["listeners"].as_array().unwrap().len(), 2);
    let admin = text(&said, "admin");
    for (path, answered) in [
        ("/livez", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/", 404),
    ] {
        assert_eq!(status(&format!("{admin}{path}")), answered, "{path}");
    }
    assert_eq!(said["organization_id"], "org_default");
    assert!(text(&said, "api_key").starts_with("hp_"));
    let keys = place.json(&["key", "list"]);
    assert_eq!(keys[0]["kid"], said["kid"]);
    assert_eq!(serve.stop("TERM").0.code(), Some(0));
    let mut again = place.start(&["serve", "--json", "--listen", "127.0.0.1:0"]);
    let said = one_line_of_json(&format!("{}\n", again.line()));
    assert!(
        said["api_key"].is_null() && said["admin"].is_null(),
        "{said}"
    );
}

#[test]
fn serve_says_its_unix_sockets_as_they_are_configured() {
    let place = Place::new();
    let at = format!("unix:{}", place.path("h.sock").display());
    let words = ["serve", "--listen", "127.0.0.1:0", "--listen", &at];
    let mut serve = place.start(&words);
    assert!(serve.url().starts_with("http://"));
    assert_eq!(serve.url(), at);
    assert_eq!(mode(&place.path("h.sock")), 0o660);
    assert_eq!(serve.stop("TERM").0.code(), Some(0));
    assert!(!place.path("h.sock").exists());
    let words = ["serve", "--listen", &at];
    assert!(place.bad(2, &words).contains("server.public_base_url"));
}

#[test]
fn a_second_signal_ends_serve_while_a_request_hangs() {
    use std::io::Write as _;
    let place = Place::new();
    let mut serve = place.serve();
    let base = serve.url();
    let host = base.strip_prefix("http://").unwrap();
    let mut hanging = std::net::TcpStream::connect(host).unwrap();
    write!(
        hanging,
        "POST /v1/organizations/org_default/files/upload HTTP/1.1\r\nHost: x\r\n"
    )
    .unwrap();
    assert_eq!(status(&format!("{base}/")), 404);
    serve.signal("TERM");
    // Nothing new is accepted: the first signal has arrived.
    until("the listener closing", || {
        std::net::TcpStream::connect(host).is_err()
    });
    let (ended, _, errors) = serve.stop("TERM");
    assert_eq!(ended.code(), Some(0), "{errors}");
}

#[test]
fn a_file_added_beside_a_running_serve_is_there_within_a_second() {
    let place = Place::new();
    let mut serve = place.serve();
    let base = serve.url();
    let file = place.add("a.txt", b"beside");
    let link = text(&place.sign(&base, &file, &[]), "download_url");
    until("seeing an added file", || {
        open(&link) == (200, b"beside".to_vec())
    });
    place.good(&["rm", &file]);
    until("seeing a deleted file", || status(&link) == 404);
}

#[test]
fn keys_that_change_beside_a_running_serve_are_taken_up() {
    let place = Place::new();
    let mut serve = place.serve();
    let base = serve.url();
    let file = place.add("a.txt", b"bytes");
    let old = place.sign(&base, &file, &[]);
    let old_link = text(&old, "download_url");
    let fresh = place.json(&["key", "rotate"]);
    assert_eq!(fresh["state"], "active");
    let new = place.sign(&base, &file, &[]);
    assert_eq!(new["kid"], fresh["kid"]);
    assert_ne!(new["kid"], old["kid"]);
    until("taking a new key up", || {
        status(&text(&new, "download_url")) == 200
    });
    assert_eq!(status(&old_link), 200, "the old key still verifies");

    place.good(&["key", "retire", &text(&old, "kid")]);
    until("refusing a retired key", || status(&old_link) == 401);

    let keyring = place.data("keyring.toml");
    let good = fs::read(&keyring).unwrap();
    fs::write(&keyring, "this is no keyring").unwrap();
    serve.signal("HUP");
    // Long enough to have been read four times.
    for _ in 0..100 {
        super::support::pause();
    }
    assert_eq!(status(&text(&new, "download_url")), 200);
    fs::write(&keyring, good).unwrap();
    let (ended, _, errors) = serve.stop("INT");
    assert_eq!(ended.code(), Some(0));
    assert!(errors.contains("the old one stays"), "{errors}");
    assert!(!errors.contains("token="), "{errors}");
}

#[test]
fn an_installation_that_lost_a_part_is_refused_with_2() {
    let place = Place::new();
    place.add("a.txt", b"bytes");
    let serve = ["serve", "--listen", "127.0.0.1:0"];

    let keyring = place.data("keyring.toml");
    set_mode(&keyring, 0o644);
    assert!(place.bad(2, &serve).contains("0644"));
    set_mode(&keyring, 0o600);

    fs::rename(&keyring, place.path("kept")).unwrap();
    assert!(place.bad(2, &serve).contains("no keyring"));
    fs::rename(place.path("kept"), &keyring).unwrap();

    for name in ["catalogue.sqlite3-wal", "catalogue.sqlite3-shm"] {
        let _ = fs::remove_file(place.data(name));
    }
    let catalogue = place.data("catalogue.sqlite3");
    fs::write(&catalogue, "").unwrap();
    assert!(place.bad(2, &serve).contains("it is empty"));
    // As if somebody made a new one to mend that.
    fs::remove_file(&catalogue).unwrap();
    assert!(place.bad(2, &serve).contains("put the catalogue back"));
}

#[test]
fn weak_keys_are_refused_with_2() {
    let place = Place::new();
    place.add("a.txt", b"bytes");
    let keyring = place.data("keyring.toml");
    let good = fs::read_to_string(&keyring).unwrap();
    let line = good
        .lines()
        .find(|line| line.starts_with("secret"))
        .unwrap();
    let example = format!("hallpass-example{}", "x".repeat(16));
    for (secret, why) in [
        (vec![7; 32], "bytes of the secret are equal"),
        ((0..31).collect(), "this one has 31"),
        (example.into_bytes(), "published example"),
        (Vec::new(), "this one has 0"),
    ] {
        let weak = format!("secret = \"{}\"", BASE64_STANDARD.encode(&secret));
        fs::write(&keyring, good.replace(line, &weak)).unwrap();
        let errors = place.bad(2, &["serve", "--listen", "127.0.0.1:0"]);
        println!("{errors}");
        assert!(errors.contains(why), "{errors}");
    }
    for empty in ["", "# nothing\n"] {
        fs::write(&keyring, empty).unwrap();
        place.bad(2, &["serve", "--listen", "127.0.0.1:0"]);
    }
}

/// Waits until a process has this file open.
fn until_it_has_open(pid: u32, name: &str) {
    until(&format!("opening {name}"), || {
        fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|descriptors| {
            let mut opened = descriptors.map(|one| fs::read_link(one.unwrap().path()));
            opened.any(|path| path.is_ok_and(|path| path.ends_with(name)))
        })
    });
}

#[test]
fn who_waits_for_the_set_up_of_another_process_hears_a_signal() {
    if !may_look_into_processes() {
        return;
    }
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let place = Place::new();
        place.file("a.txt", b"bytes");
        fs::create_dir(place.path("data")).unwrap();
        set_mode(&place.path("data"), 0o700);
        let held = fs::File::create(place.data("setup.lock")).unwrap();
        held.lock().unwrap();
        let listen = ["--listen", "127.0.0.1:0"];
        for (words, code) in [(&["serve"][..], 0), (&["share", "--keep", "a.txt"], code)] {
            let waits = place.start(&[words, &listen].concat());
            until_it_has_open(waits.pid(), "setup.lock");
            let (ended, printed, errors) = waits.stop(signal);
            assert_eq!(ended.code(), Some(code), "{words:?} {errors}");
            assert_eq!(printed, "");
        }
        drop(held);
        let mut serve = place.serve();
        serve.url();
    }
}
