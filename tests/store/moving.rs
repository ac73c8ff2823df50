//! Moving an installation to PostgreSQL and the store, to another prefix of it, and back to one machine.

use std::fs;

use super::{found, prefix, sample};
use crate::cli::support::{Place, Serving, text, until};
use crate::migrate::there::Old;
use crate::migrate::{URL, assert_opens, link_at, migrated, seen, serve, take_keyring};
use crate::support::postgres::Server;
use crate::support::store::Store;

/// How the store is reached, as variables of every command.
fn reached(store: &Store) -> Vec<(&'static str, String)> {
    let id = fs::read_to_string(store.directory.join("access_key_id")).unwrap();
    let secret = store.directory.join("secret").display().to_string();
    vec![
        ("HALLPASS_BLOBS_ENDPOINT", store.endpoint.clone()),
        ("HALLPASS_BLOBS_ACCESS_KEY_ID", id),
        ("HALLPASS_BLOBS_SECRET_ACCESS_KEY_FILE", secret),
    ]
}

fn place(store: &Store, more: &[(&'static str, &str)]) -> Place {
    let reached = reached(store);
    let reached = reached.iter().map(|(name, value)| (*name, value.as_str()));
    let all: Vec<_> = reached.chain(more.iter().copied()).collect();
    Place::with(&all)
}

#[test]
fn an_installation_moves_to_a_database_and_a_store_and_back() {
    let Some(store) = Store::needed() else {
        return;
    };
    let prefix = prefix("moving");
    let bucket = format!("s3://{}/{prefix}", store.bucket);
    let url = Server::shared().database("there_with_store");
    let old = Old::of(place(&store, &[]), "http://old.example");
    let before = seen(&old.place);
    let words = ["--to-catalog", &url, "--to-blobs", &bucket];
    let files = old.ids.len() as u64 + 2;
    let said = migrated(&old.place, &words);
    assert_eq!(
        (&said["files_copied"], &said["in_step"]),
        (&files.into(), &true.into())
    );
    let said = migrated(&old.place, &words);
    assert_eq!(
        (&said["rows_copied"], &said["files_copied"]),
        (&0.into(), &0.into())
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let behind = store.behind(&prefix);
    let objects = usize::try_from(files).unwrap();
    assert_eq!(runtime.block_on(found(&behind)), (0, objects));

    let new = place(&store, &[(URL, &url), ("HALLPASS_BLOBS_URL", &bucket)]);
    fs::create_dir(new.path("data")).unwrap();
    crate::cli::support::set_mode(&new.path("data"), 0o700);
    take_keyring(&new, &old.place);
    assert_eq!(seen(&new), before);
    new.good(&["doctor"]);
    let (serving, base) = serve(&new);
    old.assert_served_at(&base);
    let late = new.add("late.bin", &sample(7 << 20));
    let late = text(&new.sign("http://new.example", &late, &[]), "download_url");
    serving.stop("TERM");

    let back = Place::new();
    let data = back.path("data");
    let data = data.to_str().unwrap();
    let said = migrated(&new, &["--to-catalog", data, "--to-blobs", data]);
    assert_eq!(said["files_copied"], files + 1, "{said}");
    take_keyring(&back, &new);
    assert_eq!(seen(&back), seen(&new));
    let (_serving, base) = serve(&back);
    old.assert_served_at(&base);
    assert_opens(&link_at(&base, &late), &sample(7 << 20));
}

#[test]
fn from_one_prefix_to_another_killed_on_its_way() {
    const FILES: usize = 120;
    let Some(store) = Store::needed() else {
        return;
    };
    let [from, to] = ["from", "to"].map(prefix);
    let bucket = |prefix: &str| format!("s3://{}/{prefix}", store.bucket);
    let old = place(&store, &[("HALLPASS_BLOBS_URL", &bucket(&from))]);
    for number in 0..FILES {
        let bytes = crate::migrate::sample(number, 20_000);
        old.file(&format!("in/{number}"), &bytes);
    }
    let directory = old.path("in");
    old.good(&["add".as_ref(), directory.as_os_str()]);
    let data = old.path("new");
    let reached = reached(&store);
    let config = format!(
        "[server]\ndata_dir = {data:?}\n[blobs]\nurl = {:?}\nendpoint = {:?}\naccess_key_id = {:?}\n\
         secret_access_key_file = {:?}\n",
        bucket(&to),
        reached[0].1,
        reached[1].1,
        reached[2].1
    );
    old.file("new.toml", config.as_bytes());
    let words = ["migrate", "--to-config", "new.toml"];
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let behind = store.behind(&to);
    let there = || runtime.block_on(found(&behind)).1;
    let running = Serving::of(old.command(&words));
    until("some objects", || there() > 10);
    running.stop("KILL");
    let kept = there();
    assert!(kept < FILES, "it was too fast to be killed: {kept}");
    let said = migrated(&old, &words[1..]);
    // A request that was on its way may have been carried out behind the back of the killed process.
    let copied = said["files_copied"].as_u64().unwrap();
    assert!(
        copied <= (FILES - kept) as u64 && copied + 8 >= (FILES - kept) as u64,
        "{said}"
    );
    assert_eq!(there(), FILES);
    let new = Place::new();
    fs::copy(old.data("keyring.toml"), old.path("new/keyring.toml")).unwrap();
    let mut doctor = new.command(&["doctor", "--config"]);
    doctor
        .arg(old.path("new.toml"))
        .env_remove("HALLPASS_SERVER_DATA_DIR");
    assert!(doctor.status().unwrap().success());
}
