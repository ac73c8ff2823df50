//! The configurations in `config/deploy/`, run as they stand there; only addresses and paths are put in.

mod nginx;
mod others;
mod sendfile;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;

use hallpass::config::Config;

use crate::support::app::{PNG, TestApp};
use crate::support::client::{Client, Reply};

const NGINX: &str = include_str!("../../../config/deploy/nginx.conf");
const NGINX_X_ACCEL: &str = include_str!("../../../config/deploy/nginx-x-accel.conf");
const NGINX_AUTH_REQUEST: &str = include_str!("../../../config/deploy/nginx-auth-request.conf");
const NGINX_SLICE_CACHE: &str = include_str!("../../../config/deploy/nginx-slice-cache.conf");
const CADDYFILE: &str = include_str!("../../../config/deploy/Caddyfile");
const HAPROXY: &str = include_str!("../../../config/deploy/haproxy.cfg");

const APACHE_X_SENDFILE: &str = include_str!("../../../config/deploy/apache-x-sendfile.conf");
const LIGHTTPD_X_SENDFILE: &str = include_str!("../../../config/deploy/lighttpd-x-sendfile.conf");

const TRAEFIK: &str = include_str!("../../../config/deploy/traefik.yaml");

const CLAIMS: &str = "disposition=attachment&filename=a%20b%2B%C3%A9.png";

/// What every one of these configurations asks of Hallpass.
fn settings<'a>(base: &'a str, more: &[(&'static str, &'a str)]) -> Vec<(&'static str, &'a str)> {
    let usual = [
        ("server.public_base_url", base),
        ("server.trusted_proxies", "127.0.0.1"),
    ];
    [&usual, more].concat()
}

async fn app(at: SocketAddr, more: &[(&'static str, &str)]) -> TestApp {
    let base = format!("http://{at}");
    TestApp::start_with(&settings(&base, more))
        .await
        .with_org_123()
        .await
}

/// Every piece put into its place; each must be there.
fn filled(config: &str, pieces: &[(&str, &str)]) -> String {
    let mut config = config.to_owned();
    for (piece, place) in pieces {
        assert!(config.contains(piece), "{piece}");
        config = config.replace(piece, place);
    }
    config
}

/// Its headers but those that any two servers write differently.
fn headers(reply: &Reply) -> BTreeMap<String, String> {
    let own = ["date", "server", "connection", "keep-alive", "via"];
    let headers = reply.headers.iter();
    headers
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .collect()
}

/// What is true of every proxy that has Hallpass decide: bytes, parts, dead links, and who asks.
async fn passes_links_on(app: &TestApp, proxy: Client) {
    let link = app.link("file_abc123", CLAIMS).await;
    let through = proxy.get(&link, &[]).await;
    assert_eq!((through.status, through.body.as_slice()), (200, PNG));
    let part = proxy.get(&link, &[("Range", "bytes=1-3")]).await;
    assert_eq!((part.status, part.body.as_slice()), (206, &PNG[1..4]));
    assert_eq!(proxy.request("HEAD", &link, &[], b"").await.status, 200);
    let same = through.header("etag").unwrap();
    assert_eq!(
        proxy.get(&link, &[("If-None-Match", same)]).await.status,
        304
    );
    let dead = proxy.get(&link.replace("token=", "token=x"), &[]).await;
    assert_eq!(
        (dead.status, dead.header("www-authenticate")),
        (401, Some("SignedUrl"))
    );
    assert_eq!(dead.json()["error"]["code"], "TOKEN_INVALID");
    app.add("file_long", &"\u{1f600}".repeat(255), b"x").await;
    let long = app.link("file_long", "").await;
    let direct = app.client.get(&long, &[]).await;
    let through = proxy.get(&long, &[]).await;
    assert_eq!(through.status, 200, "a head as long as it can be");
    let name = |reply: &Reply| reply.header("content-disposition").map(str::to_owned);
    assert_eq!(name(&through), name(&direct));
    knows_who_asks(app, proxy).await;
    app.at(3_600);
    assert_eq!(proxy.get(&link, &[]).await.status, 401, "expired");
    app.at(0);
}

/// A link for one client opens for it, and nobody can claim to be it.
async fn knows_who_asks(app: &TestApp, proxy: Client) {
    let ours = app.operator_link("file_abc123", "127.0.0.1").await;
    assert_eq!(proxy.get(&ours, &[]).await.status, 200);
    let theirs = app.operator_link("file_abc123", "192.0.2.1").await;
    for forged in [
        &[("X-Forwarded-For", "192.0.2.1")] as &[_],
        &[("Forwarded", "for=192.0.2.1")],
        &[
            ("X-Forwarded-For", "192.0.2.1"),
            ("Forwarded", "for=192.0.2.1"),
        ],
    ] {
        assert_eq!(proxy.get(&theirs, forged).await.status, 401, "{forged:?}");
        assert_eq!(proxy.get(&ours, forged).await.status, 200, "{forged:?}");
    }
}

/// That a link through one proxy is answered as its twin through another is.
async fn are_the_same((one, link): (Client, String), (other, twin): (Client, String)) {
    let plain = other.get(&twin, &[]).await;
    let (etag, date) = (
        plain.header("etag").unwrap(),
        plain.header("last-modified").unwrap(),
    );
    let long_ago = "Thu, 01 Jan 1970 00:00:00 GMT";
    let range = ("Range", "bytes=1-3");
    let cases: &[&[(&str, &str)]] = &[
        &[],
        &[range],
        &[range, ("If-Range", etag)],
        &[range, ("If-Range", date)],
        &[range, ("If-Range", "\"other\"")],
        &[range, ("If-Range", long_ago)],
        &[("Range", "bytes=-2")],
        &[("Range", "bytes=9999-")],
        &[("If-None-Match", etag)],
        &[("If-None-Match", "\"other\"")],
        &[("If-None-Match", "\"other\""), ("If-Modified-Since", date)],
        &[("If-Modified-Since", date)],
        &[("If-Modified-Since", long_ago)],
        &[("If-Match", etag)],
        &[("If-Match", "\"other\"")],
        &[("If-Unmodified-Since", date)],
        &[("If-Unmodified-Since", long_ago)],
        &[("Origin", "https://app.example.com")],
    ];
    for case in cases {
        for method in ["GET", "HEAD"] {
            let first = one.request(method, &link, case, b"").await;
            let second = other.request(method, &twin, case, b"").await;
            assert_eq!(first.status, second.status, "{method} {case:?}");
            if first.status < 400 {
                assert_eq!(first.body, second.body, "{method} {case:?}");
                assert_eq!(headers(&first), headers(&second), "{method} {case:?}");
            }
        }
    }
}

/// The first block of settings that a configuration's own comment shows.
fn settings_shown(config: &str) -> String {
    let lines = config.lines().skip_while(|line| !line.starts_with("#   "));
    let block = lines.map_while(|line| line.strip_prefix("#   "));
    block.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_settings_that_they_ask_for_are_good() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hallpass.toml");
    let all = [
        NGINX,
        NGINX_X_ACCEL,
        NGINX_AUTH_REQUEST,
        NGINX_SLICE_CACHE,
        CADDYFILE,
        HAPROXY,
        APACHE_X_SENDFILE,
        LIGHTTPD_X_SENDFILE,
        TRAEFIK,
    ];
    for config in all {
        let shown = settings_shown(config);
        assert!(shown.contains("trusted_proxies"), "{shown}");
        fs::write(&file, &shown).unwrap();
        let none = HashMap::<OsString, OsString>::new();
        let loaded = Config::load(Some(&file), &none, &[]);
        assert!(loaded.is_ok(), "{loaded:?}");
    }
}

/// Asks a proxy, under this host's name and with one more header.
async fn ask(proxy: Client, host: &str, target: &str, header: (&str, &str)) -> Reply {
    let (name, value) = header;
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\n{name}: {value}\r\nConnection: close\r\n\r\n"
    );
    proxy.send(request.as_bytes(), false).await
}

/// A link with a name at the end of its path is asked about, too: it is no way around, and Hallpass does not
/// answer it in the other server's place.
async fn asks_about_names(app: &TestApp, proxy: Client, host: &str, bytes: &[u8]) {
    let link = app.link("file_abc123", "").await;
    let get = |target: String| async move { ask(proxy, host, &target, ("X-None", "")).await };
    for name in ["a%20name.png", "%0A", "a%2Fb", "download"] {
        let named = |link: &str| link.replace("/download?", &format!("/download/{name}?"));
        let opened = get(named(&link)).await;
        // A proxy may refuse a name by itself.
        let is_refused = name.contains("%0A") && opened.status == 400;
        assert!(
            is_refused || opened.status == 200,
            "{name}: {}",
            opened.status
        );
        assert!(is_refused || opened.body == bytes, "{name}");
        assert_eq!(opened.header("repr-digest"), None, "{name}");
        let bare = named(&link).split_once('?').unwrap().0.to_owned();
        for bad in [named(&link.replace("token=", "token=x")), bare] {
            let refused = get(bad).await;
            let status = refused.status;
            assert!(is_refused || status == 401, "{name}: {status}");
        }
    }
}

/// What is true of a proxy that asks Hallpass and sends the bytes of another server, one file of it.
async fn asks_before_it_sends(app: &TestApp, proxy: Client, host: &str, bytes: &[u8]) {
    asks_about_names(app, proxy, host, bytes).await;
    let link = app.link("file_abc123", "").await;
    let get = |target: String, header: (&'static str, String)| async move {
        ask(proxy, host, &target, (header.0, &header.1)).await
    };
    let none = || ("X-None", String::new());
    let through = get(link.clone(), none()).await;
    assert_eq!((through.status, through.body.as_slice()), (200, bytes));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-robots-tag", "noindex, nofollow, noarchive"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("cache-control", "private, max-age=3600"),
    ] {
        assert_eq!(through.header(name), Some(value), "{name}");
    }
    let ranged = get(link.clone(), ("Range", "bytes=1-2".into())).await;
    assert_eq!((ranged.status, ranged.body.as_slice()), (206, &bytes[1..3]));
    let bad = link.replace("token=", "token=x");
    for header in ["X-Original-URI", "X-Forwarded-Uri"] {
        let refused = get(bad.clone(), (header, link.clone())).await;
        assert_eq!(refused.status, 401, "{header}");
        assert_eq!(refused.json()["error"]["code"], "TOKEN_INVALID");
    }
    let page = get(bad.clone(), ("Accept", "text/html".into())).await;
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let path = link.split_once('?').unwrap().0;
    let bent = link.replace("/file_abc123/", "/x/../file_abc123/");
    for target in [
        path.to_owned(),
        bent,
        format!("{path}?{}", "a".repeat(3_000)),
    ] {
        let status = get(target.clone(), none()).await.status;
        assert!(matches!(status, 401 | 404), "{status} {target}");
    }
    assert_eq!(
        get("/verify".into(), ("X-Original-URI", link.clone()))
            .await
            .status,
        404
    );
    let theirs = app.operator_link("file_abc123", "192.0.2.1").await;
    let forged = ("X-Forwarded-For", "192.0.2.1".to_owned());
    assert_eq!(get(theirs, forged).await.status, 401);
    app.at(3_600);
    assert_eq!(get(link, none()).await.status, 401, "expired");
    app.at(0);
}
