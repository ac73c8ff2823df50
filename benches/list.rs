//! How long a page of 100 takes among a million files, on the embedded catalogue.
//!
//! `cargo bench --bench list` makes the files in a temporary directory, which takes a minute or two and
//! about a gigabyte, and then asks for pages as the API calls do. The goal is that a page takes less than
//! 3 ms wherever in the list it lies, judged on the median of the pages of a kind: it is what the query
//! costs, while the slow ones at the end, printed beside it, are mostly what else the machine did
//! meanwhile, and would fail a good query on a busy day. A missed goal is exit code 1. With `--smoke` it makes few files,
//! to see in seconds that everything works (`cargo test --bench list -- --smoke` does so without an
//! optimised build); the figures then mean nothing, and no goal is missed. Nothing is written but the figures.
#![allow(clippy::unwrap_used, clippy::expect_used)] // What fails here has failed.

use std::collections::HashMap;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hallpass::catalog::Filter;
use hallpass::config::{Config, Flag};
use hallpass::gateway::Gateway;
use hallpass::gateway::clock::{Clock, SystemClock};
use hallpass::gateway::files::Cursor;
use hallpass::model::file::Purpose;
use hallpass::model::id::OrganizationId;
use hallpass::server::installation::Installation;
use hallpass::server::setup::SetupPolicy;
use tempfile::TempDir;

#[path = "support/million.rs"]
mod million;

use million::{file_id, fill};

/// How long a page may take.
const GOAL: Duration = Duration::from_millis(3);
/// How many files a page has.
const LIMIT: u32 = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let smoke = std::env::args().any(|argument| argument == "--smoke");
    let (files, turns) = if smoke {
        (20_000, 50)
    } else {
        (1_000_000, 1_000)
    };
    let directory = TempDir::new().unwrap();
    let data_dir = directory.path().join("data").display().to_string();
    let flags = [Flag {
        key: "server.data_dir",
        value: data_dir,
        name: "the bench",
    }];
    let config = Config::load(None, &HashMap::<OsString, OsString>::new(), &flags).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let installation = Installation::open(&config, SetupPolicy::SetUp, clock)
        .await
        .unwrap();

    let started = Instant::now();
    fill(
        installation.catalog.as_ref(),
        &OrganizationId::default_organization(),
        files,
    )
    .await;
    let took = started.elapsed().as_secs_f64();
    println!("{files} files made in {took:.1} s; {turns} pages of {LIMIT} each\n");

    let gateway = installation.into_gateway(&config, "http://127.0.0.1:8080".into());
    println!("{:<52}{:>9}{:>9}{:>9}", "milliseconds", "p50", "p99", "max");
    let met = by_cursor(&gateway, files, turns).await & by_number(&gateway, files, turns).await;
    let verdict = if met { "met" } else { "missed" };
    println!(
        "\ngoal, the median under {} ms: {verdict}",
        GOAL.as_millis()
    );
    if met || smoke {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Pages as the Qoder list asks for them. Answers whether all met the goal.
async fn by_cursor(gateway: &Gateway, files: u64, turns: usize) -> bool {
    let organization = OrganizationId::default_organization();
    let mut met = true;
    for (what, purpose, cursor) in kinds(files) {
        let filter = Filter::of_purpose(purpose);
        let page = async || {
            let page = gateway.cursor_page(&organization, filter, cursor.as_ref(), LIMIT);
            page.await.unwrap().files.len()
        };
        met &= measure(&what, turns, page).await;
    }
    met
}

/// The kinds of pages that are asked for with a cursor.
fn kinds(files: u64) -> Vec<(String, Option<Purpose>, Option<Cursor>)> {
    let id = |number: u64| file_id(number).to_string();
    let (middle, last) = (id(files / 2), id(u64::from(LIMIT) + 1));
    // No hex digit: a text that has no time, so its place is in the list by id.
    let no_id = format!("{middle}x");
    let places = [
        ("the first page", None),
        ("in the middle", Some(Cursor::After(middle.clone()))),
        ("in the middle, backwards", Some(Cursor::Before(middle))),
        ("the last page", Some(Cursor::After(last))),
        ("the last page, backwards", Some(Cursor::Before(id(1)))),
        ("after what is no id", Some(Cursor::After(no_id.clone()))),
        ("before what is no id", Some(Cursor::Before(no_id))),
    ];
    let purposes = [
        ("all", None),
        ("half of them", Some(Purpose::ToolOutput)),
        ("a rare purpose", Some(Purpose::AgentOutput)),
        ("none has it", Some(Purpose::SkillOutput)),
    ];
    let of = |(whose, purpose): &(&str, Option<Purpose>)| {
        let (whose, purpose) = (whose.to_owned(), *purpose);
        let kind = |(place, cursor): &(&str, Option<Cursor>)| {
            (format!("{whose}, {place}"), purpose, cursor.clone())
        };
        places.iter().map(kind).collect::<Vec<_>>()
    };
    purposes.iter().flat_map(of).collect()
}

/// Pages as the Aitronos list asks for them, with their total. Answers whether both met the goal.
async fn by_number(gateway: &Gateway, files: u64, turns: usize) -> bool {
    let organization = OrganizationId::default_organization();
    let page = async |number: u64| {
        let page = gateway
            .numbered_page(&organization, number, LIMIT)
            .await
            .unwrap();
        assert_eq!(page.total, files);
        page.files.len()
    };
    let first = measure("page 1 by its number, with the total", turns, async || {
        page(1).await
    })
    .await;
    let last = files / u64::from(LIMIT);
    let what = format!("page {last} by its number");
    let deep = measure(&what, turns, async || page(last).await).await;
    first & deep
}

/// Times one kind of page and prints its line. Answers whether it met the goal.
async fn measure(what: &str, turns: usize, page: impl AsyncFn() -> usize) -> bool {
    let files = page().await;
    let mut times = Vec::with_capacity(turns);
    for _ in 0..turns {
        let started = Instant::now();
        assert_eq!(page().await, files);
        times.push(started.elapsed());
    }
    times.sort();
    let at = |percent: usize| {
        let place = (times.len() * percent).div_ceil(100);
        times.get(place - 1).copied().unwrap_or_default()
    };
    let what = format!("{what} ({files} files)");
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let [median, p99, max] = [at(50), at(99), at(100)];
    println!(
        "{what:<52}{:>9.3}{:>9.3}{:>9.3}",
        millis(median),
        millis(p99),
        millis(max)
    );
    median < GOAL
}
