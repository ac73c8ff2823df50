//! The command line: words typed by a person become one call of the layers below.
//!
//! Each command is a file of its name: its flags, and one `run` that reads down. All of them print
//! through `output`, with the fields of `wire`, and say what went wrong through `failure`.
//!
//! | exit code | when |
//! |---|---|
//! | 0 | it was done, or the answer is yes |
//! | 1 | it was not done, or the answer is no |
//! | 2 | the command line, the configuration or the installation has to be mended first |
//! | 129, 130, 143 | SIGHUP (of `share`), SIGINT or SIGTERM ended `share` or `add` before it was done |

use std::ffi::OsString;
use std::future::Future;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use failure::{Failure, complain};
use session::Global;
use terminal::printable;

mod add;
mod apikey;
mod audit;
mod bulk_import;
mod config;
mod desk;
mod doctor;
mod failure;
mod file_end;
mod folder;
mod interrupt;
mod key;
mod link_base;
mod log_hash;
mod ls;
mod migrate;
mod organization;
mod output;
mod password;
mod pasted;
mod path_expansion;
mod qr;
mod revoke;
mod rm;
mod serve;
mod session;
mod share;
mod shares;
mod show;
mod sign;
mod space;
mod standard_input;
mod store;
mod terminal;
mod value_parsers;
mod verify;
mod wire;

/// The longest wait, at the end, for a slow disk to clear away unfinished work.
const CLEARING_TIME_MAX: Duration = Duration::from_secs(2);

/// A signed-URL download gateway: an authenticated call mints a link, the link alone opens the bytes.
#[derive(Parser, Debug)]
#[command(name = "hallpass", bin_name = "hallpass", version)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Hand files over now: serve them where they lie, print an address, and tell of each download until Ctrl-C
    Share(Box<share::Share>),
    /// Run the gateway
    Serve(serve::Serve),
    /// Put files or whole directories into the catalogue
    Add(add::Add),
    /// List the files of an organization, newest first
    Ls(ls::Ls),
    /// Print everything that is known of a file
    Show(show::ShowCommand),
    /// Delete files: they and their links are not found from now on
    Rm(rm::Rm),
    /// Mint a signed URL without the server
    Sign(sign::Sign),
    /// Say exactly why a signed URL opens or not
    Verify(verify::Verify),
    /// Revoke a link, all links of a file, or all links of an organization
    Revoke(revoke::Revoke),
    /// Check every file's bytes, and look for leftovers
    Doctor(doctor::Doctor),
    /// Print a text as the log has it, a keyed hash, to search the log for it
    LogHash(log_hash::LogHashCommand),
    /// Copy an installation to another catalogue and another store, and back
    Migrate(migrate::Migrate),
    /// Make, list, rotate, retire and derive signing keys
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Make, list, pause, resume and deactivate API keys
    #[command(name = "apikey", subcommand)]
    ApiKey(apikey::ApiKeyCommand),
    /// Make and list organizations
    #[command(subcommand)]
    Organization(organization::OrganizationCommand),
    /// Make and list the spaces of an organization
    #[command(subcommand)]
    Space(space::SpaceCommand),
    /// Make, list, fill and share the folders of an organization
    #[command(subcommand)]
    Folder(folder::FolderCommand),
    /// Check the configuration, or print a documented sample
    #[command(subcommand)]
    Config(config::ConfigCommand),
}

/// Does what the words say, the program's name first, and answers its exit code.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    hide_memory();
    let arguments = match Arguments::try_parse_from(words) {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    let global = arguments.global;
    match arguments.command.run(&global) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(|| global.where_it_is_full()),
    }
}

/// Keeps the keyring out of core dumps, and the memory from other processes of the same user (prctl(2),
/// PR_SET_DUMPABLE; CWE-214). Root alone can then look into the process.
fn hide_memory() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        complain(&format!("a core dump could hold the signing keys: {error}"));
    }
}

/// Prints help on standard output, or what is wrong with the words on standard error. A word may be the
/// name of a file that somebody else chose, so it is not repeated as it is. Nobody may be reading.
fn explain(error: &clap::Error) -> ExitCode {
    if error.exit_code() == 0 {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let mut stderr = std::io::stderr().lock();
    for line in error.render().to_string().lines() {
        let _ = writeln!(stderr, "{}", printable(line));
    }
    ExitCode::from(2)
}

impl Command {
    fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Share(share) => block_on(share.run(global)),
            Self::Serve(serve) => block_on(serve.run(global)),
            Self::Add(add) => block_on(add.run(global)),
            Self::Ls(ls) => block_on(ls.run(global)),
            Self::Show(show) => block_on(show.run(global)),
            Self::Rm(rm) => block_on(rm.run(global)),
            Self::Sign(sign) => block_on(sign.run(global)),
            Self::Verify(verify) => block_on(verify.run(global)),
            Self::Revoke(revoke) => block_on(revoke.run(global)),
            Self::Doctor(doctor) => block_on(doctor.run(global)),
            Self::LogHash(log_hash) => log_hash.run(global),
            Self::Migrate(migrate) => block_on(migrate.run(global)),
            Self::Key(key) => block_on(key.run(global)),
            Self::ApiKey(key) => block_on(key.run(global)),
            Self::Organization(organization) => block_on(organization.run(global)),
            Self::Space(space) => block_on(space.run(global)),
            Self::Folder(folder) => block_on(folder.run(global)),
            Self::Config(config) => config.run(global),
        }
    }
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("starting the runtime", &error))?;
    let result = runtime.block_on(work);
    // Threads of their own clear away work that was begun and dropped.
    runtime.shutdown_timeout(CLEARING_TIME_MAX);
    result
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn every(command: &clap::Command, seen: &mut dyn FnMut(&clap::Command)) {
        seen(command);
        for below in command.get_subcommands() {
            every(below, seen);
        }
    }

    #[test]
    fn every_command_and_flag_has_a_line_of_help() {
        let mut arguments = Arguments::command();
        arguments.build();
        arguments.clone().debug_assert();
        every(&arguments, &mut |command| {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                let name = argument.get_id();
                assert!(
                    argument.get_help().is_some(),
                    "{} {name}",
                    command.get_name()
                );
            }
        });
    }
}
