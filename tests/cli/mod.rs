//! What the command line promises, kept by the real binary.

mod files;
mod keys;
mod links;
mod serving;
mod support;
mod vendors;
mod words;
