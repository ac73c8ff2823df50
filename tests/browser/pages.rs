//! What a person sees whose link does not open.

use super::*;
use crate::support::app::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_link_is_a_page_to_read_in_light_and_dark() {
    let app = TestApp::start().await.with_org_123().await;
    let dead = app
        .link("file_abc123", "")
        .await
        .replace("token=", "token=x");
    let url = format!("http://{}{dead}", app.client.0);
    let pictures = format!("{}/dead-link", env!("CARGO_TARGET_TMPDIR"));
    let seen = play("words", json!({ "url": url, "pictures": pictures })).await;
    let text = seen["text"].as_array().unwrap();
    assert_eq!(
        (&seen["status"], &seen["heading"]),
        (&json!(401), &json!("This link does not open"))
    );
    assert_eq!(
        text[0],
        "It has expired or is not valid. Please ask whoever sent it to you for a new one."
    );
    assert!(text[1].as_str().unwrap().starts_with("Trace "), "{text:?}");
    assert_eq!(seen["column"], "512px", "its own style is let in");
    assert_eq!(seen["overflow"], 0);
    assert_eq!(seen["backgrounds"], json!(["#ffffff", "#121212"]));
}
