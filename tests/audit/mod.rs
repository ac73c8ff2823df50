//! Who downloaded what, by the real binary: the audit stream, counts that survive, `/metrics`, `/readyz`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use serde_json::Value;

use crate::cli::support::{PATIENCE, Place, Serving, text, until};
use crate::support::secrets;

mod counts;
mod credentials;
mod events;
mod gone;
mod metrics;
mod sinks;

/// A running binary with an audit stream, a private listener, and its first API key.
struct Audited {
    place: Place,
    serving: Serving,
    base: String,
    admin: String,
    key: String,
}

impl Audited {
    fn start() -> Self {
        Self::start_in(Place::new(), "audit.jsonl")
    }

    /// The same with this audit file, on a data directory that may have been used before.
    fn start_in(place: Place, audit: &str) -> Self {
        let (serving, said) = serve(&place, audit);
        let key = said["api_key"].as_str().unwrap_or_default().to_owned();
        Self {
            base: text_of(&said["listeners"][0]),
            admin: text_of(&said["admin"]),
            serving,
            place,
            key,
        }
    }

    /// A signed URL of a file, minted by a call.
    fn mint(&self, file: &str) -> Value {
        let url = format!("{}/content", self.url_of(file));
        let (status, body) = request("GET", &url, &self.authorized(), b"");
        assert_eq!(status, 200);
        serde_json::from_slice(&body).unwrap()
    }

    fn link(&self, file: &str) -> String {
        text(&self.mint(file), "download_url")
    }

    fn url_of(&self, file: &str) -> String {
        format!("{}/v1/organizations/org_default/files/{file}", self.base)
    }

    fn authorized(&self) -> String {
        format!("X-API-Key: {}\r\n", self.key)
    }

    /// Uploads a file by a call, and answers its id.
    fn upload(&self, bytes: &[u8]) -> String {
        let head =
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n";
        let form = [head.as_bytes(), bytes, b"\r\n--b--\r\n"].concat();
        let lines = format!(
            "{}Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n",
            self.authorized(),
            form.len()
        );
        let (status, body) = request("POST", &self.url_of("upload"), &lines, &form);
        assert_eq!(status, 201);
        let uploaded: Value = serde_json::from_slice(&body).unwrap();
        let id = uploaded.get("id").or(uploaded.get("file_id")).unwrap();
        text_of(id)
    }

    /// The audit stream so far.
    fn lines(&self) -> Vec<Value> {
        lines(&self.place.path("audit.jsonl"))
    }

    /// Waits until there are so many lines.
    fn lines_when(&self, count: usize) -> Vec<Value> {
        until("the audit lines", || self.lines().len() >= count);
        self.lines()
    }

    fn numbers(&self) -> String {
        let (status, body) = request("GET", &format!("{}/metrics", self.admin), "", b"");
        assert_eq!(status, 200);
        String::from_utf8(body).unwrap()
    }

    fn show(&self, file: &str) -> Value {
        self.place.json(&["show", file])
    }
}

fn serve(place: &Place, audit: &str) -> (Serving, Value) {
    let mut command = place.command(&[
        "serve",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ]);
    command.env("HALLPASS_AUDIT_FILE", place.path(audit));
    let mut serving = Serving::of(command);
    let said: Value = serde_json::from_str(&serving.line()).unwrap();
    if let Some(key) = said["api_key"].as_str() {
        secrets::keep(key);
    }
    (serving, said)
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Every line of an audit stream, which is whole, and holds no secret.
fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    secrets::assert_silent("the audit stream", &text);
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}"));
    text.lines().map(parse).collect()
}

fn of_event<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

/// Sends a request, and leaves the answer to be read.
fn send(method: &str, url: &str, lines: &str, body: &[u8]) -> TcpStream {
    secrets::keep_tokens(url.as_bytes());
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap());
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    stream
}

/// The status and the body of a request.
fn request(method: &str, url: &str, lines: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = send(method, url, lines, body);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    secrets::keep_tokens(&answer);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let head = str::from_utf8(&answer[..end.unwrap()]).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer[end.unwrap() + 4..].to_vec())
}

fn get(url: &str) -> (u16, Vec<u8>) {
    request("GET", url, "", b"")
}

/// Reads an answer's head, and answers how much of the body comes until the connection ends.
fn rest_of_body(stream: TcpStream) -> u64 {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line == "\r\n" {
            break;
        }
    }
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    rest.len() as u64
}
