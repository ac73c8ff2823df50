//! What the tests share: a running gateway, and a client that sees every byte.

pub(crate) mod app;
pub(crate) mod cable;
pub(crate) mod client;
pub(crate) mod form;
pub(crate) mod front;
pub(crate) mod postgres;
pub(crate) mod programs;
pub(crate) mod secrets;
pub(crate) mod store;
pub(crate) mod upload;
