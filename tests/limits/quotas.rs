//! Quotas of organizations.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::*;
use crate::cli::support::{Place, one_line_of_json};
use crate::support::form::{FORM, Form};

const K1: (&str, &str) = ("X-API-Key", "k1");
const LIST: &str = "/v1/organizations/org_123/files";

async fn upload(app: &TestApp, bytes: &[u8]) -> Reply {
    let form = Form::default().file("a.bin", bytes).close();
    let target = format!("{LIST}/upload");
    app.client
        .request("POST", &target, &[K1, FORM], &form)
        .await
}

async fn upload_to_qoder(app: &TestApp, bytes: &[u8]) -> Reply {
    let form = Form::default().file("a.bin", bytes).close();
    let headers = [("Authorization", "Bearer k1"), FORM];
    app.client
        .request("POST", "/v1/files", &headers, &form)
        .await
}

async fn total(app: &TestApp) -> Value {
    app.client.get(LIST, &[K1]).await.json()["total"].clone()
}

/// The fixture has two files already.
#[tokio::test]
async fn of_twenty_uploads_for_the_last_place_one_wins() {
    let app = start(&[("limits.organization_files", "3")]).await;
    let replies = join_all((0..20).map(|_| upload(&app, b"bytes"))).await;
    let (won, lost): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 201);
    assert_eq!((won.len(), lost.len()), (1, 19));
    for reply in lost {
        let error = reply.refused(507, "INSUFFICIENT_STORAGE");
        assert_eq!(error["message"], "Your organization's storage is full.");
        let system = "the quota of 3 files of an organization is reached";
        assert_eq!(error["system_message"], system);
        assert_eq!(reply.header("retry-after"), None, "waiting does not help");
    }
    assert_eq!(total(&app).await, 3);
    assert_eq!(
        app.blobs_kept().await,
        3,
        "what was refused leaves no bytes"
    );
    let reply = upload_to_qoder(&app, b"bytes").await;
    assert_eq!(reply.status, 403);
    let said = json!({
        "error": {
            "message": "The storage limit of the organization is reached.",
            "type": "permission_error"
        },
        "type": "error"
    });
    assert_eq!(reply.json(), said);
    // Another organization has its own.
    let form = Form::default().file("a.bin", b"bytes").close();
    let theirs = "/v1/organizations/org_abc123/files/upload";
    let headers = [("X-API-Key", "k2"), FORM];
    let reply = app.client.request("POST", theirs, &headers, &form).await;
    assert_eq!(reply.status, 201);
}

#[tokio::test]
async fn a_deleted_file_makes_room_when_its_bytes_go() {
    let kept = (crate::support::app::PNG.len() + b"other bytes".len()) as u64;
    let quota = (kept + 100).to_string();
    let app = start(&[("limits.organization_bytes", &quota)]).await;
    let reply = upload(&app, &[1; 101]).await;
    reply.refused(507, "INSUFFICIENT_STORAGE");
    let reply = upload(&app, &[1; 100]).await;
    assert_eq!(reply.status, 201);
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(upload(&app, b"").await.status, 201, "nothing needs no room");
    assert_eq!(upload_to_qoder(&app, b"x").await.status, 403);

    let file = format!("{LIST}/{id}");
    let deleted = app.client.request("DELETE", &file, &[K1], b"").await;
    assert_eq!(deleted.status, 204);
    upload(&app, b"x")
        .await
        .refused(507, "INSUFFICIENT_STORAGE");
    let organization = OrganizationId::parse("org_123").unwrap();
    let id = hallpass::model::id::FileId::parse(&id).unwrap();
    app.gateway.purge(&organization, &id).await.unwrap();
    assert_eq!(upload_to_qoder(&app, &[2; 100]).await.status, 201);
    upload(&app, b"x")
        .await
        .refused(507, "INSUFFICIENT_STORAGE");
}

/// Reads an answer that comes while the request is not at its end.
async fn early_answer(mut stream: TcpStream) -> Reply {
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let read = tokio::time::timeout(Duration::from_secs(20), read).await;
    read.expect("an answer before the body's end").unwrap();
    crate::support::client::parse(&answer, false)
}

/// What says how long it is hears no before it sends the file, and nobody waits for what does not come. Where a
/// form may be a batch, the head of its first part has to say that it is none: of a batch some may be stored.
#[tokio::test]
async fn an_upload_that_there_is_no_room_for_is_refused_before_its_body() {
    let sizes = [
        ("limits.organization_bytes", "1MiB"),
        ("server.http2", "on"),
    ];
    let places = [("limits.organization_files", "2"), ("server.http2", "on")];
    for (settings, length) in [(sizes, 4 << 20), (places, 300)] {
        let app = start(&settings).await;
        let begun = Form::default().file("a.bin", b"").open();
        for (target, key, begun, status) in [
            (
                "/v1/organizations/org_123/files/upload",
                "X-API-Key: k1",
                begun.as_slice(),
                507,
            ),
            (
                "/v1/files",
                "Authorization: Bearer k1\r\nExpect: 100-continue",
                b"".as_slice(),
                403,
            ),
        ] {
            let mut stream = TcpStream::connect(app.client.0).await.unwrap();
            let head = format!(
                "POST {target} HTTP/1.1\r\nHost: x\r\n{key}\r\n{}: {}\r\n\
                 Content-Length: {length}\r\n\r\n",
                FORM.0, FORM.1
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(begun).await.unwrap();
            let reply = early_answer(stream).await;
            assert_eq!(reply.status, status);
            assert_eq!(reply.header("connection"), Some("close"));
        }
        // The same over HTTP/2, where the stream is not ended either.
        let stream = TcpStream::connect(app.client.0).await.unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut send = send.ready().await.unwrap();
        let request = http::Request::post("https://x/v1/organizations/org_123/files/upload")
            .header("x-api-key", "k1")
            .header(FORM.0, FORM.1)
            .header("content-length", length);
        let request = request.body(()).unwrap();
        let (answer, mut body) = send.send_request(request, false).unwrap();
        body.send_data(begun.clone().into(), false).unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(20), answer).await;
        assert_eq!(answer.unwrap().unwrap().status(), 507);
        connection.abort();
        assert_eq!(app.blobs_kept().await, 2);
    }
}

/// What does not say so hears it at the first byte too many.
#[tokio::test]
async fn an_upload_without_a_length_is_refused_when_there_is_no_more_room() {
    let app = start(&[("limits.organization_bytes", "1MiB")]).await;
    let mut stream = TcpStream::connect(app.client.0).await.unwrap();
    let head = format!(
        "POST /v1/organizations/org_123/files/upload HTTP/1.1\r\nHost: x\r\nX-API-Key: k1\r\n\
         {}: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        FORM.0, FORM.1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let form = Form::default().file("a.bin", &vec![7; 1 << 20]).open();
    let chunk = [format!("{:x}\r\n", form.len()).as_bytes(), &form, b"\r\n"].concat();
    stream.write_all(&chunk).await.unwrap();
    let reply = early_answer(stream).await;
    reply.refused(507, "INSUFFICIENT_STORAGE");
    assert_eq!(app.blobs_kept().await, 2);
    // What there is room for is stored as ever, whichever way it comes.
    assert_eq!(upload(&app, &vec![7; 1 << 19]).await.status, 201);
}

#[test]
fn add_is_held_to_the_quota_file_by_file() {
    let place = Place::new();
    for name in ["a", "b", "c", "d"] {
        place.file(&format!("docs/{name}"), b"ten bytes!");
    }
    for (limits, stored) in [
        ("organization_bytes = 25", 2),
        ("organization_files = 3", 3),
    ] {
        place.file("h.toml", format!("[limits]\n{limits}\n").as_bytes());
        let output = place.run(&["add", "docs", "--json", "--config", "h.toml"]);
        assert_eq!(output.status.code(), Some(1));
        let complaints = String::from_utf8(output.stderr).unwrap();
        assert!(complaints.contains("the quota of"), "{complaints}");
        let printed = String::from_utf8(output.stdout).unwrap();
        println!("{limits}: {complaints}{printed}");
        let all = place.json(&["ls"]);
        assert_eq!(all.as_array().unwrap().len(), stored, "{all}");
        one_line_of_json(&printed);
    }
    let all = place.json(&["ls"]);
    let file = all[0]["file_id"].as_str().unwrap();
    let add = ["add", "docs/d", "--config", "h.toml"];
    assert!(place.bad(1, &add).contains("the quota of 3 files"));
    place.good(&["rm", file]);
    assert!(place.bad(1, &add).contains("the quota of 3 files"));
    let other = all[1]["file_id"].as_str().unwrap();
    place.good(&["rm", "--purge", other]);
    place.good(&add);
}
