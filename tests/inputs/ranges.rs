//! Ranges and conditions on a link that is good.

use super::*;

#[tokio::test]
async fn ranges_that_are_none() {
    let (app, link) = fixture().await;
    let length = crate::support::app::PNG.len();
    let mut rows = Vec::new();
    let mut add = |lines: String, allowed| {
        let what: String = lines.trim_end().chars().take(70).collect();
        rows.push(row(
            what,
            request("GET", &link, &format!("{lines}\r\n"), b""),
            allowed,
        ));
    };
    let fits = [
        "0-0".into(),
        "0-".into(),
        "-1".into(),
        format!("-{}", length + 100),
        format!("{}-", length - 1),
        format!("0-{}", length + 100),
        format!("0-9,{}-", length + 1),
    ];
    for range in fits {
        add(format!("Range: bytes={range}"), &[206]);
    }
    add("Range: BYTES=0-1".into(), &[206]);
    for range in [
        format!("{length}-"),
        "-0".into(),
        "99999999999999999999-".into(),
    ] {
        add(format!("Range: bytes={range}"), &[416]);
    }
    for range in [
        "bytes=5-2",
        "bytes=a-b",
        "bytes=-",
        "bytes=0x1-2",
        "bytes=+1-2",
        "bytes=--1",
        "bytes=1-2;3-4",
        "bytes=",
        "items=0-1",
        "0-1",
        "bytes =0-1",
        ",bytes=0-1",
        "bytes=\u{e9}",
    ] {
        add(format!("Range: {range}"), &[200]);
    }
    add("Range: bytes=0-99999999999999999999".into(), &[206]);
    add("Range: bytes=0-9,20-29".into(), &[206]);
    add("Range: bytes=0-9,5-14".into(), &[206]);
    add(format!("Range: bytes={}", ["0-0"; 200].join(",")), &[200]);
    add(
        format!("Range: bytes={}", ["0-0"; 10_000].join(",")),
        &[200],
    );
    add("Range: bytes=0-0\r\nRange: bytes=1-1".into(), &[200]);
    for condition in [
        "If-Range: W/\"x\"",
        "If-Range: \"x\"",
        "If-Range: nothing",
        "If-Range: Fri, 01 Jan 2100 00:00:00 GMT",
        "If-Range: Thu, 01 Jan 1970 00:00:00 GMT",
    ] {
        add(format!("Range: bytes=0-0\r\n{condition}"), &[200]);
    }
    for (condition, allowed) in [
        ("If-None-Match: *", &[304][..]),
        ("If-None-Match: garbage", &[200]),
        ("If-None-Match: \"zz\"", &[200]),
        ("If-Modified-Since: garbage", &[200]),
        (
            "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT",
            &[200, 304],
        ),
        ("If-Match: *", &[200]),
        ("If-Match: \"zz\"", &[412]),
        ("If-Match: garbage", &[412]),
        ("If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT", &[412]),
        ("If-Unmodified-Since: garbage", &[200]),
        ("If-None-Match: \"", &[200]),
        ("If-Match: W/\"", &[412]),
    ] {
        add(condition.into(), allowed);
    }
    check(&app, rows, &[]).await;
}

#[tokio::test]
async fn ranges_of_an_empty_file() {
    let (app, _) = fixture().await;
    app.add("file_empty", "empty", b"").await;
    let link = app.link("file_empty", "").await;
    let rows = ["0-0", "-5", "0-", "-0", "1-"].map(|range| {
        row(
            range,
            request("GET", &link, &format!("Range: bytes={range}\r\n"), b""),
            &[200, 416],
        )
    });
    check(&app, rows.into(), &[]).await;
}
