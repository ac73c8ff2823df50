//! Documents in frames of other origins, and by themselves: they are shown, and their scripts do not run.

use super::*;
use crate::support::app::TestApp;
use crate::support::form::{FORM, Form};

const GREEN: &str = "#008000";
const RED: &str = "#ff0000";
const BLUE: &str = "#0000ff";

/// A document that is green, and red where its script runs.
const HTML: &str = "<!doctype html><title>plain</title><body style=\"background: green\">\
                    <script>document.body.style.background = 'red'</script>";

/// The same as a picture.
const SVG: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1 1\" \
                   onload=\"document.documentElement.firstElementChild.setAttribute('fill', 'red')\">\
                   <rect fill=\"green\" x=\"-9\" y=\"-9\" width=\"20\" height=\"20\"/></svg>";

/// One blue page.
const PDF: &str = "%PDF-1.4
1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj
2 0 obj <</Type /Pages /Kids [3 0 R] /Count 1>> endobj
3 0 obj <</Type /Page /Parent 2 0 R /MediaBox [0 0 400 400] /Contents 4 0 R>> endobj
4 0 obj <</Length 25>> stream
0 0 1 rg 0 0 400 400 re f
endstream endobj
trailer <</Root 1 0 R>>
";

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_shown_in_frames_and_do_not_run() {
    let app = TestApp::start().await.with_org_123().await;
    let mut frames = String::new();
    for (id, name, text) in [
        ("file_html", "x.html", HTML),
        ("file_svg", "x.svg", SVG),
        ("file_pdf", "x.pdf", PDF),
    ] {
        app.add(id, name, text.as_bytes()).await;
        let url = format!("http://{}{}", app.client.0, app.link(id, "").await);
        // Without its sidebar the viewer has the page in its middle.
        let fragment = if id == "file_pdf" { "#navpanes=0" } else { "" };
        frames.push_str(&format!("<iframe src=\"{url}{fragment}\"></iframe>"));
    }
    // Served as anybody would, both of them run.
    for (kind, text) in [("text/html", HTML), ("image/svg+xml", SVG)] {
        let plain = served(kind, text.into()).await;
        frames.push_str(&format!("<iframe src=\"http://{plain}/\"></iframe>"));
    }
    let url = page(&frames).await;
    let colours = json!([GREEN, GREEN, BLUE, RED, RED]);
    let seen = play("frames", json!({ "url": url, "colours": colours })).await;
    assert_eq!(seen, colours);
}

/// Uploads text under the type that a stranger says it has, and answers a link to it.
async fn uploaded(app: &TestApp, name: &str, declared: &str, text: &str) -> String {
    let head = format!(
        "Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: {declared}"
    );
    let form = Form::default().part(&head, text.as_bytes()).close();
    let path = "/v1/organizations/org_123/files/upload";
    let headers = [("X-API-Key", "k1"), FORM];
    let reply = app.client.request("POST", path, &headers, &form).await;
    app.link(reply.json()["id"].as_str().unwrap(), "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_do_not_run_whatever_type_a_stranger_says_they_have() {
    let app = TestApp::start().await.with_org_123().await;
    let mut urls = Vec::new();
    for (declared, name, text) in [
        ("text/html", "x.html", HTML),
        ("image/svg+xml", "x.svg", SVG),
        ("image/png; ,text/html", "x.html", HTML),
        ("image/png;,text/html", "x.html", HTML),
        ("image/png; a=b,text/html", "x.html", HTML),
        ("font/x;, image/svg+xml", "x.svg", SVG),
    ] {
        let link = uploaded(&app, name, declared, text).await;
        urls.push(format!("http://{}{link}", app.client.0));
    }
    urls.push(format!(
        "http://{}/",
        served("text/html", HTML.into()).await
    ));
    let seen = play("pages", json!({ "urls": urls })).await;
    let seen = seen.as_array().unwrap();
    assert_eq!(seen[..2], [GREEN, GREEN]);
    let (plain, strange) = seen[2..].split_last().unwrap();
    assert!(
        plain == RED && strange.iter().all(|colour| colour != RED),
        "{seen:?}"
    );
}
