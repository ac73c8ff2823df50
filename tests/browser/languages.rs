//! The pages for people in each language, as a browser shows them on wide and narrow screens, with what an operator puts on
//! them. No font for a language is needed: what is missing is a box of the same width.

use hallpass::gateway::shares::ShareFields;
use hallpass::web::texts::{Language, Texts};

use super::*;
use crate::share_pages::{Shared, counted, lock, of, share, start_with, started};
use crate::support::app::{PNG, TestApp};

/// What browsers of readers of each language send, and what pages say then.
const READERS: [(&str, Language); 4] = [
    ("en-US,en;q=0.9", Language::English),
    ("ja,en-US;q=0.9,en;q=0.8", Language::Japanese),
    ("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese),
    ("de-AT,de;q=0.9,en;q=0.8", Language::German),
];

const OPERATOR: &str = "Example Company for Long Names & Sons 株式会社";

/// One page of each state, each with whether its button is pressed.
async fn pages(app: &TestApp) -> Vec<(&'static str, String, bool)> {
    let long = "a-name-that-is-longer-than-any-narrow-screen-is-wide-and-has-no-space-in-it.pdf";
    app.add("file_long", long, b"%PDF-").await;
    let fields = ShareFields {
        note: Some("The first one is the best.".into()),
        ..of(&["file_abc123", "file_big", "file_long", "file_def456"])
    };
    let files = share(app, fields).await;
    let locked = share(app, of(&["file_big"])).await;
    lock(app, &locked, "correct horse").await;
    let left = share(app, counted(&["file_big"], 3)).await;
    let held = share(app, counted(&["file_big"], 1)).await;
    started(app, &held, "192.0.2.1").await;
    let used = share(app, counted(&["file_def456"], 1)).await;
    let ticket = started(app, &used, "192.0.2.1").await;
    assert_eq!(app.client.get(&ticket, &[]).await.body, b"other bytes");
    app.gateway.flush_sent().await.unwrap();
    let link = app.link("file_big", "max_downloads=3").await;
    let page = |of: Shared| of.page;
    vec![
        ("files", page(files), false),
        ("password", page(locked), false),
        ("counted", page(left), false),
        ("held", page(held), true),
        ("done", used.page.clone(), false),
        ("used", page(used), true),
        ("link", link, false),
        ("over", "/s/0123456789abcdefghijkl".into(), false),
        ("nowhere", "/nowhere".into(), false),
    ]
}

/// What a screen reader is told on a page, besides what is the same on all.
fn told(name: &str, texts: &'static Texts) -> Vec<(&'static str, &'static str)> {
    match name {
        "files" => vec![
            ("table", texts.files),
            ("columnheader", texts.name),
            ("columnheader", texts.size),
            ("columnheader", texts.kind),
            ("image", texts.qr),
        ],
        "password" => vec![
            ("heading", texts.password_heading),
            ("textbox", texts.password_label),
            ("button", texts.password_button),
        ],
        "counted" | "link" => vec![
            ("button", texts.download),
            ("StaticText", texts.counted),
            ("StaticText", texts.left),
        ],
        "held" => vec![("heading", texts.share_held), ("link", texts.again)],
        "done" => vec![("StaticText", texts.all_started)],
        "used" => vec![
            ("heading", texts.used_up.heading),
            ("StaticText", texts.used_up.text),
        ],
        "over" => vec![("heading", texts.link_invalid.heading)],
        "nowhere" => vec![("heading", texts.no_route.heading)],
        _ => unreachable!("{name}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_in_the_reader_s_language_and_fits_every_screen() {
    let directory = tempfile::tempdir().unwrap();
    let logo = directory.path().join("logo");
    std::fs::write(&logo, PNG).unwrap();
    let settings = [
        ("pages.title", OPERATOR),
        ("pages.logo", logo.to_str().unwrap()),
        ("pages.link_text", "Imprint"),
        ("pages.link_url", "https://example.com/imprint"),
    ];
    let app = start_with(&settings).await;
    let pages = pages(&app).await;
    let shown: Vec<Value> = pages
        .iter()
        .map(|(name, path, press)| {
            let url = format!("http://{}{path}", app.client.0);
            json!({ "name": name, "url": url, "press": press })
        })
        .collect();
    let with = json!({
        "pages": shown,
        "languages": READERS.map(|(header, _)| header),
        "pictures": format!("{}/languages", env!("CARGO_TARGET_TMPDIR")),
    });
    let walked = play("languages", with).await;
    let seen = walked["seen"].as_array().unwrap();
    assert_eq!(seen.len(), READERS.len() * pages.len());
    let in_each = READERS
        .iter()
        .flat_map(|(_, language)| pages.iter().map(move |page| (language, page.0)));
    for (seen, (language, name)) in seen.iter().zip(in_each) {
        let texts = language.texts();
        assert_eq!(
            (&seen["name"], &seen["lang"]),
            (&json!(name), &json!(texts.lang))
        );
        let is_of_link = !["over", "nowhere"].contains(&name);
        if is_of_link {
            assert_eq!(seen["title"], texts.title, "{seen}");
        }
        assert_eq!(seen["overflows"], json!([0, 0, 0]), "{seen}");
        assert!(
            seen["contrast"].as_f64().unwrap() >= 4.5,
            "WCAG 2.2, 1.4.3: {seen}"
        );
        assert_eq!(seen["logo"], 1, "the policy lets it in: {seen}");
        let all = [("link", "Imprint"), ("StaticText", OPERATOR), ("main", "")];
        for (role, text) in all.into_iter().chain(told(name, texts)) {
            let said = seen["told"].as_array().unwrap();
            // Where a text has a number in it, the number is told with it.
            let is = |one: &Value| one[0] == role && one[1].as_str().unwrap().contains(text);
            assert!(said.iter().any(is), "{role} {text}: {seen}");
        }
    }
    // The console says the status of a page that is an error: no report of the policy.
    let said = walked["said"].as_array().unwrap();
    let is_usual = |line: &Value| {
        let line = line.as_str().unwrap();
        line.contains("status of 4") || line.starts_with("[DOM] ")
    };
    assert!(said.iter().all(is_usual), "{said:?}");
}
