//! How much may be revoked one by one, and the way out.

use hallpass::catalog::DENIED_LINKS_MAX;
use hallpass::model::id::OrganizationId;
use hallpass::model::revocation::LinkId;
use hallpass::model::time::UnixSeconds;

use super::{ALL, OF_FILE, ONE, fixture, fixture_with, naming, post, revoke, status};
use crate::support::app::{T0, TestApp};

const WAY_OUT: &str = "revoke all links of an organization";

#[tokio::test]
async fn a_file_too_many_is_refused_with_the_way_out() {
    let app = fixture_with(&[("links.revisions_max", "1")]).await;
    let other = OF_FILE.replace("abc123", "def456");
    revoke(&app, OF_FILE, "").await;
    let error = post(&app, &other, "root", b"")
        .await
        .refused(409, "CONFLICT");
    let said = error["system_message"].as_str().unwrap();
    assert!(
        said.contains("limit of 1 ") && said.contains(WAY_OUT),
        "{said}"
    );
    revoke(&app, OF_FILE, "").await;
    revoke(&app, ALL, "").await;
    assert_eq!(revoke(&app, &other, "").await["link_revision"], 1);
}

/// As many denied links as there may be, until this time. Their count is what matters here, and a call for
/// each would take an hour.
fn fill(app: &TestApp, until: u64) {
    app.sql(&format!(
        "WITH RECURSIVE number(n) AS \
         (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {DENIED_LINKS_MAX}) \
         INSERT INTO denied_link (organization, link, expires) \
         SELECT 'org_123', substr(cast(1000000000000 + n AS text), 2), {until} FROM number"
    ));
}

#[tokio::test]
async fn a_link_too_many_is_refused_with_the_way_out_and_dead_ones_make_room() {
    let app = fixture().await;
    fill(&app, T0 + 500);
    let minted = app.mint("file_abc123", "").await;
    let reply = post(&app, ONE, "root", naming(&minted).as_bytes()).await;
    let error = reply.refused(409, "CONFLICT");
    let said = error["system_message"].as_str().unwrap();
    assert!(
        said.contains("100000 revoked links") && said.contains(WAY_OUT),
        "{said}"
    );
    assert_eq!(status(&app, &minted).await, 200);

    app.at(500);
    revoke(&app, ONE, &naming(&minted)).await;
    assert_eq!(status(&app, &minted).await, 401);
    let known = app.gateway.refresh().await.unwrap();
    assert_eq!(known.denied.values().map(|of| of.len()).sum::<usize>(), 1);
}

#[tokio::test]
async fn an_organization_makes_room_for_all() {
    let app = fixture().await;
    fill(&app, T0 + 500);
    revoke(&app, ALL, "").await;
    let minted = app.mint("file_abc123", "").await;
    revoke(&app, ONE, &naming(&minted)).await;
    let catalogue = app.catalogue_from_outside().await;
    let owner = OrganizationId::parse("org_123").unwrap();
    let link = LinkId::parse("another-link").unwrap();
    let end = UnixSeconds::new(T0 + 500).unwrap();
    catalogue.deny_link(&owner, link, end, 2).await.unwrap();
}
