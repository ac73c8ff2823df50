//! `hallpass share`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::audit::Recorder;
use super::failure::{Failure, complain};
use super::serve::Running;
use super::session::{Global, Listening, Logging, Session};
use super::store::{self, Labels, Progress};
use super::walk::{Found, Own, Walk};
use super::wire;
use crate::config::{Listen, seconds_of};
use crate::gateway::Gateway;
use crate::gateway::mint::MintOptions;
use crate::server::installation::Access;
use crate::server::shutdown::StopSignals;
use crate::server::{App, StartError};

#[derive(Args, Debug)]
pub(super) struct Share {
    /// Files and directories; of a directory every file below it, in name order
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How long the links live: seconds, or a number with s, m, h or d [default: links.lifetime]
    #[arg(long, value_name = "TIME", value_parser = seconds_of)]
    expires_in: Option<u64>,
    #[command(flatten)]
    listening: Listening,
}

impl Share {
    /// Serves first, so that every link opens from the moment that it is printed.
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        for path in &self.paths {
            let found = tokio::fs::metadata(path).await;
            found.map_err(|error| Failure::io(path.display(), &error))?;
        }
        let mut session = Session::begin(global, self.listening.flags(), Logging::Warnings)?;
        let lifetime_max = session.config.links.lifetime_max;
        if self
            .expires_in
            .is_some_and(|seconds| !(1..=lifetime_max).contains(&seconds))
        {
            let why = format!("--expires-in must be 1 to {lifetime_max} seconds");
            return Err(Failure::Usage(why));
        }
        let recorder = Recorder::open(&session, "share")?;
        let signals = StopSignals::listen();
        let may_move = self.listening.listen.is_empty();
        let app = listen(&mut session, may_move).await?;
        let gateway = Arc::clone(app.gateway());
        let mut running = Running::start(app, signals);
        let shared = tokio::select! {
            shared = self.print_links(&gateway, &mut session, recorder) => Some(shared?),
            () = running.ended() => None,
        };
        let Some(shared) = shared else {
            // Stopped on the way: what was printed of an array must become one.
            return session.output.end();
        };
        if shared == Shared::Nothing {
            return Err(Failure::Said);
        }
        running.finish().await?;
        match shared {
            Shared::All => Ok(()),
            Shared::Some | Shared::Nothing => Err(Failure::Said),
        }
    }

    async fn print_links(
        &self,
        gateway: &Arc<Gateway>,
        session: &mut Session,
        mut recorder: Recorder,
    ) -> Result<Shared, Failure> {
        let progress = Progress::new(!session.output.is_json());
        let (mut stored, mut failed) = (0_u64, 0_u64);
        // An array is printed when all of it is ready.
        let mut links = Vec::new();
        for found in Walk::new(&self.paths, Own::of(&session.config)) {
            let link = match found {
                Ok(found) => self.link(gateway, &found, &progress, &mut recorder).await,
                Err(failure) => Err(failure),
            };
            match link {
                Ok(link) => {
                    stored += 1;
                    if session.output.is_json() {
                        links.push(link);
                    } else {
                        progress.aside(|| {
                            session.output.item(&link)?;
                            session.output.flush()
                        })?;
                    }
                }
                Err(Failure::Failed(why)) => {
                    failed += 1;
                    progress.aside(|| complain(&why));
                }
                Err(other) => return Err(other),
            }
        }
        drop(progress);
        for link in &links {
            session.output.item(link)?;
        }
        session.output.end()?;
        if stored == 0 && failed == 0 {
            complain("there is no file to share");
        }
        Ok(match (stored, failed) {
            (0, _) => Shared::Nothing,
            (_, 0) => Shared::All,
            _ => Shared::Some,
        })
    }

    async fn link(
        &self,
        gateway: &Arc<Gateway>,
        found: &Found,
        progress: &Progress,
        recorder: &mut Recorder,
    ) -> Result<wire::Link, Failure> {
        let file = store::copy(gateway, found, &Labels::usual(), progress).await?;
        recorder.uploaded(&file);
        let options = MintOptions {
            expires_in: self.expires_in,
            ..MintOptions::default()
        };
        let organization = &file.organization;
        let minted = gateway.mint_for(organization, file.id.as_str(), &options, None);
        let minted = minted.await?;
        recorder.minted(&minted);
        Ok(minted.into())
    }
}

/// How many of the files have a link.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shared {
    All,
    Some,
    Nothing,
}

/// Binds the listeners. One whose port is taken moves to a free one, if nobody asked for that port.
async fn listen(session: &mut Session, may_move: bool) -> Result<App, Failure> {
    loop {
        let installation = session.installation(Access::SetUp).await?;
        let taken = match App::build(&session.config, installation).await {
            Err(StartError::Bind {
                at: Listen::Tcp(address) | Listen::Tls(address),
                source,
            }) if may_move && source.kind() == io::ErrorKind::AddrInUse && address.port() != 0 => {
                address
            }
            built => return Ok(built?),
        };
        let mut listeners = session.config.server.listen.iter_mut();
        match listeners.find(|listener| listener.address() == Some(taken)) {
            Some(listener) => {
                let free = SocketAddr::new(taken.ip(), 0);
                *listener = match listener.is_tls() {
                    true => Listen::Tls(free),
                    false => Listen::Tcp(free),
                };
                complain(&format!("{taken} is taken: a free port is used instead"));
            }
            // The private listener was asked for.
            None => {
                return Err(Failure::Failed(format!(
                    "cannot listen on {taken}: the port is taken"
                )));
            }
        }
    }
}
