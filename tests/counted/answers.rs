//! The answers of a ticket: those of the byte route, on every transport, and never kept or handed over.

use super::{SIZE, after_bytes, bytes, from, start, start_with, started, ticket};
use crate::support::client::Reply;
use crate::transport::{Http2, Pair};

/// What a ticket's answer has in another way than a link's.
const OTHERS: [&str; 3] = ["cache-control", "x-request-id", "date"];

fn kept(reply: &Reply) -> Vec<(String, String)> {
    let lower = reply
        .headers
        .iter()
        .map(|(name, value)| (name.to_lowercase(), value.clone()));
    let mut kept: Vec<_> = lower
        .filter(|(name, _)| !OTHERS.contains(&name.as_str()))
        .collect();
    kept.sort();
    kept
}

#[tokio::test]
async fn a_ticket_answers_as_its_link_would_but_is_not_kept() {
    let app = start().await;
    let claims = "disposition=attachment&filename=b.txt&content_type=text/plain";
    let plain = app.link("file_big", claims).await;
    let counted = app
        .link("file_big", &format!("max_downloads=9&{claims}"))
        .await;
    let ticket = started(&app, &counted, "192.0.2.1").await;
    let etag = app
        .client
        .get(&plain, &[])
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    for headers in [
        vec![],
        vec![("Range", "bytes=7-11")],
        vec![("If-None-Match", etag.as_str())],
        vec![("Origin", "https://app.example.com")],
        vec![("Want-Repr-Digest", "sha-256=9")],
    ] {
        for method in ["GET", "HEAD"] {
            let theirs = app.client.request(method, &plain, &headers, b"").await;
            let ours = app.client.request(method, &ticket, &headers, b"").await;
            assert_eq!(ours.status, theirs.status, "{method} {headers:?}");
            assert_eq!(kept(&ours), kept(&theirs), "{method} {headers:?}");
            assert_eq!(ours.body, theirs.body, "{method} {headers:?}");
            assert_eq!(ours.header("cache-control"), Some("private, no-store"));
            assert_eq!(ours.header("set-cookie"), None);
            assert_eq!(ours.header("referrer-policy"), Some("no-referrer"));
            assert!(ours.header("x-robots-tag").is_some());
        }
    }
    let parts = app
        .client
        .get(&ticket, &[("Range", "bytes=0-1,9-10")])
        .await;
    assert_eq!(parts.status, 206);
    assert!(
        parts
            .header("content-type")
            .unwrap()
            .starts_with("multipart/byteranges")
    );
}

#[tokio::test]
async fn counted_bytes_are_streamed_wherever_others_are_handed_over() {
    // A proxy has no bytes that a store keeps.
    if crate::support::store::Store::running().is_some() {
        return;
    }
    for mode in ["x-accel-redirect", "x-sendfile"] {
        let app = start_with(&[("handover.mode", mode)]).await;
        let plain = app.client.get(&app.link("file_big", "").await, &[]).await;
        let names = ["x-accel-redirect", "x-sendfile"];
        assert!(names.iter().any(|name| plain.header(name).is_some()));
        let link = app.link("file_big", "max_downloads=1").await;
        let ticket = started(&app, &link, "192.0.2.1").await;
        let reply = app.client.get(&ticket, &[]).await;
        assert_eq!((reply.status, &reply.body), (200, &bytes()));
        assert_eq!(
            reply
                .header("x-accel-redirect")
                .or(reply.header("x-sendfile")),
            None
        );
        assert_eq!(after_bytes(&app, &link, SIZE).await, (1, 0));
    }
}

/// An operator may have downloads counted when they are started: then others may send the bytes.
#[tokio::test]
async fn what_is_counted_at_its_start_is_handed_over() {
    if crate::support::store::Store::running().is_some() {
        return;
    }
    for mode in ["x-accel-redirect", "x-sendfile", "stream"] {
        let settings = [
            ("handover.mode", mode),
            ("handover.counted", "at-start"),
            ("verify.header", "X-Original-URI"),
        ];
        let app = start_with(&settings).await;
        let link = app.link("file_big", "max_downloads=2").await;
        let verified = async |sent: &str| {
            let asked = [("X-Original-URI", sent)];
            app.client.get("/verify", &asked).await
        };
        assert_eq!(verified(&link).await.status, 401, "it opens nothing itself");
        let ticket = started(&app, &link, "192.0.2.1").await;
        let found = super::counted(&app, &link).await.unwrap();
        assert_eq!((found.done, found.open), (1, 0));
        let passed = verified(&ticket).await;
        assert_eq!(passed.status, 204);
        assert_eq!(passed.header("x-hallpass-file"), Some("file_big"));
        let id = super::id_of(&link).to_string();
        assert_eq!(passed.header("x-hallpass-link-id"), Some(id.as_str()));
        let reply = app.client.get(&ticket, &[]).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("cache-control"), Some("private, no-store"));
        let is_named = reply.header(mode).is_some();
        assert_eq!(
            (is_named, reply.body.is_empty()),
            (mode != "stream", mode != "stream")
        );
        // The same client goes on, and another one has the second.
        assert_eq!(started(&app, &link, "192.0.2.1").await, ticket);
        started(&app, &link, "192.0.2.2").await;
        let none = super::post(&app, &link, "192.0.2.3").await;
        none.refused(410, "DOWNLOADS_EXHAUSTED");
        super::at_second(&app, 600).await;
        assert_eq!(
            verified(&ticket).await.status,
            401,
            "its ten minutes are over"
        );
        app.client.get(&ticket, &[]).await.is_dead_link();
    }
}

/// By `Accept`, as for any refusal of a link.
#[tokio::test]
async fn whoever_asks_for_a_page_is_shown_one_where_none_is_left() {
    let app = start_with(&[("server.http2", "on")]).await;
    let link = app.link("file_big", "max_downloads=1").await;
    let place = started(&app, &link, "192.0.2.1").await;
    let mut http2 = Http2::plain(app.client.0).await;
    let [client, agent] = from("192.0.2.2");
    for (accept, kind) in [
        ("text/html,*/*;q=0.8", "text/html; charset=utf-8"),
        ("*/*", "application/json"),
    ] {
        let headers = [client, agent, ("Accept", accept)];
        for held in [
            app.client.request("POST", &link, &headers, b"").await,
            http2.request("POST", &link, &headers, b"").await.unwrap(),
        ] {
            assert_eq!(held.status, 409);
            assert_eq!(held.header("content-type"), Some(kind));
            assert_eq!(held.header("retry-after"), Some("900"));
            assert_eq!(held.header("cache-control"), Some("no-store"));
            assert_eq!(held.header("set-cookie"), None);
            let vary = held.header("vary").unwrap();
            assert!(vary.contains("Accept"), "{vary}");
            let text = String::from_utf8(held.body).unwrap();
            let is_page =
                text.contains("This file is being downloaded") && text.contains("big file.bin");
            assert_eq!(is_page, kind.starts_with("text/html"), "{text}");
        }
    }
    app.client.get(&place, &[]).await;
    after_bytes(&app, &link, SIZE).await;
    let html = [client, agent, ("Accept", "text/html")];
    let used = app.client.request("POST", &link, &html, b"").await;
    assert_eq!((used.status, used.header("retry-after")), (410, None));
    let text = String::from_utf8(used.body).unwrap();
    assert!(text.contains("It was for 1 download."), "{text}");
    assert!(!text.contains("big file.bin"), "{text}");
}

#[tokio::test]
async fn scripts_of_other_origins_may_start_a_download_and_read_it() {
    let app = start().await;
    let link = app.link("file_big", "max_downloads=1").await;
    let preflight = [
        ("Origin", "https://app.example.com"),
        ("Access-Control-Request-Method", "POST"),
    ];
    let reply = app.client.request("OPTIONS", &link, &preflight, b"").await;
    assert_eq!(
        reply.header("access-control-allow-methods"),
        Some("GET, HEAD, POST")
    );
    let origin = [("Origin", "https://app.example.com")];
    let reply = app.client.request("POST", &link, &origin, b"").await;
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let place = ticket(&reply);
    let reply = app.client.request("OPTIONS", &place, &preflight, b"").await;
    assert_eq!(
        reply.header("access-control-allow-methods"),
        Some("GET, HEAD")
    );
    let reply = app.client.get(&place, &origin).await;
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
}

/// A proxy strips the path of `public_base_url`, or leaves it.
#[tokio::test]
async fn a_client_is_sent_on_below_the_mount() {
    let base = ("server.public_base_url", "https://files.example.com/base");
    let app = start_with(&[base]).await;
    let link = app.link("file_big", "max_downloads=1").await;
    assert!(link.starts_with("/base/v1/"), "{link}");
    let page = app.client.get(&link, &[("Accept", "text/html")]).await;
    let cookie = page.header("set-cookie").unwrap();
    assert!(cookie.contains("; Path=/base/v1/organizations/org_123/files/file_big/redeem; "));
    assert!(cookie.ends_with("; Secure"), "{cookie}");
    let stripped = link.strip_prefix("/base").unwrap();
    let place = started(&app, stripped, "192.0.2.1").await;
    assert!(place.starts_with("/base/v1/organizations/"), "{place}");
    assert_eq!(started(&app, &link, "192.0.2.1").await, place);
    assert_eq!(app.client.get(&place, &[]).await.status, 200);
}

#[tokio::test]
async fn every_transport_starts_a_download_and_takes_it() {
    let pair = Pair::new();
    let own = [
        ("server.trusted_proxies", "127.0.0.1"),
        ("server.http2", "on"),
    ];
    let (app, tls) = pair.app(&own).await;
    app.add("file_big", "big.bin", &bytes()).await;
    let link = app.link("file_big", "max_downloads=3").await;

    let plain = Http2::plain(app.client.0).await;
    let over_tls = pair.connect(tls, &["h2"]).await.unwrap();
    for (mut client, address) in [
        (plain, "192.0.2.1"),
        (Http2::over(over_tls).await, "192.0.2.2"),
    ] {
        let headers = from(address);
        let reply = client
            .request("POST", &link, &headers, b"a=b")
            .await
            .unwrap();
        let place = ticket_h2(&reply);
        let head = client.request("HEAD", &place, &[], b"").await.unwrap();
        assert_eq!((head.status, head.body.len()), (200, 0));
        let reply = client.get(&place, &[]).await;
        assert_eq!((reply.status, reply.body), (200, bytes()));
        let reply = client.request("POST", &place, &[], b"").await.unwrap();
        assert_eq!(reply.status, 405);
    }
    assert_eq!(after_bytes(&app, &link, 2 * SIZE).await, (2, 0));

    let stream = pair.connect(tls, &["http/1.1"]).await.unwrap();
    let head = format!("POST {link} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let answer = crate::support::client::exchange_over(stream, head.as_bytes(), false).await;
    let place = ticket(&crate::support::client::parse(&answer, false));
    let stream = pair.connect(tls, &["http/1.1"]).await.unwrap();
    let head = format!("GET {place} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let answer = crate::support::client::exchange_over(stream, head.as_bytes(), false).await;
    assert_eq!(crate::support::client::parse(&answer, false).body, bytes());
    assert_eq!(after_bytes(&app, &link, 3 * SIZE).await, (3, 0));
}

#[track_caller]
fn ticket_h2(reply: &Reply) -> String {
    assert_eq!(reply.status, 303);
    reply.header("location").unwrap().to_owned()
}

/// What is counted goes on while it is sent: a link that is revoked meanwhile ends it.
#[tokio::test]
async fn a_revoked_link_ends_the_bytes_that_are_on_their_way() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let app = start_with(&[("links.recheck_interval", "1")]).await;
    app.add("file_large", "large.bin", &vec![7; 24_000_000])
        .await;
    let link = app.link("file_large", "max_downloads=1").await;
    let place = started(&app, &link, "192.0.2.1").await;
    let mut stream = tokio::net::TcpStream::connect(app.client.0).await.unwrap();
    let head = format!("GET {place} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.peek(&mut [0]).await.unwrap();
    app.revoke_links_of("file_large").await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let mut rest = Vec::new();
    let read = tokio::time::timeout(super::PATIENCE, stream.read_to_end(&mut rest));
    let _ = read.await.expect("an end in time");
    assert!(rest.len() < 24_000_000, "{}", rest.len());
}
