//! What the verifier allocates: nothing, whether a plain link is good or not; and what the limits do of those
//! whom they know: nothing, either. A test binary of its own, since an allocator that counts slows everything
//! else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // A test may panic.

mod counting;

use std::net::IpAddr;
use std::sync::Arc;

use allocation_counter::measure;

use hallpass::gateway::clock::SystemClock;
use hallpass::gateway::limits::{Limits, RateLimits, Rule};
use hallpass::model::id::{ApiKeyId, FileId, OrganizationId};
use hallpass::model::revocation::{LinkId, Revocations};
use hallpass::model::time::UnixSeconds;
use hallpass::sign::claims::{ClaimName, Claims};
use hallpass::sign::grant::Grant;
use hallpass::sign::keyring::{KeyState, Keyring, Kid, SigningKey};
use hallpass::sign::secret::Secret;
use hallpass::sign::url;
use hallpass::sign::verify::{Attempt, Conditions, Rejection};

const NOW: u64 = 1_779_118_492;

fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds::new(seconds).unwrap()
}

fn keyring() -> Keyring {
    let key = |kid, state, first: u8| SigningKey {
        kid: Kid::parse(kid).unwrap(),
        state,
        secret: (state != KeyState::Retired)
            .then(|| Secret::new((first..first + 32).collect()).unwrap()),
        created_at: at(NOW),
    };
    let keys = vec![
        key("0123456789abcdef", KeyState::Active, 0),
        key("retired", KeyState::Retired, 1),
    ];
    Keyring::new(keys).unwrap()
}

/// A link with ids of the longest kind.
fn link(keyring: &Keyring, claims: Claims) -> String {
    let grant = Grant {
        organization: OrganizationId::parse(&"o".repeat(128)).unwrap(),
        file: FileId::parse(&"f".repeat(128)).unwrap(),
        expires: at(NOW + 60),
        claims,
    };
    keyring.mint(&grant, 3, 7).url("")
}

/// Somebody revoked something of the same organization.
fn revocations() -> Revocations {
    let organization = OrganizationId::parse(&"o".repeat(128)).unwrap();
    let file = FileId::parse(&"f".repeat(128)).unwrap();
    let other = LinkId::parse("aaaaaaaaaaaa").unwrap();
    let mut revocations = Revocations::default();
    revocations.raise_epoch(&organization, 3);
    revocations.set_revisions(&organization, [(file, 7)]);
    revocations.deny(&organization, [(other, at(NOW + 60))]);
    revocations
}

/// What the verifier says `later` seconds from now, and how often it allocated.
fn verified(keyring: &Keyring, url: &str, later: u64) -> (Result<(), Rejection>, u64) {
    let revocations = revocations();
    let conditions = Conditions {
        now: at(NOW + later),
        lifetime_max: 604_800,
        not_before_leeway: 0,
        client: None,
        revocations: &revocations,
    };
    let (organization, file, query) = url::split(url).unwrap();
    let attempt = Attempt {
        organization,
        file,
        query,
    };
    let mut outcome = None;
    let allocated = measure(|| outcome = Some(keyring.verify(&attempt, &conditions).map(drop)));
    (outcome.unwrap(), allocated.count_total)
}

#[test]
fn a_plain_link_is_verified_without_allocating() {
    let keyring = keyring();
    let good = link(&keyring, Claims::none());
    // The first good link of an organization leaves its key in memory.
    assert_eq!(verified(&keyring, &good, 0).0, Ok(()));

    let expired = (Err(Rejection::Expired), 0);
    assert_eq!(verified(&keyring, &good, 0), (Ok(()), 0));
    assert_eq!(verified(&keyring, &good, 60), expired);
}

#[test]
fn a_bad_link_is_refused_without_allocating_known_or_not() {
    let keyring = keyring();
    let good = link(&keyring, Claims::none());
    let (head, mac) = good.rsplit_once('.').unwrap();
    let turned: String = mac.chars().rev().collect();
    // Canonical base64 ends in one of every fourth character.
    let wrong_mac = format!("{head}.{}A", &turned[..42]);
    let unknown = good.replace("0123456789abcdef", "0123456789abcdee");
    let retired = good.replace("0123456789abcdef", "retired");
    let stranger = wrong_mac.replacen("ooo", "sss", 1);
    for (url, why) in [
        (&wrong_mac, Rejection::MacMismatch),
        (&stranger, Rejection::MacMismatch),
        (&unknown, Rejection::KidUnknown),
        (&retired, Rejection::KidRetired),
    ] {
        // Never twice the same work either: what a stranger sends leaves nothing behind.
        for _ in 0..2 {
            assert_eq!(verified(&keyring, url, 0), (Err(why), 0), "{why}");
        }
    }
}

/// A request, its download of 1 KiB, and the refusal of one too many.
#[test]
fn whoever_is_known_is_limited_without_allocating() {
    let rule = Rule {
        requests_per_minute: 1_000,
        at_once: 2,
        bytes_per_second: 1 << 30,
    };
    let settings = RateLimits {
        api_key: rule,
        address: rule,
        link: rule,
        organization: rule,
        ..RateLimits::default()
    };
    let limits = Limits::new(&settings, Arc::new(SystemClock::start()));
    let (keyring, client) = (keyring(), Some(IpAddr::from([192, 0, 2, 1])));
    let url = link(&keyring, Claims::none());
    let (organization, file, query) = url::split(&url).unwrap();
    let attempt = Attempt {
        organization,
        file,
        query,
    };
    let conditions = Conditions {
        now: at(NOW),
        lifetime_max: 604_800,
        not_before_leeway: 0,
        client: None,
        revocations: &revocations(),
    };
    let link = keyring.verify(&attempt, &conditions).unwrap();
    let key = ApiKeyId::from_random([1; 16]);
    let request = || {
        limits.admit_address(client).unwrap();
        limits.admit_key(&key).unwrap();
        limits.admit_link(&link).unwrap();
        let admitted = limits.admit_download(&link, client).unwrap().unwrap();
        let pace = admitted.pace().unwrap();
        assert!(pace.spend_at_once(1_024));
        admitted
    };
    assert_ne!(measure(|| drop(request())).count_total, 0);
    assert_eq!(measure(|| drop(request())).count_total, 0);
    let _both = [request(), request()];
    let third = measure(|| assert!(limits.admit_download(&link, client).is_err()));
    assert_eq!(third.count_total, 0);
}

/// That it counts at all.
#[test]
fn a_claim_is_kept_and_so_allocated() {
    let keyring = keyring();
    let claims = Claims::none().with(ClaimName::ContentType, "text/plain");
    let url = link(&keyring, claims.unwrap());
    assert_eq!(verified(&keyring, &url, 0).0, Ok(()));
    let (outcome, allocated) = verified(&keyring, &url, 0);
    assert_eq!(outcome, Ok(()));
    assert!((1..20).contains(&allocated), "{allocated}");
}
