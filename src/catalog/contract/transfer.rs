//! Moving rows from one catalogue to another.

use super::original::original;
use super::*;
use crate::catalog::idempotency::{Claim, KeyRow};
use crate::catalog::quota::Quota;
use crate::catalog::transfer::{CopyNote, Kind, ROWS_AT_ONCE_MAX, Row, Totals, Transfer as _};
use crate::model::app::{App, AppSecret};
use crate::model::count::{Counted, Counts};
use crate::model::id::{AppId, InstallationId};

pub(super) async fn all(catalog: &dyn Catalog) {
    everything_is_there_as_it_was(catalog).await;
    what_is_counted_follows_the_files(catalog).await;
    what_belongs_to_nothing_is_passed_over(catalog).await;
    what_is_removed_is_gone_with_what_belongs_to_it(catalog).await;
    a_digest_belongs_to_one_key(catalog).await;
    moving_changes_everything(catalog).await;
    so_many_at_once_and_no_more(catalog).await;
    what_somebody_uses_becomes_no_copy(catalog).await;
}

/// What is noted of copies, asked of a catalogue with nothing in it.
pub(crate) async fn notes(catalog: &dyn Catalog) {
    assert_eq!(catalog.copy_note().await.unwrap(), None);
    let own = catalog.installation().await.unwrap();
    let mut note = CopyNote {
        installation: InstallationId::from_random([7; 16]),
        blobs: "s3://a/b".into(),
        is_whole: false,
    };
    assert_ne!(own, note.installation);
    catalog.note_copy(Some(&note)).await.unwrap();
    assert_eq!(catalog.copy_note().await.unwrap(), Some(note.clone()));
    assert_eq!(catalog.installation().await.unwrap(), note.installation);
    // What is a copy stays one, whatever is in it.
    organization(catalog, "notes").await;
    assert_taken(catalog.note_copy(None).await);
    assert_eq!(catalog.copy_note().await.unwrap(), Some(note.clone()));
    note.is_whole = true;
    catalog.note_copy(Some(&note)).await.unwrap();
    assert_eq!(catalog.copy_note().await.unwrap(), Some(note.clone()));
    catalog.note_copy(None).await.unwrap();
    assert_eq!(catalog.copy_note().await.unwrap(), None);
    assert_taken(catalog.note_copy(Some(&note)).await);
    assert_eq!(catalog.copy_note().await.unwrap(), None);
    assert_eq!(catalog.installation().await.unwrap(), note.installation);
}

/// Every row of a kind, read in pages of this size.
pub(crate) async fn rows_of(catalog: &dyn Catalog, kind: Kind, page: u32) -> Vec<Row> {
    let mut all: Vec<Row> = Vec::new();
    loop {
        let next = catalog.rows(kind, all.last(), page).await.unwrap();
        assert!(next.len() <= page as usize);
        if next.is_empty() {
            break;
        }
        all.extend(next);
    }
    assert!(all.iter().all(|row| row.kind() == kind));
    assert!(all.windows(2).all(|two| two[0].key() < two[1].key()));
    all
}

async fn copy(from: &dyn Catalog, to: &dyn Catalog) {
    for kind in Kind::ALL {
        let rows = rows_of(from, kind, 3).await;
        assert!(!rows.is_empty(), "{kind:?}");
        assert_eq!(to.put_rows(&rows).await.unwrap(), rows.len() as u64);
    }
}

async fn everything_is_there_as_it_was(catalog: &dyn Catalog) {
    let original = original("transfer").await;
    let before = catalog.totals().await.unwrap();
    // Once more changes nothing.
    for _ in 0..2 {
        copy(&original, catalog).await;
        for kind in Kind::ALL {
            let wanted = rows_of(&original, kind, 100).await;
            for page in [1, 7, 1_000] {
                let mut found = rows_of(catalog, kind, page).await;
                found.retain(|row| wanted.iter().any(|wanted| wanted.key() == row.key()));
                assert_eq!(found, wanted, "{kind:?}");
            }
        }
        let more = original.totals().await.unwrap();
        let sum = Totals {
            files: before.files + more.files,
            bytes: before.bytes.saturating_add(more.bytes),
        };
        assert_eq!(catalog.totals().await.unwrap(), sum);
    }
    // And means the same to everybody else.
    let owner = organization_id("transfer_a");
    let page = catalog.numbered_page(&owner, 0, 10, at(0)).await.unwrap();
    assert_eq!(page.total, 5);
    let revoked = revoked(catalog, 0).await;
    assert_eq!(revoked.revision(&owner, "rich"), 3);
    assert_eq!(revoked.epoch("transfer_b"), 1);
    assert!(revoked.is_denied(&owner, LinkId::parse("transfer_AAA").unwrap()));
    let rich = file_id("rich");
    let of_file = catalog.counts(&owner, Counted::File(&rich));
    assert_eq!(of_file.await.unwrap().downloads, 3);
}

async fn what_is_counted_follows_the_files(catalog: &dyn Catalog) {
    let owner = organization(catalog, "transfer_counted").await;
    let put = async |state, size| {
        let file = FileRecord {
            state,
            size,
            ..file(&owner, "f", 1)
        };
        let rows = [Row::File(Box::new(file))];
        assert_eq!(catalog.put_rows(&rows).await.unwrap(), 1);
    };
    let (deleted, swept) = (
        FileState::Deleted { at: at(3) },
        FileState::Swept { at: at(3) },
    );
    let steps = [
        (FileState::Ready, 100, 1, true),
        (FileState::Ready, 100, 1, true),
        (deleted, 100, 0, true),
        (swept, 100, 0, false),
        (FileState::Ready, 40, 1, false),
    ];
    for (state, size, ready, is_full) in steps {
        put(state, size).await;
        let page = catalog.numbered_page(&owner, 0, 10, at(0)).await.unwrap();
        assert_eq!(page.total, ready, "{state:?}");
        let quota = Quota {
            bytes: Some(100),
            ..Quota::NONE
        };
        let more = FileRecord {
            size: 1,
            ..file(&owner, "more", 1)
        };
        let added = catalog.add_files_within(std::slice::from_ref(&more), quota, None);
        let added = added.await;
        assert_eq!(added.is_err(), is_full, "{state:?}");
        if added.is_ok() {
            let gone = [Row::File(Box::new(more))];
            assert_eq!(catalog.remove_rows(&gone).await.unwrap(), 1);
        }
    }
}

async fn what_belongs_to_nothing_is_passed_over(catalog: &dyn Catalog) {
    let owner = organization(catalog, "transfer_lost").await;
    let nobody = organization_id("transfer_nobody");
    let lost = [
        Row::Space(space(&nobody, "s")),
        Row::ApiKey(api_key(&nobody, 91, 1)),
        Row::App(App {
            id: AppId::from_random([91; 16]),
            key: ApiKeyId::from_random([91; 16]),
            secret: AppSecret::parse("x").unwrap(),
            created_at: at(1),
        }),
        Row::Folder(folder(&nobody, "f", &[])),
        Row::FolderMember {
            organization: owner.clone(),
            folder: folder_id("none"),
            member: owner.clone(),
        },
        Row::File(Box::new(file(&nobody, "f", 1))),
        Row::FolderFile {
            organization: owner.clone(),
            folder: folder_id("none"),
            file: file_id("f"),
        },
        Row::DeniedLink {
            organization: nobody.clone(),
            link: LinkId::parse("transfer_BBB").unwrap(),
            expires: at(1),
            id_alone: false,
        },
        Row::IdempotencyKey(KeyRow {
            claim: Claim {
                organization: nobody.clone(),
                api_key: ApiKeyId::from_random([91; 16]),
                key: "k".into(),
                owner: [1; 16],
            },
            created_at: at(1),
            held_until: at(1),
            completed: None,
        }),
        Row::FileCount {
            organization: owner.clone(),
            file: file_id("none"),
            counts: Counts::default(),
        },
        Row::LinkCount {
            organization: nobody.clone(),
            link: LinkId::parse("transfer_BBB").unwrap(),
            expires: at(1),
            counts: Counts::default(),
        },
    ];
    let lost = [
        lost.to_vec(),
        redemptions::two_rows(&nobody),
        shares::three_rows(&nobody, &owner),
    ]
    .concat();
    assert_eq!(catalog.put_rows(&lost).await.unwrap(), 0);
    let found = Row::File(Box::new(file(&owner, "f", 1)));
    let some = [lost[0].clone(), found, lost[5].clone()];
    assert_eq!(catalog.put_rows(&some).await.unwrap(), 1);
    let page = catalog.numbered_page(&owner, 0, 10, at(0)).await.unwrap();
    assert_eq!(page.total, 1);
}

async fn what_is_removed_is_gone_with_what_belongs_to_it(catalog: &dyn Catalog) {
    let original = original("moved_away").await;
    copy(&original, catalog).await;
    let owner = organization_id("moved_away_a");
    let rich = original.file(&owner, &file_id("rich")).await.unwrap();
    let rich = Row::File(Box::new(rich.unwrap()));
    let before = catalog.totals().await.unwrap();
    let twice = [rich.clone(), rich];
    assert_eq!(catalog.remove_rows(&twice[..1]).await.unwrap(), 1);
    assert_eq!(catalog.remove_rows(&twice[..1]).await.unwrap(), 0);
    let after = catalog.totals().await.unwrap();
    assert_eq!(after.files, before.files - 1);
    let shared = folder_id("shared");
    let left = catalog.folder_files(&owner, &shared).await.unwrap();
    assert_eq!(left, ["deleted", "ready"].map(file_id));
    let id = file_id("rich");
    let counted = catalog.counts(&owner, Counted::File(&id));
    assert_eq!(counted.await.unwrap(), Counts::default());
    let organizations = rows_of(&original, Kind::Organization, 9).await;
    assert_missing(catalog.remove_rows(&organizations[..1]).await);
    for kind in [
        Kind::Redemption,
        Kind::Allowance,
        Kind::ShareCount,
        Kind::ShareFile,
        Kind::Share,
        Kind::IdempotencyKey,
        Kind::LinkCount,
        Kind::FileCount,
        Kind::DeniedLink,
        Kind::FolderFile,
        Kind::File,
        Kind::FolderMember,
        Kind::Folder,
        Kind::App,
        Kind::ApiKey,
        Kind::Space,
        Kind::Organization,
    ] {
        let rows = rows_of(&original, kind, 9).await;
        catalog.remove_rows(&rows).await.unwrap();
        let kept = rows_of(catalog, kind, 99).await;
        assert!(
            kept.iter()
                .all(|row| rows.iter().all(|gone| gone.key() != row.key()))
        );
    }
}

async fn a_digest_belongs_to_one_key(catalog: &dyn Catalog) {
    let owner = organization(catalog, "transfer_digest").await;
    let one = ApiKey {
        digest: Sha256Digest::new([93; 32]),
        ..api_key(&owner, 92, 1)
    };
    let other = ApiKey {
        id: ApiKeyId::from_random([93; 16]),
        ..one.clone()
    };
    let put = async |key: &ApiKey| catalog.put_rows(&[Row::ApiKey(key.clone())]).await;
    assert_eq!(put(&one).await.unwrap(), 1);
    assert_eq!(put(&one).await.unwrap(), 1);
    assert_taken(put(&other).await);
}

async fn moving_changes_everything(catalog: &dyn Catalog) {
    let owner = organization(catalog, "transfer_feed").await;
    let rows = [Row::File(Box::new(file(&owner, "f", 1)))];
    let before = position(catalog).await;
    catalog.put_rows(&rows).await.unwrap();
    catalog.remove_rows(&rows).await.unwrap();
    let changes = changes_since(catalog, before).await;
    assert_eq!(changes, [Change::Everything, Change::Everything]);
}

async fn so_many_at_once_and_no_more(catalog: &dyn Catalog) {
    let owner = organization(catalog, "transfer_many").await;
    let row = |number| Row::File(Box::new(file(&owner, &format!("f{number}"), 1)));
    let mut rows: Vec<Row> = (0..ROWS_AT_ONCE_MAX).map(row).collect();
    let count = rows.len() as u64;
    assert_eq!(catalog.put_rows(&rows).await.unwrap(), count);
    assert_eq!(catalog.remove_rows(&rows).await.unwrap(), count);
    assert_eq!(catalog.put_rows(&[]).await.unwrap(), 0);
    rows.push(row(ROWS_AT_ONCE_MAX));
    for refused in [
        catalog.put_rows(&rows).await,
        catalog.remove_rows(&rows).await,
    ] {
        assert!(
            matches!(refused, Err(CatalogError::Limit { limit: 500, .. })),
            "{refused:?}"
        );
    }
}

async fn what_somebody_uses_becomes_no_copy(catalog: &dyn Catalog) {
    organization(catalog, "transfer_used").await;
    let id = catalog.installation().await.unwrap();
    let note = CopyNote {
        installation: InstallationId::from_random([8; 16]),
        blobs: String::new(),
        is_whole: false,
    };
    assert_taken(catalog.note_copy(Some(&note)).await);
    assert_eq!(catalog.copy_note().await.unwrap(), None);
    assert_eq!(catalog.installation().await.unwrap(), id);
}

/// What stays where it is, and why.
const STAYS: [(&str, &str); 18] = [
    (
        "_sqlx_migrations",
        "says which steps of the schema were done",
    ),
    (
        "change",
        "tells the processes of one catalogue what to read anew",
    ),
    ("change_head", "the same"),
    (
        "change_mark",
        "what became of a change whose answer was lost",
    ),
    (
        "sent_mark",
        "what became of a batch of sent bytes whose answer was lost",
    ),
    ("copy_note", "what is noted of a copy"),
    ("installation", "is set together with the note"),
    ("list_anchor", "is counted with the files"),
    ("link_counter", "is counted with the counts of links"),
    ("organization.ready_files", "is counted with the files"),
    ("organization.kept_files", "the same"),
    ("organization.kept_bytes", "the same"),
    ("organization.revised_files", "the same"),
    ("organization.denied_links", "is counted with them"),
    ("organization.denied_ids", "the same"),
    (
        "organization.cleared_epoch",
        "says what is still to be cleared away",
    ),
    (
        "file.link_epoch",
        "is the one in force where the row is put",
    ),
    ("denied_link.epoch", "the same"),
];

/// Says no to a table or a column, `table.column`, that nobody moves, and to one that is not there.
#[track_caller]
pub(crate) fn assert_all_is_moved(kept: impl IntoIterator<Item = String>) {
    use crate::catalog::sql::tables::Table;
    use std::collections::BTreeSet;
    let stays = |column: &String| {
        let (table, _) = column.split_once('.').unwrap();
        STAYS
            .iter()
            .any(|(what, _)| what == column || *what == table)
    };
    let kept: BTreeSet<String> = kept.into_iter().filter(|column| !stays(column)).collect();
    let columns = |kind| {
        let table = Table::of(kind);
        let columns = table.columns().into_iter();
        columns.map(move |column| format!("{}.{column}", table.name))
    };
    let moved: BTreeSet<String> = Kind::ALL.into_iter().flat_map(columns).collect();
    assert_eq!(
        kept, moved,
        "`catalog::transfer` must know what a catalogue keeps"
    );
}
