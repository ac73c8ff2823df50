//! What `hallpass share PATH` is made of, beside its flags: the files and how they are taken in, what is printed of them for
//! people, the downloads that are told of, and the programs that a link is handed to.

pub(super) mod announce;
pub(super) mod downloads;
pub(super) mod files;
pub(super) mod hand_out;
pub(super) mod host;
pub(super) mod people;
pub(super) mod publish;
pub(super) mod source;
pub(super) mod take_in;
