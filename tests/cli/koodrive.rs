//! The KooDrive API of the real binary, called by the README's own signer, and what the log then says.

use std::process::Command;

use super::support::{Place, open, said, text};

/// As in the README, but for the base URL.
const SIGNER: &str = r#"
import hashlib, hmac, json, os, time
from urllib.request import Request, urlopen

path = "/koodrive/ose/v1/files/download"
headers = {"x-date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), "x-user-id": "1505084218764547200"}
body = json.dumps({
    "containerId": "IAADfsBFCO6WtAtuA9add2fea594e4e75b8feb8474ef236",
    "fileIds": ["Fn1bTLIOomJkTCAe9DEVBRY4U6IkuqkMZ"],
    "expires_in": 60,
}).encode()

signed = ";".join(headers)
lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
canonical = "\n".join(["POST", path + "/", "", lines, signed, hashlib.sha256(body).hexdigest()])
message = "HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
signature = hmac.digest(os.environ["APP_SECRET"].encode(), message.encode(), "sha256").hex()

headers["Authorization"] = f"HMAC-SHA256 AppId={os.environ['APP']},SignedHeaders={signed},Signature={signature}"
headers["Content-Type"] = "application/json"
print(urlopen(Request("http://127.0.0.1:8080" + path, body, headers)).read().decode())
"#;

#[test]
fn the_readmes_signer_mints_and_leaves_no_secret_in_the_log() {
    let space = "IAADfsBFCO6WtAtuA9add2fea594e4e75b8feb8474ef236";
    let file = "Fn1bTLIOomJkTCAe9DEVBRY4U6IkuqkMZ";
    let place = Place::new();
    place.good(&["space", "create", "--id", space]);
    let path = place.file("Invoice 1.pdf", b"an invoice");
    let path = path.to_str().unwrap();
    place.good(&["add", "--space", space, "--id", file, path]);
    let made = place.json(&["apikey", "create", "--app"]);
    let [key, app, secret] = ["api_key", "app_id", "app_secret"].map(|name| text(&made, name));
    let config = place.file("trace.toml", b"[log]\nlevel = \"trace\"\n");
    let config = config.to_str().unwrap();
    let mut serve = place.start(&["serve", "--listen", "127.0.0.1:0", "--config", config]);
    let base = serve.url();

    let mut python = Command::new("python3");
    let script = SIGNER.replace("http://127.0.0.1:8080", &base);
    python
        .args(["-c", &script])
        .envs([("APP", &app), ("APP_SECRET", &secret)]);
    let output = python.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let link = text(&answer["downloads"][0], "url");
    assert_eq!(open(&link).1, b"an invoice");

    let url = format!("{base}/koodrive/ose/v1/files/download");
    for credential in [format!("Bearer+{key}"), "Bearer+wrong-secret-key".into()] {
        let header = format!("Authorization: {credential}");
        let words = ["-s", "-m", "10", "-H", &header, "-d", "{}", &url];
        let output = Command::new("curl").args(words).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
    let (_, _, log) = serve.stop("TERM");
    let token = link.split_once("&token=").unwrap().1;
    for secret in [&secret, &key[3..], token, "wrong-secret-key", "Signature="] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    for said in [
        file,
        "1505084218764547200",
        text(&made, "api_key_id").as_str(),
    ] {
        assert!(log.contains(said), "{said} is in the log:\n{log}");
    }
}
