//! `hallpass apikey …`: what authenticates a mint, list, upload or delete call.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use zeroize::Zeroizing;

use super::audit::Recorder;
use super::failure::Failure;
use super::session::{Global, Logging, Session, expect_organization};
use super::{value_parsers, wire};
use crate::config::seconds_of;
use crate::gateway::refusal::Refusal;
use crate::gateway::tenants::NewApiKey;
use crate::model::app::AppSecret;
use crate::model::id::{ApiKeyId, DEFAULT_ORGANIZATION, OrganizationId};
use crate::model::key::{ApiKeyState, Scope, Scopes};
use crate::server::setup::SetupPolicy;

#[derive(Subcommand, Debug)]
pub(super) enum ApiKeyCommand {
    /// Make an API key and print it, this once
    Create(CreateApiKey),
    /// List the API keys, without their text
    List(ListApiKeys),
    /// Let a key not work until it is resumed
    Pause(One),
    /// Let a paused key work again
    Resume(One),
    /// Let a key never work again
    Deactivate(One),
}

/// The end of `--help`, behind the flags.
const SCOPES: &str = "\
Scopes:
  read   list files and look at them
  mint   make signed URLs and shares for files
  write  upload and delete files
  admin  revoke links, manage other keys' shares, and all of the above

A key acts for one organization, and for no other whatever its scopes. Give each program a key of its own with the \
scopes it needs: a web server that only hands out links needs `mint`. `hallpass apikey pause` stops a key at once.";

#[derive(Args, Debug)]
#[command(after_help = SCOPES)]
pub(super) struct CreateApiKey {
    /// Organization that the key acts for
    #[arg(long, value_name = "ID", default_value = DEFAULT_ORGANIZATION)]
    organization: OrganizationId,
    /// A word for it, for people
    #[arg(long, value_name = "NAME", default_value = "")]
    name: String,
    /// What it may do: read, mint, write, admin, as explained below; may be repeated [default: read, mint, write]
    #[arg(long, value_name = "SCOPE", value_delimiter = ',', value_parser = value_parsers::scope)]
    scope: Vec<Scope>,
    /// How long it works: seconds, or a number with s, m, h, d or w, such as 1h30m [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = seconds_of)]
    expires_in: Option<u64>,
    /// Take the key's text from this file [default: drawn]
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Make an app of the key, too, which signs requests to the KooDrive API, and print its secret
    #[arg(long)]
    app: bool,
    /// Take the app's secret from this file [default: drawn]
    #[arg(long, value_name = "FILE", requires = "app")]
    app_secret_file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct ListApiKeys {
    /// List the keys of this organization only
    #[arg(long, value_name = "ID")]
    organization: Option<OrganizationId>,
}

#[derive(Args, Debug)]
pub(super) struct One {
    /// Id of the key, as in the list
    #[arg(value_name = "KEY")]
    key: ApiKeyId,
}

impl ApiKeyCommand {
    /// Changes or prints API keys.
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let session = Session::begin(global, Vec::new(), Logging::Warnings)?;
        match self {
            Self::Create(create) => create.run(session).await,
            Self::List(list) => list.run(session).await,
            Self::Pause(one) => one.set(session, ApiKeyState::Paused).await,
            Self::Resume(one) => one.set(session, ApiKeyState::Active).await,
            Self::Deactivate(one) => one.set(session, ApiKeyState::Deactivated).await,
        }
    }
}

impl CreateApiKey {
    async fn run(self, mut session: Session) -> Result<(), Failure> {
        if self.expires_in == Some(0) {
            return Err(Failure::Usage(
                "--expires-in must be at least 1 second".into(),
            ));
        }
        let text = self.api_key_file.as_deref().map(value_parsers::key_file);
        let text = text.transpose()?;
        let secret = self.app_secret_file.as_deref().map(app_secret);
        let secret = secret.transpose()?;
        let mut recorder = Recorder::open(&session, "apikey")?;
        let gateway = session.gateway(SetupPolicy::SetUp).await?;
        expect_organization(&gateway, &self.organization).await?;
        let scopes = match self.scope.as_slice() {
            [] => Scopes::USUAL,
            some => Scopes::of(some),
        };
        let new = NewApiKey {
            organization: self.organization,
            name: self.name,
            scopes,
            expires_in: self.expires_in,
            text,
        };
        let (key, text, app) = if self.app {
            let secret = secret.as_ref().map(AppSecret::reveal);
            let (key, text, app) = gateway.create_app(new, secret).await?;
            (key, text, Some(app))
        } else {
            let (key, text) = gateway.create_api_key(new).await?;
            (key, text, None)
        };
        recorder.api_key(&key);
        session
            .output
            .one(&wire::CreatedApiKey::new(&key, text, app.as_ref()))
    }
}

/// The one secret that a file holds. It is not repeated where it is wrong.
fn app_secret(path: &Path) -> Result<AppSecret, Failure> {
    let text = Zeroizing::new(value_parsers::key_file(path)?);
    AppSecret::parse(&text).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}

impl ListApiKeys {
    async fn run(self, mut session: Session) -> Result<(), Failure> {
        let gateway = session.gateway(SetupPolicy::Existing).await?;
        if let Some(organization) = &self.organization {
            expect_organization(&gateway, organization).await?;
        }
        let keys = gateway.api_keys(self.organization.as_ref()).await?;
        let apps = gateway.apps(self.organization.as_ref()).await?;
        let listed = |key| wire::ListedApiKey::with_apps(key, &apps);
        session.output.many(keys.iter().map(listed))
    }
}

impl One {
    async fn set(self, mut session: Session, state: ApiKeyState) -> Result<(), Failure> {
        let mut recorder = Recorder::open(&session, "apikey")?;
        let gateway = session.gateway(SetupPolicy::Change).await?;
        let key = match gateway.set_api_key_state(&self.key, state).await {
            Err(Refusal::Missing { .. }) => {
                let why = format!("there is no API key {}", self.key);
                return Err(Failure::Failed(why));
            }
            Err(Refusal::Exists { .. }) => {
                let why = format!("API key {} was deactivated, and stays so", self.key);
                return Err(Failure::Failed(why));
            }
            changed => changed?,
        };
        recorder.api_key(&key);
        session.output.one(&wire::ListedApiKey::from(&key))
    }
}
