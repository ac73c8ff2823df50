//! Revocations: link revisions, epochs, denied links.

use futures_util::future::join_all;

use super::*;
use crate::model::revocation::LinkId;

/// More than all checks raise together.
const MANY: u64 = 1_000;

pub(super) async fn all(catalog: &dyn Catalog) {
    revisions_go_up_by_one(catalog).await;
    revisions_have_a_limit(catalog).await;
    denied_links_die_with_the_link(catalog).await;
    denied_links_have_a_limit(catalog).await;
    an_epoch_takes_revisions_and_denials_with_it(catalog).await;
    imported_numbers_count_as_raised(catalog).await;
}

fn link(text: &str) -> LinkId {
    LinkId::parse(text).unwrap()
}

async fn revisions_go_up_by_one(catalog: &dyn Catalog) {
    let owner = organization(catalog, "revocation_revision").await;
    let other = organization(catalog, "revocation_revision_other").await;
    let made = file(&owner, "f", 1);
    let raise = || catalog.raise_link_revision(&owner, &made.id, MANY);
    assert_missing(raise().await);
    catalog.add_file(&made).await.unwrap();
    assert_missing(catalog.raise_link_revision(&other, &made.id, MANY).await);
    assert_eq!(raise().await.unwrap(), 1);
    let mut raised: Vec<u64> = Vec::new();
    for outcome in join_all((0..8).map(|_| raise())).await {
        raised.push(outcome.unwrap());
    }
    raised.sort_unstable();
    assert_eq!(raised, (2..=9).collect::<Vec<_>>());

    catalog.delete_file(&owner, &made.id, at(70)).await.unwrap();
    assert_eq!(
        raise().await.unwrap(),
        10,
        "a deleted file may be revoked still"
    );
    assert_eq!(
        catalog
            .file(&owner, &made.id)
            .await
            .unwrap()
            .unwrap()
            .link_revision,
        10
    );
    catalog.mark_swept(&owner, &made.id).await.unwrap();
    assert_missing(raise().await);
    let all = catalog.revocations(at(0)).await.unwrap();
    assert_eq!(all.revision(&owner, &made.id), 10, "its id is taken still");
    assert_eq!(all.revision(&other, &made.id), 0);
    catalog.forget_swept(at(70), 100).await.unwrap();
    assert_eq!(
        catalog
            .revocations(at(0))
            .await
            .unwrap()
            .revision(&owner, &made.id),
        0
    );
}

async fn revisions_have_a_limit(catalog: &dyn Catalog) {
    let owner = organization(catalog, "revocation_limit").await;
    for id in ["a", "b"] {
        catalog.add_file(&file(&owner, id, 1)).await.unwrap();
    }
    let [a, b] = ["a", "b"].map(file_id);
    let all = catalog.revocations(at(0)).await.unwrap();
    let others = all
        .revisions
        .values()
        .map(|of| of.len() as u64)
        .sum::<u64>();
    let raise = async |id, max| catalog.raise_link_revision(&owner, id, max).await;
    assert_eq!(raise(&a, others + 1).await.unwrap(), 1);
    assert_eq!(
        raise(&a, others + 1).await.unwrap(),
        2,
        "one that is raised already"
    );
    match raise(&b, others + 1).await {
        Err(CatalogError::Limit { limit, .. }) => assert_eq!(limit, others + 1),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        catalog
            .file(&owner, &b)
            .await
            .unwrap()
            .unwrap()
            .link_revision,
        0
    );
    assert_eq!(raise(&b, others + 2).await.unwrap(), 1);
}

async fn denied_links_die_with_the_link(catalog: &dyn Catalog) {
    let owner = organization(catalog, "revocation_deny").await;
    let nobody = organization_id("revocation_nobody");
    let (one, two) = (link("aaaaaaaaaaaa"), link("bbbb-bbbb_bb"));
    assert_missing(catalog.deny_link(&nobody, one, at(100), MANY).await);
    catalog.deny_link(&owner, one, at(100), MANY).await.unwrap();
    catalog.deny_link(&owner, one, at(90), MANY).await.unwrap();
    catalog.deny_link(&owner, two, at(90), MANY).await.unwrap();
    catalog.deny_link(&owner, two, at(110), MANY).await.unwrap();
    let denied = async |now| {
        let all = catalog.revocations(at(now)).await.unwrap();
        [one, two].map(|link| all.denied.get(&owner).and_then(|of| of.get(&link)).copied())
    };
    assert_eq!(denied(99).await, [Some(at(100)), Some(at(110))]);
    assert_eq!(
        denied(100).await,
        [None, Some(at(110))],
        "dead at the time itself"
    );
    assert!(
        !catalog
            .revocations(at(110))
            .await
            .unwrap()
            .denied
            .contains_key(&owner)
    );
    assert_eq!(catalog.forget_denied(at(99)).await.unwrap(), 0);
    assert_eq!(catalog.forget_denied(at(100)).await.unwrap(), 1);
    assert_eq!(denied(0).await, [None, Some(at(110))]);
}

async fn denied_links_have_a_limit(catalog: &dyn Catalog) {
    let owners = [
        organization(catalog, "revocation_denials").await,
        organization(catalog, "revocation_denials_other").await,
    ];
    // What the checks before left.
    catalog.forget_denied(at(9_999)).await.unwrap();
    let [one, two, three] = ["1", "2", "3"].map(|end| link(&format!("dddddddddd-{end}")));
    let deny = async |owner, link, until, max| {
        let outcome = catalog.deny_link(owner, link, at(until), max).await;
        match outcome {
            Ok(()) => true,
            Err(CatalogError::Limit { limit, .. }) => {
                assert_eq!(limit, max);
                false
            }
            Err(other) => panic!("{other:?}"),
        }
    };
    let [owner, other] = &owners;
    assert!(!deny(owner, one, 200, 0).await);
    assert!(deny(owner, one, 200, 2).await);
    assert!(deny(other, one, 200, 2).await, "the same id of another one");
    assert!(!deny(owner, two, 200, 2).await, "all organizations count");
    assert!(deny(owner, one, 300, 2).await, "one that is denied already");
    assert!(!deny(owner, one, 400, 1).await, "unless there are too many");
    let all = catalog.revocations(at(0)).await.unwrap();
    assert_eq!(all.denied[owner].get(&one), Some(&at(300)));
    assert!(!all.is_denied(owner, two));
    assert_eq!(catalog.forget_denied(at(200)).await.unwrap(), 1);
    assert!(deny(owner, three, 200, 2).await, "a dead one made room");
    catalog.raise_epoch(owner).await.unwrap();
    assert!(deny(other, two, 200, 1).await, "and so does an epoch");
}

async fn an_epoch_takes_revisions_and_denials_with_it(catalog: &dyn Catalog) {
    let owner = organization(catalog, "revocation_epoch").await;
    let other = organization(catalog, "revocation_epoch_other").await;
    assert_missing(
        catalog
            .raise_epoch(&organization_id("revocation_nobody"))
            .await,
    );
    let (id, denied) = (file_id("f"), link("cccccccccccc"));
    for tenant in [&owner, &other] {
        catalog.add_file(&file(tenant, "f", 1)).await.unwrap();
        catalog
            .raise_link_revision(tenant, &id, MANY)
            .await
            .unwrap();
        catalog
            .deny_link(tenant, denied, at(500), MANY)
            .await
            .unwrap();
    }
    assert_eq!(catalog.raise_epoch(&owner).await.unwrap(), 1);
    assert_eq!(catalog.raise_epoch(&owner).await.unwrap(), 2);
    assert_eq!(
        catalog.organization(&owner).await.unwrap().unwrap().epoch,
        2
    );
    assert_eq!(
        catalog
            .file(&owner, &id)
            .await
            .unwrap()
            .unwrap()
            .link_revision,
        0
    );

    let all = catalog.revocations(at(0)).await.unwrap();
    assert_eq!(all.epoch(&owner), 2);
    assert!(!all.revisions.contains_key(&owner));
    assert!(!all.denied.contains_key(&owner));
    assert_eq!(all.epoch(&other), 0);
    assert!(!all.epochs.contains_key(&other));
    assert_eq!(all.revision(&other, &id), 1);
    assert!(all.is_denied(&other, denied));
}

async fn imported_numbers_count_as_raised(catalog: &dyn Catalog) {
    let imported = Organization {
        id: organization_id("revocation_import"),
        name: String::new(),
        epoch: 7,
        created_at: at(1),
    };
    catalog.create_organization(&imported).await.unwrap();
    let made = FileRecord {
        link_revision: 5,
        ..file(&imported.id, "f", 1)
    };
    catalog.add_file(&made).await.unwrap();
    let all = catalog.revocations(at(0)).await.unwrap();
    assert_eq!(all.epoch(&imported.id), 7);
    assert_eq!(all.revision(&imported.id, &made.id), 5);
}
