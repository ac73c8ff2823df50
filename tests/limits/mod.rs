//! Who asks for more than there is to have, over real sockets.

mod downloads;
mod gone;
mod link_counts;
mod paces;
mod quotas;
mod requests;
mod slow_uploads;
mod staged;
mod uploads;
mod ways;

use std::time::{Duration, Instant};

use hallpass::model::id::OrganizationId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::app::TestApp;
use crate::support::client::Reply;

/// More than any kernel holds for a client that does not read.
const LARGE_BYTES: usize = 20_000_000;

async fn start(settings: &[(&'static str, &str)]) -> TestApp {
    TestApp::start_with(settings).await.with_org_123().await
}

/// Bytes of which no two places look the same.
fn bytes(length: usize) -> Vec<u8> {
    let numbers = (0_u32..).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes());
    numbers.take(length).collect()
}

/// How many seconds a refusal says to wait.
#[track_caller]
fn retry_after(reply: &Reply) -> u64 {
    assert_eq!(
        reply.status,
        429,
        "{}",
        String::from_utf8_lossy(&reply.body)
    );
    let seconds = reply.header("retry-after").expect("a Retry-After");
    seconds.parse().expect("whole seconds")
}

/// Sends until that is refused, and answers how many were not and the refusal.
async fn until_refused(mut send: impl AsyncFnMut() -> Reply) -> (usize, Reply) {
    for sent in 0..1_000 {
        let reply = send().await;
        if reply.status == 429 {
            return (sent, reply);
        }
    }
    panic!("a thousand got through");
}

/// Waits as long as a refusal says.
async fn wait_for(refused: &Reply) {
    tokio::time::sleep(Duration::from_secs(retry_after(refused))).await;
}

/// A link that was made without a request.
async fn quiet_link(app: &TestApp, file: &str) -> String {
    let organization = OrganizationId::parse("org_123").unwrap();
    let options = hallpass::gateway::mint::MintOptions::default();
    let minted = app.gateway.mint_for(&organization, file, &options);
    crate::support::app::target(&minted.await.unwrap().download_url)
}

/// Begins a download and reads no more of it than the head.
async fn begun(app: &TestApp, link: &str, headers: &str) -> (u16, TcpStream) {
    let mut stream = TcpStream::connect(app.client.0).await.unwrap();
    let request = format!("GET {link} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let status = std::str::from_utf8(&head[9..12]).unwrap().parse().unwrap();
    (status, stream)
}

/// Asks until that is let through, and prints how long it took; promised is a second.
async fn let_through(what: &str, mut send: impl AsyncFnMut() -> u16) {
    let begun = Instant::now();
    loop {
        let status = send().await;
        if status != 429 {
            assert!(status < 300, "{what}: {status}");
            println!("{what}: let through after {:?}", begun.elapsed());
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
