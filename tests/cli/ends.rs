//! Files that `add` gives an end.

use super::support::{Place, text, until};

#[test]
fn an_end_is_told_and_then_the_file_and_its_links_are_deleted() {
    let place = Place::new();
    place.file("a.txt", b"a");
    place.file("b.txt", b"b");
    let added = place.json(&["add", "--delete-after", "30d", "a.txt"]);
    let id = text(&added[0], "file_id");
    let of = |name| text(&added[0], name).parse::<jiff::Timestamp>().unwrap();
    let lives = of("expires_at").as_second() - of("updated_at").as_second();
    assert_eq!(lives, 30 * 86_400);
    let end = text(&added[0], "expires_at");
    let listed = place.good(&["ls"]);
    assert!(
        listed.ends_with(&format!("  a.txt  until {end}\n")),
        "{listed}"
    );
    let shown = place.good(&["show", &id]);
    assert!(shown.contains(&format!("\nexpires_at: {end}\n")), "{shown}");
    let plain = place.json(&["add", "b.txt"]);
    assert_eq!(plain[0].get("expires_at"), None);
    let brief = place.json(&["add", "--delete-after", "1s", "b.txt"]);
    let brief = text(&brief[0], "file_id");
    let link = place.sign("http://localhost", &brief, &[]);
    let link = text(&link, "download_url");
    until("it ends", || {
        place.json(&["ls"]).as_array().unwrap().len() == 2
    });
    assert_eq!(text(&place.json(&["show", &brief]), "status"), "deleted");
    let output = place.run(&["verify", &link]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("its file was deleted"), "{said}");
}

#[test]
fn a_file_that_was_never_there_is_a_slip() {
    let place = Place::new();
    place.file("a.txt", b"a");
    for (end, why) in [
        ("0", "must be 1 to 3153600000 seconds"),
        ("36501d", "must be 1 to 3153600000 seconds"),
        ("soon", "must be a number of seconds"),
        ("-1", "unexpected argument"),
    ] {
        let said = place.bad(2, &["add", "--delete-after", end, "a.txt"]);
        assert!(said.contains(why), "{end}: {said}");
    }
    assert!(!place.path("data").exists(), "nothing was set up");
}
