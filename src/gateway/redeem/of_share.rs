//! Starting a download of a share, and opening its ticket.
//!
//! A share says itself how often it may be downloaded, until when and with which password, and what it says may change
//! after a download was started: so its ticket opens only below the share's own address, and the share is judged anew at
//! each request. Where it has a password, whoever has the ticket alone gets nothing by it but within a minute of its
//! start, for the program that a browser or a person hands it to; later, its holder has the share's pass, or comes from
//! the network that started it.

use std::sync::Arc;

use super::open::{OpenedArchive, OpenedTicket, no_link};
use super::tickets::{TicketOf, TicketRow};
use super::{PreparedRedeem, Redeemer, TICKET_SECONDS_MAX, drawn_id};
use crate::catalog::redemptions::{NewTicket, Redeem};
use crate::gateway::Gateway;
use crate::gateway::refusal::Refusal;
use crate::gateway::share_access::UnlockedShare;
use crate::gateway::share_files::{
    archive_name, as_missing, ends, gives_archive, in_force, in_force_of_archive,
};
use crate::gateway::shares::OpenShare;
use crate::model::id::FileId;
use crate::model::redemption::Subject;
use crate::sign::ticket::{TicketAttempt, VerifiedTicket};

/// The time within which whoever has the ticket of a share with a password may use it without the pass, in seconds.
const FIRST_USE_SECONDS: u64 = 60;

/// What is to be started of a share.
#[derive(Clone, Copy, Debug)]
pub struct StartOfShare<'a> {
    /// The share, to which the client was let in.
    pub share: UnlockedShare<'a>,
    /// The number of one file of it; else it is its only file, or an archive of all.
    pub position: Option<u64>,
}

/// A request by a share's ticket, as it was sent.
#[derive(Clone, Copy, Debug)]
pub struct ShareTicketRequest<'a> {
    /// The share in the path.
    pub share: &'a OpenShare,
    /// The ticket in the path, not decoded.
    pub ticket: &'a str,
    /// True if the client was let in: it has the share's pass, or the share has no password.
    pub is_let_in: bool,
}

/// What is downloaded.
struct Target {
    /// The file; `None` of an archive.
    file: Option<FileId>,
    size: u64,
    name: String,
}

impl Gateway {
    /// Admits a start of a download of a share, and draws its id. Nothing is counted yet.
    ///
    /// # Errors
    /// `TooMany` as [`Gateway::prepare_redeem`]; `FileNotFound` for a file that is not there, and one by its number of a
    /// share that counts its downloads: each of those is of the whole share.
    pub async fn prepare_share_redeem(
        &self,
        start: StartOfShare<'_>,
        redeemer: &Redeemer<'_>,
    ) -> Result<PreparedRedeem, Refusal> {
        let open = start.share.open();
        let row = open.share();
        let subject = Subject::of_share(&row.id);
        self.limits.admit_redeem(&subject, redeemer.counted)?;
        let target = self.target(open, start.position).await?;
        let (rid, keyring, now) = (drawn_id()?, self.keyring(), self.clock.now());
        let key = (open.verified().kid(), open.verified().epoch());
        let client = redeemer.identity().and_then(|identity| {
            keyring.client_digest(key, &row.organization, &subject, identity.as_signed())
        });
        // Only a password asks who started a download.
        let starter = row.password.as_ref().and_then(|_| redeemer.prefix());
        let starter =
            starter.and_then(|prefix| keyring.starter_digest(key, &row.organization, rid, &prefix));
        let kid = keyring.active().clone();
        let redeem = Redeem {
            organization: row.organization.clone(),
            subject,
            kid: key.0.as_str().to_owned(),
            epoch: key.1,
            link: None,
            // The share's own row says both.
            allowed: row.allowed.unwrap_or(u64::MAX),
            expires: row.expires,
            ticket: NewTicket {
                rid,
                kid: kid.as_str().to_owned(),
                expires: ends(open).min(now.plus(TICKET_SECONDS_MAX)),
            },
            file: target.file,
            size: target.size,
            is_done_at_start: self.settings.counts_at_start,
            client,
            starter,
            pass_revision: Some(row.pass_revision),
            now,
        };
        Ok(PreparedRedeem {
            redeem,
            file: None,
            name: target.name,
            kid,
            link: open.link_id(),
        })
    }

    /// Finds what is to be started. An archive is measured as it is now.
    async fn target(&self, open: &OpenShare, position: Option<u64>) -> Result<Target, Refusal> {
        let position = match (position, open.files()) {
            (None, [only]) => only.position,
            (None, _) if gives_archive(open.share()) => {
                let archive = self.archive_of_share(open).await?;
                return Ok(Target {
                    file: None,
                    size: archive.layout().length(),
                    name: archive_name(open.share()).as_str().to_owned(),
                });
            }
            (Some(position), _) if open.share().allowed.is_none() => position,
            _ => return Err(Refusal::FileNotFound),
        };
        let shared = open.file(position).ok_or(Refusal::FileNotFound)?;
        let file = self.file_of_share(open, shared).await;
        let file = file.map_err(as_missing)?;
        Ok(Target {
            file: Some(shared.file.clone()),
            size: file.size,
            name: last_segment(&shared.path).to_owned(),
        })
    }

    /// Verifies the ticket of a share's download below the share's address. Nothing is changed.
    ///
    /// # Errors
    /// The refusal of a bad link, for whatever ended, and for the ticket of another share, of an earlier password, or of
    /// somebody else; `Unavailable` where the catalogue does not say.
    pub async fn verify_share_ticket(
        &self,
        request: &ShareTicketRequest<'_>,
        redeemer: &Redeemer<'_>,
    ) -> Result<OpenedTicket, Refusal> {
        let open = request.share;
        let row = open.share();
        let attempt = TicketAttempt {
            organization: row.organization.as_str(),
            ticket: request.ticket,
        };
        let verified = self.verify_any_ticket(&attempt, None).await?;
        let found = self.ticket_row(&verified).await?;
        let ticket = Arc::clone(&found.row);
        let redemption = &ticket.ticket.redemption;
        let is_of_share = redemption.subject == Subject::of_share(&row.id)
            && redemption.pass_revision == Some(row.pass_revision);
        if !is_of_share {
            return Err(no_link());
        }
        if !request.is_let_in {
            self.expect_starter(open, &ticket, redeemer)?;
        }
        self.expect_alive(&found)?;
        self.opened(open, ticket, &verified).await
    }

    /// Expects that a client without the pass is early, or comes from the network that started the download.
    fn expect_starter(
        &self,
        open: &OpenShare,
        ticket: &TicketRow,
        redeemer: &Redeemer<'_>,
    ) -> Result<(), Refusal> {
        let redemption = &ticket.ticket.redemption;
        if self.clock.now() < redemption.opened_at.plus(FIRST_USE_SECONDS) {
            return Ok(());
        }
        let key = (open.verified().kid(), open.verified().epoch());
        let of_client = redeemer.prefix().and_then(|prefix| {
            let (organization, rid) = (&redemption.organization, redemption.ticket.rid);
            self.keyring()
                .starter_digest(key, organization, rid, &prefix)
        });
        match (of_client, redemption.starter) {
            (Some(of_client), Some(starter)) if of_client == starter => Ok(()),
            _ => Err(no_link()),
        }
    }

    /// Returns the ticket as one that is good now, if the share still has its file. An archive has the files that the share
    /// has by now, and its download is measured as it was when it was started.
    async fn opened(
        &self,
        open: &OpenShare,
        ticket: Arc<TicketRow>,
        verified: &VerifiedTicket,
    ) -> Result<OpenedTicket, Refusal> {
        let (in_force, archive) = match &ticket.ticket.redemption.file {
            Some(file) => {
                let mut files = open.files().iter();
                let shared = files.find(|shared| shared.file == *file);
                let shared = shared.ok_or_else(no_link)?;
                self.file_of_share(open, shared).await?;
                (in_force(open, shared), None)
            }
            None if gives_archive(open.share()) => {
                let archive = OpenedArchive {
                    archive: self.archive_of_share(open).await?,
                    name: archive_name(open.share()),
                };
                (in_force_of_archive(open), Some(archive))
            }
            None => return Err(no_link()),
        };
        debug_assert!(
            matches!(ticket.of, TicketOf::Share),
            "its subject is a share"
        );
        Ok(OpenedTicket {
            kid: verified.kid().clone(),
            link: open.link_id(),
            share: Some(open.running()),
            in_force,
            archive,
            expires: verified.expires(),
            link_expires: ends(open),
            allowed: open.share().allowed.unwrap_or(u64::MAX),
            row: ticket,
        })
    }
}

/// The name of a file in the folders of a share.
fn last_segment(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
