//! The rows of counted downloads and their allowances: what they say, and those that a start makes.

use super::allowance;
use super::fault::Fault;
use super::rows::{self, Row};
use crate::catalog::redemptions::{Allowance, CountedLink, NewTicket, Redeem, Redemption};
use crate::model::id::FileId;
use crate::model::redemption::{DownloadCounts, RedemptionState};
use crate::model::revocation::LinkId;

/// Reads a row of `redemption`.
pub(super) fn redemption(row: Row<'_>) -> Result<Redemption, Fault> {
    Ok(Redemption {
        organization: rows::organization_id(row, "organization")?,
        subject: rows::subject(row)?,
        ticket: new_ticket(row)?,
        file: rows::optional(row, "file", |text: &str| FileId::parse(text).ok())?,
        size: rows::number(row, "size")?,
        client: rows::optional(row, "client", |bytes: &[u8]| bytes.try_into().ok())?,
        starter: rows::optional(row, "starter", |bytes: &[u8]| bytes.try_into().ok())?,
        opened_at: rows::time(row, "opened_at")?,
        last_at: rows::time(row, "last_at")?,
        bytes_sent: rows::number(row, "bytes_sent")?,
        state: rows::value(row, "state", RedemptionState::parse)?,
        done_at: rows::optional(row, "done_at", rows::unix_seconds)?,
        pass_revision: rows::optional_number(row, "pass_revision")?,
        first_at: rows::optional(row, "first_at", rows::unix_seconds)?,
    })
}

/// Reads the ticket of a row of `redemption`.
pub(super) fn new_ticket(row: Row<'_>) -> Result<NewTicket, Fault> {
    Ok(NewTicket {
        rid: rows::redemption_id(row)?,
        kid: rows::text(row, "kid")?,
        expires: rows::time(row, "expires")?,
    })
}

/// Reads a row of `allowance`.
pub(super) fn allowance(row: Row<'_>) -> Result<Allowance, Fault> {
    allowance_of(row, ["file", "kid", "expires"])
}

/// Reads an allowance beside other columns of these names.
pub(super) fn allowance_of(
    row: Row<'_>,
    [file, kid, expires]: [&'static str; 3],
) -> Result<Allowance, Fault> {
    let link_of = |id| {
        Ok::<_, Fault>(CountedLink {
            id,
            file: rows::file_id(row, file)?,
            link_revision: rows::number(row, "link_revision")?,
            claims: rows::text(row, "claims")?,
        })
    };
    let id = rows::optional(row, "link_id", LinkId::parse)?;
    Ok(Allowance {
        organization: rows::organization_id(row, "organization")?,
        subject: rows::subject(row)?,
        kid: rows::text(row, kid)?,
        epoch: rows::number(row, "epoch")?,
        link: id.map(link_of).transpose()?,
        allowed: rows::optional_number(row, "allowed")?,
        expires: rows::optional(row, expires, rows::unix_seconds)?,
        counts: allowance::counts(row)?,
        bytes: rows::number(row, "bytes")?,
    })
}

/// Returns a download that starts.
pub(super) fn redemption_for(of: &Redeem, state: RedemptionState) -> Redemption {
    Redemption {
        organization: of.organization.clone(),
        subject: of.subject.clone(),
        ticket: of.ticket.clone(),
        file: of.file.clone(),
        size: of.size,
        client: of.client,
        starter: of.starter,
        opened_at: of.now,
        last_at: of.now,
        bytes_sent: 0,
        state,
        done_at: (state == RedemptionState::Done).then_some(of.now),
        pass_revision: of.pass_revision,
        first_at: None,
    }
}

/// Returns the allowance that a subject's first download makes.
pub(super) fn allowance_for(of: &Redeem, counts: DownloadCounts) -> Allowance {
    let is_link = of.link.is_some();
    Allowance {
        organization: of.organization.clone(),
        subject: of.subject.clone(),
        kid: of.kid.clone(),
        epoch: of.epoch,
        link: of.link.clone(),
        allowed: is_link.then_some(of.allowed),
        expires: of.expires.filter(|_| is_link),
        counts,
        bytes: 0,
    }
}
