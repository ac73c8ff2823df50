//! What is served: files with real bytes, the installation of Hallpass that holds them, and the same
//! files, by hard links, for the others.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hallpass::model::digest::Sha256Digest;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::client::Request;
use super::process::{Core, Outcome, Running, launcher};

/// The binary that is measured.
pub(crate) const HALLPASS: &str = env!("CARGO_BIN_EXE_hallpass");
/// How long the links of a comparison live.
const LIFETIME_SECONDS: u32 = 6 * 24 * 3600;
/// How many files [`Site::add_many`] makes.
pub(crate) const MANY: usize = 1_000;

/// A data directory with files in it.
pub(crate) struct Site {
    directory: PathBuf,
    /// By name.
    pub(crate) files: BTreeMap<String, Served>,
    api_key: String,
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
    /// An installation in this directory, without files.
    pub(crate) fn new(directory: &Path) -> Outcome<Self> {
        fs::create_dir_all(directory.join("www"))?;
        let mut site = Self {
            directory: directory.to_owned(),
            files: BTreeMap::new(),
            api_key: String::new(),
        };
        let made = site.json(&["apikey", "create", "--json"])?;
        let key = made.get("api_key").and_then(Value::as_str);
        site.api_key = key.ok_or("no API key was printed")?.to_owned();
        Ok(site)
    }

    /// Where the files are for servers that know nothing of a catalogue, by their names.
    pub(crate) fn www(&self) -> PathBuf {
        self.directory.join("www")
    }

    /// Where Hallpass keeps all it has.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// The line that authenticates a call.
    pub(crate) fn key_header(&self) -> (&'static str, String) {
        ("X-API-Key", self.api_key.clone())
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

    /// Stores a thousand files of 1 KiB, and answers their names.
    pub(crate) fn add_many(&mut self) -> Outcome<Vec<String>> {
        let names: Vec<String> = (0..MANY)
            .map(|number| format!("many-{number:04}"))
            .collect();
        if !self.files.contains_key("many-0000") {
            let files: Vec<_> = names.iter().map(|name| (name.clone(), 1024)).collect();
            self.store(&files)?;
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

    /// Gives the stored bytes a name for the other servers: the very same pages are then served by all.
    fn link_blobs(&self, files: &BTreeMap<String, (u64, Sha256Digest)>) -> Outcome<()> {
        let mut folders = vec![self.data_dir().join("blobs")];
        let mut linked = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let size = path.metadata()?.len();
                if !files.values().any(|(wanted, _)| *wanted == size) {
                    continue;
                }
                let sha256 = hash(&path)?;
                let found = files.iter().find(|(_, (_, wanted))| *wanted == sha256);
                if let Some((name, _)) = found {
                    fs::hard_link(&path, self.www().join(name))?;
                    linked += 1;
                }
            }
        }
        if linked == files.len() {
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

    /// Starts the gateway. Answers where it listens, too.
    pub(crate) fn serve(&self, core: Core) -> Outcome<(Running, SocketAddr)> {
        let mut command = self.command(core)?;
        command.args(["serve", "--json", "--listen", "127.0.0.1:0"]);
        let (running, line) = Running::start_and_listen(&mut command)?;
        let json: Value = serde_json::from_str(&line)?;
        let listener = json.pointer("/listeners/0").and_then(Value::as_str);
        let address = listener.and_then(|url| url.strip_prefix("http://"));
        Ok((running, address.ok_or("no listener was printed")?.parse()?))
    }

    /// Runs a command of Hallpass on the installation, and answers the JSON that it prints.
    fn json(&self, words: &[&str]) -> Outcome<Value> {
        let mut command = self.command(Core::Any)?;
        command.args(words).stdout(Stdio::piped());
        let text = Running::start(&mut command)?.output()?;
        Ok(serde_json::from_str(&text)?)
    }

    fn command(&self, core: Core) -> Outcome<Command> {
        let mut command = launcher(core, Path::new(HALLPASS))?;
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/versus/hallpass.toml");
        command.arg("--config").arg(config);
        command.arg("--data-dir").arg(self.data_dir());
        Ok(command)
    }
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
