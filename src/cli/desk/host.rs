//! The gateway of a share, and its server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::downloads::{Downloads, Printer};
use super::people::People;
use crate::cli::failure::{Failure, complain};
use crate::cli::interrupt::Interrupt;
use crate::cli::link_base::{self, Others};
use crate::cli::serve::RunningServer;
use crate::cli::session::Session;
use crate::config::{Config, Listen};
use crate::gateway::Gateway;
use crate::server::presence::{self, GatewayCommand};
use crate::server::setup::SetupPolicy;
use crate::server::shutdown::StopSignal;
use crate::server::{HttpServer, StartError};

/// The time that downloads have where nobody is there to say that it is enough: the signal was no Ctrl-C.
const UNATTENDED_TIME_MAX: Duration = Duration::from_secs(30);

/// The gateway that a share is made on.
pub(in crate::cli) struct Host {
    pub(in crate::cli) gateway: Arc<Gateway>,
    /// Its server, unless another process serves.
    pub(in crate::cli) server: Option<Server>,
    /// At what else its links open.
    pub(in crate::cli) others: Others,
}

/// A server of this process.
pub(in crate::cli) struct Server {
    running: RunningServer,
    downloads: Arc<Downloads>,
    printer: Printer,
    /// Has it stop without a signal.
    end: oneshot::Sender<()>,
}

impl Host {
    /// Returns whether `hallpass serve` runs on the data directory.
    ///
    /// # Errors
    /// A directory that cannot be read: one may run there.
    pub(in crate::cli) fn is_served(config: &Config) -> Result<bool, Failure> {
        let directory = config.server.data_dir.as_path();
        let gateways = presence::gateways(directory).map_err(|error| {
            let doing = "looking which gateways run on the data directory";
            Failure::in_directory(doing, directory, &error)
        })?;
        let mut running = gateways.running.iter();
        Ok(running.any(|one| one.command == GatewayCommand::Serve))
    }

    /// Opens the installation beside a gateway that serves it. `is_flag`: the command line says what links begin with.
    pub(in crate::cli) async fn beside(session: &Session, is_flag: bool) -> Result<Self, Failure> {
        let base = link_base::of_installation(session, is_flag)?;
        if let Some(note) = &base.note {
            complain(note);
        }
        let url = base.url.as_str().to_owned();
        Ok(Self {
            gateway: session.gateway_at(SetupPolicy::Change, url).await?,
            server: None,
            others: Others::default(),
        })
    }

    /// Opens the installation, which is set up as `access` says if there is none, and serves it. A listener whose port is
    /// taken moves to a free one, if it `may_move`.
    pub(in crate::cli) async fn serve(
        session: &mut Session,
        access: SetupPolicy,
        may_move: bool,
        interrupt: &Interrupt,
    ) -> Result<Self, Failure> {
        let (app, others) = listen(session, access, may_move).await?;
        let people = People::find(session.output.is_json());
        let (downloads, printer) = Downloads::watch(people, Arc::clone(&session.clock));
        let app = app
            .with_download_watcher(Arc::clone(&downloads) as _)
            .with_patient_drain();
        let gateway = Arc::clone(app.gateway());
        let (end, over) = oneshot::channel();
        let (first, second) = (interrupt.clone(), interrupt.clone());
        let stopped = async move {
            tokio::select! {
                () = first.first() => {}
                Ok(()) = over => {}
            }
        };
        let forced = async move {
            tokio::select! {
                () = second.second() => {}
                () = unattended(&second) => {}
            }
        };
        Ok(Self {
            gateway,
            server: Some(Server {
                running: RunningServer::start_until(app, stopped, forced),
                downloads,
                printer,
                end,
            }),
            others,
        })
    }

    /// Ends a share of which nothing could be published.
    pub(in crate::cli) async fn give_up(self, failure: Failure) -> Result<(), Failure> {
        if let Some(server) = self.server {
            // After a signal it is ending already. What it writes is written before its directory goes.
            let _ = server.end.send(());
            server.running.finish().await?;
        }
        Err(failure)
    }
}

/// Completes once a signal came that no person at the terminal sent, and its time is over.
async fn unattended(interrupt: &Interrupt) {
    interrupt.first().await;
    if interrupt.asked() == Some(StopSignal::Interrupt) {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(UNATTENDED_TIME_MAX).await;
}

impl Server {
    /// Serves until a signal, or until nothing opens any more in so many seconds, and then until the downloads that are
    /// running have ended. A second signal ends those.
    pub(in crate::cli) async fn serve(
        mut self,
        interrupt: &Interrupt,
        lives: Option<u64>,
    ) -> Result<(), Failure> {
        let over = async {
            match lives {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = interrupt.first() => {}
            () = over => {
                complain("its time is over: nothing opens any more");
                let _ = self.end.send(());
            }
            ended = self.running.ended() => return ended,
        }
        let what = match self.downloads.running() {
            0 => None,
            1 => Some("1 download is running, and may finish".to_owned()),
            more => Some(format!("{more} downloads are running, and may finish")),
        };
        if let Some(what) = what {
            let until = match interrupt.asked() {
                Some(StopSignal::Terminate | StopSignal::HangUp) => "within 30 seconds",
                Some(StopSignal::Interrupt) => "Ctrl-C again ends it at once",
                None => "Ctrl-C twice ends it at once",
            };
            complain(&format!("{what}: {until}"));
        }
        self.running.ended().await?;
        self.printer.finish(self.downloads);
        Ok(())
    }
}

/// Binds the listeners. One whose port is taken moves to a free one, if nobody asked for that port.
async fn listen(
    session: &mut Session,
    access: SetupPolicy,
    may_move: bool,
) -> Result<(HttpServer, Others), Failure> {
    loop {
        let installation = session.installation(access).await?;
        let mut others = Others::default();
        let name = |config: &Config, places: &[Listen]| {
            let (base, found) = link_base::of_share(config, places)?;
            others = found;
            Ok(base)
        };
        let (config, none) = (&session.config, Vec::new());
        let built =
            HttpServer::build_named(config, GatewayCommand::Share, installation, none, name).await;
        let taken = match built {
            Err(StartError::Bind {
                at: Listen::Tcp(address) | Listen::Tls(address),
                source,
            }) if may_move && source.kind() == io::ErrorKind::AddrInUse && address.port() != 0 => {
                address
            }
            built => return Ok((built?, others)),
        };
        let mut listeners = session.config.server.listen.iter_mut();
        match listeners.find(|listener| listener.address() == Some(taken)) {
            Some(listener) => {
                let free = SocketAddr::new(taken.ip(), 0);
                *listener = match listener.is_tls() {
                    true => Listen::Tls(free),
                    false => Listen::Tcp(free),
                };
                complain(&format!("{taken} is taken: a free port is used instead"));
            }
            // The private listener was asked for.
            None => {
                return Err(Failure::Failed(format!(
                    "cannot listen on {taken}: the port is taken"
                )));
            }
        }
    }
}
