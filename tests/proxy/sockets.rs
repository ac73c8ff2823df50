//! Listeners on Unix sockets.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

use hallpass::config::Listen;
use tokio::net::{UnixListener, UnixStream};

use crate::support::app::{PNG, TestApp};
use crate::support::client::{Reply, exchange_over, parse};

/// Opens a link over a Unix socket.
async fn get(path: &Path, target: &str, header: &str) -> Reply {
    let stream = UnixStream::connect(path).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n{header}Connection: close\r\n\r\n");
    parse(
        &exchange_over(stream, request.as_bytes(), false).await,
        false,
    )
}

#[tokio::test]
async fn links_open_over_every_listener_and_the_socket_is_gone_at_the_end() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("h.sock");
    let at = format!("unix:{}", path.display());
    // What a process leaves behind that was killed.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let app = TestApp::start_with(&[("server.listen", &at), ("server.listen", "127.0.0.1:0")])
        .await
        .with_org_123()
        .await;
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o660
    );
    let link = app.link("file_abc123", "").await;
    assert_eq!(get(&path, &link, "").await.body, PNG);
    assert_eq!(app.client.get(&link, &[]).await.body, PNG);
    app.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_live_socket_and_a_file_are_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let live = place.path().join("live.sock");
    let listener = UnixListener::bind(&live).unwrap();
    let file = place.path().join("file");
    fs::write(&file, "x").unwrap();
    for path in [&live, &file] {
        let settings = [("server.listen", format!("unix:{}", path.display()))];
        let error = TestApp::refused_with(&settings).await;
        assert!(error.starts_with("cannot listen on unix:/"), "{error}");
    }
    drop(listener);
    assert!(fs::metadata(&live).unwrap().file_type().is_socket());
    assert_eq!(fs::read(&file).unwrap(), b"x");
}

#[tokio::test]
async fn links_need_a_name_where_there_is_no_address() {
    let place = tempfile::tempdir().unwrap();
    let at = format!("unix:{}", place.path().join("h.sock").display());
    let error = TestApp::refused_with(&[("server.listen", at.clone())]).await;
    assert!(
        error.contains("server.public_base_url must be set"),
        "{error}"
    );
    assert!(!place.path().join("h.sock").exists());
}

#[tokio::test]
async fn a_client_behind_a_socket_is_known_by_a_trusted_header_alone() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("h.sock");
    let at = format!("unix:{}", path.display());
    for (trusted, status) in [("unix", 200), ("127.0.0.1", 401)] {
        let app = TestApp::start_with(&[
            ("server.listen", &at),
            ("server.listen", "127.0.0.1:0"),
            ("server.trusted_proxies", trusted),
        ])
        .await
        .with_org_123()
        .await;
        assert_eq!(app.listeners[0], Listen::Unix(path.clone()));
        let link = app.link("file_abc123", "ip=192.0.2.1").await;
        let header = "X-Forwarded-For: 192.0.2.1\r\n";
        assert_eq!(get(&path, &link, header).await.status, status, "{trusted}");
        get(&path, &link, "").await.is_dead_link();
        app.stop().await;
    }
}
