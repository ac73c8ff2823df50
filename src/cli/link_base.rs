//! The prefix of the links that a command prints, and its origin.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use super::failure::{Failure, complain};
use super::session::Session;
use crate::config::{Config, Listen, PublicBaseUrl};
use crate::server::presence::{self, Gateways, RunningGateway};
use crate::server::{StartError, addresses, public_base_url};

/// The most other addresses that are named: a machine with many containers has dozens.
const OTHERS_MAX: usize = 8;

/// At what else the links of `share` open besides what they begin with.
#[derive(Debug, Default)]
pub(super) struct Others {
    urls: Vec<String>,
    /// The addresses by which this machine alone reaches itself, where it listens there, too.
    loopbacks: Vec<String>,
    /// The notice instead of addresses, where the links open on this machine only.
    only_here: Option<String>,
}

impl Others {
    /// Returns what else links may begin with: the other networks' addresses, and this machine's own one last.
    pub(super) fn bases(&self) -> impl Iterator<Item = &str> {
        self.urls.iter().chain(&self.loopbacks).map(String::as_str)
    }

    /// Returns the other URLs at which a link opens.
    pub(super) fn urls(&self, link: &str) -> Vec<String> {
        // What a listener's links begin with has no path.
        let authority = link.split_once("://").map(|(_, rest)| rest);
        let path = authority.and_then(|rest| rest.find('/').and_then(|at| rest.get(at..)));
        let path = path.unwrap_or_default();
        self.bases().map(|base| format!("{base}{path}")).collect()
    }

    /// Returns the notice instead of addresses, where the links open on this machine only.
    pub(super) fn only_here(&self) -> Option<&str> {
        self.only_here.as_deref()
    }

    /// Adds the addresses of a listener, but for the first one, which is returned; `None` of one that only this machine
    /// reaches.
    fn add(&mut self, bound: SocketAddr, is_tls: bool) -> Option<PublicBaseUrl> {
        if !bound.ip().is_unspecified() {
            return Some(PublicBaseUrl::of_listener(bound, is_tls));
        }
        let url = |ip| PublicBaseUrl::of_listener((ip, bound.port()).into(), is_tls);
        let reachable = addresses::reachable(bound.ip());
        let mut urls = match reachable {
            Ok(reachable) => reachable.into_iter().map(url),
            Err(error) => {
                self.only_here = Some(format!(
                    "this machine does not name its addresses ({error}): the links open here only; --public-base-url \
                     says what they begin with for others"
                ));
                return None;
            }
        };
        let Some(first) = urls.next() else {
            self.only_here.get_or_insert_with(|| {
                "this machine has no address but its own: the links open here only".to_owned()
            });
            return None;
        };
        self.urls.extend(urls.map(|url| url.as_str().to_owned()));
        // IPv4 comes first: a listener that takes none of its addresses does not take that of loopback either.
        if !first.as_str().contains('[') {
            let loopback = url(Ipv4Addr::LOCALHOST.into());
            self.loopbacks.push(loopback.as_str().to_owned());
        }
        Some(first)
    }

    /// Says it on standard error. What is on standard output stays one link for each file.
    pub(super) fn note(&self) {
        if let Some(why) = &self.only_here {
            complain(why);
        }
        if !self.urls.is_empty() {
            complain(&format!(
                "the links open at these, too: {}",
                self.urls.join(", ")
            ));
        }
    }
}

/// Returns the prefix of the links of `share`: `server.public_base_url`, else the first address of the listeners. For
/// the wildcard address these are the addresses at which others reach this machine: links begin with the first one.
pub(super) fn of_share(
    config: &Config,
    listeners: &[Listen],
) -> Result<(PublicBaseUrl, Others), StartError> {
    let place = |listen: &Listen| Some((listen.address()?, listen.is_tls()));
    let mut places = listeners.iter().filter_map(place);
    let first = places
        .next()
        .filter(|_| config.server.public_base_url.is_none());
    let Some((bound, is_tls)) = first else {
        return Ok((public_base_url(config, listeners)?, Others::default()));
    };
    let mut others = Others::default();
    let base = others.add(bound, is_tls);
    let base = base.unwrap_or_else(|| PublicBaseUrl::of_listener(bound, is_tls));
    for (bound, is_tls) in places {
        let at = others.urls.len();
        if let Some(url) = others.add(bound, is_tls) {
            others.urls.insert(at, url.as_str().to_owned());
        }
    }
    // Two listeners may be reached at one address, as of IPv4 and of IPv6.
    let mut known = BTreeSet::from([base.as_str().to_owned()]);
    others.urls.retain(|url| known.insert(url.clone()));
    others.loopbacks.retain(|url| known.insert(url.clone()));
    others.urls.truncate(OTHERS_MAX);
    Ok((base, others))
}

/// The prefix of the links of `sign`.
#[derive(Debug)]
pub(super) struct LinkBase {
    /// The URL.
    pub(super) url: PublicBaseUrl,
    /// A note on its origin, unless the command line or the configuration names it and no gateway names another.
    pub(super) note: Option<String>,
}

/// Returns the prefix of links: the command line's, else that of the running gateway, else the configuration's.
/// `is_flag`: the configuration's word is the command line's.
pub(super) fn of_installation(session: &Session, is_flag: bool) -> Result<LinkBase, Failure> {
    let config = &session.config;
    let configured = config.server.public_base_url.as_ref();
    let directory = config.server.data_dir.as_path();
    let gateways = presence::gateways(directory).unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot look which gateways run on the data directory");
        Gateways::default()
    });
    match (configured, gateways.running.as_slice()) {
        (configured, [last, ..]) if !is_flag => {
            let mut base = of_running(configured, last, &gateways);
            // The configuration would say the same.
            base.note
                .take_if(|_| by_listeners(config).as_ref() == Some(&base.url));
            Ok(base)
        }
        (Some(url), _) => Ok(LinkBase {
            url: url.clone(),
            note: None,
        }),
        (None, _) => of_listeners(config, &gateways),
    }
}

/// Returns the prefix that running gateways name: the one that the configuration names, too, else that of `last`, which
/// started last.
fn of_running(
    configured: Option<&PublicBaseUrl>,
    last: &RunningGateway,
    gateways: &Gateways,
) -> LinkBase {
    let mut running = gateways.running.iter();
    let same = running.find(|running| Some(&running.public_base_url) == configured);
    let chosen = same.unwrap_or(last);
    let (url, said) = (&chosen.public_base_url, chosen.public_base_url.as_str());
    let mut others: Vec<&str> = Vec::new();
    for running in &gateways.running {
        let other = running.public_base_url.as_str();
        if other != said && !others.contains(&other) {
            others.push(other);
        }
    }
    let beside = if others.is_empty() {
        String::new()
    } else {
        format!("; other gateways here say {}", others.join(", "))
    };
    let note = match configured {
        Some(configured) if configured == url => None,
        Some(configured) => Some(format!(
            "warning: the link begins with {said}, as the gateway that runs here says{beside}, and \
             not with {} of server.public_base_url: start the gateway again for that one, or say --public-base-url",
            configured.as_str()
        )),
        None => Some(format!(
            "the link begins with {said}, as the gateway that runs here says{beside}"
        )),
    };
    LinkBase {
        url: url.clone(),
        note,
    }
}

/// Returns the prefix by the configuration's first listener, where it has a port.
fn by_listeners(config: &Config) -> Option<PublicBaseUrl> {
    let mut listeners = config.server.listen.iter();
    let first = listeners.find_map(|listen| Some((listen.address()?, listen.is_tls())));
    let (address, is_tls) = first.filter(|(address, _)| address.port() != 0)?;
    let is_unnamed = config.server.public_base_url.is_none();
    is_unnamed.then(|| PublicBaseUrl::of_listener(address, is_tls))
}

/// Returns the prefix by the configuration's first listener, as `serve` would find it out.
fn of_listeners(config: &Config, gateways: &Gateways) -> Result<LinkBase, Failure> {
    let first = config.server.listen.iter().find_map(Listen::address);
    if first.is_some_and(|address| address.port() == 0) {
        let why =
            "server.listen takes any free port: say with --public-base-url what links begin with";
        return Err(Failure::Usage(why.into()));
    }
    let url = public_base_url(config, &config.server.listen)?;
    let known = match &gateways.unreadable {
        None => format!("no gateway runs on {}", config.server.data_dir.display()),
        Some(path) => format!("this user may not read {}", path.display()),
    };
    let note = format!(
        "{known}: the link begins with {}, by server.listen; server.public_base_url or --public-base-url say another",
        url.as_str()
    );
    Ok(LinkBase {
        url,
        note: Some(note),
    })
}
