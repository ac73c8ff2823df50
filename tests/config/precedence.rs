//! Which source counts.

use std::path::Path;

use hallpass::blob::disk::Readers;
use hallpass::config::{Config, KEYS, Listen, LogFormat, Origin};

use hallpass::telemetry::Level;
use hallpass::web::cors::Origins;
use hallpass::web::offload::{CountedHandover, OffloadMode};

use super::{Given, setting, values, variable_of};

/// For every key three values that differ from each other and from the default: as TOML, as the
/// environment spells it, as a flag spells it.
const CASES: &[(&str, &str, &str, &str)] = &[
    (
        "server.listen",
        "['127.0.0.1:1', '[::1]:2', 'unix:/a,b']",
        "127.0.0.1:3, 127.0.0.1:4",
        "127.0.0.1:5",
    ),
    (
        "server.admin_listen",
        "'127.0.0.1:1'",
        "127.0.0.1:2",
        "127.0.0.1:3",
    ),
    ("server.admin_hosts", "['a.example']", "b.example,c", "d"),
    (
        "server.public_base_url",
        "'http://a'",
        "http://b",
        "http://c",
    ),
    ("server.data_dir", "'/a'", "b", "c,d"),
    (
        "server.trusted_proxies",
        "['10.0.0.0/8', 'unix']",
        "::1,10.0.0.1",
        "unix",
    ),
    (
        "server.proxy_protocol",
        "'required'",
        "required",
        "required",
    ),
    ("server.connections_max", "1", "2", "3"),
    ("server.connections_per_address_max", "1", "2", "3"),
    ("server.response_memory_max", "'1MiB'", "2MiB", "3MiB"),
    ("server.tls_certificate", "'/a'", "b", "c,d"),
    ("server.tls_key", "'/a'", "b", "c,d"),
    (
        "server.hsts",
        "'max-age=1'",
        "max-age=2; preload",
        "Max-Age=3",
    ),
    ("server.http2", "'off'", "on", "off"),
    ("server.http2_streams_max", "1", "2", "3"),
    ("server.reuse_port", "true", "true", "true"),
    (
        "catalog.url",
        "'postgres://a/b'",
        "postgresql://c/d?sslmode=require",
        "postgres:///e?host=/f",
    ),
    ("catalog.connections_max", "1", "2", "3"),
    ("links.lifetime", "60", "2m", "180"),
    ("links.lifetime_max", "'2h'", "3h", "4h"),
    ("links.expiry_window", "1", "2", "3s"),
    ("links.not_before_leeway", "1", "2", "3"),
    ("links.recheck_interval", "1", "2", "3s"),
    ("links.name_in_url", "true", "true", "true"),
    ("links.cap_cache_to_expiry", "true", "true", "true"),
    ("links.denied_max", "1", "2", "3"),
    ("links.denied_ids_max", "0", "1", "2"),
    ("links.revisions_max", "1", "2", "3"),
    ("links.revoke_reserve", "0", "1", "2"),
    ("shares.lifetime_max", "'never'", "2d", "never"),
    ("shares.preview_names", "true", "true", "true"),
    ("pages.title", "'a'", "b", "c, d"),
    ("pages.logo", "'/a'", "b", "c,d"),
    ("pages.link_text", "'a'", "b", "c, d"),
    ("pages.link_url", "'http://a'", "https://b/c", "http://d/?e"),
    (
        "cors.origins",
        "['https://a']",
        "https://b,https://c",
        "http://d:1",
    ),
    ("cors.credentials", "true", "true", "true"),
    (
        "cors.resource_policy",
        "'same-site'",
        "same-origin",
        "same-site",
    ),
    ("uploads.size_max", "1", "2KiB", "3MiB"),
    ("uploads.duration_max", "60", "2m", "3h"),
    ("uploads.free_min", "0", "2KiB", "3MiB"),
    ("limits.api_key_requests_per_minute", "1", "2", "3"),
    ("limits.address_requests_per_minute", "1", "2", "3"),
    ("limits.address_downloads", "1", "2", "3"),
    ("limits.address_bytes_per_second", "1", "2KiB", "3MiB"),
    ("limits.link_requests_per_minute", "1", "2", "3"),
    ("limits.link_downloads", "1", "2", "3"),
    ("limits.link_bytes_per_second", "1", "2KiB", "3MiB"),
    ("limits.organization_downloads", "1", "2", "3"),
    ("limits.organization_bytes_per_second", "1", "2KiB", "3MiB"),
    ("limits.api_key_uploads", "1", "2", "3"),
    ("limits.organization_uploads", "1", "2", "3"),
    ("limits.organization_files", "1", "2", "3"),
    ("limits.organization_bytes", "1", "2KiB", "3MiB"),
    ("limits.organization_link_counts", "1", "2", "3"),
    ("files.recycle_days", "1", "2", "3"),
    ("blobs.in_place_roots", "['/a', '/b,c']", "/d,/e", "/f,g"),
    ("blobs.mode", "'0640'", "0640", "0640"),
    ("blobs.url", "'s3://a'", "s3://b/c", "s3://d/e/f/"),
    ("blobs.endpoint", "'http://a'", "https://b:1", "http://c/d"),
    ("blobs.region", "'a'", "b", "c"),
    ("blobs.path_style", "false", "false", "false"),
    ("blobs.access_key_id", "'a'", "b", "c"),
    ("blobs.secret_access_key_file", "'/a'", "b", "c,d"),
    ("blobs.memory_max", "'20MiB'", "1GiB", "2GiB"),
    ("cache.rows_bytes", "0", "1", "2KiB"),
    ("cache.open_files", "0", "1", "2"),
    ("cache.small_files_bytes", "0", "1", "2KiB"),
    ("cache.small_file_max", "0", "1", "2KiB"),
    ("qoder.content_status", "200", "200", "200"),
    ("qoder.generation", "1", "3", "1"),
    ("keyring.file", "'/a'", "b", "c"),
    (
        "handover.mode",
        "'x-sendfile'",
        "x-accel-redirect",
        "x-sendfile",
    ),
    ("handover.prefix", "'/a'", "/b", "/c/d/"),
    ("handover.counted", "'at-start'", "at-start", "at-start"),
    (
        "verify.header",
        "'X-Original-URI'",
        "X-Forwarded-Uri",
        "X-Other",
    ),
    ("koodrive.date_skew_secs", "1", "2s", "1m"),
    ("audit.file", "'/a'", "b", "c,d"),
    ("log.format", "'json'", "json", "json"),
    ("log.level", "'error'", "warn", "debug"),
];

#[test]
fn every_key_is_read_from_every_source_and_the_last_one_counts() {
    let cases: Vec<&str> = CASES.iter().map(|case| case.0).collect();
    let keys: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    assert_eq!(cases, keys, "every key has its case");
    for &(key, in_file, in_environment, as_flag) in CASES {
        // Of some keys another one is asked.
        let bare = || match key {
            "server.proxy_protocol" => {
                Given::default().variable("HALLPASS_SERVER_TRUSTED_PROXIES", "unix")
            }
            "server.tls_certificate" => with_tls("HALLPASS_SERVER_TLS_KEY"),
            "server.hsts" => with_tls("HALLPASS_SERVER_TLS_KEY")
                .variable("HALLPASS_SERVER_TLS_CERTIFICATE", "/other"),
            "blobs.access_key_id" => {
                Given::default().variable("HALLPASS_BLOBS_SECRET_ACCESS_KEY_FILE", "/other")
            }
            "blobs.secret_access_key_file" => {
                Given::default().variable("HALLPASS_BLOBS_ACCESS_KEY_ID", "other")
            }
            "cors.credentials" => {
                Given::default().variable("HALLPASS_CORS_ORIGINS", "https://app.example.com")
            }
            "server.tls_key" => with_tls("HALLPASS_SERVER_TLS_CERTIFICATE"),
            "pages.logo" => Given::default().variable("HALLPASS_PAGES_TITLE", "other"),
            "pages.link_text" => Given::default().variable("HALLPASS_PAGES_LINK_URL", "http://o"),
            "pages.link_url" => Given::default().variable("HALLPASS_PAGES_LINK_TEXT", "other"),
            _ => Given::default(),
        };
        // Half a pair cannot be loaded.
        let default = bare().load();
        let default = values(&default.unwrap_or_else(|_| Given::default().loaded()));
        let file = || bare().file(setting(key, in_file));
        let variable = |given: Given| given.variable(&variable_of(key), in_environment);
        let flag = |given: Given| given.flag(key, "--flag", as_flag);
        let alone = [
            values(&file().loaded()),
            values(&variable(bare()).loaded()),
            values(&flag(bare()).loaded()),
        ];
        for value in &alone {
            assert_ne!(*value, default, "{key} differs from its default");
        }
        assert_eq!(
            values(&variable(file()).loaded()),
            alone[1],
            "{key}: environment over file"
        );
        assert_eq!(
            values(&flag(file()).loaded()),
            alone[2],
            "{key}: flag over file"
        );
        let all = flag(variable(file())).loaded();
        assert_eq!(values(&all), alone[2], "{key}: flag over all");
    }
}

/// A listener that speaks TLS, half of what it needs, and something in place of the other half.
fn with_tls(other: &str) -> Given {
    Given::default()
        .variable("HALLPASS_SERVER_LISTEN", "tls:127.0.0.1:1")
        .variable(other, "/other")
}

#[test]
fn only_the_last_word_on_a_key_is_judged() {
    let given = Given::default()
        .file(setting("links.lifetime", "false"))
        .variable("HALLPASS_LINKS_LIFETIME", "soon")
        .flag("links.lifetime", "--lifetime", "60");
    assert_eq!(given.loaded().links.lifetime, 60);
}

#[test]
fn the_defaults_are_these() {
    let config = Given::default().loaded();
    let listen = Listen::Tcp("127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.server.listen, [listen]);
    assert_eq!(config.server.admin_listen, None);
    assert_eq!(config.server.public_base_url, None);
    assert_eq!(config.server.data_dir, Path::new("./hallpass-data"));
    assert_eq!(
        config.keyring_file(),
        Path::new("./hallpass-data/keyring.toml")
    );
    assert!(config.server.trusted_proxies.is_empty() && !config.server.proxy_protocol);
    assert_eq!(config.server.connections_max, 10_000);
    assert_eq!(config.server.connections_per_address_max, 1000);
    assert_eq!(config.server.response_memory_max, 128 << 20);
    assert_eq!(config.server.http2_streams_max, 100);
    assert_eq!(config.links.lifetime, 3600);
    assert_eq!(config.links.lifetime_max, 604_800);
    assert_eq!(config.links.expiry_window, 0);
    assert_eq!(config.links.not_before_leeway, 0);
    assert_eq!(config.links.recheck_interval, 30);
    assert!(!config.links.name_in_url);
    assert!(!config.links.cap_cache_to_expiry);
    assert_eq!(config.links.denied_max, 100_000);
    assert_eq!(config.links.denied_ids_max, 10_000);
    assert_eq!(config.links.revisions_max, 100_000);
    assert_eq!(config.links.revoke_reserve, 1_000);
    assert_eq!(config.cors.origins, Origins::Any);
    assert!(!config.cors.credentials);
    assert_eq!(config.cors.resource_policy.as_str(), "cross-origin");
    assert_eq!(config.uploads.size_max, 1_073_741_824);
    assert_eq!(config.uploads.duration_max, 86_400);
    assert_eq!(config.limits.api_key_uploads, 100);
    assert_eq!(config.limits.organization_uploads, 200);
    assert_eq!(config.limits.organization_link_counts, 100_000);
    assert_eq!(config.files.recycle_days, 30);
    assert!(config.blobs.in_place_roots.is_empty());
    assert_eq!(config.cache.rows_bytes, None);
    assert_eq!(config.cache.open_files, 256);
    assert_eq!(config.cache.small_files_bytes, None);
    assert_eq!(config.cache.small_file_max, 16 << 10);
    assert_eq!(config.koodrive.date_skew_secs, 0);
    assert_eq!((config.pages.title, config.pages.logo), (None, None));
    assert_eq!(
        (config.pages.link_text, config.pages.link_url),
        (None, None)
    );
    assert_eq!(
        (config.log.format, config.log.level),
        (LogFormat::Text, Level::INFO)
    );
    assert_eq!(config.blobs.mode, Readers::Owner);
    assert_eq!(config.blobs.url, None);
    assert_eq!((config.blobs.endpoint, config.blobs.region), (None, None));
    assert!(config.blobs.path_style);
    assert_eq!(config.blobs.access_key_id, None);
    assert_eq!(config.blobs.secret_access_key_file, None);
    assert_eq!(config.blobs.memory_max, 512 << 20);
    assert_eq!(config.handover.mode, OffloadMode::Stream);
    assert!(config.handover.prefix.is_none());
    assert_eq!(config.handover.counted, CountedHandover::Streamed);
    assert!(config.verify.header.is_none());
    assert!(config.audit.file.is_none());
    assert!(config.keyring_text.is_none());
}

#[test]
fn a_list_is_an_array_in_the_file_commas_in_the_environment_and_a_repeated_flag() {
    let expected = ["127.0.0.1:1", "127.0.0.1:2"].map(|text| Listen::Tcp(text.parse().unwrap()));
    let file = Given::default().file(setting("server.listen", "['127.0.0.1:1', '127.0.0.1:2']"));
    let variable = Given::default().variable("HALLPASS_SERVER_LISTEN", "127.0.0.1:1,127.0.0.1:2");
    let flags = Given::default()
        .flag("server.listen", "--listen", "127.0.0.1:1")
        .flag("server.listen", "--listen", "127.0.0.1:2");
    for given in [file, variable, flags] {
        assert_eq!(given.loaded().server.listen, expected);
    }
    let several_free = Given::default().variable("HALLPASS_SERVER_LISTEN", "[::1]:0,[::1]:0");
    assert_eq!(several_free.loaded().server.listen.len(), 2);
}

#[test]
fn an_empty_text_takes_back_what_an_earlier_source_set() {
    for (key, value) in [
        ("server.admin_listen", "'127.0.0.1:1'"),
        ("server.public_base_url", "'http://a'"),
        ("blobs.in_place_roots", "['/a']"),
        ("keyring.file", "'/a'"),
    ] {
        let given = Given::default()
            .file(setting(key, value))
            .variable(&variable_of(key), "");
        assert_eq!(
            values(&given.loaded()),
            values(&Given::default().loaded()),
            "{key}"
        );
    }
}

#[test]
fn the_environment_names_the_file_unless_a_flag_does() {
    let one = Given::default().file(setting("links.lifetime", "1"));
    let two = Given::default().file(setting("links.lifetime", "2"));
    let path = two.file.unwrap();
    let named = Given::default().variable("HALLPASS_CONFIG", &path);
    assert_eq!(named.loaded().links.lifetime, 2);
    assert_eq!(
        one.variable("HALLPASS_CONFIG", path)
            .loaded()
            .links
            .lifetime,
        1
    );
}

#[test]
fn other_programs_variables_are_passed_over() {
    let given = Given::default()
        .variable("PATH", "/bin")
        .variable("hallpass_server_listen", "x")
        .variable("XHALLPASS_Y", "x")
        .variable("HALLPASSPORT", "x");
    assert_eq!(values(&given.loaded()), values(&Given::default().loaded()));
}

#[test]
fn the_keyring_s_text_comes_from_the_environment_and_is_never_printed() {
    let given = Given::default().variable("HALLPASS_KEYRING", "the very text");
    let config = given.loaded();
    assert!(!values(&config).contains("the very text"));
    assert_eq!(config.keyring_text.unwrap().reveal(), "the very text");
}

#[test]
fn every_setting_says_where_it_came_from() {
    let given = Given::default()
        .file("[links]\nlifetime = 60\n[blobs]\nin_place_roots = ['/a', '/b']\n")
        .variable("HALLPASS_LINKS_LIFETIME_MAX", "2h")
        .flag("server.listen", "--listen", "127.0.0.1:1");
    let settings = Config::explain(given.file.as_deref(), &given.variables, &given.flags).unwrap();
    let keys: Vec<&str> = settings.iter().map(|setting| setting.key).collect();
    assert_eq!(keys, KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
    let of = |key: &str| {
        let setting = settings.iter().find(|setting| setting.key == key).unwrap();
        (setting.value.as_str(), setting.origin.clone())
    };
    let file = Origin::File(given.file.unwrap());
    assert_eq!(of("links.lifetime"), ("60", file.clone()));
    assert_eq!(of("blobs.in_place_roots"), ("/a,/b", file));
    let variable = Origin::Environment("HALLPASS_LINKS_LIFETIME_MAX".into());
    assert_eq!(of("links.lifetime_max"), ("2h", variable));
    assert_eq!(
        of("server.listen"),
        ("127.0.0.1:1", Origin::Flag("--listen".into()))
    );
    assert_eq!(of("log.level"), ("info", Origin::Default));
}

/// `localhost` and an empty host as other servers' configurations have them, from each source.
#[test]
fn short_addresses_and_long_durations_mean_the_same_from_every_source() {
    let listens = |given: Given| {
        let places = given.loaded().server.listen;
        places.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for (text, meant) in [
        (":8080", "0.0.0.0:8080"),
        ("localhost:8080", "127.0.0.1:8080"),
        ("LOCALHOST:0", "127.0.0.1:0"),
    ] {
        let file = format!("[server]\nlisten = '{text}'\n");
        assert_eq!(listens(Given::default().file(file)), [meant], "{text}");
        let variable = Given::default().variable("HALLPASS_SERVER_LISTEN", text);
        assert_eq!(listens(variable), [meant], "{text}");
        let flag = Given::default().flag("server.listen", "--listen", text);
        assert_eq!(listens(flag), [meant], "{text}");
        let admin = Given::default().flag("server.admin_listen", "--admin-listen", text);
        let admin = admin
            .flag("server.listen", "--listen", "127.0.0.1:1")
            .loaded();
        let admin = admin.server.admin_listen.map(|address| address.to_string());
        assert_eq!(admin.as_deref(), Some(meant), "{text}");
    }
    for (text, seconds) in [("1w", 604_800), ("1h30m", 5_400), ("1d 12h", 129_600)] {
        let lifetime = |given: Given| given.loaded().links.lifetime;
        let file = format!("[links]\nlifetime = '{text}'\n");
        assert_eq!(lifetime(Given::default().file(file)), seconds, "{text}");
        let variable = Given::default().variable("HALLPASS_LINKS_LIFETIME", text);
        assert_eq!(lifetime(variable), seconds, "{text}");
    }
}
