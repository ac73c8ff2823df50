//! What one tenant does to a gateway that others use, again and again.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Reply, Request, connect};
use super::links::Signer;
use super::load::float;
use super::process::{Outcome, pin};

/// The time that attackers have before anything is measured.
const WARM_UP: Duration = Duration::from_secs(2);

/// A kind of attack: what is done over a connection, again and again, with the number of the turn.
pub(crate) type Attack<'a> = Box<dyn Fn(&TcpStream, u64) -> Outcome<()> + Sync + 'a>;

/// A tenant with a key that may do everything in its own organization.
pub(crate) struct Attacker {
    pub(crate) organization: &'static str,
    pub(crate) key: String,
    pub(crate) signer: Signer,
    pub(crate) at: SocketAddr,
}

impl Attacker {
    /// Mints with an API key that does not exist.
    pub(crate) fn refused_mints(&self) -> Attack<'_> {
        let target = self.path("files/file_a/content");
        Box::new(move |stream, _| {
            let request = Request {
                headers: vec![("X-API-Key", "hp_nobody".into())],
                ..Request::get(target.clone())
            };
            self.send(stream, &request, &[401]).map(drop)
        })
    }

    /// Revocations of links, each of another one.
    pub(crate) fn revocations(&self) -> Attack<'_> {
        Box::new(|stream, number| {
            let link = self
                .signer
                .link(self.organization, &format!("file_{number}"))?;
            let url = format!("http://{}{link}", self.at);
            let request = Request {
                method: "POST",
                target: self.path("links/revoke"),
                headers: vec![self.key(), ("Content-Type", "application/json".into())],
                body: json!({ "download_url": url }).to_string(),
            };
            self.send(stream, &request, &[200]).map(drop)
        })
    }

    /// Files that are uploaded.
    pub(crate) fn uploads(&self) -> Attack<'_> {
        Box::new(|stream, number| self.upload(stream, number).map(drop))
    }

    /// Files that are uploaded, and deleted at once.
    pub(crate) fn uploads_and_deletes(&self) -> Attack<'_> {
        Box::new(|stream, number| {
            let request = Request {
                method: "DELETE",
                target: self.path(&format!("files/{}", self.upload(stream, number)?)),
                headers: vec![self.key()],
                ..Request::default()
            };
            self.send(stream, &request, &[200, 204]).map(drop)
        })
    }

    /// Pages far behind the end of the list of its files, each another one.
    pub(crate) fn lists(&self) -> Attack<'_> {
        Box::new(|stream, number| {
            let page = 100_000_000 + number;
            let request = Request {
                headers: vec![self.key()],
                ..Request::get(self.path(&format!("files?page={page}")))
            };
            // One tenant alone may be told to come back.
            self.send(stream, &request, &[200, 429, 503]).map(drop)
        })
    }

    /// Guesses at the passwords of these shares. Some are hashed, as many as may be; the others are refused.
    pub(crate) fn guesses(&self, pages: Vec<String>) -> Attack<'_> {
        Box::new(move |stream, number| {
            let page = usize::try_from(number).unwrap_or_default() % pages.len();
            let page = pages.get(page).ok_or("no share")?;
            let request = Request {
                method: "POST",
                target: format!("{page}/open"),
                headers: vec![("Content-Type", "application/x-www-form-urlencoded".into())],
                body: format!("password=guess-{number}"),
            };
            self.send(stream, &request, &[401, 429, 503]).map(drop)
        })
    }

    fn upload(&self, stream: &TcpStream, number: u64) -> Outcome<String> {
        let request = Request {
            method: "POST",
            target: self.path("files/upload"),
            headers: vec![
                self.key(),
                ("Content-Type", "multipart/form-data; boundary=b".into()),
            ],
            body: format!(
                "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{number}.txt\"\r\n\r\n{number}\r\n--b--\r\n"
            ),
        };
        let reply = self.send(stream, &request, &[201])?;
        let made: Value = serde_json::from_slice(&reply.body)?;
        let id = made.get("id").and_then(Value::as_str);
        Ok(id.ok_or("no id of a file in the answer")?.to_owned())
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/organizations/{}/{rest}", self.organization)
    }

    fn key(&self) -> (&'static str, String) {
        ("X-API-Key", self.key.clone())
    }

    fn send(&self, stream: &TcpStream, request: &Request, statuses: &[u16]) -> Outcome<Reply> {
        let reply = request.send_over(stream, self.at)?;
        if statuses.contains(&reply.status) {
            return Ok(reply);
        }
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        Err(format!("{}: {}: {text}", request.target, reply.status).into())
    }
}

/// Measures something while so many connections attack; answers the attacks a second, too.
#[allow(clippy::disallowed_methods)] // No connection waits for this thread.
pub(crate) fn beside<T>(
    at: SocketAddr,
    connections: usize,
    attack: &Attack<'_>,
    measure: impl FnOnce() -> Outcome<T>,
) -> Outcome<(T, f64)> {
    let (is_over, next) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let attackers: Vec<_> = (0..connections)
            .map(|_| scope.spawn(|| attack_until(at, attack, &next, &is_over)))
            .collect();
        // They connect, which takes the core that they share with the client.
        std::thread::sleep(WARM_UP);
        let (begun, before) = (Instant::now(), next.load(Ordering::Relaxed));
        let measured = measure();
        is_over.store(true, Ordering::Relaxed);
        let seconds = begun.elapsed().as_secs_f64();
        for attacker in attackers {
            attacker.join().map_err(|_| "an attacker panicked")??;
        }
        let attacks = next.load(Ordering::Relaxed) - before;
        Ok((measured?, float(attacks) / seconds))
    })
}

fn attack_until(
    at: SocketAddr,
    attack: &Attack<'_>,
    next: &AtomicU64,
    is_over: &AtomicBool,
) -> Outcome<()> {
    pin(1)?;
    let stream = connect(at)?;
    while !is_over.load(Ordering::Relaxed) {
        attack(&stream, next.fetch_add(1, Ordering::Relaxed))?;
    }
    Ok(())
}
