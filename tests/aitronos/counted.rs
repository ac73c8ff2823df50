//! How often a counted link was used, as the owner of its organization asks.

use hallpass::catalog::Catalog;
use hallpass::catalog::redemptions::{CountedLink, NewTicket, Redeem, Redeemed, Sent, SentBatch};
use hallpass::model::digest::Sha256Digest;
use hallpass::model::id::{FileId, OrganizationId};
use hallpass::model::key::{Scope, Scopes};
use hallpass::model::redemption::{RedemptionId, Subject};
use hallpass::model::revocation::LinkId;
use hallpass::model::time::UnixSeconds;

use crate::support::app::{T0, TestApp};
use crate::support::client::Reply;

const LINK: &str = "abcDEF_-0123";
const KEY: &[(&str, &str)] = &[("X-API-Key", "k1")];
const SIZE: u64 = 7;

fn path(link: &str) -> String {
    format!("/v1/organizations/org_123/links/{link}")
}

fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds::new(seconds).unwrap()
}

/// The start of the download of this number, of three by [`LINK`].
fn redeem(number: u32) -> Redeem {
    let file = FileId::parse("file_abc123").unwrap();
    Redeem {
        organization: OrganizationId::parse("org_123").unwrap(),
        subject: Subject::of_link(Sha256Digest::new([7; 32])),
        kid: "k".into(),
        epoch: 0,
        link: Some(CountedLink {
            id: LinkId::parse(LINK).unwrap(),
            file: file.clone(),
            link_revision: 0,
            claims: "max-downloads=3\n".into(),
        }),
        allowed: 3,
        expires: Some(at(T0 + 3_600)),
        ticket: NewTicket {
            rid: RedemptionId::parse(&format!("r{number:021}")).unwrap(),
            kid: "k".into(),
            expires: at(T0 + 3_600),
        },
        file: Some(file),
        size: SIZE,
        is_done_at_start: false,
        client: None,
        starter: None,
        pass_revision: None,
        now: at(T0),
    }
}

async fn start(catalogue: &dyn Catalog, number: u32) {
    let started = catalogue.redeem(&redeem(number)).await.unwrap();
    assert!(matches!(started, Redeemed::Fresh { .. }), "{started:?}");
}

fn body(reply: &Reply) -> &str {
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    str::from_utf8(&reply.body).unwrap()
}

#[tokio::test]
async fn the_counters_of_a_counted_link_stand_in_their_order() {
    let app = TestApp::start().await.with_org_123().await;
    let catalogue = app.catalogue_from_outside().await;
    start(&*catalogue, 1).await;
    let reply = app.client.get(&path(LINK), KEY).await;
    assert_eq!(
        body(&reply),
        format!(
            "{{\"organization_id\":\"org_123\",\"link_id\":\"{LINK}\",\"max_downloads\":3,\"done\":0,\
             \"open\":1,\"downloads\":0,\"bytes_sent\":0,\"last_download_at\":null,\
             \"expires\":{}}}",
            T0 + 3_600
        )
    );
    start(&*catalogue, 2).await;
    let sent = Sent {
        rid: redeem(1).ticket.rid,
        bytes: SIZE + 2,
        at: at(T0 + 5),
    };
    let batch = SentBatch {
        writer: "tests".into(),
        number: 1,
        now: at(T0 + 5),
        sent: vec![sent],
    };
    catalogue.add_redeemed(&batch).await.unwrap();
    let of = redeem(1);
    let file = app
        .gateway
        .ready_file(&of.organization, of.file.as_ref().unwrap());
    let one = hallpass::model::count::Counts {
        downloads: 2,
        whole: 1,
        bytes_sent: SIZE + 2,
        last_at: Some(at(T0 + 6)),
    };
    let (link, file) = (LinkId::parse(LINK).unwrap(), file.await.unwrap());
    app.gateway
        .count_download(&file.into(), link, at(T0 + 3_600), one);
    app.gateway.flush_counts().await.unwrap();
    let reply = app.client.get(&path(LINK), KEY).await;
    assert_eq!(
        body(&reply),
        format!(
            "{{\"organization_id\":\"org_123\",\"link_id\":\"{LINK}\",\"max_downloads\":3,\"done\":1,\
             \"open\":1,\"downloads\":2,\"bytes_sent\":9,\
             \"last_download_at\":\"2026-05-18T15:34:58Z\",\"expires\":{}}}",
            T0 + 3_600
        )
    );
    let head = app.client.request("HEAD", &path(LINK), KEY, b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let length = reply.body.len().to_string();
    assert_eq!(head.header("content-length"), Some(length.as_str()));
}

#[tokio::test]
async fn a_link_that_nobody_has_started_is_not_found() {
    let app = TestApp::start().await.with_org_123().await;
    start(&*app.catalogue_from_outside().await, 1).await;
    let plain = app.mint("file_abc123", "").await;
    let plain = &plain["token"].as_str().unwrap().split_once('.').unwrap().1[..12];
    app.client
        .get(&app.link("file_abc123", "").await, &[])
        .await;
    app.gateway.flush_counts().await.unwrap();
    for none in [
        "abcDEF_-0124",
        plain,
        "abcDEF_-012",
        "abcDEF_-01234",
        "abcDEF.-0123",
        "abcDEF%5F-0123",
        "%00",
        "'%3B%20DROP--",
        &"a".repeat(4_096),
        "..",
    ] {
        let reply = app.client.get(&path(none), KEY).await;
        let error = reply.refused(404, "NOT_FOUND");
        assert_eq!(error["details"], serde_json::json!({}));
        assert_eq!(
            error["system_message"], "a download by this link does not exist",
            "{none:.20}"
        );
    }
    for no_route in ["", "a/b", "abcDEF_-0123/"] {
        let reply = app.client.get(&path(no_route), KEY).await;
        let error = reply.refused(404, "NOT_FOUND");
        assert_eq!(error["system_message"], "no such route", "{no_route}");
    }
}

#[tokio::test]
async fn the_counters_need_the_scope_to_read_and_are_nobody_elses() {
    let app = TestApp::start().await.with_org_123().await;
    start(&*app.catalogue_from_outside().await, 1).await;
    let get = async |path: &str, key: &str| app.client.get(path, &[("X-API-Key", key)]).await;
    let path = path(LINK);
    app.client
        .get(&path, &[])
        .await
        .refused(401, "AUTHENTICATION_REQUIRED");
    get(&path, "k9").await.refused(401, "INVALID_API_KEY");
    for scope in [Scope::Mint, Scope::Write] {
        let key = format!("k-{}", scope.as_str());
        let scopes = Scopes::parse(scope.as_str()).unwrap();
        app.api_key("org_123", &key, scopes).await;
        get(&path, &key)
            .await
            .refused(403, "INSUFFICIENT_PERMISSIONS");
    }
    let read = Scopes::parse("read").unwrap();
    app.api_key("org_123", "k-read", read).await;
    assert_eq!(get(&path, "k-read").await.status, 200);
    app.account("org_other", "k-other").await;
    get(&path, "k-other")
        .await
        .refused(403, "ORGANIZATION_ACCESS_DENIED");
    let own = path.replace("org_123", "org_other");
    get(&own, "k-other").await.refused(404, "NOT_FOUND");
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let reply = app.client.request(method, &path, KEY, b"").await;
        reply.refused(405, "METHOD_NOT_ALLOWED");
        assert_eq!(reply.header("allow"), Some("GET, HEAD"), "{method}");
    }
    // The call that revokes has the place of a link's id, and no id has its length.
    let revoke = app
        .client
        .get("/v1/organizations/org_123/links/revoke", KEY)
        .await;
    revoke.refused(405, "METHOD_NOT_ALLOWED");
    assert_eq!(revoke.header("allow"), Some("POST"));
}
