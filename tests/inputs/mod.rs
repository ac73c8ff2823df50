//! Bad input, one line each: raw bytes over a socket, and the statuses that may come back. Whatever it is,
//! the answer comes in bounded time, blames the client, and has no secret in it.
#![allow(clippy::too_many_lines)] // A table is as long as it is.

mod calls;
mod framing;
mod links;
mod ranges;

use std::time::{Duration, Instant};

use hallpass::model::key::Scopes;

use crate::support::app::TestApp;

/// The API key of every call here: what no answer may hold.
const KEY: &str = "a-key-that-no-answer-may-hold";

/// No row may take longer. It is no promise, but a deadline of ours would be ten times as long.
const TIME_MAX: Duration = Duration::from_secs(10);

/// Stands for a connection that ends without an answer.
const CLOSED: u16 = 0;

/// What is wrong with it, what is sent, and which statuses may come back, one after the other.
struct Row {
    what: String,
    sent: Vec<u8>,
    allowed: &'static [u16],
}

fn row(what: impl Into<String>, sent: impl Into<Vec<u8>>, allowed: &'static [u16]) -> Row {
    Row {
        what: what.into(),
        sent: sent.into(),
        allowed,
    }
}

/// `org_123` and its files, with [`KEY`], and a link to `file_abc123`.
async fn fixture() -> (TestApp, String) {
    let app = TestApp::start().await.with_org_123().await;
    app.api_key("org_123", KEY, Scopes::USUAL).await;
    let link = app.link("file_abc123", "").await;
    (app, link)
}

/// A request with the key, whose head and body are as they are given.
fn request(method: &str, target: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
    [head.as_bytes(), body].concat()
}

fn with_key(lines: &str) -> String {
    format!("X-API-Key: {KEY}\r\nAuthorization: Bearer {KEY}\r\n{lines}")
}

/// The statuses of all answers that stand in these bytes.
fn statuses(answer: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answer);
    let status = |(_, rest): (&str, &str)| {
        let status = rest.split([' ', '\r']).next().unwrap();
        status.parse().unwrap_or(999)
    };
    let starts = text.split("HTTP/1.").skip(1);
    let found: Vec<u16> = starts
        .filter_map(|rest| rest.split_once(' '))
        .map(status)
        .collect();
    if found.is_empty() {
        vec![CLOSED]
    } else {
        found
    }
}

/// How many files `org_123` has.
async fn stored(app: &TestApp) -> usize {
    let list = "/v1/organizations/org_123/files";
    let page = app.client.get(list, &[("X-API-Key", KEY)]).await.json();
    usize::try_from(page["total"].as_u64().unwrap()).unwrap()
}

/// Sends every row, and shows all that went wrong at once.
async fn check(app: &TestApp, rows: Vec<Row>, secrets: &[&str]) {
    let (mut wrong, mut created, before) = (Vec::new(), 0, stored(app).await);
    for Row {
        what,
        sent,
        allowed,
    } in rows
    {
        let begun = Instant::now();
        let answer = app.client.exchange(&sent, true).await;
        let (took, statuses) = (begun.elapsed(), statuses(&answer));
        let body = String::from_utf8_lossy(&answer);
        let leaked = secrets
            .iter()
            .chain(&[KEY])
            .any(|secret| body.contains(secret));
        let is_fine = statuses.iter().all(|status| allowed.contains(status));
        created += statuses.iter().filter(|status| **status == 201).count();
        let blames_us = statuses
            .iter()
            .any(|status| *status >= 500 && !matches!(status, 501 | 505));
        println!("{what}: {statuses:?} in {took:?}");
        if !is_fine || blames_us || leaked || took > TIME_MAX {
            wrong.push(format!(
                "{what}: {statuses:?}, not {allowed:?}; leaked: {leaked}; {took:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // It lives, and only what was answered with 201 was stored on the way.
    assert_eq!(stored(app).await, before + created);
}
