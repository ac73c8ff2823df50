//! Many clients at once, on one gateway and on three: no more start a download than the link allows.

use std::time::Instant;

use tokio::task::JoinSet;

use super::{PATIENCE, start, start_with};
use crate::support::app::{T0, TestApp};
use crate::support::postgres::Server;

const CLIENTS: usize = 200;

/// Has as many clients ask at once, in turn of each gateway, and answers how many got which answer.
async fn race(apps: &[&TestApp], link: &str) -> (usize, usize) {
    let mut all = JoinSet::new();
    for number in 0..CLIENTS {
        let client = apps[number % apps.len()].client;
        let link = link.to_owned();
        all.spawn(async move {
            let address = format!("192.0.{}.{}", number / 100, number % 100);
            let headers = [
                ("X-Forwarded-For", address.as_str()),
                ("User-Agent", "race"),
            ];
            client.request("POST", &link, &headers, b"").await.status
        });
    }
    let statuses = all.join_all().await;
    let of = |status| statuses.iter().filter(|of| **of == status).count();
    let (started, held) = (of(303), of(409));
    assert_eq!(started + held, CLIENTS, "{statuses:?}");
    (started, held)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_hundred_clients_starts_the_only_download() {
    let app = start().await;
    let link = app.link("file_big", "max_downloads=1").await;
    assert_eq!(race(&[&app], &link).await, (1, CLIENTS - 1));
    let link = app.link("file_big", "max_downloads=7").await;
    assert_eq!(race(&[&app], &link).await, (7, CLIENTS - 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_hundred_clients_starts_the_only_download_of_three_gateways() {
    let url = Server::shared().database("counted_together");
    let own = [
        ("server.trusted_proxies", "127.0.0.1"),
        ("catalog.url", url.as_str()),
    ];
    let first = start_with(&own[1..]).await;
    let others = [first.beside(&own).await, first.beside(&own).await];
    let apps = [&first, &others[0], &others[1]];
    let link = first.link("file_big", "max_downloads=1").await;
    assert_eq!(race(&apps, &link).await, (1, CLIENTS - 1));
    let link = first.link("file_big", "max_downloads=5").await;
    assert_eq!(race(&apps, &link).await, (5, CLIENTS - 5));
}

/// Two holders of lapsed tickets go on at once, each at another gateway, and one of them has the only place.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_lapsed_downloads_one_goes_on_whichever_gateway_is_asked() {
    let url = Server::shared().database("counted_lapsed");
    let own = [
        ("server.trusted_proxies", "127.0.0.1"),
        ("catalog.url", url.as_str()),
    ];
    let first = start_with(&own[1..]).await;
    let other = first.beside(&own).await;
    let apps = [&first, &other];
    let at_second = async |seconds: u64| {
        other.clock.set((T0 + seconds) * 1_000);
        super::at_second(&first, seconds).await;
    };
    let link = first
        .link("file_big", "max_downloads=1&expires_in=86400")
        .await;
    let mine = super::started(&first, &link, "192.0.2.1").await;
    at_second(900).await;
    let theirs = super::started(&other, &link, "192.0.2.2").await;
    // A third one had the place last, and left.
    at_second(1_800).await;
    super::started(&first, &link, "192.0.2.3").await;
    at_second(2_700).await;
    for _ in 0..3 {
        let asked = [(&mine, apps[0]), (&theirs, apps[1])]
            .map(|(ticket, app)| super::range(app, ticket, "0-9"));
        let [one, another] = asked;
        let (one, another) = tokio::join!(one, another);
        let mut statuses = [one.status, another.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [206, 401]);
        super::forget().await;
    }
    first.gateway.flush_sent().await.unwrap();
    other.gateway.flush_sent().await.unwrap();
    let counts = "SELECT concat(done, ' ', open) FROM allowance";
    assert_eq!(Server::shared().sql("counted_lapsed", counts), "0 1");
}

/// What one sent another one knows of, and a download that was begun on one goes on at the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_one_download_on_all_gateways() {
    let url = Server::shared().database("counted_shared");
    let own = [
        ("server.trusted_proxies", "127.0.0.1"),
        ("catalog.url", url.as_str()),
    ];
    let first = start_with(&own[1..]).await;
    let other = first.beside(&own).await;
    let link = first.link("file_big", "max_downloads=1").await;
    let ticket = super::started(&first, &link, "192.0.2.1").await;
    assert_eq!(super::started(&other, &link, "192.0.2.1").await, ticket);
    assert_eq!(super::range(&first, &ticket, "0-149999").await.status, 206);
    assert_eq!(super::range(&other, &ticket, "150000-").await.status, 206);
    let begun = Instant::now();
    loop {
        for app in [&first, &other] {
            app.gateway.flush_sent().await.unwrap();
        }
        let reply = super::post(&other, &link, "192.0.2.2").await;
        if reply.status == 410 {
            break;
        }
        assert_eq!(reply.status, 409);
        assert!(begun.elapsed() < PATIENCE);
        // Far fewer than thirty of one network in a minute.
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    }
}
