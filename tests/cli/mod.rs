//! What the command line promises, kept by the real binary.

mod files;
mod kernel;
mod keys;
mod koodrive;
mod links;
mod log;
mod memory;
mod serving;
mod support;
mod vendors;
mod words;
