//! Settings, and the files that hold them.

pub mod keyring_file;
