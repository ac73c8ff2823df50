//! Three gateways on one database behind HAProxy, each with a keyring file of its own: what one makes, all
//! open, also while the key is changed.

use std::time::Duration;

use super::nodes::{self, Node};
use crate::cli::support::{PATIENCE, call, open, text};
use crate::proxy::running::{Proxy, free_address};
use crate::support::postgres::Server;

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
    let more = [
        ("HALLPASS_CATALOG_URL", url.as_str()),
        ("HALLPASS_SERVER_DATA_DIR", data.to_str().unwrap()),
    ];
    let mut nodes = nodes::three(shared.path(), &base, &more).await;
    let key = &nodes::start(&mut nodes);
    let file = nodes[1].place.add("a.txt", b"bytes");
    let config = nodes::haproxy(at, beside, &nodes);
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
