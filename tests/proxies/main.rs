//! Proxies that others wrote, between a client and the real binary, and REDbot. `tests/run --suite proxies` runs
//! them: it installs what they need.
//!
//! Through each proxy every answer of the byte route has the status and the bytes that it has without, and the
//! headers but for those that the test names: what a proxy changes is known.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // A test may panic.
#![allow(clippy::disallowed_methods)] // Nor does it share its threads with connections.
#![allow(clippy::cast_possible_truncation)] // And its lengths are small.

/// REDbot, a lint for HTTP.
mod redbot;
/// One test for each proxy.
mod through;

/// The server of a test, and its client.
#[path = "../faults/rig.rs"]
#[allow(dead_code)] // The faults use the rest.
mod rig;
/// Real proxies, started and ended by a test.
#[path = "../proxy/running.rs"]
mod running;
/// A running binary.
#[path = "../faults/server.rs"]
#[allow(dead_code)] // The faults use the rest.
mod server;
