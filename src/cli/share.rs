//! `hallpass share`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::audit::Recorder;
use super::failure::{Failure, answer, complain};
use super::interrupt::Interrupt;
use super::link_base::{self, Others};
use super::path_expansion::{FoundFile, Own, Walk, expect_paths};
use super::serve::RunningServer;
use super::session::{Global, ListenFlags, Logging, Session};
use super::shares::ShareCommand;
use super::store::{FileLabels, Intake, Progress};
use super::{value_parsers, wire};
use crate::config::{Config, Listen, bytes_of, seconds_of};
use crate::gateway::mint::MintOptions;
use crate::model::file::FileRecord;
use crate::model::id::FileId;
use crate::server::presence::GatewayCommand;
use crate::server::setup::SetupPolicy;
use crate::server::{HttpServer, StartError};
use crate::sign::counted::MaxDownloads;

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Share {
    #[command(subcommand)]
    command: Option<ShareCommand>,
    /// Files and directories; of a directory every file below it, in name order, but those whose path has a name that begins with a dot; one that has the name of a command is written ./ls
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How long the links live: seconds, or a number with s, m, h, d or w, such as 1h30m [default: links.lifetime]
    #[arg(long, value_name = "TIME", value_parser = seconds_of)]
    expires_in: Option<u64>,
    /// How many downloads each link starts, 1 to 1000000: it opens a page with a button then [default: no end of them]
    #[arg(long, value_name = "NUMBER", value_parser = value_parsers::max_downloads)]
    max_downloads: Option<MaxDownloads>,
    /// Take in what begins with a dot below a directory, too
    #[arg(long)]
    hidden: bool,
    /// Refuse larger files: bytes, or a number with KiB, MiB or GiB [default: any size]
    #[arg(long, value_name = "SIZE", value_parser = bytes_of)]
    size_max: Option<u64>,
    #[command(flatten)]
    listening: ListenFlags,
}

/// A file that was stored, and its link.
struct SharedFile {
    file: FileRecord,
    link: wire::Link,
}

/// The files whose links were not printed, as far as they are or may be stored.
#[derive(Default)]
struct UnprintedLinks {
    stored: Vec<SharedFile>,
    /// A file whose row is being made.
    in_flight: Option<(PathBuf, FileId)>,
}

impl UnprintedLinks {
    /// Names the files that stay, once nothing is waited for any more.
    fn name(&self) {
        for SharedFile { file, .. } in &self.stored {
            let (name, id) = (&file.name, &file.id);
            complain(&format!(
                "{name} was stored and its link was not printed: `hallpass rm --purge {id}` removes it"
            ));
        }
        if let Some((path, id)) = &self.in_flight {
            let path = path.display();
            complain(&format!(
                "{path} may have been stored: `hallpass rm --purge {id}` removes it then"
            ));
        }
    }
}

/// The share of the files that have a link.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ShareOutcome {
    All,
    Some,
    Nothing,
}

impl Share {
    /// Serves first, so that every link opens from the moment that it is printed.
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        if let Some(command) = self.command {
            return command.run(global).await;
        }
        expect_paths(&self.paths)?;
        for path in &self.paths {
            let found = tokio::fs::metadata(path).await;
            found.map_err(|error| Failure::unreadable(path, &error))?;
        }
        let mut session = Session::begin(global, self.listening.flags(), Logging::Warnings)?;
        if let Some(seconds) = self.expires_in {
            value_parsers::expect_lifetime("--expires-in", seconds, &session.config.links)?;
        }
        let recorder = Recorder::open(&session, "share")?;
        let interrupt = Interrupt::listen();
        let may_move = self.listening.listen.is_empty();
        let (app, others) = tokio::select! {
            built = listen(&mut session, may_move) => built?,
            () = interrupt.first() => {
                return Err(interrupt.failure("stopped before anything was shared"));
            }
        };
        others.note();
        let gateway = Arc::clone(app.gateway());
        let running = RunningServer::start(app, interrupt.clone());
        let intake = Intake::new(gateway, &session.config, self.size_max, interrupt.clone());
        let mut unprinted = UnprintedLinks::default();
        let shared = tokio::select! {
            shared = self.print_links(&intake, &mut session, recorder, &mut unprinted) => Some(shared),
            () = interrupt.second() => None,
        };
        let shared = shared.unwrap_or_else(|| {
            unprinted.name();
            Err(stopped(&interrupt))
        });
        match shared {
            Ok(ShareOutcome::Nothing) => Err(Failure::Said),
            Ok(outcome) => {
                running.finish().await?;
                answer(outcome == ShareOutcome::All)
            }
            Err(interrupted @ Failure::Interrupted(..)) => {
                running.finish().await?;
                Err(interrupted)
            }
            Err(other) => Err(other),
        }
    }

    /// Takes the files in and prints their links. A stop that is asked for before the last one was printed ends it:
    /// files whose links were printed stay, and of the others nothing does.
    async fn print_links(
        &self,
        intake: &Intake,
        session: &mut Session,
        mut recorder: Recorder,
        unprinted: &mut UnprintedLinks,
    ) -> Result<ShareOutcome, Failure> {
        let progress = Progress::new(!session.output.is_json());
        let (mut stored, mut failed) = (0_u64, 0_u64);
        for found in Walk::new(&self.paths, Own::of(&session.config), self.hidden) {
            let shared = match found {
                Ok(found) => {
                    let shared = self.share(intake, &found, &progress, &mut recorder, unprinted);
                    shared.await
                }
                Err(failure) => Err(failure),
            };
            if intake.interrupt.asked().is_some() {
                unprinted.stored.extend(shared.ok());
                drop(progress);
                return Err(take_back(intake, unprinted, &mut recorder).await);
            }
            match shared {
                Ok(shared) => {
                    stored += 1;
                    // An array is printed when all of it is ready.
                    if session.output.is_json() {
                        unprinted.stored.push(shared);
                    } else {
                        progress.aside(|| {
                            session.output.item(&shared.link)?;
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
        for shared in &unprinted.stored {
            session.output.item(&shared.link)?;
        }
        session.output.end()?;
        if stored == 0 && failed == 0 {
            complain("there is no file to share");
        }
        Ok(match (stored, failed) {
            (0, _) => ShareOutcome::Nothing,
            (_, 0) => ShareOutcome::All,
            _ => ShareOutcome::Some,
        })
    }

    async fn share(
        &self,
        intake: &Intake,
        found: &FoundFile,
        progress: &Progress,
        recorder: &mut Recorder,
        unprinted: &mut UnprintedLinks,
    ) -> Result<SharedFile, Failure> {
        let new = intake
            .gateway
            .begin_file(FileLabels::usual().of(&found.path)?);
        let upload = intake.read(found, &new.organization, progress).await?;
        unprinted.in_flight = new.id.clone().map(|id| (found.path.clone(), id));
        let stored = intake.finish(found, upload, new).await;
        let file = stored.inspect_err(|_| unprinted.in_flight = None)?;
        recorder.uploaded(&file);
        let options = MintOptions {
            expires_in: self.expires_in,
            max_downloads: self.max_downloads,
            ..MintOptions::default()
        };
        let organization = &file.organization;
        let minted = intake
            .gateway
            .mint_for(organization, file.id.as_str(), &options);
        let link = wire::Link::from(minted.await?);
        recorder.minted(organization, &link);
        unprinted.in_flight = None;
        Ok(SharedFile { file, link })
    }
}

fn stopped(interrupt: &Interrupt) -> Failure {
    interrupt.failure(
        "stopped before every link was printed: files without one were not kept, but those named here",
    )
}

/// Removes the files whose links were not printed, with their bytes.
async fn take_back(
    intake: &Intake,
    unprinted: &mut UnprintedLinks,
    recorder: &mut Recorder,
) -> Failure {
    while let Some(SharedFile { file, .. }) = unprinted.stored.last() {
        let purged = intake.gateway.purge(&file.organization, &file.id).await;
        let Some(SharedFile { file, .. }) = unprinted.stored.pop() else {
            break;
        };
        match purged {
            Ok(gone) => recorder.deleted(&gone),
            Err(refusal) => complain(&format!(
                "{} could not be removed again: {refusal} (`hallpass rm --purge {}` does it)",
                file.name, file.id
            )),
        }
    }
    stopped(&intake.interrupt)
}

/// Binds the listeners. One whose port is taken moves to a free one, if nobody asked for that port.
async fn listen(session: &mut Session, may_move: bool) -> Result<(HttpServer, Others), Failure> {
    loop {
        let installation = session.installation(SetupPolicy::SetUp).await?;
        let mut others = Others::default();
        let name = |config: &Config, places: &[Listen]| {
            let (base, found) = link_base::of_share(config, places)?;
            others = found;
            Ok(base)
        };
        let (config, none) = (&session.config, Vec::new());
        let built =
            HttpServer::build_named(config, GatewayCommand::Share, installation, none, name).await;
        let taken = match built {
            Err(StartError::Bind {
                at: Listen::Tcp(address) | Listen::Tls(address),
                source,
            }) if may_move && source.kind() == io::ErrorKind::AddrInUse && address.port() != 0 => {
                address
            }
            built => return Ok((built?, others)),
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
