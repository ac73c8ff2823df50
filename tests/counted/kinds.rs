//! What is signed for one route is dead on every other one, on every transport.

use hallpass::config::Listen;
use hallpass::sign::ticket::TicketAttempt;
use hallpass::sign::url::{SignedUrl, parse};
use hallpass::sign::verify::Attempt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use super::{bytes, counted, started};
use crate::support::client::{Reply, exchange_over, parse as parse_reply};
use crate::transport::{Http2, Pair};

/// 22 letters and digits, where a vector has none.
const RID: &str = "7hGf3KpQ9sTz0aBcDeFgHi";

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(key, _)| *key == name);
    values.next().map(|(_, value)| value)
}

/// The ticket that the parts of a link make.
fn as_ticket(link: &Attempt<'_>) -> String {
    let (organization, query) = (link.organization, link.query);
    let (kid, mac) = parameter(query, "token").unwrap().split_once('.').unwrap();
    let expires = parameter(query, "expires").unwrap();
    let rid = parameter(query, "nonce").unwrap_or(RID);
    format!("/v1/organizations/{organization}/tickets/{kid}.{expires}.{rid}.{mac}/a.txt")
}

/// The link that the parts of a ticket make.
fn as_link(ticket: &TicketAttempt<'_>, route: &str, more: &str) -> String {
    let parts: Vec<&str> = ticket.ticket.split('.').collect();
    let [kid, expires, rid, mac] = parts[..] else {
        panic!("{}", ticket.ticket)
    };
    let more = more.replace("{rid}", rid);
    let organization = ticket.organization;
    format!(
        "/v1/organizations/{organization}/files/file_abc123/{route}?expires={expires}{more}&token={kid}.{mac}"
    )
}

/// What a signed URL is on the routes of the other kinds.
fn elsewhere(url: &str) -> Vec<String> {
    let at = |link: &Attempt<'_>, route: &str, query: &str| {
        let (organization, file) = (link.organization, link.file);
        format!("/v1/organizations/{organization}/files/{file}/{route}?{query}")
    };
    match parse(url).unwrap_or_else(|| panic!("{url}")) {
        SignedUrl::Download(link) => {
            let counted = link.query.replace("&token=", "&max-downloads=1&token=");
            vec![
                at(&link, "redeem", link.query),
                at(&link, "redeem", &counted),
                as_ticket(&link),
            ]
        }
        SignedUrl::Counted(link) => {
            let own = ["max-downloads=", "nonce=", "redeem="];
            let is_plain = |pair: &&str| !own.iter().any(|name| pair.starts_with(name));
            let plain: Vec<&str> = link.query.split('&').filter(is_plain).collect();
            vec![
                at(&link, "download", link.query),
                at(&link, "download", &plain.join("&")),
                at(&link, "download/a.txt", link.query),
                as_ticket(&link),
            ]
        }
        SignedUrl::Ticket(ticket) => vec![
            as_link(&ticket, "download", ""),
            as_link(&ticket, "redeem", "&max-downloads=1"),
            as_link(&ticket, "redeem", "&max-downloads=1&nonce={rid}"),
        ],
    }
}

#[tokio::test]
async fn what_is_signed_for_one_route_is_dead_on_every_other() {
    let pair = Pair::new();
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("socket");
    let own = [
        ("server.http2", "on"),
        ("server.trusted_proxies", "127.0.0.1"),
        ("verify.header", "X-Original-URI"),
        ("server.listen", &format!("unix:{}", socket.display())),
    ];
    let (app, tls) = pair.app(&own).await;
    assert!(app.listeners.iter().any(|at| matches!(at, Listen::Unix(_))));
    app.add("file_big", "big file.bin", &bytes()).await;
    let mut plain = Http2::plain(app.client.0).await;
    let over_tls = pair.connect(tls, &["h2"]).await.unwrap();
    let mut over_tls = Http2::over(over_tls).await;

    let link = app.link("file_big", "max_downloads=1").await;
    let ticket = started(&app, &link, "192.0.2.1").await;
    let mut urls = vec![link.clone(), ticket.clone()];
    for claims in [
        "",
        "disposition=attachment&filename=b.txt",
        "ip=127.0.0.0/8&content_type=text/plain",
    ] {
        urls.push(app.link("file_big", claims).await);
        let counted = format!("max_downloads=1&redeem=get&{claims}");
        urls.push(app.link("file_big", counted.trim_end_matches('&')).await);
    }
    let elsewhere = urls
        .iter()
        .flat_map(|path| elsewhere(&format!("http://h{path}")));
    for url in &elsewhere.collect::<Vec<_>>() {
        let methods: &[&str] = match url.contains("/redeem?") {
            true => &["GET", "HEAD", "POST"],
            false => &["GET", "HEAD"],
        };
        for method in methods {
            let head = format!(
                "{method} {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            );
            let is_head = *method == "HEAD";
            let over_http1 = pair.connect(tls, &["http/1.1"]).await.unwrap();
            let over_unix = UnixStream::connect(&socket).await.unwrap();
            let headers = [("Accept", "*/*")];
            for (reply, over) in [
                (
                    app.client.request(method, url, &headers, b"").await,
                    "HTTP/1",
                ),
                (http1(over_http1, &head, is_head).await, "TLS"),
                (http1(over_unix, &head, is_head).await, "a Unix socket"),
                (plain.request(method, url, &[], b"").await.unwrap(), "h2c"),
                (over_tls.request(method, url, &[], b"").await.unwrap(), "h2"),
            ] {
                assert_eq!(reply.status, 401, "{method} {url} over {over}");
            }
        }
        let asked = [("X-Original-URI", url.as_str())];
        let reply = app.client.get("/verify", &asked).await;
        assert_eq!(reply.status, 401, "{url}");
    }
    let found = counted(&app, &link).await.unwrap();
    assert_eq!((found.done, found.open, found.bytes_sent), (0, 1, 0));
    assert_eq!(app.client.get(&ticket, &[]).await.status, 200, "it is good");
}

async fn http1(stream: impl AsyncRead + AsyncWrite, head: &str, is_head: bool) -> Reply {
    let answer = exchange_over(stream, head.as_bytes(), false).await;
    parse_reply(&answer, is_head)
}
