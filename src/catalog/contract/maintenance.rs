//! Background tasks: files that nobody has read for text, identities in place, files that expire.

use super::*;
use crate::catalog::maintenance::{READ_FILES_SET_MAX, Text};
use crate::catalog::{Filter, Place, Position};

pub(super) async fn all(catalog: &dyn Catalog) {
    files_of_unknown_text_come_once_until_it_is_set(catalog).await;
    so_many_texts_at_once_and_no_more(catalog).await;
    an_identity_is_replaced_while_it_is_as_it_was_seen(catalog).await;
    an_expired_file_is_in_no_list(catalog).await;
    expired_files_are_marked_the_first_ones_first(catalog).await;
    lists_keep_to_a_name_and_to_the_recycle_bin(catalog).await;
}

async fn files_of_unknown_text_come_once_until_it_is_set(catalog: &dyn Catalog) {
    let owner = organization(catalog, "text_unknown").await;
    for (id, is_text) in [
        ("a", None),
        ("b", Some(true)),
        ("c", None),
        ("d", Some(false)),
        ("deleted", None),
        ("z", None),
    ] {
        let made = FileRecord {
            is_text,
            ..file(&owner, id, 1)
        };
        catalog.add_file(&made).await.unwrap();
    }
    let deleted = catalog
        .delete_file(&owner, &file_id("deleted"), at(50))
        .await;
    deleted.unwrap();
    let unknown = async |limit| {
        let mut seen: Vec<(OrganizationId, FileId)> = Vec::new();
        loop {
            let page = catalog.files_of_unknown_text(seen.last(), limit);
            let page = page.await.unwrap();
            assert!(page.len() <= limit as usize);
            if page.is_empty() {
                break;
            }
            assert!(page.iter().all(|file| file.is_text.is_none()));
            seen.extend(page.into_iter().map(|file| (file.organization, file.id)));
        }
        assert!(seen.is_sorted() && seen.windows(2).all(|two| two[0] != two[1]));
        let ours = seen.into_iter().filter(|(of, _)| *of == owner);
        ours.map(|(_, id)| id.to_string()).collect::<Vec<_>>()
    };
    for limit in [1, 2, 1_000] {
        assert_eq!(unknown(limit).await, ["a", "c", "z"]);
    }
    let text = |id: &str, is_text| Text {
        organization: owner.clone(),
        file: file_id(id),
        is_text,
    };
    let before = position(catalog).await;
    let texts = [text("c", true), text("nobody", true), text("a", false)];
    catalog.set_text(&texts).await.unwrap();
    let wanted = ["c", "nobody", "a"].map(|id| changed(&owner, id));
    assert_eq!(changes_since(catalog, before).await, wanted);
    let after = position(catalog).await;
    assert_eq!(unknown(10).await, ["z"]);
    for (id, is_text) in [("a", Some(false)), ("c", Some(true)), ("z", None)] {
        let found = found(catalog, &owner, &file_id(id)).await.unwrap();
        assert_eq!(found.is_text, is_text, "{id}");
    }
    catalog.set_text(&[]).await.unwrap();
    assert_eq!(position(catalog).await, after);
}

pub(super) fn changed(owner: &OrganizationId, id: &str) -> Change {
    Change::FileChanged {
        organization: owner.clone(),
        file: file_id(id),
    }
}

async fn so_many_texts_at_once_and_no_more(catalog: &dyn Catalog) {
    let owner = organization(catalog, "text_many").await;
    let mut texts: Vec<Text> = (0..READ_FILES_SET_MAX)
        .map(|number| Text {
            organization: owner.clone(),
            file: file_id(&format!("f{number}")),
            is_text: true,
        })
        .collect();
    catalog.set_text(&texts).await.unwrap();
    texts.push(texts[0].clone());
    let outcome = catalog.set_text(&texts).await;
    let is_limit = matches!(outcome, Err(CatalogError::Limit { limit: 500, .. }));
    assert!(is_limit, "{outcome:?}");
}

async fn an_identity_is_replaced_while_it_is_as_it_was_seen(catalog: &dyn Catalog) {
    let owner = organization(catalog, "identity").await;
    let place = |inode, device, changed_nanos| InPlace {
        path: "/srv/a".into(),
        inode,
        modified_nanos: 7,
        device,
        changed_nanos,
    };
    let (old, new) = (place(1, None, None), place(u64::MAX, Some(3), Some(-9)));
    let made = FileRecord {
        location: BlobLocation::InPlace(old.clone()),
        ..file(&owner, "f", 1)
    };
    catalog.add_file(&made).await.unwrap();
    catalog.add_file(&file(&owner, "stored", 1)).await.unwrap();
    let id = file_id("f");
    let replace = async |seen: &InPlace, found: &InPlace| {
        catalog.replace_identity(&owner, &id, seen, found).await
    };
    let stored = async || found(catalog, &owner, &id).await.unwrap().location;
    for other in [
        place(2, None, None),
        place(1, Some(1), None),
        place(1, None, Some(1)),
        InPlace {
            modified_nanos: 8,
            ..old.clone()
        },
        InPlace {
            path: "/srv/b".into(),
            ..old.clone()
        },
    ] {
        assert_taken(replace(&other, &new).await);
        assert_eq!(stored().await, BlobLocation::InPlace(old.clone()));
    }
    let before = position(catalog).await;
    replace(&old, &new).await.unwrap();
    assert_eq!(changes_since(catalog, before).await, [changed(&owner, "f")]);
    assert_eq!(stored().await, BlobLocation::InPlace(new.clone()));
    assert_taken(replace(&old, &new).await);
    replace(&new, &old).await.unwrap();
    let of = async |id: &str| {
        let id = file_id(id);
        catalog.replace_identity(&owner, &id, &old, &new).await
    };
    assert_taken(of("stored").await);
    assert_missing(of("nobody").await);
    catalog.delete_file(&owner, &id, at(50)).await.unwrap();
    replace(&old, &new).await.unwrap();
    catalog.mark_swept(&owner, &id).await.unwrap();
    assert_missing(replace(&new, &old).await);
}

fn expiring(owner: &OrganizationId, id: &str, created_at: u64, expires_at: u64) -> FileRecord {
    FileRecord {
        expires_at: Some(at(expires_at)),
        ..file(owner, id, created_at)
    }
}

async fn an_expired_file_is_in_no_list(catalog: &dyn Catalog) {
    let owner = organization(catalog, "expiry_lists").await;
    for made in [
        file(&owner, "a", 1),
        expiring(&owner, "b", 2, 100),
        expiring(&owner, "c", 3, 200),
    ] {
        catalog.add_file(&made).await.unwrap();
    }
    let name = FileName::from_client("report.txt").unwrap();
    let newest = Position {
        created_at: at(999),
        id: String::new(),
    };
    let oldest = Position {
        created_at: at(0),
        id: String::new(),
    };
    for (now, wanted) in [
        (99, vec!["c", "b", "a"]),
        (100, vec!["c", "a"]),
        (199, vec!["c", "a"]),
        (200, vec!["a"]),
    ] {
        for filter in [
            Filter::Ready,
            Filter::OfPurpose(Purpose::UserUpload),
            Filter::OfName(&name),
        ] {
            for place in [
                Place::Newest,
                Place::After(&newest),
                Place::Before(&oldest),
                Place::Below("z"),
                Place::Above("_"),
            ] {
                let page = catalog.page(&owner, filter, place, 9, at(now)).await;
                let page = page.unwrap();
                let ids: Vec<&str> = page.iter().map(|file| file.id.as_str()).collect();
                assert_eq!(ids, wanted, "{now} {filter:?} {place:?}");
            }
        }
        let page = catalog.numbered_page(&owner, 0, 9, at(now)).await.unwrap();
        let ids: Vec<&str> = page.files.iter().map(|file| file.id.as_str()).collect();
        assert_eq!((ids, page.total), (wanted.clone(), wanted.len() as u64));
        let skipped = catalog.numbered_page(&owner, 1, 9, at(now)).await.unwrap();
        assert_eq!(skipped.files.len(), wanted.len() - 1);
    }
    // It is there to be looked at, and is deleted when it expired, whoever says so.
    let expired = found(catalog, &owner, &file_id("b")).await.unwrap();
    assert_eq!(expired.state, FileState::Ready);
    assert_eq!(expired.state_at(at(99)), FileState::Ready);
    let then = FileState::Deleted { at: at(100) };
    assert_eq!(expired.state_at(at(100)), then);
    let deleted = catalog.delete_file(&owner, &expired.id, at(500)).await;
    assert_eq!(deleted.unwrap().state, then);
    let early = catalog.delete_file(&owner, &file_id("c"), at(150)).await;
    assert_eq!(early.unwrap().state, FileState::Deleted { at: at(150) });
    let page = catalog.numbered_page(&owner, 0, 9, at(999)).await.unwrap();
    assert_eq!(page.total, 1);
}

async fn expired_files_are_marked_the_first_ones_first(catalog: &dyn Catalog) {
    // Other checks left expired files.
    while catalog.expire_files(at(99), 1_000).await.unwrap() > 0 {}
    let owner = organization(catalog, "expiry_due").await;
    let other = organization(catalog, "expiry_other").await;
    for made in [
        file(&owner, "never", 1),
        expiring(&owner, "late", 1, 30),
        expiring(&owner, "early", 1, 10),
        expiring(&owner, "b", 1, 20),
        expiring(&owner, "a", 1, 20),
        expiring(&other, "a", 1, 15),
    ] {
        catalog.add_file(&made).await.unwrap();
    }
    let before = position(catalog).await;
    let deleted = async |of: &OrganizationId| {
        let page = catalog.page(of, Filter::Deleted, Place::Newest, 9, at(0));
        let marked = page.await.unwrap().into_iter().map(|file| {
            let FileState::Deleted { at } = file.state else {
                panic!("{file:?}")
            };
            (file.id.to_string(), at.get())
        });
        marked.collect::<Vec<_>>()
    };
    let marked = |id: &str, at: u64| (id.to_owned(), at);
    assert_eq!(catalog.expire_files(at(9), 100).await.unwrap(), 0);
    assert_eq!(position(catalog).await, before);
    assert_eq!(catalog.expire_files(at(20), 3).await.unwrap(), 3);
    let mut changes = changes_since(catalog, before).await;
    changes.sort_by_key(|change| format!("{change:?}"));
    let wanted = [
        changed(&owner, "a"),
        changed(&owner, "early"),
        changed(&other, "a"),
    ];
    assert_eq!(changes, wanted);
    assert_eq!(
        deleted(&owner).await,
        [marked("early", 10), marked("a", 20)]
    );
    assert_eq!(deleted(&other).await, [marked("a", 15)]);
    assert_eq!(catalog.expire_files(at(20), 3).await.unwrap(), 1);
    assert_eq!(catalog.expire_files(at(20), 3).await.unwrap(), 0);
    let all = [marked("early", 10), marked("b", 20), marked("a", 20)];
    assert_eq!(deleted(&owner).await, all);
    let page = catalog.numbered_page(&owner, 0, 9, at(20)).await.unwrap();
    assert_eq!((page.files.len(), page.total), (2, 2));
    for of in [&owner, &other] {
        let recount = catalog.recount(of, false).await.unwrap();
        assert!(recount.is_right(), "{recount:?}");
    }
    // One that nobody has marked says when it expired, too.
    let late = catalog.delete_file(&owner, &file_id("late"), at(40)).await;
    assert_eq!(late.unwrap().state, FileState::Deleted { at: at(30) });
    assert_eq!(catalog.expire_files(at(99), 100).await.unwrap(), 0);
    // Each call is for so many organizations.
    for number in 0..20 {
        let one = organization(catalog, &format!("expiry_{number}")).await;
        catalog.add_file(&expiring(&one, "a", 1, 60)).await.unwrap();
    }
    let mut marked = 0;
    loop {
        match catalog.expire_files(at(99), 100).await.unwrap() {
            0 => break,
            some => marked += some,
        }
    }
    assert_eq!(marked, 20);
}

async fn lists_keep_to_a_name_and_to_the_recycle_bin(catalog: &dyn Catalog) {
    let owner = organization(catalog, "filters").await;
    let names =
        ["one.txt", "ONE.txt", "отчёт.txt"].map(|name| FileName::from_client(name).unwrap());
    for number in 0..24_u64 {
        let made = FileRecord {
            name: names[usize::try_from(number % 3).unwrap()].clone(),
            expires_at: (number % 5 == 0).then_some(at(5)),
            ..file(&owner, &format!("f{number:02}"), number / 4)
        };
        catalog.add_file(&made).await.unwrap();
        if number % 4 == 1 {
            let deleted = catalog.delete_file(&owner, &made.id, at(50)).await;
            deleted.unwrap();
        }
    }
    let [one, _, third] = &names;
    let all: Vec<String> = (0..24)
        .rev()
        .map(|number| format!("f{number:02}"))
        .collect();
    let is_deleted = |number: u64| number % 4 == 1;
    for (filter, is_wanted) in [
        (
            Filter::OfName(one),
            Box::new(move |number| number % 3 == 0 && !is_deleted(number))
                as Box<dyn Fn(u64) -> bool>,
        ),
        (
            Filter::OfName(third),
            Box::new(move |number| number % 3 == 2 && !is_deleted(number)),
        ),
        (Filter::Deleted, Box::new(is_deleted)),
        (
            Filter::DeletedOfName(one),
            Box::new(move |number| number % 3 == 0 && is_deleted(number)),
        ),
    ] {
        let number = |id: &String| id[1..].parse::<u64>().unwrap();
        let wanted: Vec<&String> = all.iter().filter(|id| is_wanted(number(id))).collect();
        let page = async |place: Place<'_>| -> Vec<String> {
            let page = catalog.page(&owner, filter, place, 3, at(0)).await;
            page.unwrap()
                .iter()
                .map(|file| file.id.to_string())
                .collect()
        };
        assert_eq!(page(Place::Newest).await, first(&wanted, 0..3));
        for (index, id) in wanted.iter().enumerate() {
            let position = Position {
                created_at: at(number(id) / 4),
                id: (*id).clone(),
            };
            let (older, newer) = (index + 1..index + 4, index.saturating_sub(3)..index);
            assert_eq!(
                page(Place::After(&position)).await,
                first(&wanted, older.clone())
            );
            assert_eq!(
                page(Place::Before(&position)).await,
                first(&wanted, newer.clone())
            );
            assert_eq!(page(Place::Below(id)).await, first(&wanted, older));
            assert_eq!(page(Place::Above(id)).await, first(&wanted, newer));
        }
    }
}

fn first(ids: &[&String], range: std::ops::Range<usize>) -> Vec<String> {
    let some = ids.iter().skip(range.start).take(range.len());
    some.map(|id| (*id).clone()).collect()
}
