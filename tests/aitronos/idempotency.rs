//! Uploads with an idempotency key (IETF HTTPAPI working group, "The Idempotency-Key HTTP Header Field"): one
//! that is sent again is answered again, and stores nothing twice.

use hallpass::catalog::idempotency::{Claim, Claimed, KEY_SECONDS};
use hallpass::gateway::idempotency::LEASE_SECONDS;
use hallpass::model::id::{ApiKeyId, OrganizationId};
use hallpass::model::key::Scopes;
use hallpass::model::time::UnixSeconds;
use serde_json::Value;

use super::uploads::UPLOAD;
use crate::support::app::{PNG, T0, TestApp};
use crate::support::client::Reply;
use crate::support::form::{FORM, Form};
use crate::support::upload::UnderWay;

const KEY: (&str, &str) = ("X-API-Key", "k1");
const LIST: &str = "/v1/organizations/org_123/files";
const HEADER: &str = "Idempotency-Key";
const REPLAYED: &str = "idempotent-replayed";

async fn send(app: &TestApp, key: &str, form: Form) -> Reply {
    let headers = [KEY, FORM, (HEADER, key)];
    app.client
        .request("POST", UPLOAD, &headers, &form.close())
        .await
}

fn one() -> Form {
    Form::default().file("a.txt", b"bytes")
}

fn batch(files: &[(&str, &[u8])]) -> Form {
    files.iter().fold(Form::default(), |form, (name, bytes)| {
        let head = format!("Content-Disposition: form-data; name=\"files\"; filename=\"{name}\"");
        form.part(&head, bytes)
    })
}

async fn total(app: &TestApp) -> Value {
    app.client.get(LIST, &[KEY]).await.json()["total"].clone()
}

#[track_caller]
fn is_new(reply: &Reply) {
    let text = String::from_utf8_lossy(&reply.body);
    assert_eq!(
        (reply.status, reply.header(REPLAYED)),
        (201, None),
        "{text}"
    );
}

#[track_caller]
fn is_replay_of(reply: &Reply, first: &Reply) {
    let text = String::from_utf8_lossy(&reply.body);
    assert_eq!(reply.header(REPLAYED), Some("true"), "{text}");
    assert_eq!((reply.status, &reply.body), (first.status, &first.body));
    assert_eq!(reply.header("content-type"), first.header("content-type"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn an_upload_that_is_sent_again_is_answered_again() {
    let app = TestApp::start().await.with_org_123().await;
    let forms = [one, || {
        batch(&[("a.txt", b"a"), ("b.txt", b"b"), ("..", b"")])
    }];
    for (key, form) in ["one", "batch"].into_iter().zip(forms) {
        let first = send(&app, key, form()).await;
        is_new(&first);
        let kept = (total(&app).await, app.blobs_kept().await);
        for _ in 0..2 {
            is_replay_of(&send(&app, key, form()).await, &first);
        }
        assert_eq!((total(&app).await, app.blobs_kept().await), kept);
    }
    assert_eq!(total(&app).await, 5);
    // Another key, another caller's, and none: another file.
    is_new(&send(&app, "another", one()).await);
    app.api_key("org_123", "uploader", Scopes::USUAL).await;
    let form = one().close();
    for headers in [
        vec![("X-API-Key", "uploader"), FORM, (HEADER, "one")],
        vec![KEY, FORM],
    ] {
        let request = app.client.request("POST", UPLOAD, &headers, &form);
        is_new(&request.await);
    }
    assert_eq!(total(&app).await, 8);
}

#[tokio::test]
async fn a_replay_outlives_its_file_but_not_its_day() {
    let app = TestApp::start().await.with_org_123().await;
    let first = send(&app, "key", one()).await;
    is_new(&first);
    let file = format!("{LIST}/{}", first.json()["id"].as_str().unwrap());
    let deleted = app.client.request("DELETE", &file, &[KEY], b"").await;
    assert_eq!(deleted.status, 204);
    app.at(i64::try_from(KEY_SECONDS).unwrap() - 1);
    is_replay_of(&send(&app, "key", one()).await, &first);
    assert_eq!(total(&app).await, 2);
    app.at(i64::try_from(KEY_SECONDS).unwrap());
    is_new(&send(&app, "key", one()).await);
}

#[tokio::test]
async fn a_key_is_1_to_255_visible_characters_and_given_once() {
    let app = TestApp::start().await.with_org_123().await;
    let long = "k".repeat(256);
    let bad: [&[&str]; 6] = [&[""], &[&long], &["a b"], &["a\tb"], &["ключ"], &["k", "k"]];
    let form = one().close();
    for keys in bad {
        let mut headers = vec![KEY, FORM];
        headers.extend(keys.iter().map(|key| (HEADER, *key)));
        let request = app.client.request("POST", UPLOAD, &headers, &form);
        let error = request.await.refused(422, "VALIDATION_ERROR");
        assert_eq!(error["details"]["field"], HEADER, "{keys:?}: {error}");
    }
    assert_eq!(total(&app).await, 2);
    let all: String = ('!'..='~').collect();
    for key in [&long[..255], "k", &all] {
        is_new(&send(&app, key, one()).await);
    }
}

#[tokio::test]
async fn a_key_of_another_request_is_refused() {
    let app = TestApp::start().await.with_org_123().await;
    let first = send(&app, "key", one().text("purpose", "tool_output")).await;
    is_new(&first);
    let file = |name, bytes| Form::default().file(name, bytes);
    for form in [
        file("a.txt", b"other").text("purpose", "tool_output"),
        file("b.txt", b"bytes").text("purpose", "tool_output"),
        one().text("purpose", "agent_output"),
        one(),
        one()
            .text("purpose", "tool_output")
            .text("metadata", r#"{"a":"b"}"#),
        batch(&[("a.txt", b"bytes")]).text("purpose", "tool_output"),
    ] {
        let reply = send(&app, "key", form).await;
        assert_eq!(reply.header(REPLAYED), None);
        reply.refused(422, "VALIDATION_ERROR");
    }
    assert_eq!((total(&app).await, app.blobs_kept().await), (3.into(), 3));
    let again = send(&app, "key", one().text("purpose", "tool_output")).await;
    is_replay_of(&again, &first);
}

#[tokio::test]
async fn a_key_at_work_is_refused_until_its_request_is_done() {
    let app = TestApp::start().await.with_org_123().await;
    let headers = [KEY, (HEADER, "key")];
    let first = UnderWay::begin(app.client.0, UPLOAD, &headers, one().close()).await;
    let second = send(&app, "key", one()).await;
    assert_eq!(second.header(REPLAYED), None);
    second.refused(409, "CONFLICT");
    let first = first.finish().await;
    is_new(&first);
    is_replay_of(&send(&app, "key", one()).await, &first);
    assert_eq!((total(&app).await, app.blobs_kept().await), (3.into(), 3));
}

#[tokio::test]
async fn a_client_that_breaks_off_gives_its_key_up() {
    let app = TestApp::start().await.with_org_123().await;
    let headers = [KEY, (HEADER, "key")];
    let first = UnderWay::begin(app.client.0, UPLOAD, &headers, one().close()).await;
    send(&app, "key", one()).await.refused(409, "CONFLICT");
    drop(first);
    // The gateway's clock stands still: it is not the lease that ends.
    for _ in 0..500 {
        let reply = send(&app, "key", one()).await;
        if reply.status != 409 {
            is_new(&reply);
            assert_eq!((total(&app).await, app.blobs_kept().await), (3.into(), 3));
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the key is not free");
}

#[tokio::test]
async fn the_key_of_a_gateway_that_died_is_free_after_its_lease() {
    let app = TestApp::start().await.with_org_123().await;
    let id = app.api_key("org_123", "uploader", Scopes::USUAL).await;
    let now = UnixSeconds::new(T0).unwrap();
    let claim = Claim {
        organization: OrganizationId::parse("org_123").unwrap(),
        api_key: ApiKeyId::parse(&id).unwrap(),
        key: "key".into(),
        owner: [7; 16],
    };
    let dead = app.catalogue_from_outside().await;
    let claimed = dead.claim(&claim, now, now.plus(LEASE_SECONDS)).await;
    assert_eq!(claimed.unwrap(), Claimed::Ours);
    let headers = [("X-API-Key", "uploader"), FORM, (HEADER, "key")];
    let send = async || {
        let form = one().close();
        app.client.request("POST", UPLOAD, &headers, &form).await
    };
    let lease = i64::try_from(LEASE_SECONDS).unwrap();
    app.at(lease - 1);
    send().await.refused(409, "CONFLICT");
    app.at(lease);
    let first = send().await;
    is_new(&first);
    is_replay_of(&send().await, &first);
    assert_eq!(total(&app).await, 3);
}

#[tokio::test]
async fn an_upload_that_fails_gives_its_key_up_before_it_is_answered() {
    let settings = [
        ("uploads.size_max", "100"),
        ("limits.organization_bytes", "300"),
    ];
    let app = TestApp::start_with(&settings).await.with_org_123().await;
    let large = Form::default().file("a.txt", &[b'x'; 101]);
    let nameless = batch(&[("..", b"")]);
    for (form, status) in [
        (large.close(), 413),
        (one().text("purpose", "nonsense").close(), 422),
        (nameless.close(), 422),
        (Form::default().close(), 422),
        (one().open(), 400),
    ] {
        let headers = [KEY, FORM, (HEADER, "key")];
        let reply = app.client.request("POST", UPLOAD, &headers, &form).await;
        let text = String::from_utf8_lossy(&reply.body);
        assert_eq!(
            (reply.status, reply.header(REPLAYED)),
            (status, None),
            "{text}"
        );
    }
    assert_eq!(total(&app).await, 2);
    is_new(&send(&app, "key", one()).await);
    assert_eq!(total(&app).await, 3);
}

#[tokio::test]
async fn a_replay_needs_no_room() {
    let settings = [("limits.organization_bytes", "200")];
    let app = TestApp::start_with(&settings).await.with_org_123().await;
    let left = 200 - PNG.len() - b"other bytes".len();
    let half = vec![b'x'; left / 2 + 1];
    let form = || batch(&[("a", &half), ("b", &half), ("c", b"x")]);
    let first = send(&app, "key", form()).await;
    is_new(&first);
    assert_eq!(first.json()["total_failed"], 1);
    is_replay_of(&send(&app, "key", form()).await, &first);
    let rest = vec![b'x'; left - half.len() - 1];
    let last = send(&app, "last", Form::default().file("d", &rest)).await;
    is_new(&last);
    let full = send(&app, "full", one()).await;
    full.refused(507, "INSUFFICIENT_STORAGE");
    let again = send(&app, "last", Form::default().file("d", &rest)).await;
    is_replay_of(&again, &last);
    is_replay_of(&send(&app, "key", form()).await, &first);
    assert_eq!(total(&app).await, 5);
}
