//! Credentials in every place where they do not belong: none is in the audit stream or in the log afterwards.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::*;
use crate::cli::support::pause;

/// Sends these bytes on a connection of their own, and reads until it is closed.
fn exchange(base: &str, bytes: &[u8]) {
    let host = base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Whoever is refused early may be hung up on.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 "), "{}", answer.len());
}

/// Where a path has room for the secret.
fn paths(secret: &str) -> Vec<String> {
    let of_file = format!("/v1/organizations/org_default/files/{secret}");
    let of_organization = format!("/v1/organizations/{secret}");
    vec![
        format!("/{secret}"),
        format!("{of_organization}/files/{secret}/download"),
        format!("{of_organization}/files/{secret}/content"),
        format!("{of_organization}/files"),
        format!("{of_organization}/files/upload"),
        format!("{of_organization}/links/revoke"),
        format!("{of_organization}/revoke"),
        format!("{of_file}/download?expires=1&token={secret}"),
        of_file.clone(),
        format!("{of_file}/content"),
        format!("{of_file}/revoke"),
        format!("/v1/files/{secret}"),
        format!("/v1/files/{secret}/content"),
        format!("/api/v1/cloud/files/{secret}"),
        format!("/v1/files?{secret}"),
        format!("/v1/files?{secret}={secret}"),
        format!("/v1/files?limit={secret}"),
        format!("/v1/files?after={secret}&purpose={secret}"),
        format!("/koodrive/{secret}"),
        format!("/koodrive/ose/v1/files/download?{secret}"),
        format!("/verify?{secret}"),
        format!("/s/{secret}"),
        format!("/s/{secret}/open"),
        format!("/s/{secret}?page={secret}"),
        format!("/s/{secret}/files/{secret}/{secret}"),
        format!("/s/{secret}/tickets/{secret}/{secret}"),
    ]
}

/// Header lines that hold it.
fn headers(secret: &str) -> Vec<String> {
    let mut lines: Vec<String> = [
        "Authorization",
        "X-API-Key",
        "X-Request-Id",
        "X-Traceid",
        "X-User-Id",
        "X-Date",
        "X-hw-share-folder-id",
        "language",
        "Cookie",
        "Referer",
        "User-Agent",
        "Origin",
        "Range",
        "If-None-Match",
        "If-Range",
        "Content-Type",
        "Expect",
        "Transfer-Encoding",
        "X-Forwarded-For",
        "Forwarded",
    ]
    .map(|name| format!("{name}: {secret}"))
    .into();
    lines.extend([
        format!("Authorization: Basic {secret}"),
        format!("Authorization: Bearer+{secret}"),
        format!("X-Request-Id: {secret}.1"),
        format!("Forwarded: for={secret}"),
        format!("Content-Type: multipart/form-data; boundary={secret}"),
        format!("{secret}: x"),
    ]);
    lines
}

/// Bodies that hold it, with what they are.
fn bodies(secret: &str) -> Vec<(&'static str, String)> {
    let part = |head: &str, text: &str| {
        format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{text}\r\n--b--\r\n")
    };
    let form = "multipart/form-data; boundary=b";
    let json = "application/json";
    vec![
        (form, part(&format!("name=\"{secret}\""), "x")),
        (form, part("name=\"purpose\"", secret)),
        (form, part("name=\"metadata\"", secret)),
        (form, part(&format!("name={secret}\"; x"), "x")),
        (form, format!("--b\r\n{secret}\r\n\r\nx\r\n--b--\r\n")),
        (
            form,
            format!("--b\r\nContent-Disposition: form-data; name=\"{secret}\"\r\n\r\nx"),
        ),
        (json, format!("{{\"link_id\":\"{secret}\"}}")),
        (json, format!("{{\"download_url\":\"{secret}\"}}")),
        (
            json,
            format!("{{\"containerId\":\"{secret}\",\"fileIds\":[\"{secret}\"]}}"),
        ),
        (json, format!("{{\"{secret}\":1}}")),
        (json, secret.to_owned()),
    ]
}

/// Sends it in every place of a request's target, with no key, a good one and a wrong one.
fn send_in_paths(at: &Audited, secret: &str) {
    for key in ["", &at.authorized(), "X-API-Key: wrong\r\n"] {
        for path in paths(secret) {
            for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS"] {
                let end = format!("Host: x\r\n{key}Content-Length: 0\r\nConnection: close\r\n");
                let head = format!("{method} {path} HTTP/1.1\r\n{end}\r\n");
                exchange(&at.base, head.as_bytes());
            }
        }
    }
    for head in [
        format!("{secret} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {secret}\r\nConnection: close\r\n\r\n"),
        format!("GET http://{secret}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        format!("GET /{secret} HTTP/{secret}\r\n\r\n"),
    ] {
        exchange(&at.base, head.as_bytes());
    }
}

/// Sends it in every header.
fn send_in_headers(at: &Audited, secret: &str) {
    let koodrive = "/koodrive/ose/v1/files/download";
    for line in headers(secret) {
        for (method, target) in [
            ("GET", "/v1/organizations/org_default/files"),
            ("GET", "/v1/files"),
            ("POST", koodrive),
            ("GET", "/x"),
        ] {
            let head = format!(
                "{method} {target} HTTP/1.1\r\nHost: x\r\n{line}\r\nConnection: close\r\n\r\n"
            );
            exchange(&at.base, head.as_bytes());
        }
    }
    // Whatever has 58 of them is a good trace id; that of a key would be one of ours.
    let padded = format!("{:0<58}", at.key.replace('-', "_"));
    let head = format!("POST /koodrive/x HTTP/1.1\r\nHost: x\r\nX-Traceid: {padded}\r\n");
    exchange(
        &at.base,
        format!("{head}Connection: close\r\n\r\n").as_bytes(),
    );
}

/// Sends it in every body, by a caller that is let in.
fn send_in_bodies(at: &Audited, secret: &str) {
    for (kind, body) in bodies(secret) {
        for target in [
            "/v1/organizations/org_default/files/upload",
            "/v1/organizations/org_default/links/revoke",
            "/v1/files",
            "/koodrive/ose/v1/files/download",
        ] {
            let head = format!(
                "POST {target} HTTP/1.1\r\nHost: x\r\n{}Authorization: Bearer {}\r\n\
                 X-User-Id: {secret}\r\nX-hw-share-folder-id: {secret}\r\nX-Date: {}\r\n\
                 Content-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                at.authorized(),
                at.key,
                jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"),
                body.len()
            );
            exchange(&at.base, head.as_bytes());
        }
    }
}

/// Texts that an operator imported as API keys: nothing tells them from an id.
const IMPORTED: [&str; 3] = [
    "3f786850e387550fdab836ed7e6dc881de23001b",
    "correct-horse-battery-staple",
    "file_of_the_quarter",
];

/// How much of a credential in a row gives it away, in characters. A link's id, which is no secret, is less.
const PART_CHARS: usize = 14;

/// Whether the text holds a credential or a part of one, also where hyphens were replaced.
fn holds<'a>(text: &str, credential: &'a str) -> Option<&'a str> {
    let starts = 0..=credential.len() - PART_CHARS.min(credential.len());
    let mut parts =
        starts.filter_map(|at| credential.get(at..(at + PART_CHARS).min(credential.len())));
    parts.find(|part| text.contains(part) || text.contains(&part.replace('-', "_")))
}

#[test]
fn a_credential_in_the_wrong_place_is_in_no_line() {
    let at = Audited::start();
    let file = at.upload(b"bytes");
    let token = text(&at.mint(&file), "token");
    let mac = token.split_once('.').unwrap().1.to_owned();
    let signing_key = BASE64_URL_SAFE_NO_PAD.encode((0..32).collect::<Vec<u8>>());
    for (number, key) in IMPORTED.into_iter().enumerate() {
        let path = at.place.file(&format!("key{number}"), key.as_bytes());
        crate::cli::support::set_mode(&path, 0o600);
        let path = path.to_str().unwrap();
        at.place.good(&["apikey", "create", "--api-key-file", path]);
    }
    let spelled = mac.replace('-', "_");
    let altered = [
        format!("{spelled:0<58}"),
        format!("{spelled:x>58}"),
        format!("x{mac}"),
        format!("{mac}.html"),
        format!("{}{mac}", at.key),
        mac[..41].to_owned(),
        mac[2..].to_owned(),
    ];
    let imported = IMPORTED.map(str::to_owned);
    let whole = [at.key.clone(), token, mac.clone(), signing_key.clone()];
    for secret in whole.iter().chain(&imported).chain(&altered) {
        send_in_paths(&at, secret);
        send_in_headers(&at, secret);
        send_in_bodies(&at, secret);
    }
    pause();
    let path = at.place.path("audit.jsonl");
    let random = at.key["hp_".len()..].to_owned();
    let (_, _, log) = at.serving.stop("TERM");
    let audit = std::fs::read_to_string(path).unwrap();
    let (recorded, logged) = (audit.lines().count(), log.lines().count());
    println!("{recorded} lines of the stream, {logged} of the log");
    assert!(recorded > 5_000 && logged > 5_000);
    for (what, told) in [("the audit stream", &audit), ("the log", &log)] {
        for secret in [&random, &mac, &signing_key].into_iter().chain(&imported) {
            let part = holds(told, secret);
            let line = told
                .lines()
                .find(|line| part.is_some_and(|part| line.contains(part)));
            assert!(line.is_none(), "{what} holds of {secret:?}: {line:?}");
        }
    }
    // Who knows what was sent finds the lines about it all the same.
    for secret in &imported {
        let hash = at.place.good(&["log-hash", secret]);
        assert!(
            audit.contains(hash.trim()) && log.contains(hash.trim()),
            "{secret}"
        );
    }
}
