//! One tenant attacks, and another is measured.
//!
//! `cargo bench --bench neighbours -- [--quick] [--binary PATH]` starts the real binary on the first core with a million
//! denied links of a thousand organizations. From the second core a tenant sends an open loop at half of the rate that
//! it reaches alone, first beside nobody, then beside the connections of another tenant, one attack after the other:
//!
//! | attack | its connections | the other tenant |
//! |---|---|---|
//! | mints with an API key that does not exist (401), to compare with | 16 | opens links |
//! | revocations of links, each another one | 16 | opens links |
//! | files that are uploaded and deleted | 16 | opens links |
//! | uploads | 16 | opens links |
//! | guesses at the passwords of 300 shares | 16 | opens links |
//! | pages far behind the end of a list of 300,000 files | 250 | looks files up |
//!
//! What it keeps of its rate, and its latency, are held against our goals, where there is one. Both clients have the one
//! core, and sleep while they wait; that of the other tenant comes first there (`nice -20`, which takes root), so that
//! what it waits for is the server.
//!
//! Then four gateways of one installation serve, and other files are deleted at one of them, a hundred a second, while the
//! links of a hundred files are opened at another: whether that one forgets what was not deleted.
//!
//! At last it is started with those denied links alone, on SQLite and on PostgreSQL, whose own programs it needs: how long that
//! takes to the first byte of a link's answer.
//!
//! `--only attacks`, `--only start` and `--only gateways` leave the others out. `--quick` has a hundredth of the rows and turns of a second: whether everything works; the figures mean nothing.
//!
//! Slow readers have a bench of their own, `slow_readers`.

mod attack;
mod gateways;
mod start;

#[allow(dead_code, reason = "shared with another bench")]
#[path = "../versus/client.rs"]
mod client;
#[allow(dead_code, reason = "shared with another bench")]
#[path = "../versus/connection.rs"]
mod connection;
#[allow(dead_code, reason = "shared with another bench")]
#[path = "../versus/links.rs"]
mod links;
#[allow(dead_code, reason = "shared with another bench")]
#[path = "../versus/load.rs"]
mod load;
#[allow(dead_code, reason = "shared with another bench")]
#[path = "../versus/machine.rs"]
mod machine;
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared with another bench, where what fails has failed"
)]
#[path = "../support/million.rs"]
mod million;
#[allow(
    dead_code,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "shared with the tests, where what fails has failed"
)]
#[path = "../../tests/support/postgres.rs"]
mod postgres;
#[allow(dead_code, reason = "shared with another bench")]
#[path = "../versus/process.rs"]
mod process;
#[allow(dead_code, reason = "shared with another bench")]
#[path = "../versus/site.rs"]
mod site;
#[allow(dead_code, reason = "shared with another bench")]
#[path = "../versus/spin.rs"]
mod spin;
#[allow(dead_code, reason = "shared with another bench")]
#[path = "../versus/tls.rs"]
mod tls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use hallpass::catalog::Catalog;
use hallpass::catalog::sqlite::Sqlite;
use hallpass::catalog::transfer::{ROWS_AT_ONCE_MAX, Row};
use hallpass::model::id::OrganizationId;
use hallpass::model::revocation::LinkId;
use hallpass::model::tenancy::Organization;
use hallpass::model::time::UnixSeconds;
use serde_json::{Value, json};
use tempfile::TempDir;

use attack::{Attack, Attacker};
use client::Request;
use connection::Shape;
use links::Signer;
use load::{Target, float};
use process::{Core, Outcome, pin, raise_open_files};
use site::Site;
use spin::{Requests, Spin, Tally};

/// The organization that attacks.
const ATTACKER: &str = "org_attacker";
/// The files that it has.
const ATTACKER_FILES: u64 = 300_000;
/// The files of the other tenant, and the connections of its client.
const FILES: usize = 100;
const CONNECTIONS: usize = 64;
/// The organizations that denied links before, and how many each.
const ORGANIZATIONS: u64 = 1_000;
const DENIED_OF_EACH: u64 = 1_000;
/// The shares at whose passwords is guessed: of one address five each are hashed.
const SHARES: usize = 300;
/// The least share of its rate that the other tenant keeps.
const KEPT_MIN: f64 = 0.99;
/// The most that its p99 may grow: beside revocations as against refused mints, and beside lists as against nobody.
const P99_BESIDE_REVOCATIONS_MAX: f64 = 1.5;
const P99_BESIDE_LISTS_MAX: f64 = 3.0;

/// The open loop of the other tenant: what it asks for, and how often.
struct Loop {
    at: SocketAddr,
    target: Target,
    shape: Shape,
    rate: u64,
    time: Duration,
}

/// What it had of it.
#[derive(Clone, Copy)]
struct Measured {
    kept: f64,
    p99: f64,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = words.split_first()
        && first == process::LAUNCH
    {
        return process::launch(rest);
    }
    let is_quick = words.iter().any(|word| word == "--quick");
    let named = words.iter().position(|word| word == "--binary");
    let named = named.and_then(|at| words.get(at + 1)).map(PathBuf::from);
    let binary = named.unwrap_or_else(|| env!("CARGO_BIN_EXE_hallpass").into());
    let only = words.iter().position(|word| word == "--only");
    let only = only.and_then(|at| words.get(at + 1)).map(String::as_str);
    match run(&binary, is_quick, only) {
        Ok(is_met) if is_met || is_quick => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("neighbours: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(binary: &Path, is_quick: bool, only: Option<&str>) -> Outcome<bool> {
    raise_open_files()?;
    let time = Duration::from_secs(if is_quick { 1 } else { 10 });
    let mut are_met = true;
    let share = if is_quick { 100 } else { 1 };
    let is_asked_for = |part: &str| only.is_none_or(|only| only == part);
    if is_asked_for("attacks") {
        are_met &= attacks(binary, time, share)?;
    }
    if is_asked_for("start") {
        are_met &= start::measure(binary, share)?;
    }
    if is_asked_for("gateways") {
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
        let mut site = Site::new(binary, directory.path())?;
        let names = site.add_many("hot", FILES)?;
        are_met &= gateways::measure(&mut site, &names, time)?;
    }
    Ok(are_met)
}

/// Measures a tenant beside each attack of another, with the `share`th part of the rows. Returns whether the goals are met.
fn attacks(binary: &Path, time: Duration, share: u64) -> Outcome<bool> {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut site = Site::new(binary, directory.path())?;
    let names = site.add_many("hot", FILES)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(fill(&site, share))?;
    let key = attacker_key(binary, &site)?;
    let (_server, at) = site.serve(Core::Server)?;
    let attacker = Attacker {
        organization: ATTACKER,
        key,
        signer: Signer::new(&site)?,
        at,
    };

    println!(
        "| | attacks a second | the rate kept | p50 | p99 | p99.9 |\n|---|---|---|---|---|---|"
    );
    let links: Vec<String> = names
        .iter()
        .map(|name| site.mint(at, name))
        .collect::<Outcome<_>>()?;
    let downloads = half_of(at, Target::Any(links.into()), Some(1024), time)?;
    downloads.alone("links opened, beside nobody")?;
    let beside_refusals = downloads.beside("refused mints", 16, &attacker.refused_mints())?;
    let beside_revocations = downloads.beside("revocations", 16, &attacker.revocations())?;
    downloads.beside("uploads and deletes", 16, &attacker.uploads_and_deletes())?;
    downloads.beside("uploads", 16, &attacker.uploads())?;
    let beside_guesses = beside_guesses(&site, &attacker, &downloads, names.first(), share)?;

    let name = names.first().ok_or("no file")?;
    let look_up = Request {
        headers: vec![site.key_header()],
        ..Request::get(format!(
            "/v1/organizations/org_default/files/{}",
            site.file(name)?.id
        ))
    };
    let look_ups = half_of(at, Target::Same(look_up), None, time)?;
    let alone = look_ups.alone("files looked up, beside nobody")?;
    let beside_lists = look_ups.beside("pages behind the end", 250, &attacker.lists())?;

    let mut all_met = is_kept("guesses at passwords", beside_guesses);
    let goals = [
        (
            "revocations",
            beside_revocations,
            P99_BESIDE_REVOCATIONS_MAX * beside_refusals.p99,
        ),
        ("lists", beside_lists, P99_BESIDE_LISTS_MAX * alone.p99),
    ];
    for (attack, measured, p99_max) in goals {
        let is_met = measured.kept >= KEPT_MIN && measured.p99 <= p99_max;
        all_met &= is_met;
        println!(
            "goal beside {attack}: {KEPT_MIN} kept, p99 at most {p99_max:.0} µs: {}",
            if is_met { "met" } else { "missed" }
        );
    }
    Ok(all_met)
}

/// Measures beside guesses at the passwords of shares, the `share`th part of them, which are made for it.
fn beside_guesses(
    site: &Site,
    attacker: &Attacker,
    downloads: &Loop,
    name: Option<&String>,
    share: u64,
) -> Outcome<Measured> {
    let name = name.ok_or("no file")?;
    let fields = json!({"password": "correct horse battery staple"});
    let count = SHARES / usize::try_from(share)?;
    let pages = (0..count).map(|_| site.share(attacker.at, name, &fields));
    let pages: Vec<String> = pages.collect::<Outcome<_>>()?;
    downloads.beside("guesses at passwords", 16, &attacker.guesses(pages))
}

/// Says whether a tenant kept its rate.
fn is_kept(attack: &str, measured: Measured) -> bool {
    let is_met = measured.kept >= KEPT_MIN;
    let verdict = if is_met { "met" } else { "missed" };
    println!("goal beside {attack}: {KEPT_MIN} kept: {verdict}");
    is_met
}

/// Finds how fast answers come in a closed loop, and answers an open loop of half of that.
fn half_of(at: SocketAddr, target: Target, length: Option<u64>, time: Duration) -> Outcome<Loop> {
    let shape = Shape {
        status: 200,
        length,
    };
    let tally = client(at, &target, shape, |spin| spin.saturate(time))?;
    let rate = float(tally.answers) / tally.seconds / 2.0;
    Ok(Loop {
        at,
        target,
        shape,
        rate: whole(rate),
        time,
    })
}

impl Loop {
    fn alone(&self, what: &str) -> Outcome<Measured> {
        Ok(self.report(what, self.measure()?, None))
    }

    fn beside(&self, what: &str, connections: usize, attack: &Attack<'_>) -> Outcome<Measured> {
        let (tally, rate) = attack::beside(self.at, connections, attack, || self.measure())?;
        Ok(self.report(&format!("beside {what}"), tally, Some(rate)))
    }

    fn measure(&self) -> Outcome<Tally> {
        client(self.at, &self.target, self.shape, |spin| {
            // What it waits for is the server, and not the attackers that have the core, too.
            rustix::process::nice(-20)?;
            spin.pace(self.rate, self.time)
        })
    }

    /// Prints a row of the table.
    fn report(&self, what: &str, tally: Tally, attacks: Option<f64>) -> Measured {
        let kept = float(tally.answers) / tally.seconds / float(self.rate);
        let latencies = tally.latencies();
        let attacks = attacks.map_or(String::new(), |rate| format!("{rate:.0}"));
        println!(
            "| {what} | {attacks} | {kept:.3} of {} a second | {:.0} µs | {:.0} µs | {:.0} µs |",
            self.rate, latencies.p50, latencies.p99, latencies.p999
        );
        Measured {
            kept,
            p99: latencies.p99,
        }
    }
}

/// Runs a client on the second core.
fn client(
    at: SocketAddr,
    target: &Target,
    shape: Shape,
    run: impl FnOnce(&mut Spin) -> Outcome<Tally> + Send,
) -> Outcome<Tally> {
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            pin(1)?;
            let requests = Requests::new(target, at, 1);
            run(&mut Spin::open(at, None, CONNECTIONS, requests, shape)?.sleeping())
        });
        client.join().map_err(|_| "the client panicked")?
    })
}

/// Has a thousand organizations deny links, and the attacker have files; the `share`th part of both.
async fn fill(site: &Site, share: u64) -> Outcome<()> {
    let catalog = Sqlite::open(&site.data_dir().join("catalogue.sqlite3")).await?;
    let attacker = create(&catalog, ATTACKER).await?;
    million::fill(&catalog, &attacker, ATTACKER_FILES / share).await;
    deny(&catalog, share).await?;
    catalog.close().await;
    Ok(())
}

/// Has the `share`th part of a thousand organizations deny a thousand links each.
async fn deny(catalog: &impl Catalog, share: u64) -> Outcome<()> {
    let now = u64::try_from(jiff::Timestamp::now().as_second())?;
    let expires = UnixSeconds::EPOCH.plus(now + u64::from(site::LIFETIME_SECONDS));
    for number in 0..ORGANIZATIONS / share {
        let organization = create(catalog, &format!("org_{number}")).await?;
        let row = |number: u64| {
            Some(Row::DeniedLink {
                organization: organization.clone(),
                link: LinkId::parse(&format!("denied_{number:05}"))?,
                expires,
                id_alone: false,
            })
        };
        let rows: Vec<Row> = (0..DENIED_OF_EACH).filter_map(row).collect();
        for some in rows.chunks(ROWS_AT_ONCE_MAX) {
            catalog.put_rows(some).await?;
        }
    }
    Ok(())
}

async fn create(catalog: &impl Catalog, id: &str) -> Outcome<OrganizationId> {
    let organization = Organization {
        id: OrganizationId::parse(id).map_err(|_| "no organization id")?,
        name: String::new(),
        epoch: 0,
        created_at: UnixSeconds::EPOCH,
    };
    catalog.create_organization(&organization).await?;
    Ok(organization.id)
}

/// Makes the API key of the attacker, which may do everything there.
fn attacker_key(binary: &Path, site: &Site) -> Outcome<String> {
    let words = ["apikey", "create", "--json", "--organization", ATTACKER];
    let scopes = ["read", "mint", "write", "admin"];
    let made = Command::new(binary)
        .args(words)
        .args(scopes.iter().flat_map(|scope| ["--scope", scope]))
        .arg("--data-dir")
        .arg(site.data_dir())
        .output()?;
    let made: Value = serde_json::from_slice(&made.stdout)?;
    let key = made.get("api_key").and_then(Value::as_str);
    Ok(key.ok_or("no API key was printed")?.to_owned())
}

/// A rate as a whole number.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // It is positive, and far below 2^53.
const fn whole(rate: f64) -> u64 {
    rate as u64
}
