//! `Repr-Digest` (RFC 9530): unasked where no proxy compresses, else for those who ask.

use crate::support::app::{TestApp, target};
use crate::support::client::Reply;
use crate::transport::Http2;

const WISH: (&str, &str) = ("Want-Repr-Digest", "sha-512=3, sha-256=10");

/// The same request by every way that an answer with a file takes: ready lines over HTTP/1, headers one by one,
/// HTTP/2.
async fn answers(app: &TestApp, link: &str, headers: &[(&str, &str)]) -> Vec<(String, Reply)> {
    let mut http2 = Http2::plain(app.client.0).await;
    let mut answers = Vec::new();
    for method in ["GET", "HEAD"] {
        let reply = app.client.request(method, link, headers, b"").await;
        answers.push((format!("{method} HTTP/1"), reply));
        let reply = http2.request(method, link, headers, b"").await;
        answers.push((format!("{method} HTTP/2"), reply.unwrap()));
    }
    answers
}

#[tokio::test]
async fn a_digest_goes_out_unasked_only_where_it_stays_true() {
    for settings in [
        &[("server.http2", "on")][..],
        &[
            ("server.http2", "on"),
            ("links.cap_cache_to_expiry", "true"),
        ],
        &[("server.http2", "on"), ("cache.small_files_bytes", "0")],
    ] {
        let app = TestApp::start_with(settings).await.with_org_123().await;
        for (id, name, is_unasked) in [
            ("file_png", "a.png", true),
            ("file_mp4", "a.mp4", true),
            ("file_pdf", "a.pdf", true),
            ("file_zip", "a.zip", true),
            ("file_bin", "a.bin", true),
            ("file_txt", "a.html", false),
            ("file_svg", "a.svg", false),
            ("file_json", "a.json", false),
        ] {
            let bytes = format!("<{name}>{}", "x".repeat(300));
            let sha256 = app.add(id, name, bytes.as_bytes()).await.sha256;
            let digest = format!("sha-256=:{}:", sha256.unwrap().to_base64());
            let link = app.link(id, "expires_in=60").await;
            let part = ("Range", "bytes=1-2");
            let no_wish = ("Want-Repr-Digest", "sha-256=0");
            for (headers, is_asked) in [
                (&[][..], false),
                (&[part], false),
                (&[no_wish], false),
                (&[WISH], true),
                (&[WISH, part], true),
                (&[WISH, ("Range", "bytes=1-2,9-10")], true),
            ] {
                let expected = (is_unasked || is_asked).then_some(digest.as_str());
                for (way, reply) in answers(&app, &link, headers).await {
                    assert!(reply.status < 300, "{way}");
                    let said = reply.header("repr-digest");
                    assert_eq!(said, expected, "{way} {name} {headers:?} {settings:?}");
                }
            }
            let known = [WISH, ("If-None-Match", "*")];
            for (way, reply) in answers(&app, &link, &known).await {
                assert_eq!(
                    (reply.status, reply.header("repr-digest")),
                    (304, None),
                    "{way}"
                );
            }
        }
    }
}

/// What counts is the type that goes out, since that is what a proxy goes by.
#[tokio::test]
async fn a_link_that_says_another_type_decides() {
    let app = TestApp::start().await.with_org_123().await;
    app.add("file_html", "a.html", b"<p>").await;
    for (file, claimed, is_said) in [
        ("file_html", "image/png", true),
        ("file_abc123", "text/plain", false),
    ] {
        let minted = app.mint(file, &format!("content_type={claimed}")).await;
        let link = target(minted["download_url"].as_str().unwrap());
        let reply = app.client.get(&link, &[]).await;
        assert_eq!(reply.header("repr-digest").is_some(), is_said, "{claimed}");
        let asked = app.client.get(&link, &[WISH]).await;
        assert!(asked.header("repr-digest").is_some());
    }
}

#[tokio::test]
async fn an_answer_that_a_proxy_sends_has_the_same() {
    let settings = [
        ("handover.mode", "x-accel-redirect"),
        ("blobs.mode", "0640"),
    ];
    let app = TestApp::start_with(&settings).await.with_org_123().await;
    app.add("file_html", "a.html", b"<p>").await;
    let link = app.link("file_html", "").await;
    let plain = app.client.get(&link, &[]).await;
    assert!(plain.header("x-accel-redirect").is_some());
    assert_eq!(plain.header("repr-digest"), None);
    let asked = app.client.get(&link, &[WISH]).await;
    assert!(asked.header("repr-digest").is_some());
}
