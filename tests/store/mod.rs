//! A gateway whose bytes are in a real S3-compatible store, and everything that can go wrong between the two.

mod faults;
mod hosts;
mod memory;
mod moving;
mod owner;
mod processes;
mod proxy;
mod redirect;
mod rights;
mod shares;
mod tls;
mod uploads;

use hallpass::blob::BlobStore as _;
use hallpass::blob::s3::S3;

/// A prefix that nobody else has.
fn prefix(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::new_v4().simple())
}

/// `length` bytes that do not repeat in step with any buffer.
fn sample(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

/// How many uploads nobody finished, and how many objects there are.
async fn found(store: &S3) -> (usize, usize) {
    let uploads = store.abandoned_stages().await.unwrap();
    (uploads, store.list(None, 1000).await.unwrap().len())
}
