//! Moving rows, in memory.

use super::Memory;
use super::idempotency::key_of;
use super::rows::{Rows, count, is_swept};
use crate::catalog::cells;
use crate::catalog::transfer::{CopyNote, Kind, Row, Totals, Transfer};
use crate::catalog::{Answer, missing, taken};
use crate::model::file::{FileRecord, FileState};
use crate::model::tenancy::Folder;

impl Transfer for Memory {
    fn rows<'a>(&'a self, kind: Kind, after: Option<&'a Row>, limit: u32) -> Answer<'a, Vec<Row>> {
        self.look(move |rows| {
            let after = after.map(Row::key);
            let mut all = rows.of_kind(kind);
            all.sort_by(|one, other| one.key().cmp(&other.key()));
            all.retain(|row| after.is_none_or(|after| row.key() > after));
            all.truncate(count(limit));
            Ok(all)
        })
    }

    fn put_rows<'a>(&'a self, rows: &'a [Row]) -> Answer<'a, u64> {
        self.change(move |kept| {
            cells::check_count(rows)?;
            let clashes = |row: &&Row| kept.clashes(row);
            if rows.iter().any(|row| clashes(&row)) {
                return Err(taken("what was to be made"));
            }
            let mut put = 0;
            for row in rows.iter().cloned() {
                put += u64::from(kept.put(row));
            }
            kept.versions.revocations += 1;
            kept.versions.rows += 1;
            Ok(put)
        })
    }

    fn remove_rows<'a>(&'a self, rows: &'a [Row]) -> Answer<'a, u64> {
        self.change(move |kept| {
            cells::check_count(rows)?;
            let owned = |row: &Row| match row {
                Row::Organization(of) => kept.spaces.get(&of.id).is_some_and(|it| !it.is_empty()),
                _ => false,
            };
            if rows.iter().any(owned) {
                return Err(missing("what it belongs to"));
            }
            let removed = rows.iter().filter(|row| kept.take(row)).count();
            kept.versions.revocations += 1;
            kept.versions.rows += 1;
            Ok(removed as u64)
        })
    }

    fn totals(&self) -> Answer<'_, Totals> {
        self.look(|rows| {
            let mut all = Totals::default();
            for file in rows.files.values().filter(|file| !is_swept(file)) {
                all.add(1, file.size);
            }
            Ok(all)
        })
    }

    fn copy_note(&self) -> Answer<'_, Option<CopyNote>> {
        self.look(|rows| Ok(rows.copy_note.clone()))
    }

    fn note_copy<'a>(&'a self, note: Option<&'a CopyNote>) -> Answer<'a, ()> {
        self.change(move |rows| {
            let is_free = rows.copy_note.is_some() || rows.organizations.is_empty();
            if note.is_some() && !is_free {
                return Err(taken("an installation"));
            }
            let is_whole = |note: &CopyNote| note.is_whole;
            if note.is_none() && !rows.copy_note.as_ref().is_none_or(is_whole) {
                return Err(taken("a copy that is not whole"));
            }
            if let Some(note) = note {
                rows.installation = Some(note.installation);
            }
            rows.copy_note = note.cloned();
            Ok(())
        })
    }
}

impl Rows {
    fn of_kind(&self, kind: Kind) -> Vec<Row> {
        let folders = || self.folders.values().flat_map(|of| of.values());
        match kind {
            Kind::Organization => {
                let all = self.organizations.values().cloned();
                all.map(Row::Organization).collect()
            }
            Kind::Space => {
                let all = self.spaces.values().flat_map(|of| of.values());
                all.cloned().map(Row::Space).collect()
            }
            Kind::ApiKey => self.keys.values().cloned().map(Row::ApiKey).collect(),
            Kind::App => self.apps.values().cloned().map(Row::App).collect(),
            Kind::Folder => folders()
                .map(|of| {
                    Row::Folder(Folder {
                        members: Vec::new(),
                        ..of.folder.clone()
                    })
                })
                .collect(),
            Kind::FolderMember => {
                let all = folders().flat_map(|of| of.members.iter().map(move |it| (of, it)));
                all.map(|(of, member)| Row::FolderMember {
                    organization: of.folder.organization.clone(),
                    folder: of.folder.id.clone(),
                    member: member.clone(),
                })
                .collect()
            }
            Kind::File => {
                let all = self.files.values().cloned();
                all.map(|file| Row::File(Box::new(file))).collect()
            }
            Kind::FolderFile => {
                let all = folders().flat_map(|of| of.files.iter().map(move |it| (of, it)));
                all.map(|(of, file)| Row::FolderFile {
                    organization: of.folder.organization.clone(),
                    folder: of.folder.id.clone(),
                    file: file.clone(),
                })
                .collect()
            }
            Kind::IdempotencyKey => {
                let all = self.idempotency_keys.values().cloned();
                all.map(Row::IdempotencyKey).collect()
            }
            Kind::DeniedLink | Kind::FileCount | Kind::LinkCount => self.of_links(kind),
        }
    }

    fn of_links(&self, kind: Kind) -> Vec<Row> {
        match kind {
            Kind::DeniedLink => {
                let all = self.denied.iter();
                let all = all.flat_map(|(of, links)| links.iter().map(move |it| (of, it)));
                all.map(|(organization, (link, expires))| Row::DeniedLink {
                    organization: organization.clone(),
                    link: *link,
                    expires: *expires,
                })
                .collect()
            }
            Kind::FileCount => {
                let all = self.file_counts.iter();
                all.map(|((organization, file), counts)| Row::FileCount {
                    organization: organization.clone(),
                    file: file.clone(),
                    counts: *counts,
                })
                .collect()
            }
            _ => {
                let all = self.link_counts.iter();
                all.map(|((organization, link), (expires, counts))| Row::LinkCount {
                    organization: organization.clone(),
                    link: *link,
                    expires: *expires,
                    counts: *counts,
                })
                .collect()
            }
        }
    }

    /// Whether it is an API key whose digest another one has.
    fn clashes(&self, row: &Row) -> bool {
        let Row::ApiKey(key) = row else {
            return false;
        };
        let same =
            |other: &crate::model::key::ApiKey| other.digest == key.digest && other.id != key.id;
        self.keys.values().any(same)
    }

    /// Puts a row; `false` where it belongs to nothing that is there.
    fn put(&mut self, row: Row) -> bool {
        match row {
            Row::Organization(of) => {
                self.organizations.insert(of.id.clone(), of);
            }
            Row::App(of) if self.keys.contains_key(&of.key) => {
                self.apps.insert(of.id.clone(), of);
            }
            Row::App(_) => return false,
            Row::File(file) => return self.put_file(*file),
            other => return self.put_of_organization(other),
        }
        true
    }

    fn put_of_organization(&mut self, row: Row) -> bool {
        let [organization, ..] = row.key();
        let known = self
            .organizations
            .keys()
            .any(|id| id.as_str() == organization);
        match row {
            Row::ApiKey(of) if self.organizations.contains_key(&of.organization) => {
                self.keys.insert(of.id.clone(), of);
                return true;
            }
            _ if !known => return false,
            Row::Space(of) => {
                let spaces = self.spaces.entry(of.organization.clone()).or_default();
                spaces.insert(of.id.clone(), of);
            }
            Row::Folder(of) => self.put_folder(of),
            Row::FolderMember {
                organization,
                folder,
                member,
            } => {
                let is_known = self.organizations.contains_key(&member);
                return match self.folder_mut(&organization, &folder) {
                    Ok(folder) if is_known => {
                        folder.members.insert(member);
                        true
                    }
                    _ => false,
                };
            }
            Row::FolderFile {
                organization,
                folder,
                file,
            } => {
                let is_known = self
                    .files
                    .contains_key(&(organization.clone(), file.clone()));
                return match self.folder_mut(&organization, &folder) {
                    Ok(folder) if is_known => {
                        folder.files.insert(file);
                        true
                    }
                    _ => false,
                };
            }
            other => return self.put_of_link(other),
        }
        true
    }

    fn put_of_link(&mut self, row: Row) -> bool {
        match row {
            Row::DeniedLink {
                organization,
                link,
                expires,
            } => {
                let denied = self.denied.entry(organization).or_default();
                denied.insert(link, expires);
            }
            Row::FileCount {
                organization,
                file,
                counts,
            } => {
                let key = (organization, file);
                if !self.files.contains_key(&key) {
                    return false;
                }
                self.file_counts.insert(key, counts);
            }
            Row::IdempotencyKey(of) => {
                self.idempotency_keys.insert(key_of(&of.claim), of);
            }
            Row::LinkCount {
                organization,
                link,
                expires,
                counts,
            } => {
                let key = (organization, link);
                self.link_counts.insert(key, (expires, counts));
            }
            _ => return false,
        }
        true
    }

    fn put_folder(&mut self, of: Folder) {
        let folders = self.folders.entry(of.organization.clone()).or_default();
        let (members, files) = match folders.remove(&of.id) {
            Some(before) => (before.members, before.files),
            None => Default::default(),
        };
        let folder = super::rows::SharedFolder {
            folder: of,
            members,
            files,
        };
        folders.insert(folder.folder.id.clone(), folder);
    }

    fn put_file(&mut self, file: FileRecord) -> bool {
        let spaces = self.spaces.get(&file.organization);
        if !spaces.is_some_and(|spaces| spaces.contains_key(&file.space)) {
            return false;
        }
        let key = (file.organization.clone(), file.id.clone());
        if let Some(before) = self.files.remove(&key) {
            self.uncount(&before);
        }
        if file.state == FileState::Ready {
            let listed = self.ready.entry(file.organization.clone()).or_default();
            listed.insert(super::rows::place(&file), file.id.clone());
        }
        if !is_swept(&file) {
            let kept = self.kept.entry(file.organization.clone()).or_default();
            kept.add(&file);
        }
        self.files.insert(key, file);
        true
    }

    fn uncount(&mut self, file: &FileRecord) {
        if let Some(listed) = self.ready.get_mut(&file.organization) {
            listed.remove(&super::rows::place(file));
        }
        if !is_swept(file) {
            let kept = self.kept.entry(file.organization.clone()).or_default();
            kept.take(file);
        }
    }

    /// Takes the row of this key away; `false` where there is none.
    fn take(&mut self, row: &Row) -> bool {
        match row {
            Row::Organization(of) => self.organizations.remove(&of.id).is_some(),
            Row::Space(of) => {
                let spaces = self.spaces.get_mut(&of.organization);
                spaces.is_some_and(|spaces| spaces.remove(&of.id).is_some())
            }
            Row::ApiKey(of) => self.keys.remove(&of.id).is_some(),
            Row::App(of) => self.apps.remove(&of.id).is_some(),
            Row::Folder(of) => {
                let folders = self.folders.get_mut(&of.organization);
                folders.is_some_and(|folders| folders.remove(&of.id).is_some())
            }
            Row::File(of) => self.take_file(of),
            Row::FolderMember {
                organization,
                folder,
                member,
            } => {
                let folder = self.folder_mut(organization, folder);
                folder.is_ok_and(|folder| folder.members.remove(member))
            }
            Row::FolderFile {
                organization,
                folder,
                file,
            } => {
                let folder = self.folder_mut(organization, folder);
                folder.is_ok_and(|folder| folder.files.remove(file))
            }
            Row::DeniedLink {
                organization, link, ..
            } => {
                let denied = self.denied.get_mut(organization);
                denied.is_some_and(|denied| denied.remove(link).is_some())
            }
            Row::FileCount {
                organization, file, ..
            } => {
                let key = (organization.clone(), file.clone());
                self.file_counts.remove(&key).is_some()
            }
            Row::IdempotencyKey(of) => self.idempotency_keys.remove(&key_of(&of.claim)).is_some(),
            Row::LinkCount {
                organization, link, ..
            } => self
                .link_counts
                .remove(&(organization.clone(), *link))
                .is_some(),
        }
    }

    fn take_file(&mut self, of: &FileRecord) -> bool {
        let key = (of.organization.clone(), of.id.clone());
        let Some(file) = self.files.remove(&key) else {
            return false;
        };
        self.uncount(&file);
        self.file_counts.remove(&key);
        for folder in self.folders.get_mut(&of.organization).into_iter().flatten() {
            folder.1.files.remove(&of.id);
        }
        true
    }
}
