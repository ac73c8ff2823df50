//! What REDbot says of the byte route. It asks as a browser, as a cache and as a downloader would.

use std::process::Command;

use serde_json::Value;

use crate::rig::{Ledger, Site};

/// The variable that says where the suite installed it.
const REDBOT: &str = "PROXIES_REDBOT";

fn findings(url: &str) -> Vec<(String, String)> {
    let redbot = std::env::var_os(REDBOT).expect("the suite, `tests/run --suite proxies`, says it");
    let said = Command::new(redbot)
        .args(["-o", "har", url])
        .output()
        .unwrap();
    let har: Value = serde_json::from_slice(&said.stdout).expect("a report");
    let entries = har["log"]["entries"].as_array().unwrap();
    let notes = entries
        .iter()
        .flat_map(|entry| entry["_red_messages"].as_array().unwrap());
    let text = |note: &Value, field: &str| note[field].as_str().unwrap().to_owned();
    notes
        .map(|note| (text(note, "level"), text(note, "summary")))
        .collect()
}

#[test]
fn redbot_finds_nothing_bad_in_the_byte_route() {
    let (site, ledger) = (Site::new(), Ledger::default());
    let server = site.serve();
    for length in [0, 1, 100_000] {
        let file = site.put(&server, &ledger, length);
        let url = format!("http://{}{}", server.host, site.mint(&server, &file));
        let found = findings(&url);
        println!("{length} bytes: {found:#?}");
        let bad: Vec<_> = found.iter().filter(|(level, _)| level == "BAD").collect();
        assert!(bad.is_empty(), "{bad:?}");
        if length > 1 {
            let says = |what: &str| found.iter().any(|(_, said)| said.contains(what));
            for good in [
                "If-None-Match conditional requests are supported",
                "If-Modified-Since conditional requests are supported",
                "A ranged request returned the correct partial content",
                "The Content-Length header is correct",
            ] {
                assert!(says(good), "{good}: {found:?}");
            }
        }
    }
    server.stop();
}
