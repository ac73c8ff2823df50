//! What the command line promises, kept by the real binary.

mod adding;
mod files;
mod kernel;
mod keys;
mod koodrive;
mod links;
mod log;
mod serving;
mod support;
mod vendors;
mod words;
