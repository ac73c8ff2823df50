//! The page of a counted link, in each of its states: read on wide and narrow screens, and used by keyboard alone.

use std::sync::{Arc, Mutex};

use hallpass::model::time::UnixSeconds;
use hallpass::web::body::Body;
use hallpass::web::branding::Branding;
use hallpass::web::counted_page::{CountedFile, CountedState, answer};
use hallpass::web::dialects::ApiDialect;
use hallpass::web::html::PageContext;
use hallpass::web::texts::Language;
use hallpass::web::trace::Trace;

use super::*;
use crate::support::app::{T0, TestApp};

/// A name without a space, longer than a narrow screen.
const NAME: &str = "שלום-<b>Q3</b>-a-name-that-is-longer-than-any-narrow-screen-is-wide-and-has-no-space-in-it.pdf";
const LINK: &str = "/v1/organizations/o/files/f/redeem?expires=1&max-downloads=3&token=k.m";

fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds::new(seconds).unwrap()
}

const FILE: CountedFile<'_> = CountedFile {
    name: NAME,
    size: 1_234_567_890,
    media_type: "application/pdf",
};

/// The answer as it is on the wire.
fn written(state: &CountedState<'_>) -> Vec<u8> {
    let trace = Trace::of(&http::HeaderMap::new(), ApiDialect::Aitronos, false);
    let branding = Branding::default();
    let page = PageContext::new(Language::English, &branding);
    let (head, body) = answer(state, at(T0), page, &trace).into_parts();
    let Body::Full(body) = body else {
        panic!("the page is whole")
    };
    let mut text = format!("HTTP/1.1 {}\r\n", head.status);
    for (name, value) in &head.headers {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    text.push_str(&format!("content-length: {}\r\n", body.len()));
    [text.as_bytes(), b"connection: close\r\n\r\n", &body].concat()
}

/// Serves the page at every path; a POST is sent on to a path that is text. Answers the address, and the heads of
/// requests as they come.
async fn serve(state: &CountedState<'_>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, page) = (listener.local_addr().unwrap(), written(state));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heads = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = [0; 8192];
            let length = stream.read(&mut bytes).await.unwrap_or(0);
            let head = String::from_utf8_lossy(&bytes[..length]).into_owned();
            let answer = if head.starts_with("POST ") {
                b"HTTP/1.1 303 See Other\r\nLocation: /ticket\r\nContent-Length: 0\r\n\
                  Connection: close\r\n\r\n"
            } else if head.starts_with("GET /ticket ") {
                &b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\
                   Connection: close\r\n\r\nthe bytes"[..]
            } else {
                &page
            };
            if length > 0 {
                heads.lock().unwrap().push(head);
            }
            let _ = stream.write_all(answer).await;
        }
    });
    (address, asked)
}

/// What is so in every state.
fn is_accessible(seen: &Value) {
    assert_eq!(seen["lang"], "en");
    assert_eq!(seen["title"], "A file was shared with you");
    assert_eq!(seen["landmarks"], 1);
    assert_eq!(seen["overflows"], json!([0, 0, 0, 0, 0, 0]), "{seen}");
    for contrast in seen["contrasts"].as_array().unwrap() {
        assert!(contrast.as_f64().unwrap() >= 4.5, "WCAG 2.2, 1.4.3: {seen}");
    }
}

/// Opens the page and uses it. Answers what was seen, and the requests for the link itself.
async fn ask(state: &CountedState<'_>, name: &str) -> (Value, Vec<String>) {
    let (address, heads) = serve(state).await;
    let pictures = format!("{}/counted-{name}", env!("CARGO_TARGET_TMPDIR"));
    let url = format!("http://{address}{LINK}");
    let seen = play("ask", json!({ "url": url, "pictures": pictures })).await;
    is_accessible(&seen);
    if let Some(at) = seen["then"]["at"].as_str() {
        assert!(at.starts_with(&format!("http://{address}/")), "{at}");
    }
    let heads = heads.lock().unwrap();
    let of_link = heads.iter().filter(|head| head.contains(LINK)).cloned();
    (seen, of_link.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_is_started_by_keyboard_and_by_a_post_of_the_link_itself() {
    let state = CountedState::Ready {
        file: FILE,
        expires: at(T0 + 90_000),
        left: 2,
        allowed: 3,
    };
    let (seen, requests) = ask(&state, "ready").await;
    assert_eq!((&seen["status"], &seen["said"]), (&json!(200), &json!([])));
    assert_eq!(seen["heading"], NAME, "a name is no markup");
    assert_eq!(
        seen["facts"],
        json!([
            ["Size", "1.2 GB"],
            ["Type", "application/pdf"],
            ["Opens until", "19 May 2026, 16:34 UTC (1 day from now)"],
            ["Downloads left", "2 of 3"],
        ])
    );
    assert_eq!(seen["controls"], json!(["Download"]));
    assert!(seen["height"].as_f64().unwrap() >= 44.0, "{seen}");
    let then = &seen["then"];
    assert_eq!(then["focused"], json!(["Download", "solid", "3px"]));
    assert_eq!(
        then["text"], "the bytes",
        "the policy lets the answer lead on"
    );
    let [get, post] = requests.as_slice() else {
        panic!("it is looked at once, and started once: {requests:?}")
    };
    assert!(get.starts_with(&format!("GET {LINK} ")), "{get}");
    assert!(post.starts_with(&format!("POST {LINK} ")), "{post}");
    let post = post.to_ascii_lowercase();
    assert!(post.contains("\r\ncontent-length: 0\r\n"), "{post}");
    assert!(!post.contains("\r\nreferer:"), "{post}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_held_is_tried_again_by_keyboard() {
    let state = CountedState::Held {
        file: FILE,
        until: at(T0 + 900),
    };
    let (seen, requests) = ask(&state, "held").await;
    assert_eq!(seen["status"], 409);
    assert_eq!(seen["heading"], "This file is being downloaded");
    assert_eq!(seen["facts"], json!([["File", NAME]]));
    let text = seen["text"].as_str().unwrap();
    assert!(text.ends_with("may be free again in 15 minutes."), "{text}");
    assert_eq!(seen["controls"], json!(["Try again"]));
    assert_eq!(seen["then"]["focused"][0], "Try again");
    assert_eq!(requests.len(), 2);
    assert!(
        requests
            .iter()
            .all(|head| head.starts_with(&format!("GET {LINK} ")))
    );
    only_the_status_is_said(&seen, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_used_up_has_nothing_to_press() {
    let (seen, _) = ask(&CountedState::Exhausted { allowed: 3 }, "exhausted").await;
    assert_eq!(seen["status"], 410);
    assert_eq!(seen["heading"], "This link has been used");
    assert_eq!(
        seen["text"],
        "It was for 3 downloads. Please ask whoever sent it to you for a new one."
    );
    assert_eq!(
        (&seen["facts"], &seen["controls"]),
        (&json!([]), &json!([]))
    );
    only_the_status_is_said(&seen, 410);
}

/// Speculation rules: what the browser fetches before anybody clicks starts nothing, though a GET of this link does.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_fetched_ahead_of_time_starts_no_download() {
    let app = TestApp::start().await.with_org_123().await;
    let link = app.link("file_def456", "max_downloads=1&redeem=get").await;
    let url = format!("http://{}{link}", app.client.0);
    let rules =
        json!({ "prefetch": [{ "source": "list", "urls": [url], "eagerness": "immediate" }] });
    let html = url.replace('&', "&amp;");
    let body = format!("<script type=speculationrules>{rules}</script><a href=\"{html}\">it</a>");
    let seen = play("ahead", json!({ "url": page(&body).await })).await;
    assert_eq!(seen["status"], "Failure", "503 is no answer to keep");
    assert_eq!(seen["clicked"], 200);
    assert_eq!(seen["text"], "other bytes");
    // It was asked for by the browser, too, and not only by the click.
    let audit = app.directory.path().join("audit.jsonl");
    let begun = std::time::Instant::now();
    while !std::fs::read_to_string(&audit)
        .unwrap()
        .contains("\"status\":503")
    {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The button of a link that others were quicker with, on a gateway: first while one is under way, then after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_button_that_is_pressed_too_late_leads_to_a_page_that_says_so() {
    let app = TestApp::start().await.with_org_123().await;
    let link = app.link("file_def456", "max_downloads=1").await;
    let url = format!("http://{}{link}", app.client.0);
    let pressed = async |name: &str| {
        let pictures = format!("{}/counted-{name}", env!("CARGO_TARGET_TMPDIR"));
        let with = json!({ "url": url, "pictures": pictures, "press": true });
        let seen = play("ask", with).await;
        is_accessible(&seen);
        seen
    };
    let other = app.client.request("POST", &link, &[], b"").await;
    assert_eq!(other.status, 303);
    let seen = pressed("late-held").await;
    assert_eq!(seen["status"], 409);
    assert_eq!(seen["heading"], "This file is being downloaded");
    assert_eq!(seen["controls"], json!(["Try again"]));
    only_the_status_is_said(&seen, 409);
    let then = &seen["then"];
    assert_eq!(then["at"], url);
    assert!(then["text"].as_str().unwrap().contains("Download"));

    let ticket = other.header("location").unwrap();
    assert_eq!(app.client.get(ticket, &[]).await.body, b"other bytes");
    app.gateway.flush_sent().await.unwrap();
    let seen = pressed("late-used").await;
    assert_eq!(seen["status"], 410);
    assert_eq!(seen["heading"], "This link has been used");
    let text = seen["text"].as_str().unwrap();
    assert!(text.starts_with("It was for 1 download."), "{text}");
    assert_eq!(seen["controls"], json!([]));
    only_the_status_is_said(&seen, 410);
}

/// The browser's console says the status of a page that is an error, and nothing else; of a gateway, that it has no icon.
fn only_the_status_is_said(seen: &Value, status: u16) {
    let said = seen["said"].as_array().unwrap();
    let is_status = |line: &Value| {
        let line = line.as_str().unwrap();
        line.contains(&format!("status of {status}")) || line.contains("status of 404")
    };
    assert!(said.iter().all(is_status), "{said:?}");
}
