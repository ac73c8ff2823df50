//! Downloads at once.

use super::*;
use crate::transport::Http2;

/// A gateway with a large file.
async fn large(settings: &[(&'static str, &str)]) -> (TestApp, String) {
    let app = start(settings).await;
    app.add("large", "large.bin", &bytes(LARGE_BYTES)).await;
    let link = quiet_link(&app, "large").await;
    (app, link)
}

async fn status(app: &TestApp, link: &str) -> u16 {
    begun(app, link, "").await.0
}

/// Takes some bytes, as a client has to: one that takes none for 30 seconds is ended, and a busy machine needs as long
/// for what else is asked here.
async fn take_some(stream: &mut TcpStream, came: &mut Vec<u8>) {
    let mut some = vec![0; 16 * 1024];
    stream.read_exact(&mut some).await.unwrap();
    came.extend_from_slice(&some);
}

#[tokio::test]
async fn one_download_more_is_refused_until_one_is_over_or_breaks_off() {
    let (app, link) = large(&[("limits.link_downloads", "2")]).await;
    let (_, first) = begun(&app, &link, "").await;
    let (_, mut second) = begun(&app, &link, "").await;
    let mut came = Vec::new();
    let refused = app.client.get(&link, &[]).await;
    refused.refused(429, "RATE_LIMITED");
    assert_eq!(retry_after(&refused), 1);
    take_some(&mut second, &mut came).await;
    // Another link of the same file has places of its own, and what sends nothing needs none.
    let other = app.link("large", "disposition=attachment").await;
    assert_eq!(status(&app, &other).await, 200);
    let head = app.client.request("HEAD", &link, &[], b"").await;
    assert_eq!(head.status, 200);
    take_some(&mut second, &mut came).await;

    drop(first);
    let again = async || {
        take_some(&mut second, &mut came).await;
        status(&app, &link).await
    };
    let_through("after one broke off", again).await;
    let mut rest = vec![0; LARGE_BYTES - came.len()];
    second.read_exact(&mut rest).await.unwrap();
    came.append(&mut rest);
    assert!(came == bytes(LARGE_BYTES));
    let_through("after one was over", async || status(&app, &link).await).await;
    // The connection of the one that is over is still open, and may ask again.
    let request = format!("GET {link} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-2\r\n\r\n");
    second.write_all(request.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    second.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 206");
}

#[tokio::test]
async fn what_sends_no_bytes_takes_no_place_for_longer_than_its_moment() {
    let settings = [
        ("limits.link_downloads", "1"),
        ("limits.address_downloads", "1"),
        ("limits.organization_downloads", "1"),
    ];
    let (app, link) = large(&settings).await;
    let small = quiet_link(&app, "file_abc123").await;
    for link in [&link, &small] {
        let head = app.client.request("HEAD", link, &[], b"").await;
        let tag = head.header("etag").unwrap();
        for (headers, status) in [
            (("If-None-Match", tag), 304),
            (("If-Match", "\"x\""), 412),
            (("Range", "bytes=99999999-"), 416),
            (("Range", "bytes=1-2"), 206),
            (("Range", "bytes=1-2,5-6"), 206),
        ] {
            for _ in 0..3 {
                let reply = app.client.get(link, &[headers]).await;
                assert_eq!(reply.status, status, "{headers:?}");
            }
        }
    }
}

/// As aria2c does: one file, four connections, a range each.
#[tokio::test]
async fn each_range_of_one_download_takes_a_place() {
    let (app, link) = large(&[("limits.address_downloads", "2")]).await;
    let part = LARGE_BYTES / 4;
    let range = |n: usize| format!("bytes={}-{}", n * part, (n + 1) * part - 1);
    let mut streams = Vec::new();
    for n in 0..4 {
        streams.push(begun(&app, &link, &format!("Range: {}\r\n", range(n))).await);
    }
    let statuses: Vec<u16> = streams.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [206, 206, 429, 429]);
    let whole = bytes(LARGE_BYTES);
    for (n, (_, stream)) in streams.iter_mut().enumerate().take(2) {
        let mut got = vec![0; part];
        stream.read_exact(&mut got).await.unwrap();
        assert!(got == whole[n * part..(n + 1) * part]);
    }
    // Who tries again gets the rest.
    for n in 2..4 {
        let mut got = Vec::new();
        let_through("the rest", async || {
            let reply = app.client.get(&link, &[("Range", &range(n))]).await;
            got = reply.body;
            reply.status
        })
        .await;
        assert!(got == whole[n * part..(n + 1) * part]);
    }
}

#[tokio::test]
async fn an_organization_s_places_are_for_all_of_its_links() {
    let (app, link) = large(&[("limits.organization_downloads", "1")]).await;
    let (_, first) = begun(&app, &link, "").await;
    let small = quiet_link(&app, "file_abc123").await;
    retry_after(&app.client.get(&small, &[]).await);
    app.put(
        crate::support::app::new_file("org_abc123", "theirs", "a.txt"),
        b"theirs",
    )
    .await;
    let mint = "/v1/organizations/org_abc123/files/theirs/content";
    let minted = app.client.get(mint, &[("X-API-Key", "k2")]).await.json();
    let theirs = crate::support::app::target(minted["download_url"].as_str().unwrap());
    assert_eq!(app.client.get(&theirs, &[]).await.body, b"theirs");
    drop(first);
    let small = async || app.client.get(&small, &[]).await.status;
    let_through("another link", small).await;
}

/// Of an answer that the client does not take, all but the first bytes are with the HTTP library: it is a
/// download as long as they are.
#[tokio::test]
async fn a_place_is_kept_until_the_client_has_taken_all() {
    let settings = [("limits.link_downloads", "1"), ("server.http2", "on")];
    for size in [14_000, 100_000] {
        let app = start(&settings).await;
        let whole = bytes(size);
        app.add("f", "f.bin", &whole).await;
        let link = quiet_link(&app, "f").await;
        // Twice: once from disk, and once from what is kept in memory of small files.
        for turn in ["first", "second"] {
            let stream = TcpStream::connect(app.client.0).await.unwrap();
            let mut builder = h2::client::Builder::new();
            builder.initial_window_size(1_000);
            let (send, connection) = builder
                .handshake::<_, ::bytes::Bytes>(stream)
                .await
                .unwrap();
            let connection = tokio::spawn(connection);
            let mut send = send.ready().await.unwrap();
            let request = http::Request::get(format!("https://x{link}"));
            let sent = send.send_request(request.body(()).unwrap(), true);
            let answer = sent.unwrap().0.await.unwrap();
            assert_eq!(answer.status(), 200);
            let mut body = answer.into_body();
            let mut got = body.data().await.unwrap().unwrap().to_vec();
            tokio::time::sleep(Duration::from_millis(200)).await;
            let refused = app.client.get(&link, &[]).await;
            refused.refused(429, "RATE_LIMITED");
            let mut taken = got.len();
            loop {
                body.flow_control().release_capacity(taken).unwrap();
                let Some(more) = body.data().await else { break };
                let more = more.unwrap();
                taken = more.len();
                got.extend_from_slice(&more);
            }
            assert!(got == whole, "{turn} of {size}: {} bytes", got.len());
            let one = async || app.client.get(&link, &[]).await.status;
            let_through("after all was taken", one).await;
            connection.abort();
        }
    }
}

#[tokio::test]
async fn a_stream_of_http2_that_is_reset_gives_its_place_back() {
    let settings = [("limits.link_downloads", "2"), ("server.http2", "on")];
    let (app, link) = large(&settings).await;
    let stream = TcpStream::connect(app.client.0).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut send = send.ready().await.unwrap();
    let mut begin = async || {
        let request = http::Request::get(format!("https://x{link}"));
        let sent = send.send_request(request.body(()).unwrap(), true);
        sent.unwrap().0.await.unwrap()
    };
    let first = begin().await;
    let second = begin().await;
    assert_eq!(first.status(), 200);
    assert_eq!(second.status(), 200);
    let refused = begin().await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    drop(first);
    let_through("after a reset", async || begin().await.status().as_u16()).await;
    connection.abort();
    drop(second);
    let one = async || {
        let mut http2 = Http2::plain(app.client.0).await;
        let head = http2.get(&link, &[("Range", "bytes=0-9")]).await;
        head.status
    };
    let_through("after the connection was gone", one).await;
}
