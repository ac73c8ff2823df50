//! Passes of shares: `tests/vectors/pass.json` holds of this implementation, and so does what holds of every one.

use hallpass::model::id::{OrganizationId, ShareId};
use hallpass::model::revocation::Revocations;
use hallpass::sign::keyring::Kid;
use hallpass::sign::share_pass::PassTerms;
use hallpass::sign::verify::Rejection;
use serde_json::Value;

use super::vectors::{conditions, keyring, list, number, revocations, text, vectors_of};
use super::{NOW, seconds};

fn ids(vector: &Value) -> (OrganizationId, ShareId) {
    let organization = text(vector, "organization").parse().unwrap();
    (organization, text(vector, "share").parse().unwrap())
}

#[test]
fn good_vectors_are_made_and_verified() {
    let vectors = vectors_of("pass");
    let keyring = keyring(&vectors);
    for vector in list(&vectors, "good") {
        let name = text(vector, "name");
        let (organization, share) = &ids(vector);
        let pass_revision = number(vector, "pass_revision");
        let terms = PassTerms {
            organization,
            share,
            pass_revision,
        };
        let (epoch, expires) = (
            number(vector, "organization_epoch"),
            number(vector, "expires"),
        );
        let kid = Kid::parse(text(vector, "kid")).unwrap();
        let made = keyring
            .mint_pass(&kid, &terms, epoch, seconds(expires))
            .unwrap();
        assert_eq!(made.reveal(), text(vector, "pass"), "{name}");
        assert_eq!(format!("{made:?}"), "SignedPass(..)");

        let revocations = revocations(vector, organization.as_str(), "f");
        let conditions = conditions(&vectors, vector, &revocations);
        let verified = keyring.verify_pass(text(vector, "pass"), &terms, &conditions);
        let verified = verified.unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(verified.share(), share, "{name}");
        assert_eq!(verified.pass_revision(), pass_revision, "{name}");
        assert_eq!(verified.expires(), seconds(expires), "{name}");
    }
}

#[test]
fn bad_vectors_are_refused_for_their_reason() {
    let vectors = vectors_of("pass");
    let keyring = keyring(&vectors);
    for vector in list(&vectors, "bad") {
        let name = text(vector, "name");
        let (organization, share) = &ids(vector);
        let terms = PassTerms {
            organization,
            share,
            pass_revision: number(vector, "pass_revision"),
        };
        let revocations = revocations(vector, organization.as_str(), "f");
        let conditions = conditions(&vectors, vector, &revocations);
        let refused = keyring.verify_pass(text(vector, "pass"), &terms, &conditions);
        assert_eq!(
            refused.unwrap_err().label(),
            text(vector, "reason"),
            "{name}"
        );
    }
}

#[test]
fn every_changed_bit_every_prefix_and_every_extension_is_refused() {
    let (organization, share) = ("org_123".parse().unwrap(), "share_1".parse().unwrap());
    let terms = PassTerms {
        organization: &organization,
        share: &share,
        pass_revision: 0,
    };
    let keyring = super::keyring();
    let kid = Kid::parse("a").unwrap();
    let good = keyring
        .mint_pass(&kid, &terms, 0, seconds(NOW + 60))
        .unwrap();
    let good = good.reveal();
    let revocations = Revocations::default();
    let conditions = super::conditions(&revocations);
    let verified = |pass: &str| keyring.verify_pass(pass, &terms, &conditions).map(drop);
    assert_eq!(verified(good), Ok(()));
    for bit in 0..good.len() * 8 {
        let mut bytes = good.as_bytes().to_owned();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(changed) = String::from_utf8(bytes) {
            assert!(verified(&changed).is_err(), "{changed}");
        }
    }
    for length in 0..good.len() {
        assert_eq!(verified(&good[..length]), Err(Rejection::Malformed));
    }
    for more in ["A", ".", "=", " ", "%00"] {
        let refused = verified(&format!("{good}{more}"));
        assert_eq!(refused, Err(Rejection::Malformed), "{more}");
    }
    for (kid, rejection) in [("c", Rejection::KidRetired), ("d", Rejection::KidUnknown)] {
        assert!(
            keyring
                .mint_pass(&Kid::parse(kid).unwrap(), &terms, 0, seconds(NOW + 60))
                .is_none()
        );
        let refused = verified(&good.replacen('a', kid, 1));
        assert_eq!(refused, Err(rejection), "{kid}");
    }
}
