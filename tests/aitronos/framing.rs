//! Heads that a proxy could read in another way than we do: refused before anything in them is believed,
//! in the words of the path's style, and nothing behind them on the connection is read.

use serde_json::Value;

use crate::support::app::TestApp;
use crate::support::client::Reply;
use crate::support::form::{FORM, Form};

use super::uploads::UPLOAD;

const LIST: &str = "/v1/organizations/org_123/files";
const QODER: &str = "/v1/files";
const KOODRIVE: &str = "/koodrive/ose/v1/files/download";

/// Sends this head and asserts that the connection ends with the one answer, without being asked to.
async fn refused(app: &TestApp, head: &str, body: &[u8]) -> Reply {
    let behind = format!("GET {LIST} HTTP/1.1\r\nHost: x\r\nX-API-Key: k1\r\n\r\n");
    let bytes = [head.as_bytes(), b"\r\n", body, behind.as_bytes()].concat();
    let reply = app.client.send(&bytes, false).await;
    assert_eq!(reply.header("connection"), Some("close"), "{head}");
    reply
}

async fn total(app: &TestApp) -> Value {
    let list = app.client.get(LIST, &[("X-API-Key", "k1")]).await;
    list.json()["total"].clone()
}

#[tokio::test]
async fn bodies_in_another_coding_than_chunked_are_not_taken() {
    let app = TestApp::start().await.with_org_123().await;
    let form = Form::default().file("x.txt", b"x").close();
    let mut body = format!("{:x}\r\n", form.len()).into_bytes();
    body.extend_from_slice(&form);
    body.extend_from_slice(b"\r\n0\r\n\r\n");
    for (lines, status) in [
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", 501),
        ("Transfer-Encoding: identity, chunked", 501),
        ("Transfer-Encoding: chunked, chunked", 400),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: Chunked",
            400,
        ),
    ] {
        let head = |path: &str| {
            format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: k1\r\nAuthorization: Bearer k1\r\n{}: {}\r\n{lines}\r\n",
                FORM.0, FORM.1
            )
        };
        let code = if status == 501 {
            "NOT_IMPLEMENTED"
        } else {
            "BAD_REQUEST"
        };
        refused(&app, &head(UPLOAD), &body)
            .await
            .refused(status, code);
        let reply = refused(&app, &head(QODER), &body).await;
        let kind = if status == 501 {
            "api_error"
        } else {
            "invalid_request_error"
        };
        assert_eq!(
            (reply.status, &reply.json()["error"]["type"]),
            (status, &kind.into())
        );
        let reply = refused(&app, &head(KOODRIVE), &body).await;
        let number = if status == 501 { 501 } else { 13_000_101 };
        assert_eq!(
            (reply.status, &reply.json()["code"]),
            (status, &number.into())
        );
        assert_eq!(total(&app).await, 2, "{lines}");
    }
    let head = format!(
        "POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nX-API-Key: k1\r\n{}: {}\r\nTransfer-Encoding: CHUNKED\r\n\
         Connection: close\r\n\r\n",
        FORM.0, FORM.1
    );
    let reply = app
        .client
        .send(&[head.as_bytes(), &body].concat(), false)
        .await;
    assert_eq!((reply.status, total(&app).await), (201, 3.into()));
}

#[tokio::test]
async fn the_host_is_named_once_and_well() {
    let app = TestApp::start().await.with_org_123().await;
    for lines in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host:\r\n",
        "Host: a b\r\n",
        "Host: user@a\r\n",
        "Host: http://a\r\n",
        "Host: a/b\r\n",
        "Host: a:b\r\n",
        "Host: [::1\r\n",
    ] {
        for target in [LIST.to_owned(), format!("http://a.example{LIST}")] {
            let head = format!("GET {target} HTTP/1.1\r\n{lines}X-API-Key: k1\r\n");
            refused(&app, &head, b"").await.refused(400, "BAD_REQUEST");
        }
        let head = format!("GET {QODER} HTTP/1.1\r\n{lines}");
        let reply = refused(&app, &head, b"").await;
        assert_eq!(
            (reply.status, &reply.json()["type"]),
            (400, &"error".into())
        );
        let head = format!("POST {KOODRIVE} HTTP/1.1\r\n{lines}");
        let reply = refused(&app, &head, b"").await;
        assert_eq!(
            (reply.status, &reply.json()["msg"]),
            (400, &"Bad Request".into())
        );
    }
    for good in ["a", "a.example:8080", "127.0.0.1", "[::1]:8080"] {
        let request = format!(
            "GET {LIST} HTTP/1.1\r\nHost: {good}\r\nX-API-Key: k1\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(
            app.client.send(request.as_bytes(), false).await.status,
            200,
            "{good}"
        );
    }
}

#[tokio::test]
async fn http_1_0_needs_no_host() {
    let app = TestApp::start().await.with_org_123().await;
    for (lines, status) in [
        ("", "200"),
        ("Host: a\r\n", "200"),
        ("Host: a b\r\n", "400"),
    ] {
        let request = format!("GET {LIST} HTTP/1.0\r\n{lines}X-API-Key: k1\r\n\r\n");
        let answer = app.client.exchange(request.as_bytes(), false).await;
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
    }
}
