//! The pages of a share in each state, in a real browser without scripts, by keyboard alone, on wide and narrow screens: what
//! a screen reader is told, and that a download comes of them.

use std::path::Path;

use hallpass::gateway::shares::ShareFields;

use super::*;
use crate::archives::unzipped;
use crate::share_pages::{Shared, big, counted, lock, of, post, share, start, started};
use crate::support::app::TestApp;

/// Opens the page of a share, and goes these steps.
async fn walk(app: &TestApp, shared: &Shared, name: &str, steps: Value) -> Value {
    let pictures = format!("{}/share-{name}", env!("CARGO_TARGET_TMPDIR"));
    let url = format!("http://{}{}", app.client.0, shared.page);
    let with = json!({ "url": url, "steps": steps, "pictures": pictures });
    let walked = play("share", with).await;
    for seen in walked["seen"].as_array().unwrap() {
        assert_eq!(seen["overflows"], json!([0, 0, 0, 0, 0, 0]), "{seen}");
        for contrast in seen["contrasts"].as_array().unwrap() {
            assert!(contrast.as_f64().unwrap() >= 4.5, "WCAG 2.2, 1.4.3: {seen}");
        }
        assert_eq!(seen["title"], "A file was shared with you");
        assert!(is_told(seen, "main", None), "a landmark: {seen}");
    }
    walked
}

/// Whether a screen reader is told of something in this role, with this name if one is given.
fn is_told(seen: &Value, role: &str, name: Option<&str>) -> bool {
    let told = seen["told"].as_array().unwrap();
    told.iter()
        .any(|one| one[0] == role && name.is_none_or(|name| one[1] == name))
}

fn is_saved(path: &Path) -> bool {
    std::fs::read(path).unwrap() == big()
}

/// The console says the status of a page that is an error, and that there is no icon: no report of the policy.
fn only_statuses_are_said(walked: &Value) {
    let said = walked["said"].as_array().unwrap();
    let is_status = |line: &Value| line.as_str().unwrap().contains("status of 4");
    assert!(said.iter().all(is_status), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_listed_and_saved_one_by_one() {
    let app = start().await;
    let long =
        "שלום-a-name-that-is-longer-than-any-narrow-screen-is-wide-and-has-no-space-in-it.pdf";
    app.add("file_long", long, b"%PDF-").await;
    let fields = ShareFields {
        title: Some("Photos of the summer".into()),
        note: Some("The first one is the best.\nTake what you like.".into()),
        ..of(&["file_abc123", "file_big", "file_long"])
    };
    let shared = share(&app, fields).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("got");
    let steps = json!([{ "press": "Download big file.bin", "save": path }]);
    let walked = walk(&app, &shared, "files", steps).await;
    let seen = &walked["seen"][0];
    assert_eq!(seen["status"], 200);
    only_statuses_are_said(&walked);
    for (role, name) in [
        ("heading", "Photos of the summer"),
        ("table", "Files"),
        ("columnheader", "Name"),
        ("rowheader", "report.png"),
        ("cell", "300 kB"),
        ("image", "Preview of report.png"),
        ("link", "Download report.png"),
        ("image", "QR code with the address of this page"),
    ] {
        let is_there = match (role, name) {
            ("rowheader", _) => seen["told"]
                .as_array()
                .unwrap()
                .iter()
                .any(|one| one[0] == "rowheader" && one[1].as_str().unwrap().starts_with(name)),
            _ => is_told(seen, role, Some(name)),
        };
        assert!(is_there, "{role} {name}: {seen}");
    }
    assert_eq!(walked["saved"], json!(["big file.bin"]));
    assert!(is_saved(&path));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_is_typed_and_a_file_is_started() {
    let app = start().await;
    let shared = share(&app, of(&["file_big", "file_def456"])).await;
    lock(&app, &shared, "correct horse").await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("got");
    let steps = json!([
        { "text": "wrong" },
        { "text": "correct horse", "press": "Open" },
        { "press": "Download big file.bin", "save": path },
    ]);
    let walked = walk(&app, &shared, "password", steps).await;
    let [asks, refuses, lists] = walked["seen"].as_array().unwrap().as_slice() else {
        panic!("three pages: {walked}")
    };
    assert_eq!(asks["status"], 200);
    assert!(is_told(asks, "textbox", Some("Password")), "{asks}");
    assert!(
        is_told(asks, "button", Some("Open")) && asks["invalid"] == false,
        "{asks}"
    );
    assert!(!asks["told"].to_string().contains("big file"), "{asks}");
    assert_eq!(refuses["status"], 401);
    assert!(
        is_told(refuses, "alert", None) && refuses["invalid"] == true,
        "{refuses}"
    );
    assert_eq!(lists["status"], 200);
    assert!(
        is_told(lists, "button", Some("Download other.png")),
        "{lists}"
    );
    assert_eq!(walked["saved"], json!(["big file.bin"]));
    assert!(is_saved(&path));
    only_statuses_are_said(&walked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counted_share_is_downloaded_and_again_by_the_same_browser() {
    let app = start().await;
    let shared = share(&app, counted(&["file_big"], 1)).await;
    let directory = tempfile::tempdir().unwrap();
    let paths = ["one", "two"].map(|name| directory.path().join(name));
    let steps = json!([
        { "press": "Download", "save": paths[0] },
        { "press": "Download", "save": paths[1] },
    ]);
    let walked = walk(&app, &shared, "counted", steps).await;
    let seen = &walked["seen"][0];
    assert!(is_told(seen, "button", Some("Download")), "{seen}");
    assert!(seen["told"].to_string().contains("1 of 1"), "{seen}");
    assert!(paths.iter().all(|path| is_saved(path)));
    let found = crate::share_pages::counts(&app, &shared).await;
    assert_eq!(
        (found.done, found.open),
        (1, 0),
        "two tabs are one download"
    );
    only_statuses_are_said(&walked);
    // Whoever comes later is told so, and may press where one of them was theirs.
    let hint = walk(&app, &shared, "done-hint", json!([{ "press": "Download" }])).await;
    assert!(
        hint["seen"][0]["told"]
            .to_string()
            .contains("If one of them was yours"),
        "{hint}"
    );
    let over = &hint["seen"][1];
    assert_eq!(over["status"], 410);
    assert!(
        is_told(over, "heading", Some("This link has been used")),
        "{over}"
    );
    only_statuses_are_said(&hint);
}

/// `unzip -t` holds each file against its length and its checksum.
#[tokio::test(flavor = "multi_thread")]
async fn all_files_are_saved_as_one_zip_by_keyboard_and_by_mouse() {
    let app = start().await;
    let shared = share(&app, of(&["file_big", "file_def456"])).await;
    let directory = tempfile::tempdir().unwrap();
    let paths = ["keyboard.zip", "mouse.zip"].map(|name| directory.path().join(name));
    let name = "Download all as zip, 300 kB";
    let steps = json!([
        { "press": name, "save": paths[0] },
        { "press": name, "save": paths[1], "mouse": true },
    ]);
    let walked = walk(&app, &shared, "zip", steps).await;
    let seen = &walked["seen"][0];
    assert!(is_told(seen, "button", Some(name)), "{seen}");
    assert_eq!(walked["saved"], json!(["files.zip", "files.zip"]));
    only_statuses_are_said(&walked);
    for path in &paths {
        let tested = std::process::Command::new("unzip")
            .arg("-t")
            .arg(path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&tested.stdout);
        assert!(tested.status.success(), "{said}");
        assert!(
            said.contains("No errors detected in compressed data"),
            "{said}"
        );
        let files = unzipped(&std::fs::read(path).unwrap());
        assert_eq!(files.len(), 2);
        assert!(files["big file.bin"] == big());
        assert_eq!(files["other.png"], b"other bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_is_held_says_until_when() {
    let app = start().await;
    let shared = share(&app, counted(&["file_big"], 1)).await;
    started(&app, &shared, "192.0.2.1").await;
    let steps = json!([{ "press": "Download" }, { "press": "Try again" }]);
    let walked = walk(&app, &shared, "busy", steps).await;
    let busy = &walked["seen"][1];
    assert_eq!(busy["status"], 409);
    assert!(
        is_told(busy, "heading", Some("This is being downloaded")),
        "{busy}"
    );
    assert!(busy["told"].to_string().contains("15 minutes"), "{busy}");
    assert_eq!(walked["seen"][2]["at"], walked["seen"][0]["at"]);
    only_statuses_are_said(&walked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_is_not_there_has_nothing_to_press() {
    let app = start().await;
    let mut shared = share(&app, of(&["file_big"])).await;
    shared.page = "/s/0123456789abcdefghijkl".into();
    let walked = walk(&app, &shared, "over", json!([])).await;
    let over = &walked["seen"][0];
    assert_eq!(over["status"], 401);
    assert!(
        is_told(over, "heading", Some("This link does not open")),
        "{over}"
    );
    assert!(
        !is_told(over, "button", None) && !is_told(over, "link", None),
        "{over}"
    );
    only_statuses_are_said(&walked);
    // A program that submits forms as it finds them, and leaves, has started one that lapses.
    let counted = share(&app, counted(&["file_big"], 1)).await;
    assert_eq!(
        post(&app, &counted, "192.0.2.1", &[], "start=1")
            .await
            .status,
        303
    );
    app.at(900);
    assert_eq!(
        post(&app, &counted, "192.0.2.2", &[], "start=1")
            .await
            .status,
        303
    );
}
