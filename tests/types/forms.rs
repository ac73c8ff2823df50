//! Forms that clients write and that other servers read: here they are read in the same way.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;
use crate::support::form::BOUNDARY;

const GO: &str = include_str!("forms.go");

/// Parameters behind `name="file"`, and the name that they give.
const NAMES: [(&str, &str); 14] = [
    ("filename=\"a.txt\"", "a.txt"),
    ("filename=a.txt", "a.txt"),
    ("FileName=\"a;b=c.txt\"", "a;b=c.txt"),
    (
        "filename=\"\u{43e}\u{442}\u{447}\u{451}\u{442}.txt\"",
        "\u{43e}\u{442}\u{447}\u{451}\u{442}.txt",
    ),
    (r#"filename="a\"b.txt""#, "a\"b.txt"),
    ("filename=\"x\"; filename*=UTF-8''%D0%B6.txt", "\u{436}.txt"),
    ("filename*=utf-8'en'a%27b.txt; filename=\"x\"", "a'b.txt"),
    ("filename=\"a.txt\"; filename*=utf-8''100%.txt", "a.txt"),
    ("filename=\"a.txt\"; filename*=utf-8''b%4", "a.txt"),
    ("filename=\"a.txt\"; filename*=windows-1252''b", "a.txt"),
    ("filename=\"a.txt\"; filename*=Shift_JIS''%83e", "a.txt"),
    ("filename=\"a.txt\"; filename*=b.txt", "a.txt"),
    ("filename=\"a.txt\"; filename*=''b.txt", "a.txt"),
    ("filename=\"a.txt\"; size=3", "a.txt"),
];

/// The one part of a form, with these parameters and head lines.
fn form(parameters: &str, more: &str, bytes: &[u8]) -> Vec<u8> {
    let head = format!("Content-Disposition: form-data; name=\"file\"; {parameters}{more}");
    Form::default().part(&head, bytes).close()
}

/// Forms, and the name of their file.
fn forms() -> Vec<(Vec<u8>, &'static str)> {
    let named = NAMES.map(|(parameters, name)| (form(parameters, "", b"bytes"), name));
    let plain = "filename=\"a.txt\"";
    let more = [
        form(plain, "\r\nContent-Type: multipart/form-data", b"bytes"),
        form(plain, "\r\nContent-Type: image/*", b"bytes"),
        form(plain, "\r\nContent-Transfer-Encoding: binary", b"bytes"),
        form(plain, "\r\nContent-Length: 5\r\nX-Any: thing", b"bytes"),
        form(plain, "", b"\r\n--\r\n------hallpass-test\r\n\r"),
        form(plain, "", b""),
        [b"a preamble\r\n", form(plain, "", b"bytes").as_slice()].concat(),
        [form(plain, "", b"bytes").as_slice(), b"an epilogue"].concat(),
        String::from_utf8(form(plain, "", b"bytes"))
            .unwrap()
            .replace(&format!("{BOUNDARY}\r\n"), &format!("{BOUNDARY} \t\r\n"))
            .into_bytes(),
    ];
    named
        .into_iter()
        .chain(more.map(|form| (form, "a.txt")))
        .collect()
}

/// What Go's `mime/multipart` finds in each: the file's name and its bytes.
fn by_go(forms: &[(Vec<u8>, &str)]) -> Vec<[String; 2]> {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("forms.go"), GO).unwrap();
    let mut go = Command::new("go");
    go.args(["run", "forms.go", BOUNDARY])
        .current_dir(&directory);
    let mut child = go.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let child = child
        .as_mut()
        .expect("go is installed; tests/run does that");
    let mut input = child.stdin.take().unwrap();
    for (form, _) in forms {
        let digits: String = form.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(input, "{digits}").unwrap();
    }
    drop(input);
    let output = child.stdout.take().unwrap();
    let answers = serde_json::Deserializer::from_reader(output).into_iter();
    let answers: Vec<[String; 2]> = answers.map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success());
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_are_read_as_go_reads_them() {
    let forms = forms();
    let app = TestApp::start().await.with_org_123().await;
    for ((form, name), [go_name, go_bytes]) in forms.iter().zip(by_go(&forms)) {
        let text = String::from_utf8_lossy(form);
        assert_eq!(go_name, *name, "{text}");
        let reply = post(&app, UPLOADS[0], form).await;
        assert_eq!(reply.status, 201, "{text}");
        let file = reply.json();
        assert_eq!(file["original_filename"], *name, "{text}");
        let link = app.link(file["id"].as_str().unwrap(), "").await;
        let bytes = app.client.get(&link, &[]).await.body;
        assert_eq!(String::from_utf8_lossy(&bytes), go_bytes, "{text}");
    }
}

/// Go keeps such bytes as they are; a name is text here.
#[tokio::test]
async fn a_name_that_is_no_utf_8_is_passed_over() {
    let app = TestApp::start().await.with_org_123().await;
    for parameters in [
        "filename=\"a.txt\"; filename*=utf-8''%FF",
        "filename*=utf-8''%ed%a0%80; filename=\"a.txt\"",
    ] {
        let reply = post(&app, UPLOADS[0], &form(parameters, "", b"x")).await;
        assert_eq!(reply.json()["original_filename"], "a.txt", "{parameters}");
    }
}

/// RFC 8187 names UTF-8 alone, RFC 5987 before it ISO-8859-1, too. Go passes the second over, werkzeug and
/// busboy decode it.
#[tokio::test]
async fn a_name_in_latin_1_is_decoded() {
    let app = TestApp::start().await.with_org_123().await;
    let parameters = "filename=\"x\"; filename*=ISO-8859-1''Gr%FC%DFe.txt";
    let reply = post(&app, UPLOADS[0], &form(parameters, "", b"x")).await;
    assert_eq!(reply.json()["original_filename"], "Gr\u{fc}\u{df}e.txt");
    let reply = post(&app, UPLOADS[0], &form("filename*=utf-8''%ff", "", b"x")).await;
    let error = reply.refused(422, "VALIDATION_ERROR");
    assert_eq!(error["details"]["field"], "filename");
}

/// `identity` is no coding (RFC 9110, §8.4.1); every other one is refused.
#[tokio::test]
async fn a_body_of_the_coding_identity_is_taken() {
    let app = TestApp::start().await.with_org_123().await;
    let body = form("filename=a.txt", "", b"x");
    for (coding, taken) in [
        ("identity", true),
        ("Identity", true),
        ("identity, identity", true),
        ("", true),
        ("gzip", false),
        ("identity, gzip", false),
        ("x-identity", false),
    ] {
        for (path, key) in UPLOADS {
            let headers = [key, FORM, ("Content-Encoding", coding)];
            let reply = app.client.request("POST", path, &headers, &body).await;
            assert_eq!(
                reply.status == 201,
                taken,
                "{coding:?} at {path}: {}",
                reply.status
            );
        }
        let body =
            serde_json::json!({ "containerId": "space_default", "fileIds": ["file_def456"] });
        let headers = [
            ("Authorization", "Bearer+k1"),
            ("X-User-Id", "1"),
            ("X-Date", "20260518T153452Z"),
            ("Content-Type", "application/json"),
            ("Content-Encoding", coding),
        ];
        let path = "/koodrive/ose/v1/files/download";
        let body = body.to_string();
        let reply = app
            .client
            .request("POST", path, &headers, body.as_bytes())
            .await;
        assert_eq!(
            reply.status == 200,
            taken,
            "{coding:?} at {path}: {}",
            reply.status
        );
    }
}
