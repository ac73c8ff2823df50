//! Behind a proxy: the client's address, and real proxies with the configurations of `config/deploy`.

mod addresses;
mod announced;
mod deployed;
mod handover;
mod request_ids;
pub(crate) mod running;
mod sockets;
mod verify;

use running::{Proxy, free_address};

use crate::support::app::{PNG, TestApp};
use crate::support::client::Client;
use crate::support::form::{FORM, Form};

const NGINX_PREFIX: &str = include_str!("../../config/deploy/nginx-prefix.conf");

#[tokio::test(flavor = "multi_thread")]
async fn links_open_through_nginx_under_another_host_and_path() {
    let free = free_address().await;
    let base = format!("http://{free}/share");
    let app = TestApp::start_with(&[
        ("server.public_base_url", base.as_str()),
        ("server.trusted_proxies", "127.0.0.1"),
    ])
    .await
    .with_org_123()
    .await;
    let server = NGINX_PREFIX.replace("127.0.0.1:8080", &app.client.0.to_string());
    let server = server.replace("listen 80;", &format!("listen {free};"));
    let _nginx = Proxy::nginx(app.directory.path(), free, &server).await;
    let proxy = Client(free);

    let link = app
        .link(
            "file_abc123",
            "disposition=attachment&filename=a%20b%2B%C3%A9.png",
        )
        .await;
    assert!(link.starts_with("/share/v1/"), "{link}");
    let direct = app.client.get(&link, &[]).await;
    let through = proxy.get(&link, &[]).await;
    assert_eq!((through.status, through.body.as_slice()), (200, PNG));
    for (name, value) in direct
        .headers
        .iter()
        .filter(|(name, _)| !["Date", "Connection"].contains(&name.as_str()))
    {
        assert_eq!(through.header(name), Some(value.as_str()), "{name}");
    }
    let part = proxy.get(&link, &[("Range", "bytes=1-3")]).await;
    assert_eq!((part.status, part.body.as_slice()), (206, &PNG[1..4]));
    let dead = proxy.get(&link.replace("token=", "token=x"), &[]).await;
    assert_eq!(
        (dead.status, &dead.json()["error"]["code"]),
        (401, &"TOKEN_INVALID".into())
    );

    let ours = app.operator_link("file_abc123", "127.0.0.1").await;
    assert_eq!(proxy.get(&ours, &[]).await.status, 200);
    let theirs = app.operator_link("file_abc123", "192.0.2.1").await;
    let forged = [("X-Forwarded-For", "192.0.2.1")];
    assert_eq!(proxy.get(&theirs, &forged).await.status, 401);

    let form = Form::default().file("x.bin", &vec![7; 3_000_000]).close();
    let upload = "/share/v1/organizations/org_123/files/upload";
    let uploaded = proxy
        .request("POST", upload, &[("X-API-Key", "k1"), FORM], &form)
        .await;
    assert_eq!(
        (uploaded.status, &uploaded.json()["file_size"]),
        (201, &3_000_000.into())
    );
}
