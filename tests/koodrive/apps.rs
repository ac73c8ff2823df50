//! App authentication, with a signer of its own, written from the vendor's pages.

use hallpass::gateway::tenants::NewApiKey;
use hallpass::model::app::App;
use hallpass::model::key::ApiKeyState;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::transport::{Http2, NAME};

const SECRET: &str = "example-app-secret";

/// The worked example: 2024-09-09T03:33:25Z, and what it is signed with.
const EXAMPLE_TIME: u64 = 1_725_852_805;
const EXAMPLE_MAC: &str = "d28c2ff2fde7482593cf9b3ad83357d5445d8f0112d5ef636530ae28b00ee086";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A request that an app is about to sign.
#[derive(Clone, Debug)]
struct Unsigned<'a> {
    query: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: &'a str,
}

impl<'a> Unsigned<'a> {
    fn new(body: &'a str) -> Self {
        let headers = vec![("x-date", "20260518T153452Z"), ("x-user-id", "u")];
        let query = "";
        Self {
            query,
            headers,
            body,
        }
    }

    fn signed_headers(&self) -> String {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        names.join(";")
    }

    fn mac(&self, secret: &str) -> String {
        let headers: String = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let canonical = format!(
            "POST\n{PATH}/\n{}\n{headers}\n{}\n{}",
            self.query,
            self.signed_headers(),
            hex(&Sha256::digest(self.body))
        );
        let message = format!(
            "HMAC-SHA256\n{}",
            hex(&Sha256::digest(canonical.as_bytes()))
        );
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(message.as_bytes());
        hex(&mac.finalize().into_bytes())
    }

    fn line(&self, app: &App) -> String {
        let (id, signed, mac) = (&app.id, self.signed_headers(), self.mac(SECRET));
        format!("HMAC-SHA256 AppId={id},SignedHeaders={signed},Signature={mac}")
    }
}

/// A key of `org_koo` whose text nobody needs.
fn new_key() -> NewApiKey {
    NewApiKey {
        organization: OrganizationId::parse("org_koo").unwrap(),
        name: String::new(),
        scopes: Scopes::USUAL,
        expires_in: None,
        text: None,
    }
}

impl Koo {
    /// An app of a fresh key of `org_koo`.
    async fn app(&self) -> App {
        let made = self.0.gateway.create_app(new_key(), Some(SECRET));
        made.await.unwrap().2
    }

    async fn signed(&self, line: &str, changed: &[(&str, Option<&str>)], body: &str) -> Reply {
        let mut all = vec![("Authorization", Some(line)), ("X-User-Id", Some("u"))];
        all.extend_from_slice(changed);
        self.call(&all, body.as_bytes()).await
    }
}

/// The `:authority` of HTTP/2 takes the place of the `Host` (RFC 9113, §8.3.1), and so does the authority of a whole
/// URL (RFC 9112, §3.2.2).
#[tokio::test]
async fn an_app_signs_the_authority_where_that_counts_instead_of_the_host() {
    let koo = Koo::start_with(&[("server.http2", "on")]).await;
    let app = koo.app().await;
    let body: &'static str = body(SPACE, &[FILE]).leak();
    let line = |host| {
        let mut unsigned = Unsigned::new(body);
        unsigned.headers.insert(0, ("host", host));
        unsigned.line(&app)
    };
    let mut http2 = Http2::plain(koo.0.client.0).await;
    for (host, status) in [(NAME, 200), ("other.example", 401)] {
        let line = line(host);
        let headers = [
            ("authorization", line.as_str()),
            ("x-user-id", "u"),
            ("x-date", "20260518T153452Z"),
        ];
        let reply = http2.request("POST", PATH, &headers, body.as_bytes()).await;
        assert_eq!(reply.unwrap().status, status, "{host} over HTTP/2");
    }
    for (host, status) in [("whole.example", 200), ("host.example", 401)] {
        let (line, length) = (line(host), body.len());
        let request = format!(
            "POST http://whole.example{PATH} HTTP/1.1\r\nHost: host.example\r\nX-Date: 20260518T153452Z\r\n\
             X-User-Id: u\r\nAuthorization: {line}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        let reply = koo.0.client.send(request.as_bytes(), false).await;
        assert_eq!(reply.status, status, "{host} in a whole URL");
    }
}

#[tokio::test]
async fn c72_the_worked_example_verifies() {
    let koo = Koo::start().await;
    let app = koo.app().await;
    koo.0.clock.set(EXAMPLE_TIME * 1000);
    let body = format!(r#"{{"containerId":"{SPACE}","fileIds":["{FILE}"]}}"#);
    assert_eq!(body.len(), 113);
    let send = async |mac: &str, date: &str, user: &str, body: &str| {
        let request = format!(
            "POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nX-Date: {date}\r\nX-User-Id: {user}\r\n\
             Authorization: HMAC-SHA256 AppId={},SignedHeaders=host;x-date;x-user-id,Signature={mac}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            app.id,
            body.len()
        );
        koo.0.client.send(request.as_bytes(), false).await
    };
    let (date, user) = ("20240909T033325Z", "1505084218764547200");
    granted(&send(EXAMPLE_MAC, date, user, &body).await, 1);

    let spaced = body.replace(':', ": ");
    let flipped = EXAMPLE_MAC.replacen('d', "e", 1);
    for reply in [
        send(EXAMPLE_MAC, date, user, &spaced).await,
        send(EXAMPLE_MAC, "20240909T033324Z", user, &body).await,
        send(EXAMPLE_MAC, date, "1505084218764547201", &body).await,
        send(&flipped, date, user, &body).await,
        send(&EXAMPLE_MAC.to_uppercase(), date, user, &body).await,
        send(&EXAMPLE_MAC[..62], date, user, &body).await,
        send("", date, user, &body).await,
    ] {
        refused(&reply, 401, BAD_KEY);
    }
}

#[tokio::test]
async fn a_signature_holds_for_fifteen_minutes() {
    let koo = Koo::start().await;
    let app = koo.app().await;
    let text = body(SPACE, &[FILE]);
    let line = Unsigned::new(&text).line(&app);
    for (seconds, fine) in [(0, true), (900, true), (901, false), (-1, false)] {
        koo.0.at(seconds);
        let reply = koo.signed(&line, &[], &text).await;
        if fine {
            granted(&reply, 1);
        } else {
            refused(&reply, 400, BAD_FIELD);
        }
    }
}

#[tokio::test]
async fn what_is_signed_cannot_be_changed_or_left_out() {
    let koo = Koo::start().await;
    let app = koo.app().await;
    let text = body(SPACE, &[FILE]);
    let mut unsigned = Unsigned::new(&text);
    unsigned
        .headers
        .insert(0, ("content-type", "application/json"));
    unsigned.headers.push(("x-hw-share-folder-id", "never"));
    let line = unsigned.line(&app);
    let folder = ("x-hw-share-folder-id", Some("never"));
    // The signature is good, the folder is not there.
    refused(&koo.signed(&line, &[folder], &text).await, 400, NO_FOLDER);
    for changed in [
        vec![],
        vec![("x-hw-share-folder-id", Some("other"))],
        vec![folder, ("Content-Type", None)],
        vec![folder, ("X-Hw-Added-On-The-Way", Some("v"))],
        vec![folder, ("X-User-Id", Some("v"))],
        vec![folder, ("X-Date", Some("20260518T153451Z"))],
    ] {
        let reply = koo.signed(&line, &changed, &text).await;
        refused(&reply, 401, BAD_KEY);
    }
    // A folder that the app did not sign would have the call done elsewhere.
    let bare = Unsigned::new(&text).line(&app);
    assert_eq!(koo.signed(&bare, &[], &text).await.status, 200);
    refused(&koo.signed(&bare, &[folder], &text).await, 401, BAD_KEY);
    for missing in ["X-User-Id", "X-Date"] {
        let reply = koo.signed(&line, &[folder, (missing, None)], &text).await;
        refused(&reply, 400, BAD_FIELD);
    }
    for line in [
        Unsigned::new(&text).line(&app).replace("x-date;", ""),
        Unsigned::new(&text)
            .line(&app)
            .replace(app.id.as_str(), "app_0"),
        Unsigned::new(&text)
            .line(&app)
            .replace(app.id.as_str(), "no id!"),
        Unsigned::new(&text)
            .line(&app)
            .replace("HMAC-SHA256 ", "HMAC-SHA512 "),
        "HMAC-SHA256".into(),
        "HMAC-SHA256 ".into(),
        format!("HMAC-SHA256 {}", "A=,".repeat(10_000)),
    ] {
        refused(&koo.signed(&line, &[], &text).await, 401, BAD_KEY);
    }
}

#[tokio::test]
async fn a_query_is_signed_encoded_and_sorted() {
    let koo = Koo::start().await;
    let app = koo.app().await;
    let text = body(SPACE, &[FILE]);
    let mut unsigned = Unsigned::new(&text);
    unsigned.query = "a=x%20y%2F&b=&c=%C3%A9~";
    let line = unsigned.line(&app);
    let mut headers = HEADERS.to_vec();
    headers[0].1 = &line;
    headers[1].1 = "u";
    for (query, status) in [
        ("?b&c=%c3%a9%7e&a=x+y/", 200),
        ("?a=x%20y%2F&b=&c=%C3%A9~", 200),
        ("?a=x%20y%2F&b=&c=%C3%A9", 401),
        ("", 401),
        ("?a=%ff", 401),
    ] {
        let target = format!("{PATH}{query}");
        let client = koo.0.client;
        let reply = client
            .request("POST", &target, &headers, text.as_bytes())
            .await;
        assert_eq!(reply.status, status, "{query}");
    }
}

#[tokio::test]
async fn an_app_is_as_good_as_its_key() {
    let koo = Koo::start().await;
    let app = koo.app().await;
    let text = body(SPACE, &[FILE]);
    let line = Unsigned::new(&text).line(&app);
    let gateway = &koo.0.gateway;
    for (state, status) in [
        (ApiKeyState::Active, 200),
        (ApiKeyState::Paused, 401),
        (ApiKeyState::Active, 200),
        (ApiKeyState::Deactivated, 401),
    ] {
        gateway.set_api_key_state(&app.key, state).await.unwrap();
        let reply = koo.signed(&line, &[], &text).await;
        assert_eq!(reply.status, status, "{state:?}");
    }
}

#[tokio::test]
async fn an_unknown_app_is_told_what_a_known_one_is() {
    let koo = Koo::start().await;
    let app = koo.app().await;
    let text = body(SPACE, &[FILE]);
    let known = Unsigned::new("another body").line(&app);
    let large = " ".repeat((1 << 20) + 1);
    let late = [("X-Date", Some("20260518T150000Z"))];
    let odd = [("X-Date", Some("yesterday"))];
    let kind = [("Content-Type", Some("text/plain"))];
    let too_large = r#"{"code":413,"msg":"Payload Too Large"}"#;
    for id in [app.id.as_str(), "app_0", "no-id!"] {
        let line = known.replace(app.id.as_str(), id);
        refused(&koo.signed(&line, &[], &text).await, 401, BAD_KEY);
        refused(&koo.signed(&line, &[], &large).await, 413, too_large);
        for wrong in [&late, &odd, &kind] {
            refused(&koo.signed(&line, wrong, &text).await, 400, BAD_FIELD);
        }
        // All of that is said before the body is waited for.
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nHost: x\r\nX-User-Id: u\r\nConnection: close\r\n\
             Content-Length: 100\r\nExpect: 100-continue\r\nAuthorization: {line}\r\n"
        );
        for (date, status, said) in [
            ("X-Date: 20260518T150000Z\r\n", 400, BAD_FIELD),
            ("", 400, BAD_FIELD),
        ] {
            let reply = format!("{head}{date}\r\n");
            let reply = koo.0.client.send(reply.as_bytes(), false).await;
            refused(&reply, status, said);
        }
        let unsent = head.replace("SignedHeaders=", "SignedHeaders=x-unsent;");
        let reply = format!("{unsent}X-Date: 20260518T153452Z\r\n\r\n");
        let reply = koo.0.client.send(reply.as_bytes(), false).await;
        refused(&reply, 401, BAD_KEY);
    }
}

#[tokio::test]
async fn drawn_secrets_are_long_and_differ() {
    let koo = Koo::start().await;
    let gateway = &koo.0.gateway;
    let (key, text, one) = gateway.create_app(new_key(), None).await.unwrap();
    assert_eq!(*gateway.recognize(&text).await.unwrap().key(), key.id);
    let (_, _, two) = gateway.create_app(new_key(), None).await.unwrap();
    assert_eq!(one.secret.reveal().len(), 43);
    assert_ne!(one.secret.reveal(), two.secret.reveal());
    assert!(one.id.as_str().starts_with("app_") && one.id.as_str().len() == 36);
    let organization = OrganizationId::parse("org_koo").unwrap();
    assert_eq!(gateway.apps(Some(&organization)).await.unwrap().len(), 2);
    let before = gateway.api_keys(None).await.unwrap().len();
    for bad in ["", "a b", &"x".repeat(257)] {
        let refusal = gateway.create_app(new_key(), Some(bad)).await.unwrap_err();
        assert_eq!(refusal.label(), "field");
    }
    let mut nobodys = new_key();
    nobodys.organization = OrganizationId::parse("org_never").unwrap();
    let refusal = gateway.create_app(nobodys, None).await.unwrap_err();
    assert_eq!(refusal.label(), "missing");
    // Nothing is left of an app that was not made, its key least of all.
    assert_eq!(gateway.api_keys(None).await.unwrap().len(), before);
}

/// Bodies are read before anybody knows who signed them, so their memory is bounded.
#[tokio::test]
async fn long_bodies_of_anybody_are_bounded_and_shut_out_no_short_one() {
    let koo = Koo::start().await;
    let app = koo.app().await;
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: x\r\nX-Date: 20260518T153452Z\r\nX-User-Id: u\r\n\
         Authorization: HMAC-SHA256 AppId=app_nobody,SignedHeaders=x-date;x-user-id,Signature={}\r\n\
         Content-Length: 1048576\r\nExpect: 100-continue\r\n\r\n",
        "0".repeat(64)
    );
    let mut held = Vec::new();
    for _ in 0..32 {
        let mut stream = TcpStream::connect(koo.0.client.0).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut said = [0; 12];
        stream.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"HTTP/1.1 100");
        held.push(stream);
    }
    let reply = koo.0.client.send(head.as_bytes(), false).await;
    assert_eq!(reply.status, 503);
    assert!(reply.header("retry-after").is_some());
    let text = body(SPACE, &[FILE]);
    let line = Unsigned::new(&text).line(&app);
    granted(&koo.signed(&line, &[], &text).await, 1);
}
