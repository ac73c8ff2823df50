//! Bad links, each with the reason it is refused for.

use hallpass::model::address::FileAddress;
use hallpass::model::revocation::Revocations;
use hallpass::sign::claims::{ClaimName, Claims};
use hallpass::sign::grant::Grant;
use hallpass::sign::keyring::Kid;
use hallpass::sign::organization_key::OrganizationKey;
use hallpass::sign::secret::Secret;
use hallpass::sign::verify::{Attempt, Conditions, Rejection};

use super::{NOW, attempt, conditions, grant, keyring, plain_url, seconds, verify};

fn with_claim(name: ClaimName, text: &str) -> String {
    let claims = Claims::none().with(name, text).unwrap();
    let grant = grant("org_123", "file_abc123", NOW + 3_600, claims);
    keyring().mint(&grant, 0, 0).url("https://example.com")
}

#[track_caller]
fn is_refused(url: &str, why: Rejection) {
    assert_eq!(verify(url).unwrap_err(), why, "{url}");
}

/// The plain link with its `expires` and `token` put into another query.
fn requeried(query: impl Fn(&str, &str) -> String) -> String {
    let url = plain_url();
    let (path, parameters) = url.split_once("?expires=").unwrap();
    let (expires, token) = parameters.split_once("&token=").unwrap();
    format!("{path}?{}", query(expires, token))
}

#[test]
fn every_flipped_bit_of_the_mac_is_a_mismatch() {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    let url = plain_url();
    let (head, mac) = url.rsplit_once('.').unwrap();
    let mac = BASE64_URL_SAFE_NO_PAD.decode(mac).unwrap();
    assert_eq!(mac.len(), 32);
    for bit in 0..256 {
        let mut flipped = mac.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let flipped = BASE64_URL_SAFE_NO_PAD.encode(flipped);
        is_refused(&format!("{head}.{flipped}"), Rejection::MacMismatch);
    }
}

#[test]
fn parameters_count_once_whatever_their_order_and_spelling() {
    let duplicates: [fn(&str, &str) -> String; 10] = [
        |expires, token| format!("expires={expires}&token={token}&token=a.b"),
        |expires, token| format!("expires={expires}&token=a.b&token={token}"),
        |expires, token| format!("expires={expires}&token={token}&token={token}"),
        |expires, token| format!("expires={expires}&token={token}&%74oken=a.b"),
        |expires, token| format!("expires={expires}&%74oken=a.b&token={token}"),
        |expires, token| format!("%74oken={token}&expires={expires}&%74oken=a.b"),
        |expires, token| format!("expires={expires}&expires=99999999999&token={token}"),
        |expires, token| format!("expires=99999999999&expires={expires}&token={token}"),
        |expires, token| format!("expire%73=1&expires={expires}&token={token}"),
        |expires, token| format!("expires={expires}&expires={expires}&token={token}"),
    ];
    for query in duplicates {
        is_refused(&requeried(query), Rejection::Malformed);
    }
}

#[test]
fn other_spellings_of_the_same_values_are_good() {
    let same: [fn(&str, &str) -> String; 8] = [
        |expires, token| format!("token={token}&expires={expires}"),
        |expires, token| format!("token={token}&&expires={expires}"),
        |expires, token| format!("&token={token}&expires={expires}&"),
        |expires, token| format!("expires={expires}&%74oken={token}"),
        |expires, token| format!("expires={expires}&token={}", token.replace('.', "%2e")),
        |expires, token| format!("utm_source=1&expires={expires}&token={token}&fbclid=%zz"),
        |expires, token| {
            format!("expires={expires}&token={token}&token[]=x&TOKEN=y&Expires=1&inline&cache=0")
        },
        |expires, token| {
            format!(
                "expires={expires}&token={token}&disposition=inline&filename=x&download=&type=text/html"
            )
        },
    ];
    for query in same {
        let url = requeried(query);
        let verified = verify(&url).unwrap_or_else(|why| panic!("{url}: {why}"));
        assert_eq!(verified.claims(), &Claims::none());
    }
}

#[test]
fn half_links_and_broken_queries_are_malformed() {
    let broken: [fn(&str, &str) -> String; 15] = [
        |_, _| String::new(),
        |expires, _| format!("expires={expires}"),
        |_, token| format!("token={token}"),
        |expires, _| format!("expires={expires}&token"),
        |expires, _| format!("expires={expires}&token="),
        |expires, _| format!("expires={expires}&token=%"),
        |expires, _| format!("expires={expires}&token=%4"),
        |expires, _| format!("expires={expires}&token=%zz"),
        |expires, _| format!("expires={expires}&token=\u{e9}"),
        |expires, token| format!("token={token};expires={expires}"),
        |expires, token| format!("token={token}&=&expires={expires}"),
        |expires, token| format!("expires={expires}&token[]={token}"),
        |expires, token| format!("expires={expires}&TOKEN={token}"),
        |expires, token| format!("expires[]={expires}&token={token}"),
        |expires, token| format!("Expires={expires}&token={token}"),
    ];
    for query in broken {
        is_refused(&requeried(query), Rejection::Malformed);
    }
}

#[test]
fn expiries_have_one_spelling() {
    let malformed = [
        "",
        "abc",
        "-1",
        "%2B1",
        "+1",
        "1e9",
        "0x1",
        "1.0",
        "01",
        "00",
        "1%20",
        "%201",
        "100000000000",
        "9223372036854775808",
        "18446744073709551616",
        "1111111111111111111111111111111111111111",
        "%D9%A1%D9%A2",
        "1779122092000",
    ];
    for text in malformed {
        let url = requeried(|_, token| format!("expires={text}&token={token}"));
        is_refused(&url, Rejection::Malformed);
    }
    for text in ["0", "1", "2147483648", "99999999999"] {
        let url = requeried(|_, token| format!("expires={text}&token={token}"));
        is_refused(&url, Rejection::MacMismatch);
    }
    let eternal = grant("org_123", "file_abc123", 99_999_999_999, Claims::none());
    is_refused(&keyring().mint(&eternal, 0, 0).url(""), Rejection::TooFar);
    let never = grant("org_123", "file_abc123", 0, Claims::none());
    is_refused(&keyring().mint(&never, 0, 0).url(""), Rejection::Expired);
}

#[test]
fn ids_are_taken_as_sent() {
    let url = plain_url();
    let (_, _, query) = hallpass::sign::url::split(&url).unwrap();
    let long = "x".repeat(129);
    let ids = [
        "",
        ".",
        "..",
        "%66ile_abc123",
        "file_abc123%2f",
        "file_abc123%00",
        "file_abc123\0",
        "file_abc123?",
        "file_abc123#",
        "file_abc123&",
        "file_abc123;v=1",
        "file_abc123\\",
        "file_abc123/",
        "%252e",
        "file_abc123\n",
        "\u{e9}",
        &long,
    ];
    let revocations = Revocations::default();
    for id in ids {
        for (organization, file) in [("org_123", id), (id, "file_abc123")] {
            let attempt = Attempt {
                organization,
                file,
                query,
            };
            let refused = keyring()
                .verify(&attempt, &conditions(&revocations))
                .unwrap_err();
            assert_eq!(refused, Rejection::Malformed, "{organization:?} {file:?}");
        }
    }
    for other in ["FILE_ABC123", "file_abc12", "file_abc1233"] {
        is_refused(&url.replace("file_abc123", other), Rejection::MacMismatch);
    }
    is_refused(
        &url.replace("org_123", "org_abc123"),
        Rejection::MacMismatch,
    );
    is_refused(
        &url.replace("org_123/files/file", "org_1/files/23file"),
        Rejection::MacMismatch,
    );
}

#[test]
fn kids_select_and_nothing_else() {
    let url = plain_url();
    let with_kid = |kid: &str| url.replace("token=a.", &format!("token={kid}."));
    is_refused(&with_kid("b"), Rejection::MacMismatch);
    is_refused(&with_kid("c"), Rejection::KidRetired);
    is_refused(&with_kid("A"), Rejection::KidUnknown);
    let long = "k".repeat(10_240);
    for kid in ["", "..", "a%2fb", "%2e%2e", "a-", "\u{e9}", &long, "a.a"] {
        is_refused(&with_kid(kid), Rejection::Malformed);
    }
    let verify_only = keyring();
    let kid = Kid::parse("b").unwrap();
    let secret = verify_only.key(&kid).unwrap().secret.as_ref().unwrap();
    let grant = grant("org_123", "file_abc123", NOW + 1, Claims::none());
    let key = OrganizationKey::derive(secret, &grant.organization, 0);
    assert_eq!(
        verify(&key.mint(&kid, &grant, 0).url("")).unwrap().kid(),
        &kid
    );
}

#[test]
fn keys_stay_inside_their_organization_and_their_secret() {
    let ours = grant("org_1", "f", NOW + 60, Claims::none());
    let theirs = Grant {
        organization: "org_2".parse().unwrap(),
        ..ours.clone()
    };
    let key = keyring().organization_key(&ours.organization, 0);
    let kid = Kid::parse("a").unwrap();
    assert!(verify(&key.mint(&kid, &ours, 0).url("")).is_ok());
    is_refused(&key.mint(&kid, &theirs, 0).url(""), Rejection::MacMismatch);
    let stranger = Secret::new((100..150).collect()).unwrap();
    let key = OrganizationKey::derive(&stranger, &ours.organization, 0);
    is_refused(&key.mint(&kid, &ours, 0).url(""), Rejection::MacMismatch);
    assert_eq!(format!("{key:?}"), "OrganizationKey(..)");
}

#[test]
fn claims_are_under_the_mac() {
    let url = with_claim(
        ClaimName::ContentDisposition,
        "inline; filename=\"a b+c.txt\"",
    );
    let verified = verify(&url).unwrap();
    assert_eq!(
        verified.claims().content_disposition(),
        Some("inline; filename=\"a b+c.txt\"")
    );
    assert!(
        url.contains("=inline%3B%20filename%3D%22a%20b%2Bc.txt%22&token="),
        "{url}"
    );
    for same in [
        url.replace("%20", "+"),
        url.replace("%2B", "%2b"),
        url.replace("%3D", "="),
    ] {
        assert!(verify(&same).is_ok(), "{same}");
    }
    for other in [
        url.replace("%2B", "+"),
        url.replace("inline", "attachment"),
        url.replace("inline", "Inline"),
        url.replace("response-content-disposition=", "response-content-type="),
        url.replace("response-content-disposition=", "x="),
        url.replace("&token=", "&response-content-type=a%2Fb&token="),
        url.replace("&token=", "&not-before=0&token="),
        url.replace("&token=", "&ip=192.0.2.1&token="),
        plain_url() + "&response-content-disposition=attachment",
    ] {
        is_refused(&other, Rejection::MacMismatch);
    }
    is_refused(&(plain_url() + "&ip="), Rejection::Malformed);
    is_refused(&(plain_url() + "&not-before"), Rejection::Malformed);
}

#[test]
fn not_before_has_the_leeway_that_is_configured() {
    let url = with_claim(ClaimName::NotBefore, &(NOW + 30).to_string());
    let revocations = Revocations::default();
    let with = |now, not_before_leeway| {
        let conditions = Conditions {
            now: seconds(now),
            not_before_leeway,
            ..conditions(&revocations)
        };
        keyring().verify(&attempt(&url), &conditions).map(|_| ())
    };
    assert_eq!(with(NOW + 29, 0), Err(Rejection::NotYetValid));
    assert_eq!(with(NOW + 30, 0), Ok(()));
    assert_eq!(with(NOW, 29), Err(Rejection::NotYetValid));
    assert_eq!(with(NOW, 30), Ok(()));
    assert_eq!(with(NOW + 3_600, 30), Err(Rejection::Expired));
}

#[test]
fn addresses_bind() {
    let url = with_claim(ClaimName::Ip, "192.0.2.0/24");
    let revocations = Revocations::default();
    let from = |client: Option<&str>| {
        let client = client.map(|ip| ip.parse().unwrap());
        let conditions = Conditions {
            client,
            ..conditions(&revocations)
        };
        keyring().verify(&attempt(&url), &conditions).map(|_| ())
    };
    assert_eq!(from(Some("192.0.2.9")), Ok(()));
    assert_eq!(from(Some("::ffff:192.0.2.9")), Ok(()));
    assert_eq!(from(Some("192.0.3.9")), Err(Rejection::IpMismatch));
    assert_eq!(from(None), Err(Rejection::IpMismatch));
}

#[test]
fn revocations_end_links_and_are_explained() {
    let url = plain_url();
    let link = verify(&url).unwrap();
    let FileAddress { organization, file } = link.file().to_address();
    let refused = |revocations: &Revocations| {
        let (attempt, conditions) = (attempt(&url), conditions(revocations));
        let keyring = keyring();
        (
            keyring.verify(&attempt, &conditions).unwrap_err(),
            keyring.explain(&attempt, &conditions).unwrap_err(),
        )
    };

    let mut denied = Revocations::default();
    denied.deny(&organization, [(link.link_id(), link.expires())]);
    assert_eq!(
        refused(&denied),
        (Rejection::LinkRevoked, Rejection::LinkRevoked)
    );

    let mut of_file = Revocations::default();
    of_file.set_revisions(&organization, [(file, 900)]);
    assert_eq!(
        refused(&of_file),
        (Rejection::MacMismatch, Rejection::FileRevoked)
    );

    let mut of_organization = Revocations::default();
    of_organization.raise_epoch(&organization, 20);
    assert_eq!(
        refused(&of_organization),
        (Rejection::MacMismatch, Rejection::OrganizationRevoked)
    );

    let mut long_ago = Revocations::default();
    long_ago.raise_epoch(&organization, 100_000);
    assert_eq!(
        refused(&long_ago),
        (Rejection::MacMismatch, Rejection::MacMismatch)
    );
}
