//! Apache and lighttpd, which send the bytes themselves (X-Sendfile).

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::*;
use crate::proxy::running::{Proxy, free_address};

/// The user of web servers, if there is one and we may become it.
const USER: &str = "www-data";

/// The group of web servers. `None` where we are not root, and the server is to run as we do.
fn group() -> Option<u32> {
    let may = rustix::process::geteuid().is_root();
    may.then(|| {
        let said = Command::new("id").args(["-g", USER]).output().unwrap();
        String::from_utf8(said.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    })
}

/// A gateway that leaves the bytes to a server of another user, to whose group its data directory was given.
async fn handing_over(at: SocketAddr) -> TestApp {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
    if let Some(group) = group() {
        fs::set_permissions(directory.path(), Permissions::from_mode(0o711)).unwrap();
        chown(&data, None, Some(group)).unwrap();
    }
    let base = format!("http://{at}");
    let handed = [("handover.mode", "x-sendfile"), ("blobs.mode", "0640")];
    let app = TestApp::start_in(directory, &settings(&base, &handed)).await;
    app.with_org_123().await
}

fn user_lines(of: impl Fn(&str) -> String) -> String {
    group().map(|_| of(USER)).unwrap_or_default()
}

/// Holds the server at this address against a gateway that streams. `tells_zero`: whether it says of an empty file
/// that it has 0 bytes, asked by HEAD. Apache leaves that header out.
async fn sends_the_bytes_itself(app: &TestApp, proxy: Client, tells_zero: bool) {
    let plain = self::app(proxy.0, &[]).await;
    for app in [app, &plain] {
        app.add("file_html", "page.html", b"<script>1</script>")
            .await;
        app.add("file_empty", "empty.bin", b"").await;
        app.add("file_name", "\u{7dd1} 100% + a.txt", b"text").await;
    }
    for (file, options) in [
        ("file_abc123", CLAIMS),
        ("file_html", ""),
        ("file_empty", ""),
        ("file_name", "disposition=attachment"),
    ] {
        let named = app.link(file, options).await;
        let direct = app.client.get(&named, &[]).await;
        let path = Path::new(direct.header("x-sendfile").expect("a file that is named"));
        assert_eq!(direct.body, b"");
        let reply = proxy.get(&named, &[]).await;
        assert_eq!((reply.status, reply.header("x-sendfile")), (200, None));
        for part in path.ancestors().take(4) {
            let group = fs::metadata(app.directory.path().join("data"))
                .unwrap()
                .gid();
            assert_eq!(
                fs::metadata(part).unwrap().gid(),
                group,
                "{}",
                part.display()
            );
        }
        let streamed = (plain.client, plain.link(file, options).await);
        if tells_zero || file != "file_empty" {
            are_the_same((proxy, named), streamed).await;
        }
    }
    passes_links_on(app, proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_sends_the_bytes_itself_under_the_very_same_headers() {
    let at = free_address().await;
    let app = handing_over(at).await;
    let (site, upstream) = (format!("<VirtualHost {at}>"), app.client.0.to_string());
    let blobs = app
        .directory
        .path()
        .join("data/blobs")
        .display()
        .to_string();
    let config = filled(
        APACHE_X_SENDFILE,
        &[
            ("<VirtualHost *:80>", site.as_str()),
            ("127.0.0.1:8080", &upstream),
            ("/var/lib/hallpass/blobs", &blobs),
        ],
    );
    let modules = ["proxy", "proxy_http", "headers", "xsendfile"];
    let user = user_lines(|user| format!("User {user}\nGroup {user}\n"));
    let config = format!("{user}Listen {at}\n{config}");
    let _apache = Proxy::apache(app.directory.path(), at, &modules, &config).await;
    sends_the_bytes_itself(&app, Client(at), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lighttpd_sends_the_bytes_itself_under_the_very_same_headers() {
    let at = free_address().await;
    let app = handing_over(at).await;
    let user =
        user_lines(|user| format!("server.username = \"{user}\"\nserver.groupname = \"{user}\"\n"));
    let listen = format!(
        "server.bind = \"127.0.0.1\"\nserver.port = {}\n{user}",
        at.port()
    );
    let upstream = format!("\"port\" => {}", app.client.0.port());
    let blobs = app
        .directory
        .path()
        .join("data/blobs/")
        .display()
        .to_string();
    let config = filled(
        LIGHTTPD_X_SENDFILE,
        &[
            ("server.port = 80\n", listen.as_str()),
            ("\"port\" => 8080", &upstream),
            ("/var/lib/hallpass/blobs/", &blobs),
        ],
    );
    let _lighttpd = Proxy::lighttpd(app.directory.path(), at, &config).await;
    sends_the_bytes_itself(&app, Client(at), true).await;
}
