//! Clients that are sent on to the store.

use std::process::Command;

use super::{prefix, sample};
use crate::support::app::{PNG, TestApp};
use crate::support::client::Reply;
use crate::support::store::Store;

async fn place() -> Option<TestApp> {
    let store = Store::needed()?;
    let mut settings = store.settings(&prefix("redirect"));
    settings.push(("handover.mode", "redirect".to_owned()));
    let settings: Vec<_> = settings
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    Some(TestApp::start_with(&settings).await.with_org_123().await)
}

/// Where an answer sends its client.
#[track_caller]
fn location(reply: &Reply) -> String {
    assert_eq!(
        reply.status,
        302,
        "{}",
        String::from_utf8_lossy(&reply.body)
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(reply.header("content-length"), Some("0"));
    for name in [
        "etag",
        "content-type",
        "content-disposition",
        "accept-ranges",
    ] {
        assert_eq!(reply.header(name), None, "{name}");
    }
    reply.header("location").unwrap().to_owned()
}

/// What curl says of a URL: the head and the body.
fn curl(words: &[&str], url: &str) -> (String, Vec<u8>) {
    let output = Command::new("curl")
        .args(["-sS", "-i", "-m", "30"])
        .args(words)
        .arg(url)
        .output();
    let answer = output.unwrap().stdout;
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(answer[..end + 2].to_vec())
        .unwrap()
        .to_lowercase();
    (head, answer[end + 4..].to_vec())
}

/// The value of a parameter of a URL.
fn parameter(url: &str, name: &str) -> String {
    let query = url.split_once('?').unwrap().1;
    let found = query
        .split('&')
        .find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    found
        .unwrap_or_else(|| panic!("{name} in {url}"))
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_sends_its_client_on_to_the_store() {
    let Some(app) = place().await else {
        return;
    };
    let link = app.link("file_abc123", "").await;
    let url = location(&app.client.get(&link, &[]).await);
    let (head, body) = curl(&[], &url);
    assert!(head.starts_with("http/1.1 200 ok"), "{head}");
    for line in [
        "content-type: image/png\r\n",
        "content-disposition: inline; filename=\"report.png\"\r\n",
        "cache-control: private, max-age=3600\r\n",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert_eq!(body, PNG);
    let (head, body) = curl(&["-r", "2-5"], &url);
    assert!(head.starts_with("http/1.1 206"), "{head}");
    assert_eq!(body, &PNG[2..6]);
    // It is for this method alone, and nothing of it can be changed.
    let (head, _) = curl(&["-I"], &url);
    assert!(head.starts_with("http/1.1 403"), "{head}");
    let (head, _) = curl(&[], &url.replace("image%2Fpng", "text%2Fhtml"));
    assert!(head.starts_with("http/1.1 403"), "{head}");

    let url = location(&app.client.request("HEAD", &link, &[], b"").await);
    let (head, _) = curl(&["-I"], &url);
    assert!(head.starts_with("http/1.1 200 ok"), "{head}");
    assert!(head.contains("content-type: image/png\r\n"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stores_url_lives_a_minute_at_most_and_never_longer_than_the_link() {
    let Some(app) = place().await else {
        return;
    };
    let link = app.link("file_abc123", "expires_in=3600").await;
    for (at, lives) in [
        (0, "60"),
        (3539, "60"),
        (3540, "60"),
        (3541, "59"),
        (3599, "1"),
    ] {
        app.at(at);
        let url = location(&app.client.get(&link, &[]).await);
        assert_eq!(parameter(&url, "X-Amz-Expires"), lives, "{at}");
    }
    app.at(3600);
    app.client.get(&link, &[]).await.is_dead_link();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_for_one_address_is_answered_here() {
    let Some(app) = place().await else {
        return;
    };
    let link = app.link("file_abc123", "ip=127.0.0.1").await;
    let reply = app.client.get(&link, &[]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body, PNG);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_run_in_a_browser_is_saved() {
    let Some(app) = place().await else {
        return;
    };
    for (id, name, kind) in [
        ("file_html", "page.html", "text/html"),
        ("file_svg", "picture.svg", "image/svg+xml"),
        ("file_text", "notes.txt", "text/plain"),
    ] {
        app.add(id, name, b"<script>alert(1)</script>").await;
        let link = app.link(id, "").await;
        let (head, _) = curl(&[], &location(&app.client.get(&link, &[]).await));
        assert!(head.contains(&format!("content-type: {kind}")), "{head}");
        let saved = format!("content-disposition: attachment; filename=\"{name}\"\r\n");
        assert!(head.contains(&saved), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_are_answered_before_anybody_is_sent_on() {
    let Some(app) = place().await else {
        return;
    };
    app.add("file_large", "large.bin", &sample(100_000)).await;
    let link = app.link("file_large", "").await;
    let etag = format!("\"{}\"", sha256(&sample(100_000)));
    let reply = app.client.get(&link, &[("If-None-Match", &etag)]).await;
    assert_eq!(reply.status, 304);
    let reply = app.client.get(&link, &[("If-Match", "\"other\"")]).await;
    assert_eq!(reply.status, 412);
    let dead = link.replace("token=", "token=x");
    app.client.get(&dead, &[]).await.is_dead_link();
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
