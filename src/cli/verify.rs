//! `hallpass verify`.

use std::net::IpAddr;

use clap::Args;
use percent_encoding::percent_decode_str;

use super::failure::Failure;
use super::session::{Global, Logging, Session};
use super::wire;
use crate::gateway::download::LinkRequest;
use crate::gateway::explain::Verdict;
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::{LINK_ID_CHARS, LinkId};
use crate::model::time::UnixSeconds;
use crate::server::installation::Access;
use crate::sign::keyring::Kid;
use crate::sign::url;
use crate::sign::verify::Rejection;

#[derive(Args, Debug)]
pub(super) struct Verify {
    /// The signed URL; its scheme and host say nothing
    #[arg(value_name = "URL")]
    url: String,
    /// Address of the client that would open it [default: unknown]
    #[arg(long, value_name = "ADDR")]
    ip: Option<IpAddr>,
}

impl Verify {
    /// Prints the reason. A link that opens now is a success, any other a failure.
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut session = Session::begin(global, Vec::new(), Logging::Warnings)?;
        let gateway = session.gateway(Access::Existing).await?;
        let parts = url::split(&self.url);
        let verdict = match parts {
            Some((organization, file, query)) => {
                let request = LinkRequest {
                    organization,
                    file,
                    query,
                    client: self.ip,
                };
                gateway.explain_link(&request).await?
            }
            None => Verdict::Rejected(Rejection::Malformed),
        };
        let mut verification = describe(verdict, parts);
        if let Some((organization, link)) = proven(verdict, parts) {
            let counts = gateway.counts_of_link(&organization, link).await?;
            verification.counts = Some(counts.into());
        }
        session.output.one(&verification)?;
        if verification.valid {
            Ok(())
        } else {
            Err(Failure::Said)
        }
    }
}

/// Whose link it is, and which, where its token is good or was so before it was revoked.
fn proven(verdict: Verdict, parts: Option<(&str, &str, &str)>) -> Option<(OrganizationId, LinkId)> {
    let is_unproven = matches!(
        verdict,
        Verdict::Rejected(
            Rejection::Malformed
                | Rejection::KidUnknown
                | Rejection::KidRetired
                | Rejection::MacMismatch
        )
    );
    let (organization, _, query) = parts.filter(|_| !is_unproven)?;
    let token = parameter(query, "token")?;
    let (_, mac) = token.split_once('.')?;
    let link = mac.get(..LINK_ID_CHARS).and_then(LinkId::parse)?;
    Some((OrganizationId::parse(organization).ok()?, link))
}

/// The verdict, and what can be read of the link, proven or not.
fn describe(verdict: Verdict, parts: Option<(&str, &str, &str)>) -> wire::Verification {
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
        sentence: sentence(verdict),
    }
}

/// The first parameter of this name, decoded.
fn parameter(query: &str, wanted: &str) -> Option<String> {
    let mut pieces = query.split('&').filter_map(|piece| piece.split_once('='));
    let (_, value) = pieces.find(|(name, _)| *name == wanted)?;
    let text = percent_decode_str(value).decode_utf8().ok()?;
    Some(text.into_owned())
}

const fn sentence(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Opens => "the link opens now",
        Verdict::FileMissing => "the link is good, but there is no such file",
        Verdict::FileDeleted => "the link is good, but its file was deleted",
        Verdict::FileDamaged => "the link is good, but its file's bytes are damaged",
        Verdict::Rejected(rejection) => match rejection {
            Rejection::Malformed => "this is not spelled as a signed URL, or a claim means nothing",
            Rejection::KidUnknown => "no signing key of this installation has its kid",
            Rejection::KidRetired => "its signing key is retired",
            Rejection::MacMismatch => {
                "it was changed, or signed for something else or with another key"
            }
            Rejection::Expired => "its time is over",
            Rejection::TooFar => "it would live longer than links.lifetime_max",
            Rejection::NotYetValid => "its not-before has not come yet",
            Rejection::IpMismatch => "its ip is not the client's (--ip says whose)",
            Rejection::LinkRevoked => "this link was revoked",
            Rejection::FileRevoked => "all links of its file were revoked",
            Rejection::OrganizationRevoked => "all links of its organization were revoked",
        },
    }
}
