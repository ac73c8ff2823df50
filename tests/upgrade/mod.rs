//! Installations that the binary of an older version made: the present one opens them, brings their schema up to
//! date, and serves what they keep. `make` in this directory made them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use hallpass::model::count::Counted;
use hallpass::model::id::{FileId, FolderId, OrganizationId, SpaceId};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::app::{TestApp, is_on_postgres, target};
use crate::support::postgres::Server;
use crate::support::store::{Store, prefix_of};

/// The API key that the older binary was given.
const KEY: (&str, &str) = ("X-API-Key", "sk-upgrade-test-key-0123456789");

fn made(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/upgrade")
        .join(name)
}

fn facts(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(made(name)).unwrap()).unwrap()
}

#[track_caller]
fn unpack(archive: &str, directory: &Path) {
    let mut tar = Command::new("tar");
    let tar = tar.arg("-xzf").arg(made(archive)).arg("-C").arg(directory);
    assert!(tar.status().unwrap().success());
}

fn organization(id: &str) -> OrganizationId {
    OrganizationId::parse(id).unwrap()
}

/// Puts an object into the store, as another program would.
fn put_object(store: &Store, key: &str, file: &Path) {
    let said = |name: &str| std::fs::read_to_string(store.directory.join(name)).unwrap();
    let done = Command::new("curl")
        .args(["-sS", "-f", "-T"])
        .arg(file)
        .args(["--aws-sigv4", "aws:amz:us-east-1:s3"])
        .args(["-H", "x-amz-content-sha256:UNSIGNED-PAYLOAD"])
        .args([
            "-u",
            &format!("{}:{}", said("access_key_id"), said("secret")),
        ])
        .arg(format!("{}/{}/{key}", store.endpoint, store.bucket))
        .status();
    assert!(done.unwrap().success());
}

#[tokio::test]
async fn an_installation_on_sqlite_and_a_disk_opens_as_it_was() {
    if is_on_postgres() || Store::running().is_some() {
        println!("NOT TESTED: this round is not on SQLite and a disk");
        return;
    }
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    unpack("disk.tar.gz", &data);
    let app = TestApp::start_in(directory, &[]).await;
    serves_what_is_kept(&app, &facts("disk.json")).await;
    // What it was brought to is what it opens again.
    let directory = app.stop().await;
    let app = TestApp::start_in(directory, &[]).await;
    serves_what_is_kept(&app, &facts("disk.json")).await;
    goes_on(&app).await;
}

#[tokio::test]
async fn an_installation_on_postgresql_and_a_store_opens_as_it_was() {
    let Some(store) = Store::needed() else {
        return;
    };
    let directory = TempDir::new().unwrap();
    unpack("store.tar.gz", directory.path());
    let data = directory.path().join("data");
    std::fs::rename(directory.path().join("store"), data).unwrap();
    let (objects, prefix) = (
        directory.path().join("objects"),
        prefix_of(directory.path()),
    );
    put_object(
        &store,
        &format!("{prefix}/installation"),
        &objects.join("installation"),
    );
    for blob in std::fs::read_dir(objects.join("blobs")).unwrap() {
        let blob = blob.unwrap();
        let name = blob.file_name().into_string().unwrap();
        put_object(&store, &format!("{prefix}/blobs/{name}"), &blob.path());
    }
    let server = Server::shared();
    let url = server.database("upgrade");
    let script = std::fs::read_to_string(made("database.sql")).unwrap();
    server.sql("upgrade", &script);
    let app = TestApp::start_in(directory, &[("catalog.url", &url)]).await;
    serves_what_is_kept(&app, &facts("store.json")).await;
    goes_on(&app).await;
}

/// The links, the lists, the revocations, the digests and the counts are as the older binary left them.
async fn serves_what_is_kept(app: &TestApp, facts: &Value) {
    app.clock.set(facts["made_at"].as_u64().unwrap() * 1_000);
    let link = |kind: &str, name: &str| target(facts[kind][name].as_str().unwrap());
    let two = b"\x89PNG, but not really".as_slice();
    let contents = [
        ("one", b"one text\n".as_slice(), "text/plain"),
        ("two", two, "image/png"),
        ("three", &[b'x'; 70_000], "application/octet-stream"),
        ("theirs", two, "image/png"),
    ];
    for (name, bytes, media_type) in contents {
        let reply = app.client.get(&link("opens", name), &[]).await;
        assert_eq!((reply.status, reply.body == bytes), (200, true), "{name}");
        let sent = reply.header("content-type").unwrap();
        assert!(sent.starts_with(media_type), "{name}: {sent}");
    }
    for name in ["denied", "revised", "epoch"] {
        let reply = app.client.get(&link("refused", name), &[]).await;
        reply.is_dead_link();
    }
    let list = "/v1/organizations/org_default/files?limit=10";
    let list = app.client.get(list, &[KEY]).await.json();
    let files = list["files"].as_array().unwrap();
    let mut ids: Vec<&str> = files
        .iter()
        .map(|file| file["id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(
        (ids, &list["total"]),
        (vec!["one", "three", "two"], &3.into())
    );

    let (default, acme) = (organization("org_default"), organization("acme"));
    let one = FileId::parse("one").unwrap();
    let file = app.gateway.ready_file(&default, &one).await.unwrap();
    assert_eq!(
        file.metadata.pairs().collect::<Vec<_>>(),
        [("colour", "blue")]
    );
    let id = FileId::parse("two").unwrap();
    let two = app.gateway.ready_file(&default, &id);
    assert_eq!(two.await.unwrap().name.as_str(), "zwei ü.png");
    let counts = app.gateway.counts(&default, Counted::File(&one));
    let counts = counts.await.unwrap();
    assert!(counts.downloads >= 1 && counts.whole >= 1, "{counts:?}");

    let spaces = app.gateway.spaces(&acme).await.unwrap();
    let spaces: Vec<SpaceId> = spaces.into_iter().map(|space| space.id).collect();
    let wanted = ["drafts", "space_default"].map(|id| SpaceId::parse(id).unwrap());
    assert_eq!(spaces, wanted);
    let shared = FolderId::parse("shared").unwrap();
    let folders = app.gateway.folders(&acme).await.unwrap();
    let folders: Vec<_> = folders.into_iter().map(|of| (of.id, of.members)).collect();
    assert_eq!(folders, [(shared.clone(), vec![organization("friend")])]);
    let files = app.gateway.folder_files(&acme, &shared).await.unwrap();
    assert_eq!(files, [FileId::parse("theirs").unwrap()]);
    let keys = app.gateway.api_keys(Some(&acme)).await.unwrap();
    assert_eq!(keys.len(), 1);

    let mut wrong = Vec::new();
    let report = |finding| wrong.push(format!("{finding:?}"));
    let tally = Arc::default();
    let checked = app.gateway.check_files(false, 4, &tally, report);
    checked.await.unwrap();
    let report = |miscount| wrong.push(format!("{miscount:?}"));
    app.gateway.check_counts(false, report).await.unwrap();
    assert_eq!(wrong, [""; 0]);
    let leftovers = app.gateway.leftovers().await.unwrap();
    assert_eq!((leftovers.stages, leftovers.orphans), (0, 0));
}

/// The present binary writes into it, too.
async fn goes_on(app: &TestApp) {
    let new = crate::support::app::new_file("org_default", "new", "new.txt");
    app.put(new, b"new bytes").await;
    let mint = "/v1/organizations/org_default/files/new/content?";
    let minted = app.client.get(mint, &[KEY]).await.json();
    let link = target(minted["download_url"].as_str().unwrap());
    assert_eq!(app.client.get(&link, &[]).await.body, b"new bytes");
    let default = organization("org_default");
    let revoked = app
        .gateway
        .revoke_links_of_organization(&default, hallpass::gateway::revoke::Revoker::Operator);
    revoked.await.unwrap();
    app.client.get(&link, &[]).await.is_dead_link();
}
