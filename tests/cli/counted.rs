//! Counted links and tickets: `sign`, `verify` and `revoke`.

use hallpass::sign::url::{self, SignedUrl};

use super::links::{BASE, verify};
use super::support::{Place, call, open, text, until};

#[track_caller]
fn is_counted(url: &str) {
    assert!(
        matches!(url::parse(url), Some(SignedUrl::Counted(_))),
        "{url}"
    );
}

#[test]
fn sign_makes_counted_links_that_verify_tells_from_others() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let sign = |more: &[&str]| text(&place.sign(BASE, &file, more), "download_url");
    let once = sign(&["--max-downloads", "1"]);
    is_counted(&once);
    assert!(once.contains("/redeem?expires="), "{once}");
    assert!(once.contains("&max-downloads=1&nonce="), "{once}");
    assert!(
        !once.contains("a.txt") && !once.contains("redeem="),
        "{once}"
    );
    assert_ne!(once, sign(&["--max-downloads", "1"]));
    let by_get = sign(&["--max-downloads", "1000000", "--redeem", "get"]);
    assert!(by_get.contains("&redeem=get&token="), "{by_get}");

    let (said, code) = verify(&place, &[&once]);
    assert_eq!((said["reason"].as_str(), code), (Some("ok"), Some(0)));
    assert_eq!(said["max_downloads"], 1);
    assert_eq!(said["file_id"], file.as_str());
    let (said, _) = verify(&place, &[&by_get]);
    assert_eq!(said["max_downloads"], 1_000_000);
    assert_eq!(
        (&said["downloads_done"], &said["downloads_open"]),
        (&0.into(), &0.into())
    );
    let (said, _) = verify(&place, &[&sign(&[])]);
    assert!(said.get("max_downloads").is_none(), "{said}");
    assert!(said.get("downloads_done").is_none(), "{said}");

    for (changed, reason) in [
        (
            once.replace("max-downloads=1&", "max-downloads=2&"),
            "mac_mismatch",
        ),
        (once.replace("&max-downloads=1", ""), "mac_mismatch"),
        (
            once.replace("&nonce=", "&max-downloads=1&nonce="),
            "malformed",
        ),
        (once.replace("/redeem?", "/download?"), "mac_mismatch"),
        (
            sign(&[]).replace("/download/a.txt?", "/redeem?"),
            "mac_mismatch",
        ),
    ] {
        let (said, code) = verify(&place, &[&changed]);
        assert_eq!(said["reason"], reason, "{changed}");
        assert_eq!(code, Some(1));
    }
    let twice = once.replace("&nonce=", "&max-downloads=1&nonce=");
    let detail = text(&verify(&place, &[&twice]).0, "detail");
    assert_eq!(detail, "`max-downloads=` is there twice");
    let of_mail = once.replace('&', "&amp;");
    let detail = text(&verify(&place, &[&of_mail]).0, "detail");
    assert!(
        detail.contains("Without that the link is good now"),
        "{detail}"
    );

    for wrong in [
        &["--max-downloads", "0"][..],
        &["--max-downloads", "01"],
        &["--max-downloads", "1e3"],
        &["--max-downloads", "1000001"],
        &["--max-downloads", "1", "--max-downloads", "1"],
        &["--max-downloads", "1", "--redeem", "GET"],
        &["--redeem", "get"],
    ] {
        place.bad(2, &[&["sign", "--file", &file], wrong].concat());
    }
}

#[test]
fn share_prints_links_that_are_counted() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    let words = [
        "share",
        "--keep",
        "a.txt",
        "--listen",
        "127.0.0.1:0",
        "--max-downloads",
        "1",
    ];
    let mut share = place.start(&words);
    let link = share.line();
    is_counted(&link);
    let spent = || {
        let (said, _) = verify(&place, &[&link]);
        (
            said["downloads_done"].clone(),
            said["downloads_open"].clone(),
        )
    };
    assert_eq!(spent(), (0.into(), 0.into()));
    let (status, started) = call("POST", &link, "nobody", "");
    assert_eq!((status, &started["downloads_left"]), (303, &0.into()));
    assert_eq!(spent(), (0.into(), 1.into()));
    let ticket = text(&started, "download_url");
    assert_eq!(open(&ticket), (200, b"bytes".to_vec()));
    until("the download is counted", || {
        spent() == (1.into(), 0.into())
    });
    assert_eq!(call("POST", &link, "nobody", "").0, 410);
    let said = place.json(&["verify", &link]);
    assert_eq!(said["downloads_done"], 1);
    let lines = place.good(&["verify", &link]);
    assert!(
        lines.contains("\ndownloads_done: 1\ndownloads_open: 0\n"),
        "{lines}"
    );
    place.bad(2, &["share", "a.txt", "--max-downloads", "0"]);
    share.stop("INT");
}

/// A link that has no counts of its own, as its organization has as many as it may, is not said to have been used never.
#[test]
fn verify_does_not_say_of_a_link_without_counts_that_it_was_never_used() {
    let place = Place::with(&[("HALLPASS_LIMITS_ORGANIZATION_LINK_COUNTS", "1")]);
    let file = place.add("a.txt", b"bytes");
    let mut server = place.serve();
    server.url();
    let sign = |lifetime: &str| {
        let words = ["sign", "--file", &file, "--expires-in", lifetime];
        place.good(&words).trim().to_owned()
    };
    let [first, second] = ["1h", "2h"].map(sign);
    let downloads = |link: &str| place.json(&["verify", link])["downloads"].clone();
    assert_eq!(
        (downloads(&first), downloads(&second)),
        (0.into(), 0.into())
    );
    assert_eq!(open(&first), (200, b"bytes".to_vec()));
    until("the first one is counted", || downloads(&first) == 1);
    assert_eq!(open(&second), (200, b"bytes".to_vec()));
    until("the second one is counted for its file", || {
        place.json(&["show", &file])["downloads"] == 2
    });
    let said = place.json(&["verify", &second]);
    assert_eq!(
        (&said["valid"], &said["downloads"]),
        (&true.into(), &().into())
    );
    let detail = text(&said, "detail");
    assert!(
        detail.contains("limits.organization_link_counts"),
        "{detail}"
    );
    assert_eq!(downloads(&first), 1);
    server.stop("INT");
}

#[test]
fn a_tenant_signs_them_with_its_key_alone() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let derived = place.json(&["key", "derive", "--organization", "org_default"]);
    place.file("key", text(&derived, "organization_key").as_bytes());
    let kid = text(&derived, "kid");
    let signed = place.json(&[
        "sign",
        "--organization-key",
        "key",
        "--kid",
        &kid,
        "--public-base-url",
        BASE,
        "--file",
        &file,
        "--max-downloads",
        "5",
        "--redeem",
        "get",
        "--filename",
        "b.txt",
    ]);
    let url = text(&signed, "download_url");
    is_counted(&url);
    let (said, code) = verify(&place, &[&url]);
    assert_eq!((said["max_downloads"].as_u64(), code), (Some(5), Some(0)));
    assert_eq!(said["link_id"], signed["link_id"]);
}

#[test]
fn revocations_end_them() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let sign = || {
        text(
            &place.sign(BASE, &file, &["--max-downloads", "1"]),
            "download_url",
        )
    };
    let reason = |url: &str| text(&verify(&place, &[url]).0, "reason");
    let (one, other) = (sign(), sign());
    place.good(&["revoke", &one]);
    assert_eq!(
        (reason(&one), reason(&other)),
        ("link_revoked".into(), "ok".into())
    );
    place.good(&["revoke", "--file", &file]);
    assert_eq!(reason(&other), "file_revoked");
    let fresh = sign();
    assert_eq!(reason(&fresh), "ok");
    place.good(&["revoke", "--organization", "org_default"]);
    assert_eq!(reason(&fresh), "organization_revoked");
}

/// Nothing makes a ticket here; what is none is told as such.
#[test]
fn a_ticket_is_told_by_its_path() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let token = text(&place.sign(BASE, &file, &[]), "token");
    let (kid, mac) = token.split_once('.').unwrap();
    let rid = "7hGf3KpQ9sTz0aBcDeFgHi";
    let ticket = |text: &str| format!("{BASE}/v1/organizations/org_default/tickets/{text}/a.txt");
    let forged = ticket(&format!("{kid}.99999999999.{rid}.{mac}"));
    let (said, code) = verify(&place, &[&forged]);
    assert_eq!(
        (said["reason"].as_str(), code),
        (Some("mac_mismatch"), Some(1))
    );
    assert_eq!(said["organization_id"], "org_default");
    assert_eq!(said["kid"], kid);
    assert_eq!(said["expires"], 99_999_999_999_u64);
    let (said, _) = verify(&place, &[&ticket("nonsense")]);
    assert_eq!(said["reason"], "malformed");
    let detail = text(&said, "detail");
    assert_eq!(detail, "its ticket is none: a ticket is kid.expires.id.mac");
}
