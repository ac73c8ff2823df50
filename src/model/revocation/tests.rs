//! Copies of revocations, what is suspended, and how many dead links are kept.

use super::*;

#[test]
fn what_is_forgotten_leaves_nothing_and_copies_keep_what_they_had() {
    let one = OrganizationId::parse("one").unwrap();
    let other = OrganizationId::parse("other").unwrap();
    let file = FileId::parse("f").unwrap();
    let at = |seconds| UnixSeconds::new(seconds).unwrap();
    let [early, late] = ["earlyearlyea", "latelatelate"].map(|id| LinkId::parse(id).unwrap());
    let mut all = Revocations::default();
    all.deny(&one, [(early, at(5)), (late, at(9))]);
    all.set_revisions(&one, [(file.clone(), 3)]);
    all.deny(&other, [(early, at(5))]);
    let before = all.clone();
    all.forget_dead(at(5));
    assert_eq!(all.denied_until(&one, late), Some(at(9)));
    assert!(!all.is_denied(&one, early) && before.is_denied(&one, early));
    all.raise_epoch(&one, 1);
    assert_eq!((all.epoch(&one), all.revision(&one, &file)), (1, 0));
    assert!(!all.is_denied(&one, late) && before.is_denied(&one, late));
    let mut epoch_alone = Revocations::default();
    epoch_alone.raise_epoch(&one, 1);
    assert_eq!(all, epoch_alone);
    let counts = RevocationCounts {
        epochs: 0,
        revisions: 1,
        denied: 3,
    };
    assert_eq!(before.counts(), counts);
}

#[test]
fn what_is_suspended_opens_nothing_and_counters_stay() {
    let [one, other] = ["one", "other"].map(|id| OrganizationId::parse(id).unwrap());
    let [f, g] = ["f", "g"].map(|id| FileId::parse(id).unwrap());
    let link = LinkId::parse("linklinklink").unwrap();
    let mut all = Revocations::default();
    all.suspend_file(&one, &f);
    assert!(all.refuses("one", Some("f"), link) && all.is_suspended(&one, &f));
    assert!(!all.refuses("one", Some("g"), link) && !all.is_suspended(&one, &g));
    assert!(!all.refuses("one", None, link), "the file of a ticket");
    assert!(!all.refuses("other", Some("f"), link));
    all.suspend_organization(&one);
    all.suspend_file(&one, &f);
    assert!(all.refuses("one", Some("g"), link) && all.refuses("one", None, link));
    assert!(!all.is_suspended(&other, &f));
    assert_eq!((all.epoch(&one), all.revision(&one, &f)), (0, 0));
    assert_ne!(all, Revocations::default());
}

#[test]
fn a_snapshot_is_the_same_until_its_organization_revokes() {
    let [one, other] = ["one", "other"].map(|id| OrganizationId::parse(id).unwrap());
    let file = FileId::parse("f").unwrap();
    let mut all = Revocations::default();
    let none = all.snapshot_of(&one);
    for number in 0..1_000 {
        let another = OrganizationId::parse(&format!("o{number}")).unwrap();
        all.raise_epoch(&another, 1);
    }
    assert!(none.is_same(&all.snapshot_of(&one)));
    all.set_revisions(&one, [(file.clone(), 1)]);
    let some = all.snapshot_of(&one);
    assert!(!none.is_same(&some) && !some.is_same(&none));
    all.suspend_file(&other, &file);
    assert!(some.is_same(&all.clone().snapshot_of(&one)));
    all.suspend_file(&one, &file);
    assert!(!some.is_same(&all.snapshot_of(&one)));
}

#[test]
fn an_organization_never_has_more_than_twice_as_many_links_as_live() {
    let owner = OrganizationId::parse("one").unwrap();
    let mut all = Revocations::default();
    for number in 0..20_000_u64 {
        let now = UnixSeconds::new(number).unwrap();
        let link = LinkId::parse(&format!("link-{number:07}")).unwrap();
        all.deny(&owner, [(link, now.plus(3_000))]);
        all.forget_dead_if_due(&owner, now);
        assert!(all.counts().denied <= 6_000);
        assert!(all.is_denied(&owner, link));
    }
    all.forget_dead(UnixSeconds::new(30_000).unwrap());
    assert_eq!(all, Revocations::default());
}
