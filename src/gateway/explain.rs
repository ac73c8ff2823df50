//! Explanations for an operator that a client may not see: why a link does not open, and what became of a file.

use super::Gateway;
use super::download::LinkRequest;
use super::refusal::Refusal;
use crate::blob::BlobError;
use crate::catalog::{Filter, Place, Position};
use crate::model::file::{FileRecord, FileState, Purpose};
use crate::model::id::{FileId, OrganizationId};
use crate::sign::keyring::Keyring;
use crate::sign::verify::Rejection;

/// The explanation of a link: it opens, or the reason why it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It opens now.
    Opens,
    /// The verifier turns it down.
    Rejected(Rejection),
    /// It is good, and there is no such file.
    FileMissing,
    /// It is good, and its file was deleted.
    FileDeleted,
    /// It is good, and the bytes are not what they were: gone, cut, changed where they lie, or marked.
    FileDamaged,
}

impl Verdict {
    /// A word that stays the same from version to version.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Opens => "ok",
            Self::Rejected(rejection) => rejection.label(),
            Self::FileMissing => "file_missing",
            Self::FileDeleted => "file_deleted",
            Self::FileDamaged => "file_damaged",
        }
    }
}

impl Gateway {
    /// Says what a download with this link would meet, in the order it would be met, and changes nothing. For an
    /// operator, never for a request: it may cost a thousand times as much as one, and reads a file in place whose
    /// identity moved to its end.
    ///
    /// # Errors
    /// The refusal of the catalogue, or of the store where the bytes cannot be looked at.
    pub async fn explain_link(&self, request: &LinkRequest<'_>) -> Result<Verdict, Refusal> {
        let revocations = self.refresh().await?;
        let verified = match self.judge(request, &revocations, Keyring::explain) {
            Ok(verified) => verified,
            Err(rejection) => return Ok(Verdict::Rejected(rejection)),
        };
        let at = verified.file().to_address();
        let found = self.file_in_any_state(&at.organization, &at.file).await?;
        let Some(file) = found else {
            return Ok(Verdict::FileMissing);
        };
        if file.state != FileState::Ready {
            return Ok(Verdict::FileDeleted);
        }
        if file.damaged_at.is_some() {
            return Ok(Verdict::FileDamaged);
        }
        match self.check_bytes(&file).await {
            Ok(()) => Ok(Verdict::Opens),
            Err(BlobError::Damaged { what }) => {
                tracing::warn!(what, "the bytes are damaged");
                Ok(Verdict::FileDamaged)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The file, deleted or not, as long as its id is taken.
    pub async fn file_in_any_state(
        &self,
        organization: &OrganizationId,
        id: &FileId,
    ) -> Result<Option<FileRecord>, Refusal> {
        let found = self.catalog.file(organization, id);
        let mut found = self.read_of(organization, found).await?;
        if let Some(file) = &mut found {
            file.state = file.state_at(self.clock.now());
        }
        Ok(found)
    }

    /// Up to `limit` ready files of an organization, newest first, from the one after `last` on, or from
    /// the newest. A caller goes through all of them by handing in the last of each page.
    pub async fn page_after(
        &self,
        organization: &OrganizationId,
        purpose: Option<Purpose>,
        last: Option<&FileRecord>,
        limit: u32,
    ) -> Result<Vec<FileRecord>, Refusal> {
        let after = last.map(|file| Position {
            created_at: file.created_at,
            id: file.id.as_str().to_owned(),
        });
        let place = after.as_ref().map_or(Place::Newest, Place::After);
        let (filter, now) = (Filter::of_purpose(purpose), self.clock.now());
        let page = self.catalog.page(organization, filter, place, limit, now);
        self.list_of(organization, page).await
    }
}
