//! A restart over a socket that both processes have loses no request, and a stop lets what is in flight
//! finish.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use ::bytes::Bytes;

use crate::cli::support::{Place, Serving, said, text, until};
use crate::support::app::{TestApp, target};

use super::{Http2, Pair};

const REQUESTS: usize = 10_000;
const CLIENTS: usize = 8;
const RESTARTS: usize = 4;

/// `hallpass` with these words, and with this descriptor as its first to listen on.
fn inheriting(place: &Place, descriptor: OwnedFd, words: &[&str]) -> Command {
    let own = place.command(words);
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0 </dev/null",
        ])
        .arg(own.get_program())
        .args(own.get_args())
        .env_remove("HALLPASS_TEST_BLOBS")
        .env("HALLPASS_SERVER_DATA_DIR", place.path("data"))
        .current_dir(place.path(""))
        .stdin(Stdio::from(descriptor))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn serve_on(place: &Place, listener: &TcpListener) -> Serving {
    let descriptor = OwnedFd::from(listener.try_clone().unwrap());
    let mut serving = Serving::of(inheriting(place, descriptor, &["serve"]));
    assert_eq!(
        serving.url(),
        format!("http://{}", listener.local_addr().unwrap())
    );
    serving
}

/// A client that keeps its connection as long as the gateway does.
struct Keeping {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
    /// How often a connection that was kept had ended before anything was answered: HTTP has such a request
    /// sent again (RFC 9112, §9.3.1).
    again: usize,
}

impl Keeping {
    /// Whether the answer is whole and right. `keep`: whether the connection is to be used again.
    fn get(&mut self, link: &str, keep: bool, expected: &[u8]) -> Result<(), String> {
        let connection = if keep { "keep-alive" } else { "close" };
        let request = format!("GET {link} HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\r\n");
        if let Some(kept) = self.stream.take() {
            match self.exchange(kept, &request, expected) {
                Err((why, was_answered)) if was_answered => return Err(why),
                Err(_) => self.again += 1,
                Ok(()) => return Ok(()),
            }
        }
        let stream =
            TcpStream::connect(self.address).map_err(|error| format!("connect: {error}"))?;
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        self.exchange(BufReader::new(stream), &request, expected)
            .map_err(|(why, _)| why)
    }

    /// An error says whether an answer had begun.
    fn exchange(
        &mut self,
        mut stream: BufReader<TcpStream>,
        request: &str,
        expected: &[u8],
    ) -> Result<(), (String, bool)> {
        let silent = |error: std::io::Error| (error.to_string(), false);
        stream
            .get_mut()
            .write_all(request.as_bytes())
            .map_err(silent)?;
        let mut head = String::new();
        loop {
            let before = head.len();
            let read = stream.read_line(&mut head);
            let read = read.map_err(|error| (error.to_string(), before > 0))?;
            match read {
                0 => return Err(("it ended".into(), before > 0)),
                2 => break,
                _ => {}
            }
        }
        let mut body = vec![0; expected.len()];
        let read = stream.read_exact(&mut body);
        read.map_err(|error| (error.to_string(), true))?;
        if !head.starts_with("HTTP/1.1 200 ") || body != expected {
            return Err((head, true));
        }
        if !head.to_ascii_lowercase().contains("connection: close") {
            self.stream = Some(stream);
        }
        Ok(())
    }
}

#[test]
fn no_request_of_ten_thousand_fails_through_rolling_restarts() {
    let place = Place::new();
    let bytes: Vec<u8> = (0..20_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    let file = place.add("a.bin", &bytes);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let link = place.sign(&format!("http://{address}"), &file, &[]);
    let link = target(&text(&link, "download_url"));
    let mut serving = serve_on(&place, &listener);
    let (done, failed, again) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (bytes, link, done, failed, again) = (&bytes, &link, &done, &failed, &again);
            scope.spawn(move || {
                let mut keeping = Keeping {
                    address,
                    stream: None,
                    again: 0,
                };
                for _ in 0..REQUESTS / CLIENTS {
                    // Every other client has a connection for each request.
                    if let Err(why) = keeping.get(link, client % 2 == 0, bytes) {
                        println!("failed: {why}");
                        failed.fetch_add(1, Relaxed);
                    }
                    done.fetch_add(1, Relaxed);
                }
                again.fetch_add(keeping.again, Relaxed);
            });
        }
        for restart in 1..=RESTARTS {
            while done.load(Relaxed) < REQUESTS * restart / (RESTARTS + 1) {
                crate::cli::support::pause();
            }
            let next = serve_on(&place, &listener);
            let (ended, _, log) = std::mem::replace(&mut serving, next).stop("TERM");
            assert_eq!(ended.code(), Some(0), "{log}");
            assert!(!log.contains("took too long"), "{log}");
        }
    });
    println!(
        "{} requests through {RESTARTS} restarts: {} failed, {} sent again on a new connection",
        done.load(Relaxed),
        failed.load(Relaxed),
        again.load(Relaxed)
    );
    assert_eq!((done.load(Relaxed), failed.load(Relaxed)), (REQUESTS, 0));
    assert_eq!(serving.stop("TERM").0.code(), Some(0));
}

#[test]
fn sockets_are_taken_over_in_their_order_and_left_where_they_are() {
    let place = Place::new();
    let path = place.path("h.sock");
    let unix = UnixListener::bind(&path).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = place.command(&["serve"]);
    let mut child = Command::new("sh")
        .args([
            "-c",
            "LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" \"$@\" 3<&0 4<&2 </dev/null 2>/dev/null",
        ])
        .arg(own.get_program())
        .args(own.get_args())
        .env_remove("HALLPASS_TEST_BLOBS")
        .env("HALLPASS_SERVER_DATA_DIR", place.path("data"))
        // What the sockets replace.
        .env("HALLPASS_SERVER_LISTEN", "192.0.2.1:1")
        .stdin(Stdio::from(OwnedFd::from(unix.try_clone().unwrap())))
        .stderr(Stdio::from(OwnedFd::from(tcp.try_clone().unwrap())))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap();
    assert_eq!(line(), format!("listening on unix:{}", path.display()));
    assert_eq!(
        line(),
        format!("listening on http://{}", tcp.local_addr().unwrap())
    );
    let killed = Command::new("sh")
        .args(["-c", &format!("kill -s TERM {}", child.id())])
        .status();
    assert!(killed.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(path.exists(), "whoever made it removes it");
}

#[test]
fn what_cannot_be_listened_on_is_refused_with_2() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for (descriptor, why) in [
        (OwnedFd::from(stream), "does not listen"),
        (OwnedFd::from(file), "LISTEN_FDS"),
        (OwnedFd::from(datagrams), "LISTEN_FDS"),
    ] {
        let output = inheriting(&place, descriptor, &["serve"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        let complaint = String::from_utf8_lossy(&output.stderr);
        print!("{complaint}");
        assert!(complaint.contains(why), "{complaint}");
    }
    // An address of TLS must not be spoken to in plain because its socket is another.
    let pair = Pair::new();
    let mut command = inheriting(&place, listener.into(), &["serve"]);
    command
        .env("HALLPASS_SERVER_LISTEN", "tls:127.0.0.1:1")
        .env("HALLPASS_SERVER_TLS_CERTIFICATE", pair.certificate())
        .env("HALLPASS_SERVER_TLS_KEY", pair.key());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        complaint.contains("tls:127.0.0.1:1, but no socket"),
        "{complaint}"
    );
}

#[test]
fn an_inherited_socket_whose_address_is_one_of_tls_speaks_it() {
    let (place, pair) = (Place::new(), Pair::new());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut command = inheriting(&place, listener.into(), &["serve"]);
    command
        .env("HALLPASS_SERVER_LISTEN", format!("tls:{address}"))
        .env("HALLPASS_SERVER_TLS_CERTIFICATE", pair.certificate())
        .env("HALLPASS_SERVER_TLS_KEY", pair.key());
    let mut serving = Serving::of(command);
    assert_eq!(serving.url(), format!("https://{address}"));
    assert_eq!(serving.stop("TERM").0.code(), Some(0));
}

#[test]
fn two_processes_listen_at_one_address_only_where_both_may() {
    let place = Place::new();
    let mut first = Serving::of({
        let mut command = place.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("HALLPASS_SERVER_REUSE_PORT", "true");
        command
    });
    let url = first.url();
    let address = url.strip_prefix("http://").unwrap().to_owned();
    let words = ["serve", "--listen", address.as_str()];
    assert!(place.bad(1, &words).contains("cannot listen on"));
    let mut second = Serving::of({
        let mut command = place.command(&words);
        command.env("HALLPASS_SERVER_REUSE_PORT", "true");
        command
    });
    assert_eq!(second.url(), url);
    assert_eq!(first.stop("TERM").0.code(), Some(0));
    until("the other one answering alone", || {
        TcpStream::connect(&address).is_ok()
    });
    assert_eq!(second.stop("TERM").0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_http_2_finish_what_it_answers_and_takes_nothing_new() {
    let app = TestApp::start_with(&[("server.http2", "on")]).await;
    let app = app.with_org_123().await;
    let bytes: Vec<u8> = (0..8_000_000_u32).map(|i| i.to_le_bytes()[1]).collect();
    app.add("file_large", "large.bin", &bytes).await;
    let link = app.link("file_large", "").await;
    let client = Http2::plain(app.client.0).await;
    let mut idle = Http2::plain(app.client.0).await;
    assert_eq!(idle.get(&link, &[("range", "bytes=0-0")]).await.status, 206);
    let request = http::Request::get(format!("http://x{link}"))
        .body(())
        .unwrap();
    let mut send = client.0.clone().ready().await.unwrap();
    let mut body = send
        .send_request(request, true)
        .unwrap()
        .0
        .await
        .unwrap()
        .into_body();
    let first: Bytes = body.data().await.unwrap().unwrap();
    body.flow_control().release_capacity(first.len()).unwrap();
    let stopping = tokio::spawn(app.stop());
    // Far less than all of it is out when the gateway is asked to stop.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!stopping.is_finished());
    let mut read = first.to_vec();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.expect("it goes on to its end");
        body.flow_control().release_capacity(chunk.len()).unwrap();
        read.extend_from_slice(&chunk);
    }
    assert!(read == bytes);
    assert!(
        idle.request("GET", &link, &[], b"").await.is_err(),
        "the idle one was closed"
    );
    stopping.await.unwrap();
}
