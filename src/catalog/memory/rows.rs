//! The rows in memory, and what takes more than a line to do with them.

use std::collections::{BTreeMap, BTreeSet};

use super::quota::Kept;
use crate::catalog::idempotency::KeyRow;
use crate::catalog::transfer::CopyNote;
use crate::catalog::{
    CatalogError, FILES_ADDED_MAX, Filter, Place, Position, Versions, default_space, missing, taken,
};
use crate::catalog::{DENIED_LINKS, FILE, FILES_AT_ONCE, FOLDER, SPACE};
use crate::model::app::App;
use crate::model::count::Counts;
use crate::model::file::{FileRecord, FileState};
use crate::model::id::{
    ApiKeyId, AppId, FileId, FolderId, InstallationId, OrganizationId, SpaceId,
};
use crate::model::key::ApiKey;
use crate::model::revocation::{LinkId, Revocations};
use crate::model::tenancy::{Folder, Organization, Space};
use crate::model::time::UnixSeconds;

/// Everything the catalogue holds.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) organizations: BTreeMap<OrganizationId, Organization>,
    pub(super) spaces: BTreeMap<OrganizationId, BTreeMap<SpaceId, Space>>,
    pub(super) folders: BTreeMap<OrganizationId, BTreeMap<FolderId, SharedFolder>>,
    pub(super) files: BTreeMap<(OrganizationId, FileId), FileRecord>,
    /// The ready files in the order of lists, oldest first. The id is plain text, as in a [`Position`].
    pub(super) ready: BTreeMap<OrganizationId, BTreeMap<(UnixSeconds, String), FileId>>,
    pub(super) kept: BTreeMap<OrganizationId, Kept>,
    pub(super) keys: BTreeMap<ApiKeyId, ApiKey>,
    pub(super) apps: BTreeMap<AppId, App>,
    pub(super) denied: BTreeMap<OrganizationId, BTreeMap<LinkId, UnixSeconds>>,
    pub(super) file_counts: BTreeMap<(OrganizationId, FileId), Counts>,
    pub(super) link_counts: BTreeMap<(OrganizationId, LinkId), (UnixSeconds, Counts)>,
    pub(super) idempotency_keys: BTreeMap<(OrganizationId, ApiKeyId, String), KeyRow>,
    pub(super) versions: Versions,
    pub(super) installation: Option<InstallationId>,
    pub(super) copy_note: Option<CopyNote>,
}

/// A folder with its files. Its members are here and not in `folder`.
#[derive(Debug)]
pub(super) struct SharedFolder {
    pub(super) folder: Folder,
    pub(super) members: BTreeSet<OrganizationId>,
    pub(super) files: BTreeSet<FileId>,
}

impl Rows {
    pub(super) fn know(&self, organization: &OrganizationId) -> Result<(), CatalogError> {
        let known = self.organizations.contains_key(organization);
        known.then_some(()).ok_or(missing("the organization"))
    }

    pub(super) fn know_members(&self, members: &[OrganizationId]) -> Result<(), CatalogError> {
        let known = members
            .iter()
            .all(|member| self.organizations.contains_key(member));
        known
            .then_some(())
            .ok_or(missing("the member organization"))
    }

    pub(super) fn create_organization(
        &mut self,
        organization: &Organization,
    ) -> Result<(), CatalogError> {
        if self.organizations.contains_key(&organization.id) {
            return Err(taken("the organization"));
        }
        self.organizations
            .insert(organization.id.clone(), organization.clone());
        self.versions.revocations += u64::from(organization.epoch > 0);
        self.create_space(&default_space(organization))
    }

    pub(super) fn create_space(&mut self, space: &Space) -> Result<(), CatalogError> {
        self.know(&space.organization)?;
        let spaces = self.spaces.entry(space.organization.clone()).or_default();
        if spaces.contains_key(&space.id) {
            return Err(taken(SPACE));
        }
        spaces.insert(space.id.clone(), space.clone());
        Ok(())
    }

    pub(super) fn create_folder(&mut self, folder: &Folder) -> Result<(), CatalogError> {
        self.know(&folder.organization)?;
        self.know_members(&folder.members)?;
        let folders = self.folders.entry(folder.organization.clone()).or_default();
        if folders.contains_key(&folder.id) {
            return Err(taken(FOLDER));
        }
        let shared = SharedFolder {
            folder: folder.clone(),
            members: folder.members.iter().cloned().collect(),
            files: BTreeSet::new(),
        };
        folders.insert(folder.id.clone(), shared);
        Ok(())
    }

    pub(super) fn folder(
        &self,
        organization: &OrganizationId,
        id: &FolderId,
    ) -> Result<&SharedFolder, CatalogError> {
        let folders = self.folders.get(organization);
        folders
            .and_then(|folders| folders.get(id))
            .ok_or(missing(FOLDER))
    }

    pub(super) fn folder_mut(
        &mut self,
        organization: &OrganizationId,
        id: &FolderId,
    ) -> Result<&mut SharedFolder, CatalogError> {
        let folders = self.folders.get_mut(organization);
        folders
            .and_then(|folders| folders.get_mut(id))
            .ok_or(missing(FOLDER))
    }

    pub(super) fn file_mut(
        &mut self,
        organization: &OrganizationId,
        id: &FileId,
    ) -> Result<&mut FileRecord, CatalogError> {
        let key = (organization.clone(), id.clone());
        self.files.get_mut(&key).ok_or(missing(FILE))
    }

    pub(super) fn is_ready(&self, organization: &OrganizationId, id: &FileId) -> bool {
        let file = self.files.get(&(organization.clone(), id.clone()));
        file.is_some_and(|file| file.state == FileState::Ready)
    }

    pub(super) fn add_files(&mut self, files: &[FileRecord]) -> Result<(), CatalogError> {
        if files.len() > FILES_ADDED_MAX {
            return Err(CatalogError::Limit {
                what: FILES_AT_ONCE,
                limit: FILES_ADDED_MAX as u64,
            });
        }
        let mut added = BTreeSet::new();
        for file in files {
            self.know(&file.organization)?;
            let spaces = self.spaces.get(&file.organization);
            if !spaces.is_some_and(|spaces| spaces.contains_key(&file.space)) {
                return Err(missing(SPACE));
            }
            let key = (file.organization.clone(), file.id.clone());
            if self.files.contains_key(&key) || !added.insert(key) {
                return Err(taken("the file id"));
            }
        }
        for file in files {
            let ready = FileRecord {
                state: FileState::Ready,
                damaged_at: None,
                ..file.clone()
            };
            self.files
                .insert((file.organization.clone(), file.id.clone()), ready);
            let listed = self.ready.entry(file.organization.clone()).or_default();
            listed.insert(place(file), file.id.clone());
            let kept = self.kept.entry(file.organization.clone()).or_default();
            kept.add(file);
            self.versions.revocations += u64::from(file.link_revision > 0);
        }
        Ok(())
    }

    /// The page that [`crate::catalog::Catalog::page`] promises. Everything is sorted for each look.
    pub(super) fn page(
        &self,
        organization: &OrganizationId,
        filter: Filter<'_>,
        place: Place<'_>,
        limit: usize,
        now: UnixSeconds,
    ) -> Vec<FileRecord> {
        let all = self.files.values();
        let own = all.filter(|file| file.organization == *organization);
        let mut files: Vec<&FileRecord> = own.filter(|file| is_shown(file, filter, now)).collect();
        let at = |position: &Position| (position.created_at, position.id.clone());
        match place {
            Place::Newest => {}
            Place::After(position) => files.retain(|file| self::place(file) < at(position)),
            Place::Before(position) => files.retain(|file| self::place(file) > at(position)),
            Place::Below(id) => files.retain(|file| file.id.as_str() < id),
            Place::Above(id) => files.retain(|file| file.id.as_str() > id),
        }
        match place {
            Place::Below(_) | Place::Above(_) => files.sort_by_key(|file| file.id.as_str()),
            _ => files.sort_by_key(|file| self::place(file)),
        }
        let skipped = match place {
            Place::Before(_) | Place::Above(_) => 0,
            _ => files.len().saturating_sub(limit),
        };
        let page = files.into_iter().skip(skipped).take(limit).rev();
        page.cloned().collect()
    }

    /// An organization's ready files in the order of lists.
    pub(super) fn oldest_first(
        &self,
        organization: &OrganizationId,
    ) -> impl DoubleEndedIterator<Item = &FileRecord> + Clone {
        let listed = self.ready.get(organization);
        let listed = listed.into_iter().flat_map(BTreeMap::values);
        listed.filter_map(move |id| self.files.get(&(organization.clone(), id.clone())))
    }

    pub(super) fn delete_file(
        &mut self,
        organization: &OrganizationId,
        id: &FileId,
        now: UnixSeconds,
    ) -> Result<FileRecord, CatalogError> {
        let file = self.file_mut(organization, id)?;
        if file.state != FileState::Ready {
            return Err(missing(FILE));
        }
        let at = file.expires_at.map_or(now, |expired| expired.min(now));
        file.state = FileState::Deleted { at };
        let file = file.clone();
        if let Some(listed) = self.ready.get_mut(organization) {
            listed.remove(&place(&file));
        }
        self.versions.rows += 1;
        Ok(file)
    }

    pub(super) fn forget_swept(&mut self, before: UnixSeconds, limit: u32) -> u64 {
        let swept = self.files.iter().filter(|(_, file)| match file.state {
            FileState::Swept { at } => at <= before,
            FileState::Ready | FileState::Deleted { .. } => false,
        });
        let forgotten: Vec<_> = swept
            .map(|(key, _)| key.clone())
            .take(count(limit))
            .collect();
        for key in &forgotten {
            let file = self.files.remove(key);
            self.file_counts.remove(key);
            let revoked = file.is_some_and(|file| file.link_revision > 0);
            self.versions.revocations += u64::from(revoked);
            let (organization, id) = key;
            for folder in self.folders.get_mut(organization).into_iter().flatten() {
                folder.1.files.remove(id);
            }
        }
        forgotten.len() as u64
    }

    pub(super) fn create_api_key(&mut self, key: &ApiKey) -> Result<(), CatalogError> {
        self.know(&key.organization)?;
        let same = |other: &ApiKey| other.id == key.id || other.digest == key.digest;
        if self.keys.values().any(same) {
            return Err(taken("the API key"));
        }
        self.keys.insert(key.id.clone(), key.clone());
        Ok(())
    }

    pub(super) fn revocations(&self, now: UnixSeconds) -> Revocations {
        let mut all = Revocations::default();
        for organization in self.organizations.values().filter(|it| it.epoch > 0) {
            all.epochs
                .insert(organization.id.clone(), organization.epoch);
        }
        for file in self.files.values().filter(|file| file.link_revision > 0) {
            let of = all.revisions.entry(file.organization.clone()).or_default();
            of.insert(file.id.clone(), file.link_revision);
        }
        for (organization, denied) in &self.denied {
            for (link, expires) in denied.iter().filter(|(_, expires)| **expires > now) {
                let of = all.denied.entry(organization.clone()).or_default();
                of.insert(*link, *expires);
            }
        }
        all
    }

    pub(super) fn deny_link(
        &mut self,
        organization: &OrganizationId,
        link: LinkId,
        expires: UnixSeconds,
        denied_max: u64,
    ) -> Result<(), CatalogError> {
        self.know(organization)?;
        let all: usize = self.denied.values().map(BTreeMap::len).sum();
        let denied = self.denied.entry(organization.clone()).or_default();
        let others = all - usize::from(denied.contains_key(&link));
        if others as u64 >= denied_max {
            let what = DENIED_LINKS;
            let limit = denied_max;
            return Err(CatalogError::Limit { what, limit });
        }
        let until = denied.entry(link).or_insert(expires);
        *until = expires.max(*until);
        self.versions.revocations += 1;
        Ok(())
    }

    pub(super) fn raise_link_revision(
        &mut self,
        organization: &OrganizationId,
        id: &FileId,
        revisions_max: u64,
    ) -> Result<u64, CatalogError> {
        let raised = self
            .files
            .values()
            .filter(|file| file.link_revision > 0)
            .count() as u64;
        let file = self.file_mut(organization, id)?;
        if is_swept(file) {
            return Err(missing(FILE));
        }
        if raised + u64::from(file.link_revision == 0) > revisions_max {
            return Err(CatalogError::Limit {
                what: "files with revoked links",
                limit: revisions_max,
            });
        }
        file.link_revision += 1;
        let revision = file.link_revision;
        self.versions.revocations += 1;
        Ok(revision)
    }
}

impl SharedFolder {
    pub(super) fn as_it_is(&self) -> Folder {
        let members = self.members.iter().cloned().collect();
        Folder {
            members,
            ..self.folder.clone()
        }
    }
}

pub(super) fn is_swept(file: &FileRecord) -> bool {
    matches!(file.state, FileState::Swept { .. })
}

fn is_shown(file: &FileRecord, filter: Filter<'_>, now: UnixSeconds) -> bool {
    let is_ready = file.state_at(now) == FileState::Ready;
    let is_marked = matches!(file.state, FileState::Deleted { .. });
    match filter {
        Filter::Ready => is_ready,
        Filter::OfPurpose(purpose) => is_ready && file.purpose == purpose,
        Filter::OfName(name) => is_ready && file.name == *name,
        Filter::Deleted => is_marked,
        Filter::DeletedOfName(name) => is_marked && file.name == *name,
    }
}

pub(super) fn place(file: &FileRecord) -> (UnixSeconds, String) {
    (file.created_at, file.id.as_str().to_owned())
}

pub(super) fn values<K, V>(map: Option<&BTreeMap<K, V>>) -> impl Iterator<Item = &V> {
    map.into_iter().flat_map(BTreeMap::values)
}

pub(super) fn count(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
