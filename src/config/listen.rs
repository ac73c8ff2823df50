//! The address of a listener.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The prefix of a Unix socket's path.
const UNIX: &str = "unix:";

/// The prefix of an address where TLS is spoken.
const TLS: &str = "tls:";

/// The place of a public listener. Displayed as it is written: `127.0.0.1:8080`, `tls:[::]:443`,
/// `unix:/run/x.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address and a port; port 0 is any free one.
    Tcp(SocketAddr),
    /// An address and port where every connection begins with a TLS handshake.
    Tls(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Listen {
    /// Reads `ADDRESS:PORT`, `tls:ADDRESS:PORT` or `unix:PATH`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix(UNIX) {
            let is_path = !path.is_empty() && !path.contains('\0');
            return is_path.then(|| Self::Unix(path.into()));
        }
        match text.strip_prefix(TLS) {
            Some(text) => address(text).map(Self::Tls),
            None => address(text).map(Self::Tcp),
        }
    }

    /// The address, unless it is a Unix socket.
    pub const fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) | Self::Tls(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Returns whether connections speak TLS.
    pub const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Returns whether the operating system chooses the port.
    pub const fn is_any_port(&self) -> bool {
        match self.address() {
            Some(address) => address.port() == 0,
            None => false,
        }
    }
}

/// The address and port that a text names. `localhost:PORT` is `127.0.0.1:PORT`: one word is one socket, which is
/// there on a machine without IPv6, too. `:PORT` is every IPv4 address of the machine, as in the configuration of
/// other servers. No name but `localhost` is looked up.
pub(super) fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host {
        "" => Ipv4Addr::UNSPECIFIED,
        name if name.eq_ignore_ascii_case("localhost") => Ipv4Addr::LOCALHOST,
        _ => return text.parse().ok(),
    };
    format!("{host}:{port}").parse().ok()
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Tls(address) => write!(f, "{TLS}{address}"),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}
