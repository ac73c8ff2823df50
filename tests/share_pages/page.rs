//! The page: what it says in each of its states, to whom, and under which headers.

use hallpass::catalog::shares::ShareEdit;
use hallpass::gateway::shares::ShareFields;

use super::{
    HTML, SIZE, after_bytes, counted, counts, edit, forget, from, lock, look, of, organization,
    post, share, start, start_with, started, text,
};
use crate::support::app::T0;

/// Asserts what every page is.
#[track_caller]
fn is_a_page(reply: &crate::support::client::Reply) {
    let policy = reply.header("content-security-policy").unwrap();
    for part in [
        "default-src 'none'; style-src 'sha256-",
        "img-src 'self'; media-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-robots-tag", "noindex, nofollow, noarchive"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-opener-policy", "same-origin"),
        ("vary", "Cookie, Accept, Accept-Language"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    assert_eq!(reply.header("access-control-allow-origin"), None);
    let html = text(reply);
    assert!(
        !html.contains("<script") && !html.contains(" style="),
        "{html}"
    );
}

#[tokio::test]
async fn the_files_are_listed_each_with_its_own_link() {
    let app = start().await;
    let fields = ShareFields {
        title: Some("Q3 <report>".into()),
        note: Some("Please look\nat both.".into()),
        ..of(&["file_def456", "file_big"])
    };
    let shared = share(&app, fields).await;
    let reply = look(&app, &shared, &[]).await;
    assert_eq!(reply.status, 200);
    is_a_page(&reply);
    let html = text(&reply);
    for part in [
        "<h1><bdi>Q3 &#60;report&#62;</bdi></h1>",
        "<p class=\"note\"><bdi>Please look\nat both.</bdi></p>",
        "<dt>All together</dt><dd><bdi>2 files, 300 kB</bdi></dd>",
        "<bdi>other.png</bdi>",
        "<td role=\"cell\">11 bytes</td><td role=\"cell\">image/png</td>",
        &format!("href=\"{}/files/1/other.png\"", shared.page),
        &format!("href=\"{}/files/2/big%20file.bin\"", shared.page),
        &format!(
            "<img src=\"{}/files/1/other.png\" alt=\"Preview of other.png\"",
            shared.page
        ),
        &format!("src=\"{}/qr.svg\"", shared.page),
        "<title>A file was shared with you</title>",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert_eq!(
        html.matches("<img ").count(),
        2,
        "a picture, and the QR code"
    );
    let cookie = reply.header("set-cookie").unwrap();
    let path = format!("; Path={}; HttpOnly; SameSite=Lax", shared.page);
    assert!(
        cookie.starts_with("hallpass-client=") && cookie.ends_with(&path),
        "{cookie}"
    );
    let sent = [("Cookie", cookie.split(';').next().unwrap())];
    let again = look(&app, &shared, &sent).await;
    assert_eq!(again.header("set-cookie"), None);
    let head = app.client.request("HEAD", &shared.page, &[HTML], b"").await;
    assert_eq!(head.status, 200);
    // Each look at what is shared counts, and no download.
    let counted = counts(&app, &shared).await;
    assert_eq!((counted.opened, counted.counts.downloads), (3, 0));
    assert_eq!(counted.first_opened_at.unwrap().get(), T0);
}

#[tokio::test]
async fn a_counted_share_has_one_button_and_says_how_many_are_left() {
    let app = start().await;
    let shared = share(&app, counted(&["file_big"], 2)).await;
    let html = text(&look(&app, &shared, &[]).await);
    for part in [
        "<h1><bdi>big file.bin</bdi></h1>",
        "<dt>Downloads left</dt><dd><bdi>2 of 2</bdi></dd>",
        &format!("action=\"{}/open\"", shared.page),
        "<button>Download</button>",
        "a download is counted once you press the button",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert_eq!(html.matches("<button").count(), 1);
    assert!(!html.contains("/files/") && !html.contains("<a "), "{html}");
    started(&app, &shared, "192.0.2.1").await;
    started(&app, &shared, "192.0.2.2").await;
    let html = text(&look(&app, &shared, &[]).await);
    assert!(
        html.contains("0 of 2") && html.contains("If one of them was yours"),
        "{html}"
    );
}

#[tokio::test]
async fn a_share_whose_downloads_are_held_or_spent_says_so_on_a_page() {
    let app = start().await;
    let shared = share(&app, counted(&["file_big"], 1)).await;
    let ticket = started(&app, &shared, "192.0.2.1").await;
    let busy = post(&app, &shared, "192.0.2.2", &[HTML], "start=1").await;
    assert_eq!(
        (busy.status, busy.header("retry-after")),
        (409, Some("900"))
    );
    is_a_page(&busy);
    let html = text(&busy);
    assert!(html.contains("may be free again in 15 minutes."), "{html}");
    assert!(
        html.contains(&format!("<a href=\"{}\">Try again</a>", shared.page)),
        "{html}"
    );
    app.client.get(&ticket, &[]).await;
    let done = after_bytes(&app, &shared, SIZE).await;
    assert_eq!((done.done, done.open), (1, 0));
    let over = post(&app, &shared, "192.0.2.2", &[HTML], "start=1").await;
    assert_eq!(over.status, 410);
    is_a_page(&over);
    assert!(text(&over).contains("This link has been used"));
}

#[tokio::test]
async fn nothing_is_said_before_the_password() {
    let app = start_with(&[("shares.preview_names", "true")]).await;
    let fields = ShareFields {
        title: Some("the title".into()),
        note: Some("the note".into()),
        ..of(&["file_big"])
    };
    let shared = share(&app, fields).await;
    let open = text(&look(&app, &shared, &[]).await);
    assert!(
        open.contains("<title>the title</title>"),
        "as the operator wants it"
    );
    lock(&app, &shared, "correct horse").await;
    let reply = look(&app, &shared, &[]).await;
    assert_eq!(reply.status, 200);
    is_a_page(&reply);
    let html = text(&reply);
    for part in [
        "the title",
        "the note",
        "big file",
        "300 kB",
        "/files/",
        "qr.svg",
        "Opens until",
    ] {
        assert!(!html.contains(part), "{part}: {html}");
    }
    assert!(
        html.contains("<label for=\"password\">Password</label>"),
        "{html}"
    );
    assert!(
        html.contains(&format!("action=\"{}/open\"", shared.page)),
        "{html}"
    );
    assert_eq!(reply.header("set-cookie"), None);
    let opened = counts(&app, &shared).await.opened;
    assert_eq!(opened, 1, "what is not shown is not counted");
}

#[tokio::test]
async fn previewers_and_programs_are_told_no_names_and_how_a_download_is_started() {
    let app = start().await;
    let shared = share(&app, counted(&["file_big"], 1)).await;
    let agents = [
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "TelegramBot (like TwitterBot)",
        "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
        "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
        "WhatsApp/2.23.20.0",
        "facebookexternalhit/1.1",
        "Mimecast URL Protect",
        "curl/8.14.1",
    ];
    for agent in agents {
        for method in ["GET", "HEAD"] {
            let headers = [("User-Agent", agent), ("Accept", "*/*")];
            let reply = app
                .client
                .request(method, &shared.page, &headers, b"")
                .await;
            assert_eq!(reply.status, 403, "{method} {agent}");
            assert_eq!(reply.header("set-cookie"), None);
            if method == "GET" {
                let error = reply.refused(403, "DOWNLOAD_NOT_STARTED");
                let url = error["details"]["share_url"].as_str().unwrap();
                assert!(url.ends_with(&shared.page), "{url}");
                assert!(!String::from_utf8_lossy(&reply.body).contains("big file"));
            }
        }
        let reply = look(&app, &shared, &[("User-Agent", agent)]).await;
        let html = text(&reply);
        let head = html.split_once("</head>").unwrap().0;
        assert!(
            head.contains("<meta property=\"og:title\" content=\"A file was shared with you\">")
        );
        assert!(!head.contains("big file"), "{agent}: {head}");
    }
    let counted = counts(&app, &shared).await;
    assert_eq!(
        (counted.done, counted.open, counted.counts.downloads),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn what_opens_no_more_or_never_did_is_one_page() {
    let app = start().await;
    let shared = share(&app, of(&["file_big"])).await;
    let is_over = async |path: &str, why: &str| {
        let reply = app.client.get(path, &[HTML]).await;
        assert_eq!(reply.status, 401, "{why}");
        is_a_page(&reply);
        let html = text(&reply);
        assert!(html.contains("This link does not open"), "{why}: {html}");
        assert!(!html.contains("big file"), "{why}");
        app.client.get(path, &[]).await.is_dead_link();
    };
    assert_eq!(look(&app, &shared, &[]).await.status, 200);
    is_over("/s/0123456789abcdefghijkl", "unknown").await;
    let paused = |paused| ShareEdit {
        paused: Some(paused),
        ..ShareEdit::default()
    };
    edit(&app, &shared, paused(true)).await;
    is_over(&shared.page, "paused").await;
    edit(&app, &shared, paused(false)).await;
    assert_eq!(look(&app, &shared, &[]).await.status, 200);
    app.at(30 * 86_400);
    is_over(&shared.page, "expired").await;
    app.at(0);
    let catalogue = app.catalogue_from_outside().await;
    let now = hallpass::model::time::UnixSeconds::new(T0).unwrap();
    catalogue
        .revoke_share(&organization(), &shared.id, now)
        .await
        .unwrap();
    forget().await;
    is_over(&shared.page, "revoked").await;
}

#[tokio::test]
async fn a_file_that_is_not_there_any_more_says_so() {
    let app = start().await;
    app.add("file_third", "third.txt", b"3").await;
    let shared = share(&app, of(&["file_big", "file_def456", "file_third"])).await;
    app.revoke_links_of("file_def456").await;
    app.mark_as_damaged("file_third").await;
    let html = text(&look(&app, &shared, &[]).await);
    assert!(
        html.contains("No longer here") && html.contains("Cannot be read"),
        "{html}"
    );
    assert_eq!(html.matches("aria-label=\"Download ").count(), 1, "{html}");
    for position in [2, 3] {
        let path = shared.at(&format!("/files/{position}/x"));
        let reply = app.client.get(&path, &from("192.0.2.1")).await;
        let status = if position == 2 { 404 } else { 500 };
        assert_eq!(reply.status, status, "{position}");
    }
    assert_eq!(
        app.client.get(&shared.at("/files/1/x"), &[]).await.status,
        200
    );
}

#[tokio::test]
async fn a_file_that_lies_at_its_original_place_says_so() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a.bin");
    std::fs::write(&path, b"bytes").unwrap();
    let named = root.path().to_str().unwrap();
    // Files in place are for gateways whose own blobs are on a disk.
    let settings = [("blobs.in_place_roots", named), ("blobs.mode", "0600")];
    let app = start_with(&settings).await;
    app.register("file_place", &path).await;
    let shared = share(&app, of(&["file_big", "file_place"])).await;
    let html = text(&look(&app, &shared, &[]).await);
    let note = "<bdi>a.bin</bdi><small>Lies at its original place: if it is changed there, it no longer opens here.</small>";
    assert!(html.contains(note), "{html}");
    assert_eq!(html.matches("<small>").count(), 1, "{html}");
}

#[tokio::test]
async fn addresses_and_cookies_have_the_base_path_of_the_proxy() {
    let base = ("server.public_base_url", "https://files.example.com/base");
    let app = start_with(&[base]).await;
    let shared = share(&app, counted(&["file_big"], 9)).await;
    let page = shared
        .page
        .strip_prefix("/base")
        .expect("the mount")
        .to_owned();
    // A proxy strips its path or leaves it.
    for path in [page.as_str(), &shared.page] {
        let reply = app.client.get(path, &[HTML]).await;
        assert_eq!(reply.status, 200, "{path}");
        let html = text(&reply);
        assert!(
            html.contains(&format!("action=\"{}/open\"", shared.page)),
            "{html}"
        );
        assert!(
            html.contains(&format!("src=\"{}/qr.svg\"", shared.page)),
            "{html}"
        );
        let cookie = reply.header("set-cookie").unwrap();
        let end = format!("; Path={}; HttpOnly; SameSite=Lax; Secure", shared.page);
        assert!(cookie.ends_with(&end), "{cookie}");
    }
    let reply = post(&app, &shared, "192.0.2.1", &[], "start=1").await;
    let place = reply.header("location").unwrap();
    assert!(
        place.starts_with(&format!("{}/tickets/", shared.page)),
        "{place}"
    );
    let url = reply.json()["download_url"].as_str().unwrap().to_owned();
    assert_eq!(url, format!("https://files.example.com{place}"));
    let bytes = app.client.get(place, &[]).await;
    assert_eq!((bytes.status, bytes.body.len()), (200, SIZE));
    let drawing = app.client.get(&shared.at("/qr.svg"), &[]).await;
    assert_eq!(drawing.header("content-type"), Some("image/svg+xml"));
    assert!(
        drawing
            .header("content-security-policy")
            .unwrap()
            .starts_with("default-src 'none'")
    );
}

#[tokio::test]
async fn a_share_of_many_files_is_listed_in_pages() {
    let app = start().await;
    let ids: Vec<String> = (0..501).map(|number| format!("file_n{number}")).collect();
    for id in &ids {
        app.add(id, &format!("{id}.txt"), b"x").await;
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let shared = share(&app, of(&ids)).await;
    let first = text(&look(&app, &shared, &[]).await);
    assert!(
        first.contains("<caption>Files 1 to 500 of 501</caption>"),
        "the first 500"
    );
    assert_eq!(first.matches("aria-label=\"Download ").count(), 500);
    let next = format!("<a href=\"{}?page=2\">Next files</a>", shared.page);
    assert!(first.contains(&next) && !first.contains("Previous files"));
    let second = app.client.get(&shared.at("?page=2"), &[HTML]).await;
    let second = text(&second);
    assert!(
        second.contains("<caption>Files 501 to 501 of 501</caption>"),
        "the last one"
    );
    assert!(second.contains("file_n500.txt") && second.contains("?page=1"));
    for bad in ["0", "3", "x", "-1"] {
        let reply = app
            .client
            .get(&shared.at(&format!("?page={bad}")), &[HTML])
            .await;
        assert_eq!(reply.status, 404, "{bad}");
    }
}
