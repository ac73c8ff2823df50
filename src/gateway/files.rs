//! Looking at files, and deleting them.

use std::cmp::Reverse;
use std::sync::Arc;

use super::Gateway;
use super::refusal::Refusal;
use super::revocations::RowsAt;
pub use crate::catalog::Filter;
use crate::catalog::{NumberedPage, Place, Position};
use crate::model::address::FileRef;
use crate::model::file::{FileRecord, FileState};
use crate::model::id::{FileId, OrganizationId};
use crate::model::name::FileName;

/// The beginning of a page, as a caller names it. The text is usually a file's id, but may be any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// After this one: the next older files.
    After(String),
    /// Before this one: the next newer files.
    Before(String),
}

/// One page of a list that is walked with cursors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CursorPage {
    /// The files, newest first.
    pub files: Vec<FileRecord>,
    /// True if there are more of them in the direction of the cursor.
    pub has_more: bool,
}

/// The filters of a list of an organization's files. All that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// The name, exactly: composed, as it is kept, or decomposed, as a row from before may have it.
    pub name: Option<String>,
    /// Those in the recycle bin instead of those that are ready.
    pub is_deleted: bool,
    /// One of these ids. A text that is none is no file's.
    pub ids: Option<Vec<String>>,
}

/// The name that a file of this name has; none is ever a path.
fn exact_name(text: &str) -> Option<FileName> {
    let name = FileName::from_command_line(text).ok();
    name.filter(|_| !text.contains('/'))
}

impl Gateway {
    /// The file, if it is ready, as the catalogue has it now.
    pub async fn ready_file(
        &self,
        organization: &OrganizationId,
        id: &FileId,
    ) -> Result<FileRecord, Refusal> {
        let found = match self.catalog.file_on_the_spot(organization, id) {
            Some(found) => found,
            None => {
                let found = self.catalog.file(organization, id);
                self.read_of(organization, found).await?
            }
        };
        let now = self.clock.now();
        found
            .filter(|file| file.state_at(now) == FileState::Ready)
            .ok_or(Refusal::FileNotFound)
    }

    /// As [`Gateway::ready_file`], but for the link revision in its record, which may be an old one: kept in
    /// memory, and true at `at`.
    pub(super) async fn row(
        &self,
        file: FileRef<'_>,
        at: Option<RowsAt>,
    ) -> Result<Arc<FileRecord>, Refusal> {
        if let Some(cached) = self.cache.files.get(&file, at) {
            self.expect_unexpired(&cached)?;
            return Ok(cached);
        }
        let address = file.to_address();
        let (organization, id) = (&address.organization, &address.file);
        let keep = |found: Option<FileRecord>| {
            let found = found.filter(|file| file.state == FileState::Ready)?;
            let found = Arc::new(found);
            self.cache.keep_file(&found, at);
            Some(found)
        };
        let found = match self.catalog.file_on_the_spot(organization, id) {
            Some(found) => keep(found),
            None => {
                let look = || async {
                    let found = self.catalog.file(organization, id);
                    Ok(keep(self.read_of(organization, found).await?))
                };
                let flights = &self.cache.files.flights;
                flights.read(address.clone(), at, look).await?
            }
        };
        let found = found.ok_or(Refusal::FileNotFound)?;
        self.expect_unexpired(&found)?;
        Ok(found)
    }

    /// Refuses a ready file that is expired, as one that is not there. Most files never expire: for them the
    /// clock is not read.
    pub(super) fn expect_unexpired(&self, file: &FileRecord) -> Result<(), Refusal> {
        let is_expired = |at| at <= self.clock.now();
        if file.expires_at.is_some_and(is_expired) {
            return Err(Refusal::FileNotFound);
        }
        Ok(())
    }

    /// Page `page` (from 1) of an organization's ready files in pages of `limit`, newest first, and how
    /// many there are in all. A page past the end is empty.
    pub async fn numbered_page(
        &self,
        organization: &OrganizationId,
        page: u64,
        limit: u32,
    ) -> Result<NumberedPage, Refusal> {
        let offset = page.saturating_sub(1).saturating_mul(u64::from(limit));
        let now = self.clock.now();
        let page = self.catalog.numbered_page(organization, offset, limit, now);
        self.list_of(organization, page).await
    }

    /// Up to `limit` ready files of an organization, next to a cursor or from the newest on.
    ///
    /// A cursor is a place, not a file: one that was deleted keeps its place. A text that is no file's id
    /// but has the shape of one, or of the beginning of one, has the place of its time; any other lies in
    /// the list by id, highest first. Pages therefore never shift when files come and go.
    pub async fn cursor_page(
        &self,
        organization: &OrganizationId,
        filter: Filter<'_>,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<CursorPage, Refusal> {
        let position = self.position(organization, cursor).await?;
        let place = match (cursor, &position) {
            (None, _) => Place::Newest,
            (Some(Cursor::After(_)), Some(position)) => Place::After(position),
            (Some(Cursor::After(text)), None) => Place::Below(text),
            (Some(Cursor::Before(_)), Some(position)) => Place::Before(position),
            (Some(Cursor::Before(text)), None) => Place::Above(text),
        };
        let one_more = limit.saturating_add(1);
        let now = self.clock.now();
        let catalog = &self.catalog;
        let page = catalog.page(organization, filter, place, one_more, now);
        let mut files = self.list_of(organization, page).await?;
        let has_more = files.len() as u64 > u64::from(limit);
        if has_more {
            // The one that was asked for only to know that it is there is the farthest from the cursor.
            match cursor {
                Some(Cursor::Before(_)) => drop(files.remove(0)),
                Some(Cursor::After(_)) | None => drop(files.pop()),
            }
        }
        Ok(CursorPage { files, has_more })
    }

    /// A page as [`Gateway::cursor_page`] answers it, of the files that pass all filters.
    ///
    /// # Errors
    /// The refusal of a catalogue that fails.
    pub async fn filtered_page(
        &self,
        organization: &OrganizationId,
        filters: &Filters,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<CursorPage, Refusal> {
        let name = filters.name.as_deref().map(exact_name);
        // No file has a name that none can have.
        if matches!(name, Some(None)) {
            return Ok(CursorPage::default());
        }
        let name = name.flatten();
        let old_name = name.as_ref().and_then(FileName::decomposed);
        if let Some(ids) = &filters.ids {
            let names = name.map(|name| [Some(name), old_name]);
            let files = self.files_of_ids(organization, ids, filters, names.as_ref());
            return self
                .page_among(organization, files.await?, cursor, limit)
                .await;
        }
        let filter = |name| match (name, filters.is_deleted) {
            (None, false) => Filter::Ready,
            (Some(name), false) => Filter::OfName(name),
            (None, true) => Filter::Deleted,
            (Some(name), true) => Filter::DeletedOfName(name),
        };
        let page = self.cursor_page(organization, filter(name.as_ref()), cursor, limit);
        let page = page.await?;
        let Some(old_name) = &old_name else {
            return Ok(page);
        };
        let old = self.cursor_page(organization, filter(Some(old_name)), cursor, limit);
        let old = old.await?;
        let files = page.files.into_iter().chain(old.files).collect();
        let mut merged = self.page_among(organization, files, cursor, limit).await?;
        merged.has_more |= page.has_more || old.has_more;
        Ok(merged)
    }

    async fn files_of_ids(
        &self,
        organization: &OrganizationId,
        ids: &[String],
        filters: &Filters,
        names: Option<&[Option<FileName>; 2]>,
    ) -> Result<Vec<FileRecord>, Refusal> {
        let ids = ids.iter().filter_map(|id| FileId::parse(id).ok());
        let ids: Vec<FileId> = ids.collect();
        let now = self.clock.now();
        let is_wanted = |file: &FileRecord| {
            let is_of_state = match file.state_at(now) {
                FileState::Ready => !filters.is_deleted,
                FileState::Deleted { .. } => filters.is_deleted,
                FileState::Swept { .. } => false,
            };
            let has_name = |names: &[Option<FileName>; 2]| {
                names.iter().flatten().any(|name| file.name == *name)
            };
            is_of_state && names.is_none_or(has_name)
        };
        let files = self.catalog.files(organization, &ids);
        let mut files = self.list_of(organization, files).await?;
        files.retain(is_wanted);
        Ok(files)
    }

    /// The page at a cursor among these files, which are all that there are.
    async fn page_among(
        &self,
        organization: &OrganizationId,
        mut files: Vec<FileRecord>,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<CursorPage, Refusal> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let position = self.position(organization, cursor).await?;
        let begins_at = position.map(|position| position.created_at);
        let is_by_time = cursor.is_none() || begins_at.is_some();
        let place = |file: &FileRecord| {
            let time = is_by_time.then_some(file.created_at);
            (time, file.id.as_str().to_owned())
        };
        match cursor {
            None => {}
            Some(Cursor::After(id)) => files.retain(|file| place(file) < (begins_at, id.clone())),
            Some(Cursor::Before(id)) => files.retain(|file| place(file) > (begins_at, id.clone())),
        }
        files.sort_by_key(|file| Reverse(place(file)));
        let has_more = files.len() > limit;
        if let (Some(Cursor::Before(_)), true) = (cursor, has_more) {
            files.drain(..files.len() - limit);
        }
        files.truncate(limit);
        Ok(CursorPage { files, has_more })
    }

    /// The place in time of a cursor, if it has one.
    async fn position(
        &self,
        organization: &OrganizationId,
        cursor: Option<&Cursor>,
    ) -> Result<Option<Position>, Refusal> {
        let Some(Cursor::After(text) | Cursor::Before(text)) = cursor else {
            return Ok(None);
        };
        let row = match FileId::parse(text) {
            Ok(id) => {
                let row = self.catalog.file(organization, &id);
                self.read_of(organization, row).await?
            }
            Err(_) => None,
        };
        let time = row.map_or_else(|| FileId::time_in(text), |file| Some(file.created_at));
        Ok(time.map(|created_at| Position {
            created_at,
            id: text.clone(),
        }))
    }

    /// Deletes a ready file: from now on it and its links are not found. Its bytes stay in the recycle
    /// bin for `files.recycle_days`; nothing restores it.
    pub async fn delete(
        &self,
        organization: &OrganizationId,
        id: &FileId,
    ) -> Result<FileRecord, Refusal> {
        let now = self.clock.now();
        let change = self.catalog.delete_file(organization, id, now);
        let file = self.changing_of(organization, change).await?;
        match file.expires_at {
            Some(expired) if expired <= now => Err(Refusal::FileNotFound),
            _ => Ok(file),
        }
    }

    /// Deletes a file, if that was not done before, and removes its bytes at once. A file registered in
    /// place is only forgotten: its bytes are not ours.
    ///
    /// One transaction says in the row that the bytes go, and then they are removed. Those that a crash in between leaves
    /// are found by the sweep for orphans. On a full disk the transaction has blocks of its own ([`crate::catalog::reserve`]).
    /// Where these are gone, a file that was deleted before makes room by its bytes, which go first then.
    pub async fn purge(
        &self,
        organization: &OrganizationId,
        id: &FileId,
    ) -> Result<FileRecord, Refusal> {
        let now = self.clock.now();
        let purge = async || {
            let purge = self.catalog.purge_file(organization, id, now);
            self.changing_of(organization, purge).await
        };
        let file = match purge().await {
            Err(Refusal::NoSpace) => {
                self.remove_deleted_bytes(organization, id).await?;
                purge().await?
            }
            purged => purged?,
        };
        self.remove_stored(&file).await?;
        Ok(file)
    }

    /// Makes room for the row of a purge by the bytes of a file that was deleted before.
    ///
    /// # Errors
    /// `NoSpace` of one that is not deleted: while its row says that it is ready, its bytes stay.
    async fn remove_deleted_bytes(
        &self,
        organization: &OrganizationId,
        id: &FileId,
    ) -> Result<(), Refusal> {
        let found = self.catalog.file(organization, id);
        let found = self.read_of(organization, found).await?;
        match found {
            Some(file) if matches!(file.state, FileState::Deleted { .. }) => {
                self.remove_stored(&file).await
            }
            _ => Err(Refusal::NoSpace),
        }
    }

    /// Lets a deleted file's bytes go: first the row says so, then they are removed. Bytes that a crash
    /// in between leaves are found by the sweep for orphans.
    ///
    /// Where there is no room for the row, the bytes make it: they go first. A crash in between leaves a deleted file
    /// without bytes, whose row the next sweep or purge marks.
    pub(super) async fn remove_bytes(&self, file: &FileRecord) -> Result<(), Refusal> {
        let mark = || self.ask(self.catalog.mark_swept(&file.organization, &file.id));
        match mark().await {
            Err(Refusal::NoSpace) => {
                self.remove_stored(file).await?;
                mark().await
            }
            marked => {
                marked?;
                self.remove_stored(file).await
            }
        }
    }
}
