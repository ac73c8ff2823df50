//! Programs of others that ask a gateway for something.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use super::app::TestApp;

/// No program may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a program in this directory to its good end.
pub(crate) async fn run(words: &[&str], directory: &Path) -> Output {
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .current_dir(directory)
        .env_remove("http_proxy")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output
        .expect("an end in time")
        .expect("it is installed; tests/run does that");
    assert!(
        output.status.success(),
        "{words:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// The URL of a path of a gateway.
pub(crate) fn url(app: &TestApp, target: &str) -> String {
    format!("http://{}{target}", app.client.0)
}

/// Has aria2 save this as `large.bin`, over eight connections at once.
pub(crate) async fn aria2(url: &str, directory: &Path) {
    let words = [
        "aria2c",
        "--no-conf",
        "-x8",
        "-s8",
        "-k1M",
        "-o",
        "large.bin",
        url,
    ];
    run(&words, directory).await;
}
