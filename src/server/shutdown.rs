//! Signals as futures.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Asks to stop: SIGINT and SIGTERM, and of a command that ends with its terminal SIGHUP.
pub struct StopSignals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hang_up: Option<Signal>,
}

impl StopSignals {
    /// Listens from now on, so that no signal after this call is lost.
    pub fn listen() -> Self {
        Self {
            interrupt: listen_to(SignalKind::interrupt()),
            terminate: listen_to(SignalKind::terminate()),
            hang_up: None,
        }
    }

    /// As [`StopSignals::listen`], and to SIGHUP, which a terminal sends that is closed, unless whoever started the process
    /// had it ignore that, as nohup does.
    pub fn listen_to_terminal() -> Self {
        let hang_up = SignalKind::hangup();
        let is_heard = !is_ignored(hang_up);
        Self {
            hang_up: is_heard.then(|| listen_to(hang_up)).flatten(),
            ..Self::listen()
        }
    }

    /// Completes when the next of them arrives, and says which it is.
    pub async fn next(&mut self) -> StopSignal {
        tokio::select! {
            () = arrival(&mut self.interrupt) => StopSignal::Interrupt,
            () = arrival(&mut self.terminate) => StopSignal::Terminate,
            () = arrival(&mut self.hang_up) => StopSignal::HangUp,
        }
    }
}

/// A signal that asks to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: a service manager's.
    Terminate,
    /// SIGHUP: the terminal was closed.
    HangUp,
}

impl StopSignal {
    /// The exit code that a shell reports of a process which that signal ended: 128 and its number (POSIX.1-2024,
    /// "Shell Command Language", 2.8.2, leaves the number to the shell; bash, dash and zsh agree on this one).
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 128 + 2,
            Self::Terminate => 128 + 15,
            Self::HangUp => 128 + 1,
        }
    }
}

/// Returns whether this process ignores a signal, as it was started. Where the system does not say so, it does not: the
/// signal then ends it in order.
fn is_ignored(kind: SignalKind) -> bool {
    let mask = ignored_signals().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot look which signals this process is to ignore: it ends with its terminal");
        0
    });
    let number = kind.as_raw_value();
    // Bit 0 is signal 1.
    (1..=64).contains(&number) && mask >> (number - 1) & 1 == 1
}

/// The signals that this process ignores, each a bit (proc_pid_status(5), `SigIgn`).
fn ignored_signals() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "/proc/self/status has no SigIgn",
        )
    })
}

/// SIGXFSZ, on every machine that Rust's tier 1 and 2 of Linux know but MIPS.
const FILE_SIZE_LIMIT: i32 = 25;

/// Lets a write past the process's file size limit fail, with "no space left", instead of ending the process.
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
