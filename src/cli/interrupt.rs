//! SIGINT and SIGTERM, for commands that leave nothing half done, and SIGHUP for those that end with their terminal.

use tokio::sync::watch;

use super::failure::Failure;
use crate::server::shutdown::{StopSignal, StopSignals};

/// The stop requests so far: their number, and the signal of the first. Cloning is a reference count.
#[derive(Clone)]
pub(super) struct Interrupt(watch::Receiver<Asked>);

#[derive(Clone, Copy, Default)]
struct Asked {
    times: u32,
    first: Option<StopSignal>,
}

impl Interrupt {
    /// Listens from now on: the signals no longer end the process by themselves.
    pub(super) fn listen() -> Self {
        Self::of(StopSignals::listen())
    }

    /// As [`Interrupt::listen`], and to a terminal that is closed.
    pub(super) fn listen_to_terminal() -> Self {
        Self::of(StopSignals::listen_to_terminal())
    }

    fn of(mut signals: StopSignals) -> Self {
        let (tell, asked) = watch::channel(Asked::default());
        tokio::spawn(async move {
            loop {
                let signal = signals.next().await;
                tell.send_modify(|asked| {
                    asked.times += 1;
                    asked.first.get_or_insert(signal);
                });
            }
        });
        Self(asked)
    }

    /// The first signal, if one has come.
    pub(super) fn asked(&self) -> Option<StopSignal> {
        self.0.borrow().first
    }

    /// Completes once a stop was asked for.
    pub(super) async fn first(&self) {
        self.times(1).await;
    }

    /// Completes once it was asked for again: nothing is waited for any more.
    pub(super) async fn second(&self) {
        self.times(2).await;
    }

    /// Returns the failure of a command that a stop has ended, with the result `what`.
    pub(super) fn failure(&self, what: impl Into<String>) -> Failure {
        match self.asked() {
            Some(signal) => Failure::Interrupted(signal, what.into()),
            None => Failure::Failed(what.into()),
        }
    }

    async fn times(&self, times: u32) {
        let mut asked = self.0.clone();
        let is_heard = asked.wait_for(|asked| asked.times >= times).await.is_ok();
        if !is_heard {
            // Nobody listens any more: the runtime is ending.
            std::future::pending::<()>().await;
        }
    }
}
