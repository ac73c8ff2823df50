//! Received announcements: a revocation that one process cannot write holds in all others, until it is written.

use super::*;

impl Place {
    /// The gateway of another process on the same catalogue, whose disk is as full.
    async fn beside(&self) -> Self {
        let catalog = Arc::new(self.catalog.beside().await);
        let gateway = gateway(Arc::clone(&catalog) as _, memory_blobs());
        gateway.refresh().await.unwrap();
        let owner = self.owner.clone();
        let place = Self {
            catalog,
            gateway,
            owner,
        };
        place.catalog.set_full(true);
        place.receive().await;
        place
    }

    /// Receives as a running gateway does again and again.
    async fn receive(&self) {
        self.gateway.receive_held().await.unwrap();
        self.gateway.end_written_elsewhere().await.unwrap();
    }

    async fn full() -> Self {
        let place = Self::new().await;
        place.gateway.prepare_to_hold().await.unwrap();
        place
    }
}

#[tokio::test]
async fn what_one_holds_others_hold_from_then_on_and_until_they_know_it_as_written() {
    let place = Place::full().await;
    let [link, other_link] = [place.mint("f").await, place.mint("g").await];
    let early = place.beside().await;
    place.catalog.set_full(true);
    assert!(place.revoke(&link).await.is_held);
    assert!(early.opens(&link).await, "it has not heard yet");
    early.receive().await;
    let late = place.beside().await;
    for other in [&early, &late] {
        assert_eq!(other.gateway.held_revocations(), 1);
        assert!(!other.opens(&link).await && other.opens(&other_link).await);
    }
    // Files and organizations, too, of which nothing is minted.
    assert!(early.revoke_file("g").await.unwrap().is_held);
    for other in [&place, &late] {
        other.receive().await;
    }
    let minted = place.minted("g").await;
    assert!(matches!(minted, Err(Refusal::RevocationHeld)), "{minted:?}");

    place.write().await;
    for other in [&early, &late] {
        // Between the write and the end of the holding nothing opens.
        other.gateway.receive_held().await.unwrap();
        assert!(!other.opens(&link).await && !other.opens(&other_link).await);
        other.receive().await;
        assert_eq!(other.gateway.held_revocations(), 0);
        assert!(!other.opens(&link).await && !other.opens(&other_link).await);
        assert!(other.opens(&place.mint("g").await).await);
    }
}

#[tokio::test]
async fn nothing_that_is_heard_as_written_is_let_go_before_the_catalogue_was_read() {
    let place = Place::full().await;
    let link = place.mint("f").await;
    let other = place.beside().await;
    place.catalog.set_full(true);
    assert!(place.revoke_all().await.is_held);
    other.receive().await;
    place.write().await;
    other.gateway.receive_held().await.unwrap();
    let stalled = other.gateway.stall_refreshes().await;
    other.gateway.end_written_elsewhere().await.unwrap_err();
    assert_eq!(other.gateway.held_revocations(), 1);
    drop(stalled);
    other.gateway.end_written_elsewhere().await.unwrap();
    assert_eq!(other.gateway.held_revocations(), 0);
    assert!(!other.opens(&link).await);
}

#[tokio::test]
async fn what_outlives_its_process_is_written_by_the_next_one() {
    let place = Place::full().await;
    let link = place.mint("f").await;
    place.catalog.set_full(true);
    assert!(place.revoke_file("f").await.unwrap().is_held);
    let next = place.beside().await;
    drop(place);
    assert!(!next.opens(&link).await);
    next.write().await;
    assert!(!next.opens(&link).await);
    assert_eq!(next.written().await.revision("o", "f"), 1);
    // And nothing is left of it for the one after that.
    let last = next.beside().await;
    assert_eq!(last.gateway.held_revocations(), 0);
}

#[tokio::test]
async fn a_command_holds_what_outlives_it_and_keeps_nothing_else() {
    let place = Place::full().await;
    let link = place.mint("f").await;
    let command = place.beside().await;
    let file = FileId::parse("f").unwrap();
    let by = Revoker::Operator;
    let revoked = command
        .gateway
        .revoke_links_of_file(&command.owner, &file, by);
    assert!(revoked.await.unwrap().is_held);
    drop(command);
    place.receive().await;
    assert!(!place.opens(&link).await);
    place.write().await;
    assert!(!place.opens(&link).await);
}

/// The end of one call is none of another.
#[test]
fn what_is_held_for_several_calls_ends_with_the_last_of_them() {
    let organization = OrganizationId::parse("o").unwrap();
    let all = HeldRevocation::Organization {
        organization: organization.clone(),
    };
    let file = HeldRevocation::File {
        organization,
        file: FileId::parse("f").unwrap(),
    };
    let mut held = HeldRevocations::default();
    assert!(held.receive(Announcement::Held(call(1), file.clone()), true));
    assert!(!held.receive(Announcement::Held(call(1), file.clone()), true));
    assert!(!held.receive(Announcement::Held(call(2), file.clone()), true));
    // It takes the file along.
    assert!(held.receive(Announcement::Held(call(3), all.clone()), true));
    assert_eq!(held.all.len(), 1);
    let written = |held: &mut HeldRevocations, numbers: &[usize]| {
        for number in numbers {
            assert!(!held.receive(Announcement::Written(call(*number)), true));
        }
        let said = held.said_written.clone();
        held.end_calls(&said);
        held.all.len()
    };
    assert_eq!(written(&mut held, &[3, 1]), 1);
    assert_eq!(written(&mut held, &[2]), 0);
    // What comes late holds nothing any more.
    for number in 1..=3 {
        assert!(!held.receive(Announcement::Held(call(number), all.clone()), true));
    }
    assert_eq!(held.all.len(), 0);

    // A call of this process that came later is answered by a write of this process alone.
    assert!(held.receive(Announcement::Held(call(4), file.clone()), true));
    assert_eq!(held.add(&file, call(5)), Some((file, true)));
    assert_eq!(written(&mut held, &[4, 5]), 1);
    assert_eq!(held.end(|_| true), []);
}

#[test]
fn what_is_widened_for_want_of_room_does_not_end_with_what_was_asked_for() {
    let organization = OrganizationId::parse("o").unwrap();
    let file = |number: usize| HeldRevocation::File {
        organization: organization.clone(),
        file: FileId::parse(&format!("f{number}")).unwrap(),
    };
    let mut held = HeldRevocations::default();
    for number in 0..=HELD_OF_ORGANIZATION_MAX {
        assert!(held.receive(Announcement::Held(call(number), file(number)), false));
    }
    assert_eq!(held.all.len(), 1);
    held.receive(Announcement::Written(call(HELD_OF_ORGANIZATION_MAX)), false);
    let said = held.said_written.clone();
    held.end_calls(&said);
    assert_eq!(held.all.len(), 1);
    // What is not kept is announced again, but where others did so meanwhile.
    assert_eq!(held.due_announcements(), [], "it was just heard");
    assert_eq!(held.due_announcements().len(), 1);
    held.receive(Announcement::Held(call(0), file(0)), false);
    assert_eq!(held.due_announcements(), []);
}
