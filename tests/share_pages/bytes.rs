//! The bytes of files by their numbers: a link that can be embedded, of a share without a password and a count.

use super::{HTML, SIZE, after_bytes, big, counted, lock, of, share, start};

#[tokio::test]
async fn a_file_by_its_number_is_answered_as_the_byte_route_does() {
    let app = start().await;
    let shared = share(&app, of(&["file_big"])).await;
    let path = shared.at("/files/1/big%20file.bin");
    let whole = app.client.get(&path, &[]).await;
    assert_eq!((whole.status, whole.body == big()), (200, true));
    assert_eq!(whole.header("set-cookie"), None);
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    assert_eq!(whole.header("access-control-allow-origin"), Some("*"));
    assert_eq!(whole.header("referrer-policy"), Some("no-referrer"));
    let of_link = app.link("file_big", "").await;
    let of_link = app.client.get(&of_link, &[]).await;
    let etag = whole.header("etag").unwrap();
    assert_eq!(of_link.header("etag"), Some(etag), "the same bytes");
    for name in [
        "content-type",
        "content-disposition",
        "cross-origin-resource-policy",
        "last-modified",
    ] {
        assert_eq!(whole.header(name), of_link.header(name), "{name}");
    }
    let part = app.client.get(&path, &[("Range", "bytes=100-199")]).await;
    assert_eq!((part.status, part.body == big()[100..200]), (206, true));
    let unchanged = app.client.get(&path, &[("If-None-Match", etag)]).await;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    let past = app.client.get(&path, &[("Range", "bytes=300000-")]).await;
    assert_eq!(past.status, 416);
    let head = app.client.request("HEAD", &path, &[], b"").await;
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("300000"))
    );
    let preflight = app
        .client
        .request("OPTIONS", &path, &[("Origin", "https://a.example")], b"")
        .await;
    assert_eq!(preflight.status, 204);
    // The name says nothing, but is there.
    assert_eq!(
        app.client.get(&shared.at("/files/1/x"), &[]).await.status,
        200
    );
    let found = after_bytes(&app, &shared, 2 * SIZE + 100).await;
    assert_eq!((found.counts.downloads, found.counts.whole), (3, 2));
    assert_eq!((found.done, found.open), (0, 0));
}

#[tokio::test]
async fn no_bytes_without_the_password_or_the_count() {
    let app = start().await;
    let locked = share(&app, of(&["file_big"])).await;
    lock(&app, &locked, "correct horse").await;
    let counted = share(&app, counted(&["file_big"], 3)).await;
    for shared in [&locked, &counted] {
        for range in ["bytes=0-0", "bytes=0-"] {
            let path = shared.at("/files/1/x");
            app.client
                .get(&path, &[("Range", range)])
                .await
                .is_dead_link();
            let page = app.client.get(&path, &[HTML]).await;
            assert_eq!(page.status, 401);
        }
        let head = app
            .client
            .request("HEAD", &shared.at("/files/1/x"), &[], b"")
            .await;
        assert_eq!(
            (head.status, head.header("content-length").is_some()),
            (401, true)
        );
        assert_eq!(head.header("etag"), None, "nothing is said of the file");
    }
}

#[tokio::test]
async fn numbers_that_no_file_has_are_not_found() {
    let app = start().await;
    let shared = share(&app, of(&["file_big"])).await;
    for number in [
        "0",
        "2",
        "1000000000",
        "-1",
        "01",
        "1e0",
        "x",
        "%31",
        "18446744073709551616",
    ] {
        let path = shared.at(&format!("/files/{number}/x"));
        app.client
            .get(&path, &[])
            .await
            .refused(404, "FILE_NOT_FOUND");
    }
}
