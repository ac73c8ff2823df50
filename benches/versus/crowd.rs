//! Connections that are there and do little: idle ones, and those of slow readers.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::client::{Reply, Request, connect};
use super::process::{Outcome, pause, pin};

/// How much a slow reader takes at once, and how often: one after the other, since all at once they would keep the load, which
/// shares their core, from sending for longer than the answers that are measured take.
const SIP_BYTES: usize = 16 * 1024;
const SIP_TIME: Duration = Duration::from_millis(100);

/// Opens so many connections, each with one GET behind it.
pub(crate) fn idle(at: SocketAddr, request: &Request, count: usize) -> Outcome<Vec<TcpStream>> {
    let head = request.head(at, 0);
    let open = |_| {
        let mut stream = connect(at)?;
        stream.write_all(head.as_bytes())?;
        let reply = Reply::read(&stream)?;
        if reply.status == 200 {
            Ok(stream)
        } else {
            Err(reply.status.to_string().into())
        }
    };
    (0..count).map(open).collect()
}

/// Whether a server still has all of these open, and nothing came in.
pub(crate) fn are_idle(connections: &[TcpStream]) -> Outcome<bool> {
    for stream in connections {
        stream.set_nonblocking(true)?;
        match stream.peek(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Readers that take 160 KiB a second each, until this is dropped.
pub(crate) struct SlowReaders {
    stop: Arc<AtomicBool>,
    taken: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl SlowReaders {
    /// So many, all of them reading the answer to this request.
    pub(crate) fn start(at: SocketAddr, request: &Request, count: usize) -> Outcome<Self> {
        let mut streams = Vec::new();
        for _ in 0..count {
            let mut stream = connect(at)?;
            stream.write_all(request.head(at, 0).as_bytes())?;
            stream.set_nonblocking(true)?;
            streams.push(stream);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let taken = Arc::new(AtomicU64::new(0));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&taken));
        let thread = std::thread::spawn(move || {
            // They do little, but never where the server is measured.
            let _ = pin(1);
            let mut buffer = vec![0; SIP_BYTES];
            let turns = u32::try_from(streams.len()).unwrap_or(u32::MAX).max(1);
            let mut turn = 0;
            while !stopped.load(Ordering::Relaxed) {
                turn = (turn + 1) % streams.len().max(1);
                if let Some(stream) = streams.get_mut(turn) {
                    let read = stream.read(&mut buffer).unwrap_or_default();
                    counted.fetch_add(read as u64, Ordering::Relaxed);
                }
                pause(SIP_TIME / turns);
            }
        });
        Ok(Self {
            stop,
            taken,
            thread: Some(thread),
        })
    }

    /// How many bytes they took so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for SlowReaders {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
