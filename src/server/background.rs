//! Background tasks: they apply changes that others made, end downloads whose links were revoked, sweep, and read files
//! of older versions for what is taken from new ones on their way in.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::disk_reserve::{self, ReserveUpkeep};
use super::high_water_mark::{self, HighWaterMark};
use super::keyring_watch::KeyringWatch;
use super::reload::ConfigurationCheck;
use super::shutdown;
use super::start_error::StartError;
use super::tls::{Tls, TlsWatch};
use crate::gateway::Gateway;
use crate::gateway::refusal::Refusal;
use crate::gateway::revocations::{REFRESH_EVERY, WRITE_HELD_EVERY};
use crate::telemetry::audit::Audit;
use crate::web::Web;

/// The interval of sweeps of blobs and rows that nobody needs any more.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);

/// The interval at which expired files are moved into the recycle bin. Nobody waits for it.
const EXPIRE_EVERY: Duration = Duration::from_secs(5);

/// The interval at which the change feed is cut to its length. That is a read where there is nothing to forget.
const TRIM_EVERY: Duration = Duration::from_secs(5);

/// The interval at which a gateway looks for files that came in without text detection, as under an older version.
const TEXT_EVERY: Duration = Duration::from_secs(3_600);

/// The interval at which a gateway reads files that came in without a CRC-32, as under an older version.
const CHECKSUMS_EVERY: Duration = Duration::from_secs(3_600);

/// The pause between a notification and the look at the change: a burst of changes costs one look.
const NOTIFIED_PAUSE: Duration = Duration::from_millis(5);

/// Failures of an operation that is tried again and again. Of several in a row, only the first is logged.
#[derive(Default)]
pub(super) struct FailureRun {
    has_failed: bool,
}

impl FailureRun {
    /// Notes the result of one more try. Returns its failure if that is to be logged.
    pub(super) fn note<T>(&mut self, result: Result<T, Refusal>) -> Option<Refusal> {
        let is_first = !std::mem::replace(&mut self.has_failed, result.is_err());
        result.err().filter(|_| is_first)
    }
}

/// Returns the ticks of a task, which come later after a long tick, and never in a burst.
pub(super) fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Reads everything that was ever revoked, and what could not be written of it.
pub(super) async fn read_revocations(gateway: &Gateway) -> Result<(), StartError> {
    let failed = |refusal| StartError::Failed(format!("reading what was revoked: {refusal}"));
    gateway.refresh().await.map_err(failed)?;
    // A disk that has no room is tried again.
    if let Err(refusal) = gateway.prepare_to_hold().await {
        tracing::warn!(
            error = %refusal,
            "no room can be set aside for revocations that there is no room to write: they would hold in this process alone"
        );
    }
    gateway.receive_held().await.map_err(failed)
}

/// Starts the background tasks.
pub(super) fn start_tasks(
    tasks: &mut JoinSet<()>,
    gateway: &Arc<Gateway>,
    keyring_watch: Option<KeyringWatch>,
    configuration: Option<ConfigurationCheck>,
    high_water_mark: HighWaterMark,
) {
    tasks.spawn(note_high_water_mark(Arc::clone(gateway), high_water_mark));
    tasks.spawn(refresh_revocations(Arc::clone(gateway)));
    tasks.spawn(reload_keyring(
        Arc::clone(gateway),
        keyring_watch,
        configuration,
    ));
    tasks.spawn(sweep(Arc::clone(gateway)));
    tasks.spawn(detect_text(Arc::clone(gateway)));
    tasks.spawn(take_checksums(Arc::clone(gateway)));
    tasks.spawn(expire_files(Arc::clone(gateway)));
    tasks.spawn(trim_changes(Arc::clone(gateway)));
    tasks.spawn(write_held_revocations(Arc::clone(gateway)));
}

/// Starts the background tasks of what is served: its downloads, its certificate, and its audit stream.
pub(super) fn start_web_tasks(
    tasks: &mut JoinSet<()>,
    web: &Arc<Web>,
    tls: Option<Arc<Tls>>,
    audit: Option<Audit>,
) {
    tasks.spawn(end_revoked_downloads(Arc::clone(web)));
    tasks.spawn(reload_certificate(tls.map(TlsWatch::new)));
    tasks.spawn(reopen_audit(audit));
}

/// Refreshes the snapshot when others change something, and holds what they hold. Ends with its task.
async fn refresh_revocations(gateway: Arc<Gateway>) {
    let mut tick = ticks(REFRESH_EVERY);
    let mut failures = FailureRun::default();
    let mut deaf = FailureRun::default();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = gateway.notified() => sleep(NOTIFIED_PAUSE).await,
        }
        if let Some(refusal) = deaf.note(gateway.receive_held().await) {
            tracing::error!(error = %refusal, "cannot hear of revocations that others found no room to write");
        }
        if let Some(refusal) = failures.note(gateway.end_written_elsewhere().await) {
            tracing::error!(error = %refusal, "cannot look at the catalogue: links are refused until it works again");
        }
    }
}

/// Keeps the newest change that was seen, in its file. Ends with its task.
async fn note_high_water_mark(gateway: Arc<Gateway>, mut high_water_mark: HighWaterMark) {
    let mut tick = ticks(high_water_mark::WRITE_EVERY);
    loop {
        tick.tick().await;
        let gateway = Arc::clone(&gateway);
        let write = move || {
            high_water_mark.write(&gateway);
            high_water_mark
        };
        // It waits for the disk.
        match tokio::task::spawn_blocking(write).await {
            Ok(file) => high_water_mark = file,
            Err(error) => return tracing::error!(%error, "noting the newest change failed"),
        }
    }
}

/// Fills the disk reserve up as soon as there is room. Ends with its task.
pub(super) async fn fill_reserve(mut reserve: ReserveUpkeep) {
    let mut tick = ticks(disk_reserve::FILL_EVERY);
    loop {
        tick.tick().await;
        let fill = move || {
            reserve.fill();
            reserve
        };
        match tokio::task::spawn_blocking(fill).await {
            Ok(filled) => reserve = filled,
            Err(error) => return tracing::error!(%error, "filling the disk reserve failed"),
        }
    }
}

/// Reloads a changed keyring file, and any on SIGHUP. A task of its own, so that it waits for no catalogue.
async fn reload_keyring(
    gateway: Arc<Gateway>,
    mut keyring_watch: Option<KeyringWatch>,
    configuration: Option<ConfigurationCheck>,
) {
    let mut tick = ticks(REFRESH_EVERY);
    // Also where there is no file: without a listener the signal would end the process.
    let mut hang_up = shutdown::HangUp::listen();
    loop {
        tokio::select! {
            _ = tick.tick() => {
                if let Some(watch) = &mut keyring_watch {
                    watch.check(&gateway);
                }
            }
            () = hang_up.next() => {
                match &mut keyring_watch {
                    Some(watch) => watch.reload(&gateway),
                    None => tracing::info!("the keys are those of HALLPASS_KEYRING until a restart"),
                }
                if let Some(check) = &configuration {
                    check.say();
                }
            }
        }
    }
}

/// Reloads a changed certificate, and any on SIGHUP. Ends with its task.
async fn reload_certificate(watch: Option<TlsWatch>) {
    let Some(mut watch) = watch else {
        return;
    };
    let mut tick = ticks(REFRESH_EVERY);
    let mut hang_up = shutdown::HangUp::listen();
    loop {
        tokio::select! {
            _ = tick.tick() => watch.check(),
            () = hang_up.next() => watch.reload(),
        }
    }
}

/// Opens the audit file again on SIGHUP. Ends with its task.
async fn reopen_audit(audit: Option<Audit>) {
    let Some(audit) = audit else {
        return;
    };
    let mut hang_up = shutdown::HangUp::listen();
    loop {
        hang_up.next().await;
        audit.reopen();
    }
}

/// Ends downloads whose links were revoked since they began. Ends with its task.
async fn end_revoked_downloads(web: Arc<Web>) {
    let mut tick = ticks(web.recheck_interval());
    loop {
        tick.tick().await;
        web.end_revoked().await;
    }
}

/// Moves files that are expired into the recycle bin.
async fn expire_files(gateway: Arc<Gateway>) {
    let mut tick = ticks(EXPIRE_EVERY);
    let mut failures = FailureRun::default();
    loop {
        tick.tick().await;
        if let Some(refusal) = failures.note(gateway.expire_files().await) {
            tracing::warn!(error = %refusal, "cannot move expired files into the recycle bin");
        }
    }
}

/// Cuts the change feed to its length, and clears away what earlier epochs revoked.
async fn trim_changes(gateway: Arc<Gateway>) {
    let mut tick = interval(TRIM_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut cleared = None;
    loop {
        tick.tick().await;
        // A catalogue that fails is in the log already, and a feed that is longer for a while does no harm.
        if let Err(refusal) = gateway.trim_changes(&mut cleared).await {
            tracing::debug!(error = %refusal, "cutting the change feed is put off");
        }
    }
}

/// Writes revocations that there was no room for, as soon as there is. Ends with its task.
async fn write_held_revocations(gateway: Arc<Gateway>) {
    let mut tick = ticks(WRITE_HELD_EVERY);
    let (mut failures, mut unprepared) = (FailureRun::default(), FailureRun::default());
    loop {
        tick.tick().await;
        if let Some(refusal) = unprepared.note(gateway.prepare_to_hold().await) {
            tracing::debug!(error = %refusal, "no room can be set aside for revocations yet");
        }
        if let Some(refusal) = failures.note(gateway.write_held_revocations().await) {
            tracing::warn!(error = %refusal, "revocations that hold in memory cannot be written yet");
        }
    }
}

/// Sweeps at the start and then every hour.
async fn sweep(gateway: Arc<Gateway>) {
    let mut tick = ticks(SWEEP_EVERY);
    loop {
        tick.tick().await;
        match gateway.sweep().await {
            Ok(swept) => {
                tracing::debug!(?swept, "swept");
                if let Some(held_back) = swept.held_back {
                    tracing::warn!("{held_back}");
                }
            }
            Err(Refusal::Unavailable(why)) => tracing::warn!(why, "sweeping is put off"),
            Err(refusal) => tracing::error!(error = %refusal, "sweeping failed"),
        }
    }
}

/// Detects text in files of older versions, at the start and then every hour.
async fn detect_text(gateway: Arc<Gateway>) {
    let mut tick = ticks(TEXT_EVERY);
    loop {
        tick.tick().await;
        match gateway.detect_text().await {
            Ok(judged) => tracing::debug!(judged, "text detection is done"),
            Err(Refusal::Unavailable(why)) => tracing::warn!(why, "text detection is put off"),
            Err(refusal) => tracing::error!(error = %refusal, "text detection failed"),
        }
    }
}

/// Reads files of older versions for their CRC-32, at the start and then every hour.
async fn take_checksums(gateway: Arc<Gateway>) {
    let mut tick = ticks(CHECKSUMS_EVERY);
    let mut cursor = None;
    loop {
        tick.tick().await;
        match gateway.take_checksums(&mut cursor).await {
            Ok(noted) => tracing::debug!(noted, "a pass for CRC-32s is done"),
            Err(Refusal::Unavailable(why)) => tracing::warn!(why, "reading for CRC-32s is put off"),
            Err(refusal) => tracing::error!(error = %refusal, "reading for CRC-32s failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::testing::TestCatalog;
    use crate::config::keyring_file;
    use crate::gateway::testing;

    #[tokio::test]
    async fn a_changed_keyring_is_used_within_a_second_while_the_catalogue_hangs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keyring.toml");
        keyring_file::write(&path, &testing::keyring("b")).unwrap();
        let catalog = Arc::new(TestCatalog::new().await);
        let gateway = Arc::new(testing::gateway(catalog, testing::memory_blobs()));
        let _stalled = gateway.stall_refreshes().await;
        let mut tasks = JoinSet::new();
        let watch = KeyringWatch::new(path.clone());
        let high_water_mark = HighWaterMark::in_directory(directory.path(), "sqlite");
        start_tasks(&mut tasks, &gateway, Some(watch), None, high_water_mark);
        for kid in ["c", "d"] {
            // Long enough for the tasks to be at whatever they wait for.
            sleep(REFRESH_EVERY * 2).await;
            keyring_file::write(&path, &testing::keyring(kid)).unwrap();
            sleep(Duration::from_secs(1)).await;
            assert_eq!(gateway.keyring().active().as_str(), kid);
        }
    }
}
