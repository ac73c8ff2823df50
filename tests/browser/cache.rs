//! What a browser keeps it does not ask for again.

use super::*;
use crate::support::app::TestApp;
use crate::support::front::Front;

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_stays_the_same_is_answered_from_the_browsers_cache() {
    let app = TestApp::start_with(&[("links.expiry_window", "600")])
        .await
        .with_org_123()
        .await;
    let front = Front::open_before(app.client.0).await;
    let profile = tempfile::tempdir().unwrap();
    // Without a window the same file has another link, and the browser must ask again.
    for (seconds, options, requests) in [(0, "", 1), (60, "", 1), (60, "expiry_window=0", 2)] {
        app.at(seconds);
        let link = app.link("file_abc123", options).await;
        let url = page(&format!("<img src=\"http://{}{link}\">", front.address)).await;
        let width = play_as(profile.path(), "picture", json!({ "url": url })).await;
        assert_eq!(width, 1, "the picture is shown");
        assert_eq!(
            front.asked().len(),
            requests,
            "{seconds} s later, {options}"
        );
    }
}
