//! Opening a catalogue: what both databases share.

use std::time::Duration;

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// The longest that opening takes, the wait for another process that opens the same catalogue included. The steps of
/// the schema have no bound: on a large catalogue one may take minutes, and nothing is gained by breaking it off.
pub(in crate::catalog) const OPEN_TIME_MAX: Duration = Duration::from_secs(60);

pub(in crate::catalog) const OPENING: &str = "opening the catalogue";

pub(in crate::catalog) const UPGRADING: &str = "bringing the catalogue up to date";

/// Says that steps of the schema are to be done.
pub(in crate::catalog) fn say_upgrading() {
    tracing::warn!(
        "the catalogue is of an older version: bringing it up to date, which may take minutes"
    );
}

/// The policy where no catalogue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Make an empty one.
    Make,
    /// Make an empty one that goes with the process that makes it: nothing of it is to survive a crash of the machine, and
    /// nothing is set aside beside it.
    MakeTemporary,
    /// Make an empty one, and answer [`Conflict`](crate::catalog::CatalogError::Conflict) where there is an older schema.
    MakeAndChangeNone,
    /// Answer [`NotFound`](crate::catalog::CatalogError::NotFound).
    Refuse,
}

/// Returns the steps of a schema, each with its name and its statements, in their order.
pub(in crate::catalog) fn migrator(steps: &[(&'static str, &'static str)]) -> Migrator {
    let step = |(version, (name, sql)): (i64, &(&'static str, &'static str))| {
        let sql = SqlStr::from_static(sql);
        Migration::new(version, (*name).into(), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations((1..).zip(steps).map(step).collect())
}
