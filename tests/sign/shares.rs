//! Codes of shares: `tests/vectors/share.json` holds of this implementation, and so does what holds of every one.

use hallpass::model::id::{OrganizationId, ShareId};
use hallpass::model::revocation::Revocations;
use hallpass::sign::keyring::{Keyring, Kid};
use hallpass::sign::share_code::{ShareCode, ShareTerms, VerifiedShare};
use hallpass::sign::verify::{Conditions, Rejection};
use proptest::prelude::*;
use serde_json::Value;

use super::vectors::{conditions, keyring, list, number, revocations, text, vectors_of};

/// What a row says, as it is in a vector; `epoch` is the name of its epoch there.
struct OfRow {
    organization: OrganizationId,
    share: ShareId,
    kid: Kid,
    epoch: u64,
    revision: u64,
}

impl OfRow {
    fn of(vector: &Value, epoch: &str) -> Self {
        Self {
            organization: text(vector, "organization").parse().unwrap(),
            share: text(vector, "share").parse().unwrap(),
            kid: Kid::parse(text(vector, "kid")).unwrap(),
            epoch: number(vector, epoch),
            revision: number(vector, "revision"),
        }
    }

    fn terms(&self) -> ShareTerms<'_> {
        ShareTerms {
            organization: &self.organization,
            share: &self.share,
            kid: &self.kid,
            epoch: self.epoch,
            revision: self.revision,
        }
    }
}

fn verified(
    keyring: &Keyring,
    code: &str,
    row: &OfRow,
    conditions: &Conditions<'_>,
) -> Result<VerifiedShare, Rejection> {
    let code = ShareCode::parse(code).ok_or(Rejection::Malformed)?;
    keyring.verify_share(&code, &row.terms(), conditions)
}

#[test]
fn good_vectors_are_derived_and_verified() {
    let vectors = vectors_of("share");
    let keyring = keyring(&vectors);
    for vector in list(&vectors, "good") {
        let name = text(vector, "name");
        let row = OfRow::of(vector, "organization_epoch");
        let derived = keyring.share_code(&row.terms()).unwrap();
        let code = &derived.code;
        assert_eq!(code.reveal(), text(vector, "code"), "{name}");
        assert_eq!(code.url(text(vector, "base_url")), text(vector, "url"));
        assert_eq!(code.digest().to_hex(), text(vector, "code_sha256"));
        assert_eq!(derived.link_id.as_str(), text(vector, "link_id"), "{name}");
        assert_eq!(format!("{code:?}"), "ShareCode(..)");

        let revocations = revocations(vector, row.organization.as_str(), "f");
        let conditions = conditions(&vectors, vector, &revocations);
        let verified = verified(&keyring, text(vector, "code"), &row, &conditions);
        let verified = verified.unwrap_or_else(|why| panic!("{name}: {why}"));
        let of = (verified.organization(), verified.share(), verified.kid());
        assert_eq!(of, (&row.organization, &row.share, &row.kid), "{name}");
        let of = (verified.epoch(), verified.revision());
        assert_eq!(of, (row.epoch, row.revision), "{name}");
        assert_eq!(verified.link_id(), derived.link_id, "{name}");
    }
}

#[test]
fn bad_vectors_are_refused_for_their_reason() {
    let vectors = vectors_of("share");
    let keyring = keyring(&vectors);
    for vector in list(&vectors, "bad") {
        let name = text(vector, "name");
        let row = OfRow::of(vector, "epoch");
        let revocations = revocations(vector, row.organization.as_str(), "f");
        let conditions = conditions(&vectors, vector, &revocations);
        let refused = verified(&keyring, text(vector, "code"), &row, &conditions).unwrap_err();
        assert_eq!(refused.label(), text(vector, "reason"), "{name}");
    }
}

/// Refused whatever its code is, since that cannot be told any more.
#[test]
fn a_retired_key_gives_no_code() {
    let row = |kid: &str| OfRow {
        organization: "org_123".parse().unwrap(),
        share: "share_1".parse().unwrap(),
        kid: Kid::parse(kid).unwrap(),
        epoch: 0,
        revision: 0,
    };
    let revocations = Revocations::default();
    let conditions = super::conditions(&revocations);
    for (kid, refused) in [("c", Rejection::KidRetired), ("d", Rejection::KidUnknown)] {
        let row = row(kid);
        assert!(super::keyring().share_code(&row.terms()).is_none(), "{kid}");
        let code = "0123456789abcdefghijkl";
        let verified = verified(&super::keyring(), code, &row, &conditions);
        assert_eq!(verified.unwrap_err(), refused, "{kid}");
    }
}

/// As where an organization is refused whole since a revocation could not be written.
#[test]
fn a_suspended_organization_has_no_shares() {
    let row = OfRow {
        organization: "org_123".parse().unwrap(),
        share: "share_1".parse().unwrap(),
        kid: Kid::parse("a").unwrap(),
        epoch: 0,
        revision: 0,
    };
    let keyring = super::keyring();
    let derived = keyring.share_code(&row.terms()).unwrap();
    let mut revocations = Revocations::default();
    let code = derived.code.reveal();
    assert!(verified(&keyring, code, &row, &super::conditions(&revocations)).is_ok());
    revocations.suspend_organization(&row.organization);
    let refused = verified(&keyring, code, &row, &super::conditions(&revocations));
    assert_eq!(refused.unwrap_err(), Rejection::LinkRevoked);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_code_is_good_for_its_own_terms_alone(
        ids in prop::collection::vec("[ab_-]{1,3}", 4), numbers in prop::collection::vec(0_u64..3, 4), other in "[ab]",
    ) {
        let row = |organization: usize, share: usize, epoch: usize, revision: usize| OfRow {
            organization: ids[organization].parse().unwrap(),
            share: ids[share].parse().unwrap(),
            kid: Kid::parse("a").unwrap(),
            epoch: numbers[epoch],
            revision: numbers[revision],
        };
        let (one, mut two) = (row(0, 1, 0, 1), row(2, 3, 2, 3));
        two.kid = Kid::parse(&other).unwrap();
        let keyring = super::keyring();
        let code = keyring.share_code(&one.terms()).unwrap().code;
        let mut revocations = Revocations::default();
        revocations.raise_epoch(&two.organization, two.epoch);
        let is_good = keyring.verify_share(&code, &two.terms(), &super::conditions(&revocations)).is_ok();
        let is_same = (&one.organization, &one.share, &one.kid, one.epoch, one.revision)
            == (&two.organization, &two.share, &two.kid, two.epoch, two.revision);
        prop_assert_eq!(is_good, is_same);
    }

    #[test]
    fn nothing_that_is_sent_panics(code in ".{0,30}") {
        if let Some(parsed) = ShareCode::parse(&code) {
            prop_assert_eq!(parsed.reveal(), &code);
        }
    }
}
