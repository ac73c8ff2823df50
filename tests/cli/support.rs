//! The real binary in a directory of its own, and just enough HTTP to open a link.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::secrets;

/// The words that run a program as a user who owns nothing; root alone may say them.
pub(crate) const AS_NOBODY: [&str; 4] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
];

/// Returns whether the tests may count another process's descriptors and memory. The binary is not dumpable, so that
/// root alone may; what is left out elsewhere is said.
pub(crate) fn may_look_into_processes() -> bool {
    let may = rustix::process::geteuid().is_root();
    if !may {
        println!("NOT TESTED: what root alone sees of a process");
    }
    may
}

/// How long anything is waited for before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A place with a data directory that is not there yet.
pub(crate) struct Place {
    directory: tempfile::TempDir,
    /// Where commands keep what goes with them.
    runtime: tempfile::TempDir,
    /// What every command finds in its environment.
    variables: Vec<(&'static str, String)>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// With these variables in the environment of every command.
    pub(crate) fn with(variables: &[(&'static str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let variables = variables.iter();
        Self {
            directory,
            runtime: tempfile::tempdir().unwrap(),
            variables: variables
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What commands keep only while they run.
    pub(crate) fn temporary(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.runtime.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.path("data").join(name)
    }

    /// Writes a file and answers its path.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The binary with these words, in this place and without settings from outside.
    pub(crate) fn command<W: AsRef<OsStr>>(&self, words: &[W]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hallpass"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HALLPASS_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.directory.path())
            .env("HALLPASS_SERVER_DATA_DIR", self.path("data"))
            .env("XDG_RUNTIME_DIR", self.runtime.path())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run<W: AsRef<OsStr>>(&self, words: &[W]) -> Output {
        self.command(words).output().unwrap()
    }

    /// The same with these bytes on its standard input. It may end before it has read them all.
    pub(crate) fn run_with_input<W: AsRef<OsStr>>(&self, words: &[W], input: &[u8]) -> Output {
        let mut command = self.command(words);
        let mut running = command.stdin(Stdio::piped()).spawn().unwrap();
        let _ = running.stdin.take().unwrap().write_all(input);
        running.wait_with_output().unwrap()
    }

    /// Runs it, expects it to succeed, and answers what it printed.
    pub(crate) fn good<W: AsRef<OsStr>>(&self, words: &[W]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same with `--json`: exactly one line with one value.
    pub(crate) fn json<W: AsRef<OsStr>>(&self, words: &[W]) -> Value {
        let mut words: Vec<&OsStr> = words.iter().map(AsRef::as_ref).collect();
        words.push("--json".as_ref());
        one_line_of_json(&self.good(&words))
    }

    /// Runs it, expects this exit code, and answers what it complained about.
    pub(crate) fn bad<W: AsRef<OsStr>>(&self, code: i32, words: &[W]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        String::from_utf8(output.stderr).unwrap()
    }

    /// Stores a file and answers its id.
    pub(crate) fn add(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.file(name, bytes);
        let added = self.json(&[OsStr::new("add"), path.as_os_str()]);
        text(&added[0], "file_id")
    }

    /// A signed URL of a file, as the catalogue and the keyring make it.
    pub(crate) fn sign(&self, base: &str, file: &str, more: &[&str]) -> Value {
        let mut words = vec!["sign", "--public-base-url", base, "--file", file];
        words.extend(more);
        self.json(&words)
    }

    pub(crate) fn serve(&self) -> Serving {
        self.start(&["serve", "--listen", "127.0.0.1:0"])
    }

    /// Starts the binary, which goes on by itself.
    pub(crate) fn start<W: AsRef<OsStr>>(&self, words: &[W]) -> Serving {
        Serving::of(self.command(words))
    }

    /// Starts the binary under another program, whose words come first.
    pub(super) fn start_under<W: AsRef<OsStr>>(&self, under: &[W], words: &[W]) -> Serving {
        Serving::of(self.command_under(under, words))
    }

    /// Runs the binary under another program to its end.
    pub(super) fn run_under<W: AsRef<OsStr>>(&self, under: &[W], words: &[W]) -> Output {
        self.command_under(under, words).output().unwrap()
    }

    fn command_under<W: AsRef<OsStr>>(&self, under: &[W], words: &[W]) -> Command {
        let own = self.command(words);
        let mut command = Command::new(under[0].as_ref());
        command
            .args(&under[1..])
            .arg(own.get_program())
            .args(own.get_args())
            .current_dir(self.directory.path())
            .env_remove("HALLPASS_TEST_BLOBS")
            .env("HALLPASS_SERVER_DATA_DIR", self.path("data"))
            .env("XDG_RUNTIME_DIR", self.runtime.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// A running binary. It is killed when a test that fails drops it.
pub(crate) struct Serving {
    child: Child,
    lines: BufReader<ChildStdout>,
    errors: Option<std::thread::JoinHandle<String>>,
}

impl Serving {
    /// Starts it with a pipe for its standard input, which comes with it.
    pub(crate) fn with_input(mut command: Command) -> (Self, std::process::ChildStdin) {
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        (Self::over(child), input)
    }

    pub(crate) fn of(mut command: Command) -> Self {
        Self::over(command.spawn().unwrap())
    }

    fn over(mut child: Child) -> Self {
        let mut stderr = child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        Self {
            lines: BufReader::new(child.stdout.take().unwrap()),
            child,
            errors: Some(errors),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its standard output; empty at the end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        let line = line.trim_end();
        if let Some(key) = line
            .strip_prefix("api key: ")
            .filter(|key| !key.starts_with("in "))
        {
            secrets::keep(key);
        }
        line.to_owned()
    }

    /// The first API key, from the file that the next line names.
    pub(crate) fn first_api_key(&mut self) -> String {
        let line = self.line();
        let file = line.strip_prefix("api key: in ").expect(&line);
        let key = fs::read_to_string(file).unwrap().trim_end().to_owned();
        secrets::keep(&key);
        key
    }

    /// Where it listens, from its first line.
    pub(crate) fn url(&mut self) -> String {
        let line = self.line();
        line.strip_prefix("listening on ").expect(&line).to_owned()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// The binary's own process, where it was started under another program.
    pub(super) fn inner_pid(&self) -> u32 {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap();
        children.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Sends a signal and waits for the end. Answers the exit status, the rest of its standard output, and
    /// its standard error.
    pub(crate) fn stop(mut self, signal: &str) -> (ExitStatus, String, String) {
        self.signal(signal);
        let (status, rest) = self.end();
        let errors = self.errors.take().unwrap().join().unwrap();
        secrets::assert_silent("the log of the binary", &errors);
        (status, rest, errors)
    }

    /// What [`Self::stop`] answers, of one that ends by itself.
    pub(crate) fn stop_ended(mut self) -> (ExitStatus, String, String) {
        let (status, rest) = self.end();
        let errors = self.errors.take().unwrap().join().unwrap();
        (status, rest, errors)
    }

    fn end(&mut self) -> (ExitStatus, String) {
        let until = Instant::now() + PATIENCE;
        while self.is_running() {
            assert!(Instant::now() < until, "it does not end");
            pause();
        }
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Another process that is writing to the catalogue: nobody else can meanwhile.
pub(crate) struct Writer(Child);

impl Writer {
    /// Begins to write, as soon as nobody else does.
    pub(super) fn begin(place: &Place) -> Self {
        Self::to(&place.data("catalogue.sqlite3"))
    }

    /// The same, to this SQLite file.
    pub(crate) fn to(catalogue: &Path) -> Self {
        let mut sqlite = Command::new("sqlite3")
            .args(["-cmd", ".timeout 5000"])
            .arg(catalogue)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = b"BEGIN IMMEDIATE;\nSELECT 'writing';\n";
        sqlite.stdin.as_mut().unwrap().write_all(said).unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(sqlite.stdout.as_mut().unwrap());
        lines.read_line(&mut line).unwrap();
        assert_eq!(line, "writing\n");
        Self(sqlite)
    }

    /// Lets others write.
    pub(crate) fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn signal(pid: u32, name: &str) {
    // The shell's own `kill`: not every machine has the program.
    let words = format!("kill -s {name} {pid}");
    let sent = Command::new("sh").args(["-c", &words]).status();
    assert!(sent.unwrap().success());
}

/// The words that begin a program in namespaces of its own, `-n` of networks or `-m` of mounts. Who is not root is
/// root in there.
pub(super) fn unshare(namespace: &str) -> Vec<&str> {
    if rustix::process::geteuid().is_root() {
        vec!["unshare", namespace]
    } else {
        vec!["unshare", "-r", namespace]
    }
}

/// A short moment between two looks.
#[expect(
    clippy::disallowed_methods,
    reason = "a test waits for another process"
)]
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

/// Asks until the answer is yes, and says how long that took.
pub(crate) fn until(what: &str, mut yes: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !yes() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not happen");
        pause();
    }
    println!("{what}: {:?}", begun.elapsed());
    begun.elapsed()
}

/// The status and the body of a GET.
pub(crate) fn open(url: &str) -> (u16, Vec<u8>) {
    exchange("GET", url, "", "")
}

/// The status and the JSON of a call with an API key; null where there is none.
pub(crate) fn call(method: &str, url: &str, key: &str, body: &str) -> (u16, Value) {
    let length = body.len();
    if key.len() > 16 {
        secrets::keep(key);
    }
    let lines = format!("X-API-Key: {key}\r\nContent-Length: {length}\r\n");
    let (status, answer) = exchange(method, url, &lines, body);
    (status, serde_json::from_slice(&answer).unwrap_or_default())
}

fn exchange(method: &str, url: &str, lines: &str, body: &str) -> (u16, Vec<u8>) {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    secrets::keep_tokens(path.as_bytes());
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n{body}"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    secrets::keep_tokens(&answer);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let head = str::from_utf8(&answer[..end.unwrap()]).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer[end.unwrap() + 4..].to_vec())
}

pub(crate) fn status(url: &str) -> u16 {
    open(url).0
}

pub(crate) fn one_line_of_json(printed: &str) -> Value {
    let line = printed.strip_suffix('\n').expect("a line");
    secrets::keep_tokens(printed.as_bytes());
    assert!(!line.contains('\n'), "{printed}");
    serde_json::from_str(line).expect(line)
}

pub(crate) fn text(value: &Value, field: &str) -> String {
    let text = value[field].as_str();
    text.unwrap_or_else(|| panic!("{field} in {value}"))
        .to_owned()
}

pub(crate) fn said(output: &Output) -> String {
    format!(
        "{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
