//! The page as it is written.

use super::*;
use crate::web::branding::{Branding, Logo, PageLink};
use crate::web::texts::Language;

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
            is_in_place: false,
            is_checksum_pending: false,
            expires: None,
        },
    }
}

fn view(files: Vec<FileOnPage<'_>>, access: Access) -> PageView<'_> {
    PageView {
        path: "/s/c",
        title: None,
        note: None,
        zip: match files.len() {
            0 | 1 => OfferedArchive::None,
            _ => OfferedArchive::Bytes(2_000),
        },
        files,
        access,
        expires: Some(at(NOW + 3_700)),
        has_previews: true,
        is_named_to_previews: false,
    }
}

/// Pages in this language, without anything of an operator's.
fn context(language: Language) -> PageContext<'static> {
    static PLAIN: Branding = Branding {
        title: None,
        logo: None,
        link: None,
    };
    PageContext::new(language, &PLAIN)
}

const ENGLISH: Language = Language::English;

fn written(view: &PageView<'_>) -> String {
    files(context(ENGLISH), view, 0, at(NOW))
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
        let html = busy(context(ENGLISH), "/s/c", Duration::from_secs(seconds), "t");
        assert!(html.contains(text), "{seconds}: {html}");
        assert!(html.contains("<a href=\"/s/c\">Try again</a>"), "{html}");
    }
}

/// A view with every text of the page of files.
fn whole() -> PageView<'static> {
    let (mut pending, mut deleted) = (file(1, "a.png", "image/png"), file(2, "b", "text/plain"));
    let EntryState::Ready {
        is_in_place,
        is_checksum_pending,
        expires,
        ..
    } = &mut pending.state
    else {
        panic!("it is ready")
    };
    (*is_in_place, *is_checksum_pending, *expires) = (true, true, Some(at(NOW + 60)));
    deleted.state = EntryState::Gone;
    let mut damaged = deleted.clone();
    damaged.state = EntryState::Damaged;
    let plain = file(4, "c", "text/plain");
    view(vec![pending, deleted, damaged, plain], Access::Links)
}

#[test]
fn what_is_deleted_damaged_in_place_ends_or_lacks_a_checksum_is_said_so() {
    for language in Language::ALL {
        let texts = language.texts();
        let html = files(context(language), &whole(), 0, at(NOW));
        let end = fill(texts.file_expires, &[people::time(texts, at(NOW + 60))]);
        assert!(html.contains(&format!("<small>{end}</small>")), "{html}");
        for text in [
            texts.gone,
            texts.damaged,
            texts.in_place,
            texts.checksums_pending,
        ] {
            assert_eq!(html.matches(text).count(), 1, "{text}: {html}");
        }
    }
    // Of all of them it is said once, above the list.
    let mut all = whole();
    all.files.truncate(3);
    let html = written(&all);
    let texts = ENGLISH.texts();
    assert_eq!(html.matches(texts.all_in_place).count(), 1, "{html}");
    assert!(!html.contains(texts.in_place), "{html}");
    // What is later than the end of the share need not be said.
    let mut late = whole();
    late.expires = Some(at(NOW + 60));
    assert!(!written(&late).contains("Here until"));
    late.expires = None;
    assert!(written(&late).contains("Here until 18 May 2026, 15:35 UTC"));
    // A share without a zip has no checksum to wait for.
    let mut without = whole();
    without.zip = OfferedArchive::None;
    let html = written(&without);
    assert!(!html.contains(ENGLISH.texts().checksums_pending), "{html}");
    let html = written(&view(vec![file(1, "a", "text/plain")], Access::Links));
    assert!(!html.contains(texts.in_place) && !html.contains(texts.all_in_place));
}

/// Names that are too long for a zip leave files without one: that is said, and why.
#[test]
fn a_page_says_why_there_is_no_zip() {
    for language in Language::ALL {
        let texts = language.texts();
        let said = |access| {
            let mut share = view(
                vec![
                    file(1, "a.png", "image/png"),
                    file(2, "b.txt", "text/plain"),
                ],
                access,
            );
            share.zip = OfferedArchive::NamesTooLong;
            let html = files(context(language), &share, 0, at(NOW));
            let all = [
                texts.names_too_long,
                texts.names_too_long_to_count,
                texts.counted,
                texts.all_started,
            ];
            all.map(|text| html.matches(text).count())
        };
        assert_eq!(said(Access::Links), [1, 0, 0, 0], "{language:?}");
        assert_eq!(said(Access::Starts), [1, 0, 0, 0], "{language:?}");
        for left in [0, 1] {
            let counted = Access::Counted { left, allowed: 1 };
            assert_eq!(said(counted), [0, 1, 0, 0], "{language:?}");
        }
    }
}

#[test]
fn a_page_is_in_one_language_from_its_first_word_to_its_last() {
    for language in Language::ALL {
        let (context, texts) = (context(language), language.texts());
        let shown = [
            files(context, &whole(), 0, at(NOW)),
            password(context, "/s/c", true),
            busy(context, "/s/c", Duration::from_secs(900), "t"),
            over(context, texts.link_invalid, "t"),
        ];
        for html in &shown {
            let lang = format!("<html lang=\"{}\">", texts.lang);
            assert!(html.contains(&lang) && html.contains(texts.title), "{html}");
            assert!(!html.contains("{}") && !html.contains("{day}"), "{html}");
        }
        let [listed, asked, busy, over] = shown;
        for text in [texts.name, texts.size, texts.kind, texts.expires, texts.qr] {
            assert!(listed.contains(text), "{text}: {listed}");
        }
        assert!(asked.contains(texts.password_wrong) && asked.contains(texts.password_why));
        assert!(busy.contains(texts.again), "{busy}");
        assert!(over.contains(texts.link_invalid.text), "{over}");
    }
}

#[test]
fn what_the_operator_puts_on_pages_is_text_and_a_picture() {
    let branding = Branding {
        title: Some("A <b>house</b> & sons".into()),
        logo: Some(Logo::new(b"GIF89a").unwrap()),
        link: Some(PageLink {
            text: "Imprint <i>".into(),
            url: "https://example.com/imprint?a=1&b=\"2".into(),
        }),
    };
    let context = PageContext::new(ENGLISH, &branding);
    let html = password(context, "/s/c", false);
    for part in [
        "<header><img src=\"data:image/gif;base64,R0lGODlh\" alt=\"\">",
        "<p><bdi>A &#60;b&#62;house&#60;/b&#62; &#38; sons</bdi></p></header>",
        "<a href=\"https://example.com/imprint?a=1&#38;b=&#34;2\">Imprint &#60;i&#62;</a>",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    let head = html.split_once("</head>").unwrap().0;
    assert!(!head.contains("house"), "previews name nobody");
}
