//! The certificate of the servers of a comparison, and the client that trusts it alone.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};

use super::process::Outcome;

/// A certificate of 127.0.0.1 with its key, and a client for it.
pub(crate) struct Identity {
    /// The certificate's file.
    pub(crate) certificate: PathBuf,
    /// The key's file.
    pub(crate) key: PathBuf,
    /// A client of one version and one cipher suite, which every server then has to take.
    pub(crate) client: Arc<ClientConfig>,
}

impl Identity {
    /// Makes one in this directory.
    pub(crate) fn new(directory: &Path) -> Outcome<Self> {
        use std::io::Write as _;
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
        let (certificate, key) = (directory.join("tls.pem"), directory.join("tls.key"));
        fs::write(&certificate, made.cert.pem())?;
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&key)?;
        file.write_all(made.signing_key.serialize_pem().as_bytes())?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        let provider = CryptoProvider {
            cipher_suites: vec![TLS13_AES_256_GCM_SHA384],
            ..aws_lc_rs::default_provider()
        };
        let client = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            certificate,
            key,
            client: Arc::new(client),
        })
    }
}
