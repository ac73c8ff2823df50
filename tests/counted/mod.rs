//! Links that may be downloaded so many times: what spends one, over real sockets, and what never does.

mod answers;
mod downloaders;
mod events;
mod kinds;
mod lapses;
mod refusals;
mod together;

use std::time::{Duration, Instant};

use hallpass::catalog::redemptions::LinkAllowance;
use hallpass::model::id::OrganizationId;
use hallpass::model::revocation::LinkId;

use crate::support::app::{T0, TestApp, target};
use crate::support::client::Reply;

/// Nothing here may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The bytes of the file whose links are counted: more than are kept in memory, and no two stretches alike.
const SIZE: usize = 300_000;

fn bytes() -> Vec<u8> {
    let words = (0..(SIZE / 8) as u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    words.flat_map(u64::to_le_bytes).collect()
}

/// A gateway behind a proxy that names its clients, with the file `file_big`.
async fn start_with(more: &[(&'static str, &str)]) -> TestApp {
    let own = [("server.trusted_proxies", "127.0.0.1")];
    let app = TestApp::start_with(&[&own, more].concat()).await;
    let app = app.with_org_123().await;
    app.add("file_big", "big file.bin", &bytes()).await;
    app
}

async fn start() -> TestApp {
    start_with(&[]).await
}

/// Says that a request comes from this client.
fn from(client: &str) -> [(&str, &str); 2] {
    [("X-Forwarded-For", client), ("User-Agent", "tests")]
}

/// Asks for a download as this client.
async fn post(app: &TestApp, link: &str, client: &str) -> Reply {
    app.client.request("POST", link, &from(client), b"").await
}

/// The path of the ticket that a start was answered with.
#[track_caller]
fn ticket(reply: &Reply) -> String {
    let text = String::from_utf8_lossy(&reply.body);
    assert_eq!(reply.status, 303, "{text}");
    let place = reply.header("location").unwrap().to_owned();
    let url = reply.json()["download_url"].as_str().unwrap().to_owned();
    assert_eq!(target(&url), place);
    place
}

/// Starts a download as this client.
async fn started(app: &TestApp, link: &str, client: &str) -> String {
    ticket(&post(app, link, client).await)
}

/// The id of a link.
fn id_of(link: &str) -> LinkId {
    let token = link.split("token=").nth(1).unwrap();
    let mac = token.split_once('.').unwrap().1;
    LinkId::parse(&mac[..12]).unwrap()
}

/// What is counted of a link, as it is in the catalogue.
async fn counted(app: &TestApp, link: &str) -> Option<LinkAllowance> {
    app.gateway.flush_sent().await.unwrap();
    let catalogue = app.catalogue_from_outside().await;
    let organization = OrganizationId::parse("org_123").unwrap();
    let found = catalogue.allowance_of_link(&organization, id_of(link));
    found.await.unwrap()
}

/// Waits until so many bytes of a link were counted, and answers how many are done and open.
async fn after_bytes(app: &TestApp, link: &str, bytes_sent: usize) -> (u64, u64) {
    let begun = Instant::now();
    loop {
        let found = counted(app, link).await.expect("it was started");
        if found.bytes_sent == bytes_sent as u64 {
            return (found.done, found.open);
        }
        let all = found.bytes_sent;
        assert!(begun.elapsed() < PATIENCE, "{all} of {bytes_sent} bytes");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Takes a range by a ticket.
async fn range(app: &TestApp, ticket: &str, range: &str) -> Reply {
    app.client
        .get(ticket, &[("Range", &format!("bytes={range}"))])
        .await
}

/// Lets so many seconds pass since the beginning, and waits until nothing from before is believed.
async fn at_second(app: &TestApp, seconds: u64) {
    app.clock.set((T0 + seconds) * 1000);
    forget().await;
}

/// Waits until no gateway believes a ticket's row from before.
async fn forget() {
    tokio::time::sleep(Duration::from_millis(1_100)).await;
}
