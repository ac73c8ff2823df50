//! A store that is reached over TLS.

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::prefix;
use super::processes::Installed;
use crate::cli::support::{Place, open};
use crate::support::store::Store;

/// Speaks TLS in front of the store, at the port that it answers with, and gives its certificate as PEM.
async fn front(store: &str) -> (u16, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let store = store.strip_prefix("http://").unwrap().to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, store) = (acceptor.clone(), store.clone());
            tokio::spawn(async move {
                // Who does not trust the certificate goes away.
                if let Ok(mut client) = acceptor.accept(client).await {
                    let mut store = TcpStream::connect(store).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut store).await;
                }
            });
        }
    });
    (port, cert.pem())
}

#[test]
fn a_store_is_reached_over_tls_if_its_certificate_is_trusted() {
    let Some(store) = Store::needed() else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (port, certificate) = runtime.block_on(front(&store.endpoint));
    let mut settings = store.settings(&prefix("tls"));
    settings[1].1 = format!("https://localhost:{port}");
    let mut installed = Installed {
        place: Place::new(),
        settings,
    };
    let file = installed.place.file("a.bin", b"bytes");
    let refused = installed
        .command(&["add", file.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("the blob store is unavailable"), "{said}");

    let trusted = installed.place.file("trusted.pem", certificate.as_bytes());
    installed
        .settings
        .push(("SSL_CERT_FILE", trusted.display().to_string()));
    let bytes = vec![5; 100_000];
    let file = installed.add("b.bin", &bytes);
    let (serving, base) = installed.serve();
    assert_eq!(open(&installed.link(&base, &file)), (200, bytes));
    serving.stop("TERM");
}
