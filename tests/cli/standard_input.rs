//! Links on standard input, where neither a shell's history nor the list of processes shows them.

use super::links::verify;
use super::support::{Place, one_line_of_json, said, text};

fn links(place: &Place, names: &[&str]) -> Vec<String> {
    let link = |name: &&str| {
        let file = place.add(name, b"bytes");
        text(&place.sign("http://a", &file, &[]), "download_url")
    };
    names.iter().map(link).collect()
}

#[test]
fn verify_reads_a_link_as_a_mail_has_it() {
    let place = Place::new();
    let link = links(&place, &["a.txt"]).remove(0);
    for (input, valid, detail) in [
        (link.clone(), true, "the link opens now"),
        (format!("{link}\r\n"), true, "the link opens now"),
        (
            link.replace("token=", "token=3D=\r\n"),
            false,
            "Without that the link opens now",
        ),
        (link.replace("token=", "token=A"), false, "no signing key"),
    ] {
        let output = place.run_with_input(&["verify", "--json", "-"], input.as_bytes());
        let printed = one_line_of_json(&String::from_utf8(output.stdout.clone()).unwrap());
        assert_eq!(printed["valid"], valid, "{input}");
        assert!(text(&printed, "detail").contains(detail), "{printed}");
        assert_eq!(output.status.success(), valid, "{}", said(&output));
    }
}

#[test]
fn revoke_reads_many_links_and_names_the_line_of_one_that_is_none() {
    let place = Place::new();
    let links = links(&place, &["a.txt", "b.txt", "c.txt"]);
    let input = format!("{}\n\n  {}\r\nhttp://a/none\n", links[0], links[1]);
    let words = ["revoke", "--no-wait", "-"];
    let output = place.run_with_input(&words, input.as_bytes());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("link 3: it opens nothing already"),
        "{errors}"
    );
    assert_eq!(output.status.code(), Some(1));
    for (link, reason) in links.iter().zip(["link_revoked", "link_revoked", "ok"]) {
        let (said, _) = verify(&place, &[link]);
        assert_eq!(said["reason"], reason, "{said}");
    }
}

#[test]
fn standard_input_without_a_link_is_refused_by_its_reason() {
    let place = Place::new();
    let link = links(&place, &["a.txt"]).remove(0);
    for command in ["verify", "revoke"] {
        for (input, part) in [
            (&b""[..], "standard input has no link"),
            (b" \n\r\n", "standard input has no link"),
            (b"http://a/\xff", "it is no UTF-8"),
            (&vec![b'a'; (4 << 20) + 1], "the text is longer than"),
        ] {
            let output = place.run_with_input(&[command, "-"], input);
            assert_eq!(output.status.code(), Some(2), "{}", said(&output));
            let errors = String::from_utf8(output.stderr).unwrap();
            assert!(errors.contains(part), "{command}: {errors}");
        }
    }
    let output = place.run_with_input(&["revoke", "-", &link], link.as_bytes());
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert_eq!(verify(&place, &[&link]).1, Some(0));
}
