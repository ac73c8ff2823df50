//! Quotas: the counters of what organizations keep.

use super::dialect::{SqlText, text};
use super::fault::Fault;
use super::port::calls;
use super::session::SessionKind::{ReadTransaction, Write};
use super::session::{Session, query};
use super::{Database, files, idempotency, rows, tenancy};
use crate::catalog::idempotency::Completion;
use crate::catalog::quota::{BYTES_KEPT, Quota, Quotas, Recount, Usage};
use crate::catalog::{Answer, CatalogError, DELETED_FILE, missing};
use crate::model::file::FileRecord;
use crate::model::id::{FileId, OrganizationId};

const LOCK: SqlText = text!("SELECT id FROM organization WHERE id = $1", [lock "NO KEY UPDATE"]);

/// Finds no row where the sum would be no number that fits.
const COUNT_ADDED: &str = "UPDATE organization SET ready_files = ready_files + $1, \
     kept_files = kept_files + $1, kept_bytes = kept_bytes + $2 \
     WHERE id = $3 AND kept_bytes <= 9223372036854775807 - $2 \
     RETURNING ready_files, kept_files, kept_bytes";

const COUNT: &str = "SELECT count(*) FILTER (WHERE state = 'ready') AS ready_files, \
     count(*) AS kept_files, CAST(coalesce(sum(size), 0) AS bigint) AS kept_bytes FROM file \
     WHERE organization = $1 AND state <> 'swept'";

impl<D: Database> Quotas for D {
    calls! {
        fn add_files_within(
            files: &'a [FileRecord], quota: Quota, key: Option<&'a Completion>
        ) -> ()
            => Write, "adding files within a quota", add_files;
        fn usage(organization: &'a OrganizationId) -> Usage
            => Read, "looking how much is kept", counted;
    }

    fn recount<'a>(&'a self, organization: &'a OrganizationId, mend: bool) -> Answer<'a, Recount> {
        // No writer waits for it where nothing is changed.
        let access = if mend { Write } else { ReadTransaction };
        self.run(access, "counting what is kept", move |session| {
            Box::pin(recount(session, organization, mend))
        })
    }
}

async fn add_files(
    session: &mut Session<'_>,
    files: &[FileRecord],
    quota: Quota,
    key: Option<&Completion>,
) -> Result<(), Fault> {
    files::add(session, quota, files).await?;
    match key {
        Some(key) => idempotency::complete(session, key).await,
        None => Ok(()),
    }
}

async fn recount(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    mend: bool,
) -> Result<Recount, Fault> {
    if mend {
        lock(session, organization).await?;
    }
    let counted = counted(session, organization).await?;
    let found = session
        .one(query(COUNT).bind(organization), rows::usage)
        .await?;
    if mend && counted != found {
        let set = query(
            "UPDATE organization SET ready_files = $1, kept_files = $2, kept_bytes = $3 WHERE id = $4",
        )
        .bind(rows::stored(found.ready)?)
        .bind(rows::stored(found.files)?)
        .bind(rows::stored(found.bytes)?)
        .bind(organization);
        session.execute(set).await?;
    }
    Ok(Recount { counted, found })
}

/// Keeps others from counting in an organization until the transaction ends.
pub(super) async fn lock(
    session: &mut Session<'_>,
    organization: &OrganizationId,
) -> Result<(), Fault> {
    if session.is_any(query(LOCK).bind(organization)).await? {
        return Ok(());
    }
    Err(missing("the organization").into())
}

async fn counted(session: &mut Session<'_>, organization: &OrganizationId) -> Result<Usage, Fault> {
    let select =
        query("SELECT ready_files, kept_files, kept_bytes FROM organization WHERE id = $1");
    let counted = session.optional(select.bind(organization), rows::usage);
    Ok(counted.await?.ok_or(missing("the organization"))?)
}

/// Counts files of one organization that are being added, ready as they are, holds all that it has then to
/// the quota, and locks it. `NotFound` where there is no such organization.
pub(super) async fn count_added(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    added: &[&FileRecord],
    quota: Quota,
) -> Result<(), Fault> {
    let bytes = added
        .iter()
        .try_fold(0_u64, |sum, file| sum.checked_add(file.size));
    let count = query(COUNT_ADDED)
        .bind(rows::stored(added.len() as u64)?)
        .bind(rows::stored(bytes.unwrap_or(u64::MAX))?)
        .bind(organization);
    let Some(kept) = session.optional(count, rows::usage).await? else {
        tenancy::expect(session, organization).await?;
        let (what, limit) = (BYTES_KEPT, i64::MAX.cast_unsigned());
        return Err(CatalogError::Limit { what, limit }.into());
    };
    Ok(quota.allow(kept.files, kept.bytes)?)
}

/// Marks a deleted file swept, and no longer counts it.
pub(super) async fn mark_swept(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    id: &FileId,
) -> Result<(), Fault> {
    lock(session, organization).await?;
    let mark = query(
        "UPDATE file SET state = 'swept' WHERE organization = $1 AND id = $2 AND state = 'deleted' \
         RETURNING size",
    );
    let mark = mark.bind(organization).bind(id);
    let size = session
        .optional(mark, |row| rows::number(row, "size"))
        .await?;
    let size = rows::stored(size.ok_or(missing(DELETED_FILE))?)?;
    let count = query(
        "UPDATE organization SET kept_files = kept_files - 1, kept_bytes = kept_bytes - $1 WHERE id = $2",
    );
    session.execute(count.bind(size).bind(organization)).await?;
    Ok(())
}
