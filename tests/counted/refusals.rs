//! What neither starts a download nor gives bytes of one: bad input, and whatever ended.

use std::time::{Duration, Instant};

use super::{
    PATIENCE, SIZE, after_bytes, counted, forget, from, post, range, start, start_with, started,
};
use crate::support::app::T0;
use crate::support::postgres::Server;

#[tokio::test]
async fn other_spellings_of_a_link_are_dead() {
    let app = start().await;
    let link = app.link("file_big", "max_downloads=1").await;
    let plain = app.link("file_big", "").await;
    let with = |to: &str| link.replace("max-downloads=1", to);
    let mut bad: Vec<String> = [
        "",
        "max-downloads=0",
        "max-downloads=01",
        "max-downloads=1e3",
        "max-downloads=1000001",
        "max-downloads=2",
        "max-downloads=1&max-downloads=1",
        "max-downloads=1&redeem=GET",
        "max-downloads=1&redeem=get",
    ]
    .map(with)
    .into();
    bad.push(plain.replace("/download?", "/redeem?"));
    bad.push(link.replace("file_big", "file_def456"));
    bad.push(link.replace("org_123", "org_abc123"));
    bad.push(link.replace("/redeem?", "/download?"));
    for link in &bad {
        for method in ["GET", "POST"] {
            let reply = app
                .client
                .request(method, link, &from("192.0.2.1"), b"")
                .await;
            match link.contains("/download?") && method == "POST" {
                true => drop(reply.refused(405, "METHOD_NOT_ALLOWED")),
                false => reply.is_dead_link(),
            }
        }
    }
    assert_eq!(counted(&app, &link).await, None);
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let app = start().await;
    let link = app.link("file_big", "max_downloads=1").await;
    for method in ["PUT", "PATCH", "DELETE"] {
        let reply = app.client.request(method, &link, &[], b"").await;
        reply.refused(405, "METHOD_NOT_ALLOWED");
        assert_eq!(reply.header("allow"), Some("GET, HEAD, POST, OPTIONS"));
    }
    let ticket = started(&app, &link, "192.0.2.1").await;
    for method in ["POST", "PUT", "DELETE"] {
        let reply = app.client.request(method, &ticket, &[], b"").await;
        reply.refused(405, "METHOD_NOT_ALLOWED");
        assert_eq!(reply.header("allow"), Some("GET, HEAD, OPTIONS"));
    }
}

#[tokio::test]
async fn a_body_may_be_any_form_of_four_kilobytes() {
    let app = start().await;
    let link = app.link("file_big", "max_downloads=1").await;
    let long = vec![b'a'; 4_097];
    let reply = app
        .client
        .request("POST", &link, &from("192.0.2.1"), &long)
        .await;
    reply.refused(413, "PAYLOAD_TOO_LARGE");
    let chunked = format!(
        "POST {link} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1001\r\n{}\r\n0\r\n\r\n",
        "a".repeat(4_097)
    );
    let reply = app.client.send(chunked.as_bytes(), false).await;
    reply.refused(413, "PAYLOAD_TOO_LARGE");
    // One that breaks off starts nothing.
    let cut = format!("POST {link} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
    app.client.exchange(cut.as_bytes(), true).await;
    assert_eq!(counted(&app, &link).await, None);
    let reply = app
        .client
        .request("POST", &link, &from("192.0.2.1"), &long[..4_096])
        .await;
    assert_eq!(reply.status, 303);
}

#[tokio::test]
async fn other_spellings_of_a_ticket_are_dead() {
    let app = start().await;
    let link = app.link("file_big", "max_downloads=1").await;
    let good = started(&app, &link, "192.0.2.1").await;
    let segment = good.split('/').nth(5).unwrap().to_owned();
    let parts: Vec<&str> = segment.split('.').collect();
    let [kid, expires, rid, mac] = parts[..] else {
        panic!("{segment}")
    };
    let flipped = match mac.strip_prefix('A') {
        Some(rest) => format!("B{rest}"),
        None => format!("A{}", &mac[1..]),
    };
    for bad in [
        format!("{kid}.{expires}.{}.{mac}", &rid[1..]),
        format!("{kid}.{expires}.{rid}0.{mac}"),
        format!("{kid}.{}.{rid}.{mac}", T0 + 3_601),
        format!("{kid}.{expires}.{rid}.{flipped}"),
        format!("{kid}.{expires}.{rid}"),
        format!("{segment}.x"),
        segment.to_uppercase(),
        segment.replace('.', "%2e"),
    ] {
        app.client
            .get(&good.replace(&segment, &bad), &[])
            .await
            .is_dead_link();
    }
    app.client
        .get(&good.replace("org_123", "org_abc123"), &[])
        .await
        .is_dead_link();
    let cut = good.rfind('/').unwrap();
    app.client.get(&good[..=cut], &[]).await.is_dead_link();
    // A ticket is no link, and has no claims.
    let reply = app
        .client
        .get(&format!("{good}?token={kid}.{mac}&expires={expires}"), &[])
        .await;
    assert_eq!(reply.status, 200);
    assert_eq!(after_bytes(&app, &link, SIZE).await, (1, 0));
}

#[tokio::test]
async fn a_name_at_the_end_changes_nothing() {
    let app = start().await;
    let link = app.link("file_def456", "max_downloads=1").await;
    let good = started(&app, &link, "192.0.2.1").await;
    let base = &good[..=good.rfind('/').unwrap()];
    let usual = app.client.request("HEAD", &good, &[], b"").await;
    let kept = |reply: &crate::support::client::Reply| {
        let own = |name: &str| name != "x-request-id" && name != "date";
        let headers = reply
            .headers
            .iter()
            .filter(|(name, _)| own(&name.to_lowercase()));
        headers.cloned().collect::<Vec<_>>()
    };
    for name in ["x", &"n".repeat(1_024), "a%2fb", "%E2%80%AEgnp.exe", "..;x"] {
        let reply = app
            .client
            .request("HEAD", &format!("{base}{name}"), &[], b"")
            .await;
        assert_eq!((reply.status, kept(&reply)), (200, kept(&usual)), "{name}");
    }
    let reply = app.client.get(&format!("{base}a/b"), &[]).await;
    assert_eq!(reply.status, 404);
}

#[tokio::test]
async fn whatever_ends_a_link_ends_its_tickets_within_a_second() {
    let app = start().await;
    let admin = hallpass::model::key::Scopes::ALL;
    app.api_key("org_123", "admin-key-1", admin).await;
    let key = [
        ("X-API-Key", "admin-key-1"),
        ("Content-Type", "application/json"),
    ];
    let started_link = async || {
        let link = app.link("file_big", "max_downloads=1").await;
        let ticket = started(&app, &link, "192.0.2.1").await;
        assert_eq!(range(&app, &ticket, "0-0").await.status, 206);
        (link, ticket)
    };
    let (link, by_id) = started_link().await;
    let body = format!("{{\"link_id\":\"{}\"}}", super::id_of(&link));
    let path = "/v1/organizations/org_123/links/revoke";
    let reply = app
        .client
        .request("POST", path, &key, body.as_bytes())
        .await;
    assert_eq!(
        reply.status,
        200,
        "{}",
        String::from_utf8_lossy(&reply.body)
    );
    range(&app, &by_id, "0-0").await.is_dead_link();
    post(&app, &link, "192.0.2.2").await.is_dead_link();

    let (_, by_file) = started_link().await;
    app.revoke_links_of("file_big").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    range(&app, &by_file, "0-0").await.is_dead_link();

    let (_, by_organization) = started_link().await;
    let path = "/v1/organizations/org_123/revoke";
    let reply = app.client.request("POST", path, &key, b"").await;
    assert_eq!(
        reply.status,
        200,
        "{}",
        String::from_utf8_lossy(&reply.body)
    );
    range(&app, &by_organization, "0-0").await.is_dead_link();

    let (link, of_deleted) = started_link().await;
    let path = "/v1/organizations/org_123/files/file_big";
    let reply = app
        .client
        .request("DELETE", path, &[("X-API-Key", "k1")], b"")
        .await;
    assert_eq!(reply.status, 204);
    range(&app, &of_deleted, "0-0")
        .await
        .refused(404, "FILE_NOT_FOUND");
    post(&app, &link, "192.0.2.2")
        .await
        .refused(404, "FILE_NOT_FOUND");
}

#[tokio::test]
async fn a_link_for_one_address_opens_its_ticket_for_that_alone() {
    let app = start().await;
    let link = app
        .link("file_big", "max_downloads=1&ip=192.0.2.0/24")
        .await;
    post(&app, &link, "198.51.100.1").await.is_dead_link();
    let ticket = started(&app, &link, "192.0.2.1").await;
    for (client, status) in [("192.0.2.9", 206), ("198.51.100.1", 401)] {
        let headers = [("X-Forwarded-For", client), ("Range", "bytes=0-0")];
        assert_eq!(app.client.get(&ticket, &headers).await.status, status);
    }
}

#[tokio::test]
async fn thirty_starts_a_minute_are_as_many_as_one_network_may_ask_for() {
    let app = start().await;
    let link = app.link("file_big", "max_downloads=1").await;
    started(&app, &link, "2001:db8::1").await;
    for number in 0..29 {
        let client = format!("2001:db8::2:{number}");
        assert_eq!(
            post(&app, &link, &client).await.status,
            303,
            "the same network"
        );
    }
    let reply = post(&app, &link, "2001:db8::3").await;
    reply.refused(429, "RATE_LIMITED");
    post(&app, &link, "2001:db8:0:1::1")
        .await
        .refused(409, "DOWNLOAD_IN_PROGRESS");
}

#[tokio::test]
async fn a_proxy_is_told_that_neither_opens() {
    let app = start_with(&[("verify.header", "X-Original-URI")]).await;
    let link = app.link("file_big", "max_downloads=1").await;
    let ticket = started(&app, &link, "192.0.2.1").await;
    for sent in [&link, &ticket] {
        let reply = app.client.get("/verify", &[("X-Original-URI", sent)]).await;
        assert_eq!(reply.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_catalogue_nothing_is_given_and_nothing_is_forgotten() {
    let server = Server::start("");
    let url = server.database("away");
    let app = start_with(&[("catalog.url", &url)]).await;
    let link = app.link("file_big", "max_downloads=2").await;
    let mine = started(&app, &link, "192.0.2.1").await;
    assert_eq!(range(&app, &mine, "0-9").await.status, 206);
    server.stop_at_once();
    forget().await;
    for reply in [
        post(&app, &link, "192.0.2.2").await,
        range(&app, &mine, "0-9").await,
        app.client.request("HEAD", &mine, &[], b"").await,
    ] {
        assert_eq!(reply.status, 503);
        assert!(reply.header("retry-after").is_some());
    }
    server.start_again();
    let begun = Instant::now();
    loop {
        let reply = range(&app, &mine, "10-").await;
        if reply.status == 206 {
            break;
        }
        assert_eq!(reply.status, 503);
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Whatever was sent before is counted, too, once the catalogue is back: all of it is one download.
    let all = "SELECT concat(sum(bytes), ' ', sum(done), ' ', sum(open)) FROM allowance";
    let expected = format!("{SIZE} 1 0");
    let mut found = String::new();
    while found != expected {
        assert!(begun.elapsed() < PATIENCE, "{found}");
        let _ = app.gateway.flush_sent().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        found = server.sql("away", all).trim().to_owned();
    }
    assert_eq!(post(&app, &link, "192.0.2.3").await.status, 303);
}
