//! `hallpass log-hash`: what the log and the audit stream have in place of a caller's text.

use std::process::Command;

use serde_json::{Value, json};

use super::support::{Place, Serving, text, until};

fn curl(words: &[&str]) -> String {
    let output = Command::new("curl").args(words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A running gateway whose log is JSON, with an audit stream.
struct Logged {
    serving: Serving,
    base: String,
}

fn start(place: &Place) -> Logged {
    let mut serving = place.start(&["serve", "--listen", "127.0.0.1:0", "--config", "c.toml"]);
    let base = serving.url();
    Logged { serving, base }
}

fn place() -> Place {
    let place = Place::new();
    place.file(
        "c.toml",
        b"[log]\nformat = \"json\"\n[audit]\nfile = \"audit.jsonl\"\n",
    );
    place
}

impl Logged {
    /// Asks for a file that nobody has, with a request id.
    fn ask(&self, file: &str, request_id: &str) {
        let url = format!("{}/v1/organizations/org_of_nobody/files/{file}", self.base);
        let header = format!("X-Request-Id: {request_id}");
        let answer = curl(&["-s", "-i", "-H", &header, &url]);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 401"), "{answer}");
        let echoed = format!("x-request-id: {request_id}");
        assert!(
            head.to_lowercase().contains(&echoed),
            "it is echoed: {head}"
        );
        assert!(!body.contains("hash:"), "{body}");
    }

    /// The log's one line about a request with this request id, as the log has that.
    fn line(log: &str, request_id: &str) -> Value {
        let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
        let mut found = lines.filter(|line: &Value| line["request_id"] == request_id);
        let line = found
            .next()
            .unwrap_or_else(|| panic!("{request_id} in {log}"));
        assert!(found.next().is_none(), "{log}");
        line
    }
}

/// What the command prints of a text that it reads.
fn of_stdin(place: &Place, text: &[u8]) -> String {
    let output = place.run_with_input(&["log-hash", "-"], text);
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_operator_finds_what_a_customer_names() {
    let place = place();
    let logged = start(&place);
    logged.ask("file_of_a_customer", "request-of-a-customer");
    let (_, _, log) = logged.serving.stop("TERM");
    let hash = |text: &str| place.good(&["log-hash", text]);
    let request_id = hash("request-of-a-customer");
    let line = Logged::line(&log, request_id.trim());
    let audit = std::fs::read_to_string(place.path("audit.jsonl")).unwrap();
    let refused = audit.lines().find(|line| line.contains("\"refused\""));
    let refused: Value = serde_json::from_str(refused.unwrap()).unwrap();
    assert_eq!(refused["trace_id"], line["trace_id"]);
    assert_eq!(refused["file_id"], hash("file_of_a_customer").trim());
    assert_eq!(refused["organization_id"], hash("org_of_nobody").trim());
    for told in [&log, &audit] {
        assert!(
            !told.contains("of-a-customer") && !told.contains("of_nobody"),
            "{told}"
        );
    }

    // The text's length in bytes, and what only the key can make: each a word of its own for grep.
    let parts: Vec<&str> = request_id.trim().split(':').collect();
    let [word, kid, length, digits] = parts[..] else {
        panic!("{request_id}")
    };
    assert_eq!((word, length, digits.len()), ("hash", "21", 16));
    assert!(digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    assert_eq!(place.json(&["key", "list"])[0]["kid"], kid);
    let said = place.json(&["log-hash", "request-of-a-customer"]);
    assert_eq!(said, json!([{"kid": kid, "log_hash": request_id.trim()}]));
    assert_ne!(hash("request-of-a-custome"), request_id);

    // A shell's history does not have what comes on standard input; its last line break is none of it.
    for end in ["", "\n", "\r\n"] {
        let text = format!("request-of-a-customer{end}");
        assert_eq!(of_stdin(&place, text.as_bytes()), request_id, "{end:?}");
    }
    assert_ne!(of_stdin(&place, b"request-of-a-customer\n\n"), request_id);
    // What is no UTF-8 has a hash, too; and a text that begins as a flag does is a text.
    assert!(of_stdin(&place, b"\xff").contains(":1:"));
    assert!(hash("--all").contains(":5:"));
}

#[test]
fn every_gateway_of_an_installation_agrees_and_a_rotation_keeps_old_lines_findable() {
    let place = place();
    let gateways = [start(&place), start(&place)];
    for gateway in &gateways {
        gateway.ask("f", "before");
    }
    let before = place.good(&["log-hash", "before"]);
    let old_kid = text(&place.json(&["key", "list"])[0], "kid");
    place.good(&["key", "rotate"]);
    let of = |text: &str| place.good(&["log-hash", text]);
    let after = of("after").lines().next().unwrap().to_owned();
    assert!(!after.contains(&format!(":{old_kid}:")), "{after}");
    // A gateway reads the keyring again by itself.
    for (file, gateway) in ["f_one", "f_two"].into_iter().zip(&gateways) {
        let hash = of(file).lines().next().unwrap().to_owned();
        until("the new key hashes", || {
            gateway.ask(file, "after");
            let audit = std::fs::read_to_string(place.path("audit.jsonl")).unwrap();
            audit.contains(&hash)
        });
    }
    let lines: Vec<String> = of("before").lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2, "one for each key: {lines:?}");
    assert_eq!(
        lines[1],
        before.trim(),
        "the old key's is there, after the new one's"
    );
    let [one, two] = gateways.map(|gateway| gateway.serving.stop("TERM").2);
    for log in [&one, &two] {
        Logged::line(log, before.trim());
        assert!(log.contains(&after), "{after} in {log}");
    }
    // With the key goes what it hashed: nobody can tell any more whose lines those are.
    place.good(&["key", "retire", &old_kid]);
    assert_eq!(of("before").trim(), lines[0]);
    let none = Place::new();
    let said = none.bad(1, &["log-hash", "x"]);
    assert!(said.contains("there is no keyring"), "{said}");
}
