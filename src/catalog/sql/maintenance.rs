//! The calls of background tasks, and those of the integrity check.

use std::os::unix::ffi::OsStrExt as _;

use super::calls::calls;
use super::fault::Fault;
use super::session::{Session, SessionKind, query};
use super::{Database, changes, files, revocation, rows};
use crate::catalog::Answer;
use crate::catalog::integrity::Integrity;
use crate::catalog::maintenance::{Checksum, Maintenance, READ_FILES_SET_MAX, Text};
use crate::catalog::{FILE, expect_at_most, missing, taken};
use crate::model::file::{FileRecord, InPlace};
use crate::model::id::{FileId, InstallationId, OrganizationId};
use crate::model::time::UnixSeconds;

const REPLACE_IDENTITY: &str = "UPDATE file SET inode = $1, modified_nanos = $2, device = $3, \
     changed_nanos = $4 WHERE organization = $5 AND id = $6 AND state <> 'swept' AND path = $7 \
     AND inode = $8 AND modified_nanos = $9 AND device IS NOT DISTINCT FROM $10 \
     AND changed_nanos IS NOT DISTINCT FROM $11";

impl<D: Database> Maintenance for D {
    calls! {
        fn files_of_unknown_text(
            after: Option<&'a (OrganizationId, FileId)>, limit: u32
        ) -> Vec<FileRecord>
            => Read, "looking for files that nobody has read", files::next, files::UNKNOWN_TEXT;
        fn set_text(texts: &'a [Text]) -> ()
            => Write, "noting which files are text", set_text;
        fn files_of_unknown_crc32(
            after: Option<&'a (OrganizationId, FileId)>, limit: u32
        ) -> Vec<FileRecord>
            => Read, "looking for files without a CRC-32", files::next, files::UNKNOWN_CRC32;
        fn set_crc32(checksums: &'a [Checksum]) -> ()
            => Write, "noting the CRC-32 of files", set_crc32;
        fn replace_identity(
            organization: &'a OrganizationId, id: &'a FileId, seen: &'a InPlace, found: &'a InPlace
        ) -> ()
            => Write, "noting the identity of a file in place", replace_identity;
        fn expire_files(now: UnixSeconds, limit: u32) -> u64
            => Write, "marking expired files deleted", files::expire;
    }

    fn clear_superseded<'a>(
        &'a self,
        after: Option<&'a OrganizationId>,
        limit: u32,
    ) -> Answer<'a, Option<OrganizationId>> {
        const DOING: &str = "clearing away what earlier epochs revoked";
        Box::pin(async move {
            let find = self.run(SessionKind::Read, DOING, move |session| {
                Box::pin(revocation::uncleared(session, after))
            });
            let Some((organization, epoch)) = find.await? else {
                return Ok(None);
            };
            let found = organization.clone();
            let clear = self.run(SessionKind::Write, DOING, move |session| {
                Box::pin(revocation::clear(
                    session,
                    organization.clone(),
                    epoch,
                    limit,
                ))
            });
            clear.await?;
            Ok(Some(found))
        })
    }
}

async fn set_text(session: &mut Session<'_>, texts: &[Text]) -> Result<(), Fault> {
    expect_at_most(READ_FILES_SET_MAX, "files read at once", texts.len())?;
    for text in texts {
        let set = query("UPDATE file SET is_text = $1 WHERE organization = $2 AND id = $3")
            .bind(i64::from(text.is_text))
            .bind(&text.organization)
            .bind(&text.file);
        session.execute(set).await?;
    }
    let changed = changes::of_files(texts.iter().map(|text| (&text.organization, &text.file)));
    changes::append(session, &changed).await
}

async fn set_crc32(session: &mut Session<'_>, checksums: &[Checksum]) -> Result<(), Fault> {
    expect_at_most(READ_FILES_SET_MAX, "files read at once", checksums.len())?;
    for of in checksums {
        let set = query(
            "UPDATE file SET crc32 = $1 \
             WHERE organization = $2 AND id = $3 AND state <> 'swept' AND sha256 = $4",
        );
        let set = set
            .bind(i64::from(of.crc32.get()))
            .bind(&of.organization)
            .bind(&of.file)
            .bind(of.fingerprint.as_bytes().as_slice());
        session.execute(set).await?;
    }
    let changed = changes::of_files(checksums.iter().map(|of| (&of.organization, &of.file)));
    changes::append(session, &changed).await
}

async fn replace_identity(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    id: &FileId,
    seen: &InPlace,
    found: &InPlace,
) -> Result<(), Fault> {
    let replace = query(REPLACE_IDENTITY)
        .bind(found.inode.cast_signed())
        .bind(found.modified_nanos)
        .bind(found.device.map(u64::cast_signed))
        .bind(found.changed_nanos)
        .bind(organization)
        .bind(id)
        .bind(seen.path.as_os_str().as_bytes())
        .bind(seen.inode.cast_signed())
        .bind(seen.modified_nanos)
        .bind(seen.device.map(u64::cast_signed))
        .bind(seen.changed_nanos);
    if session.execute(replace).await? == 1 {
        return changes::append(session, &changes::of_files([(organization, id)])).await;
    }
    let known =
        query("SELECT 1 FROM file WHERE organization = $1 AND id = $2 AND state <> 'swept'");
    let is_there = session.is_any(known.bind(organization).bind(id)).await?;
    Err(match is_there {
        true => taken("another identity of the file").into(),
        false => missing(FILE).into(),
    })
}

impl<D: Database> Integrity for D {
    calls! {
        fn files_with_bytes(
            after: Option<&'a (OrganizationId, FileId)>, limit: u32
        ) -> Vec<FileRecord>
            => Read, "going through the files", files::next, files::WITH_BYTES;
        fn mark_damaged(
            organization: &'a OrganizationId, id: &'a FileId, since: Option<UnixSeconds>
        ) -> ()
            => Write, "marking a damaged file", mark_damaged;
        fn installation() -> InstallationId
            => Read, "looking whose catalogue it is", installation;
    }
}

async fn installation(session: &mut Session<'_>) -> Result<InstallationId, Fault> {
    let select = query("SELECT id FROM installation");
    let id = session.one(select, |row| rows::value(row, "id", InstallationId::parse));
    id.await
}

async fn mark_damaged(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    id: &FileId,
    since: Option<UnixSeconds>,
) -> Result<(), Fault> {
    let mark = query(
        "UPDATE file SET damaged_at = $1 WHERE organization = $2 AND id = $3 AND state <> 'swept'",
    );
    let mark = mark.bind(since).bind(organization).bind(id);
    if session.execute(mark).await? == 0 {
        return Err(missing(FILE).into());
    }
    changes::append(session, &changes::of_files([(organization, id)])).await
}
