//! The test binary, but for what is in `allocations`. Where does my test go? Into the module below that
//! names its subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // A test may panic.

/// The laws of the house: who may import whom, and what stands outside its floor.
mod architecture;

/// The dependencies, held to what is known of them.
mod supply;

/// The signed link: vectors, refusals, signers in other languages.
mod sign;

/// The Aitronos API over a real socket, and what its links open.
mod aitronos;
/// Connections themselves: every byte on them, their deadlines, how they end.
mod connections;
/// Links that may be downloaded so many times.
mod counted;
/// The byte route: ranges, conditions, other origins, downloaders, pages for people.
mod download;
/// Files that have an end.
mod file_ends;
/// The KooDrive API over a real socket, and what its links open.
mod koodrive;
/// The Qoder API over a real socket, and with curl.
mod qoder;
/// The pages of shares: what people are shown, asked for and given.
mod share_pages;

/// Files behind a page for people.
mod shares;

/// Media types, charsets and names of files, and the forms that they come in.
mod types;

/// What must hold for any bytes at all, for those that a fuzzer found.
mod fuzz;
/// Bad input of every kind, a line each.
mod inputs;
/// Limits: rates, places, paces and quotas, over real sockets.
mod limits;
/// Revoking: by calls over a real socket.
mod revoke;

/// Zip archives that nobody stored: their ranges, their readers, their ends.
mod archives;

/// A real browser shows, plays, saves and reads what links open, and asks for nothing twice.
mod browser;
/// A real nginx in front.
mod proxy;

/// Several gateways on one PostgreSQL: commands, faults, what one hears of another.
mod postgres;
/// TLS, HTTP/2, and restarts that lose nothing.
mod transport;

/// Who downloaded what: the audit stream, counts, numbers for Prometheus.
mod audit;
/// The bytes in a real S3-compatible store.
mod store;

/// The command line, by the real binary.
mod cli;
/// The configuration: where a setting comes from, and what is refused.
mod config;
/// The documents: every console block is run, every configuration that they show is one that is there.
mod docs;
/// Moving an installation to another catalogue and another store.
mod migrate;
/// Installations that an older version made.
mod upgrade;

/// What the others share: a running gateway, and a client that sees every byte.
mod support;
