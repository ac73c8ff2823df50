//! `hallpass config …`.

use clap::Subcommand;

use super::failure::Failure;
use super::output::Output;
use super::session::Global;
use super::wire;
use crate::config::SAMPLE;

#[derive(Subcommand, Debug)]
pub(super) enum ConfigCommand {
    /// Print every setting with its origin, or everything that is wrong
    Check,
    /// Print a documented configuration file with every key at its default
    Sample,
}

impl ConfigCommand {
    /// Prints settings; nothing is opened or made.
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let mut output = Output::new(global.json);
        match self {
            Self::Check => {
                let settings = global.explain(Vec::new()).map_err(Failure::Configuration)?;
                output.many(settings.iter().map(wire::ConfigSetting::from))
            }
            Self::Sample => output.one(&wire::Sample { sample: SAMPLE }),
        }
    }
}
