//! `revoke`, and that what was revoked stays dead: beside running gateways, after a crash, for `verify`.

use serde_json::{Value, json};

use super::support::{Place, Serving, call, one_line_of_json, status, text, until};

/// The first gateway of a place, where it is, and its API key, which may do everything.
fn serve(place: &Place) -> (Serving, String, String) {
    let mut serving = place.serve();
    let base = serving.url();
    let key = serving.first_api_key();
    (serving, base, key)
}

fn link_of(place: &Place, base: &str, file: &str, more: &[&str]) -> (String, String) {
    let signed = place.sign(base, file, more);
    (text(&signed, "download_url"), text(&signed, "link_id"))
}

fn reason(place: &Place, link: &str) -> String {
    let output = place.run(&["verify", "--json", link]);
    let printed = String::from_utf8(output.stdout).unwrap();
    text(&one_line_of_json(&printed), "reason")
}

#[test]
fn what_was_revoked_is_refused_when_the_command_returns_and_verify_says_why() {
    let place = Place::new();
    let (mut serving, base, _) = serve(&place);
    let file = place.add("a.txt", b"bytes");
    let mut other = place.serve();
    let other_base = other.url();
    let both = |link: &str| [status(link), status(&link.replace(&base, &other_base))];

    let (link, id) = link_of(&place, &base, &file, &[]);
    let (by_id, its_id) = link_of(&place, &base, &file, &["--expires-in", "2h"]);
    let (by_file, _) = link_of(&place, &base, &file, &["--expires-in", "3h"]);
    assert_eq!([both(&link), both(&by_id), both(&by_file)], [[200, 200]; 3]);

    let said = place.json(&["revoke", &link]);
    assert_eq!(both(&link), [401, 401]);
    assert_eq!(said["link_id"], id.as_str());
    assert_eq!(said["organization_id"], "org_default");
    assert!(
        link.contains(&format!("expires={}&", said["expires"])),
        "{said}"
    );
    assert_eq!(place.json(&["revoke", &link, "--no-wait"]), said, "twice");
    assert_eq!(reason(&place, &link), "link_revoked");

    let said = place.good(&["revoke", "--link-id", &its_id]);
    assert_eq!(said, format!("org_default  link {its_id}  revoked\n"));
    assert_eq!(both(&by_id), [401, 401]);
    assert_eq!(both(&by_file), [200, 200]);

    let said = place.json(&["revoke", "--file", &file]);
    assert_eq!(
        said,
        json!({"organization_id": "org_default", "file_id": file, "link_revision": 1})
    );
    assert_eq!(both(&by_file), [401, 401]);
    assert_eq!(reason(&place, &by_file), "file_revoked");
    assert_eq!(place.json(&["show", &file])["link_revision"], 1);

    let (of_all, _) = link_of(&place, &base, &file, &[]);
    assert_eq!(both(&of_all), [200, 200]);
    let said = place.json(&["revoke", "--organization", "org_default"]);
    assert_eq!(
        said,
        json!({"organization_id": "org_default", "organization_epoch": 1})
    );
    assert_eq!(both(&of_all), [401, 401]);
    for link in [&of_all, &by_file, &link] {
        assert_eq!(reason(&place, link), "organization_revoked");
    }
    assert_eq!(both(&link_of(&place, &base, &file, &[]).0), [200, 200]);
    assert!(serving.is_running() && other.is_running());
    for (_, _, log) in [serving.stop("TERM"), other.stop("TERM")] {
        assert!(!log.contains("token="), "{log}");
    }
}

#[test]
fn what_a_call_revoked_is_dead_on_another_gateway_within_a_second() {
    let place = Place::new();
    let (_one, base, key) = serve(&place);
    let mut two = place.serve();
    let other = two.url();
    let file = place.add("a.txt", b"bytes");
    let organization = format!("{base}/v1/organizations/org_default");
    let calls: [(&str, String, bool); 3] = [
        ("a link", format!("{organization}/links/revoke"), true),
        (
            "a file's links",
            format!("{organization}/files/{file}/revoke"),
            false,
        ),
        (
            "an organization's links",
            format!("{organization}/revoke"),
            false,
        ),
    ];
    for (what, target, names_it) in calls {
        let (here, _) = link_of(&place, &base, &file, &[]);
        let there = here.replace(&base, &other);
        assert_eq!([status(&here), status(&there)], [200, 200], "{what}");
        let body = if names_it {
            json!({ "download_url": there }).to_string()
        } else {
            String::new()
        };
        assert_eq!(call("POST", &target, &key, &body).0, 200, "{what}");
        assert_eq!(status(&here), 401, "{what}: the next request here");
        let refused = || status(&there) == 401;
        until(&format!("another gateway refusing {what}"), refused);
    }
}

#[test]
fn what_was_revoked_stays_dead_when_the_gateway_is_killed_at_once() {
    let place = Place::new();
    let (mut serving, mut base, key) = serve(&place);
    let file = place.add("a.txt", b"bytes");
    let other = place.add("b.txt", b"others");
    for level in ["link", "file", "organization"] {
        let (link, _) = link_of(&place, &base, &file, &[]);
        let (living, _) = link_of(&place, &base, &other, &[]);
        assert_eq!([status(&link), status(&living)], [200, 200], "{level}");
        let organization = format!("{base}/v1/organizations/org_default");
        let (target, body) = match level {
            "link" => (
                format!("{organization}/links/revoke"),
                json!({ "download_url": link }).to_string(),
            ),
            "file" => (format!("{organization}/files/{file}/revoke"), "{}".into()),
            _ => (format!("{organization}/revoke"), String::new()),
        };
        assert_eq!(call("POST", &target, &key, &body).0, 200, "{level}");
        serving.stop("KILL");
        let before = base;
        serving = place.serve();
        base = serving.url();
        let again = |link: &str| status(&link.replace(&before, &base));
        assert_eq!(again(&link), 401, "{level}: the first request");
        let lives = if level == "organization" { 401 } else { 200 };
        assert_eq!(again(&living), lives, "{level}");
    }
}

/// Killed before, in and after its commit: what is in the catalogue then holds for a gateway that runs beside within a
/// second, and for the next one from its first request on.
#[test]
fn a_process_that_dies_in_the_midst_of_a_revocation_leaves_it_done_or_not_done() {
    let place = Place::new();
    let (_serving, base, _) = serve(&place);
    let file = place.add("a.txt", b"bytes");
    let (mut died, mut done) = (0, 0);
    let moments = [
        ("fdatasync", 1..=4),
        ("pwrite64", 1..=8),
        ("pread64", 9..=16),
    ];
    let moments = moments
        .into_iter()
        .flat_map(|(call, of)| of.map(move |n| (call, n)));
    for (round, (call, n)) in moments.enumerate() {
        let lifetime = format!("{}m", 60 + round);
        let (link, _) = link_of(&place, &base, &file, &["--expires-in", &lifetime]);
        assert_eq!(status(&link), 200);
        let inject = format!("inject={call}:signal=SIGKILL:when={n}");
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &inject];
        let output = place.run_under(&strace, &["revoke", "--no-wait", &link]);
        died += u32::from(!output.status.success());
        // Reads the catalogue, and nothing that a gateway holds.
        let is_done = reason(&place, &link) == "link_revoked";
        assert!(is_done || !output.status.success(), "what was said is done");
        done += u32::from(is_done && !output.status.success());
        if is_done {
            until("the gateway beside refuses", || status(&link) == 401);
        }
        assert_eq!(status(&link), if is_done { 401 } else { 200 });
    }
    println!("{died} of 20 died, {done} of them after their commit");
    assert!(died > 0, "no call was ever reached");
}

#[test]
fn several_links_are_revoked_at_once_and_those_that_are_none_are_named_by_their_place() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let base = "http://127.0.0.1:1";
    let (one, id) = link_of(&place, base, &file, &[]);
    let (two, _) = link_of(&place, base, &file, &["--expires-in", "2h"]);
    let forged = two.replace("token=", "token=x");
    let output = place.run(&["revoke", "--json", "--no-wait", &one, &forged, &two]);
    assert_eq!(output.status.code(), Some(1));
    let said = one_line_of_json(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(said.as_array().map(Vec::len), Some(2), "{said}");
    assert_eq!(said[0]["link_id"], id.as_str());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("link 2: "), "{errors}");
    assert!(!errors.contains("token"), "{errors}");
    let reasons = [&one, &two, &forged].map(|link| reason(&place, link));
    assert_eq!(reasons, ["link_revoked", "link_revoked", "kid_unknown"]);
}

#[test]
fn what_cannot_be_revoked_is_said() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let (link, id) = link_of(&place, "http://127.0.0.1:1", &file, &[]);
    for words in [
        &["revoke"][..],
        &["revoke", "--no-wait"],
        &["revoke", &link, "--file", &file],
        &["revoke", &link, "--organization", "org_default"],
        &["revoke", "--file", &file, "--link-id", &id],
        &["revoke", "--link-id", "short"],
        &["revoke", "--link-id", &link],
        &["revoke", "--file", "a/b"],
    ] {
        place.bad(2, words);
    }
    let errors = place.bad(1, &["revoke", &link.replace("org_default", "org_other")]);
    assert!(errors.contains("`hallpass verify` says why"), "{errors}");
    assert!(!errors.contains("token"), "{errors}");
    let errors = place.bad(1, &["revoke", "--file", "file_missing"]);
    assert!(errors.contains("has no file file_missing"), "{errors}");
    for words in [&["--link-id", id.as_str()][..], &["--file", &file], &[]] {
        let words = [&["revoke", "--organization", "org_missing"][..], words].concat();
        let errors = place.bad(1, &words);
        assert!(
            errors.contains("organization create --id org_missing"),
            "{errors}"
        );
    }
    assert_eq!(reason(&place, &link), "ok", "and nothing was revoked");

    let all: Value = place.json(&["revoke", "--link-id", "-starts_with", "--no-wait"]);
    assert_eq!(all["link_id"], "-starts_with");
    place.good(&["key", "rotate"]);
    let kids = place.json(&["key", "list"]);
    place.good(&["key", "retire", &text(&kids[0], "kid")]);
    place.bad(1, &["revoke", &link]);
}

#[test]
fn the_operator_has_room_that_no_key_can_fill() {
    let place = Place::new();
    let limits =
        b"[links]\ndenied_max = 1\ndenied_ids_max = 1\nrevisions_max = 1\nrevoke_reserve = 1\n";
    place.file("one.toml", limits);
    let revoke = ["revoke", "--no-wait", "--config", "one.toml"];
    let by_id = |id: &'static str| [&revoke[..], &["--link-id", id]].concat();
    let file = place.add("a.txt", b"bytes");
    place.good(&by_id("made-up-id_1"));
    place.good(&by_id("made-up-id_2"));
    let errors = place.bad(1, &by_id("made-up-id_3"));
    assert!(errors.contains("send the whole link"), "{errors}");
    assert!(errors.contains("links.denied_ids_max"), "{errors}");

    let link = |lifetime: &str| {
        let signed = place.json(&["sign", "--file", &file, "--expires-in", lifetime]);
        text(&signed, "download_url")
    };
    let [one, two, three] = ["1h", "2h", "3h"].map(link);
    for link in [&one, &two] {
        let said = place.good(&[&revoke[..], &[link.as_str()]].concat());
        assert!(said.ends_with("  revoked\n"), "{said}");
    }
    let said = place.good(&[&revoke[..], &[three.as_str()]].concat());
    let wanted =
        format!("  {file}  all links revoked, now at link_revision 1 (widened to the file: ");
    assert!(said.contains(&wanted), "{said}");
    assert_eq!(reason(&place, &three), "file_revoked");
}

#[test]
fn a_file_too_many_ends_all_links_of_the_organization() {
    let place = Place::new();
    place.file(
        "one.toml",
        b"[links]\nrevisions_max = 1\nrevoke_reserve = 0\n",
    );
    let [one, two] = ["a.txt", "b.txt"].map(|name| place.add(name, b"bytes"));
    let revoke = ["revoke", "--no-wait", "--config", "one.toml"];
    let of = |file: &str| [&revoke[..], &["--file", file]].concat().join(" ");
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    place.good(&words(&of(&one)));
    let said = place.good(&words(&of(&two)));
    let wanted = format!(
        "org_default  {two}  all links revoked, now at organization_epoch 1 (widened to the organization: "
    );
    assert!(said.starts_with(&wanted), "{said}");
    let said: Value = place.json(&[&revoke[..], &["--file", &two]].concat());
    assert_eq!(said["link_revision"], 1, "that made room");
}
