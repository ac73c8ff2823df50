//! Revocations: link revisions, epochs, denied links.

use futures_util::future::join_all;

use super::*;
use crate::model::revocation::Extent;

/// More than all checks raise together.
const MANY: u64 = 1_000;

pub(super) async fn all(catalog: &dyn Catalog) {
    revisions_go_up_by_one(catalog).await;
    revisions_have_a_limit_for_each_organization(catalog).await;
    denied_links_die_with_the_link(catalog).await;
    a_link_named_by_its_id_alone_is_denied_until_one_end(catalog).await;
    a_full_list_ends_more_than_one_link(catalog).await;
    ids_alone_have_a_limit_of_their_own(catalog).await;
    an_epoch_takes_revisions_and_denials_with_it(catalog).await;
    what_an_earlier_epoch_revoked_counts_for_nothing(catalog).await;
    what_an_earlier_epoch_revoked_is_cleared_away_step_by_step(catalog).await;
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
    assert_eq!(raise().await.unwrap(), revision(1));
    let mut raised: Vec<u64> = Vec::new();
    for outcome in join_all((0..8).map(|_| raise())).await {
        raised.extend(outcome.unwrap().link_revision());
    }
    raised.sort_unstable();
    assert_eq!(raised, (2..=9).collect::<Vec<_>>());

    catalog.delete_file(&owner, &made.id, at(70)).await.unwrap();
    assert_eq!(
        raise().await.unwrap(),
        revision(10),
        "a deleted file may be revoked still"
    );
    assert_eq!(
        found(catalog, &owner, &made.id)
            .await
            .unwrap()
            .link_revision,
        10
    );
    catalog.mark_swept(&owner, &made.id).await.unwrap();
    assert_missing(raise().await);
    let all = revoked(catalog, 0).await;
    assert_eq!(all.revision(&owner, &made.id), 10, "its id is taken still");
    assert_eq!(all.revision(&other, &made.id), 0);
    catalog.forget_swept(at(70), 100).await.unwrap();
    assert_eq!(revoked(catalog, 0).await.revision(&owner, &made.id), 0);
}

async fn revisions_have_a_limit_for_each_organization(catalog: &dyn Catalog) {
    let owner = organization(catalog, "revocation_limit").await;
    let other = organization(catalog, "revocation_limit_other").await;
    for id in ["a", "b", "c", "d"] {
        catalog.add_file(&file(&owner, id, 1)).await.unwrap();
        catalog.add_file(&file(&other, id, 1)).await.unwrap();
    }
    let [a, b, c, d] = ["a", "b", "c", "d"].map(file_id);
    let raise = async |of, id, max| {
        let raised = catalog.raise_link_revision(of, id, max).await;
        raised.unwrap()
    };
    assert_eq!(raise(&owner, &a, 1).await, revision(1));
    assert_eq!(raise(&owner, &a, 1).await, revision(2), "raised already");
    assert_eq!(raise(&other, &b, 1).await, revision(1), "another's");
    assert_eq!(raise(&owner, &b, 2).await, revision(1));
    // A link that is forgotten frees capacity; where there is none, all links of the organization end.
    catalog.delete_file(&owner, &a, at(70)).await.unwrap();
    catalog.mark_swept(&owner, &a).await.unwrap();
    catalog.forget_swept(at(70), 100).await.unwrap();
    assert_eq!(raise(&owner, &c, 2).await, revision(1));
    let epoch = Extent::Organization { epoch: 1 };
    let before = position(catalog).await;
    assert_eq!(raise(&owner, &d, 2).await, epoch);
    let changes = changes_since(catalog, before).await;
    assert_eq!(changes.len(), 1, "{changes:?}");
    let all = revoked(catalog, 0).await;
    assert_eq!((all.epoch(&owner), all.revision(&owner, &b)), (1, 0));
    assert_eq!(all.revision(&other, &b), 1);
    assert_eq!(raise(&owner, &b, 1).await, revision(1), "that made room");
}

/// The time until which a link is denied, if it is.
fn until(seconds: u64) -> Extent {
    let expires = at(seconds);
    Extent::Link { expires }
}

/// The extent of what ended all links of a file.
fn revision(link_revision: u64) -> Extent {
    Extent::File { link_revision }
}

async fn denied_links_die_with_the_link(catalog: &dyn Catalog) {
    let owner = organization(catalog, "revocation_deny").await;
    let nobody = organization_id("revocation_nobody");
    let (one, two) = (link("aaaaaaaaaaaa"), link("bbbb-bbbb_bb"));
    let deny = async |owner, link, expires| {
        let denial = denial(owner, link, expires);
        catalog.deny_link(&denial, at(0), super::MANY).await
    };
    assert_missing(deny(&nobody, one, 100).await);
    assert_eq!(deny(&owner, one, 100).await.unwrap(), until(100));
    let before = position(catalog).await;
    assert_eq!(deny(&owner, one, 90).await.unwrap(), until(100));
    assert_eq!(deny(&owner, one, 100).await.unwrap(), until(100));
    assert_eq!(position(catalog).await, before, "nothing was written");
    assert_eq!(deny(&owner, two, 90).await.unwrap(), until(90));
    assert_eq!(deny(&owner, two, 110).await.unwrap(), until(110));
    let denied = async |now| {
        let all = revoked(catalog, now).await;
        [one, two].map(|link| all.denied_until(&owner, link))
    };
    assert_eq!(denied(99).await, [Some(at(100)), Some(at(110))]);
    assert_eq!(
        denied(100).await,
        [None, Some(at(110))],
        "dead at the time itself"
    );
    assert_eq!(denied(110).await, [None; 2]);
    while catalog.forget_denied(at(99), 100).await.unwrap() > 0 {}
    assert_eq!(denied(0).await, [Some(at(100)), Some(at(110))]);
    while catalog.forget_denied(at(100), 1).await.unwrap() > 0 {}
    assert_eq!(denied(0).await, [None, Some(at(110))]);
}

async fn a_link_named_by_its_id_alone_is_denied_until_one_end(catalog: &dyn Catalog) {
    let owner = organization(catalog, "revocation_id").await;
    let one = link("idididididid");
    let deny = async |signed, expires, now| {
        let denial = Denial {
            signed,
            ..denial(&owner, one, expires)
        };
        let denied = catalog.deny_link(&denial, at(now), super::MANY).await;
        denied.unwrap()
    };
    assert_eq!(deny(None, 100, 0).await, until(100));
    let before = position(catalog).await;
    assert_eq!(deny(None, 150, 50).await, until(100));
    assert_eq!(deny(Some(signed("f", 0)), 90, 50).await, until(100));
    assert_eq!(position(catalog).await, before, "nothing was written");
    assert_eq!(deny(None, 200, 100).await, until(200), "that one was dead");
    assert_eq!(deny(Some(signed("f", 0)), 300, 150).await, until(300));
}

/// Room for so many links, so many ids alone, and so many files.
fn bounds_of(links: u64, ids: u64, files: u64) -> RevocationBounds {
    RevocationBounds { links, ids, files }
}

async fn a_full_list_ends_more_than_one_link(catalog: &dyn Catalog) {
    let owner = organization(catalog, "revocation_full").await;
    let other = organization(catalog, "revocation_full_other").await;
    for (of, id) in [(&owner, "f"), (&owner, "g"), (&owner, "h"), (&other, "f")] {
        catalog.add_file(&file(of, id, 1)).await.unwrap();
    }
    let deny = async |of: &OrganizationId, end: &str, signed, bounds| {
        let denial = Denial {
            signed: Some(signed),
            ..denial(of, link(&format!("dddddddddd-{end}")), 200)
        };
        catalog.deny_link(&denial, at(0), bounds).await.unwrap()
    };
    let of = |file: &str, link_revision| SignedFor {
        link_revision,
        ..signed(file, 0)
    };
    let bounds = bounds_of(1, 0, 1);
    assert_eq!(deny(&owner, "1", of("f", 0), bounds).await, until(200));
    assert_eq!(
        deny(&other, "1", of("f", 0), bounds).await,
        until(200),
        "another's"
    );
    let again = deny(&owner, "1", of("f", 0), bounds_of(0, 0, 0)).await;
    assert_eq!(again, until(200), "one that is denied already");
    assert_eq!(deny(&owner, "2", of("f", 0), bounds).await, revision(1));
    // Twice, and by two who knew the same.
    let before = position(catalog).await;
    assert_eq!(deny(&owner, "2", of("f", 0), bounds).await, revision(1));
    assert_eq!(deny(&owner, "3", of("f", 0), bounds).await, revision(1));
    assert_eq!(position(catalog).await, before, "nothing was written");
    assert_eq!(deny(&owner, "4", of("f", 1), bounds).await, revision(2));
    // A file that is swept has no links, whose list is full whatever it is.
    catalog
        .delete_file(&owner, &file_id("h"), at(1))
        .await
        .unwrap();
    catalog.mark_swept(&owner, &file_id("h")).await.unwrap();
    assert_eq!(deny(&owner, "5", of("h", 0), bounds).await, until(200));
    let epoch = Extent::Organization { epoch: 1 };
    assert_eq!(deny(&owner, "6", of("g", 0), bounds).await, epoch);
    let all = revoked(catalog, 0).await;
    assert_eq!((all.epoch(&owner), all.revision(&owner, "f")), (1, 0));
    assert!(all.is_denied(&other, link("dddddddddd-1")) && all.epoch(&other) == 0);
    let before = position(catalog).await;
    assert_eq!(deny(&owner, "6", of("g", 0), bounds).await, epoch);
    assert_eq!(position(catalog).await, before, "nothing was written");
    // It made room.
    let anew = SignedFor {
        epoch: 1,
        ..of("f", 0)
    };
    assert_eq!(deny(&owner, "7", anew.clone(), bounds).await, until(200));
    // A file that nobody knows may be there later.
    let unknown = SignedFor {
        file: file_id("unknown"),
        ..anew
    };
    let epoch = Extent::Organization { epoch: 2 };
    assert_eq!(deny(&owner, "8", unknown, bounds).await, epoch);
}

async fn ids_alone_have_a_limit_of_their_own(catalog: &dyn Catalog) {
    let owner = organization(catalog, "revocation_ids").await;
    let other = organization(catalog, "revocation_ids_other").await;
    let deny = async |of: &OrganizationId, end: &str, expires, now, bounds| {
        let denial = Denial {
            signed: None,
            ..denial(of, link(&format!("eeeeeeeeee-{end}")), expires)
        };
        match catalog.deny_link(&denial, at(now), bounds).await {
            Ok(extent) => {
                assert_eq!(extent, until(expires));
                true
            }
            Err(CatalogError::Limit { limit, .. }) => {
                assert_eq!(limit, bounds.ids);
                false
            }
            Err(error) => panic!("{error:?}"),
        }
    };
    assert!(!deny(&owner, "1", 200, 0, bounds_of(9, 0, 9)).await);
    assert!(
        deny(&owner, "1", 200, 0, bounds_of(0, 1, 0)).await,
        "the lists are apart"
    );
    assert!(!deny(&owner, "2", 300, 0, bounds_of(9, 1, 9)).await);
    assert!(
        deny(&other, "2", 300, 0, bounds_of(9, 1, 9)).await,
        "another's"
    );
    assert!(
        deny(&owner, "2", 300, 200, bounds_of(9, 1, 9)).await,
        "a dead one made room"
    );
    let all = revoked(catalog, 0).await;
    assert!(!all.is_denied(&owner, link("eeeeeeeeee-1")));
    while catalog.forget_denied(at(300), 100).await.unwrap() > 0 {}
    assert!(
        deny(&owner, "3", 400, 300, bounds_of(9, 1, 9)).await,
        "it was forgotten"
    );
    catalog.raise_epoch(&owner).await.unwrap();
    assert!(
        deny(&owner, "4", 400, 300, bounds_of(9, 1, 9)).await,
        "and so does an epoch"
    );
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
        let denial = denial(tenant, denied, 500);
        let denied = catalog.deny_link(&denial, at(0), super::MANY).await;
        denied.unwrap();
    }
    assert_eq!(catalog.raise_epoch(&owner).await.unwrap(), 1);
    assert_eq!(catalog.raise_epoch(&owner).await.unwrap(), 2);
    assert_eq!(
        catalog.organization(&owner).await.unwrap().unwrap().epoch,
        2
    );
    assert_eq!(found(catalog, &owner, &id).await.unwrap().link_revision, 0);

    let all = revoked(catalog, 0).await;
    assert_eq!((all.epoch(&owner), all.revision(&owner, &id)), (2, 0));
    assert!(!all.is_denied(&owner, denied));
    assert_eq!((all.epoch(&other), all.revision(&other, &id)), (0, 1));
    assert!(all.is_denied(&other, denied));
}

/// The rows are there, until they are cleared away.
async fn what_an_earlier_epoch_revoked_counts_for_nothing(catalog: &dyn Catalog) {
    // Other checks left dead links and swept files.
    while catalog.forget_denied(at(9_999), 1_000).await.unwrap() > 0 {}
    while catalog.forget_swept(at(9_999), 1_000).await.unwrap() > 0 {}
    let owner = organization(catalog, "revocation_earlier").await;
    for id in ["f", "g", "h"] {
        catalog.add_file(&file(&owner, id, 1)).await.unwrap();
    }
    let [f, g, h] = ["f", "g", "h"].map(file_id);
    let raise = async |id, max| {
        let raised = catalog.raise_link_revision(&owner, id, max).await;
        raised.unwrap()
    };
    let deny = async |end: &str, epoch: Option<u64>, expires, bounds| {
        let denial = Denial {
            signed: epoch.map(|epoch| signed("g", epoch)),
            ..denial(&owner, link(&format!("ffffffffff-{end}")), expires)
        };
        catalog.deny_link(&denial, at(0), bounds).await
    };
    assert_eq!(raise(&f, 9).await, revision(1));
    assert_eq!(raise(&f, 9).await, revision(2));
    assert_eq!(
        deny("1", Some(0), 100, super::MANY).await.unwrap(),
        until(100)
    );
    assert_eq!(
        deny("2", Some(0), 900, super::MANY).await.unwrap(),
        until(900)
    );
    assert_eq!(catalog.raise_epoch(&owner).await.unwrap(), 1);
    let none = revoked(catalog, 0).await;
    assert!(!none.is_denied(&owner, link("ffffffffff-2")) && none.revision(&owner, &f) == 0);
    let stored = found(catalog, &owner, &f).await.unwrap();
    assert_eq!(stored.link_revision, 0);
    // Each begins anew, and its room is free.
    let one = bounds_of(1, 1, 1);
    assert_eq!(deny("2", None, 700, one).await.unwrap(), until(700));
    assert!(deny("3", None, 700, one).await.is_err(), "it is counted");
    assert_eq!(deny("4", Some(1), 700, one).await.unwrap(), until(700));
    assert_eq!(raise(&g, 1).await, revision(1));
    // Neither the dead link nor the file of the earlier epoch gives any back.
    assert_eq!(catalog.forget_denied(at(100), 100).await.unwrap(), 1);
    catalog.delete_file(&owner, &f, at(30)).await.unwrap();
    catalog.mark_swept(&owner, &f).await.unwrap();
    let before = position(catalog).await;
    assert_eq!(catalog.forget_swept(at(30), 100).await.unwrap(), 1);
    assert_eq!(position(catalog).await, before, "nobody holds it");
    let known = revoked(catalog, 0).await;
    assert!(known.is_denied(&owner, link("ffffffffff-2")) && known.revision(&owner, &g) == 1);
    assert_eq!(
        deny("5", Some(1), 700, bounds_of(1, 1, 9)).await.unwrap(),
        revision(1)
    );
    assert_eq!(raise(&h, 1).await, Extent::Organization { epoch: 2 });
}

async fn what_an_earlier_epoch_revoked_is_cleared_away_step_by_step(catalog: &dyn Catalog) {
    let owner = organization(catalog, "revocation_clear").await;
    while catalog
        .clear_superseded(None, 1_000)
        .await
        .unwrap()
        .is_some()
    {}
    for id in ["f", "g"] {
        catalog.add_file(&file(&owner, id, 1)).await.unwrap();
        let id = file_id(id);
        catalog
            .raise_link_revision(&owner, &id, MANY)
            .await
            .unwrap();
    }
    let deny = async |end: u32, epoch| {
        let denial = Denial {
            signed: Some(signed("f", epoch)),
            ..denial(&owner, link(&format!("gggggggggg-{end}")), 900)
        };
        let denied = catalog.deny_link(&denial, at(0), super::MANY).await;
        assert_eq!(denied.unwrap(), until(900));
    };
    for end in 0..5 {
        deny(end, 0).await;
    }
    catalog.raise_epoch(&owner).await.unwrap();
    // Two of those before are denied again, and one file is revised again.
    deny(0, 1).await;
    deny(1, 1).await;
    let g = file_id("g");
    let raised = catalog.raise_link_revision(&owner, &g, MANY).await;
    assert_eq!(raised.unwrap(), revision(1));
    let (before, known) = (position(catalog).await, revoked(catalog, 0).await);
    let mut steps = 0;
    while let Some(cleared) = catalog.clear_superseded(None, 1).await.unwrap() {
        assert_eq!(cleared, owner);
        steps += 1;
    }
    assert_eq!(
        steps, 4,
        "three links that are left, and the note that nothing is"
    );
    assert_eq!(position(catalog).await, before, "nobody is told");
    assert_eq!(revoked(catalog, 0).await, known);
    assert!(known.is_denied(&owner, link("gggggggggg-0")));
    assert_eq!(known.revision(&owner, &g), 1);
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
    let all = revoked(catalog, 0).await;
    assert_eq!(all.epoch(&imported.id), 7);
    assert_eq!(all.revision(&imported.id, &made.id), 5);
}
