//! Opening a catalogue: what both databases share.

use std::time::Duration;

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// The longest that opening takes, the wait for another process that opens the same catalogue included. Changing
/// the schema of a large catalogue takes its time.
pub(in crate::catalog) const OPEN_TIME_MAX: Duration = Duration::from_secs(60);

pub(in crate::catalog) const OPENING: &str = "opening the catalogue";

/// The policy where no catalogue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Make an empty one.
    Make,
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
