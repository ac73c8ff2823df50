//! Counts of files and links: over restarts, sudden ends, and several gateways.

use serde_json::json;

use super::*;

#[track_caller]
fn assert_counted(shown: &Value, downloads: u64, bytes_sent: u64) {
    assert_eq!(shown["downloads"], downloads, "{shown}");
    assert_eq!(shown["downloads_whole"], downloads, "{shown}");
    assert_eq!(shown["bytes_sent"], bytes_sent, "{shown}");
    assert_eq!(
        shown["last_download_at"].is_string(),
        downloads > 0,
        "{shown}"
    );
}

#[test]
fn counts_are_there_after_a_restart_and_after_a_sudden_end() {
    let at = Audited::start();
    let file = at.upload(b"0123456789");
    assert_counted(&at.show(&file), 0, 0);
    let link = at.link(&file);
    for _ in 0..3 {
        assert_eq!(get(&link).0, 200);
    }
    assert_eq!(request("HEAD", &link, "", b"").0, 200);
    assert_eq!(request("GET", &link, "If-None-Match: *\r\n", b"").0, 304);
    at.serving.stop("TERM");
    let shown = at.place.json(&["show", &file]);
    assert_counted(&shown, 3, 30);
    let verified = at.place.json(&["verify", &link]);
    assert_counted(&verified, 3, 30);
    assert_eq!(verified["reason"], json!("ok"));
    let printed = at.place.good(&["show", &file]);
    assert!(printed.contains("downloads: 3\n") && printed.contains("bytes_sent: 30\n"));

    let at = Audited::start_in(at.place, "audit.jsonl");
    let host = at.base.strip_prefix("http://").unwrap();
    let path = link.split_once("://").unwrap().1;
    let path = &path[path.find('/').unwrap()..];
    let link = format!("http://{host}{path}");
    assert_eq!(get(&link).0, 200);
    until("it is counted", || at.show(&file)["downloads"] == 4);
    at.serving.stop("KILL");
    assert_counted(&at.place.json(&["show", &file]), 4, 40);
    let at = Audited::start_in(at.place, "audit.jsonl");
    assert_eq!(get(&format!("{}{path}", at.base)).0, 200);
    at.serving.stop("TERM");
    assert_counted(&at.place.json(&["show", &file]), 5, 50);
}

#[test]
fn several_gateways_on_one_data_directory_add_up() {
    let at = Audited::start();
    let file = at.upload(b"0123456789");
    let link = at.link(&file);
    let path = link.strip_prefix(&at.base).unwrap().to_owned();
    let others: Vec<_> = (0..2).map(|_| serve(&at.place, "audit.jsonl")).collect();
    let bases = others
        .iter()
        .map(|(_, said)| text_of(&said["listeners"][0]));
    for (times, base) in bases.chain([at.base.clone()]).enumerate() {
        for _ in 0..=times {
            assert_eq!(get(&format!("{base}{path}")).0, 200);
        }
    }
    for (serving, _) in others {
        serving.stop("TERM");
    }
    at.serving.stop("TERM");
    assert_counted(&at.place.json(&["show", &file]), 6, 60);
    assert_counted(&at.place.json(&["verify", &link]), 6, 60);
}

/// Over HTTP/2 the HTTP library itself does not know that HEAD has no body.
#[test]
fn a_head_counts_nothing_by_http_1_and_http_2() {
    let place = Place::with(&[("HALLPASS_SERVER_HTTP2", "on")]);
    let at = Audited::start_in(place, "audit.jsonl");
    let file = at.upload(&[7; 1 << 20]);
    let link = at.link(&file);
    for way in ["--http1.1", "--http2-prior-knowledge"] {
        let mut curl = std::process::Command::new("curl");
        let head = curl.args(["-sSI", way, &link]).output().unwrap();
        assert!(head.status.success(), "{way}: {head:?}");
    }
    let bytes_sent = "hallpass_bytes_sent_total{route=\"download\"} 0";
    let numbers = at.numbers();
    assert!(numbers.lines().any(|line| line == bytes_sent), "{numbers}");
    at.serving.stop("TERM");
    assert_counted(&at.place.json(&["show", &file]), 0, 0);
    assert_counted(&at.place.json(&["verify", &link]), 0, 0);
}
