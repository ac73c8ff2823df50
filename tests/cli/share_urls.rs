//! What `verify` and `revoke` make of the URL of a share, and of a ticket below it.

use std::process::Command;

use serde_json::{Value, json};

use super::links::{now, verify};
use super::support::{Place, Serving, text};
use crate::support::secrets;

/// A share of one file behind a running gateway, and the address of its page.
fn shared(place: &Place, more: &[&str]) -> (Serving, String, String) {
    let file = place.add("a.txt", b"bytes");
    let mut running = place.serve();
    let base = running.url();
    let words = [
        &["share", "create", &file, "--public-base-url", &base],
        more,
    ]
    .concat();
    let made = place.json(&words);
    let page = text(&made, "share_url");
    secrets::keep(page.rsplit('/').next().unwrap());
    (running, text(&made, "share_id"), page)
}

/// Starts a download, and answers the place that its client is sent on to.
fn ticket(page: &str) -> String {
    let words = [
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{redirect_url}",
        "-d",
        "start=1",
    ];
    let output = Command::new("curl")
        .args(words)
        .arg(format!("{page}/open"))
        .output();
    let url = String::from_utf8(output.unwrap().stdout).unwrap();
    assert!(url.starts_with(&format!("{page}/tickets/")), "{url}");
    let ticket = url.split("/tickets/").nth(1).unwrap();
    let mac = ticket.split('/').next().unwrap().rsplit('.').next();
    secrets::keep(mac.unwrap());
    url
}

#[track_caller]
fn says(place: &Place, url: &str, reason: &str, clause: &str) -> Value {
    let (said, code) = verify(place, &[url]);
    assert_eq!(said["reason"], reason, "{said}");
    assert_eq!(code, Some(i32::from(reason != "ok")), "{said}");
    let detail = text(&said, "detail");
    assert!(detail.contains(clause), "{detail}");
    said
}

#[test]
fn verify_says_what_the_url_of_a_share_would_meet() {
    let place = Place::new();
    let (running, id, page) = shared(&place, &["--max-downloads", "3"]);
    let ticket = ticket(&page);
    for url in [
        page.clone(),
        format!("{page}?page=1"),
        format!("{page}/open"),
        format!("{page}/qr.svg"),
        format!("{page}/files/1/a.txt"),
        page.replace("http://", "https://another.example/below/"),
    ] {
        let said = says(&place, &url, "ok", "the page opens now");
        assert_eq!(
            (&said["share_id"], &said["organization_id"]),
            (&json!(id), &json!("org_default"))
        );
        assert_eq!(
            (
                &said["max_downloads"],
                &said["downloads_done"],
                &said["downloads_open"]
            ),
            (&json!(3), &json!(0), &json!(1))
        );
    }
    says(&place, &ticket, "ok", "the ticket is good now");
    let other = ticket.replacen("/tickets/", "/tickets/x", 1);
    says(
        &place,
        &other,
        "kid_unknown",
        "no signing key of this installation",
    );
    let cut = ticket
        .rsplit_once('/')
        .unwrap()
        .0
        .rsplit_once('.')
        .unwrap()
        .0;
    let cut = format!("{cut}/a.txt");
    says(&place, &cut, "malformed", "its ticket is none");
    drop(running);
}

#[test]
fn verify_says_what_happened_to_the_url_of_a_share_on_its_way() {
    let place = Place::new();
    let (running, _, page) = shared(&place, &[]);
    // As it comes by mail and chat.
    says(
        &place,
        &format!("<{page}>."),
        "malformed",
        "`<` stands before it; `>.` stands behind its end. Without that the page opens now",
    );
    says(
        &place,
        &page[..page.len() - 1],
        "malformed",
        "21 of 22 characters",
    );
    says(
        &place,
        &format!("{page}x"),
        "malformed",
        "22 letters and digits",
    );
    let swapped = page.replace(&page[page.len() - 22..], "0123456789abcdefghijkl");
    let none = says(
        &place,
        &swapped,
        "mac_mismatch",
        "no share of this installation",
    );
    assert_eq!(none.get("share_id"), None);
    drop(running);
}

#[test]
fn verify_says_why_a_share_does_not_open() {
    let place = Place::new();
    let (running, id, page) = shared(&place, &[]);
    let ticket = ticket(&page);
    let soon = (now() + 90_000).to_string();
    let change = |words: &[&str]| {
        place.good(&[&["share"], words, &["--no-wait"]].concat());
    };
    change(&["edit", &id, "--pause"]);
    says(&place, &page, "paused", "the share is paused");
    says(&place, &ticket, "paused", "the share is paused");
    change(&[
        "edit",
        &id,
        "--resume",
        "--not-before",
        &soon,
        "--expires-in",
        "30d",
    ]);
    says(&place, &page, "not_yet_valid", "it opens in ");
    change(&["edit", &id, "--not-before", "1", "--ip", "192.0.2.0/24"]);
    says(&place, &page, "ip_mismatch", "(--ip says whose)");
    let (said, _) = verify(&place, &[&page, "--ip", "192.0.2.7"]);
    assert_eq!(said["reason"], "ok", "{said}");
    change(&["edit", &id, "--ip", "any"]);
    place.good(&["share", "rotate", &id, "--no-wait"]);
    says(&place, &page, "mac_mismatch", "it was rotated or forgotten");
    drop(running);
}

#[test]
fn revoke_ends_the_share_of_a_url() {
    let place = Place::with(&[("HALLPASS_AUDIT_FILE", "audit.jsonl")]);
    let (running, id, page) = shared(&place, &[]);
    let ticket = ticket(&page);
    // A ticket is one download of it.
    let said = place.bad(1, &["revoke", &ticket]);
    assert!(
        said.contains(&format!("`hallpass share revoke {id}` ends its share")),
        "{said}"
    );
    let swapped = page.replace(&page[page.len() - 22..], "0123456789abcdefghijkl");
    let said = place.bad(1, &["revoke", &swapped]);
    assert!(
        said.contains("it opens nothing already, or is none of this installation"),
        "{said}"
    );
    assert!(!said.contains("0123456789abcdefghijkl"), "{said}");
    let revoked = place.json(&["revoke", &page]);
    assert_eq!(
        (&revoked["share_id"], &revoked["organization_id"]),
        (&json!(id), &json!("org_default"))
    );
    for url in [&page, &ticket] {
        says(&place, url, "link_revoked", "the share was revoked");
        let words = ["-s", "-o", "/dev/null", "-w", "%{http_code}", url];
        let got = Command::new("curl").args(words).output().unwrap();
        let status = String::from_utf8(got.stdout).unwrap();
        assert!(["401", "403"].contains(&status.as_str()), "{status}");
    }
    let stream = std::fs::read_to_string(place.path("audit.jsonl")).unwrap();
    let mut lines = stream.lines();
    let line = lines.find(|line| line.contains("\"share_revoke\""));
    let line: Value = serde_json::from_str(line.unwrap()).unwrap();
    assert_eq!(
        (&line["share_id"], &line["command"]),
        (&json!(id), &json!("revoke"))
    );
    drop(running);
}
