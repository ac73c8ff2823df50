//! Explanations for an operator that a client may not see: why a link does not open, and what became of a file.

use std::net::IpAddr;

use super::Gateway;
use super::refusal::Refusal;
use super::shares::{ShareManager, ShareView};
use crate::blob::BlobError;
use crate::catalog::{Filter, Place, Position};
use crate::model::address::FileRef;
use crate::model::file::{FileRecord, FileState, Purpose};
use crate::model::id::{FileId, OrganizationId};
use crate::sign::share_code::ShareCode;
use crate::sign::ticket::TicketAttempt;
use crate::sign::url::{ShareUrl, SignedUrl};
use crate::sign::verify::Rejection;

/// The explanation of a signed URL: it does what its kind does, or the reason why it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is good now: a link opens, a counted one may start a download, a ticket is good for one.
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

/// The explanation of a share's URL.
#[derive(Debug)]
pub struct ExplainedShare {
    /// It opens, or the reason why it does not.
    pub verdict: Verdict,
    /// The share whose code it has, whatever keeps that from opening. One that was rotated is found by its new code alone.
    pub share: Option<ShareView>,
}

impl Gateway {
    /// Says what a request with the URL of a share, or of a ticket below it, would meet, its password and the number of its
    /// downloads aside. Changes nothing. For an operator, as [`Gateway::explain_url`].
    ///
    /// # Errors
    /// The refusal of the catalogue.
    pub async fn explain_share(
        &self,
        url: &ShareUrl<'_>,
        client: Option<IpAddr>,
    ) -> Result<ExplainedShare, Refusal> {
        let rejected = |rejection| ExplainedShare {
            verdict: Verdict::Rejected(rejection),
            share: None,
        };
        let revocations = self.refresh().await?;
        let Some(code) = ShareCode::parse(url.code) else {
            return Ok(rejected(Rejection::Malformed));
        };
        let Some(whole) = self.share_of_code(code.digest()).await? else {
            return Ok(rejected(Rejection::MacMismatch));
        };
        let row = &whole.share;
        let verified = self.verified_share(&code, row, client, &revocations);
        let verdict = match (verified, url.ticket) {
            (Err(rejection), _) => Verdict::Rejected(rejection),
            (Ok(_), None) => Verdict::Opens,
            (Ok(_), Some(ticket)) => {
                let attempt = TicketAttempt {
                    organization: row.organization.as_str(),
                    ticket,
                };
                let conditions = self.conditions(None, &revocations);
                let verified = self.keyring().explain_ticket(&attempt, &conditions);
                verified.map_or_else(Verdict::Rejected, |_| Verdict::Opens)
            }
        };
        let manager = ShareManager::Operator(row.organization.clone());
        Ok(ExplainedShare {
            verdict,
            share: Some(self.share(&manager, &row.id).await?),
        })
    }

    /// Says what a request with this URL would meet, in the order it would be met, and changes nothing. Of what is
    /// counted it knows nothing: neither whether a link has a download left, nor what became of a ticket's. For an
    /// operator, never for a request: it may cost a thousand times as much as one, and reads a file in place whose
    /// identity moved to its end.
    ///
    /// # Errors
    /// The refusal of the catalogue, or of the store where the bytes cannot be looked at.
    pub async fn explain_url(
        &self,
        url: &SignedUrl<'_>,
        client: Option<IpAddr>,
    ) -> Result<Verdict, Refusal> {
        let revocations = self.refresh().await?;
        let conditions = self.conditions(client, &revocations);
        let keyring = self.keyring();
        let good = match url {
            SignedUrl::Download(link) => {
                let verified = keyring.explain(link, &conditions);
                verified.map(|verified| Some(verified.file()))
            }
            SignedUrl::Counted(link) => {
                let verified = keyring.explain_counted(link, &conditions);
                verified.map(|verified| Some(verified.file()))
            }
            SignedUrl::Ticket(ticket) => {
                let verified = keyring.explain_ticket(ticket, &conditions);
                verified.map(|_| None)
            }
        };
        match good {
            Ok(Some(file)) => self.explain_file(file).await,
            Ok(None) => Ok(Verdict::Opens),
            Err(rejection) => Ok(Verdict::Rejected(rejection)),
        }
    }

    /// Says what a good link of this file would meet.
    async fn explain_file(&self, file: FileRef<'_>) -> Result<Verdict, Refusal> {
        let at = file.to_address();
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
