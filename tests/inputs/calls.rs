//! Calls of the three APIs: credentials, ids, pages, batches and uploads.

use super::*;
use crate::support::app::new_file;

const FILES: &str = "/v1/files";
const UPLOAD: &str = "/v1/organizations/org_123/files/upload";
const BATCH: &str = "/koodrive/ose/v1/files/download";
const FIELD: &[u16] = &[400, 422];

fn get(target: &str, allowed: &'static [u16]) -> Row {
    row(
        format!("{target:.70}"),
        request("GET", target, &with_key(""), b""),
        allowed,
    )
}

fn credentials() -> Vec<Row> {
    let long = format!("Authorization: Bearer {}\r\n", "a".repeat(32_000));
    let lines = [
        "",
        "Authorization: Basic x\r\n",
        "Authorization: Bearer\r\n",
        "Authorization: Bearer \r\n",
        &long,
        "Authorization: Bearer \u{e9}\r\n",
        "X-API-Key: \r\n",
        "X-API-Key: x\r\n",
    ];
    let mut rows: Vec<Row> = lines
        .iter()
        .map(|lines| {
            row(
                format!("{lines:.50}"),
                request("GET", FILES, lines, b""),
                &[401],
            )
        })
        .collect();
    let twice = format!("Authorization: Bearer {KEY}\r\nAuthorization: Bearer x\r\n");
    rows.push(row(
        "two credentials",
        request("GET", FILES, &twice, b""),
        &[401],
    ));
    rows.push(row(
        "a scheme in any case",
        request(
            "GET",
            FILES,
            &format!("Authorization: bearer {KEY}\r\n"),
            b"",
        ),
        &[200],
    ));
    rows.push(row(
        "no key and a bad id",
        request("GET", "/v1/files/'%00", "", b""),
        &[401],
    ));
    for path in [
        "/admin",
        "/metrics",
        "/livez",
        "/readyz",
        "/v1/files/..;/metrics",
        "/..;/livez",
        "/.git/config",
        "/server-status",
    ] {
        rows.push(row(path, request("GET", path, "", b""), &[401, 404]));
    }
    rows
}

fn ids() -> Vec<Row> {
    let long = "a".repeat(4096);
    let ids = [
        "../x",
        "%2e%2e",
        "file_%00",
        "'%3B%20DROP--",
        "%3Cscript%3E",
        &long,
        "%F0%9F%92%A9",
        "%ED%A0%80",
        "%FF",
        "file_theirs",
        "a'b",
    ];
    let paths = |id: &&str| {
        [
            format!("{FILES}/{id}"),
            format!("{FILES}/{id}/content"),
            format!("/v1/organizations/org_123/files/{id}"),
            format!("/v1/organizations/org_123/files/{id}/content"),
            format!("/v1/organizations/{id}/files"),
        ]
    };
    ids.iter()
        .flat_map(paths)
        .map(|path| get(&path, &[400, 403, 404, 422]))
        .collect()
}

fn pages() -> Vec<Row> {
    let limits = ["0", "-1", "abc", "1.5", "", "99999999999999999999", "1e2"];
    let mut rows: Vec<Row> = limits
        .iter()
        .map(|limit| get(&format!("{FILES}?limit={limit}"), FIELD))
        .collect();
    for good in ["limit=%31%30", "limit=101", "limit=500"] {
        rows.push(get(&format!("{FILES}?{good}"), &[200]));
    }
    let cursor = "c".repeat(7000);
    for bad in [
        "limit=1&limit=2",
        "after_id=a&before_id=b",
        "purpose=nonsense",
        "purpose=",
        "purpose=tool_output&purpose=tool_output",
    ] {
        rows.push(get(&format!("{FILES}?{bad}"), FIELD));
    }
    for odd in [
        "after_id=file_theirs",
        "before_id=file_theirs",
        "after_id=%25",
        "after_id=_",
        "after_id=%FF",
        "after_id=garbage",
        &format!("after_id={cursor}"),
        "before_id=%00",
    ] {
        rows.push(get(&format!("{FILES}?{odd}"), &[200, 400, 404]));
    }
    for bad in ["page=0", "page=-1", "page=x", "limit=0", "limit=x"] {
        rows.push(get(
            &format!("/v1/organizations/org_123/files?{bad}"),
            FIELD,
        ));
    }
    rows
}

fn batches() -> Vec<Row> {
    let lines =
        format!("Authorization: Bearer+{KEY}\r\nX-User-Id: 1\r\nX-Date: 20260518T153452Z\r\n");
    let send = |what: &str, more: &str, body: &[u8], allowed| {
        let lines = format!("{lines}{more}Content-Length: {}\r\n", body.len());
        row(
            format!("a batch: {what:.60}"),
            request("POST", BATCH, &lines, body),
            allowed,
        )
    };
    let json = "Content-Type: application/json\r\n";
    let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let ids = |count: usize| {
        format!(
            r#"{{"containerId":"c","fileIds":[{}]}}"#,
            vec!["\"a\""; count].join(",")
        )
    };
    let long = format!(
        r#"{{"containerId":"c","fileIds":["{}"]}}"#,
        "a".repeat(1 << 20)
    );
    let bodies = [
        "",
        "{}",
        "[]",
        "null",
        "not JSON",
        "{\"containerId\":",
        "\u{feff}{}",
        "{}x",
        "{\"containerId\":\"c\",\"containerId\":\"d\",\"fileIds\":[\"a\"]}",
        &nested,
        "{\"containerId\":1e400}",
        r#"{"containerId":"c","fileIds":"a"}"#,
        r#"{"containerId":"c","fileIds":null}"#,
        r#"{"containerId":"c","fileIds":[1]}"#,
        r#"{"containerId":"c","fileIds":[null]}"#,
        r#"{"containerId":"c","fileIds":[]}"#,
        r#"{"containerId":"\ud800","fileIds":["a"]}"#,
        &ids(101),
        &ids(1_000_000),
        &long,
    ];
    let mut rows: Vec<Row> = bodies
        .iter()
        .map(|body| send(body, json, body.as_bytes(), &[400, 413]))
        .collect();
    let named = |ids: &str| format!(r#"{{"containerId":"space_default","fileIds":[{ids}]}}"#);
    for ids in [
        r#""file_abc123""#,
        r#""file_abc123","file_abc123""#,
        r#""file_abc123","nothing","file_theirs","../x","'; DROP--""#,
    ] {
        rows.push(send(ids, json, named(ids).as_bytes(), &[200]));
    }
    let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    rows.push(send("UTF-16", json, &utf16, &[400]));
    rows.push(send("32 MB", json, &vec![b' '; 32 << 20], &[400, 413]));
    rows.push(send(
        "another type",
        "Content-Type: text/plain\r\n",
        b"{}",
        &[400, 415],
    ));
    rows.push(send(
        "compressed",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
        b"\x1f\x8b\x08",
        &[400, 415],
    ));
    for (name, bad) in [
        ("X-Date", "yesterday"),
        ("X-Date", "20260518t153452z"),
        ("X-Date", "20260230T000000Z"),
        ("X-Date", "20260518T151951Z"),
        ("X-Date", "20260518T153453Z"),
        ("X-Traceid", "-"),
        ("X-Traceid", &"t".repeat(57)),
        ("X-Traceid", &"t".repeat(59)),
        ("X-User-Id", ""),
        ("language", "!!"),
    ] {
        let kept: String = lines
            .split_inclusive("\r\n")
            .filter(|line| !line.starts_with(name))
            .collect();
        let body = named(r#""file_abc123""#);
        let head = format!(
            "{kept}{json}{name}: {bad}\r\nContent-Length: {}\r\n",
            body.len()
        );
        rows.push(row(
            format!("a batch: {name}: {bad}"),
            request("POST", BATCH, &head, body.as_bytes()),
            &[400],
        ));
    }
    rows.push(row(
        "GET of a batch",
        request("GET", BATCH, &lines, b""),
        &[405],
    ));
    rows.push(row(
        "JSON for a form",
        request(
            "POST",
            FILES,
            &with_key("Content-Type: application/json\r\nContent-Length: 2\r\n"),
            b"{}",
        ),
        &[415],
    ));
    rows.push(row(
        "PATCH of a list",
        request("PATCH", FILES, &with_key("Content-Length: 0\r\n"), b""),
        &[405],
    ));
    rows
}

fn part(head: &str, body: &str) -> String {
    format!("--b\r\n{head}\r\n\r\n{body}\r\n")
}

fn file(more: &str) -> String {
    part(
        &format!("Content-Disposition: form-data; name=\"file\"; {more}"),
        "abc",
    )
}

fn form(what: &str, kind: &str, body: &[u8], allowed: &'static [u16]) -> Row {
    let lines = with_key(&format!("{kind}Content-Length: {}\r\n", body.len()));
    row(
        format!("a form: {what:.60}"),
        request("POST", UPLOAD, &lines, body),
        allowed,
    )
}

const KIND: &str = "Content-Type: multipart/form-data; boundary=b\r\n";

fn forms() -> Vec<Row> {
    let good = file("filename=\"f\"");
    let closed = |parts: &str| format!("{parts}--b--\r\n");
    let long = format!(
        "Content-Type: multipart/form-data; boundary={}\r\n",
        "b".repeat(1000)
    );
    let tiny = part("Content-Disposition: form-data; name=\"x\"", "").repeat(10_000);
    let wide = part(
        &format!(
            "Content-Disposition: form-data; name=\"file\"\r\nX: {}",
            "a".repeat(1 << 20)
        ),
        "abc",
    );
    let nested = part(
        "Content-Disposition: form-data; name=\"file\"\r\nContent-Type: multipart/mixed; boundary=c",
        "--c\r\n\r\nx\r\n--c--",
    );
    let bad = |what, kind, body: &str| form(what, kind, body.as_bytes(), &[400, 413, 415, 422]);
    vec![
        bad(
            "no boundary",
            "Content-Type: multipart/form-data\r\n",
            &closed(&good),
        ),
        bad("a boundary of 1 kB", &long, &closed(&good)),
        bad("no end", KIND, &good),
        bad(
            "a part without a name",
            KIND,
            &closed(&part("Content-Disposition: form-data", "x")),
        ),
        bad("two files", KIND, &closed(&good.repeat(2))),
        form(
            "a form in a form",
            KIND,
            closed(&nested).as_bytes(),
            &[201, 400, 422],
        ),
        bad(
            "ten thousand parts",
            KIND,
            &closed(&format!("{tiny}{good}")),
        ),
        bad("a part with a head of 1 MB", KIND, &closed(&wide)),
        bad(
            "base64",
            KIND,
            &closed(&part(
                "Content-Disposition: form-data; name=\"file\"; filename=\"f\"\r\nContent-Transfer-Encoding: base64",
                "YWJj",
            )),
        ),
        bad(
            "line feeds alone",
            KIND,
            &closed(&good).replace("\r\n", "\n"),
        ),
        bad(
            "compressed",
            &format!("{KIND}Content-Encoding: gzip\r\n"),
            &closed(&good),
        ),
        bad(
            "a wrong purpose",
            KIND,
            &closed(&format!(
                "{}{good}",
                part("Content-Disposition: form-data; name=\"purpose\"", "x")
            )),
        ),
        bad("nothing", KIND, ""),
    ]
}

fn fields() -> Vec<Row> {
    let long = "n".repeat(300);
    let longer = "n".repeat(10_000);
    let names = [
        "",
        ".",
        "..",
        "../../x",
        "C:\\\\x",
        "/etc/passwd",
        &long,
        &longer,
        "\u{202e}gpj",
        "\u{1f4a9}",
        "con.txt",
        "a%00.png",
        "a\0b",
    ];
    let names = names.map(|name| format!("filename=\"{name}\"")).into_iter();
    let names = names.chain([
        "filename*=utf-8''%ff".into(),
        "filename=\"a\"; filename*=utf-8''b".into(),
        "filename=\"a\r\n b\"".into(),
        "filename=\"a".into(),
    ]);
    let mut rows: Vec<Row> = names
        .map(|name| {
            form(
                &name,
                KIND,
                format!("{}--b--\r\n", file(&name)).as_bytes(),
                &[201, 400, 422],
            )
        })
        .collect();
    let long_kind = format!("text/{}", "x".repeat(1000));
    for kind in [
        "text/html",
        "image/svg+xml",
        "text/plain; charset=x",
        "text/plain; charset=x\r\nX: y",
        "image/gif\r\n\r\nGIF89a/*",
        &long_kind,
        "nonsense",
        "a/b/c",
        "\u{e9}/x",
    ] {
        let body = format!(
            "{}--b--\r\n",
            file(&format!("filename=\"f\"\r\nContent-Type: {kind}"))
        );
        rows.push(form(kind, KIND, body.as_bytes(), &[201, 400, 422]));
    }
    let many: Vec<String> = (0..17).map(|key| format!("\"{key}\":\"\"")).collect();
    let texts = [
        "[]".to_owned(),
        "null".into(),
        format!("{{{}}}", many.join(",")),
        format!("{{\"{}\":\"\"}}", "k".repeat(65)),
        format!("{{\"k\":\"{}\"}}", "v".repeat(513)),
        "x".repeat(9000),
        r#"{"a":{"b":"c"}}"#.into(),
        r#"{"a":"\ud800"}"#.into(),
        r#"{"__proto__":"x"}"#.into(),
        "{\"a\":1}".into(),
        "{".into(),
    ];
    for text in texts {
        let body = format!(
            "{}{}--b--\r\n",
            part("Content-Disposition: form-data; name=\"metadata\"", &text),
            file("filename=\"f\"")
        );
        rows.push(form(
            &format!("metadata {text}"),
            KIND,
            body.as_bytes(),
            &[400, 413, 422],
        ));
    }
    rows
}

#[tokio::test]
async fn calls_that_are_none() {
    let (app, _) = fixture().await;
    let theirs = new_file("org_abc123", "file_theirs", "a-name-of-theirs");
    app.put(theirs, b"the bytes of another").await;
    let rows = [credentials(), ids(), pages(), batches()];
    check(
        &app,
        rows.into_iter().flatten().collect(),
        &["a-name-of-theirs"],
    )
    .await;
}

#[tokio::test]
async fn forms_that_are_none() {
    let (app, _) = fixture().await;
    check(&app, forms(), &[]).await;
}

#[tokio::test]
async fn fields_that_are_none() {
    let (app, _) = fixture().await;
    check(&app, fields(), &["passwd:"]).await;
}
