//! Organizations, spaces, shared folders and API keys: what an operator makes.

use super::Gateway;
use super::principal::{api_key_digest, is_api_key};
use super::refusal::{FieldFault, Refusal, SPACE};
use crate::catalog::{Catalog, CatalogError};
use crate::model::file::FileState;
use crate::model::id::{ApiKeyId, FileId, FolderId, OrganizationId, SpaceId};
use crate::model::key::{ApiKey, ApiKeyState, Scopes};
use crate::model::tenancy::{Folder, Organization, Space};
use crate::model::time::UnixSeconds;

/// The beginning of every API key that we draw ourselves.
const API_KEY_PREFIX: &str = "hp_";

/// An API key that is to be made.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// The organization it acts for.
    pub organization: OrganizationId,
    /// A person's word for it.
    pub name: String,
    /// The scopes of the key.
    pub scopes: Scopes,
    /// The seconds that it works for; `None` for ever.
    pub expires_in: Option<u64>,
    /// The key's text where an operator brings one: 1 to 256 visible ASCII characters. Else one is drawn.
    pub text: Option<String>,
}

/// The longest name of an organization, a space, a folder or an API key, in characters.
pub const NAME_CHARS_MAX: usize = 200;

/// Makes `org_default`, with which an empty installation starts. One that is there already is no error:
/// another process was quicker.
pub async fn create_default_organization(
    catalog: &dyn Catalog,
    now: UnixSeconds,
) -> Result<(), Refusal> {
    let id = OrganizationId::default_organization();
    let organization = Organization {
        id,
        name: String::new(),
        epoch: 0,
        created_at: now,
    };
    match catalog.create_organization(&organization).await {
        Ok(()) | Err(CatalogError::Conflict { .. }) => Ok(()),
        Err(error) => Err(Refusal::of_catalogue(error)),
    }
}

impl Gateway {
    /// Makes an organization with its default space. Without an id one is drawn.
    pub async fn create_organization(
        &self,
        id: Option<OrganizationId>,
        name: String,
    ) -> Result<Organization, Refusal> {
        let id = id.map_or_else(|| drawn_id("org", OrganizationId::parse), Ok)?;
        let organization = Organization {
            id,
            name: checked_name(name)?,
            epoch: 0,
            created_at: self.clock.now(),
        };
        self.ask(self.catalog.create_organization(&organization))
            .await?;
        Ok(organization)
    }

    /// All organizations, ordered by id.
    pub async fn organizations(&self) -> Result<Vec<Organization>, Refusal> {
        self.ask(self.catalog.organizations()).await
    }

    /// The organization of this id.
    pub async fn organization(&self, id: &OrganizationId) -> Result<Organization, Refusal> {
        let found = self.ask(self.catalog.organization(id)).await?;
        found.ok_or(Refusal::Missing {
            what: "the organization",
        })
    }

    /// Makes a space. Without an id one is drawn.
    pub async fn create_space(
        &self,
        organization: OrganizationId,
        id: Option<SpaceId>,
        name: String,
    ) -> Result<Space, Refusal> {
        let id = id.map_or_else(|| drawn_id("space", SpaceId::parse), Ok)?;
        let space = Space {
            organization,
            id,
            name: checked_name(name)?,
            created_at: self.clock.now(),
        };
        self.ask(self.catalog.create_space(&space)).await?;
        Ok(space)
    }

    /// The space of this id.
    pub async fn space(
        &self,
        organization: &OrganizationId,
        id: &SpaceId,
    ) -> Result<Space, Refusal> {
        let found = self.catalog.space(organization, id);
        let found = self.read_of(organization, found).await?;
        found.ok_or(Refusal::Missing { what: SPACE })
    }

    /// The spaces of an organization, ordered by id.
    pub async fn spaces(&self, organization: &OrganizationId) -> Result<Vec<Space>, Refusal> {
        self.organization(organization).await?;
        self.ask(self.catalog.spaces(organization)).await
    }

    /// Makes a shared folder. Without an id one is drawn.
    pub async fn create_folder(
        &self,
        organization: OrganizationId,
        id: Option<FolderId>,
        name: String,
        mut members: Vec<OrganizationId>,
    ) -> Result<Folder, Refusal> {
        let id = id.map_or_else(|| drawn_id("folder", FolderId::parse), Ok)?;
        members.sort();
        members.dedup();
        let folder = Folder {
            organization,
            id,
            name: checked_name(name)?,
            members,
            created_at: self.clock.now(),
        };
        self.ask(self.catalog.create_folder(&folder)).await?;
        Ok(folder)
    }

    /// The shared folders of an organization, ordered by id.
    pub async fn folders(&self, organization: &OrganizationId) -> Result<Vec<Folder>, Refusal> {
        self.organization(organization).await?;
        self.ask(self.catalog.folders(organization)).await
    }

    /// The ids of the files in a folder.
    pub async fn folder_files(
        &self,
        organization: &OrganizationId,
        folder: &FolderId,
    ) -> Result<Vec<FileId>, Refusal> {
        self.ask(self.catalog.folder_files(organization, folder))
            .await
    }

    /// Puts files into a folder: all of them or none. One that is in it already stays.
    ///
    /// # Errors
    /// `Missing` for an unknown folder, `FileNotFound` for a file that is deleted, expired or was never there.
    pub async fn add_to_folder(
        &self,
        organization: &OrganizationId,
        folder: &FolderId,
        files: &[FileId],
    ) -> Result<(), Refusal> {
        let now = self.clock.now();
        for id in files {
            // The catalogue has no clock: to it, a file that is expired is there until it is marked.
            let file = self.ask(self.catalog.file(organization, id)).await?;
            if file.is_some_and(|file| file.state_at(now) != FileState::Ready) {
                return Err(Refusal::FileNotFound);
            }
        }
        self.ask(self.catalog.add_to_folder(organization, folder, files))
            .await
    }

    /// Takes files out of a folder.
    pub async fn remove_from_folder(
        &self,
        organization: &OrganizationId,
        folder: &FolderId,
        files: &[FileId],
    ) -> Result<(), Refusal> {
        self.ask(self.catalog.remove_from_folder(organization, folder, files))
            .await
    }

    /// Lets organizations mint links for a folder's files: all of them or none.
    pub async fn share_folder(
        &self,
        organization: &OrganizationId,
        folder: &FolderId,
        members: &[OrganizationId],
    ) -> Result<(), Refusal> {
        self.ask(self.catalog.share_folder(organization, folder, members))
            .await
    }

    /// Ends that.
    pub async fn unshare_folder(
        &self,
        organization: &OrganizationId,
        folder: &FolderId,
        members: &[OrganizationId],
    ) -> Result<(), Refusal> {
        self.ask(self.catalog.unshare_folder(organization, folder, members))
            .await
    }

    /// Makes an API key and answers it with its text, which is kept nowhere.
    pub async fn create_api_key(&self, new: NewApiKey) -> Result<(ApiKey, String), Refusal> {
        let (key, text) = self.new_api_key(new).await?;
        let create = self.catalog.create_api_key(&key);
        self.ask(self.changing(create)).await?;
        Ok((key, text))
    }

    /// An API key that is not in the catalogue yet, and its text.
    pub(super) async fn new_api_key(&self, new: NewApiKey) -> Result<(ApiKey, String), Refusal> {
        self.organization(&new.organization).await?;
        let text = match new.text {
            Some(text) => text,
            None => drawn_api_key()?,
        };
        if !is_api_key(&text) {
            // The value is a secret: it is not repeated.
            let why = "must be 1 to 256 visible ASCII characters";
            return Err(FieldFault::missing("api_key", why).into());
        }
        let now = self.clock.now();
        let key = ApiKey {
            id: ApiKeyId::from_random(random()?),
            organization: new.organization,
            name: checked_name(new.name)?,
            digest: api_key_digest(&text),
            scopes: new.scopes,
            state: ApiKeyState::Active,
            created_at: now,
            expires_at: new.expires_in.map(|seconds| now.plus(seconds)),
        };
        Ok((key, text))
    }

    /// The API keys of one organization, or of all.
    pub async fn api_keys(
        &self,
        organization: Option<&OrganizationId>,
    ) -> Result<Vec<ApiKey>, Refusal> {
        self.ask(self.catalog.api_keys(organization)).await
    }

    /// Pauses, resumes or deactivates an API key. A deactivated one stays so.
    pub async fn set_api_key_state(
        &self,
        id: &ApiKeyId,
        state: ApiKeyState,
    ) -> Result<ApiKey, Refusal> {
        let change = self.catalog.set_api_key_state(id, state);
        self.ask(self.changing(change)).await
    }
}

/// `N` bytes from the operating system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Refusal::Internal(format!("drawing random bytes: {error}")))?;
    Ok(bytes)
}

fn drawn_id<T, E: std::fmt::Display>(
    prefix: &str,
    parse: fn(&str) -> Result<T, E>,
) -> Result<T, Refusal> {
    let text = format!("{prefix}_{}", crate::model::digest::hex(&random::<16>()?));
    parse(&text).map_err(|error| Refusal::Internal(error.to_string()))
}

/// `hp_` and 43 base64url characters of 32 random bytes.
fn drawn_api_key() -> Result<String, Refusal> {
    use base64::Engine as _;
    let text = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(random::<32>()?);
    Ok(format!("{API_KEY_PREFIX}{text}"))
}

fn checked_name(name: String) -> Result<String, FieldFault> {
    let good = name.chars().count() <= NAME_CHARS_MAX && !name.chars().any(char::is_control);
    let why = "must have at most 200 characters, and no control characters";
    if good {
        Ok(name)
    } else {
        Err(FieldFault::new("name", name, why))
    }
}
