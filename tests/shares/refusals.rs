//! Every no of the calls, each sent over a socket.

use serde_json::{Value, json};

use super::{ALL, answered, call, closed, fixture, one, plain};
use crate::support::app::{T0, TestApp};

#[tokio::test]
async fn who_may_what() {
    let app = fixture().await;
    let share = plain(&app).await;
    let target = one(&share);
    let rotate = format!("{target}/rotate");
    let body = r#"{"files":["file_abc123"]}"#;
    let calls = [
        ("POST", ALL, body),
        ("GET", ALL, ""),
        ("GET", &target, ""),
        ("PATCH", &target, "{}"),
        ("DELETE", &target, ""),
        ("POST", &rotate, ""),
    ];
    for (method, target, body) in calls {
        let bytes = body.as_bytes();
        let none = app.client.request(method, target, &[], bytes).await;
        none.refused(401, "AUTHENTICATION_REQUIRED");
        let unknown = call(&app, method, target, "nobody", body).await;
        unknown.refused(401, "INVALID_API_KEY");
        let scope = call(&app, method, target, "reader", body).await;
        let error = scope.refused(403, "INSUFFICIENT_PERMISSIONS");
        assert_eq!(error["system_message"], "the API key lacks the scope mint");
        let foreign = call(&app, method, target, "k2", body).await;
        foreign.refused(403, "ORGANIZATION_ACCESS_DENIED");
        // Another's share is for `admin`.
        if target != ALL {
            let other = call(&app, method, target, "other", body).await;
            let error = other.refused(403, "INSUFFICIENT_PERMISSIONS");
            assert_eq!(error["system_message"], "the API key lacks the scope admin");
        }
    }
    assert_eq!(closed(&app, &share).await, None, "nothing was changed");
    let shown = answered(&call(&app, "GET", &target, "root", "").await, 200);
    assert_eq!(shown, share);
    let paused = call(&app, "PATCH", &target, "root", r#"{"state":"paused"}"#).await;
    assert_eq!(answered(&paused, 200)["state"], "paused");
}

#[tokio::test]
async fn other_methods_and_paths_are_none() {
    let app = fixture().await;
    let share = plain(&app).await;
    let target = one(&share);
    let rotate = format!("{target}/rotate");
    for (target, allow, others) in [
        (
            ALL,
            "GET, HEAD, POST",
            &["PUT", "PATCH", "DELETE", "OPTIONS"][..],
        ),
        (
            &target,
            "GET, HEAD, PATCH, DELETE",
            &["POST", "PUT", "OPTIONS"],
        ),
        (
            &rotate,
            "POST",
            &["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"],
        ),
    ] {
        for method in others {
            let reply = call(&app, method, target, "k1", "").await;
            assert_eq!(reply.status, 405, "{method} {target}");
            assert_eq!(reply.header("allow"), Some(allow), "{method} {target}");
        }
    }
    for nowhere in [
        format!("{ALL}/"),
        format!("{target}/"),
        format!("{target}/rotate/"),
        format!("{target}/revoke"),
        format!("{target}/rotate/now"),
        ALL.replace("shares", "share"),
    ] {
        let reply = call(&app, "GET", &nowhere, "k1", "").await;
        reply.refused(404, "NOT_FOUND");
    }
    for unknown in ["share_unknown", "a.b", "%73hare", &"s".repeat(129)] {
        for (method, tail, body) in [
            ("GET", "", ""),
            ("PATCH", "", "{}"),
            ("DELETE", "", ""),
            ("POST", "/rotate", ""),
        ] {
            let target = format!("{ALL}/{unknown}{tail}");
            let reply = call(&app, method, &target, "k1", body).await;
            reply.refused(404, "NOT_FOUND");
        }
    }
}

/// Faults of fields: the body, the field, and the value that the answer repeats.
const FAULTS: [(&str, &str, Option<&str>); 34] = [
    (r#"{"files":[]}"#, "files", None),
    (r#"{"files":"file_abc123"}"#, "files", None),
    (r#"{"files":null}"#, "files", None),
    (r#"{"files":[1]}"#, "files", None),
    (
        r#"{"files":["file_abc123","file_abc123"]}"#,
        "files",
        Some("file_abc123"),
    ),
    (
        r#"{"files":["file_missing"]}"#,
        "files",
        Some("file_missing"),
    ),
    (r#"{"files":["../etc"]}"#, "files", Some("../etc")),
    (
        r#"{"folder_id":"dir_missing"}"#,
        "folder_id",
        Some("dir_missing"),
    ),
    (r#"{"folder_id":""}"#, "folder_id", Some("")),
    (r#"{"title":5}"#, "title", None),
    (r#"{"title":"a\u202eb"}"#, "title", Some("a\u{202e}b")),
    (r#"{"title":"a\u0000b"}"#, "title", Some("a\0b")),
    (r#"{"expires_in":0}"#, "expires_in", Some("0")),
    (r#"{"expires_in":-1}"#, "expires_in", Some("-1")),
    (r#"{"expires_in":1.5}"#, "expires_in", Some("1.5")),
    (r#"{"expires_in":"60"}"#, "expires_in", None),
    (r#"{"expires_in":2592001}"#, "expires_in", Some("2592001")),
    (r#"{"expires_in":null}"#, "expires_in", None),
    (
        r#"{"not_before":100000000000}"#,
        "not_before",
        Some("100000000000"),
    ),
    (r#"{"max_downloads":0}"#, "max_downloads", Some("0")),
    (
        r#"{"max_downloads":1000001}"#,
        "max_downloads",
        Some("1000001"),
    ),
    (r#"{"max_downloads":true}"#, "max_downloads", None),
    (r#"{"ip":"192.0.2.1/24"}"#, "ip", Some("192.0.2.1/24")),
    (r#"{"ip":["192.0.2.1"]}"#, "ip", None),
    (r#"{"preview":null}"#, "preview", None),
    (r#"{"password":""}"#, "password", None),
    (r#"{"password":"a\u0000b"}"#, "password", None),
    (r#"{"password":7}"#, "password", None),
    (r#"{"password":false}"#, "password", None),
    (r#"{"zip":"yes"}"#, "zip", None),
    (r#"{"state":"revoked"}"#, "state", Some("revoked")),
    (r#"{"max_download":1}"#, "max_download", None),
    (r#"{"share_url":"http://x/s/y"}"#, "share_url", None),
    (r#"{"revision":0}"#, "revision", None),
];

/// Sends it as the body of a call that makes a share, and of one that changes this one.
async fn is_fault(app: &TestApp, share: &Value, body: &Value, field: &str, value: Option<&str>) {
    let mut with_file = body.clone();
    let fields = with_file.as_object_mut().unwrap();
    fields.entry("files").or_insert(json!(["file_abc123"]));
    let target = one(share);
    for (method, target, body) in [("POST", ALL, &with_file), ("PATCH", &target, body)] {
        let reply = call(app, method, target, "k1", &body.to_string()).await;
        let error = reply.refused(422, "VALIDATION_ERROR");
        let details = &error["details"];
        let said = (details["field"].as_str(), details["value"].as_str());
        assert_eq!(said, (Some(field), value), "{method} {field}");
    }
}

#[tokio::test]
async fn each_fault_names_its_field() {
    let app = fixture().await;
    let share = plain(&app).await;
    for (body, field, value) in FAULTS {
        let body = serde_json::from_str(body).unwrap();
        is_fault(&app, &share, &body, field, value).await;
    }
    let many: Vec<String> = (0..10_001).map(|n| format!("file_{n}")).collect();
    let long = "x".repeat(2_001);
    let cut = Some(&long[..128]);
    for (body, field, value) in [
        (json!({ "files": many }), "files", None),
        (json!({"title": long[..201]}), "title", cut),
        (json!({"note": long}), "note", cut),
        (json!({"password": long[..129]}), "password", None),
        (json!({"password": "é".repeat(65)}), "password", None),
    ] {
        is_fault(&app, &share, &body, field, value).await;
    }
    for (body, field) in [
        (json!({}), "files"),
        (
            json!({"files": ["file_abc123"], "state": "active"}),
            "state",
        ),
        (
            json!({"files": ["file_abc123"], "expires_in": 9, "not_before": T0 + 9}),
            "not_before",
        ),
    ] {
        let reply = call(&app, "POST", ALL, "k1", &body.to_string()).await;
        let error = reply.refused(422, "VALIDATION_ERROR");
        assert_eq!(error["details"]["field"], field);
    }
    let list = answered(&call(&app, "GET", ALL, "root", "").await, 200);
    let listed = list["shares"].as_array().unwrap();
    assert_eq!(listed.len(), 1, "no other one was made");
    let shown = answered(&call(&app, "GET", &one(&share), "k1", "").await, 200);
    assert_eq!(shown, share, "and nothing was changed");
}

#[tokio::test]
async fn bodies_that_are_no_object_are_refused() {
    let app = fixture().await;
    let share = plain(&app).await;
    let target = one(&share);
    let rotate = format!("{target}/rotate");
    for (method, target) in [("POST", ALL), ("PATCH", &target)] {
        for body in [
            "",
            "nonsense",
            "{",
            "{} {}",
            "[]",
            "null",
            "\"a\"",
            "{\"title\":}",
            "\u{feff}{}",
        ] {
            let reply = call(&app, method, target, "k1", body).await;
            reply.refused(400, "BAD_REQUEST");
        }
        let twice = r#"{"title":"a","title":"b","files":["file_abc123"]}"#;
        let error = call(&app, method, target, "k1", twice).await;
        let error = error.refused(422, "VALIDATION_ERROR");
        assert_eq!(error["details"]["field"], "title");
        let huge = format!("{{\"note\":\"{}\"}}", "y".repeat(2 << 20));
        let reply = call(&app, method, target, "k1", &huge).await;
        reply.refused(413, "PAYLOAD_TOO_LARGE");
        for header in [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Content-Encoding", "gzip"),
        ] {
            let headers = [("X-API-Key", "k1"), header];
            let reply = app.client.request(method, target, &headers, b"{}").await;
            reply.refused(415, "UNSUPPORTED_MEDIA_TYPE");
        }
    }
    for body in ["[]", "null", r#"{"a":1}"#, "x"] {
        let reply = call(&app, "POST", &rotate, "k1", body).await;
        let error = reply.refused(422, "VALIDATION_ERROR");
        assert_eq!(error["details"]["field"], "body");
    }
    assert_eq!(closed(&app, &share).await, None);
}

/// Files and folders of others are not there.
#[tokio::test]
async fn only_what_is_the_organization_s_own_is_shared() {
    let app = fixture().await;
    let new = crate::support::app::new_file("org_abc123", "file_other", "o.txt");
    app.put(new, b"bytes").await;
    let body = r#"{"files":["file_other"]}"#;
    let reply = call(&app, "POST", ALL, "k1", body).await;
    let error = reply.refused(422, "VALIDATION_ERROR");
    assert_eq!(error["details"]["value"], "file_other");
    let share = plain(&app).await;
    let id = share["share_id"].as_str().unwrap();
    let target = format!("/v1/organizations/org_abc123/shares/{id}");
    let reply = call(&app, "GET", &target, "k2", "").await;
    reply.refused(404, "NOT_FOUND");
    let list = "/v1/organizations/org_abc123/shares";
    let list = answered(&call(&app, "GET", list, "k2", "").await, 200);
    assert_eq!(list["shares"], json!([]));
}
