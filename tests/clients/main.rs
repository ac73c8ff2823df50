//! The vendors' own clients, unmodified, against the real binary, by base URL and key alone.
//! `tests/run --suite clients` installs them and says with which Python.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // A test may panic.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// How many files the organization has before a client comes.
const FILES: usize = 250;

/// A gateway with an organization that has [`FILES`] files, a key for them, and one that only reads.
struct Gateway {
    directory: TempDir,
    child: std::process::Child,
    url: String,
    keys: [String; 2],
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Gateway {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let good = |words: &[&str]| {
            let output = hallpass(directory.path(), words).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{words:?}: {said}");
            String::from_utf8(output.stdout).unwrap()
        };
        good(&["organization", "create", "--id", "org_123"]);
        let key = |scopes: &[&str]| {
            let mut words = vec!["apikey", "create", "--organization", "org_123", "--json"];
            words.extend(scopes);
            let made: serde_json::Value = serde_json::from_str(&good(&words)).unwrap();
            made["api_key"].as_str().unwrap().to_owned()
        };
        let keys = [key(&[]), key(&["--scope", "read"])];
        let many = directory.path().join("many");
        std::fs::create_dir(&many).unwrap();
        for number in 0..FILES {
            std::fs::write(many.join(format!("{number}.txt")), "x").unwrap();
        }
        let many = many.to_str().unwrap().to_owned();
        good(&["add", "--organization", "org_123", &many]);
        let mut serve = hallpass(directory.path(), &["serve", "--listen", "127.0.0.1:0"]);
        let mut child = serve.stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut lines, &mut line).unwrap();
        let url = line.trim_end().strip_prefix("listening on ").expect(&line);
        Self {
            url: url.to_owned(),
            directory,
            child,
            keys,
        }
    }

    /// Runs a script of this directory, and expects its last word to be this.
    #[track_caller]
    fn run(&self, script: &str, last_word: &str) {
        let python = std::env::var_os("CLIENTS_PYTHON")
            .expect("CLIENTS_PYTHON, which `tests/run --suite clients` sets");
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        let output = Command::new(python)
            .arg(place.join(script))
            .current_dir(self.directory.path())
            .envs([
                ("BASE", self.url.as_str()),
                ("ORG", "org_123"),
                ("KEY", &self.keys[0]),
                ("READ_KEY", &self.keys[1]),
            ])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed.ends_with(last_word), "{printed}");
    }
}

fn hallpass(directory: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hallpass"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HALLPASS_") {
            command.env_remove(name);
        }
    }
    command
        .args(words)
        .current_dir(directory)
        .env("HALLPASS_SERVER_DATA_DIR", directory.join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
fn aitronos_sdk_does_all_that_it_can() {
    Gateway::start().run("run_aitronos.py", "AsyncAitronos ok\n");
}

#[test]
fn freddy_backend_client_does_all_that_it_can() {
    Gateway::start().run("run_freddy.py", "asyncio_detailed ok\n");
}

#[test]
fn qca_sdk_does_all_that_it_can() {
    Gateway::start().run("run_qca.py", "Forward ok\n");
}
