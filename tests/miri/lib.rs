//! The pure floors of Hallpass, by themselves.

#[path = "../../src/model/mod.rs"]
pub mod model;
#[path = "../../src/sign/mod.rs"]
pub mod sign;
