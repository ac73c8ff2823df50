//! Assembly and lifetime: the one place where the stores meet the gateway, and the gateway the sockets.
//!
//! [`HttpServer::build`] binds the listeners, joins the parts and reads the revocations before anybody can connect;
//! [`HttpServer::run`] accepts connections until its caller stops it, and then drains: requests in flight finish.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{Config, Http2, Listen, PublicBaseUrl};
use crate::gateway::Gateway;
use crate::telemetry::audit::{self, Audit};
use crate::telemetry::metrics::{Listener as Kind, Metrics};
use crate::web::client::TrustedProxies;
use crate::web::ops::Ops;
use crate::web::{self, Web, WebSettings};

use background::{start_tasks, start_web_tasks};
use coarse_clock::Deadlines;
use connection::Public;
use connections::{ConnectionLimits, Connections};
use counter_flush::CounterFlush;
use disk_reserve::ReserveUpkeep;
use high_water_mark::HighWaterMark;
use installation::Installation;
use keyring_watch::KeyringWatch;
use listen::{Accepted, Listener};
use presence::{GatewayCommand, Presence};
use reload::ConfigurationCheck;
use tls::Tls;

pub use crate::web::download_watcher::{DownloadWatcher, EndedDownload};
pub use blob_store::blob_bytes_max;
pub use listen::Inherited;
pub use start_error::StartError;

pub mod addresses;
mod background;
mod blob_store;
pub mod catalogue;
mod coarse_clock;
mod connection;
mod connection_state;
mod connections;
mod counter_flush;
pub mod disk;
pub mod disk_reserve;
mod fingerprint;
mod high_water_mark;
mod http1;
mod http2;
pub mod installation;
mod keyring_watch;
mod listen;
pub mod migration;
pub mod presence;
mod proxy_protocol;
pub mod reload;
mod request_target;
mod sealed_stream;
pub mod setup;
pub mod shutdown;
mod start_error;
mod streams;
pub mod temporary;
mod tls;
mod web_settings;

/// The longest time that requests in flight get to finish after a stop was asked for.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(30);

/// The longest wait for connections that were ended at once.
const ABORT_TIME_MAX: Duration = Duration::from_secs(1);

/// The connection limits of the private listener.
const ADMIN_LIMITS: ConnectionLimits = ConnectionLimits {
    connections_max: 64,
    per_address_max: 0,
};

/// A gateway with its listeners bound.
pub struct HttpServer {
    gateway: Arc<Gateway>,
    listeners: Vec<Listener>,
    admin: Option<TcpListener>,
    keyring_watch: Option<KeyringWatch>,
    tls: Option<Arc<Tls>>,
    http2: Http2,
    streams_max: u32,
    configuration: Option<ConfigurationCheck>,
    high_water_mark: HighWaterMark,
    /// The reserve; `None` for a temporary installation.
    reserve: Option<ReserveUpkeep>,
    web_settings: WebSettings,
    /// True if connections begin with a PROXY protocol header.
    is_announced: bool,
    limits: ConnectionLimits,
    audit: Option<(Audit, audit::AuditGuard)>,
    presence: Option<Presence>,
    /// The longest time that requests in flight get to finish.
    drain_time_max: Duration,
}

impl HttpServer {
    /// Binds every listener and joins the parts. When it answers, clients can connect (and wait for
    /// [`HttpServer::run`]), and everything that was ever revoked is known.
    ///
    /// # Errors
    /// A listener, a file or a store that cannot be opened.
    pub async fn build(config: &Config, installation: Installation) -> Result<Self, StartError> {
        Self::build_on(config, installation, Vec::new()).await
    }

    /// Builds the gateway on these sockets instead of the public listeners of the configuration, if there are any.
    ///
    /// # Errors
    /// A listener, a file or a store that cannot be opened.
    pub async fn build_on(
        config: &Config,
        installation: Installation,
        inherited: Vec<Inherited>,
    ) -> Result<Self, StartError> {
        let command = GatewayCommand::Serve;
        Self::build_named(config, command, installation, inherited, public_base_url).await
    }

    /// Builds the gateway of this command. Its links begin with the URL that `name` returns for the bound listeners.
    ///
    /// # Errors
    /// A listener, a file or a store that cannot be opened, and whatever `name` fails with.
    pub async fn build_named(
        config: &Config,
        command: GatewayCommand,
        installation: Installation,
        inherited: Vec<Inherited>,
        name: impl FnOnce(&Config, &[Listen]) -> Result<PublicBaseUrl, StartError>,
    ) -> Result<Self, StartError> {
        listen::raise_descriptor_limit();
        catalogue::warn_if_exposed(config);
        let audit = audit_stream(config)?;
        let tls = Tls::read(config).map_err(|error| StartError::setup("TLS", error))?;
        let listeners = listeners(config, inherited)?;
        let admin = match config.server.admin_listen {
            Some(address) => Some(listen::bind(address, config.server.reuse_port)?),
            None => None,
        };
        blob_store::check(installation.blobs.as_ref(), config).await?;
        let places: Vec<_> = listeners.iter().filter_map(Listener::place).collect();
        let public_base_url = name(config, &places)?;
        let is_lasting = !installation.is_temporary;
        let keyring_watch = installation.keyring_file.clone().map(KeyringWatch::new);
        let gateway =
            Arc::new(installation.into_gateway(config, public_base_url.as_str().to_owned()));
        background::read_revocations(&gateway).await?;
        let mut high_water_mark = HighWaterMark::of(config);
        high_water_mark.check(&gateway).await.map_err(|refusal| {
            StartError::Failed(format!("reading the newest changes: {refusal}"))
        })?;
        let mut reserve = is_lasting.then(|| ReserveUpkeep::of(config));
        if let Some(reserve) = &mut reserve {
            reserve.fill();
        }
        let server = &config.server;
        // The configuration holds no more than fits.
        let count = |configured| usize::try_from(configured).unwrap_or(usize::MAX);
        Ok(Self {
            audit,
            high_water_mark,
            reserve,
            presence: Presence::announce_or_warn(&server.data_dir, command, &public_base_url),
            gateway,
            listeners,
            admin,
            keyring_watch,
            tls: tls.map(Arc::new),
            http2: server.http2,
            streams_max: u32::try_from(server.http2_streams_max).unwrap_or(u32::MAX),
            configuration: None,
            is_announced: server.proxy_protocol,
            limits: ConnectionLimits {
                connections_max: count(server.connections_max),
                per_address_max: count(server.connections_per_address_max),
            },
            web_settings: web_settings::of(config)?,
            drain_time_max: DRAIN_TIME_MAX,
        })
    }

    /// Looks at the configuration, too, when it is asked to read its files again.
    #[must_use]
    pub fn with_configuration_check(mut self, check: ConfigurationCheck) -> Self {
        self.configuration = Some(check);
        self
    }

    /// Tells this watcher of each download.
    #[must_use]
    pub fn with_download_watcher(mut self, watcher: Arc<dyn DownloadWatcher>) -> Self {
        self.web_settings.watcher = Some(watcher);
        self
    }

    /// Lets requests in flight take any time to finish, once it was stopped: `force` alone ends them.
    #[must_use]
    pub const fn with_patient_drain(mut self) -> Self {
        self.drain_time_max = Duration::MAX;
        self
    }

    /// The gateway behind the listeners.
    pub const fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Returns the addresses of the public listeners, with the ports that they have, in the order of the configuration.
    pub fn listeners(&self) -> Vec<Listen> {
        self.listeners.iter().filter_map(Listener::place).collect()
    }

    /// The private listener's own address.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
            .as_ref()
            .and_then(|listener| listener.local_addr().ok())
    }

    /// Serves until `stop` completes. Then the graceful shutdown begins: it accepts nothing new, closes idle
    /// connections, and gives requests in flight a bounded time to finish, unless `force` completes first.
    pub async fn run(self, stop: impl Future<Output = ()>, force: impl Future<Output = ()>) {
        let (audit, audit_end) = self.audit.unzip();
        let proxies = self.web_settings.trusted_proxies.clone();
        let (web, ops) = sides(&self.gateway, self.web_settings, audit.clone());
        let public = Public {
            web: Arc::clone(&web),
            metrics: Arc::clone(&ops.metrics),
            announced_by: self.is_announced.then(|| proxies.clone()),
            http2: self.http2,
            tls: None,
            memory: Arc::clone(&ops.memory),
            unsent: Arc::default(),
            streams_max: self.streams_max,
        };
        let counting = CounterFlush::start(&public.web, &self.gateway);
        let admin_connections = connections(ADMIN_LIMITS, Kind::Private, &ops.metrics);
        let connections = connections(self.limits, Kind::Public, &ops.metrics);
        let mut tasks = JoinSet::new();
        start_tasks(
            &mut tasks,
            &self.gateway,
            self.keyring_watch,
            self.configuration,
            self.high_water_mark.clone(),
        );
        if let Some(reserve) = self.reserve {
            tasks.spawn(background::fill_reserve(reserve));
        }
        start_web_tasks(&mut tasks, &web, self.tls.clone(), audit);
        // Dropped, it ends the accepting.
        let (accepting, ending) = watch::channel(());
        let mut acceptors = JoinSet::new();
        for listener in self.listeners {
            let tls = self.tls.clone().filter(|_| listener.is_tls());
            let public = Public {
                tls,
                ..public.clone()
            };
            acceptors.spawn(accept(
                listener,
                Arc::new(public),
                Arc::clone(&connections),
                proxies.clone(),
                ending.clone(),
            ));
        }
        if let Some(listener) = self.admin {
            let connections = Arc::clone(&admin_connections);
            acceptors.spawn(accept_admin(listener, ops, connections, ending));
        }
        let mut watches = JoinSet::new();
        for connections in [&connections, &admin_connections] {
            let connections = Arc::clone(connections);
            watches.spawn(async move { connections.watch().await });
        }
        stop.await;
        tracing::info!("stopping: what is in flight may finish");
        drop(self.presence);
        tasks.shutdown().await;
        drop(accepting);
        let all = [&*connections, &*admin_connections];
        drain(acceptors, &all, self.drain_time_max, force).await;
        web.finish_changes().await;
        counting.finish().await;
        let (mut high_water_mark, gateway) = (self.high_water_mark, self.gateway);
        let end = move || {
            high_water_mark.write(&gateway);
            // Waits for the last lines, which may be a while.
            drop(audit_end);
        };
        let _ = tokio::task::spawn_blocking(end).await;
    }
}

/// Builds the handlers of the public and the private listeners, and all metrics, from zero on.
fn sides(gateway: &Arc<Gateway>, settings: WebSettings, audit: Option<Audit>) -> (Arc<Web>, Ops) {
    let metrics = Arc::new(web::recorder::metrics(gateway.clock().now()));
    let ops = Ops {
        hosts: Arc::clone(&settings.admin_hosts),
        gateway: Arc::clone(gateway),
        metrics: Arc::clone(&metrics),
        audit: audit.clone(),
        memory: Arc::clone(&settings.memory),
    };
    let web = Web::new(Arc::clone(gateway), settings, metrics, audit);
    (Arc::new(web), ops)
}

fn connections(limits: ConnectionLimits, kind: Kind, metrics: &Arc<Metrics>) -> Arc<Connections> {
    let (deadlines, metrics) = (Deadlines::default(), Arc::clone(metrics));
    Arc::new(Connections::new(limits, deadlines, kind, metrics))
}

/// Waits until what is in flight has finished, for so long at most, and aborts the rest.
async fn drain(
    mut acceptors: JoinSet<()>,
    all: &[&Connections],
    time_max: Duration,
    force: impl Future<Output = ()>,
) {
    let finished = async {
        // Connections that were accepted already are served, so they are asked to end after that.
        while acceptors.join_next().await.is_some() {}
        join_all(all.iter().map(|connections| connections.finish())).await;
    };
    tokio::select! {
        () = finished => tracing::info!("stopped"),
        () = force => tracing::warn!("stopped at once: asked a second time"),
        () = tokio::time::sleep(time_max) => tracing::warn!("stopped: some requests took too long"),
    }
    abort(all).await;
}

/// Aborts all connections that are still open, and waits until they have ended.
async fn abort(all: &[&Connections]) {
    for connections in all {
        connections.abort();
    }
    let gone = async {
        for connections in all {
            connections.finish().await;
        }
    };
    let _ = tokio::time::timeout(ABORT_TIME_MAX, gone).await;
}

/// The audit stream, if there is to be one. A file that cannot be opened is for a person to mend.
fn audit_stream(config: &Config) -> Result<Option<(Audit, audit::AuditGuard)>, StartError> {
    let started = config.audit.file.as_deref().map(|path| {
        let setup = |error| StartError::setup(&format!("audit.file: {}", path.display()), error);
        audit::start(path).map_err(setup)
    });
    started.transpose()
}

/// The public listeners: these sockets, or else those of the configuration.
fn listeners(config: &Config, inherited: Vec<Inherited>) -> Result<Vec<Listener>, StartError> {
    if !inherited.is_empty() {
        return Listener::adopt(inherited, &config.server.listen);
    }
    let mut listeners = Vec::new();
    for at in &config.server.listen {
        listeners.push(Listener::bind(at, config.server.reuse_port)?);
    }
    Ok(listeners)
}

/// Accepts public connections until `ending` has no sender any more. None is accepted and then dropped.
async fn accept(
    listener: Listener,
    public: Arc<Public>,
    connections: Arc<Connections>,
    trusted_proxies: TrustedProxies,
    mut ending: watch::Receiver<()>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = ending.changed() => return,
        };
        let permit = connections.permit().await;
        let address = accepted.counted_address(&trusted_proxies);
        let public = Arc::clone(&public);
        let is_served =
            connections.serve(permit, address, move |lease| public.serve(accepted, lease));
        if !is_served {
            tracing::debug!("a connection was closed: its address has as many as it may");
        }
    }
}

/// Accepts private connections until `ending` has no sender any more.
async fn accept_admin(
    listener: TcpListener,
    ops: Ops,
    connections: Arc<Connections>,
    mut ending: watch::Receiver<()>,
) {
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listen::accept(&listener) => accepted,
            _ = ending.changed() => return,
        };
        let permit = connections.permit().await;
        let (accepted, ops) = (Accepted::Tcp(stream, peer), ops.clone());
        connections.serve(permit, None, move |lease| {
            connection::serve_admin(accepted, ops, lease)
        });
    }
}

/// Returns the prefix of minted URLs: the configuration's own, else the first address of these listeners.
///
/// # Errors
/// [`StartError::Setup`] if no listener has an address.
pub fn public_base_url(config: &Config, listeners: &[Listen]) -> Result<PublicBaseUrl, StartError> {
    if let Some(url) = &config.server.public_base_url {
        return Ok(url.clone());
    }
    let mut of_listeners = listeners.iter();
    let first = of_listeners.find_map(|listen| Some((listen.address()?, listen.is_tls())));
    let (first, is_tls) = first.ok_or_else(|| {
        StartError::Setup(
            "server.public_base_url must be set where there is no listener but Unix sockets".into(),
        )
    })?;
    let url = PublicBaseUrl::of_listener(first, is_tls);
    if first.ip().is_unspecified() {
        tracing::warn!(
            "links begin with {}: set server.public_base_url for other machines",
            url.as_str()
        );
    }
    Ok(url)
}
