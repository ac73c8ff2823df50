//! The one test binary. Where does my test go? Into the module below that names its subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // A test may panic.

/// The Aitronos API over a real socket, and what its links open.
mod aitronos;
/// The laws of the house: who may import whom, and what stands outside its floor.
mod architecture;
/// The configuration: where a setting comes from, and what is refused.
mod config;
/// The Qoder API over a real socket, and with curl.
mod qoder;
/// The signed link: vectors, refusals, signers in other languages.
mod sign;
/// What the others share: a running gateway, and a client that sees every byte.
mod support;
