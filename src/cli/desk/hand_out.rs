//! Handing a link to another program: to a browser, or to the clipboard.

use std::env;
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::cli::failure::{Failure, complain};

/// The programs that open a URL in a browser.
const OPENERS: [&str; 2] = ["xdg-open", "open"];

/// The programs that put their standard input on the clipboard, with their words and the variable that says that there is
/// one for them.
const CLIPBOARDS: [(&str, &[&str], Option<&str>); 4] = [
    ("wl-copy", &[], Some("WAYLAND_DISPLAY")),
    ("xclip", &["-selection", "clipboard"], Some("DISPLAY")),
    ("xsel", &["--clipboard", "--input"], Some("DISPLAY")),
    ("pbcopy", &[], None),
];

/// The programs that links are handed to.
#[derive(Debug, Default)]
pub(in crate::cli) struct HandedTo {
    pub(in crate::cli) browser: Option<Program>,
    pub(in crate::cli) clipboard: Option<Program>,
}

impl HandedTo {
    /// Hands these on: the first to the browser, all to the clipboard. What fails is complained about, as the links are
    /// printed by now.
    pub(in crate::cli) fn hand(&self, urls: &[String]) {
        let browser = self.browser.as_ref().zip(urls.first());
        let opened = browser.map(|(program, url)| program.open(url));
        let clipboard = self.clipboard.as_ref();
        let copied = clipboard.map(|program| program.copy(&urls.join("\n")));
        for outcome in [opened, copied].into_iter().flatten() {
            if let Err(Failure::Failed(why)) = outcome {
                complain(&why);
            }
        }
    }
}

/// A program that is there.
#[derive(Debug)]
pub(in crate::cli) struct Program {
    name: &'static str,
    words: &'static [&'static str],
}

impl Program {
    /// Finds the program that opens a browser.
    ///
    /// # Errors
    /// [`Failure::Usage`] where there is none.
    pub(in crate::cli) fn opener() -> Result<Self, Failure> {
        let found = OPENERS.into_iter().find(|name| is_there(name));
        let opener = found.map(|name| Self { name, words: &[] });
        opener.ok_or_else(|| Failure::Usage("--open needs xdg-open, which is not installed".into()))
    }

    /// Finds the program of the clipboard.
    ///
    /// # Errors
    /// [`Failure::Usage`] where there is none.
    pub(in crate::cli) fn clipboard() -> Result<Self, Failure> {
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_of_here = |wants: Option<&str>| wants.is_none_or(is_set);
        let found = CLIPBOARDS
            .into_iter()
            .find(|(name, _, wants)| is_of_here(*wants) && is_there(name));
        let clipboard = found.map(|(name, words, _)| Self { name, words });
        clipboard.ok_or_else(|| {
            let why = "--copy needs a desktop with wl-copy, xclip or xsel, and there is none here";
            Failure::Usage(why.into())
        })
    }

    /// Has the program open this URL. It goes on by itself.
    pub(in crate::cli) fn open(&self, url: &str) -> Result<(), Failure> {
        let mut command = self.command();
        let started = command.arg(url).stdin(Stdio::null()).spawn();
        // Nobody waits for a browser; what it leaves behind goes with this process.
        started.map(drop).map_err(self.failed())
    }

    /// Has the program put this URL on the clipboard.
    pub(in crate::cli) fn copy(&self, url: &str) -> Result<(), Failure> {
        let copied = || -> io::Result<bool> {
            let mut running = self.command().stdin(Stdio::piped()).spawn()?;
            if let Some(mut input) = running.stdin.take() {
                input.write_all(url.as_bytes())?;
            }
            Ok(running.wait()?.success())
        };
        match copied().map_err(self.failed())? {
            true => Ok(()),
            false => Err(self.failed()(io::Error::other("it says no"))),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.name);
        // Those that keep a clipboard live on: they hold nothing of ours open.
        command
            .args(self.words)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn failed(&self) -> impl Fn(io::Error) -> Failure {
        move |error| Failure::io(format!("running {}", self.name), &error)
    }
}

fn is_there(name: &str) -> bool {
    let is_in = |directory: &Path| directory.join(name).is_file();
    let path = env::var_os("PATH");
    let path = path.as_deref().unwrap_or(OsStr::new(""));
    env::split_paths(path).any(|directory| is_in(&directory))
}
