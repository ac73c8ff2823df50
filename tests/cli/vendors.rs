//! The vendor's own samples ("Download a file", Aitronos), with only base URL and key changed, against the
//! real binary; and what the binary's log never says.

use std::process::Command;

use super::support::{Place, open, said, text};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n not really, but byte by byte";

/// The sample's organization and file, and the gateway's base URL and key.
fn served(place: &Place) -> (super::support::Serving, String, String) {
    place.good(&["organization", "create", "--id", "org_123"]);
    let words = [
        "apikey",
        "create",
        "--organization",
        "org_123",
        "--name",
        "sample",
    ];
    let key = text(&place.json(&words), "api_key");
    let path = place.file("report.png", PNG);
    let path = path.to_str().unwrap();
    place.good(&[
        "add",
        "--organization",
        "org_123",
        "--id",
        "file_abc123",
        path,
    ]);
    let mut serve = place.serve();
    let base = serve.url();
    (serve, base, key)
}

#[test]
fn the_curl_sample_downloads_the_file() {
    let place = Place::new();
    let (_serve, base, key) = served(&place);
    let sample = r#"
set -e
CONTENT=$(curl -s https://api.aitronos.com/v1/organizations/org_123/files/file_abc123/download \
  -H "X-API-Key: $FREDDY_API_KEY")
DOWNLOAD_URL=$(echo $CONTENT | jq -r '.download_url')
curl -o downloaded_file.png "$DOWNLOAD_URL"
curl -s -D - -o same.png "$DOWNLOAD_URL"
"#
    .replace("https://api.aitronos.com", &base);
    let mut command = Command::new("sh");
    command
        .args(["-c", &sample])
        .env("FREDDY_API_KEY", key)
        .current_dir(place.path("."));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(
        std::fs::read(place.path("downloaded_file.png")).unwrap(),
        PNG
    );
    let head = String::from_utf8(output.stdout).unwrap();
    for literal in [
        "HTTP/1.1 200 OK\r\n",
        "\r\nContent-Type: image/png\r\n",
        "\r\nContent-Disposition: inline; filename=\"report.png\"\r\n",
        "\r\nCache-Control: private, max-age=3600\r\n",
    ] {
        assert!(head.contains(literal), "{head}");
    }
}

#[test]
fn the_python_sample_downloads_the_file() {
    let place = Place::new();
    let (_serve, base, key) = served(&place);
    let sample = r#"
import os
import requests

api_key = os.environ["FREDDY_API_KEY"]
org_id = "org_123"
file_id = "file_abc123"

# Step 1: Get the signed download URL
download_url_endpoint = f"https://api.aitronos.com/v1/organizations/{org_id}/files/{file_id}/download"
content_resp = requests.get(download_url_endpoint, headers={"X-API-Key": api_key})
download_url = content_resp.json()["download_url"]

# Step 2: Download the file (no auth header needed)
file_resp = requests.get(download_url)
with open("downloaded_file.png", "wb") as f:
    f.write(file_resp.content)
"#
    .replace("https://api.aitronos.com", &base);
    let mut command = Command::new(python_with_requests());
    command
        .args(["-c", &sample])
        .env("FREDDY_API_KEY", key)
        .current_dir(place.path("."));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(
        std::fs::read(place.path("downloaded_file.png")).unwrap(),
        PNG
    );
}

/// A Python that has the library the sample uses. `tests/run` installs Debian's, which a Python from
/// elsewhere does not see.
fn python_with_requests() -> &'static str {
    let has_it = |python: &&str| {
        let tried = Command::new(python)
            .args(["-c", "import requests"])
            .output();
        tried.is_ok_and(|output| output.status.success())
    };
    let known = ["python3", "/usr/bin/python3"];
    known
        .into_iter()
        .find(has_it)
        .expect("a python3 with the library requests; tests/run installs it")
}

#[test]
fn c75_neither_keys_nor_tokens_are_ever_logged() {
    let place = Place::new();
    for format in ["text", "json"] {
        let log = format!("[log]\nlevel = \"trace\"\nformat = \"{format}\"\n");
        let config = place.file("hallpass.toml", log.as_bytes());
        let config = config.to_str().unwrap();
        let file = place.add("a.txt", b"bytes");
        let key = text(
            &place.json(&["apikey", "create", "--scope", "admin"]),
            "api_key",
        );
        let mut serve = place.start(&["serve", "--listen", "127.0.0.1:0", "--config", config]);
        let base = serve.url();
        let files = format!("{base}/v1/organizations/org_default/files");
        let curl = |words: &[&str]| {
            let output = Command::new("curl")
                .args(["-s", "-m", "10"])
                .args(words)
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let header = format!("X-API-Key: {key}");
        let minted: serde_json::Value =
            serde_json::from_str(&curl(&["-H", &header, &format!("{files}/{file}/content")]))
                .unwrap();
        let (link, token) = (text(&minted, "download_url"), text(&minted, "token"));
        assert_eq!(open(&link).1, b"bytes");
        let forged = token.replace('.', ".x");
        open(&link.replace(&token, &forged));
        open(&format!("{link}&token=second-secret-token"));
        curl(&["-H", "Authorization: Bearer wrong-secret-key", &files]);
        curl(&["-H", &header, &format!("{files}?limit=secret-value")]);
        curl(&[
            "-H",
            &header,
            "-F",
            "file=@a.txt",
            &format!("{files}/upload"),
        ]);
        curl(&["-X", "POST", "-H", &header, &link]);
        let refusal: serde_json::Value = serde_json::from_str(&curl(&[&files])).unwrap();
        let trace_id = text(&refusal["error"], "trace_id");
        let (_, _, log) = serve.stop("TERM");
        let (_, mac) = token.split_once('.').unwrap();
        for secret in [
            &key,
            &key[3..],
            &token,
            &forged,
            mac,
            &mac[12..],
            "wrong-secret-key",
            "second-secret-token",
        ] {
            assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
        }
        assert!(
            log.contains(&trace_id),
            "the answer's trace id is in the log:\n{log}"
        );
        assert!(
            log.contains(&mac[..12]),
            "the link id is in the log:\n{log}"
        );
    }
}
