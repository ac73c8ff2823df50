//! The processes of a comparison: each on its core, none left behind.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal};
use rustix::thread::CpuSet;

/// What a step of the comparison answers with; the error is for the person who runs it.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The word that makes this binary a launcher.
pub(crate) const LAUNCH: &str = "--launch";
/// How many files a process may have open: 5,000 connections and more.
const OPEN_FILES: u64 = 20_000;
/// How long a server may take to say that it listens.
pub(crate) const START_TIME_MAX: Duration = Duration::from_secs(60);
/// Nanoseconds in a clock tick of `/proc`, which is 10 ms to every program whatever the kernel's own is.
pub(crate) const TICK_NANOS: u64 = 10_000_000;

/// Those that run now, so that Ctrl-C can end them; `None` once it did, and nothing may start any more.
static RUNNING: Mutex<Option<BTreeSet<i32>>> = Mutex::new(Some(BTreeSet::new()));

/// Where a process may run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Core {
    /// The first core, which servers have for themselves.
    Server,
    /// The second, where the load comes from.
    Load,
    /// Any.
    Any,
}

/// A process that ends when this is dropped.
pub(crate) struct Running {
    child: Child,
}

/// How much processor time a process used so far.
#[derive(Clone, Debug)]
pub(crate) struct CpuTime {
    /// By the scheduler, in nanoseconds, of the threads that there are.
    threads: Vec<(String, u64)>,
    /// By the clock tick, of those that ended, too.
    whole: u64,
}

/// The cores that servers and clients are bound to, by their numbers in `/proc`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) client: usize,
}

/// How much memory a process has, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// What it has alone, and its share of what it shares (proportional set size).
    pub(crate) pss: u64,
    /// What of it is mapped, shared or not.
    pub(crate) rss: u64,
}

/// Starts a program on a core. It dies with the thread that started it, however that ends.
pub(crate) fn launcher(core: Core, program: &Path) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    let core = match core {
        Core::Server => "0",
        Core::Load => "1",
        Core::Any => "any",
    };
    command.args([LAUNCH, core]).arg(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HALLPASS_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    Ok(command)
}

/// The other side of [`launcher`]: becomes the program. Safe code cannot run between `fork` and `exec`, so
/// this is a process of its own for a moment.
pub(crate) fn launch(words: &[String]) -> ExitCode {
    let [core, program, arguments @ ..] = words else {
        return ExitCode::from(2);
    };
    let prepared = rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(Into::into)
        .and_then(|()| raise_open_files())
        .and_then(|()| match core.parse() {
            Ok(core) => pin(core),
            Err(_) => Ok(()),
        });
    let error: Box<dyn Error + Send + Sync> = match prepared {
        Ok(()) => Command::new(program).args(arguments).exec().into(),
        Err(error) => error,
    };
    eprintln!("{program}: {error}");
    ExitCode::from(127)
}

/// Lets this process, and those it starts, have as many files open as connections need.
pub(crate) fn raise_open_files() -> Outcome<()> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= OPEN_FILES) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|maximum| maximum < OPEN_FILES) {
        let why = format!(
            "`ulimit -Hn` must be at least {OPEN_FILES}: thousands of connections are opened"
        );
        return Err(why.into());
    }
    let new = Rlimit {
        current: Some(OPEN_FILES),
        maximum: limit.maximum,
    };
    Ok(rustix::process::setrlimit(Resource::Nofile, new)?)
}

impl Cores {
    /// Returns the first two cores that the calling thread may run on.
    pub(crate) fn of_this_thread() -> Outcome<Self> {
        Ok(Self {
            server: nth_core(0)?,
            client: nth_core(1)?,
        })
    }
}

fn nth_core(nth: usize) -> Outcome<usize> {
    let allowed = rustix::thread::sched_getaffinity(None)?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
    let core = cores.nth(nth);
    Ok(core.ok_or("two cores are needed: one for the server, one for the load")?)
}

/// Binds the calling thread, and those it starts, to the nth of the cores it may run on.
pub(crate) fn pin(nth: usize) -> Outcome<()> {
    let core = nth_core(nth)?;
    let mut set = CpuSet::new();
    set.set(core);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

/// Ends everything that runs, and lets nothing start any more.
pub(crate) fn end_all() {
    for pid in running().take().into_iter().flatten() {
        if let Some(pid) = Pid::from_raw(pid) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

/// Waits. Nothing else has to go on in this thread meanwhile.
#[allow(clippy::disallowed_methods)] // No connection waits for this thread.
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Where a program is, on the path or where Debian has those of the administrator.
pub(crate) fn program(name: &str, package: &str) -> Outcome<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let administrator = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(administrator);
    let found = places.find_map(|place| Some(place.join(name)).filter(|path| path.is_file()));
    found.ok_or_else(|| {
        format!("{name} is not there: on Debian and Ubuntu `apt-get install {package}`").into()
    })
}

/// What a program prints, on either output; empty if it cannot be run.
pub(crate) fn said(program: &Path, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    let text = output.map(|output| [output.stdout, output.stderr].concat());
    String::from_utf8_lossy(&text.unwrap_or_default())
        .trim()
        .to_owned()
}

impl Running {
    /// Starts what [`launcher`] made.
    pub(crate) fn start(command: &mut Command) -> Outcome<Self> {
        let mut running = running();
        let pids = running.as_mut().ok_or("stopped")?;
        let child = command.spawn()?;
        pids.insert(child.id().cast_signed());
        Ok(Self { child })
    }

    /// Starts a program that prints one line once it listens, and answers that line, too.
    pub(crate) fn start_and_listen(command: &mut Command) -> Outcome<(Self, String)> {
        let mut running = Self::start(command.stdout(Stdio::piped()))?;
        let output = running.child.stdout.take().ok_or("no standard output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        if line.is_empty() {
            return Err("a server ended before it listened".into());
        }
        Ok((running, line))
    }

    /// Waits for its end and answers what it printed. One that fails is an error.
    pub(crate) fn output(mut self) -> Outcome<String> {
        use std::io::Read as _;
        let mut text = String::new();
        if let Some(mut output) = self.child.stdout.take() {
            output.read_to_string(&mut text)?;
        }
        let status = self.child.wait()?;
        if status.success() {
            Ok(text)
        } else {
            Err(format!("a program ended with {status}: {text}").into())
        }
    }

    /// The processor time it used so far, user and system, of all its threads.
    pub(crate) fn cpu_time(&self) -> Outcome<CpuTime> {
        let mut threads = Vec::new();
        for task in fs::read_dir(self.proc("task"))? {
            let task = task?;
            let Ok(line) = fs::read_to_string(task.path().join("schedstat")) else {
                continue; // It ended just now.
            };
            let nanos = line.split(' ').next().unwrap_or_default().parse()?;
            threads.push((task.file_name().to_string_lossy().into_owned(), nanos));
        }
        let stat = fs::read_to_string(self.proc("stat"))?;
        // The name in parentheses may hold anything; fields 14 and 15 are the times.
        let (_, fields) = stat.rsplit_once(')').ok_or("/proc/PID/stat")?;
        let times = fields.split_ascii_whitespace().skip(11).take(2);
        let ticks = times.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(CpuTime {
            threads,
            whole: ticks * TICK_NANOS,
        })
    }

    /// Returns how often the kernel switched away from its threads so far, of their own will or not.
    pub(crate) fn switches(&self) -> Outcome<u64> {
        let mut switches = 0;
        for task in fs::read_dir(self.proc("task"))? {
            let Ok(text) = fs::read_to_string(task?.path().join("status")) else {
                continue; // It ended just now.
            };
            let lines = text.lines().filter_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.ends_with("voluntary_ctxt_switches")
                    .then(|| value.trim())
            });
            switches += lines.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        }
        Ok(switches)
    }

    /// Asks it to end, and waits until it did.
    pub(crate) fn stop(mut self) -> Outcome<()> {
        let pid = Pid::from_raw(self.child.id().cast_signed()).ok_or("no process id")?;
        rustix::process::kill_process(pid, Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }

    /// How much memory it has now.
    pub(crate) fn memory(&self) -> Outcome<Memory> {
        let text = fs::read_to_string(self.proc("smaps_rollup"))?;
        Ok(Memory {
            pss: kibibytes(&text, "Pss:")?,
            rss: kibibytes(&text, "Rss:")?,
        })
    }

    fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.child.id()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(pids) = running().as_mut() {
            pids.remove(&self.child.id().cast_signed());
        }
    }
}

impl CpuTime {
    /// Nanoseconds since `earlier`. Where a thread ended in between, the scheduler's word on it is lost,
    /// and the coarser one of the process counts.
    pub(crate) fn since(&self, earlier: &Self) -> u64 {
        let alive = |id: &String| self.threads.iter().any(|(other, _)| other == id);
        if earlier.threads.iter().all(|(id, _)| alive(id)) {
            let sum = |time: &Self| time.threads.iter().map(|(_, nanos)| nanos).sum::<u64>();
            sum(self) - sum(earlier)
        } else {
            self.whole - earlier.whole
        }
    }
}

/// Waits until something holds, and gives up in the end.
pub(crate) fn wait_until(what: &str, holds: impl Fn() -> bool) -> Outcome<()> {
    let started = Instant::now();
    while !holds() {
        if started.elapsed() > START_TIME_MAX {
            return Err(format!("{what}: waited too long").into());
        }
        pause(Duration::from_millis(20));
    }
    Ok(())
}

fn running() -> MutexGuard<'static, Option<BTreeSet<i32>>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The value of a line of `/proc` such as `Pss:  12 kB`, in bytes.
pub(crate) fn kibibytes(text: &str, name: &str) -> Outcome<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_ascii_whitespace().next());
    let value: u64 = value
        .ok_or_else(|| format!("no {name} in /proc"))?
        .parse()?;
    Ok(value * 1024)
}
