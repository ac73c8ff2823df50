//! The bounds of settings: the most, or the least, that a value may be.

/// The longest lifetime and window of a link: ten years.
pub const LINK_SECONDS_MAX: u64 = 10 * 366 * 86_400;
/// The largest leeway for `not-before` and for `X-Date`: more than an hour is no difference of clocks.
pub const LEEWAY_SECONDS_MAX: u64 = 3600;
/// The largest upload: 1 PiB, beyond any file system's largest file.
pub const UPLOAD_BYTES_MAX: u64 = 1 << 50;
/// The longest upload: a month, in which 1 TiB comes in over a line of 4 Mbit/s.
pub const UPLOAD_SECONDS_MAX: u64 = 31 * 86_400;
/// The most links, or files with revoked links, of one organization: what every gateway holds in memory.
pub const REVOCATIONS_MAX: u64 = 1_000_000;
/// The longest time that the bytes of deleted files are kept: ten years.
pub const RECYCLE_DAYS_MAX: u64 = 3660;
/// The largest cache: more than any machine's memory that this is for.
pub const CACHE_BYTES_MAX: u64 = 1 << 40;
/// The most files that stay open: as many as Linux lets a process have by default, if it asks.
pub const OPEN_FILES_MAX: u64 = 524_288;
/// The largest upload to a store of objects, which no store takes larger ones than: 5 TiB.
pub const STORE_BYTES_MAX: u64 = 5 << 40;
/// The least memory for uploads to a store and downloads from it: for four parts of an upload, 20 MiB.
pub const STORE_MEMORY_MIN: u64 = 20 * 1024 * 1024;
/// The most parts of an upload to a store, each of which is held in memory.
pub(super) const STORE_PARTS_MAX: u64 = 10_000;
/// The largest file that may count as small: larger ones cost more to copy than to send from the disk.
pub const SMALL_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The highest rate of requests: one a microsecond, more than any machine answers.
pub const REQUESTS_PER_MINUTE_MAX: u64 = 60_000_000;
/// The highest rate of bytes: 1 TiB a second, beyond any network that this is for.
pub const BYTES_PER_SECOND_MAX: u64 = 1 << 40;
/// The largest quota of files: more than any catalogue holds.
pub const FILES_KEPT_MAX: u64 = 1_000_000_000_000;
/// The most links of one organization that may have counts of their own: more than any catalogue holds.
pub const LINK_COUNTS_MAX: u64 = 1_000_000_000_000;
/// The largest quota of bytes: 1 EiB.
pub const BYTES_KEPT_MAX: u64 = 1 << 60;
/// The most connections that may be allowed, more than a process can have descriptors for.
pub const CONNECTIONS_MAX: u64 = 10_000_000;
/// The most requests at once on one HTTP/2 connection: as many as its share of memory has place for.
pub const HTTP2_STREAMS_MAX: u64 = 100;
/// The least memory for answers that wait for clients over TLS and HTTP/2.
pub const RESPONSE_MEMORY_MIN: u64 = 1024 * 1024;
/// The most connections to a database: more than any server takes.
pub const CATALOG_CONNECTIONS_MAX: u64 = 1000;
