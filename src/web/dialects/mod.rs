//! The three API dialects, each a folder of the same files: its calls, its envelope of problems, its JSON.

pub mod aitronos;
pub mod koodrive;
pub mod qoder;
