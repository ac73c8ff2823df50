//! What went wrong below, and what it means to whoever asked.

use std::io;

use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::migrate::MigrateError;

use crate::catalog::{CatalogError, missing, taken};

/// Primary result codes (<https://sqlite.org/rescode.html>): the low byte of an extended one.
mod code {
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const NOT_A_DATABASE: i32 = 26;
}

/// Why a call failed, before it is known what was being done.
#[derive(Debug)]
pub(super) enum Fault {
    /// The answer is known already.
    Known(CatalogError),
    /// The driver or SQLite itself said no.
    Driver(sqlx::Error),
}

impl From<CatalogError> for Fault {
    fn from(error: CatalogError) -> Self {
        Self::Known(error)
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Driver(sqlx::Error::Io(error))
    }
}

impl From<MigrateError> for Fault {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                Self::Driver(error)
            }
            MigrateError::VersionMissing(version) => Self::damage(format!(
                "its schema has step {version}, which this version of hallpass does not know; use a newer one"
            )),
            MigrateError::VersionMismatch(version) => Self::damage(format!(
                "step {version} of its schema is not the one that this version of hallpass knows"
            )),
            other => Self::Driver(sqlx::Error::Migrate(other.into())),
        }
    }
}

impl Fault {
    /// Something is stored that no value stands for.
    pub(super) fn damage(what: impl Into<String>) -> Self {
        Self::Known(CatalogError::Corrupt { what: what.into() })
    }

    /// What the fault means, by the contract of [`crate::catalog::Catalog`].
    pub(super) fn while_doing(self, doing: &'static str) -> CatalogError {
        let error = match self {
            Self::Known(error) => return error,
            Self::Driver(error) => error,
        };
        let corrupt = |error: &dyn std::error::Error| CatalogError::Corrupt {
            what: format!("{error}, while {doing}"),
        };
        match &error {
            sqlx::Error::Database(refusal) => match refusal.kind() {
                // The statements look for both themselves, to say what it was. These are what is left
                // if one forgot to.
                ErrorKind::UniqueViolation => taken("what was to be made"),
                ErrorKind::ForeignKeyViolation => missing("what it belongs to"),
                _ => match primary_code(&**refusal) {
                    Some(code::CORRUPT | code::NOT_A_DATABASE) => corrupt(&error),
                    Some(code::FULL) => CatalogError::NoSpace { doing },
                    _ => CatalogError::Unavailable {
                        doing,
                        source: error.into(),
                    },
                },
            },
            sqlx::Error::Io(failure) if is_full(failure) => CatalogError::NoSpace { doing },
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::Decode(_)
            | sqlx::Error::RowNotFound => corrupt(&error),
            _ => CatalogError::Unavailable {
                doing,
                source: error.into(),
            },
        }
    }
}

fn primary_code(refusal: &dyn DatabaseError) -> Option<i32> {
    let extended: i32 = refusal.code()?.parse().ok()?;
    Some(extended & 0xff)
}

fn is_full(failure: &io::Error) -> bool {
    matches!(
        failure.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
