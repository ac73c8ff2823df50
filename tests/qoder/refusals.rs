//! Errors before and beside the calls, and what is said of them in the log.

use std::io::Write;
use std::sync::{Arc, Mutex};

use hallpass::model::key::{ApiKeyState, Scope, Scopes};

use super::*;

#[tokio::test]
async fn methods_are_refused_before_the_token_is_looked_at() {
    let app = fixture().await;
    for root in ROOTS {
        for (path, allow) in [
            (root.to_owned(), "GET, HEAD, POST"),
            (format!("{root}/{F1}"), "GET, HEAD, DELETE"),
            (format!("{root}/{F1}/content"), "GET, HEAD"),
        ] {
            for method in ["PATCH", "PUT", "OPTIONS", "TRACE"] {
                let reply = app.client.request(method, &path, &[], b"").await;
                refused_as(&reply, 405, "invalid_request_error", "The method");
                assert_eq!(reply.header("allow"), Some(allow), "{method} {path}");
            }
            let reply = app.client.request("BREW", &path, &[PAT_A], b"").await;
            refused_as(&reply, 501, "api_error", "The method");
        }
    }
}

#[tokio::test]
async fn c74_errors_without_a_call_have_the_envelope_of_their_path() {
    let app = fixture().await;
    for path in [
        "/v1/files/",
        "/v1/files//content",
        "/v1/files/x/content/",
        "/v1/files/x/y",
        "/api/v1/cloud/",
        "/api/v1/cloud/sessions",
        "/api/v1/cloud/files/x/y?x=y",
    ] {
        let reply = app.client.get(path, &[]).await;
        refused_as(&reply, 404, "not_found_error", "There is nothing here.");
    }
    let long = format!("/v1/files/{}", "x".repeat(9_000));
    let reply = app.client.get(&long, &[PAT_A]).await;
    refused_as(
        &reply,
        414,
        "invalid_request_error",
        "The address is too long.",
    );
    for path in [
        "/",
        "/v1",
        "/v1/filesystem",
        "/api/v1/cloud",
        "/v1/organizations/o/x",
    ] {
        app.client.get(path, &[]).await.refused(404, "NOT_FOUND");
    }
    let named = [PAT_A, ("X-Request-Id", "my-own.1")];
    let reply = app.client.get("/v1/files/x", &named).await;
    assert_eq!(reply.header("x-request-id"), Some("my-own.1"));
}

#[tokio::test]
async fn c74_a_catalogue_that_is_gone_is_told_in_the_envelope() {
    let app = fixture().await;
    app.sql("ALTER TABLE file RENAME TO file_that_was");
    let reply = app.client.get(FILES, &[PAT_A]).await;
    let status = reply.status;
    assert!(matches!(status, 500 | 503), "{status}");
    let error = refused_as(&reply, status, "api_error", "");
    assert!(
        !error["message"].as_str().unwrap().contains("file"),
        "{error}"
    );
    let retry = (status == 503).then_some("1");
    assert_eq!(reply.header("retry-after"), retry);
}

#[tokio::test]
async fn the_path_of_the_public_url_changes_no_envelope() {
    let app = fixture_with(&[("server.public_base_url", "https://files.example.com/hall")]).await;
    let reply = app
        .client
        .get("/hall/v1/files/file_nonexistent123", &[PAT_A])
        .await;
    refused(&reply, 404, golden!("not_found"));
    let reply = app
        .client
        .get(&format!("/hall{FILES}/{F1}/content"), &[PAT_A])
        .await;
    let location = reply.header("location").unwrap();
    assert!(location.starts_with("https://files.example.com/hall/v1/organizations/account_a/"));
}

#[tokio::test]
async fn keys_need_the_scope_of_the_call() {
    let app = fixture().await;
    for (name, scope) in [("r", Scope::Read), ("m", Scope::Mint), ("w", Scope::Write)] {
        app.api_key("account_a", name, Scopes::of(&[scope])).await;
    }
    let content = format!("{FILES}/{F1}/content");
    let (one, other) = (format!("{FILES}/{F1}"), format!("{FILES}/{F2}"));
    for (method, path, needed) in [
        ("GET", FILES, "r"),
        ("GET", &one, "r"),
        ("GET", &content, "m"),
        ("POST", FILES, "w"),
        ("DELETE", &other, "w"),
    ] {
        for name in ["r", "m", "w"] {
            let bearer = format!("Bearer {name}");
            let reply = app
                .client
                .request(method, path, &[("Authorization", &bearer)], b"")
                .await;
            if name == needed {
                assert!(
                    reply.status != 403 && reply.status != 401,
                    "{method} {path}"
                );
            } else {
                refused(&reply, 403, golden!("scope_missing"));
            }
        }
    }
}

#[tokio::test]
async fn keys_that_do_not_work_are_all_one_refusal() {
    use hallpass::gateway::tenants::NewApiKey;
    use hallpass::model::id::{ApiKeyId, OrganizationId};
    let app = fixture().await;
    for (text, state) in [
        ("paused", ApiKeyState::Paused),
        ("off", ApiKeyState::Deactivated),
    ] {
        let id = app.api_key("account_a", text, Scopes::USUAL).await;
        let id = ApiKeyId::parse(&id).unwrap();
        app.gateway.set_api_key_state(&id, state).await.unwrap();
    }
    let short = NewApiKey {
        organization: OrganizationId::parse("account_a").unwrap(),
        name: String::new(),
        scopes: Scopes::USUAL,
        expires_in: Some(10),
        text: Some("short".into()),
    };
    app.gateway.create_api_key(short).await.unwrap();
    app.at(10);
    for text in ["paused", "off", "short"] {
        let bearer = format!("Bearer {text}");
        let reply = app.client.get(FILES, &[("Authorization", &bearer)]).await;
        refused(&reply, 401, golden!("unauthenticated"));
    }
}

/// A log that a test can read.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn c75_the_log_names_calls_and_keeps_secrets() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // While there is only one subscriber, a thread without it that comes upon an event first switches the
    // event off for all; with two, each thread asks its own.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    // The gateway runs on this thread, too.
    let logging = tracing::subscriber::set_default(subscriber);
    let app = fixture().await;
    let minted = app
        .client
        .get(&format!("{FILES}/{F1}/content"), &[PAT_A])
        .await;
    let link = crate::support::app::target(minted.header("location").unwrap());
    assert_eq!(app.client.get(&link, &[]).await.status, 200);
    app.client
        .get(FILES, &[("Authorization", "Bearer pt-wrong")])
        .await;
    app.client
        .get(&format!("{FILES}/{F2}/content"), &[PAT_A])
        .await;
    drop(logging);
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for said in [
        "qoder_content",
        "qoder_files",
        "minted a signed URL",
        "key_unknown",
        "purpose_denied",
    ] {
        assert!(log.contains(said), "{said} is not in {log}");
    }
    let token = link.split_once("token=").unwrap().1;
    let mac = token.split_once('.').unwrap().1;
    for secret in ["pt-a", "pt-wrong", token, &mac[13..]] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}
