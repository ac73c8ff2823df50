//! Files in place whose identity moved while their size and their time stayed.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use crate::support::app::TestApp;

struct InPlace {
    app: TestApp,
    path: PathBuf,
    _root: TempDir,
}

async fn in_place(bytes: &[u8]) -> InPlace {
    let root = TempDir::new().unwrap();
    let path = root.path().join("a.bin");
    fs::write(&path, bytes).unwrap();
    let named = root.path().to_str().unwrap();
    // Files in place are for gateways whose own blobs are on a disk.
    let settings = [("blobs.in_place_roots", named), ("blobs.mode", "0600")];
    let app = TestApp::start_with(&settings).await.with_org_123().await;
    app.register("file_place", &path).await;
    InPlace {
        app,
        path,
        _root: root,
    }
}

/// Does something to a file and gives it its old time.
fn under_its_old_time(path: &Path, act: impl FnOnce(&Path)) {
    let time = fs::metadata(path).unwrap().modified().unwrap();
    act(path);
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

#[tokio::test]
async fn a_file_that_was_restored_or_touched_is_served_as_before() {
    let InPlace { app, path, _root } = in_place(b"its bytes").await;
    let link = app.link("file_place", "").await;
    let before = app.client.get(&link, &[]).await;
    assert_eq!(
        (before.status, before.body.as_slice()),
        (200, &b"its bytes"[..])
    );
    let changes: [fn(&Path); 4] = [
        |path| {
            let copy = path.with_extension("copy");
            fs::copy(path, &copy).unwrap();
            fs::rename(&copy, path).unwrap();
        },
        |path| fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap(),
        |path| fs::hard_link(path, path.with_extension("link")).unwrap(),
        |path| fs::write(path, b"its bytes").unwrap(),
    ];
    for change in changes {
        under_its_old_time(&path, change);
        for _ in 0..2 {
            let after = app.client.get(&link, &[]).await;
            assert_eq!((after.status, &after.body), (200, &before.body));
            assert_eq!(after.header("etag"), before.header("etag"));
        }
        let etag = before.header("etag").unwrap();
        let same = app.client.get(&link, &[("If-None-Match", etag)]).await;
        assert_eq!(same.status, 304);
    }
}

#[tokio::test]
async fn a_file_that_was_rewritten_under_its_old_length_and_time_is_not_served() {
    let InPlace { app, path, _root } = in_place(b"its bytes").await;
    let link = app.link("file_place", "").await;
    let before = app.client.get(&link, &[]).await;
    let etag = before.header("etag").unwrap();
    under_its_old_time(&path, |path| fs::write(path, b"no others").unwrap());
    for headers in [
        &[][..],
        &[("Range", "bytes=0-1")],
        &[("If-None-Match", etag)],
    ] {
        for method in ["GET", "HEAD"] {
            let after = app.client.request(method, &link, headers, b"").await;
            assert_eq!(after.status, 500, "{method} {headers:?}");
            assert_eq!(after.header("etag"), None);
        }
    }
    under_its_old_time(&path, |path| fs::write(path, b"its bytes").unwrap());
    let again = app.client.get(&link, &[]).await;
    assert_eq!((again.status, &again.body), (200, &before.body));
}

/// A client that has taken the first bytes of a large file when it is rewritten under its old time, and takes the rest
/// then. What has left the file by then is in the buffers of the connection at most.
#[tokio::test]
async fn a_file_that_is_rewritten_while_it_is_sent_aborts_the_connection() {
    const SIZE: usize = 48 * 1024 * 1024;
    let InPlace { app, path, _root } = in_place(&vec![b'a'; SIZE]).await;
    let link = app.link("file_place", "").await;
    let parts = format!("bytes=0-{},{}-{}", SIZE / 2, SIZE / 2 + 2, SIZE - 1);
    for range in ["", &format!("Range: {parts}\r\n")] {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(app.client.0).await.unwrap();
        let request = format!("GET {link} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{range}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        stream.read_exact(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 20"));
        under_its_old_time(&path, |path| fs::write(path, vec![b'b'; SIZE]).unwrap());
        // It may be reset, too.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.len() < SIZE, "{} bytes look whole", answer.len());
        under_its_old_time(&path, |path| fs::write(path, vec![b'a'; SIZE]).unwrap());
        assert_eq!(app.client.get(&link, &[]).await.body.len(), SIZE);
    }
}
