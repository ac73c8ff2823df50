//! Every command works on a database as it does on a file.

use std::ffi::OsStr;

use crate::cli::support::{Place, open, said, status, text};
use crate::support::postgres::{LOCKED_USER, PASSWORD, Server};

const URL: &str = "HALLPASS_CATALOG_URL";

#[test]
fn every_command_works_on_a_database() {
    let url = Server::shared().database("commands");
    let place = Place::with(&[(URL, &url)]);
    let complaint = place.bad(2, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(complaint.contains("no keyring"), "{complaint}");
    assert!(complaint.contains("hallpass key generate"), "{complaint}");
    place.json(&["key", "generate"]);

    for (kind, id) in [("organization", "org_b"), ("space", "s1"), ("folder", "f1")] {
        let made = place.json(&[kind, "create", "--id", id]);
        assert_eq!(made[format!("{kind}_id")], id, "{made}");
        place.bad(1, &[kind, "create", "--id", id]);
        assert!(place.good(&[kind, "list"]).contains(id));
    }
    let file = place.add("a.txt", b"bytes of a");
    let many: Vec<_> = (0..50)
        .map(|number| place.file(&format!("many/{number}"), b"many"))
        .collect();
    let directory = many[0].parent().unwrap();
    let added = place.json(&[OsStr::new("add"), directory.as_os_str()]);
    assert_eq!(added.as_array().unwrap().len(), 50);
    place.good(&["folder", "add", "f1", &file]);
    place.good(&["folder", "share", "f1", "org_b"]);
    place.good(&["folder", "unshare", "f1", "org_b"]);
    place.good(&["folder", "remove", "f1", &file]);
    assert_eq!(place.json(&["ls"]).as_array().unwrap().len(), 51);
    assert_eq!(place.json(&["show", &file])["filename"], "a.txt");
    let key = place.json(&["apikey", "create", "--name", "n"]);
    place.good(&["apikey", "pause", &text(&key, "api_key_id")]);
    assert_eq!(place.json(&["apikey", "list"])[0]["state"], "paused");
    place.good(&["key", "derive", "--organization", "org_default"]);
    assert!(place.run(&["doctor"]).status.success());

    let mut serving = place.serve();
    let base = serving.url();
    let link = text(&place.sign(&base, &file, &[]), "download_url");
    assert_eq!(open(&link), (200, b"bytes of a".to_vec()));
    assert_eq!(place.json(&["verify", &link])["valid"], true);
    place.good(&["revoke", &link]);
    assert_eq!(status(&link), 401);
    let link = text(&place.sign(&base, &file, &[]), "download_url");
    assert_eq!(place.json(&["rm", &file])["status"], "deleted");
    crate::cli::support::until("a removed file is refused", || status(&link) != 200);
    let (ended, _, _) = serving.stop("TERM");
    assert!(ended.success());

    let path = place.file("shared.txt", b"shared");
    let words = [
        "share",
        "--keep",
        "--listen",
        "127.0.0.1:0",
        path.to_str().unwrap(),
    ];
    let mut sharing = place.start(&words);
    assert_eq!(open(&sharing.line()), (200, b"shared".to_vec()));
}

#[test]
fn a_command_that_only_reads_makes_nothing() {
    let server = Server::shared();
    let url = server.database("untouched");
    let place = Place::with(&[(URL, &url)]);
    std::fs::create_dir(place.path("data")).unwrap();
    crate::cli::support::set_mode(&place.path("data"), 0o700);
    place.bad(2, &["ls"]);
    let made = Place::new();
    made.good(&["key", "generate"]);
    std::fs::copy(made.data("keyring.toml"), place.data("keyring.toml")).unwrap();
    let complaint = place.bad(1, &["ls"]);
    assert!(
        complaint.contains("there is no installation"),
        "{complaint}"
    );
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(server.sql("untouched", tables), "0");
}

/// It may stand in the URL, in the environment or in a file; nobody ever prints it.
#[test]
fn the_password_is_used_and_never_shown() {
    let server = Server::shared();
    server.database("locked");
    let at = format!("127.0.0.1:{}/locked", server.port());
    let in_url = format!("postgres://{LOCKED_USER}:{PASSWORD}@{at}");
    let without = format!("postgres://{LOCKED_USER}@{at}");
    let wrong = format!("postgres://{LOCKED_USER}:not-{PASSWORD}@{at}");
    let place = Place::new();
    let file = format!("127.0.0.1:*:*:{LOCKED_USER}:{PASSWORD}\n");
    let file = place.file("passwords", file.as_bytes());
    crate::cli::support::set_mode(&file, 0o600);
    let file = file.to_str().unwrap();
    let mut command = place.command(&["key", "generate"]);
    assert!(command.env(URL, &in_url).status().unwrap().success());
    let cases = [
        (&in_url, None, 0),
        (&without, Some(("PGPASSWORD", PASSWORD)), 0),
        (&without, Some(("PGPASSFILE", file)), 0),
        (&without, None, 1),
        (&wrong, None, 1),
    ];
    for (url, variable, code) in cases {
        for words in [&["ls"][..], &["config", "check"]] {
            let mut command = place.command(words);
            command
                .env(URL, url)
                .env("HALLPASS_LOG_LEVEL", "trace")
                .envs(variable);
            let output = command.output().unwrap();
            let code = if words[0] == "config" { 0 } else { code };
            assert_eq!(output.status.code(), Some(code), "{}", said(&output));
            assert!(!said(&output).contains(PASSWORD), "{}", said(&output));
        }
    }
}

#[test]
fn a_server_that_is_not_there_is_said_so_in_time() {
    let place = Place::with(&[(URL, "postgres://a@127.0.0.1:1/b")]);
    let begun = std::time::Instant::now();
    let complaint = place.bad(1, &["key", "generate"]);
    println!("said after {:?}: {complaint}", begun.elapsed());
    assert!(complaint.contains("refused"), "{complaint}");
    assert!(
        !place.data("keyring.toml").exists(),
        "no keyring for nothing"
    );
}

#[test]
fn an_older_database_is_warned_of_until_its_mark_is_removed() {
    let server = Server::shared();
    let place = Place::with(&[(URL, &server.database("restored"))]);
    place.json(&["key", "generate"]);
    let copy = |from: &str, to: &str| {
        server.sql("postgres", &format!("DROP DATABASE IF EXISTS \"{to}\""));
        server.sql(
            "postgres",
            &format!("CREATE DATABASE \"{to}\" TEMPLATE \"{from}\""),
        );
    };
    crate::cli::restored::is_warned_of_until_its_mark_is_removed(
        &place,
        || copy("restored", "restored_backup"),
        || copy("restored_backup", "restored"),
    );
}
