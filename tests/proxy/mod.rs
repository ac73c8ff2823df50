//! A real nginx in front, with the configuration that the README shows.

use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::support::app::{PNG, TestApp};
use crate::support::client::Client;
use crate::support::form::{FORM, Form};

const README: &str = include_str!("../../README.md");

/// nginx, ended with the test.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts nginx with these `location`s in `directory`, ready when it answers.
async fn nginx(directory: &Path, port: u16, locations: &str) -> Nginx {
    let place = directory.display();
    let config = format!(
        "daemon off; master_process off; pid {place}/nginx.pid; error_log {place}/nginx.log;\n\
         events {{}}\nhttp {{\naccess_log off; client_body_temp_path {place}/a; proxy_temp_path {place}/b;\n\
         fastcgi_temp_path {place}/c; uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;\n\
         server {{ listen 127.0.0.1:{port}; {locations} }}\n}}\n"
    );
    let file = directory.join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    let path = format!("{}:/usr/sbin", std::env::var_os("PATH").unwrap().display());
    let mut command = Command::new("nginx");
    let child = command.arg("-c").arg(&file).env("PATH", path).spawn();
    let nginx = Nginx(child.expect("nginx is installed; tests/run does that"));
    for _ in 0..500 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return nginx;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!(
        "{}",
        std::fs::read_to_string(directory.join("nginx.log")).unwrap_or_default()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn links_open_through_the_readmes_nginx_under_another_host_and_path() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let base = format!("http://{free}/share");
    let app = TestApp::start_with(&[("server.public_base_url", &base)])
        .await
        .with_org_123()
        .await;
    let (_, block) = README.split_once("```nginx\n").expect("a block for nginx");
    let (block, _) = block.split_once("```").unwrap();
    let block = block.replace("http://127.0.0.1:8080", &format!("http://{}", app.client.0));
    let _nginx = nginx(app.directory.path(), free.port(), &block).await;
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
