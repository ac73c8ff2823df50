//! The KooDrive API of the real binary, called by the signer of its page, and what the log then says.

use std::process::Command;

use serde_json::Value;

use super::support::{Place, open, said, text};

/// The space of the page.
const SPACE: &str = "IAADfsBFCO6WtAtuA9add2fea594e4e75b8feb8474ef236";

/// The Python block of `config/docs/koodrive.md` that signs as an app.
fn signer() -> &'static str {
    let page = include_str!("../../config/docs/koodrive.md");
    let blocks = page.split("```python\n").skip(1);
    let mut blocks = blocks.map(|block| block.split("```").next().unwrap());
    let signer = blocks.find(|block| block.contains("HMAC-SHA256 AppId="));
    signer.expect("the page has a signer")
}

fn output_of(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    output.stdout
}

/// Calls with curl, and answers the trace id that came back.
fn traceid_of(url: &str, credential: &str, body: &str) -> String {
    let date = output_of(Command::new("date").args(["-u", "+X-Date: %Y%m%dT%H%M%SZ"]));
    let date = String::from_utf8(date).unwrap();
    let header = format!("Authorization: {credential}");
    let words = ["-s", "-m", "10", "-D", "-", "-H", &header, "-d", body, url];
    let mut curl = Command::new("curl");
    curl.args(words)
        .args(["-H", date.trim(), "-H", "X-User-Id: u7"]);
    curl.args(["-H", "Content-Type: application/json"]);
    let answer = String::from_utf8(output_of(&mut curl)).unwrap();
    let mut lines = answer.lines();
    let traceid = lines.find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("x-traceid").then_some(value)
    });
    traceid.expect("every answer has one").to_owned()
}

#[test]
fn the_signer_of_the_page_mints_and_leaves_no_secret_in_the_log() {
    let space = SPACE;
    let file = "Fn1bTLIOomJkTCAe9DEVBRY4U6IkuqkMZ";
    let place = Place::with(&[("HALLPASS_AUDIT_FILE", "audit.jsonl")]);
    place.good(&["space", "create", "--id", space]);
    let path = place.file("Invoice 1.pdf", b"an invoice");
    let path = path.to_str().unwrap();
    place.good(&["add", "--space", space, "--id", file, path]);
    let made = place.json(&["apikey", "create", "--app"]);
    let [key, app, secret] = ["api_key", "app_id", "app_secret"].map(|name| text(&made, name));
    let config = b"[log]\nlevel = \"trace\"\nformat = \"json\"\n";
    let config = place.file("trace.toml", config);
    let config = config.to_str().unwrap();
    let mut serve = place.start(&["serve", "--listen", "127.0.0.1:0", "--config", config]);
    let base = serve.url();

    let mut python = Command::new("python3");
    let script = signer().replace("http://127.0.0.1:8080", &base);
    python
        .args(["-c", &script])
        .envs([("APP", &app), ("APP_SECRET", &secret)]);
    let answer: Value = serde_json::from_slice(&output_of(&mut python)).unwrap();
    let link = text(&answer["downloads"][0], "url");
    assert_eq!(open(&link).1, b"an invoice");

    let url = format!("{base}/koodrive/ose/v1/files/download");
    let call = |credential: &str, body: &str| traceid_of(&url, credential, body);
    let good = format!("Bearer+{key}");
    call("Bearer+wrong-secret-key", "{}");
    let failed = call(
        &good,
        r#"{"containerId":"space_default","fileIds":["never"]}"#,
    );
    let refused = call(&good, r#"{"containerId":"never","fileIds":["never"]}"#);
    let (_, _, log) = serve.stop("TERM");
    let token = link.split_once("&token=").unwrap().1;
    for secret in [&secret, &key[3..], token, "wrong-secret-key", "Signature="] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    for said in [file, text(&made, "api_key_id").as_str()] {
        assert!(log.contains(said), "{said} is in the log:\n{log}");
    }
    let hash = |text: &str| place.good(&["log-hash", text]).trim().to_owned();
    let never = hash("never");
    let calls = [never.as_str(), &failed, &refused];
    says_whose_call_it_was(&log, &text(&made, "api_key_id"), calls);

    // For whom it was is in the audit stream alone, and there as a hash.
    let user = "1505084218764547200";
    let audit = std::fs::read_to_string(place.path("audit.jsonl")).unwrap();
    for (what, told) in [("the log", &log), ("the audit stream", &audit)] {
        let line = told.lines().find(|line| line.contains(user));
        assert!(line.is_none(), "{what}: {line:?}");
    }
    let mints = audit.lines().filter(|line| line.contains("\"mint\""));
    let mints: Vec<Value> = mints
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(mints.len(), 1, "{audit}");
    assert_eq!(mints[0]["koodrive_user_id"], hash(user));
    assert!(!log.contains(&hash(user)), "{log}");
}

/// Three calls: one that minted, one where every file failed, one that was refused as a whole. The trace
/// ids that the answers to the last two made up are in the log.
fn says_whose_call_it_was(log: &str, key: &str, [never, failed, refused]: [&str; 3]) {
    let calls = events(log, "asked for a batch of signed URLs");
    assert_eq!(calls.len(), 3, "{log}");
    for call in &calls {
        assert_eq!(call["api_key_id"], key);
        assert_eq!(call["organization_id"], "org_default");
        assert!(call["request_id"].is_string() && call["trace_id"].is_string());
    }
    let [signed, none, whole] = [0, 1, 2].map(|at| &calls[at]);
    assert_eq!(
        (&signed["batch_code"], &signed["container"]),
        (&1.into(), &SPACE.into())
    );
    assert_eq!(
        (&none["batch_code"], &none["container"]),
        (&2.into(), &"space_default".into())
    );
    assert_eq!(
        (&whole["batch_code"], &whole["container"]),
        (&Value::Null, &never.into()),
        "nothing that it was matched with"
    );
    assert_eq!(
        (&none["x_traceid"], &whole["x_traceid"]),
        (&failed.into(), &refused.into())
    );
    let minted = &events(log, "minted a signed URL")[0];
    assert_eq!(minted["x_traceid"], signed["x_traceid"]);
    let ended = events(log, "refused");
    assert!(
        ended.iter().any(|event| event["x_traceid"] == refused),
        "{log}"
    );
}

/// The events that have these words.
fn events(log: &str, words: &str) -> Vec<Value> {
    let events = log.lines().map(|line| serde_json::from_str(line).unwrap());
    events
        .filter(|event: &Value| event["message"] == words)
        .collect()
}
