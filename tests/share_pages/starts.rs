//! Starts and tickets of shares: what is counted, and whose a ticket is.

use hallpass::catalog::shares::ShareEdit;
use hallpass::gateway::shares::ShareManager;

use super::{
    SIZE, after_bytes, at_second, big, cookie, counted, counts, edit, forget, look, of,
    organization, post, sent_on, share, start, started,
};
use crate::support::app::{T0, target};

#[tokio::test]
async fn a_start_spends_one_and_its_ticket_gives_the_bytes() {
    let app = start().await;
    let shared = share(&app, counted(&["file_big"], 2)).await;
    let reply = post(&app, &shared, "192.0.2.1", &[], "start=1").await;
    let ticket = sent_on(&reply);
    assert!(ticket.starts_with(&shared.at("/tickets/")), "{ticket}");
    assert!(ticket.ends_with("/big%20file.bin"), "{ticket}");
    assert_eq!(reply.header("set-cookie"), None, "no password, no pass");
    assert_eq!(
        reply.header("x-robots-tag"),
        Some("noindex, nofollow, noarchive")
    );
    let json = reply.json();
    assert_eq!(target(json["download_url"].as_str().unwrap()), ticket);
    assert_eq!(
        (&json["downloads_left"], &json["expires"]),
        (&1.into(), &(T0 + 86_400).into())
    );
    let found = counts(&app, &shared).await;
    assert_eq!((found.done, found.open), (0, 1));
    let half = app
        .client
        .get(&ticket, &[("Range", "bytes=0-149999")])
        .await;
    assert_eq!(
        (half.status, half.header("cache-control")),
        (206, Some("private, no-store"))
    );
    assert!(
        half.header("content-disposition")
            .unwrap()
            .starts_with("attachment")
    );
    let head = app.client.request("HEAD", &ticket, &[], b"").await;
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("300000"))
    );
    let rest = app.client.get(&ticket, &[("Range", "bytes=150000-")]).await;
    assert!([half.body, rest.body].concat() == big());
    let found = after_bytes(&app, &shared, SIZE).await;
    assert_eq!((found.done, found.open), (1, 0));
    assert_eq!(found.counts.downloads, 2, "two answers with bytes");
    assert_eq!(found.counts.last_at.unwrap().get(), T0);
}

#[tokio::test]
async fn who_looks_never_starts_one_and_the_same_client_has_one() {
    let app = start().await;
    let shared = share(&app, counted(&["file_big"], 1)).await;
    let page = look(&app, &shared, &[]).await;
    let client = cookie(&page);
    let with = [("Cookie", client.as_str())];
    let first = sent_on(&post(&app, &shared, "10.0.0.1", &with, "start=1").await);
    let again = sent_on(&post(&app, &shared, "192.0.2.9", &with, "start=1").await);
    assert_eq!(first, again, "two tabs, and the button pressed twice");
    let other = post(&app, &shared, "192.0.2.9", &[], "start=1").await;
    other.refused(409, "DOWNLOAD_IN_PROGRESS");
    // A form without a start spends nothing, and leads back.
    let back = post(&app, &shared, "192.0.2.8", &[], "").await;
    assert_eq!(sent_on(&back), shared.page);
    let found = counts(&app, &shared).await;
    assert_eq!((found.done, found.open), (0, 1));
}

#[tokio::test]
async fn a_lapsed_start_makes_way_and_its_ticket_starts_again_where_one_is_left() {
    let app = start().await;
    let shared = share(&app, counted(&["file_big"], 1)).await;
    let first = started(&app, &shared, "192.0.2.1").await;
    at_second(&app, 900).await;
    let second = started(&app, &shared, "192.0.2.2").await;
    forget().await;
    app.client.get(&first, &[]).await.is_dead_link();
    assert_eq!(app.client.get(&second, &[]).await.status, 200);
    let found = after_bytes(&app, &shared, SIZE).await;
    assert_eq!((found.done, found.open), (1, 0));
    // The share allows one more, and the first one goes on.
    let more = ShareEdit {
        allowed: Some(Some(2)),
        ..ShareEdit::default()
    };
    edit(&app, &shared, more).await;
    assert_eq!(app.client.get(&first, &[]).await.status, 200);
    let found = after_bytes(&app, &shared, 2 * SIZE).await;
    assert_eq!((found.done, found.open), (2, 0));
}

#[tokio::test]
async fn a_share_that_is_not_counted_starts_any_file_of_it() {
    let app = start().await;
    let shared = share(&app, of(&["file_big", "file_def456"])).await;
    for (form, name) in [
        ("start=1&n=1", "big%20file.bin"),
        ("start=1&n=2", "other.png"),
    ] {
        let reply = post(&app, &shared, "192.0.2.1", &[], form).await;
        assert!(sent_on(&reply).ends_with(name), "{form}");
        assert!(reply.json()["downloads_left"].is_null());
        assert_eq!(app.client.get(&sent_on(&reply), &[]).await.status, 200);
    }
    for form in ["start=1&n=0", "start=1&n=3", "start=1&n=1000000000"] {
        post(&app, &shared, "192.0.2.1", &[], form)
            .await
            .refused(404, "FILE_NOT_FOUND");
    }
    // A counted one is started as a whole.
    let whole = share(&app, counted(&["file_big"], 9)).await;
    let reply = post(&app, &whole, "192.0.2.1", &[], "start=1&n=1").await;
    reply.refused(404, "FILE_NOT_FOUND");
}

#[tokio::test]
async fn a_ticket_opens_below_its_own_share_alone() {
    let app = start().await;
    let shared = share(&app, counted(&["file_big"], 3)).await;
    let other = share(&app, counted(&["file_big"], 3)).await;
    let ticket = started(&app, &shared, "192.0.2.1").await;
    let rest = ticket.strip_prefix(&shared.page).unwrap();
    assert_eq!(app.client.get(&ticket, &[]).await.status, 200);
    let segment = rest.strip_prefix("/tickets/").unwrap();
    for elsewhere in [
        other.at(rest),
        format!("/v1/organizations/org_123/tickets/{segment}"),
        format!("/s/0123456789abcdefghijkl{rest}"),
    ] {
        app.client.get(&elsewhere, &[]).await.is_dead_link();
    }
    // Nor does the ticket of a counted link below a share.
    let link = app.link("file_big", "max_downloads=1").await;
    let reply = app.client.request("POST", &link, &[], b"").await;
    let of_link = reply.header("location").unwrap().to_owned();
    let (_, segment) = of_link.split_once("/tickets/").unwrap();
    app.client
        .get(&shared.at(&format!("/tickets/{segment}")), &[])
        .await
        .is_dead_link();
    // A rotated share has another address, and nothing that was started under the old one.
    let manager = ShareManager::Operator(organization());
    let rotated = app
        .gateway
        .rotate_share(&manager, &shared.id)
        .await
        .unwrap();
    app.client.get(&ticket, &[]).await.is_dead_link();
    let page = target(&rotated.url.unwrap());
    app.client
        .get(&format!("{page}{rest}"), &[])
        .await
        .is_dead_link();
}

#[tokio::test]
async fn what_ends_a_share_ends_its_tickets() {
    let app = start().await;
    let file_gone = share(&app, counted(&["file_def456"], 3)).await;
    let paused = share(&app, counted(&["file_big"], 3)).await;
    let by_file = started(&app, &file_gone, "192.0.2.1").await;
    let by_share = started(&app, &paused, "192.0.2.1").await;
    for ticket in [&by_file, &by_share] {
        assert_eq!(app.client.get(ticket, &[]).await.status, 200);
    }
    app.revoke_links_of("file_def456").await;
    let pause = ShareEdit {
        paused: Some(true),
        ..ShareEdit::default()
    };
    edit(&app, &paused, pause).await;
    for ticket in [&by_file, &by_share] {
        app.client.get(ticket, &[]).await.is_dead_link();
    }
}

/// Of any number of starts at once, on three gateways, no more begin than the share allows.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_at_once_on_three_gateways_start_one() {
    let app = start().await;
    let proxies = [("server.trusted_proxies", "127.0.0.1")];
    let others = [app.beside(&proxies).await, app.beside(&proxies).await];
    let gateways = [&app, &others[0], &others[1]];
    // Of a file, and of an archive.
    for files in [&["file_big"][..], &["file_big", "file_def456"]] {
        let shared = share(&app, counted(files, 1)).await;
        let starts = (0..200).map(|number| {
            let app = gateways[number % 3];
            let shared = &shared;
            async move {
                let client = format!("192.0.{}.{}", number / 100, number % 100);
                post(app, shared, &client, &[], "start=1").await.status
            }
        });
        let answers = futures_util::future::join_all(starts).await;
        let count = |status| answers.iter().filter(|answer| **answer == status).count();
        assert_eq!(count(303), 1, "{answers:?}");
        assert_eq!(count(303) + count(409), 200, "{answers:?}");
    }
}
