//! What closes a share, and a file in one.

use super::*;

fn signing_key(kid: &str, state: KeyState, first: u8) -> SigningKey {
    let secret = || Secret::new((first..first + 32).collect()).unwrap();
    SigningKey {
        kid: Kid::parse(kid).unwrap(),
        state,
        secret: (state != KeyState::Retired).then(secret),
        created_at: UnixSeconds::new(NOW).unwrap(),
    }
}

/// On this gateway at once, on another one as soon as it has heard of it: both had it in memory.
#[tokio::test]
async fn what_closes_a_share_closes_it_on_every_gateway() {
    let place = Place::new().await;
    let other = place.other_gateway();
    let state = |word: &str| ShareFields {
        state: Some(word.to_owned()),
        ..ShareFields::default()
    };
    let made = place.made(of_files(&["a"])).await;
    let (first, id) = (url(&made), made.share.id);
    let both = async |url: &str| {
        other.refresh().await.unwrap();
        let why = place.opened(url).await.err();
        assert_eq!(opened(&other, url, None).await.err(), why);
        why
    };
    assert_eq!(both(&first).await, None);
    place.edited(&id, state("paused")).await;
    assert_eq!(both(&first).await, Some(Rejection::Paused));
    place.edited(&id, state("active")).await;
    assert_eq!(both(&first).await, None);

    let rotated = place.gateway.rotate_share(&place.operator, &id).await;
    let second = url(&rotated.unwrap());
    assert_ne!(first, second);
    assert_eq!(both(&first).await, Some(Rejection::MacMismatch), "rotated");
    assert_eq!(both(&second).await, None);

    let link_id = place.opened(&second).await.unwrap().link_id();
    let by = crate::gateway::revoke::Revoker::Operator;
    let denied = place.gateway.revoke_link(&place.owner, link_id, by).await;
    denied.unwrap();
    assert_eq!(both(&second).await, Some(Rejection::LinkRevoked), "denied");
    // Nor does more time open it once the denial is forgotten.
    let more = ShareFields {
        expires_in: Some(Some(60)),
        ..ShareFields::default()
    };
    let longer = place.gateway.edit_share(&place.operator, &id, more).await;
    assert!(matches!(longer, Err(Refusal::ShareStale)), "{longer:?}");
    let rotated = place.gateway.rotate_share(&place.operator, &id).await;
    let third = url(&rotated.unwrap());
    assert_eq!(both(&third).await, None);

    let ended = place.gateway.revoke_share(&place.operator, &id).await;
    assert_eq!(ended.unwrap().standing, ShareStanding::Revoked);
    for url in [&first, &second, &third] {
        assert!(both(url).await.is_some(), "revoked");
    }
    assert_eq!(both(&third).await, Some(Rejection::LinkRevoked));
    // And nothing brings it back.
    let rotated = place.gateway.rotate_share(&place.operator, &id).await;
    assert!(matches!(rotated, Err(Refusal::ShareRevoked)), "{rotated:?}");
    let active = place
        .gateway
        .edit_share(&place.operator, &id, state("active"))
        .await;
    assert!(matches!(active, Err(Refusal::ShareRevoked)), "{active:?}");
    assert_eq!(both(&third).await, Some(Rejection::LinkRevoked));
}

#[tokio::test]
async fn a_share_lives_and_dies_with_its_signing_key() {
    use KeyState::{Active, Retired, VerifyOnly};
    let place = Place::new().await;
    let made = place.made(of_files(&["a"])).await;
    let (first, id) = (url(&made), made.share.id);
    assert!(place.opened(&first).await.is_ok());
    let keys = |old| {
        let keys = vec![signing_key("a", old, 0), signing_key("b", Active, 1)];
        Keyring::new(keys).unwrap()
    };
    place.gateway.replace_keyring(keys(VerifyOnly));
    assert!(place.opened(&first).await.is_ok(), "it verifies still");
    place.gateway.replace_keyring(keys(Retired));
    assert_eq!(
        place.opened(&first).await.unwrap_err(),
        Rejection::KidRetired
    );
    let shown = place.gateway.share(&place.operator, &id).await.unwrap();
    assert_eq!((shown.standing, shown.url), (ShareStanding::Stale, None));
    // Another key of its name is another key.
    let other = signing_key("a", Active, 7);
    place
        .gateway
        .replace_keyring(Keyring::new(vec![other]).unwrap());
    assert_eq!(
        place.opened(&first).await.unwrap_err(),
        Rejection::MacMismatch
    );
    let none = Keyring::new(vec![signing_key("c", Active, 9)]).unwrap();
    place.gateway.replace_keyring(none);
    assert_eq!(
        place.opened(&first).await.unwrap_err(),
        Rejection::KidUnknown
    );
    place.gateway.replace_keyring(keys(Retired));
    let rotated = place.gateway.rotate_share(&place.operator, &id).await;
    let second = url(&rotated.unwrap());
    assert!(place.opened(&second).await.is_ok());
    place.gateway.replace_keyring(keyring("a"));
    assert!(
        place.opened(&first).await.is_err(),
        "not under the old key either"
    );
    assert!(place.opened(&second).await.is_err());
}

#[tokio::test]
async fn an_organization_that_revoked_all_its_links_has_no_shares() {
    let place = Place::new().await;
    let made = place.made(of_files(&["a"])).await;
    let (first, id) = (url(&made), made.share.id);
    assert!(place.opened(&first).await.is_ok());
    let by = crate::gateway::revoke::Revoker::Operator;
    let revoked = place
        .gateway
        .revoke_links_of_organization(&place.owner, by)
        .await;
    revoked.unwrap();
    let refused = place.opened(&first).await.unwrap_err();
    assert_eq!(refused, Rejection::OrganizationRevoked);
    let shown = place.gateway.share(&place.operator, &id).await.unwrap();
    assert_eq!((shown.standing, shown.url), (ShareStanding::Stale, None));
    let rotated = place.gateway.rotate_share(&place.operator, &id).await;
    let second = url(&rotated.unwrap());
    assert!(place.opened(&second).await.is_ok());
    assert!(place.opened(&first).await.is_err());
}

/// Where the disk is full and the revocation holds on this gateway alone, and where nothing can be made either.
#[tokio::test]
async fn a_held_revocation_closes_shares_too() {
    let place = Place::new().await;
    let made = place.made(of_files(&["a", "b"])).await;
    let first = url(&made);
    let open = place.opened(&first).await.unwrap();
    place.catalog.set_full(true);
    let by = crate::gateway::revoke::Revoker::Organization;
    let file = file_id("a");
    let held = place.gateway.revoke_links_of_file(&place.owner, &file, by);
    assert!(held.await.unwrap().is_held);
    let refused = place.gateway.file_of_share(&open, open.file(1).unwrap());
    let refused = refused.await.unwrap_err();
    assert!(matches!(refused, Refusal::Link(Rejection::LinkRevoked)));
    let other = place.gateway.file_of_share(&open, open.file(2).unwrap());
    assert!(other.await.is_ok());
    let entries = place.gateway.files_of_share(&open).await.unwrap();
    let standings = entries.iter().map(|entry| entry.standing);
    let standings: Vec<FileStanding> = standings.collect();
    assert_eq!(standings, [FileStanding::Revoked, FileStanding::Ready]);
    let held = place
        .gateway
        .revoke_links_of_organization(&place.owner, by)
        .await;
    assert!(held.unwrap().is_held);
    assert_eq!(
        place.opened(&first).await.unwrap_err(),
        Rejection::LinkRevoked
    );
    let made = place
        .gateway
        .create_share(&place.operator, of_files(&["b"]))
        .await;
    assert!(matches!(made, Err(Refusal::RevocationHeld)), "{made:?}");
}

#[tokio::test]
async fn time_and_address_are_those_of_the_row() {
    let place = Place::new().await;
    let fields = ShareFields {
        expires_in: Some(Some(100)),
        not_before: Some(Some(NOW + 10)),
        ip: Some(Some("192.0.2.0/24".into())),
        ..of_files(&["a"])
    };
    let made = place.made(fields).await;
    let url = url(&made);
    let inside: Option<IpAddr> = Some("192.0.2.9".parse().unwrap());
    let outside: Option<IpAddr> = Some("192.0.3.9".parse().unwrap());
    let why = async |client| opened(&place.gateway, &url, client).await.err();
    assert_eq!(why(inside).await, Some(Rejection::NotYetValid));
    place.clock.set((NOW + 10) * 1_000);
    assert_eq!(why(inside).await, None);
    assert_eq!(why(outside).await, Some(Rejection::IpMismatch));
    assert_eq!(why(None).await, Some(Rejection::IpMismatch));
    place.clock.set((NOW + 100) * 1_000 - 1);
    assert_eq!(why(inside).await, None);
    place.clock.set((NOW + 100) * 1_000);
    assert_eq!(why(inside).await, Some(Rejection::Expired));
    let shown = place.gateway.share(&place.operator, &made.share.id).await;
    assert_eq!(shown.unwrap().standing, ShareStanding::Expired);
    // One that has ended may be given more time.
    let more = ShareFields {
        expires_in: Some(Some(60)),
        ip: Some(None),
        ..ShareFields::default()
    };
    place.edited(&made.share.id, more).await;
    assert_eq!(why(outside).await, None);
}

#[tokio::test]
async fn files_that_are_gone_or_revoked_do_not_open() {
    let place = Place::new().await;
    let made = place.made(of_files(&["a", "b", "c"])).await;
    let open = place.opened(&url(&made)).await.unwrap();
    let file_of = async |position| {
        let file = open.file(position).unwrap();
        place.gateway.file_of_share(&open, file).await
    };
    let by = crate::gateway::revoke::Revoker::Operator;
    let (a, b, c) = (file_id("a"), file_id("b"), file_id("c"));
    place.gateway.delete(&place.owner, &a).await.unwrap();
    let revoked = place.gateway.revoke_links_of_file(&place.owner, &b, by);
    revoked.await.unwrap();
    assert!(matches!(file_of(1).await, Err(Refusal::FileNotFound)));
    let refused = file_of(2).await.unwrap_err();
    assert!(matches!(refused, Refusal::Link(Rejection::FileRevoked)));
    assert!(file_of(3).await.is_ok());
    let entries = place.gateway.files_of_share(&open).await.unwrap();
    let standings = entries.iter().map(|entry| entry.standing);
    let standings: Vec<FileStanding> = standings.collect();
    use FileStanding::{Deleted, Ready, Revoked};
    assert_eq!(standings, [Deleted, Revoked, Ready]);
    // Naming it again does not bring a revoked one back; taking it out and in again does.
    let again = place.edited(&made.share.id, of_files(&["b", "c"])).await;
    assert_eq!(again.files[0].standing, Revoked);
    place.edited(&made.share.id, of_files(&["c"])).await;
    let again = place.edited(&made.share.id, of_files(&["c", "b"])).await;
    assert_eq!(again.files[1].standing, Ready);
    assert_eq!(again.files[1].shared.position, 4, "it is another one");
    assert_eq!(again.files[0].shared.file, c);
}
