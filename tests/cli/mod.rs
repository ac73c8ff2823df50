//! What the command line promises, kept by the real binary.

mod files;
mod kernel;
mod keys;
mod koodrive;
mod links;
mod log;
mod serving;
pub(crate) mod support;
mod vendors;
mod words;
