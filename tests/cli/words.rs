//! The words themselves: flags, the configuration, exit codes, and what is printed where.

use super::support::{Place, one_line_of_json};

#[test]
fn commands_that_read_refuse_an_empty_directory_and_make_nothing() {
    let place = Place::new();
    for words in [
        &["ls"][..],
        &["show", "f"],
        &["rm", "f"],
        &["sign", "--file", "f"],
        &["verify", "http://h/v1/organizations/o/files/f/download"],
        &["revoke", "http://h/v1/organizations/o/files/f/download"],
        &["revoke", "--file", "f"],
        &["doctor"],
        &["doctor", "--mend"],
        &["revoke", "--organization", "o"],
        &["key", "list"],
        &["key", "rotate"],
        &["key", "retire", "k"],
        &["key", "derive", "--organization", "o"],
        &["log-hash", "x"],
        &["apikey", "list"],
        &["apikey", "pause", "k"],
        &["organization", "list"],
        &["space", "list"],
        &["folder", "list"],
    ] {
        for words in [words.to_vec(), [words, &["--json"]].concat()] {
            let output = place.run(&words);
            assert_eq!(output.status.code(), Some(1), "{words:?}");
            assert!(output.stdout.is_empty(), "{words:?}");
            let complaint = String::from_utf8(output.stderr).unwrap();
            assert_eq!(complaint.lines().count(), 1, "{complaint}");
        }
    }
    assert!(!place.path("data").exists());
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_2() {
    let place = Place::new();
    place.file(
        "h.toml",
        b"[links]\nlifetme = 1\n[server]\nlisten = [\"x\"]\n",
    );
    let words = ["--config", "h.toml", "--data-dir", ""];
    for command in [
        &["serve"][..],
        &["config", "check"],
        &["ls"],
        &["share", "h.toml"],
    ] {
        let errors = place.bad(2, &[command, &words].concat());
        for part in [
            "links.lifetme",
            "did you mean",
            "server.listen",
            "--data-dir",
            "h.toml",
        ] {
            assert!(errors.contains(part), "{part}: {errors}");
        }
        assert_eq!(errors.lines().count(), 3, "{errors}");
    }
    for words in [
        &["serve", "--lissten", "x"][..],
        &["unknown"],
        &[],
        &["ls", "--limit", "x"],
        &["show"],
        &["show", "a/b"],
    ] {
        let output = place.run(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(output.stdout.is_empty(), "{words:?}");
    }
    for words in [&["ls", "\u{1b}[31mred"][..], &["show", "\u{9b}2J"]] {
        let errors = place.bad(2, words);
        assert!(!errors.contains(['\u{1b}', '\u{9b}']), "{errors:?}");
    }
    let output = place.command(&["ls"]).env("HALLPASS_UNKNOWN", "1").output();
    assert_eq!(output.unwrap().status.code(), Some(2));
    assert!(!place.path("data").exists());
}

#[test]
fn help_and_the_sample_need_no_configuration() {
    let place = Place::new();
    let broken = [("HALLPASS_CONFIG", "/does/not/exist"), ("HALLPASS_X", "1")];
    for words in [
        &["help"][..],
        &["--help"],
        &["help", "serve"],
        &["apikey", "create", "--help"],
        &["--version"],
        &["config", "sample"],
    ] {
        let output = place.command(words).envs(broken).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        assert!(
            !output.stdout.is_empty() && output.stderr.is_empty(),
            "{words:?}"
        );
    }
    let sample = place.good(&["config", "sample"]);
    place.file("h.toml", sample.as_bytes());
    let checked = place.good(&["config", "check", "--config", "h.toml"]);
    assert!(
        checked.contains("links.lifetime = \"1h\"  (default)"),
        "{checked}"
    );
}

#[test]
fn config_check_names_where_each_value_came_from() {
    let place = Place::new();
    place.file("h.toml", b"[links]\nlifetime = 60\n");
    let words = [
        "config",
        "check",
        "--config",
        "h.toml",
        "--data-dir",
        "d",
        "--json",
    ];
    let output = place
        .command(&words)
        .env("HALLPASS_LOG_LEVEL", "warn")
        .output()
        .unwrap();
    let settings = one_line_of_json(&String::from_utf8(output.stdout).unwrap());
    let settings = settings.as_array().unwrap();
    for (key, value, origin) in [
        ("server.data_dir", "d", "flag --data-dir"),
        ("links.lifetime", "60", "file h.toml"),
        ("log.level", "warn", "environment HALLPASS_LOG_LEVEL"),
        ("links.lifetime_max", "7d", "default"),
    ] {
        let expected = serde_json::json!({"key": key, "value": value, "origin": origin});
        assert!(settings.contains(&expected), "{expected} in {settings:?}");
    }
}

#[test]
fn json_is_one_line_of_every_command() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    let file = place.json(&["add", "a.txt", "--id", "f", "--filename", "\u{9b}2J.txt"]);
    assert!(file.is_array());
    let link = place.json(&["sign", "--file", "f"]);
    for (words, is_array) in [
        (&["ls"][..], true),
        (&["show", "f"], false),
        (&["verify", link["download_url"].as_str().unwrap()], false),
        (&["key", "list"], true),
        (&["key", "generate"], false),
        (&["key", "rotate"], false),
        (&["key", "derive", "--organization", "org_default"], false),
        (&["apikey", "create"], false),
        (&["apikey", "list"], true),
        (&["organization", "create"], false),
        (&["organization", "list"], true),
        (&["space", "create"], false),
        (&["space", "list"], true),
        (&["folder", "create", "--id", "d"], false),
        (&["folder", "list"], true),
        (&["folder", "add", "d", "f"], false),
        (&["config", "check"], true),
        (&["config", "sample"], false),
        (&["rm", "f"], false),
    ] {
        assert_eq!(place.json(words).is_array(), is_array, "{words:?}");
    }
}

#[test]
fn an_empty_installation_lists_empty_arrays() {
    let place = Place::new();
    place.good(&["key", "generate"]);
    for words in [&["ls"][..], &["apikey", "list"], &["folder", "list"]] {
        assert_eq!(place.json(words), serde_json::json!([]), "{words:?}");
        assert_eq!(place.good(words), "", "{words:?}");
    }
}
