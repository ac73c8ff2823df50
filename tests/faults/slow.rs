//! Clients that are slow on purpose, and a network that is.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size;

use crate::rig::{FILES, Ledger, Site, bytes_of, connect, digest};
use crate::server::Server;

/// How long a client reads slowly: longer than one may that stopped.
const STEADY: Duration = Duration::from_secs(45);

const LARGE: usize = 20_000_000;

/// A download that was begun and is not read on.
pub(crate) struct Reader(TcpStream);

impl Reader {
    /// `window`: how many bytes may be on their way to it, where that is not the kernel's affair.
    pub(crate) fn begin(server: &Server, link: &str, window: Option<usize>) -> Self {
        let mut stream = connect(&server.host).unwrap();
        if let Some(bytes) = window {
            set_socket_recv_buffer_size(&stream, bytes).unwrap();
        }
        let request = format!("GET {link} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
        Self(stream)
    }

    /// Reads it to its end, and answers how long its body was.
    pub(crate) fn finish(&mut self) -> usize {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
        let end = rest
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        rest.len() - end - 4
    }
}

/// A client that takes in little at a time, but never stops: what the kernel holds for it must not hide
/// that.
#[test]
fn a_client_that_reads_steadily_is_never_too_slow() {
    let (site, ledger) = (Site::new(), Ledger::default());
    let server = site.serve();
    let id = site.put(&server, &ledger, LARGE);
    let link = site.mint(&server, &id);
    let mut reader = Reader::begin(&server, &link, None);
    let (begun, mut read) = (Instant::now(), 0);
    while begun.elapsed() < STEADY {
        reader.0.read_exact(&mut [0; 4096]).unwrap();
        read += 4096;
        std::thread::sleep(Duration::from_millis(300));
    }
    let mut rest = Vec::new();
    reader.0.read_to_end(&mut rest).unwrap();
    println!("{read} bytes in {STEADY:?}, then {}", rest.len());
    assert!(read + rest.len() >= LARGE, "it was ended");
    server.stop();
}

/// So many connections on which these bytes were sent, and no more.
pub(crate) fn lazy(server: &Server, count: usize, bytes: &[u8]) -> Vec<TcpStream> {
    let begin = |_| {
        let mut stream = connect(&server.host).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    };
    (0..count).map(begin).collect()
}

/// A network of its own that passes two megabits a second through a queue so short that it drops what
/// comes too fast.
#[test]
fn a_narrow_network_that_drops_packets_changes_no_byte() {
    let is_root = rustix::process::geteuid().is_root();
    let narrow = "ip link set lo up && tc qdisc add dev lo root tbf rate 2mbit burst 70kb limit 140kb \
        && exec \"$@\"";
    let (site, ledger) = (Site::new(), Ledger::default());
    let words = ["unshare", "-n", "sh", "-c", narrow, "sh"];
    let server = match Server::start(site.serve_command(&words)) {
        Ok(server) => server,
        Err((_, why)) => {
            eprintln!("NOT TESTED: no network of its own: {why}");
            let is_known = !is_root || std::env::var_os("FAULTS_WITHOUT_MOUNTS").is_some();
            assert!(is_known, "{why}");
            return;
        }
    };
    // Stored beside it, as it is in a network where we are not.
    let beside = site.serve();
    let id = site.put(&beside, &ledger, 1_500_000);
    let (link, name) = (site.mint(&beside, &id), site.listed(&beside)[&id].clone());
    let pid = server.pid.to_string();
    let inside = |words: &[&str]| {
        let output = Command::new("nsenter")
            .args(["-t", &pid, "-n"])
            .args(words)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let begun = Instant::now();
    let bytes = inside(&[
        "curl",
        "-sf",
        "--max-time",
        "120",
        &format!("http://{}{link}", server.host),
    ]);
    let down = begun.elapsed();
    assert!(
        digest(&bytes) == digest(&bytes_of(&name)),
        "{} bytes",
        bytes.len()
    );
    let upload = site.path(&name);
    std::fs::write(&upload, &bytes).unwrap();
    let begun = Instant::now();
    let form = format!("file=@{}", upload.display());
    let key = format!("X-API-Key: {}", site.key);
    let url = format!("http://{}{FILES}/upload", server.host);
    inside(&[
        "curl",
        "-sf",
        "--max-time",
        "120",
        "-H",
        &key,
        "-F",
        &form,
        &url,
    ]);
    let up = begun.elapsed();
    let dropped = String::from_utf8(inside(&["tc", "-s", "qdisc", "show", "dev", "lo"])).unwrap();
    println!("1.5 MB down in {down:?}, up in {up:?}; {dropped}");
    assert_eq!(site.check(&beside, &ledger), 2);
    server.kill();
    beside.stop();
}
