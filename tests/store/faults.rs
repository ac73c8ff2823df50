//! A store that breaks off, says no, falls silent or answers with something else.

use std::time::{Duration, Instant};

use hallpass::gateway::revocations::STALENESS_MAX;

use super::proxy::{Fault, Proxy, header};
use super::{found, prefix, sample};
use crate::support::app::TestApp;
use crate::support::client::Reply;
use crate::support::form::{FORM, Form};
use crate::support::store::Store;

const SIZE: usize = 1024 * 1024;
const UPLOAD: &str = "/v1/organizations/org_123/files/upload";

/// What passes until the gateway asks the store again whether a file that it keeps open is still there.
async fn forget() {
    tokio::time::sleep(STALENESS_MAX * 2).await;
}

/// A gateway with a file of a megabyte and its link, behind a proxy.
struct Place {
    app: TestApp,
    proxy: Proxy,
    link: String,
    prefix: String,
    store: Store,
}

async fn place(name: &str) -> Option<Place> {
    // Whatever is kept open would not be asked for again.
    place_with(name, "0").await
}

/// The same, where so many files stay open.
async fn place_with(name: &str, open_files: &str) -> Option<Place> {
    let store = Store::needed()?;
    let (proxy, prefix) = (Proxy::before(&store.endpoint).await, prefix(name));
    let mut settings = store.settings(&prefix);
    settings[1].1 = proxy.url.clone();
    let settings: Vec<_> = settings
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    let settings = [settings, vec![("cache.open_files", open_files)]].concat();
    let app = TestApp::start_with(&settings).await.with_org_123().await;
    app.add("file_large", "large.bin", &sample(SIZE)).await;
    let link = app.link("file_large", "").await;
    Some(Place {
        app,
        proxy,
        link,
        prefix,
        store,
    })
}

impl Place {
    async fn get(&self, headers: &[(&str, &str)]) -> Reply {
        self.app.client.get(&self.link, headers).await
    }

    async fn upload(&self, bytes: &[u8]) -> Reply {
        let form = Form::default().file("new.bin", bytes).close();
        let headers = [("X-API-Key", "k1"), FORM];
        self.app
            .client
            .request("POST", UPLOAD, &headers, &form)
            .await
    }

    /// What comes of a download that cannot be whole: fewer bytes than were announced.
    async fn aborted(&self) -> usize {
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            self.link
        );
        let answer = self.app.client.exchange(request.as_bytes(), false).await;
        let end = answer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        assert!(head.starts_with("http/1.1 200 ok"), "{head}");
        assert!(
            head.contains(&format!("\r\ncontent-length: {SIZE}")),
            "{head}"
        );
        let body = &answer[end + 4..];
        assert!(body.len() < SIZE, "it looks whole");
        assert!(*body == sample(SIZE)[..body.len()], "what came is right");
        body.len()
    }
}

/// Whether a request is for bytes; a list names them in its query, where a slash is escaped.
fn is_download(head: &str) -> bool {
    head.starts_with("GET ") && head.contains("/blobs/")
}

/// A plan for downloads alone.
fn of_get(mut fault: impl FnMut() -> Fault + Send + 'static) -> impl FnMut(&str) -> Fault + Send {
    move |head| {
        if is_download(head) {
            fault()
        } else {
            Fault::None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_the_store_cuts_is_resumed_and_whole() {
    let Some(place) = place("cut").await else {
        return;
    };
    let mut left = 7;
    place.proxy.plan(of_get(move || {
        left -= 1;
        if left >= 0 {
            Fault::CutAfter(100_000)
        } else {
            Fault::None
        }
    }));
    let reply = place.get(&[]).await;
    assert!(reply.status == 200 && reply.body == sample(SIZE));
    let seen = place.proxy.seen();
    let gets: Vec<&String> = seen.iter().filter(|head| is_download(head)).collect();
    assert_eq!(gets.len(), 8, "{gets:?}");
    for (number, head) in gets.iter().enumerate() {
        let wanted = format!("bytes={}-{}", number * 100_000, SIZE - 1);
        assert_eq!(header(head, "range"), Some(wanted.as_str()));
        assert!(header(head, "if-match").is_some(), "{head}");
    }
    // A part of it, too.
    place.proxy.plan(of_get({
        let mut left = 2;
        move || {
            left -= 1;
            if left >= 0 {
                Fault::CutAfter(10)
            } else {
                Fault::None
            }
        }
    }));
    let part = place
        .get(&[("Range", "bytes=1000-400999,500000-500099")])
        .await;
    assert_eq!(part.status, 206);
    let (whole, body) = (sample(SIZE), part.body);
    for range in [1000..401_000, 500_000..500_100] {
        let wanted = &whole[range];
        assert!(body.windows(wanted.len()).any(|window| window == wanted));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_never_gets_on_is_aborted_after_a_few_tries() {
    let Some(place) = place("never").await else {
        return;
    };
    place.proxy.plan(of_get(|| Fault::CutAfter(1000)));
    let begun = Instant::now();
    let came = place.aborted().await;
    let tries = place
        .proxy
        .seen()
        .iter()
        .filter(|head| is_download(head))
        .count();
    println!("{came} bytes in {tries} tries, {:?}", begun.elapsed());
    assert!((1000..64_000).contains(&came), "{came}");
    assert!((4..=64).contains(&tries), "{tries}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_what_was_asked_for_is_never_sent_as_if_it_were() {
    let Some(place) = place("other").await else {
        return;
    };
    for (from, to) in [
        ("ETag: \"", "ETag: \"0"),
        ("206 Partial Content", "200 OK"),
        ("Content-Range: bytes 0-", "Content-Range: bytes 1-"),
        ("/1048576", "/1048577"),
    ] {
        place.proxy.plan(of_get(move || Fault::Edit(from, to)));
        assert_eq!(place.aborted().await, 0, "{to}");
    }
    place.proxy.plan(|_| Fault::None);
    assert_eq!(place.get(&[]).await.body.len(), SIZE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_store_is_waited_for() {
    let Some(place) = place("slow").await else {
        return;
    };
    place.proxy.plan(|_| Fault::Slowly);
    assert!(place.get(&[]).await.body == sample(SIZE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_says_no_is_a_503_with_a_retry_after_and_never_a_500() {
    let Some(place) = place("no").await else {
        return;
    };
    for fault in [
        Fault::Answer(500, "InternalError"),
        Fault::Answer(503, "SlowDown"),
        Fault::Answer(403, "SignatureDoesNotMatch"),
        Fault::Answer(404, "NoSuchBucket"),
        Fault::Answer(400, "ExpiredToken"),
        Fault::Close,
    ] {
        place.proxy.plan(move |_| fault);
        let begun = Instant::now();
        let mut replies = vec![place.get(&[]).await, place.upload(b"small").await];
        replies.push(place.upload(&sample(12 * 1024 * 1024)).await);
        for reply in replies {
            reply.refused(503, "SERVICE_UNAVAILABLE");
            assert!(reply.header("retry-after").is_some());
        }
        let head = place
            .app
            .client
            .request("HEAD", &place.link, &[], b"")
            .await;
        assert_eq!(head.status, 503);
        println!("{fault:?}: {:?}", begun.elapsed());
    }
    place.proxy.plan(|_| Fault::None);
    assert_eq!(place.get(&[]).await.status, 200);
    assert_eq!(place.upload(b"small").await.status, 201);
    let behind = place.store.behind(&place.prefix);
    assert_eq!(found(&behind).await, (0, 4), "nothing else was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_falls_silent_is_a_503_in_bounded_time() {
    let Some(place) = place("silent").await else {
        return;
    };
    place.proxy.plan(|_| Fault::Silence);
    let begun = Instant::now();
    let reply = place.get(&[]).await;
    println!("{:?}", begun.elapsed());
    reply.refused(503, "SERVICE_UNAVAILABLE");
    assert!(begun.elapsed() < Duration::from_secs(100));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_fails_a_few_times_is_there_once() {
    let Some(place) = place("again").await else {
        return;
    };
    // Both are lost on the way: the request, and the answer to one that was carried out.
    let faults = [
        Fault::Answer(503, "SlowDown"),
        Fault::Close,
        Fault::LoseAnswer,
        Fault::CutAfter(0),
        Fault::AnswerInstead(502, "BadGateway"),
        Fault::AnswerInstead(500, "InternalError"),
    ];
    // All that writes, what puts an object or a part, what begins an upload, what completes it.
    let kinds = [" ", "PUT ", "?uploads", "?uploadId="];
    let behind = place.store.behind(&place.prefix);
    let (mut kept, mut begun) = (found(&behind).await.1, 0);
    for (fault, kind) in faults
        .iter()
        .flat_map(|fault| kinds.map(|kind| (*fault, kind)))
    {
        for bytes in [sample(100_000), sample(6 * 1024 * 1024)] {
            let mut left = 2;
            place.proxy.plan(move |head| {
                let line = head.lines().next().unwrap();
                let is_write = line.starts_with("PUT ") || line.starts_with("POST ");
                if is_write && line.contains(kind) {
                    left -= 1;
                    if left >= 0 {
                        return fault;
                    }
                }
                Fault::None
            });
            let reply = place.upload(&bytes).await;
            assert_eq!(reply.status, 201, "{fault:?} {kind} {}", bytes.len());
            let json = reply.json();
            let link = place.app.link(json["id"].as_str().unwrap(), "").await;
            let came = place.app.client.get(&link, &[]).await.body;
            assert!(came == bytes, "{fault:?} {kind}");
            kept += 1;
            // What began an upload and was answered to nobody is left to a sweep.
            let is_heard = matches!(fault, Fault::Answer(..) | Fault::Close);
            if !is_heard && bytes.len() > SIZE && [" ", "?uploads"].contains(&kind) {
                begun += 2;
            }
            assert_eq!(found(&behind).await, (begun, kept), "{fault:?} {kind}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_gone_or_others_are_an_error_on_our_side() {
    use hallpass::blob::BlobStore as _;
    let Some(place) = place("gone").await else {
        return;
    };
    let behind = place.store.behind(&place.prefix);
    for (key, _) in behind.list(None, 9).await.unwrap() {
        behind.remove(key).await.unwrap();
    }
    forget().await;
    let reply = place.get(&[]).await;
    reply.refused(500, "INTERNAL_ERROR");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_opens_a_file_looks_at_it_once_however_late_the_store_answers() {
    let Some(place) = place_with("crowd", "9").await else {
        return;
    };
    place.proxy.plan(|head| match head.starts_with("HEAD ") {
        true => Fault::Late,
        false => Fault::None,
    });
    let looks = || {
        let seen = place.proxy.seen();
        seen.iter().filter(|head| head.starts_with("HEAD ")).count()
    };
    let before = looks();
    // The first crowd opens it, the second looks whether it is still there.
    for asked in 1..=2 {
        let crowd = (0..40).map(|_| place.get(&[("range", "bytes=7-9")]));
        for reply in futures_util::future::join_all(crowd).await {
            assert_eq!(
                reply.status,
                206,
                "{}",
                String::from_utf8_lossy(&reply.body)
            );
            assert_eq!(reply.body, sample(SIZE)[7..10]);
        }
        assert_eq!(looks() - before, asked);
        forget().await;
    }
    // What the store said counts from its answer on.
    assert_eq!(place.get(&[]).await.status, 200);
    let answered = Instant::now();
    assert_eq!(place.get(&[]).await.status, 200);
    let took = answered.elapsed();
    println!("asked again after {took:?}");
    assert!(took > STALENESS_MAX / 2 || looks() - before == 3);
}
