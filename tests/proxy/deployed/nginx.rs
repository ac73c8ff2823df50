//! nginx: passing on, X-Accel-Redirect, auth_request, and a cache of slices.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::*;
use crate::proxy::running::{Proxy, free_address};

async fn nginx(app: &TestApp, at: SocketAddr, config: &str, more: &[(&str, &str)]) -> Proxy {
    let (listen, upstream) = (format!("listen {at};"), app.client.0.to_string());
    let usual = [
        ("listen 80;", listen.as_str()),
        ("127.0.0.1:8080", &upstream),
    ];
    let config = filled(config, &[&usual, more].concat());
    Proxy::nginx(app.directory.path(), at, &config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_passes_everything_on() {
    let at = free_address().await;
    let app = app(at, &[]).await;
    let _nginx = nginx(&app, at, NGINX, &[]).await;
    passes_links_on(&app, Client(at)).await;
    let link = app.link("file_abc123", CLAIMS).await;
    let (direct, through) = (
        app.client.get(&link, &[]).await,
        Client(at).get(&link, &[]).await,
    );
    assert_eq!(headers(&through), headers(&direct));
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_sends_the_bytes_itself_under_the_very_same_headers() {
    let (at, plain_at) = (free_address().await, free_address().await);
    let handed = [
        ("handover.mode", "x-accel-redirect"),
        ("blobs.mode", "0640"),
    ];
    let (app, plain) = (app(at, &handed).await, app(plain_at, &[]).await);
    let data = format!("{}/", app.directory.path().join("data").display());
    let _nginx = nginx(&app, at, NGINX_X_ACCEL, &[("/var/lib/hallpass/", &data)]).await;
    let _plain_nginx = nginx(&plain, plain_at, NGINX, &[]).await;
    for app in [&app, &plain] {
        app.add("file_html", "page.html", b"<script>1</script>")
            .await;
        app.add("file_empty", "empty.bin", b"").await;
    }
    let (proxy, plain_proxy) = (Client(at), Client(plain_at));
    for (file, options) in [
        ("file_abc123", CLAIMS),
        ("file_html", ""),
        ("file_empty", ""),
    ] {
        let handed = (proxy, app.link(file, options).await);
        let streamed = (plain_proxy, plain.link(file, options).await);
        are_the_same(handed, streamed).await;
    }
    passes_links_on(&app, proxy).await;
    let link = app.link("file_abc123", "").await;
    let internal = app.client.get(&link, &[]).await;
    let internal = internal.header("x-accel-redirect").unwrap();
    for direct in [
        internal,
        "/hallpass-internal/blobs/",
        "/hallpass-internal/keyring.toml",
        "/hallpass-internal/blobs/../keyring.toml",
        "/hallpass-internal/blobs/%2e%2e/keyring.toml",
    ] {
        assert_eq!(proxy.get(direct, &[]).await.status, 404, "{direct}");
    }
    assert_eq!(proxy.get(&link, &[]).await.header("x-accel-redirect"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_asks_before_it_sends_files_of_its_own() {
    let at = free_address().await;
    let app = app(at, &[("verify.header", "X-Original-URI")]).await;
    let files = app.directory.path().join("srv");
    fs::create_dir_all(files.join("org_123")).unwrap();
    fs::write(files.join("org_123/file_abc123"), "its own").unwrap();
    let root = files.display().to_string();
    let _nginx = nginx(&app, at, NGINX_AUTH_REQUEST, &[("/srv/files", &root)]).await;
    asks_before_it_sends(&app, Client(at), "files.example.com", b"its own").await;
    let minting = "/v1/organizations/org_123/files/file_abc123/content";
    assert_eq!(
        Client(at).get(minting, &[("X-API-Key", "k1")]).await.status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_keeps_the_slices_of_a_file_once_for_all_its_links() {
    let at = free_address().await;
    let (app, _nginx) = slicing(at).await;
    let cache = app.directory.path().join("cache");
    let proxy = Client(at);
    passes_links_on(&app, proxy).await;
    let big: Vec<u8> = (0..=250).cycle().take(2_500_000).collect();
    app.add("file_big", "big.bin", &big).await;
    app.add("file_empty", "empty.bin", b"").await;
    let link = app.link("file_big", "").await;
    let direct = app.client.get(&link, &[]).await;
    let kept = || count_files(&cache);
    let before = kept();
    for _ in 0..2 {
        let through = proxy.get(&link, &[]).await;
        assert!(through.status == 200 && through.body == big);
        assert_eq!(headers(&through), headers(&direct));
    }
    assert_eq!(kept() - before, 3, "one entry a slice");
    app.at(1);
    let another = app.link("file_big", "").await;
    assert_ne!(another, link);
    let part = proxy
        .get(&another, &[("Range", "bytes=1048570-1048580")])
        .await;
    assert_eq!(
        (part.status, part.body.as_slice()),
        (206, &big[1_048_570..=1_048_580])
    );
    assert_eq!(kept() - before, 3, "another link of the file shares them");

    let named = app.link("file_big", CLAIMS).await;
    let renamed = proxy.get(&named, &[("Range", "bytes=0-0")]).await;
    assert!(
        renamed
            .header("content-disposition")
            .unwrap()
            .starts_with("attachment")
    );
    let own = proxy.get(&link, &[]).await;
    assert_eq!(
        headers(&own),
        headers(&direct),
        "one link's claims are not another's"
    );
    let empty = app.link("file_empty", "").await;
    let empty = proxy.get(&empty, &[]).await;
    assert_eq!((empty.status, empty.body.len()), (200, 0));
    let past = proxy.get(&link, &[("Range", "bytes=9999999-")]).await;
    assert_eq!(
        (past.status, past.header("content-range")),
        (416, Some("bytes */2500000"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_cache_answers_no_link_that_is_not_good() {
    let at = free_address().await;
    let (app, _nginx) = slicing(at).await;
    let proxy = Client(at);
    let link = app.link("file_abc123", "").await;
    app.at(1);
    let another = app.link("file_abc123", "").await;
    let revoked = app.link("file_def456", "").await;
    for link in [&link, &another, &revoked] {
        assert_eq!(proxy.get(link, &[]).await.status, 200);
    }
    app.revoke_links_of("file_def456").await;
    let until = Instant::now() + Duration::from_secs(10);
    let mut dead = proxy.get(&revoked, &[]).await;
    while dead.status == 200 {
        assert!(Instant::now() < until, "a revoked link is served");
        tokio::time::sleep(Duration::from_millis(50)).await;
        dead = proxy.get(&revoked, &[]).await;
    }
    assert_eq!(dead.status, 401);
    let fresh = app.link("file_def456", "").await;
    assert_eq!(proxy.get(&fresh, &[]).await.status, 200);

    app.at(3_600);
    let expired = proxy.get(&link, &[]).await;
    assert_eq!(expired.status, 401);
    assert_eq!(expired.json()["error"]["code"], "TOKEN_INVALID");
    assert_eq!(
        proxy.get(&another, &[]).await.status,
        200,
        "it lives a second longer"
    );
    let delete = "/v1/organizations/org_123/files/file_abc123";
    let deleted = proxy
        .request("DELETE", delete, &[("X-API-Key", "k1")], b"")
        .await;
    assert_eq!(deleted.status, 204);
    let gone = proxy.get(&another, &[]).await;
    assert_eq!(
        (gone.status, &gone.json()["error"]["code"]),
        (404, &"FILE_NOT_FOUND".into())
    );
}

/// Hallpass behind nginx that keeps slices.
async fn slicing(at: SocketAddr) -> (TestApp, Proxy) {
    let app = app(at, &[("verify.header", "X-Original-URI")]).await;
    let place = app.directory.path().join("cache").display().to_string();
    let pieces = [("/var/cache/nginx/hallpass", place.as_str())];
    let nginx = nginx(&app, at, NGINX_SLICE_CACHE, &pieces).await;
    (app, nginx)
}

fn count_files(directory: &std::path::Path) -> usize {
    let Ok(entries) = fs::read_dir(directory) else {
        return 0;
    };
    let entries = entries.map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { count_files(&path) } else { 1 })
        .sum()
}
