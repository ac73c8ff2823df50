//! The name at the end of a link's path, and names that are too long for a link.

use hallpass::gateway::mint::MintOptions;
use hallpass::gateway::upload::NewFile;
use hallpass::model::disposition::Disposition;
use hallpass::model::file::Purpose;
use hallpass::model::id::OrganizationId;
use hallpass::model::name::FileName;
use serde_json::{Value, json};
use tokio::net::UnixStream;

use crate::support::app::{PNG, TestApp, new_file, target};
use crate::support::client::{Reply, exchange_over, parse};
use crate::transport::{Http2, Pair};

const PATH: &str = "/v1/organizations/org_123/files/file_abc123/download";

/// The most characters of a URL that has a name in it.
const URL_CHARS_MAX: usize = 900;

/// How the vendor's clients call the KooDrive API.
const KOODRIVE: [(&str, &str); 3] = [
    ("Authorization", "Bearer k1"),
    ("X-User-Id", "1"),
    ("X-Date", "20260518T153452Z"),
];

fn named(link: &str, name: &str) -> String {
    link.replace("/download?", &format!("/download/{name}?"))
}

/// Everything that an answer says, but for when and about which request it was said.
fn said(reply: &Reply) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let own = ["date", "x-request-id"];
    let headers = reply.headers.iter();
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let mut headers: Vec<_> = headers
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .collect();
    headers.sort();
    let mut body = reply.body.clone();
    if let Ok(mut json) = serde_json::from_slice::<Value>(&body)
        && let Some(error) = json["error"].as_object_mut()
    {
        error.remove("trace_id");
        body = json.to_string().into_bytes();
    }
    (reply.status, headers, body)
}

#[tokio::test]
async fn a_name_behind_the_path_changes_nothing() {
    let app = TestApp::start_with(&[("server.http2", "on")]).await;
    let app = app.with_org_123().await;
    let mut http2 = Http2::plain(app.client.0).await;
    let link = app.link("file_abc123", "").await;
    let longest = "x".repeat(5_000);
    for name in [
        "report.png",
        "%D0%BE%D1%82%D1%87%D1%91%D1%82.png",
        "%2e%2e",
        "a%2Fb%00%0A",
        "%zz%ff",
        "...",
        "a;b=c&token=x",
        "download",
        "content",
        &longest,
    ] {
        let long = named(&link, name);
        for headers in [
            &[][..],
            &[("Range", "bytes=1-3")],
            &[("If-None-Match", "*")],
        ] {
            for method in ["GET", "HEAD", "OPTIONS"] {
                let short = app.client.request(method, &link, headers, b"").await;
                let reply = app.client.request(method, &long, headers, b"").await;
                assert_eq!(said(&reply), said(&short), "{method} {name:.40}");
                let short = http2.request(method, &link, headers, b"").await;
                let reply = http2.request(method, &long, headers, b"").await;
                let (short, reply) = (short.unwrap(), reply.unwrap());
                assert_eq!(said(&reply), said(&short), "HTTP/2 {method} {name:.40}");
            }
        }
        let dead = named(&link.replace("token=", "token=x"), name);
        app.client.get(&dead, &[]).await.is_dead_link();
        let post = app.client.request("POST", &long, &[], b"").await;
        post.refused(405, "METHOD_NOT_ALLOWED");
        assert_eq!(post.header("allow"), Some("GET, HEAD, OPTIONS"));
    }
    let minted = app
        .client
        .get(&format!("{PATH}/a.png"), &[("X-API-Key", "k1")])
        .await;
    assert!(minted.json()["download_url"].is_string());
    for name in ["", ".", "..", "a/", "/a", "a/b", "a/.."] {
        let reply = app.client.get(&named(&link, name), &[]).await;
        reply.refused(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn a_name_behind_the_path_changes_nothing_over_any_transport_or_below_a_mount() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("h.sock");
    let unix = format!("unix:{}", socket.display());
    let pair = Pair::new();
    let settings = [
        ("server.listen", unix.as_str()),
        ("server.public_base_url", "https://files.example/share"),
    ];
    let (app, tls) = pair.app(&settings).await;
    let mut http2 = Http2::over(pair.connect(tls, &["h2"]).await.unwrap()).await;
    let link = app.link("file_abc123", "").await;
    let unmounted = link.strip_prefix("/share").unwrap();
    for link in [link.as_str(), unmounted] {
        let dead = link.replace("token=", "token=x");
        for (link, status) in [(link, 200), (&dead, 401)] {
            let long = named(link, "%E2%80%AE%zz%2f.png");
            for method in ["GET", "HEAD", "OPTIONS"] {
                let status = if method == "OPTIONS" { 204 } else { status };
                let bytes = |target: &str| {
                    let line = format!("{method} {target} HTTP/1.1");
                    format!("{line}\r\nHost: localhost\r\nConnection: close\r\n\r\n").into_bytes()
                };
                let over_tls = async |target: &str| {
                    let stream = pair.connect(tls, &["http/1.1"]).await.unwrap();
                    let answer = exchange_over(stream, &bytes(target), false).await;
                    parse(&answer, method == "HEAD")
                };
                let over_unix = async |target: &str| {
                    let stream = UnixStream::connect(&socket).await.unwrap();
                    let answer = exchange_over(stream, &bytes(target), false).await;
                    parse(&answer, method == "HEAD")
                };
                let [short, reply] = [link, &long].map(over_tls);
                let (short, reply) = (short.await, reply.await);
                assert_eq!(reply.status, status, "TLS {method} {long}");
                assert_eq!(said(&reply), said(&short), "TLS {method} {long}");
                let [short, reply] = [link, &long].map(over_unix);
                let (short, reply) = (short.await, reply.await);
                assert_eq!(reply.status, status, "Unix {method} {long}");
                assert_eq!(said(&reply), said(&short), "Unix {method} {long}");
                let short = http2.request(method, link, &[], b"").await.unwrap();
                let reply = http2.request(method, &long, &[], b"").await.unwrap();
                assert_eq!(reply.status, status, "HTTP/2 {method} {long}");
                assert_eq!(said(&reply), said(&short), "HTTP/2 {method} {long}");
            }
        }
    }
}

#[tokio::test]
async fn a_link_with_a_name_is_revoked_as_itself() {
    let app = TestApp::start().await.with_org_123().await;
    let admin = hallpass::model::key::Scopes::parse("admin").unwrap();
    app.api_key("org_123", "k-admin-1", admin).await;
    let link = app.link("file_abc123", "").await;
    let long = named(&link, "a.png");
    assert_eq!(app.client.get(&long, &[]).await.status, 200);
    let body = json!({ "download_url": format!("https://elsewhere.example{long}") }).to_string();
    let path = "/v1/organizations/org_123/links/revoke";
    let key = [("X-API-Key", "k-admin-1")];
    let revoked = app
        .client
        .request("POST", path, &key, body.as_bytes())
        .await;
    assert_eq!(revoked.status, 200);
    for dead in [&link, &long] {
        app.client.get(dead, &[]).await.is_dead_link();
    }
}

/// A link of a file by every minter: its URL, and what the file is called there.
async fn minted(app: &TestApp, id: &str, options: &[(&str, &str)]) -> [String; 4] {
    let pairs = options
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let query = pairs.collect::<Vec<_>>().join("&");
    let aitronos = app
        .mint(id, &format!("disposition=attachment&{query}"))
        .await;
    let qoder = format!("/v1/files/{id}/content?{query}");
    let qoder = app
        .client
        .get(&qoder, &[("Authorization", "Bearer k1")])
        .await;
    let mut body = json!({ "containerId": "space_default", "fileIds": [id] });
    for (name, value) in options {
        body[*name] = json!(value);
    }
    let path = "/koodrive/ose/v1/files/download";
    let body = body.to_string();
    let koodrive = app
        .client
        .request("POST", path, &KOODRIVE, body.as_bytes())
        .await;
    let operator = MintOptions {
        disposition: Some(Disposition::Attachment),
        filename: options
            .first()
            .map(|(_, name)| FileName::from_client(name).unwrap()),
        ..MintOptions::default()
    };
    let organization = OrganizationId::parse("org_123").unwrap();
    let operator = app.gateway.mint_for(&organization, id, &operator).await;
    [
        aitronos["download_url"].as_str().unwrap().to_owned(),
        qoder.header("location").unwrap().to_owned(),
        koodrive.json()["downloads"][0]["url"]
            .as_str()
            .unwrap()
            .to_owned(),
        operator.unwrap().download_url,
    ]
}

/// A file that every API mints for.
async fn add(app: &TestApp, id: &str, name: &str) {
    let new = NewFile {
        purpose: Purpose::ToolOutput,
        ..new_file("org_123", id, name)
    };
    app.put(new, PNG).await;
}

#[tokio::test]
async fn the_apis_mint_the_vendors_paths_unless_names_are_wanted() {
    let encoded = "%D0%BE%D1%82%D1%87%D1%91%D1%82%20%281%29~%26%2B%25.png";
    for (setting, of_apis) in [("false", ""), ("true", encoded)] {
        let app = TestApp::start_with(&[("links.name_in_url", setting)]).await;
        let app = app.with_org_123().await;
        add(&app, "file_tool", "отчёт (1)~&+%.png").await;
        let links = minted(&app, "file_tool", &[]).await;
        for (link, name) in links.iter().zip([of_apis, of_apis, of_apis, encoded]) {
            let end = if name.is_empty() {
                "download".to_owned()
            } else {
                format!("download/{name}")
            };
            let path = link.split_once('?').unwrap().0;
            assert!(path.ends_with(&format!("/files/file_tool/{end}")), "{path}");
            assert_eq!(app.client.get(&target(link), &[]).await.body, PNG);
        }
        let links = minted(&app, "file_tool", &[("filename", "b.png")]).await;
        let of_apis = setting == "true";
        for (link, is_named) in links.iter().zip([of_apis, of_apis, of_apis, true]) {
            assert_eq!(link.contains("/download/b.png?"), is_named, "{link}");
        }
    }
}

#[tokio::test]
async fn a_name_that_makes_a_link_too_long_comes_from_the_row() {
    for setting in ["false", "true"] {
        let app = TestApp::start_with(&[("links.name_in_url", setting)]).await;
        let app = app.with_org_123().await;
        for (number, (name, is_in_link)) in [
            (format!("{}.txt", "报".repeat(46)), false),
            (format!("{}.txt", "报".repeat(80)), false),
            (format!("{}.hwp", "한".repeat(80)), false),
            (format!("{}.pdf", "я".repeat(120)), false),
            (format!("{}.txt", "я".repeat(20)), true),
            (format!("{}.bin", "a".repeat(251)), true),
            (format!("{}.bin", "%".repeat(251)), false),
        ]
        .into_iter()
        .enumerate()
        {
            let id = format!("file_{number}");
            add(&app, &id, &name).await;
            let expected = Disposition::Attachment.header(&FileName::from_client(&name).unwrap());
            for link in minted(&app, &id, &[]).await {
                assert!(link.len() <= URL_CHARS_MAX, "{} {link}", link.len());
                let claim = link.split_once("response-content-disposition=").unwrap().1;
                let claim = claim.split_once('&').unwrap().0;
                assert_eq!(claim != "attachment", is_in_link, "{link}");
                let reply = app.client.get(&target(&link), &[]).await;
                assert_eq!(reply.status, 200);
                let said = reply.header("content-disposition");
                assert_eq!(said, Some(expected.as_str()));
            }
        }
        let long = app.mint("file_0", "disposition=inline").await;
        let link = target(long["download_url"].as_str().unwrap());
        assert!(link.contains("disposition=inline&"), "{link}");
        let said = app.client.get(&link, &[]).await;
        assert!(
            said.header("content-disposition")
                .unwrap()
                .starts_with("inline; filename=")
        );
    }
}

#[tokio::test]
async fn a_name_that_is_asked_for_and_too_long_is_a_fault_of_its_field() {
    let app = TestApp::start().await.with_org_123().await;
    add(&app, "file_tool", "a.png").await;
    for name in ["报".repeat(46), "я".repeat(120), "%".repeat(250)] {
        let query: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = PATH.replace("download", "content");
        let query = format!("?filename={query}");
        let aitronos = app
            .client
            .get(&format!("{path}{query}"), &[("X-API-Key", "k1")])
            .await;
        let error = aitronos.refused(422, "VALIDATION_ERROR");
        assert_eq!(error["details"]["field"], "filename");
        let qoder = format!("/v1/files/file_tool/content{query}");
        let qoder = app
            .client
            .get(&qoder, &[("Authorization", "Bearer k1")])
            .await;
        assert_eq!(qoder.status, 400);
        assert_eq!(qoder.json()["error"]["param"], "filename");
        let body = json!({
            "containerId": "space_default",
            "fileIds": ["file_tool"],
            "filename": name,
        });
        let (path, body) = ("/koodrive/ose/v1/files/download", body.to_string());
        let koodrive = app
            .client
            .request("POST", path, &KOODRIVE, body.as_bytes())
            .await;
        assert_eq!(
            (koodrive.status, &koodrive.json()["code"]),
            (400, &json!(13_000_102))
        );
    }
    let fits = app
        .mint("file_tool", &format!("filename={}", "a".repeat(255)))
        .await;
    assert!(fits["download_url"].as_str().unwrap().len() <= URL_CHARS_MAX);
}
