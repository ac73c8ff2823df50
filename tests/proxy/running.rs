//! Real proxies, started and ended by a test.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// A running proxy, ended with the test.
pub(crate) struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address that nobody listens on.
pub(crate) async fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

impl Proxy {
    /// nginx with this inside of its `http`, and its files in `directory`.
    pub(crate) async fn nginx(directory: &Path, at: SocketAddr, http: &str) -> Self {
        let place = directory.display();
        let config = format!(
            "daemon off; master_process off; pid {place}/nginx.pid; error_log {place}/proxy.log;\n\
             events {{}}\nhttp {{\naccess_log off; client_body_temp_path {place}/a; proxy_temp_path {place}/b;\n\
             fastcgi_temp_path {place}/c; uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;\n\
             {http}\n}}\n"
        );
        let file = directory.join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        Self::start(Command::new("nginx").arg("-c").arg(&file), directory, at).await
    }

    /// Caddy with this file.
    pub(crate) async fn caddy(directory: &Path, at: SocketAddr, config: &str) -> Self {
        let file = directory.join("Caddyfile");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("caddy");
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(&file)
            .env("HOME", directory)
            .env("XDG_DATA_HOME", directory)
            .env("XDG_CONFIG_HOME", directory);
        Self::start(&mut command, directory, at).await
    }

    /// HAProxy with this file.
    pub(crate) async fn haproxy(directory: &Path, at: SocketAddr, config: &str) -> Self {
        let file = directory.join("haproxy.cfg");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("haproxy");
        Self::start(command.arg("-db").arg("-f").arg(&file), directory, at).await
    }

    /// Apache with this file and these modules besides those that it cannot do without.
    pub(crate) async fn apache(
        directory: &Path,
        at: SocketAddr,
        modules: &[&str],
        config: &str,
    ) -> Self {
        let place = directory.display();
        let load = |module: &&str| {
            format!("LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so\n")
        };
        let needed = ["mpm_event", "authz_core"];
        let modules: String = needed.iter().chain(modules).map(load).collect();
        let config = format!(
            "{modules}ServerName localhost\nServerRoot {place}\nDefaultRuntimeDir {place}\n\
             PidFile {place}/apache.pid\nErrorLog {place}/apache.log\n{config}"
        );
        let file = directory.join("apache.conf");
        std::fs::write(&file, config).unwrap();
        // One process, which is the one that is ended.
        let mut command = Command::new("apache2");
        Self::start(command.arg("-X").arg("-f").arg(&file), directory, at).await
    }

    /// lighttpd with this file.
    pub(crate) async fn lighttpd(directory: &Path, at: SocketAddr, config: &str) -> Self {
        let file = directory.join("lighttpd.conf");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("lighttpd");
        Self::start(command.arg("-D").arg("-f").arg(&file), directory, at).await
    }

    /// Starts it, ready when it accepts at this address.
    pub(crate) async fn start(command: &mut Command, directory: &Path, at: SocketAddr) -> Self {
        let said = directory.join("proxy.log");
        let log = std::fs::File::create(&said).unwrap();
        let path = format!("{}:/usr/sbin", std::env::var_os("PATH").unwrap().display());
        let child = command
            .env("PATH", path)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        let mut proxy = Self(child.expect("it is installed; tests/run does that"));
        for _ in 0..500 {
            if TcpStream::connect(at).await.is_ok() {
                return proxy;
            }
            if proxy.0.try_wait().unwrap().is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{}", std::fs::read_to_string(&said).unwrap_or_default());
    }
}
