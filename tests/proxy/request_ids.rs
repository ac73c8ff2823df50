//! Which request ids the log has as they were sent: those of a trusted proxy, and nobody else's.

use std::path::Path;
use std::process::Command;

use crate::support::app::TestApp;
use crate::support::secrets::{logged, logged_once_any};

const KOODRIVE: &str = "/koodrive/ose/v1/files/download";

/// Posts with these headers, and answers the head that comes back.
fn post(words: &[&str], url: &str, headers: &[String]) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-m", "20", "-i", "-X", "POST"])
        .args(words);
    for header in headers {
        curl.args(["-H", header]);
    }
    let output = curl.arg(url).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().to_lowercase()
}

/// The ids of one request, which no other test sends.
fn drawn() -> (String, String) {
    let id = uuid::Uuid::new_v4();
    let traceid = format!("{:0<58}", uuid::Uuid::new_v4().simple().to_string());
    (id.to_string(), traceid)
}

async fn app(trusted: &str, socket: &Path) -> TestApp {
    let at = format!("unix:{}", socket.display());
    let mut settings = vec![
        ("server.listen", "127.0.0.1:0"),
        ("server.listen", at.as_str()),
        ("server.http2", "on"),
    ];
    if !trusted.is_empty() {
        settings.push(("server.trusted_proxies", trusted));
    }
    TestApp::start_with(&settings).await.with_org_123().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_trusted_proxy_s_ids_are_logged_as_they_are() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("h.sock");
    for trusted in ["", "127.0.0.1", "unix", "192.0.2.0/24"] {
        let app = app(trusted, &socket).await;
        let base = format!("http://{}", app.client.0);
        let path = socket.to_str().unwrap();
        let ways: [(&[&str], &str, bool); 3] = [
            (&["--http1.1"], &base, trusted == "127.0.0.1"),
            (&["--http2-prior-knowledge"], &base, trusted == "127.0.0.1"),
            (&["--unix-socket", path], "http://x", trusted == "unix"),
        ];
        for (words, base, is_trusted) in ways {
            let (id, traceid) = drawn();
            let ids = [
                format!("X-Request-Id: {id}"),
                format!("X-Traceid: {traceid}"),
            ];
            let answer = post(words, &format!("{base}{KOODRIVE}"), &ids);
            for (name, sent) in [("x-request-id", &id), ("x-traceid", &traceid)] {
                assert!(answer.contains(&format!("{name}: {sent}")), "{answer}");
                let hash = app.gateway.log_hash(sent.as_bytes());
                logged_once_any(&[sent, &hash]).await;
                assert_eq!(!logged(sent).is_empty(), is_trusted, "{trusted:?} {name}");
                assert_eq!(logged(&hash).is_empty(), is_trusted, "{trusted:?} {name}");
            }
            // One that a proxy left beside its own is a client's, and so is one that is not repeated.
            let (twice, odd) = (drawn().0, format!("{}/", drawn().0));
            let two = [format!("X-Request-Id: {twice}"), ids[0].clone()];
            post(words, &format!("{base}/x"), &two);
            post(
                words,
                &format!("{base}/x"),
                &[format!("X-Request-Id: {odd}")],
            );
            for sent in [&twice, &odd] {
                let hash = app.gateway.log_hash(sent.as_bytes());
                logged_once_any(&[sent, &hash]).await;
                assert_eq!(logged(sent), [""; 0], "{trusted:?}");
                assert_eq!(logged(&hash).len(), 1, "{trusted:?} {hash}");
            }
        }
        app.stop().await;
    }
}
