//! Overrides for a migration: this configuration with the rows or the bytes elsewhere.

use std::path::PathBuf;

use super::{Config, STORE_BYTES_MAX};
use crate::blob::s3::Bucket;
use crate::catalog::postgres::Address;

impl Config {
    /// Returns this configuration with the rows elsewhere: in the PostgreSQL database of this URL, or in this data
    /// directory. The error is the end of a sentence, and repeats nothing that may be a password.
    ///
    /// # Errors
    /// A text that is neither the URL of a database nor a directory.
    pub fn with_rows_in(&self, place: &str) -> Result<Self, &'static str> {
        let mut moved = self.clone();
        if is_url(place) {
            moved.catalog.url = Some(Address::parse(place)?);
        } else {
            moved.catalog.url = None;
            moved.server.data_dir = directory(place)?;
        }
        Ok(moved)
    }

    /// Returns this configuration with the bytes elsewhere: in the bucket and prefix of this URL, in the store that the
    /// other settings of `blobs` name, or in this data directory.
    ///
    /// # Errors
    /// A text that is neither the URL of a bucket nor a directory.
    pub fn with_bytes_in(&self, place: &str) -> Result<Self, &'static str> {
        let mut moved = self.clone();
        moved.blobs.in_place_roots.clear();
        if is_url(place) {
            moved.blobs.url = Some(Bucket::parse(place)?);
            moved.uploads.size_max = moved.uploads.size_max.min(STORE_BYTES_MAX);
        } else {
            moved.blobs.url = None;
            moved.server.data_dir = directory(place)?;
        }
        Ok(moved)
    }
}

/// Returns whether a place begins like a URL: also one that was mistyped, such as `s3:/bucket`, is no directory.
fn is_url(place: &str) -> bool {
    let scheme = place.split_once(":/").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn directory(place: &str) -> Result<PathBuf, &'static str> {
    if place.is_empty() || place.contains('\0') {
        return Err("must be a URL or a directory");
    }
    Ok(place.into())
}
