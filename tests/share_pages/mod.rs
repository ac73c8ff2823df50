//! The people's half of shares over real sockets: the page in its states, the password, starts, tickets and bytes.

mod bytes;
mod downloaders;
mod languages;
mod page;
mod password;
mod refusals;
mod starts;
mod transports;
mod under_way;
mod zips;

use std::time::{Duration, Instant};

use hallpass::catalog::shares::ShareEdit;
use hallpass::gateway::passwords::Password;
use hallpass::gateway::shares::{ShareFields, ShareManager};
use hallpass::model::id::{OrganizationId, ShareId};
use hallpass::model::share::{PasswordHash, ShareCounts};

use crate::support::app::{T0, TestApp, target};
use crate::support::client::Reply;
use crate::support::secrets;

/// Nothing here may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What browsers send.
const HTML: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// The bytes of the large file: more than are kept in memory, and no two stretches alike.
const SIZE: usize = 300_000;

pub(crate) fn big() -> Vec<u8> {
    let words = (0..(SIZE / 8) as u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    words.flat_map(u64::to_le_bytes).collect()
}

/// A share that was made: the path of its page, and its id.
pub(crate) struct Shared {
    pub(crate) page: String,
    id: ShareId,
}

impl Shared {
    /// A path below the page's.
    pub(crate) fn at(&self, rest: &str) -> String {
        format!("{}{rest}", self.page)
    }

    fn code(&self) -> &str {
        self.page.rsplit_once('/').unwrap().1
    }
}

fn organization() -> OrganizationId {
    OrganizationId::parse("org_123").unwrap()
}

/// A gateway behind a proxy that names its clients, with the files `file_big` and `file_def456` (`other.png`).
pub(crate) async fn start_with(more: &[(&'static str, &str)]) -> TestApp {
    let own = [("server.trusted_proxies", "127.0.0.1")];
    let app = TestApp::start_with(&[&own, more].concat()).await;
    let app = app.with_org_123().await;
    app.add("file_big", "big file.bin", &big()).await;
    app
}

pub(crate) async fn start() -> TestApp {
    start_with(&[]).await
}

/// What is asked of a share of these files.
pub(crate) fn of(files: &[&str]) -> ShareFields {
    ShareFields {
        files: Some(files.iter().map(|id| (*id).to_owned()).collect()),
        ..ShareFields::default()
    }
}

pub(crate) fn counted(files: &[&str], downloads: u64) -> ShareFields {
    ShareFields {
        max_downloads: Some(Some(downloads)),
        ..of(files)
    }
}

pub(crate) async fn share(app: &TestApp, fields: ShareFields) -> Shared {
    let manager = ShareManager::Operator(organization());
    let made = app.gateway.create_share(&manager, fields).await.unwrap();
    let shared = Shared {
        page: target(&made.url.unwrap()),
        id: made.share.id,
    };
    secrets::keep(shared.code());
    shared
}

/// Changes a share as another process would, and waits until every gateway must know.
async fn edit(app: &TestApp, of: &Shared, edit: ShareEdit) {
    let catalogue = app.catalogue_from_outside().await;
    let owner = organization();
    let edited = catalogue.edit_share(&owner, &of.id, &edit).await;
    edited.unwrap();
    forget().await;
}

/// Waits until no gateway believes what it read before.
async fn forget() {
    tokio::time::sleep(Duration::from_millis(1_100)).await;
}

/// Gives a share this password.
pub(crate) async fn lock(app: &TestApp, of: &Shared, password: &str) {
    let password = Password::new(password.to_owned()).unwrap();
    let hash = app.gateway.hash_password(&organization(), password).await;
    let change = ShareEdit {
        password: Some(Some(PasswordHash::new(hash.unwrap()))),
        ..ShareEdit::default()
    };
    edit(app, of, change).await;
}

/// Says that a request comes from this client.
fn from(client: &str) -> [(&str, &str); 2] {
    [("X-Forwarded-For", client), ("User-Agent", "tests")]
}

/// Sends a form to a share, as this client, with these headers besides.
pub(crate) async fn post(
    app: &TestApp,
    of: &Shared,
    client: &str,
    headers: &[(&str, &str)],
    form: &str,
) -> Reply {
    let own = from(client);
    let headers: Vec<_> = [&own[..], &[FORM], headers].concat();
    let path = of.at("/open");
    app.client
        .request("POST", &path, &headers, form.as_bytes())
        .await
}

/// The place that an answer sends its client on to.
#[track_caller]
pub(crate) fn sent_on(reply: &Reply) -> String {
    let text = String::from_utf8_lossy(&reply.body);
    assert_eq!(reply.status, 303, "{text}");
    reply.header("location").unwrap().to_owned()
}

/// The cookie that an answer sets, as it is sent back.
#[track_caller]
fn cookie(reply: &Reply) -> String {
    let line = reply.header("set-cookie").expect("a cookie");
    line.split(';').next().unwrap().to_owned()
}

/// Starts a download of a share as this client.
pub(crate) async fn started(app: &TestApp, of: &Shared, client: &str) -> String {
    sent_on(&post(app, of, client, &[], "start=1").await)
}

/// Opens the page as a browser, with these headers besides.
async fn look(app: &TestApp, of: &Shared, headers: &[(&str, &str)]) -> Reply {
    let headers: Vec<_> = [&[HTML], headers].concat();
    app.client.get(&of.page, &headers).await
}

#[track_caller]
fn text(reply: &Reply) -> String {
    let kind = reply.header("content-type");
    assert_eq!(kind, Some("text/html; charset=utf-8"));
    String::from_utf8(reply.body.clone()).unwrap()
}

/// What was counted of a share, as the catalogue has it.
pub(crate) async fn counts(app: &TestApp, of: &Shared) -> ShareCounts {
    // What was sent by a ticket is noted first: whatever the share counts of it is written then, too.
    app.gateway.flush_share_counts().await.unwrap();
    app.gateway.flush_sent().await.unwrap();
    let catalogue = app.catalogue_from_outside().await;
    let found = catalogue.share_counts(&organization(), &of.id).await;
    found.unwrap()
}

/// Waits until so many bytes of a share were counted, and answers what was.
async fn after_bytes(app: &TestApp, of: &Shared, bytes_sent: usize) -> ShareCounts {
    let begun = Instant::now();
    loop {
        let found = counts(app, of).await;
        if found.counts.bytes_sent == bytes_sent as u64 {
            return found;
        }
        let all = found.counts.bytes_sent;
        assert!(begun.elapsed() < PATIENCE, "{all} of {bytes_sent} bytes");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Lets so many seconds pass since the beginning, and waits until nothing from before is believed.
async fn at_second(app: &TestApp, seconds: u64) {
    app.clock.set((T0 + seconds) * 1000);
    forget().await;
}
