//! The signed link, seen from outside the crate.

mod compile_fail;
mod counted;
mod kinds;
mod passes;
mod properties;
mod refusals;
mod shares;
mod signers;
mod tickets;
mod vectors;

use hallpass::model::id::{FileId, OrganizationId};
use hallpass::model::revocation::Revocations;
use hallpass::model::time::UnixSeconds;
use hallpass::sign::claims::Claims;
use hallpass::sign::grant::Grant;
use hallpass::sign::keyring::{KeyState, Keyring, Kid, SigningKey};
use hallpass::sign::secret::Secret;
use hallpass::sign::url;
use hallpass::sign::verify::{Attempt, Conditions, Rejection, Verified};

const NOW: u64 = 1_779_118_492;
const WEEK: u64 = 604_800;

fn seconds(seconds: u64) -> UnixSeconds {
    UnixSeconds::new(seconds).unwrap()
}

/// `a` is active, `b` verifies, `c` is retired.
fn keyring() -> Keyring {
    let key = |kid, state, first: u8| SigningKey {
        kid: Kid::parse(kid).unwrap(),
        state,
        secret: (state != KeyState::Retired)
            .then(|| Secret::new((first..first + 32).collect()).unwrap()),
        created_at: seconds(NOW),
    };
    Keyring::new(vec![
        key("a", KeyState::Active, 0),
        key("b", KeyState::VerifyOnly, 1),
        key("c", KeyState::Retired, 2),
    ])
    .unwrap()
}

fn grant<K>(organization: &str, file: &str, expires: u64, claims: K) -> Grant<K> {
    Grant {
        organization: OrganizationId::parse(organization).unwrap(),
        file: FileId::parse(file).unwrap(),
        expires: seconds(expires),
        claims,
    }
}

/// The URL of an hour's link to one file, without claims.
fn plain_url() -> String {
    let grant = grant("org_123", "file_abc123", NOW + 3_600, Claims::none());
    keyring().mint(&grant, 0, 0).url("https://example.com")
}

fn conditions(revocations: &Revocations) -> Conditions<'_> {
    Conditions {
        now: seconds(NOW),
        lifetime_max: WEEK,
        not_before_leeway: 0,
        client: None,
        revocations,
    }
}

/// What a gateway that never revoked anything says to the URL.
#[track_caller]
fn verify(url: &str) -> Result<Verified<'_>, Rejection> {
    keyring().verify(&attempt(url), &conditions(&Revocations::default()))
}

#[track_caller]
fn attempt(url: &str) -> Attempt<'_> {
    let (organization, file, query) = url::split(url).unwrap();
    Attempt {
        organization,
        file,
        query,
    }
}
