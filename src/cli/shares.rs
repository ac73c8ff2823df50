//! `hallpass share create`, `ls`, `show`, `edit`, `rotate` and `revoke`: shares of files that are stored, behind a page
//! whose address can be sent, and which can be changed afterwards.

use std::sync::Arc;

use clap::{Args, Subcommand};

use super::audit::Recorder;
use super::failure::{Failure, complain};
use super::session::{Global, Logging, Session, expect_organization, public_base};
use super::{link_base, qr, wire};
use crate::gateway::Gateway;
use crate::gateway::refusal::Refusal;
use crate::gateway::revocations::STALENESS_MAX;
use crate::gateway::shares::{ShareFields, ShareManager, ShareView};
use crate::model::id::{DEFAULT_ORGANIZATION, FileId, FolderId, OrganizationId, ShareId};
use crate::server::setup::SetupPolicy;

use terms::Terms;

mod terms;

/// The rows of one page of `ls`.
const PAGE_ROWS: u32 = 100;

#[derive(Subcommand, Debug)]
pub(super) enum ShareCommand {
    /// Share files that are stored: print the address of a page with them
    Create(CreateShare),
    /// List the shares of an organization, newest first
    Ls(ListShares),
    /// Print everything that is known of a share, its address too
    Show(ShowShare),
    /// Change a share; its address stays
    Edit(EditShare),
    /// Give a share another address: those of before open nothing any more
    Rotate(ChangedShare),
    /// End shares for ever
    Revoke(RevokeShares),
}

/// The organization of a share, and what its address begins with.
#[derive(Args, Debug)]
struct Place {
    /// Organization that owns the share
    #[arg(long, value_name = "ID", default_value = DEFAULT_ORGANIZATION)]
    organization: OrganizationId,
    /// What addresses begin with [default: what a gateway that runs here says, else server.public_base_url, else http:// or https:// and the first listener]
    #[arg(long, value_name = "URL")]
    public_base_url: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct CreateShare {
    /// Ids of the files, up to 10000
    #[arg(value_name = "FILE", required_unless_present = "folder")]
    files: Vec<FileId>,
    /// Folder whose files, as they are now, are shared too
    #[arg(long, value_name = "ID")]
    folder: Option<FolderId>,
    #[command(flatten)]
    terms: Terms,
    #[command(flatten)]
    place: Place,
    /// Draw its address as a QR code, too
    #[arg(long)]
    qr: bool,
}

#[derive(Args, Debug)]
pub(super) struct ListShares {
    /// List at most so many [default: all]
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,
    #[command(flatten)]
    place: Place,
}

#[derive(Args, Debug)]
pub(super) struct OneShare {
    /// Id of the share
    #[arg(value_name = "SHARE")]
    share: ShareId,
    #[command(flatten)]
    place: Place,
}

#[derive(Args, Debug)]
pub(super) struct ShowShare {
    #[command(flatten)]
    one: OneShare,
    /// Draw its address as a QR code, too
    #[arg(long)]
    qr: bool,
}

#[derive(Args, Debug)]
pub(super) struct ChangedShare {
    #[command(flatten)]
    one: OneShare,
    /// Return at once: running gateways then know within a second
    #[arg(long)]
    no_wait: bool,
}

#[derive(Args, Debug)]
pub(super) struct EditShare {
    #[command(flatten)]
    changed: ChangedShare,
    #[command(flatten)]
    terms: Terms,
    /// Put a file into it; may be repeated
    #[arg(long, value_name = "FILE")]
    add: Vec<FileId>,
    /// Take a file out of it; may be repeated
    #[arg(long, value_name = "FILE")]
    remove: Vec<FileId>,
    /// Let it open without a password
    #[arg(long, conflicts_with_all = ["password_file", "ask_password"])]
    no_password: bool,
    /// Let it open nothing until it is resumed
    #[arg(long, conflicts_with = "resume")]
    pause: bool,
    /// Let it open again
    #[arg(long)]
    resume: bool,
}

#[derive(Args, Debug)]
pub(super) struct RevokeShares {
    /// Ids of the shares
    #[arg(value_name = "SHARE", required = true)]
    shares: Vec<ShareId>,
    /// Return at once: running gateways then refuse within a second
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    place: Place,
}

/// A command at work on the shares of an organization.
struct Work {
    session: Session,
    gateway: Arc<Gateway>,
    manager: ShareManager,
    /// Said once something was done.
    note: Option<String>,
}

impl Work {
    async fn begin(global: &Global, place: &Place, access: SetupPolicy) -> Result<Self, Failure> {
        let flags = public_base(place.public_base_url.as_deref());
        let session = Session::begin(global, flags, Logging::Warnings)?;
        let base = link_base::of_installation(&session, place.public_base_url.is_some())?;
        let url = base.url.as_str().to_owned();
        let gateway = session.gateway_at(access, url).await?;
        expect_organization(&gateway, &place.organization).await?;
        Ok(Self {
            session,
            gateway,
            manager: ShareManager::Operator(place.organization.clone()),
            note: base.note,
        })
    }

    fn print(&mut self, view: &ShareView) -> Result<(), Failure> {
        if view.url.is_some() {
            self.note.iter().for_each(|note| complain(note));
        }
        self.session.output.one(&wire::WholeShare::from(view))
    }

    fn draw(&mut self, view: &ShareView) -> Result<(), Failure> {
        let id = &view.share.id;
        let none = || Failure::Failed(format!("share {id} has no address that could be drawn"));
        self.session
            .output
            .qr(view.url.as_deref().ok_or_else(none)?)
    }

    /// Returns the failure of a command on a share.
    fn failure(&self, id: &ShareId, refusal: Refusal) -> Failure {
        let organization = self.manager.organization();
        match refusal {
            Refusal::Missing { .. } => {
                Failure::Failed(format!("organization {organization} has no share {id}"))
            }
            Refusal::ShareRevoked => Failure::Failed(format!("share {id} has been revoked")),
            other => of_fields(other),
        }
    }
}

/// Says a fault of a field as one of its flag.
fn of_fields(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Field(fault) => {
            let name = match fault.field.as_str() {
                "files" => fault.value.clone().unwrap_or_else(|| "FILE".into()),
                "folder_id" => "--folder".into(),
                field => format!("--{}", field.replace('_', "-")),
            };
            Failure::Usage(format!("{name} {}", fault.why))
        }
        other => other.into(),
    }
}

/// After this, no gateway answers from what it knew before.
async fn wait(no_wait: bool) {
    if !no_wait {
        tokio::time::sleep(STALENESS_MAX).await;
    }
}

impl ShareCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(global).await,
            Self::Ls(list) => list.run(global).await,
            Self::Show(show) => show.run(global).await,
            Self::Edit(edit) => edit.run(global).await,
            Self::Rotate(rotate) => rotate.run(global).await,
            Self::Revoke(revoke) => revoke.run(global).await,
        }
    }
}

impl CreateShare {
    async fn run(self, global: &Global) -> Result<(), Failure> {
        if self.qr {
            qr::expect_person(global.json)?;
        }
        let mut work = Work::begin(global, &self.place, SetupPolicy::Change).await?;
        let mut recorder = Recorder::open(&work.session, "share create")?;
        let files = self.files.iter().map(FileId::to_string).collect();
        let fields = ShareFields {
            files: Some(files),
            folder_id: self.folder.map(|folder| folder.to_string()),
            ..self.terms.into_fields()?
        };
        let made = work.gateway.create_share(&work.manager, fields).await;
        let made = made.map_err(of_fields)?;
        recorder.share("share_create", &made);
        work.print(&made)?;
        match self.qr {
            true => work.draw(&made),
            false => Ok(()),
        }
    }
}

impl ListShares {
    /// Prints page after page, and stops once nobody reads any more.
    async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut work = Work::begin(global, &self.place, SetupPolicy::Existing).await?;
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut last = None;
        while left > 0 && !work.session.output.is_gone() {
            let rows = u32::try_from(left).unwrap_or(PAGE_ROWS).min(PAGE_ROWS);
            let page = work.gateway.shares(&work.manager, last.as_ref(), rows);
            let page = page.await?;
            for view in &page {
                left -= 1;
                work.session.output.item(&wire::ListedShare::from(view))?;
            }
            last = page.into_iter().next_back().map(|view| view.share.id);
            if last.is_none() {
                break;
            }
        }
        work.session.output.end()
    }
}

impl ShowShare {
    async fn run(self, global: &Global) -> Result<(), Failure> {
        if self.qr {
            qr::expect_person(global.json)?;
        }
        let OneShare { share, place } = &self.one;
        let mut work = Work::begin(global, place, SetupPolicy::Existing).await?;
        let found = work.gateway.share(&work.manager, share).await;
        let found = found.map_err(|refusal| work.failure(share, refusal))?;
        work.print(&found)?;
        match self.qr {
            true => work.draw(&found),
            false => Ok(()),
        }
    }
}

impl EditShare {
    async fn run(self, global: &Global) -> Result<(), Failure> {
        let ChangedShare { one, no_wait } = self.changed;
        let mut work = Work::begin(global, &one.place, SetupPolicy::Change).await?;
        let mut recorder = Recorder::open(&work.session, "share edit")?;
        let mut fields = self.terms.into_fields()?;
        if self.no_password {
            fields.password = Some(None);
        }
        if !self.add.is_empty() || !self.remove.is_empty() {
            let before = work.gateway.share(&work.manager, &one.share).await;
            let before = before.map_err(|refusal| work.failure(&one.share, refusal))?;
            fields.files = Some(files_after(&before, &self.add, &self.remove)?);
        }
        let state = match (self.pause, self.resume) {
            (true, _) => Some("paused"),
            (_, true) => Some("active"),
            (false, false) => None,
        };
        fields.state = state.map(str::to_owned);
        let edited = work.gateway.edit_share(&work.manager, &one.share, fields);
        let edited = edited.await;
        let edited = edited.map_err(|refusal| work.failure(&one.share, refusal))?;
        recorder.share("share_edit", &edited);
        wait(no_wait).await;
        work.print(&edited)
    }
}

/// Returns the files of a share with some more, and without others.
fn files_after(
    before: &ShareView,
    add: &[FileId],
    remove: &[FileId],
) -> Result<Vec<String>, Failure> {
    let is_there = |id: &FileId| before.files.iter().any(|of| of.shared.file == *id);
    if let Some(none) = remove.iter().find(|id| !is_there(id)) {
        let share = &before.share.id;
        return Err(Failure::Usage(format!(
            "--remove {none} is not in the share {share}"
        )));
    }
    let files = before.files.iter().map(|of| &of.shared.file);
    let kept = files.filter(|id| !remove.contains(id));
    let new = add.iter().filter(|id| !is_there(id));
    Ok(kept.chain(new).map(FileId::to_string).collect())
}

impl ChangedShare {
    async fn run(self, global: &Global) -> Result<(), Failure> {
        let one = &self.one;
        let mut work = Work::begin(global, &one.place, SetupPolicy::Change).await?;
        let mut recorder = Recorder::open(&work.session, "share rotate")?;
        let rotated = work.gateway.rotate_share(&work.manager, &one.share).await;
        let rotated = rotated.map_err(|refusal| work.failure(&one.share, refusal))?;
        recorder.share("share_rotate", &rotated);
        wait(self.no_wait).await;
        work.print(&rotated)
    }
}

impl RevokeShares {
    /// Revokes each, passes over those that are none, and says which they are.
    async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut work = Work::begin(global, &self.place, SetupPolicy::Change).await?;
        let mut recorder = Recorder::open(&work.session, "share revoke")?;
        let mut revoked = Vec::new();
        for id in &self.shares {
            match work.gateway.revoke_share(&work.manager, id).await {
                Ok(view) => {
                    recorder.share("share_revoke", &view);
                    revoked.push(wire::ListedShare::from(&view));
                }
                Err(refusal) => match work.failure(id, refusal) {
                    Failure::Failed(why) => complain(&why),
                    other => return Err(other),
                },
            }
        }
        if !revoked.is_empty() {
            wait(self.no_wait).await;
        }
        work.session.output.done(self.shares.len(), revoked)
    }
}
