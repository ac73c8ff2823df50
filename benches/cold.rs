//! What lies below a GET of a small file that nothing is in memory of: its row, its bytes and its counts, each alone.
//!
//! `cargo bench --bench cold` makes 100,000 files of 1 KiB and their rows in a temporary directory, which takes a minute and
//! a gigabyte, and prints the processor time that one thread takes for each file, in a random order, all of it in memory:
//! of the system's calls and SQLite's statements alone, without Hallpass. `-- --smoke` makes few, to see in seconds that it works.
// What fails there has failed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::hint::black_box;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use hallpass::catalog::Catalog as _;
use hallpass::catalog::sqlite::Sqlite;
use hallpass::model::id::OrganizationId;
use hallpass::model::tenancy::Organization;
use hallpass::model::time::UnixSeconds;
use rusqlite::{Connection, params};
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;

#[path = "support/million.rs"]
mod million;

use million::{file_id, fill};

/// The rounds, of which the first warms up.
const ROUNDS: usize = 6;
/// The rows that are written by one transaction.
const BATCH: usize = 1_000;
/// The rows that come between two flushes: their batches are parts of these, in order.
const FLUSH: usize = 32_000;
/// The files of a folder.
const FOLDER: usize = 256;

const ROW: &str = "SELECT * FROM file WHERE organization = 'o' AND id = ?1";
const FILE_COUNT: &str = "INSERT INTO file_count (organization, file, downloads, whole, bytes_sent, last_at) \
     VALUES ('o', ?1, 1, 1, 1024, ?2) ON CONFLICT (organization, file) DO UPDATE SET \
     downloads = downloads + 1, whole = whole + 1, bytes_sent = bytes_sent + 1024, last_at = excluded.last_at";
const LINK_COUNT: &str = "INSERT INTO link_count (organization, link, expires, downloads, whole, bytes_sent, last_at) \
     VALUES ('o', ?1, 1900000000, 1, 1, 1024, ?2) ON CONFLICT (organization, link) DO UPDATE SET \
     downloads = downloads + 1, whole = whole + 1, bytes_sent = bytes_sent + 1024, last_at = excluded.last_at";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let smoke = std::env::args().any(|argument| argument == "--smoke");
    let count = if smoke { 2_000 } else { 100_000 };
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("catalogue.sqlite3");
    make(&path, count).await;
    let ids: Vec<String> = (1..=count)
        .map(|number| file_id(number).as_str().to_owned())
        .collect();
    let files = files(&directory.path().join("files"), ids.len());
    let links: Vec<String> = (0..ids.len()).map(link).collect();
    let order = order(ids.len());
    let reader = connection(&path);
    let writer = connection(&path);
    println!(
        "{:<8}{:>10}{:>10}{:>16}{:>16}",
        "µs", "its row", "its file", "its file count", "its link count"
    );
    for round in 0..ROUNDS {
        let row = time(|| read_rows(&reader, &ids, &order)) / order.len() as f64;
        let file = time(|| read_files(&files, &order)) / order.len() as f64;
        let of_files = time(|| count_rows(&writer, FILE_COUNT, &ids, &order)) / order.len() as f64;
        let of_links =
            time(|| count_rows(&writer, LINK_COUNT, &links, &order)) / order.len() as f64;
        if round > 0 {
            println!("{round:<8}{row:>10.2}{file:>10.2}{of_files:>16.2}{of_links:>16.2}");
        }
    }
}

/// The processor time of this thread for some work, in microseconds.
fn time(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
    };
    let begun = now();
    work();
    now() - begun
}

/// Makes a catalogue with so many files of one organization.
async fn make(path: &Path, count: u64) {
    let catalog = Sqlite::open(path).await.unwrap();
    let owner = OrganizationId::parse("o").unwrap();
    let organization = Organization {
        epoch: 0,
        id: owner.clone(),
        name: "o".into(),
        created_at: UnixSeconds::EPOCH,
    };
    catalog.create_organization(&organization).await.unwrap();
    fill(&catalog, &owner, count).await;
    catalog.close().await;
}

/// A connection as the gateway has it.
fn connection(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
         PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY";
    connection.execute_batch(settings).unwrap();
    connection
}

/// Makes so many files of 1 KiB.
fn files(directory: &Path, count: usize) -> Vec<PathBuf> {
    (0..count)
        .map(|number| {
            let folder = directory.join((number / FOLDER).to_string());
            fs::create_dir_all(&folder).unwrap();
            let path = folder.join(format!("{number:032}"));
            fs::write(&path, [7; 1024]).unwrap();
            path
        })
        .collect()
}

/// A link's id that tells nothing of the number.
fn link(number: usize) -> String {
    format!(
        "{:012x}",
        (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
    )
}

/// The numbers below this one, scattered.
fn order(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|number| link(number + count));
    order
}

fn read_rows(connection: &Connection, ids: &[String], order: &[usize]) {
    let mut statement = connection.prepare(ROW).unwrap();
    let columns = statement.column_count();
    for number in order {
        let mut rows = statement.query([&ids[*number]]).unwrap();
        let row = rows.next().unwrap().unwrap();
        for column in 0..columns {
            black_box(row.get_ref(column).unwrap());
        }
    }
}

fn read_files(files: &[PathBuf], order: &[usize]) {
    let mut bytes = [0; 2048];
    for number in order {
        let mut file = fs::File::open(&files[*number]).unwrap();
        let length = file.metadata().unwrap().len();
        let read = file.read(&mut bytes).unwrap();
        assert_eq!(read as u64, length);
    }
}

/// Adds one to each row, a batch a transaction.
fn count_rows(connection: &Connection, text: &str, keys: &[String], order: &[usize]) {
    let mut statement = connection.prepare(text).unwrap();
    for flush in order.chunks(FLUSH) {
        let mut keys: Vec<&String> = flush.iter().map(|number| &keys[*number]).collect();
        keys.sort_unstable();
        for batch in keys.chunks(BATCH) {
            connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            for key in batch {
                statement.execute(params![key, 1_800_000_000]).unwrap();
            }
            connection.execute_batch("COMMIT").unwrap();
        }
    }
}
