//! An API key that ends while its upload comes in: nothing is stored with it.

use hallpass::gateway::tenants::NewApiKey;
use hallpass::model::id::{ApiKeyId, OrganizationId};
use hallpass::model::key::{ApiKeyState, Scopes};

use super::uploads::UPLOAD;
use crate::support::app::TestApp;
use crate::support::form::Form;
use crate::support::upload::UnderWay;

const LIST: &str = "/v1/organizations/org_123/files";

/// The ways in which a key ends, each with the code that says so.
const ENDS: [(Option<ApiKeyState>, &str); 3] = [
    (Some(ApiKeyState::Paused), "API_KEY_PAUSED"),
    (Some(ApiKeyState::Deactivated), "API_KEY_DEACTIVATED"),
    (None, "API_KEY_EXPIRED"),
];

/// Makes a key that expires in a minute.
async fn key(app: &TestApp, text: &str) -> ApiKeyId {
    let new = NewApiKey {
        organization: OrganizationId::parse("org_123").unwrap(),
        name: String::new(),
        scopes: Scopes::USUAL,
        expires_in: Some(60),
        text: Some(text.into()),
    };
    app.gateway.create_api_key(new).await.unwrap().0.id
}

/// Ends a key as another process does, which the gateway need not have heard of.
async fn end(app: &TestApp, key: &ApiKeyId, state: Option<ApiKeyState>) {
    match state {
        Some(state) => {
            let catalog = app.catalogue_from_outside().await;
            catalog.set_api_key_state(key, state).await.unwrap();
        }
        None => app.at(60),
    }
}

#[tokio::test]
async fn a_key_that_ends_while_its_upload_comes_in_stores_nothing() {
    let of_batch = "Content-Disposition: form-data; name=\"files\"; filename=\"b.txt\"";
    for (number, (state, code)) in ENDS.into_iter().enumerate() {
        let app = TestApp::start().await.with_org_123().await;
        let text = format!("ends-{number}");
        let id = key(&app, &text).await;
        let bearer = format!("Bearer {text}");
        let mut uploads = Vec::new();
        for (target, header, form) in [
            (UPLOAD, vec![("X-API-Key", text.as_str())], Form::default()),
            (
                UPLOAD,
                vec![("X-API-Key", text.as_str()), ("Idempotency-Key", "once")],
                Form::default(),
            ),
            (
                "/v1/files",
                vec![("Authorization", &bearer)],
                Form::default(),
            ),
        ] {
            let form = form.file("a.txt", b"bytes").close();
            let mut upload = UnderWay::begin(app.client.0, target, &header, form).await;
            upload.send_all_but(4).await;
            uploads.push(upload);
        }
        let batch = Form::default().part(of_batch, b"bytes").close();
        let headers = [("X-API-Key", text.as_str())];
        let mut batch = UnderWay::begin(app.client.0, UPLOAD, &headers, batch).await;
        batch.send_all_but(4).await;
        end(&app, &id, state).await;
        for upload in uploads {
            let reply = upload.finish().await;
            assert_eq!(reply.status, 401, "{code}");
            let said = String::from_utf8(reply.body).unwrap();
            let is_qoder = said.contains("authentication_error");
            assert!(is_qoder || said.contains(code), "{said}");
        }
        let reply = batch.finish().await;
        assert_eq!(
            (reply.status, &reply.json()["success"]),
            (401, &false.into())
        );
        let list = app.client.get(LIST, &[("X-API-Key", "k1")]).await.json();
        assert_eq!(list["total"], 2);
        assert_eq!(app.blobs_kept().await, 2, "nor bytes");
    }
}
