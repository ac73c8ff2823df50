//! `TCP_INFO`: the progress of a TCP connection, as the kernel tells it.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use uapi::{c, getsockopt};

/// The places in the kernel's structure, which only ever grows (`struct tcp_info` of `linux/tcp.h`): bytes that the peer
/// acknowledged (64 bits, since Linux 4.2), and bytes that were not sent yet (32 bits, since Linux 4.6).
const ACKED_AT: usize = 120;
const UNSENT_AT: usize = 144;

/// The length of the structure up to there, which is all that is asked for.
const LENGTH: usize = UNSENT_AT + size_of::<u32>();

/// The progress of a TCP connection (`TCP_INFO`, tcp(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpInfo {
    /// The number of bytes that the peer's system has acknowledged since the connection began.
    pub acked_bytes: u64,
    /// The number of bytes that our system has taken, and not sent yet.
    pub unsent_bytes: u32,
}

impl TcpInfo {
    /// Asks the kernel. `None` for a socket that is no TCP connection, and before Linux 4.6.
    pub(super) fn of(socket: BorrowedFd<'_>) -> Option<Self> {
        let mut info = [0_u8; LENGTH];
        // The descriptor is open and this socket's, as long as it is borrowed.
        let socket = socket.as_raw_fd();
        let length = getsockopt(socket, c::IPPROTO_TCP, c::TCP_INFO, &mut info).ok()?;
        let known = info.get(..length)?;
        Some(Self {
            acked_bytes: u64::from_ne_bytes(*known.get(ACKED_AT..)?.first_chunk()?),
            unsent_bytes: u32::from_ne_bytes(*known.get(UNSENT_AT..)?.first_chunk()?),
        })
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // No connection waits for this thread.
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

    use super::*;

    /// Writes until the kernel takes no more, and returns the number of bytes.
    fn fill(stream: &mut TcpStream) -> u64 {
        let mut filled = 0;
        while let Ok(written) = stream.write(&[7; 65_536]) {
            filled += written as u64;
        }
        filled
    }

    /// Waits until the number of acknowledged bytes stays the same, and returns it.
    fn settled(stream: &TcpStream) -> u64 {
        let acked = || TcpInfo::of(stream.as_fd()).unwrap().acked_bytes;
        let mut before = acked();
        loop {
            std::thread::sleep(Duration::from_millis(300));
            let now = acked();
            if now == before {
                return now;
            }
            before = now;
        }
    }

    #[test]
    fn acknowledged_bytes_grow_as_the_peer_reads_and_stop_when_it_stops() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut filled = fill(&mut stream);
        let stopped = settled(&stream);
        let info = TcpInfo::of(stream.as_fd()).unwrap();
        assert!(stopped > 0 && stopped < filled, "{stopped} of {filled}");
        assert!(info.unsent_bytes > 0 && u64::from(info.unsent_bytes) <= filled - stopped);
        // A peer that reads again, and then all.
        let mut read = vec![0; 1_000_000];
        peer.read_exact(&mut read).unwrap();
        let resumed = settled(&stream);
        assert!(resumed > stopped, "{resumed} after {stopped}");
        filled += fill(&mut stream);
        let mut rest = vec![0; usize::try_from(filled).unwrap() - read.len()];
        peer.read_exact(&mut rest).unwrap();
        let begun = Instant::now();
        while TcpInfo::of(stream.as_fd()).unwrap().acked_bytes < filled {
            assert!(begun.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(10));
        }
        // The end of one's own side counts as a byte, the beginning does not.
        assert_eq!(settled(&stream), filled);
        assert_eq!(TcpInfo::of(stream.as_fd()).unwrap().unsent_bytes, 0);
    }

    #[test]
    fn a_socket_that_is_no_tcp_connection_has_none() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(TcpInfo::of(one.as_fd()), None);
    }
}
