//! The counter flush: a task writes the counts of downloads to the catalogue while the gateway runs, and a last time
//! when it ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::background::{FailureRun, ticks};
use crate::gateway::Gateway;
use crate::gateway::counts::FLUSH_EVERY;
use crate::web::Web;

/// The longest wait, at the end of the gateway, for the catalogue to take the last counts.
const LAST_FLUSH_MAX: Duration = Duration::from_secs(5);

/// The task that flushes counters.
pub(super) struct CounterFlush {
    /// Dropped, it ends the task after the flush that it is at.
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl CounterFlush {
    /// Starts the task.
    pub(super) fn start(web: &Arc<Web>, gateway: &Arc<Gateway>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (web, gateway) = (Arc::clone(web), Arc::clone(gateway));
        let task = tokio::spawn(flush_counters(web, gateway, stopped));
        Self { stop, task }
    }

    /// Flushes the last counts, within a bounded time, and ends the task. Called when no download is on its way.
    pub(super) async fn finish(self) {
        drop(self.stop);
        if timeout(LAST_FLUSH_MAX, self.task).await.is_err() {
            tracing::warn!("the last downloads are not counted: the catalogue took too long");
        }
    }
}

async fn flush_counters(web: Arc<Web>, gateway: Arc<Gateway>, mut stopped: oneshot::Receiver<()>) {
    let mut tick = ticks(FLUSH_EVERY);
    let (mut failures, mut of_sent) = (FailureRun::default(), FailureRun::default());
    let mut of_shares = FailureRun::default();
    loop {
        let is_last = tokio::select! {
            _ = tick.tick() => false,
            _ = &mut stopped => true,
            // A counted download is done: that it is spent is written at once.
            () = gateway.sent_is_due() => {
                note_sent(&gateway, &mut of_sent).await;
                continue;
            }
            () = gateway.counts_are_due() => {
                flush_counts(&gateway, &mut failures).await;
                continue;
            }
        };
        web.count_downloads();
        flush_counts(&gateway, &mut failures).await;
        if let Some(refusal) = of_shares.note(gateway.flush_share_counts().await) {
            tracing::warn!(error = %refusal, "what came to pass by shares is yet to be counted: the catalogue does not take it");
        }
        note_sent(&gateway, &mut of_sent).await;
        if is_last {
            return;
        }
    }
}

async fn flush_counts(gateway: &Gateway, failures: &mut FailureRun) {
    if let Some(refusal) = failures.note(gateway.flush_counts().await) {
        tracing::warn!(error = %refusal, "downloads are yet to be counted: the catalogue does not take them");
    }
}

async fn note_sent(gateway: &Gateway, failures: &mut FailureRun) {
    if let Some(refusal) = failures.note(gateway.flush_sent().await) {
        tracing::warn!(error = %refusal, "what counted downloads sent is yet to be counted: the catalogue does not take it");
    }
}
