//! What the command line promises, kept by the real binary.

mod adding;
mod checksums;
mod counted;
mod doctor;
mod files;
mod in_place;
mod kernel;
mod keys;
mod koodrive;
mod limits;
mod link_base;
mod links;
mod log;
mod log_hash;
mod memory;
mod messages;
mod pasted;
pub(crate) mod restored;
mod revoke;
mod rotation;
mod serving;
mod shares;
mod sharing;
mod standard_input;
pub(crate) mod support;
mod vendors;
mod words;
