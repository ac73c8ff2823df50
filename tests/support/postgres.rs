//! PostgreSQL servers of the tests' own: each in a temporary directory, on a free port of this machine, run
//! by an unprivileged user. They end with the test process, however it ends. The unit tests of the
//! catalogue use this file, too.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The user as whom the catalogue connects, who needs no password, and one who does.
pub(crate) const USER: &str = "hallpass";
pub(crate) const LOCKED_USER: &str = "locked";
pub(crate) const PASSWORD: &str = "s3cret-of-the-tests";

/// Nothing that is written here must survive the machine, and many tests are at it at once.
const SETTINGS: &str = "fsync = off\nsynchronous_commit = on\nfull_page_writes = off\nmax_connections = 400\n\
     shared_buffers = 64MB\nlisten_addresses = '127.0.0.1'\nmax_wal_size = 4GB\nautovacuum = on\n";

const WHO_MAY: &str = "local all all trust\nhost all locked 127.0.0.1/32 scram-sha-256\n\
     host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n";

pub(crate) struct Server {
    data: PathBuf,
    port: u16,
    /// Waits for its standard input to end, which it does with this process, and cleans up then.
    _guardian: Child,
}

impl Server {
    /// The server that all tests of this process share.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(""))
    }

    /// A server for a test that stops it, or sets it up otherwise.
    pub(crate) fn start(settings: &str) -> Self {
        let place = new_place();
        let data = place.join("data");
        run(tool("initdb")
            .args(["-D", text(&data), "-U", "postgres"])
            .args(["-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"]));
        let port = free_port();
        let sockets = text(&place).to_owned();
        let all =
            format!("{SETTINGS}port = {port}\nunix_socket_directories = '{sockets}'\n{settings}");
        fs::write(data.join("postgresql.auto.conf"), all).unwrap();
        fs::write(data.join("pg_hba.conf"), WHO_MAY).unwrap();
        let server = Self {
            _guardian: guard(&data, &place),
            data,
            port,
        };
        server.start_again();
        let users = format!(
            "CREATE ROLE {USER} LOGIN SUPERUSER; CREATE ROLE {LOCKED_USER} LOGIN SUPERUSER PASSWORD '{PASSWORD}'"
        );
        server.sql("postgres", &users);
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its Unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.data.with_file_name(format!(".s.PGSQL.{}", self.port))
    }

    /// The directory of its files, which are not ours.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Makes an empty database of this name, unless there is one, and answers its URL.
    pub(crate) fn database(&self, name: &str) -> String {
        let is_there = format!("SELECT 1 FROM pg_database WHERE datname = '{name}'");
        if self.sql("postgres", &is_there).is_empty() {
            self.sql(
                "postgres",
                &format!("CREATE DATABASE \"{name}\" OWNER {USER}"),
            );
        }
        self.url(name)
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// What psql prints for these statements, without decoration.
    pub(crate) fn sql(&self, database: &str, statements: &str) -> String {
        let answer = tool("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-U", "postgres", "-d", database, "-c", statements])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&answer.stderr);
        assert!(answer.status.success(), "{statements}: {said}");
        String::from_utf8(answer.stdout).unwrap().trim().to_owned()
    }

    /// Ends every process of it at once, as a crash would.
    pub(crate) fn stop_at_once(&self) {
        run(tool("pg_ctl").args(["-D", text(&self.data), "-m", "immediate", "-w", "stop"]));
    }

    /// Ends its sessions and begins anew, as for a new version of it.
    pub(crate) fn restart(&self) {
        let log = self.data.join("log");
        let words = ["-l", text(&log), "-m", "fast", "-w", "restart"];
        run(tool("pg_ctl").args(["-D", text(&self.data)]).args(words));
    }

    /// A copy of it as it is now, which does not run yet: a standby, which follows it once it is started.
    pub(crate) fn standby(&self) -> Self {
        let place = new_place();
        let data = place.join("data");
        let from = format!("host=127.0.0.1 port={} user=postgres", self.port);
        run(tool("pg_basebackup").args(["-d", &from, "-D", text(&data), "-R", "-c", "fast"]));
        let port = free_port();
        let own = format!(
            "port = {port}\nunix_socket_directories = '{}'\n",
            text(&place)
        );
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(data.join("postgresql.auto.conf"))
            .unwrap();
        file.write_all(own.as_bytes()).unwrap();
        Self {
            _guardian: guard(&data, &place),
            data,
            port,
        }
    }

    /// Makes a standby follow nobody any more, and waits until it takes changes.
    pub(crate) fn promote(&self) {
        run(tool("pg_ctl").args(["-D", text(&self.data), "-w", "promote"]));
    }

    /// Starts it where it was, and waits until it takes connections.
    pub(crate) fn start_again(&self) {
        let log = self.data.join("log");
        run(tool("pg_ctl").args(["-D", text(&self.data), "-l", text(&log), "-w", "start"]));
    }
}

/// A directory for one server.
fn new_place() -> PathBuf {
    let place = tempfile::tempdir().unwrap().keep();
    give(&place);
    place
}

/// Ends the server and removes its place when this process ends.
fn guard(data: &Path, place: &Path) -> Child {
    let clean_up = "read -r _; \"$1\" -D \"$2\" -m immediate stop; rm -rf \"$3\"";
    unprivileged("sh")
        .args(["-c", clean_up, "sh", text(&program("pg_ctl"))])
        .args([text(data), text(place)])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn program(name: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    let number = |path: &PathBuf| {
        path.file_name()
            .and_then(|name| name.to_str()?.parse().ok())
    };
    versions.sort_by_key(|path| number(path).unwrap_or(0_u32));
    let newest = versions.last();
    newest.map_or_else(|| name.into(), |newest| newest.join("bin").join(name))
}

/// A program of PostgreSQL's.
pub(crate) fn tool(name: &str) -> Command {
    let mut command = unprivileged(text(&program(name)));
    command.stdin(Stdio::null());
    command
}

/// PostgreSQL refuses to be run by root.
fn unprivileged(program: &str) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=postgres",
        "--regid=postgres",
        "--clear-groups",
        program,
    ]);
    command.current_dir("/");
    command
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn give(place: &Path) {
    if is_root() {
        let answer = Command::new("id").args(["-u", "postgres"]).output();
        let user = String::from_utf8(answer.unwrap().stdout).unwrap();
        let user = user
            .trim()
            .parse()
            .expect("the user postgres, of Debian's package postgresql");
        chown(place, Some(user), None).unwrap();
    }
}

#[track_caller]
fn run(command: &mut Command) {
    // Not `output`: what a server keeps open it would wait for.
    let done = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let done = done.expect("PostgreSQL's programs (Debian: postgresql)");
    assert!(done.success(), "{command:?}");
}
