//! Pages in the language of their reader, and with what an operator puts on them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{HTML, counted, look, of, share, start, start_with, started, text};
use crate::support::app::{PNG, TestApp};
use crate::support::client::Reply;

/// What readers of each language send, the language of their pages, and words of a share's, a held one's, a counted link's, a
/// bad link's and a wrong address's page.
const READERS: [(&str, &str, [&str; 5]); 4] = [
    (
        "de-CH,de;q=0.9",
        "de",
        [
            "2 Dateien, 300 kB",
            "Hier läuft gerade ein Download",
            "1 Stunde",
            "abgelaufen oder ungültig",
            "Hier ist nichts",
        ],
    ),
    (
        "fr,ja;q=0.5",
        "ja",
        [
            "2個のファイル、300 kB",
            "ダウンロード中です",
            "あと1時間",
            "有効期限が切れているか",
            "ここには何もありません",
        ],
    ),
    (
        "zh-TW",
        "zh-Hans",
        [
            "2个文件，300 kB",
            "正在下载中",
            "还剩1小时",
            "链接已过期或无效",
            "这里没有内容",
        ],
    ),
    (
        "xx, *;q=0.1",
        "en",
        [
            "2 files, 300 kB",
            "This is being downloaded",
            "1 hour from now",
            "It has expired",
            "There is nothing here",
        ],
    ),
];

/// Asserts that an answer is a page in this language, and says that another one could have been asked for.
#[track_caller]
fn is_in(reply: &Reply, lang: &str, words: &str) {
    let html = text(reply);
    assert!(html.contains(&format!("<html lang=\"{lang}\">")), "{html}");
    assert!(html.contains(words), "{words}: {html}");
    let vary = reply.header("vary").unwrap();
    assert!(vary.contains("Accept-Language"), "{vary}");
}

#[tokio::test]
async fn every_page_is_in_the_language_that_its_reader_prefers() {
    let app = start().await;
    let files = share(&app, of(&["file_big", "file_def456"])).await;
    let held = share(&app, counted(&["file_big"], 1)).await;
    started(&app, &held, "192.0.2.1").await;
    let link = app.link("file_big", "max_downloads=2").await;
    let bad = link.replace("token=", "token=x");
    for (header, lang, words) in READERS {
        let headers = [HTML, ("Accept-Language", header)];
        let form = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("X-Forwarded-For", "192.0.2.9"),
        ];
        let [listed, busy, ready, dead, nowhere] = words;
        is_in(&look(&app, &files, &headers[1..]).await, lang, listed);
        let open = held.at("/open");
        let posted = [&headers[..], &form].concat();
        let reply = app.client.request("POST", &open, &posted, b"start=1").await;
        assert_eq!(reply.status, 409);
        is_in(&reply, lang, busy);
        is_in(&app.client.get(&link, &headers).await, lang, ready);
        is_in(&app.client.get(&bad, &headers).await, lang, dead);
        is_in(&app.client.get("/nowhere", &headers).await, lang, nowhere);
        // What programs are told has one language.
        let json = [headers[1], ("Accept", "application/json")];
        let reply = app.client.get(&bad, &json).await;
        reply.is_dead_link();
        assert_eq!(reply.header("vary"), Some("Accept"));
    }
}

async fn branded(link_url: &str) -> (TestApp, String) {
    let directory = tempfile::tempdir().unwrap();
    let logo = directory.path().join("logo.png");
    std::fs::write(&logo, PNG).unwrap();
    let settings = [
        ("pages.title", "Sons & <Daughters>"),
        ("pages.logo", logo.to_str().unwrap()),
        ("pages.link_text", "Imprint"),
        ("pages.link_url", link_url),
    ];
    let app = start_with(&settings).await;
    (app, BASE64_STANDARD.encode(PNG))
}

#[tokio::test]
async fn an_operator_s_title_logo_and_link_are_on_every_page_and_in_its_policy() {
    let (app, logo) = branded("https://example.com/?a=1&b=2").await;
    let files = share(&app, of(&["file_big"])).await;
    let link = app.link("file_big", "max_downloads=2").await;
    for path in [&files.page, &link, "/s/0123456789abcdefghijkl", "/nowhere"] {
        let reply = app.client.get(path, &[HTML]).await;
        let html = text(&reply);
        for part in [
            "<p><bdi>Sons &#38; &#60;Daughters&#62;</bdi></p></header>",
            &format!("<img src=\"data:image/png;base64,{logo}\" alt=\"\">"),
            "<a href=\"https://example.com/?a=1&#38;b=2\">Imprint</a>",
        ] {
            assert!(html.contains(part), "{path}: {part}: {html}");
        }
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'; style-src 'sha256-"));
        assert_eq!(policy.matches("data:").count(), 1, "{policy}");
        assert!(
            policy.contains("img-src 'self' data:;") || path == "/nowhere",
            "{policy}"
        );
        assert!(
            policy.contains("img-src data:;") == (path == "/nowhere"),
            "{policy}"
        );
        assert!(
            !policy.contains("unsafe") && !policy.contains("http"),
            "{policy}"
        );
        assert!(
            !html.split_once("</head>").unwrap().0.contains("Sons"),
            "{html}"
        );
    }
    let plain = start().await;
    let reply = plain.client.get("/nowhere", &[HTML]).await;
    let policy = reply.header("content-security-policy").unwrap();
    assert!(
        !policy.contains("img-src") && !text(&reply).contains("<header"),
        "{policy}"
    );
}

#[tokio::test]
async fn a_logo_that_is_none_keeps_the_gateway_from_starting() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let large = [PNG, &[0; 32 << 10]].concat();
    let missing = directory.path().join("missing").display().to_string();
    for (path, why) in [
        (
            file("a.svg", b"<svg xmlns='x'/>"),
            "must be a PNG, JPEG, GIF or WebP image",
        ),
        (
            file("empty.png", b""),
            "must be a PNG, JPEG, GIF or WebP image",
        ),
        (file("large.png", &large), "must be at most 32 KiB"),
        (missing, "No such file"),
        (directory.path().display().to_string(), "Is a directory"),
    ] {
        let settings = [
            ("pages.title", "A".to_owned()),
            ("pages.logo", path.clone()),
        ];
        let said = TestApp::refused_with(&settings).await;
        assert!(said.starts_with(&format!("pages.logo: {path}")), "{said}");
        assert!(said.contains(why), "{why}: {said}");
    }
}
