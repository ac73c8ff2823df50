//! The LISTEN/NOTIFY subscriber, which tells at once that somebody changed something.
//!
//! Every write that adds to the change feed sends a notification, which the server hands to the subscribers once that
//! write is committed. It only makes the feed be read sooner: a process that gets none, because its
//! connection broke or hangs, reads it by itself often enough.
//!
//! A notification that has words is an announcement: of a revocation that the database has no room for. It needs a few
//! bytes of the server's log, which is made in files of 16 MiB, and no room in any table.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgListener};
use sqlx::{PgPool, Postgres as Driver, query, query_scalar};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{sleep, timeout};

use super::lease::Lease;
use super::{CONNECT_TIME_MAX, Postgres};
use crate::catalog::Answer;
use crate::catalog::announcements::{ANNOUNCED_MAX, Announcements};
use crate::catalog::sql::bounded;
use crate::catalog::sql::fault::Fault;
use crate::model::held_revocation::Announcement;

/// The channel that the statements of `sql::changes` notify. The server keeps those of different databases apart.
const CHANNEL: &str = "hallpass";

/// After so long a silence the server is asked whether it is still there, and has so long to answer.
const SILENCE_MAX: Duration = Duration::from_secs(10);
const PROOF_TIME_MAX: Duration = Duration::from_secs(2);

/// The longest that an announcement may take, with the wait for a connection: a call that revokes waits for it.
const ANNOUNCE_TIME_MAX: Duration = Duration::from_secs(3);

/// The pause before listening again where that failed.
const LISTEN_PAUSE: Duration = Duration::from_millis(500);

/// A connection that listens, from the first time that somebody waits for a notification.
#[derive(Debug)]
pub(super) struct Subscriber {
    /// The pool of one connection, which the listener keeps.
    pool: PgPool,
    received: Arc<Received>,
    listening: OnceLock<AbortHandle>,
}

/// Received notifications: whether there was one, and the announcements among them.
#[derive(Debug, Default)]
struct Received {
    /// Notified of each notification.
    any: Notify,
    /// The announcements that nobody asked for yet, at most [`RECEIVED_MAX`]. Those that are lost come again.
    announcements: Mutex<Vec<ReceivedAnnouncement>>,
}

#[derive(Debug)]
struct ReceivedAnnouncement {
    /// The server's process of the connection that sent it.
    sender: i32,
    announced: Announcement,
}

/// The most announcements that wait to be asked for: as many as two gateways announce at once.
const RECEIVED_MAX: usize = 2 * ANNOUNCED_MAX;

/// Sends each of these texts to the subscribers.
const ANNOUNCE: &str = "SELECT pg_notify($1, line) FROM unnest($2::text[]) AS line";
/// Finds which of these processes of the server are of connections of our own role. Any role that may connect to the database
/// can send notifications there.
const OF_OUR_ROLE: &str =
    "SELECT pid FROM pg_stat_activity WHERE pid = ANY($1) AND usename = session_user";
const HEARING: &str = "asking who told of a revocation";
const ANNOUNCING: &str = "telling other gateways of a revocation";

impl Subscriber {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        let pool = PoolOptions::<Driver>::new()
            .max_connections(1)
            .acquire_timeout(CONNECT_TIME_MAX)
            .idle_timeout(None)
            .max_lifetime(None);
        Self {
            pool: pool.connect_lazy_with(options),
            received: Arc::default(),
            listening: OnceLock::new(),
        }
    }

    /// Answers once a notification came since it answered last, or may have been missed.
    pub(super) async fn notified(&self) {
        self.listening.get_or_init(|| {
            let (pool, received) = (self.pool.clone(), Arc::clone(&self.received));
            let listening: JoinHandle<()> = tokio::spawn(keep_listening(pool, received));
            listening.abort_handle()
        });
        self.received.any.notified().await;
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

impl Received {
    /// Takes a notification. A text that is no announcement tells of a change alone.
    fn add(&self, sender: i32, text: &str) {
        if let Some(announced) = Announcement::parse(text) {
            let mut all = self.lock();
            if all.len() < RECEIVED_MAX {
                all.push(ReceivedAnnouncement { sender, announced });
            }
        }
        self.any.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ReceivedAnnouncement>> {
        self.announcements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Announcements for Postgres {
    fn prepare(&self) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn are_persistent(&self) -> bool {
        false
    }

    fn announce<'a>(&'a self, all: &'a [Announcement]) -> Answer<'a, ()> {
        let announce = async move {
            let lines: Vec<String> = all.iter().map(Announcement::to_string).collect();
            let mut lease = Lease::beside(&self.connections).await?;
            let send = query(ANNOUNCE).bind(CHANNEL).bind(lines);
            send.execute(lease.connection()?).await?;
            lease.give_back();
            Ok::<_, Fault>(())
        };
        Box::pin(bounded(ANNOUNCE_TIME_MAX, ANNOUNCING, announce))
    }

    /// Returns what came while somebody waited for notifications, from connections of our own role that are still there.
    fn received(&self) -> Answer<'_, Vec<Announcement>> {
        let all = std::mem::take(&mut *self.subscriber.received.lock());
        if all.is_empty() {
            return Box::pin(async { Ok(Vec::new()) });
        }
        let hear = async move {
            let senders: Vec<i32> = all.iter().map(|of| of.sender).collect();
            let mut lease = Lease::beside(&self.connections).await?;
            let find = query_scalar(OF_OUR_ROLE).bind(senders);
            let ours: Vec<i32> = find.fetch_all(lease.connection()?).await?;
            lease.give_back();
            let is_ours = |of: &ReceivedAnnouncement| ours.contains(&of.sender);
            let received = all.into_iter().filter(is_ours);
            Ok::<_, Fault>(received.map(|of| of.announced).collect())
        };
        Box::pin(bounded(ANNOUNCE_TIME_MAX, HEARING, hear))
    }
}

async fn keep_listening(pool: PgPool, received: Arc<Received>) {
    let mut is_said = false;
    loop {
        match listen(&pool, &received).await {
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
async fn listen(pool: &PgPool, received: &Received) -> Result<(), sqlx::Error> {
    let mut listener = timeout(CONNECT_TIME_MAX, listener(pool))
        .await
        .map_err(|_| sqlx::Error::PoolTimedOut)??;
    // Notifications from before it listened were missed.
    received.any.notify_one();
    loop {
        match timeout(SILENCE_MAX, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => {
                received.add(
                    notification.process_id().cast_signed(),
                    notification.payload(),
                );
            }
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
