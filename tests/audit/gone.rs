//! Clients that are gone before they are answered: what was committed for them is in the stream all the same.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;

use super::*;
use crate::support::form::{FORM, Form};

/// As long as it surely takes a call to come to where it commits.
const MOMENT: Duration = Duration::from_millis(400);

/// SQLite's own program with a transaction that writes: nobody else commits until it is dropped.
struct Holder(Child);

impl Holder {
    fn begin(place: &Place) -> Self {
        let mut child = Command::new("sqlite3")
            .arg(place.data("catalogue.sqlite3"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.as_mut().unwrap();
        writeln!(stdin, ".timeout 5000\nBEGIN IMMEDIATE;\nSELECT 'begun';").unwrap();
        let mut line = [0; 6];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut line)
            .unwrap();
        assert_eq!(&line, b"begun\n");
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A call with its body, which is sent whole.
#[derive(Clone)]
struct Call {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Call {
    fn new(at: &Audited, method: &'static str, path: String, body: &[u8]) -> Self {
        let headers = vec![
            ("x-api-key", at.key.clone()),
            ("content-type", FORM.1.to_owned()),
        ];
        let (path, body) = (path, body.to_vec());
        Self {
            method,
            path,
            headers,
            body,
        }
    }

    /// Sends it over HTTP/2, and resets the stream before the answer.
    async fn reset(&self, host: &str) {
        let stream = tokio::net::TcpStream::connect(host).await.unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut send = send.ready().await.unwrap();
        let mut request = http::Request::builder()
            .method(self.method)
            .uri(format!("http://x{}", self.path));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let sent = send.send_request(request.body(()).unwrap(), self.body.is_empty());
        let (answer, mut body) = sent.unwrap();
        if !self.body.is_empty() {
            let bytes = Bytes::from(self.body.clone());
            body.send_data(bytes, true).unwrap();
        }
        tokio::time::sleep(MOMENT).await;
        body.send_reset(h2::Reason::CANCEL);
        drop(answer);
        tokio::time::sleep(MOMENT).await;
        connection.abort();
    }

    /// Sends it over HTTP/1, and resets the connection before the answer.
    async fn reset_connection(&self, host: &str) {
        let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
        let mut head = format!("{} {} HTTP/1.1\r\nHost: x\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        let bytes = [head.as_bytes(), &self.body].concat();
        tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes)
            .await
            .unwrap();
        tokio::time::sleep(MOMENT).await;
        SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(stream);
        tokio::time::sleep(MOMENT).await;
    }
}

/// One of each call that changes something, and the event that tells of it.
fn calls(at: &Audited) -> Vec<(&'static str, Call)> {
    let files = "/v1/organizations/org_default/files";
    let form = Form::default().file("gone.bin", b"bytes").close();
    let json = |value: Value| value.to_string().into_bytes();
    let deleted = at.upload(b"to be deleted");
    let file = at.upload(b"whose links are revoked");
    until("the lines of what is there", || {
        let lines = at.lines();
        let uploads = of_event(&lines, "upload");
        let told = |id: &String| uploads.iter().any(|line| line["file_id"] == id.as_str());
        told(&deleted) && told(&file)
    });
    let by_url = json(serde_json::json!({ "download_url": at.link(&file) }));
    let by_id = json(serde_json::json!({ "link_id": "abcdefghijkl" }));
    let mut calls = vec![
        (
            "upload",
            Call::new(at, "POST", format!("{files}/upload"), &form),
        ),
        ("upload", Call::new(at, "POST", "/v1/files".into(), &form)),
        (
            "delete",
            Call::new(at, "DELETE", format!("{files}/{deleted}"), b""),
        ),
    ];
    let links = "/v1/organizations/org_default/links/revoke";
    for body in [by_url, by_id] {
        calls.push(("revoke", Call::new(at, "POST", links.into(), &body)));
    }
    let of_file = format!("{files}/{file}/revoke");
    calls.push(("revoke", Call::new(at, "POST", of_file, b"")));
    let organization = "/v1/organizations/org_default/revoke".into();
    calls.push(("revoke", Call::new(at, "POST", organization, b"")));
    for (_, call) in &mut calls {
        if call.path.ends_with("/revoke") {
            call.headers[1].1 = "application/json".into();
        }
        call.headers
            .push(("authorization", format!("Bearer {}", at.key)));
    }
    calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_for_a_client_that_is_gone_is_told() {
    let place = Place::with(&[("HALLPASS_SERVER_HTTP2", "on")]);
    let at = Audited::start_in(place, "audit.jsonl");
    let host = at.base.strip_prefix("http://").unwrap().to_owned();
    for over_http2 in [true, false] {
        for (event, call) in calls(&at) {
            let what = format!("{event} by {} {}", call.method, call.path);
            let before = of_event(&at.lines(), event).len();
            let holder = Holder::begin(&at.place);
            match over_http2 {
                true => call.reset(&host).await,
                false => call.reset_connection(&host).await,
            }
            assert_eq!(
                of_event(&at.lines(), event).len(),
                before,
                "{what}: too soon"
            );
            drop(holder);
            until(&what, || of_event(&at.lines(), event).len() == before + 1);
        }
    }
    // Each was done, too: two files are deleted, and of four uploads all are there.
    let listed = at.place.json(&["ls"]);
    assert_eq!(listed.as_array().unwrap().len(), 6, "{listed}");
    at.serving.stop("TERM");
}

/// The last of them is waited for when the gateway ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_ends_finishes_what_it_does_for_a_client_that_is_gone() {
    let place = Place::with(&[("HALLPASS_SERVER_HTTP2", "on")]);
    let at = Audited::start_in(place, "audit.jsonl");
    let host = at.base.strip_prefix("http://").unwrap().to_owned();
    let (event, call) = calls(&at).swap_remove(0);
    let before = of_event(&at.lines(), event).len();
    let holder = Holder::begin(&at.place);
    call.reset(&host).await;
    at.serving.signal("TERM");
    tokio::time::sleep(MOMENT).await;
    drop(holder);
    let path = at.place.path("audit.jsonl");
    at.serving.stop("CONT");
    assert_eq!(of_event(&lines(&path), event).len(), before + 1);
}
