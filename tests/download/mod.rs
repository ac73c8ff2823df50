//! The byte route for browsers, downloaders and people, over a real socket.

mod conditions;
mod origins;
mod pages;
mod ranges;
