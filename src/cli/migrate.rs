//! `hallpass migrate`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::HumanBytes;

use super::failure::{Failure, answer, complain};
use super::session::{Global, Logging, Session};
use super::store::Progress;
use super::wire;
use crate::config::{Config, VARIABLE_PREFIX, Vars};
use crate::gateway::migrate::{MigrateError, MigrationOutcome, Told, migrate};
use crate::gateway::progress::PassProgress;
use crate::gateway::refusal::with_causes;
use crate::server::migration::MigrationTarget;
use crate::server::shutdown::StopSignals;

/// The most files that the one JSON object names. All are counted, and all are said.
const NAMED_MAX: usize = 10_000;

/// The intervals at which the progress is drawn, and printed where nothing can be drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);
const SAY_EVERY: Duration = Duration::from_secs(10);

/// The end of `--help`, behind the flags.
const HELP: &str = "\
The source is the installation that the configuration names; it is only read, and gateways may run on it. (A \
catalogue of an older version is brought up to date first, as by every command.) Each blob is written, made \
durable and read back with the SHA-256 of its row before the row is copied. A copy that is broken off is \
completed by running the same command again, which copies what is left; nothing opens a copied catalogue before \
it is whole.

To move over, stop the gateways of the source, run the same command once more, until it ends with 0, and start the \
gateways of the destination with the same keyring. Links minted before open after it.

One half may stay: with --to-catalog alone the bytes, with --to-blobs alone the rows. An installation has one data \
directory, so rows in one directory and bytes in another are refused. Where the bytes stay, two catalogues know \
them from then on: never start the gateways of the source again, they would remove what the new ones store. Where \
the rows stay, nothing is noted anywhere: each run reads all blobs that are there, and the configuration names the \
new place once a run has ended with 0 and the gateways are stopped.

How an S3 store is reached (blobs.endpoint, blobs.region, blobs.access_key_id, ... or the AWS_ variables) comes \
from the configuration. Where both ends are in such stores, --to-config names another file for the destination; \
HALLPASS_ variables count for the source alone then.

Exit code 0: all is copied. 1: it was stopped or failed; or the source changed while it was copied, so that some \
is still to be copied; or files were left out, since their bytes are damaged, too large for the store or can only be served in place. Rows \
that are copied without their bytes are marked as damaged. 2: it cannot be moved there, and nothing was changed.";

#[derive(Args, Debug)]
#[command(after_long_help = HELP)]
pub(super) struct Migrate {
    /// Where the rows go: postgres://... or a data directory
    #[arg(long, value_name = "URL")]
    to_catalog: Option<String>,
    /// Where the bytes go: s3://BUCKET/PREFIX or a data directory
    #[arg(long, value_name = "URL")]
    to_blobs: Option<String>,
    /// Configuration file of the destination, instead of these two
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to_catalog", "to_blobs"])]
    to_config: Option<PathBuf>,
    /// Read the blobs that an earlier run copied once more
    #[arg(long)]
    verify: bool,
}

/// The environment without the settings of the source.
struct ForeignEnvironment;

impl Vars for ForeignEnvironment {
    fn all(&self) -> Vec<(OsString, OsString)> {
        let is_ours = |name: &OsString| {
            let name = name.as_encoded_bytes();
            name.starts_with(VARIABLE_PREFIX.as_bytes())
        };
        std::env::vars_os()
            .filter(|(name, _)| !is_ours(name))
            .collect()
    }
}

impl Migrate {
    /// Copies until there is nothing left to copy, or for a few passes, and prints what was done.
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut stop = StopSignals::listen();
        let mut session = Session::begin(global, Vec::new(), Logging::Warnings)?;
        let to = self.destination(&session.config)?;
        if self.verify && to.blobs.is_none() {
            let why = "--verify: no bytes are moved there, so there are none to be read";
            return Err(Failure::Usage(why.into()));
        }
        let clock = Arc::clone(&session.clock);
        let opening = to.open(&session.config, clock, self.verify);
        let open = tokio::select! {
            open = opening => open?,
            _ = stop.next() => return Err(stopped()),
        };
        let tally = Arc::new(PassProgress::default());
        let shown = Shown::new(&tally, !session.output.is_json());
        let mut left_out = Vec::new();
        let tell = |told: Told<'_>| {
            shown.tell(&told);
            match told {
                // Each pass says again what it leaves out.
                Told::Begun(..) => left_out.clear(),
                Told::LeftOut(file, why) if left_out.len() < NAMED_MAX => {
                    left_out.push(wire::LeftOut::new(file, why));
                }
                _ => {}
            }
        };
        let moving = migrate(&open.ends, session.clock.as_ref(), &tally, tell);
        let moved = tokio::select! {
            moved = moving => moved,
            _ = stop.next() => return Err(stopped()),
        };
        drop(shown);
        let outcome = moved.map_err(failed)?;
        let keyring = session.config.keyring_text.is_none();
        let keyring = keyring.then(|| session.config.keyring_file());
        let cannot_stay = outcome.moved.in_place > 0 && is_store(&to);
        let halves = wire::Halves {
            rows: to.catalog.is_some(),
            bytes: to.blobs.is_some(),
        };
        session
            .output
            .one(&wire::Migrated::new(&outcome, left_out, keyring, halves))?;
        answer(outcome.is_in_step && outcome.moved.left_out == 0 && !cannot_stay)
    }

    fn destination(&self, source: &Config) -> Result<MigrationTarget, Failure> {
        let wrong =
            |flag: &'static str| move |why: &'static str| Failure::Usage(format!("{flag}: {why}"));
        if let Some(file) = &self.to_config {
            let to = Config::load(Some(file), &ForeignEnvironment, &[]);
            let to = to.map_err(Failure::Configuration)?;
            let to = MigrationTarget {
                catalog: Some(to.clone()),
                blobs: Some(to),
            };
            let to = to.without_same(source);
            if to.catalog.is_none() && to.blobs.is_none() {
                let why = "--to-config names where everything is already";
                return Err(Failure::Usage(why.into()));
            }
            return Ok(to);
        }
        let (rows, bytes) = (self.to_catalog.as_deref(), self.to_blobs.as_deref());
        if rows.is_none() && bytes.is_none() {
            let why = "say where to: --to-catalog, --to-blobs, or --to-config";
            return Err(Failure::Usage(why.into()));
        }
        let catalog = rows.map(|place| source.with_rows_in(place)).transpose();
        let blobs = bytes.map(|place| source.with_bytes_in(place)).transpose();
        Ok(MigrationTarget {
            catalog: catalog.map_err(wrong("--to-catalog"))?,
            blobs: blobs.map_err(wrong("--to-blobs"))?,
        })
    }
}

/// Returns whether the bytes go to a store, where no file can be served in place.
fn is_store(to: &MigrationTarget) -> bool {
    to.blobs.as_ref().is_some_and(|to| to.blobs.url.is_some())
}

fn stopped() -> Failure {
    Failure::Failed("stopped: run it again to go on".into())
}

fn failed(error: MigrateError) -> Failure {
    match error {
        MigrateError::Refused(why) => Failure::Usage(why),
        other => Failure::Failed(format!("{} (run it again to go on)", with_causes(&other))),
    }
}

/// The progress on standard error: a bar where that is a terminal, else a line now and then.
struct Shown(Progress);

impl Shown {
    fn new(tally: &Arc<PassProgress>, shown: bool) -> Self {
        let progress = Progress::new(shown);
        let (tally, bar) = (Arc::clone(tally), progress.bar.clone());
        tokio::spawn(async move {
            let mut since_said = Duration::ZERO;
            while !bar.is_finished() {
                tokio::time::sleep(DRAW_EVERY).await;
                since_said += DRAW_EVERY;
                let (rows, files) = (tally.rows(), tally.files());
                bar.set_position(tally.bytes());
                bar.set_message(format!("{rows} rows, {files} files"));
                if bar.is_hidden() && since_said >= SAY_EVERY {
                    since_said = Duration::ZERO;
                    let (bytes, all) = (tally.bytes(), bar.length().unwrap_or_default());
                    let (bytes, all) = (HumanBytes(bytes), HumanBytes(all));
                    complain(&format!("{rows} rows, {files} files, {bytes} of {all}"));
                }
            }
        });
        Self(progress)
    }

    fn tell(&self, told: &Told<'_>) {
        let line = match told {
            Told::Begun(_, kept) => {
                let bar = &self.0.bar;
                bar.set_length(kept.bytes);
                bar.set_position(0);
                return;
            }
            Told::LeftOut(file, why) => {
                format!("{} of {} is left out: {why}", file.id, file.organization)
            }
            Told::Passed(number, moved) => {
                let (rows, removed) = (moved.rows_copied, moved.rows_removed);
                let (files, bytes) = (moved.files_copied, HumanBytes(moved.bytes_copied));
                format!(
                    "pass {number}: {rows} rows copied, {removed} removed; {files} files copied, {bytes}"
                )
            }
        };
        self.0.aside(|| complain(&line));
    }
}

impl wire::Migrated {
    fn new(
        outcome: &MigrationOutcome,
        files: Vec<wire::LeftOut>,
        keyring: Option<PathBuf>,
        halves: wire::Halves,
    ) -> Self {
        let moved = outcome.moved;
        Self {
            rows_copied: moved.rows_copied,
            rows_removed: moved.rows_removed,
            files_copied: moved.files_copied,
            bytes_copied: moved.bytes_copied,
            files_there: moved.files_there,
            left_out: moved.left_out,
            in_place: moved.in_place,
            passes: outcome.passes,
            in_step: outcome.is_in_step,
            files,
            keyring,
            halves,
        }
    }
}
