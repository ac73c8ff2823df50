//! The files of an archive, each read by its key, without the driver: ten thousand rows take SQLite less time to find than to
//! write as one text, and the driver longer to hand over.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use rusqlite::Connection;

use super::{OnTheSpot, Opened};
use crate::catalog::sql::archive_rows::{ARCHIVE_FILE, ARCHIVE_FILE_COLUMNS, archive_file};
use crate::catalog::sql::rows::Row;
use crate::model::archive_file::ArchiveFile;
use crate::model::id::{FileId, OrganizationId};

impl OnTheSpot {
    /// Returns what an archive has of those of these files that are there, as they were at one moment. `None` where every
    /// connection is in use, and after any error: then the driver reads them, and says what is wrong. Waits for the disk.
    pub(in crate::catalog::sqlite) fn archive_files(
        self: &Arc<Self>,
        organization: &OrganizationId,
        ids: &[FileId],
    ) -> Option<Vec<ArchiveFile>> {
        if self.is_closed.load(SeqCst) {
            return None;
        }
        let opened = match self.opened.get() {
            Some(opened) => opened,
            // It may be opened twice at once: one of the two is dropped.
            None => {
                let opened = Opened::open(&self.path).ok()?;
                let opened = self.opened.get_or_init(|| opened);
                // It may have been closed meanwhile.
                if self.is_closed.load(SeqCst) {
                    opened.close();
                }
                opened
            }
        };
        let read = |connection: &Connection| read(connection, organization, ids);
        opened.with_free(self.begun.elapsed(), read)?
    }
}

fn read(
    connection: &Connection,
    organization: &OrganizationId,
    ids: &[FileId],
) -> Option<Vec<ArchiveFile>> {
    let moment = connection.unchecked_transaction().ok()?;
    let mut statement = moment.prepare_cached(ARCHIVE_FILE).ok()?;
    // Each once, and neighbours after one another.
    let mut ids: Vec<&FileId> = ids.iter().collect();
    ids.sort_unstable();
    ids.dedup();
    let mut files = Vec::with_capacity(ids.len());
    for id in ids {
        let mut found = statement.query((organization.as_str(), id.as_str())).ok()?;
        if let Some(row) = found.next().ok()? {
            files.push(archive_file(Row::OnTheSpot(row, &ARCHIVE_FILE_COLUMNS), id).ok()?);
        }
    }
    Some(files)
}
