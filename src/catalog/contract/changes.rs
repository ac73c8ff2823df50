//! The change feed: what is in it, what is not, and when it does not lead on.

use super::*;
use crate::catalog::changes::{CHANGES_READ_MAX, Change, FeedPage};
use crate::model::app::{App, AppSecret};
use crate::model::id::AppId;
use crate::model::revocation::{Denial, LinkId};

/// Runs the checks on one catalogue through two handles, which may be the same: what one changes, the
/// other sees.
pub(crate) async fn all(one: &dyn Catalog, other: &dyn Catalog) {
    what_only_adds_has_no_entry(one, other).await;
    what_revokes_has_one(one, other).await;
    what_is_imported_has_one(one, other).await;
    what_frees_an_id_has_one(one, other).await;
    what_changes_a_row_has_one(one, other).await;
    what_changes_nothing_has_none(one, other).await;
    a_feed_that_is_another_one_does_not_lead_on(one, other).await;
    old_entries_are_forgotten_but_for_the_newest(one, other).await;
    one_that_revokes_without_end_keeps_no_other_from_being_cleared(one).await;
}

/// The entries behind a position, which are the same on both handles.
async fn since(one: &dyn Catalog, other: &dyn Catalog, position: FeedPosition) -> Vec<Change> {
    let page = one.changes(position).await.unwrap().unwrap();
    assert_eq!(other.changes(position).await.unwrap(), Some(page.clone()));
    let FeedPage {
        changes,
        position: last,
        has_more,
    } = page;
    let versions: Vec<u64> = changes.iter().map(|(version, _)| *version).collect();
    assert!(
        !has_more && versions.is_sorted() && versions.iter().all(|one| *one > position.version)
    );
    assert_eq!(last, super::position(one).await);
    assert_eq!(
        last.version,
        versions.last().copied().unwrap_or(position.version)
    );
    changes.into_iter().map(|(_, change)| change).collect()
}

fn file_changed(owner: &OrganizationId, id: &str) -> Change {
    Change::FileChanged {
        organization: owner.clone(),
        file: file_id(id),
    }
}

fn revision_set(owner: &OrganizationId, id: &str, revision: u64) -> Change {
    Change::RevisionSet {
        organization: owner.clone(),
        file: file_id(id),
        revision,
    }
}

fn epoch_raised(owner: &OrganizationId, epoch: u64) -> Change {
    Change::EpochRaised {
        organization: owner.clone(),
        epoch,
    }
}

async fn what_only_adds_has_no_entry(one: &dyn Catalog, other: &dyn Catalog) {
    // Other checks left swept files.
    one.forget_swept(at(9_999), 1_000).await.unwrap();
    let before = position(one).await;
    let [owner, friend] = ["feed_same", "feed_friend"].map(|id| organization(one, id));
    let (owner, friend) = (owner.await, friend.await);
    one.create_space(&space(&owner, "s")).await.unwrap();
    let shared = folder(&owner, "f", &[]);
    one.create_folder(&shared).await.unwrap();
    let ids = ["a", "b"].map(file_id);
    one.add_file(&file(&owner, "a", 1)).await.unwrap();
    one.add_files(&[file(&owner, "b", 1)]).await.unwrap();
    one.add_to_folder(&owner, &shared.id, &ids).await.unwrap();
    one.share_folder(&owner, &shared.id, std::slice::from_ref(&friend))
        .await
        .unwrap();
    one.create_api_key(&api_key(&owner, 0xe0, 1)).await.unwrap();
    let key = api_key(&owner, 0xe1, 1);
    let app = App {
        id: AppId::from_random([0xe1; 16]),
        key: key.id.clone(),
        secret: AppSecret::parse("secret").unwrap(),
        created_at: at(1),
    };
    one.create_app(&key, &app).await.unwrap();
    // But keys: it may be kept that there is none.
    let made = [api_key(&owner, 0xe0, 1).id, key.id];
    let made = made.map(|key| Change::KeyChanged { key });
    assert_eq!(since(one, other, before).await, made);
}

async fn what_revokes_has_one(one: &dyn Catalog, other: &dyn Catalog) {
    // Other checks left dead links.
    while one.forget_denied(at(9_999), 1_000).await.unwrap() > 0 {}
    let owner = organization(one, "feed_revoked").await;
    one.add_file(&file(&owner, "f", 1)).await.unwrap();
    let (id, link) = (file_id("f"), LinkId::parse("dddddddddddd").unwrap());
    let before = position(one).await;
    for _ in 0..2 {
        one.raise_link_revision(&owner, &id, 1_000).await.unwrap();
    }
    one.raise_epoch(&owner).await.unwrap();
    let denial = |expires| Denial {
        organization: owner.clone(),
        link,
        expires: at(expires),
        signed: Some(signed("f", 1)),
    };
    for expires in [500, 600, 600, 500] {
        let denial = denial(expires);
        one.deny_link(&denial, at(0), MANY).await.unwrap();
    }
    let denied = |expires| Change::LinkDenied {
        organization: owner.clone(),
        link,
        expires: at(expires),
    };
    let wanted = [
        revision_set(&owner, "f", 1),
        revision_set(&owner, "f", 2),
        epoch_raised(&owner, 1),
        denied(500),
        denied(600),
    ];
    assert_eq!(since(one, other, before).await, wanted);
    // A process that holds it forgets it by itself.
    let before = position(one).await;
    assert_eq!(one.forget_denied(at(600), 100).await.unwrap(), 1);
    assert_eq!(since(one, other, before).await, []);
}

async fn what_is_imported_has_one(one: &dyn Catalog, other: &dyn Catalog) {
    let before = position(one).await;
    let imported = Organization {
        id: organization_id("feed_imported"),
        name: String::new(),
        epoch: 3,
        created_at: at(1),
    };
    one.create_organization(&imported).await.unwrap();
    let files = ["a", "b"].map(|id| FileRecord {
        link_revision: 2 * u64::from(id == "b"),
        ..file(&imported.id, id, 1)
    });
    one.add_files(&files).await.unwrap();
    let wanted = [
        epoch_raised(&imported.id, 3),
        revision_set(&imported.id, "b", 2),
    ];
    assert_eq!(since(one, other, before).await, wanted);
}

async fn what_frees_an_id_has_one(one: &dyn Catalog, other: &dyn Catalog) {
    let owner = organization(one, "feed_free").await;
    for id in ["revised", "plain"] {
        one.add_file(&file(&owner, id, 1)).await.unwrap();
    }
    let revised = file_id("revised");
    let raised = one.raise_link_revision(&owner, &revised, 1_000);
    raised.await.unwrap();
    for id in ["revised", "plain"] {
        let id = file_id(id);
        one.delete_file(&owner, &id, at(30)).await.unwrap();
        one.mark_swept(&owner, &id).await.unwrap();
    }
    let before = position(one).await;
    assert_eq!(one.forget_swept(at(30), 100).await.unwrap(), 2);
    let wanted = [revision_set(&owner, "revised", 0)];
    assert_eq!(since(one, other, before).await, wanted);
    assert_eq!(one.forget_swept(at(30), 100).await.unwrap(), 0);
}

async fn what_changes_a_row_has_one(one: &dyn Catalog, other: &dyn Catalog) {
    let owner = organization(one, "feed_rows").await;
    one.add_file(&file(&owner, "f", 1)).await.unwrap();
    let key = api_key(&owner, 0xe2, 1);
    one.create_api_key(&key).await.unwrap();
    let before = position(one).await;
    one.delete_file(&owner, &file_id("f"), at(30))
        .await
        .unwrap();
    let mut wanted = vec![file_changed(&owner, "f")];
    for state in [
        ApiKeyState::Paused,
        ApiKeyState::Active,
        ApiKeyState::Deactivated,
    ] {
        one.set_api_key_state(&key.id, state).await.unwrap();
        let key = key.id.clone();
        wanted.push(Change::KeyChanged { key });
    }
    assert_eq!(since(one, other, before).await, wanted);
}

/// Calls that add no entry: those that fail, and those about a file that nobody can open any more.
async fn what_changes_nothing_has_none(one: &dyn Catalog, other: &dyn Catalog) {
    let owner = organization(one, "feed_gone").await;
    let key = api_key(&owner, 0xe3, 1);
    one.create_api_key(&key).await.unwrap();
    one.set_api_key_state(&key.id, ApiKeyState::Deactivated)
        .await
        .unwrap();
    let id = file_id("f");
    one.add_file(&file(&owner, "f", 1)).await.unwrap();
    one.delete_file(&owner, &id, at(30)).await.unwrap();
    let before = position(one).await;
    assert_missing(one.delete_file(&owner, &id, at(31)).await);
    assert_taken(one.set_api_key_state(&key.id, ApiKeyState::Active).await);
    one.mark_swept(&owner, &id).await.unwrap();
    assert_missing(one.raise_link_revision(&owner, &id, 1_000).await);
    assert_eq!(one.forget_swept(at(30), 100).await.unwrap(), 1);
    assert_eq!(one.forget_denied(at(0), 100).await.unwrap(), 0);
    assert_eq!(since(one, other, before).await, []);
}

async fn a_feed_that_is_another_one_does_not_lead_on(one: &dyn Catalog, other: &dyn Catalog) {
    let here = position(one).await;
    let elsewhere = [
        FeedPosition {
            stamp: here.stamp ^ 1,
            ..here
        },
        // One that this catalogue has not reached.
        FeedPosition {
            version: here.version + 1,
            ..here
        },
        FeedPosition {
            version: i64::MAX.cast_unsigned(),
            ..here
        },
    ];
    for position in elsewhere {
        for catalog in [one, other] {
            assert_eq!(catalog.changes(position).await.unwrap(), None);
        }
    }
}

async fn old_entries_are_forgotten_but_for_the_newest(one: &dyn Catalog, other: &dyn Catalog) {
    let owner = organization(one, "feed_trimmed").await;
    let mut at_each = Vec::new();
    for epoch in 1..=5 {
        one.raise_epoch(&owner).await.unwrap();
        at_each.push((epoch, position(one).await));
    }
    let oldest = at_each[0].1.version;
    // Of all entries before those, in as many calls as it takes.
    while one.trim_changes(5, 7).await.unwrap() > 0 {}
    for (epoch, position) in &at_each {
        let wanted: Vec<Change> = (epoch + 1..=5)
            .map(|epoch| epoch_raised(&owner, epoch))
            .collect();
        assert_eq!(since(one, other, *position).await, wanted);
    }
    assert_eq!(one.trim_changes(3, 1).await.unwrap(), 1);
    let gone = at_each[0].1;
    assert_eq!(
        (gone.version, one.changes(gone).await.unwrap()),
        (oldest, None)
    );
    assert_eq!(one.trim_changes(0, 100).await.unwrap(), 3);
    let newest = at_each[4].1;
    assert_eq!(since(one, other, newest).await, []);
    one.raise_epoch(&owner).await.unwrap();
    assert_eq!(since(one, other, newest).await, [epoch_raised(&owner, 6)]);
    assert!(position(one).await.version > newest.version);
}

/// More entries than a page has, on an empty catalogue.
pub(crate) async fn a_long_feed_comes_in_pages(catalog: &dyn Catalog) {
    let owner = organization(catalog, "feed_long").await;
    let count = CHANGES_READ_MAX + 2_000;
    let files: Vec<FileRecord> = (0..count)
        .map(|number| FileRecord {
            link_revision: 1,
            ..file(&owner, &format!("f{number}"), 1)
        })
        .collect();
    let mut here = position(catalog).await;
    for some in files.chunks(6_000) {
        catalog.add_files(some).await.unwrap();
    }
    let mut seen = Vec::new();
    for has_more in [true, false] {
        let page = catalog.changes(here).await.unwrap().unwrap();
        assert_eq!(page.has_more, has_more);
        here = page.position;
        seen.extend(page.changes.into_iter().map(|(_, change)| change));
    }
    assert_eq!(here, position(catalog).await);
    let wanted = files
        .iter()
        .map(|file| revision_set(&owner, file.id.as_str(), 1));
    assert!(wanted.eq(seen), "each of them once, in their order");
}

async fn one_that_revokes_without_end_keeps_no_other_from_being_cleared(catalog: &dyn Catalog) {
    let without_end = organization(catalog, "feed_cleared_1").await;
    let other = organization(catalog, "feed_cleared_2").await;
    for organization in [&other, &without_end] {
        catalog.raise_epoch(organization).await.unwrap();
    }
    let mut cleared = None;
    loop {
        catalog.raise_epoch(&without_end).await.unwrap();
        let next = catalog.clear_superseded(cleared.as_ref(), 1_000).await;
        cleared = Some(next.unwrap().expect("none comes after the other one"));
        if cleared.as_ref() == Some(&other) {
            break;
        }
    }
}
