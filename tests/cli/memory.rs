//! Two processes on one data directory, each of which keeps in memory what it was asked for: what one
//! changes, the other learns.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::support::{PATIENCE, Place, open, pause, status, text, until};

/// Longer than half a second: an entry is hot, and was looked up at several versions of the catalogue.
const WARM_ROUNDS: usize = 60;

/// The status of a call with an API key.
fn call(base: &str, method: &str, path: &str, key: &str) -> u16 {
    let host = base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {key}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_file_that_one_process_deletes_is_gone_from_the_memory_of_the_other() {
    let place = Place::new();
    let (small, large) = (vec![b's'; 1_000], vec![b'l'; 100_000]);
    let files = [place.add("small", &small), place.add("large", &large)];
    let key = text(&place.json(&["apikey", "create"]), "api_key");
    let (mut one, mut other) = (place.serve(), place.serve());
    let bases = [one.url(), other.url()];
    let links = files.map(|file| {
        let at = |base: &String| text(&place.sign(base, &file, &[]), "download_url");
        (
            format!("/v1/organizations/org_default/files/{file}"),
            bases.each_ref().map(at),
        )
    });
    for ((path, [here, there]), bytes) in links.iter().zip([&small, &large]) {
        for _ in 0..WARM_ROUNDS {
            assert!(open(here) == (200, bytes.clone()) && open(there) == (200, bytes.clone()));
            pause();
        }
        let mint = format!("{path}/content");
        assert_eq!(
            bases.each_ref().map(|base| call(base, "GET", &mint, &key)),
            [200, 200]
        );

        assert_eq!(call(&bases[0], "DELETE", path, &key), 204);
        assert_eq!(
            status(here),
            404,
            "what this process changed is seen at once"
        );
        assert_eq!(call(&bases[0], "GET", &mint, &key), 404);
        until("the other process forgetting a deleted file", || {
            status(there) == 404
        });
        assert_eq!(call(&bases[1], "GET", &mint, &key), 404);
    }
}

#[test]
fn a_key_that_is_paused_beside_running_gateways_mints_nothing() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let made = place.json(&["apikey", "create"]);
    let (id, key) = (text(&made, "api_key_id"), text(&made, "api_key"));
    let (mut one, mut other) = (place.serve(), place.serve());
    let bases = [one.url(), other.url()];
    let mint = format!("/v1/organizations/org_default/files/{file}/content");
    let minted = |wanted: u16| {
        let all = bases.each_ref().map(|base| call(base, "GET", &mint, &key));
        all == [wanted; 2]
    };
    for _ in 0..WARM_ROUNDS {
        assert!(minted(200));
        pause();
    }
    place.good(&["apikey", "pause", &id]);
    until("forgetting that a key worked", || minted(401));
    place.good(&["apikey", "resume", &id]);
    until("forgetting that a key was paused", || minted(200));
    place.good(&["apikey", "deactivate", &id]);
    until("forgetting that a key works again", || minted(401));
}
