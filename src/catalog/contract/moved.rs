//! Revocations in rows that are moved: they count, and are of the epoch in force.

use super::transfer::rows_of;
use super::*;
use crate::catalog::transfer::{Kind, Row};
use crate::model::revocation::Extent;

pub(super) async fn all(catalog: &dyn Catalog) {
    what_was_revoked_is_counted(catalog).await;
    what_is_moved_is_of_the_epoch_in_force(catalog).await;
}

/// The counters of an organization's revocations follow the rows that are put and removed.
async fn what_was_revoked_is_counted(catalog: &dyn Catalog) {
    let owner = organization(catalog, "transfer_revoked").await;
    let file = |id: &str, link_revision| {
        let file = FileRecord {
            link_revision,
            ..file(&owner, id, 1)
        };
        Row::File(Box::new(file))
    };
    let link = |end: &str| LinkId::parse(&format!("transfer_CC{end}")).unwrap();
    let denied = |end: &str, id_alone| Row::DeniedLink {
        organization: owner.clone(),
        link: link(end),
        expires: at(99),
        id_alone,
    };
    let files = [file("f", 2), file("g", 0), file("h", 0)];
    let links = [denied("1", false), denied("2", true)];
    // Once more counts nothing twice.
    for _ in 0..2 {
        catalog.put_rows(&files).await.unwrap();
        catalog.put_rows(&links).await.unwrap();
    }
    let raise = async |id: &str, max| {
        let id = file_id(id);
        catalog.raise_link_revision(&owner, &id, max).await.unwrap()
    };
    assert_eq!(raise("f", 1).await, Extent::File { link_revision: 3 });
    let deny = async |end: &str, by_id: bool, room: u64| {
        let bounds = RevocationBounds {
            links: room,
            ids: room,
            files: 9,
        };
        let denial = Denial {
            signed: (!by_id).then(|| signed("f", 0)),
            ..denial(&owner, link(end), 99)
        };
        catalog.deny_link(&denial, at(0), bounds).await
    };
    assert!(deny("3", true, 1).await.is_err() && deny("3", true, 2).await.is_ok());
    let wide = deny("4", false, 1).await.unwrap();
    assert!(matches!(wide, Extent::File { .. }), "{wide:?}");
    catalog.remove_rows(&links).await.unwrap();
    catalog.remove_rows(&files).await.unwrap();
    catalog.put_rows(&files[1..]).await.unwrap();
    assert!(deny("2", true, 2).await.is_ok(), "one of two is left");
    let narrow = deny("5", false, 1).await.unwrap();
    assert!(matches!(narrow, Extent::Link { .. }), "{narrow:?}");
    assert_eq!(raise("g", 1).await, Extent::File { link_revision: 1 });
    catalog.put_rows(&files[..1]).await.unwrap();
    let wide = Extent::Organization { epoch: 1 };
    assert_eq!(raise("h", 2).await, wide, "two are raised");
}

/// Rows that an earlier epoch ended are moved as if they were not, and what is put is of the epoch in force.
async fn what_is_moved_is_of_the_epoch_in_force(catalog: &dyn Catalog) {
    let owner = organization(catalog, "transfer_epoch").await;
    let revised = FileRecord {
        link_revision: 2,
        ..file(&owner, "f", 1)
    };
    let link = LinkId::parse("transfer_EE1").unwrap();
    let rows = [
        Row::File(Box::new(revised.clone())),
        Row::DeniedLink {
            organization: owner.clone(),
            link,
            expires: at(99),
            id_alone: false,
        },
    ];
    let kept = async || {
        let files = rows_of(catalog, Kind::File, 99).await;
        let links = rows_of(catalog, Kind::DeniedLink, 99).await;
        let ours = files.into_iter().chain(links);
        let ours = ours.filter(|row| row.key()[0] == owner.as_str());
        ours.collect::<Vec<_>>()
    };
    let known = async || {
        let all = revoked(catalog, 0).await;
        (
            all.epoch(&owner),
            all.revision(&owner, "f"),
            all.is_denied(&owner, link),
        )
    };
    for epoch in 0..2 {
        catalog.put_rows(&rows).await.unwrap();
        assert_eq!(
            (kept().await, known().await),
            (rows.to_vec(), (epoch, 2, true))
        );
        catalog.raise_epoch(&owner).await.unwrap();
        let bare = FileRecord {
            link_revision: 0,
            ..revised.clone()
        };
        assert_eq!(kept().await, [Row::File(Box::new(bare))]);
        assert_eq!(known().await, (epoch + 1, 0, false));
    }
    // So does an epoch that is put, and its counters are those of nothing.
    catalog.put_rows(&rows).await.unwrap();
    let later = Organization {
        epoch: 7,
        ..catalog.organization(&owner).await.unwrap().unwrap()
    };
    catalog.put_rows(&[Row::Organization(later)]).await.unwrap();
    assert_eq!(known().await, (7, 0, false));
    let room = RevocationBounds {
        links: 1,
        ids: 1,
        files: 1,
    };
    let denial = Denial {
        signed: Some(signed("f", 7)),
        ..denial(&owner, link, 200)
    };
    let denied = catalog.deny_link(&denial, at(0), room).await.unwrap();
    assert_eq!(denied, Extent::Link { expires: at(200) });
}
