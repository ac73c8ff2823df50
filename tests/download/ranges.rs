//! Ranges (RFC 9110, §14).

use std::ops::Range;

use crate::support::app::TestApp;
use crate::support::client::Reply;

const SIZE: u64 = 700_000;

fn bytes() -> Vec<u8> {
    (0..SIZE)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0])
        .collect()
}

async fn fixture() -> (TestApp, String) {
    let app = TestApp::start().await.with_org_123().await;
    app.add("file_big", "big.bin", &bytes()).await;
    let link = app.link("file_big", "").await;
    (app, link)
}

async fn ranged(app: &TestApp, link: &str, range: &str) -> Reply {
    app.client.get(link, &[("Range", range)]).await
}

#[tokio::test]
async fn several_ranges_are_parts_in_the_order_asked_for() {
    let (app, link) = fixture().await;
    let bytes = bytes();
    let cases: [(&str, &[Range<usize>]); 4] = [
        ("bytes=0-9,20-29", &[0..10, 20..30]),
        ("bytes=-10, 0-0", &[699_990..700_000, 0..1]),
        (
            "bytes=500000-650000,0-299999,100-200",
            &[500_000..650_001, 0..300_000],
        ),
        (
            "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14",
            &[0..1, 2..3, 4..5, 6..7, 8..9, 10..11, 12..13, 14..15],
        ),
    ];
    for (range, parts) in cases {
        let reply = ranged(&app, &link, range).await;
        assert_eq!(reply.status, 206, "{range}");
        assert_eq!(reply.header("content-range"), None);
        let kind = reply.header("content-type").unwrap();
        let boundary = kind
            .strip_prefix("multipart/byteranges; boundary=")
            .unwrap();
        let mut expected = Vec::new();
        for part in parts {
            let place = format!("bytes {}-{}/{SIZE}", part.start, part.end - 1);
            let head = format!(
                "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: {place}\r\n\r\n"
            );
            expected.extend_from_slice(head.as_bytes());
            expected.extend_from_slice(&bytes[part.clone()]);
        }
        expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        assert!(reply.body == expected, "{range}");
    }
}

#[tokio::test]
async fn ranges_that_come_down_to_one_are_one() {
    let (app, link) = fixture().await;
    for (range, says) in [
        ("bytes=0-9,5-14", "bytes 0-14/700000"),
        ("bytes=0-9,10-14", "bytes 0-14/700000"),
        ("bytes=0-9,700001-", "bytes 0-9/700000"),
        (
            &format!("bytes={}0-0", "0-0,".repeat(99)),
            "bytes 0-0/700000",
        ),
    ] {
        let reply = ranged(&app, &link, range).await;
        assert_eq!(
            (reply.status, reply.header("content-range")),
            (206, Some(says)),
            "{range}"
        );
        assert_eq!(
            reply.header("content-type"),
            Some("application/octet-stream")
        );
    }
    let beyond = ranged(&app, &link, "bytes=700000-,800000-").await;
    beyond.refused(416, "RANGE_NOT_SATISFIABLE");
    assert_eq!(beyond.header("content-range"), Some("bytes */700000"));
}

#[tokio::test]
async fn too_many_ranges_are_the_whole_file() {
    let (app, link) = fixture().await;
    let apart: Vec<_> = (0..9).map(|i| format!("{}-{}", i * 10, i * 10)).collect();
    let descending: Vec<_> = (0..1_000)
        .rev()
        .map(|i| format!("{}-{}", i * 2, i * 2))
        .collect();
    for range in [
        format!("bytes={}", apart.join(",")),
        format!("bytes={}", descending.join(",")),
        format!("bytes={}0-0", "0-0,".repeat(100)),
        format!("bytes={}0-0", "0-,".repeat(10_000)),
    ] {
        let reply = ranged(&app, &link, &range).await;
        assert_eq!(reply.status, 200, "{}", &range[..30]);
        assert!(reply.body == bytes());
    }
    let twice = app
        .client
        .get(&link, &[("Range", "bytes=0-1"), ("Range", "bytes=0-1")])
        .await;
    assert_eq!(twice.status, 200, "a header that is there twice is ignored");
}
