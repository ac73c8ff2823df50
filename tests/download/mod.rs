//! The byte route for browsers, downloaders and people, over a real socket.

mod answers;
mod conditions;
mod digests;
mod downloaders;
mod heads;
mod in_place;
mod names;
mod origins;
mod pages;
mod ranges;
