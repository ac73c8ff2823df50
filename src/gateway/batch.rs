//! Minting for many files in one call.

use std::collections::HashMap;

use super::Gateway;
use super::mint::{MintOptions, Minted};
use super::principal::Principal;
use super::refusal::{FOLDER, Refusal, SPACE};
use crate::catalog::batch::SharedFiles;
use crate::model::disposition::Disposition;
use crate::model::file::{FileRecord, FileState};
use crate::model::id::{FileId, FolderId, OrganizationId, SpaceId};
use crate::model::name::FileName;

/// What a call wants minted. Texts are as they were sent; one that is no id names nothing.
#[derive(Clone, Copy, Debug)]
pub struct BatchRequest<'a> {
    /// The shared folder to look into instead of the space.
    pub folder: Option<&'a str>,
    /// The space to look into. With a folder it may be one of the folder's owner, too.
    pub space: &'a str,
    /// The files, in the order of the outcomes. One that is there twice is minted twice.
    pub files: &'a [String],
    /// What is asked of every link.
    pub options: &'a MintOptions,
    /// The disposition that the caller's API style signs unless told otherwise.
    pub habit: Option<Disposition>,
}

/// What became of one file of a batch.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Here is its signed URL.
    Minted(Box<Minted>),
    /// So many of its links were revoked that none can be made now.
    Exhausted(FileName),
    /// It lies in the recycle bin.
    Deleted(FileName),
    /// It does not lie in the space, or in the folder, that was named.
    Elsewhere,
    /// There is no such file.
    Unknown,
}

/// Where a batch looks, and what it found there.
enum Place {
    Space(SpaceId, Vec<FileRecord>),
    Folder(Vec<FileRecord>),
}

impl Gateway {
    /// Mints a signed URL for each file, each for the organization that the file belongs to. The
    /// catalogue is asked once for all of them, and once for what was revoked.
    ///
    /// A wrong option, and a folder or a space that the caller cannot see, refuse the call as a whole;
    /// one file's outcome never touches another's.
    pub async fn mint_batch(
        &self,
        caller: &Principal,
        batch: &BatchRequest<'_>,
    ) -> Result<Vec<Outcome>, Refusal> {
        let terms = self.terms(batch.options)?;
        let ids = batch.files.iter().map(|text| FileId::parse(text));
        let ids: Vec<FileId> = ids.filter_map(Result::ok).collect();
        let place = match batch.folder {
            Some(folder) => self.folder_place(caller, folder, batch.space, &ids).await?,
            None => self.space_place(caller, batch.space, &ids).await?,
        };
        let revocations = self.look_in_time().await?;
        let found = place.by_id();
        let mint_one = |text: &String| match place.fate(found.get(text.as_str()).copied()) {
            Fate::Ready(file) => {
                let options = batch.options;
                match self.seal(&terms, file.clone(), options, batch.habit, &revocations) {
                    Ok(minted) => Ok(Outcome::Minted(Box::new(minted))),
                    Err(Refusal::Limit { .. }) => Ok(Outcome::Exhausted(file.name.clone())),
                    Err(refusal) => Err(refusal),
                }
            }
            Fate::Deleted(file) => Ok(Outcome::Deleted(file.name.clone())),
            Fate::Elsewhere => Ok(Outcome::Elsewhere),
            Fate::Unknown => Ok(Outcome::Unknown),
        };
        batch.files.iter().map(mint_one).collect()
    }

    async fn space_place(
        &self,
        caller: &Principal,
        space: &str,
        ids: &[FileId],
    ) -> Result<Place, Refusal> {
        let space = SpaceId::parse(space).map_err(|_| Refusal::Missing { what: SPACE })?;
        if !self.has_space(&caller.organization, &space).await? {
            return Err(Refusal::Missing { what: SPACE });
        }
        let files = self.catalog.files(&caller.organization, ids).await?;
        Ok(Place::Space(space, files))
    }

    async fn folder_place(
        &self,
        caller: &Principal,
        folder: &str,
        space: &str,
        ids: &[FileId],
    ) -> Result<Place, Refusal> {
        let folder = FolderId::parse(folder).map_err(|_| Refusal::Missing { what: FOLDER })?;
        let found = self
            .catalog
            .shared_files(&caller.organization, &folder, ids)
            .await?;
        let SharedFiles { owner, files } = found.ok_or(Refusal::Missing { what: FOLDER })?;
        let space = SpaceId::parse(space).map_err(|_| Refusal::Missing { what: SPACE })?;
        if self.has_space(&caller.organization, &space).await?
            || self.has_space(&owner, &space).await?
        {
            Ok(Place::Folder(files))
        } else {
            Err(Refusal::Missing { what: SPACE })
        }
    }

    async fn has_space(
        &self,
        organization: &OrganizationId,
        space: &SpaceId,
    ) -> Result<bool, Refusal> {
        Ok(self.catalog.space(organization, space).await?.is_some())
    }
}

/// What is to be done about one file of a batch.
enum Fate<'a> {
    Ready(&'a FileRecord),
    Deleted(&'a FileRecord),
    Elsewhere,
    Unknown,
}

impl Place {
    fn by_id(&self) -> HashMap<&str, &FileRecord> {
        let (Self::Space(_, files) | Self::Folder(files)) = self;
        files.iter().map(|file| (file.id.as_str(), file)).collect()
    }

    /// What is outside a folder is elsewhere, whether it exists or not: a member of the folder may not
    /// learn what else its owner has.
    fn fate<'a>(&self, found: Option<&'a FileRecord>) -> Fate<'a> {
        match (self, found) {
            (Self::Space(..), None) => Fate::Unknown,
            (Self::Folder(_), None) => Fate::Elsewhere,
            (_, Some(file)) if matches!(file.state, FileState::Swept { .. }) => Fate::Unknown,
            (Self::Space(space, _), Some(file)) if file.space != *space => Fate::Elsewhere,
            (_, Some(file)) if file.state == FileState::Ready => Fate::Ready(file),
            (_, Some(file)) => Fate::Deleted(file),
        }
    }
}
