//! Quotas: the counters of what organizations keep.

use super::calls::calls;
use super::fault::Fault;
use super::files::KeyCheck;
use super::session::SessionKind::{ReadTransaction, Write};
use super::session::{Session, query};
use super::{Database, allowance, counters, files, idempotency, numbered, rows, usage};
use crate::catalog::idempotency::Completion;
use crate::catalog::quota::{Quota, Quotas, Recount, Usage};
use crate::catalog::{Answer, DELETED_FILE, FILE, missing};
use crate::model::file::{FileRecord, FileState};
use crate::model::id::{FileId, OrganizationId};
use crate::model::time::UnixSeconds;

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
    files::add(session, quota, files, KeyCheck::Working).await?;
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
        usage::lock(session, organization).await?;
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
    let wrong_anchors = numbered::wrong_anchors(session, organization).await?;
    if mend && wrong_anchors > 0 {
        numbered::make_anchors(session, organization).await?;
    }
    let wrong_links = counters::wrong_links(session, organization, mend).await?;
    Ok(Recount {
        counted,
        found,
        wrong_anchors,
        wrong_allowances: allowance::recount(session, organization, mend).await?,
        wrong_links,
    })
}

async fn counted(session: &mut Session<'_>, organization: &OrganizationId) -> Result<Usage, Fault> {
    let select =
        query("SELECT ready_files, kept_files, kept_bytes FROM organization WHERE id = $1");
    let counted = session.optional(select.bind(organization), rows::usage);
    Ok(counted.await?.ok_or(missing("the organization"))?)
}

/// Deletes a file unless that was done before, and marks it swept.
pub(super) async fn purge(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    id: &FileId,
    now: UnixSeconds,
) -> Result<FileRecord, Fault> {
    usage::lock(session, organization).await?;
    let found = files::file(session, organization, id).await?;
    let found = found.ok_or(missing(FILE))?;
    let file = match found.state {
        FileState::Ready => files::delete(session, organization, id, now).await?,
        FileState::Deleted { .. } => found,
        FileState::Swept { .. } => return Err(missing(FILE).into()),
    };
    mark_swept(session, organization, id).await?;
    Ok(file)
}

/// Marks a deleted file swept, and no longer counts it.
pub(super) async fn mark_swept(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    id: &FileId,
) -> Result<(), Fault> {
    usage::lock(session, organization).await?;
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
