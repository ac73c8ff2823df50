//! How many uploads a second one organization's rows take, from eight gateways at a millisecond from PostgreSQL.
//!
//! `cargo bench --bench uploads` starts a PostgreSQL that syncs each commit, and eight gateways in this process, each
//! behind a line of its own on which every piece takes a millisecond. Of each gateway 16 clients add small files to one
//! organization: first a transaction for each file, then together with those that are ready meanwhile; in turn, three
//! times. The bytes lie on the disk already, so that it is rows that are measured. Then as many clients add files to an
//! organization that may keep [`QUOTA`], until all are refused: it keeps exactly so many.
//!
//! `--smoke` has turns of half a second: whether everything works; the figures mean nothing.
//!
//! It needs PostgreSQL's own programs, and ends by itself.
// What fails there has failed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hallpass::config::{Config, Flag};
use hallpass::gateway::Gateway;
use hallpass::gateway::clock::{Clock, SystemClock};
use hallpass::gateway::upload::NewFile;
use hallpass::model::file::Purpose;
use hallpass::model::id::{OrganizationId, SpaceId};
use hallpass::model::metadata::Metadata;
use hallpass::model::name::FileName;
use hallpass::server::installation::Installation;
use hallpass::server::setup::SetupPolicy;
use tempfile::TempDir;

/// What the tests use, too.
mod support {
    #[allow(dead_code, reason = "shared with the tests")]
    #[path = "../../tests/support/cable.rs"]
    pub(crate) mod cable;
    #[allow(dead_code, reason = "shared with the tests")]
    #[path = "../../tests/support/postgres.rs"]
    pub(crate) mod postgres;
}

use support::cable::{Cable, Line};
use support::postgres::Server;

const GATEWAYS: usize = 8;
const CLIENTS: usize = 16;
/// The distance of the database: each piece takes so long, either way.
const DISTANCE: Duration = Duration::from_millis(1);
const QUOTA: u64 = 500;
/// How much more go together than one by one.
const GOAL: f64 = 4.0;
const SYNCED: &str = "fsync = on\nfull_page_writes = on\n";

/// A way to add files.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    OneByOne,
    Together,
}

#[tokio::main]
async fn main() -> ExitCode {
    let is_smoke = std::env::args().any(|argument| argument == "--smoke");
    let time = Duration::from_millis(if is_smoke { 500 } else { 5_000 });
    let server = Server::start(SYNCED);
    server.database("uploads");
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, b"bytes").unwrap();
    let mut rates: [Vec<f64>; 2] = Default::default();
    let gateways = gateways(&server, directory.path(), None).await;
    let organization = organization(&gateways, "org_busy").await;
    for _ in 0..3 {
        for (way, rates) in [Way::OneByOne, Way::Together].into_iter().zip(&mut rates) {
            let begun = Instant::now();
            let added = add(&gateways, &organization, &file, way, move |_| {
                begun.elapsed() < time
            });
            let rate = added.await as f64 / begun.elapsed().as_secs_f64();
            println!("{way:?}: {rate:.0} a second");
            rates.push(rate);
        }
    }
    let [one_by_one, together] = rates.map(|rates| rates.iter().sum::<f64>() / rates.len() as f64);
    let times = together / one_by_one;
    let verdict = if times >= GOAL { "met" } else { "missed" };
    println!("together {times:.1} times as many; goal, {GOAL} times: {verdict}");
    drop(gateways);

    let kept = within_quota(&server, directory.path(), &file).await;
    println!("an organization that may keep {QUOTA} files has {kept}");
    if kept == QUOTA && (times >= GOAL || is_smoke) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Opens the gateways, each with a data directory and a line to the database of its own.
async fn gateways(server: &Server, directory: &Path, quota: Option<u64>) -> Vec<Arc<Gateway>> {
    let keyring = directory.join("keyring.toml");
    if !keyring.exists() {
        let made = Command::new(env!("CARGO_BIN_EXE_hallpass"))
            .args(["key", "generate", "--data-dir"])
            .arg(directory.join("keys"))
            .status();
        assert!(made.unwrap().success());
        std::fs::rename(directory.join("keys/keyring.toml"), &keyring).unwrap();
    }
    let mut gateways = Vec::new();
    for number in 0..GATEWAYS {
        let cable = Cable::to(server.port()).await;
        cable.set(Line::Delays(DISTANCE));
        let data = directory.join(format!("data{number}"));
        let settings = [
            ("server.data_dir", data.display().to_string()),
            ("catalog.url", cable.url("uploads")),
            ("keyring.file", keyring.display().to_string()),
            ("blobs.in_place_roots", directory.display().to_string()),
            (
                "limits.organization_files",
                quota.unwrap_or_default().to_string(),
            ),
        ];
        let flags = settings.map(|(key, value)| Flag {
            key,
            value,
            name: "the bench",
        });
        let config = Config::load(None, &HashMap::<OsString, OsString>::new(), &flags).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let installation = Installation::open(&config, SetupPolicy::SetUp, clock)
            .await
            .unwrap();
        gateways.push(Arc::new(
            installation.into_gateway(&config, "http://127.0.0.1:8080".into()),
        ));
        // The line is there for as long as the process is.
        std::mem::forget(cable);
    }
    gateways
}

async fn organization(gateways: &[Arc<Gateway>], id: &str) -> OrganizationId {
    let id = OrganizationId::parse(id).unwrap();
    let made = gateways[0].create_organization(Some(id.clone()), String::new());
    made.await.unwrap();
    id
}

/// Adds files by all clients at once, each until `goes_on` says no to the outcome of its last one. Answers how many
/// were added.
async fn add(
    gateways: &[Arc<Gateway>],
    organization: &OrganizationId,
    file: &Path,
    way: Way,
    goes_on: impl Fn(bool) -> bool + Clone + Send + 'static,
) -> u64 {
    let mut clients = Vec::new();
    for client in 0..GATEWAYS * CLIENTS {
        let gateway = Arc::clone(&gateways[client % GATEWAYS]);
        let (organization, file) = (organization.clone(), file.to_owned());
        let goes_on = goes_on.clone();
        clients.push(tokio::spawn(async move {
            let mut added = 0;
            loop {
                let new = new_file(&organization);
                let staged = vec![gateway.keep_in_place(&file, new).await.unwrap()];
                let outcome = match way {
                    Way::OneByOne => gateway.add_staged(staged).await,
                    Way::Together => gateway.add_in_group(staged).await,
                };
                let is_added = outcome[0].is_ok();
                added += u64::from(is_added);
                if !goes_on(is_added) {
                    return added;
                }
            }
        }));
    }
    let mut added = 0;
    for client in clients {
        added += client.await.unwrap();
    }
    added
}

fn new_file(organization: &OrganizationId) -> NewFile {
    NewFile {
        organization: organization.clone(),
        space: SpaceId::default_space(),
        id: None,
        name: FileName::from_client("a.txt").unwrap(),
        media_type: None,
        purpose: Purpose::UserUpload,
        metadata: Metadata::default(),
        created_at: None,
        uploaded_by: None,
        expires_in: None,
    }
}

/// Has all clients add files until each is refused, and answers how many there are.
async fn within_quota(server: &Server, directory: &Path, file: &Path) -> u64 {
    let gateways = gateways(server, directory, Some(QUOTA)).await;
    let organization = organization(&gateways, "org_bounded").await;
    let added = add(&gateways, &organization, file, Way::Together, |is_added| {
        is_added
    });
    let added = added.await;
    let rows = "SELECT count(*) FROM file WHERE organization = 'org_bounded'";
    let kept: u64 = server.sql("uploads", rows).parse().unwrap();
    assert_eq!(
        kept, added,
        "each that was acknowledged is there, and no other"
    );
    kept
}
