//! `GET /v1/files/{file_id}/content`: the redirect to a link, and what the link opens.

use std::time::{Duration, Instant};

use hallpass::model::file::Purpose;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::*;
use crate::support::app::target;
use crate::support::client::parse;

/// The time that the head of a request may take from the start of a connection.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Mints a link for F1.
async fn mint(app: &TestApp) -> Reply {
    app.client
        .get(&format!("{FILES}/{F1}/content"), &[PAT_A])
        .await
}

/// What follows the host in a fresh link for F1.
async fn link(app: &TestApp) -> String {
    target(mint(app).await.header("location").unwrap())
}

#[tokio::test]
async fn c01_content_redirects_to_a_link() {
    let app = fixture().await;
    for root in ROOTS {
        let reply = app
            .client
            .get(&format!("{root}/{F1}/content"), &[PAT_A])
            .await;
        assert_eq!(reply.status, 302);
        let url = reply.header("location").unwrap().to_owned();
        let whole = format!("{{\"expires_at\":\"2026-05-18T16:34:52Z\",\"url\":\"{url}\"}}");
        assert_eq!(text(&reply), whole);
        let organization = "/v1/organizations/account_a/files/";
        assert!(target(&url).starts_with(&format!("{organization}{F1}/download?expires=")));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(reply.header("x-request-id").is_some());
    }
}

#[tokio::test]
async fn c02_a_link_ends_after_an_hour() {
    let app = fixture().await;
    assert_eq!(
        mint(&app).await.json()["expires_at"],
        "2026-05-18T16:34:52Z"
    );
    let options = "expires_in=60&disposition=inline";
    let reply = app
        .client
        .get(&format!("{FILES}/{F1}/content?{options}"), &[PAT_A])
        .await;
    assert_eq!(reply.json()["expires_at"], "2026-05-18T15:35:52Z");
    let shown = app
        .client
        .get(&target(reply.header("location").unwrap()), &[])
        .await;
    assert_eq!(
        shown.header("content-disposition"),
        Some("inline; filename=\"output.txt\"")
    );
}

#[tokio::test]
async fn c03_the_link_makes_browsers_save_the_file_under_its_name() {
    let app = fixture().await;
    let reply = mint(&app).await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let url = reply.header("location").unwrap();
    let query = url.split_once('?').unwrap().1;
    let claim = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("response-content-disposition="))
        .unwrap();
    let claim = percent_decode_str(claim).decode_utf8().unwrap();
    assert_eq!(claim, "attachment; filename=\"output.txt\"");
}

#[tokio::test]
async fn c04_the_link_alone_opens_the_bytes() {
    let app = fixture().await;
    let reply = app.client.get(&link(&app).await, &[]).await;
    assert_eq!((reply.status, reply.body.as_slice()), (200, F1_BYTES));
    let disposition = "attachment; filename=\"output.txt\"";
    assert_eq!(reply.header("content-disposition"), Some(disposition));
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(reply.header("content-length"), Some("19"));
}

#[tokio::test]
async fn c06_a_link_ends_at_its_end_and_a_fresh_one_works() {
    let app = fixture().await;
    let link_of_then = link(&app).await;
    app.at(3599);
    assert_eq!(app.client.get(&link_of_then, &[]).await.status, 200);
    app.at(3600);
    app.client.get(&link_of_then, &[]).await.is_dead_link();
    assert_eq!(app.client.get(&link(&app).await, &[]).await.body, F1_BYTES);
}

#[tokio::test]
async fn c07_nothing_in_a_link_can_be_changed() {
    let app = fixture().await;
    let link = link(&app).await;
    let (path, query) = link.split_once('?').unwrap();
    let pairs: Vec<&str> = query.split('&').collect();
    let claim = pairs
        .iter()
        .find(|pair| pair.starts_with("response-"))
        .unwrap();
    let without: Vec<&str> = pairs
        .iter()
        .filter(|pair| *pair != claim)
        .copied()
        .collect();
    let last = if link.ends_with('A') { "B" } else { "A" };
    for changed in [
        format!("{}{last}", &link[..link.len() - 1]),
        link.replace("output.txt", "other.exe"),
        link.replace("attachment", "inline"),
        format!("{path}?{}", without.join("&")),
        link.replace(F1, F2),
        link.replace(F1, "file_nonexistent123"),
        link.replace("account_a", "account_b"),
    ] {
        assert_ne!(changed, link);
        app.client.get(&changed, &[]).await.is_dead_link();
    }
    let plain = app.client.get(&link, &[]).await;
    let more = app.client.get(&format!("{link}&utm_source=x"), &[]).await;
    assert_eq!((more.status, &more.body), (200, &plain.body));
    let disposition = plain.header("content-disposition");
    assert_eq!(more.header("content-disposition"), disposition);
}

#[tokio::test]
async fn c08_without_a_token_nothing_is_minted() {
    let app = fixture().await;
    let reply = app.client.get(&format!("{FILES}/{F1}/content"), &[]).await;
    refused(&reply, 401, golden!("unauthenticated"));
}

#[tokio::test]
async fn c09_whatever_is_no_good_token_is_one_refusal() {
    let app = fixture().await;
    let long = format!("Bearer {}", "x".repeat(32_000));
    let credentials: [&[(&str, &str)]; 8] = [
        &[("Authorization", "Bearer wrong")],
        &[("Authorization", "Basic cHQtYTo=")],
        &[("Authorization", "bearer ")],
        &[("Authorization", "Bearer")],
        &[("x-api-key", "pt-a")],
        &[PAT_A, PAT_A],
        &[("Authorization", &long)],
        &[("Authorization", "Bearer pt-\u{e9}")],
    ];
    for root in ROOTS {
        for headers in credentials {
            for path in [format!("{root}/{F1}/content"), root.to_owned()] {
                let reply = app.client.get(&path, headers).await;
                refused(&reply, 401, golden!("unauthenticated"));
            }
        }
        let lower = [("authorization", "bearer pt-a"), ("x-api-key", "wrong")];
        let reply = app
            .client
            .get(&format!("{root}/{F1}/content"), &lower)
            .await;
        assert_eq!(
            reply.status, 302,
            "the scheme in any case, and no other key is looked at"
        );
    }
}

#[tokio::test]
async fn c10_a_files_purpose_may_forbid_it() {
    let app = fixture().await;
    let reply = app
        .client
        .get(&format!("{FILES}/{F2}/content"), &[PAT_A])
        .await;
    refused(&reply, 403, golden!("not_downloadable"));
}

#[tokio::test]
async fn c11_only_outputs_of_tools_and_skills_are_handed_out() {
    let app = fixture().await;
    for (id, purpose) in [
        ("file_user", Purpose::UserUpload),
        ("file_agent", Purpose::AgentOutput),
    ] {
        let reply = app
            .client
            .get(&format!("{FILES}/{id}/content"), &[PAT_A])
            .await;
        assert_eq!(text(&reply), golden!("not_downloadable"), "{purpose:?}");
        assert_eq!(reply.status, 403);
    }
    let reply = app
        .client
        .get(&format!("{FILES}/file_skill/content"), &[PAT_A])
        .await;
    assert_eq!(reply.status, 302);
}

#[tokio::test]
async fn c11_the_purpose_is_looked_at_before_a_link_is_made() {
    let app = fixture().await;
    // Without this table no link can be made.
    app.sql("ALTER TABLE change RENAME TO change_that_was");
    let begun = Instant::now();
    while !matches!(mint(&app).await.status, 500 | 503) {
        assert!(
            begun.elapsed().as_secs() < 10,
            "links are made all the same"
        );
    }
    println!("no link after {:?}", begun.elapsed());
    let path = format!("{FILES}/{F2}/content");
    let reply = app.client.get(&path, &[PAT_A]).await;
    refused(&reply, 403, golden!("not_downloadable"));
}

#[tokio::test]
async fn c12_a_file_that_is_not_there_is_named() {
    let app = fixture().await;
    let reply = app
        .client
        .get(&format!("{FILES}/file_nonexistent123/content"), &[PAT_A])
        .await;
    refused(&reply, 404, golden!("not_found"));
}

#[tokio::test]
async fn c13_another_accounts_file_is_not_there() {
    let app = fixture().await;
    let missing = golden!("not_found").replace("file_nonexistent123", F1);
    for path in [format!("{FILES}/{F1}/content"), format!("{FILES}/{F1}")] {
        refused(&app.client.get(&path, &[PAT_B]).await, 404, &missing);
    }
    let path = format!("{FILES}/{F1}");
    let reply = app.client.request("DELETE", &path, &[PAT_B], b"").await;
    refused(&reply, 404, &missing);
}

#[tokio::test]
async fn c14_the_token_is_looked_at_first() {
    let app = fixture().await;
    for path in [
        "file_nonexistent123/content",
        "x%00y",
        &format!("{F2}/content"),
    ] {
        let reply = app.client.get(&format!("{FILES}/{path}"), &[]).await;
        refused(&reply, 401, golden!("unauthenticated"));
    }
    let reply = app.client.get(&format!("{FILES}?limit=0"), &[]).await;
    refused(&reply, 401, golden!("unauthenticated"));
}

#[tokio::test]
async fn c15_ids_that_are_none_are_repeated_safely() {
    let app = fixture().await;
    let long = "x".repeat(4_000);
    for id in [
        "'",
        "\"",
        "'; DROP TABLE file;--",
        "%3Cscript%3E",
        "file_%00",
        "..%2fx",
        "%2e%2e",
        "%F0%9F%98%80",
        "%ED%A0%80",
        "%FF",
        "%0d%0aX-Injected:%20y",
        "x\\",
        &long,
    ] {
        let id = id.replace(' ', "%20");
        let reply = app
            .client
            .get(&format!("{FILES}/{id}/content"), &[PAT_A])
            .await;
        let error = refused_as(&reply, 404, "not_found_error", "File '");
        let repeated = id.get(..128).unwrap_or(&id);
        assert_eq!(
            error["message"],
            format!("File '{repeated}' was not found.")
        );
        assert_eq!(reply.header("x-injected"), None);
    }
}

#[tokio::test]
async fn c16_a_deleted_file_is_gone_with_its_links() {
    let app = fixture().await;
    let link = link(&app).await;
    let deleted = app
        .client
        .request("DELETE", &format!("{FILES}/{F1}"), &[PAT_A], b"")
        .await;
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    let missing = golden!("not_found").replace("file_nonexistent123", F1);
    refused(&mint(&app).await, 404, &missing);
    let error = app
        .client
        .get(&link, &[])
        .await
        .refused(404, "FILE_NOT_FOUND");
    assert_eq!(
        error["message"],
        "The file does not exist or has been deleted."
    );
}

#[tokio::test]
async fn the_link_may_be_answered_with_200() {
    let app = fixture_with(&[("qoder.content_status", "200")]).await;
    let reply = mint(&app).await;
    assert_eq!((reply.status, reply.header("location")), (200, None));
    let json: Value = reply.json();
    let opened = app
        .client
        .get(&target(json["url"].as_str().unwrap()), &[])
        .await;
    assert_eq!(opened.body, F1_BYTES);
}

#[tokio::test]
async fn wrong_options_are_field_faults() {
    let app = fixture().await;
    for (query, field) in [
        ("expires_in=0", "expires_in"),
        ("expires_in=604801", "expires_in"),
        ("expires_in=1&expires_in=1", "expires_in"),
        ("disposition=form-data", "disposition"),
        ("filename=..", "filename"),
        ("content_type=html", "content_type"),
        ("ip=10.0.0.1/8", "ip"),
        ("not_before=1779122092", "not_before"),
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
    ] {
        // A fault of a field counts before the file and its purpose.
        for id in [F1, F2, "file_nonexistent123"] {
            let path = format!("{FILES}/{id}/content?{query}");
            is_fault_of(&app.client.get(&path, &[PAT_A]).await, field);
        }
    }
}

#[tokio::test]
async fn a_counted_link_is_handed_out_as_any_other() {
    let app = fixture().await;
    let path = format!("{FILES}/{F1}/content?max_downloads=1&redeem=get");
    let reply = app.client.get(&path, &[PAT_A]).await;
    assert_eq!(reply.status, 302);
    let link = reply.header("location").unwrap();
    let begins = format!("/v1/organizations/account_a/files/{F1}/redeem?expires=1779122092&");
    assert!(target(link).starts_with(&begins), "{link}");
    for claim in ["&max-downloads=1&", "&redeem=get&", "&nonce="] {
        assert!(link.contains(claim), "{claim} in {link}");
    }
    assert_eq!(reply.json()["url"], link);
}

#[tokio::test]
async fn c73_a_token_opens_nothing_else() {
    let app = fixture().await;
    app.account("org_123", "k1").await;
    app.add("file_abc123", "report.png", b"png").await;
    let of_qoder = link(&app).await;
    let of_aitronos = app.link("file_abc123", "").await;
    let path = |link: &str| link.split_once('?').unwrap().0.to_owned();
    let query = |link: &str| link.split_once('?').unwrap().1.to_owned();
    for moved in [
        format!("{}?{}", path(&of_qoder), query(&of_aitronos)),
        format!("{}?{}", path(&of_aitronos), query(&of_qoder)),
    ] {
        app.client.get(&moved, &[]).await.is_dead_link();
    }
    // The byte route takes a Qoder token that comes along for no credential.
    let reply = app
        .client
        .get(&of_qoder, &[("Authorization", "Bearer wrong")])
        .await;
    assert_eq!(reply.body, F1_BYTES);
}

#[tokio::test]
async fn c76_head_ranges_and_conditions_never_weaken_the_token() {
    let app = fixture().await;
    let link = link(&app).await;
    let whole = app.client.get(&link, &[]).await;
    let head = app.client.request("HEAD", &link, &[], b"").await;
    assert_eq!(
        (head.status, head.header("etag")),
        (200, whole.header("etag"))
    );
    let part = app.client.get(&link, &[("Range", "bytes=0-9")]).await;
    assert_eq!((part.status, part.body.as_slice()), (206, &F1_BYTES[..10]));
    assert_eq!(part.header("content-range"), Some("bytes 0-9/19"));
    let past = app
        .client
        .get(&link, &[("Range", "bytes=999999999-")])
        .await;
    assert_eq!(past.status, 416);
    app.at(3600);
    let etag = whole.header("etag").unwrap();
    for header in [("Range", "bytes=0-9"), ("If-None-Match", etag)] {
        app.client.get(&link, &[header]).await.is_dead_link();
    }
    app.at(0);
    let mint = format!("{FILES}/{F1}/content");
    let minted = app.client.get(&mint, &[PAT_A]).await;
    let head = app.client.request("HEAD", &mint, &[PAT_A], b"").await;
    assert_eq!(
        (head.status, head.header("location")),
        (302, minted.header("location"))
    );
    assert_eq!(
        head.header("content-length"),
        minted.header("content-length")
    );
}

/// Sends a GET on a connection of its own, and once more where that was ended without an answer: a busy machine may
/// not run this client before the ten seconds that a head may take are over (RFC 9110, §9.2.2, allows it for a GET).
async fn get_on_a_busy_machine(app: &TestApp, target: &str, headers: &[(&str, &str)]) -> Reply {
    let lines = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    let lines: String = lines.collect();
    let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{lines}Connection: close\r\n\r\n");
    loop {
        let begun = Instant::now();
        let answer = app.client.exchange(head.as_bytes(), false).await;
        if !answer.is_empty() {
            return parse(&answer, false);
        }
        assert!(begun.elapsed() >= HEAD_TIME, "ended without an answer");
    }
}

#[tokio::test]
async fn c77_a_thousand_mint_and_download_at_once() {
    let app = fixture().await;
    let one = async || {
        let minted = get_on_a_busy_machine(&app, &format!("{FILES}/{F1}/content"), &[PAT_A]).await;
        assert_eq!(minted.status, 302);
        let link = target(minted.header("location").unwrap());
        get_on_a_busy_machine(&app, &link, &[]).await.body
    };
    let all = futures_util::future::join_all((0..1_000).map(|_| one())).await;
    assert!(all.iter().all(|body| body == F1_BYTES));
}
