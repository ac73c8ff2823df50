//! A cable between a gateway and its database, which a test can stall, cut, or cut at the moment when
//! `COMMIT` goes out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// What becomes of bytes, both ways.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Line {
    Passes,
    /// Nothing passes, and nobody is told.
    Stalls,
    /// Every piece passes so much later.
    Delays(Duration),
    /// Every connection ends, and a new one at once.
    Cut,
}

pub(crate) struct Cable {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

struct State {
    /// The server's port.
    port: AtomicU16,
    line: watch::Sender<Line>,
    /// At so many more `COMMIT`s the connection is cut,
    commits: AtomicUsize,
    /// after they went out, or before.
    after: AtomicBool,
    /// Whether every connection is cut that would listen.
    is_deaf: AtomicBool,
}

impl Cable {
    /// To the server on this port.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            port: AtomicU16::new(port),
            line: watch::Sender::new(Line::Passes),
            commits: AtomicUsize::new(0),
            after: AtomicBool::new(false),
            is_deaf: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    /// The URL of a database, by way of this cable.
    pub(crate) fn url(&self, database: &str) -> String {
        format!(
            "postgres://{}@{}/{database}",
            super::postgres::USER,
            self.address
        )
    }

    /// From now on new connections go to another server. Those that are there stay.
    pub(crate) fn lead_to(&self, port: u16) {
        self.state.port.store(port, Ordering::SeqCst);
    }

    pub(crate) fn set(&self, line: Line) {
        self.state.line.send_replace(line);
    }

    /// Cuts the connection of the next `COMMIT`, after it went out or before.
    pub(crate) fn cut_next_commit(&self, after: bool) {
        self.state.after.store(after, Ordering::SeqCst);
        self.state.commits.store(1, Ordering::SeqCst);
    }

    /// Whether the cut that was ordered last is still to come.
    pub(crate) fn waits_for_commit(&self) -> bool {
        self.state.commits.load(Ordering::SeqCst) > 0
    }

    /// From now on nobody can listen; who does is cut.
    pub(crate) fn deafen(&self) {
        self.state.is_deaf.store(true, Ordering::SeqCst);
        self.set(Line::Cut);
        self.set(Line::Passes);
    }
}

async fn relay(client: TcpStream, state: Arc<State>) {
    if *state.line.borrow() == Line::Cut {
        return;
    }
    let port = state.port.load(Ordering::SeqCst);
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    let mut cuts = state.line.subscribe();
    cuts.mark_unchanged();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pass(from_client, to_server, &state, true) => {}
        () = pass(from_server, to_client, &state, false) => {}
        () = cut(cuts) => {}
    }
}

/// Until the line was cut, also if only for a moment.
async fn cut(mut line: watch::Receiver<Line>) {
    while line.changed().await.is_ok() {
        if matches!(*line.borrow_and_update(), Line::Cut | Line::Passes) {
            return;
        }
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State, is_asking: bool) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        let piece = &buffer[..count];
        let mut line = state.line.subscribe();
        let Ok(now) = line
            .wait_for(|line| *line != Line::Stalls)
            .await
            .map(|line| *line)
        else {
            return;
        };
        if let Line::Delays(by) = now {
            sleep(by).await;
        }
        let holds = |word: &[u8]| piece.windows(word.len()).any(|bytes| bytes == word);
        if is_asking && state.is_deaf.load(Ordering::SeqCst) && holds(b"LISTEN") {
            return;
        }
        if is_asking && holds(b"COMMIT") && state.commits.swap(0, Ordering::SeqCst) > 0 {
            if state.after.load(Ordering::SeqCst) {
                let _ = to.write_all(piece).await;
            }
            return;
        }
        if to.write_all(piece).await.is_err() {
            return;
        }
    }
}
