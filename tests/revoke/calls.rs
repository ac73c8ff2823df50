//! What the three calls do.

use serde_json::json;

use super::{ALL, OF_FILE, ONE, fixture, fixture_with, link_id, naming, revoke, status};
use crate::support::app::{T0, target};

#[tokio::test]
async fn one_link_is_dead_from_the_next_request_on_and_others_live() {
    let app = fixture().await;
    let minted = app.mint("file_abc123", "").await;
    let other = app.mint("file_abc123", "disposition=attachment").await;
    assert_eq!(status(&app, &minted).await, 200);
    let first = revoke(&app, ONE, &naming(&minted)).await;
    let id = link_id(&minted);
    assert_eq!(
        first,
        json!({"organization_id": "org_123", "link_id": id, "expires": T0 + 3600})
    );
    let link = target(minted["download_url"].as_str().unwrap());
    app.client.get(&link, &[]).await.is_dead_link();
    assert_eq!(status(&app, &other).await, 200);
    app.at(100);
    assert_eq!(revoke(&app, ONE, &naming(&minted)).await, first, "twice");

    app.at(0);
    let again = app.mint("file_abc123", "").await;
    assert_ne!(again["token"], minted["token"], "no revoked link is minted");
    assert_eq!(again["expires"], T0 + 3601);
    assert_eq!(status(&app, &again).await, 200);
}

#[tokio::test]
async fn a_link_is_revoked_however_its_url_is_spelled_and_whatever_it_claims() {
    let app = fixture().await;
    let options = "disposition=attachment&filename=a%20b.png&ip=192.0.2.7&not_before=1779119000&expires_in=900";
    let minted = app.mint("file_abc123", options).await;
    let link = target(minted["download_url"].as_str().unwrap());
    let spelled = format!("https://elsewhere.example/prefix{link}&utm_source=mail#top");
    let body = json!({ "download_url": spelled }).to_string();
    let revoked = revoke(&app, ONE, &body).await;
    let expected =
        json!({"organization_id": "org_123", "link_id": link_id(&minted), "expires": T0 + 900});
    assert_eq!(revoked, expected);
    // The deny list is the last of the checks: at the right time and from the right place it is dead, too.
    let open = app.mint("file_abc123", "not_before=1779119000").await;
    assert_eq!(status(&app, &open).await, 401);
    revoke(&app, ONE, &naming(&open)).await;
    app.at(600);
    assert_eq!(status(&app, &open).await, 401);
}

#[tokio::test]
async fn a_link_id_alone_is_denied_for_as_long_as_a_link_or_a_share_may_live() {
    let app = fixture().await;
    let minted = app.mint("file_abc123", "expires_in=604800").await;
    let body = json!({ "link_id": link_id(&minted) }).to_string();
    let first = revoke(&app, ONE, &body).await;
    let end = T0 + 2_592_000;
    assert_eq!(
        first,
        json!({"organization_id": "org_123", "link_id": link_id(&minted), "expires": end})
    );
    assert_eq!(status(&app, &minted).await, 401);
    app.at(60);
    assert_eq!(revoke(&app, ONE, &body).await, first, "twice");

    let never = json!({"link_id": "-_neverMade-"}).to_string();
    assert_eq!(revoke(&app, ONE, &never).await["expires"], end + 60);
}

#[tokio::test]
async fn a_link_whose_time_is_over_is_revoked_already() {
    let app = fixture().await;
    let minted = app.mint("file_abc123", "expires_in=10").await;
    let before = app.gateway.refresh().await.unwrap();
    app.at(10);
    let revoked = revoke(&app, ONE, &naming(&minted)).await;
    assert_eq!(revoked["expires"], T0 + 10);
    assert_eq!(
        app.gateway.refresh().await.unwrap(),
        before,
        "nothing is kept"
    );
}

#[tokio::test]
async fn a_files_links_die_together_and_new_ones_live() {
    let app = fixture().await;
    let links = [
        app.mint("file_abc123", "").await,
        app.mint("file_abc123", "expires_in=9").await,
    ];
    let other = app.mint("file_def456", "").await;
    for revision in 1..=3 {
        assert_eq!(
            revoke(&app, OF_FILE, "").await,
            json!({"organization_id": "org_123", "file_id": "file_abc123", "link_revision": revision})
        );
        for link in &links {
            assert_eq!(status(&app, link).await, 401);
        }
        let new = app.mint("file_abc123", "").await;
        assert_eq!(status(&app, &new).await, 200);
    }
    assert_eq!(status(&app, &other).await, 200);
    let delete = "/v1/organizations/org_123/files/file_abc123";
    let headers = [("X-API-Key", "k1")];
    let deleted = app.client.request("DELETE", delete, &headers, b"").await;
    assert_eq!(deleted.status, 204);
    assert_eq!(
        revoke(&app, OF_FILE, "{}").await["link_revision"],
        4,
        "also of a deleted file, which may come back"
    );
}

#[tokio::test]
async fn an_organizations_links_die_together_and_what_was_revoked_before_is_forgotten() {
    let app = fixture().await;
    let links = [
        app.mint("file_abc123", "").await,
        app.mint("file_def456", "").await,
    ];
    let headers = [("X-API-Key", "k2")];
    let others = "/v1/organizations/org_abc123/files";
    app.put(
        crate::support::app::new_file("org_abc123", "file_other", "o.txt"),
        b"bytes of others",
    )
    .await;
    let content = format!("{others}/file_other/content");
    let other = app.client.get(&content, &headers).await.json();
    revoke(&app, OF_FILE, "").await;
    revoke(&app, ONE, &naming(&links[1])).await;
    for epoch in 1..=2 {
        assert_eq!(
            revoke(&app, ALL, "").await,
            json!({"organization_id": "org_123", "organization_epoch": epoch})
        );
    }
    for link in &links {
        assert_eq!(status(&app, link).await, 401);
    }
    assert_eq!(status(&app, &other).await, 200, "of another organization");
    let known = app.gateway.refresh().await.unwrap().counts();
    assert_eq!((known.revisions, known.denied), (0, 0));
    let new = app.mint("file_abc123", "").await;
    assert_eq!(status(&app, &new).await, 200);
    assert_eq!(revoke(&app, OF_FILE, " {} ").await["link_revision"], 1);
}

#[tokio::test]
async fn a_revoked_link_is_401_behind_a_proxy_that_asks() {
    let app = fixture_with(&[("verify.header", "X-Original-URI")]).await;
    let links = [
        app.mint("file_abc123", "").await,
        app.mint("file_abc123", "expires_in=7").await,
        app.mint("file_def456", "").await,
    ];
    let asked = async |minted: &serde_json::Value| {
        let link = target(minted["download_url"].as_str().unwrap());
        let reply = app
            .client
            .get("/verify", &[("X-Original-URI", &link)])
            .await;
        reply.status
    };
    for link in &links {
        assert_eq!(asked(link).await, 204);
    }
    revoke(&app, ONE, &naming(&links[0])).await;
    assert_eq!(asked(&links[0]).await, 401);
    assert_eq!(asked(&links[1]).await, 204);
    revoke(&app, OF_FILE, "").await;
    assert_eq!(asked(&links[1]).await, 401);
    assert_eq!(asked(&links[2]).await, 204);
    revoke(&app, ALL, "").await;
    assert_eq!(asked(&links[2]).await, 401);
}

#[tokio::test]
async fn a_revoked_link_gives_no_part_no_head_and_no_304() {
    let app = fixture().await;
    let minted = app.mint("file_abc123", "").await;
    let link = target(minted["download_url"].as_str().unwrap());
    let whole = app.client.get(&link, &[]).await;
    let etag = whole.header("etag").unwrap().to_owned();
    revoke(&app, ONE, &naming(&minted)).await;
    for headers in [[("Range", "bytes=0-3")], [("If-None-Match", etag.as_str())]] {
        app.client.get(&link, &headers).await.is_dead_link();
    }
    let head = app.client.request("HEAD", &link, &[], b"").await;
    assert_eq!(head.status, 401);
}
