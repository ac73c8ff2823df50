//! Runs a page: types its commands in order, in an empty directory, and compares what they print.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use super::compare::Values;
use super::page::{Command, Console, What, parse};
use super::terminal::{Terminal, World};

const RELAY: &str = include_str!("relay.py");

const ON_TERMINAL: &str = include_str!("on_terminal.py");

/// The program as a page types it. A server has a terminal, as in front of a person.
const HALLPASS: &str = r#"#!/bin/sh
terminal() { exec python3 "${0%/*}/on_terminal.py" 'BINARY' "$@"; }
for word in "$@"; do
    if [ "$word" = serve ]; then terminal "$@"; fi
done
case "$1 $2" in
    'share create' | 'share ls' | 'share show' | 'share edit' | 'share rotate' | 'share revoke') ;;
    share\ *) terminal "$@" ;;
esac
exec 'BINARY' "$@"
"#;

/// The commands on shares, which end as others do.
const ON_SHARES: [&str; 6] = [
    "hallpass share create",
    "hallpass share ls",
    "hallpass share show",
    "hallpass share edit",
    "hallpass share rotate",
    "hallpass share revoke",
];

/// What pages call the directory that they are run in.
const DIRECTORY: &str = "/srv/hallpass";

/// What a page needs besides the binary.
#[derive(Default)]
pub(crate) struct Needs {
    /// Texts of the page for what is called otherwise here.
    pub(crate) aliases: Vec<(String, String)>,
    /// Ports of the page's network, each with the address of this machine that answers there.
    pub(crate) relays: Vec<(u16, String)>,
    /// Files that are there from the beginning.
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
}

/// What became of a page.
#[derive(Default)]
pub(crate) struct Report {
    /// How many commands were typed.
    pub(crate) commands: usize,
    /// The reasons of the blocks that cannot be run.
    pub(crate) not_run: Vec<String>,
    /// What is not as the page says.
    pub(crate) faults: Vec<String>,
}

struct Run<'a> {
    binary: &'a Path,
    page: &'a str,
    is_writing: bool,
    /// Lines of the page and what stands there instead.
    edits: Vec<(std::ops::Range<usize>, Vec<String>)>,
    directory: PathBuf,
    values: Values,
    /// Each with whether a server runs in it. The one that was typed in last is the last.
    terminals: Vec<Terminal>,
    report: Report,
    relays: Vec<Child>,
    world: World,
    _place: tempfile::TempDir,
}

/// Runs the page in this file. Where `HALLPASS_DOCS` is `write`, what was really printed takes the place of what
/// differs.
pub(crate) fn run(file: &Path, binary: &Path, needs: Needs) -> Report {
    let text = fs::read_to_string(file).unwrap();
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("here");
    fs::create_dir(&directory).unwrap();
    for (name, bytes) in &needs.files {
        let path = directory.join(name);
        fs::write(&path, bytes).unwrap();
        set_mode(&path, 0o600);
    }
    let mut aliases = needs.aliases;
    aliases.push((DIRECTORY.to_owned(), directory.display().to_string()));
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let mut run = Run {
        binary,
        page: &name,
        is_writing: std::env::var_os("HALLPASS_DOCS").is_some_and(|word| word == "write"),
        edits: Vec::new(),
        directory,
        values: Values::new(aliases),
        terminals: Vec::new(),
        report: Report::default(),
        relays: Vec::new(),
        world: World::new(),
        _place: place,
    };
    for (port, address) in &needs.relays {
        run.relay(*port, address);
    }
    for step in parse(&text) {
        run.step(step.line, &step.what);
        if !run.report.faults.is_empty() && !run.is_writing {
            break;
        }
    }
    if run.is_writing && !run.edits.is_empty() {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (place, output) in run.edits.drain(..).rev() {
            lines.splice(place, output);
        }
        fs::write(file, lines.join("\n") + "\n").unwrap();
    }
    std::mem::take(&mut run.report)
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

impl Run<'_> {
    fn fault(&mut self, line: usize, what: &str) {
        let page = self.page;
        self.report.faults.push(format!("{page}:{line}: {what}"));
    }

    fn step(&mut self, line: usize, what: &What) {
        match what {
            What::Console(console) => self.console(console),
            What::NotRun { reason } => self.report.not_run.push(reason.clone()),
            What::File { name, text } => match self.values.filled(text) {
                Ok(text) => {
                    let path = self.directory.join(name);
                    fs::write(&path, text).unwrap();
                    set_mode(&path, 0o600);
                }
                Err(why) => self.fault(line, &why),
            },
            What::Setup { commands } => self.typed_unseen(line, commands),
            What::Other { language, text } if language == "toml" => {
                fs::write(self.directory.join("../shown.toml"), text).unwrap();
                self.typed_unseen(line, "hallpass config check --config ../shown.toml");
            }
            What::Other { .. } => {}
        }
    }

    /// Types what a reader does not see, which must end well.
    fn typed_unseen(&mut self, line: usize, commands: &str) {
        let commands = match self.values.filled(commands) {
            Ok(commands) => commands,
            Err(why) => return self.fault(line, &why),
        };
        let at = self.idle();
        let terminal = &mut self.terminals[at];
        terminal.begin(&commands);
        match terminal.end() {
            Ok((0, _)) => {}
            Ok((code, printed)) => {
                self.fault(line, &format!("exit code {code}: {}", printed.join("\n")));
            }
            Err(why) => self.fault(line, &why),
        }
    }

    fn console(&mut self, console: &Console) {
        let mut at = None;
        if console.interrupts {
            let busy = self.terminals.iter().rposition(Terminal::is_busy);
            at = Some(busy.expect("^C where no server runs"));
            if let Err(why) = self.terminals[at.unwrap()].interrupt() {
                let line = console.commands.first().map_or(0, |command| command.line);
                self.fault(line, &why);
            }
        }
        for (index, command) in console.commands.iter().enumerate() {
            let at = *at.get_or_insert_with(|| self.idle());
            let is_last = index + 1 == console.commands.len();
            if let Err(why) = self.command(at, command, is_last) {
                self.fault(command.line, &format!("$ {}\n{why}", command.text));
            }
            self.report.commands += 1;
        }
        // The terminal that was typed in last is the first that is looked at for the next block.
        if let Some(at) = at {
            let terminal = self.terminals.remove(at);
            self.terminals.push(terminal);
        }
    }

    /// The terminal in which the next command can be typed.
    fn idle(&mut self) -> usize {
        if let Some(at) = self
            .terminals
            .iter()
            .rposition(|terminal| !terminal.is_busy())
        {
            return at;
        }
        let home = self.directory.parent().unwrap().join("home");
        let programs = self.directory.parent().unwrap().join("bin");
        if !programs.exists() {
            fs::create_dir(&home).unwrap();
            fs::create_dir(&programs).unwrap();
            fs::write(programs.join("on_terminal.py"), ON_TERMINAL).unwrap();
            let script = HALLPASS.replace("BINARY", &self.binary.display().to_string());
            let program = programs.join("hallpass");
            fs::write(&program, script).unwrap();
            set_mode(&program, 0o755);
        }
        let path = std::env::var_os("PATH").unwrap();
        let path = format!("{}:{}:/usr/sbin:/sbin", programs.display(), path.display());
        let variables = [
            ("PATH", path),
            ("HOME", home.display().to_string()),
            ("LC_ALL", "C.UTF-8".to_owned()),
            ("TZ", about_noon()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value));
        let terminal = Terminal::open(&self.world, &self.directory, &variables);
        self.terminals.push(terminal);
        self.terminals.len() - 1
    }

    fn command(&mut self, at: usize, command: &Command, is_last: bool) -> Result<(), String> {
        let text = self.values.filled(&command.text)?;
        let terminal = &mut self.terminals[at];
        terminal.begin(&text);
        let shown = &command.output;
        // A server stays, as the last command of its block, unless what it says is why it does not.
        let stays = is_last
            && ["hallpass serve", "hallpass share"]
                .iter()
                .any(|words| text.contains(words))
            && !ON_SHARES.iter().any(|words| text.contains(words))
            && !shown
                .last()
                .is_some_and(|line| line.starts_with("hallpass: "));
        let (code, printed) = if stays {
            let mut printed = match self.is_writing {
                true => terminal.until_quiet()?,
                false => terminal.until(shown.len())?,
            };
            if !terminal.is_busy() {
                return Err(format!("it ended:\n{}", printed.join("\n")));
            }
            // What it says later is not shown.
            let first = printed.get(..shown.len()).unwrap_or_default();
            let is_shown = !first.is_empty() && self.values.compare(shown, first).is_ok();
            if !self.is_writing || is_shown {
                printed.truncate(shown.len());
            }
            (0, printed)
        } else {
            terminal.end()?
        };
        // A machine that is slow says so in the log; no page shows it.
        let is_slowness = |line: &String| line.contains(" WARN sqlx::pool::acquire: ");
        let printed: Vec<String> = printed
            .into_iter()
            .filter(|line| !is_slowness(line))
            .collect();
        let mut compared = self.values.compare(shown, &printed);
        if compared.is_ok() && shown.is_empty() && code != 0 {
            compared = Err(format!("it prints nothing, and ends with {code}"));
        }
        let Err(why) = compared else { return Ok(()) };
        if self.is_writing {
            let lines = self.values.merged(shown, &printed);
            println!("{}:{}: {why}", self.page, command.line);
            self.edits.push((command.place.clone(), lines));
            return Ok(());
        }
        let all = printed.join("\n");
        Err(format!("{why}\n\nall that was printed:\n{all}"))
    }

    /// Has this port of the page's network answered by an address outside of it.
    fn relay(&mut self, port: u16, address: &str) {
        let place = self.directory.parent().unwrap();
        let script = place.join("relay.py");
        fs::write(&script, RELAY).unwrap();
        let socket = format!("unix:{}", place.join(format!("relay-{port}")).display());
        let outer = std::process::Command::new("python3");
        let inner = self.world.command("python3");
        let port = format!("tcp:127.0.0.1:{port}");
        for (mut command, from, to) in [
            (outer, socket.as_str(), address),
            (inner, port.as_str(), socket.as_str()),
        ] {
            command.arg(&script).args([from, to]);
            let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
            let mut child = child.unwrap();
            let mut said = [0; 6];
            let answer = child.stdout.as_mut().unwrap();
            std::io::Read::read_exact(answer, &mut said).expect("a relay that listens");
            self.relays.push(child);
        }
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.terminals.clear();
        for relay in &mut self.relays {
            let _ = relay.kill();
            let _ = relay.wait();
        }
        let _ = std::io::stdout().flush();
    }
}

/// Returns a time zone in which it is about noon now: what ends within hours ends today then, and is printed without a date.
fn about_noon() -> String {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    // POSIX counts the hours from here to UTC.
    format!("NOON{}", i16::from(now.hour()) - 12)
}
