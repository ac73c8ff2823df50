//! The charset of text: in every answer that has the bytes or hands them over, and in no row.

use std::fs;

use crate::cli::support::{Place, until};

use super::*;

const UTF_8: &str = "Gr\u{fc}\u{df}e, \u{8868} \u{1f600}\n";
/// The same word in the charsets of old.
const LATIN_1: &[u8] = b"Gr\xfc\xdfe\n";
const SHIFT_JIS: &[u8] = b"\x83e\x83X\x83g\n";
const ISO_2022_JP: &[u8] = b"\x1b$B%F%9%H\x1b(B\n";

/// A name, a declared type, bytes, the type in the row, and the type in an answer.
type Case = (
    &'static str,
    &'static str,
    &'static [u8],
    &'static str,
    &'static str,
);

const CASES: [Case; 19] = [
    (
        "a.txt",
        "",
        UTF_8.as_bytes(),
        "text/plain",
        "text/plain; charset=utf-8",
    ),
    (
        "a.html",
        "",
        UTF_8.as_bytes(),
        "text/html",
        "text/html; charset=utf-8",
    ),
    ("a.css", "", b"a{}", "text/css", "text/css; charset=utf-8"),
    (
        "a.js",
        "",
        b"1",
        "text/javascript",
        "text/javascript; charset=utf-8",
    ),
    (
        "a.md",
        "",
        UTF_8.as_bytes(),
        "text/markdown",
        "text/markdown; charset=utf-8",
    ),
    (
        "empty.txt",
        "",
        b"",
        "text/plain",
        "text/plain; charset=utf-8",
    ),
    (
        "a",
        "Text/Plain",
        b"x",
        "Text/Plain",
        "Text/Plain; charset=utf-8",
    ),
    (
        "a",
        "application/javascript",
        b"x",
        "application/javascript",
        "application/javascript; charset=utf-8",
    ),
    (
        "a",
        "application/x-javascript",
        b"x",
        "application/x-javascript",
        "application/x-javascript; charset=utf-8",
    ),
    (
        "a",
        "text/csv; header=present",
        b"x",
        "text/csv; header=present",
        "text/csv; header=present; charset=utf-8",
    ),
    (
        "a",
        "text/plain; charset=shift_jis",
        SHIFT_JIS,
        "text/plain; charset=shift_jis",
        "text/plain; charset=shift_jis",
    ),
    (
        "a",
        "text/plain; charset=iso-8859-1",
        UTF_8.as_bytes(),
        "text/plain; charset=iso-8859-1",
        "text/plain; charset=iso-8859-1",
    ),
    ("latin.txt", "", LATIN_1, "text/plain", "text/plain"),
    ("iso.txt", "", ISO_2022_JP, "text/plain", "text/plain"),
    ("nul.txt", "", b"a\0b", "text/plain", "text/plain"),
    ("a.json", "", b"{}", "application/json", "application/json"),
    ("a.xml", "", b"<a/>", "text/xml", "text/xml"),
    ("a.svg", "", b"<svg/>", "image/svg+xml", "image/svg+xml"),
    (
        "a.bin",
        "",
        b"text",
        "application/octet-stream",
        "application/octet-stream",
    ),
];

fn form((name, declared, bytes, ..): Case) -> Form {
    let more = match declared {
        "" => String::new(),
        declared => format!("Content-Type: {declared}"),
    };
    Form::default().part(&part(name, &more), bytes)
}

/// The `Content-Type` of every answer to a link that describes the bytes.
async fn types_sent(app: &TestApp, link: &str, has_parts: bool) -> Vec<String> {
    let mut sent = Vec::new();
    // The second answer comes from what the first one left in memory.
    let mut requests = vec![("GET", None), ("GET", None), ("HEAD", None)];
    if has_parts {
        requests.push(("GET", Some("bytes=0-0")));
    }
    for (method, range) in requests {
        let range = range.map(|range| ("Range", range));
        let headers: Vec<_> = range.into_iter().collect();
        let reply = app.client.request(method, link, &headers, b"").await;
        assert_eq!(reply.status, if headers.is_empty() { 200 } else { 206 });
        sent.push(reply.header("content-type").unwrap().to_owned());
    }
    sent
}

#[tokio::test]
async fn text_goes_out_as_utf_8_where_it_is_and_the_row_keeps_what_was_said() {
    let app = TestApp::start().await.with_org_123().await;
    for case in CASES {
        let (_, _, bytes, row, wanted) = case;
        for upload in UPLOADS {
            let file = uploaded(&app, upload, form(case)).await;
            assert_eq!(file["mime_type"], row, "{case:?}");
            let id = file.get("id").or(file.get("file_id")).unwrap();
            let id = id.as_str().unwrap();
            let link = app.link(id, "").await;
            for sent in types_sent(&app, &link, !bytes.is_empty()).await {
                assert_eq!(sent, wanted, "{case:?}");
            }
            let path = format!("/v1/organizations/org_123/files/{id}");
            let listed = app.client.get(&path, &[KEY]).await.json();
            assert_eq!(listed["mime_type"], row, "{case:?}");
        }
    }
}

#[tokio::test]
async fn each_of_several_parts_says_it() {
    let app = TestApp::start().await.with_org_123().await;
    app.add("file_text", "a.txt", UTF_8.as_bytes()).await;
    app.add("file_latin", "latin.txt", LATIN_1).await;
    for (file, wanted) in [
        ("file_text", "text/plain; charset=utf-8"),
        ("file_latin", "text/plain"),
    ] {
        let link = app.link(file, "").await;
        let reply = app.client.get(&link, &[("Range", "bytes=0-0,3-3")]).await;
        assert_eq!(reply.status, 206);
        let body = String::from_utf8_lossy(&reply.body);
        let heads = body
            .matches(&format!("\r\nContent-Type: {wanted}\r\n"))
            .count();
        assert_eq!(heads, 2, "{body}");
    }
}

/// The rule looks at the type that goes out: a link's own claim before the row.
#[tokio::test]
async fn a_link_s_own_type_is_held_to_the_same_rule() {
    let app = TestApp::start().await.with_org_123().await;
    app.add("file_text", "a.bin", UTF_8.as_bytes()).await;
    app.add("file_latin", "latin.txt", LATIN_1).await;
    for (file, claim, wanted) in [
        ("file_text", "text/plain", "text/plain; charset=utf-8"),
        ("file_text", "application/json", "application/json"),
        (
            "file_text",
            "text/html%3B%20charset=iso-8859-1",
            "text/html; charset=iso-8859-1",
        ),
        ("file_latin", "text/html", "text/html"),
        (
            "file_latin",
            "text/plain%3Bcharset=%22iso-8859-1%22",
            "text/plain;charset=\"iso-8859-1\"",
        ),
    ] {
        let link = app.link(file, &format!("content_type={claim}")).await;
        for sent in types_sent(&app, &link, true).await {
            assert_eq!(sent, wanted, "{file} {claim}");
        }
    }
}

#[tokio::test]
async fn a_proxy_that_sends_the_bytes_is_told() {
    for mode in ["x-accel-redirect", "x-sendfile"] {
        let settings = [("handover.mode", mode), ("blobs.mode", "0640")];
        let app = TestApp::start_with(&settings).await.with_org_123().await;
        app.add("file_text", "a.txt", UTF_8.as_bytes()).await;
        app.add("file_latin", "latin.txt", LATIN_1).await;
        for (file, wanted) in [
            ("file_text", "text/plain; charset=utf-8"),
            ("file_latin", "text/plain"),
        ] {
            let link = app.link(file, "").await;
            let reply = app.client.get(&link, &[]).await;
            assert!(reply.header(mode).is_some() && reply.body.is_empty());
            assert_eq!(reply.header("content-type"), Some(wanted), "{mode}");
        }
    }
}

/// `add`, `add --in-place`, `share` and `sign --content-type`, by the real binary.
#[test]
fn files_of_the_command_line_are_judged_as_they_come_in() {
    let place = Place::new();
    place.file("all/a.txt", UTF_8.as_bytes());
    place.file("all/latin.txt", LATIN_1);
    let root = fs::canonicalize(place.path("all")).unwrap();
    let settings = format!("[blobs]\nin_place_roots = [{root:?}]\n");
    place.file("hallpass.toml", settings.as_bytes());
    let mut ids = Vec::new();
    for words in [&["add", "all"][..], &["add", "--in-place", "all"]] {
        let words = [words, &["--config", "hallpass.toml"]].concat();
        let added = place.json(&words);
        for file in added.as_array().unwrap() {
            let text = |field: &str| file[field].as_str().unwrap().to_owned();
            ids.push((text("file_id"), text("filename")));
        }
    }
    assert_eq!(ids.len(), 4);
    let mut serving = place.start(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--config",
        "hallpass.toml",
    ]);
    let base = serving.url();
    for (id, name) in ids {
        let link = place.sign(&base, &id, &[]);
        let wanted = match name.as_str() {
            "a.txt" => "text/plain; charset=utf-8",
            _ => "text/plain",
        };
        assert_eq!(
            type_of(link["download_url"].as_str().unwrap()),
            wanted,
            "{name}"
        );
        let claimed = place.sign(&base, &id, &["--content-type", "text/html; charset=x-y"]);
        let url = claimed["download_url"].as_str().unwrap();
        assert_eq!(type_of(url), "text/html; charset=x-y");
    }
    serving.stop("TERM");
    let mut share = place.start(&["share", "all/a.txt", "--listen", "127.0.0.1:0"]);
    assert_eq!(type_of(&share.line()), "text/plain; charset=utf-8");
    share.stop("INT");
}

/// Rows from before know nothing of their bytes, until a gateway has read them.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_from_before_is_judged_when_a_gateway_has_read_it() {
    let app = TestApp::start().await.with_org_123().await;
    app.add("file_text", "a.txt", &UTF_8.repeat(100_000).into_bytes())
        .await;
    app.add("file_latin", "latin.txt", LATIN_1).await;
    app.sql("UPDATE file SET is_text = NULL");
    let app = TestApp::start_in(app.stop().await, &[]).await;
    let base = format!("http://{}", app.client.0);
    let [text, latin] = [
        app.link("file_text", "").await,
        app.link("file_latin", "").await,
    ];
    until("the text is known for one", || {
        type_of(&format!("{base}{text}")) == "text/plain; charset=utf-8"
    });
    let catalogue = app.catalogue_from_outside().await;
    until("all files are judged", || {
        let unknown = catalogue.files_of_unknown_text(None, 9);
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(unknown))
            .unwrap()
            .is_empty()
    });
    assert_eq!(type_of(&format!("{base}{latin}")), "text/plain");
}

/// The `Content-Type` that curl sees.
fn type_of(url: &str) -> String {
    let mut curl = std::process::Command::new("curl");
    let output = curl
        .args(["-sS", "-o", "/dev/null", "-w", "%{content_type}", url])
        .output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}
