//! The beginning of most commands: the configuration, the log and the opened installation.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::failure::Failure;
use super::output::Output;
use crate::config::{Config, ConfigError, Flag, LogFormat, Origin, Setting, Vars};
use crate::gateway::Gateway;
use crate::gateway::clock::{Clock, SystemClock};
use crate::gateway::refusal::Refusal;
use crate::model::id::{FileId, OrganizationId, SpaceId};
use crate::server::disk;
use crate::server::installation::Installation;
use crate::server::setup::SetupPolicy;
use crate::telemetry::{self, Format, Level, LogGuard};

/// The port of a command that others are to reach, on every IPv4 address.
const EVERYWHERE: &str = ":8080";

/// The flags that every command has.
#[derive(Args, Clone, Debug)]
pub(super) struct Global {
    /// Configuration file (TOML)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of the catalogue, the keyring and the bytes [default: ./hallpass-data]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// Print one JSON value on one line
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// The flags of the commands that listen.
#[derive(Args, Debug)]
pub(super) struct ListenFlags {
    /// Address of a public listener, tls:ADDR or unix:PATH; may be repeated; port 0 is any free one, localhost:8080 this machine's own, :8080 every IPv4 address [default: 127.0.0.1:8080, and :8080 of share]
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Vec<String>,
    /// Address of the private listener with health and metrics [default: none]
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<String>,
    /// What links begin with [default: http:// or https:// and the first listener]
    #[arg(long, value_name = "URL")]
    public_base_url: Option<String>,
}

impl Global {
    /// The settings that `flags` and the global flags make, checked.
    fn load(&self, flags: Vec<Flag>) -> Result<Config, Vec<ConfigError>> {
        Config::load(
            self.config.as_deref(),
            &ProcessEnvironment,
            &self.with_own(flags),
        )
    }

    /// Every setting that `flags` and the global flags make, with its origin.
    pub(super) fn explain(&self, flags: Vec<Flag>) -> Result<Vec<Setting>, Vec<ConfigError>> {
        Config::explain(
            self.config.as_deref(),
            &ProcessEnvironment,
            &self.with_own(flags),
        )
    }

    /// Returns the full disk or store, and the remedy.
    pub(super) fn where_it_is_full(&self) -> String {
        match self.load(Vec::new()) {
            Ok(config) => disk::is_full(&config),
            // It was good when the command began.
            Err(_) => "the disk of the data directory is full: make room there".into(),
        }
    }

    fn with_own(&self, mut flags: Vec<Flag>) -> Vec<Flag> {
        let data_dir = self.data_dir.iter();
        flags.extend(data_dir.map(|value| flag("server.data_dir", "--data-dir", value)));
        flags
    }
}

impl ListenFlags {
    /// The settings that these flags make for a command that others are to reach: it listens on every IPv4 address, unless
    /// somebody says otherwise.
    pub(super) fn flags_of_share(&self, global: &Global) -> Result<Vec<Flag>, Failure> {
        let mut flags = self.flags();
        let settings = global.explain(flags.clone());
        let settings = settings.map_err(Failure::Configuration)?;
        let is_unsaid =
            |setting: &Setting| setting.key == "server.listen" && setting.origin == Origin::Default;
        if settings.iter().any(is_unsaid) {
            flags.push(flag("server.listen", "--listen", EVERYWHERE));
        }
        Ok(flags)
    }

    /// Returns whether they say what links begin with.
    pub(super) const fn name_a_base(&self) -> bool {
        self.public_base_url.is_some()
    }

    /// The settings that these flags make.
    pub(super) fn flags(&self) -> Vec<Flag> {
        let mut flags = public_base(self.public_base_url.as_deref());
        let listen = self.listen.iter();
        flags.extend(listen.map(|value| flag("server.listen", "--listen", value)));
        let admin = self.admin_listen.iter();
        flags.extend(admin.map(|value| flag("server.admin_listen", "--admin-listen", value)));
        flags
    }
}

/// Returns the setting that `--public-base-url` makes.
pub(super) fn public_base(given: Option<&str>) -> Vec<Flag> {
    let given = given.iter();
    given
        .map(|value| flag("server.public_base_url", "--public-base-url", value))
        .collect()
}

fn flag(key: &'static str, name: &'static str, value: &str) -> Flag {
    let value = value.to_owned();
    Flag { key, value, name }
}

/// The environment that this process was started with.
struct ProcessEnvironment;

impl Vars for ProcessEnvironment {
    fn all(&self) -> Vec<(OsString, OsString)> {
        std::env::vars_os().collect()
    }
}

/// The events that are logged, besides a command's own messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Logging {
    /// The configured ones: for a process that an operator keeps running.
    Configured,
    /// Warnings and errors at most: by a command that a person waits for.
    Warnings,
}

/// A command's surroundings.
pub(super) struct Session {
    /// The checked configuration.
    pub(super) config: Config,
    /// The standard output.
    pub(super) output: Output,
    /// The time.
    pub(super) clock: Arc<dyn Clock>,
    _log: LogGuard,
}

impl Session {
    /// Reads the configuration, with the command's own flags last, and starts the log.
    pub(super) fn begin(
        global: &Global,
        flags: Vec<Flag>,
        logging: Logging,
    ) -> Result<Self, Failure> {
        let config = global.load(flags).map_err(Failure::Configuration)?;
        let log =
            start_log(&config, logging).map_err(|error| Failure::io("starting the log", &error))?;
        Ok(Self {
            config,
            output: Output::new(global.json),
            clock: Arc::new(SystemClock::start()),
            _log: log,
        })
    }

    /// Opens the installation; where `access` lets it, an empty data directory is set up.
    pub(super) async fn installation(&self, access: SetupPolicy) -> Result<Installation, Failure> {
        let clock = Arc::clone(&self.clock);
        Ok(Installation::open(&self.config, access, clock).await?)
    }

    /// Opens the installation as a gateway that listens nowhere. Only its minting needs
    /// `public_base_url`.
    pub(super) async fn gateway(&self, access: SetupPolicy) -> Result<Arc<Gateway>, Failure> {
        self.gateway_at(access, String::new()).await
    }

    /// Opens the installation as a gateway whose links begin with `public_base_url`.
    pub(super) async fn gateway_at(
        &self,
        access: SetupPolicy,
        public_base_url: String,
    ) -> Result<Arc<Gateway>, Failure> {
        let installation = self.installation(access).await?;
        let gateway = installation.into_gateway(&self.config, public_base_url);
        gateway.receive_held().await?;
        Ok(Arc::new(gateway))
    }
}

fn start_log(config: &Config, logging: Logging) -> std::io::Result<LogGuard> {
    let format = match config.log.format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    let level = match logging {
        Logging::Configured => config.log.level,
        Logging::Warnings => config.log.level.min(Level::WARN),
    };
    telemetry::init(format, level)
}

/// Fails with the command that makes the organization, if there is none of this id.
pub(super) async fn expect_organization(
    gateway: &Gateway,
    id: &OrganizationId,
) -> Result<(), Failure> {
    match gateway.organization(id).await {
        Ok(_) => Ok(()),
        Err(Refusal::Missing { .. }) => Err(Failure::Failed(format!(
            "there is no organization {id}: `hallpass organization create --id {id}` makes it"
        ))),
        Err(refusal) => Err(refusal.into()),
    }
}

/// Fails with the command that makes the space, or its organization, if there is none of this id.
pub(super) async fn expect_space(
    gateway: &Gateway,
    organization: &OrganizationId,
    id: &SpaceId,
) -> Result<(), Failure> {
    expect_organization(gateway, organization).await?;
    match gateway.space(organization, id).await {
        Ok(_) => Ok(()),
        Err(Refusal::Missing { .. }) => Err(Failure::Failed(format!(
            "organization {organization} has no space {id}: \
             `hallpass space create --organization {organization} --id {id}` makes it"
        ))),
        Err(refusal) => Err(refusal.into()),
    }
}

/// Returns the failure of a command on a file of an organization, which says so if there is none of this id.
pub(super) fn of_file(organization: &OrganizationId, id: &FileId, refusal: Refusal) -> Failure {
    match refusal {
        Refusal::FileNotFound => {
            Failure::Failed(format!("organization {organization} has no file {id}"))
        }
        other => other.into(),
    }
}
