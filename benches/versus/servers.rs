//! The servers that stand beside each other: started, looked at, and loaded in turns.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::client::{Reply, Request};
use super::load::Target;
use super::process::{Core, Outcome, Running, launcher, program, said, wait_until};
use super::report::Rounds;
use super::site::Served;
use super::{Bench, bare, floor};

/// What nginx signs with. Nothing but this comparison ever knows it.
const NGINX_SECRET: &str = "versus";
/// When nginx's links end: 2100-01-01.
const NGINX_EXPIRES: &str = "4102444800";
/// From this size on, an answer that is on its way when the time is up counts in part.
const PARTS_COUNT_FROM: u64 = 256 * 1024;

/// Its name among the servers of a comparison.
pub(crate) const HALLPASS: &str = "hallpass";
/// The floor's.
pub(crate) const FLOOR: &str = "floor";
/// The library's.
pub(crate) const BARE: &str = "hyper alone";

/// The ways nginx is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nginx {
    /// Its name among the servers of a comparison.
    pub(crate) name: &'static str,
    nopush: bool,
    file_cache: bool,
}

impl Nginx {
    /// All of them. A goal is held against the best: with files kept open, as Hallpass may keep them,
    /// and as nginx is when nothing is said.
    pub(crate) const ALL: [Self; 3] = [
        Self {
            name: "nginx, tcp_nopush on",
            nopush: true,
            file_cache: true,
        },
        Self {
            name: "nginx, tcp_nopush off",
            nopush: false,
            file_cache: true,
        },
        Self {
            name: "nginx, tcp_nopush on, no open_file_cache",
            nopush: true,
            file_cache: false,
        },
    ];
}

/// A server, and what is asked of it.
pub(crate) struct Contender<'a> {
    pub(crate) name: &'static str,
    pub(crate) running: &'a Running,
    pub(crate) at: SocketAddr,
    pub(crate) target: Target,
}

/// What an answer must be.
#[derive(Clone, Copy)]
pub(crate) enum Expected<'a> {
    /// All of a file.
    Whole(&'a Served),
    /// So many bytes of a file, with status 206.
    Part(u64),
    /// Whatever, with status 200.
    Good,
}

/// Starts nginx on the files of the site.
pub(crate) fn start_nginx(bench: &Bench, how: Nginx) -> Outcome<(Running, SocketAddr)> {
    let port = free_port()?;
    let directory = bench.disk.join(format!("nginx-{port}"));
    fs::create_dir_all(&directory)?;
    let on_off = if how.nopush { "on" } else { "off" };
    let file_cache = if how.file_cache {
        "open_file_cache max=10000 inactive=1h; open_file_cache_valid 1h;"
    } else {
        ""
    };
    let config = include_str!("nginx.conf")
        .replace("DIRECTORY", &directory.display().to_string())
        .replace("FILES", &bench.site.www().display().to_string())
        .replace("NOPUSH", on_off)
        .replace("FILE_CACHE", file_cache)
        .replace("PORT", &port.to_string())
        .replace("SECRET", NGINX_SECRET);
    let path = directory.join("nginx.conf");
    fs::write(&path, config)?;
    let mut command = launcher(Core::Server, &nginx()?)?;
    command.arg("-p").arg(&directory).arg("-c").arg(&path);
    let running = Running::start(&mut command)?;
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    wait_until("nginx", || TcpStream::connect(at).is_ok())?;
    Ok((running, at))
}

/// Where nginx is. An error if it is not there, or lacks what it is compared by.
pub(crate) fn nginx() -> Outcome<PathBuf> {
    let path = program("nginx", "nginx-light")?;
    if said(&path, &["-V"]).contains("http_secure_link_module") {
        Ok(path)
    } else {
        Err(
            "this nginx has no secure_link: Debian's nginx-light, nginx-core and nginx-full do"
                .into(),
        )
    }
}

/// A link of nginx's own for a file of the site; the request target.
pub(crate) fn nginx_link(name: &str) -> Outcome<String> {
    let text = format!("{NGINX_EXPIRES}/{name} {NGINX_SECRET}");
    let mut command = Command::new(program("md5sum", "coreutils")?);
    let said = String::from_utf8(piped(&mut command, text.as_bytes())?)?;
    let hex = said.split(' ').next().unwrap_or_default();
    let number = u128::from_str_radix(hex, 16)?;
    let md5 = URL_SAFE_NO_PAD.encode(number.to_be_bytes());
    Ok(format!("/{name}?md5={md5}&expires={NGINX_EXPIRES}"))
}

/// Starts the floor, which answers as Hallpass just did.
pub(crate) fn start_floor(
    bench: &Bench,
    like: &Reply,
    file: &str,
    scattered: bool,
) -> Outcome<(Running, SocketAddr)> {
    let head = bench.disk.join(format!("{file}-{scattered}.head"));
    fs::write(&head, &like.head)?;
    let answer = floor::Answer {
        head,
        file: bench.site.www().join(file),
        length: like.length,
        scattered,
    };
    start_and_find(&mut answer.command()?)
}

/// Starts hyper alone, which answers as Hallpass just did.
pub(crate) fn start_bare(
    bench: &Bench,
    like: &Reply,
    file: &str,
) -> Outcome<(Running, SocketAddr)> {
    let head = bench.disk.join(format!("{file}-bare.head"));
    fs::write(&head, &like.head)?;
    let file = bench.site.www().join(file);
    start_and_find(&mut bare::Answer { head, file }.command()?)
}

fn start_and_find(command: &mut Command) -> Outcome<(Running, SocketAddr)> {
    let (running, line) = Running::start_and_listen(command)?;
    let at = line.trim().strip_prefix("listening on http://");
    Ok((running, at.ok_or("it said something else")?.parse()?))
}

/// Looks at an answer, and says how long such answers are, head and body.
pub(crate) fn check(
    name: &str,
    at: SocketAddr,
    request: &Request,
    expected: Expected<'_>,
) -> Outcome<(Reply, u64)> {
    let reply = request.send(at)?;
    let is_good = match expected {
        Expected::Whole(file) => {
            reply.status == 200 && reply.length == file.size && reply.sha256 == file.sha256
        }
        Expected::Part(length) => reply.status == 206 && reply.length == length,
        Expected::Good => reply.status == 200,
    };
    if !is_good {
        let head = String::from_utf8_lossy(&reply.head);
        return Err(format!("{name} answers with other bytes: {head}").into());
    }
    let bytes = reply.head.len() as u64 + reply.length;
    Ok((reply, bytes))
}

/// Loads them in turns, round after round, and notes every round. The first, shorter one warms up.
pub(crate) fn alternate(
    bench: &mut Bench,
    case: &str,
    contenders: &[Contender<'_>],
    expected: Expected<'_>,
) -> Outcome<Vec<Rounds>> {
    let mut rounds = Vec::new();
    let mut bytes = Vec::new();
    for of in contenders {
        bytes.push(check(of.name, of.at, &of.target.sample(), expected)?.1);
        rounds.push(Rounds {
            server: of.name,
            measured: Vec::new(),
        });
    }
    for round in 0..=bench.rounds {
        for ((of, bytes), rounds) in contenders.iter().zip(&bytes).zip(&mut rounds) {
            let time = if round == 0 {
                Duration::from_secs(1)
            } else {
                bench.time
            };
            let whole = *bytes < PARTS_COUNT_FROM;
            let bytes = (!whole).then_some(*bytes);
            let measured = bench.load.run(of.running, of.at, &of.target, bytes, time)?;
            if round > 0 {
                bench.report.round(case, round, of.name, &measured)?;
                rounds.measured.push(measured);
            }
        }
    }
    bench.report.table(case, &rounds);
    Ok(rounds)
}

fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

fn piped(command: &mut Command, input: &[u8]) -> Outcome<Vec<u8>> {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input)?;
    }
    Ok(child.wait_with_output()?.stdout)
}
