//! `hallpass verify`.

use std::net::IpAddr;

use clap::Args;
use percent_encoding::percent_decode_str;

use super::failure::{Failure, answer};
use super::session::{Global, Logging, Session};
use super::{pasted, standard_input, wire};
use crate::gateway::Gateway;
use crate::gateway::explain::Verdict;
use crate::gateway::refusal::Refusal;
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::{LINK_ID_CHARS, LinkId};
use crate::model::time::UnixSeconds;
use crate::server::setup::SetupPolicy;
use crate::sign::counted::MaxDownloads;
use crate::sign::keyring::Kid;
use crate::sign::url::{self, SignedUrl};
use crate::sign::verify::Rejection;
use share::Pasted;

mod share;

/// The addition to the line of a link whose downloads nobody knows.
const UNCOUNTED: &str = "; how often it was downloaded is not known, as its organization has as many links with counts as it may \
                         (limits.organization_link_counts): downloads count for its file";

#[derive(Args, Debug)]
pub(super) struct Verify {
    /// The signed URL, or that of a share, or `-` for standard input, where no list of processes shows it; its scheme and host say nothing
    #[arg(value_name = "URL")]
    url: String,
    /// Address of the client that would open it [default: unknown]
    #[arg(long, value_name = "ADDR")]
    ip: Option<IpAddr>,
}

impl Verify {
    /// Prints the reason. A link that opens now is a success, any other a failure.
    pub(super) async fn run(mut self, global: &Global) -> Result<(), Failure> {
        self.url = standard_input::link(self.url)?;
        let mut session = Session::begin(global, Vec::new(), Logging::Warnings)?;
        let gateway = session.gateway(SetupPolicy::Existing).await?;
        let mut judged = self.judged(&gateway, &self.url).await?;
        let verdict = judged.verdict();
        let (mut text, mut sentence) = (self.url.clone(), String::new());
        let mut proven_as = verdict;
        if is_unproven(verdict) {
            let mended = pasted::mended(&self.url);
            if !mended.damage.is_empty() {
                judged = self.judged(&gateway, &mended.text).await?;
                proven_as = judged.verdict();
                text = mended.text;
                sentence = mended.damage.join("; ");
                sentence.push_str(match is_unproven(proven_as) {
                    true => "; and without that ",
                    false => ". Without that ",
                });
            }
        }
        let parts = Parts::of(&text);
        let told = VerdictText {
            now: session.clock.now(),
            lifetime_max: gateway.settings().lifetime_max,
            parts: &parts,
        };
        if let Pasted::Share(found) = judged {
            let verification = share::verification(&told, verdict, &found, (&text, sentence));
            session.output.one(&verification)?;
            return answer(verification.valid);
        }
        sentence.push_str(&told.sentence(proven_as, &text));
        let mut verification = parts.describe(verdict, sentence);
        let proven = parts.link().filter(|_| !is_unproven(proven_as));
        if let Some((organization, link)) = proven {
            let counts = gateway.counts_of_link(&organization, link).await?;
            if counts.is_none() {
                verification.detail.push_str(UNCOUNTED);
            }
            verification.counts = counts.map(Into::into);
            if parts.is_counted() {
                verification.spent = Some(spent(&gateway, &organization, link).await?);
            }
        }
        session.output.one(&verification)?;
        answer(verification.valid)
    }

    /// Returns the verdict on a request with this text as its link.
    async fn judged(&self, gateway: &Gateway, text: &str) -> Result<Pasted, Failure> {
        let verdict = match (url::parse(text), url::parse_share(text)) {
            (Some(url), _) => gateway.explain_url(&url, self.ip).await?,
            (None, Some(share)) => {
                let explained = gateway.explain_share(&share, self.ip).await?;
                return Ok(Pasted::Share(Box::new(explained)));
            }
            (None, None) => Verdict::Rejected(Rejection::Malformed),
        };
        Ok(Pasted::Link(verdict))
    }
}

/// Returns what was counted of a good counted link. One by which nobody has started a download has spent none.
async fn spent(
    gateway: &Gateway,
    organization: &OrganizationId,
    link: LinkId,
) -> Result<wire::SpentDownloads, Failure> {
    let (downloads_done, downloads_open) = match gateway.allowance_of_link(organization, link).await
    {
        Ok(allowance) => (allowance.done, allowance.open),
        Err(Refusal::Missing { .. }) => (0, 0),
        Err(refusal) => return Err(refusal.into()),
    };
    Ok(wire::SpentDownloads {
        downloads_done,
        downloads_open,
    })
}

/// Returns whether nothing proves that the link is as it was signed.
const fn is_unproven(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Rejected(
            Rejection::Malformed
                | Rejection::KidUnknown
                | Rejection::KidRetired
                | Rejection::MacMismatch
        )
    )
}

/// What can be read of a signed URL, proven or not. A part that is not there is `None`, or empty.
#[derive(Default)]
struct Parts<'a> {
    url: Option<SignedUrl<'a>>,
    organization: &'a str,
    file: &'a str,
    query: &'a str,
    expires: Option<String>,
    kid: String,
    mac: String,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        let url = url::parse(text);
        match url {
            None => Self::default(),
            Some(SignedUrl::Download(link) | SignedUrl::Counted(link)) => {
                let token = parameter(link.query, "token").unwrap_or_default();
                let (kid, mac) = token.split_once('.').unwrap_or_default();
                Self {
                    url,
                    organization: link.organization,
                    file: link.file,
                    query: link.query,
                    expires: parameter(link.query, "expires"),
                    kid: kid.to_owned(),
                    mac: mac.to_owned(),
                }
            }
            Some(SignedUrl::Ticket(ticket)) => {
                let mut parts = ticket.ticket.split('.').map(str::to_owned);
                Self {
                    url,
                    organization: ticket.organization,
                    kid: parts.next().unwrap_or_default(),
                    expires: parts.next(),
                    ..Self::default()
                }
            }
        }
    }

    /// The organization and the id of a link. A ticket has none of its own.
    fn link(&self) -> Option<(OrganizationId, LinkId)> {
        let link = self.mac.get(..LINK_ID_CHARS).and_then(LinkId::parse)?;
        Some((OrganizationId::parse(self.organization).ok()?, link))
    }

    /// The verdict, and what can be read.
    fn describe(&self, verdict: Verdict, detail: String) -> wire::Verification {
        let link_id = self.mac.get(..LINK_ID_CHARS).and_then(LinkId::parse);
        let organization = OrganizationId::parse(self.organization).ok();
        let max = parameter(self.query, "max-downloads").filter(|_| self.is_counted());
        let max = max.and_then(|text| MaxDownloads::parse(&text));
        wire::Verification {
            valid: verdict == Verdict::Opens,
            reason: verdict.label(),
            file_id: FileId::parse(self.file).ok().map(|id| id.to_string()),
            organization_id: organization.map(|id| id.to_string()),
            expires: time(self.expires.as_deref()).map(UnixSeconds::get),
            kid: Kid::parse(&self.kid).map(|kid| kid.to_string()),
            link_id: link_id.map(|id| id.to_string()),
            share_id: None,
            max_downloads: max.map(MaxDownloads::get),
            spent: None,
            counts: None,
            detail,
        }
    }

    const fn is_counted(&self) -> bool {
        matches!(self.url, Some(SignedUrl::Counted(_)))
    }
}

/// The first parameter of this name, decoded.
fn parameter(query: &str, wanted: &str) -> Option<String> {
    let mut pieces = query.split('&').filter_map(|piece| piece.split_once('='));
    let (_, value) = pieces.find(|(name, _)| *name == wanted)?;
    let text = percent_decode_str(value).decode_utf8().ok()?;
    Some(text.into_owned())
}

/// The parts of the sentences about a link.
struct VerdictText<'a> {
    now: UnixSeconds,
    /// `links.lifetime_max`.
    lifetime_max: u64,
    parts: &'a Parts<'a>,
}

impl VerdictText<'_> {
    /// The verdict on this text in a sentence, for a person.
    fn sentence(&self, verdict: Verdict, text: &str) -> String {
        let said = match verdict {
            Verdict::Opens => match self.parts.url {
                Some(SignedUrl::Counted(_)) => {
                    "the link is good now, and starts a download as long as one is left"
                }
                Some(SignedUrl::Ticket(_)) => {
                    "the ticket is good now, for as long as its download goes on"
                }
                Some(SignedUrl::Download(_)) | None => "the link opens now",
            },
            Verdict::FileMissing => "the link is good, but there is no such file",
            Verdict::FileDeleted => "the link is good, but its file was deleted",
            Verdict::FileDamaged => "the link is good, but its file's bytes are damaged",
            Verdict::Rejected(rejection) => return self.why(rejection, text),
        };
        said.to_owned()
    }

    fn why(&self, rejection: Rejection, text: &str) -> String {
        let said = match rejection {
            Rejection::Malformed => {
                let claim = || "one of its claims means nothing".to_owned();
                return pasted::fault(text).unwrap_or_else(claim);
            }
            Rejection::KidUnknown => "no signing key of this installation has its kid",
            Rejection::KidRetired => "its signing key is retired",
            Rejection::MacMismatch if pasted::has_one_case(text) => pasted::ONE_CASE,
            Rejection::MacMismatch => {
                "it was changed, or signed for something else or with another key"
            }
            Rejection::Expired => return self.expired(),
            Rejection::TooFar => return self.too_far(),
            Rejection::NotYetValid => return self.not_yet(),
            Rejection::IpMismatch => "its ip is not the client's (--ip says whose)",
            Rejection::LinkRevoked => "this link was revoked",
            Rejection::FileRevoked => "all links of its file were revoked",
            Rejection::OrganizationRevoked => "all links of its organization were revoked",
            Rejection::Paused => "the share is paused",
        };
        said.to_owned()
    }

    fn expired(&self) -> String {
        self.expired_at(self.end())
    }

    fn expired_at(&self, end: Option<UnixSeconds>) -> String {
        match end {
            Some(end) => format!("it expired {} ago, at {end}", span(self.now.since(end))),
            None => "its time is over".into(),
        }
    }

    fn too_far(&self) -> String {
        let lives = self.end().map(|end| span(end.since(self.now)));
        let lives = lives.unwrap_or_else(|| "longer".into());
        let max = span(self.lifetime_max);
        format!("it would live {lives}, and links.lifetime_max is {max}")
    }

    fn not_yet(&self) -> String {
        let start = parameter(self.parts.query, "not-before");
        self.opens_at(time(start.as_deref()))
    }

    fn opens_at(&self, start: Option<UnixSeconds>) -> String {
        match start {
            Some(start) => format!("it opens in {}, at {start}", span(start.since(self.now))),
            None => "its not-before has not come yet".into(),
        }
    }

    fn end(&self) -> Option<UnixSeconds> {
        time(self.parts.expires.as_deref())
    }
}

fn time(text: Option<&str>) -> Option<UnixSeconds> {
    text?.parse().ok().and_then(UnixSeconds::new)
}

/// A length of time in the largest unit of which there are two, or in whole ones.
fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    let fits = |(length, _): &(u64, &str)| seconds == *length || seconds >= 2 * length;
    let (length, unit) = UNITS.into_iter().find(fits).unwrap_or((1, "second"));
    let count = seconds / length;
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_said_in_one_unit() {
        for (seconds, text) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (60, "1 minute"),
            (119, "119 seconds"),
            (180, "3 minutes"),
            (3_600, "1 hour"),
            (7_000, "116 minutes"),
            (86_399, "23 hours"),
            (604_800, "7 days"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
