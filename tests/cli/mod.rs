//! What the command line promises, kept by the real binary.

mod adding;
mod doctor;
mod files;
mod in_place;
mod kernel;
mod keys;
mod koodrive;
mod links;
mod log;
mod memory;
mod pasted;
mod revoke;
mod rotation;
mod serving;
pub(crate) mod support;
mod vendors;
mod words;
