//! What the contract does not say of every catalogue: the server, and the others who use it.

use std::time::Instant;

use sqlx::{Connection as _, Row as _, query};

use super::*;
use crate::catalog::changes::Changes as _;
use crate::catalog::contract::{
    assert_missing, at, file, file_id, organization, position, revoked,
};
use crate::catalog::{Catalog as _, Filter, Place};
use crate::model::file::FileRecord;
use crate::model::id::FileId;
use crate::model::revocation::Extent;
use server::Server;

mod address;
mod announcements;
mod connections;
mod plans;
mod redemptions;
mod shares;
mod transfer;

#[allow(dead_code, reason = "the tests over a socket use the rest")]
#[path = "../../../tests/support/postgres.rs"]
mod server;

const CONNECTIONS: u32 = 8;

/// An address in the shared server, of a database of this name.
fn place(name: &str) -> Address {
    Address::parse(&Server::shared().database(name)).unwrap()
}

async fn catalog(name: &str) -> Postgres {
    Postgres::open(&place(name), CONNECTIONS).await.unwrap()
}

/// A connection of another program: none of our settings.
async fn stranger(name: &str) -> PgConnection {
    place(name).options().unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn postgres_keeps_the_contract() {
    let catalog = catalog("contract").await;
    crate::catalog::contract::all(&catalog).await;
}

#[tokio::test]
async fn two_gateways_see_each_others_changes() {
    let one = catalog("two").await;
    let address = place("two");
    let two = Postgres::open_with(&address, CONNECTIONS, Missing::Refuse)
        .await
        .unwrap();
    let owner = organization(&one, "a").await;
    assert!(two.organization(&owner).await.unwrap().is_some());
    assert_eq!(two.raise_epoch(&owner).await.unwrap(), 1);
    assert_eq!(revoked(&one, 0).await.epoch(&owner), 1);
    crate::catalog::contract::changes::all(&one, &two).await;
    crate::catalog::contract::announcements::all(&one, &two).await;
}

#[tokio::test]
async fn a_long_feed_comes_in_pages() {
    let catalog = catalog("long").await;
    crate::catalog::contract::changes::a_long_feed_comes_in_pages(&catalog).await;
}

/// The order of the feed: a reader that has seen an entry has seen all before it, while several gateways and organizations write at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_seen_in_the_order_of_their_numbers() {
    let gateways = [catalog("order").await, catalog("order").await];
    let mut owners = Vec::new();
    for number in 0..4 {
        owners.push(organization(&gateways[0], &format!("org{number}")).await);
    }
    let here = position(&gateways[0]).await;
    let writing = owners.iter().enumerate().map(|(number, owner)| {
        let gateway = &gateways[number % 2];
        async move {
            for _ in 0..25 {
                gateway.raise_epoch(owner).await.unwrap();
            }
        }
    });
    let reading = async {
        let (mut here, mut seen) = (here, Vec::new());
        while seen.len() < 100 {
            let page = gateways[1].changes(here).await.unwrap().unwrap();
            here = page.position;
            seen.extend(page.changes.into_iter().map(|(version, _)| version));
        }
        seen
    };
    let (_, seen) = tokio::join!(futures_util::future::join_all(writing), reading);
    let wanted: Vec<u64> = (here.version + 1..=here.version + 100).collect();
    assert_eq!(seen, wanted);
}

#[tokio::test]
async fn a_change_is_heard_by_others_and_what_only_adds_is_not() {
    let one = catalog("heard").await;
    let two = catalog("heard").await;
    let owner = organization(&one, "a").await;
    let patience = Duration::from_secs(10);
    // It begins to listen, and says so, since it may have missed something.
    timeout(patience, two.changed()).await.unwrap().unwrap();
    one.add_file(&file(&owner, "f", 1)).await.unwrap();
    let nothing = timeout(Duration::from_millis(500), two.changed()).await;
    assert!(nothing.is_err(), "an upload wakes nobody");
    let begun = Instant::now();
    one.raise_epoch(&owner).await.unwrap();
    timeout(patience, two.changed()).await.unwrap().unwrap();
    println!("a revocation is heard after {:?}", begun.elapsed());
    one.delete_file(&owner, &file_id("f"), at(2)).await.unwrap();
    timeout(patience, two.changed()).await.unwrap().unwrap();
}

#[tokio::test]
async fn many_may_open_an_empty_database_at_once() {
    let address = place("many");
    let opening = (0..8).map(|_| Postgres::open(&address, CONNECTIONS));
    let opened = futures_util::future::join_all(opening).await;
    for (number, catalog) in opened.iter().enumerate() {
        let catalog = catalog.as_ref().unwrap();
        organization(catalog, &format!("org{number}")).await;
    }
    let listed = opened[0].as_ref().unwrap().organizations().await.unwrap();
    assert_eq!(listed.len(), 8);
}

#[tokio::test]
async fn nothing_is_made_where_nothing_may_be() {
    let address = place("nothing");
    assert_missing(Postgres::open_with(&address, CONNECTIONS, Missing::Refuse).await);
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(Server::shared().sql("nothing", tables), "0");
}

#[tokio::test]
async fn a_newer_or_another_schema_is_refused_and_left_alone() {
    let server = Server::shared();
    for (name, change) in [
        (
            "newer",
            "INSERT INTO _sqlx_migrations SELECT 9999, 'later', now(), true, '\\x00', 1",
        ),
        ("another", "UPDATE _sqlx_migrations SET checksum = '\\x00'"),
    ] {
        catalog(name).await.close().await;
        server.sql(name, change);
        for _ in 0..2 {
            let outcome = Postgres::open(&place(name), CONNECTIONS).await;
            let why = outcome.err();
            assert!(matches!(why, Some(CatalogError::Corrupt { .. })), "{why:?}");
        }
    }
}

/// Everything that has to be made is there, so that nobody need be allowed to make it.
#[tokio::test]
async fn a_user_who_may_not_change_the_schema_can_work_with_it() {
    let server = Server::shared();
    catalog("plain").await.close().await;
    server.sql(
        "plain",
        "CREATE ROLE plain LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO plain",
    );
    let url = server.url("plain").replace(server::USER, "plain");
    let address = Address::parse(&url).unwrap();
    let catalog = Postgres::open(&address, CONNECTIONS).await.unwrap();
    let owner = organization(&catalog, "a").await;
    catalog.add_file(&file(&owner, "f", 1)).await.unwrap();
    catalog.raise_epoch(&owner).await.unwrap();
    catalog
        .delete_file(&owner, &file_id("f"), at(2))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_closed_catalogue_answers_nothing() {
    let catalog = catalog("closed").await;
    let owner = organization(&catalog, "a").await;
    let start = position(&catalog).await;
    catalog.close().await;
    for outcome in [
        catalog.changes(start).await.err(),
        catalog.organization(&owner).await.err(),
    ] {
        assert!(
            matches!(outcome, Some(CatalogError::Unavailable { .. })),
            "{outcome:?}"
        );
    }
}

/// Of many that add a file of one id, through two gateways, one does; and the list counts right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_one_adds_and_the_counts_are_right() {
    let gateways = [catalog("race").await, catalog("race").await];
    let owner = organization(&gateways[0], "a").await;
    for turn in 0..20 {
        let made = file(&owner, &format!("f{turn}"), turn);
        let adding = (0..10).map(|number| gateways[number % 2].add_file(&made));
        let added = futures_util::future::join_all(adding).await;
        let done = added.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(done, 1, "{added:?}");
        let taken =
            |outcome: &Result<_, _>| matches!(outcome, Ok(()) | Err(CatalogError::Conflict { .. }));
        assert!(added.iter().all(taken), "{added:?}");
        let deleting =
            (0..4).map(|number| gateways[number % 2].delete_file(&owner, &made.id, at(9)));
        let deleted = futures_util::future::join_all(deleting).await;
        assert_eq!(deleted.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        let kept = file(&owner, &format!("kept{turn}"), turn);
        gateways[1].add_file(&kept).await.unwrap();
    }
    let page = gateways[0]
        .numbered_page(&owner, 0, 100, at(0))
        .await
        .unwrap();
    assert_eq!((page.files.len(), page.total), (20, 20));
}

/// The limit of an organization holds however many count at once: the next one ends all its links, and makes room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_holds_however_many_come_at_once() {
    let gateways = [catalog("limit").await, catalog("limit").await];
    let owner = organization(&gateways[0], "a").await;
    let files = (0..12).map(|number| file(&owner, &format!("f{number}"), 1));
    let files: Vec<FileRecord> = files.collect();
    gateways[0].add_files(&files).await.unwrap();
    let raising = files.iter().enumerate().map(|(number, file)| {
        gateways[number % 2].raise_link_revision(&file.organization, &file.id, 5)
    });
    let raised = futures_util::future::join_all(raising).await;
    let raised: Vec<Extent> = raised.into_iter().map(Result::unwrap).collect();
    let mut epochs: Vec<u64> = raised.iter().filter_map(|extent| extent.epoch()).collect();
    epochs.sort_unstable();
    assert_eq!(epochs, [1, 2], "the sixth and the twelfth");
    let once = raised
        .iter()
        .filter(|extent| extent.link_revision() == Some(1));
    assert_eq!(once.count(), 10);
    let raising = (0..20).map(|number| gateways[number % 2].raise_epoch(&files[0].organization));
    let mut epochs: Vec<u64> = futures_util::future::join_all(raising)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    epochs.sort_unstable();
    assert_eq!(epochs, (3..=22).collect::<Vec<_>>());
}

/// A server that was replaced, while the connection that reads the feed is still to the old one.
#[tokio::test]
async fn a_feed_without_what_this_process_added_does_not_lead_on() {
    let catalog = catalog("other_feed").await;
    let owner = organization(&catalog, "a").await;
    let here = position(&catalog).await;
    assert!(catalog.changes(here).await.unwrap().is_some());
    catalog.raise_epoch(&owner).await.unwrap();
    let there = catalog.changes(here).await.unwrap().unwrap().position;
    assert_eq!(catalog.appended.load(Ordering::SeqCst), there.version);
    catalog.appended.store(there.version + 1, Ordering::SeqCst);
    assert_eq!(catalog.changes(there).await.unwrap(), None);
    // Once: then everything was read anew from where this process writes.
    assert!(catalog.changes(there).await.unwrap().is_some());
}

/// Files of several organizations, added in opposite orders at once, get in nobody's way for long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_adds_to_several_organizations_waits_in_no_circle() {
    let gateways = [catalog("circle").await, catalog("circle").await];
    let mut owners = Vec::new();
    for number in 0..4 {
        owners.push(organization(&gateways[0], &format!("org{number}")).await);
    }
    let batch = |turn: usize| -> Vec<FileRecord> {
        let id = format!("f{turn}");
        let mut files: Vec<_> = owners.iter().map(|owner| file(owner, &id, 1)).collect();
        if turn.is_multiple_of(2) {
            files.reverse();
        }
        files
    };
    let batches: Vec<_> = (0..40).map(batch).collect();
    let adding = batches.iter().enumerate();
    let adding = adding.map(|(turn, files)| gateways[turn / 2 % 2].add_files(files));
    for outcome in futures_util::future::join_all(adding).await {
        outcome.unwrap();
    }
    for owner in &owners {
        assert_eq!(
            gateways[1]
                .numbered_page(owner, 0, 1, at(0))
                .await
                .unwrap()
                .total,
            40
        );
    }
}

/// A dropped call may be done a moment later, but not after the next change.
#[tokio::test]
async fn a_dropped_call_is_done_or_not_done() {
    let catalog = catalog("dropped").await;
    let owner = organization(&catalog, "a").await;
    let is_there = async |id: FileId| catalog.file(&owner, &id).await.unwrap().is_some();
    let mut settled = Vec::new();
    for turn in 0..150_u64 {
        let dropped = file(&owner, &format!("dropped{turn}"), turn);
        let patience = Duration::from_micros(turn * 40);
        let _ = timeout(patience, catalog.add_file(&dropped)).await;
        let next = file(&owner, &format!("next{turn}"), turn);
        catalog.add_file(&next).await.unwrap();
        assert!(is_there(next.id).await, "a change that was answered for");
        let done = is_there(dropped.id.clone()).await;
        settled.push((dropped.id, done));
    }
    let done = settled.iter().filter(|(_, done)| *done).count();
    println!("{done} of 150 dropped calls were done");
    for (id, done) in settled {
        assert_eq!(is_there(id).await, done);
    }
    let page = catalog
        .numbered_page(&owner, 0, 1_000, at(0))
        .await
        .unwrap();
    assert_eq!(
        page.files.len() as u64,
        page.total,
        "row and counter went together"
    );
}

#[tokio::test]
async fn a_long_writer_bounds_writes_and_leaves_reads_alone() {
    let catalog = catalog("busy").await;
    let owner = organization(&catalog, "a").await;
    let start = position(&catalog).await;
    let mut other = stranger("busy").await;
    let mut held = other.begin().await.unwrap();
    let lock = "SELECT 1 FROM organization FOR UPDATE";
    query(lock).execute(&mut *held).await.unwrap();
    let begun = Instant::now();
    let made = file(&owner, "f", 1);
    let outcome = catalog.add_file(&made).await;
    assert!(
        matches!(outcome, Err(CatalogError::Unavailable { .. })),
        "{outcome:?}"
    );
    println!("refused after {:?}", begun.elapsed());
    assert!(begun.elapsed() < ANSWER_TIME_MAX * 10);
    assert!(catalog.organization(&owner).await.unwrap().is_some());
    catalog.changes(start).await.unwrap().unwrap();
    held.rollback().await.unwrap();
    catalog.add_file(&made).await.unwrap();
}

/// Places come from outside, and PostgreSQL has no text with a NUL.
#[tokio::test]
async fn a_place_with_a_nul_lies_where_it_should() {
    let catalog = catalog("nul").await;
    let owner = organization(&catalog, "a").await;
    for id in ["a", "a-", "b"] {
        catalog.add_file(&file(&owner, id, 1)).await.unwrap();
    }
    let ids = async |place: Place<'_>| -> Vec<String> {
        let page = catalog
            .page(&owner, Filter::Ready, place, 9, at(0))
            .await
            .unwrap();
        page.iter().map(|file| file.id.to_string()).collect()
    };
    assert_eq!(ids(Place::Below("a\0\u{10ffff}")).await, ["a"]);
    assert_eq!(ids(Place::Above("a\0")).await, ["b", "a-"]);
    assert_eq!(ids(Place::Above("\0")).await, ["b", "a-", "a"]);
}

/// What a connection is held to, and that nobody's own setting makes a change less durable.
#[tokio::test]
async fn every_connection_is_durable_and_bounded() {
    let server = Server::shared();
    server.database("settings");
    server.sql(
        "postgres",
        "ALTER DATABASE settings SET synchronous_commit = off",
    );
    let catalog = catalog("settings").await;
    let mut lease = catalog.begin(SessionKind::Read).await.unwrap();
    for (setting, wanted) in [
        ("synchronous_commit", "on"),
        ("statement_timeout", "8s"),
        ("lock_timeout", "6s"),
        ("idle_in_transaction_session_timeout", "4s"),
    ] {
        let row = query("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(lease.connection().unwrap())
            .await
            .unwrap();
        assert_eq!(row.get::<&str, _>(0), wanted, "{setting}");
    }
}
