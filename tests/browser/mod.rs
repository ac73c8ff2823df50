//! A real browser: pictures and frames show what a link opens, and a link that stays the same is
//! answered from the browser's own cache.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::app::TestApp;
use crate::support::form::{FORM, Form};

/// How long the browser may take over one page.
const PATIENCE: Duration = Duration::from_secs(60);

/// Loads a page in a browser with this profile, and answers the document as it then is.
async fn load(profile: &Path, url: &str) -> String {
    let mut browser = tokio::process::Command::new("chromium");
    let quiet = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
                 --disable-background-networking --disable-component-update --disable-sync --dump-dom";
    browser
        .args(quiet.split_whitespace())
        .arg(format!("--user-data-dir={}", profile.display()));
    browser
        .arg(url)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, browser.output())
        .await
        .expect("a page in time");
    String::from_utf8(
        output
            .expect("chromium is installed; tests/run does that")
            .stdout,
    )
    .unwrap()
}

/// Serves one page at every path.
async fn page(html: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{html}",
        html.len()
    );
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 8192]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

/// Stands before a gateway, and counts the requests for bytes that pass through.
async fn counter(gateway: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(relay(client, gateway, Arc::clone(&counted)));
        }
    });
    (address, count)
}

async fn relay(mut client: TcpStream, gateway: SocketAddr, counted: Arc<AtomicUsize>) {
    let mut server = TcpStream::connect(gateway).await.unwrap();
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let up = async {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            // A browser sends the head of a request in one piece.
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            counted.fetch_add(text.matches("/download?expires=").count(), Ordering::SeqCst);
            if to_server.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
        let _ = to_server.shutdown().await;
    };
    let down = async { drop(tokio::io::copy(&mut from_server, &mut to_client).await) };
    tokio::join!(up, down);
}

/// A page that shows the picture and says how wide it came out.
fn showing(link: &str) -> String {
    format!(
        "<!doctype html><title>waiting</title><img src=\"{link}\" \
         onload=\"document.title = 'width ' + this.naturalWidth\" onerror=\"document.title = 'broken'\">"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_stays_the_same_is_answered_from_the_browsers_cache() {
    let app = TestApp::start_with(&[("links.expiry_window", "600")])
        .await
        .with_org_123()
        .await;
    let (front, count) = counter(app.client.0).await;
    let profile = tempfile::tempdir().unwrap();
    for (seconds, requests) in [(0, 1), (60, 1)] {
        app.at(seconds);
        let link = format!("http://{front}{}", app.link("file_abc123", "").await);
        let url = format!("http://{}/", page(showing(&link)).await);
        let document = load(profile.path(), &url).await;
        assert!(document.contains("<title>width 1</title>"), "{document}");
        assert_eq!(
            count.load(Ordering::SeqCst),
            requests,
            "after the page {seconds} s later"
        );
    }
    // Without a window the same file has another link, and the browser must ask again.
    let link = format!(
        "http://{front}{}",
        app.link("file_abc123", "expiry_window=0").await
    );
    let url = format!("http://{}/", page(showing(&link)).await);
    load(profile.path(), &url).await;
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

const SCRIPT: &[u8] = b"<!doctype html><title>plain</title><script>document.title = 'ran'</script>";
const SVG: &[u8] =
    b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"document.documentElement.id = 'ran'\"/>";

/// Uploads bytes under the type that a stranger says they have, and answers a link to them.
async fn uploaded(app: &TestApp, name: &str, declared: &str, bytes: &[u8]) -> String {
    let head = format!(
        "Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: {declared}"
    );
    let form = Form::default().part(&head, bytes).close();
    let path = "/v1/organizations/org_123/files/upload";
    let headers = [("X-API-Key", "k1"), FORM];
    let reply = app.client.request("POST", path, &headers, &form).await;
    app.link(reply.json()["id"].as_str().unwrap(), "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_in_uploads_do_not_run_and_dead_links_are_a_page() {
    let app = TestApp::start().await.with_org_123().await;
    app.add("file_html", "x.html", SCRIPT).await;
    app.add("file_svg", "x.svg", SVG).await;
    let profile = tempfile::tempdir().unwrap();
    let base = format!("http://{}", app.client.0);
    let html = load(
        profile.path(),
        &format!("{base}{}", app.link("file_html", "").await),
    )
    .await;
    assert!(html.contains("<title>plain</title>"), "{html}");
    let svg = load(
        profile.path(),
        &format!("{base}{}", app.link("file_svg", "").await),
    )
    .await;
    assert!(svg.contains("<svg") && !svg.contains("id=\"ran\""), "{svg}");
    for declared in [
        "image/png; ,text/html",
        "image/png;,text/html",
        "image/png; a=b,text/html",
        "font/x;, image/svg+xml",
    ] {
        let (name, bytes) = match declared.contains("svg") {
            true => ("x.svg", SVG),
            false => ("x.html", SCRIPT),
        };
        let link = uploaded(&app, name, declared, bytes).await;
        let shown = load(profile.path(), &format!("{base}{link}")).await;
        assert!(
            !shown.contains("ran</title>") && !shown.contains("id=\"ran\""),
            "{declared}: {shown}"
        );
    }
    let dead = app.link("file_html", "").await.replace("token=", "token=x");
    let dead = load(profile.path(), &format!("{base}{dead}")).await;
    assert!(dead.contains("<h1>This link does not open</h1>"), "{dead}");
}
