//! Bad links and bad calls, each sent over a socket.

use hallpass::model::key::Scopes;

use crate::support::app::TestApp;

async fn fixture() -> TestApp {
    TestApp::start().await.with_org_123().await
}

/// The link's path, end and token.
async fn parts(app: &TestApp) -> (String, u64, String) {
    let json = app.mint("file_abc123", "").await;
    let path = "/v1/organizations/org_123/files/file_abc123/download".to_owned();
    (
        path,
        json["expires"].as_u64().unwrap(),
        json["token"].as_str().unwrap().to_owned(),
    )
}

#[tokio::test]
async fn tokens_of_any_other_spelling_are_dead() {
    let app = fixture().await;
    let (path, e, t) = parts(&app).await;
    let (kid, mac) = t.split_once('.').unwrap();
    let long = "x".repeat(7_000);
    let last = mac.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let loose = alphabet
        .chars()
        .nth(alphabet.find(last).unwrap() ^ 1)
        .unwrap();
    let tokens = [
        String::new(),
        ".".into(),
        kid.into(),
        mac.into(),
        format!("{t}A"),
        long,
        format!("{kid}.{}{loose}", &mac[..42]),
        format!("{t}%0a"),
        format!("{t}%00"),
        format!("{t}="),
        format!("{t}%3D"),
        format!("{kid}.{}", mac.to_ascii_uppercase()),
        format!("{kid}..{}", &mac[1..]),
        format!("{kid}.%C3%A9{}", &mac[2..]),
        format!("{kid}.{}%", &mac[..42]),
        format!("{kid}.{}%4", &mac[..42]),
        format!("{kid}.{}%zz", &mac[..42]),
        format!("{kid}x.{mac}"),
        format!("..%2f.{mac}"),
        format!("unknown.{mac}"),
        format!("{}.{mac}", "k".repeat(4_000)),
    ];
    for token in tokens {
        app.client
            .get(&format!("{path}?expires={e}&token={token}"), &[])
            .await
            .is_dead_link();
    }
    let reply = app
        .client
        .get(
            &format!("{path}?expires={e}&token={}", "x".repeat(9_000)),
            &[],
        )
        .await;
    reply.refused(414, "URI_TOO_LONG");
    let reply = app
        .client
        .get(
            &format!("{path}?expires={e}&token={}", "x".repeat(64_000)),
            &[],
        )
        .await;
    assert_eq!(reply.status, 414);
}

#[tokio::test]
async fn a_token_with_any_one_bit_flipped_is_dead() {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
    let app = fixture().await;
    let (path, e, t) = parts(&app).await;
    let (kid, mac) = t.split_once('.').unwrap();
    let bytes = BASE64.decode(mac).unwrap();
    for bit in 0..256 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let forged = format!("{path}?expires={e}&token={kid}.{}", BASE64.encode(&bytes));
        app.client.get(&forged, &[]).await.is_dead_link();
    }
}

#[tokio::test]
async fn ends_of_any_other_spelling_are_dead() {
    let app = fixture().await;
    let (path, e, t) = parts(&app).await;
    let spelled = [
        "".into(),
        "abc".into(),
        "-1".into(),
        format!("+{e}"),
        format!("%2B{e}"),
        "1e9".into(),
        "0x6a0b".into(),
        format!("%20{e}"),
        format!("{e}%20"),
        format!("{e}+"),
        format!("0{e}"),
        format!("{e}.0"),
        "0".into(),
        "1".repeat(40),
        "2147483648".into(),
        "9223372036854775808".into(),
        "18446744073709551616".into(),
        format!("{e}000"),
        "99999999999".into(),
        "%D9%A1%D9%A2".into(),
        format!("{e}%00"),
        format!("{e},{e}"),
    ];
    for expires in spelled {
        app.client
            .get(&format!("{path}?expires={expires}&token={t}"), &[])
            .await
            .is_dead_link();
    }
}

#[tokio::test]
async fn a_known_parameter_is_there_once() {
    let app = fixture().await;
    let (path, e, t) = parts(&app).await;
    for query in [
        format!("expires={e}&token={t}&token=bad"),
        format!("expires={e}&token=bad&token={t}"),
        format!("expires={e}&%74oken={t}&token={t}"),
        format!("expires={e}&expires={e}&token={t}"),
        format!("expires=1&expires=9999999999&token={t}"),
        format!("expires[]={e}&token={t}"),
        format!("Expires={e}&token={t}"),
        format!("expires={e}&token[]={t}"),
        format!("expires={e}&TOKEN={t}"),
        format!("token={t};expires={e}"),
        format!("expires={e}&=v&token={t}"),
        format!("expires={e}&token"),
        format!("expires&token={t}"),
        format!("expires={e}&token={t}&%zz=1"),
        format!("expires={e}&token={t}&%ff=1"),
        format!("expires={e}&token={t}&response-content-disposition=attachment"),
        format!("expires={e}&token={t}&response-content-type=text/html"),
        format!("expires={e}&token={t}&ip="),
        format!("expires={e}&token={t}&not-before=1"),
    ] {
        app.client
            .get(&format!("{path}?{query}"), &[])
            .await
            .is_dead_link();
    }
    for query in [
        format!("token={t}&expires={e}"),
        format!("expires={e}&&token={t}"),
        format!("expires={e}&token={t}&"),
        format!("&expires={e}&token={t}"),
        format!("&&&expires={e}&&&token={t}&&&"),
        format!("expires={e}&%74oken={t}"),
        format!("expires={e}&token={t}&utm_source=x&fbclid=%ff%zz&download"),
        format!("expires={e}&token={t}&token[]=x&TOKEN=y&expires[]=1"),
        format!("expires={e}&token={t}&disposition=attachment&filename=x&type=text/html&cache=0"),
    ] {
        let plain = app
            .client
            .get(&format!("{path}?expires={e}&token={t}"), &[])
            .await;
        let reply = app.client.get(&format!("{path}?{query}"), &[]).await;
        assert_eq!((reply.status, &reply.body), (200, &plain.body), "{query}");
        assert_eq!(
            reply.header("content-disposition"),
            plain.header("content-disposition")
        );
        assert_eq!(reply.header("content-type"), plain.header("content-type"));
    }
}

#[tokio::test]
async fn a_signed_claim_can_neither_be_changed_nor_left_out() {
    let app = fixture().await;
    let link = app
        .link(
            "file_abc123",
            "disposition=attachment&content_type=text/plain",
        )
        .await;
    assert_eq!(app.client.get(&link, &[]).await.status, 200);
    let (path, query) = link.split_once('?').unwrap();
    for name in ["response-content-disposition", "response-content-type"] {
        let without: Vec<_> = query
            .split('&')
            .filter(|piece| !piece.starts_with(name))
            .collect();
        app.client
            .get(&format!("{path}?{}", without.join("&")), &[])
            .await
            .is_dead_link();
        let changed = link.replacen(&format!("{name}="), &format!("{name}=x"), 1);
        app.client.get(&changed, &[]).await.is_dead_link();
    }
    // Scripts in browsers write a space as a plus sign, and proxies encode in their own way.
    let respelled = link.replace("%20", "+").replace("filename", "%66ilename");
    assert_ne!(respelled, link);
    assert_eq!(app.client.get(&respelled, &[]).await.status, 200);
}

#[tokio::test]
async fn other_spellings_of_the_path_open_nothing() {
    let app = fixture().await;
    let link = app.link("file_abc123", "").await;
    let (_, query) = link.split_once('?').unwrap();
    let base = "/v1/organizations/org_123";
    for path in [
        format!("/{base}/files/file_abc123/download"),
        format!("{base}//files/file_abc123/download"),
        format!("{base}/./files/file_abc123/download"),
        format!("{base}/x/../files/file_abc123/download"),
        format!("{base}/files/file_abc123/download/"),
        format!("{base}/files/file_abc123/Download"),
        format!("{base}/files/file_abc123/download;v=1"),
        format!("{base}/files/file_abc123/download;v=1/x"),
        format!("{base}/files/file_abc123/download/x/y"),
        "/..%2f..%2fetc/passwd".into(),
        "/%2e%2e/%2e%2e/etc/passwd".into(),
    ] {
        app.client
            .get(&format!("{path}?{query}"), &[])
            .await
            .refused(404, "NOT_FOUND");
    }
    // One segment, so one file, and no link's parameters are looked at.
    let glued = format!("{base}/files/file_abc123%2Fdownload?{query}");
    app.client
        .get(&glued, &[])
        .await
        .refused(401, "AUTHENTICATION_REQUIRED");
    for file in [
        "%66ile_abc123",
        "file_abc123;v=1",
        "file_abc123%00",
        "file_abc123%2F..",
        "..",
        "%2e%2e",
    ] {
        app.client
            .get(&format!("{base}/files/{file}/download?{query}"), &[])
            .await
            .is_dead_link();
    }
}

#[tokio::test]
async fn methods_are_refused_before_the_token_is_looked_at() {
    let app = fixture().await;
    let link = app.link("file_abc123", "").await;
    let (path, _) = link.split_once('?').unwrap();
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE"] {
        for target in [link.as_str(), path] {
            let reply = app
                .client
                .request(method, target, &[("X-HTTP-Method-Override", "GET")], b"")
                .await;
            reply.refused(405, "METHOD_NOT_ALLOWED");
            assert_eq!(
                reply.header("allow"),
                Some("GET, HEAD, OPTIONS"),
                "{method}"
            );
        }
    }
    app.client
        .request("FOO", &link, &[], b"")
        .await
        .refused(501, "NOT_IMPLEMENTED");
    app.client
        .request(&"M".repeat(5_000), &link, &[], b"")
        .await
        .refused(501, "NOT_IMPLEMENTED");
    let reply = app.client.request("OPTIONS", path, &[], b"").await;
    assert_eq!((reply.status, reply.body.len()), (204, 0));
    for (method, target, allow) in [
        (
            "POST",
            "/v1/organizations/org_123/files/f/content",
            "GET, HEAD",
        ),
        ("POST", "/v1/organizations/org_123/files", "GET, HEAD"),
        (
            "PUT",
            "/v1/organizations/org_123/files/f",
            "GET, HEAD, DELETE",
        ),
        ("GET", "/v1/organizations/org_123/files/upload", "POST"),
        ("OPTIONS", "/v1/organizations/org_123/files", "GET, HEAD"),
    ] {
        let reply = app.client.request(method, target, &[], b"").await;
        reply.refused(405, "METHOD_NOT_ALLOWED");
        assert_eq!(reply.header("allow"), Some(allow), "{method} {target}");
    }
}

#[tokio::test]
async fn c74_errors_without_a_call_have_the_envelope_too() {
    let app = fixture().await;
    for target in [
        "/",
        "/nowhere",
        "/v1",
        "/v1/organizations/org_123",
        "/livez",
        "/readyz",
        "/metrics",
        "/a/..;/livez",
    ] {
        app.client.get(target, &[]).await.refused(404, "NOT_FOUND");
    }
    let reply = app
        .client
        .get("/", &[("X-Request-Id", "my.own_id-1")])
        .await;
    assert_eq!(reply.header("x-request-id"), Some("my.own_id-1"));
    assert_ne!(reply.json()["error"]["trace_id"], "my.own_id-1");
    let reply = app.client.get("/", &[("X-Request-Id", "no<script>")]).await;
    assert_eq!(
        reply.header("x-request-id"),
        reply.json()["error"]["trace_id"].as_str()
    );
}

#[tokio::test]
async fn credentials_that_cannot_be_read_are_no_credentials() {
    let app = fixture().await;
    let target = "/v1/organizations/org_123/files/file_abc123/content";
    let long = "k".repeat(32_000);
    for (headers, code) in [
        (vec![], "AUTHENTICATION_REQUIRED"),
        (
            vec![("Authorization", "Basic eDp5")],
            "AUTHENTICATION_REQUIRED",
        ),
        (
            vec![("Authorization", "Bearer+k1")],
            "AUTHENTICATION_REQUIRED",
        ),
        (vec![("Authorization", "Bearer ")], "INVALID_API_KEY"),
        (
            vec![
                ("Authorization", "Bearer k1"),
                ("Authorization", "Bearer k1"),
            ],
            "INVALID_API_KEY",
        ),
        (
            vec![("X-API-Key", "k1"), ("X-API-Key", "k1")],
            "INVALID_API_KEY",
        ),
        (vec![("X-API-Key", "")], "INVALID_API_KEY"),
        (vec![("X-API-Key", "ключ")], "INVALID_API_KEY"),
        (vec![("X-API-Key", long.as_str())], "INVALID_API_KEY"),
        (
            vec![("X-API-Key", "wrong"), ("Authorization", "Bearer k1")],
            "INVALID_API_KEY",
        ),
    ] {
        app.client.get(target, &headers).await.refused(401, code);
        let missing = target.replace("file_abc123", "%00");
        app.client.get(&missing, &headers).await.refused(401, code);
    }
    assert_eq!(
        app.client
            .get(target, &[("Authorization", "bearer k1")])
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn ids_that_are_none_are_files_that_do_not_exist() {
    let app = fixture().await;
    let long = "x".repeat(4_000);
    for id in [
        "%2e%2e",
        "file_%00",
        "'%3B%20DROP--",
        "%3Cscript%3E",
        "%ED%A0%80",
        "%FF",
        "%F0%9F%98%80",
        "a'b",
        &long,
    ] {
        for suffix in ["/content", ""] {
            let target = format!("/v1/organizations/org_123/files/{id}{suffix}");
            app.client
                .get(&target, &[("X-API-Key", "k1")])
                .await
                .refused(404, "FILE_NOT_FOUND");
        }
    }
    let foreign = app
        .client
        .get(
            "/v1/organizations/org_abc123/files/file_abc123",
            &[("X-API-Key", "k2")],
        )
        .await;
    let missing = app
        .client
        .get(
            "/v1/organizations/org_abc123/files/file_missing",
            &[("X-API-Key", "k2")],
        )
        .await;
    let without_ids = |reply: &crate::support::client::Reply| {
        let mut json = reply.json();
        json["error"]["trace_id"] = "".into();
        json
    };
    foreign.refused(404, "FILE_NOT_FOUND");
    assert_eq!(
        without_ids(&foreign),
        without_ids(&missing),
        "another's file looks like none"
    );
}

#[tokio::test]
async fn a_damaged_file_is_never_half_served() {
    let app = on_disk().await;
    let bytes = vec![7_u8; 300_000];
    for (id, length) in [
        ("gone", None),
        ("short", Some(299_999)),
        ("long", Some(300_001)),
    ] {
        app.add(id, "x.bin", &bytes).await;
        let link = app.link(id, "").await;
        damage(&app, length);
        let reply = app.client.get(&link, &[]).await;
        let error = reply.refused(500, "INTERNAL_ERROR");
        assert!(
            !error.to_string().contains("blobs/"),
            "no path of ours is told: {error}"
        );
    }
}

/// Within the second in which it is looked at again, an open file gives the right bytes or an answer that
/// is cut off.
#[tokio::test]
async fn a_file_that_is_damaged_while_it_is_open_is_never_half_served() {
    let app = on_disk().await;
    let bytes = vec![7_u8; 300_000];
    for (id, length) in [
        ("gone", None),
        ("short", Some(299_999)),
        ("long", Some(300_001)),
    ] {
        app.add(id, "x.bin", &bytes).await;
        let link = app.link(id, "").await;
        assert_eq!(app.client.get(&link, &[]).await.body, bytes);
        damage(&app, length);
        let request = format!("GET {link} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let begun = std::time::Instant::now();
        loop {
            assert!(begun.elapsed().as_secs() < 10, "{id} is never noticed");
            let answer = app.client.exchange(request.as_bytes(), false).await;
            let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
            let Some(end) = end else {
                assert_eq!(id, "short", "cut off before it began");
                continue;
            };
            let (head, body) = answer.split_at(end + 4);
            if head.starts_with(b"HTTP/1.1 500 ") {
                break;
            }
            assert!(head.starts_with(b"HTTP/1.1 200 "));
            let whole = if id == "short" {
                0..300_000
            } else {
                300_000..300_001
            };
            assert!(whole.contains(&body.len()), "{id}: {}", body.len());
            assert!(body.iter().all(|byte| *byte == 7));
        }
        println!("{id}: noticed after {:?}", begun.elapsed());
    }
}

/// A gateway whose blobs are files, wherever those of other tests are.
async fn on_disk() -> TestApp {
    let app = TestApp::start_with(&[("blobs.mode", "0600")]).await;
    app.with_org_123().await
}

/// Removes the newest blob, or gives it this length.
fn damage(app: &TestApp, length: Option<u64>) {
    let blob = newest_blob(app.directory.path().join("data/blobs"), 300_000);
    match length {
        None => std::fs::remove_file(&blob).unwrap(),
        Some(length) => {
            let file = std::fs::File::options().write(true).open(&blob);
            file.unwrap().set_len(length).unwrap();
        }
    }
}

/// The one blob of this size.
fn newest_blob(root: std::path::PathBuf, size: u64) -> std::path::PathBuf {
    let mut todo = vec![root];
    while let Some(directory) = todo.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            match entry.metadata().unwrap() {
                found if found.is_dir() => todo.push(entry.path()),
                found if found.len() == size => return entry.path(),
                _ => {}
            }
        }
    }
    panic!("no blob of {size} bytes");
}

/// That there is no such key is kept for a while, but not after it was made.
#[tokio::test]
async fn a_key_that_was_refused_works_as_soon_as_it_is_made() {
    let app = TestApp::start().await.with_org_123().await;
    let list = "/v1/organizations/org_123/files";
    let key = [("X-API-Key", "made-later-1")];
    for _ in 0..3 {
        assert_eq!(app.client.get(list, &key).await.status, 401);
    }
    app.api_key("org_123", "made-later-1", Scopes::USUAL).await;
    assert_eq!(app.client.get(list, &key).await.status, 200);
}
