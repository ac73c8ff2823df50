//! The page as it is written.

use super::*;

const NOW: u64 = 1_779_118_492;

fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds::new(seconds).unwrap()
}

fn file<'a>(position: u64, name: &'a str, media_type: &'static str) -> FileOnPage<'a> {
    FileOnPage {
        position,
        name,
        state: EntryState::Ready {
            size: 1_000,
            media_type,
            is_passive: media_type.starts_with("image/"),
        },
    }
}

fn view(files: Vec<FileOnPage<'_>>, access: Access) -> PageView<'_> {
    PageView {
        path: "/s/c",
        title: None,
        note: None,
        zip: (files.len() > 1).then_some(2_000),
        files,
        access,
        expires: Some(at(NOW + 3_700)),
        has_previews: true,
        is_named_to_previews: false,
    }
}

fn written(view: &PageView<'_>) -> String {
    files(view, 0, at(NOW))
}

#[test]
fn names_are_text_whatever_they_are_and_one_segment_of_a_path() {
    let name = "</h1><script>alert('1')</script>&\"{{ 7 * 7 }}/é?#.png";
    let html = written(&view(vec![file(7, name, "image/png")], Access::Links));
    assert!(!html.contains("<script"), "{html}");
    let path = "/s/c/files/7/%3C%2Fh1%3E%3Cscript%3Ealert%28%271%27%29%3C%2Fscript%3E%26%22%7B%7B%207%20%2A%207\
                %20%7D%7D%2F%C3%A9%3F%23.png";
    assert!(html.contains(&format!("href=\"{path}\"")), "{html}");
    assert!(html.contains(&format!("<img src=\"{path}\"")), "{html}");
    let head = html.split_once("</head>").unwrap().0;
    assert!(!head.contains("alert"), "previews do not name the file");
}

#[test]
fn how_files_are_had_depends_on_the_share() {
    let all = || {
        vec![
            file(1, "a.png", "image/png"),
            file(2, "b.txt", "text/plain"),
        ]
    };
    let html = written(&view(all(), Access::Links));
    assert_eq!(html.matches("<a class=\"button\"").count(), 2, "{html}");
    assert_eq!(html.matches("<form").count(), 1, "all as zip: {html}");
    assert!(html.contains("Download all as zip, 2 kB"), "{html}");
    assert!(html.contains("alt=\"Preview of a.png\"") && !html.contains("Preview of b.txt"));
    let html = written(&view(all(), Access::Starts));
    assert_eq!(html.matches("<form").count(), 3, "{html}");
    assert!(html.contains("name=\"n\" value=\"2\""), "{html}");
    assert!(
        !html.contains("/files/") && !html.contains("Preview"),
        "{html}"
    );
    let counted = Access::Counted {
        left: 1,
        allowed: 3,
    };
    let html = written(&view(all(), counted));
    assert_eq!(html.matches("<form").count(), 1, "{html}");
    assert!(html.contains("1 of 3") && !html.contains("/files/") && !html.contains("Preview"));
}

#[test]
fn a_share_without_files_has_nothing_to_press() {
    let gone = FileOnPage {
        position: 1,
        name: "a",
        state: EntryState::Gone,
    };
    for access in [Access::Links, Access::Starts] {
        let html = written(&view(vec![gone.clone()], access));
        assert!(
            html.contains("There is no file in this share any more."),
            "{html}"
        );
        assert!(!html.contains("<button") && !html.contains("<a "), "{html}");
    }
}

#[test]
fn only_so_many_previews_are_on_a_page() {
    let many = (0..100).map(|number| file(number, "a.png", "image/png"));
    let html = written(&view(many.collect(), Access::Links));
    assert_eq!(html.matches("alt=\"Preview").count(), PREVIEWS_MAX);
    let mut without = view(vec![file(1, "a.png", "image/png")], Access::Links);
    without.has_previews = false;
    assert!(!written(&without).contains("Preview"));
}

#[test]
fn waits_are_said_in_minutes() {
    for (seconds, text) in [
        (900, "free again in 15 minutes."),
        (1, "free again in 1 minute."),
        (0, "free again now."),
    ] {
        let html = busy("/s/c", Duration::from_secs(seconds), "t");
        assert!(html.contains(text), "{seconds}: {html}");
        assert!(html.contains("<a href=\"/s/c\">Try again</a>"), "{html}");
    }
}
