//! Opening a catalogue: the server is looked at before it is used, and the tables are made or brought up
//! to date under a lock that only one process has at a time.

use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::pool::PoolOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection, SqlStr, query, query_as, query_scalar,
};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

use super::ears::Ears;
use super::fault::Fault;
use super::settling::Settling;
use super::{
    Address, CONNECT_TIME_MAX, Driver, LOCK_TIME_MAX, Postgres, SILENCE_TIME_MAX,
    STATEMENT_TIME_MAX,
};
use crate::catalog::{CatalogError, OLDER, missing, taken};

/// How long opening takes at most, the wait for another process that opens it too included. Changing the
/// schema of a large catalogue takes its time.
const OPEN_TIME_MAX: Duration = Duration::from_secs(60);

/// A connection that lay idle for longer is asked whether it is well before it is used.
const IDLE_TRUSTED_FOR: Duration = Duration::from_secs(1);

/// The oldest server that draws UUIDs by itself, and that its makers still mended when this was written: 13.
const SERVER_VERSION_MIN: i32 = 13_00_00;

/// The lock of whoever sets an empty catalogue up (`Hall` and a `1`), beside the driver's own for the schema.
const SETUP_LOCK: i64 = 0x4861_6c6c_0001;

const OPENING: &str = "opening the catalogue";

/// What to do where no catalogue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// Make an empty one.
    Make,
    /// The same, and answer [`CatalogError::Conflict`] where there is one with an older schema.
    MakeAndChangeNone,
    /// Answer [`CatalogError::NotFound`].
    Refuse,
}

pub(super) async fn open(
    address: &Address,
    missing: Missing,
    connections_max: u32,
) -> Result<Postgres, CatalogError> {
    bounded(open_unbounded(address, missing, connections_max)).await
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
        bounded(async {
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

async fn bounded<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, CatalogError> {
    match timeout(OPEN_TIME_MAX, work).await {
        Ok(outcome) => outcome.map_err(|fault| fault.while_doing(OPENING)),
        Err(late) => Err(CatalogError::Unavailable {
            doing: OPENING,
            source: late.into(),
        }),
    }
}

async fn open_unbounded(
    address: &Address,
    policy: Missing,
    connections_max: u32,
) -> Result<Postgres, Fault> {
    let options = address.options()?;
    let mut connection = connect(&options).await?;
    check_server(&mut connection).await?;
    bring_up_to_date(&mut connection, policy).await?;
    connection.close().await?;

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
    Ok(Postgres {
        pool: pool.connect_lazy_with(options.clone()),
        turns: Arc::new(Semaphore::new(connections_max as usize)),
        ears: Ears::new(options.clone()),
        options,
        watcher: Mutex::default(),
        settling: Settling::default(),
    })
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

/// Makes the tables, or changes those of an older version. Does nothing where there is nothing to do, so that
/// a user who may not change the schema can work with it.
async fn bring_up_to_date(connection: &mut PgConnection, policy: Missing) -> Result<(), Fault> {
    let migrator = migrator();
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
    let is_older = !done.is_empty() && done.len() < migrator.iter().count();
    if is_older && policy == Missing::MakeAndChangeNone {
        return Err(taken(OLDER).into());
    }
    let wanted = migrator.iter();
    let is_current = wanted
        .map(|step| (step.version, step.checksum.to_vec()))
        .eq(done);
    if !is_current {
        migrator.run(connection).await?;
    }
    Ok(())
}

fn migrator() -> Migrator {
    let step = |version, name: &'static str, sql| {
        let sql = SqlStr::from_static(sql);
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    };
    let first = include_str!("../schema/postgres/0001_first.sql");
    let kept = include_str!("../schema/postgres/0002_kept.sql");
    let counts = include_str!("../schema/postgres/0003_counts.sql");
    let installation = include_str!("../schema/postgres/0004_installation.sql");
    let copy_note = include_str!("../schema/postgres/0005_copy_note.sql");
    let text_identity_expiry = include_str!("../schema/postgres/0006_text_identity_expiry.sql");
    Migrator::with_migrations(vec![
        step(1, "first", first),
        step(2, "kept", kept),
        step(3, "counts", counts),
        step(4, "installation", installation),
        step(5, "copy note", copy_note),
        step(6, "text, identity and expiry", text_identity_expiry),
    ])
}
