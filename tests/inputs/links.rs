//! Links that are not quite what was minted: one refusal for all of them.

use super::*;
use crate::support::app::T0;

const DEAD: &[u16] = &[401];
const FINE: &[u16] = &[200];

struct Parts {
    path: String,
    expires: String,
    token: String,
}

fn parts(link: &str) -> Parts {
    let (path, query) = link.split_once('?').unwrap();
    let (expires, token) = query.split_once('&').unwrap();
    Parts {
        path: path.to_owned(),
        expires: expires.strip_prefix("expires=").unwrap().to_owned(),
        token: token.strip_prefix("token=").unwrap().to_owned(),
    }
}

fn queries(
    Parts {
        path,
        expires: e,
        token: t,
    }: &Parts,
) -> Vec<Row> {
    let query = |query: &str, allowed| {
        row(
            format!("?{query:.60}"),
            request("GET", &format!("{path}?{query}"), "", b""),
            allowed,
        )
    };
    let short = &t[..t.len() - 1];
    let mut rows = vec![
        query("", DEAD),
        query(&format!("expires={e}"), DEAD),
        query(&format!("token={t}"), DEAD),
        query(&format!("expires={e}&token="), DEAD),
        query(&format!("expires={e}&token={short}"), DEAD),
        query(&format!("expires={e}&token={t}A"), DEAD),
        query(&format!("expires={e}&token={}", "A".repeat(7000)), DEAD),
        query(
            &format!("expires={e}&token={}", "A".repeat(65_000)),
            &[414, 431],
        ),
        query(&format!("expires={e}&token={t}&token=x"), DEAD),
        query(&format!("expires={e}&token=x&token={t}"), DEAD),
        query(&format!("expires={e}&expires={e}&token={t}"), DEAD),
        query(&format!("expires={e}&expires=9999999999&token={t}"), DEAD),
        query(&format!("expires={e}&token={t}&%74oken=x"), DEAD),
        query(&format!("expires={e}&%74oken={t}"), FINE),
        query(&format!("expires={e}&token[]={t}"), DEAD),
        query(&format!("expires={e}&TOKEN={t}"), DEAD),
        query(&format!("Expires={e}&token={t}"), DEAD),
        query(&format!("expires[]={e}&token={t}"), DEAD),
        query(&format!("expires={e}&token={t}&token[]=x"), FINE),
        query(&format!("expires={e}&token={t}&utm_source=1"), FINE),
        query(&format!("token={t};expires={e}"), DEAD),
        query(&format!("expires={e}&token"), DEAD),
        query(&format!("expires&token={t}"), DEAD),
        query(&format!("expires={e}&&token={t}"), FINE),
        query(&format!("&expires={e}&token={t}&"), FINE),
        query("&&", DEAD),
        query("&=", DEAD),
        query("?token", DEAD),
        query(&format!("?expires={e}&token={t}"), DEAD),
        query(&format!("expires={e}%26token={t}"), DEAD),
        query(&format!("expires={e}%26file%3D2&token={t}"), DEAD),
        query(&format!("expires={e}%0atoken={t}"), DEAD),
        query(
            &format!("expires={e}&token={t}&response-content-disposition=attachment"),
            DEAD,
        ),
        query(
            &format!("expires={e}&token={t}&response-content-type=text/html"),
            DEAD,
        ),
        query(&format!("expires={e}&token={}", t.to_uppercase()), DEAD),
    ];
    for bad in [
        "%", "%4", "%zz", "%0a", "%00", "=", "%ff", "+", "/", "%20", "\u{e9}",
    ] {
        rows.push(query(&format!("expires={e}&token={t}{bad}"), &[400, 401]));
    }
    let longer: u64 = e.parse::<u64>().unwrap() + 1;
    let others = [
        "abc",
        "-1",
        "0",
        "1e9",
        "0x7fffffff",
        "%201",
        "1%20",
        "01",
        "1.0",
        "",
        "2147483648",
        "9223372036854775808",
        "18446744073709551615",
        "%d9%a1%d9%a2",
    ];
    let others = others.map(str::to_owned).into_iter().chain([
        format!("%2B{e}"),
        format!("+{e}"),
        format!("0{e}"),
        format!("{e}%00"),
        format!("{e}000"),
        "9".repeat(40),
        longer.to_string(),
        (T0 - 1).to_string(),
        T0.to_string(),
    ]);
    rows.extend(others.map(|other| query(&format!("expires={other}&token={t}"), DEAD)));
    rows
}

fn paths(
    Parts {
        path,
        expires,
        token,
    }: &Parts,
) -> Vec<Row> {
    let at = |path: &str, allowed| {
        row(
            path,
            request(
                "GET",
                &format!("{path}?expires={expires}&token={token}"),
                "",
                b"",
            ),
            allowed,
        )
    };
    let mut rows = vec![
        at(&path.replace("file_abc123", "file_def456"), DEAD),
        at(&path.replace("org_123", "org_abc123"), DEAD),
        at(
            &path.replace("org_123/files/file_", "org_123file/files/_"),
            DEAD,
        ),
        at(
            &path
                .replace("org_123", "org_12")
                .replace("file_abc", "3file_abc"),
            DEAD,
        ),
        at(&path.replace("file_abc123", "%66ile_abc123"), &[401, 404]),
        at(&path.replace("file_abc123", "FILE_ABC123"), DEAD),
        at(&path.replace("file_abc123", "nothing"), DEAD),
        at(&format!("{path}/"), &[401, 404]),
        at(&format!("/{path}"), &[401, 404]),
        at(&path.replace("/files/", "/files//"), &[401, 404]),
        at(&path.replace("/files/", "/./files/"), &[401, 404]),
        at(&path.replace("/download", "%2Fdownload"), &[401, 404]),
        at(&path.replace("/download", ";v=1/download"), &[401, 404]),
        at(&path.replace("/files/", "\\files\\"), &[400, 401, 404]),
        at(&path.replace("/download", "/DOWNLOAD"), &[401, 404]),
    ];
    for id in [
        "%2e%2e",
        "..",
        "%00",
        "a%2fb",
        "a%3fb",
        "%252e",
        "a;b",
        "%ff",
        "'; DROP--",
        "a b",
    ] {
        rows.push(at(&path.replace("file_abc123", id), &[400, 401, 404]));
    }
    rows
}

fn methods(link: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = ["POST", "PUT", "PATCH", "DELETE"]
        .into_iter()
        .map(|method| {
            row(
                method,
                request(method, link, "Content-Length: 0\r\n", b""),
                &[405],
            )
        })
        .collect();
    let dead = link.replace("token=", "token=x");
    rows.extend([
        row("OPTIONS", request("OPTIONS", link, "", b""), &[204]),
        row("HEAD", request("HEAD", link, "", b""), FINE),
        row("HEAD of a dead link", request("HEAD", &dead, "", b""), DEAD),
        row(
            "a GET with a body",
            request("GET", link, "Content-Length: 3\r\n", b"abc"),
            &[200, 400],
        ),
    ]);
    for lines in [
        "Authorization: Bearer wrong\r\n",
        "X-API-Key: wrong\r\n",
        "Cookie: token=x\r\n",
    ] {
        rows.push(row(
            lines.trim_end(),
            request("GET", link, lines, b""),
            FINE,
        ));
    }
    for lines in [
        "If-None-Match: *\r\n",
        "Range: bytes=0-0\r\n",
        "If-Match: \"x\"\r\n",
    ] {
        rows.push(row(
            format!("a dead link, {}", lines.trim_end()),
            request("GET", &dead, lines, b""),
            DEAD,
        ));
    }
    rows
}

#[tokio::test]
async fn links_that_open_nothing() {
    let (app, link) = fixture().await;
    let parts = parts(&link);
    let rows = [queries(&parts), paths(&parts), methods(&link)];
    check(&app, rows.into_iter().flatten().collect(), &[]).await;
    app.at(3600);
    let lines = [
        "",
        "If-None-Match: *\r\n",
        "If-Match: \"x\"\r\n",
        "Range: bytes=9999-\r\n",
    ];
    let mut rows: Vec<Row> = lines
        .into_iter()
        .map(|lines| {
            let what = format!("at its end, {}", lines.trim_end());
            row(what, request("GET", &link, lines, b""), DEAD)
        })
        .collect();
    rows.push(row(
        "at its end, HEAD",
        request("HEAD", &link, "", b""),
        DEAD,
    ));
    check(&app, rows, &[]).await;
}
