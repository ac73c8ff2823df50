//! `hallpass share`: a gateway of its own for what is handed over now.
//!
//! 1. The words are looked at, and the paths that they name.
//! 2. The files are served where they lie, by an installation that is made for this command and goes with it; or they are
//!    stored (`--keep`). Beside a gateway that runs on the same data directory, that one serves what is stored.
//! 3. It serves before anything is printed, so that every link opens from then on.
//! 4. One file has a link, several have a page; each is printed once what it opens is there.
//! 5. It ends with a signal or, where it leaves nothing, when nothing opens any more.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::audit::Recorder;
use super::desk::announce::Announcement;
use super::desk::files::SharedPaths;
use super::desk::hand_out::{HandedTo, Program};
use super::desk::host::Host;
use super::desk::people::People;
use super::desk::publish::{Published, Publisher, Terms, Unprinted};
use super::desk::source::{Source, is_input};
use super::desk::take_in::Keeping;
use super::failure::{Failure, answer};
use super::file_end::FileEnd;
use super::interrupt::Interrupt;
use super::output::Output;
use super::path_expansion::{Own, Walk, expect_paths};
use super::session::{Global, ListenFlags, Logging, Session};
use super::shares::ShareCommand;
use super::store::{Intake, Progress};
use super::{password, value_parsers};
use crate::config::{Config, bytes_of, seconds_of};
use crate::gateway::passwords::Password;
use crate::model::name::FileName;
use crate::server::blob_bytes_max;
use crate::server::setup::SetupPolicy;
use crate::server::temporary::TemporaryDirectory;
use crate::sign::counted::MaxDownloads;

/// A file system in memory, which most machines have.
const SHARED_MEMORY: &str = "/dev/shm";

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Share {
    #[command(subcommand)]
    command: Option<ShareCommand>,
    /// Files and directories, or - for standard input; of a directory every file below it, in name order, but those whose path has a name that begins with a dot; one that has the name of a command is written ./ls
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How long it opens: seconds, or a number with s, m, h, d or w, such as 1h30m [default: links.lifetime]
    #[arg(long, value_name = "TIME", value_parser = seconds_of)]
    expires_in: Option<u64>,
    /// Allow one download: the same as --max-downloads 1
    #[arg(long, conflicts_with = "max_downloads")]
    once: bool,
    /// How many downloads it allows, 1 to 1000000: it opens a page with a button then [default: no end of them]
    #[arg(long, value_name = "NUMBER", value_parser = value_parsers::max_downloads)]
    max_downloads: Option<MaxDownloads>,
    /// Ask for a password on the terminal, without which it does not open
    #[arg(long, conflicts_with = "password_file")]
    password: bool,
    /// File with that password, alone on its first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Heading of the page [default: the name of the directory]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Print a link for each file, and make no page
    #[arg(long, conflicts_with_all = ["password", "password_file", "title"])]
    each: bool,
    /// Name of what comes on standard input
    #[arg(long, value_name = "NAME", value_parser = FileName::from_command_line)]
    filename: Option<FileName>,
    /// Store the files in the data directory, where they stay
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    end: FileEnd,
    /// Take in what begins with a dot below a directory, too
    #[arg(long)]
    hidden: bool,
    /// Refuse larger files: bytes, or a number with KiB, MiB or GiB [default: any size]
    #[arg(long, value_name = "SIZE", value_parser = bytes_of)]
    size_max: Option<u64>,
    /// Draw the address as a QR code, too
    #[arg(long)]
    qr: bool,
    /// Open the address in a browser
    #[arg(long)]
    open: bool,
    /// Put the address on the clipboard
    #[arg(long)]
    copy: bool,
    #[command(flatten)]
    listening: ListenFlags,
}

impl Share {
    pub(super) async fn run(mut self, global: &Global) -> Result<(), Failure> {
        if let Some(command) = self.command.take() {
            return command.run(global).await;
        }
        // 1.
        self.expect_sense()?;
        let paths = SharedPaths::resolve(&self.paths)?;
        let handed_to = self.handed_to()?;
        let flags = self.listening.flags_of_share(global)?;
        let mut session = Session::begin(global, flags, Logging::Warnings)?;
        if let Some(seconds) = self.expires_in {
            value_parsers::expect_lifetime("--expires-in", seconds, &session.config.links)?;
        }
        let terms = self.terms(&session.config)?;
        let recorder = Recorder::open(&session, "share")?;
        let interrupt = Interrupt::listen_to_terminal();
        // 2.
        let own = Own::of(&session.config);
        let directory = self.temporary(&mut session, &paths)?;
        // 3.
        let host = tokio::select! {
            host = self.host(&mut session, &interrupt) => host?,
            () = interrupt.first() => {
                return Err(interrupt.failure("stopped before anything was shared"));
            }
        };
        // 4. Where there was nothing yet, the installation has files of its own by now.
        let own = match &directory {
            Some(directory) => own.and(directory.path()),
            None => Own::of(&session.config),
        };
        let (source, progress) = self.source(&own, self.keep && !session.output.is_json());
        let published = {
            let gateway = Arc::clone(&host.gateway);
            let intake = Intake::new(gateway, &session.config, self.size_max, interrupt.clone());
            let mut publisher = self.publisher(&intake, &paths, &host, &session, recorder);
            let output = &mut session.output;
            self.publish(&mut publisher, source, terms, progress, output)
                .await
        };
        let published = match published {
            Ok(published) => published,
            Err(failure) => return host.give_up(failure).await,
        };
        let announcement = Announcement {
            published: &published,
            others: &host.others,
            is_kept: self.keep,
            is_served_elsewhere: host.server.is_none(),
            is_drawn: self.qr,
        };
        announcement.say(session.output.is_json(), session.clock.now());
        handed_to.hand(&published.urls);
        // 5.
        let ends = directory.as_ref().and(published.expires);
        if let Some(server) = host.server {
            let lives = ends.map(|end| end.since(session.clock.now()));
            server.serve(&interrupt, lives).await?;
        }
        answer(published.failed == 0)
    }

    /// Returns what is shared, and a bar for it.
    fn source(&self, own: &Own, is_shown: bool) -> (Source, Progress) {
        let walk = || Walk::new(&self.paths, own.clone(), self.hidden);
        match &self.filename {
            Some(name) => (Source::Input(name.clone()), Progress::new(is_shown)),
            None => (
                Source::Walk(Box::new(walk())),
                Progress::of_all(is_shown, walk),
            ),
        }
    }

    /// Opens the installation, and serves it unless a gateway runs that does.
    async fn host(&self, session: &mut Session, interrupt: &Interrupt) -> Result<Host, Failure> {
        let is_moved = self.listening.listen.is_empty();
        if self.keep && is_moved && Host::is_served(&session.config)? {
            return Host::beside(session, self.listening.name_a_base()).await;
        }
        let access = match self.keep {
            true => SetupPolicy::SetUp,
            false => SetupPolicy::Temporary,
        };
        Host::serve(session, access, is_moved, interrupt).await
    }

    fn publisher<'a>(
        &self,
        intake: &'a Intake,
        paths: &'a SharedPaths,
        host: &'a Host,
        session: &Session,
        recorder: Recorder,
    ) -> Publisher<'a> {
        let is_json = session.output.is_json();
        Publisher {
            intake,
            keeping: match self.keep {
                true => Keeping::Stored,
                false => Keeping::InPlace,
            },
            size_max: self
                .size_max
                .unwrap_or_else(|| blob_bytes_max(&session.config)),
            paths,
            others: &host.others,
            delete_after: self.end.delete_after,
            is_for_people: People::find(is_json) == People::Output,
            recorder,
            unprinted: Unprinted::default(),
        }
    }

    /// Takes everything in and prints it, unless a second signal ends that.
    async fn publish(
        &self,
        publisher: &mut Publisher<'_>,
        source: Source,
        terms: Terms,
        progress: Progress,
        output: &mut Output,
    ) -> Result<Published, Failure> {
        let interrupt = publisher.intake.interrupt.clone();
        let is_page = terms.password.is_some() || terms.title.is_some();
        let is_page = is_page || (publisher.paths.are_many() && !self.each);
        let published = tokio::select! {
            published = async {
                match is_page {
                    true => publisher.page(source, terms, progress, output).await,
                    false => publisher.links(source, &terms, progress, output).await,
                }
            } => Some(published),
            () = interrupt.second() => None,
        };
        published.unwrap_or_else(|| {
            publisher.unprinted.name();
            Err(publisher.stopped())
        })
    }

    /// Refuses words that do not go together.
    fn expect_sense(&self) -> Result<(), Failure> {
        let (inputs, files): (Vec<_>, Vec<_>) =
            self.paths.iter().cloned().partition(|path| is_input(path));
        let wrong = |why: &str| Err(Failure::Usage(why.into()));
        if self.end.delete_after.is_some() && !self.keep {
            return wrong("--delete-after is for files that are kept: --keep");
        }
        match (inputs.len(), &self.filename) {
            (0, Some(_)) => wrong("--filename names standard input: share - --filename NAME"),
            (0, None) => expect_paths(&files),
            (1, Some(_)) if files.is_empty() => Ok(()),
            (1, None) if files.is_empty() => wrong(
                "- is standard input: --filename says what it is called; a file of that name is ./-",
            ),
            _ => wrong("- is standard input, and is shared alone; a file of that name is ./-"),
        }
    }

    /// Finds the programs that the address is handed to, before anything is done.
    fn handed_to(&self) -> Result<HandedTo, Failure> {
        Ok(HandedTo {
            browser: self.open.then(Program::opener).transpose()?,
            clipboard: self.copy.then(Program::clipboard).transpose()?,
        })
    }

    fn terms(&mut self, config: &Config) -> Result<Terms, Failure> {
        let once = self.once.then_some(MaxDownloads::ONE);
        Ok(Terms {
            expires_in: self.expires_in.unwrap_or(config.links.lifetime),
            max_downloads: self.max_downloads.or(once),
            password: self.asked_password()?,
            title: self.title.take(),
        })
    }

    fn asked_password(&self) -> Result<Option<Password>, Failure> {
        match (&self.password_file, self.password) {
            (Some(path), _) => password::in_file(path).map(Some),
            (None, true) => password::asked("--password").map(Some),
            (None, false) => Ok(None),
        }
    }

    /// Makes the temporary installation, unless the files are stored, and has the session be of it.
    fn temporary(
        &self,
        session: &mut Session,
        paths: &SharedPaths,
    ) -> Result<Option<TemporaryDirectory>, Failure> {
        if self.keep {
            return Ok(None);
        }
        let made = TemporaryDirectory::make(&self.places(), session.clock.now());
        let made = made.map_err(|error| Failure::io("making a temporary directory", &error))?;
        session.config = made.config(&session.config, paths.roots());
        Ok(Some(made))
    }

    /// Returns where a temporary installation may be, the best place first: in memory, unless it has the bytes of
    /// standard input.
    fn places(&self) -> Vec<PathBuf> {
        let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let runtime = runtime.filter(|path| path.is_absolute());
        let in_memory = runtime.into_iter().chain([PathBuf::from(SHARED_MEMORY)]);
        let in_memory = in_memory.filter(|_| self.filename.is_none());
        in_memory.chain([env::temp_dir()]).collect()
    }
}
