//! The bound on the links of an organization that have counts of their own.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use futures_util::future::{join, join_all};

use super::*;
use crate::catalog::transfer::Row;
use crate::model::count::{Counted, Counts};
use crate::model::revocation::LinkId;

pub(super) async fn all(catalog: &dyn Catalog) {
    links_beyond_the_bound_count_for_their_files_alone(catalog).await;
    removed_links_free_their_rows(catalog).await;
    moved_counts_are_counted(catalog).await;
    no_number_of_calls_at_once_makes_more(catalog).await;
    forget(catalog, 9_000).await;
}

/// The number of this link in the order of links.
fn link(number: usize) -> LinkId {
    LinkId::parse(&format!("bound{number:07}")).unwrap()
}

/// A download of three bytes with this link, which is dead later than those of any other check.
fn count(of: &FileRecord, number: usize) -> Count {
    Count {
        file: of.address(),
        link: link(number),
        expires: at(9_000),
        counts: Counts {
            downloads: 1,
            whole: 1,
            bytes_sent: 3,
            last_at: Some(at(7)),
        },
    }
}

async fn downloads(catalog: &dyn Catalog, owner: &OrganizationId, of: Counted<'_>) -> u64 {
    let counts = catalog.counts(owner, of).await.unwrap();
    assert_eq!(counts.bytes_sent, 3 * counts.downloads);
    counts.downloads
}

/// Returns the number of these links that have counts of their own.
async fn with_counts(catalog: &dyn Catalog, owner: &OrganizationId, links: usize) -> usize {
    let mut found = 0;
    for number in 0..links {
        let of_link = Counted::Link(link(number));
        found += usize::from(downloads(catalog, owner, of_link).await > 0);
    }
    found
}

async fn is_right(catalog: &dyn Catalog, owner: &OrganizationId) {
    for mend in [false, true] {
        let recount = catalog.recount(owner, mend).await.unwrap();
        assert!(recount.is_right(), "{mend}: {recount:?}");
    }
}

/// Forgets all counts of links that are dead by then.
async fn forget(catalog: &dyn Catalog, by: u64) {
    while catalog.forget_counts(at(by), 100).await.unwrap() > 0 {}
}

async fn links_beyond_the_bound_count_for_their_files_alone(catalog: &dyn Catalog) {
    let owner = organization(catalog, "bound").await;
    let other = organization(catalog, "bound_other").await;
    let [one, two] = ["one", "two"].map(|id| file(&owner, id, 1));
    let theirs = file(&other, "one", 1);
    for file in [&one, &two, &theirs] {
        catalog.add_file(file).await.unwrap();
    }
    let of = async |of| downloads(catalog, &owner, of).await;
    let batch = [
        count(&one, 0),
        count(&one, 1),
        count(&one, 2),
        count(&one, 2),
        count(&two, 3),
        count(&theirs, 0),
    ];
    assert_eq!(add_counts(catalog, &batch, 2).await, 2);
    assert_eq!(with_counts(catalog, &owner, 4).await, 2);
    // Each file has all of its downloads, whatever its links have.
    assert_eq!(of(Counted::File(&one.id)).await, 4);
    assert_eq!(of(Counted::File(&two.id)).await, 1);
    // Another organization has a bound of its own.
    let of_theirs = Counted::Link(link(0));
    assert_eq!(downloads(catalog, &other, of_theirs).await, 1);

    // Links that have counts go on.
    assert_eq!(add_counts(catalog, &batch, 2).await, 2);
    assert_eq!(with_counts(catalog, &owner, 4).await, 2);
    assert_eq!(of(Counted::File(&one.id)).await, 8);
    assert_eq!(of(Counted::Link(link(0))).await, 2);
    // Also beyond a bound that was lowered.
    assert_eq!(add_counts(catalog, &batch, 1).await, 2);
    assert_eq!(add_counts(catalog, &batch, 0).await, 2);
    assert_eq!(of(Counted::Link(link(1))).await, 4);
    // Under a larger one a link is counted from then on.
    assert_eq!(add_counts(catalog, &batch, 3).await, 1);
    assert_eq!(with_counts(catalog, &owner, 4).await, 3);
    assert_eq!(of(Counted::Link(link(2))).await, 2);
    assert_eq!(of(Counted::File(&one.id)).await, 20);
    assert_eq!(of(Counted::File(&two.id)).await, 5);
    is_right(catalog, &owner).await;
    is_right(catalog, &other).await;
}

async fn removed_links_free_their_rows(catalog: &dyn Catalog) {
    let owner = organization(catalog, "bound_dead").await;
    let some = file(&owner, "f", 1);
    catalog.add_file(&some).await.unwrap();
    let dead: Vec<Count> = (0..5)
        .map(|number| Count {
            expires: at(if number < 3 { 2_000 } else { 9_000 }),
            ..count(&some, number)
        })
        .collect();
    assert_eq!(add_counts(catalog, &dead, 5).await, 0);
    assert_eq!(
        add_counts(catalog, &[count(&some, 5)], 5).await,
        1,
        "all are taken"
    );
    assert_eq!(catalog.forget_counts(at(2_000), 2).await.unwrap(), 2);
    is_right(catalog, &owner).await;
    assert_eq!(catalog.forget_counts(at(2_000), 100).await.unwrap(), 1);
    assert_eq!(catalog.forget_counts(at(2_000), 100).await.unwrap(), 0);
    is_right(catalog, &owner).await;
    let more: Vec<Count> = (5..9).map(|number| count(&some, number)).collect();
    assert_eq!(add_counts(catalog, &more, 5).await, 1);
    assert_eq!(with_counts(catalog, &owner, 9).await, 5);
    is_right(catalog, &owner).await;
    // The file knows of all of them.
    let of_file = downloads(catalog, &owner, Counted::File(&some.id));
    assert_eq!(of_file.await, 5 + 1 + 4);
}

async fn moved_counts_are_counted(catalog: &dyn Catalog) {
    let owner = organization(catalog, "bound_moved").await;
    let some = file(&owner, "f", 1);
    catalog.add_file(&some).await.unwrap();
    let rows: Vec<Row> = (0..4)
        .map(|number| Row::LinkCount {
            organization: owner.clone(),
            link: link(number),
            expires: at(9_000),
            counts: count(&some, number).counts,
        })
        .collect();
    // Twice: the second time they take the place of the first.
    for _ in 0..2 {
        catalog.put_rows(&rows).await.unwrap();
        is_right(catalog, &owner).await;
    }
    assert_eq!(
        add_counts(catalog, &[count(&some, 4)], 4).await,
        1,
        "all are taken"
    );
    catalog.remove_rows(&rows[..1]).await.unwrap();
    is_right(catalog, &owner).await;
    assert_eq!(add_counts(catalog, &[count(&some, 4)], 4).await, 0);
    assert_eq!(with_counts(catalog, &owner, 5).await, 4);
}

/// An organization of which so many links have counts.
pub(crate) async fn links_with_counts(
    catalog: &dyn Catalog,
    id: &str,
    links: usize,
) -> OrganizationId {
    let owner = organization(catalog, id).await;
    let some = file(&owner, "f", 1);
    catalog.add_file(&some).await.unwrap();
    let counts: Vec<Count> = (0..links).map(|number| count(&some, number)).collect();
    assert_eq!(add_counts(catalog, &counts, u64::MAX).await, 0);
    owner
}

/// Of an organization whose `links` links have counts, another one has none where there may be no more.
pub(crate) async fn one_link_more_has_no_counts(
    catalog: &dyn Catalog,
    owner: &OrganizationId,
    links: usize,
) {
    is_right(catalog, owner).await;
    let some = catalog.file(owner, &file_id("f")).await.unwrap().unwrap();
    let another = [count(&some, links)];
    let folded = add_counts(catalog, &another, links as u64).await;
    assert_eq!(folded, 1);
    let of_file = Counted::File(&some.id);
    assert_eq!(downloads(catalog, owner, of_file).await, links as u64 + 1);
}

/// Flushes of several gateways at once, each with links of two organizations that others count, too, beside a
/// sweep.
async fn no_number_of_calls_at_once_makes_more(catalog: &dyn Catalog) {
    const CALLS: usize = 8;
    const LINKS: usize = 60;
    const LINKS_MAX: usize = 100;
    let owners = [
        organization(catalog, "bound_crowd_a").await,
        organization(catalog, "bound_crowd_b").await,
    ];
    let files = owners.each_ref().map(|owner| file(owner, "f", 1));
    for file in &files {
        catalog.add_file(file).await.unwrap();
    }
    let folded = AtomicU64::new(0);
    let calls = (0..CALLS).map(async |call| {
        // Half of the links of each call are those of the next one as well; some are dead before others count them.
        let mut batch: Vec<Count> = (0..LINKS)
            .flat_map(|number| {
                let number = call * LINKS / 2 + number;
                files.each_ref().map(|file| Count {
                    expires: at(if number.is_multiple_of(3) {
                        2_000
                    } else {
                        9_000
                    }),
                    ..count(file, number)
                })
            })
            .collect();
        if call.is_multiple_of(2) {
            batch.reverse();
        }
        for _ in 0..3 {
            let max = LINKS_MAX as u64;
            folded.fetch_add(add_counts(catalog, &batch, max).await, Relaxed);
        }
    });
    let sweeping = async {
        for _ in 0..10 {
            catalog.forget_counts(at(2_000), 7).await.unwrap();
        }
    };
    join(join_all(calls), sweeping).await;
    assert!(folded.load(Relaxed) > 0);
    for (owner, file) in owners.iter().zip(&files) {
        let all = CALLS * LINKS;
        let found = with_counts(catalog, owner, all).await;
        assert!(found <= LINKS_MAX, "{found} of {LINKS_MAX}");
        is_right(catalog, owner).await;
        let of_file = downloads(catalog, owner, Counted::File(&file.id)).await;
        assert_eq!(
            of_file,
            3 * all as u64,
            "none is lost and none counted twice"
        );
    }
    forget(catalog, 2_000).await;
    for owner in &owners {
        is_right(catalog, owner).await;
    }
}
