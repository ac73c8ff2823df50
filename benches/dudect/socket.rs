//! The same over a socket: what a stranger can measure of a running gateway.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::statistics::{Drawn, compare};
use super::{FORGERIES, MAC_CHARS, forged};

/// Whose call an app's is.
const PATH: &str = "/koodrive/ose/v1/files/download";
/// A body of the largest size, and one of a usual size.
const BODIES: [(&str, usize); 2] = [("1 MiB", 1024 * 1024), ("100 bytes", 100)];
/// As many requests with a large body take as long as this many times the others.
const LARGE_COSTS: usize = 20;

/// What is measured, and where to.
pub(crate) struct Asked {
    binary: PathBuf,
    rounds: usize,
    raw: Option<PathBuf>,
}

impl Asked {
    pub(crate) fn of(words: &[String], smoke: bool) -> Self {
        let behind = |word: &str| {
            let at = words.iter().position(|other| other == word)?;
            words.get(at + 1).cloned()
        };
        let rounds = behind("--rounds").map(|text| text.parse().unwrap());
        let own = || env!("CARGO_BIN_EXE_hallpass").into();
        Self {
            binary: behind("--binary").map_or_else(own, Into::into),
            rounds: if smoke {
                200
            } else {
                rounds.unwrap_or(100_000)
            },
            raw: behind("--raw").map(Into::into),
        }
    }
}

/// A running gateway in a directory of its own, which ends with it.
struct Gateway {
    child: Child,
    directory: tempfile::TempDir,
    binary: PathBuf,
    address: String,
}

impl Gateway {
    fn start(binary: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for id in ["org_active", "org_silent"] {
            run(
                binary,
                directory.path(),
                &["organization", "create", "--id", id],
            );
        }
        let words = ["serve", "--json", "--listen", "127.0.0.1:0"];
        let mut child = command(binary, directory.path(), &words)
            .env("HALLPASS_LOG_LEVEL", "error")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let address = said["listeners"][0].as_str().unwrap();
        Self {
            address: address.strip_prefix("http://").unwrap().to_owned(),
            child,
            directory,
            binary: binary.to_owned(),
        }
    }

    fn json(&self, words: &[&str]) -> Value {
        run(&self.binary, self.directory.path(), words)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(binary: &Path, directory: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HALLPASS_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(directory)
        .args(words)
        .stdin(Stdio::null());
    command
}

fn run(binary: &Path, directory: &Path, words: &[&str]) -> Value {
    let words = [words, &["--json"]].concat();
    let output = command(binary, directory, &words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// One connection, kept open, and its requests one after the other.
struct Client(TcpStream);

impl Client {
    fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// Sends a request, and answers the status and how many nanoseconds the whole answer took.
    fn time(&mut self, request: &[u8]) -> (u16, f64) {
        let mut answer = [0; 4_096];
        let mut length = 0;
        let begun = Instant::now();
        self.0.write_all(request).unwrap();
        loop {
            let more = self.0.read(&mut answer[length..]).unwrap();
            assert_ne!(more, 0, "the connection stays open");
            length += more;
            if is_whole(&answer[..length]) {
                break;
            }
        }
        let took = begun.elapsed();
        let status = str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
        (status, took.as_nanos() as f64)
    }
}

/// Whether this is a head and as much as it says that there is behind it.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let head = str::from_utf8(&answer[..end]).unwrap().to_lowercase();
    let (_, length) = head.split_once("content-length: ").unwrap();
    let length: usize = length.lines().next().unwrap().parse().unwrap();
    answer.len() == end + 4 + length
}

/// Measures everything, and answers the largest |t|.
pub(crate) fn measure(asked: &Asked) -> f64 {
    let gateway = Gateway::start(&asked.binary);
    let mut worst = of_links(asked, &gateway);
    for (name, size) in BODIES {
        worst = worst.max(of_apps(asked, &gateway, name, size));
    }
    worst
}

/// Sends requests of these kinds in a drawn order, each of which is refused, and compares their times.
fn compared(
    asked: &Asked,
    gateway: &Gateway,
    what: &str,
    kinds: &[&str],
    requests: &[Vec<Vec<u8>>],
    rounds: usize,
) -> f64 {
    let mut client = Client::new(&gateway.address);
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); kinds.len()];
    let mut order = Drawn::new();
    let mut raw = String::new();
    for round in 0..rounds {
        let drawn = order.next();
        let kind = drawn % kinds.len();
        let of_kind = &requests[kind];
        let (status, took) = client.time(&of_kind[(drawn / kinds.len()) % of_kind.len()]);
        assert_eq!(status, 401, "{}", kinds[kind]);
        if round > rounds / 50 {
            times[kind].push(took);
            writeln!(raw, "{kind},{took}").unwrap();
        }
    }
    if let Some(directory) = &asked.raw {
        let name = what.replace(' ', "-");
        let head: String = kinds
            .iter()
            .enumerate()
            .fold(String::new(), |mut head, (at, kind)| {
                writeln!(head, "# {at}: {kind}").unwrap();
                head
            });
        std::fs::write(directory.join(format!("{name}.csv")), head + &raw).unwrap();
    }
    println!("over a socket, {what}:");
    let pairs: Vec<_> = (1..kinds.len()).map(|other| (0, other)).collect();
    compare(kinds, &times, &pairs)
}

/// Forged links: nothing tells which organizations there are, or had links opened, or which kids.
fn of_links(asked: &Asked, gateway: &Gateway) -> f64 {
    const KINDS: [&str; 5] = [
        "of an active organization",
        "of one that never was",
        "of one that is not there",
        "of an unknown kid",
        "of an active organization again",
    ];
    let path = gateway.directory.path().join("a.txt");
    std::fs::write(&path, "abc").unwrap();
    let path = path.to_str().unwrap();
    let added = gateway.json(&["add", "--organization", "org_active", path]);
    let file = added[0]["file_id"].as_str().unwrap();
    let base = format!("http://{}", gateway.address);
    let words = [
        "sign",
        "--organization",
        "org_active",
        "--file",
        file,
        "--public-base-url",
        &base,
    ];
    let signed = gateway.json(&words);
    let url = signed["download_url"].as_str().unwrap();
    let target = url.strip_prefix(&base).unwrap();
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes();
    let (status, _) = Client::new(&gateway.address).time(&get(target));
    assert_eq!(status, 200, "now its key is known");
    let kid = signed["kid"].as_str().unwrap();
    let unknown: String = kid.chars().rev().collect();
    assert_ne!(unknown, kid);
    let of = |kind: usize, number| {
        let forged = forged(target, 0, MAC_CHARS - 1, number);
        let forged = match kind {
            1 => forged.replace("org_active", "org_silent"),
            2 => forged.replace("org_active", "org_nobody"),
            3 => forged.replace(&format!("token={kid}."), &format!("token={unknown}.")),
            _ => forged,
        };
        get(&forged)
    };
    let requests: Vec<Vec<_>> = (0..KINDS.len())
        .map(|kind| (0..FORGERIES).map(|number| of(kind, number)).collect())
        .collect();
    compared(
        asked,
        gateway,
        "forged links",
        &KINDS,
        &requests,
        asked.rounds,
    )
}

/// A request that an app signed, or said that it did.
fn of_app(app: &str, mac: &str, date: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: x\r\nX-Date: {date}\r\nX-User-Id: u\r\n\
         Authorization: HMAC-SHA256 AppId={app},SignedHeaders=x-date;x-user-id,Signature={mac}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The signature of such a request.
fn signature(secret: &str, date: &str, body: &str) -> String {
    let canonical = format!(
        "POST\n{PATH}/\n\nx-date:{date}\nx-user-id:u\n\nx-date;x-user-id\n{}",
        hex(&Sha256::digest(body))
    );
    let message = format!("HMAC-SHA256\n{}", hex(&Sha256::digest(canonical)));
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    hex(&mac.chain_update(message).finalize().into_bytes())
}

/// Wrong signatures: nothing tells which apps there are, known to the cache or not.
fn of_apps(asked: &Asked, gateway: &Gateway, name: &str, size: usize) -> f64 {
    const KINDS: [&str; 4] = [
        "of an app in the cache",
        "of one that is not there",
        "of one that never called",
        "of an app in the cache again",
    ];
    let made = || {
        let words = ["apikey", "create", "--app", "--organization", "org_active"];
        gateway.json(&words)
    };
    let (active, silent) = (made(), made());
    let text = |value: &Value, field: &str| value[field].as_str().unwrap().to_owned();
    let (id, secret) = (text(&active, "app_id"), text(&active, "app_secret"));
    let unknown = format!("app_{:032x}", 0xabcd_ef01_2345_u64);
    let date = jiff::Timestamp::now()
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string();
    let call = r#"{"containerId":"space_default","fileIds":["x"]}"#;
    let good = of_app(&id, &signature(&secret, &date, call), &date, call);
    let (status, _) = Client::new(&gateway.address).time(&good);
    assert_eq!(status, 200, "now the app is known");
    let body = " ".repeat(size);
    let ids = [id.clone(), unknown, text(&silent, "app_id"), id];
    let requests: Vec<Vec<_>> = ids
        .iter()
        .map(|id| vec![of_app(id, &"0".repeat(64), &date, &body)])
        .collect();
    let rounds = match size > 1_000 {
        true => asked.rounds / LARGE_COSTS,
        false => asked.rounds,
    };
    let what = format!("wrong signatures over {name}");
    compared(asked, gateway, &what, &KINDS, &requests, rounds)
}
