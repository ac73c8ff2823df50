//! Connections themselves: what they may take their time over, how many there may be, how they end, and
//! that every byte on them is the file's.

mod bytes;
mod deadlines;
mod endings;
mod fragments;
mod parked;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The status line and the head of the next answer, as text; what stands behind it is left unread.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer's head"));
    }
    String::from_utf8(head).unwrap()
}

/// The next answer, whole.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> (String, Vec<u8>) {
    let head = head(stream).await;
    let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("a whole body");
    (head, body)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
    lines.find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
}

fn request(target: &str, more: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n{more}\r\n")
}
