//! What a newcomer reads when something is not as it must be: what was being done, to what, why, and what to do.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;

use super::support::{AS_NOBODY, Place, mode, said, set_mode, text, unshare};

/// Runs a command whose data directory is on a disk of 4 MiB, which no other process sees. A data directory of the
/// place is copied there, and `prepare` makes of the disk what the test wants.
fn with_disk(place: &Place, prepare: &str, words: &[&str]) -> String {
    let script = format!(
        "mount -t tmpfs -o size=4m none disk && if [ -d data ]; then cp -a data disk/data; fi && {prepare} && \
         exec \"$@\""
    );
    let under = [unshare("-m"), vec!["sh", "-c", &script, "sh"]].concat();
    let output = place.run_under(&under, &[words, &["--data-dir", "disk/data"]].concat());
    assert_eq!(output.status.code(), Some(1), "{words:?} {}", said(&output));
    assert!(output.stdout.is_empty(), "{words:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn what_is_no_path_is_said_with_what_to_use() {
    let place = Place::new();
    for command in ["share", "add"] {
        let errors = place.bad(2, &[command, "-"]);
        assert!(
            errors.contains("standard input") && errors.contains("./-"),
            "{errors}"
        );
        let url = "https://user:secret@example.com/a.pdf?token=hidden";
        let errors = place.bad(2, &[command, url]);
        assert!(
            errors.contains("https://example.com/... is a URL"),
            "{errors}"
        );
        assert!(errors.contains("download it first"), "{errors}");
        assert!(
            !errors.contains("secret") && !errors.contains("hidden"),
            "{errors}"
        );
        let errors = place.bad(2, &[command, "file:///etc/hostname"]);
        assert!(errors.contains("name the path alone"), "{errors}");
        let errors = place.bad(1, &[command, "missing"]);
        assert!(
            errors.contains("cannot read missing: there is no such file"),
            "{errors}"
        );
    }
    place.file("-", b"bytes");
    place.good(&["add", "./-"]);
}

#[test]
fn a_lifetime_past_the_maximum_names_the_setting_and_both_in_days() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let key = text(
        &place.json(&["key", "derive", "--organization", "org_default"]),
        "organization_key",
    );
    place.file("key", key.as_bytes());
    set_mode(&place.path("key"), 0o600);
    let kid = text(&place.json(&["key", "list"])[0], "kid");
    let offline = [
        "sign",
        "--file",
        &file,
        "--organization-key",
        "key",
        "--kid",
        &kid,
        "--public-base-url",
        "http://a",
    ];
    for words in [
        &["share", "a.txt", "--listen", "127.0.0.1:0"][..],
        &["sign", "--file", &file],
        &offline,
    ] {
        let errors = place.bad(2, &[words, &["--expires-in", "30d"]].concat());
        let expected = "--expires-in is 30 days from now, and links.lifetime_max is 7 days";
        assert!(errors.contains(expected), "{errors}");
        let errors = place.bad(2, &[words, &["--expires-in", "0"]].concat());
        assert!(errors.contains("7 days at most"), "{errors}");
    }
    for words in [&["sign", "--file", &file][..], &offline] {
        let errors = place.bad(2, &[words, &["--expires-at", "99999999999"]].concat());
        assert!(errors.contains("links.lifetime_max is 7 days"), "{errors}");
        for good in ["1w", "1h30m", "1d 12h"] {
            place.good(&[words, &["--expires-in", good]].concat());
        }
    }
    place.good(&["apikey", "create", "--expires-in", "2w"]);
}

#[test]
fn listeners_may_be_written_short() {
    let place = Place::new();
    for (listen, url) in [
        (":0", "http://0.0.0.0:"),
        ("localhost:0", "http://127.0.0.1:"),
    ] {
        place.file(
            "h.toml",
            format!("[server]\nlisten = [\"{listen}\"]\n").as_bytes(),
        );
        for words in [
            &["serve", "--listen", listen][..],
            &["serve", "--config", "h.toml"],
        ] {
            let mut serve = place.start(words);
            assert!(serve.url().starts_with(url), "{words:?}");
            serve.stop("TERM");
        }
    }
}

#[test]
fn names_that_begin_with_a_dot_are_left_out_and_counted_unless_they_are_asked_for() {
    let place = Place::new();
    for name in [
        "docs/a.txt",
        "docs/.env",
        "docs/.git/config",
        "docs/.git/HEAD",
        "docs/b/.x",
    ] {
        place.file(name, name.as_bytes());
    }
    let output = place.run(&["add", "docs"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        errors,
        "hallpass: 3 names that begin with a dot were left out: --hidden takes them in, too\n"
    );
    assert_eq!(place.json(&["ls"]).as_array().unwrap().len(), 1);
    let all = place.run(&["add", "docs", "--hidden", "--json"]);
    assert!(all.stderr.is_empty());
    let all: serde_json::Value = serde_json::from_slice(&all.stdout).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 5);
    // What a person names is meant.
    place.good(&["add", "docs/.env"]);

    let words = ["share", "docs", "--each", "--listen", "127.0.0.1:0"];
    let mut share = place.start(&[&words[..], &["--hidden"]].concat());
    for _ in 0..5 {
        assert!(share.line().starts_with("http://"));
    }
    assert_eq!(share.stop("INT").2, "");
    let mut share = place.start(&words);
    share.line();
    assert!(
        share
            .stop("INT")
            .2
            .contains("3 names that begin with a dot")
    );
}

#[test]
fn a_data_directory_keeps_itself_out_of_repositories() {
    for words in [
        &["add", "a.txt"][..],
        &["key", "generate"],
        &["organization", "create"],
    ] {
        let place = Place::new();
        place.file("a.txt", b"bytes");
        place.good(words);
        assert_eq!(fs::read_to_string(place.data(".gitignore")).unwrap(), "*\n");
        // Whoever removes it wants it so.
        fs::remove_file(place.data(".gitignore")).unwrap();
        place.good(&["organization", "create"]);
        assert!(!place.data(".gitignore").exists());
    }
    // A directory that somebody has things in stays as it is.
    let place = Place::new();
    place.file("data/mine", b"");
    set_mode(&place.path("data"), 0o700);
    place.good(&["key", "generate"]);
    assert!(!place.data(".gitignore").exists());
}

#[test]
fn a_full_disk_is_named_with_what_to_do() {
    let place = Place::new();
    place.file("big", &vec![7; 8 << 20]);
    fs::create_dir(place.path("disk")).unwrap();
    // What processes share beside the catalogue is gone, as after a restart of the machine.
    let fill = "{ rm -f disk/data/*-shm disk/data/*-wal; head -c 8m /dev/zero > disk/fill 2> /dev/null; true; }";
    let check = |words: &[&str]| {
        let errors = with_disk(&place, fill, words);
        let expected = "the disk of disk/data is full: make room there, or name another directory (--data-dir, or server.data_dir)";
        assert!(errors.contains(expected), "{words:?} {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    };
    let writing = [
        &["add", "big"][..],
        &["share", "--keep", "big", "--listen", "127.0.0.1:0"],
        &["serve", "--listen", "127.0.0.1:0"],
        &["key", "generate"],
        &["apikey", "create"],
        &["organization", "create"],
    ];
    // Where there is nothing yet, and where there is an installation.
    writing.into_iter().for_each(check);
    place.good(&["organization", "create", "--id", "acme"]);
    writing.into_iter().for_each(check);
    for words in [
        &["rm", "f"][..],
        &["key", "rotate"],
        &["doctor", "--mend"],
        &["revoke", "--file", "f"],
    ] {
        check(words);
    }
}

#[test]
fn a_file_that_there_is_no_room_for_names_the_disk() {
    let place = Place::new();
    place.file("big", &vec![7; 8 << 20]);
    fs::create_dir(place.path("disk")).unwrap();
    for words in [
        &["add", "big"][..],
        &["share", "--keep", "big", "--listen", "127.0.0.1:0"],
    ] {
        let errors = with_disk(&place, "true", words);
        assert!(
            errors.contains("big: the disk of disk/data is full: make room"),
            "{errors}"
        );
    }
}

#[test]
fn a_read_only_disk_is_named_with_what_to_do() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    fs::create_dir(place.path("disk")).unwrap();
    let check = |words: &[&str]| {
        let errors = with_disk(&place, "mount -o remount,ro disk", words);
        let expected = "the file system of disk/data is mounted read-only: mount it for writing, or name another directory";
        assert!(errors.contains(expected), "{words:?} {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    };
    let writing = [
        &["add", "a.txt"][..],
        &["share", "--keep", "a.txt", "--listen", "127.0.0.1:0"],
        &["serve", "--listen", "127.0.0.1:0"],
        &["key", "generate"],
        &["apikey", "create"],
        &["organization", "create"],
    ];
    writing.into_iter().for_each(check);
    place.good(&["add", "a.txt", "--id", "f"]);
    writing.into_iter().for_each(check);
    for words in [
        &["rm", "f"][..],
        &["ls"],
        &["key", "rotate"],
        &["revoke", "--file", "f"],
        &["doctor", "--mend"],
        &["sign", "--file", "f"],
    ] {
        check(words);
    }
}

#[test]
fn what_is_in_the_way_of_a_data_directory_is_named() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    for directory in ["a.txt", "a.txt/data"] {
        for words in [
            &["serve", "--listen", "127.0.0.1:0"][..],
            &["add", "a.txt"],
            &["ls"],
        ] {
            let errors = place.bad(1, &[words, &["--data-dir", directory]].concat());
            let expected = format!("{directory} cannot be a data directory");
            assert!(errors.contains(&expected), "{words:?} {errors}");
        }
    }
}

/// The installation is root's, and somebody else runs a command.
#[test]
fn another_user_s_data_directory_is_said_to_be_that() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    place.add("a.txt", b"bytes");
    set_mode(&place.path(""), 0o755);
    let check = |words: &[&str], part: &str| {
        let output = place.run_under(&AS_NOBODY, words);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?} {errors}");
        assert!(
            errors.contains("user 65534 may not read and write"),
            "{words:?} {errors}"
        );
        assert!(errors.contains(part), "{words:?} {errors}");
    };
    for words in [
        &["ls"][..],
        &["add", "a.txt"],
        &["serve", "--listen", "127.0.0.1:0"],
        &["sign", "--file", "f"],
    ] {
        check(words, "data belongs to user 0");
    }
    // As after a command that was run by root in another user's installation.
    chown(place.path("data"), Some(65534), Some(65534)).unwrap();
    check(&["add", "a.txt"], "belongs to user 0");
    // Nowhere to make it.
    fs::create_dir(place.path("closed")).unwrap();
    check(
        &["add", "a.txt", "--data-dir", "closed/data"],
        "closed belongs to user 0",
    );
}

#[test]
fn a_taken_port_and_an_address_of_another_machine_say_what_to_do() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let errors = place.bad(1, &["serve", "--listen", &address]);
    assert!(errors.contains(&format!(
        "cannot listen on {address}: something else listens there"
    )));
    assert!(errors.contains("--listen"), "{errors}");
    place.file("in-the-way", b"");
    for (path, part) in [
        ("missing/h.sock", "the directory of the socket is not there"),
        ("in-the-way", "a file that is no socket is in its way"),
    ] {
        let at = format!("unix:{}", place.path(path).display());
        let errors = place.bad(1, &["serve", "--listen", &at]);
        assert!(errors.contains(part), "{errors}");
    }
    let errors = place.bad(1, &["serve", "--listen", "192.0.2.1:1"]);
    assert!(
        errors.contains("this machine has no such address"),
        "{errors}"
    );
}

#[test]
fn what_cannot_be_reached_or_is_not_there_is_named() {
    let place = Place::new();
    let listed = || {
        let database = ("HALLPASS_CATALOG_URL", "postgres://127.0.0.1:1/x");
        let output = place.command(&["ls"]).envs([database]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        String::from_utf8(output.stderr).unwrap()
    };
    let errors = listed();
    assert!(errors.contains("there is no data directory"), "{errors}");
    place.good(&["key", "generate"]);
    let errors = listed();
    let doing = "opening the catalogue, the database of catalog.url: ";
    assert!(
        errors.contains(doing) && errors.contains("Connection refused"),
        "{errors}"
    );
    place.add("a.txt", b"bytes");
    for command in ["add", "remove", "share", "unshare"] {
        let errors = place.bad(1, &["folder", command, "d", "f"]);
        assert!(
            errors.contains("organization org_default has no folder d"),
            "{command} {errors}"
        );
    }
}

#[test]
fn wrong_key_files_are_named_with_what_makes_a_right_one() {
    let place = Place::new();
    place.file("a.txt", b"not a key");
    set_mode(&place.path("a.txt"), 0o600);
    for (name, part) in [
        ("missing", "cannot read missing: there is no such file"),
        ("a.txt", "hallpass key derive --organization org_default"),
    ] {
        let words = [
            "sign",
            "--file",
            "f",
            "--organization-key",
            name,
            "--kid",
            "k",
            "--public-base-url",
            "http://a",
        ];
        let errors = place.bad(1, &words);
        assert!(errors.contains(part), "{errors}");
    }
}

#[test]
fn an_api_key_says_whose_it_is_and_what_it_may_do() {
    let place = Place::new();
    let mut serve = place.serve();
    serve.url();
    assert!(serve.first_api_key().starts_with("hp_"));
    let scope = serve.line();
    for part in [
        "everything in org_default",
        "for ever",
        "read, mint, write, admin",
        "apikey create",
    ] {
        assert!(scope.contains(part), "{part}: {scope}");
    }
    serve.stop("TERM");
    let made = place.good(&["apikey", "create", "--scope", "admin"]);
    assert!(made.contains("\norganization: org_default\n"), "{made}");
    assert!(made.contains("\nscopes: admin, for ever\n"), "{made}");
    for help in ["--help", "-h"] {
        let help = place.good(&["apikey", "create", help]);
        for part in [
            "read   list",
            "mint   make",
            "write  upload",
            "admin  revoke",
        ] {
            assert!(help.contains(part), "{part}: {help}");
        }
    }
    assert_eq!(mode(&place.path("data")), 0o700);
}
