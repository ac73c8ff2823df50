//! Downloads that are under way when their share is paused, revoked or rotated, and nothing else is.

use std::time::{Duration, Instant};

use hallpass::catalog::shares::ShareEdit;
use hallpass::gateway::shares::ShareManager;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::{PATIENCE, Shared, counted, of, organization, share, start_with, started};
use crate::support::app::TestApp;

/// More than any kernel holds for a client that does not read.
const LARGE_BYTES: usize = 16_000_000;

/// Begins a download, and reads no more than its first byte.
async fn begin(app: &TestApp, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(app.client.0).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.peek(&mut [0]).await.unwrap();
    stream
}

/// Reads what came of a download.
async fn rest(mut stream: TcpStream) -> usize {
    let (mut length, mut buffer) = (0, vec![0; 65_536]);
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        length += read;
    }
    length
}

/// Waits until so many downloads ended as if their links were revoked.
async fn revoked(app: &TestApp, count: usize) {
    let begun = Instant::now();
    loop {
        let audit = std::fs::read_to_string(app.directory.path().join("audit.jsonl"));
        let audit = audit.unwrap_or_default();
        let ended = audit.matches("\"outcome\":\"revoked\"").count();
        if ended == count {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{ended} of {count}: {audit}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_download_ends_soon_after_its_share_opens_no_more() {
    let app = start_with(&[("links.recheck_interval", "1s")]).await;
    app.add("large", "large.bin", &vec![7; LARGE_BYTES]).await;
    let manager = ShareManager::Operator(organization());
    let files = ["large", "file_def456"];
    let mut shares: Vec<Shared> = Vec::new();
    for fields in [
        of(&files),
        of(&files),
        counted(&files, 1),
        counted(&files, 1),
    ] {
        shares.push(share(&app, fields).await);
    }
    let [paused, rotated, revoked_one, good] = shares.as_slice() else {
        panic!("four shares")
    };
    let mut ending = vec![
        begin(&app, &paused.at("/files/1/large.bin")).await,
        begin(&app, &rotated.at("/files/1/large.bin")).await,
    ];
    for shared in [paused, rotated, revoked_one] {
        let zip = started(&app, shared, "192.0.2.1").await;
        ending.push(begin(&app, &zip).await);
    }
    let zip = started(&app, good, "192.0.2.1").await;
    let going_on = begin(&app, &zip).await;
    let pause = ShareEdit {
        paused: Some(true),
        ..ShareEdit::default()
    };
    super::edit(&app, paused, pause).await;
    app.gateway
        .rotate_share(&manager, &rotated.id)
        .await
        .unwrap();
    app.gateway
        .revoke_share(&manager, &revoked_one.id)
        .await
        .unwrap();
    revoked(&app, ending.len()).await;
    for (which, stream) in ending.into_iter().enumerate() {
        let length = rest(stream).await;
        assert!(length < LARGE_BYTES / 2, "{which}: {length} bytes came");
    }
    assert!(rest(going_on).await > LARGE_BYTES);
    app.client.get(&zip, &[("Range", "bytes=0-9")]).await;
}
