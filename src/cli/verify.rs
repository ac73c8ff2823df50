//! `hallpass verify`.

use std::net::IpAddr;

use clap::Args;
use percent_encoding::percent_decode_str;

use super::failure::{Failure, answer};
use super::session::{Global, Logging, Session};
use super::{pasted, standard_input, wire};
use crate::gateway::Gateway;
use crate::gateway::download::LinkRequest;
use crate::gateway::explain::Verdict;
use crate::model::count::Counted;
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::{LINK_ID_CHARS, LinkId};
use crate::model::time::UnixSeconds;
use crate::server::setup::SetupPolicy;
use crate::sign::keyring::Kid;
use crate::sign::url;
use crate::sign::verify::Rejection;

#[derive(Args, Debug)]
pub(super) struct Verify {
    /// The signed URL, or `-` for standard input, where no list of processes shows it; its scheme and host say nothing
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
        let verdict = self.judged(&gateway, &self.url).await?;
        let (mut text, mut sentence) = (self.url.clone(), String::new());
        let mut proven_as = verdict;
        if is_unproven(verdict) {
            let mended = pasted::mended(&self.url);
            if !mended.damage.is_empty() {
                proven_as = self.judged(&gateway, &mended.text).await?;
                text = mended.text;
                sentence = mended.damage.join("; ");
                sentence.push_str(match is_unproven(proven_as) {
                    true => "; and without that ",
                    false => ". Without that ",
                });
            }
        }
        let parts = url::split(&text);
        let told = VerdictText {
            now: session.clock.now(),
            lifetime_max: gateway.settings().lifetime_max,
            parts,
        };
        sentence.push_str(&told.sentence(proven_as, &text));
        let mut verification = describe(verdict, parts, sentence);
        if let Some((organization, link)) = proven(proven_as, parts) {
            let counts = gateway.counts(&organization, Counted::Link(link)).await?;
            verification.counts = Some(counts.into());
        }
        session.output.one(&verification)?;
        answer(verification.valid)
    }

    /// Returns the verdict on a download with this text as its link.
    async fn judged(&self, gateway: &Gateway, text: &str) -> Result<Verdict, Failure> {
        let Some((organization, file, query)) = url::split(text) else {
            return Ok(Verdict::Rejected(Rejection::Malformed));
        };
        let request = LinkRequest {
            organization,
            file,
            query,
            client: self.ip,
        };
        Ok(gateway.explain_link(&request).await?)
    }
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

/// Returns the organization and the link id, where the token is good or was so before the link was revoked.
fn proven(verdict: Verdict, parts: Option<(&str, &str, &str)>) -> Option<(OrganizationId, LinkId)> {
    let (organization, _, query) = parts.filter(|_| !is_unproven(verdict))?;
    let token = parameter(query, "token")?;
    let (_, mac) = token.split_once('.')?;
    let link = mac.get(..LINK_ID_CHARS).and_then(LinkId::parse)?;
    Some((OrganizationId::parse(organization).ok()?, link))
}

/// The verdict, and what can be read of the link, proven or not.
fn describe(
    verdict: Verdict,
    parts: Option<(&str, &str, &str)>,
    detail: String,
) -> wire::Verification {
    let (organization, file, query) = parts.unwrap_or_default();
    let token = parameter(query, "token").unwrap_or_default();
    let (kid, mac) = token.split_once('.').unwrap_or_default();
    let link_id = mac.get(..LINK_ID_CHARS).and_then(LinkId::parse);
    let expires = parameter(query, "expires");
    let expires = expires.and_then(|text| text.parse().ok().and_then(UnixSeconds::new));
    let organization = OrganizationId::parse(organization).ok();
    wire::Verification {
        valid: verdict == Verdict::Opens,
        reason: verdict.label(),
        file_id: FileId::parse(file).ok().map(|id| id.to_string()),
        organization_id: organization.map(|id| id.to_string()),
        expires: expires.map(UnixSeconds::get),
        kid: Kid::parse(kid).map(|kid| kid.to_string()),
        link_id: link_id.map(|id| id.to_string()),
        counts: None,
        detail,
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
    parts: Option<(&'a str, &'a str, &'a str)>,
}

impl VerdictText<'_> {
    /// The verdict on this text in a sentence, for a person.
    fn sentence(&self, verdict: Verdict, text: &str) -> String {
        let said = match verdict {
            Verdict::Opens => "the link opens now",
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
        };
        said.to_owned()
    }

    fn expired(&self) -> String {
        match self.time("expires") {
            Some(end) => format!("it expired {} ago, at {end}", span(self.now.since(end))),
            None => "its time is over".into(),
        }
    }

    fn too_far(&self) -> String {
        let lives = self.time("expires").map(|end| span(end.since(self.now)));
        let lives = lives.unwrap_or_else(|| "longer".into());
        let max = span(self.lifetime_max);
        format!("it would live {lives}, and links.lifetime_max is {max}")
    }

    fn not_yet(&self) -> String {
        match self.time("not-before") {
            Some(start) => format!("it opens in {}, at {start}", span(start.since(self.now))),
            None => "its not-before has not come yet".into(),
        }
    }

    fn time(&self, name: &str) -> Option<UnixSeconds> {
        let (_, _, query) = self.parts?;
        parameter(query, name)?
            .parse()
            .ok()
            .and_then(UnixSeconds::new)
    }
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
