//! `tests/vectors/links.json` holds of this implementation, and its script writes all vectors.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hallpass::config::keyring_file;
use hallpass::model::address::FileRef;
use hallpass::model::id::{FileId, OrganizationId};
use hallpass::model::revocation::{LinkId, Revocations};
use hallpass::sign::claims::{ClaimName, Claims};
use hallpass::sign::keyring::{KeyState, Keyring, Kid, SigningKey};
use hallpass::sign::organization_key::OrganizationKey;
use hallpass::sign::secret::{Secret, WeakSecret};
use hallpass::sign::verify::Conditions;
use serde_json::Value;

use super::{attempt, grant, seconds};

/// The vectors of each kind, by the name of their file.
const FILES: [(&str, &str); 5] = [
    ("links", include_str!("../vectors/links.json")),
    ("counted", include_str!("../vectors/counted.json")),
    ("ticket", include_str!("../vectors/ticket.json")),
    ("share", include_str!("../vectors/share.json")),
    ("pass", include_str!("../vectors/pass.json")),
];

/// The vectors of one kind.
pub(super) fn vectors_of(kind: &str) -> Value {
    let file = FILES.into_iter().find(|(name, _)| *name == kind);
    serde_json::from_str(file.unwrap().1).unwrap()
}

fn vectors() -> Value {
    vectors_of("links")
}

pub(super) fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap()
}

pub(super) fn number(vector: &Value, name: &str) -> u64 {
    vector[name].as_u64().unwrap()
}

pub(super) fn list<'a>(vector: &'a Value, name: &str) -> &'a [Value] {
    vector[name].as_array().unwrap()
}

pub(super) fn keyring(vectors: &Value) -> Keyring {
    let key = |key: &Value| SigningKey {
        kid: Kid::parse(text(key, "kid")).unwrap(),
        state: KeyState::parse(text(key, "state")).unwrap(),
        secret: key["secret"].as_str().map(|secret| {
            Secret::published_example(BASE64_STANDARD.decode(secret).unwrap()).unwrap()
        }),
        created_at: seconds(0),
    };
    Keyring::new(list(vectors, "keyring").iter().map(key).collect()).unwrap()
}

/// What is in force and denied for the one link, or ticket, of the vector.
pub(super) fn revocations(vector: &Value, organization: &str, file: &str) -> Revocations {
    let mut revocations = Revocations::default();
    // An id that is none has no revocations either.
    if let (Ok(organization), Ok(file)) = (
        organization.parse::<OrganizationId>(),
        file.parse::<FileId>(),
    ) {
        let epoch = number(vector, "organization_epoch");
        let revision = vector["link_revision"].as_u64().unwrap_or_default();
        let denied = vector["denied"].as_array().into_iter().flatten();
        let denied = denied.map(|id| (LinkId::parse(id.as_str().unwrap()).unwrap(), seconds(0)));
        revocations.raise_epoch(&organization, epoch);
        revocations.set_revisions(&organization, [(file, revision)]);
        revocations.deny(&organization, denied);
    }
    revocations
}

pub(super) fn conditions<'a>(
    vectors: &Value,
    vector: &Value,
    revocations: &'a Revocations,
) -> Conditions<'a> {
    Conditions {
        now: seconds(vector["now"].as_u64().unwrap_or(number(vectors, "now"))),
        lifetime_max: vectors["lifetime_max"].as_u64().unwrap_or_default(),
        not_before_leeway: 0,
        client: vector["client"].as_str().map(|ip| ip.parse().unwrap()),
        revocations,
    }
}

fn claims(vector: &Value) -> Claims {
    let claims = vector["claims"].as_object().unwrap().iter();
    claims.fold(Claims::none(), |claims, (name, text)| {
        let name = ClaimName::parse(name).unwrap();
        claims.with(name, text.as_str().unwrap()).unwrap()
    })
}

#[test]
fn good_vectors_are_minted_and_verified() {
    let vectors = vectors();
    let keyring = keyring(&vectors);
    for vector in list(&vectors, "good") {
        let name = text(vector, "name");
        let grant = grant(
            text(vector, "organization"),
            text(vector, "file"),
            number(vector, "expires"),
            claims(vector),
        );
        let (epoch, revision) = (
            number(vector, "organization_epoch"),
            number(vector, "link_revision"),
        );
        let kid = Kid::parse(text(vector, "kid")).unwrap();
        let secret = keyring.key(&kid).unwrap().secret.as_ref().unwrap();
        let key = OrganizationKey::derive(secret, &grant.organization, epoch);
        assert_eq!(
            *key.reveal_base64url(),
            text(vector, "organization_key"),
            "{name}"
        );

        let key = OrganizationKey::from_base64url(text(vector, "organization_key")).unwrap();
        let link = key.mint(&kid, &grant, revision);
        assert_eq!(
            link.url(text(vector, "base_url")),
            text(vector, "url"),
            "{name}"
        );
        assert_eq!(link.token, text(vector, "token"), "{name}");
        if keyring.active() == &kid {
            let with_keyring = keyring.mint(&grant, epoch, revision);
            assert_eq!(with_keyring.token, link.token, "{name}");
        }

        let attempt = attempt(text(vector, "url"));
        let revocations = revocations(vector, attempt.organization, attempt.file);
        let conditions = conditions(&vectors, vector, &revocations);
        let verified = keyring.verify(&attempt, &conditions);
        let verified = verified.unwrap_or_else(|why| panic!("{name}: {why}"));
        let file = FileRef::new(&grant.organization, &grant.file);
        assert_eq!(verified.file(), file, "{name}");
        assert_eq!(verified.expires(), grant.expires, "{name}");
        assert_eq!(verified.claims(), &grant.claims, "{name}");
        assert_eq!(verified.kid(), &kid, "{name}");
        assert_eq!(
            verified.link_id().as_str(),
            text(vector, "link_id"),
            "{name}"
        );
    }
}

#[test]
fn bad_vectors_are_refused_for_their_reason() {
    let vectors = vectors();
    let keyring = keyring(&vectors);
    for vector in list(&vectors, "bad") {
        let name = text(vector, "name");
        let attempt = attempt(text(vector, "url"));
        let revocations = revocations(vector, attempt.organization, attempt.file);
        let conditions = conditions(&vectors, vector, &revocations);
        let refused = keyring.verify(&attempt, &conditions).unwrap_err();
        assert_eq!(refused.label(), text(vector, "reason"), "{name}");
        let explained = keyring.explain(&attempt, &conditions).unwrap_err();
        assert_eq!(explained.label(), text(vector, "explained"), "{name}");
    }
}

#[test]
fn published_keys_cannot_sign_real_links() {
    let vectors = vectors();
    let secrets = list(&vectors, "keyring")
        .iter()
        .filter_map(|key| key["secret"].as_str());
    let secrets: Vec<_> = secrets.collect();
    assert_eq!(secrets.len(), 2);
    for secret in secrets {
        let bytes = BASE64_STANDARD.decode(secret).unwrap();
        assert_eq!(Secret::new(bytes).unwrap_err(), WeakSecret::Published);
        let file = format!(
            "[[key]]\nkid = \"k1\"\nstate = \"active\"\ncreated_at = \"2026-01-01T00:00:00Z\"\n\
             secret = \"{secret}\"\n"
        );
        let refused = keyring_file::parse(&file).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "key k1: the secret is a published example"
        );
    }
}

#[test]
fn vectors_are_what_their_script_writes() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/make.py");
    for (kind, written) in FILES {
        let mut python = std::process::Command::new("python3");
        let output = python
            .env("PYTHONIOENCODING", "utf-8")
            .args([script, kind])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let is_same = output.stdout == written.as_bytes();
        assert!(is_same, "run make.py {kind} again");
    }
}
