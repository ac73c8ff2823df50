//! Three gateways on one database behind HAProxy, each with a keyring file of its own: what one makes, all
//! open, also while the key is changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::cli::support::{PATIENCE, Place, Serving, call, open, text};
use crate::proxy::running::{Proxy, free_address};
use crate::support::postgres::Server;

const HAPROXY: &str = include_str!("../../config/deploy/haproxy.cfg");

/// A gateway of its own process, with its own keyring file.
struct Node {
    place: Place,
    keyring: PathBuf,
    serving: Option<Serving>,
    url: String,
}

impl Node {
    fn new(url: &str, data: &Path, keyring: PathBuf, base: &str) -> Self {
        let place = Place::with(&[
            ("HALLPASS_CATALOG_URL", url),
            ("HALLPASS_SERVER_DATA_DIR", data.to_str().unwrap()),
            ("HALLPASS_KEYRING_FILE", keyring.to_str().unwrap()),
            ("HALLPASS_SERVER_PUBLIC_BASE_URL", base),
            ("HALLPASS_SERVER_TRUSTED_PROXIES", "127.0.0.1"),
        ]);
        Self {
            place,
            keyring,
            serving: None,
            url: String::new(),
        }
    }

    fn start(&mut self) {
        self.serving = Some(
            self.place
                .start(&["serve", "--json", "--listen", "127.0.0.1:0"]),
        );
    }

    /// What it says once it accepts.
    fn said(&mut self) -> Value {
        let line = self.serving.as_mut().unwrap().line();
        let said: Value = serde_json::from_str(&line).expect(&line);
        self.url = said["listeners"][0].as_str().unwrap().to_owned();
        said
    }

    /// Takes over another node's keyring, as an operator would copy it.
    fn take_keyring_of(&self, other: &Self) {
        let beside = self.keyring.with_extension("new");
        fs::copy(&other.keyring, &beside).unwrap();
        fs::rename(beside, &self.keyring).unwrap();
    }
}

/// The sample configuration, with these three in the place of its one.
fn haproxy(at: &str, beside: &str, nodes: &[Node]) -> String {
    let server = |(number, node): (usize, &Node)| {
        let address = node.url.strip_prefix("http://").unwrap();
        format!("server hallpass{number} {address}\n")
    };
    let servers: String = nodes.iter().enumerate().map(server).collect();
    let mut config = HAPROXY.to_owned();
    for (piece, place) in [
        ("bind :80\n", format!("bind {at}\n")),
        ("bind :81\n", format!("bind {beside}\n")),
        ("server hallpass 127.0.0.1:8080\n", servers),
    ] {
        assert!(config.contains(piece), "{piece}");
        config = config.replace(piece, &place);
    }
    config
}

/// Mints through the balancer so often that every node did, and opens every link on every node.
fn mint_and_open(base: &str, nodes: &[Node], key: &str, file: &str) -> Vec<String> {
    let mut kids = Vec::new();
    for _ in 0..2 * nodes.len() {
        let target = format!("{base}/v1/organizations/org_default/files/{file}/content");
        let (status, minted) = call("GET", &target, key, "");
        assert_eq!(status, 200, "{minted}");
        let link = text(&minted, "download_url");
        kids.push(text(&minted, "token").split('.').next().unwrap().to_owned());
        assert_eq!(open(&link), (200, b"bytes".to_vec()));
        for node in nodes {
            let there = link.replace(base, &node.url);
            assert_eq!(open(&there).0, 200, "{}", node.url);
        }
    }
    kids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_gateways_are_one_also_while_a_key_is_rotated() {
    let url = Server::shared().database("together");
    let shared = tempfile::tempdir().unwrap();
    let (at, beside) = (free_address().await, free_address().await);
    let base = format!("http://{at}");
    let data = shared.path().join("data");
    let mut nodes: Vec<Node> = ["a", "b", "c"]
        .map(|name| {
            Node::new(
                &url,
                &data,
                shared.path().join(format!("{name}.toml")),
                &base,
            )
        })
        .into();
    nodes[0].place.json(&["key", "generate"]);
    for node in &nodes[1..] {
        node.take_keyring_of(&nodes[0]);
    }
    // All at once, on an empty catalogue: one makes the first API key.
    nodes.iter_mut().for_each(Node::start);
    let said: Vec<Value> = nodes.iter_mut().map(Node::said).collect();
    let keys: Vec<&str> = said
        .iter()
        .filter_map(|said| said["api_key"].as_str())
        .collect();
    let [key] = keys[..] else {
        panic!("{} API keys", keys.len());
    };
    let file = nodes[1].place.add("a.txt", b"bytes");
    let config = haproxy(&at.to_string(), &beside.to_string(), &nodes);
    let _proxy = Proxy::haproxy(shared.path(), at, &config).await;
    let before = mint_and_open(&base, &nodes, key, &file);

    // First step: everybody knows the new key before anybody signs with it.
    let made = nodes[0].place.json(&["key", "generate"]);
    let kid = text(&made, "kid");
    for number in 1..nodes.len() {
        mint_and_open(&base, &nodes, key, &file);
        nodes[number].take_keyring_of(&nodes[0]);
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    // Second step, one node after the other.
    nodes[0].place.json(&["key", "rotate", "--to", &kid]);
    for number in 1..nodes.len() {
        mint_and_open(&base, &nodes, key, &file);
        nodes[number].take_keyring_of(&nodes[0]);
    }
    let begun = std::time::Instant::now();
    loop {
        let kids = mint_and_open(&base, &nodes, key, &file);
        assert!(
            kids.iter()
                .all(|used| *used == kid || before.contains(used))
        );
        if kids.iter().all(|used| *used == kid) {
            break;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "not everybody signs with the new key"
        );
    }
    println!(
        "everybody signs with the new key after {:?}",
        begun.elapsed()
    );
}
