//! Listening sockets: bound at the start, accepted from until the end.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream as BlockingUnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, chmod, fchmod};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixSocket, UnixStream};

use super::StartError;
use crate::config::Listen;
use crate::handover::Socket;
use crate::web::client::{Peer, TrustedProxies};

/// How long accepting pauses when the machine is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// How much of an answer the kernel takes from us before it can send it, in bytes. Without a bound that is
/// megabytes, and nothing that a slow client takes shows until it has taken a third of them: it looks as if
/// it had stopped, and thousands of such clients fill the memory of the machine.
const UNSENT_BYTES_MAX: u32 = 128 * 1024;

/// Who may connect to a Unix socket: its owner and its group.
const SOCKET_MODE: Mode = Mode::from_raw_mode(0o660);

/// A public listener.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// A connection, and who is at its other end.
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// The file of a Unix socket that we bound. It is removed when this is dropped, if it still is ours.
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Accepted {
    /// Its stream, and who is at the other end.
    pub(super) fn into_socket(self) -> (Socket, Peer) {
        match self {
            Self::Tcp(stream, address) => {
                // Without it the last piece of a small answer waits for the client's acknowledgement.
                let _ = stream.set_nodelay(true);
                let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
                (Socket::Tcp(stream), Peer::Address(address.ip()))
            }
            Self::Unix(stream) => (Socket::Unix(stream), Peer::UnixSocket),
        }
    }

    /// Whose connection it is, where one address may have only so many: not of this machine's own, and
    /// not of a proxy's, behind which many are.
    pub(super) fn counted_address(&self, proxies: &TrustedProxies) -> Option<IpAddr> {
        let Self::Tcp(_, address) = self else {
            return None;
        };
        let address = address.ip().to_canonical();
        let is_counted = !address.is_loopback() && !proxies.trusts(Peer::Address(address));
        is_counted.then_some(address)
    }
}

impl Listener {
    /// Binds a public listener.
    pub(super) async fn bind(at: &Listen) -> Result<Self, StartError> {
        let bound = match at {
            Listen::Tcp(address) => TcpListener::bind(address).await.map(Self::Tcp),
            Listen::Unix(path) => bind_unix(path).map(|(socket, file)| Self::Unix(socket, file)),
        };
        bound.map_err(|source| StartError::Bind {
            at: at.clone(),
            source,
        })
    }

    /// Where it listens: the port is the one that it has.
    pub(super) fn place(&self) -> Option<Listen> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok().map(Listen::Tcp),
            Self::Unix(_, file) => Some(Listen::Unix(file.path.clone())),
        }
    }

    /// The next connection. Dropping the future loses none.
    pub(super) async fn accept(&self) -> Accepted {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = accept(listener).await;
                Accepted::Tcp(stream, peer)
            }
            Self::Unix(listener, _) => loop {
                match listener.accept().await {
                    Ok((stream, _)) => return Accepted::Unix(stream),
                    Err(error) => wait_out(&error).await,
                }
            },
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = identity(&self.path).is_ok_and(|found| found == self.identity);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, "removing a Unix socket failed");
        }
    }
}

/// Lets this process have as many descriptors as it may: each connection is one, and often a file more.
pub(super) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}

/// Binds the private listener.
pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Bind {
            at: Listen::Tcp(address),
            source,
        })
}

/// The next connection of a TCP listener. Dropping the future loses no connection.
pub(super) async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => wait_out(&error).await,
        }
    }
}

/// An error of one connection is passed over; one of the machine is waited out, so that a full
/// descriptor table does not become a busy loop.
async fn wait_out(error: &io::Error) {
    if !is_of_one_connection(error) {
        tracing::warn!(%error, "accepting a connection failed");
        tokio::time::sleep(PAUSE).await;
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// Binds a Unix socket of mode 0660. A socket that nobody listens on any more is replaced; one that
/// somebody does, or a file that is no socket, is an error. Waits on the disk: it is for the start.
fn bind_unix(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let path = std::path::absolute(path)?;
    // Of two processes that start at once, one sees what the other has made.
    let directory = File::open(path.parent().unwrap_or(&path))?;
    directory.lock()?;
    make_room(&path)?;
    let socket = UnixSocket::new_stream()?;
    // What the file is made with, less the umask: nobody else can connect, not even for a moment.
    fchmod(&socket, SOCKET_MODE)?;
    socket.bind(&path)?;
    let identity = identity(&path)?;
    let file = SocketFile { path, identity };
    chmod(&file.path, SOCKET_MODE)?;
    Ok((socket.listen(BACKLOG)?, file))
}

/// Removes the socket of a process that is gone.
fn make_room(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    match BlockingUnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) => Err(error),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}
