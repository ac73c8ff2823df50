//! `hallpass revoke`.

use clap::Args;

use super::audit::Recorder;
use super::failure::{Failure, answer, complain};
use super::session::{Global, Logging, Session, expect_organization, of_file};
use super::{standard_input, value_parsers, wire};
use crate::gateway::Gateway;
use crate::gateway::refusal::Refusal;
use crate::gateway::revocations::STALENESS_MAX;
use crate::gateway::revoke::Revoker;
use crate::gateway::shares::ShareManager;
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::LinkId;
use crate::server::setup::SetupPolicy;
use crate::sign::url::{self, ShareUrl};

/// What is said of a link that cannot be revoked.
const NONE: &str =
    "it opens nothing already, or is none of this installation (`hallpass verify` says why)";

/// The message about a revocation that holds and is not written.
const HELD: &str = "the revocation holds on every gateway of this data directory, but could not be written yet: the disk is \
                    full";

#[derive(Args, Debug)]
pub(super) struct Revoke {
    /// Signed URLs and those of shares that shall open nothing any more, or `-` for those on standard input, one a line, where no list of processes shows them; their scheme and host say nothing
    #[arg(value_name = "URL", conflicts_with_all = ["link_id", "file", "organization"])]
    urls: Vec<String>,
    /// True if they come from standard input: with `--json` they are an array then, however many there are.
    #[arg(skip)]
    is_list: bool,
    /// Id of the link, as the log says it
    #[arg(long, value_name = "ID", value_parser = value_parsers::link_id, allow_hyphen_values = true)]
    #[arg(conflicts_with = "file")]
    link_id: Option<LinkId>,
    /// Id of the file whose links made so far shall open nothing any more
    #[arg(long, value_name = "ID")]
    file: Option<FileId>,
    /// Organization of the link or file [default: org_default]; alone, all links of that organization
    #[arg(long, value_name = "ID")]
    organization: Option<OrganizationId>,
    /// Return at once: running gateways then refuse within a second
    #[arg(long)]
    no_wait: bool,
}

impl Revoke {
    /// Revokes, and returns when every running gateway refuses what was revoked.
    pub(super) async fn run(mut self, global: &Global) -> Result<(), Failure> {
        self.is_list = self.urls.iter().any(|url| url == standard_input::DASH);
        self.urls = standard_input::links(self.urls)?;
        let mut session = Session::begin(global, Vec::new(), Logging::Warnings)?;
        let mut recorder = Recorder::open(&session, "revoke")?;
        if !self.urls.is_empty() {
            return self.revoke_urls(&mut session, &mut recorder).await;
        }
        if self.link_id.is_none() && self.file.is_none() && self.organization.is_none() {
            let why = "say what to revoke: a signed URL, --link-id, --file, or --organization for all its links";
            return Err(Failure::Usage(why.into()));
        }
        let default = OrganizationId::default_organization;
        let organization = self.organization.clone().unwrap_or_else(default);
        let gateway = session.gateway(SetupPolicy::Change).await?;
        expect_organization(&gateway, &organization).await?;
        // Waits as long as the catalogue takes to say what was revoked before.
        gateway.refresh().await?;
        let by = Revoker::Operator;
        let revoked = if let Some(link) = self.link_id {
            gateway.revoke_link(&organization, link, by).await?
        } else if let Some(file) = &self.file {
            let revoked = gateway.revoke_links_of_file(&organization, file, by).await;
            revoked.map_err(|refusal| of_file(&organization, file, refusal))?
        } else {
            gateway
                .revoke_links_of_organization(&organization, by)
                .await?
        };
        let revoked = wire::Revocation::from(revoked);
        recorder.record(&revoked.event());
        self.wait().await;
        if revoked.is_held {
            return Err(Failure::Failed(HELD.into()));
        }
        session.output.one(&revoked)
    }

    /// Revokes each link, passes over those that are none, and says which they are, but never a link.
    async fn revoke_urls(
        &self,
        session: &mut Session,
        recorder: &mut Recorder,
    ) -> Result<(), Failure> {
        let gateway = session.gateway(SetupPolicy::Change).await?;
        gateway.refresh().await?;
        let mut revoked = Vec::new();
        for (at, url) in self.urls.iter().enumerate() {
            let ended = match (url::parse(url), url::parse_share(url)) {
                (None, Some(share)) => revoke_share(&gateway, &share).await,
                _ => {
                    let link = gateway.revoke_url(None, url, Revoker::Operator).await;
                    link.map(wire::Revocation::from)
                        .map_err(|refusal| why(&refusal))
                }
            };
            match ended {
                Ok(ended) => {
                    recorder.record(&ended.event());
                    match ended.is_held {
                        true => complain(&format!("link {}: {HELD}", at + 1)),
                        false => revoked.push(ended),
                    }
                }
                Err(why) => complain(&format!("link {}: {why}", at + 1)),
            }
        }
        if !revoked.is_empty() {
            self.wait().await;
        }
        if self.is_list {
            let is_all = revoked.len() == self.urls.len();
            session.output.many(revoked)?;
            return answer(is_all);
        }
        session.output.done(self.urls.len(), revoked)
    }

    /// After this, no gateway answers from what it knew before.
    async fn wait(&self) {
        if !self.no_wait {
            tokio::time::sleep(STALENESS_MAX).await;
        }
    }
}

/// Revokes the share that has this address now, for ever. A ticket below it is one download of the share, which no
/// revocation ends alone.
async fn revoke_share(gateway: &Gateway, url: &ShareUrl<'_>) -> Result<wire::Revocation, String> {
    let explained = gateway.explain_share(url, None).await;
    let explained = explained.map_err(|refusal| why(&refusal))?;
    let share = explained.share.ok_or_else(|| NONE.to_owned())?.share;
    let id = &share.id;
    if url.ticket.is_some() {
        return Err(format!(
            "it is the ticket of one download: `hallpass share revoke {id}` ends its share, and all tickets of it"
        ));
    }
    let manager = ShareManager::Operator(share.organization);
    let revoked = gateway.revoke_share(&manager, id).await;
    let revoked = revoked.map_err(|refusal| why(&refusal))?;
    Ok(wire::Revocation::from(&revoked))
}

/// The reason why a link was not revoked. It never has the link.
fn why(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Field(_) => NONE.to_owned(),
        refusal => refusal.to_string(),
    }
}
