//! `hallpass add`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use clap::Args;

use super::audit::Recorder;
use super::bulk_import::BulkImport;
use super::failure::{Failure, answer, complain};
use super::file_end::FileEnd;
use super::interrupt::Interrupt;
use super::path_expansion::{Own, Walk, expect_paths};
use super::session::{Global, Logging, Session, expect_space};
use super::store::{FileLabels, Intake, Progress};
use super::{value_parsers, wire};
use crate::config::bytes_of;
use crate::model::file::Purpose;
use crate::model::id::{DEFAULT_ORGANIZATION, DEFAULT_SPACE, FileId, OrganizationId, SpaceId};
use crate::model::media::MediaType;
use crate::model::name::FileName;
use crate::model::time::UnixSeconds;
use crate::server::setup::SetupPolicy;

#[derive(Args, Debug)]
pub(super) struct Add {
    /// Files and directories; of a directory every file below it, in name order, but those whose path has a name that begins with a dot
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Take in what begins with a dot below a directory, too
    #[arg(long)]
    hidden: bool,
    /// Refuse larger files: bytes, or a number with KiB, MiB or GiB [default: any size]
    #[arg(long, value_name = "SIZE", value_parser = bytes_of)]
    size_max: Option<u64>,
    /// Organization that owns the files
    #[arg(long, value_name = "ID", default_value = DEFAULT_ORGANIZATION)]
    organization: OrganizationId,
    /// Space that the files lie in
    #[arg(long, value_name = "ID", default_value = DEFAULT_SPACE)]
    space: SpaceId,
    /// What the files are for
    #[arg(long, value_name = "PURPOSE", default_value = "user_upload", value_parser = value_parsers::purpose)]
    purpose: Purpose,
    /// Id of the file, with one file only [default: drawn]
    #[arg(long, value_name = "ID")]
    id: Option<FileId>,
    /// Name of the file, with one file only [default: the last part of its path]
    #[arg(long, value_name = "NAME", value_parser = FileName::from_command_line)]
    filename: Option<FileName>,
    /// Media type of the files [default: by name and content]
    #[arg(long = "type", value_name = "TYPE", value_parser = MediaType::parse)]
    media_type: Option<MediaType>,
    /// Metadata: a JSON object of texts, or KEY=VALUE, repeated
    #[arg(long, value_name = "JSON")]
    metadata: Vec<String>,
    /// When the file was made, Unix seconds or RFC 3339, with one file only [default: now]
    #[arg(long, value_name = "TIME", value_parser = value_parsers::moment)]
    created_at: Option<UnixSeconds>,
    #[command(flatten)]
    end: FileEnd,
    /// Register the files where they lie, below blobs.in_place_roots, without copying them
    #[arg(long)]
    in_place: bool,
}

impl Add {
    /// Stores the files, several beside each other, passes over those that fail, and says which they are.
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        self.check_one_file()?;
        expect_paths(&self.paths)?;
        let labels = FileLabels {
            metadata: value_parsers::metadata(&self.metadata)?,
            organization: self.organization,
            space: self.space,
            purpose: self.purpose,
            id: self.id,
            filename: self.filename,
            media_type: self.media_type,
            created_at: self.created_at,
            expires_in: self.end.delete_after,
        };
        let mut session = Session::begin(global, Vec::new(), Logging::Warnings)?;
        let recorder = Recorder::open(&session, "add")?;
        let gateway = session.gateway(SetupPolicy::SetUp).await?;
        expect_space(&gateway, &labels.organization, &labels.space).await?;
        let walk = || Walk::new(&self.paths, Own::of(&session.config), self.hidden);
        let progress = Progress::of_all(!session.output.is_json(), walk);
        // Until here a signal ends the process, and leaves nothing.
        let interrupt = Interrupt::listen();
        let intake = Intake::new(gateway, &session.config, self.size_max, interrupt.clone());
        let import = Arc::new(BulkImport {
            intake,
            labels,
            in_place: self.in_place,
            progress,
            recorder: Mutex::new(recorder),
        });
        let mut all_stored = true;
        let walk = walk();
        let tell = |taken| match taken {
            Ok(file) => import.progress.beside(|| {
                session.output.item(&wire::FileEntry::from(&file))?;
                session.output.flush()
            }),
            Err(Failure::Failed(why)) => {
                all_stored = false;
                import.progress.aside(|| complain(&why));
                Ok(())
            }
            Err(Failure::Interrupted(..)) => Ok(()),
            Err(other) => Err(other),
        };
        let stopped = "stopped: what is named above was stored, and nothing of the rest";
        let is_whole = import.all(walk, tell).await?;
        session.output.end()?;
        if !is_whole {
            return Err(interrupt.failure(stopped));
        }
        answer(all_stored)
    }

    /// Refuses flags that name one file where there are several.
    fn check_one_file(&self) -> Result<(), Failure> {
        let flags = [
            ("--id", self.id.is_some()),
            ("--filename", self.filename.is_some()),
            ("--created-at", self.created_at.is_some()),
        ];
        let is_one = matches!(self.paths.as_slice(), [path] if !path.is_dir());
        match flags.into_iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) if !is_one => {
                Err(Failure::Usage(format!("{flag} goes with one file only")))
            }
            _ => Ok(()),
        }
    }
}
