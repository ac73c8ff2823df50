//! A running binary, also under another program, and none left behind.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// How long anything is waited for: the machine may be busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const PROGRAM: &str = env!("CARGO_BIN_EXE_hallpass");

/// The binary as a command, with no settings from outside.
pub(crate) fn hallpass() -> Command {
    let mut command = Command::new(PROGRAM);
    clean(&mut command);
    command
}

/// The binary as a command under another program, whose words come first.
pub(crate) fn hallpass_under<W: AsRef<OsStr>>(under: &[W]) -> Command {
    let Some((program, words)) = under.split_first() else {
        return hallpass();
    };
    let mut command = Command::new(program);
    clean(&mut command);
    command.args(words).arg(PROGRAM);
    command
}

fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HALLPASS_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
}

/// A running binary. It is killed when it is dropped, and with it what it runs under.
pub(crate) struct Server {
    child: Child,
    /// The binary's own process.
    pub(crate) pid: u32,
    /// `ADDRESS:PORT`.
    pub(crate) host: String,
    /// How long it took until it listened.
    pub(crate) started_in: Duration,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// Starts it and waits until it listens; answers the exit status and the log if it ends instead.
    pub(crate) fn start(mut command: Command) -> Result<Self, (ExitStatus, String)> {
        let begun = Instant::now();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a program that starts");
        let log = Arc::new(Mutex::new(String::new()));
        let errors = keep(child.stderr.take().unwrap(), Arc::clone(&log));
        let lines = lines_of(child.stdout.take().unwrap());
        let mut server = Self {
            pid: child.id(),
            host: String::new(),
            started_in: Duration::ZERO,
            child,
            log,
        };
        // The first API key may come before it.
        while let Some(line) = server.next(&lines) {
            let Some(url) = line.strip_prefix("listening on http://") else {
                continue;
            };
            // A fault that was injected may have ended it right behind that line.
            let Some(pid) = own_pid(server.child.id()) else {
                break;
            };
            server.pid = pid;
            server.host = url.to_owned();
            server.started_in = begun.elapsed();
            return Ok(server);
        }
        let status = server.wait().expect("an end behind its last line");
        errors.join().unwrap();
        Err((status, server.log()))
    }

    /// The next line of its standard output; `None` behind the last one.
    fn next(&self, lines: &Receiver<String>) -> Option<String> {
        // A start may wait for a minute for the catalogue.
        match lines.recv_timeout(2 * PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line and no end: {}", self.log()),
        }
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Sends a signal to the binary itself.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid, name);
    }

    /// Ends it as a power cut would, as far as a process can be ended so.
    pub(crate) fn kill(mut self) {
        self.signal("KILL");
        let _ = self.wait();
    }

    /// Ends it in order, and answers its log.
    pub(crate) fn stop(mut self) -> String {
        self.signal("TERM");
        let status = self.wait().expect("it ends");
        assert_eq!(status.code(), Some(0), "{}", self.log());
        self.log()
    }

    /// Waits until it has ended by itself; `None` if it does not.
    pub(crate) fn wait(&mut self) -> Option<ExitStatus> {
        self.wait_for(PATIENCE)
    }

    pub(crate) fn wait_for(&mut self, patience: Duration) -> Option<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            sleep(Duration::from_millis(5));
        }
        None
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        if !may_look_into_processes() {
            return 0;
        }
        fs::read_dir(format!("/proc/{}/fd", self.pid)).map_or(0, Iterator::count)
    }

    /// The names of its threads, of which the kernel keeps 15 characters.
    pub(crate) fn threads(&self) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).unwrap();
        let names = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("comm")));
        names.map_while(Result::ok).collect()
    }

    /// The processor time that it has used.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap();
        // The name in parentheses may hold spaces.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split(' ').collect();
        let ticks: u64 = fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap();
        // USER_HZ is 100 on every Linux that Rust's tier 1 knows.
        Duration::from_millis(ticks * 10)
    }

    /// What it holds in memory, in KiB: all of it, and what is its own and no file's.
    pub(crate) fn memory(&self) -> (u64, u64) {
        if !may_look_into_processes() {
            return (0, 0);
        }
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid)).unwrap();
        let field = |name: &str| {
            let line = rollup.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        (field("Rss:"), field("Anonymous:"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Its own process first: a tracer that is killed would let it run on.
            signal(own_pid(self.child.id()).unwrap_or(self.pid), "KILL");
            if self.wait_for(Duration::from_secs(2)).is_none() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
    }
}

/// Adds all of a program's standard error to a log, on a thread that ends with it.
fn keep(mut stderr: ChildStderr, log: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = stderr.read(&mut bytes) {
            let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
            log.lock().unwrap().push_str(&text);
        }
    })
}

/// The lines of a program's standard output, which is read to its end.
fn lines_of(stdout: ChildStdout) -> Receiver<String> {
    let (lines, received) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
    received
}

/// Sends a signal; a process that is gone is no error.
pub(crate) fn signal(pid: u32, name: &str) {
    // The shell's own `kill`: not every machine has the program.
    let words = format!("kill -s {name} {pid} 2>/dev/null || true");
    Command::new("sh").args(["-c", &words]).status().unwrap();
}

/// Returns whether the kernel shows another process's descriptors and memory, which it shows of this binary to root alone.
fn may_look_into_processes() -> bool {
    let may = rustix::process::geteuid().is_root();
    if !may {
        println!("NOT TESTED: what root alone sees of a process");
    }
    may
}

/// The first of a process and those below it that runs the binary.
fn own_pid(pid: u32) -> Option<u32> {
    // Its `exe` is for root alone to see.
    let program = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    if Path::new(PROGRAM).file_name() == Some(program.trim_end().as_ref()) {
        return Some(pid);
    }
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let mut children = children.split_whitespace();
    children.find_map(|child| own_pid(child.parse().ok()?))
}
