//! Links whose downloads are counted: how each API mints them.

use hallpass::sign::url::{self, SignedUrl};
use serde_json::{Value, json};

use crate::support::app::{TestApp, target};

/// How the vendor's clients call the KooDrive API at T0.
const KOODRIVE: [(&str, &str); 3] = [
    ("Authorization", "Bearer k1"),
    ("X-User-Id", "1"),
    ("X-Date", "20260518T153452Z"),
];

async fn fixture() -> TestApp {
    TestApp::start().await.with_org_123().await
}

/// The parameters of a counted link to the one file, in their order.
#[track_caller]
fn parameters(url: &str) -> Vec<(&str, &str)> {
    let Some(SignedUrl::Counted(link)) = url::parse(url) else {
        panic!("{url} is no counted link")
    };
    assert_eq!((link.organization, link.file), ("org_123", "file_abc123"));
    let pairs = link.query.split('&');
    pairs.map(|pair| pair.split_once('=').unwrap()).collect()
}

#[track_caller]
fn names(url: &str) -> Vec<&str> {
    parameters(url).into_iter().map(|(name, _)| name).collect()
}

#[track_caller]
fn parameter<'a>(url: &'a str, wanted: &str) -> &'a str {
    let found = parameters(url)
        .into_iter()
        .find(|(name, _)| *name == wanted);
    found.unwrap_or_else(|| panic!("{wanted} in {url}")).1
}

fn url_of(minted: &Value) -> &str {
    minted["download_url"].as_str().unwrap()
}

#[tokio::test]
async fn a_mint_answers_as_for_any_link_and_its_url_is_a_counted_one() {
    let app = fixture().await;
    let plain = app.mint("file_abc123", "").await;
    let counted = app.mint("file_abc123", "max_downloads=1").await;
    let keys = |minted: &Value| {
        minted
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&plain), keys(&counted));
    let url = url_of(&counted);
    assert_eq!(names(url), ["expires", "max-downloads", "nonce", "token"]);
    assert_eq!(parameter(url, "max-downloads"), "1");
    assert_eq!(parameter(url, "token"), counted["token"]);
    assert_eq!(parameter(url, "expires"), counted["expires"].to_string());
    assert_eq!(plain["expires"], counted["expires"]);

    let by_get = app
        .mint(
            "file_abc123",
            "redeem=get&max_downloads=1000000&not_before=7",
        )
        .await;
    let url = url_of(&by_get);
    let expected = [
        "not-before",
        "expires",
        "max-downloads",
        "nonce",
        "redeem",
        "token",
    ];
    assert_eq!(names(url), expected);
    assert_eq!(parameter(url, "redeem"), "get");
    let said = app.mint("file_abc123", "max_downloads=1&redeem=post").await;
    assert!(!names(url_of(&said)).contains(&"redeem"));
}

/// As one link they would share what they allow.
#[tokio::test]
async fn two_mints_in_one_second_are_two_links_whose_end_is_not_rounded() {
    let app = TestApp::start_with(&[
        ("links.expiry_window", "1000"),
        ("links.name_in_url", "true"),
    ])
    .await
    .with_org_123()
    .await;
    let [one, other] = [
        app.mint("file_abc123", "max_downloads=1").await,
        app.mint("file_abc123", "max_downloads=1&expiry_window=600")
            .await,
    ];
    assert_eq!(one["expires"], 1_779_122_092);
    assert_eq!(one["expires"], other["expires"]);
    assert_ne!(one["token"], other["token"]);
    assert_ne!(
        parameter(url_of(&one), "nonce"),
        parameter(url_of(&other), "nonce")
    );
    assert!(!url_of(&one).contains("report.png"));
}

#[tokio::test]
async fn its_token_opens_nothing_on_the_byte_route() {
    let app = fixture().await;
    let minted = app.mint("file_abc123", "max_downloads=1").await;
    let link = target(url_of(&minted)).replace("/redeem?", "/download?");
    for link in [
        link.replace("max-downloads=1&", ""),
        link.split("&max-downloads").next().unwrap().to_owned()
            + "&token="
            + minted["token"].as_str().unwrap(),
        link,
    ] {
        let reply = app.client.get(&link, &[]).await;
        reply.refused(401, "TOKEN_INVALID");
    }
}

#[tokio::test]
async fn each_dialect_mints_them() {
    let app = fixture().await;
    let path = "/v1/organizations/org_123/files/file_abc123/download?max_downloads=2";
    let reply = app.client.get(path, &[("X-API-Key", "k1")]).await;
    assert_eq!(parameter(url_of(&reply.json()), "max-downloads"), "2");

    let body = json!({
        "containerId": "space_default",
        "fileIds": ["file_abc123", "file_abc123"],
        "max_downloads": 3,
        "redeem": "get",
    });
    let path = "/koodrive/ose/v1/files/download";
    let body = body.to_string();
    let reply = app
        .client
        .request("POST", path, &KOODRIVE, body.as_bytes())
        .await;
    let downloads = &reply.json()["downloads"];
    let links = [0, 1].map(|at| downloads[at]["url"].as_str().unwrap());
    for link in links {
        assert_eq!(parameter(link, "max-downloads"), "3");
        assert_eq!(parameter(link, "redeem"), "get");
        assert!(parameter(link, "response-content-disposition").starts_with("attachment"));
    }
    assert_ne!(links[0], links[1]);
}
