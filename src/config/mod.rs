//! The configuration: every setting, its default, and how it is read.
//!
//! A setting comes from the TOML file that `--config` or `HALLPASS_CONFIG` names, from the environment
//! (`server.listen` is `HALLPASS_SERVER_LISTEN`), or from a flag; the later of these counts. No file is
//! looked for unless one is named. Unknown keys and malformed values are refused, all at once, each with its key
//! and its origin, and no refusal ever prints a value.
//!
//! The table below is the only place that knows the keys. To add one, add its two lines there (a description;
//! name, type, default and parser) and document it in `config/hallpass.toml`; a test holds the two together.

mod amounts;
mod bounds;
mod cross_field;
pub mod keyring_file;
mod keyring_text;
mod listen;
mod overrides;
mod pages;
mod parse;
pub mod private_file;
mod problem;
mod setting_enums;
mod source;
mod url;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tracing::Level;

use crate::blob::disk::Readers;
use crate::blob::s3::{Ambient, Bucket};
use crate::catalog::postgres::Address;
use crate::web::client::TrustedProxies;
use crate::web::cors::Origins;
use crate::web::dialects::qoder::generation::{ContentStatus, Generation, GenerationServed};
use crate::web::offload::{CountedHandover, OffloadMode};
use crate::web::original_link::VerifyHeader;
use crate::web::strict_transport::StrictTransport;

use pages::{page_text, page_url};
use parse::{
    absolute_paths, address, boolean, bytes, count, header, host_names, identifier, listeners,
};
use parse::{
    number_word, optional, optional_bytes, origins, path, path_of, prefix, seconds,
    seconds_or_never, strict_transport, trusted_proxies, word,
};
use setting_enums::LOG_LEVELS;
use source::Sources;

pub use amounts::{bytes_of, seconds_of};
pub use bounds::{
    BYTES_KEPT_MAX, BYTES_PER_SECOND_MAX, CACHE_BYTES_MAX, CATALOG_CONNECTIONS_MAX,
    CONNECTIONS_MAX, FILES_KEPT_MAX, HTTP2_STREAMS_MAX, LEEWAY_SECONDS_MAX, LINK_COUNTS_MAX,
    LINK_SECONDS_MAX, OPEN_FILES_MAX, RECYCLE_DAYS_MAX, REQUESTS_PER_MINUTE_MAX,
    RESPONSE_MEMORY_MIN, REVOCATIONS_MAX, SMALL_FILE_BYTES_MAX, STORE_BYTES_MAX, STORE_MEMORY_MIN,
    UPLOAD_BYTES_MAX, UPLOAD_SECONDS_MAX,
};
pub use keyring_text::KeyringText;
pub use listen::Listen;
pub use pages::{PAGE_TEXT_CHARS_MAX, PAGE_URL_BYTES_MAX};
pub use parse::LIST_ITEMS_MAX;
pub use problem::{ConfigError, Origin};
pub use setting_enums::{Http2, LogFormat, ResourcePolicy};
pub use source::{CONFIG_VARIABLE, FILE_BYTES_MAX, Flag, KEYRING_VARIABLE, VARIABLE_PREFIX, Vars};
pub use url::{PUBLIC_BASE_URL_BYTES_MAX, PublicBaseUrl};

/// The documented sample, `config/hallpass.toml`: every key, commented out, at its default.
pub const SAMPLE: &str = include_str!("../../config/hallpass.toml");

/// The key whose value may hold a password.
const WITH_PASSWORD: &str = "catalog.url";

/// One key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct SettingKey {
    /// Its section and name, such as `links.lifetime`.
    pub name: &'static str,
    /// Its default, as the environment would spell it. Empty: not set, or an empty list.
    pub default: &'static str,
    /// The description of the key, in the comments of the sample file.
    pub doc: &'static str,
}

impl SettingKey {
    /// The name of its environment variable, such as `HALLPASS_LINKS_LIFETIME`.
    pub fn variable(&self) -> String {
        let name = self.name.to_ascii_uppercase().replace('.', "_");
        format!("{VARIABLE_PREFIX}{name}")
    }
}

/// Makes the structs, [`KEYS`] and `read` from one table, so that they cannot drift apart.
macro_rules! settings {
    ($(
        $(#[doc = $about:literal])+
        $section:ident: $Section:ident {$(
            $(#[doc = $doc:literal])+
            $key:ident: $Type:ty = $default:literal, $parse:expr;
        )+}
    )+) => {
        $(
            $(#[doc = $about])+
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $Section {
                $($(#[doc = $doc])+ pub $key: $Type,)+
            }
        )+

        /// The checked configuration: no value of it needs another check.
        #[derive(Clone, Debug)]
        pub struct Config {
            $($(#[doc = $about])+ pub $section: $Section,)+
            /// The credentials and the region that the `AWS_` variables name for a store.
            pub ambient: Ambient,
            /// The text of a keyring file, from `HALLPASS_KEYRING`. It takes the place of the file.
            pub keyring_text: Option<KeyringText>,
        }

        /// Every key, in the order of the sample.
        pub const KEYS: &[SettingKey] = &[$($(SettingKey {
            name: concat!(stringify!($section), ".", stringify!($key)),
            default: $default,
            doc: concat!($($doc),+).trim_ascii(),
        },)+)+];

        fn read(sources: &mut Sources) -> Config {
            Config {
                $($section: $Section {
                    $($key: sources.read(
                        concat!(stringify!($section), ".", stringify!($key)),
                        $default,
                        $parse,
                    ),)+
                },)+
                ambient: std::mem::take(&mut sources.ambient),
                keyring_text: sources.keyring_text.take(),
            }
        }
    };
}

settings! {
    /// The addresses and the name of the gateway, and the directory of its data.
    server: Server {
        /// The public listeners, `ADDRESS:PORT`, `tls:ADDRESS:PORT` or `unix:PATH`; port 0 is any free one.
        listen: Vec<Listen> = "127.0.0.1:8080", listeners;
        /// Address of the private listener with health and metrics. Not set: there is none.
        admin_listen: Option<SocketAddr> = "", optional(address);
        /// Names by which operators may ask the private listener for `/metrics`, besides its address.
        admin_hosts: Vec<String> = "", host_names;
        /// The beginning of links. Not set: `http://`, or `https://`, and the first address of `listen`.
        public_base_url: Option<PublicBaseUrl> = "", optional(PublicBaseUrl::parse);
        /// Directory of the catalogue, the keyring and the bytes.
        data_dir: PathBuf = "./hallpass-data", path;
        /// Addresses and networks whose `X-Forwarded-For` or `Forwarded` counts; `unix` is every Unix socket.
        trusted_proxies: TrustedProxies = "", trusted_proxies;
        /// `required` if every connection begins with a PROXY protocol header, else `off`.
        proxy_protocol: bool = "off", word(&[("off", false), ("required", true)]);
        /// The most connections at once. One that can be spared makes room for the next.
        connections_max: u64 = "10000", count(1, CONNECTIONS_MAX);
        /// The most connections of one address; 0 is any number. Loopback and trusted proxies are not counted.
        connections_per_address_max: u64 = "1000", count(0, CONNECTIONS_MAX);
        /// The most bytes of answers that wait in memory for clients over TLS and HTTP/2, in this process.
        response_memory_max: u64 = "128MiB", bytes(RESPONSE_MEMORY_MIN, CACHE_BYTES_MAX);
        /// PEM file of the certificate, and those above it, with which `tls:` listeners begin.
        tls_certificate: Option<PathBuf> = "", optional(path_of);
        /// PEM file of that certificate's private key.
        tls_key: Option<PathBuf> = "", optional(path_of);
        /// The header `Strict-Transport-Security` of answers over TLS. Not set: they have none.
        hsts: Option<StrictTransport> = "", optional(strict_transport);
        /// The connections that may speak HTTP/2: none, those over TLS, or also plain ones that begin with it.
        http2: Http2 = "tls", word(&Http2::WORDS);
        /// The most requests at once on one HTTP/2 connection.
        http2_streams_max: u64 = "100", count(1, HTTP2_STREAMS_MAX);
        /// True if other processes may listen at the same addresses (`SO_REUSEPORT`).
        reuse_port: bool = "false", boolean;
    }
    /// The database of the rows.
    catalog: CatalogPlace {
        /// URL of the PostgreSQL database of the rows. Not set: an SQLite file in the data directory.
        url: Option<Address> = "", optional(Address::parse);
        /// The most connections to that database that calls use at once; two more watch it.
        connections_max: u64 = "10", count(1, CATALOG_CONNECTIONS_MAX);
    }
    /// The lifetime of links, and their revocation.
    links: Links {
        /// Seconds that a link lives if its mint does not say.
        lifetime: u64 = "1h", seconds(1, LINK_SECONDS_MAX);
        /// The most seconds that any link may live, also one that was signed elsewhere.
        lifetime_max: u64 = "7d", seconds(1, LINK_SECONDS_MAX);
        /// Seconds to whose multiple the end of a link is rounded. 0: it is not.
        expiry_window: u64 = "0", seconds(0, LINK_SECONDS_MAX);
        /// Seconds by which a link may be used before its `not-before`.
        not_before_leeway: u64 = "0", seconds(0, LEEWAY_SECONDS_MAX);
        /// Seconds after which a download that is under way is compared with what was revoked, again and again.
        recheck_interval: u64 = "30s", seconds(1, crate::gateway::recheck::RECHECK_SECONDS_MAX);
        /// True if the URLs of the APIs' mints end with the file's name, as those of the command line do.
        name_in_url: bool = "false", boolean;
        /// True if browsers forget the bytes when the link ends, if that is sooner than in an hour.
        cap_cache_to_expiry: bool = "false", boolean;
        /// The most links of one organization that may have been revoked one by one.
        denied_max: u64 = "100000", count(1, REVOCATIONS_MAX);
        /// The most of them that may have been revoked by their ids alone, beside the others.
        denied_ids_max: u64 = "10000", count(0, REVOCATIONS_MAX);
        /// The most files of one organization whose links may have been revoked.
        revisions_max: u64 = "100000", count(1, REVOCATIONS_MAX);
        /// The number of each that the command line may revoke besides.
        revoke_reserve: u64 = "1000", count(0, REVOCATIONS_MAX);
    }
    /// The shares of files with people.
    shares: Shares {
        /// The most seconds that a share may live; `never`: it may have no end.
        lifetime_max: Option<u64> = "30d", seconds_or_never(1, LINK_SECONDS_MAX);
        /// True if the names of what is shared are told to programs that look at its address for a preview.
        preview_names: bool = "false", boolean;
    }
    /// The pages for people.
    pages: Pages {
        /// The title above every page: whose gateway this is.
        title: Option<String> = "", optional(page_text);
        /// The image file of the picture before it, which is read at the start.
        logo: Option<PathBuf> = "", optional(path_of);
        /// The text of the link below every page.
        link_text: Option<String> = "", optional(page_text);
        /// The URL of that link.
        link_url: Option<String> = "", optional(page_url);
    }
    /// The use of the bytes by other sites.
    cors: Cors {
        /// Origins whose scripts may read the bytes; `*` alone is every one.
        origins: Origins = "*", origins;
        /// True if those scripts may send credentials along, which the byte route ignores.
        credentials: bool = "false", boolean;
        /// The sites that may embed the bytes: the header `Cross-Origin-Resource-Policy`.
        resource_policy: ResourcePolicy = "cross-origin", word(&ResourcePolicy::WORDS);
    }
    /// The bounds of uploads.
    uploads: Uploads {
        /// The most bytes in one file that comes over the network.
        size_max: u64 = "1GiB", bytes(1, UPLOAD_BYTES_MAX);
        /// The longest time that an upload may take to come in.
        duration_max: u64 = "24h", seconds(1, UPLOAD_SECONDS_MAX);
        /// Bytes that uploads leave free on the disk of the data directory. Not set: a twentieth, 8 MiB to 1 GiB.
        free_min: Option<u64> = "", optional_bytes(0, UPLOAD_BYTES_MAX);
    }
    /// The limits of one client, link or organization. 0 of anything: it is not limited.
    limits: Limits {
        /// The most requests a minute with one API key.
        api_key_requests_per_minute: u64 = "0", count(0, REQUESTS_PER_MINUTE_MAX);
        /// The most requests a minute of one client address.
        address_requests_per_minute: u64 = "0", count(0, REQUESTS_PER_MINUTE_MAX);
        /// The most downloads of one client address at once.
        address_downloads: u64 = "0", count(0, CONNECTIONS_MAX);
        /// The most bytes a second that all downloads of one client address get together.
        address_bytes_per_second: u64 = "0", bytes(0, BYTES_PER_SECOND_MAX);
        /// The most requests a minute with one link.
        link_requests_per_minute: u64 = "0", count(0, REQUESTS_PER_MINUTE_MAX);
        /// The most downloads with one link at once.
        link_downloads: u64 = "0", count(0, CONNECTIONS_MAX);
        /// The most bytes a second that all downloads with one link get together.
        link_bytes_per_second: u64 = "0", bytes(0, BYTES_PER_SECOND_MAX);
        /// The most downloads of one organization's files at once.
        organization_downloads: u64 = "0", count(0, CONNECTIONS_MAX);
        /// The most bytes a second that all downloads of one organization's files get together.
        organization_bytes_per_second: u64 = "0", bytes(0, BYTES_PER_SECOND_MAX);
        /// The most uploads with one API key at once.
        api_key_uploads: u64 = "100", count(0, CONNECTIONS_MAX);
        /// The most uploads of one organization at once.
        organization_uploads: u64 = "200", count(0, CONNECTIONS_MAX);
        /// The most files that one organization keeps, deleted ones until they are swept included.
        organization_files: u64 = "0", count(0, FILES_KEPT_MAX);
        /// The most bytes that they have together.
        organization_bytes: u64 = "0", bytes(0, BYTES_KEPT_MAX);
        /// The most links of one organization whose downloads are counted one by one.
        organization_link_counts: u64 = "100000", count(0, LINK_COUNTS_MAX);
    }
    /// The retention of files.
    files: Files {
        /// Days for which the bytes of a deleted file are kept.
        recycle_days: u64 = "30", count(0, RECYCLE_DAYS_MAX);
    }
    /// The storage of the bytes.
    blobs: Blobs {
        /// Absolute paths of directories whose files may be registered in place.
        in_place_roots: Vec<PathBuf> = "", absolute_paths;
        /// Mode of the stored bytes: `0600`, or `0640` for a proxy that sends them itself.
        mode: Readers = "0600", word(&[("0600", Readers::Owner), ("0640", Readers::Group)]);
        /// The bucket of an S3-compatible store that keeps the bytes, and what the names of the objects begin
        /// with: `s3://BUCKET/PREFIX`. Not set: the data directory keeps them.
        url: Option<Bucket> = "", optional(Bucket::parse);
        /// The store's URL. Not set: `AWS_ENDPOINT_URL`, or AWS's own.
        endpoint: Option<PublicBaseUrl> = "", optional(PublicBaseUrl::parse);
        /// The store's region. Not set: `AWS_REGION`, or `us-east-1`.
        region: Option<String> = "", optional(identifier);
        /// True if the bucket is named in the path of the store's URLs; else it is in their host.
        path_style: bool = "true", boolean;
        /// The id by which the store knows us. Not set: what the `AWS_` variables or the machine say.
        access_key_id: Option<String> = "", optional(identifier);
        /// The file of the secret that belongs to that id.
        secret_access_key_file: Option<PathBuf> = "", optional(path_of);
        /// The most bytes that uploads to the store and downloads from it hold in memory at once.
        memory_max: u64 = "512MiB", bytes(STORE_MEMORY_MIN, CACHE_BYTES_MAX);
    }
    /// The caches, in memory and of open files. 0 of anything: there is no such cache.
    cache: Cache {
        /// Bytes of the rows of files and API keys that are kept in memory.
        rows_bytes: Option<u64> = "", optional_bytes(0, CACHE_BYTES_MAX);
        /// Files that stay open; each takes a file descriptor.
        open_files: u64 = "256", count(0, OPEN_FILES_MAX);
        /// Bytes of small files that are kept in memory whole.
        small_files_bytes: Option<u64> = "", optional_bytes(0, CACHE_BYTES_MAX);
        /// The most bytes of a small file.
        small_file_max: u64 = "16KiB", bytes(0, SMALL_FILE_BYTES_MAX);
    }
    /// The Qoder API.
    qoder: Qoder {
        /// The status of the answer that holds a link: 302, or 200.
        content_status: ContentStatus = "302", number_word(&CONTENT_STATUSES);
        /// The generation of the API that is served: `auto`, 1, or 3.
        generation: GenerationServed = "auto", number_word(&GENERATIONS);
    }
    /// The signing keys.
    keyring: KeyringPlace {
        /// The file of the signing keys. Not set: `keyring.toml` in the data directory.
        file: Option<PathBuf> = "", optional(path_of);
    }
    /// Proxy offload: the sender of the bytes.
    handover: Handover {
        /// The sender: Hallpass, a proxy that is told the file's path, or the store that clients are redirected to:
        /// `stream`, `x-accel-redirect`, `x-sendfile`, `redirect`.
        mode: OffloadMode = "stream", word(&OffloadMode::WORDS);
        /// The prefix of a file's path below the data directory when a proxy sends it. Not set: `/hallpass-internal`
        /// for `x-accel-redirect`, the data directory for `x-sendfile`.
        prefix: Option<String> = "", optional(prefix);
        /// When a counted download is spent: once its bytes were sent, by Hallpass alone, or when it is started, so that a
        /// proxy may send them: `streamed`, `at-start`.
        counted: CountedHandover = "streamed", word(&CountedHandover::WORDS);
    }
    /// The answers of `/verify`.
    verify: Verify {
        /// The header in which a proxy says the URL that it was asked for. Not set: there is no `/verify`.
        header: Option<VerifyHeader> = "", optional(header);
    }
    /// The KooDrive API.
    koodrive: KooDrive {
        /// Seconds by which a request's `X-Date` may be off, besides the 15 minutes that it may be old.
        date_skew_secs: u64 = "0", seconds(0, LEEWAY_SECONDS_MAX);
    }
    /// The audit stream: who minted, downloaded, changed and revoked what.
    audit: Audit {
        /// File that each of these is appended to, one JSON object a line. Not set: nowhere.
        file: Option<PathBuf> = "", optional(path_of);
    }
    /// The log, on standard error.
    log: Log {
        /// The format of a line of the log.
        format: LogFormat = "text", word(&LogFormat::WORDS);
        /// The least severe lines that are written.
        level: Level = "info", word(&LOG_LEVELS);
    }
}

const CONTENT_STATUSES: [(&str, ContentStatus); 2] = [
    ("302", ContentStatus::Redirect),
    ("200", ContentStatus::Plain),
];

const GENERATIONS: [(&str, GenerationServed); 3] = [
    ("auto", GenerationServed::OfTheClient),
    ("1", GenerationServed::Only(Generation::First)),
    ("3", GenerationServed::Only(Generation::Third)),
];

/// A key with its value as it was given, or its default, and the origin of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key.
    pub key: &'static str,
    /// The value's text; lists with commas.
    pub value: String,
    /// The origin of the value.
    pub origin: Origin,
}

impl Config {
    /// Reads and checks the configuration. `file` is what `--config` names; `HALLPASS_CONFIG` counts
    /// where it is `None`. Answers every problem at once; there is at least one in an error.
    ///
    /// # Errors
    /// Every problem at once, at least one.
    pub fn load(
        file: Option<&Path>,
        vars: &dyn Vars,
        flags: &[Flag],
    ) -> Result<Self, Vec<ConfigError>> {
        let mut sources = Sources::gather(file, vars, flags);
        sources.check()
    }

    /// Reads and checks like [`Config::load`], and returns the settings with their origins, in the
    /// order of [`KEYS`], for a person to read: `***` stands for a password.
    ///
    /// # Errors
    /// Every problem at once, at least one.
    pub fn explain(
        file: Option<&Path>,
        vars: &dyn Vars,
        flags: &[Flag],
    ) -> Result<Vec<Setting>, Vec<ConfigError>> {
        let mut sources = Sources::gather(file, vars, flags);
        sources.check()?;
        let setting = |key: &SettingKey| {
            let default = || (key.default.into(), Origin::Default);
            let (mut value, origin) = sources.given(key.name).unwrap_or_else(default);
            if key.name == WITH_PASSWORD {
                value = Address::redacted(&value);
            }
            Setting {
                key: key.name,
                value,
                origin,
            }
        };
        Ok(KEYS.iter().map(setting).collect())
    }

    /// The file of the signing keys.
    pub fn keyring_file(&self) -> PathBuf {
        let of_data_dir = || self.server.data_dir.join("keyring.toml");
        self.keyring.file.clone().unwrap_or_else(of_data_dir)
    }
}

impl Sources {
    fn check(&mut self) -> Result<Config, Vec<ConfigError>> {
        let config = read(self);
        self.check_together(&config);
        if self.problems.is_empty() {
            Ok(config)
        } else {
            Err(std::mem::take(&mut self.problems))
        }
    }
}
