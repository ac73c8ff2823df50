//! How much may be revoked one by one, and what is revoked beyond it.

use serde_json::json;

use super::{ALL, OF_FILE, ONE, fixture_with, link_id, naming, post, revoke, status};
use crate::support::app::{T0, TestApp};

const WAY_OUT: &str = "send the whole link";

/// Room for one link, one id alone and one file in each organization.
const ONE_OF_EACH: [(&str, &str); 3] = [
    ("links.denied_max", "1"),
    ("links.denied_ids_max", "1"),
    ("links.revisions_max", "1"),
];

/// Gives `org_abc123` a file, and a key `root2` that may revoke; answers a link of that file.
async fn neighbour(app: &TestApp) -> serde_json::Value {
    let admin = hallpass::model::key::Scopes::ALL;
    app.api_key("org_abc123", "root2", admin).await;
    let new = crate::support::app::new_file("org_abc123", "file_other", "o.txt");
    app.put(new, b"bytes of others").await;
    let content = "/v1/organizations/org_abc123/files/file_other/content";
    let headers = [("X-API-Key", "root2")];
    app.client.get(content, &headers).await.json()
}

#[tokio::test]
async fn a_link_too_many_ends_all_links_of_its_file_and_then_of_its_organization() {
    let app = fixture_with(&ONE_OF_EACH).await;
    let other = neighbour(&app).await;
    let links = [
        app.mint("file_abc123", "").await,
        app.mint("file_abc123", "expires_in=7").await,
        app.mint("file_abc123", "expires_in=8").await,
        app.mint("file_def456", "").await,
    ];
    let first = revoke(&app, ONE, &naming(&links[0])).await;
    assert_eq!(first["expires"], T0 + 3600);
    assert_eq!(status(&app, &links[1]).await, 200, "there was room");
    let wide = revoke(&app, ONE, &naming(&links[1])).await;
    let expected = json!({
        "organization_id": "org_123",
        "link_id": link_id(&links[1]),
        "file_id": "file_abc123",
        "link_revision": 1,
        "widened": "file",
    });
    assert_eq!(wide, expected);
    assert_eq!(status(&app, &links[1]).await, 401);
    assert_eq!(status(&app, &links[2]).await, 401, "all links of the file");
    assert_eq!(status(&app, &links[3]).await, 200, "and no other");

    let wider = revoke(&app, ONE, &naming(&links[3])).await;
    let expected = json!({
        "organization_id": "org_123",
        "link_id": link_id(&links[3]),
        "file_id": "file_def456",
        "organization_epoch": 1,
        "widened": "organization",
    });
    assert_eq!(wider, expected);
    assert_eq!(status(&app, &links[3]).await, 401);
    assert_eq!(status(&app, &other).await, 200, "of another organization");
    // That made room.
    let anew = app.mint("file_def456", "").await;
    assert_eq!(
        revoke(&app, ONE, &naming(&anew)).await["expires"],
        T0 + 3600
    );
    assert_eq!(status(&app, &anew).await, 401);
}

/// A made-up id costs nothing to send: nobody else, and no whole link, finds the list full for it.
#[tokio::test]
async fn ids_alone_fill_a_list_of_their_own() {
    let app = fixture_with(&ONE_OF_EACH).await;
    let other = neighbour(&app).await;
    let [one, two] = ["made-up-id_1", "made-up-id_2"];
    let named = |id: &str| json!({ "link_id": id }).to_string();
    let first = revoke(&app, ONE, &named(one)).await;
    assert_eq!(revoke(&app, ONE, &named(one)).await, first, "twice");
    let reply = post(&app, ONE, "root", named(two).as_bytes()).await;
    let error = reply.refused(409, "CONFLICT");
    let said = error["system_message"].as_str().unwrap();
    assert!(
        said.contains("limit of 1 ") && said.contains(WAY_OUT),
        "{said}"
    );

    let minted = app.mint("file_abc123", "").await;
    assert_eq!(
        revoke(&app, ONE, &naming(&minted)).await["expires"],
        T0 + 3600
    );
    assert_eq!(status(&app, &minted).await, 401);
    let neighbours = ONE.replace("org_123", "org_abc123");
    let id = named(&link_id(&other));
    let reply = post(&app, &neighbours, "root2", id.as_bytes()).await;
    assert_eq!(reply.status, 200, "another organization has its own");
    assert_eq!(status(&app, &other).await, 401);

    // What is dead anyway makes room.
    app.at(2_592_000);
    revoke(&app, ONE, &named(two)).await;
    // And so does an epoch.
    revoke(&app, ALL, "").await;
    revoke(&app, ONE, &named(one)).await;
}

#[tokio::test]
async fn a_dead_link_makes_room_for_another() {
    let app = fixture_with(&ONE_OF_EACH).await;
    let short = app.mint("file_abc123", "expires_in=10").await;
    revoke(&app, ONE, &naming(&short)).await;
    app.at(10);
    let minted = app.mint("file_abc123", "").await;
    let revoked = revoke(&app, ONE, &naming(&minted)).await;
    assert_eq!(revoked["expires"], T0 + 3610);
    assert_eq!(status(&app, &minted).await, 401);
}

#[tokio::test]
async fn a_file_too_many_ends_all_links_of_its_organization() {
    let app = fixture_with(&ONE_OF_EACH).await;
    let other = OF_FILE.replace("abc123", "def456");
    let links = [
        app.mint("file_abc123", "").await,
        app.mint("file_def456", "").await,
    ];
    revoke(&app, OF_FILE, "").await;
    assert_eq!(revoke(&app, OF_FILE, "").await["link_revision"], 2);
    let wide = revoke(&app, &other, "").await;
    let expected = json!({
        "organization_id": "org_123",
        "file_id": "file_def456",
        "organization_epoch": 1,
        "widened": "organization",
    });
    assert_eq!(wide, expected);
    for link in &links {
        assert_eq!(status(&app, link).await, 401);
    }
    assert_eq!(revoke(&app, &other, "").await["link_revision"], 1);
}

/// Two who revoke the same link at once, of a list that is full: its file's revision goes up once.
#[tokio::test]
async fn of_many_who_revoke_one_link_at_once_one_widens() {
    let app = fixture_with(&ONE_OF_EACH).await;
    let filler = app.mint("file_def456", "").await;
    revoke(&app, ONE, &naming(&filler)).await;
    let minted = app.mint("file_abc123", "").await;
    let body = naming(&minted);
    let many = (0..8).map(|_| post(&app, ONE, "root", body.as_bytes()));
    let replies = futures_util::future::join_all(many).await;
    for reply in replies {
        assert_eq!(
            (reply.status, &reply.json()["link_revision"]),
            (200, &json!(1))
        );
    }
    assert_eq!(status(&app, &minted).await, 401);
    let known = app.gateway.refresh().await.unwrap();
    assert_eq!(known.revision("org_123", "file_abc123"), 1);
}

/// Of many who find the list of files full at once, one ends all links of the organization, and the others find the
/// room that this made.
#[tokio::test]
async fn of_many_files_too_many_one_raises_the_epoch() {
    let app = fixture_with(&ONE_OF_EACH).await;
    revoke(&app, OF_FILE, "").await;
    let other = OF_FILE.replace("abc123", "def456");
    let many = (0..8).map(|_| post(&app, &other, "root", b""));
    let replies = futures_util::future::join_all(many).await;
    let said: Vec<_> = replies.iter().map(|reply| reply.json()).collect();
    let wide = said.iter().filter(|said| said["widened"] == "organization");
    assert_eq!(wide.count(), 1, "{said:?}");
    let known = app.gateway.refresh().await.unwrap();
    assert_eq!(known.epoch("org_123"), 1);
    assert_eq!(known.revision("org_123", "file_def456"), 7);
}

/// What is revoked already is in no feed again, and in no table, however it was revoked.
#[tokio::test]
async fn revoking_what_is_revoked_writes_nothing() {
    let app = fixture_with(&ONE_OF_EACH).await;
    let links = [
        app.mint("file_abc123", "").await,
        app.mint("file_abc123", "expires_in=7").await,
        app.mint("file_def456", "").await,
    ];
    let by_id = json!({ "link_id": "made-up-id_1" }).to_string();
    let catalogue = app.catalogue_from_outside().await;
    let position = async || {
        let revoked = catalogue.revoked(hallpass::model::time::UnixSeconds::EPOCH);
        revoked.await.unwrap().position
    };
    let [one, of_file, of_all] = links.each_ref().map(naming);
    for body in [one, by_id, of_file, of_all.clone()] {
        let first = revoke(&app, ONE, &body).await;
        let before = position().await;
        for _ in 0..5 {
            assert_eq!(revoke(&app, ONE, &body).await, first);
        }
        assert_eq!(position().await, before);
    }
    // Also where more was revoked since: the link is as dead as ever, with what is in force now.
    for epoch in 2..=5 {
        revoke(&app, ALL, "").await;
        let said = revoke(&app, ONE, &of_all).await;
        assert_eq!(said["organization_epoch"], epoch);
        assert_eq!(said["widened"], "organization");
    }
    let before = position().await;
    let forged = of_all.replace("expires=1", "expires=2");
    post(&app, ONE, "root", forged.as_bytes())
        .await
        .refused(422, "VALIDATION_ERROR");
    assert_eq!(position().await, before);
}
