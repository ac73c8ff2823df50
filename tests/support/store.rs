//! The S3-compatible store that tests run on: the one whose directory HALLPASS_TEST_BLOBS names
//! (tests/store/ceph). Where it names one, every gateway of the tests keeps its bytes there.

use std::fs;
use std::path::{Path, PathBuf};

use hallpass::blob::BlobStore as _;
use hallpass::blob::s3::{Ambient, Bucket, S3, StoreSettings};
use hallpass::model::time::UnixSeconds;

/// A running store.
pub(crate) struct Store {
    pub(crate) directory: PathBuf,
    pub(crate) endpoint: String,
    pub(crate) bucket: String,
}

impl Store {
    /// The store to test with. A test that needs one has nothing to test where there is none.
    pub(crate) fn running() -> Option<Self> {
        let directory = PathBuf::from(std::env::var_os("HALLPASS_TEST_BLOBS")?);
        let said = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
        Some(Self {
            endpoint: said("endpoint"),
            bucket: said("bucket"),
            directory,
        })
    }

    /// The same, and says so where there is none.
    pub(crate) fn needed() -> Option<Self> {
        let store = Self::running();
        if store.is_none() {
            println!("NOT TESTED: HALLPASS_TEST_BLOBS names no store");
        }
        store
    }

    /// The settings of a gateway that keeps its bytes there, under this prefix.
    pub(crate) fn settings(&self, prefix: &str) -> Vec<(&'static str, String)> {
        let id = fs::read_to_string(self.directory.join("access_key_id")).unwrap();
        let secret = self.directory.join("secret").display().to_string();
        vec![
            ("blobs.url", format!("s3://{}/{prefix}", self.bucket)),
            ("blobs.endpoint", self.endpoint.clone()),
            ("blobs.access_key_id", id),
            ("blobs.secret_access_key_file", secret),
        ]
    }

    /// What is under a prefix, seen behind the gateway's back by somebody whose clock is years ahead: every
    /// upload is old there.
    pub(crate) fn behind(&self, prefix: &str) -> S3 {
        let id = fs::read_to_string(self.directory.join("access_key_id")).unwrap();
        let settings = StoreSettings {
            bucket: Bucket::parse(&format!("s3://{}/{prefix}", self.bucket)).unwrap(),
            endpoint: Some(self.endpoint.clone()),
            region: None,
            path_style: true,
            key: Some((id, self.directory.join("secret"))),
            ambient: Ambient::default(),
            size_max: 1 << 30,
            memory_max: 1 << 29,
            owner: None,
        };
        S3::open(&settings, || UnixSeconds::new(4_000_000_000).unwrap()).unwrap()
    }
}

/// The prefix of a gateway whose data directory is in this one.
pub(crate) fn prefix_of(directory: &Path) -> String {
    let name = directory.file_name().unwrap().to_string_lossy();
    name.trim_start_matches('.').to_owned()
}

/// How many blobs there are, and how many that are being written, of a gateway whose data directory is in
/// this one.
pub(crate) async fn kept(directory: &Path) -> (usize, usize) {
    let Some(store) = Store::running() else {
        let data = directory.join("data");
        let staged = files_below(&data.join("blobs/stage"));
        return (files_below(&data.join("blobs")) - staged, staged);
    };
    let behind = store.behind(&prefix_of(directory));
    let blobs = behind.list(None, 1000).await.unwrap().len();
    (blobs, behind.abandoned_stages().await.unwrap())
}

/// How many bytes are being written by a gateway whose data directory is in this one, and keeps them on its disk.
pub(crate) fn staged_bytes(directory: &Path) -> u64 {
    let stages = fs::read_dir(directory.join("data/blobs/stage")).unwrap();
    // One that ends meanwhile has none.
    let sizes = stages.flatten().flat_map(|stage| stage.metadata());
    sizes.map(|found| found.len()).sum()
}

fn files_below(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let count = entries.map(|entry| match entry.file_type().unwrap().is_dir() {
        true => files_below(&entry.path()),
        false => 1,
    });
    count.sum()
}
