//! What the calls answer.

use serde_json::json;

use super::{ALL, answered, call, closed, code_of, fixture, fixture_with, made, one, plain};
use crate::support::app::T0;

#[tokio::test]
async fn a_share_is_made_shown_and_listed() {
    let app = fixture().await;
    let asked = json!({
        "files": ["file_def456", "file_abc123"], "title": "Q3", "note": "both of them", "expires_in": 3600,
        "not_before": T0 - 5, "max_downloads": 5, "ip": "192.0.2.0/24", "preview": false, "zip": true,
    });
    let share = made(&app, &asked).await;
    let id = share["share_id"].as_str().unwrap();
    assert!(id.starts_with("share_"), "{id}");
    let url = share["share_url"].as_str().unwrap();
    let base = format!("http://{}/s/", app.client.0);
    assert!(url.starts_with(&base), "{url}");
    assert_eq!(code_of(url).len(), 22);
    assert!(
        code_of(url)
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric())
    );
    let wanted = json!({
        "share_id": id,
        "organization_id": "org_123",
        "share_url": url,
        "link_id": share["link_id"],
        "state": "active",
        "title": "Q3",
        "note": "both of them",
        "expires": T0 + 3600,
        "not_before": T0 - 5,
        "max_downloads": 5,
        "done": 0,
        "open": 0,
        "downloads": 0,
        "bytes_sent": 0,
        "last_download_at": null,
        "opened": 0,
        "first_opened_at": null,
        "has_password": false,
        "ip": "192.0.2.0/24",
        "preview": false,
        "zip": true,
        "created_at": "2026-05-18T15:34:52Z",
        "created_by_api_key_id": share["created_by_api_key_id"],
        "file_count": 2,
        "files": [
            {"n": 1, "path": "other.png", "file_id": "file_def456", "file_size": 11, "mime_type": "image/png",
             "state": "ready"},
            {"n": 2, "path": "report.png", "file_id": "file_abc123", "file_size": 70, "mime_type": "image/png",
             "state": "ready"},
        ],
    });
    assert_eq!(share, wanted);
    assert!(
        share["created_by_api_key_id"]
            .as_str()
            .unwrap()
            .starts_with("key_")
    );
    let reply = call(&app, "GET", &one(&share), "k1", "").await;
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(answered(&reply, 200), wanted);
    let head = call(&app, "HEAD", &one(&share), "k1", "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));

    let mut in_list = wanted.clone();
    in_list.as_object_mut().unwrap().remove("files");
    let list = answered(&call(&app, "GET", ALL, "k1", "").await, 200);
    assert_eq!(
        list,
        json!({"shares": [in_list], "has_more": false, "next_after": null})
    );
}

#[tokio::test]
async fn what_nobody_says_is_usual() {
    let app = fixture().await;
    let share = plain(&app).await;
    for (field, usual) in [
        ("title", json!("")),
        ("expires", json!(T0 + 2_592_000)),
        ("max_downloads", json!(null)),
        ("not_before", json!(null)),
        ("ip", json!(null)),
        ("preview", json!(true)),
        ("zip", json!(true)),
    ] {
        assert_eq!(share[field], usual, "{field}");
    }
    assert_eq!(closed(&app, &share).await, None);
    // Two are never one.
    assert_ne!(plain(&app).await["share_url"], share["share_url"]);

    let app = fixture_with(&[("shares.lifetime_max", "never")]).await;
    let forever = json!({"files": ["file_abc123"], "expires_in": null});
    assert_eq!(made(&app, &forever).await["expires"], json!(null));
}

#[tokio::test]
async fn pages_of_the_list_follow_each_other() {
    let app = fixture().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(plain(&app).await["share_id"].clone());
    }
    ids.reverse();
    let (mut found, mut target) = (Vec::new(), format!("{ALL}?limit=2"));
    loop {
        let page = answered(&call(&app, "GET", &target, "k1", "").await, 200);
        let shares = page["shares"].as_array().unwrap();
        assert!((1..=2).contains(&shares.len()));
        found.extend(shares.iter().map(|share| share["share_id"].clone()));
        let Some(after) = page["next_after"].as_str() else {
            assert_eq!(page["has_more"], false);
            break;
        };
        assert_eq!(page["has_more"], true);
        target = format!("{ALL}?limit=2&after={after}");
    }
    assert_eq!(found, ids);
    for bad in [
        "limit=0",
        "limit=101",
        "after=",
        "after=a/b",
        "limit=1&limit=1",
    ] {
        let reply = call(&app, "GET", &format!("{ALL}?{bad}"), "k1", "").await;
        reply.refused(422, "VALIDATION_ERROR");
    }
    let others = answered(&call(&app, "GET", ALL, "other", "").await, 200);
    assert_eq!(others["shares"], json!([]), "they are another key's");
    let all = answered(&call(&app, "GET", ALL, "root", "").await, 200);
    assert_eq!(all["shares"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_share_is_changed_and_its_address_stays() {
    let app = fixture().await;
    let share = made(
        &app,
        &json!({"files": ["file_abc123"], "max_downloads": 1, "ip": "192.0.2.1", "not_before": T0 - 9}),
    )
    .await;
    let patch = async |body: serde_json::Value| {
        let reply = call(&app, "PATCH", &one(&share), "k1", &body.to_string()).await;
        answered(&reply, 200)
    };
    let same = patch(json!({})).await;
    assert_eq!(same, share);
    let changed = patch(json!({
        "title": " New ", "note": "n", "expires_in": 60, "max_downloads": null, "ip": null, "not_before": null,
        "zip": false, "files": ["file_abc123", "file_def456"],
    }))
    .await;
    let mut wanted = share.clone();
    for (field, value) in [
        ("title", json!("New")),
        ("note", json!("n")),
        ("expires", json!(T0 + 60)),
        ("max_downloads", json!(null)),
        ("ip", json!(null)),
        ("not_before", json!(null)),
        ("zip", json!(false)),
        ("file_count", json!(2)),
        ("files", changed["files"].clone()),
    ] {
        wanted[field] = value;
    }
    assert_eq!(changed, wanted);
    assert_eq!(changed["files"][1]["n"], 2);
    let less = patch(json!({"files": ["file_def456"]})).await;
    assert_eq!(less["files"][0]["n"], 2, "a number stays with its file");
    let again = patch(json!({"files": ["file_def456", "file_abc123"]})).await;
    assert_eq!(again["files"][1]["n"], 3, "and is given once");
    assert_eq!(patch(json!({"state": "paused"})).await["state"], "paused");
    assert_eq!(patch(json!({"state": "active"})).await["state"], "active");
}

#[tokio::test]
async fn what_became_of_files_is_said() {
    let app = fixture().await;
    app.add("file_gone", "gone.txt", b"gone").await;
    app.add("file_hurt", "hurt.txt", b"hurt").await;
    let files = ["file_abc123", "file_def456", "file_gone", "file_hurt"];
    let share = made(&app, &json!({ "files": files })).await;
    let target = "/v1/organizations/org_123/files/file_gone";
    assert_eq!(call(&app, "DELETE", target, "k1", "").await.status, 204);
    app.revoke_links_of("file_def456").await;
    app.mark_as_damaged("file_hurt").await;
    let shown = answered(&call(&app, "GET", &one(&share), "k1", "").await, 200);
    let states = shown["files"].as_array().unwrap().iter();
    let states: Vec<_> = states.map(|file| file["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["ready", "revoked", "deleted", "damaged"]);
    assert_eq!(shown["state"], "active");
}

/// Who did what, and never the address.
#[tokio::test]
async fn each_change_is_in_the_audit_stream() {
    let app = fixture().await;
    let share = plain(&app).await;
    let target = one(&share);
    call(&app, "PATCH", &target, "k1", r#"{"state":"paused"}"#).await;
    let rotated = call(&app, "POST", &format!("{target}/rotate"), "k1", "").await;
    let rotated = answered(&rotated, 200);
    assert_eq!(call(&app, "DELETE", &target, "k1", "").await.status, 204);
    let directory = app.stop().await;
    let stream = std::fs::read_to_string(directory.path().join("audit.jsonl")).unwrap();
    for share in [&share, &rotated] {
        let code = code_of(share["share_url"].as_str().unwrap());
        assert!(!stream.contains(code));
    }
    let lines = stream
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let events: Vec<serde_json::Value> = lines
        .filter(|line: &serde_json::Value| line["share_id"] == share["share_id"])
        .collect();
    let names: Vec<_> = events
        .iter()
        .map(|line| line["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["share_create", "share_edit", "share_rotate", "share_revoke"]
    );
    for event in &events {
        assert_eq!(event["organization_id"], "org_123");
        assert_eq!(event["api_key_id"], share["created_by_api_key_id"]);
        assert_eq!(event["trace_id"].as_str().unwrap().len(), 36);
        assert_eq!(event["expires"], share["expires"]);
    }
    assert_eq!(events[0]["link_id"], share["link_id"]);
    assert_eq!(events[2]["link_id"], rotated["link_id"]);
    let states: Vec<_> = events
        .iter()
        .map(|line| line["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["active", "paused", "paused", "revoked"]);
}

/// It is kept as a hash of its own, said in no answer, and another one ends what was opened with the one before.
#[tokio::test]
async fn a_password_is_hashed_and_never_said() {
    let app = fixture().await;
    let rows = async |share: &serde_json::Value| {
        let catalogue = app.catalogue_from_outside().await;
        let id = share["share_id"].as_str().unwrap().parse().unwrap();
        let found = catalogue.share(&"org_123".parse().unwrap(), &id).await;
        found.unwrap().unwrap().share
    };
    let longest = "p".repeat(128);
    let mut hashes = Vec::new();
    for password in ["x", "correct horse 9", "contraseña-ñ", &longest, &longest] {
        let body = json!({"files": ["file_abc123"], "password": password}).to_string();
        let reply = call(&app, "POST", ALL, "k1", &body).await;
        let share = answered(&reply, 201);
        assert_eq!(share["has_password"], true);
        let said = String::from_utf8(reply.body).unwrap();
        assert!(password.len() < 2 || !said.contains(password), "{said}");
        let row = rows(&share).await;
        let hash = row.password.unwrap().reveal().to_owned();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert_eq!(row.pass_revision, 0);
        hashes.push(hash);
    }
    assert_ne!(hashes[3], hashes[4], "each has a salt of its own");

    let share = made(
        &app,
        &json!({"files": ["file_abc123"], "password": "one-1"}),
    )
    .await;
    let patch = async |body: serde_json::Value| {
        let reply = call(&app, "PATCH", &one(&share), "k1", &body.to_string()).await;
        let changed = answered(&reply, 200);
        (
            changed["has_password"].clone(),
            rows(&share).await.pass_revision,
        )
    };
    assert_eq!(patch(json!({"title": "x"})).await, (json!(true), 0));
    assert_eq!(patch(json!({"password": "two-2"})).await, (json!(true), 1));
    assert_eq!(patch(json!({"password": null})).await, (json!(false), 2));
}
