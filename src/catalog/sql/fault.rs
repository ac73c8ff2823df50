//! Faults: errors of either database, and their meaning by the contract of the port.

use std::error::Error;
use std::io;

use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::catalog::reserve::is_full;
use crate::catalog::{CatalogError, Unwritable, missing, taken};

/// Primary result codes (<https://sqlite.org/rescode.html>): the low byte of an extended one.
mod code {
    pub(super) const READONLY: i32 = 8;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const NOT_A_DATABASE: i32 = 26;
    /// The system refused to write or to shorten a file, or to bring it to the disk, for another reason than `ENOSPC`: of a
    /// quota (`EDQUOT`) or a limit of file sizes (`EFBIG`), too. In order: `SQLITE_IOERR_WRITE`, `_FSYNC`, `_DIR_FSYNC`,
    /// `_TRUNCATE`.
    pub(super) const IOERR_WRITING: [i32; 4] = [778, 1034, 1290, 1546];
    /// `SQLITE_IOERR_SHMSIZE`: the memory that processes share beside the file could not be made larger, "the
    /// underlying filesystem volume is out of space" (<https://www.sqlite.org/rescode.html#ioerr_shmsize>).
    pub(super) const IOERR_SHMSIZE: i32 = 4874;
    pub(super) const CONSTRAINT_FOREIGNKEY: i32 = 787;
    pub(super) const CONSTRAINT_PRIMARYKEY: i32 = 1555;
    pub(super) const CONSTRAINT_UNIQUE: i32 = 2067;
}

/// Codes of PostgreSQL (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
mod sqlstate {
    /// The server has no room left.
    pub(super) const FULL: [&str; 1] = ["53100"];
    /// Rows or an index are damaged, or tables are not as the schema has them.
    pub(super) const DAMAGED: [&str; 4] = ["XX001", "XX002", "42P01", "42703"];
    /// Two transactions were in each other's way: neither did anything wrong.
    pub(super) const CLASHES: [&str; 2] = ["40001", "40P01"];
    /// The server ends, ended, begins, or gave this session up.
    pub(super) const ENDINGS: [&str; 5] = ["57P01", "57P02", "57P03", "57P05", "25P03"];
    /// The class of what befell the connection.
    pub(super) const CONNECTION: &str = "08";
}

/// The reason why a call failed, before it is known what was being done.
#[derive(Debug)]
pub enum Fault {
    /// The answer is known already.
    Known(CatalogError),
    /// The driver or the database refused.
    Driver(sqlx::Error),
    /// SQLite refused, asked without the driver.
    Rusqlite(rusqlite::Error),
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

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Rusqlite(error)
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
    pub(in crate::catalog) fn damage(what: impl Into<String>) -> Self {
        Self::Known(CatalogError::Corrupt { what: what.into() })
    }

    /// Returns whether it says nothing of what was asked, only of the connection or of the moment: PostgreSQL did
    /// not do it, unless the last thing that it heard was `COMMIT`.
    pub(in crate::catalog) fn is_passing(&self) -> bool {
        self.meaning() == Some(Meaning::Passing)
    }

    /// Returns whether there was no room for what was asked.
    pub(in crate::catalog) fn is_full(&self) -> bool {
        match self {
            Self::Known(error) => matches!(error, CatalogError::NoSpace { .. }),
            Self::Driver(_) | Self::Rusqlite(_) => self.meaning() == Some(Meaning::Full),
        }
    }

    /// Returns whether the connection is as good as before, and waits for the next statement.
    pub(in crate::catalog) fn leaves_the_connection(&self) -> bool {
        match self {
            Self::Known(_) => true,
            Self::Driver(sqlx::Error::Database(refusal)) => {
                // A pooler between us and the server may say so in its own words.
                let is_its_end = |refusal: &PgDatabaseError| {
                    let code = refusal.code();
                    matches!(refusal.severity(), PgSeverity::Fatal | PgSeverity::Panic)
                        || code.starts_with(sqlstate::CONNECTION)
                        || sqlstate::ENDINGS.contains(&code)
                };
                let refusal = refusal.try_downcast_ref::<PgDatabaseError>();
                refusal.is_some_and(|refusal| !is_its_end(refusal))
            }
            Self::Driver(_) | Self::Rusqlite(_) => false,
        }
    }

    /// Returns what a refusal means; `None` where the answer is known already.
    fn meaning(&self) -> Option<Meaning> {
        Some(match self {
            Self::Known(_) => return None,
            Self::Driver(error) => Meaning::of(error),
            Self::Rusqlite(rusqlite::Error::SqliteFailure(refusal, _)) => {
                Meaning::of_sqlite(refusal.extended_code)
            }
            Self::Rusqlite(_) => Meaning::Other,
        })
    }

    /// Returns what the fault means, by the contract of [`crate::catalog::Catalog`].
    pub(in crate::catalog) fn while_doing(self, doing: &'static str) -> CatalogError {
        let meaning = self.meaning();
        let error: Box<dyn Error + Send + Sync> = match self {
            Self::Known(error) => return error,
            Self::Driver(error) => error.into(),
            Self::Rusqlite(error) => error.into(),
        };
        match meaning.unwrap_or(Meaning::Other) {
            // The statements find both themselves, to say what it was. These are what is left if one forgot to.
            Meaning::Taken => taken("what was to be made"),
            Meaning::Missing => missing("what it belongs to"),
            Meaning::Damaged => CatalogError::Corrupt {
                what: format!("{error}, while {doing}"),
            },
            Meaning::Full => CatalogError::NoSpace { doing },
            Meaning::Unwritable => CatalogError::Unavailable {
                doing,
                source: Unwritable::new(error).into(),
            },
            Meaning::Passing | Meaning::Other => CatalogError::Unavailable {
                doing,
                source: error,
            },
        }
    }
}

/// The meaning of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Another row has the key.
    Taken,
    /// A row that it belongs to is not there.
    Missing,
    Damaged,
    Full,
    /// The disk takes nothing.
    Unwritable,
    /// It may go well if it is tried again at once.
    Passing,
    Other,
}

impl Meaning {
    fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(refusal) => Self::of_database(&**refusal),
            sqlx::Error::Io(failure) if is_full(failure) => Self::Full,
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => Self::Passing,
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::Decode(_)
            | sqlx::Error::RowNotFound => Self::Damaged,
            _ => Self::Other,
        }
    }

    fn of_database(refusal: &dyn DatabaseError) -> Self {
        match refusal.kind() {
            ErrorKind::UniqueViolation => return Self::Taken,
            ErrorKind::ForeignKeyViolation => return Self::Missing,
            _ => {}
        }
        if let Some(refusal) = refusal.try_downcast_ref::<PgDatabaseError>() {
            return match refusal.code() {
                code if sqlstate::DAMAGED.contains(&code) => Self::Damaged,
                code if sqlstate::FULL.contains(&code) => Self::Full,
                code if sqlstate::CLASHES.contains(&code) => Self::Passing,
                code if sqlstate::ENDINGS.contains(&code) => Self::Passing,
                code if code.starts_with(sqlstate::CONNECTION) => Self::Passing,
                _ => Self::Other,
            };
        }
        extended_code(refusal).map_or(Self::Other, Self::of_sqlite)
    }

    /// Returns the meaning of SQLite's own code. Its lowest eight bits are the primary one.
    fn of_sqlite(extended: i32) -> Self {
        match extended {
            code::IOERR_SHMSIZE => Self::Full,
            code::CONSTRAINT_PRIMARYKEY | code::CONSTRAINT_UNIQUE => Self::Taken,
            code::CONSTRAINT_FOREIGNKEY => Self::Missing,
            extended if code::IOERR_WRITING.contains(&extended) => Self::Unwritable,
            extended => match extended & 0xff {
                code::CORRUPT | code::NOT_A_DATABASE => Self::Damaged,
                code::FULL => Self::Full,
                code::READONLY => Self::Unwritable,
                _ => Self::Other,
            },
        }
    }
}

fn extended_code(refusal: &dyn DatabaseError) -> Option<i32> {
    refusal.code()?.parse().ok()
}
