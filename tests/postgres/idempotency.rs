//! Idempotency keys mean the same at every gateway.

use super::{ANYONE, app};
use crate::support::app::TestApp;
use crate::support::client::Reply;
use crate::support::form::{FORM, Form};
use crate::support::postgres::Server;
use crate::support::upload::UnderWay;

const UPLOAD: &str = "/v1/organizations/org_123/files/upload";
const LIST: &str = "/v1/organizations/org_123/files";
const REPLAYED: &str = "idempotent-replayed";
const KEY: (&str, &str) = ("Idempotency-Key", "key");

fn form() -> Vec<u8> {
    Form::default().file("a.txt", b"bytes").close()
}

async fn send(app: &TestApp, body: &[u8]) -> Reply {
    app.client
        .request("POST", UPLOAD, &[ANYONE, FORM, KEY], body)
        .await
}

#[tokio::test]
async fn a_key_at_work_or_done_at_one_gateway_is_so_at_another() {
    let url = Server::shared().database("idempotency");
    let one = app(&url, &[]).await.with_org_123().await;
    let data = one.directory.path().join("data").display().to_string();
    let other = app(&url, &[("server.data_dir", &data)]).await;
    let first = UnderWay::begin(one.client.0, UPLOAD, &[ANYONE, KEY], form()).await;
    send(&other, &form()).await.refused(409, "CONFLICT");
    let first = first.finish().await;
    assert_eq!((first.status, first.header(REPLAYED)), (201, None));
    for gateway in [&other, &one] {
        let again = send(gateway, &form()).await;
        assert_eq!((again.status, &again.body), (201, &first.body));
        assert_eq!(again.header(REPLAYED), Some("true"));
        let body = Form::default().file("a.txt", b"other").close();
        let reply = send(gateway, &body).await;
        reply.refused(422, "VALIDATION_ERROR");
    }
    let listed = other.client.get(LIST, &[ANYONE]).await.json();
    assert_eq!(listed["total"], 3);
}

/// Sends the same upload to two gateways at once, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_requests_of_one_key_at_two_gateways_one_is_stored() {
    let url = Server::shared().database("idempotency_herd");
    let one = app(&url, &[]).await.with_org_123().await;
    let data = one.directory.path().join("data").display().to_string();
    let other = app(&url, &[("server.data_dir", &data)]).await;
    let body = form();
    let herd = (0..16).map(|number| send(if number % 2 == 0 { &one } else { &other }, &body));
    let replies = futures_util::future::join_all(herd).await;
    let is_first = |reply: &&Reply| reply.status == 201 && reply.header(REPLAYED).is_none();
    let first: Vec<_> = replies.iter().filter(is_first).collect();
    assert_eq!(first.len(), 1, "{replies:?}");
    for reply in &replies {
        match reply.status {
            201 => assert_eq!(reply.body, first[0].body),
            _ => drop(reply.refused(409, "CONFLICT")),
        }
    }
    let listed = other.client.get(LIST, &[ANYONE]).await.json();
    assert_eq!(listed["total"], 3);
}
