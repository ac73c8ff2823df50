//! What counts as a download of the whole file, by every transport.

use std::path::Path;

use hallpass::model::count::Counted;
use hallpass::model::id::{FileId, OrganizationId};

use super::Pair;
use super::tools::output;
use crate::cli::support::until;
use crate::support::app::TestApp;

/// What is asked for, of a file of so many bytes, and whether the answer has all of them.
fn asked(size: usize) -> Vec<(Vec<String>, bool)> {
    let range = |text: String| vec!["-H".to_owned(), format!("Range: bytes={text}")];
    let (half, last) = (size / 2, size - 1);
    vec![
        (vec![], true),
        (range("0-".into()), true),
        (range(format!("0-{last}")), true),
        (range(format!("0-{}", 10 * size)), true),
        (range(format!("-{size}")), true),
        // They touch, so they are joined to one.
        (range(format!("0-{half},{}-", half + 1)), true),
        (range("1-".into()), false),
        (range(format!("0-{}", last - 1)), false),
        (range("-1".into()), false),
        (range(format!("0-{half},{}-", half + 2)), false),
    ]
}

/// How many downloads the audit stream has, which is told of one after it was counted, and how many of them
/// were whole.
fn recorded(audit: &Path) -> (usize, usize) {
    let text = std::fs::read_to_string(audit).unwrap_or_default();
    let downloads = text.lines().filter(|line| line.contains("\"download\""));
    let whole = |line: &&str| line.contains("\"outcome\":\"whole\"");
    (downloads.clone().count(), downloads.filter(whole).count())
}

/// How many downloads of a file the catalogue has, and how many of them were whole.
async fn counted(app: &TestApp, file: &str) -> (u64, u64) {
    app.gateway.flush_counts().await.unwrap();
    let organization = OrganizationId::parse("org_123").unwrap();
    let file = FileId::parse(file).unwrap();
    let counts = app
        .gateway
        .counts(&organization, Counted::File(&file))
        .await;
    let counts = counts.unwrap();
    (counts.downloads, counts.whole)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_answer_with_the_whole_file_is_a_whole_download() {
    let pair = Pair::new();
    let socket = pair.directory.path().join("h.sock");
    let at = format!("unix:{}", socket.display());
    let settings = [("server.http2", "on"), ("server.listen", at.as_str())];
    let (app, tls) = pair.app(&settings).await;
    let audit = app.directory.path().join("audit.jsonl");
    let certificate = pair.certificate().display().to_string();
    let socket = socket.display().to_string();
    let (plain, secure) = (
        format!("http://{}", app.client.0),
        format!("https://localhost:{}", tls.port()),
    );
    let ways: [(&str, &[&str], &str); 5] = [
        ("h1", &["--http1.1", "--ipv4"], &plain),
        (
            "h1_tls",
            &["--ipv4", "--http1.1", "--cacert", &certificate],
            &secure,
        ),
        ("h2", &["--http2-prior-knowledge", "--ipv4"], &plain),
        (
            "h2_tls",
            &["--ipv4", "--http2", "--cacert", &certificate],
            &secure,
        ),
        ("unix", &["--http1.1", "--unix-socket", &socket], "http://x"),
    ];
    let (mut downloads, mut whole_downloads) = (0, 0);
    // One that is kept in memory and goes out at once, and one that the kernel may send.
    for size in [1_000, 300_000] {
        for (way, words, base) in ways {
            let file = format!("file_{way}_{size}");
            app.add(&file, "x.bin", &vec![7; size]).await;
            let url = format!("{base}{}", app.link(&file, "").await);
            let (mut of_file, mut whole) = (0, 0);
            for (more, is_whole) in asked(size) {
                let more: Vec<&str> = more.iter().map(String::as_str).collect();
                let words = [&["-sS", &url], words, &more].concat();
                output("curl", &words).await;
                of_file += 1;
                whole += u64::from(is_whole);
                downloads += 1;
                whole_downloads += usize::from(is_whole);
                until("its line", || recorded(&audit).0 == downloads);
                assert_eq!(recorded(&audit).1, whole_downloads, "{way} {more:?}");
                assert_eq!(
                    counted(&app, &file).await,
                    (of_file, whole),
                    "{way} {more:?}"
                );
            }
            // No bytes are no download, and no whole one.
            for more in [&["-I"][..], &["-H", "If-None-Match: *"]] {
                let words = [&["-sS", &url, "-o", "/dev/null"], words, more].concat();
                let mut curl = tokio::process::Command::new("curl");
                // What a client makes of such an answer is another test's.
                curl.args(words).status().await.unwrap();
                downloads += 1;
            }
            until("their lines", || recorded(&audit).0 == downloads);
            assert_eq!(counted(&app, &file).await, (of_file, whole), "{way}");
            assert_eq!(recorded(&audit).1, whole_downloads, "{way}");
        }
    }
    app.stop().await;
}
