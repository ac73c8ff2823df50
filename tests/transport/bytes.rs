//! The same bytes and the same headers, whichever way they come.

use crate::support::client::{Reply, exchange_over, parse};

use super::{Http2, Pair};

const SIZE: usize = 700_000;

const RANGES: &[&str] = &[
    "",
    "bytes=0-0",
    "bytes=0-",
    "bytes=-1",
    "bytes=-700000",
    "bytes=16383-16384",
    "bytes=16384-32767",
    "bytes=131071-131072",
    "bytes=65535-400000",
    "bytes=699999-",
    "bytes=0-9,20-29",
    "bytes=500000-650000,0-299999,100-200",
    "bytes=700000-",
    "bytes=9-1",
    "lines=1-2",
];

/// What one way answered, without what differs from request to request and from HTTP/1 to HTTP/2.
fn comparable(reply: &Reply) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let boundary = reply
        .header("content-type")
        .and_then(|kind| kind.split_once("boundary="));
    let boundary = boundary
        .map_or("no boundary", |(_, boundary)| boundary)
        .to_owned();
    let mut headers: Vec<_> = reply
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.replace(&boundary, "B")))
        .filter(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id" | "connection"))
        .collect();
    headers.sort();
    let body = match reply
        .body
        .windows(boundary.len())
        .any(|part| part == boundary.as_bytes())
    {
        true => replaced(&reply.body, boundary.as_bytes()),
        false => reply.body.clone(),
    };
    if reply.status == 416 {
        // It names the request.
        return (416, headers, Vec::new());
    }
    (reply.status, headers, body)
}

fn replaced(body: &[u8], boundary: &[u8]) -> Vec<u8> {
    let (mut rest, mut replaced) = (body, Vec::new());
    while let Some(at) = rest
        .windows(boundary.len())
        .position(|part| part == boundary)
    {
        replaced.extend_from_slice(&rest[..at]);
        replaced.push(b'B');
        rest = &rest[at + boundary.len()..];
    }
    [&replaced, rest].concat()
}

#[tokio::test]
async fn every_range_is_the_same_over_http_1_and_2_with_and_without_tls() {
    let pair = Pair::new();
    let (app, tls) = pair.app(&[("server.http2", "on")]).await;
    let bytes: Vec<u8> = (0..SIZE as u64)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0])
        .collect();
    app.add("file_big", "big.bin", &bytes).await;
    let link = app.link("file_big", "").await;
    let mut over_tls = Http2::over(pair.connect(tls, &["h2", "http/1.1"]).await.unwrap()).await;
    let mut plain = Http2::plain(app.client.0).await;
    for range in RANGES {
        let headers: &[(&str, &str)] = match *range {
            "" => &[],
            range => &[("range", range)],
        };
        let expected = app.client.get(&link, headers).await;
        if range.is_empty() {
            assert!(expected.status == 200 && expected.body == bytes);
        }
        let mut request = format!("GET {link} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let stream = pair.connect(tls, &["http/1.1"]).await.unwrap();
        let answer = exchange_over(stream, request.as_bytes(), false).await;
        let replies = [
            ("TLS", parse(&answer, false)),
            ("TLS and HTTP/2", over_tls.get(&link, headers).await),
            ("HTTP/2", plain.get(&link, headers).await),
        ];
        for (way, reply) in &replies {
            assert!(
                comparable(reply) == comparable(&expected),
                "{range} over {way}: {} {:?}, not {} {:?}",
                reply.status,
                reply.headers,
                expected.status,
                expected.headers
            );
        }
    }
}

#[tokio::test]
async fn many_downloads_on_one_connection_are_all_whole() {
    let pair = Pair::new();
    let (app, tls) = pair.app(&[]).await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| i.to_le_bytes()[1]).collect();
    app.add("file_big", "big.bin", &bytes).await;
    let link = app.link("file_big", "").await;
    let client = Http2::over(pair.connect(tls, &["h2"]).await.unwrap()).await;
    let downloads = (0..100).map(|_| {
        let (mut client, link) = (Http2(client.0.clone()), link.clone());
        tokio::spawn(async move { client.get(&link, &[]).await })
    });
    for download in downloads.collect::<Vec<_>>() {
        let reply = download.await.unwrap();
        let beginning = &reply.body[..reply.body.len().min(500)];
        let said = String::from_utf8_lossy(beginning);
        assert_eq!(reply.status, 200, "{said}");
        assert!(reply.body == bytes, "{} bytes: {said}", reply.body.len());
    }
}

#[tokio::test]
async fn an_upload_over_http_2_is_stored_and_one_that_is_refused_early_is_answered() {
    let pair = Pair::new();
    let (app, tls) = pair.app(&[]).await;
    let mut client = Http2::over(pair.connect(tls, &["h2"]).await.unwrap()).await;
    let form = ("content-type", "multipart/form-data; boundary=b");
    let body = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.txt\"\r\n\r\nbytes\r\n--b--\r\n";
    let target = "/v1/organizations/org_123/files/upload";
    let stored = client
        .request("POST", target, &[form, ("x-api-key", "k1")], body)
        .await
        .unwrap();
    assert_eq!(
        stored.status,
        201,
        "{}",
        String::from_utf8_lossy(&stored.body)
    );
    let id = stored.json()["id"].as_str().map(str::to_owned);
    let id = id.unwrap_or_else(|| panic!("{}", stored.json()));
    let link = app.link(&id, "").await;
    assert_eq!(client.get(&link, &[]).await.body, b"bytes");
    let refused = client
        .request("POST", target, &[form, ("x-api-key", "wrong")], body)
        .await;
    let refused = refused.unwrap();
    assert_eq!((refused.status, refused.header("connection")), (401, None));
    assert_eq!(
        client.get(&link, &[]).await.status,
        200,
        "the connection goes on"
    );
}
