//! Text of every language, shown as it was written.

use hallpass::model::media::MediaType;

use super::*;
use crate::support::app::{TestApp, new_file};

/// A word that every wrong charset garbles.
const UTF_8: &str = "Gr\u{fc}\u{df}e \u{8868}";

/// A file's name, its declared type, its bytes, and the charset and the text that a browser has of it.
type Case<'a> = (&'a str, Option<&'a str>, &'a [u8], &'a str, &'a str);

#[tokio::test(flavor = "multi_thread")]
async fn text_is_shown_in_the_charset_that_it_is_written_in() {
    let app = TestApp::start().await.with_org_123().await;
    let html = format!("<p>{UTF_8}</p>");
    let shift_jis = b"\x83e\x83X\x83g";
    let cases: [Case<'_>; 5] = [
        ("a.txt", None, UTF_8.as_bytes(), "UTF-8", UTF_8),
        ("a.html", None, html.as_bytes(), "UTF-8", UTF_8),
        ("a.js", None, UTF_8.as_bytes(), "UTF-8", UTF_8),
        (
            "jis.txt",
            Some("text/plain; charset=shift_jis"),
            shift_jis,
            "Shift_JIS",
            "\u{30c6}\u{30b9}\u{30c8}",
        ),
        // Nothing is said of it, and the browser guesses as ever.
        (
            "latin.txt",
            None,
            b"Gr\xfc\xdfe",
            "windows-1252",
            "Gr\u{fc}\u{df}e",
        ),
    ];
    let mut urls = Vec::new();
    for (index, (name, declared, bytes, ..)) in cases.iter().enumerate() {
        let id = format!("file_{index}");
        let mut new = new_file("org_123", &id, name);
        new.media_type = declared.map(|text| MediaType::parse(text).unwrap());
        app.put(new, bytes).await;
        let link = app.link(&id, "").await;
        urls.push(format!("http://{}{link}", app.client.0));
    }
    let seen = play("charsets", json!({ "urls": urls })).await;
    let wanted = cases.map(|(.., charset, text)| json!([charset, text]));
    assert_eq!(seen, json!(wanted));
}
