//! Downloads of shares, whose rows say what they allow.

use super::*;
use crate::catalog::shares::{ShareEdit, ShareRotation};
use crate::model::share::Share;

pub(super) async fn all(catalog: &dyn Catalog) {
    a_share_s_row_says_what_it_allows(catalog).await;
    a_share_that_opens_nothing_starts_nothing(catalog).await;
    what_was_opened_before_a_change_starts_nothing(catalog).await;
    a_lapsed_download_of_a_share_that_is_shut_stays_lapsed(catalog).await;
}

/// The row of a share says how many downloads it allows, and until when; what the caller says of that is not heard.
async fn a_share_s_row_says_what_it_allows(catalog: &dyn Catalog) {
    let owner = organization(catalog, "redeem_share").await;
    let share = shares::share_of(&owner, "share");
    let mut of = redeem(&owner, "share", 1);
    of.subject = Subject::of_share(&share.id);
    (of.link, of.file, of.allowed) = (None, None, 9);
    (of.expires, of.pass_revision) = (Some(at(0)), Some(0));
    assert_missing(catalog.redeem(&of).await);
    let share = Share {
        allowed: Some(1),
        ..share
    };
    shares::make(catalog, share.clone(), &[]).await;
    assert_eq!(start(catalog, &of).await, Redeemed::Fresh { left: 0 });
    let found = ticket(catalog, &of).await.allowance;
    assert_eq!(
        (found.link, found.allowed, found.expires),
        (None, None, None)
    );
    let more = again(&of, NOW);
    assert_eq!(start(catalog, &more).await, held(NOW));
    let edit = async |edit: ShareEdit| {
        let edited = catalog.edit_share(&owner, &share.id, &edit).await;
        edited.unwrap().share
    };
    let allowed = |allowed| ShareEdit {
        allowed: Some(allowed),
        ..ShareEdit::default()
    };
    edit(allowed(Some(2))).await;
    assert_eq!(start(catalog, &more).await, Redeemed::Fresh { left: 0 });
    edit(allowed(None)).await;
    let left = Redeemed::Fresh { left: u64::MAX - 3 };
    assert_eq!(start(catalog, &again(&of, NOW)).await, left);
    // One that lapsed is started again as far as the row allows.
    edit(allowed(Some(3))).await;
    let late = NOW + LAPSE_SECONDS;
    assert_eq!(
        start(catalog, &again(&of, late)).await,
        Redeemed::Fresh { left: 2 }
    );
    assert_eq!(state(catalog, &of).await, RedemptionState::Lapsed);
    assert_eq!(reopen(catalog, &of, late).await, RedemptionState::Open);
    assert_eq!(reopen(catalog, &more, late).await, RedemptionState::Open);
}

/// A share of no file, and the start of a download of it.
async fn share_to_start(catalog: &dyn Catalog, name: &str) -> (Share, Redeem) {
    let owner = organization(catalog, &format!("redeem_{name}")).await;
    let share = shares::share_of(&owner, name);
    shares::make(catalog, share.clone(), &[]).await;
    let mut of = redeem(&owner, name, 1);
    of.subject = Subject::of_share(&share.id);
    (of.link, of.file, of.pass_revision) = (None, None, Some(0));
    (share, of)
}

async fn edit(catalog: &dyn Catalog, share: &Share, edit: ShareEdit) {
    let edited = catalog.edit_share(&share.organization, &share.id, &edit);
    edited.await.unwrap();
}

async fn rotate(catalog: &dyn Catalog, share: &Share, from: u64, epoch: u64) -> Share {
    let rotation = ShareRotation {
        from,
        kid: "k".into(),
        epoch,
        code_digest: Sha256Digest::new([93 + u8::try_from(from).unwrap(); 32]),
    };
    let rotated = catalog.rotate_share(&share.organization, &share.id, &rotation);
    rotated.await.unwrap().share
}

async fn is_shut(catalog: &dyn Catalog, of: &Redeem) -> bool {
    start(catalog, &again(of, NOW)).await == Redeemed::Expired
}

/// Whatever a gateway has in memory of it.
async fn a_share_that_opens_nothing_starts_nothing(catalog: &dyn Catalog) {
    let (share, of) = share_to_start(catalog, "shut").await;
    let none = ShareEdit::default;
    let (paused, resumed) = (Some(true), Some(false));
    for (shuts, paused) in [(true, paused), (false, resumed)] {
        edit(catalog, &share, ShareEdit { paused, ..none() }).await;
        assert_eq!(is_shut(catalog, &of).await, shuts, "paused: {shuts}");
    }
    for (shuts, begin) in [
        (true, Some(at(NOW + 1))),
        (false, Some(at(NOW))),
        (false, None),
    ] {
        let not_before = Some(begin);
        edit(
            catalog,
            &share,
            ShareEdit {
                not_before,
                ..none()
            },
        )
        .await;
        assert_eq!(is_shut(catalog, &of).await, shuts, "from {begin:?} on");
    }
    for (shuts, end) in [
        (true, Some(at(NOW))),
        (false, Some(at(NOW + 1))),
        (false, None),
    ] {
        let expires = Some(end);
        edit(catalog, &share, ShareEdit { expires, ..none() }).await;
        assert_eq!(is_shut(catalog, &of).await, shuts, "until {end:?}");
    }
    let revoked = catalog.revoke_share(&share.organization, &share.id, at(NOW));
    revoked.await.unwrap();
    assert!(is_shut(catalog, &of).await, "revoked");
}

async fn what_was_opened_before_a_change_starts_nothing(catalog: &dyn Catalog) {
    let (share, mut of) = share_to_start(catalog, "changed").await;
    let owner = &share.organization;
    let password = ShareEdit {
        password: Some(None),
        ..ShareEdit::default()
    };
    edit(catalog, &share, password).await;
    assert!(is_shut(catalog, &of).await, "another password");
    of.pass_revision = None;
    assert!(is_shut(catalog, &of).await, "no password");
    of.pass_revision = Some(1);
    assert!(!is_shut(catalog, &of).await);
    assert_eq!(rotate(catalog, &share, 0, 0).await.pass_revision, 2);
    assert!(is_shut(catalog, &of).await, "rotated");
    of.pass_revision = Some(2);
    assert!(!is_shut(catalog, &of).await);
    catalog.raise_epoch(owner).await.unwrap();
    assert!(is_shut(catalog, &of).await, "its organization revoked");
    of.pass_revision = Some(rotate(catalog, &share, 1, 1).await.pass_revision);
    assert!(!is_shut(catalog, &of).await, "rotated into the epoch");
}

async fn a_lapsed_download_of_a_share_that_is_shut_stays_lapsed(catalog: &dyn Catalog) {
    let (share, of) = share_to_start(catalog, "lapsed").await;
    start(catalog, &of).await;
    let one = ShareEdit {
        allowed: Some(Some(1)),
        ..ShareEdit::default()
    };
    edit(catalog, &share, one).await;
    let late = NOW + LAPSE_SECONDS;
    start(catalog, &again(&of, late)).await;
    assert_eq!(state(catalog, &of).await, RedemptionState::Lapsed);
    let late = late + LAPSE_SECONDS;
    let paused = |paused| ShareEdit {
        paused: Some(paused),
        ..ShareEdit::default()
    };
    edit(catalog, &share, paused(true)).await;
    assert_eq!(reopen(catalog, &of, late).await, RedemptionState::Lapsed);
    edit(catalog, &share, paused(false)).await;
    assert_eq!(reopen(catalog, &of, late).await, RedemptionState::Open);
}
