//! Conditions (RFC 9110, §13): a good link is needed before any of them. What each of them comes to stands
//! in `answers.txt`.

use crate::support::app::{PNG, TestApp};

const OUR_DATE: &str = "Mon, 18 May 2026 15:34:52 GMT";
const EARLIER: &str = "Thu, 01 Jan 1970 00:00:00 GMT";

#[tokio::test]
async fn a_412_says_in_words_what_failed() {
    let app = TestApp::start().await.with_org_123().await;
    let link = app.link("file_abc123", "").await;
    let reply = app.client.get(&link, &[("If-Match", "\"zz\"")]).await;
    reply.refused(412, "PRECONDITION_FAILED");
}

#[tokio::test]
async fn a_304_says_what_the_200_would_and_has_no_body() {
    let app = TestApp::start().await.with_org_123().await;
    let link = app.link("file_abc123", "").await;
    let whole = app.client.get(&link, &[]).await;
    let reply = app.client.get(&link, &[("If-None-Match", "*")]).await;
    assert_eq!((reply.status, reply.body.len()), (304, 0));
    let same = [
        "etag",
        "last-modified",
        "cache-control",
        "x-content-type-options",
        "referrer-policy",
        "x-robots-tag",
        "cross-origin-resource-policy",
        "access-control-allow-origin",
    ];
    for name in same {
        assert!(reply.header(name).is_some());
        assert_eq!(reply.header(name), whole.header(name), "{name}");
    }
    for name in [
        "content-type",
        "content-length",
        "content-disposition",
        "x-request-id",
        "set-cookie",
    ] {
        assert_eq!(reply.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn no_condition_opens_a_dead_link() {
    let app = TestApp::start().await.with_org_123().await;
    let link = app.link("file_abc123", "").await;
    app.at(3_600);
    for headers in [
        [("If-None-Match", "*")],
        [("If-Match", "\"zz\"")],
        [("If-Modified-Since", OUR_DATE)],
        [("If-Unmodified-Since", EARLIER)],
        [("Range", "bytes=999999999-")],
    ] {
        app.client.get(&link, &headers).await.is_dead_link();
    }
}

#[tokio::test]
async fn browsers_forget_the_bytes_with_the_link_where_that_is_wanted() {
    let app = TestApp::start_with(&[("links.cap_cache_to_expiry", "true")])
        .await
        .with_org_123()
        .await;
    let link = app.link("file_abc123", "").await;
    for (seconds, max_age) in [(0, 3_600), (1, 3_599), (3_599, 1)] {
        app.at(seconds);
        let reply = app.client.get(&link, &[]).await;
        let says = format!("private, max-age={max_age}");
        assert_eq!(
            (reply.header("cache-control"), reply.body.as_slice()),
            (Some(says.as_str()), PNG)
        );
    }
    app.at(0);
    let long = app.link("file_abc123", "expires_in=86400").await;
    let reply = app.client.get(&long, &[]).await;
    assert_eq!(reply.header("cache-control"), Some("private, max-age=3600"));
}
