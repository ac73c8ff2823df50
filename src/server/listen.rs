//! Listening sockets: bound at the start, accepted from until the end.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener as BlockingTcpListener};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{UnixListener as BlockingUnixListener, UnixStream as BlockingUnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, chmod, fchmod};
use rustix::net::sockopt::socket_acceptconn;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixSocket, UnixStream};

use super::StartError;
use crate::config::Listen;
use crate::web::client::{Peer, TrustedProxies};
use crate::zero_copy::Socket;

/// The pause of accepting when the machine is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// The most connections that may wait to be accepted. The kernel takes `net.core.somaxconn` where that is less, and
/// it is 4,096 where nobody changed it: so the machine's own setting bounds a crowd that comes at once. A client that
/// finds the queue full is not refused, but waits a second or more until its system asks again.
const BACKLOG: u32 = 65_535;

/// The silence after which the kernel asks whether a client is there, the number of its questions, and the pause
/// between them. One that has only closed its own side answers; one that is gone does not, as soon as its system has
/// forgotten it (a minute on Linux). So a client that went away keeps its place for not much longer than that.
const ALIVE: (Duration, u32, Duration) = (Duration::from_secs(15), 3, Duration::from_secs(10));

/// The mode of a Unix socket: its owner and its group may connect.
const SOCKET_MODE: Mode = Mode::from_raw_mode(0o660);

/// A public listener.
pub(super) struct Listener {
    socket: Listening,
    is_tls: bool,
}

enum Listening {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        path: PathBuf,
        /// The file of the socket, if this process made it.
        _file: Option<SocketFile>,
    },
}

/// A listening socket that this process was started with.
#[derive(Debug)]
pub enum Inherited {
    /// A TCP socket.
    Tcp(BlockingTcpListener),
    /// A Unix stream socket.
    Unix(BlockingUnixListener),
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
    /// Returns the stream and the peer.
    pub(super) fn into_socket(self) -> (Socket, Peer) {
        match self {
            Self::Tcp(stream, address) => {
                // Without it the last piece of a small answer waits for the client's acknowledgement.
                let _ = stream.set_nodelay(true);
                (Socket::Tcp(stream), Peer::Address(address.ip()))
            }
            Self::Unix(stream) => (Socket::Unix(stream), Peer::UnixSocket),
        }
    }

    /// Returns the address that a connection counts for, where one address may have only so many: none for this
    /// machine's own, nor for a proxy's, behind which many are. An IPv6 address counts as its first 64 bits: one
    /// customer has so many.
    pub(super) fn counted_address(&self, proxies: &TrustedProxies) -> Option<IpAddr> {
        let Self::Tcp(_, address) = self else {
            return None;
        };
        let address = address.ip().to_canonical();
        let is_counted = !address.is_loopback() && !proxies.trusts(Peer::Address(address));
        is_counted.then_some(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        })
    }
}

impl Listener {
    /// Binds a public listener. `reuse_port`: others may listen at the same address.
    pub(super) fn bind(at: &Listen, reuse_port: bool) -> Result<Self, StartError> {
        let bound = match at {
            Listen::Tcp(address) | Listen::Tls(address) => {
                let bound = bind_tcp(*address, reuse_port);
                bound.inspect(ask_who_is_there).map(Listening::Tcp)
            }
            Listen::Unix(path) => bind_unix(path).map(|(socket, file)| Listening::Unix {
                listener: socket,
                path: file.path.clone(),
                _file: Some(file),
            }),
        };
        let socket = bound.map_err(|source| StartError::Bind {
            at: at.clone(),
            source,
        })?;
        let is_tls = at.is_tls();
        Ok(Self { socket, is_tls })
    }

    /// Returns the listeners of these sockets, in their order. Those whose address the configuration has as one of
    /// TLS speak TLS. An address of TLS that none of them has is an error, since its traffic would go unencrypted.
    pub(super) fn adopt(
        inherited: Vec<Inherited>,
        configured: &[Listen],
    ) -> Result<Vec<Self>, StartError> {
        let adopted: io::Result<Vec<Self>> = inherited
            .into_iter()
            .map(|socket| Self::of_inherited(socket, configured))
            .collect();
        let adopted = adopted
            .map_err(|error| StartError::setup("taking over the sockets of LISTEN_FDS", error))?;
        let places: Vec<_> = adopted.iter().filter_map(Self::place).collect();
        let missing = |listen: &&Listen| listen.is_tls() && !places.contains(listen);
        match configured.iter().find(missing) {
            None => Ok(adopted),
            Some(listen) => Err(StartError::Setup(format!(
                "server.listen has {listen}, but no socket of LISTEN_FDS is at that address"
            ))),
        }
    }

    fn of_inherited(inherited: Inherited, configured: &[Listen]) -> io::Result<Self> {
        let socket = match inherited {
            Inherited::Tcp(socket) => {
                must_listen(&socket)?;
                socket.set_nonblocking(true)?;
                ask_who_is_there(&socket);
                Listening::Tcp(TcpListener::from_std(socket)?)
            }
            Inherited::Unix(socket) => {
                must_listen(&socket)?;
                socket.set_nonblocking(true)?;
                let path = socket.local_addr()?.as_pathname().map(Path::to_owned);
                Listening::Unix {
                    listener: UnixListener::from_std(socket)?,
                    path: path.unwrap_or_default(),
                    _file: None,
                }
            }
        };
        let mut adopted = Self {
            socket,
            is_tls: false,
        };
        let address = adopted.place().and_then(|place| place.address());
        adopted.is_tls = address.is_some_and(|at| configured.contains(&Listen::Tls(at)));
        Ok(adopted)
    }

    /// Returns whether connections begin with a TLS handshake.
    pub(super) const fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Returns the address of the listener, with the port that it has.
    pub(super) fn place(&self) -> Option<Listen> {
        match &self.socket {
            Listening::Tcp(listener) => {
                let address = listener.local_addr().ok()?;
                Some(if self.is_tls {
                    Listen::Tls(address)
                } else {
                    Listen::Tcp(address)
                })
            }
            Listening::Unix { path, .. } => Some(Listen::Unix(path.clone())),
        }
    }

    /// The next connection. Dropping the future loses none.
    pub(super) async fn accept(&self) -> Accepted {
        match &self.socket {
            Listening::Tcp(listener) => {
                let (stream, peer) = accept(listener).await;
                Accepted::Tcp(stream, peer)
            }
            Listening::Unix { listener, .. } => loop {
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

/// Refuses a socket that is connected, or that nobody listens on yet: it could accept nothing.
fn must_listen(socket: &impl AsFd) -> io::Result<()> {
    if socket_acceptconn(socket)? {
        Ok(())
    } else {
        Err(io::Error::other("one of them does not listen"))
    }
}

/// Binds a TCP socket, for whichever protocol is spoken over it.
fn bind_tcp(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A gateway that starts again has its port back at once, whatever the kernel remembers of old connections.
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(reuse_port)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Turns on TCP keep-alive for every client of this listener: an accepted socket has the options of its listener.
fn ask_who_is_there(listener: &impl AsFd) {
    let (idle, times, interval) = ALIVE;
    let asking = TcpKeepalive::new()
        .with_time(idle)
        .with_retries(times)
        .with_interval(interval);
    if let Err(error) = SockRef::from(listener).set_tcp_keepalive(&asking) {
        tracing::warn!(%error, "clients that go away will be noticed late");
    }
}

/// Binds the private listener.
pub(super) fn bind(address: SocketAddr, reuse_port: bool) -> Result<TcpListener, StartError> {
    bind_tcp(address, reuse_port).map_err(|source| StartError::Bind {
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
    // The socket file gets this mode, less the umask: nobody else can connect, not even for a moment.
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
