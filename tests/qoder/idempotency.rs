//! Uploads with an idempotency key, in either generation.

use super::*;
use crate::support::form::{FORM, Form};
use crate::support::upload::UnderWay;

const HEADER: &str = "Idempotency-Key";
const REPLAYED: &str = "idempotent-replayed";
const LANG: (&str, &str) = ("X-Qoder-Lang", "python");
const AT_WORK: &str = "A request with this Idempotency-Key is still being worked on.";
const OF_ANOTHER: &str = "This Idempotency-Key was used for another request.";

/// Each generation, with its header and the status of an upload.
const GENERATIONS: [(&[(&str, &str)], u16); 2] = [(&[], 201), (&[LANG], 200)];

async fn send(app: &TestApp, own: &[(&str, &str)], keys: &[&str], form: Form) -> Reply {
    let mut headers = [&[PAT_A, FORM], own].concat();
    headers.extend(keys.iter().map(|key| (HEADER, *key)));
    app.client
        .request("POST", FILES, &headers, &form.close())
        .await
}

fn one() -> Form {
    Form::default().file("a.txt", b"bytes")
}

async fn has_files(app: &TestApp, count: usize) {
    assert_eq!(ids(&page(app, "").await).len(), count);
    assert_eq!(app.blobs_kept().await, count);
}

#[tokio::test]
async fn an_upload_that_is_sent_again_is_answered_again() {
    let app = accounts().await;
    for (own, status) in GENERATIONS {
        let key = format!("key-{status}");
        let first = send(&app, own, &[&key], one()).await;
        assert_eq!((first.status, first.header(REPLAYED)), (status, None));
        let again = send(&app, own, &[&key], one()).await;
        assert_eq!((again.status, &again.body), (status, &first.body));
        assert_eq!(again.header(REPLAYED), Some("true"));
        assert_eq!(again.header("cache-control"), Some("no-store"));
    }
    has_files(&app, 2).await;
    let form = one().close();
    // The other root is the same API.
    let headers = [PAT_A, FORM, (HEADER, "key-201")];
    let again = app.client.request("POST", ROOTS[1], &headers, &form);
    assert_eq!(again.await.header(REPLAYED), Some("true"));
    let headers = [PAT_B, FORM, (HEADER, "key-201")];
    let other = app.client.request("POST", FILES, &headers, &form);
    assert_eq!(
        other.await.header(REPLAYED),
        None,
        "keys are each caller's own"
    );
    assert_eq!(app.blobs_kept().await, 3);
}

#[tokio::test]
async fn a_key_of_another_request_is_refused() {
    let app = accounts().await;
    for (own, status) in GENERATIONS {
        let key = format!("key-{status}");
        let first = send(&app, own, &[&key], one().text("purpose", "tool_output")).await;
        assert_eq!(first.status, status);
        for form in [
            Form::default()
                .file("a.txt", b"other")
                .text("purpose", "tool_output"),
            one()
                .text("purpose", "tool_output")
                .text("filename", "b.txt"),
            one().text("purpose", "agent_output"),
        ] {
            let reply = send(&app, own, &[&key], form).await;
            assert_eq!(reply.header(REPLAYED), None);
            refused_as(&reply, 422, "invalid_request_error", OF_ANOTHER);
        }
    }
    has_files(&app, 2).await;
}

#[tokio::test]
async fn a_key_is_1_to_255_visible_characters_and_given_once() {
    let app = accounts().await;
    let long = "k".repeat(256);
    let bad: [&[&str]; 5] = [&[""], &[&long], &["a b"], &["ключ"], &["k", "k"]];
    for (own, _) in GENERATIONS {
        for keys in bad {
            is_fault_of(&send(&app, own, keys, one()).await, HEADER);
        }
    }
    has_files(&app, 0).await;
    let longest = send(&app, &[], &[&long[..255]], one()).await;
    assert_eq!(longest.status, 201);
}

#[tokio::test]
async fn a_key_at_work_is_refused_until_its_request_is_done() {
    let app = accounts().await;
    for (own, status) in GENERATIONS {
        let key = format!("key-{status}");
        let headers = [&[PAT_A, (HEADER, key.as_str())], own].concat();
        let first = UnderWay::begin(app.client.0, FILES, &headers, one().close()).await;
        let second = send(&app, own, &[&key], one()).await;
        refused_as(&second, 409, "conflict_error", AT_WORK);
        let first = first.finish().await;
        assert_eq!((first.status, first.header(REPLAYED)), (status, None));
        let again = send(&app, own, &[&key], one()).await;
        assert_eq!((again.status, &again.body), (status, &first.body));
        assert_eq!(again.header(REPLAYED), Some("true"));
    }
    has_files(&app, 2).await;
}

#[tokio::test]
async fn an_upload_that_fails_gives_its_key_up_before_it_is_answered() {
    let app = accounts_with(&[("uploads.size_max", "100")]).await;
    for (own, status) in GENERATIONS {
        let key = format!("key-{status}");
        let large = Form::default().file("a.txt", &[b'x'; 101]);
        for form in [large, one().text("purpose", "nonsense"), Form::default()] {
            let reply = send(&app, own, &[&key], form).await;
            refused_as(&reply, 400, "invalid_request_error", "");
        }
        let reply = send(&app, own, &[&key], one()).await;
        assert_eq!((reply.status, reply.header(REPLAYED)), (status, None));
    }
    has_files(&app, 2).await;
}
