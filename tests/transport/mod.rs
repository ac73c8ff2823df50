//! TLS and HTTP/2 over real sockets, and a restart that loses nothing.

mod authority;
mod backlog;
mod bytes;
mod certificates;
mod content;
mod counts;
mod deadlines;
mod fair_streams;
mod floods;
mod frames;
mod frames_refused;
mod frames_states;
mod handshakes;
mod parked;
mod restart;
mod slow_readers;
mod tools;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::bytes::Bytes;
use hallpass::config::Listen;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::app::TestApp;
use crate::support::client::Reply;

/// What the tests' certificates are for.
pub(crate) const NAME: &str = "localhost";

/// A certificate and its key, in files.
pub(crate) struct Pair {
    directory: tempfile::TempDir,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let pair = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        pair.renew();
        pair
    }

    /// Puts a new certificate and key in place of the old ones.
    fn renew(&self) {
        let (certificate, key) = generated();
        write(&self.certificate(), &certificate);
        write(&self.key(), &key);
    }

    fn certificate(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.certificate()).unwrap()
    }

    /// A gateway on a plain port and a TLS port.
    pub(crate) async fn app(&self, more: &[(&'static str, &str)]) -> (TestApp, SocketAddr) {
        let certificate = self.certificate().display().to_string();
        let key = self.key().display().to_string();
        let mut settings = vec![
            ("server.listen", "127.0.0.1:0"),
            ("server.listen", "tls:127.0.0.1:0"),
            ("server.tls_certificate", certificate.as_str()),
            ("server.tls_key", key.as_str()),
        ];
        settings.extend(more);
        let app = TestApp::start_with(&settings).await.with_org_123().await;
        let Listen::Tls(address) = app.listeners[1] else {
            panic!("{:?}", app.listeners)
        };
        (app, address)
    }

    /// Shakes hands, as a client that trusts this certificate alone and speaks these protocols.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        self.connect_over(stream, protocols).await
    }

    pub(crate) async fn connect_over<S>(
        &self,
        stream: S,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut roots = RootCertStore::empty();
        roots.add(self.der()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().into())
            .collect();
        let name = ServerName::try_from(NAME).unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }
}

/// A fresh certificate and its key, as PEM.
fn generated() -> (String, String) {
    let names = vec![NAME.to_owned(), "127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    (cert.pem(), signing_key.serialize_pem())
}

/// Replaces a file as a careful program does, for its owner only.
fn write(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let stage = path.with_extension("new");
    std::fs::write(&stage, text).unwrap();
    std::fs::set_permissions(&stage, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(&stage, path).unwrap();
}

/// A client that speaks HTTP/2, over any connection.
pub(crate) struct Http2(h2::client::SendRequest<Bytes>);

impl Http2 {
    pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(1 << 20);
        let (send, connection) = builder.handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self(send)
    }

    /// By prior knowledge, on a plain listener.
    pub(crate) async fn plain(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    pub(crate) async fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &'static [u8],
    ) -> Result<Reply, h2::Error> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("https://{NAME}{target}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        let mut send = self.0.clone().ready().await?;
        let (response, mut stream) = send.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            stream.send_data(Bytes::from_static(body), true)?;
        }
        let (head, mut body) = response.await?.into_parts();
        assert_eq!(head.version, http::Version::HTTP_2);
        let mut bytes = Vec::new();
        while let Some(chunk) = body.data().await {
            let chunk = chunk?;
            body.flow_control().release_capacity(chunk.len())?;
            bytes.extend_from_slice(&chunk);
        }
        let headers = head.headers.iter();
        let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
        Ok(Reply {
            status: head.status.as_u16(),
            headers: headers
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            body: bytes,
        })
    }

    pub(crate) async fn get(&mut self, target: &str, headers: &[(&str, &str)]) -> Reply {
        self.request("GET", target, headers, b"").await.unwrap()
    }
}
