//! No secret in any line: every log line of this process, and the audit stream of every gateway in it, are
//! gathered, and held against every token and key that the tests ever saw.
//!
//! Tokens are found by themselves, in what clients send and are answered; keys are told. What comes of
//! another process ([`assert_silent`]) is held against the same secrets.

use std::collections::{HashSet, VecDeque};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

/// How long the MAC in a token is, and how much of it its link id says.
const MAC_CHARS: usize = 43;
const LINK_ID_CHARS: usize = 12;
/// How much of a secret in a row gives it away: more than a link's id, and far less than the whole.
const PART_CHARS: usize = 20;

/// How much of what was sent is looked at.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// How long a line is looked at again: by then whoever was given a token has told of it.
const LOOKED_AT: Duration = Duration::from_secs(2);

/// The lines that are still to be held against the secrets.
static LOG: Mutex<VecDeque<(Instant, String)>> = Mutex::new(VecDeque::new());

/// The newest lines, for tests that look for their own.
static NEWEST: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());
const NEWEST_LINES: usize = 50_000;

/// How long a line may take to be logged once the answer is there.
const LOGGED_WITHIN: Duration = Duration::from_secs(10);

/// What must be in no line.
fn secrets() -> &'static Mutex<HashSet<String>> {
    static SECRETS: OnceLock<Mutex<HashSet<String>>> = OnceLock::new();
    SECRETS.get_or_init(Mutex::default)
}

/// Locks whatever another test, which failed, left.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gathers whatever is logged in this process from now on: ours down to the last detail, of libraries what
/// they say in a log.
pub(crate) fn gather_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let targets = Targets::new()
            .with_default(LevelFilter::WARN)
            .with_target("hallpass", LevelFilter::TRACE);
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(Gathered);
        let subscriber = tracing_subscriber::registry().with(targets).with(layer);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// From now on this key must be in no line, nor as much of it as gives it away.
pub(crate) fn keep(secret: &str) {
    assert!(secret.chars().all(is_word), "{secret:?} is no one word");
    lock(secrets()).extend(parts_of(secret).map(str::to_owned));
}

/// A word, or each part of a longer one that gives it away.
fn parts_of(word: &str) -> impl Iterator<Item = &str> {
    let starts = 0..=word.len().saturating_sub(PART_CHARS);
    starts.filter_map(|at| word.get(at..word.len().min(at + PART_CHARS)))
}

/// Finds the tokens in what was sent or answered. What is shaped like one counts, good or not.
pub(crate) fn keep_tokens(bytes: &[u8]) {
    // A head, or a body of ours; what is longer is a file.
    let text = String::from_utf8_lossy(bytes.get(..TEXT_BYTES_MAX).unwrap_or(bytes));
    let mut words = text.split(|c: char| !is_word(c)).peekable();
    while let Some(kid) = words.next() {
        let mac = words.peek().filter(|mac| mac.len() == MAC_CHARS);
        if let Some(mac) = mac
            && (1..=16).contains(&kid.len())
        {
            // The link id alone gives nothing away.
            keep(&mac[LINK_ID_CHARS..]);
        }
    }
}

/// Returns the newest lines with this in them.
pub(crate) fn logged(part: &str) -> Vec<String> {
    let log = lock(&NEWEST);
    let lines = log.iter().filter(|line| line.contains(part));
    lines.cloned().collect()
}

/// Returns the same, once there is one with one of these in it: a request is logged after its answer was sent.
pub(crate) async fn logged_once_any(parts: &[&str]) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let lines: Vec<String> = parts.iter().flat_map(|part| logged(part)).collect();
        if !lines.is_empty() {
            return lines;
        }
        assert!(
            begun.elapsed() < LOGGED_WITHIN,
            "nothing is logged of {parts:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Fails if what was logged of late, or the audit stream at this path, holds a secret.
#[track_caller]
pub(crate) fn assert_none_told(audit: &Path) {
    // A line that fails one test does not fail the others.
    let lines = std::mem::take(&mut *lock(&LOG));
    for (at, line) in lines {
        assert_silent("the log", &line);
        if at.elapsed() < LOOKED_AT {
            lock(&LOG).push_back((at, line));
        }
    }
    let audit = std::fs::read(audit).unwrap_or_default();
    assert_silent("the audit stream", &String::from_utf8_lossy(&audit));
}

/// Fails if this text holds a secret: a short key as a word of its own, of a longer one and of a token as much
/// as gives it away, whatever is glued to it.
#[track_caller]
pub(crate) fn assert_silent(what: &str, text: &str) {
    let secrets = lock(secrets());
    for word in text.split(|c: char| !is_word(c)) {
        let told = parts_of(word).find(|part| secrets.contains(*part));
        if let Some(secret) = told {
            let line = text.lines().find(|line| line.contains(secret));
            panic!("{what} holds the secret {secret:?}: {line:?}");
        }
    }
    for word in ["token=", "Bearer "] {
        let line = text.lines().find(|line| line.contains(word));
        assert!(line.is_none(), "{what} holds {word:?}: {line:?}");
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// Where log lines go.
struct Gathered;

impl<'a> MakeWriter<'a> for Gathered {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl Write for Gathered {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line).into_owned();
        let mut newest = lock(&NEWEST);
        if newest.len() == NEWEST_LINES {
            newest.pop_front();
        }
        newest.push_back(text.clone());
        drop(newest);
        lock(&LOG).push_back((Instant::now(), text));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_token_is_found_wherever_it_stands_and_its_link_id_is_none() {
    let mac = format!("linkid_linki{}", "Zz09-_aB".repeat(4));
    let mac = &mac[..MAC_CHARS];
    keep_tokens(format!("GET /x?expires=1&token=0a1b.{mac} HTTP/1.1").as_bytes());
    assert_silent("a line", "link_id=linkid_linki");
    keep("k-of-the-test");
    keep("long-key-of-the-test-2026");
    let told = |text: String| std::panic::catch_unwind(move || assert_silent("a line", &text));
    for text in [
        format!("what={mac}"),
        format!("rest={}", &mac[LINK_ID_CHARS..]),
        format!("\"x{mac}x\""),
        format!("cut={}", &mac[..MAC_CHARS - 2]),
        format!("cut={}", &mac[2..]),
        format!("padded={mac:0<58}"),
        "glued=xlong-key-of-the-test-2026x".into(),
        "{\"key\":\"k-of-the-test\"}".into(),
        "GET /x?token=".into(),
    ] {
        assert!(told(text.clone()).is_err(), "{text}");
    }
    assert!(told("k-of-the-tests".into()).is_ok());
}

/// That the log is gathered at all, and every gateway of the tests has a stream.
#[tokio::test]
async fn what_a_test_s_gateway_logs_and_records_is_looked_at() {
    let app = super::app::TestApp::start().await.with_org_123().await;
    let link = app.link("file_abc123", "disposition=inline").await;
    assert_eq!(app.client.get(&link, &[]).await.status, 200);
    let trace = app.client.get("/nowhere", &[]).await;
    let trace = trace.json()["error"]["trace_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let logged = lock(&LOG).iter().any(|(_, line)| line.contains(&trace));
    assert!(logged, "the log is gathered");
    let directory = app.stop().await;
    let audit = std::fs::read_to_string(directory.path().join("audit.jsonl")).unwrap();
    assert!(
        audit.contains("\"download\"") && audit.contains(&trace),
        "{audit}"
    );
}
