//! `hallpass doctor`.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;

use super::failure::{Failure, answer};
use super::session::{Global, Logging, Session};
use super::store::progress_bar;
use super::wire;
use crate::gateway::Gateway;
use crate::gateway::doctor::{Complaint, Finding};
use crate::gateway::progress::PassProgress;
use crate::gateway::sweep::{HeldBack, ORPHANS_MAX};
use crate::server::disk_reserve;
use crate::server::setup::SetupPolicy;

/// The most files that are read at once, however many cores there are.
const FILES_AT_ONCE_MAX: usize = 16;

/// The most files that the one JSON object names. All are counted, and without `--json` all are printed.
const NAMED_MAX: usize = 10_000;

/// The interval at which the progress is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);

#[derive(Args, Debug)]
pub(super) struct Doctor {
    /// Mark damaged files, which are not served then, unmark those that are whole again, set counters right, and
    /// remove leftovers
    #[arg(long)]
    mend: bool,
    /// How many blobs without a row may be removed where they are more than a tenth of all
    #[arg(long, value_name = "COUNT", requires = "mend", default_value_t = ORPHANS_MAX)]
    orphans_max: u64,
}

impl Doctor {
    /// Prints each file and each organization that something is the matter with, then the sum. Fails if any
    /// file is damaged, or if an organization is counted wrongly and that was not mended.
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut session = Session::begin(global, Vec::new(), Logging::Warnings)?;
        let access = if self.mend {
            SetupPolicy::Change
        } else {
            SetupPolicy::Existing
        };
        let gateway = session.gateway(access).await?;
        let leftovers = gateway.leftovers().await?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let tally = Arc::new(PassProgress::default());
        let drawing = draw(&tally, !session.output.is_json());
        let mut checkup = wire::CheckSummary {
            files_checked: 0,
            bytes_checked: 0,
            damaged: 0,
            files: Vec::new(),
            miscounted: 0,
            organizations: Vec::new(),
            stages: leftovers.stages,
            orphans: leftovers.orphans,
            orphans_left: false,
            reserve_missing_bytes: None,
            mended: self.mend,
        };
        let mut printed = Ok(());
        let output = &mut session.output;
        let report = |finding: Finding| {
            let is_well = matches!(
                finding.complaint,
                Complaint::Healed | Complaint::Moved { .. }
            );
            checkup.damaged += u64::from(!is_well);
            let patient = wire::FileFinding::from(&finding);
            if !output.is_json() {
                let shown = drawing.suspend(|| output.item(&patient).and_then(|()| output.flush()));
                printed = std::mem::replace(&mut printed, Ok(())).and(shown);
            } else if checkup.files.len() < NAMED_MAX {
                checkup.files.push(patient);
            }
        };
        let at_once = cores.min(FILES_AT_ONCE_MAX);
        gateway
            .check_files(self.mend, at_once, &tally, report)
            .await?;
        drawing.finish_and_clear();
        printed?;
        self.check_counts(&gateway, &mut session, &mut checkup)
            .await?;
        let mut held_back = None;
        if self.mend {
            held_back = sweep(&gateway, self.orphans_max, &mut checkup).await?;
        }
        (checkup.files_checked, checkup.bytes_checked) = (tally.files(), tally.bytes());
        checkup.reserve_missing_bytes = disk_reserve::missing(&session.config.server.data_dir);
        session.output.one(&checkup)?;
        let is_well = checkup.damaged == 0 && (self.mend || checkup.miscounted == 0);
        match held_back {
            Some(held_back) => Err(Failure::Failed(held_back.to_string())),
            None => answer(is_well),
        }
    }

    async fn check_counts(
        &self,
        gateway: &Gateway,
        session: &mut Session,
        checkup: &mut wire::CheckSummary,
    ) -> Result<(), Failure> {
        let output = &mut session.output;
        let mut printed = Ok(());
        let report = |miscount| {
            checkup.miscounted += 1;
            let miscounted = wire::Miscounted::from(&miscount);
            if !output.is_json() {
                let shown = output.item(&miscounted);
                printed = std::mem::replace(&mut printed, Ok(())).and(shown);
            } else if checkup.organizations.len() < NAMED_MAX {
                checkup.organizations.push(miscounted);
            }
        };
        gateway.check_counts(self.mend, report).await?;
        printed
    }
}

/// Does what a running gateway does every hour. Answers why blobs without a row were left alone, if they were.
async fn sweep(
    gateway: &Gateway,
    orphans_max: u64,
    checkup: &mut wire::CheckSummary,
) -> Result<Option<HeldBack>, Failure> {
    let swept = gateway.sweep_up_to(orphans_max).await?;
    checkup.stages = swept.stages;
    checkup.orphans_left = swept.held_back.is_some();
    if !checkup.orphans_left {
        checkup.orphans = swept.orphans;
    }
    Ok(swept.held_back)
}

/// Shows the progress of the check, on standard error and only where that is a terminal, until it is told
/// to finish.
fn draw(tally: &Arc<PassProgress>, shown: bool) -> ProgressBar {
    let bar = progress_bar(None, "{spinner} {msg}", shown);
    let (tally, drawn) = (Arc::clone(tally), bar.clone());
    tokio::spawn(async move {
        while !drawn.is_finished() {
            let bytes = indicatif::HumanBytes(tally.bytes());
            drawn.set_message(format!("{} files, {bytes} checked", tally.files()));
            drawn.tick();
            tokio::time::sleep(DRAW_EVERY).await;
        }
    });
    bar
}
