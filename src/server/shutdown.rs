//! Signals as futures.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Asks to stop: SIGINT and SIGTERM.
pub struct StopSignals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
}

impl StopSignals {
    /// Listens from now on, so that no signal after this call is lost.
    pub fn listen() -> Self {
        Self {
            interrupt: listen_to(SignalKind::interrupt()),
            terminate: listen_to(SignalKind::terminate()),
        }
    }

    /// Completes when the next of them arrives.
    pub async fn next(&mut self) {
        tokio::select! {
            () = arrival(&mut self.interrupt) => {}
            () = arrival(&mut self.terminate) => {}
        }
    }
}

/// SIGXFSZ, on every machine that Rust's tier 1 and 2 of Linux know but MIPS.
const FILE_SIZE_LIMIT: i32 = 25;

/// From now on a write past the process's file size limit is an error of that write, "no space left",
/// instead of the end of the process.
pub(super) fn survive_file_size_limit() {
    // A signal that somebody listens to has lost its default action for good.
    drop(listen_to(SignalKind::from_raw(FILE_SIZE_LIMIT)));
}

/// Asks to read the keyring again: SIGHUP.
pub(super) struct HangUp(Option<Signal>);

impl HangUp {
    pub(super) fn listen() -> Self {
        Self(listen_to(SignalKind::hangup()))
    }

    pub(super) async fn next(&mut self) {
        arrival(&mut self.0).await;
    }
}

fn listen_to(kind: SignalKind) -> Option<Signal> {
    signal(kind)
        .map_err(|error| tracing::error!(%error, "cannot listen to a signal"))
        .ok()
}

/// The next signal; never, where it cannot be listened to.
async fn arrival(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
