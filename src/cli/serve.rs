//! `hallpass serve`, and what it has in common with `share`: a gateway that runs until a signal.

use std::io::IsTerminal as _;
use std::sync::Arc;

use clap::Args;
use listenfd::ListenFd;
use tokio::task::JoinHandle;

use super::audit::Recorder;
use super::failure::{Failure, complain};
use super::interrupt::Interrupt;
use super::session::{Global, ListenFlags, Logging, Session};
use super::wire;
use crate::config::{LIST_ITEMS_MAX, Listen, private_file};
use crate::gateway::Gateway;
use crate::gateway::tenants::NewApiKey;
use crate::model::id::{ApiKeyId, OrganizationId};
use crate::model::key::{ApiKeyState, Scopes};
use crate::server::reload::ConfigurationCheck;
use crate::server::setup::{CatalogSetupLock, SetupPolicy};
use crate::server::{HttpServer, Inherited};

/// The name of the API key that is made at first use.
const FIRST_KEY_NAME: &str = "first";

/// The file of the data directory with that key, where it is not printed.
const FIRST_KEY_FILE: &str = "first-api-key";

#[derive(Args, Debug)]
pub(super) struct Serve {
    #[command(flatten)]
    listening: ListenFlags,
}

impl Serve {
    /// Says where the gateway listens once it accepts, and runs until SIGINT or SIGTERM.
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut session = Session::begin(global, self.listening.flags(), Logging::Configured)?;
        let interrupt = Interrupt::listen();
        let inherited = inherited()?;
        let mut recorder = Recorder::open(&session, "serve")?;
        // Another process may hold the set-up lock for long.
        let built = tokio::select! {
            built = build(&session, inherited) => built?,
            () = interrupt.first() => {
                tracing::info!("stopped before it served");
                return Ok(());
            }
        };
        let global = global.clone();
        let reread = move || global.explain(self.listening.flags());
        let check = ConfigurationCheck::new(Box::new(reread)).map_err(Failure::Configuration)?;
        let (app, setup) = (built.0.with_configuration_check(check), built.1);
        let gateway = Arc::clone(app.gateway());
        let (key, text) = first_api_key(&gateway, &setup, &mut recorder)
            .await?
            .unzip();
        drop(setup);
        let serving = wire::Serving {
            listeners: listener_urls(&app),
            admin: app
                .admin_address()
                .map(|address| format!("http://{address}")),
            organization_id: OrganizationId::default_organization().to_string(),
            kid: gateway.keyring().active().to_string(),
            api_key: text,
            api_key_file: None,
        };
        let running = RunningServer::start(app, interrupt);
        if let Err(failure) = print(&mut session, serving) {
            give_up(&gateway, key, &mut recorder).await?;
            return Err(failure);
        }
        running.finish().await
    }
}

/// Opens the installation and binds the listeners. Answers with the set-up lock held, under which of two gateways that
/// start at once one makes the first API key.
async fn build(
    session: &Session,
    inherited: Vec<Inherited>,
) -> Result<(HttpServer, CatalogSetupLock), Failure> {
    let installation = session.installation(SetupPolicy::SetUp).await?;
    let app = HttpServer::build_on(&session.config, installation, inherited).await?;
    Ok((app, CatalogSetupLock::take(&session.config).await?))
}

/// The sockets that a service manager started this process with (`LISTEN_FDS`, `LISTEN_PID`;
/// sd_listen_fds(3)), in the order of their descriptors.
fn inherited() -> Result<Vec<Inherited>, Failure> {
    let mut descriptors = ListenFd::from_env();
    if descriptors.len() > LIST_ITEMS_MAX {
        let why = format!("LISTEN_FDS must be at most {LIST_ITEMS_MAX}");
        return Err(Failure::Usage(why));
    }
    let mut inherited = Vec::new();
    for at in 0..descriptors.len() {
        let taken = match descriptors.take_unix_listener(at) {
            Ok(socket) => Ok(socket.map(Inherited::Unix)),
            Err(_) => descriptors
                .take_tcp_listener(at)
                .map(|socket| socket.map(Inherited::Tcp)),
        };
        let taken = taken.map_err(|error| {
            Failure::Usage(format!(
                "LISTEN_FDS: {error}: only TCP and Unix stream sockets can be listened on"
            ))
        })?;
        inherited.extend(taken);
    }
    Ok(inherited)
}

/// A gateway at work, in a task of its own.
pub(super) struct RunningServer(JoinHandle<()>);

impl RunningServer {
    /// Accepts from now on. The first signal lets what is in flight finish; a second one ends that.
    pub(super) fn start(app: HttpServer, interrupt: Interrupt) -> Self {
        let again = interrupt.clone();
        let stopped = async move { interrupt.first().await };
        Self::start_until(app, stopped, async move { again.second().await })
    }

    /// Accepts from now on until `stopped`. What is in flight may finish then, until `forced`.
    pub(super) fn start_until(
        app: HttpServer,
        stopped: impl Future<Output = ()> + Send + 'static,
        forced: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self(tokio::spawn(app.run(stopped, forced)))
    }

    /// Waits until the gateway ended.
    pub(super) async fn finish(mut self) -> Result<(), Failure> {
        self.ended().await
    }

    /// Waits until the gateway ended. Dropping the future changes nothing; once it has answered it is not to be asked again.
    pub(super) async fn ended(&mut self) -> Result<(), Failure> {
        let failed = |error| Failure::Failed(format!("serving ended early: {error}"));
        (&mut self.0).await.map_err(failed)
    }
}

fn listener_urls(app: &HttpServer) -> Vec<String> {
    let url = |listener: &Listen| match listener {
        Listen::Tcp(address) => format!("http://{address}"),
        Listen::Tls(address) => format!("https://{address}"),
        Listen::Unix(_) => listener.to_string(),
    };
    app.listeners().iter().map(url).collect()
}

/// Makes an API key that may do everything, if the catalogue has none at all.
async fn first_api_key(
    gateway: &Gateway,
    _setup: &CatalogSetupLock,
    recorder: &mut Recorder,
) -> Result<Option<(ApiKeyId, String)>, Failure> {
    if !gateway.api_keys(None).await?.is_empty() {
        return Ok(None);
    }
    let new = NewApiKey {
        organization: OrganizationId::default_organization(),
        name: FIRST_KEY_NAME.into(),
        scopes: Scopes::ALL,
        expires_in: None,
        text: None,
    };
    let (key, text) = gateway.create_api_key(new).await?;
    recorder.api_key(&key);
    Ok(Some((key.id, text)))
}

/// Prints where the gateway listens, and the first API key. Where nobody reads along, on neither a terminal nor as JSON,
/// the key goes to a file of the data directory instead: the output may end in a journal that others may read.
fn print(session: &mut Session, mut serving: wire::Serving) -> Result<(), Failure> {
    if session.output.is_json() || std::io::stdout().is_terminal() {
        return session.output.one(&serving);
    }
    if let Some(key) = &serving.api_key {
        let file = session.config.server.data_dir.join(FIRST_KEY_FILE);
        let doing = || format!("writing the first API key to {}", file.display());
        private_file::write(&file, format!("{key}\n").as_bytes())
            .map_err(|error| Failure::io(doing(), &error))?;
        serving.api_key_file = Some(file);
    }
    let printed = session.output.one(&serving);
    if let (Err(_), Some(file)) = (&printed, &serving.api_key_file) {
        // The key is ended, and the first error is the one to tell.
        let _ = std::fs::remove_file(file);
    }
    printed
}

/// Ends a key that could not be printed: nobody knows it, and nobody ever will.
async fn give_up(
    gateway: &Gateway,
    key: Option<ApiKeyId>,
    recorder: &mut Recorder,
) -> Result<(), Failure> {
    if let Some(key) = key {
        let changed = gateway
            .set_api_key_state(&key, ApiKeyState::Deactivated)
            .await?;
        recorder.api_key(&changed);
        complain(
            "the first API key could not be printed and was deactivated: `hallpass apikey create` makes one",
        );
    }
    Ok(())
}
