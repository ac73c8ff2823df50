//! Lists of files: their order, their pages, their counter.

use std::collections::BTreeSet;

use super::*;
use crate::catalog::{FILES_ADDED_MAX, Filter, NumberedPage, Place, Position};

pub(super) async fn all(catalog: &dyn Catalog) {
    lists_are_newest_first(catalog).await;
    positions_need_no_row(catalog).await;
    pages_go_both_ways(catalog).await;
    lists_by_id_go_both_ways(catalog).await;
    many_are_added_or_none(catalog).await;
    pages_keep_to_a_purpose(catalog).await;
    numbered_pages_count_the_ready_files(catalog).await;
    a_walk_neither_skips_nor_repeats(catalog).await;
    unknown_organizations_have_empty_pages(catalog).await;
}

fn ids(files: &[FileRecord]) -> Vec<&str> {
    files.iter().map(|file| file.id.as_str()).collect()
}

fn position(file: &FileRecord) -> Position {
    Position {
        created_at: file.created_at,
        id: file.id.as_str().to_owned(),
    }
}

async fn lists_are_newest_first(catalog: &dyn Catalog) {
    let owner = organization(catalog, "lists_order").await;
    let other = organization(catalog, "lists_order_other").await;
    for (id, created_at) in [("b", 5), ("z", 4), ("B", 5), ("a", 5), ("_", 6), ("aa", 5)] {
        catalog
            .add_file(&file(&owner, id, created_at))
            .await
            .unwrap();
    }
    catalog.add_file(&file(&other, "theirs", 5)).await.unwrap();
    let order = ["_", "b", "aa", "a", "B", "z"];

    let whole = catalog
        .page(&owner, Filter::Ready, Place::Newest, 100, at(0))
        .await
        .unwrap();
    assert_eq!(ids(&whole), order);
    for (place, last) in whole.iter().enumerate() {
        let rest = catalog
            .page(
                &owner,
                Filter::Ready,
                Place::After(&position(last)),
                2,
                at(0),
            )
            .await
            .unwrap();
        let wanted: Vec<&str> = order.into_iter().skip(place + 1).take(2).collect();
        assert_eq!(ids(&rest), wanted);
    }
    for offset in 0..8 {
        let page = catalog
            .numbered_page(&owner, offset, 4, at(0))
            .await
            .unwrap();
        let skipped = usize::try_from(offset).unwrap();
        let wanted: Vec<&str> = order.into_iter().skip(skipped).take(4).collect();
        assert_eq!((ids(&page.files), page.total), (wanted, 6));
    }
    assert_eq!(
        catalog
            .page(&owner, Filter::Ready, Place::Newest, 0, at(0))
            .await
            .unwrap(),
        []
    );
    let beyond = catalog
        .numbered_page(&owner, u64::MAX, u32::MAX, at(0))
        .await
        .unwrap();
    assert_eq!(
        beyond,
        NumberedPage {
            files: Vec::new(),
            total: 6
        }
    );
}

async fn positions_need_no_row(catalog: &dyn Catalog) {
    let owner = organization(catalog, "lists_position").await;
    for (id, created_at) in [("a", 5), ("c", 5), ("d", 7)] {
        catalog
            .add_file(&file(&owner, id, created_at))
            .await
            .unwrap();
    }
    let after = async |created_at, id: &str| {
        let position = Position {
            created_at: at(created_at),
            id: id.into(),
        };
        let page = catalog
            .page(&owner, Filter::Ready, Place::After(&position), 9, at(0))
            .await
            .unwrap();
        page.iter()
            .map(|file| file.id.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(after(5, "b").await, ["a"]);
    assert_eq!(after(6, "").await, ["c", "a"]);
    assert_eq!(after(5, "\u{1f600} % ' _").await, ["c", "a"]);
    assert_eq!(after(5, "").await, [""; 0]);
    assert_eq!(after(99_999_999_999, "zzz").await, ["d", "c", "a"]);
    assert_eq!(after(0, "zzz").await, [""; 0]);
}

/// At every place of a list, with and without a purpose, the pages before and after it are what the whole
/// list says. Deleted files are in none of them, and their places stay.
async fn pages_go_both_ways(catalog: &dyn Catalog) {
    let owner = organization(catalog, "lists_both_ways").await;
    mixed_files(catalog, &owner).await;
    let deleted = catalog.delete_file(&owner, &file_id("f07"), at(99)).await;
    let deleted = position(&deleted.unwrap());
    for purpose in [None, Some(Purpose::ToolOutput)] {
        let page = async |place: Place<'_>| {
            let page = catalog
                .page(&owner, Filter::of_purpose(purpose), place, 4, at(0))
                .await
                .unwrap();
            ids(&page)
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let whole = catalog
            .page(
                &owner,
                Filter::of_purpose(purpose),
                Place::Newest,
                99,
                at(0),
            )
            .await
            .unwrap();
        let mut places: Vec<Position> = whole.iter().map(position).collect();
        places.push(deleted.clone());
        for place in &places {
            let key = |file: &&FileRecord| (file.created_at, file.id.as_str().to_owned());
            let here = (place.created_at, place.id.clone());
            let (newer, older): (Vec<&FileRecord>, Vec<&FileRecord>) = whole
                .iter()
                .filter(|file| key(file) != here)
                .partition(|file| key(file) > here);
            let id = |file: &&FileRecord| file.id.as_str().to_owned();
            let after: Vec<String> = older.iter().take(4).map(id).collect();
            assert_eq!(page(Place::After(place)).await, after);
            let skipped = newer.len().saturating_sub(4);
            let before: Vec<String> = newer.iter().skip(skipped).map(id).collect();
            assert_eq!(page(Place::Before(place)).await, before);
        }
    }
}

async fn lists_by_id_go_both_ways(catalog: &dyn Catalog) {
    let owner = organization(catalog, "lists_by_id").await;
    mixed_files(catalog, &owner).await;
    catalog
        .delete_file(&owner, &file_id("f07"), at(99))
        .await
        .unwrap();
    let page = async |purpose, place: Place<'_>| {
        let page = catalog
            .page(&owner, Filter::of_purpose(purpose), place, 3, at(0))
            .await
            .unwrap();
        ids(&page)
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let tools = Some(Purpose::ToolOutput);
    assert_eq!(page(None, Place::Below("f09")).await, ["f08", "f06", "f05"]);
    assert_eq!(page(None, Place::Above("f05")).await, ["f09", "f08", "f06"]);
    assert_eq!(
        page(tools, Place::Below("f09")).await,
        ["f05", "f03", "f01"]
    );
    assert_eq!(
        page(tools, Place::Above("f05")).await,
        ["f13", "f11", "f09"]
    );
    // No file has these ids, and some could have none of them.
    assert_eq!(
        page(None, Place::Below("f085")).await,
        ["f08", "f06", "f05"]
    );
    assert_eq!(
        page(None, Place::Above("f17\u{1f600} %_'\0")).await,
        ["f19", "f18"]
    );
    assert_eq!(page(None, Place::Above("")).await, ["f02", "f01", "f00"]);
    assert_eq!(page(None, Place::Below("~")).await, ["f19", "f18", "f17"]);
    for (place, long) in [(Place::Below(""), ""), (Place::Above("~"), "~")] {
        assert_eq!(page(None, place).await, [""; 0], "{long}");
    }
}

/// Twenty files, `f00` to `f19`: three in each second, in an order that is not that of their ids, the
/// odd ones the output of tools.
async fn mixed_files(catalog: &dyn Catalog, owner: &OrganizationId) {
    let made = (0..20_u64).map(|number| FileRecord {
        purpose: [Purpose::UserUpload, Purpose::ToolOutput][usize::from(number % 2 == 1)],
        ..file(owner, &format!("f{number:02}"), 50 + (number * 7 % 20) / 3)
    });
    let made: Vec<FileRecord> = made.collect();
    catalog.add_files(&made).await.unwrap();
}

async fn many_are_added_or_none(catalog: &dyn Catalog) {
    let owner = organization(catalog, "lists_many").await;
    let total = async || {
        catalog
            .numbered_page(&owner, 0, 1, at(0))
            .await
            .unwrap()
            .total
    };
    let made: Vec<FileRecord> = (0..9).map(|n| file(&owner, &format!("f{n}"), n)).collect();
    let twice = [&made[..3], &made[..1]].concat();
    assert_taken(catalog.add_files(&twice).await);
    let nobodys = file(&organization_id("lists_many_nobody"), "f", 1);
    let nowhere = FileRecord {
        space: SpaceId::parse("nowhere").unwrap(),
        ..file(&owner, "f", 1)
    };
    for unknown in [nobodys, nowhere] {
        assert_missing(catalog.add_files(&[&made[..3], &[unknown]].concat()).await);
    }
    let too_many = vec![made[0].clone(); FILES_ADDED_MAX + 1];
    let outcome = catalog.add_files(&too_many).await;
    assert!(
        matches!(outcome, Err(CatalogError::Limit { .. })),
        "{outcome:?}"
    );
    assert_eq!(total().await, 0);
    catalog.add_files(&[]).await.unwrap();
    catalog.add_files(&made[..4]).await.unwrap();
    assert_taken(catalog.add_files(&made).await);
    assert_eq!(total().await, 4);
    catalog.add_files(&made[4..]).await.unwrap();
    assert_eq!(total().await, 9);
}

async fn pages_keep_to_a_purpose(catalog: &dyn Catalog) {
    let owner = organization(catalog, "lists_purpose").await;
    for place in 0..10_u64 {
        let purpose = [Purpose::ToolOutput, Purpose::AgentOutput][usize::from(place % 2 == 0)];
        let made = FileRecord {
            purpose,
            ..file(&owner, &format!("f{place}"), place)
        };
        catalog.add_file(&made).await.unwrap();
    }
    let tools = Some(Purpose::ToolOutput);
    let first = catalog
        .page(&owner, Filter::of_purpose(tools), Place::Newest, 3, at(0))
        .await
        .unwrap();
    assert_eq!(ids(&first), ["f9", "f7", "f5"]);
    let last = position(first.last().unwrap());
    let second = catalog
        .page(
            &owner,
            Filter::of_purpose(tools),
            Place::After(&last),
            3,
            at(0),
        )
        .await
        .unwrap();
    assert_eq!(ids(&second), ["f3", "f1"]);
    let none = catalog
        .page(
            &owner,
            Filter::of_purpose(Some(Purpose::UserUpload)),
            Place::Newest,
            3,
            at(0),
        )
        .await
        .unwrap();
    assert_eq!(none, []);
}

async fn numbered_pages_count_the_ready_files(catalog: &dyn Catalog) {
    let owner = organization(catalog, "lists_count").await;
    let total = async || {
        catalog
            .numbered_page(&owner, 0, 1, at(0))
            .await
            .unwrap()
            .total
    };
    for place in 0..6 {
        catalog
            .add_file(&file(&owner, &format!("f{place}"), place))
            .await
            .unwrap();
        assert_eq!(total().await, place + 1);
    }
    assert_taken(catalog.add_file(&file(&owner, "f0", 0)).await);
    assert_eq!(total().await, 6);
    let gone = file_id("f4");
    catalog.delete_file(&owner, &gone, at(9)).await.unwrap();
    assert_eq!(total().await, 5);
    assert_missing(catalog.delete_file(&owner, &gone, at(9)).await);
    catalog.mark_swept(&owner, &gone).await.unwrap();
    assert_eq!(total().await, 5);
    let page = catalog.numbered_page(&owner, 0, 10, at(0)).await.unwrap();
    assert_eq!(ids(&page.files), ["f5", "f3", "f2", "f1", "f0"]);
}

/// Between any two pages one file comes and one goes, before and behind the place of the walk.
async fn a_walk_neither_skips_nor_repeats(catalog: &dyn Catalog) {
    let owner = organization(catalog, "lists_walk").await;
    let id = |place: u64| format!("f{place:03}");
    for place in 0..60 {
        // Three files share each second.
        catalog
            .add_file(&file(&owner, &id(place), 100 + place / 3))
            .await
            .unwrap();
    }
    let mut seen: Vec<String> = Vec::new();
    let mut after = None;
    let mut round = 0;
    loop {
        let place = after.as_ref().map_or(Place::Newest, Place::After);
        let page = catalog
            .page(&owner, Filter::Ready, place, 7, at(0))
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        after = Some(position(last));
        seen.extend(page.iter().map(|file| file.id.to_string()));
        let newer = file(&owner, &format!("new{round}"), 500);
        catalog.add_file(&newer).await.unwrap();
        // The last file of the page, and one that no page has reached.
        catalog
            .delete_file(&owner, &last.id, at(600))
            .await
            .unwrap();
        let unseen = file_id(&id(round));
        if !seen.contains(&unseen.to_string()) {
            catalog.delete_file(&owner, &unseen, at(600)).await.unwrap();
        }
        round += 1;
    }
    let distinct: BTreeSet<&String> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len(), "no file twice");
    let never_touched = (round..60).map(id).filter(|id| !distinct.contains(id));
    assert_eq!(
        never_touched.collect::<Vec<_>>(),
        [""; 0],
        "no file skipped"
    );
    assert!(
        seen.iter().all(|id| !id.starts_with("new")),
        "the walk goes back in time"
    );
}

async fn unknown_organizations_have_empty_pages(catalog: &dyn Catalog) {
    let nobody = organization_id("lists_nobody");
    assert_eq!(
        catalog
            .page(&nobody, Filter::Ready, Place::Newest, 9, at(0))
            .await
            .unwrap(),
        []
    );
    let page = catalog.numbered_page(&nobody, 0, 9, at(0)).await.unwrap();
    assert_eq!(
        page,
        NumberedPage {
            files: Vec::new(),
            total: 0
        }
    );
}
