//! Making a share, and changing one.

use std::collections::{HashMap, HashSet};

use super::super::Gateway;
use super::super::passwords::Password;
use super::super::refusal::{FieldFault, Refusal};
use super::{NextTerms, SHARE_LIFETIME_DEFAULT, ShareFields, ShareManager, ShareView, settled};
use crate::catalog::FOLDER;
use crate::catalog::shares::{NewShare, ShareUsage};
use crate::model::digest::Sha256Digest;
use crate::model::file::FileState;
use crate::model::id::{FileId, FolderId, OrganizationId, ShareId};
use crate::model::share::{
    PasswordHash, SHARE_FILES_MAX, Share, ShareKind, ShareOptions, ShareState, SharedFile,
};
use crate::model::time::UnixSeconds;

/// The most shares of an organization, in whatever state: those that ended go after a while.
pub const SHARES_MAX: u64 = 100_000;

/// The most files in all shares of an organization together.
pub const SHARED_FILES_MAX: u64 = 1_000_000;

/// What the page of a share offers unless something else is asked.
const OPTIONS: ShareOptions = ShareOptions {
    preview: true,
    zip: true,
};

impl Gateway {
    /// Makes a share of at least one file.
    ///
    /// # Errors
    /// `Field` for what is wrong with what is asked; `Limit` where the organization has as many shares as it may;
    /// `RevocationHeld` while all its links are revoked and that is not written yet; the refusal of a catalogue that fails.
    pub async fn create_share(
        &self,
        manager: &ShareManager,
        mut fields: ShareFields,
    ) -> Result<ShareView, Refusal> {
        let organization = manager.organization();
        let password = fields.password.take();
        let (id, now) = self.new_share_id();
        if let Some(state) = &fields.state {
            let why = "is not said of a share that is made";
            return Err(FieldFault::new("state", state, why).into());
        }
        let asked = self.asked_of_share(&fields, now, OPTIONS)?;
        let files = self.files_asked(organization, &fields, &[], now).await?;
        let files = files.ok_or_else(|| FieldFault::missing("files", "is required"))?;
        self.expect_capacity_for(organization, files.len()).await?;
        let mut share = Share {
            organization: organization.clone(),
            id,
            kid: String::new(),
            code_digest: Sha256Digest::new([0; 32]),
            epoch: 0,
            revision: 0,
            kind: ShareKind::Files,
            title: asked.title.unwrap_or_default(),
            note: asked.note.unwrap_or_default(),
            next_position: 1,
            created_at: now,
            created_by: manager.key().cloned(),
            expires: match asked.expires {
                Some(asked) => asked,
                None => self.default_end_of_share(now),
            },
            not_before: asked.not_before.flatten(),
            allowed: asked.allowed.flatten(),
            password: None,
            pass_revision: 0,
            ip: asked.ip.flatten(),
            state: ShareState::Active,
            options: asked.options.unwrap_or(OPTIONS),
        };
        expect_time_to_open(&share)?;
        share.password = self.hashed(organization, password).await?.flatten();
        let known = self.known_to(manager).await?;
        let terms = NextTerms {
            kid: self.keyring().active().clone(),
            epoch: known.epoch(organization),
            revision: 0,
        };
        share.code_digest = self.code_of(&share, &terms, &known)?.code.digest();
        share.kid = terms.kid.to_string();
        share.epoch = terms.epoch;
        let new = NewShare { share, files };
        let made = {
            let _queued = self.changes.enter(Some(organization.clone())).await?;
            self.ask(self.catalog.create_share(&new)).await?
        };
        self.whole_view(manager, made).await
    }

    /// Changes a share as it is asked. One that is revoked stays as it is.
    ///
    /// # Errors
    /// As [`Gateway::share`](super::Gateway::share) and [`Gateway::create_share`]; `ShareRevoked`; `ShareStale` for another
    /// end of one that is to be rotated first.
    pub async fn edit_share(
        &self,
        manager: &ShareManager,
        id: &ShareId,
        mut fields: ShareFields,
    ) -> Result<ShareView, Refusal> {
        let organization = manager.organization();
        let password = fields.password.take();
        let before = self.managed(manager, id).await?;
        let now = self.clock.now();
        let mut edit = self.asked_of_share(&fields, now, before.share.options)?;
        edit.files = self
            .files_asked(organization, &fields, &before.files, now)
            .await?;
        if let Some(files) = &edit.files {
            let more = files.len().saturating_sub(before.files.len());
            self.expect_capacity_for(organization, more).await?;
        }
        let next = Share {
            expires: edit.expires.unwrap_or(before.share.expires),
            not_before: edit.not_before.unwrap_or(before.share.not_before),
            ..before.share
        };
        if edit.expires.is_some() || edit.not_before.is_some() {
            expect_time_to_open(&next)?;
        }
        // A denial of its link id lasts as long as it may open, which nobody makes longer meanwhile.
        let known = self.known_to(manager).await?;
        if edit.expires.is_some() && self.code_in_force(&next, &known).is_none() {
            return Err(Refusal::ShareStale);
        }
        edit.password = self.hashed(organization, password).await?;
        let edited = self.catalog.edit_share(organization, id, &edit);
        let edited = self.changing_of(organization, edited).await;
        self.whole_view(manager, settled(edited)?).await
    }

    /// Hashes the password that a share is to have, if one is said.
    async fn hashed(
        &self,
        organization: &OrganizationId,
        password: Option<Option<Password>>,
    ) -> Result<Option<Option<PasswordHash>>, Refusal> {
        Ok(match password {
            Some(Some(password)) => {
                let phc = self.hash_password(organization, password).await?;
                Some(Some(PasswordHash::new(phc)))
            }
            Some(None) => Some(None),
            None => None,
        })
    }

    /// The end of a share of which nobody said one: never later than any may have.
    fn default_end_of_share(&self, now: UnixSeconds) -> Option<UnixSeconds> {
        let max = self.settings.share_lifetime_max;
        let lifetime = max.map_or(SHARE_LIFETIME_DEFAULT, |max| {
            max.min(SHARE_LIFETIME_DEFAULT)
        });
        Some(now.plus(lifetime))
    }

    /// Draws a share's id, whose order is that of drawing, and its own time.
    fn new_share_id(&self) -> (ShareId, UnixSeconds) {
        let (uuid, now) = self.new_uuid();
        (ShareId::from_uuid(uuid), now)
    }

    /// Returns the files that a share is to have, each with its path there; `None` where nothing is said of them. Those
    /// that it has already keep their paths, whatever became of them since.
    async fn files_asked(
        &self,
        organization: &OrganizationId,
        fields: &ShareFields,
        before: &[SharedFile],
        now: UnixSeconds,
    ) -> Result<Option<Vec<(String, FileId)>>, Refusal> {
        let Some(texts) = self.ids_asked(organization, fields).await? else {
            return Ok(None);
        };
        let before: HashMap<&str, &SharedFile> =
            before.iter().map(|of| (of.file.as_str(), of)).collect();
        let (mut seen, mut new) = (HashSet::new(), Vec::new());
        for text in &texts {
            if !seen.insert(text.as_str()) {
                return Err(FieldFault::new("files", text, "must not be given twice").into());
            }
            if !before.contains_key(text.as_str()) {
                new.push(text.clone());
            }
        }
        let found = self.rows(organization, &new).await?;
        let ready = found
            .iter()
            .flatten()
            .filter(|file| file.state_at(now) == FileState::Ready);
        let ready: HashMap<&str, _> = ready.map(|file| (file.id.as_str(), file)).collect();
        let kept = texts.iter().filter_map(|text| before.get(text.as_str()));
        let mut paths = Paths::taken(kept.map(|of| of.path.clone()).collect());
        let mut files = Vec::with_capacity(texts.len());
        for (number, text) in texts.iter().enumerate() {
            let file = match (before.get(text.as_str()), ready.get(text.as_str())) {
                (Some(of), _) => (of.path.clone(), of.file.clone()),
                (None, Some(file)) => {
                    let path = fields.paths.get(number).map(String::as_str);
                    let path = paths.take(path.unwrap_or(file.name.as_str()));
                    (path, file.id.clone())
                }
                (None, None) => {
                    let why = "is no file of this organization, or was deleted";
                    return Err(FieldFault::new("files", text, why).into());
                }
            };
            files.push(file);
        }
        Ok(Some(files))
    }

    /// Returns the ids of the files that are asked for, those of the folder last, each as it was sent.
    async fn ids_asked(
        &self,
        organization: &OrganizationId,
        fields: &ShareFields,
    ) -> Result<Option<Vec<String>>, Refusal> {
        if fields.files.is_none() && fields.folder_id.is_none() {
            return Ok(None);
        }
        let mut texts = fields.files.clone().unwrap_or_default();
        if let Some(folder) = &fields.folder_id {
            let why = "is no folder of this organization";
            let unknown = || FieldFault::new("folder_id", folder, why);
            let id = FolderId::parse(folder).map_err(|_| unknown())?;
            let found = self.catalog.folder_files(organization, &id);
            let found = match self.read_of(organization, found).await {
                Err(Refusal::Missing { what: FOLDER }) => return Err(unknown().into()),
                found => found?,
            };
            let now = self.clock.now();
            let ids: Vec<String> = found.iter().map(FileId::to_string).collect();
            let rows = self.rows(organization, &ids).await?;
            let ready = rows
                .iter()
                .flatten()
                .filter(|file| file.state_at(now) == FileState::Ready);
            let ready: HashSet<&str> = ready.map(|file| file.id.as_str()).collect();
            let named: HashSet<String> = texts.iter().cloned().collect();
            let more = ids.into_iter();
            texts.extend(more.filter(|id| ready.contains(id.as_str()) && !named.contains(id)));
        }
        if !(1..=SHARE_FILES_MAX).contains(&texts.len()) {
            let why = format!("must be 1 to {SHARE_FILES_MAX} files");
            return Err(FieldFault::missing("files", why).into());
        }
        Ok(Some(texts))
    }

    /// Refuses a share, or more files in one, where the organization has as many as it may.
    async fn expect_capacity_for(
        &self,
        organization: &OrganizationId,
        more: usize,
    ) -> Result<(), Refusal> {
        let bound = ShareUsage {
            shares: SHARES_MAX,
            files: SHARED_FILES_MAX,
        };
        let usage = self.catalog.share_usage(organization, bound);
        let usage = self.list_of(organization, usage).await?;
        if usage.shares >= SHARES_MAX {
            return Err(Refusal::Limit {
                what: "shares of one organization",
                limit: SHARES_MAX,
            });
        }
        if usage.files + more as u64 > SHARED_FILES_MAX {
            return Err(Refusal::Limit {
                what: "files in shares of one organization",
                limit: SHARED_FILES_MAX,
            });
        }
        Ok(())
    }
}

/// Refuses a share that would never open.
fn expect_time_to_open(share: &Share) -> Result<(), FieldFault> {
    match (share.not_before, share.expires) {
        (Some(begin), Some(end)) if begin >= end => {
            let why = "must be earlier than the end of the share";
            Err(FieldFault::new("not_before", begin.get().to_string(), why))
        }
        _ => Ok(()),
    }
}

/// The paths of a share that are taken.
struct Paths {
    taken: HashSet<String>,
    /// The number that is tried next for a name: of thousands with one name each is tried once.
    next: HashMap<String, u64>,
}

impl Paths {
    fn taken(taken: HashSet<String>) -> Self {
        Self {
            taken,
            next: HashMap::new(),
        }
    }

    /// Takes a path of this name: with a number before its extension, where it is taken.
    fn take(&mut self, name: &str) -> String {
        if self.taken.insert(name.to_owned()) {
            return name.to_owned();
        }
        let (stem, extension) = match name.rfind('.') {
            Some(dot) if dot > 0 => name.split_at(dot),
            _ => (name, ""),
        };
        let next = self.next.entry(name.to_owned()).or_insert(2);
        loop {
            let path = format!("{stem} ({next}){extension}");
            *next += 1;
            if self.taken.insert(path.clone()) {
                return path;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let taken = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        for (name, others, path) in [
            ("a.txt", &[][..], "a.txt"),
            ("a.txt", &["a.txt"], "a (2).txt"),
            ("a.txt", &["a.txt", "a (2).txt"], "a (3).txt"),
            ("a.tar.gz", &["a.tar.gz"], "a.tar (2).gz"),
            (".env", &[".env"], ".env (2)"),
            ("README", &["README"], "README (2)"),
        ] {
            assert_eq!(Paths::taken(taken(others)).take(name), path, "{name}");
        }
        let mut paths = Paths::taken(taken(&["a (3)"]));
        let all = ["a"; 4].map(|name| paths.take(name));
        assert_eq!(all, ["a", "a (2)", "a (4)", "a (5)"]);
    }
}
