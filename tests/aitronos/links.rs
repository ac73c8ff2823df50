//! Minting, and what a link opens: checks 40 to 54.

use hallpass::model::key::Scopes;
use serde_json::json;

use crate::support::app::{PNG, T0, TestApp, target};

const CONTENT: &str = "/v1/organizations/org_123/files/file_abc123/content";
const DOWNLOAD: &str = "/v1/organizations/org_123/files/file_abc123/download";

async fn fixture() -> TestApp {
    TestApp::start().await.with_org_123().await
}

#[tokio::test]
async fn c40_mint_answers_seven_fields() {
    let app = fixture().await;
    let reply = app.client.get(CONTENT, &[("X-API-Key", "k1")]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let json = reply.json();
    let (token, url) = (
        json["token"].as_str().unwrap(),
        json["download_url"].as_str().unwrap(),
    );
    let expires = T0 + 3600;
    assert_eq!(
        json,
        json!({
            "file_id": "file_abc123",
            "filename": "report.png",
            "mime_type": "image/png",
            "file_size": PNG.len(),
            "download_url": format!("http://{}{DOWNLOAD}?expires={expires}&token={token}", app.client.0),
            "token": token,
            "expires": 1_779_122_092,
        })
    );
    let keys = [
        "file_id",
        "filename",
        "mime_type",
        "file_size",
        "download_url",
        "token",
        "expires",
    ];
    let text = String::from_utf8(reply.body).unwrap();
    let places: Vec<_> = keys
        .iter()
        .map(|key| text.find(&format!("\"{key}\":")).unwrap())
        .collect();
    assert!(
        places.is_sorted(),
        "the fields stand in the vendor's order: {text}"
    );
    assert!(!text.contains(' '), "compact: {text}");
    assert!(url.starts_with("http://"));
}

#[tokio::test]
async fn c41_the_download_path_mints_as_well_for_a_key_without_a_link() {
    let app = fixture().await;
    let content = app.client.get(CONTENT, &[("X-API-Key", "k1")]).await;
    for headers in [
        [("X-API-Key", "k1")],
        [("Authorization", "Bearer k1")],
        [("authorization", "bEARER k1")],
    ] {
        let reply = app.client.get(DOWNLOAD, &headers).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.json(), content.json());
    }
    let with_options = app
        .client
        .get(&format!("{DOWNLOAD}?expires_in=60"), &[("X-API-Key", "k1")])
        .await;
    assert_eq!(with_options.json()["expires"], T0 + 60);
}

#[tokio::test]
async fn c42_the_link_has_exactly_its_token_and_its_end() {
    let app = fixture().await;
    let json = app.mint("file_abc123", "").await;
    let link = target(json["download_url"].as_str().unwrap());
    let (path, query) = link.split_once('?').unwrap();
    assert_eq!(path, DOWNLOAD);
    let (expires, token) = (
        json["expires"].as_u64().unwrap(),
        json["token"].as_str().unwrap(),
    );
    assert_eq!(query, format!("expires={expires}&token={token}"));
    let (kid, mac) = token.split_once('.').unwrap();
    assert!((1..=16).contains(&kid.len()) && mac.len() == 43);
}

#[tokio::test]
async fn c43_the_link_alone_opens_the_bytes() {
    let app = fixture().await;
    let link = app.link("file_abc123", "").await;
    let reply = app.client.get(&link, &[]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("image/png"));
    assert_eq!(
        reply.header("content-disposition"),
        Some("inline; filename=\"report.png\"")
    );
    assert_eq!(reply.header("cache-control"), Some("private, max-age=3600"));
    assert_eq!(
        reply.header("content-length"),
        Some(PNG.len().to_string().as_str())
    );
    assert_eq!(reply.header("accept-ranges"), Some("bytes"));
    assert_eq!(
        reply.header("last-modified"),
        Some("Mon, 18 May 2026 15:34:52 GMT")
    );
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(
        reply.header("x-robots-tag"),
        Some("noindex, nofollow, noarchive")
    );
    assert_eq!(
        reply.header("content-security-policy"),
        None,
        "a picture can do nothing"
    );
    assert_eq!(reply.header("set-cookie"), None);
    let etag = reply.header("etag").unwrap();
    assert!(
        etag.len() == 66 && etag.starts_with('"') && etag.ends_with('"'),
        "{etag}"
    );
    assert!(
        reply
            .header("repr-digest")
            .unwrap()
            .starts_with("sha-256=:")
    );
    assert_eq!(reply.body, PNG);
}

#[tokio::test]
async fn c44_other_credentials_beside_a_link_change_nothing() {
    let app = fixture().await;
    let link = app.link("file_abc123", "").await;
    for headers in [
        ("Authorization", "Bearer nonsense"),
        ("X-API-Key", "wrong"),
        ("Authorization", "Basic eDp5"),
    ] {
        let reply = app.client.get(&link, &[headers]).await;
        assert_eq!(
            (reply.status, reply.body.as_slice()),
            (200, PNG),
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn c45_a_link_ends_at_its_end_and_not_before() {
    let app = fixture().await;
    let link = app.link("file_abc123", "").await;
    app.at(3599);
    assert_eq!(app.client.get(&link, &[]).await.status, 200);
    app.at(3600);
    app.client.get(&link, &[]).await.is_dead_link();
}

#[tokio::test]
async fn c46_the_refusal_is_the_vendors_own() {
    let app = fixture().await;
    app.at(33);
    let mut trace_ids = Vec::new();
    for _ in 0..2 {
        let reply = app
            .client
            .get(&format!("{DOWNLOAD}?token=x&expires=1"), &[])
            .await;
        reply.is_dead_link();
        let trace_id = reply.json()["error"]["trace_id"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(reply.header("x-request-id"), Some(trace_id.as_str()));
        assert_eq!(
            String::from_utf8(reply.body).unwrap(),
            format!(
                "{{\"success\":false,\"error\":{{\"code\":\"TOKEN_INVALID\",\
                 \"message\":\"The download link has expired or is invalid.\",\
                 \"system_message\":\"Token invalid or expired\",\"type\":\"client_error\",\"status\":401,\
                 \"details\":{{}},\"trace_id\":\"{trace_id}\",\"timestamp\":\"2026-05-18T15:35:25Z\"}}}}"
            )
        );
        trace_ids.push(trace_id);
    }
    assert_ne!(trace_ids[0], trace_ids[1]);
}

#[tokio::test]
async fn c47_the_end_is_signed() {
    let app = fixture().await;
    let json = app.mint("file_abc123", "").await;
    let (expires, token) = (
        json["expires"].as_u64().unwrap(),
        json["token"].as_str().unwrap(),
    );
    for other in [expires + 1, expires - 1, expires * 10] {
        app.client
            .get(&format!("{DOWNLOAD}?expires={other}&token={token}"), &[])
            .await
            .is_dead_link();
    }
}

#[tokio::test]
async fn c48_a_token_opens_no_other_file() {
    let app = fixture().await;
    let query = app
        .link("file_abc123", "")
        .await
        .split_once('?')
        .unwrap()
        .1
        .to_owned();
    for file in [
        "file_def456",
        "file_nowhere",
        "FILE_ABC123",
        "file_abc12",
        "file_abc1234",
        "a%2fb",
        "...",
    ] {
        let reply = app
            .client
            .get(
                &format!("/v1/organizations/org_123/files/{file}/download?{query}"),
                &[],
            )
            .await;
        reply.is_dead_link();
    }
}

#[tokio::test]
async fn c49_a_token_opens_nothing_of_another_organization() {
    let app = fixture().await;
    let link = app
        .link("file_abc123", "")
        .await
        .replace("org_123", "org_abc123");
    app.client.get(&link, &[]).await.is_dead_link();
}

#[tokio::test]
async fn c50_every_malformed_link_is_the_same_refusal() {
    let app = fixture().await;
    let json = app.mint("file_abc123", "").await;
    let (e, t) = (
        json["expires"].as_u64().unwrap(),
        json["token"].as_str().unwrap(),
    );
    let (kid, mac) = t.split_once('.').unwrap();
    let flipped = if mac.starts_with('A') {
        mac.replacen('A', "B", 1)
    } else {
        format!("A{}", &mac[1..])
    };
    let queries = [
        String::new(),
        format!("expires={e}"),
        format!("token={t}"),
        format!("expires=abc&token={t}"),
        format!("expires=-1&token={t}"),
        format!("expires=1e9&token={t}"),
        format!("expires={}&token={t}", "1".repeat(40)),
        format!("expires={e}&token="),
        format!("expires={e}&token={}", &t[..t.len() - 1]),
        format!("expires={e}&token={kid}.{flipped}"),
        format!("expires={e}&token={t}&token={t}"),
    ];
    for query in queries {
        app.client
            .get(&format!("{DOWNLOAD}?{query}"), &[])
            .await
            .is_dead_link();
    }
    app.client.get(DOWNLOAD, &[]).await.is_dead_link();
}

#[tokio::test]
async fn c51_the_link_of_a_deleted_file_is_not_found() {
    let app = fixture().await;
    let link = app.link("file_abc123", "").await;
    let file = "/v1/organizations/org_123/files/file_abc123";
    let deleted = app
        .client
        .request("DELETE", file, &[("X-API-Key", "k1")], b"")
        .await;
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    let reply = app.client.get(&link, &[]).await;
    let error = reply.refused(404, "FILE_NOT_FOUND");
    assert_eq!(
        error["message"],
        "The file does not exist or has been deleted."
    );
    assert_eq!(error["system_message"], "File not found");
    assert_eq!(error["details"], json!({}));
    let bad = link.replace("expires=1", "expires=2");
    app.client.get(&bad, &[]).await.is_dead_link();
}

#[tokio::test]
async fn c52_minting_needs_a_good_key_of_the_organization_and_a_file() {
    let app = fixture().await;
    let mint = |headers: &'static [(&'static str, &'static str)]| app.client.get(CONTENT, headers);
    let error = mint(&[]).await.refused(401, "AUTHENTICATION_REQUIRED");
    assert_eq!(error["message"], "Please sign in to continue");
    let error = mint(&[("X-API-Key", "wrong")])
        .await
        .refused(401, "INVALID_API_KEY");
    assert_eq!(error["message"], "Your API key is invalid");
    let error = mint(&[("X-API-Key", "k2")])
        .await
        .refused(403, "ORGANIZATION_ACCESS_DENIED");
    assert_eq!(
        error["message"],
        "You don't have access to this organization"
    );
    let missing = CONTENT.replace("file_abc123", "file_missing");
    app.client
        .get(&missing, &[("X-API-Key", "k1")])
        .await
        .refused(404, "FILE_NOT_FOUND");
    app.client
        .get(&missing, &[])
        .await
        .refused(401, "AUTHENTICATION_REQUIRED");
    let unknown = CONTENT.replace("org_123", "org_unknown");
    app.client
        .get(&unknown, &[("X-API-Key", "k1")])
        .await
        .refused(403, "ORGANIZATION_ACCESS_DENIED");
}

#[tokio::test]
async fn c53_types_and_names_are_safe_in_their_headers() {
    let app = fixture().await;
    app.add("file_pdf", "отчёт \"x\".pdf", b"%PDF-1.4").await;
    let reply = app.client.get(&app.link("file_pdf", "").await, &[]).await;
    assert_eq!(reply.header("content-type"), Some("application/pdf"));
    assert_eq!(
        reply.header("content-disposition"),
        Some(
            "inline; filename=\"_____ _x_.pdf\"; \
             filename*=UTF-8''%D0%BE%D1%82%D1%87%D1%91%D1%82%20%22x%22.pdf"
        )
    );
    assert_eq!(
        reply.header("content-security-policy"),
        None,
        "a sandbox would break the viewer"
    );
}

#[tokio::test]
async fn c54_links_survive_a_restart_with_the_same_key_and_no_other() {
    let app = fixture().await;
    let (link, again) = (
        app.link("file_abc123", "").await,
        app.link("file_abc123", "").await,
    );
    assert_eq!(link, again, "the same second, the same link");
    let directory = app.stop().await;

    let app = TestApp::start_in(directory, &[]).await;
    assert_eq!(app.client.get(&link, &[]).await.body, PNG);
    let directory = app.stop().await;

    let keyring = directory.path().join("data/keyring.toml");
    let text = std::fs::read_to_string(&keyring).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("secret"))
        .unwrap();
    let other = "secret = \"3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhs=\"";
    std::fs::write(&keyring, text.replace(line, other)).unwrap();
    let app = TestApp::start_in(directory, &[]).await;
    app.client.get(&link, &[]).await.is_dead_link();
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let app = fixture().await;
    let link = app.link("file_abc123", "").await;
    for target in [link.as_str(), CONTENT, "/v1/organizations/org_123/files"] {
        let get = app.client.get(target, &[("X-API-Key", "k1")]).await;
        let head = app
            .client
            .request("HEAD", target, &[("X-API-Key", "k1")], b"")
            .await;
        let without_ids = |reply: &crate::support::client::Reply| {
            let kept =
                |(name, _): &&(String, String)| !["Date", "X-Request-Id"].contains(&name.as_str());
            // In which order they come means nothing, nor in which case (RFC 9110, §5.1 and §5.3).
            let own = |(name, value): &(String, String)| (name.to_lowercase(), value.clone());
            let mut headers: Vec<_> = reply.headers.iter().filter(kept).map(own).collect();
            headers.sort();
            headers
        };
        assert_eq!((head.status, head.body.len()), (200, 0), "{target}");
        assert_eq!(without_ids(&head), without_ids(&get), "{target}");
    }
    app.at(3600);
    assert_eq!(
        app.client.request("HEAD", &link, &[], b"").await.status,
        401
    );
}

#[tokio::test]
async fn one_range_answers_its_bytes_and_says_which() {
    let app = fixture().await;
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
    app.add("file_big", "big.bin", &bytes).await;
    let link = app.link("file_big", "").await;
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, 1_000_000),
        ("bytes=-1", 999_999, 1_000_000),
        ("bytes=131071-131073", 131_071, 131_074),
        ("bytes=500000-", 500_000, 1_000_000),
        ("bytes=999999-2000000", 999_999, 1_000_000),
    ] {
        let reply = app.client.get(&link, &[("Range", range)]).await;
        assert_eq!(reply.status, 206, "{range}");
        let says = format!("bytes {from}-{}/1000000", to - 1);
        assert_eq!(reply.header("content-range"), Some(says.as_str()));
        assert!(reply.body == bytes[from..to], "{range}");
    }
    for range in ["bytes=1000000-", "bytes=-0", "bytes=99999999999999999999-"] {
        let reply = app.client.get(&link, &[("Range", range)]).await;
        reply.refused(416, "RANGE_NOT_SATISFIABLE");
        assert_eq!(reply.header("content-range"), Some("bytes */1000000"));
    }
    for range in ["bytes=5-2", "items=0-1", "bytes=a-b"] {
        let reply = app.client.get(&link, &[("Range", range)]).await;
        assert_eq!(reply.status, 200, "{range}");
        assert!(reply.body == bytes);
    }
    let etag = app
        .client
        .get(&link, &[])
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    let weak = format!("W/{etag}");
    let date = "Mon, 18 May 2026 15:34:52 GMT";
    for (condition, status) in [
        (etag.as_str(), 206),
        (&weak, 200),
        ("\"x\"", 200),
        (date, 206),
        ("x", 200),
    ] {
        let reply = app
            .client
            .get(&link, &[("Range", "bytes=0-9"), ("If-Range", condition)])
            .await;
        assert_eq!(reply.status, status, "{condition}");
    }
    let head = app
        .client
        .request("HEAD", &link, &[("Range", "bytes=0-9")], b"")
        .await;
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("1000000"))
    );
    app.at(3600);
    app.client
        .get(&link, &[("Range", "bytes=0-9")])
        .await
        .is_dead_link();
    app.client
        .get(&link, &[("If-None-Match", "*")])
        .await
        .is_dead_link();
}

#[tokio::test]
async fn empty_files_are_whole() {
    let app = fixture().await;
    app.add("file_empty", "empty.txt", b"").await;
    let link = app.link("file_empty", "").await;
    let reply = app.client.get(&link, &[]).await;
    assert_eq!(
        (reply.status, reply.header("content-length")),
        (200, Some("0"))
    );
    assert_eq!(
        app.client.get(&link, &[("Range", "bytes=-5")]).await.status,
        200
    );
    app.client
        .get(&link, &[("Range", "bytes=0-")])
        .await
        .refused(416, "RANGE_NOT_SATISFIABLE");
}

#[tokio::test]
async fn options_of_a_mint_are_signed_into_the_link() {
    let app = fixture().await;
    let json = app
        .mint(
            "file_abc123",
            "expires_in=60&disposition=attachment&filename=a%20b%2B.png",
        )
        .await;
    assert_eq!(json["expires"], T0 + 60);
    let link = target(json["download_url"].as_str().unwrap());
    assert!(
        link.contains(
            "&response-content-disposition=attachment%3B%20filename%3D%22a%20b%2B.png%22&token="
        ),
        "{link}"
    );
    let reply = app.client.get(&link, &[]).await;
    assert_eq!(
        reply.header("content-disposition"),
        Some("attachment; filename=\"a b+.png\"")
    );

    let named = app
        .client
        .get(&app.link("file_abc123", "filename=x.png").await, &[])
        .await;
    assert_eq!(
        named.header("content-disposition"),
        Some("inline; filename=\"x.png\"")
    );

    let typed = app
        .client
        .get(
            &app.link("file_abc123", "content_type=text/html").await,
            &[],
        )
        .await;
    assert_eq!(
        typed.header("content-type"),
        Some("text/html"),
        "a picture is no text"
    );
    assert!(
        typed
            .header("content-security-policy")
            .unwrap()
            .ends_with("sandbox")
    );

    let later = app
        .link("file_abc123", &format!("not_before={}", T0 + 100))
        .await;
    app.client.get(&later, &[]).await.is_dead_link();
    app.at(100);
    assert_eq!(app.client.get(&later, &[]).await.status, 200);
    app.at(0);

    let here = app.link("file_abc123", "ip=127.0.0.0/8").await;
    assert_eq!(app.client.get(&here, &[]).await.status, 200);
    let elsewhere = app.link("file_abc123", "ip=192.0.2.1").await;
    app.client
        .get(&elsewhere, &[("X-Forwarded-For", "192.0.2.1")])
        .await
        .is_dead_link();
}

#[tokio::test]
async fn a_window_gives_one_link_to_all_who_mint_inside_it() {
    let app = TestApp::start_with(&[("links.expiry_window", "600")])
        .await
        .with_org_123()
        .await;
    let first = app.mint("file_abc123", "").await;
    let expires = first["expires"].as_u64().unwrap();
    assert_eq!(expires % 600, 0);
    assert!((T0 + 3600..T0 + 4200).contains(&expires));
    app.at(100);
    assert_eq!(app.mint("file_abc123", "").await, first);
    let own = app.mint("file_abc123", "expiry_window=0").await;
    assert_eq!(own["expires"], T0 + 100 + 3600);
    app.at(0);
    let week = 604_800;
    let longest = app.mint("file_abc123", &format!("expires_in={week}")).await["expires"]
        .as_u64()
        .unwrap();
    assert!(
        longest % 600 == 0 && (T0 + week - 600..=T0 + week).contains(&longest),
        "rounded down"
    );
}

#[tokio::test]
async fn wrong_options_are_field_faults() {
    let app = fixture().await;
    for (query, field) in [
        ("expires_in=0", "expires_in"),
        ("expires_in=604801", "expires_in"),
        ("expires_in=99999999999999999999", "expires_in"),
        ("expires_in=1&expires_in=1", "expires_in"),
        ("expires_in=1.5", "expires_in"),
        ("expiry_window=604801", "expiry_window"),
        ("not_before=1779122092", "not_before"),
        ("not_before=tomorrow", "not_before"),
        ("disposition=form-data", "disposition"),
        ("filename=..", "filename"),
        ("content_type=html", "content_type"),
        ("content_type=text/html%3B%20x=y", "content_type"),
        ("content_type=image/*", "content_type"),
        ("ip=300.0.0.1", "ip"),
        ("ip=10.0.0.1/8", "ip"),
        ("ip=", "ip"),
        ("max_downloads=0", "max_downloads"),
        ("max_downloads=01", "max_downloads"),
        ("max_downloads=1e3", "max_downloads"),
        ("max_downloads=1000001", "max_downloads"),
        ("max_downloads=%2B1", "max_downloads"),
        ("max_downloads=", "max_downloads"),
        ("max_downloads=1&max_downloads=1", "max_downloads"),
        ("max_downloads=1&redeem=GET", "redeem"),
        ("max_downloads=1&redeem=get&redeem=get", "redeem"),
        ("redeem=post", "redeem"),
        ("expires=1", "expires"),
        ("token=x", "token"),
        ("filename=%ff", "filename"),
    ] {
        let reply = app
            .client
            .get(&format!("{CONTENT}?{query}"), &[("X-API-Key", "k1")])
            .await;
        let error = reply.refused(422, "VALIDATION_ERROR");
        assert_eq!(error["details"]["field"], field, "{query}");
    }
    let reply = app
        .client
        .get(
            &format!("{CONTENT}?utm_source=x&&y"),
            &[("X-API-Key", "k1")],
        )
        .await;
    assert_eq!(reply.status, 200, "what is no option is ignored");
}

#[tokio::test]
async fn the_host_header_never_shapes_a_link() {
    let app =
        TestApp::start_with(&[("server.public_base_url", "https://files.example.com/share")]).await;
    let app = app.with_org_123().await;
    for headers in [
        vec![
            ("X-API-Key", "k1"),
            ("X-Forwarded-Host", "evil.example"),
            ("X-Forwarded-Proto", "ftp"),
        ],
        vec![("X-API-Key", "k1"), ("Forwarded", "host=evil.example")],
    ] {
        let url = app.client.get(CONTENT, &headers).await.json()["download_url"]
            .as_str()
            .unwrap()
            .to_owned();
        let path = url
            .strip_prefix("https://files.example.com/share")
            .expect("the configured base");
        let mounted = format!("/share{path}");
        for target in [path, &mounted] {
            assert_eq!(
                app.client.get(target, &[]).await.body,
                PNG,
                "with the mount and without"
            );
        }
    }
    let request = format!(
        "GET http://evil.example{CONTENT} HTTP/1.1\r\nHost: evil.example\r\nX-API-Key: k1\r\nConnection: close\r\n\r\n"
    );
    let reply = app.client.send(request.as_bytes(), false).await;
    assert!(
        reply.json()["download_url"]
            .as_str()
            .unwrap()
            .starts_with("https://files.example.com/share/v1/")
    );
}

#[tokio::test]
async fn keys_end_pause_and_lack_scopes_each_with_their_own_word() {
    use hallpass::gateway::tenants::NewApiKey;
    use hallpass::model::id::{ApiKeyId, OrganizationId};
    use hallpass::model::key::{ApiKeyState, Scope};
    let app = fixture().await;
    let mint = |key: &'static str| async move {
        let reply = app.client.get(CONTENT, &[("X-API-Key", key)]).await;
        reply.json()["error"]["code"]
            .as_str()
            .unwrap_or("ok")
            .to_owned()
    };
    let paused = app.api_key("org_123", "paused", Scopes::USUAL).await;
    let paused = ApiKeyId::parse(&paused).unwrap();
    app.gateway
        .set_api_key_state(&paused, ApiKeyState::Paused)
        .await
        .unwrap();
    let gone = ApiKeyId::parse(&app.api_key("org_123", "gone", Scopes::USUAL).await).unwrap();
    app.gateway
        .set_api_key_state(&gone, ApiKeyState::Deactivated)
        .await
        .unwrap();
    app.api_key("org_123", "reader", Scopes::of(&[Scope::Read]))
        .await;
    app.api_key("org_123", "admin", Scopes::of(&[Scope::Admin]))
        .await;
    let new = NewApiKey {
        organization: OrganizationId::parse("org_123").unwrap(),
        name: "short".into(),
        scopes: Scopes::USUAL,
        expires_in: Some(10),
        text: Some("short".into()),
    };
    app.gateway.create_api_key(new).await.unwrap();
    assert_eq!(mint("paused").await, "API_KEY_PAUSED");
    assert_eq!(mint("gone").await, "API_KEY_DEACTIVATED");
    assert_eq!(mint("reader").await, "INSUFFICIENT_PERMISSIONS");
    assert_eq!(mint("admin").await, "ok");
    assert_eq!(mint("short").await, "ok");
    app.at(10);
    assert_eq!(mint("short").await, "API_KEY_EXPIRED");
    app.gateway
        .set_api_key_state(&paused, ApiKeyState::Active)
        .await
        .unwrap();
    assert_eq!(mint("paused").await, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_opens_ten_thousand_times_at_once() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let app = fixture().await;
    let link = app.link("file_abc123", "").await;
    let request = format!("GET {link} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut connections = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (address, request) = (app.client.0, request.clone());
        connections.spawn(async move {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let mut answer = Vec::new();
            for _ in 0..100 {
                stream.write_all(request.as_bytes()).await.unwrap();
                answer.clear();
                while !answer.ends_with(PNG) {
                    assert_ne!(
                        stream.read_buf(&mut answer).await.unwrap(),
                        0,
                        "closed early"
                    );
                }
                assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
            }
        });
    }
    while let Some(ended) = connections.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn a_mount_is_taken_off_where_a_proxy_left_it_and_only_there() {
    for mount in ["/v1", "/share", "/koodrive"] {
        let base = format!("http://x{mount}");
        let app = TestApp::start_with(&[("server.public_base_url", &base)]).await;
        let app = app.with_org_123().await;
        let key = [("X-API-Key", "k1"), ("Authorization", "Bearer k1")];
        for calls in [CONTENT, "/v1/files", "/v1/organizations/org_123/files"] {
            for target in [calls.to_owned(), format!("{mount}{calls}")] {
                let reply = app.client.get(&target, &key).await;
                assert_eq!(reply.status, 200, "{target}");
            }
        }
        let link = app.link("file_abc123", "").await;
        let stripped = link.strip_prefix(mount).expect("the mount");
        for target in [link.as_str(), stripped] {
            assert_eq!(app.client.get(target, &[]).await.body, PNG, "{target}");
            let dead = target.replace("token=", "token=x");
            app.client.get(&dead, &[]).await.is_dead_link();
        }
        for sent in ["", mount] {
            let qoder = format!("{sent}/v1/files/file_none");
            let reply = app.client.get(&qoder, &key).await;
            assert_eq!(reply.json()["error"]["type"], "not_found_error", "{qoder}");
            let koodrive = format!("{sent}/koodrive/ose/v1/files/download");
            let reply = app.client.get(&koodrive, &[]).await;
            assert_eq!(reply.json()["code"], 405, "{koodrive}");
        }
        for nowhere in ["/v1/nowhere".to_owned(), "/share/v1/nowhere".to_owned()] {
            let reply = app.client.get(&nowhere, &[]).await;
            reply.refused(404, "NOT_FOUND");
        }
    }
}
