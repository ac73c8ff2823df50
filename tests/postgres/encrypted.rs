//! TLS to the server.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::cli::support::{Place, Serving};
use crate::support::postgres::{Server, USER};

/// A server that lets nobody in without TLS, and its certificate.
fn server() -> (Server, String) {
    let server = Server::start("");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let owner = fs::metadata(server.data()).unwrap();
    for (name, text) in [
        ("server.crt", cert.pem()),
        ("server.key", signing_key.serialize_pem()),
    ] {
        let path = server.data().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    server.database("encrypted");
    let who_may = format!("hostnossl all {USER} all reject\nhost all all 127.0.0.1/32 trust\n");
    fs::write(server.data().join("pg_hba.conf"), who_may).unwrap();
    server.sql("postgres", "ALTER SYSTEM SET ssl = on");
    server.sql("postgres", "SELECT pg_reload_conf()");
    (server, cert.pem())
}

#[test]
fn a_server_s_certificate_is_checked() {
    let (server, certificate) = server();
    let place = Place::new();
    let right = place.file("right.pem", certificate.as_bytes());
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let other = generate_simple_self_signed(names).unwrap().cert.pem();
    let wrong = place.file("wrong.pem", other.as_bytes());
    let run = |more: &str| {
        let url = format!("{}?{more}", server.url("encrypted"));
        let mut command = place.command(&["key", "generate"]);
        command.env("HALLPASS_CATALOG_URL", url).output().unwrap()
    };
    let verified =
        |ca: &std::path::Path| format!("sslmode=verify-full&sslrootcert={}", ca.display());
    let refused = run("sslmode=disable");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let refused = run(&verified(&wrong));
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("certificate"), "{said}");
    let done = run(&verified(&right));
    assert!(done.status.success(), "{done:?}");
    let found = server.sql("encrypted", "SELECT count(*) FROM organization");
    assert_eq!(found, "1");
}

/// To a server that may be anywhere, one line says what an unchecked certificate means. `0.0.0.0` is this machine
/// by a name that does not say so.
#[test]
fn a_server_elsewhere_without_a_checked_certificate_is_warned_of() {
    let server = Server::shared();
    server.database("exposed");
    let place = Place::new();
    let key = |url: &str| {
        let mut command = place.command(&["key", "generate"]);
        command.env("HALLPASS_CATALOG_URL", url).output().unwrap()
    };
    assert!(key(&server.url("exposed")).status.success());
    for (host, is_warned) in [("127.0.0.1", false), ("0.0.0.0", true)] {
        let url = server.url("exposed").replace("127.0.0.1", host);
        let mut command = place.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("HALLPASS_CATALOG_URL", url);
        let mut serving = Serving::of(command);
        serving.url();
        let (_, _, log) = serving.stop("TERM");
        let warned = log.contains("sslmode=verify-full");
        assert_eq!(warned, is_warned, "{host}: {log}");
        assert!(!is_warned || log.contains("prefer"), "{log}");
    }
}
