//! The page of a counted link: what it opens, and a button that starts a download. Showing it spends nothing.
//!
//! It has no script. The button is a form without fields that is posted to the page's own URL, and so to the link as
//! it was sent. The title and what previews show never name the file; the page does, to those who are let in.

use askama::Template;
use bytes::Bytes;
use hyper::header::RETRY_AFTER;
use hyper::{Response, StatusCode};

use super::body::Body;
use super::html::{self, Frame, PageContext, essence, fill};
use super::people;
use super::trace::Trace;
use crate::model::time::UnixSeconds;

/// The file of a counted link.
#[derive(Clone, Copy, Debug)]
pub struct CountedFile<'a> {
    /// Its name, as it will be saved.
    pub name: &'a str,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type, perhaps with parameters, which are not shown.
    pub media_type: &'a str,
}

/// The state of a counted link that may be used now.
#[derive(Clone, Copy, Debug)]
pub enum CountedState<'a> {
    /// A download may be started.
    Ready {
        /// The file that it opens.
        file: CountedFile<'a>,
        /// The end of the link.
        expires: UnixSeconds,
        /// How many downloads may be started. 0 is no end: whoever has started one goes on with it.
        left: u64,
        /// How many the link allows.
        allowed: u64,
    },
    /// All downloads that are left are held by open ones.
    Held {
        /// The file that it opens.
        file: CountedFile<'a>,
        /// The time from which on the first of them may lapse. It may have come.
        until: UnixSeconds,
    },
    /// All downloads are spent.
    Exhausted {
        /// How many the link allowed.
        allowed: u64,
    },
}

/// What the template writes.
#[derive(Template)]
#[template(path = "counted.html", config = "src/web/templates/askama.toml")]
struct CountedPage<'a> {
    frame: Frame<'a>,
    heading: &'a str,
    facts: Vec<(&'static str, String)>,
    /// The word on the button, if there is one.
    start: Option<&'static str>,
    text: String,
    /// The words of the link to this very page, if there is one.
    again: Option<&'static str>,
    trace: Option<String>,
}

impl<'a> CountedPage<'a> {
    /// A page that says nothing but its heading and a text.
    fn new(page: PageContext<'a>, heading: &'a str, text: String) -> Self {
        CountedPage {
            frame: Frame::new(page, page.texts.title),
            heading,
            facts: Vec::new(),
            start: None,
            text,
            again: None,
            trace: None,
        }
    }
}

/// Returns the page of a counted link in this state at `now`: 200 where a download may be started; 409 with
/// `Retry-After`, at least a second, where all are held; 410 where all are spent. No cookie is set.
pub fn answer(
    state: &CountedState<'_>,
    now: UnixSeconds,
    page: PageContext<'_>,
    trace: &Trace,
) -> Response<Body> {
    written(state, now, page, trace).map(Body::Full)
}

/// Returns the same, in memory.
pub(super) fn written(
    state: &CountedState<'_>,
    now: UnixSeconds,
    page: PageContext<'_>,
    trace: &Trace,
) -> Response<Bytes> {
    let status = match state {
        CountedState::Ready { .. } => StatusCode::OK,
        CountedState::Held { .. } => StatusCode::CONFLICT,
        CountedState::Exhausted { .. } => StatusCode::GONE,
    };
    let mut content = content(state, now, page);
    if status != StatusCode::OK {
        content.trace = Some(fill(page.texts.trace, &[trace.trace_id.as_str()]));
    }
    let mut response = html::written(status, rendered(&content), page, trace);
    if let CountedState::Held { until, .. } = state {
        let wait = until.since(now).max(1);
        response.headers_mut().insert(RETRY_AFTER, wait.into());
    }
    response
}

fn content<'a>(
    state: &CountedState<'a>,
    now: UnixSeconds,
    page: PageContext<'a>,
) -> CountedPage<'a> {
    let texts = page.texts;
    match *state {
        CountedState::Ready {
            file,
            expires,
            left,
            allowed,
        } => {
            let until = people::span(texts, expires.since(now));
            let end = [people::time(texts, expires), until];
            let left = [left, allowed].map(|number| people::number(texts, number));
            CountedPage {
                facts: vec![
                    (texts.size, people::size(texts, file.size)),
                    (texts.kind, essence(file.media_type).to_owned()),
                    (texts.expires, fill(texts.ends_in, &end)),
                    (texts.left, fill(texts.left_of, &left)),
                ],
                start: Some(texts.download),
                ..CountedPage::new(page, file.name, texts.counted.to_owned())
            }
        }
        CountedState::Held { file, until } => {
            let text = match until.since(now).div_ceil(60) {
                0 => texts.link_held_no_more.to_owned(),
                minutes => {
                    let wait = people::span(texts, minutes * 60);
                    fill(texts.link_held_for, &[wait])
                }
            };
            CountedPage {
                facts: vec![(texts.file, file.name.to_owned())],
                again: Some(texts.again),
                ..CountedPage::new(page, texts.link_held, text)
            }
        }
        CountedState::Exhausted { allowed } => {
            let downloads = people::count(texts, allowed, texts.download_count);
            let text = fill(texts.link_spent.text, &[downloads]);
            CountedPage::new(page, texts.link_spent.heading, text)
        }
    }
}

#[expect(clippy::expect_used, reason = "a text takes whatever is written")]
fn rendered(page: &CountedPage<'_>) -> String {
    page.render().expect("every value is a text")
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use hyper::HeaderMap;
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::web::branding::Branding;
    use crate::web::dialects::ApiDialect;
    use crate::web::texts::Language;

    const NOW: u64 = 1_779_118_492;

    fn at(seconds: u64) -> UnixSeconds {
        UnixSeconds::new(seconds).unwrap()
    }

    fn file(name: &str) -> CountedFile<'_> {
        CountedFile {
            name,
            size: 1_234_567,
            media_type: "text/html; charset=utf-8",
        }
    }

    fn ready(name: &str) -> CountedState<'_> {
        CountedState::Ready {
            file: file(name),
            expires: at(NOW + 3_700),
            left: 2,
            allowed: 3,
        }
    }

    fn held(until: u64) -> CountedState<'static> {
        CountedState::Held {
            file: file("a.txt"),
            until: at(until),
        }
    }

    /// The answer's head and its text.
    fn answered(state: &CountedState<'_>) -> (Response<()>, String) {
        let trace = Trace::of(&HeaderMap::new(), ApiDialect::Aitronos, false);
        let branding = Branding::default();
        let page = PageContext::new(Language::English, &branding);
        let (head, body) = answer(state, at(NOW), page, &trace).into_parts();
        let Body::Full(bytes) = body else {
            panic!("the page is whole")
        };
        let html = String::from_utf8(bytes.to_vec()).unwrap();
        let is_named = html.contains(&format!("Trace {}", trace.trace_id));
        assert_eq!(is_named, head.status != StatusCode::OK);
        (Response::from_parts(head, ()), html)
    }

    #[test]
    fn one_that_may_be_started_says_what_it_opens_and_has_one_button() {
        let (head, html) = answered(&ready("report.html"));
        assert_eq!(head.status(), StatusCode::OK);
        for part in [
            "<h1><bdi>report.html</bdi></h1>",
            "<dt>Size</dt><dd><bdi>1.2 MB</bdi></dd>",
            "<dt>Type</dt><dd><bdi>text/html</bdi></dd>",
            "<dt>Opens until</dt><dd><bdi>18 May 2026, 16:36 UTC (1 hour from now)</bdi></dd>",
            "<dt>Downloads left</dt><dd><bdi>2 of 3</bdi></dd>",
            "<form method=\"post\"><button>Download</button></form>",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert_eq!(html.matches("<form").count(), 1);
        assert!(!html.contains("<a ") && !html.contains("<input"), "{html}");
    }

    #[test]
    fn one_that_is_held_says_when_to_come_again() {
        for (until, text, seconds) in [
            (NOW + 601, "may be free again in 11 minutes.", "601"),
            (NOW + 1, "may be free again in 1 minute.", "1"),
            (NOW, "may be free again now.", "1"),
            (NOW - 9, "may be free again now.", "1"),
        ] {
            let (head, html) = answered(&held(until));
            assert_eq!(head.status(), StatusCode::CONFLICT);
            assert_eq!(head.headers().get(RETRY_AFTER).unwrap(), seconds);
            assert!(
                html.contains("<h1><bdi>This file is being downloaded</bdi></h1>"),
                "{html}"
            );
            assert!(html.contains("<dt>File</dt><dd><bdi>a.txt</bdi></dd>"));
            assert!(html.contains(text), "{text}: {html}");
            assert!(html.contains("<a href=\"\">Try again</a>") && !html.contains("<form"));
        }
    }

    #[test]
    fn one_that_is_used_up_says_nothing_of_its_file() {
        for (allowed, downloads) in [(1, "1 download."), (3, "3 downloads.")] {
            let (head, html) = answered(&CountedState::Exhausted { allowed });
            assert_eq!(head.status(), StatusCode::GONE);
            assert!(html.contains("<h1><bdi>This link has been used</bdi></h1>"));
            assert!(html.contains(&format!("It was for {downloads} ")), "{html}");
            for part in ["<dl", "<form", "<a "] {
                assert!(!html.contains(part), "{part}: {html}");
            }
        }
    }

    #[test]
    fn every_state_has_the_headers_of_a_page_and_its_style_alone() {
        for state in [
            ready("a.txt"),
            held(NOW + 60),
            CountedState::Exhausted { allowed: 1 },
        ] {
            let (head, html) = answered(&state);
            let style = html.split_once("<style>").unwrap().1;
            let style = style.split_once("</style>").unwrap().0;
            let digest = BASE64_STANDARD.encode(Sha256::digest(style));
            let policy = format!(
                "default-src 'none'; style-src 'sha256-{digest}'; img-src 'self'; \
                 media-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
            );
            for (name, value) in [
                ("content-security-policy", policy.as_str()),
                ("content-type", "text/html; charset=utf-8"),
                ("cache-control", "no-store"),
                ("referrer-policy", "no-referrer"),
                ("x-robots-tag", "noindex, nofollow, noarchive"),
                ("x-content-type-options", "nosniff"),
                ("cross-origin-opener-policy", "same-origin"),
                ("vary", "Cookie, Accept, Accept-Language"),
            ] {
                assert_eq!(head.headers().get(name).unwrap(), value);
            }
            assert!(head.headers().contains_key("x-request-id"));
            assert!(!head.headers().contains_key("set-cookie"));
            let is_held = matches!(state, CountedState::Held { .. });
            assert_eq!(head.headers().contains_key(RETRY_AFTER), is_held);
            assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">\n"));
            assert!(html.contains("<title>A file was shared with you</title>"));
            for part in ["<script", "style=", " on", "http:", "//", "{}", "{{"] {
                let words = html.replace(style, "");
                let words = words.replace(" one", "").replace(" once", "");
                assert!(!words.contains(part), "{part}: {words}");
            }
        }
    }

    #[test]
    fn names_are_text_whatever_they_are() {
        let name = "</h1><script>alert('1')</script>&amp;\"{{ 7 * 7 }}{}.html";
        let (_, html) = answered(&ready(name));
        assert!(!html.contains("<script"), "{html}");
        let escaped = "<h1><bdi>&#60;/h1&#62;&#60;script&#62;alert(&#39;1&#39;)&#60;/script&#62;\
                       &#38;amp;&#34;{{ 7 * 7 }}{}.html</bdi></h1>";
        assert!(html.contains(escaped), "{html}");
        let head = html.split_once("</head>").unwrap().0;
        assert!(!head.contains("alert"), "previews do not name the file");
        let state = CountedState::Ready {
            file: CountedFile {
                name: "a",
                size: 1,
                media_type: "text/plain;\"><b>",
            },
            expires: at(NOW),
            left: 1,
            allowed: 1,
        };
        let (_, html) = answered(&state);
        assert!(html.contains("<bdi>text/plain</bdi>") && html.contains("<bdi>1 byte</bdi>"));
        assert!(html.contains("(less than a minute from now)"), "{html}");
    }
}
