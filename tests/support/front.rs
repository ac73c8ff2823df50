//! Stands before a gateway: passes everything on, remembers what was asked, and holds answers back where
//! a download is to stop in its middle.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// More bytes than any test moves.
const ALL: usize = 1 << 40;

/// Where clients connect instead.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    passing: Arc<Passing>,
}

/// What all connections share.
struct Passing {
    heads: Mutex<Vec<String>>,
    /// As many answered bytes may still pass.
    allowed: Semaphore,
    passed: AtomicUsize,
}

impl Front {
    /// Before this gateway, letting so many bytes of its answers pass until it is opened.
    pub(crate) async fn before(gateway: SocketAddr, allowed: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let passing = Arc::new(Passing {
            heads: Mutex::default(),
            allowed: Semaphore::new(allowed),
            passed: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&passing);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, gateway, Arc::clone(&shared)));
            }
        });
        Self { address, passing }
    }

    /// Before this gateway, holding nothing back.
    pub(crate) async fn open_before(gateway: SocketAddr) -> Self {
        Self::before(gateway, ALL).await
    }

    /// Holds nothing back any more.
    pub(crate) fn open(&self) {
        self.passing.allowed.add_permits(ALL);
    }

    /// The heads of the requests for bytes that came through, in their order.
    pub(crate) fn asked(&self) -> Vec<String> {
        let heads = self.passing.heads.lock().unwrap();
        let of_bytes = |head: &&String| head.contains("/download?expires=");
        heads.iter().filter(of_bytes).cloned().collect()
    }

    /// Where the ranges begin that were asked for, in their order.
    pub(crate) fn ranges(&self) -> Vec<usize> {
        let heads = self.asked();
        let ranges = heads
            .iter()
            .filter_map(|head| head.split_once("Range: bytes="));
        let firsts = ranges.map(|(_, range)| range.split_once('-').unwrap().0);
        firsts.map(|first| first.parse().unwrap()).collect()
    }

    /// How many bytes of answers have passed.
    pub(crate) fn passed(&self) -> usize {
        self.passing.passed.load(Ordering::SeqCst)
    }
}

async fn relay(mut client: TcpStream, gateway: SocketAddr, passing: Arc<Passing>) {
    let mut server = TcpStream::connect(gateway).await.unwrap();
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let up = async {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            // These clients send the head of a request in one piece.
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            passing.heads.lock().unwrap().push(text);
            if to_server.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    let down = async {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            let permits = u32::try_from(length).unwrap();
            passing
                .allowed
                .acquire_many(permits)
                .await
                .unwrap()
                .forget();
            if to_client.write_all(&buffer[..length]).await.is_err() {
                break;
            }
            passing.passed.fetch_add(length, Ordering::SeqCst);
        }
    };
    // Whoever hangs up first ends it for both.
    tokio::select! {
        () = up => (),
        () = down => (),
    }
}
