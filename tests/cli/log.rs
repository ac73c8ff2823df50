//! What the log of the real binary says of links: which one it was, whatever became of the request.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use serde_json::Value;

use super::support::{PATIENCE, Place, Serving, text, until};

/// A binary that logs JSON.
fn start(place: &Place) -> Serving {
    place.file("json.toml", b"[log]\nformat = \"json\"\n");
    place.start(&["serve", "--listen", "127.0.0.1:0", "--config", "json.toml"])
}

/// Opens a link with these header lines, and leaves the answer to be read.
fn send(link: &str, lines: &str) -> TcpStream {
    let rest = link.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap());
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn status(link: &str, lines: &str) -> String {
    let mut answer = String::new();
    send(link, lines).read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

/// The events that have these words, as the log has them.
fn events(log: &str, words: &str) -> Vec<Value> {
    let events = log.lines().map(|line| serde_json::from_str(line).unwrap());
    events
        .filter(|event: &Value| event["message"] == words)
        .collect()
}

fn the_one_file_below(directory: &Path) -> Option<File> {
    let mut entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries.find_map(|entry| {
        if entry.file_type().unwrap().is_dir() {
            return the_one_file_below(&entry.path());
        }
        Some(OpenOptions::new().write(true).open(entry.path()).unwrap())
    })
}

#[test]
fn refusals_of_a_good_link_name_it() {
    let place = Place::new();
    let file = place.add("a.txt", b"abc");
    let mut serve = start(&place);
    let base = serve.url();
    let signed = place.sign(&base, &file, &[]);
    let link = text(&signed, "download_url");
    assert_eq!(status(&link, "If-Match: \"x\"\r\n"), "412");
    assert_eq!(status(&link, "Range: bytes=9-\r\n"), "416");
    assert_eq!(status(&link.replace("token=", "token=x"), ""), "401");
    place.good(&["rm", &file]);
    until("seeing a deleted file", || status(&link, "") == "404");
    let (_, _, log) = serve.stop("TERM");
    let refused = events(&log, "refused");
    let said: Vec<_> = refused
        .iter()
        .map(|event| (&event["status"], &event["link_id"]))
        .collect();
    let link_id = &signed["link_id"];
    let (all, none) = ([412, 416, 401, 404].map(Value::from), Value::Null);
    let expected = [
        (&all[0], link_id),
        (&all[1], link_id),
        (&all[2], &none),
        (&all[3], link_id),
    ];
    assert_eq!(said, expected, "{log}");
}

/// A method may be of any length and say anything.
#[test]
fn a_method_that_nobody_knows_is_not_repeated() {
    let place = Place::new();
    let mut serve = start(&place);
    let base = serve.url();
    let host = base.strip_prefix("http://").unwrap();
    let stranger = "STRANGERS-TEXT";
    for path in ["/", "/v1/files", "/koodrive/x"] {
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("{stranger} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
    }
    let (_, _, log) = serve.stop("TERM");
    assert!(!log.contains(stranger), "{log}");
    let refused = events(&log, "refused");
    assert_eq!(refused.len(), 3, "{log}");
    for event in refused {
        assert_eq!(
            (&event["method"], &event["refusal"]),
            (&"unknown".into(), &"unknown_method".into())
        );
    }
}

#[test]
fn an_aborted_download_names_its_request_and_its_link() {
    let place = Place::new();
    let size = 64 * 1024 * 1024;
    let file = place.add("large.bin", &vec![7; size]);
    let mut serve = start(&place);
    let base = serve.url();
    let signed = place.sign(&base, &file, &[]);
    let link = text(&signed, "download_url");
    for lines in ["", "Range: bytes=0-20000000,30000000-60000000\r\n"] {
        let mut stream = send(&link, lines);
        stream.read_exact(&mut [0; 1024]).unwrap();
        let blob = the_one_file_below(&place.data("blobs")).unwrap();
        blob.set_len(1).unwrap();
        let mut rest = Vec::new();
        // The connection may end with a reset: what counts is that it ends early.
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.len() < 50_000_000, "{}", rest.len());
        blob.set_len(size as u64).unwrap();
    }
    let (_, _, log) = serve.stop("TERM");
    let (aborted, answered) = (
        events(&log, "a download was aborted"),
        events(&log, "answered"),
    );
    assert_eq!((aborted.len(), answered.len()), (2, 2), "{log}");
    for (aborted, answered) in aborted.iter().zip(&answered) {
        assert_eq!(aborted["trace_id"], answered["trace_id"], "{log}");
        assert_eq!(aborted["link_id"], signed["link_id"], "{log}");
    }
}

#[test]
fn where_a_form_broke_is_for_the_log_alone() {
    let place = Place::new();
    let key = text(&place.json(&["apikey", "create"]), "api_key");
    let mut serve = start(&place);
    let base = serve.url();
    let form = "--b\r\nContent-Disposition: form-data; name=\"half a part\"\r\n\r\nx";
    let host = base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "POST /v1/files HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{form}",
        form.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && !answer.contains("half a part"),
        "{answer}"
    );
    let (_, _, log) = serve.stop("TERM");
    let refused = events(&log, "refused");
    assert_eq!(refused[0]["refusal"], "bad_body");
    let cause = "it ended in or behind part 1";
    assert_eq!(refused[0]["cause"], cause, "{log}");
    // What the caller called it is not.
    assert!(!log.contains("half a part"), "{log}");
}

/// A batch is answered 201 when some of its files are stored, so the log alone says why the others are not.
#[test]
fn the_files_of_a_batch_that_were_refused_are_named_by_their_place() {
    let place = Place::new();
    let key = text(&place.json(&["apikey", "create"]), "api_key");
    place.file(
        "small.toml",
        b"[log]\nformat = \"json\"\n[uploads]\nsize_max = 100\n",
    );
    let mut serve = place.start(&["serve", "--listen", "127.0.0.1:0", "--config", "small.toml"]);
    let base = serve.url();
    let host = base.strip_prefix("http://").unwrap();
    let part = |name: &str, bytes: usize| {
        let head = format!("Content-Disposition: form-data; name=\"files\"; filename=\"{name}\"");
        format!("--b\r\n{head}\r\n\r\n{}\r\n", "x".repeat(bytes))
    };
    let form = format!(
        "{}{}--b--\r\n",
        part("good.txt", 100),
        part("large.txt", 101)
    );
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "POST /v1/organizations/org_default/files/upload HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {key}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{form}",
        form.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    let (_, _, log) = serve.stop("TERM");
    let refused = events(&log, "a file of a batch was refused");
    assert_eq!(refused.len(), 1, "{log}");
    let answered = events(&log, "answered");
    assert_eq!(refused[0]["trace_id"], answered[0]["trace_id"], "{log}");
    assert_eq!(
        (&refused[0]["number"], &refused[0]["setting"]),
        (&1.into(), &"uploads.size_max".into())
    );
    assert!(!log.contains("large.txt"), "{log}");
}
