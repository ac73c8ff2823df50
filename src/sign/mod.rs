//! The signed link.
