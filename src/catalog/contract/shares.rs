//! Shares: made, found, changed, counted, forgotten.

use super::*;
use crate::catalog::shares::{
    GUESS_SECONDS, ListedShare, NewShare, SHARE_COUNTS_ADDED_MAX, SHARE_REVOKED, SHARE_ROTATED,
    ShareCount, ShareCountRow, ShareEdit, ShareRotation, ShareUsage,
};
use crate::catalog::transfer::Row;
use crate::model::count::Counts;
use crate::model::id::ShareId;
use crate::model::share::{
    PasswordHash, SHARE_FILES_MAX, Share, ShareCounts, ShareKind, ShareNetwork, ShareOptions,
    ShareState, SharedFile, WholeShare,
};

mod counted;
mod edited;
mod ended;

pub(super) async fn all(catalog: &dyn Catalog) {
    a_share_is_found_by_its_id_and_its_code(catalog).await;
    what_is_not_there_makes_no_share(catalog).await;
    files_have_the_link_revision_of_when_they_came(catalog).await;
    edited::all(catalog).await;
    a_rotated_share_has_another_code(catalog).await;
    lists_are_newest_first(catalog).await;
    counted::all(catalog).await;
    ended::all(catalog).await;
}

/// A share without files, whose id and code are its organization's and this name's alone.
pub(crate) fn share_of(owner: &OrganizationId, name: &str) -> Share {
    Share {
        organization: owner.clone(),
        id: share_id(name),
        kid: "k1".into(),
        code_digest: digest_of(&format!("{owner}/{name}")),
        epoch: 0,
        revision: 0,
        kind: ShareKind::Files,
        title: String::new(),
        note: String::new(),
        next_position: 1,
        created_at: at(5_000),
        created_by: None,
        expires: None,
        not_before: None,
        allowed: None,
        password: None,
        pass_revision: 0,
        ip: None,
        state: ShareState::Active,
        options: ShareOptions {
            preview: true,
            zip: true,
        },
    }
}

fn share_id(name: &str) -> ShareId {
    ShareId::parse(&format!("share_{name}")).unwrap()
}

/// Any digest that no other text has here.
fn digest_of(text: &str) -> Sha256Digest {
    use sha2::{Digest as _, Sha256};
    Sha256Digest::new(Sha256::digest(text).into())
}

/// Makes the share of these files, each under its own id.
pub(crate) async fn make(catalog: &dyn Catalog, share: Share, files: &[&str]) -> WholeShare {
    let new = NewShare {
        share,
        files: named(files),
    };
    catalog.create_share(&new).await.unwrap()
}

fn named(files: &[&str]) -> Vec<(String, FileId)> {
    let named = |id: &&str| (format!("dir/{id}.txt"), file_id(id));
    files.iter().map(named).collect()
}

/// Makes a share that uses everything a row can hold, of two files, and counts something of it; for what copies rows.
pub(crate) async fn share_with_everything(catalog: &dyn Catalog, owner: &OrganizationId) -> Share {
    for id in ["shared_1", "shared_2"] {
        catalog.add_file(&file(owner, id, 11)).await.unwrap();
    }
    let files = ["shared_1", "shared_2"];
    let rich = rich_share(owner);
    let whole = make(catalog, rich, &files).await;
    let revoked = share_of(owner, "revoked");
    make(catalog, revoked.clone(), &files[..1]).await;
    let revoked = catalog.revoke_share(owner, &revoked.id, at(9));
    revoked.await.unwrap();
    catalog
        .add_share_counts(&[a_count(&whole.share)])
        .await
        .unwrap();
    let id = &whole.share.id;
    catalog.add_guess(owner, id, at(7_000)).await.unwrap();
    whole.share
}

fn rich_share(owner: &OrganizationId) -> Share {
    Share {
        title: "Ergebnisse \"Q3\" 100% \u{1f600}".into(),
        note: "two\nlines".into(),
        created_by: Some(ApiKeyId::from_random([9; 16])),
        expires: Some(at(99_999_999_999)),
        not_before: Some(at(3)),
        allowed: Some(1_000_000),
        password: Some(PasswordHash::new(
            "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA".into(),
        )),
        pass_revision: 4,
        revision: 1 << 40,
        ip: ShareNetwork::parse("2001:db8::/32"),
        kind: ShareKind::Request,
        options: ShareOptions {
            preview: false,
            zip: true,
        },
        ..share_of(owner, "rich")
    }
}

fn a_count(share: &Share) -> ShareCount {
    ShareCount {
        organization: share.organization.clone(),
        share: share.id.clone(),
        counts: Counts {
            downloads: 3,
            whole: 2,
            bytes_sent: 1 << 40,
            last_at: Some(at(50)),
        },
        opened: 5,
        first_opened_at: Some(at(40)),
    }
}

/// Rows of a share of nobody, of a file in a share that is not there, and of counts of it.
pub(super) fn three_rows(nobody: &OrganizationId, owner: &OrganizationId) -> Vec<Row> {
    let file = SharedFile {
        path: "f".into(),
        file: file_id("f"),
        link_revision: 0,
        position: 1,
    };
    vec![
        Row::Share(Box::new(share_of(nobody, "lost"))),
        Row::ShareFile {
            organization: owner.clone(),
            share: share_id("lost"),
            file,
        },
        Row::ShareCount(Box::new(ShareCountRow {
            count: a_count(&share_of(owner, "lost")),
            guesses_hour: 1,
            guesses_at: at(1),
        })),
    ]
}

async fn found(catalog: &dyn Catalog, share: &Share) -> Option<WholeShare> {
    let found = catalog.share(&share.organization, &share.id).await;
    found.unwrap()
}

async fn of_code(catalog: &dyn Catalog, digest: Sha256Digest) -> Option<WholeShare> {
    catalog.share_of_code(&digest).await.unwrap()
}

async fn a_share_is_found_by_its_id_and_its_code(catalog: &dyn Catalog) {
    let owner = organization(catalog, "share_found").await;
    let other = organization(catalog, "share_found_not").await;
    for id in ["a", "b"] {
        catalog.add_file(&file(&owner, id, 1)).await.unwrap();
    }
    let before = position(catalog).await;
    let whole = make(catalog, rich_share(&owner), &["b", "a"]).await;
    assert_eq!(
        position(catalog).await,
        before,
        "nobody keeps that it is not there"
    );
    let shared = |id: &str, position| SharedFile {
        path: format!("dir/{id}.txt"),
        file: file_id(id),
        link_revision: 0,
        position,
    };
    assert_eq!(whole.files, [shared("b", 1), shared("a", 2)]);
    let wanted = Share {
        next_position: 3,
        ..rich_share(&owner)
    };
    assert_eq!(whole.share, wanted);
    assert_eq!(found(catalog, &wanted).await, Some(whole.clone()));
    assert_eq!(of_code(catalog, wanted.code_digest).await, Some(whole));
    let elsewhere = catalog.share(&other, &wanted.id).await.unwrap();
    assert_eq!(elsewhere, None, "it is another organization's");
    assert_eq!(of_code(catalog, digest_of("no code")).await, None);
    let empty = make(catalog, share_of(&owner, "empty"), &[]).await;
    assert_eq!(found(catalog, &empty.share).await, Some(empty));
}

async fn what_is_not_there_makes_no_share(catalog: &dyn Catalog) {
    let owner = organization(catalog, "share_none").await;
    let nobody = organization_id("share_nobody");
    for id in ["ready", "deleted"] {
        catalog.add_file(&file(&owner, id, 1)).await.unwrap();
    }
    let deleted = file_id("deleted");
    catalog.delete_file(&owner, &deleted, at(9)).await.unwrap();
    let share = share_of(&owner, "none");
    let create = async |share: &Share, files: Vec<(String, FileId)>| {
        let share = share.clone();
        catalog.create_share(&NewShare { share, files }).await
    };
    for files in [["ready", "deleted"], ["ready", "never"]] {
        assert_missing(create(&share, named(&files)).await);
    }
    assert_missing(create(&share_of(&nobody, "none"), Vec::new()).await);
    let one_path = ["ready", "ready"].map(|id| ("same".to_owned(), file_id(id)));
    assert_taken(create(&share, one_path.to_vec()).await);
    let many = (0..=SHARE_FILES_MAX).map(|number| (number.to_string(), file_id("ready")));
    let refused = create(&share, many.collect()).await;
    assert!(matches!(refused, Err(CatalogError::Limit { .. })));
    assert_eq!(found(catalog, &share).await, None);
    make(catalog, share.clone(), &["ready"]).await;
    let same_id = Share {
        code_digest: digest_of("another"),
        ..share.clone()
    };
    let same_code = Share {
        code_digest: share.code_digest,
        ..share_of(&owner, "other")
    };
    for taken in [&share, &same_id, &same_code] {
        assert_taken(create(taken, Vec::new()).await);
    }
    let large = Share {
        allowed: Some(1 << 63),
        ..share_of(&owner, "large")
    };
    let refused = create(&large, Vec::new()).await;
    assert!(matches!(refused, Err(CatalogError::Limit { .. })));
}

async fn files_have_the_link_revision_of_when_they_came(catalog: &dyn Catalog) {
    let owner = organization(catalog, "share_revision").await;
    for id in ["a", "b"] {
        catalog.add_file(&file(&owner, id, 1)).await.unwrap();
    }
    let raise = async |id| {
        let raised = catalog.raise_link_revision(&owner, &file_id(id), 9).await;
        raised.unwrap();
    };
    let revisions = |whole: &WholeShare| {
        let files = whole.files.iter();
        files.map(|file| file.link_revision).collect::<Vec<_>>()
    };
    raise("a").await;
    let whole = make(catalog, share_of(&owner, "share"), &["a", "b"]).await;
    assert_eq!(revisions(&whole), [1, 0]);
    raise("a").await;
    raise("b").await;
    let whole = found(catalog, &whole.share).await.unwrap();
    assert_eq!(revisions(&whole), [1, 0], "those that are revoked stay so");
    let edit = ShareEdit {
        files: Some(named(&["a", "b"])),
        title: Some("t".into()),
        ..ShareEdit::default()
    };
    let edited = catalog.edit_share(&owner, &whole.share.id, &edit).await;
    assert_eq!(revisions(&edited.unwrap()), [1, 0], "whatever is edited");
    catalog.raise_epoch(&owner).await.unwrap();
    let again = make(catalog, share_of(&owner, "again"), &["a", "b"]).await;
    assert_eq!(revisions(&again), [0, 0], "those of another epoch are none");
}

async fn a_rotated_share_has_another_code(catalog: &dyn Catalog) {
    let owner = organization(catalog, "share_rotate").await;
    let share = share_of(&owner, "rotate");
    make(catalog, share.clone(), &[]).await;
    let rotation = ShareRotation {
        from: 0,
        kid: "k2".into(),
        epoch: 3,
        code_digest: digest_of("the next code"),
    };
    let before = position(catalog).await;
    let rotated = catalog.rotate_share(&owner, &share.id, &rotation).await;
    let rotated = rotated.unwrap();
    let wanted = Share {
        kid: "k2".into(),
        epoch: 3,
        revision: 1,
        pass_revision: 1,
        code_digest: rotation.code_digest,
        ..share.clone()
    };
    assert_eq!(rotated.share, wanted);
    assert_eq!(changes_since(catalog, before).await, [changed(&share)]);
    assert_eq!(of_code(catalog, share.code_digest).await, None);
    let of_next = of_code(catalog, rotation.code_digest).await;
    assert_eq!(of_next, Some(rotated));
    match catalog.rotate_share(&owner, &share.id, &rotation).await {
        Err(CatalogError::Conflict { what }) => assert_eq!(what, SHARE_ROTATED),
        other => panic!("{other:?}"),
    }
    let unknown = share_id("unknown");
    assert_missing(catalog.rotate_share(&owner, &unknown, &rotation).await);
}

async fn lists_are_newest_first(catalog: &dyn Catalog) {
    let owner = organization(catalog, "share_list").await;
    let other = organization(catalog, "share_list_other").await;
    catalog.add_file(&file(&owner, "a", 1)).await.unwrap();
    let key = ApiKeyId::from_random([8; 16]);
    for (name, is_by_key) in [("1", true), ("2", false), ("3", true)] {
        let share = Share {
            created_by: is_by_key.then(|| key.clone()),
            ..share_of(&owner, name)
        };
        make(catalog, share, &["a"]).await;
    }
    make(catalog, share_of(&other, "2"), &[]).await;
    let list = async |by: Option<&ApiKeyId>, after: Option<&str>, limit| {
        let after = after.map(share_id);
        let listed = catalog.shares(&owner, by, after.as_ref(), limit).await;
        let listed = listed.unwrap();
        let all = listed.iter().map(|of: &ListedShare| {
            assert_eq!((of.files, of.counts), (1, ShareCounts::default()));
            of.share.id.to_string()
        });
        all.collect::<Vec<_>>()
    };
    assert_eq!(list(None, None, 9).await, ["share_3", "share_2", "share_1"]);
    assert_eq!(list(None, None, 1).await, ["share_3"]);
    assert_eq!(list(None, Some("3"), 9).await, ["share_2", "share_1"]);
    assert_eq!(list(None, Some("15"), 9).await, ["share_1"]);
    assert_eq!(list(None, Some("1"), 9).await, [""; 0]);
    assert_eq!(list(Some(&key), None, 9).await, ["share_3", "share_1"]);
    assert_eq!(list(Some(&key), Some("3"), 9).await, ["share_1"]);
    let stranger = ApiKeyId::from_random([7; 16]);
    assert_eq!(list(Some(&stranger), None, 9).await, [""; 0]);
    let usage = async |shares, files| {
        let bound = ShareUsage { shares, files };
        let usage = catalog.share_usage(&owner, bound).await.unwrap();
        (usage.shares, usage.files)
    };
    assert_eq!(usage(9, 9).await, (3, 3));
    assert_eq!(usage(2, 1).await, (2, 1));
    let nobody = organization_id("share_list_nobody");
    let listed = catalog.shares(&nobody, None, None, 9).await.unwrap();
    assert_eq!(listed, []);
}

fn changed(share: &Share) -> Change {
    Change::ShareChanged {
        organization: share.organization.clone(),
        share: share.id.clone(),
    }
}
