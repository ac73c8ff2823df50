//! How soon a gateway answers after it was started, whatever all tenants have denied.

use std::path::Path;
use std::time::Instant;

use hallpass::catalog::postgres::{Address, Postgres};
use hallpass::catalog::sqlite::Sqlite;
use tempfile::TempDir;

use super::client::Request;
use super::postgres::Server;
use super::process::{Core, Outcome};
use super::site::Site;

/// The starts of each catalogue.
const STARTS: usize = 7;
/// The longest that a start may take, from the process to the first byte, in milliseconds.
const MILLIS_MAX: f64 = 2_000.0;
/// The connections that fill a database.
const CONNECTIONS: u32 = 4;

/// Measures starts with the `share`th part of the denied links, on SQLite and on PostgreSQL. Returns whether the goal is met.
pub(super) fn measure(binary: &Path, share: u64) -> Outcome<bool> {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let sqlite = Site::new(binary, &directory.path().join("sqlite"))?;
    runtime.block_on(async {
        let catalog = Sqlite::open(&sqlite.data_dir().join("catalogue.sqlite3")).await?;
        super::deny(&catalog, share).await?;
        catalog.close().await;
        Outcome::Ok(())
    })?;
    let server = Server::start("");
    let url = server.database("start");
    let postgres = Site::on_database(binary, &directory.path().join("postgres"), url.clone())?;
    runtime.block_on(async {
        let address = Address::parse(&url).map_err(|_| "the URL of the database")?;
        let catalog = Postgres::open(&address, CONNECTIONS).await?;
        super::deny(&catalog, share).await?;
        catalog.close().await;
        Outcome::Ok(())
    })?;

    println!(
        "| start with {} denied links | median | min | max |",
        super::ORGANIZATIONS * super::DENIED_OF_EACH / share
    );
    println!("|---|---|---|---|");
    let mut is_met = true;
    for (name, mut site) in [("SQLite", sqlite), ("PostgreSQL", postgres)] {
        let mut all = starts(&mut site)?;
        all.sort_by(f64::total_cmp);
        let (Some(min), Some(median), Some(max)) = (all.first(), all.get(STARTS / 2), all.last())
        else {
            return Err("too few starts".into());
        };
        println!("| {name} | {median:.0} ms | {min:.0} ms | {max:.0} ms |");
        is_met &= *max <= MILLIS_MAX;
    }
    let verdict = if is_met { "met" } else { "missed" };
    println!("goal of starts: at most {MILLIS_MAX:.0} ms each: {verdict}");
    Ok(is_met)
}

/// The times of starts in milliseconds, from the process to the first byte of a link's answer.
fn starts(site: &mut Site) -> Outcome<Box<[f64]>> {
    site.add("hot", 1024)?;
    let link = {
        let (_running, at) = site.serve(Core::Server)?;
        Request::get(site.mint(at, "hot")?)
    };
    let start = |_| {
        let started = Instant::now();
        let (_running, at) = site.serve(Core::Server)?;
        link.expect_first_byte(at)?;
        Ok(started.elapsed().as_secs_f64() * 1e3)
    };
    (0..STARTS).map(start).collect()
}
