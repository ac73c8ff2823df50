//! Background tasks' calls, on a connection of either database.

/// Makes the functions for one kind of connection, in a module that has `files` and `versions` beside it.
macro_rules! maintained_on {
    ($Connection:ty) => {
        use std::os::unix::ffi::OsStrExt as _;

        use sqlx::query;

        use $crate::catalog::fault::Fault;
        use $crate::catalog::maintenance::{Maintenance, TEXTS_SET_MAX, Text};
        use $crate::catalog::rows;
        use $crate::catalog::{Answer, CatalogError, FILE, missing, taken};
        use $crate::model::file::{FileRecord, InPlace};
        use $crate::model::id::{FileId, OrganizationId};
        use $crate::model::time::UnixSeconds;

        async fn files_of_unknown_text(
            connection: &mut $Connection,
            after: Option<&(OrganizationId, FileId)>,
            limit: u32,
        ) -> Result<Vec<FileRecord>, Fault> {
            // Every id comes after the empty text.
            let (organization, id) = after.map_or(("", ""), |(organization, id)| {
                (organization.as_str(), id.as_str())
            });
            let found = query(files::UNKNOWN_TEXT)
                .bind(organization)
                .bind(id)
                .bind(i64::from(limit))
                .fetch_all(connection)
                .await?;
            found.iter().map(rows::file).collect()
        }

        async fn set_text(connection: &mut $Connection, texts: &[Text]) -> Result<(), Fault> {
            if texts.len() > TEXTS_SET_MAX {
                return Err(CatalogError::Limit {
                    what: "files read at once",
                    limit: TEXTS_SET_MAX as u64,
                }
                .into());
            }
            for text in texts {
                query("UPDATE file SET is_text = $1 WHERE organization = $2 AND id = $3")
                    .bind(i64::from(text.is_text))
                    .bind(text.organization.as_str())
                    .bind(text.file.as_str())
                    .execute(&mut *connection)
                    .await?;
            }
            if texts.is_empty() {
                return Ok(());
            }
            versions::raise_rows(connection).await
        }

        async fn replace_identity(
            connection: &mut $Connection,
            organization: &OrganizationId,
            id: &FileId,
            seen: &InPlace,
            found: &InPlace,
        ) -> Result<(), Fault> {
            let replaced = query(
                "UPDATE file SET inode = $1, modified_nanos = $2, device = $3, changed_nanos = $4 \
                 WHERE organization = $5 AND id = $6 AND state <> 'swept' AND path = $7 AND inode = $8 \
                 AND modified_nanos = $9 AND device IS NOT DISTINCT FROM $10 \
                 AND changed_nanos IS NOT DISTINCT FROM $11",
            )
            .bind(found.inode.cast_signed())
            .bind(found.modified_nanos)
            .bind(found.device.map(u64::cast_signed))
            .bind(found.changed_nanos)
            .bind(organization.as_str())
            .bind(id.as_str())
            .bind(seen.path.as_os_str().as_bytes())
            .bind(seen.inode.cast_signed())
            .bind(seen.modified_nanos)
            .bind(seen.device.map(u64::cast_signed))
            .bind(seen.changed_nanos)
            .execute(&mut *connection)
            .await?;
            if replaced.rows_affected() == 1 {
                return versions::raise_rows(connection).await;
            }
            let is_there =
                query("SELECT 1 FROM file WHERE organization = $1 AND id = $2 AND state <> 'swept'")
                    .bind(organization.as_str())
                    .bind(id.as_str())
                    .fetch_optional(connection)
                    .await?;
            Err(match is_there {
                Some(_) => taken("another identity of the file").into(),
                None => missing(FILE).into(),
            })
        }

        async fn expired_files(
            connection: &mut $Connection,
            now: UnixSeconds,
            limit: u32,
        ) -> Result<Vec<FileRecord>, Fault> {
            let found = query(files::EXPIRED)
                .bind(rows::stored_time(now))
                .bind(i64::from(limit))
                .fetch_all(connection)
                .await?;
            found.iter().map(rows::file).collect()
        }
    };
}
pub(super) use maintained_on;
