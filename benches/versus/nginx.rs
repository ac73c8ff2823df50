//! nginx with `secure_link`, with heads as long as those of Hallpass, over plain connections and TLS.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use md5::{Digest as _, Md5};

use super::Bench;
use super::client::Request;
use super::process::{Core, Outcome, Running, launcher, program, said, wait_until};

/// The secret that nginx signs with. Nothing but this comparison ever knows it.
const SECRET: &str = "versus";
/// The end of nginx's links: 2100-01-01.
const EXPIRES: &str = "4102444800";
/// The name of the header that makes heads longer, with what stands around its value.
const PADDING_BYTES: usize = "X-Padding: \r\n".len();
/// The cache of open files, which is large enough for every case but those of 100,000 files and more.
const FILE_CACHE: &str = "open_file_cache max=10000 inactive=1h; open_file_cache_valid 1h;";

/// The ways nginx is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nginx {
    /// Its name among the servers of a comparison.
    pub(crate) name: &'static str,
    has_nopush: bool,
    has_file_cache: bool,
}

impl Nginx {
    /// All of them. A goal is held against the best: with files kept open, as Hallpass may keep them,
    /// and as nginx is when nothing is said.
    pub(crate) const ALL: [Self; 3] = [
        Self {
            name: "nginx, tcp_nopush on",
            has_nopush: true,
            has_file_cache: true,
        },
        Self {
            name: "nginx, tcp_nopush off",
            has_nopush: false,
            has_file_cache: true,
        },
        Self::USUAL,
    ];

    /// Nginx as it is when its configuration does not mention `open_file_cache`.
    pub(crate) const USUAL: Self = Self {
        name: "nginx, tcp_nopush on, no open_file_cache",
        has_nopush: true,
        has_file_cache: false,
    };
}

/// An nginx that runs.
pub(crate) struct Started {
    pub(crate) how: Nginx,
    pub(crate) running: Running,
    pub(crate) at: SocketAddr,
    /// The address at which it speaks TLS.
    pub(crate) tls_at: SocketAddr,
}

/// Starts nginx on the files of the site. Its answer to `sample` then has a head of so many bytes, where it is not
/// longer by itself.
pub(crate) fn start_alike(
    bench: &Bench,
    how: Nginx,
    sample: &Request,
    head_bytes: usize,
) -> Outcome<Started> {
    let missing = {
        let plain = start(bench, how, 0)?;
        let head = sample.send(plain.at)?.head;
        head_bytes.saturating_sub(head.len())
    };
    start(bench, how, missing)
}

/// Starts nginx on the files of the site, with heads that are longer by so many bytes.
pub(crate) fn start(bench: &Bench, how: Nginx, padding: usize) -> Outcome<Started> {
    let (port, tls_port) = (free_port()?, free_port()?);
    let directory = bench.disk.join(format!("nginx-{port}"));
    fs::create_dir_all(&directory)?;
    let tls = format!(
        "listen 127.0.0.1:{tls_port} ssl backlog=8192; ssl_protocols TLSv1.3; ssl_certificate {}; ssl_certificate_key {};",
        bench.identity.certificate.display(),
        bench.identity.key.display()
    );
    let padding = match padding.checked_sub(PADDING_BYTES) {
        None | Some(0) => String::new(),
        Some(length) => format!("add_header X-Padding {};", "p".repeat(length)),
    };
    let config = include_str!("nginx.conf")
        .replace("DIRECTORY", &directory.display().to_string())
        .replace("FILES", &bench.sites.main.www().display().to_string())
        .replace("NOPUSH", if how.has_nopush { "on" } else { "off" })
        .replace(
            "FILE_CACHE",
            if how.has_file_cache { FILE_CACHE } else { "" },
        )
        .replace("PADDING", &padding)
        .replace("TLS", &tls)
        .replace("PORT", &port.to_string())
        .replace("SECRET", SECRET);
    let path = directory.join("nginx.conf");
    fs::write(&path, config)?;
    let mut command = launcher(Core::Server, &nginx()?)?;
    command.arg("-p").arg(&directory).arg("-c").arg(&path);
    let running = Running::start(&mut command)?;
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    wait_until("nginx", || TcpStream::connect(at).is_ok())?;
    Ok(Started {
        how,
        running,
        at,
        tls_at: SocketAddr::from((Ipv4Addr::LOCALHOST, tls_port)),
    })
}

/// Returns the path of nginx. An error if it is not there, or lacks a module that the comparison needs.
pub(crate) fn nginx() -> Outcome<PathBuf> {
    let path = program("nginx", "nginx-light")?;
    let modules = said(&path, &["-V"]);
    let needed = ["http_secure_link_module", "http_ssl_module"];
    if needed.iter().all(|module| modules.contains(module)) {
        Ok(path)
    } else {
        Err("this nginx has no secure_link or no TLS: Debian's nginx-light, nginx-core and nginx-full do".into())
    }
}

/// A link of nginx's own for a file of the site; the request target.
pub(crate) fn link(name: &str) -> String {
    let digest = Md5::digest(format!("{EXPIRES}/{name} {SECRET}"));
    let md5 = URL_SAFE_NO_PAD.encode(digest);
    format!("/{name}?md5={md5}&expires={EXPIRES}")
}

fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}
