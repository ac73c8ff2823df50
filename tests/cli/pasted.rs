//! Links as people paste them, and what `verify` says of them.

use super::links::{BASE, now, verify};
use super::support::{Place, text, until};

/// A link with a name and a beginning, whose token has both characters that another alphabet spells otherwise,
/// and no capital at its end.
fn link_to_damage(place: &Place, file: &str) -> String {
    let start = (now() - 60).to_string();
    for end in now() + 1_000.. {
        let end = end.to_string();
        let times = ["--not-before", &start, "--expires-at", &end];
        let signed = place.sign(
            BASE,
            file,
            &[&times[..], &["--filename", "a b.txt"]].concat(),
        );
        let token = text(&signed, "token");
        let is_last = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if token.contains('-') && token.contains('_') && token.ends_with(is_last) {
            return text(&signed, "download_url");
        }
    }
    unreachable!("one of a few links is such a one")
}

/// Every byte percent-encoded that may be.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'-' | b'_' | b'.' | b'/' | b':' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// What a link looks like that was cut, broken or wrapped on its way; and the reason and clauses of its verdict.
fn cut_or_broken(good: &str) -> Vec<(String, &'static str)> {
    let broken = |at: usize, with: &str| format!("{}{with}{}", &good[..at], &good[at..]);
    let before = good.split_once("&token=").unwrap().0;
    let path = good.split_once('?').unwrap().0;
    let file = good.split_once("/download").unwrap().0;
    let escaped = good.replace('&', "&amp;").replacen('?', "?\n", 1);
    vec![
        (good.into(), "ok|the link opens now"),
        (before.into(), "malformed|cut off|`token=`"),
        (good[..good.len() - 9].into(), "malformed|cut off|34 of 43"),
        (path.into(), "malformed|cut off|nothing follows"),
        (file.into(), "malformed|its path is cut off|/download"),
        (
            format!("{good}."),
            "malformed|`.` stands behind its end|opens now",
        ),
        (
            format!("{good}%22%3E"),
            "malformed|`\\\">` stands behind|opens now",
        ),
        (
            format!("<{good}>"),
            "malformed|`<` stands before it|`>` stands|opens now",
        ),
        (
            format!(" {good}\n"),
            "malformed|a space stands before it|opens now",
        ),
        (
            broken(70, "\r\n"),
            "malformed|a line break stands in it, behind character 70|opens now",
        ),
        (
            broken(good.len() - 20, " "),
            "malformed|a space stands in it|opens now",
        ),
        (
            format!("<{escaped}>."),
            "malformed|`<`|`&amp;`|a line break|behind its end|opens now",
        ),
        (
            format!("{good}&expires=1"),
            "malformed|`expires=` is there twice",
        ),
        (
            "https://example.com/".into(),
            "malformed|is not that of a link",
        ),
    ]
}

/// The same of one that was spelled in another way.
fn respelled(good: &str) -> Vec<(String, &'static str)> {
    let (before, mac) = good.rsplit_once('.').unwrap();
    let other = mac.replace('-', "+").replace('_', "/");
    let small = mac.to_lowercase();
    let first = if mac.starts_with('A') { "B" } else { "A" };
    let quoted = good.replace('=', "=3D").replacen("=3D", "=3D=\r\n", 1);
    vec![
        (good.replace("%20", " "), "ok|the link opens now"),
        (
            good.replace('&', "&amp;"),
            "malformed|`&amp;` stands for `&`|opens now",
        ),
        (
            good.replace('&', "&amp;amp;"),
            "malformed|`&amp;` stands for `&`|opens now",
        ),
        (
            good.replace('&', "&#38;"),
            "malformed|`&#38;` stands for `&`|opens now",
        ),
        (
            good.replace('&', ";"),
            "malformed|`;` stands in it where `&` belongs",
        ),
        (quoted, "malformed|quoted-printable|opens now"),
        (encoded(good), "malformed|percent-encoded|opens now"),
        (
            format!("{before}.{other}"),
            "malformed|`+` and `/`|opens now",
        ),
        (format!("{good}="), "malformed|padding `=`|opens now"),
        (format!("{good}%3D"), "malformed|padding `=`|opens now"),
        (good.to_uppercase(), "malformed|capital"),
        (format!("{before}.{small}"), "mac_mismatch|small or capital"),
        (
            format!("{before}.{first}{}", &mac[1..]),
            "mac_mismatch|it was changed, or signed",
        ),
        (
            good.replace("expires=", "expires=x"),
            "malformed|`expires=x",
        ),
        (
            good.replace("expires=", "Expires="),
            "malformed|must be spelled `expires=`",
        ),
    ]
}

#[test]
fn verify_says_what_happened_to_a_link_on_its_way() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let good = link_to_damage(&place, &file);
    let (_, mac) = good.rsplit_once('.').unwrap();
    for (link, expected) in [cut_or_broken(&good), respelled(&good)].concat() {
        let (reason, clauses) = expected.split_once('|').unwrap();
        let (said, code) = verify(&place, &[&link]);
        assert_eq!(said["reason"], reason, "{link}: {said}");
        assert_eq!(code, Some(i32::from(reason != "ok")), "{link}");
        let detail = text(&said, "detail");
        for clause in clauses.split('|') {
            assert!(detail.contains(clause), "{link}: {detail}");
        }
        if detail.contains("opens now") {
            assert_eq!(said["link_id"], mac[..12], "{link}");
        }
        let printed = String::from_utf8(place.run(&["verify", &link]).stdout).unwrap();
        let line = format!("{reason}: {detail}\n");
        assert!(printed.starts_with(&line), "{printed}");
    }
}

#[test]
fn verify_says_how_long_ago_and_how_soon() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let link = |more: &[&str]| text(&place.sign(BASE, &file, more), "download_url");
    let soon = (now() + 90_000).to_string();
    let early = link(&["--not-before", &soon, "--expires-in", "2d"]);
    let far = link(&["--expires-in", "7d"]);
    place.file("short.toml", b"[links]\nlifetime_max = 7200\n");
    let late = link(&["--expires-in", "1"]);
    until("a link expiring", || {
        verify(&place, &[&late]).0["reason"] == "expired"
    });
    let cases: [(&[&str], [&str; 2]); 3] = [
        (&[&late], ["it expired ", " ago, at 20"]),
        (&[&early], ["it opens in 2", " hours, at 20"]),
        (
            &[&far, "--config", "short.toml"],
            ["it would live ", " days, and links.lifetime_max is 2 hours"],
        ),
    ];
    for (words, clauses) in cases {
        let detail = text(&verify(&place, words).0, "detail");
        for clause in clauses {
            assert!(detail.contains(clause), "{detail}");
        }
    }
}
