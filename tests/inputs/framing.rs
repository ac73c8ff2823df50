//! The connection's own grammar.

use super::*;

const UPLOAD: &str = "/v1/organizations/org_123/files/upload";
const REFUSED: &[u16] = &[400];
const FORM: &str = "Content-Type: multipart/form-data; boundary=b\r\n";
const PART: &str =
    "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nabc\r\n--b--\r\n";

fn upload(lines: &str, body: &str) -> Vec<u8> {
    request(
        "POST",
        UPLOAD,
        &with_key(&format!("{FORM}{lines}")),
        body.as_bytes(),
    )
}

fn chunked(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len())
}

fn heads(link: &str) -> Vec<Row> {
    let get = |rest: &str| format!("GET {link} HTTP/1.1\r\n{rest}\r\n");
    let mut rows = vec![
        row("no Host", get(""), REFUSED),
        row(
            "two Hosts, the same",
            get("Host: x\r\nHost: x\r\n"),
            REFUSED,
        ),
        row("two Hosts", get("Host: x\r\nHost: y\r\n"), REFUSED),
        row(
            "HTTP/1.0 without a Host",
            format!("GET {link} HTTP/1.0\r\n\r\n"),
            &[200],
        ),
        row(
            "a space before the method",
            format!(" GET {link} HTTP/1.1\r\nHost: x\r\n\r\n"),
            REFUSED,
        ),
        row(
            "a space before the first header",
            get(" X: a\r\nHost: x\r\n"),
            REFUSED,
        ),
        row("a Host with spaces", get("Host: a b/c@d\r\n"), REFUSED),
        row("an empty Host", get("Host: \r\n"), REFUSED),
        row(
            "a whole URL of another host",
            format!("GET http://evil{link} HTTP/1.1\r\nHost: x\r\n\r\n"),
            &[200, 400],
        ),
        row(
            "five thousand bytes of method",
            request(&"M".repeat(5000), "/", "", b""),
            &[400, 501],
        ),
        row("HTTP/0.9", "GET /\r\n\r\n", &[400, 505]),
        row(
            "the preface of HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &[CLOSED, 400, 505],
        ),
        row(
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\xff\xff\xff\xff".to_vec(),
            &[CLOSED, 400],
        ),
        row(
            "noise",
            (0..=255).cycle().take(4000).collect::<Vec<u8>>(),
            &[CLOSED, 400],
        ),
        row(
            "line feeds alone",
            get("Host: x\r\n").replace("\r\n", "\n"),
            &[200, 400],
        ),
        row(
            "a header of bytes past ASCII",
            request("GET", link, "X-A: \u{e9}\u{ff}\r\n", b""),
            &[200],
        ),
        row(
            "101 headers",
            request("GET", link, &"A: b\r\n".repeat(101), b""),
            &[431],
        ),
        row(
            "a header of 450 KB",
            request("GET", link, &format!("A: {}\r\n", "a".repeat(450_000)), b""),
            &[431],
        ),
        row(
            "a head that is cut",
            "GET / HTTP/1.1\r\nHost:",
            &[CLOSED, 400],
        ),
        row("nothing at all", "", &[CLOSED]),
        row(
            "a good request and a bad one",
            [request("GET", link, "", b""), b"BAD\r\n\r\n".to_vec()].concat(),
            &[200, 400],
        ),
        row(
            "an expectation that is none",
            request("GET", link, "Expect: 200-maybe\r\n", b""),
            &[200, 417],
        ),
        row(
            "an upgrade",
            request(
                "GET",
                link,
                "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
                b"",
            ),
            &[200],
        ),
        row(
            "an upload nobody may make, expecting 100",
            request(
                "POST",
                UPLOAD,
                &format!("{FORM}Expect: 100-continue\r\nContent-Length: 9\r\n"),
                b"",
            ),
            &[401],
        ),
    ];
    for version in ["HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.", "HTTP/11"] {
        rows.push(row(
            version,
            format!("GET {link} {version}\r\nHost: x\r\n\r\n"),
            &[400, 505],
        ));
    }
    for lines in [
        "X: a\rb\r\n",
        "X: a\0b\r\n",
        "X: a\x7fb\r\n",
        "X : a\r\n",
        "X: a\r\n b\r\n",
        ": a\r\n",
        " X: a\r\n",
    ] {
        rows.push(row(
            format!("the lines {lines:?}"),
            request("GET", link, lines, b""),
            REFUSED,
        ));
    }
    for lines in [
        "X-HTTP-Method-Override: DELETE\r\n",
        "X-Original-URL: /livez\r\n",
        "X-Rewrite-URL: /livez\r\n",
    ] {
        rows.push(row(
            lines.trim_end(),
            request("GET", link, lines, b""),
            &[200],
        ));
    }
    rows
}

fn targets(link: &str) -> Vec<Row> {
    let get = |target: &str, allowed| {
        row(
            format!("the target {:.40}", target),
            request("GET", target, "", b""),
            allowed,
        )
    };
    let mut rows = vec![
        get("*", REFUSED),
        get("foo", REFUSED),
        get("//evil.com/x", &[404]),
        get(&format!("{link}#frag"), &[200, 400, 401]),
        get(&format!("/{}", "a".repeat(60_000)), &[414]),
        get(&format!("/{}", "a".repeat(70_000)), &[414, 431]),
        get(&format!("/{}", "a".repeat(500_000)), &[414, 431]),
        row(
            "CONNECT",
            request("CONNECT", "a:80", "", b""),
            &[400, 405, 501],
        ),
        row("TRACE", request("TRACE", link, "", b""), &[405, 501]),
        row("FOO", request("FOO", "/", "", b""), &[405, 501]),
        row("get", request("get", "/", "", b""), &[405, 501]),
        row(
            "invalid UTF-8",
            b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            &[400, 404],
        ),
    ];
    for target in [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc",
        "/%252e%252e/",
        "/.%00./",
    ] {
        rows.push(get(target, &[400, 404]));
    }
    for c in [
        "\0", " ", "\"", "<", ">", "{", "}", "|", "\\", "^", "\u{e9}", "\u{4f60}",
    ] {
        rows.push(get(&format!("/a{c}b"), &[400, 404]));
    }
    rows
}

fn bodies() -> Vec<Row> {
    let mut rows = vec![
        row(
            "two lengths",
            upload("Content-Length: 5\r\nContent-Length: 6\r\n", "abcdef"),
            REFUSED,
        ),
        row(
            "one length twice",
            upload(&"Content-Length: 3\r\n".repeat(2), "abc"),
            REFUSED,
        ),
        row(
            "a length near 2^64",
            upload("Content-Length: 18446744073709551613\r\n", "abc"),
            &[413],
        ),
        row(
            "a length and chunks",
            upload(
                "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
                &chunked(PART),
            ),
            &[201, 400],
        ),
        row(
            "chunks and a length",
            upload(
                "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
                &chunked(PART),
            ),
            &[201, 400],
        ),
        row(
            "chunks in HTTP/1.0",
            String::from_utf8(upload("Transfer-Encoding: chunked\r\n", &chunked(PART)))
                .unwrap()
                .replace("HTTP/1.1", "HTTP/1.0"),
            REFUSED,
        ),
        row(
            "a body that is cut",
            upload("Content-Length: 500\r\n", PART),
            &[CLOSED, 400],
        ),
        row(
            "chunks that are cut",
            upload("Transfer-Encoding: chunked\r\n", "5\r\nabc"),
            &[CLOSED, 400],
        ),
        row(
            "20 KB of trailers",
            upload(
                "Transfer-Encoding: chunked\r\n",
                &format!(
                    "{:x}\r\n{PART}\r\n0\r\nX: {}\r\n\r\n",
                    PART.len(),
                    "a".repeat(20_000)
                ),
            ),
            &[201, 400, 431],
        ),
        row(
            "a length as a trailer",
            upload(
                "Transfer-Encoding: chunked\r\n",
                &format!(
                    "{:x}\r\n{PART}\r\n0\r\nContent-Length: 3\r\n\r\n",
                    PART.len()
                ),
            ),
            &[201, 400],
        ),
    ];
    // What stands behind them must not be taken for a request: it would be answered with 401.
    let behind = format!(
        "{}GET /v1/files/none HTTP/1.1\r\nHost: x\r\n\r\n",
        chunked(PART)
    );
    for lines in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
    ] {
        rows.push(row(
            format!("a request behind {lines:?}"),
            upload(lines, &behind),
            &[201, 400],
        ));
    }
    for length in [
        "-1",
        "+3",
        "0x3",
        "3 3",
        "3, 3",
        "",
        "18446744073709551616",
        "0003",
    ] {
        rows.push(row(
            format!("the length {length:?}"),
            upload(&format!("Content-Length: {length}\r\n"), "abc"),
            REFUSED,
        ));
    }
    for coding in [
        "xchunked",
        "identity",
        "chunked, gzip",
        "\"chunked\"",
        "\x0bchunked",
        "chunked;foo",
        "gzip, chunked",
        "chunked, chunked",
        "chunked\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: gzip",
    ] {
        rows.push(row(
            format!("the coding {coding:?}"),
            upload(&format!("Transfer-Encoding: {coding}\r\n"), &chunked(PART)),
            &[400, 501],
        ));
    }
    for chunks in [
        "-1\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "3\nabc\n0\n\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcXX0\r\n\r\n",
    ] {
        rows.push(row(
            format!("the chunks {chunks:?}"),
            upload("Transfer-Encoding: chunked\r\n", chunks),
            REFUSED,
        ));
    }
    let extension = format!("3;{}\r\nabc\r\n0\r\n\r\n", "a".repeat(20_000));
    rows.push(row(
        "a chunk extension of 20 KB",
        upload("Transfer-Encoding: chunked\r\n", &extension),
        REFUSED,
    ));
    rows
}

#[tokio::test]
async fn heads_that_are_none() {
    let (app, link) = fixture().await;
    check(&app, heads(&link), &[]).await;
}

#[tokio::test]
async fn targets_that_are_none() {
    let (app, link) = fixture().await;
    check(&app, targets(&link), &["passwd:"]).await;
    let mint = "http://evil/v1/organizations/org_123/files/file_abc123/content";
    let mint = request("GET", mint, &with_key(""), b"");
    let rows = vec![row("a link asked for at another host", mint, &[200])];
    check(&app, rows, &["evil"]).await;
}

#[tokio::test]
async fn bodies_that_are_none() {
    let (app, _) = fixture().await;
    check(&app, bodies(), &[]).await;
}
