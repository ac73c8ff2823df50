//! Hallpass, a signed-URL download gateway: an authenticated call mints a link, the link alone opens the
//! bytes.
//!
//! # Architecture
//!
//! A request comes in at the top layer and goes straight down; plain values come back up. No layer calls one above it.
//!
//! ```text
//! main.rs → cli/                 the command line, one file a command
//!           server/  config/     assembly, listeners, connections, lifetime; settings and keyring files
//!           telemetry/           the log, the audit stream, the metrics for Prometheus
//!           web/                 HTTP in and out: the byte route, dialects/, /verify, health
//!           gateway/             the rules: mint, download, upload, files, revoke, tenants, limits; no HTTP, SQL, disk
//!           catalog/   blob/     two small ports, each with a written contract, adapters, and one suite for all
//!           sign/                the signed link: pure; its module doc is the specification
//!           zero_copy/           zero-copy (`sendfile`) from the page cache to the socket, under hyper
//!           page_cache.rs        which bytes of a file the kernel has in memory
//!           thread_time.rs       how long a thread waited for a processor
//!           model/               ids, times, ranges, names, file records: pure values
//! ```
//!
//! # What always holds
//!
//! 1. [`sign`] and [`model`] do no IO, read no clock and log nothing.
//! 2. [`gateway`] has never heard of HTTP; [`web`] has never heard of SQL, disks or keys.
//! 3. A catalogue row that is `Ready` always has its bytes. Bytes without a row are garbage and are swept.
//! 4. A file never changes once it is ready. So its SHA-256 is its `ETag`, and caches are safe.
//! 5. A link is a credential: neither it nor its query is ever logged or put in an error.
//! 6. Only [`sign`]'s verifier makes a [`sign::verify::Verified`], and only that opens bytes.
//! 7. There is no start without a strong key, no built-in key, and no way to switch verification off.
//! 8. Time, randomness and shutdown are handed in.
//!
//! `tests/architecture.rs` holds the code to this picture.
//!
//! # Where to begin
//!
//! [`sign`] for the link itself; then [`gateway`], whose three flows are the product; then
//! [`web::Web::handle`] for how a request gets there.

pub mod model;
pub mod page_cache;
pub mod sign;
pub mod thread_time;

pub mod blob;
pub mod catalog;
pub mod zero_copy;

pub mod gateway;

pub mod web;

pub mod config;
pub mod server;
pub mod telemetry;

pub mod cli;
