//! The URL of a share, or of a ticket below it: what it would meet, and what is known of the share.

use super::VerdictText;
use crate::cli::{pasted, wire};
use crate::gateway::explain::{ExplainedShare, Verdict};
use crate::model::share::Share;
use crate::model::time::UnixSeconds;
use crate::sign::url;
use crate::sign::verify::Rejection;

/// What a pasted text was found to be.
pub(super) enum Pasted {
    /// A signed URL, or nothing that is known.
    Link(Verdict),
    /// The URL of a share.
    Share(Box<ExplainedShare>),
}

impl Pasted {
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::Link(verdict) => *verdict,
            Self::Share(found) => found.verdict,
        }
    }
}

/// Returns the verdict as the text was pasted, and what was found of it as it was `mended`, of which a sentence may be
/// said already.
pub(super) fn verification(
    told: &VerdictText<'_>,
    verdict: Verdict,
    found: &ExplainedShare,
    (mended, mut detail): (&str, String),
) -> wire::Verification {
    detail.push_str(&sentence(told, found, mended));
    let view = found.share.as_ref();
    let share = view.map(|view| &view.share);
    let is_counted = share.is_some_and(|share| share.allowed.is_some());
    let spent = view
        .filter(|_| is_counted)
        .map(|view| wire::SpentDownloads {
            downloads_done: view.counts.done,
            downloads_open: view.counts.open,
        });
    let allowed = share.and_then(|share| share.allowed);
    let link_id = view.and_then(|view| view.link_id);
    wire::Verification {
        valid: verdict == Verdict::Opens,
        reason: verdict.label(),
        file_id: None,
        organization_id: share.map(|share| share.organization.to_string()),
        share_id: share.map(|share| share.id.to_string()),
        expires: share.and_then(|share| share.expires).map(UnixSeconds::get),
        kid: share.map(|share| share.kid.clone()),
        link_id: link_id.map(|id| id.to_string()),
        max_downloads: allowed.and_then(|allowed| u32::try_from(allowed).ok()),
        spent,
        counts: view.map(|view| view.counts.counts.into()),
        detail,
    }
}

/// The verdict in a sentence, for a person.
fn sentence(told: &VerdictText<'_>, found: &ExplainedShare, text: &str) -> String {
    let url = url::parse_share(text);
    let (code, has_ticket) = url.map_or(("", false), |url| (url.code, url.ticket.is_some()));
    let share = found.share.as_ref().map(|view| &view.share);
    let Verdict::Rejected(rejection) = found.verdict else {
        let said = match (has_ticket, share) {
            (true, _) => "the ticket is good now, for as long as its download goes on",
            (
                false,
                Some(Share {
                    password: Some(_), ..
                }),
            ) => "the page opens now, to whoever has the password",
            (false, _) => "the page opens now",
        };
        return said.to_owned();
    };
    let said = match (rejection, share) {
        (Rejection::Malformed, None) => return pasted::fault_of_code(code),
        (Rejection::Malformed, Some(_)) => pasted::NO_TICKET,
        (Rejection::MacMismatch, None) => {
            "no share of this installation has its code now: it was rotated or forgotten, or was none of this installation"
        }
        (Rejection::MacMismatch, Some(_)) if has_ticket => {
            "its ticket was changed, or signed for something else or with another key"
        }
        (Rejection::KidRetired, Some(_)) => {
            "its signing key is retired: `hallpass share rotate` gives the share another address"
        }
        (Rejection::OrganizationRevoked, Some(_)) => {
            "all links of its organization were revoked: `hallpass share rotate` gives the share another address"
        }
        (Rejection::LinkRevoked, Some(_)) => "the share was revoked",
        (Rejection::Expired, Some(share)) => {
            let is_over = |end: &UnixSeconds| *end <= told.now;
            return match share.expires.filter(is_over) {
                Some(end) => told.expired_at(Some(end)),
                None => "the time of its ticket is over".to_owned(),
            };
        }
        (Rejection::NotYetValid, Some(share)) => return told.opens_at(share.not_before),
        (other, _) => return told.why(other, text),
    };
    said.to_owned()
}
