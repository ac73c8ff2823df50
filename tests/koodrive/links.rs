//! Batches and the links that they mint.

use std::time::Instant;

use percent_encoding::percent_decode_str;
use serde_json::json;

use super::*;
use crate::support::app::{new_file, target};

#[tokio::test]
async fn c55_a_batch_of_one_answers_as_the_vendor_does() {
    let koo = Koo::start().await;
    let reply = koo.ask(&[FILE]).await;
    let json = granted(&reply, 1);
    let url = json["downloads"][0]["url"].as_str().unwrap();
    let wanted = format!(
        r#"{{"downloads":[{{"fileId":"{FILE}","url":"{url}","fileName":"Invoice 1.pdf","code":"0","msg":"success"}}],"batchCode":1,"code":0,"msg":"Success."}}"#
    );
    assert_eq!(String::from_utf8(reply.body).unwrap(), wanted);
}

#[tokio::test]
async fn c56_a_link_saves_the_file_under_its_name_for_an_hour() {
    let koo = Koo::start().await;
    let url = koo.link("").await;
    let (path, query) = url.split_once('?').unwrap();
    let base = format!("http://{}", koo.0.client.0);
    assert_eq!(
        path,
        format!("{base}/v1/organizations/org_koo/files/{FILE}/download")
    );
    let pieces: Vec<&str> = query.split('&').collect();
    let [expires, disposition, token] = pieces[..] else {
        panic!("{query}")
    };
    assert_eq!(expires, "expires=1779122092");
    assert_eq!(
        disposition,
        "response-content-disposition=attachment%3B%20filename%3D%22Invoice%201.pdf%22"
    );
    assert!(token.starts_with("token="));

    let link = target(&url);
    let reply = koo.0.client.get(&link, &[]).await;
    assert_eq!((reply.status, reply.body.as_slice()), (200, INVOICE));
    assert_eq!(
        reply.header("content-disposition"),
        Some("attachment; filename=\"Invoice 1.pdf\"")
    );
    assert_eq!(reply.header("content-type"), Some("application/pdf"));
    koo.0.at(3599);
    assert_eq!(koo.0.client.get(&link, &[]).await.status, 200);
    koo.0.at(3600);
    koo.0.client.get(&link, &[]).await.is_dead_link();
}

#[tokio::test]
async fn c57_an_unknown_file_fails_alone() {
    let koo = Koo::start().await;
    for (ids, good) in [([FILE, "Fnever"], 0), (["Fnever", FILE], 1)] {
        let reply = koo.ask(&ids).await;
        let json = granted(&reply, 0);
        let downloads = json["downloads"].as_array().unwrap();
        assert_eq!(downloads.len(), 2);
        assert_eq!(downloads[good]["code"], "0");
        let unknown = json!({"fileId": "Fnever", "code": "13000309", "msg": "Resource not found."});
        assert_eq!(downloads[1 - good], unknown);
    }
}

#[tokio::test]
async fn c58_the_batch_code_says_all_none_or_some() {
    let koo = Koo::start().await;
    for id in ["a", "b"] {
        koo.add("org_koo", SPACE, id, "x.txt", id.as_bytes()).await;
    }
    granted(&koo.ask(&[FILE, "a", "b"]).await, 1);
    granted(&koo.ask(&["a", "Fnever", "b"]).await, 0);
    let reply = koo.ask(&["never", "no id!", "ид"]).await;
    granted(&reply, 2);
    let wanted = concat!(
        r#"{"downloads":[{"fileId":"never","code":"13000309","msg":"Resource not found."},"#,
        r#"{"fileId":"no id!","code":"13000309","msg":"Resource not found."},"#,
        r#"{"fileId":"ид","code":"13000309","msg":"Resource not found."}],"#,
        r#""batchCode":2,"code":0,"msg":"Success."}"#
    );
    assert_eq!(String::from_utf8(reply.body).unwrap(), wanted);
}

#[tokio::test]
async fn c59_each_file_says_why_it_has_no_link() {
    let koo = Koo::start().await;
    koo.space("org_koo", "other_space").await;
    for (space, id) in [
        ("other_space", "elsewhere"),
        ("other_space", "elsewhere_deleted"),
        (SPACE, "deleted"),
        (SPACE, "swept"),
    ] {
        koo.add("org_koo", space, id, "Счёт.pdf", b"x").await;
    }
    koo.add("org_else", "space_default", "theirs", "x", b"x")
        .await;
    for id in ["elsewhere_deleted", "deleted"] {
        koo.delete("org_koo", id).await;
    }
    let organization = OrganizationId::parse("org_koo").unwrap();
    let swept = FileId::parse("swept").unwrap();
    koo.0.gateway.purge(&organization, &swept).await.unwrap();
    let ids = [
        "elsewhere",
        "elsewhere_deleted",
        "deleted",
        "swept",
        "theirs",
        "never",
    ];
    let reply = koo.ask(&ids).await;
    granted(&reply, 2);
    let wanted = concat!(
        r#"{"downloads":[{"fileId":"elsewhere","code":"13000302","msg":"File is not in the specified space."},"#,
        r#"{"fileId":"elsewhere_deleted","code":"13000302","msg":"File is not in the specified space."},"#,
        r#"{"fileId":"deleted","fileName":"Счёт.pdf","code":"13000306","msg":"File is in the recycle bin."},"#,
        r#"{"fileId":"swept","code":"13000309","msg":"Resource not found."},"#,
        r#"{"fileId":"theirs","code":"13000309","msg":"Resource not found."},"#,
        r#"{"fileId":"never","code":"13000309","msg":"Resource not found."}],"#,
        r#""batchCode":2,"code":0,"msg":"Success."}"#
    );
    assert_eq!(String::from_utf8(reply.body).unwrap(), wanted);
}

#[tokio::test]
async fn c60_a_hundred_files_are_the_most() {
    let koo = Koo::start().await;
    let mut ids = Vec::new();
    for number in 0..100 {
        let id = format!("hundred_{number}");
        koo.add("org_koo", SPACE, &id, &format!("{number}.txt"), b"x")
            .await;
        ids.push(id);
    }
    let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let started = Instant::now();
    let reply = koo.ask(&ids).await;
    let took = started.elapsed();
    let json = granted(&reply, 1);
    let downloads = json["downloads"].as_array().unwrap();
    let answered: Vec<&str> = downloads
        .iter()
        .map(|item| item["fileId"].as_str().unwrap())
        .collect();
    assert_eq!(answered, ids);
    for item in [&downloads[0], &downloads[99]] {
        let link = target(item["url"].as_str().unwrap());
        assert_eq!(koo.0.client.get(&link, &[]).await.status, 200);
    }
    println!(
        "a batch of 100 links took {took:?}, {} bytes",
        reply.body.len()
    );

    ids.push(FILE);
    refused(&koo.ask(&ids).await, 400, BAD_FIELD);
}

#[tokio::test]
async fn c69_a_file_named_twice_has_two_entries() {
    let koo = Koo::start().await;
    let json = granted(&koo.ask(&[FILE, FILE]).await, 1);
    let downloads = json["downloads"].as_array().unwrap();
    assert_eq!(downloads.len(), 2);
    assert_eq!(downloads[0], downloads[1]);
    refused(&koo.ask(&[FILE; 101]).await, 400, BAD_FIELD);
    granted(&koo.ask(&[FILE; 100]).await, 1);
}

#[tokio::test]
async fn options_are_extra_fields() {
    let koo = Koo::start().await;
    let link = koo
        .link(r#","expires_in":60,"disposition":"inline","filename":"Счёт.pdf","content_type":"text/plain""#)
        .await;
    assert!(link.contains("?expires=1779118552&"), "{link}");
    let reply = koo.0.client.get(&target(&link), &[]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.header("content-disposition"),
        Some("inline; filename=\"____.pdf\"; filename*=UTF-8''%D0%A1%D1%87%D1%91%D1%82.pdf")
    );
    // The invoice is ASCII, whatever it begins with.
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; charset=utf-8")
    );

    let link = koo
        .link(r#","expires_in":100,"expiry_window":1000,"not_before":1779118500,"ip":"10.0.0.0/8""#)
        .await;
    let query = percent_decode_str(&link).decode_utf8().unwrap();
    assert!(
        query.contains("?not-before=1779118500&expires=1779119000&ip=10.0.0.0/8&response-"),
        "{query}"
    );

    let link = koo.link(r#","filename":"other.pdf""#).await;
    let query = percent_decode_str(&link).decode_utf8().unwrap();
    assert!(
        query.contains("=attachment; filename=\"other.pdf\"&"),
        "{query}"
    );
}

#[tokio::test]
async fn a_name_of_ones_own_is_answered_and_names_one_file() {
    let koo = Koo::start().await;
    let ask = async |ids: &[&str], name: &str| {
        let body = json!({"containerId": SPACE, "fileIds": ids, "filename": name});
        koo.call(&[], body.to_string().as_bytes()).await
    };
    let json = granted(&ask(&[FILE], "other.pdf").await, 1);
    assert_eq!(json["downloads"][0]["fileName"], "other.pdf");
    let link = target(json["downloads"][0]["url"].as_str().unwrap());
    let reply = koo.0.client.get(&link, &[]).await;
    assert_eq!(
        reply.header("content-disposition"),
        Some("attachment; filename=\"other.pdf\"")
    );
    for ids in [[FILE, "Fnever"], [FILE, FILE]] {
        refused(&ask(&ids, "other.pdf").await, 400, BAD_FIELD);
    }
}

#[tokio::test]
async fn names_never_leave_their_quotes() {
    let koo = Koo::start().await;
    koo.add("org_koo", SPACE, "odd", "a\"; x=\"%41 发票1.pdf", b"x")
        .await;
    let json = granted(&koo.ask(&["odd"]).await, 1);
    assert_eq!(json["downloads"][0]["fileName"], "a\"; x=\"%41 发票1.pdf");
    let link = target(json["downloads"][0]["url"].as_str().unwrap());
    let reply = koo.0.client.get(&link, &[]).await;
    assert_eq!(
        reply.header("content-disposition"),
        Some(concat!(
            "attachment; filename=\"a_; x=__41 __1.pdf\"; ",
            "filename*=UTF-8''a%22%3B%20x%3D%22%2541%20%E5%8F%91%E7%A5%A81.pdf"
        ))
    );
}

#[tokio::test]
async fn c73_a_link_opens_its_own_file_only() {
    let koo = Koo::start().await;
    koo.add("org_koo", SPACE, "other", "x.txt", b"x").await;
    koo.add("org_else", "space_default", FILE, "x.txt", b"x")
        .await;
    let link = target(&koo.link("").await);
    for (from, to) in [
        (FILE, "other"),
        ("org_koo", "org_else"),
        ("attachment", "inline"),
        ("expires=1779122092", "expires=1779122093"),
    ] {
        let moved = link.replacen(from, to, 1);
        assert_ne!(moved, link);
        koo.0.client.get(&moved, &[]).await.is_dead_link();
    }
    let more = koo.0.client.get(&format!("{link}&utm_source=x"), &[]).await;
    assert_eq!((more.status, more.body.as_slice()), (200, INVOICE));
}

#[tokio::test]
async fn c76_links_have_heads_and_ranges() {
    let koo = Koo::start().await;
    let link = target(&koo.link("").await);
    let head = koo.0.client.request("HEAD", &link, &[], b"").await;
    assert_eq!(head.status, 200);
    let part = koo.0.client.get(&link, &[("Range", "bytes=0-3")]).await;
    assert_eq!((part.status, part.body.as_slice()), (206, &b"%PDF"[..]));
    koo.0.at(3600);
    let late = koo.0.client.get(&link, &[("Range", "bytes=0-3")]).await;
    late.is_dead_link();
}

#[tokio::test]
async fn a_deleted_file_is_in_the_recycle_bin_and_its_links_are_dead() {
    let koo = Koo::start().await;
    let link = target(&koo.link("").await);
    koo.delete("org_koo", FILE).await;
    let reply = koo.0.client.get(&link, &[]).await;
    reply.refused(404, "FILE_NOT_FOUND");
    let json = granted(&koo.ask(&[FILE]).await, 2);
    assert_eq!(json["downloads"][0]["code"], "13000306");
    assert_eq!(json["downloads"][0]["fileName"], "Invoice 1.pdf");
}

#[tokio::test]
async fn the_vendors_sample_runs_with_curl() {
    let koo = Koo::start().await;
    let url = format!("http://{}{PATH}", koo.0.client.0);
    // The vendor's page: its request, with another host, token and date, and what else it says must be.
    let body = r#"{
  "containerId": "IAADfsBFCO6WtAtuA9add2fea594e4e75b8feb8474ef236",
  "fileIds": [
    "Fn1bTLIOomJkTCAe9DEVBRY4U6IkuqkMZ"
  ]
}"#;
    let run = |words: Vec<String>| {
        tokio::task::spawn_blocking(move || {
            let output = std::process::Command::new("curl").args(&words).output();
            let output = output.unwrap();
            assert!(output.status.success(), "{output:?}");
            output.stdout
        })
    };
    let words = [
        "-sS",
        "-X",
        "POST",
        &url,
        "-H",
        "Authorization:Bearer+tok",
        "-H",
        "X-User-Id:1505084218764547200",
        "-H",
        "X-Date:20260518T153452Z",
        "-H",
        "Content-Type:application/json",
        "-d",
        body,
    ];
    let answer = run(words.map(str::to_owned).to_vec()).await.unwrap();
    let json: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(json["downloads"][0]["fileName"], "Invoice 1.pdf");
    let link = json["downloads"][0]["url"].as_str().unwrap().to_owned();
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().display().to_string();
    let words = ["-sSOJ", "--output-dir", &place, &link];
    run(words.map(str::to_owned).to_vec()).await.unwrap();
    let saved = std::fs::read(directory.path().join("Invoice 1.pdf")).unwrap();
    assert_eq!(saved, INVOICE);
}

#[tokio::test]
async fn c77_a_hundred_batches_of_ten_at_once_are_all_whole() {
    let koo = Koo::start().await;
    let calls = (0..100).map(|_| koo.ask(&[FILE; 10]));
    for reply in futures_util::future::join_all(calls).await {
        let json = granted(&reply, 1);
        assert_eq!(json["downloads"].as_array().unwrap().len(), 10);
    }
}

#[tokio::test]
async fn a_file_that_has_ended_is_in_the_recycle_bin() {
    let koo = Koo::start().await;
    let new = NewFile {
        space: SpaceId::parse(SPACE).unwrap(),
        expires_in: Some(60),
        ..new_file("org_koo", "file_brief", "brief.pdf")
    };
    koo.0.put(new, b"brief").await;
    koo.0.at(59);
    granted(&koo.ask(&["file_brief"]).await, 1);
    koo.0.at(60);
    let json = granted(&koo.ask(&["file_brief"]).await, 2);
    assert_eq!(json["downloads"][0]["code"], "13000306");
}
