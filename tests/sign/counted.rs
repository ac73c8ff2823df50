//! Counted links: `tests/vectors/counted.json` holds of this implementation, and so does what holds of every one.

use hallpass::model::address::FileRef;
use hallpass::model::revocation::Revocations;
use hallpass::sign::claims::{ClaimName, Claims};
use hallpass::sign::counted::{
    CountedClaimName, CountedClaims, MaxDownloads, Nonce, RedeemMethod, VerifiedCounted,
};
use hallpass::sign::grant::Grant;
use hallpass::sign::keyring::Kid;
use hallpass::sign::organization_key::OrganizationKey;
use hallpass::sign::url::{self, SignedUrl};
use hallpass::sign::verify::{Attempt, Rejection};
use serde_json::Value;

use super::vectors::{conditions, keyring, list, number, revocations, text, vectors_of};
use super::{NOW, grant};

const BASE: &str = "https://files.example.com";

pub(super) fn counted_attempt(url: &str) -> Attempt<'_> {
    match url::parse(url) {
        Some(SignedUrl::Counted(link)) => link,
        _ => panic!("{url} is no counted link"),
    }
}

/// The claims of a vector, which are the end of its message.
fn claims(vector: &Value) -> CountedClaims {
    let message = text(vector, "message");
    let lines = message.splitn(6, '\n').nth(5).unwrap();
    CountedClaims::from_text(lines).unwrap()
}

#[test]
fn good_vectors_are_minted_and_verified() {
    let vectors = vectors_of("counted");
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
        let key = OrganizationKey::from_base64url(text(vector, "organization_key")).unwrap();
        let link = key.mint(&kid, &grant, revision);
        let url = text(vector, "url");
        assert_eq!(link.url(text(vector, "base_url")), url, "{name}");
        assert_eq!(link.token, text(vector, "token"), "{name}");
        if keyring.active() == &kid {
            let with_keyring = keyring.mint(&grant, epoch, revision);
            assert_eq!(with_keyring.token, link.token, "{name}");
        }

        let attempt = counted_attempt(url);
        let revocations = revocations(vector, attempt.organization, attempt.file);
        let conditions = conditions(&vectors, vector, &revocations);
        let verified = keyring.verify_counted(&attempt, &conditions);
        let verified = verified.unwrap_or_else(|why| panic!("{name}: {why}"));
        let file = FileRef::new(&grant.organization, &grant.file);
        assert_eq!(verified.file(), file, "{name}");
        assert_eq!(verified.expires(), grant.expires, "{name}");
        assert_eq!(verified.claims(), &grant.claims, "{name}");
        assert_eq!(verified.kid(), &kid, "{name}");
        assert_eq!(verified.link_id(), link.link_id, "{name}");
        let said = &vector["claims"];
        let max = verified.claims().max_downloads().to_string();
        assert_eq!(said["max-downloads"], max, "{name}");
        let method = verified.claims().redeem().as_str();
        assert_eq!(said["redeem"].as_str().unwrap_or("post"), method, "{name}");
        let shown = format!("{link:?}{verified:?}");
        assert!(!shown.contains(&link.token), "{name}");
    }
}

#[test]
fn bad_vectors_are_refused_for_their_reason() {
    let vectors = vectors_of("counted");
    let keyring = keyring(&vectors);
    for vector in list(&vectors, "bad") {
        let name = text(vector, "name");
        let attempt = counted_attempt(text(vector, "url"));
        let revocations = revocations(vector, attempt.organization, attempt.file);
        let conditions = conditions(&vectors, vector, &revocations);
        let refused = keyring.verify_counted(&attempt, &conditions).unwrap_err();
        assert_eq!(refused.label(), text(vector, "reason"), "{name}");
        let explained = keyring.explain_counted(&attempt, &conditions).unwrap_err();
        assert_eq!(explained.label(), text(vector, "explained"), "{name}");
    }
}

fn counted(random: u8, claims: Claims) -> Grant<CountedClaims> {
    let max = MaxDownloads::parse("3").unwrap();
    let nonce = Nonce::from_random([random; 32]);
    let claims = CountedClaims::new(claims, max, RedeemMethod::Post, nonce);
    grant("org_123", "file_abc123", NOW + 3_600, claims)
}

#[track_caller]
fn verify(url: &str) -> Result<VerifiedCounted<'_>, Rejection> {
    let revocations = Revocations::default();
    super::keyring().verify_counted(&counted_attempt(url), &super::conditions(&revocations))
}

/// Without the nonce the two would be one link, and share what they allow.
#[test]
fn two_links_of_one_file_claims_and_end_are_two() {
    let keyring = super::keyring();
    let (one, other) = (counted(1, Claims::none()), counted(2, Claims::none()));
    let (one, other) = (keyring.mint(&one, 0, 0), keyring.mint(&other, 0, 0));
    assert_ne!(one.link_id, other.link_id);
    let (one, other) = (one.url(BASE), other.url(BASE));
    let digest = |url: &str| verify(url).unwrap().mac_digest();
    assert_ne!(digest(&one), digest(&other));
    assert_eq!(digest(&one), digest(&one.replace("&nonce=", "&non%63e=")));
}

/// `printf %s MAC | sha256sum`
#[test]
fn downloads_are_named_by_the_digest_of_the_mac_as_it_is_spelled() {
    use sha2::Digest as _;
    let vectors = vectors_of("counted");
    let vector = &list(&vectors, "good")[0];
    let attempt = counted_attempt(text(vector, "url"));
    let revocations = Revocations::default();
    let conditions = conditions(&vectors, vector, &revocations);
    let verified = keyring(&vectors)
        .verify_counted(&attempt, &conditions)
        .unwrap();
    let mac = text(vector, "token").split_once('.').unwrap().1;
    let digest: [u8; 32] = sha2::Sha256::digest(mac).into();
    assert_eq!(
        verified.mac_digest(),
        hallpass::model::digest::Sha256Digest::new(digest)
    );
}

#[test]
fn a_url_has_not_before_first_and_no_name() {
    let claims = Claims::none().with(ClaimName::NotBefore, "7").unwrap();
    let claims = claims
        .with(ClaimName::ContentDisposition, "inline")
        .unwrap();
    let grant = counted(0, claims);
    let link = super::keyring().mint(&grant, 0, 0);
    let nonce = "0".repeat(22);
    let url = format!(
        "{BASE}/v1/organizations/org_123/files/file_abc123/redeem?not-before=7&expires={}&max-downloads=3\
         &nonce={nonce}&response-content-disposition=inline&token={}",
        NOW + 3_600,
        link.token
    );
    assert_eq!(link.url(BASE), url);
    assert!(verify(&url).is_ok());
    let reordered = url.replace("?not-before=7&", "?utm_source=%zz&not-before=7&&");
    assert!(verify(&reordered).is_ok());
}

#[test]
fn every_changed_bit_of_the_query_spoils_the_link() {
    let grant = counted(7, Claims::none());
    let url = super::keyring().mint(&grant, 0, 0).url(BASE);
    let start = url.find('?').unwrap() + 1;
    assert!(verify(&url).is_ok());
    for bit in start * 8..url.len() * 8 {
        let mut bytes = url.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(changed) = String::from_utf8(bytes) else {
            continue;
        };
        // A fragment is no part of a link.
        let whole = changed.split('#').next().unwrap();
        assert!(verify(whole).is_err(), "{changed}");
    }
}

/// The names that HTML reads as a sign without a semicolon (HTML Living Standard, "Named character references").
const SIGNS: &str = "\
    AElig AMP Aacute Acirc Agrave Aring Atilde Auml COPY Ccedil ETH Eacute Ecirc Egrave Euml GT Iacute \
    Icirc Igrave Iuml LT Ntilde Oacute Ocirc Ograve Oslash Otilde Ouml QUOT REG THORN Uacute Ucirc \
    Ugrave Uuml Yacute aacute acirc acute aelig agrave amp aring atilde auml brvbar ccedil cedil cent \
    copy curren deg divide eacute ecirc egrave eth euml frac12 frac14 frac34 gt iacute icirc iexcl \
    igrave iquest iuml laquo lt macr micro middot nbsp not ntilde oacute ocirc ograve ordf ordm oslash \
    otilde ouml para plusmn pound quot raquo reg sect shy sup1 sup2 sup3 szlig thorn times uacute ucirc \
    ugrave uml uuml yacute yen yuml";

/// A link must survive in HTML that nobody escaped: `&` and the name of a parameter must not be read as a sign.
/// `not-before` would be, and has no `&` before it.
#[test]
fn no_parameter_reads_as_a_sign_of_html() {
    let signs: Vec<&str> = SIGNS.split_whitespace().collect();
    assert_eq!(signs.len(), 106);
    let claims = CountedClaimName::ALL.map(CountedClaimName::as_str);
    for name in claims.into_iter().chain(["expires", "token"]) {
        let sign = signs.iter().find(|sign| name.starts_with(**sign));
        let expected = (name == "not-before").then_some("not");
        assert_eq!(sign.copied(), expected, "{name}");
    }
}
