//! What is refused, and in which words.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use hallpass::config::{Config, FILE_BYTES_MAX, KEYS};

use super::{Given, setting, variable_of};

const NOT_A_URL: &str = "must begin with http:// or https://";
const NOT_A_DATABASE: &str = "must begin with postgres:// or postgresql://";
const SECONDS: &str =
    "must be a number of seconds, or a number with s, m, h, d or w, such as 90s, 1h30m or 2w";
const BYTES: &str = "must be a number of bytes, or a number with KiB, MiB or GiB";
const ORIGINS: &str = "must hold origins such as https://app.example.com, or * alone";
const ADDRESS: &str = "must be ADDRESS:PORT, such as 127.0.0.1:8080, [::1]:8080, localhost:8080 or :8080 (every IPv4 address)";

const LISTEN: &str = "must be ADDRESS:PORT, such as 127.0.0.1:8080, [::1]:8080, localhost:8080 or :8080 (every IPv4 address), tls:ADDRESS:PORT, or unix:PATH";
const BUCKET: &str = "must be s3://BUCKET or s3://BUCKET/PREFIX, of a-z, A-Z, 0-9 and . _ -";
const WORD: &str = "must be visible ASCII without spaces, at most 128 bytes";
const PREFIX: &str = "must be a path of plain names, such as /hallpass-internal";
const PAGE_TEXT: &str = "must be one line of text, at most 100 characters";
const HOSTS: &str = "must hold names of hosts in lower case, such as gateway.example.com";
const HSTS: &str =
    "must be a value of Strict-Transport-Security, such as max-age=31536000; includeSubDomains";
const PROXIES: &str = "must hold addresses, networks such as 10.0.0.0/8, or the word unix";

/// A key, what the environment says of it, and why not.
const BAD_VALUES: &[(&str, &str, &str)] = &[
    ("server.listen", "localhost", LISTEN),
    ("server.listen", "localhost:", LISTEN),
    ("server.listen", "localhost:http", LISTEN),
    ("server.listen", "localhost.example.com:8080", LISTEN),
    ("server.listen", "8080", LISTEN),
    ("server.listen", ":", LISTEN),
    ("server.listen", ":+80", LISTEN),
    ("server.listen", ":70000", LISTEN),
    ("server.listen", "127.0.0.1:70000", LISTEN),
    ("server.listen", "127.0.0.1:1,", LISTEN),
    ("server.listen", "", "must name at least one address"),
    (
        "server.listen",
        "[::1]:1,[::1]:1",
        "must not name an address twice",
    ),
    ("server.listen", "unix:", LISTEN),
    (
        "server.listen",
        "unix:/a,unix:/a",
        "must not name an address twice",
    ),
    ("server.listen", "tls:", LISTEN),
    ("server.listen", "tls:unix:/a", LISTEN),
    ("server.listen", "TLS:127.0.0.1:1", LISTEN),
    (
        "server.listen",
        "tls:127.0.0.1:1,127.0.0.1:1",
        "must not name an address twice",
    ),
    (
        "server.listen",
        "tls:127.0.0.1:1",
        "must have a certificate for its tls: addresses: set server.tls_certificate and server.tls_key",
    ),
    ("server.tls_certificate", "a\0b", "must be a path"),
    (
        "server.tls_certificate",
        "/a",
        "must be set together with server.tls_key",
    ),
    ("server.tls_key", "a\0b", "must be a path"),
    (
        "server.tls_key",
        "/a",
        "must be set together with server.tls_certificate",
    ),
    ("server.admin_hosts", "A.example", HOSTS),
    ("server.admin_hosts", "a.example:9090", HOSTS),
    ("server.admin_hosts", "a.example.", HOSTS),
    ("server.admin_hosts", "a,*.example", HOSTS),
    ("server.hsts", "3600", HSTS),
    ("server.hsts", "max-age", HSTS),
    ("server.hsts", "max-age=", HSTS),
    ("server.hsts", "max-age=-1", HSTS),
    ("server.hsts", "max-age=1;", HSTS),
    ("server.hsts", "max-age=1; max-age=2", HSTS),
    ("server.hsts", "includeSubDomains", HSTS),
    ("server.hsts", "max-age=1; preload; Preload", HSTS),
    ("server.hsts", "max-age=1; includeSubDomains=1", HSTS),
    ("server.hsts", "max-age=1\r\nX-A: b", HSTS),
    (
        "server.hsts",
        "max-age=1",
        "must not be set where no address of server.listen begins with tls:",
    ),
    ("server.http2", "h2c", "must be one of off, tls, on"),
    ("server.reuse_port", "1", "must be true or false"),
    ("server.admin_listen", "9090", ADDRESS),
    ("server.admin_listen", "unix:/a", ADDRESS),
    ("server.public_base_url", "files.example.com", NOT_A_URL),
    (
        "server.public_base_url",
        "https://secret@files.example.com",
        "must have no user, query or fragment",
    ),
    ("server.data_dir", "", "must be a path"),
    ("server.trusted_proxies", "localhost", PROXIES),
    ("server.trusted_proxies", "10.0.0.1/8", PROXIES),
    ("server.trusted_proxies", "*", PROXIES),
    (
        "server.proxy_protocol",
        "on",
        "must be one of off, required",
    ),
    (
        "server.proxy_protocol",
        "required",
        "must not be required of nobody: name the proxies in server.trusted_proxies",
    ),
    ("server.connections_max", "0", "must be 1 to 10000000"),
    ("server.connections_max", "many", "must be a whole number"),
    (
        "server.connections_per_address_max",
        "10000001",
        "must be 0 to 10000000",
    ),
    (
        "server.response_memory_max",
        "1023KiB",
        "must be 1048576 to 1099511627776 bytes",
    ),
    ("server.http2_streams_max", "0", "must be 1 to 100"),
    ("server.http2_streams_max", "101", "must be 1 to 100"),
    ("links.lifetime", "soon", SECONDS),
    ("links.lifetime", "0", "must be 1 to 316224000 seconds"),
    ("links.lifetime", "8d", "must be at most links.lifetime_max"),
    ("links.lifetime_max", "-1", SECONDS),
    (
        "links.lifetime_max",
        "99999d",
        "must be 1 to 316224000 seconds",
    ),
    ("links.expiry_window", "1.5h", SECONDS),
    (
        "links.expiry_window",
        "604801",
        "must be at most links.lifetime_max",
    ),
    ("links.not_before_leeway", "2h", "must be 0 to 3600 seconds"),
    ("links.recheck_interval", "0", "must be 1 to 3600 seconds"),
    ("links.recheck_interval", "2h", "must be 1 to 3600 seconds"),
    ("links.name_in_url", "yes", "must be true or false"),
    ("links.cap_cache_to_expiry", "yes", "must be true or false"),
    (
        "shares.lifetime_max",
        "0",
        "must be 1 to 316224000 seconds, or never",
    ),
    ("shares.preview_names", "yes", "must be true or false"),
    ("pages.title", "a\nb", PAGE_TEXT),
    ("pages.title", " ", PAGE_TEXT),
    ("pages.logo", "a\0b", "must be a path"),
    (
        "pages.logo",
        "/a.png",
        "must be set together with pages.title, which is read to those who do not see it",
    ),
    ("pages.link_text", "a\tb", PAGE_TEXT),
    (
        "pages.link_text",
        "Imprint",
        "must be set together with pages.link_url",
    ),
    (
        "pages.link_url",
        "https://example.com/imprint",
        "must be set together with pages.link_text",
    ),
    (
        "pages.link_url",
        "javascript:alert(1)",
        "must begin with http:// or https://",
    ),
    (
        "pages.link_url",
        "https://user:pass@example.com/",
        "must name a host, without a user",
    ),
    (
        "pages.link_url",
        "https://example.com/a b",
        "must be visible ASCII without spaces, at most 2048 bytes",
    ),
    ("catalog.url", "mysql://a/b", NOT_A_DATABASE),
    ("catalog.url", "a.sqlite3", NOT_A_DATABASE),
    (
        "catalog.url",
        "postgres://user:pass#word@a/b",
        "must have no fragment; a # in a password is written %23",
    ),
    (
        "catalog.url",
        "postgres://user:pass:word@a:b/c",
        "must be such as postgres://user@host:5432/database?sslmode=verify-full",
    ),
    ("catalog.connections_max", "0", "must be 1 to 1000"),
    ("catalog.connections_max", "1001", "must be 1 to 1000"),
    ("links.denied_max", "0", "must be 1 to 1000000"),
    ("links.denied_ids_max", "1000001", "must be 0 to 1000000"),
    ("links.revoke_reserve", "1000001", "must be 0 to 1000000"),
    ("links.revisions_max", "0", "must be 1 to 1000000"),
    ("links.revisions_max", "many", "must be a whole number"),
    ("cors.origins", "app.example.com", ORIGINS),
    ("cors.origins", "https://app.example.com/", ORIGINS),
    ("cors.origins", "https://app.example.com/x", ORIGINS),
    ("cors.origins", "https://App.example.com", ORIGINS),
    ("cors.origins", "*,https://app.example.com", ORIGINS),
    ("cors.origins", "null", ORIGINS),
    (
        "cors.credentials",
        "true",
        "must not be true for every origin: name them in cors.origins",
    ),
    (
        "cors.resource_policy",
        "none",
        "must be one of cross-origin, same-site, same-origin",
    ),
    ("uploads.size_max", "1GB", BYTES),
    ("uploads.duration_max", "0", "must be 1 to 2678400 seconds"),
    ("uploads.free_min", "5%", BYTES),
    (
        "uploads.free_min",
        "1048577GiB",
        "must be 0 to 1125899906842624 bytes",
    ),
    (
        "uploads.size_max",
        "0",
        "must be 1 to 1125899906842624 bytes",
    ),
    (
        "limits.api_key_requests_per_minute",
        "60/min",
        "must be a whole number",
    ),
    (
        "limits.address_requests_per_minute",
        "60000001",
        "must be 0 to 60000000",
    ),
    ("limits.address_downloads", "-1", "must be a whole number"),
    ("limits.address_bytes_per_second", "1MB", BYTES),
    (
        "limits.link_requests_per_minute",
        "60000001",
        "must be 0 to 60000000",
    ),
    ("limits.link_downloads", "10000001", "must be 0 to 10000000"),
    (
        "limits.link_bytes_per_second",
        "1025GiB",
        "must be 0 to 1099511627776 bytes",
    ),
    (
        "limits.organization_downloads",
        "many",
        "must be a whole number",
    ),
    ("limits.organization_bytes_per_second", "off", BYTES),
    (
        "limits.api_key_uploads",
        "10000001",
        "must be 0 to 10000000",
    ),
    (
        "limits.organization_uploads",
        "-1",
        "must be a whole number",
    ),
    (
        "limits.organization_files",
        "1000000000001",
        "must be 0 to 1000000000000",
    ),
    (
        "limits.organization_bytes",
        "2000000000GiB",
        "must be 0 to 1152921504606846976 bytes",
    ),
    (
        "limits.organization_link_counts",
        "1000000000001",
        "must be 0 to 1000000000000",
    ),
    ("files.recycle_days", "30d", "must be a whole number"),
    ("files.recycle_days", "4000", "must be 0 to 3660"),
    (
        "blobs.in_place_roots",
        "/a,b",
        "must hold absolute paths only",
    ),
    ("blobs.mode", "0644", "must be one of 0600, 0640"),
    (
        "cache.rows_bytes",
        "2048GiB",
        "must be 0 to 1099511627776 bytes",
    ),
    ("cache.open_files", "524289", "must be 0 to 524288"),
    ("cache.small_files_bytes", "16MB", BYTES),
    ("cache.small_file_max", "2MiB", "must be 0 to 1048576 bytes"),
    ("qoder.content_status", "301", "must be one of 302, 200"),
    ("qoder.generation", "2", "must be one of auto, 1, 3"),
    ("keyring.file", "a\0b", "must be a path"),
    (
        "handover.mode",
        "X-Accel-Redirect",
        "must be one of stream, x-accel-redirect, x-sendfile, redirect",
    ),
    ("blobs.url", "https://a/b", BUCKET),
    ("blobs.url", "s3://a/../b", BUCKET),
    (
        "blobs.endpoint",
        "s3.example.com",
        "must begin with http:// or https://",
    ),
    ("blobs.region", "eu 1", WORD),
    ("blobs.path_style", "1", "must be true or false"),
    ("blobs.access_key_id", "a b", WORD),
    ("blobs.secret_access_key_file", "a\0b", "must be a path"),
    (
        "blobs.memory_max",
        "19MiB",
        "must be 20971520 to 1099511627776 bytes",
    ),
    ("handover.prefix", "internal", PREFIX),
    ("handover.prefix", "/a/../b", PREFIX),
    ("handover.prefix", "/", PREFIX),
    (
        "handover.counted",
        "at-end",
        "must be one of streamed, at-start",
    ),
    (
        "verify.header",
        "X Original URI",
        "must be the name of a header, such as X-Original-URI",
    ),
    ("koodrive.date_skew_secs", "2h", "must be 0 to 3600 seconds"),
    ("audit.file", "a\0b", "must be a path"),
    ("log.format", "xml", "must be one of text, json"),
    (
        "log.level",
        "INFO",
        "must be one of error, warn, info, debug, trace",
    ),
];

#[test]
fn every_key_refuses_what_it_is_not() {
    for key in KEYS {
        assert!(
            BAD_VALUES.iter().any(|case| case.0 == key.name),
            "{} has a case",
            key.name
        );
    }
    for &(key, value, why) in BAD_VALUES {
        let variable = variable_of(key);
        let given = Given::default().variable(&variable, value);
        assert_eq!(
            given.refused(),
            [format!("{key} (environment {variable}): {why}")]
        );
    }
}

#[test]
fn every_key_refuses_the_wrong_type_in_the_file() {
    let wrong = [
        ("true", "a boolean"),
        ("1.5", "a number with a fraction"),
        ("2026-01-01", "a date"),
        ("{ a = 1 }", "a table"),
        ("[1]", "an array of other things than texts"),
    ];
    for key in KEYS {
        for (value, kind) in wrong {
            let is_boolean = [
                "links.cap_cache_to_expiry",
                "links.name_in_url",
                "shares.preview_names",
                "cors.credentials",
                "server.reuse_port",
                "blobs.path_style",
            ];
            if is_boolean.contains(&key.name) && kind == "a boolean" {
                continue;
            }
            let given = Given::default().file(setting(key.name, value));
            let refused = given.refused();
            let [problem] = refused.as_slice() else {
                panic!("{refused:?}")
            };
            let begin = format!("{} (file hallpass.toml): must be ", key.name);
            assert!(problem.starts_with(&begin), "{problem}");
            assert!(problem.ends_with(&format!(", not {kind}")), "{problem}");
        }
    }
    for (key, value, why) in [
        (
            "server.listen",
            "8080",
            "must be a list of texts, not a number",
        ),
        ("server.data_dir", "1", "must be a text, not a number"),
        ("server.data_dir", "['a']", "must be one text, not several"),
        (
            "links.lifetime",
            "-1",
            "must be a number of seconds, or a number with s, m, h, d or w, such as 90s, 1h30m or 2w",
        ),
        (
            "files.recycle_days",
            "['1']",
            "must be a whole number, not several",
        ),
    ] {
        let given = Given::default().file(setting(key, value));
        assert_eq!(
            given.refused(),
            [format!("{key} (file hallpass.toml): {why}")]
        );
    }
    let twice = Given::default()
        .flag("server.data_dir", "--data-dir", "a")
        .flag("server.data_dir", "--data-dir", "b");
    assert_eq!(
        twice.refused(),
        ["server.data_dir (flag --data-dir): must be one text, not several"]
    );
}

#[test]
fn everything_is_reported_at_once() {
    let given = Given::default()
        .file("[links]\nlifetime = 'soon'\nlifetme = 1\n[sever]\n[log]\nlevel = 'loud'\n")
        .variable("HALLPASS_UPLOADS_SIZE_MAX", "1GB")
        .variable("HALLPASS_LINKS_EXPIRY_WINDOW", "8d")
        .variable("HALLPASS_LISTEN", "x")
        .flag("server.listen", "--listen", "8080");
    let mut refused = given.refused();
    refused.sort();
    assert_eq!(
        refused,
        [
            "HALLPASS_LISTEN (environment HALLPASS_LISTEN): unknown variable",
            "links.expiry_window (environment HALLPASS_LINKS_EXPIRY_WINDOW): must be at most links.lifetime_max",
            "links.lifetime (file hallpass.toml): must be a number of seconds, or a number with s, m, h, d or w, such as 90s, 1h30m or 2w",
            "links.lifetme (file hallpass.toml): unknown key; did you mean links.lifetime?",
            "log.level (file hallpass.toml): must be one of error, warn, info, debug, trace",
            "server.listen (flag --listen): must be ADDRESS:PORT, such as 127.0.0.1:8080, [::1]:8080, localhost:8080 or :8080 (every IPv4 address), tls:ADDRESS:PORT, or unix:PATH",
            "sever (file hallpass.toml): unknown section; did you mean server?",
            "uploads.size_max (environment HALLPASS_UPLOADS_SIZE_MAX): must be a number of bytes, or a number with KiB, MiB or GiB",
        ]
    );
}

#[test]
fn a_bad_file_does_not_hide_what_else_is_wrong() {
    let given = Given::default()
        .file("[links")
        .variable("HALLPASS_LOG_LEVEL", "loud");
    let refused = given.refused();
    assert_eq!(refused.len(), 2);
    assert!(
        refused[0].starts_with("configuration file (file hallpass.toml): line 1: "),
        "{refused:?}"
    );
    assert!(refused[1].starts_with("log.level"));
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    let given = Given::default().variable("HALLPASS_LINKS_LIFETIME_MAX", "10m");
    assert_eq!(
        given.refused(),
        [
            "links.lifetime (default): must be at most links.lifetime_max (environment HALLPASS_LINKS_LIFETIME_MAX)"
        ]
    );
    let given = Given::default().flag("server.admin_listen", "--admin-listen", "127.0.0.1:8080");
    assert_eq!(
        given.refused(),
        [
            "server.admin_listen (flag --admin-listen): must be another address than those of server.listen"
        ]
    );
    let given = Given::default()
        .variable("HALLPASS_SERVER_TLS_CERTIFICATE", "/c")
        .variable("HALLPASS_SERVER_TLS_KEY", "/k");
    assert_eq!(
        given.refused(),
        [
            "server.tls_certificate (environment HALLPASS_SERVER_TLS_CERTIFICATE): must not be set where no address of server.listen begins with tls:"
        ]
    );
    let given = Given::default()
        .flag("server.listen", "--listen", "tls:127.0.0.1:1")
        .flag("server.admin_listen", "--admin-listen", "127.0.0.1:1")
        .variable("HALLPASS_SERVER_TLS_CERTIFICATE", "/c")
        .variable("HALLPASS_SERVER_TLS_KEY", "/k");
    assert_eq!(
        given.refused(),
        [
            "server.admin_listen (flag --admin-listen): must be another address than those of server.listen (flag --listen)"
        ]
    );
    let given = Given::default()
        .file(setting("keyring.file", "'/k'"))
        .variable("HALLPASS_KEYRING", "secret");
    assert_eq!(
        given.refused(),
        [
            "keyring.file (file hallpass.toml): must not be set together with HALLPASS_KEYRING, which takes its place"
        ]
    );
    let free_ports = Given::default()
        .flag("server.listen", "--listen", "127.0.0.1:0")
        .flag("server.admin_listen", "--admin-listen", "127.0.0.1:0");
    free_ports.loaded();
}

#[test]
fn unknown_names_are_refused_with_the_nearest_known_one() {
    for (content, problem) in [
        (
            "listen = 1",
            "listen (file hallpass.toml): unknown key outside of any section",
        ),
        ("[zzz]", "zzz (file hallpass.toml): unknown section"),
        (
            "[something]",
            "something (file hallpass.toml): unknown section",
        ),
        (
            "server = 1",
            "server (file hallpass.toml): must be a section, [server]",
        ),
        (
            "[[server]]",
            "server (file hallpass.toml): must be a section, [server]",
        ),
        (
            "[server]\nLISTEN = 1",
            "server.LISTEN (file hallpass.toml): unknown key",
        ),
        (
            "[log]\nlevl = 1",
            "log.levl (file hallpass.toml): unknown key; did you mean log.level?",
        ),
        (
            "[log]\n\"a\\n\\u001b[31m\" = 1",
            "log.a\\n\\u{1b}[31m (file hallpass.toml): unknown key",
        ),
    ] {
        assert_eq!(
            Given::default().file(content).refused(),
            [problem],
            "{content}"
        );
    }
    let given = Given::default().variable("HALLPASS_KEYRINGS", "secret");
    assert_eq!(
        given.refused(),
        [
            "HALLPASS_KEYRINGS (environment HALLPASS_KEYRINGS): unknown variable; did you mean HALLPASS_KEYRING?"
        ]
    );
    let given = Given::default().flag("links.lifetme", "--lifetime", "1");
    assert_eq!(
        given.refused(),
        ["links.lifetme (flag --lifetime): unknown key"]
    );
}

#[test]
fn a_key_written_twice_is_refused() {
    let twice = Given::default().file("[links]\nlifetime = 1\nlifetime = 2\n");
    let refused = twice.refused();
    assert_eq!(
        refused,
        ["configuration file (file hallpass.toml): line 3: duplicate key"]
    );
}

#[test]
fn files_that_are_none_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |path: &std::path::Path| {
        let given = Given {
            file: Some(path.into()),
            ..Given::default()
        };
        let refused = given.refused();
        let [problem] = refused.as_slice() else {
            panic!("{refused:?}")
        };
        let begin = format!("configuration file (file {}): ", path.display());
        problem.strip_prefix(&begin).unwrap().to_owned()
    };
    assert!(refused(directory.path()).starts_with("cannot be read: Is a directory"));
    let missing = directory.path().join("missing");
    assert!(refused(&missing).starts_with("cannot be read: No such file"));
    let not_text = Given::default().file(b"[links]\n# \xff\n");
    assert_eq!(
        not_text.refused(),
        ["configuration file (file hallpass.toml): must be UTF-8 text"]
    );
    let endless = refused("/dev/zero".as_ref());
    assert_eq!(
        endless,
        format!("must be at most {FILE_BYTES_MAX} bytes long")
    );
    let named = Given::default().variable("HALLPASS_CONFIG", "");
    assert_eq!(
        named.refused(),
        [
            "configuration file (environment HALLPASS_CONFIG): must name a file; unset it to use none"
        ]
    );
}

#[test]
fn variables_that_are_no_text_are_refused() {
    let bytes = || OsString::from_vec(b"\xff".into());
    let given = Given::default()
        .variable("HALLPASS_SERVER_DATA_DIR", bytes())
        .variable("HALLPASS_KEYRING", bytes());
    assert_eq!(
        given.refused(),
        [
            "HALLPASS_KEYRING (environment HALLPASS_KEYRING): must be UTF-8 text",
            "server.data_dir (environment HALLPASS_SERVER_DATA_DIR): must be UTF-8 text",
        ]
    );
    let mut given = Given::default();
    given
        .variables
        .insert(OsString::from_vec(b"HALLPASS_\xff".into()), "x".into());
    assert_eq!(
        given.refused(),
        ["HALLPASS_\u{fffd} (environment HALLPASS_\u{fffd}): unknown variable"]
    );
    let empty = Given::default().variable("HALLPASS_KEYRING", " \n");
    assert_eq!(
        empty.refused(),
        [
            "HALLPASS_KEYRING (environment HALLPASS_KEYRING): must hold a keyring; unset it to use the keyring file"
        ]
    );
}

#[test]
fn a_store_that_is_half_described_is_refused() {
    for (settings, refused) in [
        (
            vec![("blobs.access_key_id", "a")],
            "blobs.access_key_id (flag --flag): must be set together with blobs.secret_access_key_file",
        ),
        (
            vec![("blobs.secret_access_key_file", "/a")],
            "blobs.secret_access_key_file (flag --flag): must be set together with blobs.access_key_id",
        ),
        (
            vec![("handover.mode", "redirect")],
            "handover.mode (flag --flag): must not be redirect where no store keeps the bytes: set blobs.url",
        ),
        (
            vec![
                ("blobs.url", "s3://a"),
                ("handover.mode", "redirect"),
                ("handover.counted", "at-start"),
            ],
            "handover.counted (flag --flag): must not be at-start where clients are sent on to the store: a counted download is not (flag --flag)",
        ),
        (
            vec![("blobs.url", "s3://a"), ("blobs.in_place_roots", "/a")],
            "blobs.url (flag --flag): must not be set together with blobs.in_place_roots: the bytes are on no disk (flag --flag)",
        ),
        (
            vec![("blobs.url", "s3://a"), ("uploads.size_max", "5121GiB")],
            "uploads.size_max (flag --flag): must be at most 5120GiB where blobs.url is set (flag --flag)",
        ),
        (
            vec![
                ("blobs.url", "s3://a"),
                ("uploads.size_max", "1281GiB"),
                ("blobs.memory_max", "512MiB"),
            ],
            "blobs.memory_max (flag --flag): must be at least a 2,500th of uploads.size_max, for four parts of an upload (flag --flag)",
        ),
    ] {
        let given = settings
            .into_iter()
            .fold(Given::default(), |given, (key, value)| {
                given.flag(key, "--flag", value)
            });
        assert_eq!(given.refused(), [refused]);
    }
    let whole = Given::default()
        .flag("blobs.url", "--flag", "s3://a")
        .flag("handover.mode", "--flag", "redirect")
        .flag("blobs.memory_max", "--flag", "3GiB")
        .flag("uploads.size_max", "--flag", "5120GiB");
    assert!(whole.loaded().blobs.url.is_some());
}

#[test]
fn what_the_environment_says_of_a_store_is_kept_and_never_shown() {
    let config = Given::default()
        .variable("AWS_SECRET_ACCESS_KEY", "very-secret")
        .variable("AWS_REGION", "eu-1")
        .loaded();
    let shown = format!("{config:?}");
    assert!(shown.contains("AWS_SECRET_ACCESS_KEY"), "{shown}");
    assert!(!shown.contains("very-secret"), "{shown}");
}

/// Whatever is wrong: what was given may have been a secret in the wrong place.
#[test]
fn no_refusal_repeats_a_value() {
    const SECRET: &str = "c2VjcmV0";
    for key in KEYS.iter().filter(|key| {
        !matches!(
            key.name,
            "server.data_dir"
                | "server.tls_certificate"
                | "server.tls_key"
                | "keyring.file"
                | "audit.file"
                | "verify.header"
        )
    }) {
        let given = Given::default()
            .variable(&key.variable(), SECRET)
            .variable("HALLPASS_KEYRING", SECRET)
            .variable("HALLPASS_UNKNOWN", SECRET);
        let problems = format!("{:?} {:?}", given.load().unwrap_err(), given.refused());
        assert!(!problems.contains(SECRET), "{problems}");
    }
    let files = [
        format!("[log]\nlevel = '{SECRET}'"),
        format!("[log]\nunknown = '{SECRET}'"),
        format!("[log]\nlevel = {SECRET}"),
        format!("[log]\nlevel = '{SECRET}"),
        format!("[log]\nlevel = '{SECRET}' x"),
        format!("[log]\nlevel '{SECRET}'"),
        SECRET.into(),
        format!("[log]\nlevel = \"{SECRET}\\q\""),
        format!("[log]\nlevel = 1{SECRET}"),
        format!("[log]\nlevel = {{ a = {SECRET} }}"),
    ];
    for content in files {
        let given = Given::default().file(&content);
        let problems = format!("{:?} {:?}", given.load().unwrap_err(), given.refused());
        assert!(!problems.contains(SECRET), "{content}: {problems}");
    }
    let explained = Config::explain(
        None,
        &Given::default()
            .variable("HALLPASS_KEYRING", SECRET)
            .variables,
        &[],
    );
    assert!(!format!("{explained:?}").contains(SECRET));
}
