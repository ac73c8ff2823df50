//! What holds of every link.

use hallpass::model::address::FileRef;
use hallpass::model::revocation::Revocations;
use hallpass::sign::claims::{ClaimName, Claims};
use hallpass::sign::grant::Grant;
use hallpass::sign::keyring::Keyring;
use hallpass::sign::verify::Rejection;
use proptest::prelude::*;

use super::{NOW, WEEK, attempt, conditions, grant, keyring, seconds, verify};

const BASE: &str = "https://example.com";

/// Claims that the conditions of these tests fulfil.
fn claims() -> impl Strategy<Value = Claims> {
    let disposition = proptest::option::of("(inline|attachment)(; filename=\"[ -~]{0,40}\")?");
    let media_type = proptest::option::of("[a-z]{1,8}/[a-z0-9!#$%&'*+.^_`|~-]{1,20}");
    let not_before = proptest::option::of(0..=NOW);
    (disposition, media_type, not_before).prop_map(|(disposition, media_type, not_before)| {
        let texts = [
            (ClaimName::ContentDisposition, disposition),
            (ClaimName::ContentType, media_type),
            (
                ClaimName::NotBefore,
                not_before.map(|time| time.to_string()),
            ),
        ];
        let with = |claims: Claims, (name, text): (ClaimName, Option<String>)| match text {
            Some(text) => claims.with(name, text).unwrap(),
            None => claims,
        };
        texts.into_iter().fold(Claims::none(), with)
    })
}

fn grants() -> impl Strategy<Value = Grant> {
    let id = "[A-Za-z0-9_-]{1,128}";
    (id, id, NOW + 1..=NOW + WEEK, claims()).prop_map(|(organization, file, expires, claims)| {
        grant(&organization, &file, expires, claims)
    })
}

/// The link's ids, expiry and token, each alone in the URL's own spelling.
fn parts(url: &str) -> [(usize, usize); 4] {
    let (organization, file, query) = hallpass::sign::url::split(url).unwrap();
    let token = query.rsplit("token=").next().unwrap();
    let mut pieces = query.split('&');
    let expires = pieces.find_map(|piece| piece.strip_prefix("expires="));
    let expires = expires.unwrap();
    [organization, file, expires, token].map(|part| {
        let start = part.as_ptr() as usize - url.as_ptr() as usize;
        (start, start + part.len())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_minted_is_verified(grant in grants(), epoch in any::<u64>(), revision in any::<u64>()) {
        let mut revocations = Revocations::default();
        revocations.raise_epoch(&grant.organization, epoch);
        revocations.set_revisions(&grant.organization, [(grant.file.clone(), revision)]);
        let link = keyring().mint(&grant, epoch, revision);
        let url = link.url(BASE);
        let verified = keyring().verify(&attempt(&url), &conditions(&revocations)).unwrap();
        prop_assert_eq!(verified.file(), FileRef::new(&grant.organization, &grant.file));
        prop_assert_eq!(verified.expires(), grant.expires);
        prop_assert_eq!(verified.claims(), &grant.claims);
        prop_assert_eq!(verified.link_id(), link.link_id);
        prop_assert!(link.token.contains(link.link_id.as_str()));
        let shown = format!("{link:?}{verified:?}");
        prop_assert!(!shown.contains(&link.token));
    }

    #[test]
    fn distinct_grants_have_distinct_macs(
        one in grants(), other in grants(), revisions in (0_u64..2, 0_u64..2), epochs in (0_u64..2, 0_u64..2),
    ) {
        let mint = |grant: &Grant, epoch, revision| keyring().mint(grant, epoch, revision).token;
        prop_assert_ne!(mint(&one, 0, 0), mint(&other, 0, 0));
        let same = revisions.0 == revisions.1 && epochs.0 == epochs.1;
        let tokens = (mint(&one, epochs.0, revisions.0), mint(&one, epochs.1, revisions.1));
        prop_assert_eq!(same, tokens.0 == tokens.1);
    }

    #[test]
    fn nothing_that_is_sent_panics(organization in ".{0,9}", file in ".{0,9}", query in "[ -~é&=%+.]{0,90}") {
        let attempt = hallpass::sign::verify::Attempt { organization: &organization, file: &file, query: &query };
        let revocations = Revocations::default();
        prop_assert!(keyring().verify(&attempt, &conditions(&revocations)).is_err());
        prop_assert!(keyring().explain(&attempt, &conditions(&revocations)).is_err());
        let _ = hallpass::sign::query::names_a_link(&query);
        let _ = hallpass::sign::url::split(&query);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn every_changed_bit_spoils_the_link(grant in grants()) {
        let keyring = keyring();
        let url = keyring.mint(&grant, 0, 0).url(BASE);
        for (start, end) in parts(&url) {
            for bit in start * 8..end * 8 {
                let mut bytes = url.clone().into_bytes();
                bytes[bit / 8] ^= 1 << (bit % 8);
                // What is no text never reaches the verifier.
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                prop_assert!(!opens(&keyring, &changed), "{changed}");
            }
        }
    }
}

/// A URL that is cut otherwise by its changed bit opens nothing either.
fn opens(keyring: &Keyring, url: &str) -> bool {
    let revocations = Revocations::default();
    hallpass::sign::url::split(url).is_some_and(|_| {
        let verified = keyring.verify(&attempt(url), &conditions(&revocations));
        verified.is_ok()
    })
}

#[test]
fn every_prefix_and_every_extension_of_a_token_is_refused() {
    let url = super::plain_url();
    verify(&url).unwrap();
    let (head, token) = url.split_once("token=").unwrap();
    for length in 0..token.len() {
        let refused = verify(&format!("{head}token={}", &token[..length])).unwrap_err();
        assert_eq!(refused, Rejection::Malformed);
    }
    for next in 0..=255_u8 {
        for url in [format!("{url}%{next:02x}"), format!("{url}A%{next:02x}")] {
            assert_eq!(verify(&url).unwrap_err(), Rejection::Malformed, "{url}");
        }
    }
    let long = format!("{url}{}", "A".repeat(7_000));
    assert_eq!(verify(&long).unwrap_err(), Rejection::Malformed);
}

#[test]
fn every_other_spelling_of_the_last_character_is_refused() {
    let url = super::plain_url();
    let (head, last) = url.split_at(url.len() - 1);
    for other in (0..128_u8).map(char::from) {
        let changed = format!("{head}{other}");
        assert_eq!(
            verify(&changed).is_ok(),
            last == other.to_string(),
            "{changed}"
        );
    }
}

#[test]
fn time_counts_to_the_second() {
    let revocations = Revocations::default();
    let url = super::plain_url();
    let at = |now| {
        let conditions = hallpass::sign::verify::Conditions {
            now: seconds(now),
            lifetime_max: 3_600,
            ..conditions(&revocations)
        };
        keyring().verify(&attempt(&url), &conditions).map(|_| ())
    };
    assert_eq!(at(NOW - 1), Err(Rejection::TooFar));
    assert_eq!(at(NOW), Ok(()));
    assert_eq!(at(NOW + 3_599), Ok(()));
    assert_eq!(at(NOW + 3_600), Err(Rejection::Expired));
    assert_eq!(at(99_999_999_999), Err(Rejection::Expired));
}
