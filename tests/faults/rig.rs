//! A data directory, a client for it, and the ledger: what was acknowledged must be there afterwards, once
//! and byte by byte, and whatever else is there must be whole.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::server::{PATIENCE, Server, hallpass, hallpass_under};

/// Where the files of the one organization are.
pub(crate) const FILES: &str = "/v1/organizations/org_default/files";

/// So many files an answer lists.
const PAGE: u64 = 100;

/// How many rounds: all of them only where `FAULTS=full` says so.
pub(crate) fn rounds(full: u64, short: u64) -> u64 {
    let is_full = std::env::var("FAULTS").is_ok_and(|word| word == "full");
    if is_full { full } else { short }
}

/// A data directory with an API key.
pub(crate) struct Site {
    pub(crate) data: PathBuf,
    pub(crate) key: String,
    directory: TempDir,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// What was acknowledged: names of files by their ids. A name says what the bytes are.
#[derive(Default)]
pub(crate) struct Ledger {
    acknowledged: Mutex<BTreeMap<String, String>>,
}

impl Site {
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let data = directory.path().join("data");
        Self::at(directory, data)
    }

    /// A data directory that lies on a volume of its own.
    pub(crate) fn on(volume: &Path) -> Self {
        Self::at(TempDir::new().unwrap(), volume.join("data"))
    }

    fn at(directory: TempDir, data: PathBuf) -> Self {
        let mut site = Self {
            data,
            key: String::new(),
            directory,
        };
        let made = site.command(&["apikey", "create", "--json"]).output();
        let made = made.unwrap();
        assert!(made.status.success(), "{made:?}");
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        site.key = made["api_key"].as_str().unwrap().to_owned();
        site
    }

    /// A path outside of the data directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = hallpass();
        command
            .env("HALLPASS_SERVER_DATA_DIR", &self.data)
            .current_dir(self.directory.path())
            .args(words);
        command
    }

    /// The words that serve here, under another program.
    pub(crate) fn serve_command(&self, under: &[&str]) -> Command {
        let mut command = hallpass_under(under);
        command
            .env("HALLPASS_SERVER_DATA_DIR", &self.data)
            // So that a sweep leaves what is listed, and nothing else.
            .env("HALLPASS_FILES_RECYCLE_DAYS", "0")
            .current_dir(self.directory.path())
            .args(["serve", "--listen", "127.0.0.1:0"]);
        command
    }

    pub(crate) fn serve(&self) -> Server {
        self.serve_under(&[])
    }

    pub(crate) fn serve_under(&self, under: &[&str]) -> Server {
        Server::start(self.serve_command(under)).unwrap_or_else(|ended| panic!("{ended:?}"))
    }

    /// Sends a request on a connection of its own.
    pub(crate) fn send(
        &self,
        server: &Server,
        method: &str,
        target: &str,
        body: &[u8],
    ) -> io::Result<Reply> {
        self.send_to(&server.host, method, target, body)
    }

    fn send_to(&self, host: &str, method: &str, target: &str, body: &[u8]) -> io::Result<Reply> {
        let media_type = "multipart/form-data; boundary=b";
        self.send_as(host, method, target, media_type, body)
    }

    /// Posts JSON.
    pub(crate) fn send_json(&self, server: &Server, target: &str, body: &str) -> io::Result<Reply> {
        let media_type = "application/json";
        self.send_as(&server.host, "POST", target, media_type, body.as_bytes())
    }

    fn send_as(
        &self,
        host: &str,
        method: &str,
        target: &str,
        media_type: &str,
        body: &[u8],
    ) -> io::Result<Reply> {
        let mut stream = connect(host)?;
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nX-API-Key: {}\r\nContent-Length: {}\r\n\
            Content-Type: {media_type}\r\nConnection: close\r\n\r\n",
            host,
            self.key,
            body.len()
        );
        // It may answer and close before it has read all.
        let sent = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body));
        read_reply(&mut stream, method == "HEAD").map_err(|error| sent.err().unwrap_or(error))
    }

    pub(crate) fn get(&self, server: &Server, target: &str) -> io::Result<Reply> {
        self.send(server, "GET", target, b"")
    }

    /// The same of another listener than the server's first.
    pub(crate) fn get_from(&self, host: &str, target: &str) -> io::Result<Reply> {
        self.send_to(host, "GET", target, b"")
    }

    /// The JSON of a request that must be answered well.
    pub(crate) fn json(&self, server: &Server, target: &str) -> Value {
        let reply = self.get(server, target).unwrap();
        assert_eq!(reply.status, 200, "{target}: {}", reply.text());
        serde_json::from_slice(&reply.body).unwrap()
    }

    /// What a file's link says behind the host.
    pub(crate) fn mint(&self, server: &Server, id: &str) -> String {
        let minted = self.json(server, &format!("{FILES}/{id}/content"));
        let url = minted["download_url"].as_str().unwrap();
        url[url.find("/v1/").unwrap()..].to_owned()
    }

    pub(crate) fn download(&self, server: &Server, id: &str) -> io::Result<Reply> {
        let link = self.mint(server, id);
        self.get(server, &link)
    }

    /// Uploads a file of so many bytes, and answers its id, or the status that it was refused with.
    pub(crate) fn upload(
        &self,
        server: &Server,
        ledger: &Ledger,
        length: usize,
    ) -> io::Result<Result<String, u16>> {
        let name = name_of(length);
        let reply = self.upload_reply(server, &name)?;
        if reply.status != 201 {
            return Ok(Err(reply.status));
        }
        let file: Value = serde_json::from_slice(&reply.body)?;
        let id = file["id"].as_str().unwrap().to_owned();
        let mut acknowledged = ledger.acknowledged.lock().unwrap();
        assert!(
            acknowledged.insert(id.clone(), name).is_none(),
            "{id} twice"
        );
        Ok(Ok(id))
    }

    /// An upload that must be taken.
    pub(crate) fn put(&self, server: &Server, ledger: &Ledger, length: usize) -> String {
        let taken = self.upload(server, ledger, length).unwrap();
        taken.unwrap_or_else(|status| panic!("{status}\n{}", server.log()))
    }

    pub(crate) fn upload_reply(&self, server: &Server, name: &str) -> io::Result<Reply> {
        self.send(server, "POST", &format!("{FILES}/upload"), &form(name))
    }

    pub(crate) fn delete(&self, server: &Server, ledger: &Ledger, id: &str) -> u16 {
        let target = format!("{FILES}/{id}");
        let status = self.send(server, "DELETE", &target, b"").unwrap().status;
        if status < 300 {
            ledger.acknowledged.lock().unwrap().remove(id);
        }
        status
    }

    /// Uploads from so many clients at once until the time is over or the server is gone. Refusals with
    /// these statuses are no surprise.
    pub(crate) fn upload_for(
        &self,
        server: &Server,
        ledger: &Ledger,
        clients: u64,
        time: Duration,
        expected: &[u16],
    ) {
        let (begun, gone) = (Instant::now(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| {
                    while begun.elapsed() < time && !gone.load(Ordering::Relaxed) {
                        match self.upload(server, ledger, random(300_000)) {
                            Ok(Ok(_)) => {}
                            Ok(Err(status)) => assert!(expected.contains(&status), "{status}"),
                            Err(_) => gone.store(true, Ordering::Relaxed),
                        }
                    }
                });
            }
        });
    }

    /// Every file that is listed, by its id.
    pub(crate) fn listed(&self, server: &Server) -> BTreeMap<String, String> {
        let mut listed = BTreeMap::new();
        for page in 1.. {
            let page = self.json(server, &format!("{FILES}?limit={PAGE}&page={page}"));
            for file in page["files"].as_array().unwrap() {
                let text = |field: &str| file[field].as_str().unwrap().to_owned();
                let before = listed.insert(text("id"), text("original_filename"));
                assert!(before.is_none(), "{file} is listed twice");
            }
            if page["has_more"] == false {
                break;
            }
        }
        listed
    }

    /// The rule: what was acknowledged is listed once, and everything listed opens byte by byte. Answers
    /// how many files there are.
    pub(crate) fn check(&self, server: &Server, ledger: &Ledger) -> usize {
        let listed = self.listed(server);
        for (id, name) in ledger.acknowledged.lock().unwrap().iter() {
            assert_eq!(
                listed.get(id),
                Some(name),
                "{id} was acknowledged and is lost"
            );
        }
        for (id, name) in &listed {
            let reply = self.download(server, id).unwrap();
            assert_eq!(reply.status, 200, "{id}: {}", reply.text());
            assert_eq!(digest(&reply.body), digest(&bytes_of(name)), "{id} {name}");
        }
        listed.len()
    }

    /// Checks after a restart, and then that nothing temporary is left once it is old enough.
    pub(crate) fn check_all(&self, ledger: &Ledger) {
        let server = self.serve();
        let files = self.check(&server, ledger);
        println!(
            "restarted in {:?}; {files} files, all whole",
            server.started_in
        );
        server.stop();
        self.nothing_temporary_is_left(files);
    }

    /// Ages everything by hours, and sees what a sweep at the start leaves.
    fn nothing_temporary_is_left(&self, files: usize) {
        let old = SystemTime::now() - Duration::from_secs(3 * 3600);
        for blob in files_below(&self.data.join("blobs")) {
            let file = fs::File::options().write(true).open(blob).unwrap();
            file.set_modified(old).unwrap();
        }
        let server = self.serve();
        until("the sweep", || {
            let left = |name: &str| files_below(&self.data.join(name)).len();
            (left("blobs/stage"), left("blobs")) == (0, files)
        });
        server.stop();
    }
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self
            .head
            .split("\r\n")
            .filter_map(|line| line.split_once(": "));
        let mut values = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value)
    }
}

impl Ledger {
    /// A file that a command removed is not lost.
    pub(crate) fn forget(&self, id: &str) {
        self.acknowledged.lock().unwrap().remove(id);
    }

    pub(crate) fn len(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }
}

pub(crate) fn connect(host: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Reads an answer to the end of its connection. One whose body is shorter than it said is an error.
fn read_reply(stream: &mut TcpStream, to_head: bool) -> io::Result<Reply> {
    let mut all = Vec::new();
    let read = stream.read_to_end(&mut all);
    let end = all.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(end) = end else {
        read?;
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let reply = Reply {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        body: all[end + 4..].to_vec(),
        head,
    };
    let length = reply.header("content-length").map(|length| length.parse());
    let promised = length.map_or(reply.body.len(), Result::unwrap);
    if reply.body.len() == promised || (to_head && reply.body.is_empty()) {
        Ok(reply)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// A name that no file had yet, of a file of so many bytes.
pub(crate) fn name_of(length: usize) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{number}-{length}.bin", std::process::id())
}

/// The bytes of a name: nothing that compresses, repeats, or is another name's.
pub(crate) fn bytes_of(name: &str) -> Vec<u8> {
    let length = name
        .strip_suffix(".bin")
        .unwrap()
        .rsplit_once('-')
        .unwrap()
        .1;
    let length: usize = length.parse().unwrap();
    let seed = digest(name.as_bytes());
    let mut state = u64::from_le_bytes(seed[..8].try_into().unwrap()) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = stepped(state);
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(crate) fn form(name: &str) -> Vec<u8> {
    let head = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
    );
    [head.as_bytes(), &bytes_of(name), b"\r\n--b--\r\n"].concat()
}

pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A number below `end`, another one each time.
pub(crate) fn random(end: usize) -> usize {
    static STATE: AtomicU64 = AtomicU64::new(0x2545_f491_4f6c_dd1d);
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    let mixed = STATE.fetch_xor(u64::from_le_bytes(bytes), Ordering::Relaxed);
    usize::try_from(stepped(mixed | 1) % end as u64).unwrap()
}

fn stepped(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}

/// Brings a catalogue that nobody has open into one file.
pub(crate) fn write_log_into(catalogue: &Path) {
    let closed = Command::new("sqlite3")
        .arg(catalogue)
        .arg("PRAGMA wal_checkpoint(TRUNCATE)")
        .output();
    assert!(closed.unwrap().status.success());
    let log = format!("{}-wal", catalogue.display());
    assert!(!Path::new(&log).exists());
}

pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let entries = entries.map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Asks until the answer is yes, and says how long that took.
pub(crate) fn until(what: &str, mut yes: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !yes() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not happen");
        sleep(Duration::from_millis(20));
    }
    println!("{what}: {:?}", begun.elapsed());
    begun.elapsed()
}
