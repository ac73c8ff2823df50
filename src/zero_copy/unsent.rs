//! The bound of unsent bytes (`TCP_NOTSENT_LOWAT`): as much of an answer as the kernel takes before it can send it.
//!
//! The less it takes, the more often the connection is woken to hand over more: with [`UNSENT_BYTES`] 64 MiB cost two thirds
//! more processor time than without a bound. The more it takes, the more of the memory that all TCP
//! connections of the machine have together waits for clients that may never read it. So large answers share a budget:
//!
//! 1. A connection begins with [`UNSENT_BYTES`], and keeps to that for small answers.
//! 2. Before a large region of a file it is counted, and gets its part of [`BYTES_OF_ALL`]. Each region after it looks
//!    again how large that part is; the bound is set only where it changed.
//! 3. It is counted until the kernel has sent the answer, or the connection ends: not merely until the kernel has taken it,
//!    or any number of clients that never read could have the largest bound.
//! 4. The first write after it that is no file brings the bound back.
//!
//! A part that was given is not taken back before the next region. So connections that come one after the other and stop
//! have 32 MiB of the largest parts, as much again for each halving, and then [`UNSENT_BYTES`] each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::socket::Socket;

/// The bytes of an answer that the kernel takes of a connection before it can send them, where it has no part of the
/// budget. Without a bound that is megabytes, and thousands of clients that read slowly fill the memory of the machine. It
/// is twice a segment of loopback: with less, the end of an answer that waits for its last bytes may be held back for them.
pub const UNSENT_BYTES: u32 = 128 * 1024;

/// The most that one has of the budget. More hardly makes an answer cheaper.
const UNSENT_BYTES_MAX: u32 = 1024 * 1024;

/// The budget of all large answers together: the largest part for as many as a processor is busy with.
const BYTES_OF_ALL: u32 = 32 * 1024 * 1024;

/// The length in bytes from which a region is one of a large answer. What is shorter waits for the client at most once.
const LARGE_BYTES: usize = 256 * 1024;

/// The budget of the bytes of large answers that the kernel has and cannot send yet. All connections share it.
#[derive(Debug, Default)]
pub struct UnsentBudget {
    /// The number of connections that have a part of it.
    connections: AtomicU32,
}

/// The bound of one connection.
#[derive(Debug)]
pub(super) struct UnsentBound {
    /// `None` where the bound always stays the same.
    budget: Option<Arc<UnsentBudget>>,
    /// True if the connection has a part of the budget.
    is_counted: bool,
    /// The bound that its socket has.
    bytes: u32,
}

impl UnsentBudget {
    /// Returns the part of one of so many connections: a power of two, so that it seldom changes.
    fn part(connections: u32) -> u32 {
        let part = BYTES_OF_ALL / connections.max(1);
        1 << part.clamp(UNSENT_BYTES, UNSENT_BYTES_MAX).ilog2()
    }
}

impl UnsentBound {
    /// Returns the bound of a connection that has a part of this budget when it needs one.
    pub(super) fn of(budget: Arc<UnsentBudget>) -> Self {
        Self {
            budget: Some(budget),
            ..Self::default()
        }
    }

    /// Notes a write before it is done: of a region of a file with so many bytes left, behind a head or not, or of bytes
    /// alone. One that is small costs nothing, unless it comes after a large one.
    pub(super) fn note_write(&mut self, socket: &Socket, region: Option<usize>) {
        match region {
            Some(bytes) if self.is_counted || bytes > LARGE_BYTES => self.raise(socket),
            _ if self.is_counted || self.bytes != UNSENT_BYTES => self.lower(socket),
            _ => {}
        }
    }

    /// Notes that the connection waits for a request. It no longer counts once its last answer has left.
    pub(super) fn note_waiting(&mut self, socket: &Socket) {
        let is_sent = |socket: &Socket| {
            let info = socket.tcp_info();
            info.is_none_or(|info| info.unsent_bytes <= UNSENT_BYTES)
        };
        if self.is_counted && is_sent(socket) {
            self.give_back();
        }
    }

    fn raise(&mut self, socket: &Socket) {
        let Some(budget) = &self.budget else {
            return;
        };
        // A slow reader behind a larger bound looks as if it had stopped, unless the kernel says what it acknowledged.
        if self.bytes == UNSENT_BYTES && !self.is_counted && socket.tcp_info().is_none() {
            self.budget = None;
            return;
        }
        let connections = if self.is_counted {
            budget.connections.load(Relaxed)
        } else {
            self.is_counted = true;
            budget.connections.fetch_add(1, Relaxed) + 1
        };
        self.set(socket, UnsentBudget::part(connections));
    }

    fn lower(&mut self, socket: &Socket) {
        self.set(socket, UNSENT_BYTES);
        self.note_waiting(socket);
    }

    fn set(&mut self, socket: &Socket, bytes: u32) {
        if bytes != self.bytes {
            socket.set_unsent_max(bytes);
            self.bytes = bytes;
        }
    }

    fn give_back(&mut self) {
        if let Some(budget) = self.budget.as_ref().filter(|_| self.is_counted) {
            budget.connections.fetch_sub(1, Relaxed);
        }
        self.is_counted = false;
    }
}

impl Default for UnsentBound {
    /// A bound that always stays the same.
    fn default() -> Self {
        Self {
            budget: None,
            is_counted: false,
            bytes: UNSENT_BYTES,
        }
    }
}

impl Drop for UnsentBound {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use socket2::SockRef;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream, UnixStream};

    use super::*;

    const KIB: u32 = 1024;

    #[test]
    fn the_parts_shrink_from_1_mib_to_128_kib_and_are_no_more_than_the_budget() {
        for (connections, part) in [
            (0, 1024),
            (1, 1024),
            (32, 1024),
            (33, 512),
            (64, 512),
            (65, 256),
            (128, 256),
            (129, 128),
            (256, 128),
            (257, 128),
            (u32::MAX, 128),
        ] {
            assert_eq!(UnsentBudget::part(connections), part * KIB, "{connections}");
        }
        for connections in 1..=256 {
            assert!(connections * UnsentBudget::part(connections) <= BYTES_OF_ALL);
        }
        // One that comes after the other keeps its part: a region more is what gives it back.
        let all: u64 = (1..=10_000)
            .map(|count| u64::from(UnsentBudget::part(count)))
            .sum();
        let fixed = 10_000 * u64::from(UNSENT_BYTES);
        assert!(all - fixed < 64 << 20, "{}", all - fixed);
    }

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await;
        let socket = Socket::Tcp(listener.accept().await.unwrap().0);
        socket.set_unsent_max(UNSENT_BYTES);
        (socket, client.unwrap())
    }

    /// The bound that the kernel has for a socket.
    fn of_kernel(socket: &Socket) -> u32 {
        let fd = socket.as_fd();
        SockRef::from(&fd).tcp_notsent_lowat().unwrap()
    }

    #[tokio::test]
    async fn only_large_regions_raise_the_bound_and_the_next_small_write_brings_it_back() {
        let budget = Arc::new(UnsentBudget::default());
        let connections = || budget.connections.load(Relaxed);
        let (socket, _client) = pair().await;
        let mut bound = UnsentBound::of(Arc::clone(&budget));
        for small in [None, Some(1), Some(LARGE_BYTES)] {
            bound.note_write(&socket, small);
            assert_eq!((of_kernel(&socket), connections()), (UNSENT_BYTES, 0));
        }
        bound.note_write(&socket, Some(LARGE_BYTES + 1));
        assert_eq!((of_kernel(&socket), connections()), (UNSENT_BYTES_MAX, 1));
        // The rest of it.
        bound.note_write(&socket, Some(1));
        assert_eq!((of_kernel(&socket), connections()), (UNSENT_BYTES_MAX, 1));
        // Others come.
        budget.connections.fetch_add(99, Relaxed);
        bound.note_write(&socket, Some(1));
        assert_eq!((of_kernel(&socket), connections()), (256 * KIB, 100));
        bound.note_waiting(&socket);
        assert_eq!((of_kernel(&socket), connections()), (256 * KIB, 99));
        bound.note_write(&socket, Some(LARGE_BYTES));
        assert_eq!((of_kernel(&socket), connections()), (UNSENT_BYTES, 99));
        bound.note_write(&socket, Some(LARGE_BYTES + 1));
        bound.note_write(&socket, None);
        assert_eq!((of_kernel(&socket), connections()), (UNSENT_BYTES, 99));
        bound.note_write(&socket, Some(LARGE_BYTES + 1));
        drop(bound);
        assert_eq!(connections(), 99);
    }

    #[tokio::test]
    async fn a_connection_counts_until_the_client_has_what_the_kernel_took() {
        let budget = Arc::new(UnsentBudget::default());
        let connections = || budget.connections.load(Relaxed);
        let (socket, mut client) = pair().await;
        let mut bound = UnsentBound::of(Arc::clone(&budget));
        bound.note_write(&socket, Some(LARGE_BYTES + 1));
        let Socket::Tcp(stream) = &socket else {
            unreachable!()
        };
        let mut filled = 0;
        while let Ok(written) = stream.try_write(&[7; 65_536]) {
            filled += written;
        }
        bound.note_waiting(&socket);
        bound.note_write(&socket, None);
        assert_eq!((of_kernel(&socket), connections()), (UNSENT_BYTES, 1));
        client.read_exact(&mut vec![0; filled]).await.unwrap();
        bound.note_waiting(&socket);
        assert_eq!(connections(), 0);
    }

    #[tokio::test]
    async fn a_unix_socket_has_no_part_and_one_without_a_budget_neither() {
        let budget = Arc::new(UnsentBudget::default());
        let unix = Socket::Unix(UnixStream::pair().unwrap().0);
        let mut bound = UnsentBound::of(Arc::clone(&budget));
        bound.note_write(&unix, Some(LARGE_BYTES + 1));
        assert_eq!(budget.connections.load(Relaxed), 0);
        let (socket, _client) = pair().await;
        UnsentBound::default().note_write(&socket, Some(LARGE_BYTES + 1));
        assert_eq!(of_kernel(&socket), UNSENT_BYTES);
    }
}
