//! The types of the domain, as plain values.
//!
//! Every type here is parsed once, at the edge, and then carries its own proof: nobody checks the characters of a
//! [`id::FileId`] again. Nothing in this layer does IO, reads a clock, logs, or knows of HTTP, SQL or JSON, and
//! nothing here is serialisable.

pub mod address;
pub mod amount;
pub mod app;
pub mod archive_file;
pub mod base62;
pub mod condition;
pub mod count;
pub mod digest;
pub mod disposition;
pub mod file;
pub mod held_revocation;
pub mod id;
pub mod key;
pub mod media;
pub mod metadata;
pub mod name;
pub mod network;
pub mod range;
pub mod redemption;
pub mod revocation;
pub mod share;
pub mod shared_map;
pub mod tenancy;
pub mod text;
pub mod time;
pub mod zip;
