//! Nothing that is signed as one kind is good as another.

use hallpass::model::revocation::Revocations;
use hallpass::sign::keyring::Keyring;
use hallpass::sign::ticket::TicketAttempt;
use hallpass::sign::url::{self, SignedUrl};
use hallpass::sign::verify::{Attempt, Conditions};
use serde_json::Value;

use super::vectors::{conditions, keyring, list, number, revocations, text, vectors_of};

const KINDS: [&str; 3] = ["links", "counted", "ticket"];

/// Whether the vector is good as a link, as a counted link, and as a ticket, in the order of [`KINDS`], whatever is in
/// its URL besides.
fn good_as(
    keyring: &Keyring,
    kind: &str,
    vector: &Value,
    conditions: &Conditions<'_>,
) -> [bool; 3] {
    let organization = text(vector, "organization");
    let expires = number(vector, "expires");
    let (file, token, claims) = match kind {
        "ticket" => {
            let ticket = text(vector, "ticket");
            let (kid, rest) = ticket.split_once('.').unwrap();
            let (_, mac) = rest.rsplit_once('.').unwrap();
            let rid = text(vector, "redemption");
            (rid, format!("{kid}.{mac}"), String::new())
        }
        _ => {
            let (_, query) = text(vector, "url").split_once('?').unwrap();
            let claims = query.split('&');
            let claims = claims
                .filter(|piece| !piece.starts_with("expires=") && !piece.starts_with("token="));
            let claims: String = claims.map(|piece| format!("{piece}&")).collect();
            (
                text(vector, "file"),
                text(vector, "token").to_owned(),
                claims,
            )
        }
    };
    let rids = [file, "4Qm0zR8sVt1LwXy7KbDc2e", "7hGf3KpQ9sTz0aBcDeFgHi"];
    let more = ["", "max-downloads=1&", "nonce=4Qm0zR8sVt1LwXy7KbDc2e&"];
    let queries = more.map(|more| format!("{claims}{more}expires={expires}&token={token}"));
    let attempts = || {
        queries.iter().map(|query| Attempt {
            organization,
            file,
            query,
        })
    };
    let (kid, mac) = token.split_once('.').unwrap();
    let is_good_ticket = |rid: &str| {
        let ticket = format!("{kid}.{expires}.{rid}.{mac}");
        let attempt = TicketAttempt {
            organization,
            ticket: &ticket,
        };
        keyring.verify_ticket(&attempt, conditions).is_ok()
    };
    [
        attempts().any(|attempt| keyring.verify(&attempt, conditions).is_ok()),
        attempts().any(|attempt| keyring.verify_counted(&attempt, conditions).is_ok()),
        rids.into_iter().any(is_good_ticket),
    ]
}

#[test]
fn every_vector_is_good_as_its_own_kind_alone() {
    for kind in KINDS {
        let vectors = vectors_of(kind);
        let keyring = keyring(&vectors);
        for vector in list(&vectors, "good") {
            let organization = text(vector, "organization");
            let file = vector["file"].as_str().unwrap_or("f");
            let revocations = revocations(vector, organization, file);
            let conditions = Conditions {
                lifetime_max: u64::MAX,
                ..conditions(&vectors, vector, &revocations)
            };
            let expected = KINDS.map(|other| other == kind);
            let good = good_as(&keyring, kind, vector, &conditions);
            assert_eq!(good, expected, "{kind}: {}", text(vector, "name"));
        }
    }
}

/// By its path alone: the rest of the URL stays as it is.
#[test]
fn a_url_on_the_route_of_another_kind_is_refused() {
    for (kind, from, to) in [
        ("links", "/download?", "/redeem?"),
        ("counted", "/redeem?", "/download?"),
    ] {
        let vectors = vectors_of(kind);
        let keyring = keyring(&vectors);
        let all = list(&vectors, "good").iter().chain(list(&vectors, "bad"));
        for vector in all {
            let url = text(vector, "url").replace(from, to);
            let revocations = Revocations::default();
            let conditions = conditions(&vectors, vector, &revocations);
            let is_refused = match url::parse(&url).unwrap() {
                SignedUrl::Download(link) => keyring.verify(&link, &conditions).is_err(),
                SignedUrl::Counted(link) => keyring.verify_counted(&link, &conditions).is_err(),
                SignedUrl::Ticket(_) => false,
            };
            let name = text(vector, "name");
            // Their path alone was changed, and is changed back here.
            let is_for_both = name.starts_with("the token of a link that opens");
            assert_ne!(is_refused, is_for_both, "{name}");
        }
    }
}
