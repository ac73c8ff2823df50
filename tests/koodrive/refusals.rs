//! Bad calls: always the envelope, never a 5xx.

use std::fmt::Write as _;

use hallpass::model::key::Scope;

use super::*;

/// A good body's first field.
fn container() -> String {
    format!(r#""containerId":"{SPACE}""#)
}

#[tokio::test]
async fn c61_fields_that_are_missing_or_of_another_kind_are_refused() {
    let koo = Koo::start().await;
    let long = format!("\"{}\"", "x".repeat(129));
    let mut bodies: Vec<String> = ["{}", "[]", "null", "1", "\"x\""].map(String::from).into();
    bodies.push(format!("{{{}}}", container()));
    bodies.push(r#"{"fileIds":["f"]}"#.into());
    let files = [
        "[]",
        "null",
        "\"f\"",
        "{}",
        "1",
        "[1]",
        "[null]",
        "[[\"f\"]]",
        "[\"f\",1]",
        "[\"\"]",
    ]
    .map(String::from);
    let many = format!("[{}1]", "1,".repeat(100_000));
    for files in files.into_iter().chain([format!("[{long}]"), many]) {
        bodies.push(format!(r#"{{{},"fileIds":{files}}}"#, container()));
    }
    for id in ["\"\"", "1", "null", "[]", "true", &long] {
        bodies.push(format!(r#"{{"containerId":{id},"fileIds":["f"]}}"#));
    }
    for option in [
        r#""expires_in":0"#,
        r#""expires_in":604801"#,
        r#""expires_in":"soon""#,
        // A number is no text, nor a text a number.
        r#""expires_in":"60""#,
        r#""expiry_window":"60""#,
        r#""not_before":"1779118500""#,
        r#""expires_in":60.0"#,
        r#""expires_in":null"#,
        r#""disposition":true"#,
        r#""filename":5"#,
        r#""content_type":["text/plain"]"#,
        r#""ip":{"a":"b"}"#,
        r#""ip":"nowhere""#,
        r#""disposition":"form-data""#,
        r#""filename":"..""#,
        r#""content_type":"html""#,
        r#""not_before":1779122092"#,
        r#""expiry_window":604801"#,
        r#""max_downloads":0"#,
        r#""max_downloads":1e3"#,
        r#""max_downloads":1000001"#,
        r#""max_downloads":"1""#,
        r#""max_downloads":1,"redeem":"GET""#,
        r#""redeem":"post""#,
    ] {
        bodies.push(format!(
            r#"{{{},"fileIds":["{FILE}"],{option}}}"#,
            container()
        ));
    }
    for text in bodies {
        let reply = koo.call(&[], text.as_bytes()).await;
        refused(&reply, 400, BAD_FIELD);
    }
}

#[tokio::test]
async fn c61_a_body_that_is_not_one_json_text_is_refused() {
    let koo = Koo::start().await;
    let good = body(SPACE, &[FILE]);
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let with_deep = good.replacen('{', &format!(r#"{{"x":{deep},"#), 1);
    let not_json = [
        b"".to_vec(),
        b"{".to_vec(),
        b"not json".to_vec(),
        good.as_bytes()[..good.len() - 1].to_vec(),
        [b"\xef\xbb\xbf", good.as_bytes()].concat(),
        format!("{good}x").into_bytes(),
        format!("{good}{good}").into_bytes(),
        good.replacen('{', &format!("{{{},", container()), 1)
            .into_bytes(),
        good.replacen('{', r#"{"x":{"y":1,"y":1},"#, 1).into_bytes(),
        good.replacen('{', r#"{"x":1e400,"#, 1).into_bytes(),
        good.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        b"{\"containerId\":\"\xff\"}".to_vec(),
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00".to_vec(),
        deep.into_bytes(),
        with_deep.into_bytes(),
    ];
    for text in not_json {
        let reply = koo.call(&[], &text).await;
        refused(&reply, 400, NOT_JSON);
    }
    granted(&koo.call(&[], format!(" {good}\n").as_bytes()).await, 1);
    let unknown = good.replacen('{', r#"{"x":{"y":[null,1.5,{"z":"\u0000"}]},"#, 1);
    granted(&koo.call(&[], unknown.as_bytes()).await, 1);
}

#[tokio::test]
async fn c62_an_unknown_space_refuses_the_call() {
    let koo = Koo::start().await;
    koo.space("org_else", "theirs").await;
    for container in ["never", "theirs", "no id!", "пространство", "../x"] {
        let reply = koo.call(&[], body(container, &[FILE]).as_bytes()).await;
        refused(&reply, 400, NO_SPACE);
    }
    // The space that every organization has, in which this file does not lie.
    let reply = koo
        .call(&[], body("space_default", &[FILE]).as_bytes())
        .await;
    let json = granted(&reply, 2);
    assert_eq!(json["downloads"][0]["code"], "13000302");
}

#[tokio::test]
async fn c63_a_call_needs_a_key_that_works() {
    let koo = Koo::start().await;
    let good = body(SPACE, &[FILE]);
    let long = format!("Bearer {}", "t".repeat(32 * 1024));
    for line in [
        None,
        Some(""),
        Some("tok"),
        Some("Bearer"),
        Some("Bearer+"),
        Some("Bearer "),
        Some("Bearer+wrong"),
        Some("Bearer wrong"),
        Some("Bearer++tok"),
        Some("Bearer+ tok"),
        Some("Bearer+ pt-a"),
        Some("Bearer+tok x"),
        Some("Bearer+TOK"),
        Some("BearerX+tok"),
        Some("Basic dG9rOg=="),
        Some("Basic+tok"),
        Some(&long),
    ] {
        let reply = koo.call(&[("Authorization", line)], good.as_bytes()).await;
        refused(&reply, 401, BAD_KEY);
    }
    let reply = koo
        .call(
            &[("Authorization", None), ("X-API-Key", Some("tok"))],
            good.as_bytes(),
        )
        .await;
    refused(&reply, 401, BAD_KEY);
    let two = [HEADERS.as_slice(), &[("Authorization", "Bearer+tok")]].concat();
    let reply = koo
        .0
        .client
        .request("POST", PATH, &two, good.as_bytes())
        .await;
    refused(&reply, 401, BAD_KEY);
    let head = format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    let bytes = [head.as_bytes(), b"Authorization: Bearer t\xf6k\r\n\r\n"].concat();
    refused(&koo.0.client.send(&bytes, false).await, 401, BAD_KEY);

    for line in [
        "Bearer+tok",
        "Bearer tok",
        "bearer tok",
        "BEARER+tok",
        "Bearer  tok ",
    ] {
        let reply = koo
            .call(&[("Authorization", Some(line))], good.as_bytes())
            .await;
        granted(&reply, 1);
    }
}

#[tokio::test]
async fn keys_that_are_paused_or_expired_or_may_not_mint_are_refused() {
    use hallpass::model::id::ApiKeyId;
    use hallpass::model::key::ApiKeyState;
    let koo = Koo::start().await;
    let good = body(SPACE, &[FILE]);
    let as_key = async |key: &str| {
        let changed = [("Authorization", Some(key))];
        koo.call(&changed, good.as_bytes()).await
    };
    let id = koo.0.api_key("org_koo", "idle", Scopes::USUAL).await;
    granted(&as_key("Bearer+idle").await, 1);
    for state in [ApiKeyState::Paused, ApiKeyState::Deactivated] {
        let id = ApiKeyId::parse(&id).unwrap();
        koo.0.gateway.set_api_key_state(&id, state).await.unwrap();
        refused(&as_key("Bearer+idle").await, 401, BAD_KEY);
    }
    let scopes = Scopes::of(&[Scope::Read, Scope::Write]);
    koo.0.api_key("org_koo", "reader", scopes).await;
    refused(
        &as_key("Bearer+reader").await,
        400,
        r#"{"code":13000410,"msg":"The current user has no permission on this space."}"#,
    );
    koo.0
        .api_key("org_koo", "admin", Scopes::of(&[Scope::Admin]))
        .await;
    granted(&as_key("Bearer+admin").await, 1);
}

#[tokio::test]
async fn c64_the_user_and_the_date_must_be_there() {
    let koo = Koo::start().await;
    let good = body(SPACE, &[FILE]);
    let long = "u".repeat(65);
    for (name, value) in [
        ("X-User-Id", None),
        ("X-User-Id", Some("")),
        ("X-User-Id", Some("a b")),
        ("X-User-Id", Some("a\tb")),
        ("X-User-Id", Some(long.as_str())),
        ("X-Date", None),
        ("X-Date", Some("")),
    ] {
        let reply = koo.call(&[(name, value)], good.as_bytes()).await;
        refused(&reply, 400, BAD_FIELD);
    }
    for name in ["X-User-Id", "X-Date", "X-Traceid", "language"] {
        let value = match name {
            "X-Date" => "20260518T153452Z",
            "language" => "en-US",
            "X-Traceid" => TRACEID,
            _ => "u",
        };
        let mut twice = HEADERS.to_vec();
        twice.retain(|(known, _)| *known != name);
        twice.extend([(name, value); 2]);
        let reply = koo
            .0
            .client
            .request("POST", PATH, &twice, good.as_bytes())
            .await;
        refused(&reply, 400, BAD_FIELD);
    }
    let longest = "u".repeat(64);
    for user in ["u", "1505084218764547200", &longest] {
        let reply = koo
            .call(&[("X-User-Id", Some(user))], good.as_bytes())
            .await;
        granted(&reply, 1);
    }
}

#[tokio::test]
async fn c65_a_date_is_at_most_fifteen_minutes_old_and_never_ahead() {
    let koo = Koo::start().await;
    let good = body(SPACE, &[FILE]);
    for (seconds, fine) in [
        (0, true),
        (899, true),
        (900, true),
        (901, false),
        (-1, false),
    ] {
        koo.0.at(seconds);
        let reply = koo.call(&[], good.as_bytes()).await;
        if fine {
            granted(&reply, 1);
        } else {
            refused(&reply, 400, BAD_FIELD);
        }
    }
}

#[tokio::test]
async fn clocks_may_be_off_by_what_is_configured() {
    let koo = Koo::start_with(&[("koodrive.date_skew_secs", "30s")]).await;
    let good = body(SPACE, &[FILE]);
    for (seconds, fine) in [(930, true), (931, false), (-30, true), (-31, false)] {
        koo.0.at(seconds);
        let reply = koo.call(&[], good.as_bytes()).await;
        assert_eq!(reply.status, if fine { 200 } else { 400 }, "{seconds}");
    }
}

#[tokio::test]
async fn c66_a_date_has_one_spelling() {
    let koo = Koo::start().await;
    let good = body(SPACE, &[FILE]);
    for date in [
        "2026-05-18T15:34:52Z",
        "20260518T153452",
        "20260230T000000Z",
        "20260518T246000Z",
        "20260518T153460Z",
        "20260518t153452Z",
        "20260518T153452z",
        "20260518 153452Z",
        "20260518T153452.000Z",
        "20260518T153452+0000",
        "Mon, 18 May 2026 15:34:52 GMT",
        "1779118492",
        "99999999T999999Z",
    ] {
        let reply = koo.call(&[("X-Date", Some(date))], good.as_bytes()).await;
        refused(&reply, 400, BAD_FIELD);
    }
}

const TRACEID: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_01234";

#[tokio::test]
async fn c67_a_trace_id_is_58_characters_and_comes_back() {
    let koo = Koo::start().await;
    let good = body(SPACE, &[FILE]);
    assert_eq!(TRACEID.len(), 58);
    let made = koo.call(&[], good.as_bytes()).await;
    granted(&made, 1);
    let again = koo.call(&[], good.as_bytes()).await;
    assert_ne!(made.header("x-traceid"), again.header("x-traceid"));
    let own = [("X-Traceid", Some(TRACEID))];
    let reply = koo.call(&own, good.as_bytes()).await;
    granted(&reply, 1);
    assert_eq!(reply.header("x-traceid"), Some(TRACEID));
    let reply = koo.call(&own, b"{}").await;
    refused(&reply, 400, BAD_FIELD);
    assert_eq!(reply.header("x-traceid"), Some(TRACEID));
    for bad in [
        &TRACEID[..57],
        &format!("{TRACEID}x"),
        &format!("{}-", &TRACEID[..57]),
        &format!("{} ", &TRACEID[..57]),
        "",
    ] {
        let reply = koo.call(&[("X-Traceid", Some(bad))], good.as_bytes()).await;
        refused(&reply, 400, BAD_FIELD);
        assert_ne!(reply.header("x-traceid"), Some(bad));
    }
}

#[tokio::test]
async fn c68_a_language_is_a_language_code() {
    let koo = Koo::start().await;
    let good = body(SPACE, &[FILE]);
    let first = koo.call(&[], good.as_bytes()).await;
    for language in ["en-US", "en_us", "zh-CN", "ZH_cn", "tlh", "zh-Hans-CN"] {
        let reply = koo
            .call(&[("language", Some(language))], good.as_bytes())
            .await;
        assert_eq!(reply.body, first.body);
    }
    for bad in ["!!", "", "e", "en us", "en-", "../x"] {
        let reply = koo.call(&[("language", Some(bad))], good.as_bytes()).await;
        refused(&reply, 400, BAD_FIELD);
    }
}

#[tokio::test]
async fn c71_other_methods_are_not_allowed_and_other_paths_are_not_there() {
    let koo = Koo::start().await;
    let not_allowed = r#"{"code":405,"msg":"Method Not Allowed"}"#;
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let reply = koo.0.client.request(method, PATH, &[], b"").await;
        refused(&reply, 405, not_allowed);
        assert_eq!(reply.header("allow"), Some("POST"));
    }
    let head = koo.0.client.request("HEAD", PATH, &[], b"").await;
    assert_eq!((head.status, head.header("allow")), (405, Some("POST")));
}

#[tokio::test]
async fn c74_every_error_below_the_prefix_has_the_envelope() {
    let koo = Koo::start().await;
    let post = async |target: &str| {
        let text = body(SPACE, &[FILE]);
        let client = koo.0.client;
        client
            .request("POST", target, &HEADERS, text.as_bytes())
            .await
    };
    for target in [
        "/koodrive/",
        "/koodrive/ose/v1/files",
        "/koodrive/ose/v1/files/download/",
        "/koodrive/ose/v1/files//download",
        "/koodrive/ose/v1/files/d%6fwnload",
        "/koodrive/ose/v2/files/download",
    ] {
        refused(
            &post(target).await,
            404,
            r#"{"code":404,"msg":"Not Found"}"#,
        );
    }
    let unknown = koo.0.client.request("BREW", PATH, &[], b"").await;
    refused(&unknown, 501, r#"{"code":501,"msg":"Not Implemented"}"#);
    let long = format!("{PATH}?{}", "x".repeat(9_000));
    refused(
        &post(&long).await,
        414,
        r#"{"code":414,"msg":"URI Too Long"}"#,
    );
    // A query is no part of the call, and is not read.
    granted(&post(&format!("{PATH}?a=%ff&expires=1&token=x")).await, 1);
    // Beside the prefix it is not KooDrive's.
    let beside = koo.0.client.get("/koodrive", &[]).await;
    beside.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_mounted_gateway_keeps_the_envelope() {
    let settings = [("server.public_base_url", "https://files.example.com/drive")];
    let koo = Koo::start_with(&settings).await;
    let good = body(SPACE, &[FILE]);
    for mount in ["", "/drive"] {
        let client = koo.0.client;
        let target = format!("{mount}{PATH}");
        let reply = client
            .request("POST", &target, &HEADERS, good.as_bytes())
            .await;
        let json = granted(&reply, 1);
        let url = json["downloads"][0]["url"].as_str().unwrap();
        assert!(
            url.starts_with("https://files.example.com/drive/v1/"),
            "{url}"
        );
        let reply = client.get(&format!("{mount}/koodrive/x"), &[]).await;
        refused(&reply, 404, r#"{"code":404,"msg":"Not Found"}"#);
    }
}

#[tokio::test]
async fn a_body_is_json_in_the_clear_and_at_most_a_mebibyte() {
    let koo = Koo::start().await;
    let good = body(SPACE, &[FILE]);
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "application/json; charset=utf-16",
        "application/json;charset=\"latin1\"",
        "application/json; charset=utf-8; charset=utf-16",
        "",
    ] {
        let reply = koo
            .call(&[("Content-Type", Some(kind))], good.as_bytes())
            .await;
        refused(&reply, 400, BAD_FIELD);
    }
    let reply = koo
        .call(&[("Content-Encoding", Some("gzip"))], good.as_bytes())
        .await;
    refused(&reply, 400, BAD_FIELD);
    for kind in [
        None,
        Some("application/json; charset=utf-8"),
        Some("application/json;Charset=\"UTF-8\""),
        Some("application/json; v=1"),
        Some("Application/JSON"),
    ] {
        let reply = koo.call(&[("Content-Type", kind)], good.as_bytes()).await;
        granted(&reply, 1);
    }

    let padded = |length: usize| format!("{good}{}", " ".repeat(length - good.len()));
    let too_large = r#"{"code":413,"msg":"Payload Too Large"}"#;
    granted(&koo.call(&[], padded(1 << 20).as_bytes()).await, 1);
    refused(
        &koo.call(&[], padded((1 << 20) + 1).as_bytes()).await,
        413,
        too_large,
    );
    let mut head = format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    for (name, value) in HEADERS {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    // One that says so itself, and one that does not say.
    let announced = format!("{head}Content-Length: 33554432\r\nExpect: 100-continue\r\n\r\n");
    let reply = koo.0.client.send(announced.as_bytes(), false).await;
    refused(&reply, 413, too_large);
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000));
    let chunked = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(17)
    );
    let reply = koo.0.client.send(chunked.as_bytes(), false).await;
    refused(&reply, 413, too_large);
    let length = good.len();
    let chunked =
        format!("{head}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{good}\r\n0\r\n\r\n");
    granted(&koo.0.client.send(chunked.as_bytes(), false).await, 1);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_bad_one() {
    let koo = Koo::start().await;
    let mut head = format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    for (name, value) in HEADERS {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    for tail in [
        "Content-Length: 100\r\n\r\n{\"containerId\":",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    ] {
        let answer = koo
            .0
            .client
            .exchange(format!("{head}{tail}").as_bytes(), true)
            .await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.ends_with(NOT_JSON), "{answer}");
    }
}

#[tokio::test]
async fn credentials_come_before_headers_and_headers_before_the_body() {
    let koo = Koo::start().await;
    let bad_key = [("Authorization", Some("Bearer+wrong")), ("X-Date", None)];
    refused(&koo.call(&bad_key, b"{").await, 401, BAD_KEY);
    refused(&koo.call(&[("X-Date", None)], b"{").await, 400, BAD_FIELD);
    let folder = [("x-hw-share-folder-id", Some("never"))];
    refused(&koo.call(&folder, b"{").await, 400, NOT_JSON);
    let reply = koo.call(&folder, body("never", &["f"]).as_bytes()).await;
    refused(&reply, 400, NO_FOLDER);
    let reply = koo.call(&[], body("never", &["f"]).as_bytes()).await;
    refused(&reply, 400, NO_SPACE);
}

/// What another account has answers with the same bytes as what nobody has.
#[tokio::test]
async fn accounts_never_see_each_other() {
    let koo = Koo::start().await;
    let as_other = [("Authorization", Some("Bearer+tok2"))];
    let ask = async |container: &str, id: &str| {
        let reply = koo.call(&as_other, body(container, &[id]).as_bytes()).await;
        (reply.status, String::from_utf8(reply.body).unwrap())
    };
    let theirs = ask("space_default", FILE).await;
    let nobodys = ask("space_default", "Fnobody").await;
    assert_eq!(theirs.1.replace(FILE, "Fnobody"), nobodys.1);
    assert_eq!(theirs.0, 200);
    let same = ask(SPACE, FILE).await;
    assert_eq!(same, (400, NO_SPACE.to_owned()));
    assert_eq!(ask("never", FILE).await, same);
}

#[tokio::test]
async fn a_damaged_catalogue_is_an_internal_error_that_says_nothing() {
    let koo = Koo::start().await;
    koo.0.sql("UPDATE file SET metadata = 'damaged'");
    let reply = koo.ask(&[FILE]).await;
    refused(
        &reply,
        500,
        r#"{"code":13000201,"msg":"INNER_INVOKE_FAILURE"}"#,
    );
}
