//! The flag of commands that take files in, by which these have an end.

use clap::Args;

use crate::config::seconds_of;
use crate::gateway::upload::FILE_LIFETIME_MAX;

/// The end of the files that a command takes in.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct FileEnd {
    /// Delete each file so long after it was taken in, and end its links then: seconds, or a number with s, m, h, d or w, such as 30d [default: never]
    #[arg(long, value_name = "TIME", value_parser = lifetime_of)]
    pub(super) delete_after: Option<u64>,
}

/// Reads for how long a file is there. One that was never there, and one that outlives everybody, are slips.
fn lifetime_of(text: &str) -> Result<u64, String> {
    let seconds = seconds_of(text)?;
    let is_good = (1..=FILE_LIFETIME_MAX).contains(&seconds);
    let hint = || format!("must be 1 to {FILE_LIFETIME_MAX} seconds");
    is_good.then_some(seconds).ok_or_else(hint)
}
