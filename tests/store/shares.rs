//! Shares, and what is counted, whose bytes are in a store: whole, in parts, and as one archive.

use super::prefix;
use crate::archives::unzipped;
use crate::share_pages::{big, counted, counts, of, share, started};
use crate::support::app::TestApp;
use crate::support::store::Store;

/// A gateway with its bytes in the store, which hands them over in this way.
async fn place(mode: &str) -> Option<TestApp> {
    let store = Store::needed()?;
    let mut settings = store.settings(&prefix("shares"));
    settings.push(("handover.mode", mode.to_owned()));
    settings.push(("server.trusted_proxies", "127.0.0.1".to_owned()));
    let settings: Vec<_> = settings
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    let app = TestApp::start_with(&settings).await.with_org_123().await;
    app.add("file_big", "big file.bin", &big()).await;
    Some(app)
}

/// Others are sent on to the store. What is counted is not: its bytes would not be seen.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_comes_from_here_however_bytes_are_handed_over() {
    for mode in ["stream", "redirect"] {
        let Some(app) = place(mode).await else {
            return;
        };
        let link = app.link("file_big", "").await;
        let expected = if mode == "redirect" { 302 } else { 200 };
        assert_eq!(app.client.get(&link, &[]).await.status, expected);
        // A counted link, a counted share of one file, and one of several.
        let link = app.link("file_big", "max_downloads=1").await;
        let reply = app.client.request("POST", &link, &[], b"").await;
        let one = share(&app, counted(&["file_big"], 1)).await;
        let all = share(&app, counted(&["file_big", "file_def456"], 1)).await;
        let tickets = [
            reply.header("location").unwrap().to_owned(),
            started(&app, &one, "192.0.2.1").await,
            started(&app, &all, "192.0.2.1").await,
        ];
        for (which, ticket) in tickets.iter().enumerate() {
            let head = app.client.request("HEAD", ticket, &[], b"").await;
            let whole = app.client.get(ticket, &[]).await;
            assert_eq!((head.status, whole.status), (200, 200), "{mode}, {which}");
            assert_eq!(
                head.header("content-length"),
                whole.header("content-length")
            );
            let part = app
                .client
                .get(ticket, &[("Range", "bytes=1000-99999")])
                .await;
            assert_eq!(part.status, 206, "{mode}, {which}");
            assert!(part.body == whole.body[1_000..100_000], "{mode}, {which}");
            let bytes = match which {
                2 => unzipped(&whole.body)["big file.bin"].clone(),
                _ => whole.body,
            };
            assert!(bytes == big(), "{mode}, {which}");
        }
        for shared in [&one, &all] {
            let found = counts(&app, shared).await;
            assert_eq!((found.done, found.open), (1, 0), "{mode}");
        }
        let open = share(&app, of(&["file_big"])).await;
        let path = open.at("/files/1/big%20file.bin");
        let reply = app.client.get(&path, &[]).await;
        assert_eq!((reply.status, reply.body == big()), (200, true), "{mode}");
    }
}
