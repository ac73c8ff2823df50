//! Each event, once, with its fields.

use serde_json::json;

use super::*;
use crate::cli::support::pause;

#[test]
fn every_call_that_changes_or_opens_something_is_one_line() {
    let at = Audited::start();
    let file = at.upload(b"0123456789");
    let minted = at.mint(&file);
    let link = text(&minted, "download_url");
    assert_eq!(get(&link), (200, b"0123456789".to_vec()));
    assert_eq!(request("HEAD", &link, "", b"").0, 200);
    assert_eq!(request("GET", &link, "Range: bytes=2-4\r\n", b"").0, 206);
    assert_eq!(request("GET", &link, "If-None-Match: *\r\n", b"").0, 304);
    assert_eq!(request("GET", &link, "If-Match: \"x\"\r\n", b"").0, 412);
    let bad = link.replace("expires=", "expires=1");
    assert_eq!(get(&bad).0, 401);
    let wrong = "X-API-Key: wrong\r\n";
    assert_eq!(request("DELETE", &at.url_of(&file), wrong, b"").0, 401);
    let revoke = format!("{}/revoke", at.url_of(&file));
    assert_eq!(request("POST", &revoke, &at.authorized(), b"").0, 200);
    let delete = at.url_of(&file);
    assert_eq!(request("DELETE", &delete, &at.authorized(), b"").0, 204);
    assert_eq!(request("DELETE", &delete, &at.authorized(), b"").0, 404);
    let lines = at.lines_when(13);
    let (_, _, log) = at.serving.stop("TERM");
    let of = |event: &str| of_event(&lines, event);
    assert_eq!(lines.len(), 13, "{log}");
    for line in &lines {
        let time: jiff::Timestamp = text(line, "time").parse().unwrap();
        assert!(time.as_second() > 1_700_000_000 && text(line, "time").ends_with('Z'));
        if line["event"] != "api_key" {
            assert_eq!(line["client"], "127.0.0.1");
            uuid::Uuid::parse_str(&text(line, "trace_id")).unwrap();
        }
    }
    assert_eq!(of("api_key")[0]["command"], "serve");
    let key_id = of("api_key")[0]["api_key_id"].clone();
    assert_fields(&lines, &file, &key_id, &minted);
    // Of a refused call the names are those that its credential proves, and hashes of any other.
    let hash = |text: &str| at.place.good(&["log-hash", text]).trim().to_owned();
    let (organization, hashed) = (hash("org_default"), hash(&file));
    let names: Vec<_> = of("refused")
        .iter()
        .map(|line| (text(line, "organization_id"), text(line, "file_id")))
        .collect();
    let org = || "org_default".to_owned();
    let wanted = [
        (org(), file),
        (organization.clone(), hashed.clone()),
        (organization, hashed.clone()),
        (org(), hashed),
    ];
    assert_eq!(names, wanted, "a good link, no good link, no key, a key");
}

/// Of the calls above, in their order.
fn assert_fields(lines: &[Value], file: &str, key_id: &Value, minted: &Value) {
    let of = |event: &str| of_event(lines, event);
    for event in ["upload", "mint", "revoke", "delete"] {
        let [line] = of(event)[..] else {
            panic!("{event} in {lines:?}")
        };
        assert_eq!(line["api_key_id"], *key_id);
        assert_eq!(line["organization_id"], "org_default");
        assert_eq!(line["file_id"], file);
    }
    assert_eq!(of("upload")[0]["size_bytes"], 10);
    assert_eq!(of("revoke")[0]["link_revision"], 1);
    let mint = of("mint")[0];
    assert_eq!(mint["expires"], minted["expires"]);
    let downloads: Vec<_> = of("download")
        .iter()
        .map(|line| {
            assert_eq!(line["link_id"], mint["link_id"]);
            assert_eq!(line["file_id"], file);
            json!([
                line["outcome"],
                line["method"],
                line["status"],
                line["bytes_sent"],
                line["bytes_due"]
            ])
        })
        .collect();
    let wanted = [
        json!(["whole", "GET", 200, 10, 10]),
        json!(["part", "HEAD", 200, 0, 0]),
        json!(["part", "GET", 206, 3, 3]),
        json!(["part", "GET", 304, 0, 0]),
    ];
    assert_eq!(downloads, wanted);
    let refused: Vec<_> = of("refused")
        .iter()
        .map(|line| {
            json!([
                line["route"],
                line["method"],
                line["status"],
                line["reason"]
            ])
        })
        .collect();
    let wanted = [
        json!(["download", "GET", 412, "precondition_failed"]),
        json!(["download", "GET", 401, "mac_mismatch"]),
        json!(["aitronos_file", "DELETE", 401, "key_unknown"]),
        json!(["aitronos_file", "DELETE", 404, "file_not_found"]),
    ];
    assert_eq!(refused, wanted);
    assert_eq!(of("refused")[0]["link_id"], mint["link_id"], "a good link");
    assert_eq!(of("refused")[3]["api_key_id"], *key_id, "a good key");
}

#[test]
fn what_commands_change_is_in_the_same_stream() {
    let place = Place::new();
    let audit = place.path("audit.jsonl");
    let config = format!("[audit]\nfile = {:?}\n", audit.display().to_string());
    place.file("c.toml", config.as_bytes());
    let run = |words: &[&str]| {
        let words = [words, &["--config", "c.toml"]].concat();
        place.json(&words)
    };
    let path = place.file("a.txt", b"abc");
    let file = text(&run(&["add", path.to_str().unwrap()])[0], "file_id");
    let signed = run(&["sign", "--file", &file]);
    run(&["revoke", "--no-wait", &text(&signed, "download_url")]);
    run(&["revoke", "--no-wait", "--file", &file]);
    run(&["revoke", "--no-wait", "--organization", "org_default"]);
    let key = run(&["apikey", "create"]);
    let key_id = text(&key, "api_key_id");
    run(&["apikey", "pause", &key_id]);
    let made = run(&["key", "generate"]);
    let kid = text(&made, "kid");
    run(&["key", "rotate", "--to", &kid]);
    run(&["key", "derive", "--organization", "org_default"]);
    run(&["key", "list"]);
    run(&["ls"]);
    run(&["rm", &file]);
    let lines = lines(&audit);
    let said: Vec<String> = lines
        .iter()
        .map(|line| format!("{} {}", text(line, "command"), text(line, "event")))
        .collect();
    let wanted = [
        "add upload",
        "sign mint",
        "revoke revoke",
        "revoke revoke",
        "revoke revoke",
        "apikey api_key",
        "apikey api_key",
        "key signing_key",
        "key signing_key",
        "key organization_key",
        "rm delete",
    ];
    assert_eq!(said, wanted);
    assert_eq!(lines[1]["link_id"], signed["link_id"]);
    assert_eq!(lines[2]["link_id"], signed["link_id"]);
    assert_eq!(lines[3]["link_revision"], 1);
    assert_eq!(lines[4]["organization_epoch"], 1);
    assert_eq!(lines[5]["api_key_id"], key_id);
    assert_eq!(
        (&lines[5]["state"], &lines[6]["state"]),
        (&json!("active"), &json!("paused"))
    );
    assert_eq!(
        (&lines[7]["kid"], &lines[8]["state"]),
        (&json!(kid), &json!("active"))
    );
    assert_eq!(
        (&lines[10]["file_id"], &lines[10]["state"]),
        (&json!(file), &json!("deleted"))
    );
    let mode = std::fs::metadata(&audit).unwrap();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777,
        0o600
    );
    let secret = text(&key, "api_key");
    assert!(!std::fs::read_to_string(&audit).unwrap().contains(&secret));
}

#[test]
fn a_download_that_is_paced_says_how_long_it_took() {
    let rate = 100_000;
    let text = rate.to_string();
    let place = Place::with(&[("HALLPASS_LIMITS_LINK_BYTES_PER_SECOND", &text)]);
    let at = Audited::start_in(place, "audit.jsonl");
    // One that is kept in memory, and one that is not: a second's worth goes at once.
    for size in [3 * rate, 12 * rate / 10] {
        let file = at.place.add(&format!("{size}.bin"), &vec![7; size]);
        let link = at.link(&file);
        let begun = std::time::Instant::now();
        assert_eq!(get(&link).1.len(), size);
        let seen = begun.elapsed().as_millis();
        let mut found = None;
        until("its line", || {
            let lines = at.lines();
            let line = of_event(&lines, "download");
            let line = line.iter().find(|line| line["file_id"] == file.as_str());
            found = line.map(|line| line["took_millis"].as_u64().unwrap());
            found.is_some()
        });
        let (took, least) = (found.unwrap(), ((size - rate) * 1_000 / rate) as u64);
        println!("{size} bytes: {took} ms by the line, {seen} ms by the clock");
        assert!(took >= least && u128::from(took) <= seen + 10_000);
    }
    at.serving.stop("TERM");
}

/// What the kernel took is what the client can still read when the server is gone.
#[test]
fn an_aborted_download_says_how_much_the_kernel_took() {
    let at = Audited::start();
    let file = at.place.add("large.bin", &vec![7; 50_000_000]);
    let stream = send("GET", &at.link(&file), "", b"");
    // It is sent as much as fits into the buffers of two sockets; and then counted while it waits.
    until("the download is counted", || {
        at.show(&file)["bytes_sent"].as_u64() > Some(0)
    });
    let begun = at.show(&file);
    assert_eq!(
        (&begun["downloads"], &begun["downloads_whole"]),
        (&json!(1), &json!(0))
    );
    at.serving.signal("TERM");
    pause();
    let (_, _, log) = at.serving.stop("INT");
    let received = rest_of_body(stream);
    let lines = lines(&at.place.path("audit.jsonl"));
    let [line] = of_event(&lines, "download")[..] else {
        panic!("{lines:?} {log}")
    };
    assert_eq!(
        (&line["outcome"], &line["bytes_due"]),
        (&json!("aborted"), &json!(50_000_000))
    );
    assert_eq!(line["bytes_sent"], received, "{log}");
    assert!(received > 0 && received < 50_000_000);
    let shown = at.place.json(&["show", &file]);
    assert_eq!(shown["bytes_sent"], received);
    assert_eq!(
        (&shown["downloads"], &shown["downloads_whole"]),
        (&json!(1), &json!(0))
    );
}
