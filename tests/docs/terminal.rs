//! Terminals: shells that type what a page shows, each page in a network of its own, where the page's ports are
//! free.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How long a command may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// The address of the machine that pages are typed on.
const ADDRESS: &str = "192.168.1.20";

/// Ends what a command printed.
const END: &str = "--- end of the command ";

/// Pages run one after another on a machine that gives them no networks of their own.
static ONE_NETWORK: Mutex<()> = Mutex::new(());

/// A place for the processes of one page: a network and a table of processes of its own, where the machine
/// has them. All of them end with it.
pub(crate) struct World {
    holder: Child,
    /// The words that start a process there.
    enter: Vec<String>,
    _alone: Option<MutexGuard<'static, ()>>,
}

impl World {
    /// Makes one, by root's right or in a user namespace.
    pub(crate) fn new() -> Self {
        for rights in [&[][..], &["--map-root-user"]] {
            let mut command = Command::new("unshare");
            command.args(["--net", "--pid", "--fork", "--kill-child"]);
            command.args(rights).args(["sh", "-c"]);
            command.arg(format!(
                "ip link set lo up && ip address add {ADDRESS}/32 dev lo && echo made && exec cat"
            ));
            if let Some(holder) = started(&mut command) {
                let inner = children(holder.id()).first().copied().unwrap();
                let mut enter = vec!["nsenter".to_owned(), format!("--target={inner}")];
                enter.extend(["--net".to_owned(), "--pid".to_owned()]);
                if !rights.is_empty() {
                    enter.extend(["--user".to_owned(), "--preserve-credentials".to_owned()]);
                }
                return Self {
                    holder,
                    enter,
                    _alone: None,
                };
            }
        }
        println!("no networks of their own here: pages run one after another in this machine's");
        let alone = ONE_NETWORK
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut command = Command::new("sh");
        Self {
            holder: started(command.args(["-c", "echo made && exec cat"])).unwrap(),
            enter: vec!["env".to_owned()],
            _alone: Some(alone),
        }
    }

    /// A command of this program that runs there.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(&self.enter[0]);
        command.args(&self.enter[1..]).arg(program);
        command
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Starts it, and waits until it has made what it is for.
fn started(command: &mut Command) -> Option<Child> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().ok()?;
    let mut said = [0; 5];
    let made = child.stdout.as_mut()?.read_exact(&mut said);
    if made.is_ok() {
        return Some(child);
    }
    let _ = child.wait();
    None
}

/// The processes that this one started.
fn children(pid: u32) -> Vec<u32> {
    let file = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let pids = file.unwrap_or_default();
    let pids = pids.split_whitespace().map(|pid| pid.parse().unwrap());
    pids.collect()
}

/// A shell, and what it has printed of the command that runs.
pub(crate) struct Terminal {
    shell: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    scripts: PathBuf,
    printed: Vec<String>,
    is_busy: bool,
}

impl Terminal {
    /// A shell in this directory.
    pub(crate) fn open(world: &World, directory: &Path, variables: &[(String, String)]) -> Self {
        let mut command = world.command("env");
        command.arg("-i");
        command.args(
            variables
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
        command.args(["bash", "--noprofile", "--norc", "-c"]);
        // What goes to either stream is seen in the order in which it was written.
        command.arg("exec bash --noprofile --norc -s 2>&1");
        command.current_dir(directory).stdin(Stdio::piped());
        let mut shell = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(shell.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.split(b'\n') {
                let Ok(line) = line else { break };
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            input: shell.stdin.take().unwrap(),
            shell,
            lines,
            scripts: directory.parent().unwrap().to_owned(),
            printed: Vec::new(),
            is_busy: false,
        }
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Types a command, and does not wait.
    pub(crate) fn begin(&mut self, text: &str) {
        let script = self.scripts.join(format!("typed-{}", self.shell.id()));
        fs::write(&script, format!("{text}\n")).unwrap();
        let script = script.display();
        let line = format!(
            "(exit ${{last:-0}}); . {script} </dev/null; last=$?; printf '\\n{END}%s\\n' \"$last\"\n"
        );
        self.input.write_all(line.as_bytes()).unwrap();
        self.printed.clear();
        self.is_busy = true;
    }

    /// Waits until the command has ended, and says its exit code and what it printed.
    ///
    /// # Errors
    /// What it has printed so far, if it does not end.
    pub(crate) fn end(&mut self) -> Result<(i32, Vec<String>), String> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(code) = self.next(until)? {
                return Ok((code, std::mem::take(&mut self.printed)));
            }
        }
    }

    /// Waits until the command has printed so many lines, or has ended.
    ///
    /// # Errors
    /// What it has printed so far, if neither happens.
    pub(crate) fn until(&mut self, lines: usize) -> Result<Vec<String>, String> {
        let until = Instant::now() + PATIENCE;
        while self.printed.len() < lines && self.next(until)?.is_none() {}
        Ok(self.printed.clone())
    }

    /// Waits until the command has printed something, and nothing more for a second.
    ///
    /// # Errors
    /// If it prints nothing.
    pub(crate) fn until_quiet(&mut self) -> Result<Vec<String>, String> {
        self.until(1)?;
        let quiet = || Instant::now() + Duration::from_secs(1);
        while matches!(self.next(quiet()), Ok(None)) {}
        Ok(self.printed.clone())
    }

    /// Takes the next line; the exit code, if that was the last one.
    fn next(&mut self, until: Instant) -> Result<Option<i32>, String> {
        let left = until.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => {
                let Some(code) = line.strip_prefix(END) else {
                    self.printed.push(line);
                    return Ok(None);
                };
                // The line break before the end is not the command's own.
                if self.printed.last().is_some_and(String::is_empty) {
                    self.printed.pop();
                }
                self.is_busy = false;
                Ok(Some(code.parse().unwrap()))
            }
            Err(RecvTimeoutError::Disconnected) => Err("the shell has ended".to_owned()),
            Err(RecvTimeoutError::Timeout) => Err(format!(
                "it goes on for too long:\n{}",
                self.printed.join("\n")
            )),
        }
    }

    /// Presses Ctrl-C, and waits for the command to end.
    ///
    /// # Errors
    /// What it has printed so far, if it does not end.
    pub(crate) fn interrupt(&mut self) -> Result<(), String> {
        self.signal("INT");
        self.end().map(drop)
    }

    /// Sends a signal to what the shell runs.
    fn signal(&self, name: &str) {
        let mut pid = self.shell.id();
        // `nsenter` starts the shell as a child, to be in the other table of processes.
        while fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name != "bash\n") {
            let Some(child) = children(pid).first().copied() else {
                return;
            };
            pid = child;
        }
        for child in children(pid) {
            let words = format!("kill -s {name} {child}");
            let _ = Command::new("sh").args(["-c", &words]).status();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.signal("KILL");
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
