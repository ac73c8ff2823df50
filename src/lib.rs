//! Hallpass, a signed-URL download gateway.
pub mod blob;
pub mod catalog;
pub mod model;
pub mod sign;
