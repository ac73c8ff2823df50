//! One tenant attacks, and another is measured.
//!
//! `cargo bench --bench neighbours -- [--quick] [--binary PATH]` starts the real binary on the first core with a million
//! denied links of a thousand organizations. From the second core a tenant opens links of its own in an open loop, at
//! half of what it reaches alone: first beside nobody, then beside sixteen connections of another tenant that do
//! what the server refuses (401), then beside as many that revoke one link after the other. What it keeps of its rate, and
//! its latency beside those that are refused, is held against our goals. The attacker sleeps while it waits, so that both
//! clients have the one core.
//!
//! `--quick` has a hundredth of the links and turns of a second: whether everything works; the figures mean nothing.

#[allow(dead_code, reason = "shared with another bench")]
#[path = "../versus/client.rs"]
mod client;
#[allow(dead_code, reason = "shared with another bench")]
#[path = "../versus/connection.rs"]
mod connection;
#[path = "../versus/links.rs"]
mod links;
#[allow(dead_code, reason = "shared with another bench")]
#[path = "../versus/load.rs"]
mod load;
#[allow(dead_code, reason = "shared with another bench")]
#[path = "../versus/machine.rs"]
mod machine;
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
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hallpass::catalog::Catalog;
use hallpass::catalog::sqlite::Sqlite;
use hallpass::catalog::transfer::{ROWS_AT_ONCE_MAX, Row, Transfer as _};
use hallpass::model::id::OrganizationId;
use hallpass::model::revocation::LinkId;
use hallpass::model::tenancy::Organization;
use hallpass::model::time::UnixSeconds;
use serde_json::{Value, json};
use tempfile::TempDir;

use client::{Request, connect};
use connection::Shape;
use links::Signer;
use load::{Target, float};
use process::{Core, Outcome, pin, raise_open_files};
use site::Site;
use spin::{Requests, Spin, Tally};

/// The organization that attacks.
const ATTACKER: &str = "org_attacker";
/// Its connections.
const ATTACKS_AT_ONCE: u64 = 16;
/// The files of the other tenant, and the connections of its client.
const FILES: usize = 100;
const CONNECTIONS: usize = 64;
/// The organizations that denied links before, and how many each.
const ORGANIZATIONS: u64 = 1_000;
const DENIED_OF_EACH: u64 = 1_000;
/// The least share of its rate that the other tenant keeps, and the most that its latency may grow by.
const KEPT_MIN: f64 = 0.99;
const P99_MAX: f64 = 1.5;

/// A kind of attack: the requests of a connection, one after the other.
type Attack = Box<dyn Fn(u64) -> Outcome<(Request, u16)> + Sync>;

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
    match run(&binary, is_quick) {
        Ok(is_met) if is_met || is_quick => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("neighbours: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(binary: &Path, is_quick: bool) -> Outcome<bool> {
    raise_open_files()?;
    let time = Duration::from_secs(if is_quick { 1 } else { 10 });
    let place = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut site = Site::new(binary, place.path())?;
    let names = site.add_many("hot", FILES)?;
    let share = if is_quick { 100 } else { 1 };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(fill(&site, ORGANIZATIONS / share))?;
    let key = attacker_key(binary, &site)?;
    let (_server, at) = site.serve(Core::Server)?;
    let targets: Vec<String> = names
        .iter()
        .map(|name| site.mint(at, name))
        .collect::<Outcome<_>>()?;
    let target = Target::Any(targets.into());

    let alone = measure(at, &target, None, time)?;
    let rate = float(alone.answers) / alone.seconds;
    let half = Some(whole(rate / 2.0));
    println!("alone, as fast as it can: {rate:.0} a second");
    report(
        "beside nobody",
        measure(at, &target, half, time)?,
        rate / 2.0,
        0.0,
    );
    let refused: Attack = Box::new(|_| Ok((refused_mint(), 401)));
    let (tally, attacks) = beside(at, &target, half, time, &refused)?;
    let (_, p99) = report("beside refused mints", tally, rate / 2.0, attacks);
    let signer = Signer::new(&site)?;
    let revoking: Attack =
        Box::new(move |number| Ok((revocation(&signer, at, &key, number)?, 200)));
    let (tally, attacks) = beside(at, &target, half, time, &revoking)?;
    let (kept, beside_revoking) = report("beside revocations", tally, rate / 2.0, attacks);
    let is_met = kept >= KEPT_MIN && beside_revoking <= P99_MAX * p99;
    println!(
        "goal: {KEPT_MIN} kept, p99 at most {P99_MAX} of that beside refused mints: {}",
        if is_met { "met" } else { "missed" }
    );
    Ok(is_met)
}

/// Has so many organizations deny links.
async fn fill(site: &Site, organizations: u64) -> Outcome<()> {
    let catalog = Sqlite::open(&site.data_dir().join("catalogue.sqlite3")).await?;
    let now = u64::try_from(jiff::Timestamp::now().as_second())?;
    let expires = UnixSeconds::EPOCH.plus(now + u64::from(site::LIFETIME_SECONDS));
    let parse = |id: &str| OrganizationId::parse(id).map_err(|_| "no organization id");
    let all = (0..organizations).map(|number| format!("org_{number}"));
    for id in all.chain([ATTACKER.to_owned()]) {
        let organization = Organization {
            id: parse(&id)?,
            name: String::new(),
            epoch: 0,
            created_at: UnixSeconds::EPOCH,
        };
        catalog.create_organization(&organization).await?;
        if id == ATTACKER {
            continue;
        }
        let row = |number: u64| {
            Some(Row::DeniedLink {
                organization: organization.id.clone(),
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
    catalog.close().await;
    Ok(())
}

/// Makes the API key of the attacker, which may revoke.
fn attacker_key(binary: &Path, site: &Site) -> Outcome<String> {
    let words = ["apikey", "create", "--json", "--organization", ATTACKER];
    let made = Command::new(binary)
        .args(words)
        .args(["--scope", "admin", "--data-dir"])
        .arg(site.data_dir())
        .output()?;
    let made: Value = serde_json::from_slice(&made.stdout)?;
    let key = made.get("api_key").and_then(Value::as_str);
    Ok(key.ok_or("no API key was printed")?.to_owned())
}

/// A mint with an API key that does not exist.
fn refused_mint() -> Request {
    Request {
        headers: vec![("X-API-Key", "hp_nobody".into())],
        ..Request::get(format!("/v1/organizations/{ATTACKER}/files/file_a/content"))
    }
}

/// A revocation of a link that is another one each time.
fn revocation(signer: &Signer, at: SocketAddr, key: &str, number: u64) -> Outcome<Request> {
    let link = signer.link(ATTACKER, &format!("file_{number}"))?;
    Ok(Request {
        method: "POST",
        target: format!("/v1/organizations/{ATTACKER}/links/revoke"),
        headers: vec![
            ("X-API-Key", key.to_owned()),
            ("Content-Type", "application/json".into()),
        ],
        body: json!({ "download_url": format!("http://{at}{link}") }).to_string(),
    })
}

/// Measures the other tenant, in an open loop or as fast as it can.
fn measure(at: SocketAddr, target: &Target, rate: Option<u64>, time: Duration) -> Outcome<Tally> {
    let shape = Shape {
        status: 200,
        length: Some(1024),
    };
    std::thread::scope(|scope| {
        let measuring = scope.spawn(|| {
            pin(1)?;
            let requests = Requests::new(target, at, 1);
            let mut spin = Spin::open(at, None, CONNECTIONS, requests, shape)?;
            match rate {
                Some(rate) => spin.pace(rate, time),
                None => spin.saturate(time),
            }
        });
        measuring.join().map_err(|_| "the client panicked")?
    })
}

/// Measures it beside an attack; answers the attacks a second, too.
fn beside(
    at: SocketAddr,
    target: &Target,
    rate: Option<u64>,
    time: Duration,
    attack: &Attack,
) -> Outcome<(Tally, f64)> {
    let (is_over, next) = (Arc::new(AtomicBool::new(false)), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let attacks: Vec<_> = (0..ATTACKS_AT_ONCE)
            .map(|_| scope.spawn(|| attack_until(at, attack, &next, &is_over)))
            .collect();
        let begun = Instant::now();
        let measured = measure(at, target, rate, time);
        is_over.store(true, Ordering::Relaxed);
        let seconds = begun.elapsed().as_secs_f64();
        for attack in attacks {
            attack.join().map_err(|_| "an attacker panicked")??;
        }
        Ok((measured?, float(next.load(Ordering::Relaxed)) / seconds))
    })
}

fn attack_until(
    at: SocketAddr,
    attack: &Attack,
    next: &AtomicU64,
    is_over: &AtomicBool,
) -> Outcome<()> {
    pin(1)?;
    let stream = connect(at)?;
    while !is_over.load(Ordering::Relaxed) {
        let (request, status) = attack(next.fetch_add(1, Ordering::Relaxed))?;
        let reply = request.send_over(&stream, at)?;
        if reply.status != status {
            let text = String::from_utf8_lossy(&reply.body).into_owned();
            return Err(format!("an attack was answered {}: {text}", reply.status).into());
        }
    }
    Ok(())
}

/// Prints what was measured; answers the share of the rate that was kept, and the p99 in microseconds.
fn report(what: &str, tally: Tally, rate: f64, attacks: f64) -> (f64, f64) {
    let kept = float(tally.answers) / tally.seconds / rate;
    let latencies = tally.latencies();
    println!(
        "{what}: {kept:.3} of {rate:.0} a second, p50 {:.0} µs, p99 {:.0} µs, longest {:.0} µs; {attacks:.0} attacks a second",
        latencies.p50, latencies.p99, latencies.max
    );
    (kept, latencies.p99)
}

/// A rate as a whole number.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // It is positive, and far below 2^53.
const fn whole(rate: f64) -> u64 {
    rate as u64
}
