//! Gateways of processes of their own on one database, each with a keyring file of its own, and HAProxy
//! before them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::support::{Place, Serving};

const HAPROXY: &str = include_str!("../../config/deploy/haproxy.cfg");

pub(super) struct Node {
    pub(super) place: Place,
    keyring: PathBuf,
    address: SocketAddr,
    pub(super) serving: Option<Serving>,
    pub(super) url: String,
}

impl Node {
    /// One that listens here, on this database, behind `base`; with more settings by their variables.
    pub(super) fn new(
        address: SocketAddr,
        keyring: PathBuf,
        base: &str,
        more: &[(&'static str, &str)],
    ) -> Self {
        let own = [
            ("HALLPASS_KEYRING_FILE", keyring.to_str().unwrap()),
            ("HALLPASS_SERVER_PUBLIC_BASE_URL", base),
            ("HALLPASS_SERVER_TRUSTED_PROXIES", "127.0.0.1"),
        ];
        Self {
            place: Place::with(&[&own[..], more].concat()),
            keyring,
            address,
            serving: None,
            url: format!("http://{address}"),
        }
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn start(&mut self) {
        let at = self.address.to_string();
        let words = ["serve", "--json", "--listen", &at];
        self.serving = Some(self.place.start(&words));
    }

    /// What it says once it accepts.
    pub(super) fn said(&mut self) -> Value {
        let line = self.serving.as_mut().unwrap().line();
        serde_json::from_str(&line).expect(&line)
    }

    /// Takes over another node's keyring, as an operator would copy it.
    pub(super) fn take_keyring_of(&self, other: &Self) {
        let beside = self.keyring.with_extension("new");
        fs::copy(&other.keyring, &beside).unwrap();
        fs::rename(beside, &self.keyring).unwrap();
    }
}

/// Three nodes with one keyring. `keyrings` is a directory for its copies.
pub(super) async fn three(keyrings: &Path, base: &str, more: &[(&'static str, &str)]) -> Vec<Node> {
    let mut nodes = Vec::new();
    for name in ["a", "b", "c"] {
        let address = crate::proxy::running::free_address().await;
        let keyring = keyrings.join(format!("{name}.toml"));
        nodes.push(Node::new(address, keyring, base, more));
    }
    nodes[0].place.json(&["key", "generate"]);
    for node in &nodes[1..] {
        node.take_keyring_of(&nodes[0]);
    }
    nodes
}

/// Starts all of them at once, on an empty catalogue, and answers the API key that one of them makes.
pub(super) fn start(nodes: &mut [Node]) -> String {
    nodes.iter_mut().for_each(Node::start);
    let said: Vec<Value> = nodes.iter_mut().map(Node::said).collect();
    let keys: Vec<&str> = said
        .iter()
        .filter_map(|said| said["api_key"].as_str())
        .collect();
    let [key] = keys[..] else {
        panic!("{} API keys", keys.len());
    };
    key.to_owned()
}

/// The sample configuration for several gateways, with these in the place of its one.
pub(super) fn haproxy(at: SocketAddr, beside: SocketAddr, nodes: &[Node]) -> String {
    let server =
        |(number, node): (usize, &Node)| format!("server hallpass{number} {}\n", node.address);
    let servers: String = nodes.iter().enumerate().map(server).collect();
    let mut config = HAPROXY.to_owned();
    for (piece, place) in [
        ("bind :80\n", format!("bind {at}\n")),
        ("bind :81\n", format!("bind {beside}\n")),
        ("#option redispatch", "option redispatch".into()),
        ("#default-server check", "default-server check".into()),
        ("server hallpass 127.0.0.1:8080\n", servers),
    ] {
        assert!(config.contains(piece), "{piece}");
        config = config.replace(piece, &place);
    }
    config
}
