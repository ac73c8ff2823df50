//! Three gateways under load behind HAProxy, on one PostgreSQL and one S3 store, while each of them in turn is
//! killed and started again, and PostgreSQL is restarted. `FAULTS=full` does so many times.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, block_in_place};
use tokio::time::sleep;

use super::asking::{Asker, Failure, Kind, Table};
use super::nodes::{self, Node};
use crate::proxy::running::{Proxy, free_address};
use crate::support::postgres::Server;
use crate::support::store::Store;

/// How many clients ask at once.
const CLIENTS: usize = 6;

/// How long the load goes on before and after each fault.
const CALM: Duration = Duration::from_millis(1_200);

/// How long a gateway may take to serve again.
const PATIENCE: Duration = Duration::from_secs(20);

/// What one client was told.
#[derive(Default)]
struct Ledger {
    /// Uploads that were acknowledged and not deleted: the id, and the name that says the bytes.
    kept: BTreeMap<String, String>,
    /// Deletes that were acknowledged.
    gone: BTreeSet<String>,
    /// Deletes that failed.
    may_be_gone: BTreeMap<String, String>,
    /// The names of uploads that failed.
    may_be_there: BTreeSet<String>,
}

/// Uploads, mints, downloads and deletes until it is told to stop.
fn client(number: usize, asker: Asker, stop: Arc<AtomicBool>) -> JoinHandle<(Ledger, Table)> {
    tokio::spawn(async move {
        let (mut ledger, mut table) = (Ledger::default(), Table::default());
        let mut turn = 0;
        while !stop.load(Ordering::Relaxed) {
            turn += 1;
            one_turn(&asker, &mut ledger, &mut table, number, turn).await;
        }
        (ledger, table)
    })
}

async fn one_turn(
    asker: &Asker,
    ledger: &mut Ledger,
    table: &mut Table,
    number: usize,
    turn: usize,
) {
    let name = format!("c{number}-{turn}.bin");
    match table.note(Kind::Upload, asker.upload(&name).await) {
        Some(id) => drop(ledger.kept.insert(id, name)),
        None => drop(ledger.may_be_there.insert(name)),
    }
    let Some((id, name)) = nth(&ledger.kept, turn * 7) else {
        return;
    };
    for _ in 0..2 {
        let Some(link) = table.note(Kind::Mint, asker.mint(&id).await) else {
            break;
        };
        table.note(Kind::Download, asker.download(&link, &name).await);
    }
    if turn.is_multiple_of(4) {
        ledger.kept.remove(&id);
        match table.note(Kind::Delete, asker.delete(&id).await) {
            Some(()) => drop(ledger.gone.insert(id)),
            None => drop(ledger.may_be_gone.insert(id, name)),
        }
    }
}

fn nth(kept: &BTreeMap<String, String>, number: usize) -> Option<(String, String)> {
    let (id, name) = kept.iter().nth(number % kept.len().max(1))?;
    Some((id.clone(), name.clone()))
}

/// Waits until a whole round of calls works, and says how long that took.
async fn well_again(asker: &Asker, what: &str) {
    let begun = Instant::now();
    loop {
        match whole_round(asker).await {
            Ok(()) => break,
            Err(failure) => assert!(begun.elapsed() < PATIENCE, "{what}: {failure:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
    println!("{what}: everything is served after {:?}", begun.elapsed());
}

async fn whole_round(asker: &Asker) -> Result<(), Failure> {
    let id = asker.upload("probe.bin").await?;
    let link = asker.mint(&id).await?;
    asker.download(&link, "probe.bin").await?;
    asker.delete(&id).await
}

/// Kills each gateway in turn and starts it again, then restarts PostgreSQL.
async fn one_round(nodes: &mut [Node], asker: &Asker, server: &Server) {
    for (number, node) in nodes.iter_mut().enumerate() {
        sleep(CALM).await;
        block_in_place(|| {
            node.serving.take().unwrap().stop("KILL");
        });
        sleep(CALM).await;
        node.start();
        block_in_place(|| node.said());
        let direct = asker.at(node.address());
        well_again(&direct, &format!("gateway {number}, from its own word on")).await;
    }
    sleep(CALM).await;
    block_in_place(|| server.restart());
    well_again(asker, "PostgreSQL, from its own word on").await;
    sleep(CALM).await;
}

/// What everybody was told, taken together.
fn together(told: Vec<(Ledger, Table)>) -> (Ledger, Table) {
    let (mut all, mut sum) = (Ledger::default(), Table::default());
    for (ledger, table) in told {
        all.kept.extend(ledger.kept);
        all.gone.extend(ledger.gone);
        all.may_be_gone.extend(ledger.may_be_gone);
        all.may_be_there.extend(ledger.may_be_there);
        sum.add(&table);
    }
    (all, sum)
}

/// Holds what is listed against what everybody was told, and downloads all of it.
async fn account(asker: &Asker, ledger: &Ledger) -> usize {
    let listed = asker.list().await;
    let ids: BTreeSet<&String> = listed.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), listed.len(), "no id is listed twice");
    let names: BTreeSet<&String> = listed.iter().map(|(_, name)| name).collect();
    assert_eq!(names.len(), listed.len(), "no upload made two rows");
    for (id, name) in &ledger.kept {
        assert!(ids.contains(id), "{name} was acknowledged and is lost");
    }
    for id in &ledger.gone {
        assert!(!ids.contains(id), "{id} was deleted and is listed");
    }
    for (id, name) in &listed {
        let is_known = ledger.kept.contains_key(id)
            || ledger.may_be_gone.contains_key(id)
            || ledger.may_be_there.contains(name);
        assert!(is_known, "nobody made {id} ({name})");
    }
    for some in listed.chunks(16) {
        let opening = some.iter().map(async |(id, name)| {
            let link = asker.mint(id).await?;
            asker.download(&link, name).await
        });
        let opened = futures_util::future::join_all(opening).await;
        for (outcome, (_, name)) in opened.into_iter().zip(some) {
            assert!(outcome.is_ok(), "{name} has its bytes: {outcome:?}");
        }
    }
    listed.len()
}

/// The settings of a gateway on this database and this store, by their variables.
fn settings(url: String, store: &Store) -> Vec<(&'static str, String)> {
    let prefix = format!("load-{}", uuid::Uuid::new_v4().simple());
    let variable = |key| match key {
        "blobs.url" => "HALLPASS_BLOBS_URL",
        "blobs.endpoint" => "HALLPASS_BLOBS_ENDPOINT",
        "blobs.access_key_id" => "HALLPASS_BLOBS_ACCESS_KEY_ID",
        "blobs.secret_access_key_file" => "HALLPASS_BLOBS_SECRET_ACCESS_KEY_FILE",
        other => panic!("{other}"),
    };
    let settings = store.settings(&prefix).into_iter();
    let mut settings: Vec<_> = settings
        .map(|(key, value)| (variable(key), value))
        .collect();
    settings.push(("HALLPASS_CATALOG_URL", url));
    settings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_gateways_lose_nothing_while_each_of_them_and_the_database_are_ended() {
    let Some(store) = Store::needed() else {
        return;
    };
    let is_full = std::env::var_os("FAULTS").is_some_and(|word| word == "full");
    let rounds = if is_full { 10 } else { 1 };
    let server = Server::start("");
    let settings = settings(server.database("load"), &store);
    let more = settings.iter().map(|(name, value)| (*name, value.as_str()));
    let more: Vec<_> = more.collect();
    let keyrings = tempfile::tempdir().unwrap();
    let (at, beside): (SocketAddr, _) = (free_address().await, free_address().await);
    let mut nodes = nodes::three(keyrings.path(), &format!("http://{at}"), &more).await;
    let key = block_in_place(|| nodes::start(&mut nodes));
    let config = nodes::haproxy(at, beside, &nodes);
    let _proxy = Proxy::haproxy(keyrings.path(), at, &config).await;
    let asker = Asker::new(at, key);
    well_again(&asker, "the start").await;

    let stop = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| client(number, asker.clone(), Arc::clone(&stop)))
        .collect();
    for _ in 0..rounds {
        one_round(&mut nodes, &asker, &server).await;
    }
    stop.store(true, Ordering::Relaxed);
    let took = begun.elapsed();
    let told = futures_util::future::join_all(clients).await;
    let (ledger, table) = together(told.into_iter().map(Result::unwrap).collect());

    // Nothing else was started again, and each gateway serves everything by itself.
    for (number, node) in nodes.iter().enumerate() {
        well_again(
            &asker.at(node.address()),
            &format!("gateway {number}, at the end"),
        )
        .await;
    }
    let listed = account(&asker, &ledger).await;
    let found = nodes[0].place.json(&["doctor"]);
    println!(
        "\n{CLIENTS} clients, {} gateways killed, {rounds} restarts of PostgreSQL, {:.0} s of load:\n{table}\
         {} uploads acknowledged and kept, {} deleted, 0 lost; {} calls whose outcome nobody was told; \
         {listed} rows listed, each once and whole; doctor: {found}",
        3 * rounds,
        took.as_secs_f64(),
        ledger.kept.len(),
        ledger.gone.len(),
        ledger.may_be_gone.len() + ledger.may_be_there.len(),
    );
    assert_eq!(table.others(), 0, "{:?}", table.reasons());
    assert!(table.failed() > 0, "the faults were felt");
    assert_eq!(found["damaged"], 0, "{found}");
}
