//! Assembly and lifetime: the one place where the stores meet the gateway, and the gateway the sockets.
//!
//! [`App::build`] binds the listeners, joins the parts and learns what was revoked before anybody can
//! connect; [`App::run`] accepts until it is told to stop, and then lets what is in flight finish.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::config::{Config, Handover as Handed, Listen, PublicBaseUrl};
use crate::gateway::Gateway;
use crate::gateway::refusal::{Refusal, with_causes};
use crate::gateway::revocations::LOOK_EVERY;
use crate::web::client::TrustedProxies;
use crate::web::handover::Handover;
use crate::web::{self, Web};

use connection::Public;
use connections::{Connections, Limits};
use installation::Installation;
use keyring_watch::KeyringWatch;
use listen::{Accepted, Listener};
use pace::Deadlines;
use reread::ConfigurationCheck;

mod announced;
mod connection;
mod connections;
pub mod installation;
mod keyring_watch;
mod listen;
mod pace;
pub mod reread;
pub mod shutdown;

/// How long requests in flight may take to finish after a stop was asked for.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(30);

/// How many connections the private listener has at most.
const ADMIN_LIMITS: Limits = Limits {
    connections_max: 64,
    per_address_max: 0,
};

/// How often what nobody needs any more is swept.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);

/// Why the program did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The installation or its configuration is not as it must be; a person has to mend it.
    #[error("{0}")]
    Setup(String),
    /// Something that should have worked did not.
    #[error("{0}")]
    Failed(String),
    /// A listener could not be bound.
    #[error("cannot listen on {at}: {source}")]
    Bind {
        /// The address, or the Unix socket.
        at: Listen,
        /// Why not.
        source: std::io::Error,
    },
}

impl StartError {
    fn failed(doing: &str, error: impl std::error::Error) -> Self {
        Self::Failed(format!("{doing}: {}", with_causes(&error)))
    }

    fn setup(doing: &str, error: impl std::error::Error) -> Self {
        Self::Setup(format!("{doing}: {}", with_causes(&error)))
    }
}

/// A gateway with its listeners bound.
pub struct App {
    gateway: Arc<Gateway>,
    listeners: Vec<Listener>,
    admin: Option<TcpListener>,
    keyring_watch: Option<KeyringWatch>,
    configuration: Option<ConfigurationCheck>,
    web_settings: web::Settings,
    announced_by: Option<TrustedProxies>,
    trusted_proxies: TrustedProxies,
    limits: Limits,
}

impl App {
    /// Binds every listener and joins the parts. When it answers, clients can connect (and wait for
    /// [`App::run`]), and everything that was ever revoked is known.
    pub async fn build(config: &Config, installation: Installation) -> Result<Self, StartError> {
        listen::raise_descriptor_limit();
        let mut listeners = Vec::new();
        for at in &config.server.listen {
            listeners.push(Listener::bind(at).await?);
        }
        let admin = match config.server.admin_listen {
            Some(address) => Some(listen::bind(address).await?),
            None => None,
        };
        let mut places = listeners.iter().filter_map(Listener::place);
        let first = places.find_map(|place| place.tcp());
        let public_base_url = public_base_url(config, first)?;
        let keyring_watch = installation.keyring_file.clone().map(KeyringWatch::new);
        let gateway =
            Arc::new(installation.into_gateway(config, public_base_url.as_str().to_owned()));
        let known = gateway.look().await;
        known.map_err(|refusal| {
            StartError::Failed(format!("reading what was revoked: {refusal}"))
        })?;
        Ok(Self {
            gateway,
            listeners,
            admin,
            keyring_watch,
            configuration: None,
            announced_by: config
                .server
                .proxy_protocol
                .then(|| config.server.trusted_proxies.clone()),
            trusted_proxies: config.server.trusted_proxies.clone(),
            limits: Limits {
                connections_max: count(config.server.connections_max),
                per_address_max: count(config.server.connections_per_address_max),
            },
            web_settings: web::Settings {
                origins: config.cors.origins.clone(),
                resource_policy: HeaderValue::from_static(config.cors.resource_policy.as_str()),
                cap_cache_to_expiry: config.links.cap_cache_to_expiry,
                trusted_proxies: config.server.trusted_proxies.clone(),
                handover: handover(config)?,
                verify_header: config.verify.header.clone(),
                koodrive_date_skew: config.koodrive.date_skew_secs,
                qoder_content_status: config.qoder.content_status,
            },
        })
    }

    /// Looks at the configuration, too, when it is asked to read its files again.
    #[must_use]
    pub fn with_configuration_check(mut self, check: ConfigurationCheck) -> Self {
        self.configuration = Some(check);
        self
    }

    /// The gateway behind the listeners.
    pub const fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Where the public listeners are, with the ports that they have, in the order of the configuration.
    pub fn listeners(&self) -> Vec<Listen> {
        self.listeners.iter().filter_map(Listener::place).collect()
    }

    /// The private listener's own address.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
            .as_ref()
            .and_then(|listener| listener.local_addr().ok())
    }

    /// Serves until `stop` completes. Then nothing new is accepted, idle connections are closed, and what
    /// is in flight has a bounded time to finish, unless `force` completes first.
    pub async fn run(self, stop: impl Future<Output = ()>, force: impl Future<Output = ()>) {
        let public = Public {
            web: Arc::new(Web::new(Arc::clone(&self.gateway), self.web_settings)),
            announced_by: self.announced_by,
        };
        let connections = Arc::new(Connections::new(self.limits, Deadlines::default()));
        let admin_connections = Arc::new(Connections::new(ADMIN_LIMITS, Deadlines::default()));
        let mut tasks = JoinSet::new();
        keep_up(
            &mut tasks,
            &self.gateway,
            self.keyring_watch,
            self.configuration,
        );
        for listener in self.listeners {
            let (public, connections) = (public.clone(), Arc::clone(&connections));
            tasks.spawn(accept(
                listener,
                public,
                connections,
                self.trusted_proxies.clone(),
            ));
        }
        if let Some(listener) = self.admin {
            let (gateway, connections) =
                (Arc::clone(&self.gateway), Arc::clone(&admin_connections));
            tasks.spawn(accept_admin(listener, gateway, connections));
        }
        let mut watches = JoinSet::new();
        for connections in [&connections, &admin_connections] {
            let connections = Arc::clone(connections);
            watches.spawn(async move { connections.watch().await });
        }
        stop.await;
        tracing::info!("stopping: what is in flight may finish");
        tasks.shutdown().await;
        let finished = async {
            tokio::join!(connections.finish(), admin_connections.finish());
        };
        tokio::select! {
            () = finished => tracing::info!("stopped"),
            () = force => tracing::warn!("stopped at once: asked a second time"),
            () = tokio::time::sleep(DRAIN_TIME_MAX) => tracing::warn!("stopped: some requests took too long"),
        }
        connections.abort();
        admin_connections.abort();
    }
}

/// Accepts public connections. Ends with its task.
async fn accept(
    listener: Listener,
    public: Public,
    connections: Arc<Connections>,
    trusted_proxies: TrustedProxies,
) {
    loop {
        let accepted = listener.accept().await;
        let room = connections.room().await;
        let address = accepted.counted_address(&trusted_proxies);
        let public = public.clone();
        let is_served = connections.serve(room, address, |lease| public.serve(accepted, lease));
        if !is_served {
            tracing::debug!("a connection was closed: its address has as many as it may");
        }
    }
}

/// Accepts private connections. Ends with its task.
async fn accept_admin(listener: TcpListener, gateway: Arc<Gateway>, connections: Arc<Connections>) {
    loop {
        let (stream, peer) = listen::accept(&listener).await;
        let room = connections.room().await;
        let (accepted, gateway) = (Accepted::Tcp(stream, peer), Arc::clone(&gateway));
        connections.serve(room, None, |lease| {
            connection::serve_admin(accepted, gateway, lease)
        });
    }
}

/// What minted URLs begin with: the configuration's own word, else the first address that is listened on.
pub fn public_base_url(
    config: &Config,
    first: Option<SocketAddr>,
) -> Result<PublicBaseUrl, StartError> {
    if let Some(url) = &config.server.public_base_url {
        return Ok(url.clone());
    }
    let first = first.ok_or_else(|| {
        StartError::Setup(
            "server.public_base_url must be set where there is no listener but Unix sockets".into(),
        )
    })?;
    if first.ip().is_unspecified() {
        tracing::warn!(
            "links begin with http://127.0.0.1:{}: set server.public_base_url for other machines",
            first.port()
        );
    }
    Ok(PublicBaseUrl::of_listener(first))
}

/// The configuration holds no more than fits.
fn count(configured: u64) -> usize {
    usize::try_from(configured).unwrap_or(usize::MAX)
}

fn handover(config: &Config) -> Result<Option<Handover>, StartError> {
    let data_dir = std::path::absolute(&config.server.data_dir)
        .map_err(|error| StartError::failed("finding the data directory", error))?;
    let Handed { mode, prefix } = &config.handover;
    Ok(Handover::new(*mode, prefix.as_deref(), &data_dir))
}

/// Starts what goes on behind the requests.
fn keep_up(
    tasks: &mut JoinSet<()>,
    gateway: &Arc<Gateway>,
    keyring_watch: Option<KeyringWatch>,
    configuration: Option<ConfigurationCheck>,
) {
    tasks.spawn(keep_current(Arc::clone(gateway)));
    tasks.spawn(keep_keyring(
        Arc::clone(gateway),
        keyring_watch,
        configuration,
    ));
    tasks.spawn(keep_swept(Arc::clone(gateway)));
}

/// Takes up what others revoked. Ends with its task.
async fn keep_current(gateway: Arc<Gateway>) {
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut could_look = true;
    loop {
        tick.tick().await;
        match gateway.look_in_time().await {
            Ok(_) => could_look = true,
            // Said once, not four times a second.
            Err(refusal) if could_look => {
                could_look = false;
                tracing::error!(error = %refusal, "cannot look at the catalogue: links are refused until it works again");
            }
            Err(_) => {}
        }
    }
}

/// Takes up a changed keyring file, and reads it again when asked to. A task of its own, so that it waits
/// for no catalogue.
async fn keep_keyring(
    gateway: Arc<Gateway>,
    mut keyring_watch: Option<KeyringWatch>,
    configuration: Option<ConfigurationCheck>,
) {
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Also where there is no file: without a listener the signal would end the process.
    let mut hang_up = shutdown::HangUp::listen();
    loop {
        tokio::select! {
            _ = tick.tick() => {
                if let Some(watch) = &mut keyring_watch {
                    watch.look(&gateway);
                }
            }
            () = hang_up.next() => {
                match &mut keyring_watch {
                    Some(watch) => watch.reload(&gateway),
                    None => tracing::info!("the keys are those of HALLPASS_KEYRING until a restart"),
                }
                if let Some(check) = &configuration {
                    check.say();
                }
            }
        }
    }
}

/// Sweeps at the start and then every hour.
async fn keep_swept(gateway: Arc<Gateway>) {
    let mut tick = interval(SWEEP_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match gateway.sweep().await {
            Ok(swept) => tracing::debug!(?swept, "swept"),
            Err(Refusal::Unavailable(why)) => tracing::warn!(why, "sweeping is put off"),
            Err(refusal) => tracing::error!(error = %refusal, "sweeping failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::memory::Memory;
    use crate::config::keyring_file;
    use crate::gateway::testing;

    #[tokio::test]
    async fn a_changed_keyring_is_used_within_a_second_while_the_catalogue_hangs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keyring.toml");
        keyring_file::write(&path, &testing::keyring("b")).unwrap();
        let catalog = Arc::new(Memory::new());
        let gateway = Arc::new(testing::gateway(catalog, testing::memory_blobs()));
        let _stalled = gateway.stall_looks().await;
        let mut tasks = JoinSet::new();
        let watch = KeyringWatch::new(path.clone());
        keep_up(&mut tasks, &gateway, Some(watch), None);
        for kid in ["c", "d"] {
            // Long enough for the tasks to be at whatever they wait for.
            tokio::time::sleep(LOOK_EVERY * 2).await;
            keyring_file::write(&path, &testing::keyring(kid)).unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(gateway.keyring().active().as_str(), kid);
        }
    }
}
