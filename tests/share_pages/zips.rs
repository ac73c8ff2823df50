//! All files of a share in one archive: what starts it, what it counts as, and what becomes of it when its files change.

use std::time::Duration;

use hallpass::catalog::maintenance::Text;
use hallpass::catalog::shares::ShareEdit;
use hallpass::gateway::shares::ShareFields;
use hallpass::model::name::FileName;

use super::{
    PATIENCE, SIZE, Shared, after_bytes, at_second, big, counted, counts, edit, forget, lock, look,
    of, organization, post, sent_on, share, start, start_with, started, text,
};
use crate::archives::{assert_all_read, unzipped};
use crate::support::app::{TestApp, new_file};
use crate::support::client::Reply;

const BOTH: [&str; 2] = ["file_big", "file_def456"];

/// What the other file of the fixture has.
async fn other(app: &TestApp) -> Vec<u8> {
    let link = app.link("file_def456", "").await;
    app.client.get(&link, &[]).await.body
}

/// A counted share of both files.
async fn both(app: &TestApp, downloads: u64) -> Shared {
    share(app, counted(&BOTH, downloads)).await
}

/// The zip of a ticket, whole.
async fn zip(app: &TestApp, ticket: &str) -> Reply {
    let reply = app.client.get(ticket, &[]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/zip"));
    let length = reply.body.len().to_string();
    assert_eq!(reply.header("content-length"), Some(length.as_str()));
    reply
}

#[tokio::test]
async fn a_page_offers_all_as_zip_and_every_reader_reads_it() {
    let app = start().await;
    let fields = ShareFields {
        title: Some("Q3/Q4 \"r\u{e9}sum\u{e9}\"".into()),
        ..of(&BOTH)
    };
    let shared = share(&app, fields).await;
    let page = text(&look(&app, &shared, &[]).await);
    assert!(
        page.contains("<button>Download all as zip, 300 kB</button>"),
        "{page}"
    );
    let ticket = started(&app, &shared, "192.0.2.1").await;
    let name = "/Q3_Q4%20%22r%C3%A9sum%C3%A9%22.zip";
    assert!(ticket.ends_with(name), "{ticket}");
    let reply = zip(&app, &ticket).await;
    let disposition = reply.header("content-disposition").unwrap();
    assert!(
        disposition.contains("filename*=UTF-8''Q3_Q4%20%22r%C3%A9sum%C3%A9%22.zip"),
        "{disposition}"
    );
    for (name, value) in [
        ("cache-control", "private, no-store"),
        ("accept-ranges", "bytes"),
        ("x-robots-tag", "noindex, nofollow, noarchive"),
        ("referrer-policy", "no-referrer"),
        ("access-control-allow-origin", "*"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    assert_eq!(reply.header("set-cookie"), None);
    assert!(reply.header("etag").unwrap().starts_with("\"zip1-"));
    let files = unzipped(&reply.body);
    assert!(files["big file.bin"] == big() && files["other.png"] == other(&app).await);
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("all.zip"), &reply.body).unwrap();
    assert_all_read(place.path(), 2);
    // It spends nothing, and counts for the share.
    let found = after_bytes(&app, &shared, reply.body.len()).await;
    assert_eq!((found.counts.downloads, found.counts.whole), (1, 1));
}

#[tokio::test]
async fn what_offers_none_starts_none() {
    let app = start().await;
    let without = ShareFields {
        zip: Some(false),
        ..of(&BOTH)
    };
    let without = share(&app, without).await;
    let one = share(&app, of(&["file_big"])).await;
    for shared in [&without, &one] {
        let page = text(&look(&app, shared, &[]).await);
        assert!(!page.contains("zip"), "{page}");
    }
    let reply = post(&app, &without, "192.0.2.1", &[], "start=1").await;
    reply.refused(404, "FILE_NOT_FOUND");
    let of_one = started(&app, &one, "192.0.2.1").await;
    assert!(of_one.ends_with("/big%20file.bin"), "{of_one}");
    // What counts its downloads has no other way, whatever it says of archives.
    let counted = ShareFields {
        zip: Some(false),
        ..counted(&BOTH, 1)
    };
    let counted = share(&app, counted).await;
    let page = text(&look(&app, &counted, &[]).await);
    assert!(page.contains("Download all as zip"), "{page}");
    assert!(
        started(&app, &counted, "192.0.2.1")
            .await
            .ends_with("/files.zip")
    );
    // An archive that is started is none any more once its share has none.
    let shared = share(&app, of(&BOTH)).await;
    let ticket = started(&app, &shared, "192.0.2.1").await;
    zip(&app, &ticket).await;
    let mut options = app
        .gateway
        .share(&manager(), &shared.id)
        .await
        .unwrap()
        .share
        .options;
    options.zip = false;
    let change = ShareEdit {
        options: Some(options),
        ..ShareEdit::default()
    };
    edit(&app, &shared, change).await;
    app.client.get(&ticket, &[]).await.is_dead_link();
}

#[tokio::test]
async fn a_zip_is_one_download_and_done_with_its_length() {
    let app = start().await;
    let shared = both(&app, 1).await;
    let ticket = started(&app, &shared, "192.0.2.1").await;
    let head = app.client.request("HEAD", &ticket, &[], b"").await;
    assert_eq!(head.status, 200);
    let length: usize = head.header("content-length").unwrap().parse().unwrap();
    assert!(length > SIZE);
    // Nothing is spent by who looks, nor by an answer without bytes.
    let etag = head.header("etag").unwrap().to_owned();
    let unchanged = app.client.get(&ticket, &[("If-None-Match", &etag)]).await;
    assert_eq!(unchanged.status, 304);
    let found = counts(&app, &shared).await;
    assert_eq!((found.done, found.open, found.counts.bytes_sent), (0, 1, 0));
    let first = format!("bytes=0-{}", length - 2);
    let first = app.client.get(&ticket, &[("Range", &first)]).await;
    assert_eq!(first.status, 206);
    let found = after_bytes(&app, &shared, length - 1).await;
    assert_eq!((found.done, found.open), (0, 1), "a byte is missing");
    let second = post(&app, &shared, "192.0.2.2", &[], "start=1").await;
    second.refused(409, "DOWNLOAD_IN_PROGRESS");
    let last = [("Range", "bytes=-1"), ("If-Range", etag.as_str())];
    let last = app.client.get(&ticket, &last).await;
    assert_eq!((last.status, last.body.len()), (206, 1));
    let found = after_bytes(&app, &shared, length).await;
    assert_eq!((found.done, found.open), (1, 0));
    assert_eq!((found.counts.downloads, found.counts.whole), (2, 0));
    assert_eq!(unzipped(&[first.body, last.body].concat()).len(), 2);
    let second = post(&app, &shared, "192.0.2.2", &[], "start=1").await;
    second.refused(410, "DOWNLOADS_EXHAUSTED");
    // For ten minutes more its holder may have it again.
    zip(&app, &ticket).await;
    at_second(&app, 601).await;
    app.client.get(&ticket, &[]).await.is_dead_link();
}

/// One byte less than all, then the last byte: together they are one download.
#[tokio::test]
async fn lapsed_zips_add_up_to_one() {
    let app = start().await;
    let shared = both(&app, 1).await;
    let first = started(&app, &shared, "192.0.2.1").await;
    let head = app.client.request("HEAD", &first, &[], b"").await;
    let length: usize = head.header("content-length").unwrap().parse().unwrap();
    let range = format!("bytes=0-{}", length - 2);
    app.client.get(&first, &[("Range", &range)]).await;
    after_bytes(&app, &shared, length - 1).await;
    at_second(&app, 900).await;
    let second = started(&app, &shared, "192.0.2.2").await;
    let last = app.client.get(&second, &[("Range", "bytes=-1")]).await;
    assert_eq!((last.status, last.body.len()), (206, 1));
    let found = after_bytes(&app, &shared, length).await;
    assert_eq!((found.done, found.open), (0, 1));
    app.client.get(&first, &[]).await.is_dead_link();
    at_second(&app, 1_800).await;
    let third = post(&app, &shared, "192.0.2.3", &[], "start=1").await;
    third.refused(410, "DOWNLOADS_EXHAUSTED");
    let found = counts(&app, &shared).await;
    assert_eq!((found.done, found.open), (1, 0));
}

#[tokio::test]
async fn a_zip_goes_on_at_another_gateway() {
    let app = start().await;
    let shared = both(&app, 1).await;
    let beside = app.beside(&[("server.trusted_proxies", "127.0.0.1")]).await;
    let ticket = started(&app, &shared, "192.0.2.1").await;
    let half = app
        .client
        .get(&ticket, &[("Range", "bytes=0-149999")])
        .await;
    let etag = half.header("etag").unwrap().to_owned();
    let headers = [("Range", "bytes=150000-"), ("If-Range", etag.as_str())];
    let rest = beside.client.get(&ticket, &headers).await;
    assert_eq!((half.status, rest.status), (206, 206));
    let whole = [half.body, rest.body].concat();
    assert_eq!(unzipped(&whole).len(), 2);
    beside.gateway.flush_share_counts().await.unwrap();
    beside.gateway.flush_sent().await.unwrap();
    let found = after_bytes(&app, &shared, whole.len()).await;
    assert_eq!((found.done, found.open), (1, 0));
    forget().await;
    assert!(zip(&beside, &ticket).await.body == whole);
}

#[tokio::test]
async fn the_ticket_of_a_zip_alone_is_good_for_a_minute_behind_a_password() {
    let app = start().await;
    let shared = share(&app, of(&BOTH)).await;
    lock(&app, &shared, "correct horse").await;
    let reply = post(&app, &shared, "192.0.2.1", &[], "start=1").await;
    assert_eq!(reply.status, 401);
    let form = "password=correct+horse&start=1";
    let reply = post(&app, &shared, "192.0.2.1", &[], form).await;
    let (ticket, pass) = (sent_on(&reply), super::cookie(&reply));
    zip(&app, &ticket).await;
    at_second(&app, 60).await;
    let stranger = [("X-Forwarded-For", "198.51.100.7")];
    app.client.get(&ticket, &stranger).await.is_dead_link();
    for holder in [("Cookie", pass.as_str()), ("X-Forwarded-For", "192.0.2.1")] {
        let headers = [stranger[0], holder];
        let headers = match holder.0 {
            "Cookie" => &headers[..],
            _ => &headers[1..],
        };
        assert_eq!(app.client.get(&ticket, headers).await.status, 200);
    }
}

#[tokio::test]
async fn what_is_not_there_at_the_start_is_not_in_it() {
    let app = start().await;
    for id in ["gone", "damaged", "revoked"] {
        app.add(id, &format!("{id}.txt"), id.as_bytes()).await;
    }
    let all = ["file_big", "gone", "damaged", "revoked"];
    let shared = share(&app, counted(&all, 1)).await;
    // The page is there, and then it happens.
    assert!(text(&look(&app, &shared, &[]).await).contains("gone.txt"));
    let id = "gone".parse().unwrap();
    app.gateway.delete(&organization(), &id).await.unwrap();
    app.mark_as_damaged("damaged").await;
    app.revoke_links_of("revoked").await;
    forget().await;
    let page = text(&look(&app, &shared, &[]).await);
    for state in ["No longer here", "Cannot be read"] {
        assert!(page.contains(state), "{page}");
    }
    let ticket = started(&app, &shared, "192.0.2.1").await;
    let reply = zip(&app, &ticket).await;
    let files = unzipped(&reply.body);
    assert_eq!(files.keys().collect::<Vec<_>>(), ["big file.bin"]);
    let found = after_bytes(&app, &shared, reply.body.len()).await;
    assert_eq!((found.done, found.open), (1, 0), "that is all there was");
    // Without any file there is nothing to start.
    let empty = share(&app, counted(&["damaged", "revoked"], 1)).await;
    app.revoke_links_of("revoked").await;
    forget().await;
    let page = text(&look(&app, &empty, &[]).await);
    assert!(!page.contains("<button"), "{page}");
    let reply = post(&app, &empty, "192.0.2.1", &[], "start=1").await;
    reply.refused(404, "FILE_NOT_FOUND");
    let found = counts(&app, &empty).await;
    assert_eq!((found.done, found.open), (0, 0));
}

#[tokio::test]
async fn a_zip_that_changed_between_start_and_rest_begins_anew() {
    let app = start().await;
    app.add("more", "more.txt", b"more bytes").await;
    let shared = share(&app, counted(&["file_big", "more"], 1)).await;
    let ticket = started(&app, &shared, "192.0.2.1").await;
    let half = app.client.get(&ticket, &[("Range", "bytes=0-99999")]).await;
    let etag = half.header("etag").unwrap().to_owned();
    let id = "more".parse().unwrap();
    app.gateway.delete(&organization(), &id).await.unwrap();
    let headers = [("Range", "bytes=100000-"), ("If-Range", etag.as_str())];
    let anew = app.client.get(&ticket, &headers).await;
    assert_eq!(anew.status, 200, "another archive is there now");
    assert_ne!(anew.header("etag"), Some(etag.as_str()));
    assert_eq!(unzipped(&anew.body).len(), 1);
    // More was sent than its length was at the start: it is done, once.
    let found = after_bytes(&app, &shared, 100_000 + anew.body.len()).await;
    assert_eq!((found.done, found.open), (1, 0));
    // A file that was put into the share meanwhile is in it, too.
    let shared = share(&app, counted(&["file_big", "file_def456"], 1)).await;
    let ticket = started(&app, &shared, "192.0.2.1").await;
    app.add("late", "late.txt", b"late").await;
    let fields = of(&["file_big", "file_def456", "late"]);
    app.gateway
        .edit_share(&manager(), &shared.id, fields)
        .await
        .unwrap();
    assert_eq!(unzipped(&zip(&app, &ticket).await.body).len(), 3);
}

#[tokio::test]
async fn a_page_says_of_each_file_what_it_is() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().canonicalize().unwrap();
    let app = start_with(&[
        ("blobs.in_place_roots", root.to_str().unwrap()),
        ("blobs.mode", "0600"),
    ])
    .await;
    let path = root.join("lies there.txt");
    std::fs::write(&path, b"where it lies").unwrap();
    app.register("in_place", &path).await;
    let shared = share(&app, of(&["file_big", "in_place"])).await;
    let page = text(&look(&app, &shared, &[]).await);
    assert_eq!(
        page.matches("Lies at its original place").count(),
        1,
        "{page}"
    );
    assert!(!page.contains("The checksums of some files"), "{page}");
    // As a version wrote it that took no CRC-32. Whatever is noted of it has gateways read its row again.
    app.sql("UPDATE file SET crc32 = NULL WHERE id = 'file_big'");
    let noted = Text {
        organization: organization(),
        file: "file_big".parse().unwrap(),
        is_text: false,
    };
    let catalogue = app.catalogue_from_outside().await;
    catalogue.set_text(&[noted]).await.unwrap();
    forget().await;
    let page = text(&look(&app, &shared, &[]).await);
    assert!(
        page.contains("The checksums of some files are still being taken"),
        "{page}"
    );
    let ticket = started(&app, &shared, "192.0.2.1").await;
    let reply = zip(&app, &ticket).await;
    assert_eq!(
        (reply.header("etag"), reply.header("accept-ranges")),
        (None, None)
    );
    assert_eq!(unzipped(&reply.body)["lies there.txt"], b"where it lies");
    let part = app.client.get(&ticket, &[("Range", "bytes=5-")]).await;
    assert_eq!((part.status, part.body.len()), (200, reply.body.len()));
}

/// Nobody ever reads a file for its checksum that was registered unread, as `hallpass share` does.
#[tokio::test]
async fn a_page_waits_for_no_checksum_that_nobody_takes() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().canonicalize().unwrap();
    let app = start_with(&[("blobs.in_place_roots", root.to_str().unwrap())]).await;
    let path = root.join("lies there.bin");
    std::fs::write(&path, big()).unwrap();
    let new = new_file("org_123", "unread", "lies there.bin");
    let kept = app.gateway.keep_unread(&path, new).await.unwrap();
    let added = app.gateway.add_staged(vec![kept]).await;
    assert_eq!(added[0].as_ref().unwrap().crc32, None);
    let shared = share(&app, of(&["file_big", "unread"])).await;
    let page = text(&look(&app, &shared, &[]).await);
    assert!(page.contains("Download all as zip, "), "{page}");
    assert!(!page.contains("The checksums of some files"), "{page}");
}

#[tokio::test]
async fn a_zip_is_sent_at_the_pace_of_its_share() {
    const RATE: usize = 200_000;
    let rate = RATE.to_string();
    let app = start_with(&[("limits.link_bytes_per_second", &rate)]).await;
    let shared = both(&app, 1).await;
    let ticket = started(&app, &shared, "192.0.2.1").await;
    let begun = std::time::Instant::now();
    let length = zip(&app, &ticket).await.body.len();
    // A second's worth goes out at once.
    let least = Duration::from_secs_f64((length - RATE) as f64 / RATE as f64);
    let took = begun.elapsed();
    assert!(took >= least && took < PATIENCE, "{took:?}, not {least:?}");
    let found = after_bytes(&app, &shared, length).await;
    assert_eq!((found.done, found.open), (1, 0));
}

#[tokio::test]
async fn ten_thousand_files_are_in_one_zip() {
    let app = start().await;
    let ids = app.add_copies("file_def456", 10_000).await;
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let shared = share(&app, counted(&ids, 1)).await;
    let page = text(&look(&app, &shared, &[]).await);
    assert!(page.contains("Files 1 to 500 of 10,000"), "{page}");
    assert!(page.contains("Download all as zip, "), "{page}");
    let ticket = started(&app, &shared, "192.0.2.1").await;
    let reply = zip(&app, &ticket).await;
    let files = unzipped(&reply.body);
    assert_eq!(files.len(), 10_000);
    let bytes = other(&app).await;
    assert!(files.values().all(|file| *file == bytes));
    assert!(files.contains_key("other (10000).png"));
    let found = after_bytes(&app, &shared, reply.body.len()).await;
    assert_eq!((found.done, found.open), (1, 0));
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("all.zip"), &reply.body).unwrap();
    assert_all_read(place.path(), 10_000);
}

/// Without a zip nobody has all files at once, and where downloads are counted nobody has any: the page says why.
#[tokio::test]
async fn names_too_long_for_a_zip_are_said_to_be() {
    let app = start().await;
    let catalogue = app.catalogue_from_outside().await;
    let (organization, file) = (organization(), "file_def456".parse().unwrap());
    let like = catalogue.file(&organization, &file).await.unwrap().unwrap();
    let ids: Vec<String> = (0..10_000).map(|n| format!("file_{n:05}")).collect();
    let records: Vec<_> = ids
        .iter()
        .map(|id| {
            let mut record = like.clone();
            record.id = id.parse().unwrap();
            // The archive has each name twice.
            let name = format!("{id}{}", "\u{20000}".repeat(240));
            record.name = FileName::from_client(&name).unwrap();
            record
        })
        .collect();
    catalogue.add_files(&records).await.unwrap();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let (said, said_of_counted) = (
        "There is no zip of all of them, because their names are too long together.",
        "These files cannot be downloaded: this share gives them only together",
    );
    let shared = share(&app, of(&ids)).await;
    let page = text(&look(&app, &shared, &[]).await);
    assert!(page.contains(said) && !page.contains("Download all as zip"));
    assert!(!page.contains(said_of_counted));
    let counted = share(&app, counted(&ids, 1)).await;
    let page = text(&look(&app, &counted, &[]).await);
    assert!(page.contains(said_of_counted) && !page.contains("<button"));
    assert!(!page.contains(said));
    for shared in [&shared, &counted] {
        let reply = post(&app, shared, "192.0.2.1", &[], "start=1").await;
        assert_eq!(reply.status, 409, "{}", text(&reply));
    }
}

fn manager() -> hallpass::gateway::shares::ShareManager {
    hallpass::gateway::shares::ShareManager::Operator(organization())
}
