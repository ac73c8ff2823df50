//! A fragment is no part of a request target (RFC 9112, §3.2): 400, on every transport of HTTP/1.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::{answer, request};
use crate::support::form::{FORM, Form};
use crate::transport::Pair;

/// Sends requests one after the other on one connection, and answers their statuses.
async fn statuses(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    requests: &[Vec<u8>],
) -> Vec<String> {
    let mut statuses = Vec::new();
    for request in requests {
        stream.write_all(request).await.unwrap();
        let (head, body) = answer(&mut stream).await;
        let status = head.split(' ').nth(1).unwrap().to_owned();
        if status == "400" {
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["error"]["status"], 400, "{body}");
        }
        statuses.push(status);
    }
    statuses
}

#[tokio::test]
async fn a_target_with_a_fragment_is_400_and_its_neighbours_are_answered() {
    let (pair, place) = (Pair::new(), tempfile::tempdir().unwrap());
    let socket = place.path().join("socket");
    let unix = format!("unix:{}", socket.display());
    let (app, tls) = pair.app(&[("server.listen", unix.as_str())]).await;
    let link = app.link("file_abc123", "").await;
    // A body may say what it likes, also where a request could begin in it.
    let form = Form::default().file("a.txt", b"GET /#x HTTP/1.1").close();
    let upload = format!(
        "POST /v1/organizations/org_123/files/upload HTTP/1.1\r\nHost: x\r\nX-API-Key: k1\r\n\
        {}: {}\r\nContent-Length: {}\r\n\r\n",
        FORM.0,
        FORM.1,
        form.len()
    );
    let get = |target: &str, more: &str| request(target, more).into_bytes();
    let upload = [upload.into_bytes(), form].concat();
    let begun = format!("GET {link} HTTP/1.1\r\nHost: x\r\nX-Note: ").into_bytes();
    let rest = b"GET /#x HTTP/1.1\r\n\r\n".to_vec();
    let good = get(&link, "X-Note: #x\r\n");
    let list = format!("/v1/organizations/org_123/files#{link}");
    // A head that is refused is the last of its connection.
    let runs = [
        (
            vec![good.clone(), upload.clone(), good.clone()],
            vec!["200", "201", "200"],
        ),
        (
            vec![good.clone(), get(&format!("{link}#x"), "")],
            vec!["200", "400"],
        ),
        (vec![get(&format!("http://x{link}#"), "")], vec!["400"]),
        (
            vec![good.clone(), get(&list, "X-API-Key: k1\r\n")],
            vec!["200", "400"],
        ),
        // Sent before those before them are answered.
        (
            vec![
                [good.clone(), upload, get(&format!("{link}#x"), "")].concat(),
                Vec::new(),
                Vec::new(),
            ],
            vec!["200", "201", "400"],
        ),
        // The rest of a head looks like a request of its own.
        (vec![[good, begun].concat(), rest], vec!["200", "200"]),
    ];
    for (requests, expected) in runs {
        let stream = TcpStream::connect(app.client.0).await.unwrap();
        assert_eq!(statuses(stream, &requests).await, expected, "plain");
        let stream = pair.connect(tls, &["http/1.1"]).await.unwrap();
        assert_eq!(statuses(stream, &requests).await, expected, "TLS");
        let stream = UnixStream::connect(&socket).await.unwrap();
        assert_eq!(statuses(stream, &requests).await, expected, "Unix");
    }
}
