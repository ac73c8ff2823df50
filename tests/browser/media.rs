//! Videos that seek, files that are saved, and scripts that read.

use std::fs;
use std::process::Command;

use super::*;
use crate::support::app::TestApp;
use crate::support::front::Front;

/// Half a minute of noise, as large as a real video and made in a second.
const VIDEO: &str = "-f lavfi -i testsrc2=size=640x360:rate=5:duration=30,noise=alls=30:allf=t \
                     -c:v libx264 -preset ultrafast -crf 26 -g 5 -pix_fmt yuv420p clip.mp4";

fn video(directory: &Path) -> Vec<u8> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error"]).args(VIDEO.split_whitespace());
    let made = ffmpeg.current_dir(directory).stdin(Stdio::null()).status();
    assert!(
        made.expect("ffmpeg is installed; tests/run does that")
            .success()
    );
    fs::read(directory.join("clip.mp4")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_seeks_by_asking_for_what_is_there() {
    let app = TestApp::start().await.with_org_123().await;
    let bytes = video(app.directory.path());
    app.add("file_clip", "clip.mp4", &bytes).await;
    let front = Front::open_before(app.client.0).await;
    let link = app.link("file_clip", "").await;
    let src = format!("http://{}{link}", front.address);
    let url = page(&format!("<video muted preload=auto src=\"{src}\"></video>")).await;
    let seen = play("video", json!({ "url": url, "to": 27 })).await;
    assert_eq!(
        seen,
        json!({ "duration": 30, "width": 640, "before": 0, "after": 27 })
    );
    // Not at the end, where the index is.
    let there = bytes.len() / 100 * 80..bytes.len() / 100 * 95;
    let ranges = front.ranges();
    let is_there = ranges.iter().any(|first| there.contains(first));
    assert!(is_there, "{ranges:?} of {}", bytes.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clicked_link_saves_the_file_under_its_name() {
    let app = TestApp::start().await.with_org_123().await;
    let name = "Übersicht 2026 – «Größe» 100 % 表 😀.txt";
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    app.add("file_named", name, &bytes).await;
    let link = app.link("file_named", "disposition=attachment").await;
    let url = page(&format!(
        "<a download href=\"http://{}{link}\">Save</a>",
        app.client.0
    ))
    .await;
    let saved = app.directory.path().join("saved");
    let seen = play("save", json!({ "url": url, "path": saved })).await;
    assert_eq!(seen, json!({ "name": name, "still_at": url }));
    assert!(fs::read(saved).unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_of_another_origin_reads_bytes_and_headers() {
    let app = TestApp::start().await.with_org_123().await;
    let link = app.link("file_def456", "").await;
    let direct = app.client.get(&link, &[]).await;
    let etag = direct.header("etag").unwrap();
    let dead = link.replace("token=", "token=x");
    let none = json!({});
    let part = json!({ "Range": "bytes=6-10" });
    let part_of = json!({ "Range": "bytes=6-10", "If-Range": etag });
    let news = json!({ "If-None-Match": etag });
    let other = json!({ "If-Match": "\"other\"" });
    let beyond = json!({ "Range": "bytes=99-" });
    let cases = [
        (&link, none.clone(), 200, "other bytes", None),
        (&link, part, 206, "bytes", Some("bytes 6-10/11")),
        (&link, part_of, 206, "bytes", Some("bytes 6-10/11")),
        (&link, news, 304, "", None),
        (&link, other, 412, "PRECONDITION_FAILED", None),
        (
            &link,
            beyond,
            416,
            "RANGE_NOT_SATISFIABLE",
            Some("bytes */11"),
        ),
        (&dead, none, 401, "TOKEN_INVALID", None),
    ];
    let url = |target: &str| format!("http://{}{target}", app.client.0);
    let requests = cases.each_ref().map(|case| json!([url(case.0), case.1]));
    let names = [
        "ETag",
        "Accept-Ranges",
        "Content-Disposition",
        "Content-Range",
        "Repr-Digest",
    ];
    let asked = json!({ "url": page("").await, "requests": requests, "headers": names });
    let seen = play("read", asked).await;
    for ((_, asked, status, text, place), seen) in
        cases.iter().zip(seen["seen"].as_array().unwrap())
    {
        assert_eq!(seen["status"], *status, "{asked}: {seen}");
        assert!(
            seen["text"].as_str().unwrap().contains(text),
            "{asked}: {seen}"
        );
        assert_eq!(seen["headers"]["Content-Range"], json!(place), "{asked}");
        assert_eq!(
            seen["headers"]["ETag"],
            json!((*status < 400).then_some(etag)),
            "{asked}"
        );
    }
    for name in names {
        assert_eq!(
            seen["seen"][0]["headers"][name],
            json!(direct.header(name)),
            "{name}"
        );
    }
    assert_eq!(seen["timed"], true, "how long it took is to be seen, too");
}

/// Pages send credentials by habit. The byte route looks at none, and must not fail for them.
#[tokio::test(flavor = "multi_thread")]
async fn a_script_may_send_headers_that_mean_nothing_here() {
    let url = page("").await;
    let origin = url.trim_end_matches('/').to_owned();
    let header = json!({ "Authorization": "Bearer x", "X-Anything": "1" });
    let with_header = json!({ "headers": header });
    let with_both = json!({ "headers": header, "credentials": "include" });
    let (opened, refused) = (json!([200, "other bytes"]), json!("refused"));
    for (origins, credentials, seen) in [
        ("*", "false", [&opened, &refused]),
        (origin.as_str(), "false", [&opened, &refused]),
        (&origin, "true", [&opened, &opened]),
        ("https://elsewhere.example", "true", [&refused, &refused]),
    ] {
        let settings = [("cors.origins", origins), ("cors.credentials", credentials)];
        let app = TestApp::start_with(&settings).await.with_org_123().await;
        let link = app.link("file_def456", "").await;
        let link = format!("http://{}{link}", app.client.0);
        let requests = json!([[link, with_header], [link, with_both]]);
        let played = play("requests", json!({ "url": url, "requests": requests })).await;
        assert_eq!(played, json!(seen), "{origins} {credentials}");
    }
}
