//! One test for each proxy.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use tempfile::TempDir;

use crate::rig::{FILES, Site, bytes_of};
use crate::running::{Proxy, free_address};
use crate::server::Server;

/// An answer as curl received it.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// What any proxy may write in its own name.
const OWN: [&str; 6] = [
    "connection",
    "date",
    "keep-alive",
    "server",
    "via",
    "transfer-encoding",
];

/// Names of files that proxies and their logs have tripped over: a plus, a percent sign, another script, and one
/// as long as names get.
fn names() -> [String; 3] {
    [
        "1-a b+c 100%-50000.bin".to_owned(),
        "2-緑の報告書 – Überblick-7.bin".to_owned(),
        format!("3-{}-100.bin", "長い名前".repeat(20)),
    ]
}

fn curl(host: &str, target: &str, head: bool, headers: &[(&str, &str)]) -> Answer {
    let room = TempDir::new().unwrap();
    let (head_file, body_file) = (room.path().join("head"), room.path().join("body"));
    let mut command = Command::new("curl");
    command
        .args(["-sS", "--http1.1", "--path-as-is", "--max-time", "60", "-D"])
        .arg(&head_file)
        .arg("-o")
        .arg(&body_file);
    if head {
        command.arg("--head");
    }
    for (name, value) in headers {
        command.arg("-H").arg(format!("{name}: {value}"));
    }
    let said = command
        .arg(format!("http://{host}{target}"))
        .output()
        .unwrap();
    assert!(said.status.success(), "{said:?}");
    let text = String::from_utf8(fs::read(head_file).unwrap()).unwrap();
    let mut lines = text.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    Answer {
        status: status.parse().unwrap(),
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .filter(|(name, _)| !OWN.contains(&name.as_str()))
            .collect(),
        body: if head {
            Vec::new()
        } else {
            fs::read(body_file).unwrap_or_default()
        },
    }
}

fn upload(site: &Site, server: &Server, name: &str) -> String {
    let reply = site.upload_reply(server, name).unwrap();
    assert_eq!(reply.status, 201, "{}", reply.text());
    let file: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    file["id"].as_str().unwrap().to_owned()
}

/// A link of this file that saves it under its own name.
fn mint(site: &Site, server: &Server, id: &str) -> String {
    let target = format!("{FILES}/{id}/content?disposition=attachment");
    let minted = site.json(server, &target);
    let url = minted["download_url"].as_str().unwrap();
    url[url.find("/v1/").unwrap()..].to_owned()
}

/// What a proxy is known to change.
#[derive(Default)]
struct Changes {
    /// Headers that it adds.
    headers: &'static [&'static str],
    /// Whether it asks without the conditions and the range, and judges them itself: its 304 has headers of the 200,
    /// too, and it answers HEAD with a range by 206, against RFC 9110 §14.2.
    judges_itself: bool,
}

/// Holds every answer through the proxy at this address against the one without it.
fn holds(site: &Site, server: &Server, at: SocketAddr, changes: &Changes) {
    let at = at.to_string();
    for name in names() {
        let id = upload(site, server, &name);
        let link = mint(site, server, &id);
        assert!(link.contains("response-content-disposition="), "{link}");
        let whole = curl(&server.host, &link, false, &[]);
        assert!(whole.body == bytes_of(&name));
        let tag = whole.headers["etag"].as_str();
        let cases: &[(u16, &[(&str, &str)])] = &[
            (200, &[]),
            (206, &[("Range", "bytes=1-3")]),
            (206, &[("Range", "bytes=-2")]),
            (206, &[("Range", "bytes=1-3"), ("If-Range", tag)]),
            (304, &[("If-None-Match", tag)]),
        ];
        for (status, headers) in cases {
            for head in [false, true] {
                if head && *status == 206 && changes.judges_itself {
                    assert_eq!(curl(&at, &link, head, headers).status, 206, "{headers:?}");
                    continue;
                }
                let direct = curl(&server.host, &link, head, headers);
                // A range is for GET alone.
                let expected = if head && *status == 206 { 200 } else { *status };
                assert_eq!(direct.status, expected, "{headers:?}");
                same(
                    direct,
                    curl(&at, &link, head, headers),
                    changes,
                    &format!("{headers:?} {head}"),
                );
            }
        }
        let dead = link.replace("token=", "token=x");
        for head in [false, true] {
            let mut direct = curl(&server.host, &dead, head, &[]);
            let mut through = curl(&at, &dead, head, &[]);
            assert_eq!(direct.status, 401);
            // Each answer has an id of its own.
            for answer in [&mut direct, &mut through] {
                assert!(answer.headers.remove("x-request-id").is_some());
                assert!(head || answer.body.starts_with(b"{"));
                answer.body.clear();
            }
            same(direct, through, changes, "401");
        }
    }
}

fn same(direct: Answer, through: Answer, changes: &Changes, case: &str) {
    assert_eq!(through.status, direct.status, "{case}");
    assert!(through.body == direct.body, "{case}: other bytes");
    let without = |mut headers: BTreeMap<String, String>| {
        headers.retain(|name, _| !changes.headers.contains(&name.as_str()));
        headers
    };
    if changes.judges_itself && direct.status == 304 {
        let all = through.headers.iter();
        let more = direct
            .headers
            .iter()
            .all(|one| all.clone().any(|other| one == other));
        assert!(more, "{case}: {:?} {:?}", through.headers, direct.headers);
        return;
    }
    assert_eq!(without(through.headers), without(direct.headers), "{case}");
}

/// A running gateway, and a directory for a proxy in front of it that may run as another user.
async fn place() -> (Site, Server, TempDir, SocketAddr) {
    let site = Site::new();
    let server = site.serve();
    let directory = TempDir::new().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    (site, server, directory, free_address().await)
}

/// Every piece put into its place; each must be there.
fn filled(config: &str, pieces: &[(&str, &str)]) -> String {
    let mut config = config.to_owned();
    for (piece, place) in pieces {
        assert!(config.contains(piece), "{piece}");
        config = config.replace(piece, place);
    }
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx() {
    let (site, server, directory, at) = place().await;
    let listen = format!("listen {at};");
    let config = filled(
        include_str!("../../config/deploy/nginx.conf"),
        &[("listen 80;", &listen), ("127.0.0.1:8080", &server.host)],
    );
    let _nginx = Proxy::nginx(directory.path(), at, &config).await;
    holds(&site, &server, at, &Changes::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy() {
    let (site, server, directory, at) = place().await;
    let own = free_address().await;
    let config = filled(
        include_str!("../../config/deploy/Caddyfile"),
        &[
            ("http://files.example.com:80", &format!("http://{at}")),
            ("http://own.example.com:80", &format!("http://{own}")),
            ("127.0.0.1:8080", &server.host),
        ],
    );
    let _caddy = Proxy::caddy(directory.path(), at, &config).await;
    holds(&site, &server, at, &Changes::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy() {
    let (site, server, directory, at) = place().await;
    let other = free_address().await;
    let config = filled(
        include_str!("../../config/deploy/haproxy.cfg"),
        &[
            ("bind :80", &format!("bind {at}")),
            ("127.0.0.1:8080", &server.host),
        ],
    );
    let config = filled(&config, &[("bind :81", &format!("bind {other}"))]);
    let _haproxy = Proxy::haproxy(directory.path(), at, &config).await;
    holds(&site, &server, at, &Changes::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn apache() {
    let (site, server, directory, at) = place().await;
    let config = filled(
        include_str!("../../config/deploy/apache-x-sendfile.conf"),
        &[
            ("<VirtualHost *:80>", &format!("<VirtualHost {at}>")),
            ("127.0.0.1:8080", &server.host),
        ],
    );
    let config = format!("Listen {at}\n{config}");
    let modules = ["proxy", "proxy_http", "headers", "xsendfile"];
    let _apache = Proxy::apache(directory.path(), at, &modules, &config).await;
    holds(&site, &server, at, &Changes::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn lighttpd() {
    let (site, server, directory, at) = place().await;
    let (_, port) = server.host.rsplit_once(':').unwrap();
    let listen = format!("server.bind = \"127.0.0.1\"\nserver.port = {}\n", at.port());
    let config = filled(
        include_str!("../../config/deploy/lighttpd-x-sendfile.conf"),
        &[
            ("server.port = 80\n", &listen),
            ("\"port\" => 8080", &format!("\"port\" => {port}")),
        ],
    );
    let _lighttpd = Proxy::lighttpd(directory.path(), at, &config).await;
    holds(&site, &server, at, &Changes::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn varnish() {
    let (site, server, directory, at) = place().await;
    let (host, port) = server.host.rsplit_once(':').unwrap();
    let config =
        format!("vcl 4.1;\nbackend hallpass {{ .host = \"{host}\"; .port = \"{port}\"; }}\n");
    let (file, work) = (directory.path().join("vcl"), directory.path().join("work"));
    fs::write(&file, config).unwrap();
    let mut command = Command::new("varnishd");
    command
        .args(["-F", "-j", "none", "-s", "malloc,16m", "-a"])
        .arg(at.to_string())
        .arg("-f")
        .arg(&file)
        .arg("-n")
        .arg(&work);
    let _varnish = Proxy::start(&mut command, directory.path(), at).await;
    let changes = Changes {
        headers: &["age", "x-varnish"],
        judges_itself: true,
    };
    holds(&site, &server, at, &changes);
}

#[tokio::test(flavor = "multi_thread")]
async fn squid() {
    let (site, server, directory, at) = place().await;
    let (host, port) = server.host.rsplit_once(':').unwrap();
    let room = directory.path().display();
    let config = format!(
        "http_port {at} accel defaultsite=files.example.com\n\
         cache_peer {host} parent {port} 0 no-query no-digest originserver\n\
         http_access allow all\naccess_log none\ncache_log {room}/cache.log\npid_filename none\n\
         coredump_dir {room}\npinger_enable off\nshutdown_lifetime 0 seconds\n"
    );
    let file = directory.path().join("squid.conf");
    fs::write(&file, config).unwrap();
    let mut command = Command::new("squid");
    command.args(["-N", "-f"]).arg(&file);
    let _squid = Proxy::start(&mut command, directory.path(), at).await;
    let changes = Changes {
        headers: &["x-cache", "x-cache-lookup"],
        ..Changes::default()
    };
    holds(&site, &server, at, &changes);
}
