//! The presence file: a running gateway tells commands on the same data directory the prefix of its links.
//!
//! 1. A gateway writes `gateway-ID.toml.new` in its data directory, locks it, and renames it to
//!    `gateway-ID.toml`, so that a reader never sees a part of it.
//! 2. It holds the lock until it stops, and removes the file then.
//! 3. A command that finds the file locked believes it. The kernel drops the lock when the process ends, however it
//!    ends: a file that nobody holds is stale, and the next gateway removes it.
//!
//! A file, and no row: its lock says whether the process lives, which a row could only guess by a clock. So with
//! PostgreSQL, too, a gateway is known to the commands that have its data directory; commands on other
//! machines go by `server.public_base_url`.

use std::cmp::Reverse;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::StartError;
use crate::config::PublicBaseUrl;

/// The prefix of the file's name, and its suffixes while it is in use and while it is made.
const PREFIX: &str = "gateway-";
const SUFFIX: &str = ".toml";
const SUFFIX_NEW: &str = ".toml.new";

/// The longest file that is read, in bytes: ours has one URL, of 512 bytes at most.
const FILE_BYTES_MAX: u64 = 4096;

/// The number of times that a file is made again which another gateway took for a stale one before it was locked.
const TRIES_MAX: usize = 10;

/// The file of a gateway that runs. Dropped, it is gone.
#[derive(Debug)]
pub(super) struct Presence {
    path: PathBuf,
    _lock: File,
}

/// The command that runs a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GatewayCommand {
    /// `hallpass serve`, which stays; also an older version's, which did not say.
    Serve,
    /// `hallpass share`, which ends with the terminal that it runs in.
    Share,
}

impl GatewayCommand {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Share => "share",
        }
    }
}

/// A running gateway, as its presence file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningGateway {
    /// The command that runs it.
    pub command: GatewayCommand,
    /// The prefix of its links.
    pub public_base_url: PublicBaseUrl,
    /// The process's id.
    pub pid: u32,
}

/// The gateways that run on a data directory.
#[derive(Debug, Default)]
pub struct Gateways {
    /// The gateways whose files could be read: `serve` before `share`, and of each the one that started last first.
    pub running: Vec<RunningGateway>,
    /// A file that this user may not read: a gateway of another user may run.
    pub unreadable: Option<PathBuf>,
}

impl Presence {
    /// Tells commands of this gateway. A directory that does not take the file is only warned of: links open without
    /// it.
    pub(super) fn announce_or_warn(
        directory: &Path,
        command: GatewayCommand,
        base: &PublicBaseUrl,
    ) -> Option<Self> {
        let announced = Self::announce(directory, command, base);
        announced
            .inspect_err(|error| {
                tracing::warn!(
                    %error,
                    "`hallpass sign` cannot be told what links begin with: say it with --public-base-url"
                );
            })
            .ok()
    }

    fn announce(
        directory: &Path,
        command: GatewayCommand,
        base: &PublicBaseUrl,
    ) -> Result<Self, StartError> {
        let doing = "noting in the data directory what links begin with";
        let failed = |error: io::Error| StartError::in_directory(doing, directory, error);
        remove_stale(directory).map_err(failed)?;
        let mut drawn = [0; 8];
        getrandom::fill(&mut drawn).map_err(|error| StartError::failed(doing, error))?;
        let id = format!("{:016x}", u64::from_be_bytes(drawn));
        let path = directory.join(format!("{PREFIX}{id}{SUFFIX}"));
        let new = directory.join(format!("{PREFIX}{id}{SUFFIX_NEW}"));
        let pid = std::process::id();
        // Nothing in a URL of this kind needs escaping.
        let (base, command) = (base.as_str(), command.as_str());
        let text = format!("public_base_url = \"{base}\"\npid = {pid}\ncommand = \"{command}\"\n");
        for _ in 0..TRIES_MAX {
            match publish(&new, &path, &text) {
                Ok(lock) => return Ok(Self { path, _lock: lock }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let _ = fs::remove_file(&new);
                    return Err(failed(error));
                }
            }
        }
        Err(failed(io::ErrorKind::NotFound.into()))
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // If this fails, the file is stale as soon as the lock is gone.
        let _ = fs::remove_file(&self.path);
    }
}

/// The gateways that run on this data directory now. A directory that is not there has none.
///
/// # Errors
/// The system's, where the directory cannot be read.
pub fn gateways(directory: &Path) -> io::Result<Gateways> {
    let mut found = Vec::new();
    let mut unreadable = None;
    for path in files(directory, |name| name.ends_with(SUFFIX))? {
        match running(&path) {
            Ok(Some(one)) => found.push(one),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                unreadable = Some(path);
            }
            // It was removed meanwhile, or is no file of ours.
            Ok(None) | Err(_) => {}
        }
    }
    found.sort_by_key(|(since, running)| (running.command, Reverse(*since)));
    Ok(Gateways {
        running: found.into_iter().map(|(_, running)| running).collect(),
        unreadable,
    })
}

/// Returns the contents of a file and the time at which it was written, in nanoseconds; `None` of one that is stale or
/// holds something else.
fn running(path: &Path) -> io::Result<Option<(i128, RunningGateway)>> {
    let file = open(path)?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(error),
        Ok(()) => return Ok(None),
    }
    let metadata = file.metadata()?;
    let since = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    let Ok(table) = text.parse::<toml::Table>() else {
        return Ok(None);
    };
    let url = table.get("public_base_url").and_then(toml::Value::as_str);
    let pid = table.get("pid").and_then(toml::Value::as_integer);
    let command = match table.get("command").and_then(toml::Value::as_str) {
        Some("share") => GatewayCommand::Share,
        _ => GatewayCommand::Serve,
    };
    let running = url
        .and_then(|url| PublicBaseUrl::parse(url).ok())
        .zip(pid.and_then(|pid| u32::try_from(pid).ok()))
        .map(|(public_base_url, pid)| RunningGateway {
            command,
            public_base_url,
            pid,
        });
    Ok(running.map(|running| (since, running)))
}

/// Writes the file under its first name, locks it, and gives it its second one; `NotFound` where another gateway
/// removed it before it was locked.
fn publish(new: &Path, path: &Path, text: &str) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(new)?;
    file.lock()?;
    file.write_all(text.as_bytes())?;
    fs::rename(new, path)?;
    Ok(file)
}

/// Removes the files that nobody holds. One that this user may not open stays.
fn remove_stale(directory: &Path) -> io::Result<()> {
    for path in files(directory, |name| {
        name.ends_with(SUFFIX) || name.ends_with(SUFFIX_NEW)
    })? {
        let Ok(file) = open(&path) else {
            continue;
        };
        if file.try_lock().is_ok() {
            let _ = fs::remove_file(&path);
        }
    }
    Ok(())
}

/// Follows no link and waits for no pipe.
fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

fn files(directory: &Path, ends_well: impl Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let is_ours = |name: &str| name.starts_with(PREFIX) && ends_well(name);
        if name.to_str().is_some_and(is_ours) {
            found.push(directory.join(name));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(text: &str) -> PublicBaseUrl {
        PublicBaseUrl::parse(text).unwrap()
    }

    #[test]
    fn a_gateway_is_told_of_as_long_as_its_file_is_held() {
        let directory = tempfile::tempdir().unwrap();
        let told = || {
            let gateways = gateways(directory.path()).unwrap();
            let urls = gateways.running.into_iter();
            urls.map(|one| one.public_base_url.as_str().to_owned())
                .collect::<Vec<_>>()
        };
        let first =
            Presence::announce(directory.path(), GatewayCommand::Serve, &base("http://a")).unwrap();
        assert_eq!(told(), ["http://a"]);
        let second =
            Presence::announce(directory.path(), GatewayCommand::Serve, &base("http://b")).unwrap();
        assert_eq!(told(), ["http://b", "http://a"], "the last one first");
        let share =
            Presence::announce(directory.path(), GatewayCommand::Share, &base("http://s")).unwrap();
        let known = ["http://b", "http://a", "http://s"];
        assert_eq!(told(), known, "serve before share");
        drop((first, share));
        assert_eq!(told(), ["http://b"]);
        // The file stays without a lock, as a kill leaves it.
        let stale = directory.path().join("gateway-0.toml");
        fs::copy(&second.path, &stale).unwrap();
        fs::write(directory.path().join("gateway-1.toml.new"), "").unwrap();
        assert_eq!(told(), ["http://b"]);
        drop(second);
        assert!(told().is_empty());
        let _third =
            Presence::announce(directory.path(), GatewayCommand::Serve, &base("http://c")).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(gateways(&directory.path().join("missing")).is_ok());
    }
}
