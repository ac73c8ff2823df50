//! The table of events: what each of them spends.

use hallpass::config::keyring_file;
use hallpass::model::time::UnixSeconds;
use hallpass::server::installation::drawn_key;

use super::{
    SIZE, after_bytes, at_second, bytes, counted, forget, from, post, range, start, started, ticket,
};

const HTML: (&str, &str) = ("Accept", "text/html,*/*;q=0.8");

#[tokio::test]
async fn looking_at_a_link_spends_nothing_whoever_looks() {
    let app = start().await;
    let link = app.link("file_big", "max_downloads=1").await;
    let whole: Vec<(&str, &str)> = vec![("Range", "bytes=0-")];
    for headers in [
        vec![],
        whole,
        vec![("Sec-Purpose", "prefetch")],
        vec![("User-Agent", "Slackbot-LinkExpanding 1.0")],
        vec![("User-Agent", "TelegramBot (like TwitterBot)")],
        vec![("User-Agent", "Mozilla/5.0 (compatible; Discordbot/2.0)")],
        vec![("If-None-Match", "*"), ("Accept", "*/*")],
    ] {
        for method in ["GET", "HEAD"] {
            let reply = app.client.request(method, &link, &headers, b"").await;
            assert_eq!(reply.status, 403, "{method} {headers:?}");
            if method == "GET" {
                reply.refused(403, "DOWNLOAD_NOT_STARTED");
            }
        }
    }
    let page = app.client.get(&link, &[HTML]).await;
    assert_eq!(page.status, 200);
    let text = String::from_utf8(page.body.clone()).unwrap();
    assert!(text.contains("<form method=\"post\">") && text.contains("big file.bin"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("form-action 'self'")
    );
    let head = app.client.request("HEAD", &link, &[HTML], b"").await;
    assert_eq!(head.status, 403);
    let options = app.client.request("OPTIONS", &link, &[], b"").await;
    assert_eq!(options.status, 204);
    assert_eq!(options.header("allow"), Some("GET, HEAD, POST, OPTIONS"));
    assert_eq!(counted(&app, &link).await, None);
    assert!(text.contains("1 of 1"), "{text}");
    assert_eq!(post(&app, &link, "192.0.2.1").await.status, 303);
    // Whoever started it goes on by the same button.
    let page = app.client.get(&link, &[HTML]).await;
    let text = String::from_utf8(page.body).unwrap();
    assert!(
        text.contains("0 of 1") && text.contains("<form method=\"post\">"),
        "{text}"
    );
}

#[tokio::test]
async fn a_post_spends_one_before_the_first_byte_and_is_sent_on_to_its_ticket() {
    let app = start().await;
    let link = app.link("file_big", "max_downloads=2").await;
    let reply = post(&app, &link, "192.0.2.1").await;
    let place = ticket(&reply);
    assert!(
        place.starts_with("/v1/organizations/org_123/tickets/"),
        "{place}"
    );
    assert!(place.ends_with("/big%20file.bin"), "{place}");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("set-cookie"), None);
    let json = reply.json();
    assert_eq!(json["downloads_left"], 1);
    // The link ends before a day is over.
    assert_eq!(json["expires"], crate::support::app::T0 + 3_600);
    assert_eq!(json.as_object().unwrap().len(), 3);
    let found = counted(&app, &link).await.unwrap();
    assert_eq!((found.allowed, found.done, found.open), (2, 0, 1));

    let second = post(&app, &link, "192.0.2.2").await;
    assert_eq!(second.json()["downloads_left"], 0);
    assert_ne!(ticket(&second), place);
    let third = post(&app, &link, "192.0.2.3").await;
    third.refused(409, "DOWNLOAD_IN_PROGRESS");
    assert_eq!(third.header("retry-after"), Some("900"));

    let whole = app.client.get(&place, &[]).await;
    assert_eq!((whole.status, whole.body), (200, bytes()));
    assert_eq!(after_bytes(&app, &link, SIZE).await, (1, 1));
    app.client.get(&ticket(&second), &[]).await;
    assert_eq!(after_bytes(&app, &link, 2 * SIZE).await, (2, 0));
    let third = post(&app, &link, "192.0.2.3").await;
    let error = third.refused(410, "DOWNLOADS_EXHAUSTED");
    assert_eq!(error["message"], "This link has been used.");
}

#[tokio::test]
async fn the_same_client_has_the_same_ticket_while_it_lives() {
    let app = start().await;
    let link = app.link("file_big", "max_downloads=1").await;
    let first = started(&app, &link, "192.0.2.1").await;
    assert_eq!(started(&app, &link, "192.0.2.1").await, first);
    // One address, two programs: two clients, as behind one NAT.
    let other = [("X-Forwarded-For", "192.0.2.1"), ("User-Agent", "another")];
    let reply = app.client.request("POST", &link, &other, b"").await;
    reply.refused(409, "DOWNLOAD_IN_PROGRESS");
    app.client.get(&first, &[]).await;
    after_bytes(&app, &link, SIZE).await;
    at_second(&app, 599).await;
    assert_eq!(started(&app, &link, "192.0.2.1").await, first);
    assert_eq!(range(&app, &first, "0-9").await.status, 206);
    at_second(&app, 601).await;
    post(&app, &link, "192.0.2.1")
        .await
        .refused(410, "DOWNLOADS_EXHAUSTED");
    app.client.get(&first, &[]).await.is_dead_link();
}

/// The link is good, signed with the key before. Only the ticket's own key is retired.
#[tokio::test]
async fn the_same_client_has_a_new_ticket_where_the_old_one_s_key_was_retired() {
    let app = start().await;
    let link = app.link("file_big", "max_downloads=1").await;
    let rotate = || {
        let (kid, secret) = drawn_key().unwrap();
        let now = UnixSeconds::new(crate::support::app::T0).unwrap();
        let known = keyring_file::parse(&keyring_file::render(&app.gateway.keyring())).unwrap();
        let made = keyring_file::generate(Some(known), kid.clone(), secret, now).unwrap();
        app.gateway
            .replace_keyring(keyring_file::rotate(made, &kid).unwrap());
        kid
    };
    let of_ticket = rotate();
    let first = started(&app, &link, "192.0.2.1").await;
    assert_eq!(range(&app, &first, "0-99999").await.status, 206);
    rotate();
    assert_eq!(started(&app, &link, "192.0.2.1").await, first, "it is good");
    let known = keyring_file::parse(&keyring_file::render(&app.gateway.keyring())).unwrap();
    app.gateway
        .replace_keyring(keyring_file::retire(known, &of_ticket).unwrap());
    app.client.get(&first, &[]).await.is_dead_link();
    let second = started(&app, &link, "192.0.2.1").await;
    assert_ne!(second, first);
    assert_eq!(range(&app, &second, "100000-").await.status, 206);
    // It is the same download.
    assert_eq!(after_bytes(&app, &link, SIZE).await, (1, 0));
}

#[tokio::test]
async fn an_address_that_is_nobody_s_own_is_no_client() {
    let app = start().await;
    let link = app.link("file_big", "max_downloads=3").await;
    let agent = [("User-Agent", "tests")];
    // The peer is a trusted proxy that says nothing.
    let [one, two] = [
        app.client.request("POST", &link, &agent, b"").await,
        app.client.request("POST", &link, &agent, b"").await,
    ];
    assert_ne!(ticket(&one), ticket(&two));
}

#[tokio::test]
async fn a_page_s_cookie_names_its_client_wherever_that_comes_from() {
    let app = start().await;
    let link = app.link("file_big", "max_downloads=1").await;
    let page = app.client.get(&link, &[HTML]).await;
    let cookie = page.header("set-cookie").unwrap().to_owned();
    let (pair, rest) = cookie.split_once("; ").unwrap();
    assert_eq!(pair.len(), "hallpass-client=".len() + 22);
    assert_eq!(
        rest,
        "Path=/v1/organizations/org_123/files/file_big/redeem; HttpOnly; SameSite=Lax"
    );
    let again = app.client.get(&link, &[HTML, ("Cookie", pair)]).await;
    assert_eq!(again.header("set-cookie"), None);
    let by = async |client, agent| {
        let headers = [
            ("X-Forwarded-For", client),
            ("User-Agent", agent),
            ("Cookie", pair),
        ];
        app.client.request("POST", &link, &headers, b"a=b").await
    };
    let first = ticket(&by("192.0.2.1", "a").await);
    assert_eq!(ticket(&by("2001:db8::1", "b").await), first);
    post(&app, &link, "192.0.2.1")
        .await
        .refused(409, "DOWNLOAD_IN_PROGRESS");
}

#[tokio::test]
async fn what_has_no_bytes_of_the_file_spends_none() {
    let app = start().await;
    let link = app.link("file_big", "max_downloads=1").await;
    let ticket = started(&app, &link, "192.0.2.1").await;
    let head = app.client.request("HEAD", &ticket, &[], b"").await;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-length"), Some("300000"));
    let etag = head.header("etag").unwrap().to_owned();
    for (header, value, status) in [
        ("If-None-Match", etag.as_str(), 304),
        ("If-Match", "\"other\"", 412),
        ("Range", "bytes=300000-", 416),
    ] {
        let reply = app.client.get(&ticket, &[(header, value)]).await;
        assert_eq!(reply.status, status, "{header}");
    }
    let found = counted(&app, &link).await.unwrap();
    assert_eq!((found.done, found.open, found.bytes_sent), (0, 1, 0));
}

#[tokio::test]
async fn bytes_of_ranges_are_added_up() {
    let app = start().await;
    let link = app.link("file_big", "max_downloads=1").await;
    let ticket = started(&app, &link, "192.0.2.1").await;
    let first = range(&app, &ticket, "0-99999").await;
    assert_eq!((first.status, &first.body[..]), (206, &bytes()[..100_000]));
    assert_eq!(after_bytes(&app, &link, 100_000).await, (0, 1));
    range(&app, &ticket, "200000-").await;
    assert_eq!(after_bytes(&app, &link, 200_000).await, (0, 1));
    range(&app, &ticket, "100000-199998").await;
    assert_eq!(after_bytes(&app, &link, 299_999).await, (0, 1));
    range(&app, &ticket, "5-5").await;
    assert_eq!(after_bytes(&app, &link, 300_000).await, (1, 0));
    let found = counted(&app, &link).await.unwrap();
    app.gateway.flush_counts().await.unwrap();
    assert_eq!(found.allowed, 1);
    let counts = counted(&app, &link).await.unwrap();
    assert_eq!(counts.downloads, 4);
}

/// Nobody calls for the write: the end of the download does.
#[tokio::test]
async fn the_last_byte_is_written_at_once() {
    let app = start().await;
    let link = app.link("file_def456", "max_downloads=1").await;
    let ticket = started(&app, &link, "192.0.2.1").await;
    assert_eq!(app.client.get(&ticket, &[]).await.body, b"other bytes");
    let begun = std::time::Instant::now();
    loop {
        let reply = post(&app, &link, "192.0.2.9").await;
        if reply.status == 410 {
            break;
        }
        assert_eq!(reply.status, 409);
        assert!(begun.elapsed() < super::PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_file_of_no_bytes_is_done_at_once() {
    let app = start().await;
    app.add("file_empty", "empty.txt", b"").await;
    let link = app.link("file_empty", "max_downloads=1").await;
    let ticket = started(&app, &link, "192.0.2.1").await;
    let found = counted(&app, &link).await.unwrap();
    assert_eq!((found.done, found.open), (1, 0));
    let reply = app.client.get(&ticket, &[]).await;
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    post(&app, &link, "192.0.2.2")
        .await
        .refused(410, "DOWNLOADS_EXHAUSTED");
}

#[tokio::test]
async fn a_ticket_gives_three_files_and_a_little_more_and_then_dies() {
    let app = start().await;
    let link = app.link("file_big", "max_downloads=1").await;
    let ticket = started(&app, &link, "192.0.2.1").await;
    let most = 3 * SIZE + (1 << 20);
    let mut sent = 0;
    while sent + SIZE <= most {
        assert_eq!(app.client.get(&ticket, &[]).await.status, 200);
        sent += SIZE;
        after_bytes(&app, &link, sent).await;
        forget().await;
    }
    let reply = app.client.get(&ticket, &[]).await;
    reply.refused(429, "RATE_LIMITED");
    assert_eq!(reply.header("retry-after"), None, "it never gives so many");
    // Less is still within it, up to the last byte.
    let rest = most - sent;
    let reply = range(&app, &ticket, &format!("0-{}", rest - 1)).await;
    assert_eq!(reply.status, 206);
    after_bytes(&app, &link, most).await;
    range(&app, &ticket, "0-0")
        .await
        .refused(429, "RATE_LIMITED");
    assert_eq!(after_bytes(&app, &link, most).await, (1, 0));
}

/// None of them reads: all that they were promised is owed.
#[tokio::test]
async fn answers_under_way_count_with_all_that_they_owe() {
    use tokio::io::AsyncWriteExt as _;
    let app = start().await;
    let large = vec![7; 24_000_000];
    app.add("file_large", "large.bin", &large).await;
    let link = app.link("file_large", "max_downloads=1").await;
    let ticket = started(&app, &link, "192.0.2.1").await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = tokio::net::TcpStream::connect(app.client.0).await.unwrap();
        let head = format!("GET {ticket} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut one = [0];
        stream.peek(&mut one).await.unwrap();
        held.push(stream);
    }
    app.client
        .get(&ticket, &[])
        .await
        .refused(429, "RATE_LIMITED");
    assert_eq!(range(&app, &ticket, "0-999").await.status, 206);
    drop(held);
    let begun = std::time::Instant::now();
    while range(&app, &ticket, "0-1999999").await.status != 206 {
        assert!(begun.elapsed() < super::PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_link_between_machines_starts_by_get_but_not_ahead_of_time() {
    let app = start().await;
    let link = app.link("file_big", "max_downloads=1&redeem=get").await;
    for ahead in [
        ("Sec-Purpose", "prefetch;prerender"),
        ("Purpose", "prefetch"),
    ] {
        let reply = app.client.get(&link, &[ahead]).await;
        reply.refused(503, "SERVICE_UNAVAILABLE");
        assert!(reply.header("retry-after").is_some());
    }
    assert_eq!(
        app.client.request("HEAD", &link, &[], b"").await.status,
        403
    );
    assert_eq!(counted(&app, &link).await, None);
    let reply = app.client.get(&link, &from("192.0.2.1")).await;
    let first = ticket(&reply);
    assert_eq!(started(&app, &link, "192.0.2.1").await, first);
    let reply = app.client.get(&link, &from("192.0.2.2")).await;
    reply.refused(409, "DOWNLOAD_IN_PROGRESS");
}
