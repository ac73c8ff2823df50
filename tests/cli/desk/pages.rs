//! Directories and several paths: one address of a page.

use std::fs;

use serde_json::json;

use super::{Place, Serving, one_line_of_json, open, page_of, share, text, until};

fn page(sharing: &mut Serving) -> (String, String) {
    let url = sharing.line();
    let html = String::from_utf8(page_of(&url)).unwrap();
    (url, html)
}

fn small_place() -> Place {
    let place = Place::new();
    place.file("docs/a.txt", b"first");
    place.file("docs/sub/b.txt", &[b'x'; 1_500]);
    place.file("docs/.env", b"hidden");
    place
}

#[test]
fn a_directory_is_one_address_of_a_page_with_its_files() {
    let place = small_place();
    let mut sharing = share(&place, &["docs"]);
    let (url, html) = page(&mut sharing);
    assert!(url.contains("/s/"), "{url}");
    for part in ["<h1><bdi>docs<", "a.txt", "sub/b.txt", "1.5 kB", "5 bytes"] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(!html.contains(".env"), "{html}");
    assert_eq!(
        open(&format!("{url}/files/1/a.txt")),
        (200, b"first".to_vec())
    );
    let (_, _, errors) = sharing.stop("INT");
    assert!(
        errors.contains("1 name that begins with a dot was left out"),
        "{errors}"
    );
    assert!(!place.path("data").exists());
    let mut hidden = share(&place, &["docs", "--hidden", "--title", "Figures"]);
    let (_, html) = page(&mut hidden);
    assert!(
        html.contains(".env") && html.contains("<h1><bdi>Figures<"),
        "{html}"
    );
    hidden.stop("INT");
}

#[test]
fn json_says_what_is_on_the_page() {
    let place = small_place();
    place.file("c.txt", b"third");
    let mut sharing = share(&place, &["docs", "c.txt", "--json", "--max-downloads", "3"]);
    let said = one_line_of_json(&format!("{}\n", sharing.line()));
    let page = &said[0];
    assert_eq!(said.as_array().unwrap().len(), 1);
    for (field, value) in [
        ("title", json!("")),
        ("max_downloads", json!(3)),
        ("has_password", json!(false)),
        ("file_count", json!(3)),
        ("size_bytes", json!(1_510)),
        ("other_urls", json!([])),
    ] {
        assert_eq!(page[field], value, "{field}");
    }
    let html = String::from_utf8(page_of(&text(page, "share_url"))).unwrap();
    for part in ["docs/a.txt", "docs/sub/b.txt", "c.txt"] {
        assert!(html.contains(part), "{part}: {html}");
    }
    sharing.stop("INT");
}

#[test]
fn each_file_may_have_a_link_of_its_own() {
    let place = small_place();
    let mut sharing = share(&place, &["docs", "--each"]);
    for bytes in [&b"first"[..], &[b'x'; 1_500]] {
        assert_eq!(open(&sharing.line()), (200, bytes.to_vec()));
    }
    sharing.stop("INT");
}

#[test]
fn a_password_makes_a_page_that_asks_for_it() {
    let place = small_place();
    place.file("p", b"correct horse\n");
    crate::cli::support::set_mode(&place.path("p"), 0o600);
    let mut sharing = share(&place, &["docs/a.txt", "--password-file", "p"]);
    let (url, html) = page(&mut sharing);
    assert!(
        html.contains("type=\"password\"") && !html.contains("a.txt"),
        "{html}"
    );
    let start = |password: &str| {
        let mut curl = std::process::Command::new("curl");
        let form = format!("password={password}&start=1");
        curl.args(["-sS", "-L", "-d", &form, "-w", "\n%{http_code}"]);
        let output = curl.arg(format!("{url}/open")).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(start("correct+horse"), "first\n200");
    assert!(start("wrong").ends_with("\n401"));
    sharing.stop("INT");
    // Without a terminal nobody can be asked.
    let mut alone = std::process::Command::new("setsid");
    let command = place.command(&["share", "docs/a.txt", "--password"]);
    alone.arg(command.get_program()).args(command.get_args());
    alone.current_dir(place.path(""));
    let output = alone.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("needs a terminal"), "{errors}");
}

#[test]
fn a_page_may_count_its_downloads() {
    let place = Place::new();
    place.file("only/a.txt", b"first");
    let mut sharing = share(&place, &["only", "--once"]);
    let (url, html) = page(&mut sharing);
    assert!(html.contains("1 of 1"), "{html}");
    let start = || {
        let mut curl = std::process::Command::new("curl");
        curl.args(["-sS", "-L", "-d", "start=1", "-w", "\n%{http_code}"]);
        let output = curl.arg(format!("{url}/open")).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(start(), "first\n200");
    until("it being spent", || start().ends_with("\n410"));
    sharing.stop("INT");
}

#[test]
fn nothing_to_share_and_too_much_are_said() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).unwrap();
    let errors = place.bad(1, &["share", "--listen", "127.0.0.1:0", "empty"]);
    assert!(errors.contains("there is no file to share"), "{errors}");
    let many = place.path("many");
    fs::create_dir(&many).unwrap();
    for number in 0..=10_000 {
        fs::File::create(many.join(number.to_string())).unwrap();
    }
    let errors = place.bad(1, &["share", "--listen", "127.0.0.1:0", "many"]);
    assert!(errors.contains("more than 10000 files"), "{errors}");
    assert!(errors.contains("--each"), "{errors}");
    fs::remove_file(many.join("0")).unwrap();
    let mut sharing = share(&place, &["many", "--json"]);
    let said = one_line_of_json(&format!("{}\n", sharing.line()));
    assert_eq!(said[0]["file_count"], 10_000);
    sharing.stop("INT");
    assert!(place.temporary().is_empty());
}

/// Not every reader of archives takes a checksum that stands behind the bytes.
#[test]
fn all_of_a_page_is_one_zip_whose_checksums_are_taken_before_the_bytes() {
    let place = small_place();
    let mut sharing = share(&place, &["docs"]);
    let url = sharing.line();
    let fetched = |name: &str| {
        let mut curl = std::process::Command::new("curl");
        curl.args(["-sS", "-L", "-d", "start=1", "-D", "-", "-o"]);
        let output = curl
            .arg(place.path(name))
            .arg(format!("{url}/open"))
            .output();
        let heads = String::from_utf8(output.unwrap().stdout).unwrap();
        (heads.to_lowercase(), fs::read(place.path(name)).unwrap())
    };
    let (heads, first) = fetched("first.zip");
    assert!(heads.contains("content-type: application/zip"), "{heads}");
    assert!(!heads.contains("\r\netag: \"zip1-"), "{heads}");
    assert_eq!(first[6] & 8, 0, "no checksum follows");
    let mut unzip = std::process::Command::new("unzip");
    let tested = unzip
        .arg("-t")
        .arg(place.path("first.zip"))
        .output()
        .unwrap();
    assert!(tested.status.success(), "{tested:?}");
    // They are remembered: the next one can be resumed.
    let (heads, second) = fetched("second.zip");
    assert!(heads.contains("\r\netag: \"zip1-"), "{heads}");
    assert!(first == second);
    sharing.stop("INT");
}
