//! What closes a share: on this gateway by the time that it is answered, on every other within a second.

use std::time::Duration;

use hallpass::gateway::revocations::STALENESS_MAX;
use hallpass::sign::verify::Rejection;
use serde_json::{Value, json};

use super::{ALL, answered, call, closed, closed_url, fixture, one, plain};
use crate::support::app::{T0, TestApp};

/// The latest at which another gateway knows.
const HEARD: Duration = STALENESS_MAX;

/// Why the share does not open on one gateway and, once it must have heard, on the other.
async fn on_both(app: &TestApp, beside: &TestApp, url: &str) -> Option<Rejection> {
    let here = closed_url(app, url).await;
    tokio::time::sleep(HEARD).await;
    assert_eq!(closed_url(beside, url).await, here, "on the other gateway");
    here
}

fn url(share: &Value) -> String {
    share["share_url"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn pausing_rotating_and_revoking_close_it_on_every_gateway() {
    let app = fixture().await;
    let beside = app.beside(&[]).await;
    let share = plain(&app).await;
    let (first, target) = (url(&share), one(&share));
    assert_eq!(on_both(&app, &beside, &first).await, None);
    call(&app, "PATCH", &target, "k1", r#"{"state":"paused"}"#).await;
    let paused = on_both(&app, &beside, &first).await;
    assert_eq!(paused, Some(Rejection::Paused));
    call(&beside, "PATCH", &target, "k1", r#"{"state":"active"}"#).await;
    tokio::time::sleep(HEARD).await;
    assert_eq!(on_both(&app, &beside, &first).await, None);
    let rotated = call(&app, "POST", &format!("{target}/rotate"), "k1", "{}").await;
    let rotated = answered(&rotated, 200);
    let second = url(&rotated);
    assert_ne!(first, second);
    assert_ne!(share["link_id"], rotated["link_id"]);
    let before = on_both(&app, &beside, &first).await;
    assert_eq!(before, Some(Rejection::MacMismatch));
    assert_eq!(on_both(&app, &beside, &second).await, None);
    assert_eq!(call(&app, "DELETE", &target, "k1", "").await.status, 204);
    let revoked = on_both(&app, &beside, &second).await;
    assert_eq!(revoked, Some(Rejection::LinkRevoked));
    // Again is no fault, and nothing brings it back.
    assert_eq!(call(&app, "DELETE", &target, "k1", "").await.status, 204);
    for (method, target, body) in [
        ("PATCH", target.clone(), r#"{"state":"active"}"#),
        ("PATCH", target.clone(), r#"{"title":"x"}"#),
        ("POST", format!("{target}/rotate"), ""),
    ] {
        let reply = call(&app, method, &target, "k1", body).await;
        let error = reply.refused(409, "CONFLICT");
        assert_eq!(error["message"], "This share has been revoked.");
    }
    let shown = answered(&call(&app, "GET", &target, "k1", "").await, 200);
    assert_eq!(shown["state"], "revoked");
    for url in [&first, &second] {
        assert!(on_both(&app, &beside, url).await.is_some());
    }
}

#[tokio::test]
async fn an_organization_s_revocation_closes_all_until_they_are_rotated() {
    let app = fixture().await;
    let beside = app.beside(&[]).await;
    let share = plain(&app).await;
    assert_eq!(on_both(&app, &beside, &url(&share)).await, None);
    let revoke = "/v1/organizations/org_123/revoke";
    assert_eq!(call(&app, "POST", revoke, "root", "").await.status, 200);
    let dead = on_both(&app, &beside, &url(&share)).await;
    assert_eq!(dead, Some(Rejection::OrganizationRevoked));
    let shown = answered(&call(&app, "GET", &one(&share), "k1", "").await, 200);
    assert_eq!(
        (&shown["state"], &shown["share_url"]),
        (&json!("stale"), &json!(null))
    );
    let rotated = call(&app, "POST", &format!("{}/rotate", one(&share)), "k1", "").await;
    let rotated = answered(&rotated, 200);
    assert_eq!(rotated["state"], "active");
    assert_eq!(on_both(&app, &beside, &url(&rotated)).await, None);
    assert!(on_both(&app, &beside, &url(&share)).await.is_some());
}

#[tokio::test]
async fn its_link_id_is_revoked_as_any_other() {
    let app = fixture().await;
    let share = plain(&app).await;
    let body = json!({"link_id": share["link_id"]}).to_string();
    let revoke = "/v1/organizations/org_123/links/revoke";
    assert_eq!(call(&app, "POST", revoke, "root", &body).await.status, 200);
    assert_eq!(closed(&app, &share).await, Some(Rejection::LinkRevoked));
    let target = one(&share);
    let shown = answered(&call(&app, "GET", &target, "k1", "").await, 200);
    assert_eq!(shown["state"], "stale");
    // It gets no more time than the denial lasts.
    let more = call(&app, "PATCH", &target, "k1", r#"{"expires_in":99}"#).await;
    let error = more.refused(409, "CONFLICT");
    assert_eq!(error["message"], "This share has to be rotated first.");
    app.at(2_591_999);
    assert_eq!(closed(&app, &share).await, Some(Rejection::LinkRevoked));
    app.gateway.sweep().await.unwrap();
    app.at(2_592_000);
    app.gateway.sweep().await.unwrap();
    assert!(closed(&app, &share).await.is_some(), "its time is over");
}

#[tokio::test]
async fn its_time_ends_and_is_given_again() {
    let app = fixture().await;
    let body = json!({"files": ["file_abc123"], "expires_in": 10, "not_before": T0 + 5});
    let share = super::made(&app, &body).await;
    assert_eq!(closed(&app, &share).await, Some(Rejection::NotYetValid));
    app.at(5);
    assert_eq!(closed(&app, &share).await, None);
    app.at(10);
    assert_eq!(closed(&app, &share).await, Some(Rejection::Expired));
    let target = one(&share);
    let shown = answered(&call(&app, "GET", &target, "k1", "").await, 200);
    assert_eq!(shown["state"], "expired");
    let more = call(&app, "PATCH", &target, "k1", r#"{"expires_in":10}"#).await;
    assert_eq!(answered(&more, 200)["expires"], T0 + 20);
    assert_eq!(closed(&app, &share).await, None);
}

/// Of many that rotate at once, each is answered with an address; the last one alone opens.
#[tokio::test]
async fn one_address_opens_whoever_rotated_when() {
    let app = fixture().await;
    let share = plain(&app).await;
    let target = format!("{}/rotate", one(&share));
    let rotations = (0..8).map(|_| call(&app, "POST", &target, "k1", ""));
    let replies = futures_util::future::join_all(rotations).await;
    let mut urls = vec![url(&share)];
    for reply in &replies {
        match reply.status {
            200 => urls.push(url(&answered(reply, 200))),
            // Others were quicker three times.
            409 => {}
            other => panic!("{other}"),
        }
    }
    let mut open = 0;
    urls.sort();
    urls.dedup();
    for url in &urls {
        open += usize::from(closed_url(&app, url).await.is_none());
    }
    assert_eq!(open, 1, "{urls:?}");
    let shown = answered(&call(&app, "GET", &one(&share), "k1", "").await, 200);
    assert_eq!(closed(&app, &shown).await, None);
    let list = answered(&call(&app, "GET", ALL, "k1", "").await, 200);
    assert_eq!(list["shares"][0]["share_url"], shown["share_url"]);
}
