//! How long the start of a counted download takes, beside the least that a database does for one.
//!
//! `cargo bench --bench redeem` starts a PostgreSQL that syncs each commit. Rounds go in turns: one client of `pgbench`
//! updates one row, one transaction after the other; it inserts the rows of a start, by the statement that the gateway sends,
//! which is the least that a start may cost there; then downloads are started, one after the other, each of a link of its
//! own. The same with SQLite, beside a file to which a block is appended and synced; the rows go there into the tables of a
//! catalogue that nobody else has open, on one connection with the settings of a catalogue's. Then as many callers start
//! downloads at once: of a thousand links, and of one. The goals: a start takes at most twice as long as the one update, and
//! as two syncs; a thousand starts a second of a thousand links, and 150 of one.
//!
//! `--smoke` has turns of a third of a second: whether everything works; the figures mean nothing, and no goal is missed.
//!
//! It needs PostgreSQL's own programs, and ends by itself.
// What fails there has failed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hallpass::catalog::Catalog;
use hallpass::catalog::postgres::{Address, Postgres};
use hallpass::catalog::redemptions::{CountedLink, NewTicket, Redeem, Redeemed};
use hallpass::catalog::sqlite::Sqlite;
use hallpass::model::base62;
use hallpass::model::digest::Sha256Digest;
use hallpass::model::id::{FileId, OrganizationId};
use hallpass::model::redemption::{RedemptionId, Subject};
use hallpass::model::revocation::LinkId;
use hallpass::model::tenancy::Organization;
use hallpass::model::time::UnixSeconds;
use rusqlite::{Connection, TransactionBehavior, params};
use tempfile::TempDir;

/// What the tests use, too.
mod support {
    #[allow(dead_code, reason = "shared with the tests")]
    #[path = "../../tests/support/postgres.rs"]
    pub(crate) mod postgres;
}

use support::postgres::{Server, USER, tool};

/// What `pgbench` runs: the update, and the rows of a start.
const UPDATE: &str = "UPDATE one SET n = n + 1 WHERE id = 1;\n";
const ROWS: &str = "\\set r random(1, 9000000000000000000)\n\
     WITH made AS (INSERT INTO allowance (organization, subject, link_id, file, kid, epoch, link_revision, claims, \
     allowed, done, open, lapsed_bytes, bytes, expires) VALUES ('org_bench', 'l' || :r, 'i' || :r, 'file_bench', 'k1', \
     0, 0, 'max-downloads=1000000 nonce=0123456789abcdefghijkl', 1000000, 0, 1, 0, 0, 1800003600) \
     ON CONFLICT (organization, subject) DO NOTHING RETURNING 1) \
     INSERT INTO redemption (rid, organization, subject, file, size, client, opened_at, last_at, bytes_sent, state, \
     done_at, kid, expires, pass_revision, first_at, starter) SELECT 'r' || :r, 'org_bench', 'l' || :r, 'file_bench', \
     1048576, decode(md5('r' || :r), 'hex'), 1800000000, 1800000000, 0, 'open', NULL, 'k1', 1800003600, NULL, NULL, \
     NULL FROM made;\n";

/// The rows of a start in SQLite.
const ALLOWANCE: &str = "INSERT INTO allowance (organization, subject, link_id, file, kid, epoch, link_revision, claims, \
     allowed, done, open, lapsed_bytes, bytes, expires) VALUES (?, ?, ?, ?, ?, 0, 0, ?, ?, 0, 1, 0, 0, ?) \
     ON CONFLICT (organization, subject) DO NOTHING";
const REDEMPTION: &str = "INSERT INTO redemption (rid, organization, subject, file, size, client, opened_at, last_at, \
     bytes_sent, state, done_at, kid, expires, pass_revision, first_at, starter) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 'open', NULL, ?, ?, NULL, NULL, NULL)";
/// The settings of each connection to a catalogue.
const PRAGMAS: &str =
    "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 16777216;";

const SYNCED: &str = "fsync = on\nfull_page_writes = on\n";
const NOW: u64 = 1_800_000_000;
/// The block that is appended to a file: a page of the catalogue.
const BLOCK: [u8; 4096] = [7; 4096];
/// How many callers there are at once.
const CALLERS: usize = 32;
/// The links that they start downloads of.
const LINKS: u64 = 1_000;

/// How many times as long as the least a start may take.
const RATIO_MAX: f64 = 2.0;
const MANY_LINKS_MIN: f64 = 1_000.0;
const ONE_LINK_MIN: f64 = 150.0;

#[tokio::main]
async fn main() -> ExitCode {
    let is_smoke = std::env::args().any(|argument| argument == "--smoke");
    let (rounds, turn) = match is_smoke {
        true => (2, Duration::from_millis(300)),
        false => (7, Duration::from_secs(3)),
    };
    let server = Server::start(SYNCED);
    let address = Address::parse(&server.database("redeem")).unwrap();
    let postgres: Arc<dyn Catalog> = Arc::new(Postgres::open(&address, 40).await.unwrap());
    server.sql("redeem", "CREATE TABLE one (id int PRIMARY KEY, n bigint)");
    server.sql("redeem", "INSERT INTO one VALUES (1, 0)");
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = directory.path().join("catalogue.sqlite3");
    let sqlite = Sqlite::open(&path);
    let sqlite: Arc<dyn Catalog> = Arc::new(sqlite.await.unwrap());
    let mut appended = File::create(directory.path().join("appended")).unwrap();
    let mut bare = Rows::new(&directory.path().join("rows.sqlite3")).await;
    let mut starts = Vec::new();
    for catalog in [&postgres, &sqlite] {
        starts.push(Starts::new(Arc::clone(catalog)).await);
    }
    let [of_postgres, of_sqlite] = starts.try_into().ok().expect("two");

    let of = [&of_postgres, &of_sqlite];
    let sqlites = (&mut appended, &mut bare);
    let [beside_update, rows, beside_sync, bare, beside_bare] =
        alternate(&server, sqlites, of, rounds, turn).await;
    let mut is_met = true;
    let mut goal = |what: &str, figure: f64, least: bool, bound: f64| {
        let is_good = (figure >= bound) == least;
        is_met &= is_good;
        let said = if is_good { "met" } else { "missed" };
        println!("{what}: {figure:.2}, goal {bound}: {said}");
    };
    let rows = median(rows);
    println!("\nPostgreSQL: the rows alone, by pgbench, of one update: {rows:.2}");
    println!("SQLite: the rows alone, of one sync: {:.2}", median(bare));
    println!("SQLite: of the rows alone: {:.2}", median(beside_bare));
    goal(
        "PostgreSQL: of one update",
        median(beside_update),
        false,
        RATIO_MAX,
    );
    goal("SQLite: of one sync", median(beside_sync), false, RATIO_MAX);
    for (name, of) in [("PostgreSQL", &of_postgres), ("SQLite", &of_sqlite)] {
        let rate = of.together(LINKS, turn).await;
        goal(
            &format!("{name}: starts a second of {LINKS} links"),
            rate,
            true,
            MANY_LINKS_MIN,
        );
        let rate = of.together(1, turn).await;
        goal(
            &format!("{name}: starts a second of one link"),
            rate,
            true,
            ONE_LINK_MIN,
        );
    }
    match is_met || is_smoke {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Times starts beside the least that each may cost, in turns. Returns the ratios of PostgreSQL, those of the rows alone
/// there, those of SQLite, those of the rows alone there, and those of a start to these.
async fn alternate(
    server: &Server,
    (appended, bare): (&mut File, &mut Rows),
    [of_postgres, of_sqlite]: [&Starts; 2],
    rounds: usize,
    turn: Duration,
) -> [Vec<f64>; 5] {
    println!(
        "{:<10}{:>16}{:>16}{:>10}",
        "round", "the least, µs", "a start, µs", "ratio"
    );
    let mut ratios = [const { Vec::new() }; 5];
    for round in 0..=rounds {
        let update = pgbench(server, UPDATE, turn);
        let rows = pgbench(server, ROWS, turn);
        let start = of_postgres.one_by_one(turn).await;
        let sync = syncs(appended, turn);
        let alone = bare.one_by_one(turn);
        let sqlite = of_sqlite.one_by_one(turn).await;
        // The first one warms up.
        if round == 0 {
            continue;
        }
        let taken = [
            ("PostgreSQL", update, start),
            ("  the rows", update, rows),
            ("SQLite", sync, sqlite),
            ("  the rows", sync, alone),
            ("  of them", alone, sqlite),
        ];
        for ((name, least, start), ratios) in taken.into_iter().zip(&mut ratios) {
            let ratio = start / least;
            println!("{name:<10}{least:>16.0}{start:>16.0}{ratio:>10.2}");
            ratios.push(ratio);
        }
    }
    ratios
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Microseconds that one client of `pgbench` takes for a script.
fn pgbench(server: &Server, script: &str, turn: Duration) -> f64 {
    let seconds = turn.as_secs().max(1).to_string();
    let port = server.port().to_string();
    let mut pgbench = tool("pgbench")
        .args([
            "-n", "-M", "prepared", "-c", "1", "-j", "1", "-T", &seconds, "-f", "-",
        ])
        .args(["-h", "127.0.0.1", "-p", &port, "-U", USER, "redeem"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = pgbench.stdin.take().unwrap();
    input.write_all(script.as_bytes()).unwrap();
    drop(input);
    let said = pgbench.wait_with_output().unwrap();
    assert!(said.status.success(), "{said:?}");
    let said = String::from_utf8(said.stdout).unwrap();
    let millis = said
        .split("latency average = ")
        .nth(1)
        .expect("pgbench says it");
    millis.split(' ').next().unwrap().parse::<f64>().unwrap() * 1e3
}

/// Microseconds that it takes to append a block to a file, and to sync that.
fn syncs(file: &mut File, turn: Duration) -> f64 {
    let (begun, mut done) = (Instant::now(), 0.0);
    while begun.elapsed() < turn {
        file.write_all(&BLOCK).unwrap();
        file.sync_data().unwrap();
        done += 1.0;
    }
    begun.elapsed().as_secs_f64() * 1e6 / done
}

/// The rows of starts, in the tables and indexes of a catalogue, without the gateway's own work.
struct Rows {
    connection: Connection,
    /// Says what each start is. Its catalogue is closed.
    starts: Starts,
}

impl Rows {
    async fn new(path: &Path) -> Self {
        let catalog = Arc::new(Sqlite::open(path).await.unwrap());
        let starts = Starts::new(Arc::clone(&catalog) as _).await;
        catalog.close().await;
        let connection = Connection::open(path).unwrap();
        connection.execute_batch(PRAGMAS).unwrap();
        Self { connection, starts }
    }

    /// Microseconds of one start after the other, each one transaction.
    fn one_by_one(&mut self, turn: Duration) -> f64 {
        let (begun, mut done) = (Instant::now(), 0.0);
        while begun.elapsed() < turn {
            let number = LINKS + self.starts.next.load(Ordering::Relaxed);
            let start = self.starts.of(number);
            self.insert(&start);
            done += 1.0;
        }
        begun.elapsed().as_secs_f64() * 1e6 / done
    }

    fn insert(&mut self, of: &Redeem) {
        let number = u64::cast_signed;
        let (owner, subject) = (of.organization.as_str(), of.subject.as_str());
        let (link, end) = (of.link.as_ref().unwrap(), number(of.ticket.expires.get()));
        let file = link.file.as_str();
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .unwrap();
        {
            let mut allowance = transaction.prepare_cached(ALLOWANCE).unwrap();
            let id = link.id.as_str();
            let of_link = params![
                owner,
                subject,
                id,
                file,
                of.kid,
                link.claims,
                number(of.allowed),
                end
            ];
            assert_eq!(allowance.execute(of_link).unwrap(), 1);
            let mut redemption = transaction.prepare_cached(REDEMPTION).unwrap();
            let (rid, client, now) = (of.ticket.rid, of.client.unwrap(), number(of.now.get()));
            let row = params![
                rid.as_str(),
                owner,
                subject,
                file,
                number(of.size),
                client,
                now,
                now,
                of.ticket.kid,
                end
            ];
            assert_eq!(redemption.execute(row).unwrap(), 1);
        }
        transaction.commit().unwrap();
    }
}

/// Downloads that are started in one catalogue.
struct Starts {
    catalog: Arc<dyn Catalog>,
    owner: OrganizationId,
    next: AtomicU64,
}

impl Starts {
    async fn new(catalog: Arc<dyn Catalog>) -> Self {
        let owner = OrganizationId::parse("org_bench").unwrap();
        let organization = Organization {
            id: owner.clone(),
            name: "bench".into(),
            epoch: 0,
            created_at: at(NOW),
        };
        catalog.create_organization(&organization).await.unwrap();
        Self {
            catalog,
            owner,
            next: AtomicU64::new(1),
        }
    }

    /// The next start, of the link of this number.
    fn of(&self, link: u64) -> Redeem {
        let mut random = [0; 32];
        random[..8].copy_from_slice(&self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        random.copy_within(..8, 8);
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&link.to_be_bytes());
        let file = FileId::parse("file_bench").unwrap();
        Redeem {
            organization: self.owner.clone(),
            subject: Subject::of_link(Sha256Digest::new(digest)),
            kid: "k1".into(),
            epoch: 0,
            link: Some(CountedLink {
                id: LinkId::parse(&format!("{link:012}")).unwrap(),
                file: file.clone(),
                link_revision: 0,
                claims: "max-downloads=1000000\nnonce=0123456789abcdefghijkl\n".into(),
            }),
            allowed: 1_000_000,
            expires: Some(at(NOW + 3_600)),
            ticket: NewTicket {
                rid: RedemptionId::parse(&base62::drawn(random)).unwrap(),
                kid: "k1".into(),
                expires: at(NOW + 3_600),
            },
            file: Some(file),
            size: 1 << 20,
            is_done_at_start: false,
            client: Some(random[..16].try_into().unwrap()),
            starter: None,
            pass_revision: None,
            now: at(NOW),
        }
    }

    async fn start(&self, link: u64) {
        let started = self.catalog.redeem(&self.of(link)).await.unwrap();
        assert!(matches!(started, Redeemed::Fresh { .. }), "{started:?}");
    }

    /// Microseconds of one start after the other, each of a link that was started before by nobody.
    async fn one_by_one(&self, turn: Duration) -> f64 {
        let (begun, mut done) = (Instant::now(), 0.0);
        while begun.elapsed() < turn {
            // Those that are started together have the numbers below.
            self.start(LINKS + self.next.load(Ordering::Relaxed)).await;
            done += 1.0;
        }
        begun.elapsed().as_secs_f64() * 1e6 / done
    }

    /// Starts a second of many callers at once, of so many links in turn.
    async fn together(&self, links: u64, turn: Duration) -> f64 {
        let (begun, done) = (Instant::now(), AtomicU64::new(0));
        let caller = async || {
            while begun.elapsed() < turn {
                let number = done.fetch_add(1, Ordering::Relaxed);
                self.start(number % links).await;
            }
        };
        futures_util::future::join_all((0..CALLERS).map(|_| caller())).await;
        #[expect(clippy::cast_precision_loss, reason = "it is a small number")]
        let done = done.into_inner() as f64;
        done / begun.elapsed().as_secs_f64()
    }
}

fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds::new(seconds).unwrap()
}
