//! TLS: the certificate and its key, read from their files at the start and whenever these change.
//!
//! A pair that cannot be used never takes the place of one that can. No message quotes a file: one of them
//! holds the key.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use hyper::Version;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::version::{TLS12, TLS13};
use rustls::{InconsistentKeys, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use zeroize::Zeroizing;

use super::fingerprint::FileFingerprint;
use super::sealed_stream::FRAGMENT_MAX;
use crate::config::{Config, Http2};
use crate::gateway::refusal::with_causes;

/// The largest certificate file and key file that are read, in bytes: room for some hundred certificates.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The protocol that an HTTP/2 client names in its handshake (RFC 7301, RFC 9113).
const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";
const HTTP_1_0: &[u8] = b"http/1.0";

/// The settings that name the two files.
const CERTIFICATE: &str = "server.tls_certificate";
const KEY: &str = "server.tls_key";

/// An error of a certificate that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error("{key}: cannot read {path}", path = path.display())]
    Io {
        key: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{key}: {path} {why}", path = path.display())]
    Unusable {
        key: &'static str,
        path: PathBuf,
        why: &'static str,
    },
    #[error(
        "server.tls_key: {path} has mode {mode:04o}: only its owner may have access (chmod 600)",
        path = path.display()
    )]
    Exposed { path: PathBuf, mode: u32 },
    #[error("server.tls_key: the key in {path} is not the certificate's", path = path.display())]
    OtherKey { path: PathBuf },
    #[error("server.tls_certificate: {path} cannot be used", path = path.display())]
    Refused {
        path: PathBuf,
        #[source]
        source: rustls::Error,
    },
}

/// The TLS settings of new connections: the newest pair that could be used.
#[derive(Debug)]
pub(super) struct Tls {
    files: PemFiles,
    /// The files just before they were first read.
    at_start: [Option<FileFingerprint>; 2],
    current: ArcSwap<ServerConfig>,
}

#[derive(Debug)]
struct PemFiles {
    certificate: PathBuf,
    key: PathBuf,
    protocols: Vec<Vec<u8>>,
}

/// Watches the two files.
pub(super) struct TlsWatch {
    tls: Arc<Tls>,
    /// The files at the last look, and whether they were read as they are.
    seen: [Option<FileFingerprint>; 2],
    is_read: bool,
}

impl Tls {
    /// Reads the pair that the configuration names, if it names one.
    pub(super) fn read(config: &Config) -> Result<Option<Self>, TlsError> {
        let server = &config.server;
        let (Some(certificate), Some(key)) = (&server.tls_certificate, &server.tls_key) else {
            return Ok(None);
        };
        let protocols = match server.http2 {
            Http2::Off => [HTTP_1_1, HTTP_1_0].as_slice(),
            Http2::Tls | Http2::On => &[H2, HTTP_1_1, HTTP_1_0],
        };
        let files = PemFiles {
            certificate: certificate.clone(),
            key: key.clone(),
            protocols: protocols.iter().map(|name| name.to_vec()).collect(),
        };
        let at_start = files.fingerprints();
        let current = ArcSwap::from_pointee(files.read()?);
        Ok(Some(Self {
            files,
            at_start,
            current,
        }))
    }

    /// Shakes hands, and answers which HTTP the client chose. It is for the caller to bound the time.
    pub(super) async fn accept<S>(&self, stream: S) -> io::Result<(TlsStream<S>, Version)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(self.current.load_full());
        let stream = acceptor.accept(stream).await?;
        let version = match stream.get_ref().1.alpn_protocol() {
            Some(protocol) if protocol == H2 => Version::HTTP_2,
            _ => Version::HTTP_11,
        };
        Ok((stream, version))
    }

    /// Reads the pair again. Blocks on two small local files.
    fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(self.files.read()?));
        Ok(())
    }
}

impl TlsWatch {
    /// Watches from now on. The first look sees changes since the pair was read.
    pub(super) fn new(tls: Arc<Tls>) -> Self {
        Self {
            seen: tls.at_start,
            is_read: true,
            tls,
        }
    }

    /// Reads the pair again if it changed, once it has stayed the same from one look to the next: the two
    /// files are not replaced in one moment.
    pub(super) fn check(&mut self) {
        let found = self.tls.files.fingerprints();
        if found != self.seen {
            self.seen = found;
            self.is_read = false;
        } else if !self.is_read {
            self.reload();
        }
    }

    /// Reads the pair again, changed or not.
    pub(super) fn reload(&mut self) {
        self.is_read = true;
        match self.tls.reload() {
            Ok(()) => tracing::info!("the certificate was read again"),
            Err(error) => {
                tracing::error!(error = %with_causes(&error), "the certificate cannot be used: the old one stays");
            }
        }
    }
}

impl PemFiles {
    fn fingerprints(&self) -> [Option<FileFingerprint>; 2] {
        [
            FileFingerprint::of(&self.certificate),
            FileFingerprint::of(&self.key),
        ]
    }

    fn read(&self) -> Result<ServerConfig, TlsError> {
        let chain = self.chain()?;
        let key = self.key()?;
        let versions = &[&TLS13, &TLS12];
        let refused = |source| TlsError::Refused {
            path: self.certificate.clone(),
            source,
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(refused)?
            .with_no_client_auth();
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    TlsError::OtherKey {
                        path: self.key.clone(),
                    }
                }
                // The provider's error for a key that it cannot load.
                rustls::Error::General(_) => {
                    unusable(KEY, &self.key, "holds a key of no known kind")
                }
                source => refused(source),
            })?;
        config.alpn_protocols.clone_from(&self.protocols);
        config.max_fragment_size = Some(FRAGMENT_MAX);
        Ok(config)
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let path = &self.certificate;
        let unusable = |why| unusable(CERTIFICATE, path, why);
        let (text, _) = read_whole(CERTIFICATE, path)?;
        let chain = CertificateDer::pem_slice_iter(&text);
        let chain: Result<Vec<_>, _> = chain.collect();
        let chain = chain.map_err(|_| unusable("is no PEM file"))?;
        if chain.is_empty() {
            return Err(unusable("has no certificate (-----BEGIN CERTIFICATE-----)"));
        }
        let is_sound = |certificate| ParsedCertificate::try_from(certificate).is_ok();
        if !chain.iter().all(is_sound) {
            return Err(unusable("has a certificate that is none"));
        }
        Ok(chain)
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let unusable = |why| unusable(KEY, &self.key, why);
        let (text, mode) = read_whole(KEY, &self.key)?;
        if mode & 0o077 != 0 {
            return Err(TlsError::Exposed {
                path: self.key.clone(),
                mode,
            });
        }
        let mut keys = PrivateKeyDer::pem_slice_iter(&text);
        match (keys.next(), keys.next()) {
            (Some(Ok(key)), None) => Ok(key),
            (None, _) => Err(unusable(
                "has no private key (-----BEGIN PRIVATE KEY-----, without a password)",
            )),
            (Some(Ok(_)), Some(_)) => Err(unusable("has more than one private key")),
            (Some(Err(_)), _) => Err(unusable("is no PEM file")),
        }
    }
}

fn unusable(key: &'static str, path: &Path, why: &'static str) -> TlsError {
    let path = path.to_owned();
    TlsError::Unusable { key, path, why }
}

/// A small file and its permissions. Links are followed.
fn read_whole(key: &'static str, path: &Path) -> Result<(Zeroizing<Vec<u8>>, u32), TlsError> {
    let failed = |source| TlsError::Io {
        key,
        path: path.to_owned(),
        source,
    };
    // Looked at before it is opened: opening a pipe would wait for a writer.
    let found = path.metadata().map_err(failed)?;
    if !found.is_file() || found.len() > FILE_BYTES_MAX {
        return Err(unusable(key, path, "is no PEM file"));
    }
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    // Room enough: what grows leaves a copy behind, which is not wiped.
    let room = usize::try_from(found.len()).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    let read = file.take(FILE_BYTES_MAX).read_to_end(&mut bytes);
    read.map_err(failed)?;
    Ok((bytes, mode))
}
