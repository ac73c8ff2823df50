//! Over TLS and HTTP/2 too, whoever stops in the midst of something is not waited for for ever.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::app::TestApp;

use super::Pair;
use super::frames::*;

/// INITIAL_WINDOW_SIZE (RFC 9113, §6.5.2).
const WINDOW: u16 = 4;

/// A file of which a client may take for some time.
const LARGE_BYTES: usize = 2_000_000;

/// Hardly shorter than promised, and not twice as long: but for what a busy machine adds to a short time.
async fn ends(promised: u64, what: &str, work: impl Future<Output = ()>) {
    let begun = Instant::now();
    let time_max = (promised * 2).max(promised + 20);
    let done = tokio::time::timeout(Duration::from_secs(time_max), work).await;
    println!("{what}, promised after {promised} s: {:?}", begun.elapsed());
    assert!(done.is_ok(), "{what} did not happen");
    assert!(
        begun.elapsed() > Duration::from_secs(promised - promised / 10),
        "too early: {what}"
    );
}

/// Says something now and then, so that the connection is never silent.
async fn ping(writer: &mut (impl AsyncWrite + Unpin), every: u64) {
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

/// A connection over plain HTTP/2, or over TLS where that is given, with an initial window of so many bytes.
async fn connected(app: &TestApp, tls: Option<(&Pair, SocketAddr)>, window: u32) -> Connected {
    let (reader, mut writer): (Box<dyn AsyncRead + Send + Unpin>, Writer) = match tls {
        Some((pair, address)) => {
            let stream = pair.connect(address, &["h2"]).await.unwrap();
            let (reader, writer) = tokio::io::split(stream);
            (Box::new(reader), Box::new(writer))
        }
        None => {
            let stream = TcpStream::connect(app.client.0).await.unwrap();
            let (reader, writer) = tokio::io::split(stream);
            (Box::new(reader), Box::new(writer))
        }
    };
    let said = [preface(&[(WINDOW, window)]), grant(0, 1 << 28)].concat();
    writer.write_all(&said).await.unwrap();
    (Frames::of(reader), writer)
}

type Writer = Box<dyn AsyncWrite + Send + Unpin>;
type Connected = (Frames<Box<dyn AsyncRead + Send + Unpin>>, Writer);

/// Waits until all these streams were reset, and the connection then answers on another one.
async fn reset_and_answered(
    (mut frames, mut writer): Connected,
    mut streams: Vec<u32>,
    link: &str,
) {
    let other = 99;
    let resets = async {
        while !streams.is_empty() {
            let reset = frames.next_of(&[RST_STREAM]).await;
            let reset = reset.expect("the connection goes on");
            streams.retain(|stream| *stream != reset.stream);
        }
    };
    tokio::select! {
        () = resets => {}
        () = ping(&mut writer, 1) => panic!("the connection ended"),
    }
    let asked = [get(link, other), grant(other, 10_000)].concat();
    writer.write_all(&asked).await.unwrap();
    let answer = frames.next_of(&[DATA]).await.expect("an answer");
    assert_eq!(answer.stream, other);
}

async fn without_a_window(app: &TestApp, link: &str, small: &str, what: &str) {
    let (frames, mut writer) = connected(app, None, 0).await;
    for stream in [1, 3, 5] {
        writer.write_all(&get(link, stream)).await.unwrap();
    }
    let work = reset_and_answered((frames, writer), vec![1, 3, 5], small);
    ends(30, what, work).await;
}

/// Of each answer all but the last bytes are taken.
async fn last_pieces(
    app: &TestApp,
    tls: Option<(&Pair, SocketAddr)>,
    files: [(&str, u32); 2],
    small: &str,
) {
    let (mut frames, mut writer) = connected(app, tls, 0).await;
    let mut due = 0;
    for ((link, length), stream) in files.into_iter().zip([1, 3]) {
        let asked = [get(link, stream), grant(stream, length - 100)].concat();
        writer.write_all(&asked).await.unwrap();
        due += length as usize - 100;
    }
    while due > 0 {
        due -= frames.next_of(&[DATA]).await.unwrap().payload.len();
    }
    let work = reset_and_answered((frames, writer), vec![1, 3], small);
    ends(
        30,
        "the end of streams whose last bytes are not taken",
        work,
    )
    .await;
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
            for update in [grant(0, 50_000), grant(read, 50_000), grant(trickled, 17)] {
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

/// A client that takes something all the while, of one stream after the other: each waits for 48 seconds in between.
async fn slow_and_steady(app: &TestApp, link: &str) {
    const STREAMS: u32 = 12;
    let (mut frames, mut writer) = connected(app, None, 0).await;
    for at in 0..STREAMS {
        writer.write_all(&get(link, at * 2 + 1)).await.unwrap();
    }
    for round in 0..2 {
        for stream in (0..STREAMS).map(|at| at * 2 + 1) {
            writer.write_all(&grant(stream, 2_000)).await.unwrap();
            let mut came = 0;
            while came < 2_000 {
                let frame = frames.next_of(&[DATA, RST_STREAM]).await;
                let frame = frame.expect("the connection goes on");
                assert_eq!((frame.kind, frame.stream), (DATA, stream), "{round}");
                came += frame.payload.len();
            }
            if round == 0 {
                tokio::time::sleep(Duration::from_secs(4)).await;
            }
        }
    }
}

/// A download of which nothing is taken, beside an upload that goes on.
async fn paused_beside_an_upload(app: &TestApp, link: &str) {
    let (mut frames, mut writer) = connected(app, None, 0).await;
    writer.write_all(&get(link, 1)).await.unwrap();
    let fields = [
        request("POST", "/v1/organizations/org_123/files/upload"),
        vec![
            ("x-api-key", "k1"),
            ("content-type", "multipart/form-data; boundary=b"),
        ],
    ];
    let head = frame(HEADERS, END_HEADERS, 3, &block(&fields.concat()));
    let first =
        b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"beside.txt\"\r\n\r\n";
    writer.write_all(&head).await.unwrap();
    writer.write_all(&frame(DATA, 0, 3, first)).await.unwrap();
    let writing = async {
        for _ in 0..23 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let more = frame(DATA, 0, 3, &[b'x'; 5_000]);
            writer.write_all(&more).await.unwrap();
            let ping = frame(PING, 0, 0, b"anybody?");
            writer.write_all(&ping).await.unwrap();
        }
        let last = frame(DATA, END_STREAM, 3, b"\r\n--b--\r\n");
        writer.write_all(&last).await.unwrap();
        writer.write_all(&grant(3, 10_000)).await.unwrap();
        std::future::pending::<()>().await;
    };
    let reading = async {
        let mut was_reset = false;
        loop {
            let frame = frames.next_of(&[HEADERS, RST_STREAM, WINDOW_UPDATE]).await;
            let frame = frame.expect("the connection goes on");
            match (frame.kind, frame.stream) {
                (RST_STREAM, 1) => was_reset = true,
                (HEADERS, 3) => return was_reset,
                _ => {}
            }
        }
    };
    let was_reset = tokio::select! {
        was_reset = reading => was_reset,
        () = writing => false,
        () = tokio::time::sleep(Duration::from_secs(300)) => panic!("no answer to the upload"),
    };
    assert!(was_reset, "the download was paused for long enough");
    let list = app
        .client
        .get("/v1/organizations/org_123/files", &[("X-API-Key", "k1")]);
    let stored = String::from_utf8(list.await.body).unwrap();
    assert!(stored.contains("beside.txt"), "{stored}");
}

/// A small answer that is sent whole, of which the client takes one byte: nothing resets its stream. The others go on.
async fn stuck_beside_another(app: &TestApp, small: &str, large: &str) {
    let (mut frames, mut writer) = connected(app, None, 1).await;
    for (link, stream) in [(small, 1), (large, 3)] {
        writer.write_all(&get(link, stream)).await.unwrap();
    }
    let granting = async {
        // Not more than is there, or it would end too soon.
        while writer.write_all(&grant(3, 40_000)).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        std::future::pending::<()>().await;
    };
    let work = async {
        let (mut was_told, mut came) = (false, 0);
        while let Some(frame) = frames.next().await {
            match (frame.kind, frame.stream) {
                (GOAWAY, _) => was_told = true,
                (DATA, 3) => came += frame.payload.len(),
                (RST_STREAM, _) => panic!("{frame:?}"),
                _ => {}
            }
        }
        assert!(was_told);
        assert_eq!(came, LARGE_BYTES, "the other one was cut off");
    };
    let work = async {
        tokio::select! {
            () = work => {}
            () = granting => {}
        }
    };
    ends(
        30,
        "the end of a connection with a stream that cannot be reset",
        work,
    )
    .await;
}

/// One that grants all windows and reads nothing off its socket.
async fn full_socket(app: &TestApp, large: &str) {
    let (_frames, mut writer) = connected(app, None, 1 << 28).await;
    for at in 0..20 {
        writer.write_all(&get(large, at * 2 + 1)).await.unwrap();
    }
    let work = async {
        while writer
            .write_all(&frame(PING, 0, 0, b"anybody?"))
            .await
            .is_ok()
        {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    ends(
        30,
        "the end of a connection whose socket takes nothing",
        work,
    )
    .await;
}

async fn idle(app: &TestApp, link: &str) {
    let (mut frames, mut writer) = open(app.client.0, &[]).await;
    writer.write_all(&get(link, 1)).await.unwrap();
    frames.next_of(&[DATA]).await.unwrap();
    let work = async {
        tokio::select! {
            was_told = ended(frames) => assert!(was_told),
            () = ping(&mut writer, 2) => {}
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
            () = ping(&mut writer, 5) => {}
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
    let mut links = Vec::new();
    for (id, length) in [
        ("file_large", LARGE_BYTES),
        ("file_larger", 20_000_000),
        ("file_memory", 12_000),
        ("file_whole", 3_000),
    ] {
        app.add(id, "a.bin", &vec![7; length]).await;
        links.push(app.link(id, "").await);
    }
    let [large, larger, memory, whole] = &links[..] else {
        unreachable!()
    };
    let small = app.link("file_abc123", "").await;
    let files = [(large.as_str(), 2_000_000), (memory.as_str(), 12_000)];
    let over_tls = Some((&pair, tls));
    tokio::join!(
        without_a_window(&app, large, &small, "the end of streams without a window"),
        without_a_window(&app, &small, &small, "the same where the answers are small"),
        last_pieces(&app, None, files, &small),
        last_pieces(&app, over_tls, files, &small),
        one_stream_of_three(&app, larger),
        slow_and_steady(&app, large),
        paused_beside_an_upload(&app, large),
        stuck_beside_another(&app, whole, large),
        full_socket(&app, larger),
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
