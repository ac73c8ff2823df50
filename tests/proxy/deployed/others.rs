//! Caddy and HAProxy.

use std::fs;
use std::net::SocketAddr;

use super::*;
use crate::proxy::running::{Proxy, free_address};

/// The Caddyfile with its sites at these addresses, and Caddy.
async fn caddy(app: &TestApp, plain: SocketAddr, own: SocketAddr, files: &str) -> Proxy {
    let (plain_site, own_site) = (format!("http://{plain}"), format!("http://{own}"));
    let upstream = app.client.0.to_string();
    let config = filled(
        CADDYFILE,
        &[
            ("http://files.example.com:80", &plain_site),
            ("http://own.example.com:80", &own_site),
            ("127.0.0.1:8080", &upstream),
            ("/srv/files", files),
        ],
    );
    Proxy::caddy(app.directory.path(), own, &config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_passes_everything_on_or_asks_before_it_sends() {
    let (plain, own) = (free_address().await, free_address().await);
    let app = app(plain, &[("verify.header", "X-Forwarded-Uri")]).await;
    let files = app.directory.path().join("srv");
    fs::create_dir_all(files.join("org_123")).unwrap();
    fs::write(files.join("org_123/file_abc123"), "its own").unwrap();
    let _caddy = caddy(&app, plain, own, files.to_str().unwrap()).await;
    passes_links_on(&app, Client(plain)).await;
    let link = app.link("file_abc123", CLAIMS).await;
    let (direct, through) = (
        app.client.get(&link, &[]).await,
        Client(plain).get(&link, &[]).await,
    );
    assert_eq!(headers(&through), headers(&direct));
    asks_before_it_sends(&app, Client(own), &own.to_string(), b"its own").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_says_who_asks_in_a_header_or_before_the_first_byte() {
    let (http, tcp) = (free_address().await, free_address().await);
    let plain = app(http, &[]).await;
    let announced = app(tcp, &[("server.proxy_protocol", "required")]);
    let announced = announced.await;
    let (bind_http, bind_tcp) = (format!("bind {http}"), format!("bind {tcp}"));
    let (to_plain, to_announced) = (plain.client.0.to_string(), announced.client.0.to_string());
    let config = filled(
        HAPROXY,
        &[
            ("bind :80", bind_http.as_str()),
            ("127.0.0.1:8080", &to_plain),
            ("127.0.0.1:8081", &to_announced),
        ],
    );
    // `bind :80` is the beginning of `bind :81`, too, but for its last digit.
    let config = filled(&config, &[("bind :81", bind_tcp.as_str())]);
    let _haproxy = Proxy::haproxy(plain.directory.path(), http, &config).await;
    passes_links_on(&plain, Client(http)).await;
    let ours = announced.operator_link("file_abc123", "127.0.0.1").await;
    let theirs = announced.operator_link("file_abc123", "192.0.2.1").await;
    let through = Client(tcp).get(&ours, &[]).await;
    assert_eq!((through.status, through.body.as_slice()), (200, PNG));
    assert_eq!(Client(tcp).get(&theirs, &[]).await.status, 401);
}
