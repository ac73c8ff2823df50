//! Names of files: composed, then measured, the same through every door.

use crate::cli::support::Place;
use crate::support::app::target;

use super::*;

/// A Korean name as macOS writes it, and in NFC.
const HANGUL: (&str, &str) = (
    "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}.hwp",
    "\u{d55c}\u{ae00}.hwp",
);

/// Names that fit, as they are kept.
fn fitting() -> Vec<(String, String)> {
    let same = |name: String| (name.clone(), name);
    vec![
        (HANGUL.0.into(), HANGUL.1.into()),
        same("\u{8868}".repeat(84)),
        same("\u{436}".repeat(255)),
        same("\u{8868}".repeat(255)),
        same("\u{1f600}".repeat(255)),
        // 510 characters before they are composed.
        ("u\u{308}".repeat(255), "\u{fc}".repeat(255)),
    ]
}

/// Names of 256 characters.
fn too_long() -> [String; 3] {
    ["x", "\u{436}", "u\u{308}"].map(|character| character.repeat(256))
}

#[tokio::test]
async fn names_are_composed_and_measured_in_characters() {
    let app = TestApp::start().await.with_org_123().await;
    for upload in UPLOADS {
        for (sent, kept) in fitting() {
            let form = Form::default().part(&part(&sent, ""), b"x");
            let file = uploaded(&app, upload, form).await;
            let name = file.get("original_filename").or(file.get("filename"));
            assert_eq!(name.unwrap(), &kept);
            let id = file.get("id").or(file.get("file_id")).unwrap();
            let link = app.link(id.as_str().unwrap(), "").await;
            let reply = app.client.get(&link, &[]).await;
            assert_eq!(saved_as(&reply), kept);
        }
    }
    for (sent, kept) in fitting() {
        let encoded =
            percent_encoding::utf8_percent_encode(&sent, percent_encoding::NON_ALPHANUMERIC);
        let asked = format!("disposition=attachment&filename={encoded}");
        let path = format!("/v1/organizations/org_123/files/file_abc123/content?{asked}");
        let reply = app.client.get(&path, &[KEY]).await;
        // A long name has no place in a short link; that is another rule's.
        if reply.status == 200 {
            let json = reply.json();
            let link = target(json["download_url"].as_str().unwrap());
            assert_eq!(saved_as(&app.client.get(&link, &[]).await), kept);
        } else {
            let error = reply.refused(422, "VALIDATION_ERROR");
            assert_eq!(error["details"]["field"], "filename");
            assert!(kept.len() > 200, "{kept}");
        }
    }
}

/// The name that a browser would save an answer under (RFC 6266).
fn saved_as(reply: &Reply) -> String {
    let line = reply.header("content-disposition").unwrap();
    let (_, encoded) = line.split_once("filename*=UTF-8''").unwrap();
    let decoded = percent_encoding::percent_decode_str(encoded);
    decoded.decode_utf8().unwrap().into_owned()
}

#[tokio::test]
async fn names_of_256_characters_are_faults_everywhere() {
    let app = TestApp::start().await.with_org_123().await;
    let [aitronos, qoder] = UPLOADS;
    for name in too_long() {
        let form = Form::default().part(&part(&name, ""), b"x").close();
        let error = post(&app, aitronos, &form)
            .await
            .refused(422, "VALIDATION_ERROR");
        assert_eq!(error["details"]["field"], "filename");
        let reply = post(&app, qoder, &form).await;
        assert_eq!(
            (reply.status, &reply.json()["error"]["param"]),
            (400, &"filename".into())
        );
        let encoded =
            percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC);
        let query = format!("?filename={encoded}");
        let path = format!("/v1/organizations/org_123/files/file_abc123/content{query}");
        let error = app
            .client
            .get(&path, &[KEY])
            .await
            .refused(422, "VALIDATION_ERROR");
        assert_eq!(error["details"]["field"], "filename");
        let path = format!("/v1/files/file_abc123/content{query}");
        let reply = app.client.get(&path, &[BEARER]).await;
        assert_eq!(
            (reply.status, &reply.json()["error"]["param"]),
            (400, &"filename".into())
        );
    }
    let place = Place::new();
    place.file("a.txt", b"x");
    let name = "\u{436}".repeat(256);
    for words in [
        ["add", "a.txt", "--filename", &name].as_slice(),
        &["sign", "--file", "x", "--filename", &name],
    ] {
        let said = place.bad(2, words);
        assert!(said.contains("255 characters"), "{said}");
    }
}

/// The head of the file's part is enough: no byte of the file has to come in.
#[tokio::test]
async fn a_fault_of_the_name_is_told_before_the_bytes() {
    let app = TestApp::start().await.with_org_123().await;
    for (path, key) in UPLOADS {
        let head = part(&"x".repeat(256), "");
        let begun = Form::default().part(&head, b"").open();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\n{}: {}\r\n{}: {}\r\nContent-Length: 1000000\r\n\r\n",
            key.0, key.1, FORM.0, FORM.1
        );
        let bytes = [request.as_bytes(), &begun].concat();
        let answer = app.client.exchange(&bytes, false).await;
        let answer = String::from_utf8_lossy(&answer);
        let status = if key == KEY { "422" } else { "400" };
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
        assert!(answer.contains("filename"), "{answer}");
    }
}

/// On Unix a backslash is a character like any other; a name from Windows has none.
#[test]
fn a_backslash_stays_on_the_command_line() {
    let place = Place::new();
    place.file(r"a\b.txt", b"x");
    place.file(HANGUL.0, b"x");
    let added = place.json(&["add", r"a\b.txt", HANGUL.0]);
    assert_eq!(added[0]["filename"], r"a\b.txt");
    assert_eq!(added[1]["filename"], HANGUL.1);
    let named = place.json(&["add", r"a\b.txt", "--filename", r"dir/c\d.txt"]);
    assert_eq!(named[0]["filename"], r"c\d.txt");
    let listed = place.json(&["ls"]);
    assert_eq!(listed[0]["filename"], r"c\d.txt");
}

/// PostgreSQL and SQLite keep long names whole, and so does what is printed.
#[test]
fn long_names_are_listed_whole() {
    let place = Place::new();
    place.file("a.txt", b"x");
    let name = "\u{1f600}".repeat(255);
    place.json(&["add", "a.txt", "--filename", &name]);
    let listed = place.json(&["ls"]);
    assert_eq!(listed[0]["filename"], name);
}
