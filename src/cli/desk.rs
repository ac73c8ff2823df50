//! The parts of `hallpass share PATH`, beside its flags: the files and how they are taken in, the lines for people, the
//! log of downloads, and the programs that a link is handed to.

pub(super) mod announce;
pub(super) mod downloads;
pub(super) mod files;
pub(super) mod hand_out;
pub(super) mod host;
pub(super) mod people;
pub(super) mod publish;
pub(super) mod source;
pub(super) mod take_in;
