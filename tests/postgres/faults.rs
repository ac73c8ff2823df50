//! The server is away, slow or cut off: nothing is done twice, nothing acknowledged is lost, every answer
//! comes in time, and all is well again by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hallpass::catalog::postgres::ANSWER_TIME_MAX;
use hallpass::gateway::Gateway;
use hallpass::gateway::refusal::Refusal;
use hallpass::gateway::revoke::Revoker;
use hallpass::model::file::FileRecord;
use hallpass::model::id::OrganizationId;
use hallpass::model::revocation::Extent;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{ANYONE, app};
use crate::support::app::{TestApp, new_file};
use crate::support::cable::{Cable, Line};
use crate::support::client::Client;
use crate::support::postgres::Server;

const LIST: &str = "/v1/organizations/org_123/files";

/// How long the gateway may take to be well again.
const PATIENCE: Duration = Duration::from_secs(20);

async fn add(gateway: &Arc<Gateway>, id: &str) -> Result<FileRecord, Refusal> {
    let mut upload = gateway.begin_upload().await?;
    upload.write(Bytes::copy_from_slice(id.as_bytes())).await?;
    gateway
        .finish_upload(upload, new_file("org_123", id, "a.txt"))
        .await
}

/// Every file that the organization has: its id, and how many the list says there are.
async fn listed(app: &TestApp) -> (Vec<String>, u64) {
    let mut ids = Vec::new();
    for page in 1.. {
        let reply = app
            .client
            .get(&format!("{LIST}?page={page}&limit=100"), &[ANYONE])
            .await;
        let json = reply.json();
        let files = json["files"].as_array().expect("files").clone();
        ids.extend(
            files
                .iter()
                .map(|file| file["id"].as_str().unwrap().to_owned()),
        );
        let total = json["total"].as_u64().expect("total");
        if files.is_empty() || ids.len() as u64 >= total {
            return (ids, total);
        }
    }
    unreachable!()
}

/// That each of these is listed once, that no other is, that the list counts right, and that each one's
/// bytes are there.
async fn are_all_there(app: &TestApp, mut wanted: Vec<String>) {
    let (mut ids, total) = listed(app).await;
    assert_eq!(ids.len() as u64, total, "rows and counter went together");
    for id in &ids {
        let link = app.link(id, "").await;
        let reply = app.client.get(&link, &[]).await;
        assert_eq!(reply.status, 200, "{id} has its bytes");
    }
    ids.sort();
    wanted.sort();
    assert_eq!(ids, wanted);
}

async fn well_again(client: Client) -> Duration {
    let begun = Instant::now();
    while client.get(LIST, &[ANYONE]).await.status != 200 {
        assert!(begun.elapsed() < PATIENCE, "it does not come back");
        sleep(Duration::from_millis(20)).await;
    }
    begun.elapsed()
}

/// The connection ends as `COMMIT` goes out: after it, the row is there; before it, the call is made again.
/// Either way the caller hears that it was done, and it was done once.
#[tokio::test]
async fn a_commit_without_an_answer_is_done_once() {
    let server = Server::shared();
    server.database("commits");
    let cable = Cable::to(server.port()).await;
    let app = app(&cable.url("commits"), &[]).await.with_org_123().await;
    let mut ids = vec!["file_abc123".to_owned(), "file_def456".to_owned()];
    let mut known = 0;
    for turn in 0..60 {
        let id = format!("turn{turn}");
        cable.cut_next_commit(turn % 2 == 0);
        let added = add(&app.gateway, &id).await;
        assert!(!cable.waits_for_commit(), "it was cut");
        // On a machine that does much else it may not be known in time.
        if !matches!(added, Err(Refusal::Unavailable(_))) {
            assert!(added.is_ok(), "{id}: {added:?}");
            known += 1;
        }
        while matches!(add(&app.gateway, &id).await, Err(Refusal::Unavailable(_))) {}
        // Who asks again with the same id makes no second one.
        let again = add(&app.gateway, &id).await;
        assert!(matches!(again, Err(Refusal::Exists { .. })), "{again:?}");
        ids.push(id);
    }
    println!("{known} of 60 were answered as done at once");
    assert!(known > 0);
    are_all_there(&app, ids).await;

    let organization = OrganizationId::parse("org_123").unwrap();
    for turn in 0..10 {
        cable.cut_next_commit(turn % 2 == 0);
        let before = app.gateway.refresh().await.unwrap().epoch(&organization);
        match app
            .gateway
            .revoke_links_of_organization(&organization, Revoker::Operator)
            .await
        {
            Ok(revoked) => {
                let raised_once = Extent::Organization { epoch: before + 1 };
                assert_eq!(revoked.extent, raised_once);
            }
            Err(refusal) => assert!(matches!(refusal, Refusal::Unavailable(_)), "{refusal:?}"),
        }
    }
}

/// What a stalled, cut or slow line does to calls and to a download under way.
#[tokio::test]
async fn a_line_that_hangs_or_breaks_is_told_in_time_and_bytes_go_on() {
    let server = Server::shared();
    server.database("lines");
    let cable = Cable::to(server.port()).await;
    let app = app(&cable.url("lines"), &[]).await.with_org_123().await;
    let large: Vec<u8> = (0..16_u32 << 20).map(|at| (at % 251) as u8).collect();
    app.add("large", "large.bin", &large).await;
    let link = app.link("large", "").await;
    for line in [Line::Stalls, Line::Cut] {
        well_again(app.client).await;
        let mut download = TcpStream::connect(app.client.0).await.unwrap();
        let request = format!("GET {link} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        download.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 1_000];
        download.read_exact(&mut answer).await.unwrap();

        cable.set(line);
        sleep(Duration::from_millis(1_500)).await;
        for target in [LIST, link.as_str()] {
            let begun = Instant::now();
            let reply = app.client.get(target, &[ANYONE]).await;
            println!("{line:?}: refused after {:?}", begun.elapsed());
            reply.refused(503, "SERVICE_UNAVAILABLE");
            assert!(reply.header("retry-after").is_some());
            assert!(begun.elapsed() < ANSWER_TIME_MAX * 10);
        }
        let added = add(&app.gateway, &format!("under_{}", line == Line::Cut)).await;
        assert!(matches!(added, Err(Refusal::Unavailable(_))), "{added:?}");

        download.read_to_end(&mut answer).await.unwrap();
        assert!(answer.ends_with(&large), "bytes under way go on");
        cable.set(Line::Passes);
        println!(
            "{line:?}: well again after {:?}",
            well_again(app.client).await
        );
    }
    let ids = ["file_abc123", "file_def456", "large"];
    are_all_there(&app, ids.map(str::to_owned).to_vec()).await;

    cable.set(Line::Delays(Duration::from_millis(30)));
    assert_eq!(app.client.get(LIST, &[ANYONE]).await.status, 200);
    assert_eq!(app.client.get(&link, &[]).await.status, 200);
    assert!(add(&app.gateway, "slow").await.is_ok());
}

/// Adds files until it is told to stop; answers those that were acknowledged, and those that may be there.
fn adder(app: &TestApp, number: usize) -> JoinHandle<(Vec<String>, Vec<String>)> {
    let gateway = Arc::clone(&app.gateway);
    tokio::spawn(async move {
        let (mut done, mut unknown) = (Vec::new(), Vec::new());
        for turn in 0..10_000 {
            let id = format!("adder{number}_{turn}");
            match add(&gateway, &id).await {
                Ok(_) => done.push(id),
                Err(Refusal::Unavailable(_)) => unknown.push(id),
                Err(other) => panic!("{id}: {other:?}"),
            }
            if gateway.organizations().await.is_ok_and(|all| all.len() > 3) {
                break;
            }
        }
        (done, unknown)
    })
}

/// Ends every process of the server under load, three times, and starts it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_under_load_loses_and_doubles_nothing() {
    let server = Server::start("");
    let url = server.database("dies");
    let app = app(&url, &[]).await.with_org_123().await;
    let adders: Vec<_> = (0..4).map(|number| adder(&app, number)).collect();
    for round in 0..3 {
        sleep(Duration::from_millis(700)).await;
        tokio::task::block_in_place(|| server.stop_at_once());
        let begun = Instant::now();
        let reply = app.client.get(LIST, &[ANYONE]).await;
        println!("round {round}: refused after {:?}", begun.elapsed());
        reply.refused(503, "SERVICE_UNAVAILABLE");
        assert!(reply.header("retry-after").is_some());
        tokio::task::block_in_place(|| server.start_again());
        println!(
            "round {round}: well again after {:?}",
            well_again(app.client).await
        );
    }
    // The sign for the others to stop.
    app.account("org_stop", "stop").await;
    let (mut wanted, mut unknown) = (vec!["file_abc123".into(), "file_def456".into()], Vec::new());
    for adder in adders {
        let (done, may_be) = adder.await.unwrap();
        assert!(!done.is_empty());
        wanted.extend(done);
        unknown.extend(may_be);
    }
    let (ids, _) = listed(&app).await;
    println!(
        "{} acknowledged, {} answered 503",
        wanted.len(),
        unknown.len()
    );
    // Each of these is there whole or not at all.
    wanted.extend(unknown.into_iter().filter(|id| ids.contains(id)));
    are_all_there(&app, wanted).await;
}
