//! Started downloads by their tickets, each with its subject's allowance.

use super::fault::Fault;
use super::redemption_rows::{allowance_of, redemption};
use super::rows::Row;
use super::session::{Session, query};
use crate::catalog::redemptions::Ticket;
use crate::model::id::OrganizationId;
use crate::model::redemption::RedemptionId;

/// Finds a download and the allowance of its subject.
pub(in crate::catalog) const TICKET: &str = "SELECT rid, redemption.organization AS organization, \
     redemption.subject AS subject, redemption.file AS file, size, client, opened_at, last_at, bytes_sent, state, \
     done_at, redemption.kid AS kid, redemption.expires AS expires, pass_revision, first_at, starter, \
     link_id, allowance.file AS link_file, allowance.kid AS link_kid, epoch, link_revision, claims, allowed, done, \
     open, lapsed_bytes, bytes, allowance.expires AS link_expires FROM redemption JOIN allowance \
     ON allowance.organization = redemption.organization AND allowance.subject = redemption.subject \
     WHERE rid = $1 AND redemption.organization = $2";
/// The columns of [`TICKET`].
pub(in crate::catalog) const TICKET_COLUMNS: [&str; 28] = [
    "rid",
    "organization",
    "subject",
    "file",
    "size",
    "client",
    "opened_at",
    "last_at",
    "bytes_sent",
    "state",
    "done_at",
    "kid",
    "expires",
    "pass_revision",
    "first_at",
    "starter",
    "link_id",
    "link_file",
    "link_kid",
    "epoch",
    "link_revision",
    "claims",
    "allowed",
    "done",
    "open",
    "lapsed_bytes",
    "bytes",
    "link_expires",
];

pub(super) async fn find(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    rid: RedemptionId,
) -> Result<Option<Ticket>, Fault> {
    let find = query(TICKET).bind(rid.as_str()).bind(organization);
    session.optional(find, ticket_row).await
}

/// Reads a row of [`TICKET`].
pub(in crate::catalog) fn ticket_row(row: Row<'_>) -> Result<Ticket, Fault> {
    Ok(Ticket {
        redemption: redemption(row)?,
        allowance: allowance_of(row, ["link_file", "link_kid", "link_expires"])?,
    })
}
