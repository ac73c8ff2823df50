//! The installations of a run: that of the binary that is measured, and that of another one beside it, with the same files.

use std::net::SocketAddr;
use std::path::Path;

use super::load::Target;
use super::process::{Outcome, Running};
use super::servers::Contender;
use super::site::Site;
use super::tls::Identity;

/// The name of the measured binary among the servers of a comparison.
pub(crate) const HALLPASS: &str = "hallpass";
/// The name of the same binary when it runs a second time, beside the other one: a difference between the two is noise.
pub(crate) const AGAIN: &str = "hallpass, the same again";
/// The name of the other binary.
pub(crate) const BESIDE: &str = "hallpass, beside";

/// The installations.
pub(crate) struct Sites {
    pub(crate) main: Site,
    pub(crate) beside: Option<Site>,
}

/// A gateway that runs.
pub(crate) struct Gateway {
    pub(crate) name: &'static str,
    pub(crate) running: Running,
    pub(crate) at: SocketAddr,
    /// The address at which it speaks TLS.
    pub(crate) tls_at: SocketAddr,
}

impl Sites {
    /// Installations without files in this directory.
    pub(crate) fn new(binary: &Path, beside: Option<&Path>, directory: &Path) -> Outcome<Self> {
        let main = Site::new(binary, directory)?;
        let beside = beside.map(|binary| {
            let www = main.www().to_owned();
            Site::sharing(binary, &directory.join("beside"), www)
        });
        Ok(Self {
            beside: beside.transpose()?,
            main,
        })
    }

    /// Stores a file of random bytes in each, unless it is there.
    pub(crate) fn add(&mut self, name: &str, size: u64) -> Outcome<()> {
        for site in self.each_mut() {
            site.add(name, size)?;
        }
        Ok(())
    }

    /// Stores so many files of 1 KiB in each, unless they are there, and answers their names.
    pub(crate) fn add_many(&mut self, prefix: &str, count: usize) -> Outcome<Vec<String>> {
        let mut names = Vec::new();
        for site in self.each_mut() {
            names = site.add_many(prefix, count)?;
        }
        Ok(names)
    }

    /// The installations.
    pub(crate) fn each_mut(&mut self) -> impl Iterator<Item = &mut Site> {
        std::iter::once(&mut self.main).chain(self.beside.as_mut())
    }

    /// The installation of the gateway of this name.
    pub(crate) fn of(&self, name: &str) -> &Site {
        match &self.beside {
            Some(beside) if name == BESIDE => beside,
            _ => &self.main,
        }
    }

    /// Starts the measured binary, and where another one stands beside it, that and the measured one again.
    pub(crate) fn start(&self, identity: &Identity) -> Outcome<Vec<Gateway>> {
        let names = [HALLPASS, AGAIN, BESIDE];
        let count = if self.beside.is_some() {
            names.len()
        } else {
            1
        };
        let start = |name: &'static str| {
            let (running, at, tls_at) = self.of(name).serve_tls(identity)?;
            Ok(Gateway {
                name,
                running,
                at,
                tls_at,
            })
        };
        names.into_iter().take(count).map(start).collect()
    }

    /// Lines gateways up, each with a target of its own.
    pub(crate) fn line_up<'a>(
        &self,
        gateways: &'a [Gateway],
        what: &'static str,
        target: impl Fn(&Site, SocketAddr) -> Outcome<Target>,
    ) -> Outcome<Vec<Contender<'a>>> {
        let contender = |gateway: &'a Gateway| {
            Ok(Contender {
                name: gateway.name,
                what,
                running: &gateway.running,
                at: gateway.at,
                target: target(self.of(gateway.name), gateway.at)?,
            })
        };
        gateways.iter().map(contender).collect()
    }
}
