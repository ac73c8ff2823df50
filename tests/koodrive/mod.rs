//! The KooDrive API, check by check of its contract, over a real socket.

mod apps;
mod folders;
mod links;
mod refusals;

use bytes::Bytes;
use hallpass::gateway::upload::NewFile;
use hallpass::model::file::Purpose;
use hallpass::model::id::{FileId, OrganizationId, SpaceId};
use hallpass::model::key::Scopes;
use hallpass::model::metadata::Metadata;
use hallpass::model::name::FileName;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::client::Reply;

/// The one path.
const PATH: &str = "/koodrive/ose/v1/files/download";
/// The space and the file of the vendor's page.
const SPACE: &str = "IAADfsBFCO6WtAtuA9add2fea594e4e75b8feb8474ef236";
const FILE: &str = "Fn1bTLIOomJkTCAe9DEVBRY4U6IkuqkMZ";
/// What the file holds.
const INVOICE: &[u8] = b"%PDF-1.7 an invoice";

/// The headers of a good call at T0, as the vendor's clients spell them.
const HEADERS: [(&str, &str); 4] = [
    ("Authorization", "Bearer+tok"),
    ("X-User-Id", "1505084218764547200"),
    ("X-Date", "20260518T153452Z"),
    ("Content-Type", "application/json"),
];

/// `org_koo` with its key `tok`, the space and the file of the vendor's page, and `org_else` with its
/// key `tok2`: the fixture of the KooDrive checks.
struct Koo(TestApp);

impl Koo {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(settings: &[(&'static str, &str)]) -> Self {
        let koo = Self(TestApp::start_with(settings).await);
        for (organization, key) in [("org_koo", "tok"), ("org_else", "tok2")] {
            let id = OrganizationId::parse(organization).unwrap();
            let made = koo.0.gateway.create_organization(Some(id), String::new());
            made.await.unwrap();
            koo.0.api_key(organization, key, Scopes::USUAL).await;
        }
        koo.space("org_koo", SPACE).await;
        koo.add("org_koo", SPACE, FILE, "Invoice 1.pdf", INVOICE)
            .await;
        koo
    }

    async fn space(&self, organization: &str, id: &str) {
        let organization = OrganizationId::parse(organization).unwrap();
        let id = SpaceId::parse(id).unwrap();
        let made = self
            .0
            .gateway
            .create_space(organization, Some(id), String::new());
        made.await.unwrap();
    }

    async fn add(&self, organization: &str, space: &str, id: &str, name: &str, bytes: &[u8]) {
        let name = FileName::from_client(name).unwrap();
        let new = NewFile {
            organization: OrganizationId::parse(organization).unwrap(),
            space: SpaceId::parse(space).unwrap(),
            id: Some(FileId::parse(id).unwrap()),
            media_type: None,
            name,
            purpose: Purpose::UserUpload,
            metadata: Metadata::default(),
            created_at: None,
            uploaded_by: None,
            expires_in: None,
        };
        let mut upload = self.0.gateway.begin_upload().await.unwrap();
        upload.write(Bytes::copy_from_slice(bytes)).await.unwrap();
        self.0.gateway.finish_upload(upload, new).await.unwrap();
    }

    async fn delete(&self, organization: &str, id: &str) {
        let organization = OrganizationId::parse(organization).unwrap();
        let id = FileId::parse(id).unwrap();
        self.0.gateway.delete(&organization, &id).await.unwrap();
    }

    /// Sends a body with the headers of a good call, but for those that are changed (or left out).
    async fn call(&self, changed: &[(&str, Option<&str>)], body: &[u8]) -> Reply {
        let mut headers: Vec<(&str, &str)> = HEADERS.to_vec();
        for (name, value) in changed {
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            headers.extend(value.map(|value| (*name, value)));
        }
        self.0.client.request("POST", PATH, &headers, body).await
    }

    /// Asks for files of the fixture's space.
    async fn ask(&self, files: &[&str]) -> Reply {
        self.call(&[], body(SPACE, files).as_bytes()).await
    }

    /// Mints one link for the fixture's file; `options` are more fields, each after a comma.
    async fn link(&self, options: &str) -> String {
        let whole = body(SPACE, &[FILE]);
        let text = format!("{}{options}}}", whole.strip_suffix('}').unwrap());
        let reply = self.call(&[], text.as_bytes()).await;
        let json = granted(&reply, 1);
        json["downloads"][0]["url"].as_str().unwrap().to_owned()
    }
}

/// A request body.
fn body(container: &str, files: &[&str]) -> String {
    json!({ "containerId": container, "fileIds": files }).to_string()
}

/// Asserts what every answer of this API has, and that the call as a whole succeeded.
#[track_caller]
fn granted(reply: &Reply, batch_code: u64) -> Value {
    let text = String::from_utf8_lossy(&reply.body);
    assert_eq!(reply.status, 200, "{text}");
    common(reply);
    let json = reply.json();
    assert_eq!(json["batchCode"], batch_code, "{text}");
    assert_eq!(
        (&json["code"], &json["msg"]),
        (&json!(0), &json!("Success."))
    );
    json
}

/// Asserts that the whole call was refused, with this very body.
#[track_caller]
fn refused(reply: &Reply, status: u16, body: &str) {
    let text = String::from_utf8_lossy(&reply.body);
    assert_eq!((reply.status, text.as_ref()), (status, body));
    common(reply);
    reply.json();
    let challenge = (status == 401).then_some("Bearer realm=\"hallpass\"");
    assert_eq!(reply.header("www-authenticate"), challenge);
}

#[track_caller]
fn common(reply: &Reply) {
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert!(reply.header("x-request-id").is_some());
    assert_eq!(reply.header("set-cookie"), None);
    let traceid = reply.header("x-traceid").expect("every answer has one");
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    assert!(
        traceid.len() == 58 && traceid.bytes().all(good),
        "{traceid}"
    );
}

/// The two refusals that most bad calls meet, and the one of a bad key.
const NOT_JSON: &str = r#"{"code":13000101,"msg":"Bad Request"}"#;
const BAD_FIELD: &str = r#"{"code":13000102,"msg":"Verify parameters failed."}"#;
const BAD_KEY: &str = r#"{"code":401,"msg":"Unauthorized"}"#;
const NO_SPACE: &str = r#"{"code":13000301,"msg":"Space not found."}"#;
const NO_FOLDER: &str = r#"{"code":13000309,"msg":"Resource not found."}"#;
