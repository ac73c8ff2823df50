//! Tests of the retry of requests, against a server in the store's place.

use futures_util::future::join_all;

use super::super::retry::TRIES_MAX;
use super::*;

/// There is one policy: neither the client of the store makes a request again by itself, nor a caller around it.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_fails_for_now_is_made_four_times_and_one_that_is_refused_once() {
    for (status, tries) in [
        ("503 Slow Down", TRIES_MAX),
        ("500 Internal Server Error", TRIES_MAX),
        ("400 Bad Request", 1),
        ("403 Forbidden", 1),
    ] {
        let (settings, server) = always(status, "").await;
        let store = open(&settings);
        let shared = &store.shared;
        let [whole, of_parts] = [1, 2].map(|number| shared.path(contract::key(12, number)));
        let (id, bytes) = ("id".to_owned(), Bytes::from_static(b"bytes"));
        let failed = tokio::join!(
            async { shared.put(&whole, bytes.clone(), "writer").await.is_err() },
            async {
                shared
                    .put_part(&of_parts, &id, 0, bytes.clone())
                    .await
                    .is_err()
            },
            async { shared.begin_upload(&of_parts, "writer").await.is_err() },
            async { shared.abort(&of_parts, &id).await.is_err() },
            async { shared.look(&whole).await.is_err() },
            async { shared.list(None, 1).await.is_err() },
            async { shared.remove(contract::key(12, 1)).await.is_err() },
        );
        assert_eq!(failed, (true, true, true, true, true, true, true));
        let mut counts = std::collections::BTreeMap::new();
        for line in server.asked() {
            *counts.entry(line).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 7, "{counts:?}");
        assert!(
            counts.values().all(|count| *count == tries),
            "{status} {counts:?}"
        );
    }
}

/// A transient error of S3 is made again, though its status is final with other codes.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_refused_for_now_is_sent_four_times() {
    let cases = [
        ("400 Bad Request", "RequestTimeout", TRIES_MAX),
        ("400 Bad Request", "IncompleteBody", TRIES_MAX),
        ("400 Bad Request", "ExpiredToken", TRIES_MAX),
        ("403 Forbidden", "RequestTimeTooSkewed", TRIES_MAX),
        ("409 Conflict", "OperationAborted", TRIES_MAX),
        ("500 Internal Server Error", "InternalError", TRIES_MAX),
        ("503 Slow Down", "SlowDown", TRIES_MAX),
        ("503 Service Unavailable", "ServiceUnavailable", TRIES_MAX),
        ("400 Bad Request", "BadDigest", 1),
        ("403 Forbidden", "AccessDenied", 1),
        ("404 Not Found", "NoSuchUpload", 1),
        ("507 Insufficient Storage", "InsufficientStorage", 1),
    ];
    join_all(cases.map(|(status, code, tries)| async move {
        let document = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
             <Message>m</Message><RequestId>r</RequestId></Error>"
        );
        let (settings, server) = answering(move |_| response(status, "", &document)).await;
        let store = open(&settings);
        let path = store.shared.path(contract::key(12, 3));
        let (id, part) = ("id".to_owned(), Bytes::from_static(b"bytes"));
        let sent = store.shared.put_part(&path, &id, 0, part).await;
        assert!(sent.is_err(), "{status} {code}");
        assert_eq!(server.asked().len(), tries as usize, "{status} {code}");
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_begun_again_leaves_its_permit_to_others_meanwhile() {
    let (settings, server) = answering(|line| match line.starts_with("POST") {
        true => response("503 Slow Down", "", ""),
        false => response("200 OK", "", ""),
    })
    .await;
    let store = open(&settings);
    let shared = &store.shared;
    let path = shared.path(contract::key(12, 4));
    assert_eq!(
        shared.turns.forget_permits(ASKED_AT_ONCE_MAX - 1),
        ASKED_AT_ONCE_MAX - 1
    );
    let (begun, looked) = tokio::join!(shared.begin_upload(&path, "writer"), shared.look(&path));
    assert!(begun.is_err());
    assert!(looked.unwrap().is_some());
    let asked = server.asked();
    let methods: Vec<&str> = asked.iter().filter_map(|line| line.get(..4)).collect();
    assert_eq!(methods, ["POST", "HEAD", "POST", "POST", "POST"]);
}

/// Makes a request that fails with each of these texts in turn, and then is never answered. Returns the text of the
/// error, the number of tries and the time that they took.
async fn tried(within: u64, answers: &[&'static str]) -> (String, usize, Duration) {
    let (begun, mut asked) = (std::time::Instant::now(), 0);
    let request = || {
        let answer = answers.get(asked).copied();
        asked += 1;
        async move {
            let Some(text) = answer else {
                return std::future::pending().await;
            };
            Err::<(), _>(object_store::Error::Generic {
                store: "S3",
                source: text.into(),
            })
        }
    };
    let answer = retried("testing", Duration::from_millis(within), request).await;
    let said = match answer {
        Ok(answer) => answer.unwrap_err().to_string(),
        Err(late) => late.to_string(),
    };
    (said, asked, begun.elapsed())
}

#[tokio::test]
async fn the_last_error_of_the_store_outlives_the_time_of_all_tries() {
    let (said, asked, _) = tried(1000, &["status code: 503: first"]).await;
    assert!(said.contains("first") && asked == 2, "{said} {asked}");
    let (said, asked, _) = tried(50, &[]).await;
    assert!(said.contains("no answer") && asked == 1, "{said} {asked}");
}

#[tokio::test]
async fn no_pause_begins_that_would_end_after_the_time_of_all_tries() {
    let (said, asked, took) = tried(190, &["status code: 503: first"]).await;
    assert!(said.contains("first") && asked == 1, "{said} {asked}");
    assert!(took < Duration::from_millis(190), "{took:?}");
}
