//! Hallpass, a signed-URL download gateway.
pub mod blob;
pub mod catalog;
pub mod config;
pub mod model;
pub mod sign;
pub mod telemetry;
