//! What goes on while the disk is full: opening a catalogue, and changes that may not wait for room.

use std::path::Path;
use std::time::Duration;

use sqlx::{ConnectOptions as _, Connection as _, query};

use super::{Sqlite, finish, open};
use crate::catalog::CatalogError;
use crate::catalog::reserve::{DiskReserve, Share};
use crate::catalog::sql::Working;
use crate::catalog::sql::fault::Fault;
use crate::catalog::sql::session::{Session, SessionKind};

/// The longest that the log's cut waits for those who read it: it is only so that its blocks come back sooner.
const CUT_TIME_MAX: Duration = Duration::from_millis(100);

impl Sqlite {
    /// Runs a write once more, with blocks that the reserve lends as soon as nobody else can write. `full` is the fault
    /// of the first attempt.
    pub(super) async fn run_on_reserve<'a, T: Send>(
        &self,
        access: SessionKind,
        share: Share,
        work: &(impl for<'s> Fn(&'s mut Session<'a>) -> Working<'s, T> + Send + Sync),
        full: Fault,
    ) -> Result<T, Fault> {
        let session = Session::new(self.begin(access).await?);
        let Some(loan) = self.reserve.borrow(share).await else {
            return Err(full);
        };
        let outcome = finish(session, access, work).await;
        if outcome.is_ok() {
            cut_log(&self.file.path).await;
        }
        loan.give_back().await;
        outcome
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
            let opened = opening().await;
            loan.give_back().await;
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
        cut.execute(&mut connection).await?;
        connection.close().await
    };
    if let Err(error) = cut.await {
        tracing::debug!(%error, "the write-ahead log keeps its blocks");
    }
}
