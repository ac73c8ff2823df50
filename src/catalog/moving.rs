//! What both databases do to move rows, on a connection of either.

/// Makes the functions for one kind of connection, in a module that has `versions` beside it.
macro_rules! moves_on {
    ($Connection:ty) => {
        use sqlx::{AssertSqlSafe, query, query_scalar};

        use $crate::catalog::cells::{self, Cell, bound};
        use $crate::catalog::fault::Fault;
        use $crate::catalog::rows;
        use $crate::catalog::statements::{self, Sums, Table};
        use $crate::catalog::taken;
        use $crate::catalog::transfer::{CopyNote, Kind, Row, Totals};
        use $crate::model::id::InstallationId;

        async fn read(
            connection: &mut $Connection,
            kind: Kind,
            after: Option<&Row>,
            limit: u32,
        ) -> Result<Vec<Row>, Fault> {
            let select = query(AssertSqlSafe(Table::of(kind).select()));
            let select = bound!(select, cells::key(kind, after)).bind(i64::from(limit));
            let found = select.fetch_all(connection).await?;
            found.iter().map(|row| cells::row(kind, row)).collect()
        }

        async fn put(connection: &mut $Connection, rows: &[Row]) -> Result<u64, Fault> {
            let mut put = 0;
            for same in rows.chunk_by(|one, other| one.kind() == other.kind()) {
                let before = sums(connection, same).await?;
                let mut values = Vec::new();
                for row in same {
                    values.extend(cells::cells(row)?);
                }
                put += write(connection, same, Table::put, values).await?;
                count(connection, same, &before).await?;
            }
            Ok(put)
        }

        async fn remove(connection: &mut $Connection, rows: &[Row]) -> Result<u64, Fault> {
            let mut removed = 0;
            for same in rows.chunk_by(|one, other| one.kind() == other.kind()) {
                let before = sums(connection, same).await?;
                let key = |row: &Row| cells::key(row.kind(), Some(row));
                let values = same.iter().flat_map(key).collect();
                removed += write(connection, same, Table::remove, values).await?;
                count(connection, same, &before).await?;
            }
            Ok(removed)
        }

        async fn write(
            connection: &mut $Connection,
            rows: &[Row],
            text: fn(&Table, usize) -> String,
            values: Vec<Cell>,
        ) -> Result<u64, Fault> {
            let Some(first) = rows.first() else {
                return Ok(0);
            };
            let text = text(Table::of(first.kind()), rows.len());
            // There are as many texts as there are counts of rows: they are not worth keeping.
            let statement = query(AssertSqlSafe(text)).persistent(false);
            let done = bound!(statement, values).execute(connection).await?;
            Ok(done.rows_affected())
        }

        /// What these rows count for their organizations, if they are files.
        async fn sums(connection: &mut $Connection, rows: &[Row]) -> Result<Sums, Fault> {
            if !matches!(rows, [Row::File(_), ..]) {
                return Ok(Sums::new());
            }
            let statement = query(AssertSqlSafe(statements::file_sums(rows.len())));
            let key = |row: &Row| cells::key(row.kind(), Some(row));
            let statement = bound!(statement.persistent(false), rows.iter().flat_map(key));
            let found = statement.fetch_all(connection).await?;
            found.iter().map(statements::sums).collect()
        }

        /// Counts what has changed since `before`.
        async fn count(
            connection: &mut $Connection,
            rows: &[Row],
            before: &Sums,
        ) -> Result<(), Fault> {
            let after = sums(connection, rows).await?;
            for (organization, [ready, files, bytes]) in statements::differences(before, &after) {
                query(statements::COUNT_DIFFERENCE)
                    .bind(ready)
                    .bind(files)
                    .bind(bytes)
                    .bind(organization)
                    .execute(&mut *connection)
                    .await?;
            }
            Ok(())
        }

        async fn totals(connection: &mut $Connection) -> Result<Totals, Fault> {
            let mut all = Totals::default();
            for row in query(statements::KEPT).fetch_all(connection).await? {
                all.add(
                    rows::number(&row, "kept_files")?,
                    rows::number(&row, "kept_bytes")?,
                );
            }
            Ok(all)
        }

        async fn copy_note(connection: &mut $Connection) -> Result<Option<CopyNote>, Fault> {
            let found = query(statements::NOTE).fetch_optional(connection).await?;
            let note = found.map(|row| {
                Ok(CopyNote {
                    installation: rows::value(&row, "id", InstallationId::parse)?,
                    blobs: rows::value(&row, "blobs", |text: &str| Some(text.to_owned()))?,
                    is_whole: rows::number(&row, "is_whole")? == 1,
                })
            });
            note.transpose()
        }

        async fn note_copy(
            connection: &mut $Connection,
            note: Option<&CopyNote>,
        ) -> Result<(), Fault> {
            let Some(note) = note else {
                query(statements::FORGET_NOTE)
                    .execute(&mut *connection)
                    .await?;
                let is_left: bool = query_scalar(statements::IS_NOTED)
                    .fetch_one(connection)
                    .await?;
                return match is_left {
                    true => Err(taken("a copy that is not whole").into()),
                    false => Ok(()),
                };
            };
            let is_free: bool = query_scalar(statements::IS_FREE)
                .fetch_one(&mut *connection)
                .await?;
            if !is_free {
                return Err(taken("an installation").into());
            }
            query(statements::SET_NOTE)
                .bind(&note.blobs)
                .bind(i64::from(note.is_whole))
                .execute(&mut *connection)
                .await?;
            query(statements::SET_INSTALLATION)
                .bind(note.installation.to_string())
                .execute(connection)
                .await?;
            Ok(())
        }
    };
}
pub(super) use moves_on;
