//! What goes on while the disk is full: opening a catalogue, and changes that may not wait for room.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::{ConnectOptions as _, Connection as _, Row as _, query};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Sqlite, finish, open};
use crate::catalog::CatalogError;
use crate::catalog::reserve::{DiskReserve, Loan, Share};
use crate::catalog::sql::Working;
use crate::catalog::sql::fault::Fault;
use crate::catalog::sql::session::{Session, SessionKind};

/// The longest that the log's cut waits for those who read it: it is only so that its blocks come back sooner.
const CUT_TIME_MAX: Duration = Duration::from_millis(100);

/// The longest that whoever was lent something waits until it is back, so that a process that ends then leaves the
/// reserve whole. The task goes on.
const GIVE_BACK_TIME_MAX: Duration = Duration::from_secs(2);

/// A loan that is given back by a task of its own: whoever has it may be dropped at any moment, on a thread that may not
/// wait for the disk.
pub(super) struct Borrowed {
    loan: Option<Loan>,
    /// The catalogue whose log was lent to.
    log_of: Option<PathBuf>,
}

/// A loan that is being given back.
pub(super) struct GivingBack(Option<JoinHandle<()>>);

impl Sqlite {
    /// Runs a write once more, with blocks that the reserve lends as soon as nobody else can write. `full` is the fault
    /// of the first attempt. The second part of the answer is to be waited for, outside of any bound of the first.
    pub(super) async fn run_on_reserve<'a, T: Send>(
        &self,
        access: SessionKind,
        share: Share,
        work: &(impl for<'s> Fn(&'s mut Session<'a>) -> Working<'s, T> + Send + Sync),
        full: Fault,
    ) -> (Result<T, Fault>, GivingBack) {
        let session = match self.begin(access).await {
            Ok(connection) => Session::new(connection),
            Err(fault) => return (Err(fault), GivingBack::nothing()),
        };
        let Some(loan) = self.reserve.borrow(share).await else {
            return (Err(full), GivingBack::nothing());
        };
        let borrowed = Borrowed {
            loan: Some(loan),
            log_of: Some(self.file.path.clone()),
        };
        let outcome = finish(session, access, work).await;
        (outcome, borrowed.give_back())
    }
}

impl Borrowed {
    fn give_back(mut self) -> GivingBack {
        self.begin()
    }

    /// Begins to give back, once.
    fn begin(&mut self) -> GivingBack {
        let (Some(loan), Ok(runtime)) = (self.loan.take(), Handle::try_current()) else {
            return GivingBack::nothing();
        };
        let log_of = self.log_of.take();
        GivingBack(Some(runtime.spawn(async move {
            // At once: until then its blocks are free for everybody.
            let Some(loan) = loan.take_back_so_far().await else {
                return;
            };
            if let Some(path) = log_of {
                cut_log(&path).await;
            }
            loan.give_back().await;
        })))
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        drop(self.begin());
    }
}

impl GivingBack {
    pub(super) const fn nothing() -> Self {
        Self(None)
    }

    /// Waits until it is given back, or for a while.
    pub(super) async fn ended(self) {
        if let Some(task) = self.0
            && let Ok(Err(error)) = timeout(GIVE_BACK_TIME_MAX, task).await
        {
            tracing::warn!(%error, "cannot take the disk reserve back");
        }
    }
}

/// Opens a catalogue by `opening`, which needs some blocks for the memory that processes share, once more with blocks of
/// the reserve where there was no room.
pub(super) async fn opened<F: Future<Output = Result<Sqlite, CatalogError>>>(
    path: &Path,
    opening: impl Fn() -> F,
) -> Result<Sqlite, CatalogError> {
    match opening().await {
        Err(full @ CatalogError::NoSpace { .. }) => {
            let Some(loan) = DiskReserve::of_catalogue(path).borrow(Share::Purges).await else {
                return Err(full);
            };
            let borrowed = Borrowed {
                loan: Some(loan),
                log_of: None,
            };
            let opened = opening().await;
            borrowed.give_back().ended().await;
            opened
        }
        opened => opened,
    }
}

/// Writes the log back into the file and cuts it to nothing, if nobody reads it now.
async fn cut_log(path: &Path) {
    let cut = async {
        let mut connection = open::options(path, CUT_TIME_MAX).connect().await?;
        let cut = query("PRAGMA wal_checkpoint(TRUNCATE)");
        let cut = cut.fetch_one(&mut connection).await?;
        let is_busy = cut.try_get::<i64, _>("busy")? != 0;
        connection.close().await?;
        Ok::<_, sqlx::Error>(is_busy)
    };
    match cut.await {
        Ok(false) => {}
        Ok(true) => tracing::debug!("the write-ahead log keeps its blocks: it is in use"),
        Err(error) => tracing::debug!(%error, "the write-ahead log keeps its blocks"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_lent_to_a_call_that_is_dropped_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = DiskReserve::in_directory(directory.path());
        reserve.fill(|_| Ok(0)).unwrap();
        let loan = reserve.borrow(Share::Changes).await;
        assert!(loan.is_some() && reserve.missing().unwrap() > 0);
        let log_of = Some(directory.path().join("none"));
        drop(Borrowed { loan, log_of });
        // It waits for the end of the other one.
        let next = reserve.borrow(Share::Purges).await.unwrap();
        next.give_back().await;
        assert_eq!(reserve.missing().unwrap(), 0);
    }
}
