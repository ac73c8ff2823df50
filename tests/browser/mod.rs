//! A real browser, driven by `drive.mjs`: what links open is shown, played, saved and read on pages of
//! other origins, and what a stranger uploaded runs nowhere.

mod cache;
mod charset;
mod counted;
mod frames;
mod head;
mod languages;
mod links;
mod media;
mod pages;
mod shares;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// How long the browser may take over one scene, from start to end.
const PATIENCE: Duration = Duration::from_secs(180);

/// Plays one scene in a browser of its own, with a new profile, and answers what was to be seen.
async fn play(scene: &str, with: Value) -> Value {
    let profile = tempfile::tempdir().unwrap();
    play_as(profile.path(), scene, with).await
}

/// The same in a browser that has this profile, and what it kept there.
async fn play_as(profile: &Path, scene: &str, mut with: Value) -> Value {
    with["profile"] = json!(profile);
    let mut driver = tokio::process::Command::new("node");
    driver
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/browser/drive.mjs"
        ))
        .args([scene, &with.to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, driver.output())
        .await
        .expect("a scene in time")
        .expect("node is installed; tests/run does that");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{scene} (tests/run installs what it needs): {said}"
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Serves a page with this body at every path of an origin of its own, and answers its address.
async fn page(body: &str) -> String {
    let html = format!("<!doctype html><meta charset=utf-8><title>a page</title>{body}");
    format!("http://{}/", served("text/html", html).await)
}

/// Serves this text at every path of an origin of its own.
async fn served(kind: &str, text: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 8192]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[test]
fn what_drives_it_is_locked_without_a_place_to_get_it_from() {
    let lock = include_str!("package-lock.json");
    assert!(lock.contains("\"integrity\": \"sha512-"));
    assert!(!lock.contains("resolved") && !lock.contains("://"));
}
