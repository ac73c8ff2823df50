//! Opening a catalogue: the server is looked at before it is used, and the tables are made or brought up
//! to date under a lock that only one process has at a time.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::pool::PoolOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, query, query_as, query_scalar};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

use super::commit::Commits;
use super::connections::Connections;
use super::notify::Subscriber;
use super::{
    Address, CONNECT_TIME_MAX, Driver, LOCK_TIME_MAX, Postgres, SILENCE_TIME_MAX,
    STATEMENT_TIME_MAX,
};
use crate::catalog::sql::bounded;
use crate::catalog::sql::fault::Fault;
use crate::catalog::sql::open::{
    Missing, OPEN_TIME_MAX, OPENING, UPGRADING, migrator, say_upgrading,
};
use crate::catalog::{CatalogError, OLDER, missing, taken};

/// A connection that lay idle for longer is asked whether it is well before it is used.
const IDLE_TRUSTED_FOR: Duration = Duration::from_secs(1);

/// The oldest server that draws UUIDs by itself, and that its makers still mended when this was written: 13.
const SERVER_VERSION_MIN: i32 = 13_00_00;

/// The lock of a process that sets an empty catalogue up (`Hall` and a `1`), beside the driver's own for the schema.
const SETUP_LOCK: i64 = 0x4861_6c6c_0001;

pub(super) async fn open(
    address: &Address,
    missing: Missing,
    connections_max: u32,
) -> Result<Postgres, CatalogError> {
    open_within(OPEN_TIME_MAX, address, missing, connections_max).await
}

/// Opens it. `time_max` bounds what comes before the schema's steps.
pub(super) async fn open_within(
    time_max: Duration,
    address: &Address,
    missing: Missing,
    connections_max: u32,
) -> Result<Postgres, CatalogError> {
    let begin = async {
        let options = address.options()?;
        let mut connection = connect(&options).await?;
        check_server(&mut connection).await?;
        let state = state_of_schema(&mut connection, missing).await?;
        Ok((options, connection, state))
    };
    let (options, mut connection, state) = bounded(time_max, OPENING, begin).await?;
    if state == SchemaState::Older {
        say_upgrading();
    }
    if state != SchemaState::Current {
        let done = bring_up_to_date(&mut connection).await;
        done.map_err(|fault| fault.while_doing(UPGRADING))?;
    }
    let closed = async { Ok(connection.close().await?) };
    bounded(time_max, OPENING, closed).await?;
    Ok(lazy(options, connections_max))
}

/// Keeps other processes that would set the same catalogue up waiting while it lives.
#[must_use = "the lock is given back when this is dropped"]
pub struct SetupLock {
    _connection: PgConnection,
}

impl SetupLock {
    /// Waits for the lock: at most as long as opening a catalogue may take, then `Unavailable`. The server
    /// gives it back when this process ends, however it does.
    pub async fn take(address: &Address) -> Result<Self, CatalogError> {
        bounded(OPEN_TIME_MAX, OPENING, async {
            let mut connection = connect(&address.options()?).await?;
            query("SELECT pg_advisory_lock($1)")
                .bind(SETUP_LOCK)
                .execute(&mut connection)
                .await?;
            Ok(Self {
                _connection: connection,
            })
        })
        .await
    }
}

/// Returns the catalogue of these options, which connects when it is asked.
fn lazy(options: PgConnectOptions, connections_max: u32) -> Postgres {
    let pool = PoolOptions::<Driver>::new()
        .max_connections(connections_max)
        .acquire_timeout(CONNECT_TIME_MAX)
        .test_before_acquire(false)
        .before_acquire(|connection, metadata| {
            Box::pin(async move {
                if metadata.idle_for > IDLE_TRUSTED_FOR {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(|connection, _| Box::pin(prepare(connection)));
    Postgres {
        connections: Connections::new(pool.connect_lazy_with(options.clone())),
        permits: Arc::new(Semaphore::new(connections_max as usize)),
        subscriber: Subscriber::new(options.clone()),
        options,
        watcher: Mutex::default(),
        appended: AtomicU64::new(0),
        commits: Commits::default(),
    }
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Fault> {
    let connected = timeout(CONNECT_TIME_MAX, options.connect()).await;
    Ok(connected.map_err(|_| sqlx::Error::PoolTimedOut)??)
}

/// Sets a connection's bounds, and sees that what it answers as done is durable. A server that follows
/// another one is refused: what it answers is what the other one was.
pub(super) async fn prepare(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let millis = |bound: Duration| bound.as_millis().to_string();
    let (_, follows): (String, bool) = query_as(
        "SELECT concat(set_config('statement_timeout', $1, false), set_config('lock_timeout', $2, false), \
         set_config('idle_in_transaction_session_timeout', $3, false), \
         set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
         WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)), \
         pg_is_in_recovery()",
    )
    .bind(millis(STATEMENT_TIME_MAX))
    .bind(millis(LOCK_TIME_MAX))
    .bind(millis(SILENCE_TIME_MAX))
    .fetch_one(connection)
    .await?;
    if follows {
        return Err(refused("the server only follows another one"));
    }
    Ok(())
}

async fn check_server(connection: &mut PgConnection) -> Result<(), Fault> {
    let (version, encoding, follows): (i32, String, bool) = query_as(
        "SELECT current_setting('server_version_num')::integer, current_setting('server_encoding'), \
         pg_is_in_recovery()",
    )
    .fetch_one(connection)
    .await?;
    if version < SERVER_VERSION_MIN {
        return Err(refused("PostgreSQL 13 or later is needed").into());
    }
    if encoding != "UTF8" {
        return Err(refused("the database must have the encoding UTF8").into());
    }
    if follows {
        return Err(refused("the server only follows another one").into());
    }
    Ok(())
}

fn refused(why: &str) -> sqlx::Error {
    sqlx::Error::Configuration(why.into())
}

/// The state of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SchemaState {
    /// There is none.
    Missing,
    /// Steps are to be done.
    Older,
    /// It is a later one, or not ours: the steps say so.
    Another,
    /// Nothing is to be done, so that a user who may not change the schema can work with it.
    Current,
}

async fn state_of_schema(
    connection: &mut PgConnection,
    policy: Missing,
) -> Result<SchemaState, Fault> {
    let schema = schema();
    let is_there: bool = query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    let mut done: Vec<(i64, Vec<u8>)> = Vec::new();
    if is_there {
        done = query_as(
            "SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version",
        )
        .fetch_all(&mut *connection)
        .await?;
    }
    if done.is_empty() && policy == Missing::Refuse {
        return Err(missing("the catalogue").into());
    }
    let is_older = !done.is_empty() && done.len() < schema.iter().count();
    if is_older && policy == Missing::MakeAndChangeNone {
        return Err(taken(OLDER).into());
    }
    let wanted = schema.iter();
    let is_current = wanted
        .map(|step| (step.version, step.checksum.to_vec()))
        .eq(done.iter().cloned());
    Ok(if is_current {
        SchemaState::Current
    } else if done.is_empty() {
        SchemaState::Missing
    } else if is_older {
        SchemaState::Older
    } else {
        SchemaState::Another
    })
}

/// Makes the tables, or changes those of an older version. Who holds a lock on one of them is waited for within the time
/// of opening. No other bound holds, whatever the role or the database has: a step may take as long as it takes.
async fn bring_up_to_date(connection: &mut PgConnection) -> Result<(), Fault> {
    query(
        "SELECT set_config(name, CASE name WHEN 'lock_timeout' THEN $1 ELSE '0' END, false) FROM pg_settings \
         WHERE name IN ('lock_timeout', 'statement_timeout', 'transaction_timeout')",
    )
    .bind(OPEN_TIME_MAX.as_millis().to_string())
    .execute(&mut *connection)
    .await?;
    Ok(schema().run(connection).await?)
}

fn schema() -> Migrator {
    macro_rules! step {
        ($name:literal, $file:literal) => {
            ($name, include_str!(concat!("../schema/postgres/", $file)))
        };
    }
    migrator(&[
        step!("first", "0001_first.sql"),
        step!("kept", "0002_kept.sql"),
        step!("counts", "0003_counts.sql"),
        step!("installation", "0004_installation.sql"),
        step!("copy note", "0005_copy_note.sql"),
        step!("text, identity and expiry", "0006_text_identity_expiry.sql"),
        step!("changes", "0007_changes.sql"),
        step!("list anchors", "0008_list_anchors.sql"),
        step!("redemptions", "0009_redemptions.sql"),
        step!("link counter", "0010_link_counter.sql"),
        step!("crc32", "0011_crc32.sql"),
        step!("shares", "0012_shares.sql"),
        step!("sent marks", "0013_sent_marks.sql"),
        step!("allowances by their links", "0014_allowance_link.sql"),
    ])
}
