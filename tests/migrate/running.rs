//! Beside a gateway that runs, and is told to change everything meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{URL, assert_opens, link_at, migrate, migrated, sample, serve, take_keyring};
use crate::cli::support::{Place, call, status, text};
use crate::support::postgres::Server;

/// Enough for every run to have something to do.
const FILES_MAX: usize = 500;

/// What a client of the source was told: a link to each file, its bytes, and whether it opens.
#[derive(Default)]
struct Told(BTreeMap<String, (String, Vec<u8>, bool)>);

impl Told {
    /// Adds, deletes and revokes until it is told to stop.
    fn go_on(&mut self, place: &Place, base: &str, key: &str, stop: &AtomicBool) {
        let files = format!("{base}/v1/organizations/org_default/files");
        for number in 0..FILES_MAX {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let bytes = sample(number, 1000 + 7 * number);
            let id = place.add(&format!("live-{number}"), &bytes);
            let (status, minted) = call("GET", &format!("{files}/{id}/content"), key, "");
            assert_eq!(status, 200, "{minted}");
            let link = text(&minted, "download_url");
            let is_alive = match number % 4 {
                0 => call("DELETE", &format!("{files}/{id}"), key, "").0 != 204,
                1 => call("POST", &format!("{files}/{id}/revoke"), key, "").0 != 200,
                _ => true,
            };
            self.0.insert(id, (link, bytes, is_alive));
        }
    }
}

#[test]
fn what_changes_meanwhile_is_there_after_the_last_run() {
    let place = Place::new();
    for number in 0..40 {
        let bytes = sample(number, 50_000);
        place.add(&format!("old-{number}"), &bytes);
    }
    let scopes = ["read", "mint", "write", "admin"].map(|scope| ["--scope", scope]);
    let words = [&["apikey", "create"], scopes.as_flattened()].concat();
    let key = text(&place.json(&words), "api_key");
    let (serving, base) = serve(&place);
    let url = Server::shared().database("running");
    let new = Place::with(&[(URL, &url)]);
    let data = new.path("data");
    let words = ["--to-catalog", &url, "--to-blobs", data.to_str().unwrap()];
    let (stop, mut told) = (AtomicBool::new(false), Told::default());
    std::thread::scope(|scope| {
        scope.spawn(|| told.go_on(&place, &base, &key, &stop));
        for _ in 0..4 {
            let (said, code) = migrate(&place, &words);
            let wanted = if said["in_step"] == true { 0 } else { 1 };
            assert_eq!(code, Some(wanted), "{said}");
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("{} files came meanwhile", told.0.len());
    assert!(told.0.len() > 4);
    serving.stop("TERM");

    let said = migrated(&place, &words);
    assert_eq!(said["in_step"], true, "{said}");
    let said = migrated(&place, &words);
    assert_eq!(
        (&said["rows_copied"], &said["files_copied"]),
        (&0.into(), &0.into())
    );
    take_keyring(&new, &place);
    assert_eq!(new.json(&["ls"]), place.json(&["ls"]));
    new.good(&["doctor"]);
    let (_serving, base) = serve(&new);
    for (link, bytes, is_alive) in told.0.values() {
        let link = link_at(&base, link);
        if *is_alive {
            assert_opens(&link, bytes);
        } else {
            assert_ne!(status(&link), 200, "{link}");
        }
    }
    // Every other file too, by a link of its own.
    for file in new.json(&["ls", "--limit", "1000"]).as_array().unwrap() {
        let link = new.sign(&base, &text(file, "file_id"), &[]);
        let (status, body) = crate::cli::support::open(&text(&link, "download_url"));
        assert_eq!(status, 200);
        let sha256 = <sha2::Sha256 as sha2::Digest>::digest(&body);
        let hex: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, text(file, "sha256"));
    }
}
