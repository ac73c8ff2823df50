//! Tickets: `tests/vectors/ticket.json` holds of this implementation, and so does what holds of every one.

use hallpass::model::id::OrganizationId;
use hallpass::model::redemption::RedemptionId;
use hallpass::model::revocation::Revocations;
use hallpass::sign::keyring::Kid;
use hallpass::sign::ticket::{TicketAttempt, TicketGrant};
use hallpass::sign::url::{self, SignedUrl};
use hallpass::sign::verify::Rejection;
use proptest::prelude::*;

use super::vectors::{conditions, keyring, list, number, revocations, text, vectors_of};
use super::{NOW, WEEK, seconds};

fn ticket_attempt(url: &str) -> Option<TicketAttempt<'_>> {
    match url::parse(url) {
        Some(SignedUrl::Ticket(ticket)) => Some(ticket),
        _ => None,
    }
}

#[test]
fn good_vectors_are_made_and_verified() {
    let vectors = vectors_of("ticket");
    let keyring = keyring(&vectors);
    for vector in list(&vectors, "good") {
        let name = text(vector, "name");
        let organization = OrganizationId::parse(text(vector, "organization")).unwrap();
        let epoch = number(vector, "organization_epoch");
        let grant = TicketGrant {
            organization: &organization,
            redemption: RedemptionId::parse(text(vector, "redemption")).unwrap(),
            expires: seconds(number(vector, "expires")),
        };
        let kid = Kid::parse(text(vector, "kid")).unwrap();
        let made = keyring.mint_ticket(&kid, &grant, epoch).unwrap();
        assert_eq!(made.as_str(), text(vector, "ticket"), "{name}");
        let url = text(vector, "url");
        let (base, filename) = (text(vector, "base_url"), text(vector, "filename"));
        assert_eq!(made.url(base, filename), url, "{name}");
        assert_eq!(format!("{made:?}"), "SignedTicket(..)");

        let attempt = ticket_attempt(url).unwrap();
        let revocations = revocations(vector, attempt.organization, "f");
        let conditions = conditions(&vectors, vector, &revocations);
        let verified = keyring.verify_ticket(&attempt, &conditions);
        let verified = verified.unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(verified.organization(), &organization, "{name}");
        assert_eq!(verified.redemption(), grant.redemption, "{name}");
        assert_eq!(verified.expires(), grant.expires, "{name}");
        assert_eq!((verified.kid(), verified.epoch()), (&kid, epoch), "{name}");
    }
}

/// One that is not told by its path is refused as one that is none.
#[test]
fn bad_vectors_are_refused_for_their_reason() {
    let vectors = vectors_of("ticket");
    let keyring = keyring(&vectors);
    for vector in list(&vectors, "bad") {
        let name = text(vector, "name");
        let reasons = (text(vector, "reason"), text(vector, "explained"));
        let Some(attempt) = ticket_attempt(text(vector, "url")) else {
            assert_eq!(reasons, ("malformed", "malformed"), "{name}");
            continue;
        };
        let revocations = revocations(vector, attempt.organization, "f");
        let conditions = conditions(&vectors, vector, &revocations);
        let refused = keyring.verify_ticket(&attempt, &conditions).unwrap_err();
        let explained = keyring.explain_ticket(&attempt, &conditions).unwrap_err();
        assert_eq!((refused.label(), explained.label()), reasons, "{name}");
    }
}

fn good_ticket(organization: &OrganizationId, kid: &str) -> Option<String> {
    let grant = TicketGrant {
        organization,
        redemption: RedemptionId::parse("7hGf3KpQ9sTz0aBcDeFgHi").unwrap(),
        expires: seconds(NOW + 60),
    };
    let kid = Kid::parse(kid).unwrap();
    let made = super::keyring().mint_ticket(&kid, &grant, 0)?;
    Some(made.as_str().to_owned())
}

fn verified(organization: &str, ticket: &str) -> Result<(), Rejection> {
    let revocations = Revocations::default();
    let attempt = TicketAttempt {
        organization,
        ticket,
    };
    let conditions = super::conditions(&revocations);
    super::keyring()
        .verify_ticket(&attempt, &conditions)
        .map(drop)
}

#[test]
fn every_changed_bit_every_prefix_and_every_extension_is_refused() {
    let organization = OrganizationId::parse("org_123").unwrap();
    let good = good_ticket(&organization, "a").unwrap();
    assert_eq!(verified("org_123", &good), Ok(()));
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(changed) = String::from_utf8(bytes) {
            assert!(verified("org_123", &changed).is_err(), "{changed}");
        }
    }
    for length in 0..good.len() {
        let refused = verified("org_123", &good[..length]);
        assert_eq!(refused, Err(Rejection::Malformed), "{length}");
    }
    for more in ["A", ".", "=", " ", "%00", "\n"] {
        let refused = verified("org_123", &format!("{good}{more}"));
        assert_eq!(refused, Err(Rejection::Malformed), "{more}");
    }
    for other in ["org_12", "org_1234", "ORG_123"] {
        let refused = verified(other, &good);
        assert_eq!(refused, Err(Rejection::MacMismatch), "{other}");
    }
    for none in ["", "org/123", "org_123\n"] {
        let refused = verified(none, &good);
        assert_eq!(refused, Err(Rejection::Malformed), "{none}");
    }
}

/// The one that a client is given again may be of a key that signs nothing new any more.
#[test]
fn keys_that_verify_make_tickets_and_others_do_not() {
    let organization = OrganizationId::parse("org_123").unwrap();
    let of_old_key = good_ticket(&organization, "b").unwrap();
    assert_eq!(verified("org_123", &of_old_key), Ok(()));
    for none in ["c", "unknown"] {
        assert_eq!(good_ticket(&organization, none), None, "{none}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_made_is_verified_until_its_end(
        organization in "[A-Za-z0-9_-]{1,128}", rid in "[A-Za-z0-9]{22}", end in 1..=WEEK, epoch in any::<u64>(),
    ) {
        let organization = OrganizationId::parse(&organization).unwrap();
        let grant = TicketGrant {
            organization: &organization,
            redemption: RedemptionId::parse(&rid).unwrap(),
            expires: seconds(NOW + end),
        };
        let mut revocations = Revocations::default();
        revocations.raise_epoch(&organization, epoch);
        let kid = Kid::parse("a").unwrap();
        let made = super::keyring().mint_ticket(&kid, &grant, epoch).unwrap();
        let url = made.url("https://h/p/", "a b/c");
        let attempt = ticket_attempt(&url).unwrap();
        let mut conditions = super::conditions(&revocations);
        let keyring = super::keyring();
        conditions.now = seconds(NOW + end - 1);
        let verified = keyring.verify_ticket(&attempt, &conditions).unwrap();
        prop_assert_eq!(verified.redemption(), grant.redemption);
        conditions.now = seconds(NOW + end);
        prop_assert_eq!(keyring.verify_ticket(&attempt, &conditions).unwrap_err(), Rejection::Expired);
    }

    #[test]
    fn nothing_that_is_sent_panics(organization in ".{0,9}", ticket in "[ -~é.=%+]{0,90}") {
        prop_assert!(verified(&organization, &ticket).is_err());
        let _ = url::parse(&ticket).is_some();
    }
}
