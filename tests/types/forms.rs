//! Forms that clients write and that other servers read: here they are read in the same way.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;
use crate::support::form::BOUNDARY;

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

/// A program that reads forms, one a line, and prints the name and the bytes of each file.
struct Peer {
    command: Command,
    /// What the forms hold that it reads in another way, or refuses.
    differs: &'static [&'static str],
}

impl Peer {
    /// Go's `mime/multipart`.
    fn go(directory: &Path) -> Self {
        fs::write(directory.join("forms.go"), include_str!("forms.go")).unwrap();
        let mut command = Command::new("go");
        command.args(["run", "forms.go"]).current_dir(directory);
        let differs = &[];
        Self { command, differs }
    }

    /// Debian's werkzeug, which is in the path of Debian's own Python. It passes over no `filename*`, whatever is
    /// in it, but for one that names a language.
    fn werkzeug() -> Self {
        let mut command = Command::new("/usr/bin/python3");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/types/forms.py"));
        let differs = &[
            "'en'",
            "100%",
            "b%4",
            "windows-1252",
            "Shift_JIS",
            "*=b.txt",
            "*=''b.txt",
        ];
        Self { command, differs }
    }

    /// busboy. It drops a part whose `filename*` it cannot decode, and knows no padding behind a boundary
    /// (RFC 2046, §5.1.1, allows it).
    fn busboy() -> Self {
        let mut command = Command::new("node");
        let modules = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/node_modules");
        command
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/types/forms.cjs"
            ))
            .env("NODE_PATH", modules);
        let differs = &[
            "100%",
            "b%4",
            "windows-1252",
            "Shift_JIS",
            "*=b.txt",
            "*=''b.txt",
            " \t\r\n",
        ];
        Self { command, differs }
    }

    /// The name and the bytes of the file in each form; not both where the program found none.
    fn read(&mut self, forms: &[(Vec<u8>, &str)]) -> Vec<Vec<String>> {
        let command = self.command.arg(BOUNDARY);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let child = child.as_mut().expect("tests/run installs it");
        let mut input = child.stdin.take().unwrap();
        for (form, _) in forms {
            let digits: String = form.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(input, "{digits}").unwrap();
        }
        drop(input);
        let output = child.stdout.take().unwrap();
        let answers = serde_json::Deserializer::from_reader(output).into_iter();
        let answers: Vec<Vec<String>> = answers.map(Result::unwrap).collect();
        assert!(child.wait().unwrap().success());
        answers
    }
}

/// Go reads every form so; the others all but those that are named above.
#[tokio::test(flavor = "multi_thread")]
async fn forms_are_read_as_other_servers_read_them() {
    let forms = forms();
    let app = TestApp::start().await.with_org_123().await;
    let mut ours = Vec::new();
    for (form, name) in &forms {
        let text = String::from_utf8_lossy(form);
        let reply = post(&app, UPLOADS[0], form).await;
        assert_eq!(reply.status, 201, "{text}");
        let file = reply.json();
        assert_eq!(file["original_filename"], *name, "{text}");
        let link = app.link(file["id"].as_str().unwrap(), "").await;
        let bytes = app.client.get(&link, &[]).await.body;
        ours.push([
            (*name).to_owned(),
            String::from_utf8(bytes.to_vec()).unwrap(),
        ]);
    }
    let directory = tempfile::tempdir().unwrap();
    for mut peer in [Peer::go(directory.path()), Peer::werkzeug(), Peer::busboy()] {
        let theirs = peer.read(&forms);
        assert_eq!(theirs.len(), forms.len());
        for ((ours, theirs), (form, _)) in ours.iter().zip(theirs).zip(&forms) {
            let text = String::from_utf8_lossy(form);
            let differs = peer.differs.iter().any(|part| text.contains(part));
            assert_eq!(
                theirs != ours,
                differs,
                "{:?}: {theirs:?} for {text}",
                peer.command
            );
        }
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
