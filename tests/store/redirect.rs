//! Clients that are sent on to the store.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::processes::Installed;
use super::proxy::{Fault, Proxy};
use super::{prefix, sample};
use crate::cli::support::{Place, pause, until};
use crate::support::app::{PNG, TestApp};
use crate::support::client::Reply;
use crate::support::store::Store;

async fn place() -> Option<TestApp> {
    let store = Store::needed()?;
    let mut settings = store.settings(&prefix("redirect"));
    settings.push(("handover.mode", "redirect".to_owned()));
    let settings: Vec<_> = settings
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    Some(TestApp::start_with(&settings).await.with_org_123().await)
}

/// Where an answer sends its client.
#[track_caller]
fn location(reply: &Reply) -> String {
    assert_eq!(
        reply.status,
        302,
        "{}",
        String::from_utf8_lossy(&reply.body)
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(reply.header("content-length"), Some("0"));
    for name in [
        "etag",
        "content-type",
        "content-disposition",
        "accept-ranges",
    ] {
        assert_eq!(reply.header(name), None, "{name}");
    }
    reply.header("location").unwrap().to_owned()
}

/// What curl says of a URL: the head and the body.
fn curl(words: &[&str], url: &str) -> (String, Vec<u8>) {
    let output = Command::new("curl")
        .args(["-sS", "-i", "-m", "30"])
        .args(words)
        .arg(url)
        .output();
    let answer = output.unwrap().stdout;
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(answer[..end + 2].to_vec())
        .unwrap()
        .to_lowercase();
    (head, answer[end + 4..].to_vec())
}

/// The value of a parameter of a URL.
fn parameter(url: &str, name: &str) -> String {
    let query = url.split_once('?').unwrap().1;
    let found = query
        .split('&')
        .find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    found
        .unwrap_or_else(|| panic!("{name} in {url}"))
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_sends_its_client_on_to_the_store() {
    let Some(app) = place().await else {
        return;
    };
    let link = app.link("file_abc123", "").await;
    let url = location(&app.client.get(&link, &[]).await);
    let (head, body) = curl(&[], &url);
    assert!(head.starts_with("http/1.1 200 ok"), "{head}");
    for line in [
        "content-type: image/png\r\n",
        "content-disposition: inline; filename=\"report.png\"\r\n",
        "cache-control: private, max-age=3600\r\n",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert_eq!(body, PNG);
    let (head, body) = curl(&["-r", "2-5"], &url);
    assert!(head.starts_with("http/1.1 206"), "{head}");
    assert_eq!(body, &PNG[2..6]);
    // It is for this method alone, and nothing of it can be changed.
    let (head, _) = curl(&["-I"], &url);
    assert!(head.starts_with("http/1.1 403"), "{head}");
    let (head, _) = curl(&[], &url.replace("image%2Fpng", "text%2Fhtml"));
    assert!(head.starts_with("http/1.1 403"), "{head}");

    let url = location(&app.client.request("HEAD", &link, &[], b"").await);
    let (head, _) = curl(&["-I"], &url);
    assert!(head.starts_with("http/1.1 200 ok"), "{head}");
    assert!(head.contains("content-type: image/png\r\n"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stores_url_lives_a_minute_at_most_and_never_longer_than_the_link() {
    let Some(app) = place().await else {
        return;
    };
    let link = app.link("file_abc123", "expires_in=3600").await;
    for (at, lives) in [
        (0, "60"),
        (3539, "60"),
        (3540, "60"),
        (3541, "59"),
        (3599, "1"),
    ] {
        app.at(at);
        let url = location(&app.client.get(&link, &[]).await);
        assert_eq!(parameter(&url, "X-Amz-Expires"), lives, "{at}");
    }
    app.at(3600);
    app.client.get(&link, &[]).await.is_dead_link();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_for_one_address_is_answered_here() {
    let Some(app) = place().await else {
        return;
    };
    let link = app.link("file_abc123", "ip=127.0.0.1").await;
    let reply = app.client.get(&link, &[]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body, PNG);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_run_in_a_browser_is_saved() {
    let Some(app) = place().await else {
        return;
    };
    for (id, name, kind) in [
        ("file_html", "page.html", "text/html"),
        ("file_svg", "picture.svg", "image/svg+xml"),
        ("file_text", "notes.txt", "text/plain"),
    ] {
        app.add(id, name, b"<script>alert(1)</script>").await;
        let link = app.link(id, "").await;
        let (head, _) = curl(&[], &location(&app.client.get(&link, &[]).await));
        assert!(head.contains(&format!("content-type: {kind}")), "{head}");
        let saved = format!("content-disposition: attachment; filename=\"{name}\"\r\n");
        assert!(head.contains(&saved), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_is_told_the_charset_of_text() {
    let Some(app) = place().await else {
        return;
    };
    let long = "Gr\u{fc}\u{df}e ".repeat(1_000_000);
    for (id, bytes, kind) in [
        (
            "file_text",
            "Gr\u{fc}\u{df}e".as_bytes(),
            "text/plain; charset=utf-8",
        ),
        ("file_long", long.as_bytes(), "text/plain; charset=utf-8"),
        ("file_latin", b"Gr\xfc\xdfe", "text/plain"),
    ] {
        app.add(id, "notes.txt", bytes).await;
        let link = app.link(id, "").await;
        let (head, body) = curl(&[], &location(&app.client.get(&link, &[]).await));
        assert!(
            head.contains(&format!("content-type: {kind}\r\n")),
            "{head}"
        );
        assert!(body == bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_are_answered_before_anybody_is_sent_on() {
    let Some(app) = place().await else {
        return;
    };
    app.add("file_large", "large.bin", &sample(100_000)).await;
    let link = app.link("file_large", "").await;
    let etag = format!("\"{}\"", sha256(&sample(100_000)));
    let reply = app.client.get(&link, &[("If-None-Match", &etag)]).await;
    assert_eq!(reply.status, 304);
    let reply = app.client.get(&link, &[("If-Match", "\"other\"")]).await;
    assert_eq!(reply.status, 412);
    let dead = link.replace("token=", "token=x");
    app.client.get(&dead, &[]).await.is_dead_link();
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_of_the_store_before_a_client_is_sent_on() {
    let Some(store) = Store::needed() else {
        return;
    };
    let proxy = Proxy::before(&store.endpoint).await;
    let mut settings = store.settings(&prefix("asked"));
    settings[1].1 = proxy.url.clone();
    settings.push(("handover.mode", "redirect".to_owned()));
    let settings: Vec<_> = settings
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    let app = TestApp::start_with(&settings).await.with_org_123().await;
    let (link, here) = (
        app.link("file_abc123", "").await,
        app.link("file_abc123", "ip=127.0.0.1").await,
    );
    let before = proxy.seen().len();
    assert_eq!(app.client.get(&here, &[]).await.status, 200);
    assert!(
        proxy.seen().len() > before,
        "it was read, and not for nothing"
    );
    // As many as may wait for a store at once, each for a file of its own, and it says nothing to any of them.
    let mut stuck = Vec::new();
    for number in 0..70 {
        let id = format!("file_stuck{number}");
        app.add(&id, "stuck.bin", b"stuck").await;
        stuck.push(app.link(&id, "ip=127.0.0.1").await);
    }
    proxy.plan(|_| Fault::Silence);
    let before = proxy.seen().len();
    let waiting: Vec<_> = stuck
        .into_iter()
        .map(|link| {
            let client = app.client;
            tokio::spawn(async move { client.get(&link, &[]).await.status })
        })
        .collect();
    while proxy.seen().len() < before + 64 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    location(&app.client.get(&link, &[]).await);
    assert!(waiting.iter().all(|one| !one.is_finished()), "they wait");
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Gives credentials of the store to whoever asks, each good for no time, and slowly where it is told to.
struct Role {
    url: String,
    is_held: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Role {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/role", listener.local_addr().unwrap());
        let (is_held, asked) = (
            Arc::new(AtomicBool::default()),
            Arc::new(AtomicUsize::new(0)),
        );
        let (held, count) = (Arc::clone(&is_held), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (held, count) = (Arc::clone(&held), Arc::clone(&count));
                tokio::spawn(async move {
                    let _ = client.read(&mut [0; 4096]).await;
                    count.fetch_add(1, Relaxed);
                    while held.load(Relaxed) {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    let body = r#"{"AccessKeyId":"role","SecretAccessKey":"s","Token":"t","Expiration":"2020-01-01T00:00:00Z"}"#;
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                         Connection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = client.write_all((head + body).as_bytes()).await;
                });
            }
        });
        Self {
            url,
            is_held,
            asked,
        }
    }

    /// Holds the credentials back from whoever asks now, until `meanwhile` is done.
    fn hold<T>(&self, ask: impl FnOnce() -> T + Send, meanwhile: impl FnOnce()) -> T
    where
        T: Send,
    {
        let before = self.asked.load(Relaxed);
        self.is_held.store(true, Relaxed);
        std::thread::scope(|scope| {
            let asking = scope.spawn(ask);
            until("asking for credentials", || {
                self.asked.load(Relaxed) > before
            });
            meanwhile();
            self.is_held.store(false, Relaxed);
            asking.join().unwrap()
        })
    }
}

/// A process that is sent on to a store by credentials of a role, and the links that it opens.
#[test]
fn a_link_that_dies_while_credentials_are_waited_for_sends_nobody_on() {
    let Some(store) = Store::needed() else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let role = runtime.block_on(Role::start());
    let settings = store.settings(&prefix("role"));
    let mut installed = Installed {
        place: Place::new(),
        settings,
    };
    let file = installed.add("a.bin", &vec![1; 100_000]);
    let token = installed.place.file("token", b"token");
    installed.settings.truncate(2);
    installed.settings.extend([
        ("handover.mode", "redirect".to_owned()),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", role.url.clone()),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            token.display().to_string(),
        ),
    ]);
    let (serving, base) = installed.serve();
    let link = |seconds: &str| {
        let words = ["sign", "--public-base-url", &base, "--file", &file];
        let signed = installed.json(&[&words[..], &["--expires-in", seconds]].concat());
        let expires = signed["expires"].as_u64().unwrap();
        (signed["download_url"].as_str().unwrap().to_owned(), expires)
    };
    let seconds = |count: u64| {
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_secs(count) {
            pause();
        }
    };
    // A URL that was long in the making is not good for longer than the link is.
    let (url, expires) = link("20");
    let (head, _) = role.hold(|| curl(&[], &url), || seconds(3));
    assert!(head.starts_with("http/1.1 302"), "{head}");
    let to = head
        .lines()
        .find_map(|line| line.strip_prefix("location: "))
        .unwrap();
    let (date, lives) = (parameter(to, "x-amz-date"), parameter(to, "x-amz-expires"));
    let (day, time) = date.split_once('t').unwrap();
    let date = format!(
        "{}-{}-{}T{}:{}:{}Z",
        &day[..4],
        &day[4..6],
        &day[6..],
        &time[..2],
        &time[2..4],
        &time[4..6]
    );
    let signed: jiff::Timestamp = date.parse().unwrap();
    let ends = signed.as_second().cast_unsigned() + lives.parse::<u64>().unwrap();
    println!("a URL until {ends} for a link until {expires}");
    assert_eq!(ends, expires);
    // One whose link is over, or was revoked, is not given.
    let (url, _) = link("2");
    let (head, _) = role.hold(|| curl(&[], &url), || seconds(3));
    assert!(head.starts_with("http/1.1 401"), "{head}");
    let (url, _) = link("600");
    let revoke = || {
        let done = installed.command(&["revoke", &url]).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        seconds(2);
    };
    let (head, _) = role.hold(|| curl(&[], &url), revoke);
    assert!(head.starts_with("http/1.1 401"), "{head}");
    serving.stop("TERM");
}
