//! A gateway as it is in production, on a data directory of its own and a free port, with a clock that
//! stands still.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use hallpass::catalog::postgres::{Address, Postgres};
use hallpass::catalog::sqlite::Sqlite;
use hallpass::catalog::{Catalog, Missing};
use hallpass::config::{Config, Flag, Listen, keyring_file};
use hallpass::gateway::Gateway;
use hallpass::gateway::clock::{Clock, ManualClock};
use hallpass::gateway::mint::MintOptions;
use hallpass::gateway::revocations::STALENESS_MAX;
use hallpass::gateway::tenants::NewApiKey;
use hallpass::gateway::upload::NewFile;
use hallpass::model::file::{FileRecord, Purpose};
use hallpass::model::id::{FileId, OrganizationId, SpaceId};
use hallpass::model::key::Scopes;
use hallpass::model::metadata::Metadata;
use hallpass::model::name::FileName;
use hallpass::model::time::UnixSeconds;
use hallpass::server::HttpServer;
use hallpass::server::installation::{Installation, drawn_key};
use hallpass::server::setup::{SetupPolicy, lock_for_setup};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::client::Client;
use super::postgres::Server;
use super::secrets;
use super::store::{Store, kept, prefix_of};

/// The variable that says on which catalogue the tests run: `postgres`, or not set for SQLite.
const CATALOGUE_VARIABLE: &str = "TESTS_CATALOGUE";

/// When every test begins: 2026-05-18T15:34:52Z.
pub(crate) const T0: u64 = 1_779_118_492;

/// A picture of one pixel.
pub(crate) const PNG: &[u8] =
    b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\x00\x00\
    \x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\x0d\x49\x44\x41\x54\x78\x9c\x63\
    \x60\x68\x70\xf8\x0f\x00\x03\x04\x01\xc0\xa9\xeb\x5a\x43\x00\x00\x00\x00\x49\x45\x4e\x44\
    \xae\x42\x60\x82";

/// The audit stream of every gateway that has none of its own, in its directory.
const AUDIT: &str = "audit.jsonl";

/// Holds the log and the audit stream against all secrets when a gateway is done with.
struct Told(PathBuf);

impl Drop for Told {
    fn drop(&mut self) {
        // The last lines are on their way; and one failure is enough.
        if !std::thread::panicking() {
            crate::cli::support::pause();
            secrets::assert_none_told(&self.0);
        }
    }
}

pub(crate) struct TestApp {
    pub(crate) client: Client,
    /// Of the private listener, if the settings have one.
    pub(crate) admin: Option<Client>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) clock: Arc<ManualClock>,
    /// Dropped before the directory that it looks into.
    told: Told,
    pub(crate) directory: TempDir,
    pub(crate) listeners: Vec<Listen>,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<()>>,
}

impl TestApp {
    /// Starts with these settings, ready when it answers.
    pub(crate) async fn start_with(settings: &[(&'static str, &str)]) -> Self {
        Self::start_in(TempDir::new().unwrap(), settings).await
    }

    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts another gateway with the same rows and bytes, and these settings.
    pub(crate) async fn beside(&self, settings: &[(&'static str, &str)]) -> Self {
        let data = self.directory.path().join("data").display().to_string();
        let own = [("server.data_dir", data.as_str())];
        Self::start_with(&[&own, settings].concat()).await
    }

    /// Starts on a data directory that may have been used before.
    pub(crate) async fn start_in(directory: TempDir, settings: &[(&'static str, &str)]) -> Self {
        secrets::gather_log();
        let config = config(&directory, settings);
        give_keyring(&config).await;
        let clock = Arc::new(ManualClock::at(T0 * 1000));
        let time: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let installation = Installation::open(&config, SetupPolicy::SetUp, time)
            .await
            .expect("an installation");
        let app = HttpServer::build(&config, installation)
            .await
            .expect("a gateway");
        let listeners = app.listeners();
        let tcp = listeners.iter().find_map(Listen::address);
        let client = Client(tcp.expect("a TCP listener"));
        let admin = app.admin_address().map(Client);
        let gateway = Arc::clone(app.gateway());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(app.run(async { drop(stopped.await) }, std::future::pending()));
        Self {
            client,
            admin,
            gateway,
            clock,
            told: Told(directory.path().join(AUDIT)),
            directory,
            listeners,
            stop: Some(stop),
            running: Some(running),
        }
    }

    /// Tries to start with these settings, and answers why that fails.
    pub(crate) async fn refused_with(settings: &[(&'static str, String)]) -> String {
        let directory = TempDir::new().unwrap();
        let settings: Vec<_> = settings
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        let config = config(&directory, &settings);
        give_keyring(&config).await;
        let time = Arc::new(ManualClock::at(T0 * 1000));
        let installation = Installation::open(&config, SetupPolicy::SetUp, time)
            .await
            .expect("an installation");
        let app = HttpServer::build(&config, installation).await;
        app.err().expect("a refusal").to_string()
    }

    /// Waits until no upload is under way, and says how many blobs there are.
    pub(crate) async fn blobs_kept(&self) -> usize {
        // A dropped stage is removed in the background.
        for _ in 0..100 {
            if let (blobs, 0) = kept(self.directory.path()).await {
                return blobs;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("a stage is left");
    }

    /// Ends the gateway as a signal would, and gives its data directory back.
    pub(crate) async fn stop(mut self) -> TempDir {
        drop(self.stop.take());
        self.running.take().unwrap().await.unwrap();
        drop(self.told);
        self.directory
    }

    /// `org_123` with its key `k1`, its files `file_abc123` (`report.png`) and `file_def456`, and
    /// `org_abc123` with its key `k2`: the fixture of the Aitronos checks.
    pub(crate) async fn with_org_123(self) -> Self {
        for (id, key) in [("org_123", "k1"), ("org_abc123", "k2")] {
            let id = OrganizationId::parse(id).unwrap();
            self.gateway
                .create_organization(Some(id), String::new())
                .await
                .unwrap();
            self.api_key(id_of(key), key, Scopes::USUAL).await;
        }
        self.add("file_abc123", "report.png", PNG).await;
        self.add("file_def456", "other.png", b"other bytes").await;
        self
    }

    /// Makes an organization and, for it, an API key of this text with the usual scopes.
    pub(crate) async fn account(&self, organization: &str, key: &str) {
        let id = OrganizationId::parse(organization).unwrap();
        let made = self.gateway.create_organization(Some(id), String::new());
        made.await.unwrap();
        self.api_key(organization, key, Scopes::USUAL).await;
    }

    /// Makes an API key of this text.
    pub(crate) async fn api_key(&self, organization: &str, text: &str, scopes: Scopes) -> String {
        // A word that is also a file's name in some test would be found there.
        if text.contains(|c: char| c.is_ascii_digit() || c == '-') {
            secrets::keep(text);
        }
        let organization = OrganizationId::parse(organization).unwrap();
        let (text, expires_in) = (Some(text.to_owned()), None);
        let new = NewApiKey {
            organization,
            name: String::new(),
            scopes,
            expires_in,
            text,
        };
        self.gateway
            .create_api_key(new)
            .await
            .unwrap()
            .0
            .id
            .to_string()
    }

    /// Adds a file to `org_123`.
    pub(crate) async fn add(&self, id: &str, name: &str, bytes: &[u8]) -> FileRecord {
        self.put(new_file("org_123", id, name), bytes).await
    }

    /// Adds so many files to `org_123` that are like this one of it, as a command adds them: one by one they would take
    /// minutes. Answers their ids.
    pub(crate) async fn add_copies(&self, like: &str, count: usize) -> Vec<String> {
        let (catalogue, organization, like) = self.seen_from_outside(like).await;
        let like = catalogue.file(&organization, &like).await.unwrap().unwrap();
        let ids: Vec<String> = (0..count).map(|n| format!("file_{n:05}")).collect();
        let copy = |id: &String| FileRecord {
            id: FileId::parse(id).unwrap(),
            ..like.clone()
        };
        let records: Vec<FileRecord> = ids.iter().map(copy).collect();
        catalogue.add_files(&records).await.unwrap();
        ids
    }

    /// Adds a file as it is described.
    pub(crate) async fn put(&self, new: NewFile, bytes: &[u8]) -> FileRecord {
        let mut upload = self.gateway.begin_upload().await.unwrap();
        upload.write(Bytes::copy_from_slice(bytes)).await.unwrap();
        self.gateway.finish_upload(upload, new).await.unwrap()
    }

    /// Adds a file to `org_123` that stays where it lies.
    pub(crate) async fn register(&self, id: &str, path: &Path) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let kept = self
            .gateway
            .keep_in_place(path, new_file("org_123", id, name));
        let added = self.gateway.add_staged(vec![kept.await.unwrap()]).await;
        added.into_iter().for_each(|file| drop(file.unwrap()));
    }

    /// The catalogue, as another process has it.
    pub(crate) async fn catalogue_from_outside(&self) -> Box<dyn Catalog> {
        if is_on_postgres() {
            let address = Address::parse(&database_of(self.directory.path())).unwrap();
            return Box::new(
                Postgres::open_with(&address, 1, Missing::Refuse)
                    .await
                    .unwrap(),
            );
        }
        let catalogue = self.directory.path().join("data/catalogue.sqlite3");
        Box::new(
            Sqlite::open_with(&catalogue, Missing::Refuse)
                .await
                .unwrap(),
        )
    }

    /// Runs SQL that both databases understand behind the gateway's back.
    pub(crate) fn sql(&self, script: &str) {
        if is_on_postgres() {
            let schema = schema_of(self.directory.path());
            let script = format!("SET search_path TO {schema}; {script}");
            Server::shared().sql("apps", &script);
            return;
        }
        let catalogue = self.directory.path().join("data/catalogue.sqlite3");
        // In this process: opening the catalogue from outside has ended the locks by which another one would see that it is in
        // use, and that one would take the log away when it ends.
        let sqlite = rusqlite::Connection::open(&catalogue).unwrap();
        sqlite.busy_timeout(Duration::from_secs(10)).unwrap();
        sqlite.execute_batch(script).unwrap();
    }

    async fn seen_from_outside(&self, id: &str) -> (Box<dyn Catalog>, OrganizationId, FileId) {
        let catalogue = self.catalogue_from_outside().await;
        let organization = OrganizationId::parse("org_123").unwrap();
        (catalogue, organization, FileId::parse(id).unwrap())
    }

    /// Revokes all links of a file of `org_123`, as another process would.
    pub(crate) async fn revoke_links_of(&self, id: &str) {
        let (catalogue, organization, id) = self.seen_from_outside(id).await;
        let raised = catalogue.raise_link_revision(&organization, &id, 10);
        raised.await.unwrap();
    }

    /// Marks a file of `org_123`, as `doctor` would, and waits until every gateway must know.
    pub(crate) async fn mark_as_damaged(&self, id: &str) {
        let (catalogue, organization, id) = self.seen_from_outside(id).await;
        let since = UnixSeconds::new(T0);
        let marked = catalogue.mark_damaged(&organization, &id, since);
        marked.await.unwrap();
        tokio::time::sleep(STALENESS_MAX).await;
    }

    /// Mints a link for a file of `org_123` with `k1`; `options` is a query without its `?`.
    #[track_caller]
    pub(crate) fn mint(&self, file: &str, options: &str) -> impl Future<Output = Value> {
        let (client, target) = (
            self.client,
            format!("/v1/organizations/org_123/files/{file}/content?{options}"),
        );
        async move {
            let reply = client.get(&target, &[("X-API-Key", "k1")]).await;
            assert_eq!(
                reply.status,
                200,
                "{}",
                String::from_utf8_lossy(&reply.body)
            );
            reply.json()
        }
    }

    /// Mints and answers what follows the host in the link.
    pub(crate) async fn link(&self, file: &str, options: &str) -> String {
        target(
            self.mint(file, options).await["download_url"]
                .as_str()
                .unwrap(),
        )
    }

    /// A link for one client that was made without a request, for where a request is not easily made.
    pub(crate) async fn operator_link(&self, file: &str, ip: &str) -> String {
        let options = MintOptions {
            ip: Some(ip.to_owned()),
            ..MintOptions::default()
        };
        let organization = OrganizationId::parse("org_123").unwrap();
        let minted = self.gateway.mint_for(&organization, file, &options);
        target(&minted.await.unwrap().download_url)
    }

    /// Moves the clock to T0 and so many seconds.
    pub(crate) fn at(&self, seconds_after: i64) {
        self.clock
            .set(T0.checked_add_signed(seconds_after).unwrap() * 1000);
    }
}

/// Whether the tests run on PostgreSQL: all of them on one server, each in a schema of its own.
pub(crate) fn is_on_postgres() -> bool {
    std::env::var_os(CATALOGUE_VARIABLE).is_some_and(|which| which == "postgres")
}

/// The name of the schema that belongs to a test's directory.
fn schema_of(directory: &Path) -> String {
    let name = directory.file_name().unwrap().as_encoded_bytes();
    let digits = name.iter().map(|byte| format!("{byte:02x}"));
    format!("t{}", digits.collect::<String>())
}

/// The URL of that schema, which is made where it is not there.
fn database_of(directory: &Path) -> String {
    static APPS: OnceLock<String> = OnceLock::new();
    let server = Server::shared();
    let url = APPS.get_or_init(|| server.database("apps"));
    let schema = schema_of(directory);
    let owner = super::postgres::USER;
    let make = format!("CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner}");
    server.sql("apps", &make);
    format!("{url}?options=-csearch_path%3D{schema}")
}

/// Beside a database nobody makes the keyring but an operator.
async fn give_keyring(config: &Config) {
    let path = config.keyring_file();
    if config.catalog.url.is_none() || path.exists() {
        return;
    }
    drop(lock_for_setup(&config.server.data_dir).await.unwrap());
    let (kid, secret) = drawn_key().unwrap();
    let made = keyring_file::generate(None, kid, secret, UnixSeconds::new(T0).unwrap());
    keyring_file::write(&path, &made.unwrap()).unwrap();
}

/// These settings, on a data directory in this one, and a free port where none is said. The bytes are in the
/// store that tests run on, if they do, unless the settings say where they are.
fn config(directory: &TempDir, settings: &[(&'static str, &str)]) -> Config {
    let data_dir = directory.path().join("data").display().to_string();
    let audit = directory.path().join(AUDIT).display().to_string();
    let mut usual = vec![
        ("server.data_dir", data_dir),
        ("server.listen", "127.0.0.1:0".into()),
        ("audit.file", audit),
    ];
    // A gateway beside another one has that one's rows and bytes.
    let given = settings.iter().find(|(key, _)| *key == "server.data_dir");
    let place = given.and_then(|(_, data)| Path::new(data).parent());
    let place = place.unwrap_or(directory.path());
    if is_on_postgres() && settings.iter().all(|(key, _)| *key != "catalog.url") {
        usual.push(("catalog.url", database_of(place)));
    }
    let of_disk =
        |(key, _): &(&str, &str)| key.starts_with("blobs.") || key.starts_with("handover.");
    let store = Store::running().filter(|_| !settings.iter().any(of_disk));
    if let Some(store) = store {
        usual.extend(store.settings(&prefix_of(place)));
    }
    usual.retain(|(key, _)| settings.iter().all(|(given, _)| given != key));
    let usual = usual.iter().map(|(key, value)| (*key, value.as_str()));
    let all: Vec<_> = usual.chain(settings.iter().copied()).collect();
    let flag = |(key, value): &(&'static str, &str)| Flag {
        key,
        value: (*value).into(),
        name: "--test",
    };
    let flags: Vec<Flag> = all.iter().map(flag).collect();
    Config::load(None, &HashMap::<OsString, OsString>::new(), &flags)
        .expect("the settings are good")
}

/// A file of the default space, for [`TestApp::put`] to add.
pub(crate) fn new_file(organization: &str, id: &str, name: &str) -> NewFile {
    let name = FileName::from_client(name).unwrap();
    NewFile {
        organization: OrganizationId::parse(organization).unwrap(),
        space: SpaceId::default_space(),
        id: Some(FileId::parse(id).unwrap()),
        media_type: None,
        name,
        purpose: Purpose::UserUpload,
        metadata: Metadata::default(),
        created_at: None,
        uploaded_by: None,
        expires_in: None,
    }
}

fn id_of(key: &str) -> &'static str {
    if key == "k1" { "org_123" } else { "org_abc123" }
}

/// What follows the host in a URL.
pub(crate) fn target(url: &str) -> String {
    let rest = url.split_once("://").unwrap().1;
    rest[rest.find('/').unwrap()..].to_owned()
}
