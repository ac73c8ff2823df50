//! A client that takes no for an answer: it asks once, on a connection of its own, and says what became of it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::app::target;
use crate::support::secrets;

const ORGANIZATION: &str = "/v1/organizations/org_default";

/// How long any answer is waited for: longer than a gateway or HAProxy may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// The sizes of files, in turns: most are small, some take more than one piece.
const SIZES: [usize; 8] = [1, 900, 12_000, 3_000, 70_000, 5, 20_000, 600_000];

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Upload,
    Mint,
    Download,
    Delete,
}

const KINDS: [&str; 4] = ["upload", "mint", "download", "delete"];

/// Why there was no good answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// No whole answer came.
    Connection(String),
    /// 502, 503 or 504.
    Status(u16),
    /// What no fault excuses.
    Other(String),
}

/// How many were asked of each kind, and how they failed.
#[derive(Default)]
pub(super) struct Table {
    rows: [Row; 4],
    /// How connections ended, and what else went wrong.
    endings: BTreeSet<String>,
    reasons: BTreeSet<String>,
}

#[derive(Clone, Copy, Default)]
struct Row {
    asked: u64,
    connection: u64,
    /// 502, 503, 504.
    refused: [u64; 3],
    others: u64,
}

impl Table {
    /// Counts what became of a call.
    pub(super) fn note<T>(&mut self, kind: Kind, outcome: Result<T, Failure>) -> Option<T> {
        let row = &mut self.rows[kind as usize];
        row.asked += 1;
        match outcome {
            Ok(value) => return Some(value),
            Err(Failure::Connection(why)) => {
                row.connection += 1;
                self.endings.insert(why);
            }
            Err(Failure::Status(status)) => row.refused[usize::from(status - 502)] += 1,
            Err(Failure::Other(why)) => {
                row.others += 1;
                self.reasons.insert(format!("{kind:?}: {why}"));
            }
        }
        None
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (row, more) in self.rows.iter_mut().zip(&other.rows) {
            row.asked += more.asked;
            row.connection += more.connection;
            row.others += more.others;
            for (sum, count) in row.refused.iter_mut().zip(more.refused) {
                *sum += count;
            }
        }
        self.endings.extend(other.endings.iter().cloned());
        self.reasons.extend(other.reasons.iter().cloned());
    }

    pub(super) fn others(&self) -> u64 {
        self.rows.iter().map(|row| row.others).sum()
    }

    pub(super) fn failed(&self) -> u64 {
        let of = |row: &Row| row.connection + row.others + row.refused.iter().sum::<u64>();
        self.rows.iter().map(of).sum()
    }

    pub(super) const fn reasons(&self) -> &BTreeSet<String> {
        &self.reasons
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<10}{:>8}{:>12}{:>7}{:>7}{:>7}{:>8}",
            "", "asked", "connection", "502", "503", "504", "others"
        )?;
        for (name, row) in KINDS.iter().zip(&self.rows) {
            let [bad, away, late] = row.refused;
            writeln!(
                f,
                "{name:<10}{:>8}{:>12}{bad:>7}{away:>7}{late:>7}{:>8}",
                row.asked, row.connection, row.others
            )?;
        }
        writeln!(f, "connections: {:?}", self.endings)
    }
}

/// Asks at one address with one API key.
#[derive(Clone)]
pub(super) struct Asker {
    address: SocketAddr,
    key: String,
}

impl Asker {
    pub(super) const fn new(address: SocketAddr, key: String) -> Self {
        Self { address, key }
    }

    /// The same somewhere else.
    pub(super) fn at(&self, address: SocketAddr) -> Self {
        Self::new(address, self.key.clone())
    }

    /// Uploads the file of this name, and answers its id.
    pub(super) async fn upload(&self, name: &str) -> Result<String, Failure> {
        let mut body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
        )
        .into_bytes();
        body.extend(bytes_of(name));
        body.extend(b"\r\n--b--\r\n");
        let more = "Content-Type: multipart/form-data; boundary=b\r\n";
        let path = format!("{ORGANIZATION}/files/upload");
        let json = self.ask("POST", &path, more, &body, 200..202).await?;
        field(&json, "id")
    }

    /// Mints a link, and answers what follows the host in it.
    pub(super) async fn mint(&self, id: &str) -> Result<String, Failure> {
        let path = format!("{ORGANIZATION}/files/{id}/content");
        let json = self.ask("GET", &path, "", b"", 200..201).await?;
        Ok(target(&field(&json, "download_url")?))
    }

    /// Downloads the file of this name, and compares it byte by byte.
    pub(super) async fn download(&self, link: &str, name: &str) -> Result<(), Failure> {
        let bytes = self.ask("GET", link, "", b"", 200..201).await?;
        if bytes == bytes_of(name) {
            Ok(())
        } else {
            Err(Failure::Other(format!("other bytes of {name}")))
        }
    }

    pub(super) async fn delete(&self, id: &str) -> Result<(), Failure> {
        let path = format!("{ORGANIZATION}/files/{id}");
        self.ask("DELETE", &path, "", b"", 200..205).await.map(drop)
    }

    /// Every file: its id and its name.
    pub(super) async fn list(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for page in 1.. {
            let path = format!("{ORGANIZATION}/files?page={page}&limit=100");
            let body = self.ask("GET", &path, "", b"", 200..201).await.unwrap();
            let json: Value = serde_json::from_slice(&body).unwrap();
            let files = json["files"].as_array().unwrap();
            let text = |file: &Value, field: &str| file[field].as_str().unwrap().to_owned();
            all.extend(
                files
                    .iter()
                    .map(|file| (text(file, "id"), text(file, "original_filename"))),
            );
            let total = json["total"].as_u64().unwrap();
            if files.is_empty() || all.len() as u64 >= total {
                assert_eq!(all.len() as u64, total, "rows and counter went together");
                break;
            }
        }
        all
    }

    /// The body of the answer, if its status is one of these.
    async fn ask(
        &self,
        method: &str,
        path: &str,
        more: &str,
        body: &[u8],
        good: std::ops::Range<u16>,
    ) -> Result<Vec<u8>, Failure> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nX-API-Key: {}\r\n{more}Content-Length: {}\r\n\r\n",
            self.address,
            self.key,
            body.len()
        );
        secrets::keep_tokens(head.as_bytes());
        let answer = timeout(ANSWER_TIME_MAX, self.exchange(head.as_bytes(), body)).await;
        let answer = answer.map_err(|_| Failure::Other("no answer in a minute".into()))?;
        let answer = answer.map_err(|error| Failure::Connection(error.to_string()))?;
        let (status, body) = parts(&answer)?;
        match status {
            status if good.contains(&status) => Ok(body.to_vec()),
            502..=504 => Err(Failure::Status(status)),
            other => {
                let said = String::from_utf8_lossy(body.get(..300).unwrap_or(body));
                Err(Failure::Other(format!("{other}: {said}")))
            }
        }
    }

    async fn exchange(&self, head: &[u8], body: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(head).await?;
        // What was refused early is answered all the same.
        let sent = stream.write_all(body).await;
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer).await {
            Err(error) if answer.is_empty() => Err(error),
            _ if answer.is_empty() => {
                sent?;
                Err(std::io::ErrorKind::UnexpectedEof.into())
            }
            _ => Ok(answer),
        }
    }
}

/// The bytes of the file of this name: which name, decides how many and which.
pub(super) fn bytes_of(name: &str) -> Vec<u8> {
    let mut state = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let size = SIZES[usize::try_from(state % 8).unwrap()];
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..size).map(|_| next()).collect()
}

fn field(json: &[u8], name: &str) -> Result<String, Failure> {
    let value: Option<Value> = serde_json::from_slice(json).ok();
    let text = value.as_ref().and_then(|value| value[name].as_str());
    text.map(str::to_owned)
        .ok_or_else(|| Failure::Other(format!("no {name} in {}", String::from_utf8_lossy(json))))
}

/// The status and the body of an answer, which is whole.
fn parts(answer: &[u8]) -> Result<(u16, &[u8]), Failure> {
    let broken = || Failure::Connection("it broke off".into());
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.ok_or_else(broken)?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| Failure::Other(head.to_string()))?;
    let body = &answer[end + 4..];
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    match length {
        Some(length) if length != body.len() => Err(broken()),
        _ => Ok((status, body)),
    }
}
