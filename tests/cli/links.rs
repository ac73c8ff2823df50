//! `sign` and `verify`.

use serde_json::Value;

use super::support::{Place, one_line_of_json, open, status, text, until};

pub(super) const BASE: &str = "http://127.0.0.1:1";

/// What `verify --json` says, and its exit code.
pub(super) fn verify(place: &Place, words: &[&str]) -> (Value, Option<i32>) {
    let output = place.run(&[&["verify", "--json"], words].concat());
    let printed = String::from_utf8(output.stdout).unwrap();
    (one_line_of_json(&printed), output.status.code())
}

pub(super) fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a test looks at the clock")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn verify_says_each_reason() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let gone = place.add("b.txt", b"gone");
    let link = |file: &str, more: &[&str]| text(&place.sign(BASE, file, more), "download_url");
    let good = link(&file, &[]);
    let late = link(&file, &["--expires-in", "1"]);
    let early = link(&file, &["--not-before", &(now() + 600).to_string()]);
    let far = link(&file, &["--expires-in", "7d"]);
    let of_ip = link(&file, &["--ip", "192.0.2.0/24"]);
    let deleted = link(&gone, &[]);
    place.good(&["rm", &gone]);
    let token = text(&place.sign(BASE, &file, &[]), "token");
    let kid = token.split_once('.').unwrap().0;
    let key = text(
        &place.json(&["key", "derive", "--organization", "org_default"]),
        "organization_key",
    );
    place.file("key", key.as_bytes());
    let offline = [
        "sign",
        "--organization-key",
        "key",
        "--kid",
        kid,
        "--public-base-url",
        BASE,
    ];
    let missing = place.json(&[&offline[..], &["--file", "file_missing"]].concat());
    place.file("short.toml", b"[links]\nlifetime_max = 7200\n");
    until("a link expiring", || {
        verify(&place, &[&late]).0["reason"] == "expired"
    });

    let unknown_kid = good.replace(&format!("token={kid}"), "token=other");
    let cases: [(&[&str], &str); 11] = [
        (&[&good], "ok"),
        (&[&good.replace("org_default", "org_other")], "mac_mismatch"),
        (&[&late], "expired"),
        (&[&unknown_kid], "kid_unknown"),
        (&["http://example.com/elsewhere"], "malformed"),
        (&[&format!("{good}&expires=1")], "malformed"),
        (&[&far, "--config", "short.toml"], "too_far"),
        (&[&early], "not_yet_valid"),
        (&[&of_ip, "--ip", "198.51.100.7"], "ip_mismatch"),
        (&[&text(&missing, "download_url")], "file_missing"),
        (&[&deleted], "file_deleted"),
    ];
    for (words, reason) in cases {
        let (said, code) = verify(&place, words);
        assert_eq!(said["reason"], reason, "{words:?}");
        assert_eq!(said["valid"], reason == "ok", "{words:?}");
        assert_eq!(code, Some(i32::from(reason != "ok")), "{words:?}");
    }
    assert_eq!(verify(&place, &[&of_ip]).0["reason"], "ip_mismatch");
    assert_eq!(verify(&place, &[&of_ip, "--ip", "192.0.2.9"]).1, Some(0));

    let (said, _) = verify(&place, &[&good]);
    assert_eq!(said["file_id"], file.as_str());
    assert_eq!(said["organization_id"], "org_default");
    assert_eq!(said["kid"], kid);
    assert_eq!(text(&said, "link_id").len(), 12);
    assert!(said["expires"].is_u64());

    place.good(&["key", "rotate"]);
    assert_eq!(verify(&place, &[&good]).1, Some(0));
    place.good(&["key", "retire", kid]);
    assert_eq!(verify(&place, &[&good]).0["reason"], "kid_retired");
}

#[test]
fn sign_offline_makes_the_link_that_the_keyring_makes_and_it_opens() {
    let place = Place::new();
    let mut serve = place.serve();
    let base = serve.url();
    let file = place.add("a.txt", b"bytes");
    let derived = place.json(&["key", "derive", "--organization", "org_default"]);
    assert_eq!(derived["organization_epoch"], 0);
    let alone = place.good(&["key", "derive", "--organization", "org_default"]);
    assert_eq!(alone.trim_end(), text(&derived, "organization_key"));
    let elsewhere = Place::new();
    elsewhere.file("key", alone.as_bytes());

    let end = (now() + 600).to_string();
    let network = [
        "--expires-at",
        &end,
        "--ip",
        "127.0.0.0/8",
        "--not-before",
        "12",
        "--disposition",
        "attachment",
        "--filename",
        "отчёт 1.pdf",
        "--content-type",
        "application/pdf",
    ];
    let plain = ["--expires-at", &end];
    for claims in [&plain[..], &network[..]] {
        let kid = text(&derived, "kid");
        let offline = [
            "sign",
            "--organization-key",
            "key",
            "--kid",
            &kid,
            "--public-base-url",
            &base,
            "--file",
            &file,
        ];
        let offline = elsewhere.json(&[&offline[..], claims].concat());
        let online = place.sign(&base, &file, claims);
        for field in ["token", "expires", "link_id", "kid", "file_id"] {
            assert_eq!(offline[field], online[field], "{field}");
        }
        // Without the catalogue nobody knows what the file is called.
        let named = text(&online, "download_url").replace("/download/a.txt?", "/download?");
        assert_eq!(text(&offline, "download_url"), named);
        let link = text(&offline, "download_url");
        let end = format!("expires={end}");
        assert!(link.contains(&match claims.len() {
            2 => format!("/download?{end}&token="),
            _ => format!(
                "/download/%D0%BE%D1%82%D1%87%D1%91%D1%82%201.pdf\
                 ?not-before=12&{end}&ip=127.0.0.0%2F8&response-"
            ),
        }));
        until("the link opening", || {
            open(&link) == (200, b"bytes".to_vec())
        });
    }
    assert!(
        !elsewhere.path("data").exists(),
        "neither keyring nor catalogue"
    );
}

#[test]
fn sign_refuses_what_would_not_open() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let sign = |more: &[&'static str]| [&["sign", "--file", file.as_str()], more].concat();
    place.file("h.toml", b"[server]\nlisten = [\"127.0.0.1:0\"]\n");
    for (code, words) in [
        (2, sign(&["--expires-in", "8d"])),
        (2, sign(&["--expires-in", "0"])),
        (2, sign(&["--expires-at", "1"])),
        (2, sign(&["--not-before", "99999999999"])),
        (1, vec!["sign", "--file", "file_missing"]),
        (1, sign(&["--organization", "org_missing"])),
        (2, sign(&["--expires-in", "1h30"])),
        (2, sign(&["--ip", "192.0.2.1/24"])),
        (2, sign(&["--disposition", "both"])),
        (2, sign(&["--kid", "abc"])),
        (2, sign(&["--expires-in", "1", "--expires-at", "2"])),
        (2, sign(&["--config", "h.toml"])),
    ] {
        let words: Vec<&str> = words;
        place.bad(code, &words);
    }
    let link = place.good(&sign(&[]));
    assert!(link.starts_with("http://127.0.0.1:8080/v1/organizations/org_default/files/"));
    assert!(link.contains("/download/a.txt?"), "{link}");
}

#[test]
fn a_link_for_another_address_does_not_open() {
    let place = Place::new();
    let mut serve = place.serve();
    let base = serve.url();
    let file = place.add("a.txt", b"bytes");
    let link = |ip: &str| text(&place.sign(&base, &file, &["--ip", ip]), "download_url");
    let good = link("127.0.0.1");
    until("the link opening", || status(&good) == 200);
    assert_eq!(status(&link("192.0.2.1")), 401);
}

#[test]
fn a_link_saves_the_file_under_its_name() {
    let place = Place::new();
    place.file("Q3.txt", b"bytes");
    let mut share = place.start(&["share", "--keep", "--listen", "127.0.0.1:0", "Q3.txt"]);
    let shared = std::iter::repeat_with(|| share.line()).find(|line| line.contains("/download"));
    let shared = shared.unwrap();
    let shared = &shared[shared.find("http").unwrap()..];
    let file = text(&place.json(&["ls"])[0], "file_id");
    let base = shared.split_once("/v1/").unwrap().0;
    let signed = place.sign(base, &file, &["--disposition", "attachment"]);
    for (name, link) in [("a", shared), ("b", &text(&signed, "download_url"))] {
        let directory = place.path(name);
        std::fs::create_dir(&directory).unwrap();
        let mut curl = std::process::Command::new("curl");
        curl.args(["-sSfO", link]).current_dir(&directory);
        assert!(curl.status().unwrap().success(), "{link}");
        let saved = std::fs::read(directory.join("Q3.txt"));
        assert_eq!(saved.unwrap(), b"bytes");
    }
    share.stop("INT");
}

#[test]
fn sign_leaves_a_name_to_the_row_that_a_link_has_no_room_for() {
    let place = Place::new();
    let mut serve = place.serve();
    let base = serve.url();
    let name = format!("{}.txt", "报".repeat(46));
    let file = place.add(&name, b"bytes");
    let signed = place.sign(&base, &file, &["--disposition", "attachment"]);
    let link = text(&signed, "download_url");
    assert!(
        link.len() <= 900 && link.contains("disposition=attachment&"),
        "{link}"
    );
    until("the link opening", || status(&link) == 200);
    let derived = place.json(&["key", "derive", "--organization", "org_default"]);
    place.file("key", text(&derived, "organization_key").as_bytes());
    let kid = text(&derived, "kid");
    let online = ["sign", "--file", &file, "--public-base-url", &base];
    let offline = [&online[..], &["--organization-key", "key", "--kid", &kid]].concat();
    let word = place.json(&[&offline[..], &["--disposition", "attachment"]].concat());
    let word = text(&word, "download_url");
    assert!(word.contains("/download?expires="), "{word}");
    until("the other link opening", || status(&word) == 200);
    for words in [&offline[..], &online] {
        for name in [&name, &"я".repeat(120)] {
            let why = place.bad(2, &[words, &["--filename", name]].concat());
            assert!(why.contains("--filename must be shorter"), "{why}");
        }
    }
}
