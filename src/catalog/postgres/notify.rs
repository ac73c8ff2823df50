//! The LISTEN/NOTIFY subscriber, which tells at once that somebody changed something.
//!
//! Every write that adds to the change feed sends a notification, which the server hands to the subscribers once that
//! write is committed. It only makes the feed be read sooner: a process that gets none, because its
//! connection broke or hangs, reads it by itself often enough.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgListener};
use sqlx::{PgPool, Postgres as Driver, query};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{sleep, timeout};

use super::CONNECT_TIME_MAX;

/// The channel that the statements of `sql::changes` notify. The server keeps those of different databases apart.
const CHANNEL: &str = "hallpass";

/// After so long a silence the server is asked whether it is still there, and has so long to answer.
const SILENCE_MAX: Duration = Duration::from_secs(10);
const PROOF_TIME_MAX: Duration = Duration::from_secs(2);

/// The pause before listening again where that failed.
const LISTEN_PAUSE: Duration = Duration::from_millis(500);

/// A connection that listens, from the first time that somebody waits for a notification.
#[derive(Debug)]
pub(super) struct Subscriber {
    /// Of one connection, which the listener keeps.
    pool: PgPool,
    heard: Arc<Notify>,
    listening: OnceLock<AbortHandle>,
}

impl Subscriber {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        let pool = PoolOptions::<Driver>::new()
            .max_connections(1)
            .acquire_timeout(CONNECT_TIME_MAX)
            .idle_timeout(None)
            .max_lifetime(None);
        Self {
            pool: pool.connect_lazy_with(options),
            heard: Arc::default(),
            listening: OnceLock::new(),
        }
    }

    /// Answers once a notification came since it answered last, or may have been missed.
    pub(super) async fn notified(&self) {
        self.listening.get_or_init(|| {
            let (pool, heard) = (self.pool.clone(), Arc::clone(&self.heard));
            let listening: JoinHandle<()> = tokio::spawn(keep_listening(pool, heard));
            listening.abort_handle()
        });
        self.heard.notified().await;
    }

    pub(super) fn close(&self) {
        if let Some(listening) = self.listening.get() {
            listening.abort();
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.close();
    }
}

async fn keep_listening(pool: PgPool, heard: Arc<Notify>) {
    let mut is_said = false;
    loop {
        match listen(&pool, &heard).await {
            // Said once, until it listens again.
            Err(error) if !is_said => {
                is_said = true;
                tracing::warn!(%error, "not listening for changes of the catalogue: asking for them instead");
            }
            Err(_) => {}
            Ok(()) => is_said = false,
        }
        sleep(LISTEN_PAUSE).await;
    }
}

/// Listens until the connection ends. `Ok` if it ever listened.
async fn listen(pool: &PgPool, heard: &Notify) -> Result<(), sqlx::Error> {
    let mut listener = timeout(CONNECT_TIME_MAX, listener(pool))
        .await
        .map_err(|_| sqlx::Error::PoolTimedOut)??;
    // Notifications from before it listened were missed.
    heard.notify_one();
    loop {
        match timeout(SILENCE_MAX, listener.try_recv()).await {
            Ok(Ok(Some(_))) => heard.notify_one(),
            Ok(_) => return Ok(()),
            Err(_silence) => {
                let asked = query("SELECT 1").execute(&mut listener);
                if !matches!(timeout(PROOF_TIME_MAX, asked).await, Ok(Ok(_))) {
                    return Ok(());
                }
            }
        }
    }
}

async fn listener(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}
