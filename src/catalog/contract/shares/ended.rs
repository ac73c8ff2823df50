//! Shares that have ended: revoked, over, forgotten; and files that leave them.

use super::*;
use crate::catalog::redemptions::{NewTicket, Redeem};
use crate::model::redemption::{RedemptionId, Subject};

pub(super) async fn all(catalog: &dyn Catalog) {
    one_that_is_revoked_stays_so(catalog).await;
    those_that_ended_are_forgotten_with_what_belongs_to_them(catalog).await;
    a_file_that_is_forgotten_leaves_its_shares(catalog).await;
}

async fn one_that_is_revoked_stays_so(catalog: &dyn Catalog) {
    let owner = organization(catalog, "share_revoke").await;
    let share = make(catalog, share_of(&owner, "revoke"), &[]).await.share;
    let id = &share.id;
    let revoke = async |now| {
        let revoked = catalog.revoke_share(&owner, id, at(now)).await;
        revoked.unwrap().share.state
    };
    let before = position(catalog).await;
    let since = ShareState::Revoked { at: at(7_777) };
    assert_eq!(revoke(7_777).await, since);
    assert_eq!(revoke(9_999).await, since, "since the first time");
    assert_eq!(changes_since(catalog, before).await, [changed(&share)]);
    assert_eq!(found(catalog, &share).await.unwrap().share.state, since);
    let rotation = ShareRotation {
        from: 0,
        kid: "k1".into(),
        epoch: 0,
        code_digest: digest_of("after its revocation"),
    };
    let resume = ShareEdit {
        paused: Some(false),
        ..ShareEdit::default()
    };
    let rotated = catalog.rotate_share(&owner, &share.id, &rotation).await;
    let resumed = catalog.edit_share(&owner, &share.id, &resume).await;
    for refused in [rotated, resumed] {
        match refused {
            Err(CatalogError::Conflict { what }) => assert_eq!(what, SHARE_REVOKED),
            other => panic!("{other:?}"),
        }
    }
    let unknown = share_id("unknown");
    assert_missing(catalog.revoke_share(&owner, &unknown, at(1)).await);
}

/// Long before all that any other check has.
const THEN: u64 = 500;

async fn those_that_ended_are_forgotten_with_what_belongs_to_them(catalog: &dyn Catalog) {
    let owner = organization(catalog, "share_forget").await;
    catalog.add_file(&file(&owner, "a", 1)).await.unwrap();
    let with_end = |name, expires: Option<u64>| Share {
        expires: expires.map(at),
        ..share_of(&owner, name)
    };
    for (name, expires) in [("over", Some(THEN)), ("later", Some(9_999)), ("ever", None)] {
        make(catalog, with_end(name, expires), &["a"]).await;
    }
    for (name, expires) in [("early", Some(9_999)), ("late", Some(THEN)), ("r", None)] {
        make(catalog, with_end(name, expires), &["a"]).await;
        let at_end = at(if name == "late" { THEN + 9 } else { THEN + 2 });
        catalog
            .revoke_share(&owner, &share_id(name), at_end)
            .await
            .unwrap();
    }
    let over = share_of(&owner, "over");
    catalog.add_share_counts(&[a_count(&over)]).await.unwrap();
    let redeem = start_of(&owner, &over.id);
    catalog.redeem(&redeem).await.unwrap();
    let started = async || {
        let found = catalog.redemption(&owner, redeem.ticket.rid).await;
        found.unwrap().is_some()
    };
    let left = async || {
        let listed = catalog.shares(&owner, None, None, 9).await.unwrap();
        let id = |of: &ListedShare| of.share.id.as_str().replace("share_", "");
        listed.iter().map(id).collect::<Vec<_>>()
    };
    let forget = async |before, limit| catalog.forget_shares(at(before), limit).await.unwrap();
    assert_eq!(forget(THEN - 1, 9).await, 0);
    assert!(started().await);
    let before = position(catalog).await;
    assert_eq!(forget(THEN, 9).await, 2);
    let gone = changes_since(catalog, before).await;
    assert_eq!(
        gone,
        ["late", "over"].map(|name| changed(&share_of(&owner, name)))
    );
    assert!(!started().await);
    let counted = catalog.share_counts(&owner, &over.id).await.unwrap();
    assert_eq!(counted, ShareCounts::default());
    assert_eq!(of_code(catalog, over.code_digest).await, None);
    assert_eq!(left().await, ["r", "later", "ever", "early"]);
    assert_eq!(forget(THEN + 2, 1).await, 1);
    assert_eq!(forget(THEN + 2, 9).await, 1);
    assert_eq!(left().await, ["later", "ever"]);
    // Its id and its code are free.
    make(catalog, over, &["a"]).await;
}

async fn a_file_that_is_forgotten_leaves_its_shares(catalog: &dyn Catalog) {
    let owner = organization(catalog, "share_swept").await;
    for id in ["stays", "goes", "revised"] {
        catalog.add_file(&file(&owner, id, 1)).await.unwrap();
    }
    let files = ["stays", "goes", "revised"];
    let share = make(catalog, share_of(&owner, "swept"), &files).await.share;
    let untouched = make(catalog, share_of(&owner, "kept"), &files[..1]).await;
    let revised = file_id("revised");
    catalog
        .raise_link_revision(&owner, &revised, 9)
        .await
        .unwrap();
    for id in ["goes", "revised"].map(file_id) {
        catalog.delete_file(&owner, &id, at(THEN)).await.unwrap();
        catalog.mark_swept(&owner, &id).await.unwrap();
    }
    assert_eq!(found(catalog, &share).await.unwrap().files.len(), 3);
    let before = position(catalog).await;
    assert!(catalog.forget_swept(at(THEN), 100).await.unwrap() >= 2);
    let changes = changes_since(catalog, before).await;
    assert!(changes.contains(&changed(&share)), "{changes:?}");
    assert!(!changes.contains(&changed(&untouched.share)));
    // Another file of its id is in none of them.
    catalog.add_file(&file(&owner, "goes", 1)).await.unwrap();
    let left = found(catalog, &share).await.unwrap();
    assert_eq!(left.files.len(), 1);
    assert_eq!(left.files[0].file, file_id("stays"));
}

/// A start of a download of a share.
fn start_of(owner: &OrganizationId, share: &ShareId) -> Redeem {
    Redeem {
        organization: owner.clone(),
        subject: Subject::of_share(share),
        kid: "k1".into(),
        epoch: 0,
        link: None,
        allowed: 0,
        expires: None,
        ticket: NewTicket {
            rid: RedemptionId::parse("sharesharesharesharesh").unwrap(),
            kid: "k1".into(),
            expires: at(THEN),
        },
        file: Some(file_id("a")),
        size: 1,
        client: None,
        starter: None,
        pass_revision: Some(0),
        is_done_at_start: false,
        now: at(THEN - 1),
    }
}
