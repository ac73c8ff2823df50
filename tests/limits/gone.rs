//! Clients that go away while they wait for their turn give their places back before it comes.

use socket2::SockRef;
use tokio::net::UnixStream;

use super::*;
use crate::transport::Pair;

/// At 4 bytes a second the second piece of a file comes after four minutes.
const RATE: &str = "4";
/// What goes at once, and all of it.
const PIECE: usize = 1_024;
const WHOLE: usize = 2_040;

/// How long such a wait is.
const TURN: Duration = Duration::from_secs(250);

/// Reads the head and the first piece of an answer; all else waits for its turn.
async fn first_piece(stream: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 200"), "{head:?}");
    stream.read_exact(&mut [0; PIECE]).await.unwrap();
}

/// Waits until the one place of this link is free, and prints how long after `promised` seconds.
async fn free_again(app: &TestApp, link: &str, what: &str, promised: u64) {
    let begun = Instant::now();
    loop {
        let (status, stream) = begun_to(app, link).await;
        drop(stream);
        if status == 206 {
            break;
        }
        let bound = Duration::from_secs(promised * 10).min(TURN - Duration::from_secs(30));
        assert!(begun.elapsed() < bound, "{what}: {status}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{what}: {:?}, promised after {promised} s", begun.elapsed());
}

async fn begun_to(app: &TestApp, link: &str) -> (u16, TcpStream) {
    begun(app, link, "Range: bytes=0-1\r\n").await
}

fn request(link: &str) -> String {
    format!("GET {link} HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_goes_away_while_it_waits_gives_its_place_back() {
    let pair = Pair::new();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("h.sock");
    let at = format!("unix:{}", socket.display());
    let settings = [
        ("limits.link_downloads", "1"),
        ("limits.link_bytes_per_second", RATE),
        ("server.listen", at.as_str()),
    ];
    let (app, tls) = pair.app(&settings).await;
    let mut links = Vec::new();
    for id in ["reset", "tls", "unix", "closed", "half"] {
        app.add(id, "slow.bin", &bytes(WHOLE)).await;
        links.push(quiet_link(&app, id).await);
    }
    let [reset, over_tls, over_unix, closed, half] = links.as_slice() else {
        panic!("{links:?}")
    };
    let reset = async {
        let mut stream = TcpStream::connect(app.client.0).await.unwrap();
        stream.write_all(request(reset).as_bytes()).await.unwrap();
        first_piece(&mut stream).await;
        assert_eq!(begun_to(&app, reset).await.0, 429);
        let socket = SockRef::from(&stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        drop(stream);
        free_again(&app, reset, "after a reset", 2).await;
    };
    let tls = async {
        let mut stream = pair.connect(tls, &["http/1.1"]).await.unwrap();
        stream
            .write_all(request(over_tls).as_bytes())
            .await
            .unwrap();
        first_piece(&mut stream).await;
        let socket = SockRef::from(stream.get_ref().0);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        drop(stream);
        free_again(&app, over_tls, "after a reset over TLS", 2).await;
    };
    let unix = async {
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        stream
            .write_all(request(over_unix).as_bytes())
            .await
            .unwrap();
        first_piece(&mut stream).await;
        drop(stream);
        free_again(&app, over_unix, "after the end of a Unix socket", 2).await;
    };
    // It has read all that came, so what it sends says no more than that it has no more to say.
    let closed = async {
        let mut stream = TcpStream::connect(app.client.0).await.unwrap();
        stream.write_all(request(closed).as_bytes()).await.unwrap();
        first_piece(&mut stream).await;
        drop(stream);
        // A minute until its system forgets it, and the next question after that.
        free_again(&app, closed, "after a client was closed", 70).await;
    };
    // One that has only closed its own side is there, and waits for longer than that.
    let half = async {
        let mut stream = TcpStream::connect(app.client.0).await.unwrap();
        stream.write_all(request(half).as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        first_piece(&mut stream).await;
        tokio::time::sleep(Duration::from_secs(80)).await;
        assert_eq!(begun_to(&app, half).await.0, 429, "its place is its own");
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_millis(100), stream.read(&mut byte));
        assert!(read.await.is_err(), "it still waits for its turn");
    };
    tokio::join!(reset, tls, unix, closed, half);
}
