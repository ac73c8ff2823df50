//! Downloads that were counted.

use super::*;
use crate::catalog::counters::{COUNT_MAX, COUNTS_ADDED_MAX};
use crate::model::count::{Counted, Counts};
use crate::model::revocation::LinkId;

pub(super) async fn all(catalog: &dyn Catalog) {
    counts_add_up_for_links_and_their_files(catalog).await;
    what_has_no_file_is_passed_over(catalog).await;
    a_number_stays_at_the_largest(catalog).await;
    a_link_s_counts_die_with_it_and_a_file_s_with_its_id(catalog).await;
    a_link_whose_end_is_moved_keeps_its_counts(catalog).await;
    counting_is_not_in_the_feed(catalog).await;
    so_many_at_once_and_no_more(catalog).await;
}

fn link(text: &str) -> LinkId {
    LinkId::parse(text).unwrap()
}

fn count(of: &FileRecord, link_id: &str, downloads: u64, last_at: u64) -> Count {
    Count {
        file: of.address(),
        link: link(link_id),
        expires: at(5_000),
        counts: Counts {
            downloads,
            whole: downloads / 2,
            bytes_sent: downloads * 100,
            last_at: Some(at(last_at)),
        },
    }
}

fn counts(downloads: u64, whole: u64, bytes_sent: u64, last_at: u64) -> Counts {
    Counts {
        downloads,
        whole,
        bytes_sent,
        last_at: Some(at(last_at)),
    }
}

async fn counts_add_up_for_links_and_their_files(catalog: &dyn Catalog) {
    let owner = organization(catalog, "counts").await;
    let other = organization(catalog, "counts_other").await;
    let [a, b] = ["a", "b"].map(|id| file(&owner, id, 1));
    let same_id = file(&other, "a", 1);
    for file in [&a, &b, &same_id] {
        catalog.add_file(file).await.unwrap();
    }
    let of = async |of| catalog.counts(&owner, of).await.unwrap();
    assert_eq!(of(Counted::File(&a.id)).await, Counts::default());
    let first = [
        count(&a, "countsAAAAAA", 5, 70),
        count(&a, "countsBBBBBB", 1, 90),
        count(&b, "countsCCCCCC", 2, 80),
        count(&a, "countsAAAAAA", 1, 60),
        count(&same_id, "countsAAAAAA", 9, 99),
    ];
    add_counts(catalog, &first, u64::MAX).await;
    add_counts(catalog, &[], u64::MAX).await;
    assert_eq!(of(Counted::File(&a.id)).await, counts(7, 2, 700, 90));
    assert_eq!(of(Counted::File(&b.id)).await, counts(2, 1, 200, 80));
    let of_link = Counted::Link(link("countsAAAAAA"));
    assert_eq!(of(of_link).await, counts(6, 2, 600, 70));
    let more = [count(&a, "countsAAAAAA", 4, 50)];
    add_counts(catalog, &more, u64::MAX).await;
    assert_eq!(of(of_link).await, counts(10, 4, 1_000, 70));
    assert_eq!(of(Counted::File(&a.id)).await, counts(11, 4, 1_100, 90));
    let elsewhere = catalog.counts(&other, of_link).await.unwrap();
    assert_eq!(elsewhere, counts(9, 4, 900, 99));
}

async fn what_has_no_file_is_passed_over(catalog: &dyn Catalog) {
    let owner = organization(catalog, "counts_gone").await;
    let (gone, here) = (file(&owner, "gone", 1), file(&owner, "here", 1));
    let stranger = file(&organization_id("counts_nobody"), "x", 1);
    catalog.add_file(&here).await.unwrap();
    let all = [
        count(&gone, "countsDDDDDD", 1, 1),
        count(&stranger, "countsDDDDDD", 1, 1),
        count(&here, "countsEEEEEE", 2, 1),
    ];
    let folded = add_counts(catalog, &all, u64::MAX).await;
    assert_eq!(folded, 0, "for no bound");
    let of = async |of| catalog.counts(&owner, of).await.unwrap().downloads;
    assert_eq!(of(Counted::File(&gone.id)).await, 0);
    let of_gone = Counted::Link(link("countsDDDDDD"));
    assert_eq!(of(of_gone).await, 1, "a link is counted until it is dead");
    let of_stranger = catalog.counts(&stranger.organization, of_gone).await;
    assert_eq!(of_stranger.unwrap(), Counts::default());
    assert_eq!(of(Counted::File(&here.id)).await, 2);
    assert_eq!(of(Counted::Link(link("countsEEEEEE"))).await, 2);
}

async fn a_number_stays_at_the_largest(catalog: &dyn Catalog) {
    let owner = organization(catalog, "counts_large").await;
    let some = file(&owner, "f", 1);
    catalog.add_file(&some).await.unwrap();
    for (bytes_sent, sum) in [
        (COUNT_MAX - 1, COUNT_MAX - 1),
        (1, COUNT_MAX),
        (1, COUNT_MAX),
        (u64::MAX, COUNT_MAX),
    ] {
        let mut large = count(&some, "countsFFFFFF", 0, 1);
        large.counts.bytes_sent = bytes_sent;
        add_counts(catalog, &[large], u64::MAX).await;
        for of in [Counted::File(&some.id), Counted::Link(link("countsFFFFFF"))] {
            let counted = catalog.counts(&owner, of).await.unwrap();
            assert_eq!(counted.bytes_sent, sum);
        }
    }
}

async fn a_link_s_counts_die_with_it_and_a_file_s_with_its_id(catalog: &dyn Catalog) {
    let owner = organization(catalog, "counts_dead").await;
    let some = file(&owner, "f", 1);
    catalog.add_file(&some).await.unwrap();
    let mut counted = ["countsGGGGGG", "countsHHHHHH", "countsIIIIII"];
    let all = counted.map(|id| Count {
        // Earlier than what any other check counts.
        expires: at(if id.ends_with('I') { 4_000 } else { 3_000 }),
        ..count(&some, id, 1, 1)
    });
    add_counts(catalog, &all, u64::MAX).await;
    let of = async |of| catalog.counts(&owner, of).await.unwrap().downloads;
    assert_eq!(catalog.forget_counts(at(2_999), 9).await.unwrap(), 0);
    assert_eq!(catalog.forget_counts(at(3_000), 1).await.unwrap(), 1);
    assert_eq!(catalog.forget_counts(at(3_000), 9).await.unwrap(), 1);
    assert_eq!(catalog.forget_counts(at(3_000), 9).await.unwrap(), 0);
    counted.reverse();
    let [alive, dead @ ..] = counted;
    assert_eq!(of(Counted::Link(link(alive))).await, 1);
    for id in dead {
        assert_eq!(of(Counted::Link(link(id))).await, 0);
    }
    assert_eq!(of(Counted::File(&some.id)).await, 3);
    catalog.delete_file(&owner, &some.id, at(30)).await.unwrap();
    add_counts(catalog, &all, u64::MAX).await;
    assert_eq!(of(Counted::File(&some.id)).await, 6, "deleted, and kept");
    catalog.mark_swept(&owner, &some.id).await.unwrap();
    catalog.forget_swept(at(30), 100).await.unwrap();
    assert_eq!(of(Counted::File(&some.id)).await, 0);
    catalog.forget_counts(at(4_000), 9).await.unwrap();
}

/// That of a share has the same id then.
async fn a_link_whose_end_is_moved_keeps_its_counts(catalog: &dyn Catalog) {
    let owner = organization(catalog, "counts_moved_end").await;
    let some = file(&owner, "f", 1);
    catalog.add_file(&some).await.unwrap();
    let until = |expires| Count {
        expires: at(expires),
        ..count(&some, "countsLLLLLL", 1, 1)
    };
    let of_link = Counted::Link(link("countsLLLLLL"));
    add_counts(catalog, &[until(1_000), until(1_500)], u64::MAX).await;
    add_counts(catalog, &[until(2_000)], u64::MAX).await;
    add_counts(catalog, &[until(1_000)], u64::MAX).await;
    for (now, downloads) in [(1_999, 4), (2_000, 0)] {
        catalog.forget_counts(at(now), 9).await.unwrap();
        let counted = catalog.counts(&owner, of_link).await.unwrap();
        assert_eq!(counted.downloads, downloads, "at {now}");
    }
}

async fn counting_is_not_in_the_feed(catalog: &dyn Catalog) {
    let owner = organization(catalog, "counts_feed").await;
    let some = file(&owner, "f", 1);
    catalog.add_file(&some).await.unwrap();
    let before = position(catalog).await;
    let all = [count(&some, "countsJJJJJJ", 1, 1)];
    add_counts(catalog, &all, u64::MAX).await;
    add_counts(catalog, &all, u64::MAX).await;
    assert!(catalog.forget_counts(at(5_000), 99).await.unwrap() > 0);
    assert_eq!(position(catalog).await, before);
    let kept = found(catalog, &owner, &some.id).await.unwrap();
    assert_eq!(kept, some, "its record is as it was");
}

async fn so_many_at_once_and_no_more(catalog: &dyn Catalog) {
    let owner = organization(catalog, "counts_many").await;
    let some = file(&owner, "f", 1);
    catalog.add_file(&some).await.unwrap();
    let all = vec![count(&some, "countsKKKKKK", 1, 1); COUNTS_ADDED_MAX];
    add_counts(catalog, &all, u64::MAX).await;
    let Count { counts, link, .. } = all[0];
    let of_file = FileCount {
        file: some.address(),
        counts,
    };
    let of_link = LinkCount {
        organization: owner.clone(),
        link,
        expires: at(5_000),
        counts,
    };
    let many = COUNTS_ADDED_MAX + 1;
    let refused = [
        catalog.add_file_counts(vec![of_file; many]).await,
        catalog
            .add_link_counts(vec![of_link; many], u64::MAX)
            .await
            .map(drop),
    ];
    for refused in refused {
        assert!(
            matches!(refused, Err(CatalogError::Limit { limit: 1_000, .. })),
            "{refused:?}"
        );
    }
    for of in [Counted::File(&some.id), Counted::Link(link)] {
        let counted = catalog.counts(&owner, of).await;
        assert_eq!(counted.unwrap().downloads, 1_000);
    }
}
