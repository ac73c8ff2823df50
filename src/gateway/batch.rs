//! Minting for many files in one call.

use std::collections::HashMap;
use std::sync::Arc;

use super::Gateway;
use super::cache::SpaceAddress;
use super::mint::{MintOptions, Minted};
use super::principal::Principal;
use super::refusal::{FOLDER, Refusal, SPACE};
use crate::catalog::batch::SharedFiles;
use crate::model::address::FileRef;
use crate::model::disposition::Disposition;
use crate::model::file::{FileRecord, FileState};
use crate::model::id::{FileId, FolderId, OrganizationId, SpaceId};
use crate::model::name::FileName;
use crate::model::time::UnixSeconds;

/// The files and options of one batch mint. Texts are as they were sent; one that is no id names nothing.
#[derive(Clone, Copy, Debug)]
pub struct BatchRequest<'a> {
    /// The shared folder to look into instead of the space.
    pub folder: Option<&'a str>,
    /// The space to look into. With a folder it may be one of the folder's owner, too.
    pub space: &'a str,
    /// The files, in the order of the outcomes. One that is there twice is minted twice.
    pub files: &'a [String],
    /// The options of every link.
    pub options: &'a MintOptions,
    /// The disposition that the caller's API dialect signs unless told otherwise.
    pub default_disposition: Option<Disposition>,
}

/// The result of minting a link for one file of a batch.
#[derive(Clone, Debug)]
pub enum BatchOutcome {
    /// Here is its signed URL.
    Minted(Minted),
    /// So many of its links were revoked that none can be made now, or all were and that is not written yet.
    Exhausted(FileName),
    /// It lies in the recycle bin.
    Deleted(FileName),
    /// It does not lie in the space, or in the folder, that was named.
    Elsewhere,
    /// There is no such file.
    Unknown,
}

/// The space or folder that a batch looks into, with the rows that were found: each at the place of its file in the
/// batch.
enum Searched {
    Space(SpaceId, Vec<Option<Arc<FileRecord>>>),
    Folder(Vec<Option<Arc<FileRecord>>>),
}

impl Gateway {
    /// Mints a signed URL for each file, each for the organization that the file belongs to. The
    /// catalogue is asked for the place, and for all the files at once that are not in memory: as often
    /// for a hundred files as for one. Who lies in a folder is asked every time.
    ///
    /// A wrong option, and a folder or a space that the caller cannot see, refuse the call as a whole;
    /// one file's outcome never touches another's.
    pub async fn mint_batch(
        &self,
        caller: &Principal,
        batch: &BatchRequest<'_>,
    ) -> Result<Vec<BatchOutcome>, Refusal> {
        let terms = self.terms(batch.options, batch.default_disposition)?;
        let searched = match batch.folder {
            Some(folder) => self.search_folder(caller, folder, batch).await?,
            None => self.search_space(caller, batch).await?,
        };
        let known = self.current().await?;
        let now = self.clock.now();
        let mut sealer = None;
        let mint_one = |row: &Option<Arc<FileRecord>>| {
            let file = match searched.ready(row.as_ref(), now) {
                Ok(file) => file,
                Err(outcome) => return Ok(outcome),
            };
            // All of them are of one organization: the caller's, or the owner of the folder.
            let sealer =
                sealer.get_or_insert_with(|| self.sealer(&file.organization, &known.revocations));
            match self.seal(&terms, Arc::clone(file), sealer) {
                Ok(minted) => Ok(BatchOutcome::Minted(minted)),
                Err(Refusal::Limit { .. } | Refusal::RevocationHeld) => {
                    Ok(BatchOutcome::Exhausted(file.name.clone()))
                }
                Err(refusal) => Err(refusal),
            }
        };
        searched.rows().iter().map(mint_one).collect()
    }

    async fn search_space(
        &self,
        caller: &Principal,
        batch: &BatchRequest<'_>,
    ) -> Result<Searched, Refusal> {
        let space = SpaceId::parse(batch.space).map_err(|_| Refusal::Missing { what: SPACE })?;
        if !self.has_space(&caller.organization, &space).await? {
            return Err(Refusal::Missing { what: SPACE });
        }
        let files = self.rows(&caller.organization, batch.files).await?;
        Ok(Searched::Space(space, files))
    }

    /// The files of these texts, each at its text's place, as far as the organization has them: in whatever state; ready
    /// ones perhaps from memory.
    pub(super) async fn rows(
        &self,
        organization: &OrganizationId,
        texts: &[impl AsRef<str>],
    ) -> Result<Vec<Option<Arc<FileRecord>>>, Refusal> {
        let at = self.rows_at();
        let mut unknown = Vec::new();
        let mut rows = Vec::with_capacity(texts.len());
        for text in texts {
            let file = FileRef::parse_file(organization, text.as_ref()).ok();
            let kept = file.and_then(|file| self.cache.files.get(&file, at));
            if let (Some(file), None) = (file, &kept) {
                unknown.push(file.to_address().file);
            }
            rows.push(kept);
        }
        if unknown.is_empty() {
            return Ok(rows);
        }
        let found = self.catalog.files(organization, &unknown);
        let mut read = Vec::new();
        for found in self.read_of(organization, found).await? {
            let found = Arc::new(found);
            if found.state == FileState::Ready {
                self.cache.keep_file(&found, at);
            }
            read.push(found);
        }
        let read = by_id(&read);
        let missing = rows.iter_mut().zip(texts).filter(|(row, _)| row.is_none());
        for (row, text) in missing {
            *row = read.get(text.as_ref()).copied().cloned();
        }
        Ok(rows)
    }

    async fn search_folder(
        &self,
        caller: &Principal,
        folder: &str,
        batch: &BatchRequest<'_>,
    ) -> Result<Searched, Refusal> {
        let folder = FolderId::parse(folder).map_err(|_| Refusal::Missing { what: FOLDER })?;
        let ids = batch.files.iter().map(|text| FileId::parse(text));
        let ids: Vec<FileId> = ids.filter_map(Result::ok).collect();
        let organization = &caller.organization;
        let found = self.catalog.shared_files(organization, &folder, &ids);
        let found = self.read_of(organization, found).await?;
        let SharedFiles { owner, files } = found.ok_or(Refusal::Missing { what: FOLDER })?;
        let space = SpaceId::parse(batch.space).map_err(|_| Refusal::Missing { what: SPACE })?;
        if self.has_space(organization, &space).await? || self.has_space(&owner, &space).await? {
            let files: Vec<_> = files.into_iter().map(Arc::new).collect();
            let found = by_id(&files);
            let row = |text: &String| found.get(text.as_str()).copied().cloned();
            Ok(Searched::Folder(batch.files.iter().map(row).collect()))
        } else {
            Err(Refusal::Missing { what: SPACE })
        }
    }

    async fn has_space(
        &self,
        organization: &OrganizationId,
        space: &SpaceId,
    ) -> Result<bool, Refusal> {
        let at = self.rows_at();
        let address = SpaceAddress {
            organization: organization.clone(),
            space: space.clone(),
        };
        if self.cache.spaces.get(&address, at).is_some() {
            return Ok(true);
        }
        let look = || async {
            let found = self.catalog.space(organization, space);
            let found = self.read_of(organization, found).await?;
            if found.is_some() {
                self.cache.spaces.keep_row(address.clone(), (), at);
            }
            Ok(found.map(drop))
        };
        let flights = &self.cache.spaces.flights;
        let found = flights.read(address.clone(), at, look).await?;
        Ok(found.is_some())
    }
}

impl Searched {
    fn rows(&self) -> &[Option<Arc<FileRecord>>] {
        let (Self::Space(_, rows) | Self::Folder(rows)) = self;
        rows
    }

    /// Returns a file that a link can be minted for, or else its outcome. A file outside a folder is elsewhere,
    /// whether it exists or not: a member of the folder may not learn what else its owner has.
    fn ready<'a>(
        &self,
        found: Option<&'a Arc<FileRecord>>,
        now: UnixSeconds,
    ) -> Result<&'a Arc<FileRecord>, BatchOutcome> {
        let file = found.ok_or(match self {
            Self::Space(..) => BatchOutcome::Unknown,
            Self::Folder(_) => BatchOutcome::Elsewhere,
        })?;
        match self {
            _ if matches!(file.state, FileState::Swept { .. }) => Err(BatchOutcome::Unknown),
            Self::Space(space, _) if file.space != *space => Err(BatchOutcome::Elsewhere),
            _ if file.state_at(now) == FileState::Ready => Ok(file),
            _ => Err(BatchOutcome::Deleted(file.name.clone())),
        }
    }
}

fn by_id(files: &[Arc<FileRecord>]) -> HashMap<&str, &Arc<FileRecord>> {
    files.iter().map(|file| (file.id.as_str(), file)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::catalog::Catalog as _;
    use crate::catalog::testing::TestCatalog;
    use crate::gateway::testing::{NOW, gateway, memory_blobs};
    use crate::model::digest::Sha256Digest;
    use crate::model::file::{BlobLocation, Purpose};
    use crate::model::id::{ApiKeyId, BlobKey};
    use crate::model::key::Scopes;
    use crate::model::media::MediaType;
    use crate::model::metadata::Metadata;
    use crate::model::tenancy::{Folder, Organization};
    use crate::sign::claims::LinkKind as _;
    use crate::sign::counted::{MaxDownloads, RedeemMethod};
    use crate::sign::url::{self, SignedUrl};

    fn organization(id: &str) -> OrganizationId {
        OrganizationId::parse(id).unwrap()
    }

    fn caller(id: &str) -> Principal {
        Principal {
            key: ApiKeyId::from_random([1; 16]),
            organization: organization(id),
            scopes: Scopes::USUAL,
        }
    }

    /// Files `f0` to `f99` of `owner`, all in a folder that is shared with `friend`.
    async fn filled() -> (Arc<TestCatalog>, Vec<String>) {
        let catalog = Arc::new(TestCatalog::new().await);
        let now = UnixSeconds::new(NOW).unwrap();
        for id in ["owner", "friend"] {
            let made = Organization {
                id: organization(id),
                name: String::new(),
                created_at: now,
                epoch: 0,
            };
            catalog.create_organization(&made).await.unwrap();
        }
        let ids: Vec<String> = (0..100).map(|number| format!("f{number}")).collect();
        let record = |id: &String| FileRecord {
            organization: organization("owner"),
            id: FileId::parse(id).unwrap(),
            space: SpaceId::default_space(),
            name: FileName::from_client("x.txt").unwrap(),
            media_type: MediaType::parse("text/plain").unwrap(),
            purpose: Purpose::UserUpload,
            metadata: Metadata::default(),
            size: 1,
            sha256: Some(Sha256Digest::new([0; 32])),
            location: BlobLocation::Stored(BlobKey::from_random([0; 16])),
            created_at: now,
            updated_at: now,
            state: FileState::Ready,
            link_revision: 0,
            is_text: None,
            crc32: None,
            expires_at: None,
            damaged_at: None,
            uploaded_by: None,
        };
        let files: Vec<FileRecord> = ids.iter().map(record).collect();
        catalog.add_files(&files).await.unwrap();
        let folder = Folder {
            organization: organization("owner"),
            id: FolderId::parse("folder").unwrap(),
            name: String::new(),
            members: vec![organization("friend")],
            created_at: now,
        };
        catalog.create_folder(&folder).await.unwrap();
        let all: Vec<FileId> = files.into_iter().map(|file| file.id).collect();
        let put = catalog.add_to_folder(&folder.organization, &folder.id, &all);
        put.await.unwrap();
        (catalog, ids)
    }

    #[tokio::test]
    async fn a_hundred_files_cost_the_catalogue_as_many_calls_as_one() {
        let (catalog, ids) = filled().await;
        let gateway = gateway(Arc::clone(&catalog) as _, memory_blobs());
        let calls = async |who: &str, folder: Option<&str>, files: &[String]| {
            let batch = BatchRequest {
                folder,
                space: "space_default",
                files,
                options: &MintOptions::default(),
                default_disposition: None,
            };
            catalog.calls();
            let outcomes = gateway.mint_batch(&caller(who), &batch).await.unwrap();
            let minted = |outcome: &BatchOutcome| matches!(outcome, BatchOutcome::Minted(_));
            assert!(outcomes.len() == files.len() && outcomes.iter().all(minted));
            catalog.calls()
        };
        // The first call learns what was revoked, the second where the space is.
        calls("owner", None, &ids[..1]).await;
        calls("owner", None, &ids[..1]).await;
        assert_eq!(calls("owner", None, &ids).await, 1, "for those not known");
        assert_eq!(calls("owner", None, &ids).await, 0, "all of them are");
        // Nor does whoever looks into a folder know it by heart.
        calls("friend", Some("folder"), &ids[..1]).await;
        let one = calls("friend", Some("folder"), &ids[..1]).await;
        assert_eq!(one, 1);
        assert_eq!(calls("friend", Some("folder"), &ids).await, one);
    }

    /// A counted link is one of its own: two of one file share neither their id nor what they allow, and no end is
    /// rounded for them.
    #[tokio::test]
    async fn each_file_has_a_counted_link_of_its_own() {
        let (catalog, ids) = filled().await;
        let mut gateway = gateway(catalog, memory_blobs());
        gateway.settings.expiry_window = 1_000;
        gateway.settings.name_in_url = true;
        let files = [ids[0].clone(), ids[0].clone(), ids[1].clone()];
        let options = MintOptions {
            max_downloads: MaxDownloads::parse("3"),
            redeem: Some(RedeemMethod::Get),
            ..MintOptions::default()
        };
        let batch = BatchRequest {
            folder: None,
            space: "space_default",
            files: &files,
            options: &options,
            default_disposition: Some(Disposition::Attachment),
        };
        let mut link_ids = HashSet::new();
        for outcome in gateway.mint_batch(&caller("owner"), &batch).await.unwrap() {
            let BatchOutcome::Minted(minted) = outcome else {
                panic!("{outcome:?}")
            };
            let url = minted.download_url;
            let Some(SignedUrl::Counted(link)) = url::parse(&url) else {
                panic!("{url} is no counted link")
            };
            assert_eq!(minted.expires.get(), NOW + 3_600);
            let known = gateway.refresh().await.unwrap();
            let conditions = gateway.conditions(None, &known);
            let keyring = gateway.keyring();
            let verified = keyring.verify_counted(&link, &conditions).unwrap();
            assert_eq!(verified.claims().max_downloads().get(), 3);
            assert_eq!(verified.claims().redeem(), RedeemMethod::Get);
            let disposition = verified.claims().plain().content_disposition();
            assert_eq!(disposition, Some("attachment; filename=\"x.txt\""));
            assert!(keyring.verify(&link, &conditions).is_err());
            link_ids.insert(minted.link_id);
        }
        assert_eq!(link_ids.len(), files.len());
        let alone = MintOptions {
            redeem: Some(RedeemMethod::Post),
            ..MintOptions::default()
        };
        let refused = gateway.mint(&caller("owner"), &ids[0], &alone).await;
        assert!(
            matches!(&refused, Err(Refusal::Field(fault)) if fault.field == "redeem"),
            "{refused:?}"
        );
    }
}
