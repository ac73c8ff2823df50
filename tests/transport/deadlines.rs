//! Over TLS and HTTP/2 too, whoever stops in the midst of something is not waited for for ever.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use crate::support::app::TestApp;

use super::Pair;
use super::frames::*;

/// INITIAL_WINDOW_SIZE (RFC 9113, §6.5.2).
const WINDOW: u16 = 4;

/// Up to ten times as long as promised, and hardly shorter.
async fn ends(promised: u64, what: &str, work: impl Future<Output = ()>) {
    let begun = Instant::now();
    let done = tokio::time::timeout(Duration::from_secs(promised * 10), work).await;
    println!("{what}, promised after {promised} s: {:?}", begun.elapsed());
    assert!(done.is_ok(), "{what} did not happen");
    assert!(
        begun.elapsed() > Duration::from_secs(promised - promised / 10),
        "too early: {what}"
    );
}

/// Says something now and then, so that the connection is never silent.
async fn ping(mut writer: OwnedWriteHalf, every: u64) {
    while writer
        .write_all(&frame(PING, 0, 0, b"anybody?"))
        .await
        .is_ok()
    {
        tokio::time::sleep(Duration::from_secs(every)).await;
    }
}

async fn ended(mut frames: Frames) -> bool {
    let mut was_told = false;
    while let Some(frame) = frames.next().await {
        was_told |= frame.kind == GOAWAY;
    }
    was_told
}

fn get(link: &str, stream: u32) -> Vec<u8> {
    frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        stream,
        &block(&request("GET", link)),
    )
}

async fn without_a_window(app: &TestApp, link: &str, what: &str) {
    let (frames, mut writer) = open(app.client.0, &[(WINDOW, 0)]).await;
    for stream in [1, 3, 5] {
        writer.write_all(&get(link, stream)).await.unwrap();
    }
    let work = async {
        tokio::select! {
            _ = ended(frames) => {}
            () = ping(writer, 1) => {}
        }
    };
    ends(30, what, work).await;
}

/// One stream is read all the while; of another one the client takes too little, whether it grants a little or nothing.
async fn one_stream_of_three(app: &TestApp, link: &str) {
    let (mut frames, mut writer) = open(app.client.0, &[(WINDOW, 0)]).await;
    for stream in [1, 3, 5] {
        writer.write_all(&get(link, stream)).await.unwrap();
    }
    let (read, trickled, stopped) = (1, 3, 5);
    let granting = async {
        loop {
            let [some, few] = [2_000_u32, 17].map(u32::to_be_bytes);
            for (stream, more) in [(0, some), (read, some), (trickled, few)] {
                let update = frame(WINDOW_UPDATE, 0, stream, &more);
                if writer.write_all(&update).await.is_err() {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let what = "the end of the streams of which too little is taken";
    let work = async {
        let (mut reset, mut came_after) = (Vec::new(), 0);
        while came_after < 3 {
            let frame = frames.next_of(&[DATA, RST_STREAM]).await.unwrap();
            match frame.kind {
                RST_STREAM => reset.push(frame.stream),
                _ if reset.len() == 2 && frame.stream == read => came_after += 1,
                _ => {}
            }
        }
        reset.sort_unstable();
        assert_eq!(reset, [trickled, stopped]);
    };
    let work = async {
        tokio::select! {
            () = work => {}
            () = granting => panic!("the connection ended"),
        }
    };
    ends(30, what, work).await;
}

async fn idle(app: &TestApp, link: &str) {
    let (mut frames, mut writer) = open(app.client.0, &[]).await;
    writer.write_all(&get(link, 1)).await.unwrap();
    frames.next_of(&[DATA]).await.unwrap();
    let work = async {
        tokio::select! {
            was_told = ended(frames) => assert!(was_told),
            () = ping(writer, 2) => {}
        }
    };
    ends(75, "the end of an idle HTTP/2 connection that pings", work).await;
}

async fn silent(address: SocketAddr, sent: &[u8], what: &str) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent).await.unwrap();
    let work = async {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    };
    ends(10, what, work).await;
}

async fn slow_body(app: &TestApp) {
    let (mut frames, mut writer) = open(app.client.0, &[]).await;
    let fields = [
        request("POST", "/v1/organizations/org_123/files/upload"),
        vec![
            ("x-api-key", "k1"),
            ("content-type", "multipart/form-data; boundary=b"),
        ],
    ];
    let head = frame(HEADERS, END_HEADERS, 1, &block(&fields.concat()));
    writer.write_all(&head).await.unwrap();
    writer
        .write_all(&frame(DATA, 0, 1, b"--b\r\n"))
        .await
        .unwrap();
    let work = async {
        tokio::select! {
            answered = frames_until_answered(&mut frames) => assert!(answered),
            () = ping(writer, 5) => {}
        }
    };
    ends(30, "the answer to a body that stops over HTTP/2", work).await;
}

async fn frames_until_answered(frames: &mut Frames) -> bool {
    frames
        .next_of(&[HEADERS])
        .await
        .is_some_and(|head| head.stream == 1)
}

/// One after the other would take minutes, so all happen at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_stops_over_tls_or_http_2_is_ended() {
    let pair = Pair::new();
    let (app, tls) = pair.app(&[("server.http2", "on")]).await;
    app.add("file_large", "large.bin", &vec![7; 2_000_000])
        .await;
    let (small, large) = (
        app.link("file_abc123", "").await,
        app.link("file_large", "").await,
    );
    tokio::join!(
        without_a_window(&app, &large, "the end of one that grants no window"),
        without_a_window(&app, &small, "the same where the answers are small"),
        one_stream_of_three(&app, &large),
        idle(&app, &small),
        silent(tls, b"", "the end of one that never shakes hands"),
        silent(tls, b"\x16\x03\x01\x02\x00\x01", "the end of half a hello"),
        silent(
            app.client.0,
            b"PRI * HTTP/2.0\r\n",
            "the end of half a preface"
        ),
        slow_body(&app),
    );
    assert_eq!(app.client.get(&small, &[]).await.status, 200);
}
