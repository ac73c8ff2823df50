//! The real binary on the store: killed, cut off, short of memory, short of rights.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hallpass::blob::BlobStore as _;
use hallpass::blob::s3::HELD_BYTES_MAX;
use hallpass::config::{Config, Flag};
use hallpass::gateway::Gateway;
use hallpass::gateway::clock::ManualClock;
use hallpass::server::installation::Installation;
use hallpass::server::setup::SetupPolicy;

use super::proxy::{Fault, Proxy};
use super::{found, prefix};
use crate::cli::support::{Place, Serving, open, pause, set_mode, status, text, until};
use crate::support::store::Store;

/// By how much the memory of a process may grow that takes a large file in, in KiB: two parts of 5 MiB, what
/// the client of the store holds of them, and as much again of the allocator's own.
const UPLOAD_KIB_MAX: u64 = 60 * 1024;

/// The same of one that sends it: what a download may hold, and the allocator's own.
const DOWNLOAD_KIB_MAX: u64 = 8 * (HELD_BYTES_MAX / 1024) as u64;

/// A place whose bytes are in the store. The settings may be variables of others, too.
pub(super) struct Installed {
    pub(super) place: Place,
    pub(super) settings: Vec<(&'static str, String)>,
}

impl Installed {
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.place.command(words);
        for (key, value) in &self.settings {
            if !key.contains('.') {
                command.env(key, value);
            } else {
                let name = key.to_ascii_uppercase().replace('.', "_");
                command.env(format!("HALLPASS_{name}"), value);
            }
        }
        command
    }

    pub(super) fn serve(&self) -> (Serving, String) {
        let mut serving = Serving::of(self.command(&["serve", "--listen", "127.0.0.1:0"]));
        let url = serving.url();
        (serving, url)
    }

    /// What a command prints, as JSON.
    pub(super) fn json(&self, words: &[&str]) -> serde_json::Value {
        let output = self.command(words).arg("--json").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"))
    }

    /// A gateway in this process, whose clock stands still.
    pub(super) async fn gateway(&self, clock: ManualClock) -> Gateway {
        let mut settings = self.settings.clone();
        settings.push((
            "server.data_dir",
            self.place.path("data").display().to_string(),
        ));
        let flag = |(key, value): &(&'static str, String)| Flag {
            key,
            value: value.clone(),
            name: "--test",
        };
        let flags: Vec<Flag> = settings.iter().map(flag).collect();
        let config = Config::load(None, &HashMap::<OsString, OsString>::new(), &flags).unwrap();
        let installation =
            Installation::open(&config, SetupPolicy::Existing, Arc::new(clock)).await;
        installation
            .ok()
            .unwrap()
            .into_gateway(&config, "http://a".into())
    }

    pub(super) fn add(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.place.file(name, bytes);
        text(&self.json(&["add", path.to_str().unwrap()])[0], "file_id")
    }

    pub(super) fn link(&self, base: &str, file: &str) -> String {
        let words = ["sign", "--public-base-url", base, "--file", file];
        text(&self.json(&words), "download_url")
    }
}

/// Takes `HOST:PORT` and the path apart.
pub(super) fn parts_of(url: &str) -> (String, String) {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap());
    (host.to_owned(), path.to_owned())
}

fn resident_kib(pid: u32) -> u64 {
    let said = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = said
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Uploads so many bytes, and answers what came back and the most that `watch` said meanwhile.
pub(super) fn upload(base: &str, key: &str, size: u64, watch: impl Fn() -> u64) -> (String, u64) {
    let (host, _) = parts_of(&format!("{base}/"));
    let mut client = TcpStream::connect(host).unwrap();
    let begin =
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"large.bin\"\r\n\r\n";
    let end = "\r\n--b--\r\n";
    write!(
        client,
        "POST /v1/organizations/org_default/files/upload HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
         X-API-Key: {key}\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n{begin}",
        size + (begin.len() + end.len()) as u64
    )
    .unwrap();
    let (piece, mut most) = (vec![7; 1 << 20], 0);
    for _ in 0..size >> 20 {
        client.write_all(&piece).unwrap();
        most = most.max(watch());
    }
    client.write_all(end.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    (answer, most)
}

#[test]
fn memory_is_flat_while_a_large_file_comes_and_goes() {
    const SIZE: u64 = 400 << 20;
    let Some(store) = Store::needed() else {
        return;
    };
    let prefix = prefix("memory");
    let (place, settings) = (Place::new(), store.settings(&prefix));
    let installed = Installed { place, settings };
    let key = text(&installed.json(&["apikey", "create"]), "api_key");
    let (serving, base) = installed.serve();
    // Warm: connections, pools and caches are there.
    let warm = installed.add("warm", &vec![1; 100_000]);
    assert_eq!(status(&installed.link(&base, &warm)), 200);
    let before = resident_kib(serving.pid());

    let watch = || resident_kib(serving.pid());
    let (answer, most) = upload(&base, &key, SIZE, watch);
    assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    println!("upload: {before} KiB before, {most} KiB at most");
    assert!(most < before + UPLOAD_KIB_MAX, "{before} {most}");

    let id = answer
        .split("\"id\":\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let (host, path) = parts_of(&installed.link(&base, id));
    let (before, mut most) = (resident_kib(serving.pid()), 0);
    let mut client = TcpStream::connect(&host).unwrap();
    write!(
        client,
        "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let (mut piece, mut came) = (vec![0; 64 * 1024], 0);
    // A client that takes nothing: a buffer without a bound would fill up meanwhile.
    for _ in 0..300 {
        pause();
        most = most.max(resident_kib(serving.pid()));
    }
    loop {
        let read = client.read(&mut piece).unwrap();
        if read == 0 {
            break;
        }
        came += read as u64;
        // And a slow one.
        if came < 4 << 20 {
            pause();
        }
        most = most.max(resident_kib(serving.pid()));
    }
    println!("download: {before} KiB before, {most} KiB at most");
    assert!((SIZE..SIZE + 4096).contains(&came), "{came}");
    assert!(most < before + DOWNLOAD_KIB_MAX, "{before} {most}");
    serving.stop("TERM");
}

#[test]
fn a_process_killed_between_object_and_row_leaves_an_orphan_that_is_swept() {
    let Some(store) = Store::needed() else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (proxy, prefix) = (
        runtime.block_on(Proxy::before(&store.endpoint)),
        prefix("killed"),
    );
    let mut settings = store.settings(&prefix);
    settings[1].1 = proxy.url.clone();
    let installed = Installed {
        place: Place::new(),
        settings,
    };
    let key = text(&installed.json(&["apikey", "create"]), "api_key");
    let (serving, base) = installed.serve();
    let behind = store.behind(&prefix);
    // The object is put, and the gateway does not hear of it.
    proxy.plan(|head| {
        if head.starts_with("PUT ") && head.contains("/blobs/") {
            Fault::HoldAnswer
        } else {
            Fault::None
        }
    });
    let (host, _) = parts_of(&format!("{base}/"));
    let mut client = TcpStream::connect(host).unwrap();
    let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nbytes\r\n--b--\r\n";
    write!(
        client,
        "POST /v1/organizations/org_default/files/upload HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
    .unwrap();
    until("the object", || runtime.block_on(found(&behind)) == (0, 1));
    serving.stop("KILL");
    proxy.plan(|_| Fault::None);

    let listed = installed.json(&["ls"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(0), "no row: {listed}");
    // It is new: whoever put it may be about to make its row.
    let young = installed.json(&["doctor", "--mend"]);
    assert_eq!(
        (&young["orphans"], &young["damaged"]),
        (&0.into(), &0.into())
    );
    assert_eq!(runtime.block_on(found(&behind)), (0, 1));
    let (_, at) = runtime.block_on(behind.list(None, 9)).unwrap()[0];
    for (later, swept) in [(3_599, 0), (3_601, 1)] {
        let now = ManualClock::at((at.get() + later) * 1000);
        let gateway = runtime.block_on(installed.gateway(now));
        assert_eq!(runtime.block_on(gateway.sweep()).unwrap().orphans, swept);
        assert_eq!(runtime.block_on(found(&behind)), (0, 1 - swept));
    }
}

#[test]
fn a_store_that_is_stopped_is_not_ready_and_is_used_again_once_it_is_back() {
    let Some(store) = Store::needed() else {
        return;
    };
    let (mut gateway, endpoint) = Radosgw::start(&store, None);
    let mut settings = store.settings(&prefix("stopped"));
    settings[1].1 = endpoint;
    settings.push(("server.admin_listen", free_address()));
    let admin = format!("http://{}", settings.last().unwrap().1);
    let installed = Installed {
        place: Place::new(),
        settings,
    };
    let bytes = vec![3; 200_000];
    let file = installed.add("a.bin", &bytes);
    let (serving, base) = installed.serve();
    let link = installed.link(&base, &file);
    assert_eq!(open(&link), (200, bytes.clone()));
    assert_eq!(status(&format!("{admin}/readyz")), 200);

    gateway.stop();
    until("not ready", || status(&format!("{admin}/readyz")) == 503);
    until("unavailable", || status(&link) == 503);
    assert_eq!(status(&format!("{admin}/livez")), 200);
    let refused = installed.command(&["doctor"]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("the blob store is unavailable"), "{said}");

    let (_again, _) = Radosgw::start(&store, Some(gateway.port));
    until("ready again", || status(&format!("{admin}/readyz")) == 200);
    assert_eq!(open(&link), (200, bytes));
    let (_, _, log) = serving.stop("TERM");
    assert!(!log.contains("Signature"), "{log}");
    assert!(!log.contains(&fs::read_to_string(store.directory.join("secret")).unwrap()));
}

#[test]
fn a_secret_that_changes_is_read_again() {
    let Some(store) = Store::needed() else {
        return;
    };
    let user = prefix("user");
    make_user(&store, &user, "first");
    let place = Place::new();
    let secret = place.file("secret", b"first\n");
    set_mode(&secret, 0o600);
    let settings = vec![
        ("blobs.url", format!("s3://{user}")),
        ("blobs.endpoint", store.endpoint.clone()),
        ("blobs.access_key_id", user.clone()),
        ("blobs.secret_access_key_file", secret.display().to_string()),
    ];
    let installed = Installed { place, settings };
    let file = installed.add("a.bin", &vec![3; 200_000]);
    let (serving, base) = installed.serve();
    let link = installed.link(&base, &file);
    assert_eq!(status(&link), 200);
    let (uid, id) = (format!("--uid={user}"), format!("--access-key={user}"));
    let words = [
        "key",
        "create",
        &uid,
        "--key-type=s3",
        &id,
        "--secret-key=second",
    ];
    radosgw_admin(&store, &words);
    until("the old secret being refused", || status(&link) == 503);
    fs::write(&secret, "second\n").unwrap();
    until("the new secret being read", || status(&link) == 200);
    let (_, _, log) = serving.stop("TERM");
    assert!(log.contains("403 Forbidden"), "{log}");
    assert!(!log.contains("first") && !log.contains("second"), "{log}");
    // One that others may read is refused, and named.
    set_mode(&secret, 0o644);
    let refused = installed.command(&["ls"]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains("it must be readable for its owner alone"),
        "{said}"
    );
}

#[test]
fn doctor_reads_every_object_and_says_which_is_damaged() {
    let Some(store) = Store::needed() else {
        return;
    };
    let prefix = prefix("doctor");
    let said = |name: &str| fs::read_to_string(store.directory.join(name)).unwrap();
    // As tools for S3 are told of their store.
    let settings = vec![
        ("blobs.url", format!("s3://{}/{prefix}", store.bucket)),
        ("AWS_ENDPOINT_URL", store.endpoint.clone()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", said("access_key_id")),
        ("AWS_SECRET_ACCESS_KEY", said("secret")),
    ];
    let installed = Installed {
        place: Place::new(),
        settings,
    };
    for number in 0..5_u8 {
        installed.add(&format!("{number}.bin"), &vec![number; 300_000]);
    }
    let sound = installed.json(&["doctor"]);
    assert_eq!(
        (&sound["files_checked"], &sound["damaged"]),
        (&5.into(), &0.into())
    );
    assert_eq!(sound["bytes_checked"], 1_500_000);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let behind = store.behind(&prefix);
    runtime.block_on(async {
        let listed = behind.list(None, 9).await.unwrap();
        // One is gone; another has other bytes, as many.
        for (at, again) in [(0, false), (1, true)] {
            let key = listed[at].0;
            behind.remove(key).await.unwrap();
            if again {
                let mut stage = behind.stage(key).await.unwrap();
                stage.write(vec![99; 300_000].into()).await.unwrap();
                stage.commit().await.unwrap();
            }
        }
    });
    let damaged = installed.json(&["doctor", "--mend"]);
    assert_eq!(
        (&damaged["files_checked"], &damaged["damaged"]),
        (&5.into(), &2.into())
    );
}

/// Makes a user of the store whose name is its access key's id, and that has a bucket of that name.
pub(super) fn make_user(store: &Store, user: &str, secret: &str) {
    let words = [
        "user",
        "create",
        &format!("--uid={user}"),
        "--display-name=a",
        &format!("--access-key={user}"),
        &format!("--secret-key={secret}"),
    ];
    radosgw_admin(store, &words);
    let made = Command::new("curl")
        .args([
            "-sS",
            "-f",
            "-X",
            "PUT",
            "--aws-sigv4",
            "aws:amz:us-east-1:s3",
        ])
        .args(["-H", "x-amz-content-sha256:UNSIGNED-PAYLOAD"])
        .args(["-u", &format!("{user}:{secret}")])
        .arg(format!("{}/{user}", store.endpoint))
        .status();
    assert!(made.unwrap().success());
}

pub(super) fn radosgw_admin(store: &Store, words: &[&str]) {
    let mut command = Command::new("radosgw-admin");
    let conf = store.directory.join("ceph.conf");
    let output = command.env("CEPH_CONF", conf).args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// A second radosgw on the same store, which a test may stop.
pub(super) struct Radosgw {
    child: Child,
    pub(super) port: u16,
}

impl Radosgw {
    /// Starts it and waits until it answers.
    fn start(store: &Store, port: Option<u16>) -> (Self, String) {
        Self::start_with(store, port, &[])
    }

    /// The same, with more words.
    pub(super) fn start_with(store: &Store, port: Option<u16>, words: &[&str]) -> (Self, String) {
        let port =
            port.unwrap_or_else(|| free_address().rsplit_once(':').unwrap().1.parse().unwrap());
        let conf = store.directory.join("ceph.conf");
        let child = Command::new("radosgw")
            .args(["-f", "-n", "client.admin", "--pid-file", ""])
            .arg(format!("--rgw-frontends=beast endpoint=127.0.0.1:{port}"))
            .args(words)
            .env("CEPH_CONF", conf)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "no radosgw");
            pause();
        }
        (Self { child, port }, format!("http://127.0.0.1:{port}"))
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Radosgw {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(super) fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
