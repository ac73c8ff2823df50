//! What is served: files with real bytes, the installation of Hallpass that holds them, and the same
//! files, by hard links, for the others. An installation belongs to one binary, which makes all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hallpass::model::digest::Sha256Digest;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::client::Request;
use super::process::{Core, Outcome, Running, launcher};
use super::tls::Identity;

/// The lifetime of the links of a comparison.
pub(crate) const LIFETIME_SECONDS: u32 = 6 * 24 * 3600;
/// The most files that one command stores.
const STORED_AT_ONCE: usize = 25_000;

/// A data directory with files in it.
pub(crate) struct Site {
    binary: PathBuf,
    directory: PathBuf,
    www: PathBuf,
    /// By name.
    pub(crate) files: BTreeMap<String, Served>,
    api_key: String,
    /// The URL of its database; without any it has a file of its own.
    catalog: Option<String>,
}

/// A file.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    /// Its id in the catalogue.
    pub(crate) id: String,
    /// Its length.
    pub(crate) size: u64,
    /// Its bytes' SHA-256.
    pub(crate) sha256: Sha256Digest,
}

impl Site {
    /// An installation of this binary in this directory, without files.
    pub(crate) fn new(binary: &Path, directory: &Path) -> Outcome<Self> {
        Self::sharing(binary, directory, directory.join("www"))
    }

    /// An installation whose catalogue is this database, without files.
    pub(crate) fn on_database(binary: &Path, directory: &Path, url: String) -> Outcome<Self> {
        Self::create(binary, directory, directory.join("www"), Some(url))
    }

    /// An installation that shares the bytes of its files with those of the same names in `www`.
    pub(crate) fn sharing(binary: &Path, directory: &Path, www: PathBuf) -> Outcome<Self> {
        Self::create(binary, directory, www, None)
    }

    fn create(
        binary: &Path,
        directory: &Path,
        www: PathBuf,
        catalog: Option<String>,
    ) -> Outcome<Self> {
        fs::create_dir_all(directory)?;
        fs::create_dir_all(&www)?;
        let mut site = Self {
            binary: binary.to_owned(),
            directory: directory.to_owned(),
            www,
            files: BTreeMap::new(),
            api_key: String::new(),
            catalog,
        };
        if site.catalog.is_some() {
            // Every gateway on one database needs the same, so that none makes one by itself.
            let mut generate = launcher(Core::Any, binary)?;
            generate.args(["key", "generate", "--data-dir"]);
            generate.arg(site.data_dir()).stdout(Stdio::piped());
            Running::start(&mut generate)?.output()?;
        }
        let made = site.json(&["apikey", "create", "--json"])?;
        let key = made.get("api_key").and_then(Value::as_str);
        site.api_key = key.ok_or("no API key was printed")?.to_owned();
        Ok(site)
    }

    /// The binary that made it.
    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    /// Where the files are for servers that know nothing of a catalogue, by their names.
    pub(crate) fn www(&self) -> &Path {
        &self.www
    }

    /// Where Hallpass keeps all it has.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// The line that authenticates a call.
    pub(crate) fn key_header(&self) -> (&'static str, String) {
        ("X-API-Key", self.api_key.clone())
    }

    /// The line that authenticates a call of the other APIs.
    pub(crate) fn bearer_header(&self) -> (&'static str, String) {
        ("Authorization", format!("Bearer {}", self.api_key))
    }

    /// The file of this name.
    pub(crate) fn file(&self, name: &str) -> Outcome<&Served> {
        Ok(self.files.get(name).ok_or("no such file")?)
    }

    /// Stores a file of random bytes, unless it is there.
    pub(crate) fn add(&mut self, name: &str, size: u64) -> Outcome<()> {
        if !self.files.contains_key(name) {
            self.store(&[(name.to_owned(), size)])?;
        }
        Ok(())
    }

    /// Stores so many files of 1 KiB whose names begin with this, unless they are there, and answers their names.
    pub(crate) fn add_many(&mut self, prefix: &str, count: usize) -> Outcome<Vec<String>> {
        let names = (0..count).map(|number| format!("{prefix}-{number:07}"));
        let names: Vec<String> = names.collect();
        let missing = names.iter().filter(|name| !self.files.contains_key(*name));
        let missing: Vec<(String, u64)> = missing.map(|name| (name.clone(), 1024)).collect();
        for (done, files) in missing.chunks(STORED_AT_ONCE).enumerate() {
            self.store(files)?;
            let stored = done * STORED_AT_ONCE + files.len();
            println!("{stored} of {} files stored", missing.len());
        }
        Ok(names)
    }

    fn store(&mut self, files: &[(String, u64)]) -> Outcome<()> {
        let source = self.directory.join("source");
        fs::create_dir_all(&source)?;
        let mut digests = BTreeMap::new();
        for (name, size) in files {
            digests.insert(
                name.clone(),
                (*size, write_random(&source.join(name), *size)?),
            );
        }
        let path = source.display().to_string();
        let stored = self.json(&["add", "--json", &path])?;
        for file in stored.as_array().into_iter().flatten() {
            let text = |name: &str| file.get(name).and_then(Value::as_str);
            let name = text("filename").ok_or("no filename was printed")?;
            let id = text("file_id").ok_or("no file_id was printed")?.to_owned();
            let (size, sha256) = *digests.get(name).ok_or("another file was stored")?;
            self.files
                .insert(name.to_owned(), Served { id, size, sha256 });
        }
        fs::remove_dir_all(&source)?;
        self.link_blobs(&digests)
    }

    /// Gives the stored bytes a name for the other servers, or makes them those that have it already: the very same pages
    /// are then served by all.
    fn link_blobs(&self, files: &BTreeMap<String, (u64, Sha256Digest)>) -> Outcome<()> {
        let sizes: BTreeSet<u64> = files.values().map(|(size, _)| *size).collect();
        let names = files
            .iter()
            .map(|(name, (_, sha256))| (*sha256.as_bytes(), name));
        let mut names: BTreeMap<[u8; 32], &String> = names.collect();
        let mut folders = vec![self.data_dir().join("blobs")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                let metadata = path.metadata()?;
                if metadata.is_dir() {
                    folders.push(path);
                    continue;
                }
                // One that is linked was looked at before.
                if metadata.nlink() > 1 || !sizes.contains(&metadata.len()) {
                    continue;
                }
                if let Some(name) = names.remove(hash(&path)?.as_bytes()) {
                    let shared = self.www().join(name);
                    if shared.exists() {
                        fs::remove_file(&path)?;
                        fs::hard_link(&shared, &path)?;
                    } else {
                        fs::hard_link(&path, shared)?;
                    }
                }
            }
        }
        if names.is_empty() {
            Ok(())
        } else {
            Err("not every file's bytes are where they should be".into())
        }
    }

    /// A link for a file, made by a call to a running gateway; the request target.
    pub(crate) fn mint(&self, at: SocketAddr, name: &str) -> Outcome<String> {
        self.mint_id(at, &self.file(name)?.id)
    }

    /// The same for the file of this id.
    pub(crate) fn mint_id(&self, at: SocketAddr, file: &str) -> Outcome<String> {
        let target = format!(
            "/v1/organizations/org_default/files/{file}/content?expires_in={LIFETIME_SECONDS}"
        );
        let request = Request {
            headers: vec![self.key_header()],
            ..Request::get(target)
        };
        let reply = request.expect(at, 200)?;
        let json: Value = serde_json::from_slice(&reply.body)?;
        let url = json.get("download_url").and_then(Value::as_str);
        let url = url.ok_or("no download_url in the answer")?;
        let target = url.strip_prefix(&format!("http://{at}"));
        Ok(target.ok_or("the link is not ours")?.to_owned())
    }

    /// A share of a file with these fields besides, made by a call to a running gateway; the path of its page.
    pub(crate) fn share(&self, at: SocketAddr, name: &str, fields: &Value) -> Outcome<String> {
        let mut body = fields.clone();
        let files = [self.file(name)?.id.as_str()];
        body.as_object_mut()
            .ok_or("the fields are an object")?
            .insert("files".into(), files.as_slice().into());
        let request = Request {
            method: "POST",
            target: "/v1/organizations/org_default/shares".into(),
            headers: vec![
                self.key_header(),
                ("Content-Type", "application/json".into()),
            ],
            body: body.to_string(),
        };
        let reply = request.expect(at, 201)?;
        let json: Value = serde_json::from_slice(&reply.body)?;
        let url = json.get("share_url").and_then(Value::as_str);
        let url = url.ok_or("no share_url in the answer")?;
        let target = url.strip_prefix(&format!("http://{at}"));
        Ok(target.ok_or("the share is not ours")?.to_owned())
    }

    /// Starts the gateway. Answers where it listens, too.
    pub(crate) fn serve(&self, core: Core) -> Outcome<(Running, SocketAddr)> {
        let mut command = self.command(core)?;
        command.args(["serve", "--json", "--listen", "127.0.0.1:0"]);
        let (running, listeners) = listening(&mut command)?;
        Ok((running, listeners.first().copied().ok_or("no listener")?))
    }

    /// Starts the gateway with a private listener at this address. Answers where it listens, too.
    pub(crate) fn serve_with_admin(
        &self,
        core: Core,
        admin: SocketAddr,
    ) -> Outcome<(Running, SocketAddr)> {
        let mut command = self.command(core)?;
        command
            .env("HALLPASS_SERVER_ADMIN_LISTEN", admin.to_string())
            .args(["serve", "--json", "--listen", "127.0.0.1:0"]);
        let (running, listeners) = listening(&mut command)?;
        Ok((running, listeners.first().copied().ok_or("no listener")?))
    }

    /// Starts the gateway with a TLS listener, too, and answers where that is behind where the plain one is.
    pub(crate) fn serve_tls(
        &self,
        identity: &Identity,
    ) -> Outcome<(Running, SocketAddr, SocketAddr)> {
        let mut command = self.command(Core::Server)?;
        command
            .env("HALLPASS_SERVER_TLS_CERTIFICATE", &identity.certificate)
            .env("HALLPASS_SERVER_TLS_KEY", &identity.key)
            .args(["serve", "--json", "--listen", "127.0.0.1:0"])
            .args(["--listen", "tls:127.0.0.1:0"]);
        let (running, listeners) = listening(&mut command)?;
        match *listeners {
            [plain, tls] => Ok((running, plain, tls)),
            _ => Err("not two listeners were printed".into()),
        }
    }

    /// Starts the gateway as another program runs it, with these words before its own.
    pub(crate) fn serve_under(
        &self,
        program: &Path,
        words: &[OsString],
    ) -> Outcome<(Running, SocketAddr)> {
        let mut command = launcher(Core::Server, program)?;
        command.args(words).arg(&self.binary);
        self.name_installation(&mut command);
        command.args(["serve", "--json", "--listen", "127.0.0.1:0"]);
        let (running, listeners) = listening(&mut command)?;
        Ok((running, listeners.first().copied().ok_or("no listener")?))
    }

    /// Runs a command of Hallpass on the installation, and answers the JSON that it prints.
    fn json(&self, words: &[&str]) -> Outcome<Value> {
        let mut command = self.command(Core::Any)?;
        command.args(words).stdout(Stdio::piped());
        let text = Running::start(&mut command)?.output()?;
        Ok(serde_json::from_str(&text)?)
    }

    fn command(&self, core: Core) -> Outcome<Command> {
        let mut command = launcher(core, &self.binary)?;
        self.name_installation(&mut command);
        Ok(command)
    }

    fn name_installation(&self, command: &mut Command) {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/versus/hallpass.toml");
        command.arg("--config").arg(config);
        command.arg("--data-dir").arg(self.data_dir());
        if let Some(url) = &self.catalog {
            command.env("HALLPASS_CATALOG_URL", url);
        }
    }
}

/// Starts a gateway, and answers where it listens.
fn listening(command: &mut Command) -> Outcome<(Running, Vec<SocketAddr>)> {
    let (running, line) = Running::start_and_listen(command)?;
    let json: Value = serde_json::from_str(&line)?;
    let listeners = json.get("listeners").and_then(Value::as_array);
    let addresses = listeners.into_iter().flatten().map(|listener| {
        let url = listener.as_str().ok_or("a listener is no text")?;
        let (_, address) = url.split_once("://").ok_or("a listener is no URL")?;
        Ok(address.parse()?)
    });
    Ok((running, addresses.collect::<Outcome<_>>()?))
}

/// Writes a file of random bytes, no two alike, and answers their SHA-256.
pub(crate) fn write_random(path: &Path, size: u64) -> Outcome<Sha256Digest> {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let seed = name.iter().fold(size | 1, |seed, byte| {
        (seed ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let (mut state, mut hasher) = (seed, Sha256::new());
    let mut file = BufWriter::new(File::create_new(path)?);
    let mut left = size;
    let mut block = Vec::with_capacity(1 << 20);
    while left > 0 {
        block.clear();
        while block.len() < 1 << 20 {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            block.extend_from_slice(&(mixed ^ (mixed >> 27)).to_le_bytes());
        }
        block.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        hasher.update(&block);
        file.write_all(&block)?;
        left -= block.len() as u64;
    }
    file.flush()?;
    Ok(Sha256Digest::new(hasher.finalize().into()))
}

fn hash(path: &Path) -> Outcome<Sha256Digest> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = std::io::Read::read(&mut file, &mut buffer)?;
        if read == 0 {
            return Ok(Sha256Digest::new(hasher.finalize().into()));
        }
        hasher.update(buffer.split_at(read).0);
    }
}
