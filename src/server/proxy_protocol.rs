//! The PROXY protocol, version 1 and 2: a proxy's first bytes say who is behind it
//! (<https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt>).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::model::amount::decimal;
use crate::web::client::Peer;

/// The bytes that version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The longest line of version 1, its end included.
const LINE_BYTES_MAX: usize = 107;

/// The most bytes behind the fixed head of version 2: addresses and extensions. Proxies send some
/// hundred; the format would allow 64 KiB.
const BODY_BYTES_MAX: u16 = 4096;

/// The bytes of one read, while there is room.
const READ_BYTES: usize = 512;

/// The length of two Unix socket addresses.
const UNIX_BYTES: usize = 216;

/// Reads the header that a connection begins with, and returns the peer behind the proxy; `own`, the proxy itself,
/// where it speaks for itself. Bytes that were read behind the header stay in `begun`. The caller bounds the time.
///
/// # Errors
/// A connection that breaks or ends, and a header that is malformed or too long.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    begun: &mut BytesMut,
    own: Peer,
) -> io::Result<Peer> {
    begun.reserve(READ_BYTES);
    loop {
        if let Some((peer, length)) = announcement(begun, own)? {
            begun.advance(length);
            return Ok(peer);
        }
        if stream.read_buf(begun).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Returns the announced peer and the length of the header; nothing, as long as the header is not there whole.
fn announcement(begun: &[u8], own: Peer) -> io::Result<Option<(Peer, usize)>> {
    let start = begun.get(..SIGNATURE.len()).unwrap_or(begun);
    if SIGNATURE.starts_with(start) {
        binary_announcement(begun, own)
    } else {
        line_announcement(begun)
    }
}

fn binary_announcement(begun: &[u8], own: Peer) -> io::Result<Option<(Peer, usize)>> {
    let rest = begun.get(SIGNATURE.len()..).unwrap_or_default();
    let Some(([command, family, high, low], body)) = rest.split_first_chunk() else {
        return Ok(None);
    };
    let length = u16::from_be_bytes([*high, *low]);
    if length > BODY_BYTES_MAX {
        return Err(malformed());
    }
    let Some(body) = body.get(..usize::from(length)) else {
        return Ok(None);
    };
    let peer = version_2(*command, *family, body, own).ok_or_else(malformed)?;
    Ok(Some((peer, SIGNATURE.len() + 4 + body.len())))
}

fn line_announcement(begun: &[u8]) -> io::Result<Option<(Peer, usize)>> {
    let within = begun.get(..LINE_BYTES_MAX).unwrap_or(begun);
    let Some(end) = memchr::memchr(b'\n', within) else {
        let is_too_long = begun.len() >= LINE_BYTES_MAX;
        return if is_too_long {
            Err(malformed())
        } else {
            Ok(None)
        };
    };
    let line = within.get(..=end).unwrap_or_default();
    let peer = version_1(line).ok_or_else(malformed)?;
    Ok(Some((peer, line.len())))
}

fn version_1(line: &[u8]) -> Option<Peer> {
    let line = str::from_utf8(line).ok()?;
    let line = line.strip_prefix("PROXY ")?.strip_suffix("\r\n")?;
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Some(Peer::Unknown);
    }
    let fields: Vec<&str> = line.split(' ').collect();
    let [family, source, destination, source_port, destination_port] = fields.as_slice() else {
        return None;
    };
    for port in [source_port, destination_port] {
        decimal::<u16>(port)?;
    }
    let source: IpAddr = match *family {
        "TCP4" => {
            destination.parse::<Ipv4Addr>().ok()?;
            source.parse::<Ipv4Addr>().ok()?.into()
        }
        "TCP6" => {
            destination.parse::<Ipv6Addr>().ok()?;
            source.parse::<Ipv6Addr>().ok()?.into()
        }
        _ => return None,
    };
    Some(Peer::Address(source))
}

/// `command` and `family` each hold two half bytes; the extensions behind the addresses are passed over.
fn version_2(command: u8, family: u8, body: &[u8], own: Peer) -> Option<Peer> {
    match (command, family) {
        // The proxy's own health check.
        (0x20, _) => Some(own),
        (0x21, 0x00) => Some(Peer::Unknown),
        (0x21, 0x11) => {
            let (source, _) = body.get(..12)?.split_first_chunk::<4>()?;
            Some(Peer::Address(Ipv4Addr::from(*source).into()))
        }
        (0x21, 0x21) => {
            let (source, _) = body.get(..36)?.split_first_chunk::<16>()?;
            Some(Peer::Address(Ipv6Addr::from(*source).into()))
        }
        (0x21, 0x31) => body.get(..UNIX_BYTES).map(|_| Peer::Unknown),
        _ => None,
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no PROXY protocol header")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OWN: Peer = Peer::Address(IpAddr::V4(Ipv4Addr::LOCALHOST));

    /// Returns the announced peer, and the bytes that are left for HTTP.
    fn announced(bytes: &[u8]) -> Option<(Peer, Vec<u8>)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (mut stream, mut begun) = (bytes, BytesMut::new());
            let peer = read(&mut stream, &mut begun, OWN).await.ok()?;
            Some((peer, [&begun, stream].concat()))
        })
    }

    fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&SIGNATURE, &[command, family] as &[u8], &length, body].concat()
    }

    fn address(text: &str) -> Peer {
        Peer::Address(text.parse().unwrap())
    }

    #[test]
    fn lines_are_read_to_their_end_and_not_further() {
        let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(91));
        assert_eq!(longest.len(), LINE_BYTES_MAX);
        let v6 = "2001:db8:1111:2222:3333:4444:5555:6666";
        for (line, peer) in [
            (
                "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n",
                address("192.0.2.1"),
            ),
            (
                "PROXY TCP4 192.0.2.1 10.0.0.1 0 65535\r\n",
                address("192.0.2.1"),
            ),
            (&format!("PROXY TCP6 {v6} ::1 65535 65535\r\n"), address(v6)),
            ("PROXY UNKNOWN\r\n", Peer::Unknown),
            ("PROXY UNKNOWN ::1 ::1 1 2\r\n", Peer::Unknown),
            (&longest, Peer::Unknown),
        ] {
            let sent = format!("{line}GET / HTTP/1.1\r\n");
            let rest = b"GET / HTTP/1.1\r\n".to_vec();
            assert_eq!(announced(sent.as_bytes()), Some((peer, rest)), "{line}");
        }
    }

    #[test]
    fn anything_else_is_no_announcement() {
        let too_long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(92));
        for sent in [
            "",
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80",
            "PROXY TCP4 192.0.2.1 10.0.0.1 4711\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80 \r\n",
            "PROXY  TCP4 192.0.2.1 10.0.0.1 4711 80\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 04711 80\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 +4711 80\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 70000 80\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1  80\r\n",
            "PROXY TCP4 192.0.2.01 10.0.0.1 4711 80\r\n",
            "PROXY TCP4 ::1 ::1 4711 80\r\n",
            "PROXY TCP6 192.0.2.1 10.0.0.1 4711 80\r\n",
            "PROXY UDP4 192.0.2.1 10.0.0.1 4711 80\r\n",
            "PROXY UNKNOWNS\r\n",
            "proxy UNKNOWN\r\n",
            "PROXY\r\nUNKNOWN\r\n",
            &too_long,
        ] {
            assert_eq!(announced(sent.as_bytes()), None, "{sent}");
        }
    }

    #[test]
    fn binary_announcements_are_read_with_their_extensions() {
        let v4 = [192, 0, 2, 1, 10, 0, 0, 1, 0, 80, 0, 81];
        let extended = [&v4 as &[u8], &[4, 0, 1, 0]].concat();
        let mut v6 = [0; 36];
        v6[..2].copy_from_slice(&[0x20, 0x01]);
        for (bytes, peer) in [
            (binary(0x21, 0x11, &v4), address("192.0.2.1")),
            (binary(0x21, 0x11, &extended), address("192.0.2.1")),
            (binary(0x21, 0x21, &v6), address("2001::")),
            (binary(0x21, 0x31, &[0; 216]), Peer::Unknown),
            (binary(0x21, 0x00, &[1, 2, 3]), Peer::Unknown),
            (binary(0x20, 0x00, &[]), OWN),
            (binary(0x20, 0xff, &v4), OWN),
        ] {
            let sent = [&bytes as &[u8], b"GET"].concat();
            assert_eq!(announced(&sent), Some((peer, b"GET".to_vec())), "{bytes:?}");
        }
        for bytes in [
            binary(0x11, 0x11, &v4),
            binary(0x22, 0x11, &v4),
            binary(0x21, 0x12, &v4),
            binary(0x21, 0x41, &v4),
            binary(0x21, 0x11, &v4[..11]),
            binary(0x21, 0x21, &v6[..35]),
            binary(0x21, 0x31, &[0; 215]),
            binary(0x20, 0x00, &[0; 4097]),
            binary(0x21, 0x11, &v4)[..27].to_vec(),
        ] {
            assert_eq!(announced(&bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200), keep in 0_usize..17) {
            announced(&bytes);
            let start = binary(0x21, 0x11, &[0; 12]);
            announced(&[&start[..keep.min(start.len())], &bytes].concat());
            announced(&[b"PROXY TCP4 ", bytes.as_slice()].concat());
        }

        #[test]
        fn every_address_is_read_back(v4: [u8; 4], v6: [u16; 8], port: u16) {
            let (v4, v6) = (Ipv4Addr::from(v4), Ipv6Addr::from(v6));
            let line = format!("PROXY TCP4 {v4} {v4} {port} {port}\r\n");
            prop_assert_eq!(announced(line.as_bytes()), Some((Peer::Address(v4.into()), vec![])));
            let line = format!("PROXY TCP6 {v6} {v6} {port} {port}\r\n");
            prop_assert_eq!(announced(line.as_bytes()), Some((Peer::Address(v6.into()), vec![])));
        }
    }
}
