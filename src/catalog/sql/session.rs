//! A session: one connection of either database while one call has it, and the statements that run on it.

use std::borrow::Cow;
use std::marker::PhantomData;

use rusqlite::ToSql;
use rusqlite::types::ToSqlOutput;
use sqlx::pool::PoolConnection;
use sqlx::{
    AssertSqlSafe, PgConnection, Postgres, SqlSafeStr as _, Sqlite, SqliteConnection, Transaction,
};
use tokio::sync::OwnedSemaphorePermit;

use super::dialect::SqlText;
use super::fault::Fault;
use super::rows::{self, Row};
use crate::catalog::reserve::Share;
use crate::model::id::{ApiKeyId, AppId, FileId, FolderId, OrganizationId, ShareId, SpaceId};
use crate::model::time::UnixSeconds;

#[cfg(test)]
mod tests;

/// The kind of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// A connection for one statement that reads.
    Read,
    /// A connection for one statement that writes, which PostgreSQL makes a transaction of its own, one wait for the server
    /// instead of four. Run again after it was done, it does nothing. In SQLite it is a [`Write`](Self::Write).
    OneWrite,
    /// A transaction of several statements that read the rows of one moment.
    ReadTransaction,
    /// A transaction that writes.
    Write,
    /// One that may spend the disk reserve: a revocation, a delete, a change of a key.
    ReservedWrite,
    /// One that may spend all of it, as it makes room: a purge.
    PurgeWrite,
}

impl SessionKind {
    /// Returns whether it is a transaction that writes.
    pub(in crate::catalog) const fn writes(self) -> bool {
        self.share().is_some() || matches!(self, Self::Write | Self::OneWrite)
    }

    /// Returns the share of the disk reserve that it may spend, if any.
    pub(in crate::catalog) const fn share(self) -> Option<Share> {
        match self {
            Self::Read | Self::ReadTransaction | Self::OneWrite | Self::Write => None,
            Self::ReservedWrite => Some(Share::Changes),
            Self::PurgeWrite => Some(Share::Purges),
        }
    }
}

/// A connection while one call has it. Dropped before its end, a transaction is undone.
pub struct Session<'a> {
    connection: Connection,
    /// The number of the last entry of the change feed that the call added.
    pub(in crate::catalog) appended: Option<u64>,
    /// Everything that the call's statements borrow outlives the session.
    _call: PhantomData<&'a ()>,
}

/// The connection of a session.
pub(in crate::catalog) enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    /// One that writes has its turn until it ended.
    SqliteTransaction(Transaction<'static, Sqlite>, Option<OwnedSemaphorePermit>),
    /// A transaction of SQLite without the driver: no statement on it ever waits for another task.
    Rusqlite(rusqlite::Connection),
    Postgres(PooledConnection),
}

/// A connection of PostgreSQL's pool. Dropped before it was given back, it is closed, and the server undoes what
/// it was in the midst of: nobody knows what was still to come on it.
#[derive(Default)]
pub(in crate::catalog) struct PooledConnection(
    pub(in crate::catalog) Option<PoolConnection<Postgres>>,
);

impl PooledConnection {
    pub(in crate::catalog) fn connection(&mut self) -> Result<&mut PgConnection, Fault> {
        let connection = self.0.as_deref_mut();
        connection.ok_or_else(|| sqlx::Error::WorkerCrashed.into())
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        // Closing the socket is all that goes without waiting.
        drop(self.0.take().map(PoolConnection::detach));
    }
}

enum Executor<'c> {
    Sqlite(&'c mut SqliteConnection),
    Rusqlite(&'c mut rusqlite::Connection),
    Postgres(&'c mut PgConnection),
}

impl Session<'_> {
    pub(in crate::catalog) const fn new(connection: Connection) -> Self {
        Self {
            connection,
            appended: None,
            _call: PhantomData,
        }
    }

    pub(in crate::catalog) fn into_connection(self) -> Connection {
        self.connection
    }

    /// Returns what `map` makes of each row of a query.
    pub(super) async fn all<T>(
        &mut self,
        query: Query<'_>,
        map: impl Fn(Row<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        match self.executor()? {
            Executor::Sqlite(connection) => {
                let found = query.for_sqlite().fetch_all(connection).await?;
                found.iter().map(|row| map(Row::Sqlite(row))).collect()
            }
            Executor::Rusqlite(connection) => query.on_rusqlite(connection, |statement| {
                let (mut rows, mut found) = (statement.raw_query(), Vec::new());
                while let Some(row) = rows.next()? {
                    found.push(map(Row::Rusqlite(row))?);
                }
                Ok(found)
            }),
            Executor::Postgres(connection) => {
                let found = query.for_postgres().fetch_all(connection).await?;
                found.iter().map(|row| map(Row::Postgres(row))).collect()
            }
        }
    }

    /// Returns what `map` makes of the first row of a query, if it has one. No other row is asked for: SQLite's
    /// thread then wakes the caller once, with the row, and not again for its end.
    pub(super) async fn optional<T>(
        &mut self,
        query: Query<'_>,
        map: impl Fn(Row<'_>) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        match self.executor()? {
            Executor::Sqlite(connection) => {
                let found = query.for_sqlite().fetch_optional(connection).await?;
                found.as_ref().map(|row| map(Row::Sqlite(row))).transpose()
            }
            Executor::Rusqlite(connection) => query.on_rusqlite(connection, |statement| {
                let mut rows = statement.raw_query();
                rows.next()?.map(|row| map(Row::Rusqlite(row))).transpose()
            }),
            Executor::Postgres(connection) => {
                let found = query.for_postgres().fetch_optional(connection).await?;
                found
                    .as_ref()
                    .map(|row| map(Row::Postgres(row)))
                    .transpose()
            }
        }
    }

    /// Returns what `map` makes of the row of a query that always has one.
    pub(super) async fn one<T>(
        &mut self,
        query: Query<'_>,
        map: impl Fn(Row<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let found = self.optional(query, map).await?;
        found.ok_or_else(|| sqlx::Error::RowNotFound.into())
    }

    /// Returns whether a query has a row.
    pub(super) async fn is_any(&mut self, query: Query<'_>) -> Result<bool, Fault> {
        Ok(self.optional(query, |_| Ok(())).await?.is_some())
    }

    /// Runs a statement that writes. Returns how many rows it wrote.
    pub(super) async fn execute(&mut self, query: Query<'_>) -> Result<u64, Fault> {
        Ok(match self.executor()? {
            Executor::Sqlite(connection) => {
                let done = query.for_sqlite().execute(connection).await?;
                done.rows_affected()
            }
            Executor::Rusqlite(connection) => {
                query.on_rusqlite(connection, |statement| Ok(statement.raw_execute()? as u64))?
            }
            Executor::Postgres(connection) => {
                let done = query.for_postgres().execute(connection).await?;
                done.rows_affected()
            }
        })
    }

    /// Returns whether this is a session of PostgreSQL.
    pub(super) const fn is_postgres(&self) -> bool {
        matches!(self.connection, Connection::Postgres(_))
    }

    /// Runs a statement on a table that only PostgreSQL has.
    pub(super) async fn execute_if_postgres(&mut self, query: Query<'_>) -> Result<(), Fault> {
        if self.is_postgres() {
            self.execute(query).await?;
        }
        Ok(())
    }

    fn executor(&mut self) -> Result<Executor<'_>, Fault> {
        Ok(match &mut self.connection {
            Connection::Sqlite(connection) => Executor::Sqlite(connection),
            Connection::SqliteTransaction(transaction, _) => Executor::Sqlite(transaction),
            Connection::Rusqlite(connection) => Executor::Rusqlite(connection),
            Connection::Postgres(pooled) => Executor::Postgres(pooled.connection()?),
        })
    }
}

/// A statement with its bind values.
pub(super) struct Query<'q> {
    text: Statement,
    values: Vec<Value<'q>>,
    /// The clause that locks the rows of a text that was made, in PostgreSQL.
    pub(super) lock: &'static str,
    /// True if each connection keeps the text prepared.
    pub(super) is_kept: bool,
}

enum Statement {
    /// One of the adapter's own texts.
    Fixed(SqlText),
    /// A text that was made for the rows that it is given.
    Made(String),
}

/// A bind value.
pub(super) enum Value<'q> {
    Text(Option<Cow<'q, str>>),
    Integer(Option<i64>),
    Bytes(Option<&'q [u8]>),
    /// A digest that was taken for the statement.
    Digest([u8; 32]),
    /// A list of texts: an array, or where there are none a JSON array.
    Texts(Vec<&'q str>),
}

/// Returns a statement without bind values yet.
pub(super) fn query<'q>(text: impl Into<SqlText>) -> Query<'q> {
    Query {
        text: Statement::Fixed(text.into()),
        values: Vec::new(),
        lock: "",
        is_kept: true,
    }
}

/// Returns a statement whose text was made for the rows that it is given. There are as many such texts as there
/// are numbers of rows: none is kept prepared.
pub(super) fn made(text: String, values: Vec<Value<'_>>) -> Query<'_> {
    Query {
        text: Statement::Made(text),
        values,
        lock: "",
        is_kept: false,
    }
}

/// Prepares a statement for one driver.
macro_rules! prepared {
    ($Driver:ty, $text:expr, $query:expr, $texts:expr) => {{
        let mut query = sqlx::query::<$Driver>($text).persistent($query.is_kept);
        for value in $query.values {
            query = match value {
                Value::Text(text) => query.bind(text.as_deref()),
                Value::Integer(number) => query.bind(number),
                Value::Bytes(bytes) => query.bind(bytes),
                Value::Digest(digest) => query.bind(digest.as_slice()),
                Value::Texts(texts) => query.bind($texts(&texts)),
            };
        }
        query
    }};
}

impl<'q> Query<'q> {
    /// Adds the value of the next placeholder.
    pub(super) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }

    fn for_sqlite(
        self,
    ) -> sqlx::query::Query<'static, Sqlite, <Sqlite as sqlx::Database>::Arguments> {
        let text = match self.text {
            Statement::Fixed(text) => text.sqlite.into_sql_str(),
            Statement::Made(text) => AssertSqlSafe(unnumbered(&text)).into_sql_str(),
        };
        prepared!(Sqlite, text, self, rows::json_array)
    }

    /// Has `work` run the statement, whose values are bound.
    fn on_rusqlite<T>(
        self,
        connection: &rusqlite::Connection,
        work: impl FnOnce(&mut rusqlite::Statement<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let text = match self.text {
            Statement::Fixed(text) => Cow::Borrowed(text.sqlite),
            Statement::Made(text) => Cow::Owned(unnumbered(&text)),
        };
        let run = |statement: &mut rusqlite::Statement<'_>| {
            for place in 1..=statement.parameter_count() {
                let number = match statement.parameter_name(place) {
                    None => place,
                    Some(name) => numbered(name)?,
                };
                let value = number.checked_sub(1).and_then(|at| self.values.get(at));
                let unbound = || rusqlite::Error::InvalidParameterCount(number, self.values.len());
                statement.raw_bind_parameter(place, value.ok_or_else(unbound)?)?;
            }
            work(statement)
        };
        match self.is_kept {
            true => run(&mut *connection.prepare_cached(&text)?),
            false => run(&mut connection.prepare(&text)?),
        }
    }

    fn for_postgres(
        self,
    ) -> sqlx::query::Query<'static, Postgres, <Postgres as sqlx::Database>::Arguments> {
        let text = match self.text {
            Statement::Fixed(text) => text.postgres.into_sql_str(),
            Statement::Made(text) => AssertSqlSafe(text + self.lock).into_sql_str(),
        };
        prepared!(Postgres, text, self, <[&str]>::to_vec)
    }
}

/// Returns the number of a placeholder. SQLite itself takes `$2` for a name, and counts the names as it meets them.
fn numbered(name: &str) -> Result<usize, rusqlite::Error> {
    let number = name
        .strip_prefix('$')
        .and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| rusqlite::Error::InvalidParameterName(name.to_owned()))
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Text(None) => Ok(rusqlite::types::Null.into()),
            Self::Text(Some(text)) => text.to_sql(),
            Self::Integer(number) => number.to_sql(),
            Self::Bytes(bytes) => bytes.to_sql(),
            Self::Digest(digest) => digest.to_sql(),
            Self::Texts(texts) => Ok(rows::json_array(texts).into()),
        }
    }
}

/// Returns a text with `?` for its placeholders, which were in order. SQLite would find each number one by one.
fn unnumbered(text: &str) -> String {
    let mut unnumbered = String::with_capacity(text.len());
    for (number, piece) in text.split('$').enumerate() {
        if number == 0 {
            unnumbered.push_str(piece);
        } else {
            unnumbered.push('?');
            unnumbered.push_str(piece.trim_start_matches(|digit: char| digit.is_ascii_digit()));
        }
    }
    unnumbered
}

/// Makes bind values of other types.
macro_rules! bound {
    ($($Type:ty: |$value:ident| $bound:expr;)+) => {$(
        impl<'q> From<$Type> for Value<'q> {
            fn from($value: $Type) -> Self {
                $bound
            }
        }
    )+};
}
bound! {
    &'q str: |text| Self::Text(Some(text.into()));
    String: |text| Self::Text(Some(text.into()));
    &'q ApiKeyId: |id| id.as_str().into();
    &'q AppId: |id| id.as_str().into();
    &'q FileId: |id| id.as_str().into();
    &'q FolderId: |id| id.as_str().into();
    &'q OrganizationId: |id| id.as_str().into();
    &'q ShareId: |id| id.as_str().into();
    &'q SpaceId: |id| id.as_str().into();
    &'q [u8]: |bytes| Self::Bytes(Some(bytes));
    i64: |number| Self::Integer(Some(number));
    u32: |number| Self::Integer(Some(number.into()));
    Option<i64>: |number| Self::Integer(number);
    UnixSeconds: |time| Self::Integer(Some(rows::stored_time(time)));
    Option<UnixSeconds>: |time| Self::Integer(time.map(rows::stored_time));
}

impl<'q> FromIterator<&'q str> for Value<'q> {
    fn from_iter<I: IntoIterator<Item = &'q str>>(texts: I) -> Self {
        Self::Texts(texts.into_iter().collect())
    }
}
