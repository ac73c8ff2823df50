//! Archives whose files go while they are sent: the answer is broken off, and no byte is made up.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use hallpass::gateway::revocations::STALENESS_MAX;
use hallpass::gateway::upload::NewFile;

use super::*;
use crate::support::app::new_file;

/// Longer than what the sockets and the HTTP library take ahead of the client.
const LONG: usize = 24 * 1024 * 1024;

/// Begins to read an archive, has something happen, reads the rest. Returns how many bytes of the body came.
async fn read_while(server: &ArchiveServer, happens: impl AsyncFnOnce()) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.client.0).await.unwrap();
    let request = "GET /all.zip HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = vec![0; 1024];
    stream.read_exact(&mut read).await.unwrap();
    happens().await;
    // A reset takes with it what was not read.
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        read.extend(&buffer[..length]);
    }
    let head = memchr::memmem::find(&read, b"\r\n\r\n").unwrap() + 4;
    read.split_off(head)
}

/// Two files, of which the first is long: something happens to the second while the first goes out.
struct TwoFiles {
    app: TestApp,
    archive: Arc<Archive>,
}

impl TwoFiles {
    async fn start() -> Self {
        let app = TestApp::start().await.with_org_123().await;
        let first = app.add("first", "x.bin", &sample(LONG)).await;
        let second = NewFile {
            expires_in: Some(60),
            ..new_file("org_123", "second", "x.bin")
        };
        let second = app.put(second, &sample(100_000)).await;
        let archive = archive(&app, &[("first", &first), ("second", &second)]);
        Self { app, archive }
    }

    /// Reads the archive over a transport, with something happening in between.
    async fn read(&self, transport: Transport, happens: impl AsyncFnOnce()) -> Vec<u8> {
        let server = ArchiveServer::start(&self.app.gateway, &self.archive, transport).await;
        read_while(&server, async || {
            happens().await;
            // What was read of the rows before is old by then.
            tokio::time::sleep(STALENESS_MAX).await;
        })
        .await
    }

    /// Asserts that all of the first file came, and nothing of the second.
    #[track_caller]
    fn assert_broken_off(&self, read: &[u8]) {
        let (second, length) = (LONG as u64, self.archive.layout().length());
        let came = read.len() as u64;
        assert!(came < length, "{came} of {length}");
        let begins = memchr::memmem::find(read, &sample(LONG)[..4096]).unwrap();
        assert!(
            came <= begins as u64 + second + 100,
            "nothing of the second: {came}"
        );
        let file = &read[begins..];
        assert!(*file == sample(LONG)[..file.len().min(LONG)] || file.len() > LONG);
    }
}

const BOTH: [Transport; 2] = [Transport::Sendfile, Transport::Copies];

#[tokio::test]
async fn undisturbed_it_is_whole() {
    for transport in BOTH {
        let two = TwoFiles::start().await;
        let read = two.read(transport, async || {}).await;
        assert_eq!(
            read.len() as u64,
            two.archive.layout().length(),
            "{transport:?}"
        );
    }
}

#[tokio::test]
async fn a_deleted_file_breaks_it_off() {
    for transport in BOTH {
        let two = TwoFiles::start().await;
        let delete = async || {
            let file = new_file("org_123", "second", "x").id.unwrap();
            let organization = new_file("org_123", "x", "x").organization;
            two.app.gateway.delete(&organization, &file).await.unwrap();
        };
        two.assert_broken_off(&two.read(transport, delete).await);
    }
}

#[tokio::test]
async fn a_file_that_ends_breaks_it_off() {
    for transport in BOTH {
        let two = TwoFiles::start().await;
        let read = two.read(transport, async || two.app.at(60));
        two.assert_broken_off(&read.await);
    }
}

#[tokio::test]
async fn a_damaged_file_breaks_it_off() {
    for transport in BOTH {
        let two = TwoFiles::start().await;
        let read = two.read(transport, async || two.app.mark_as_damaged("second").await);
        two.assert_broken_off(&read.await);
    }
}

#[tokio::test]
async fn a_file_whose_links_were_revoked_breaks_it_off() {
    for transport in BOTH {
        let two = TwoFiles::start().await;
        let read = two.read(transport, async || two.app.revoke_links_of("second").await);
        two.assert_broken_off(&read.await);
    }
}

#[tokio::test]
async fn a_file_in_place_that_changed_breaks_it_off() {
    for transport in BOTH {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        // Files in place are for gateways whose own blobs are on a disk.
        let settings = [
            ("blobs.in_place_roots", root.to_str().unwrap()),
            ("blobs.mode", "0600"),
        ];
        let app = TestApp::start_with(&settings).await;
        let app = app.with_org_123().await;
        let first = app.add("first", "x.bin", &sample(LONG)).await;
        let path = root.join("second");
        std::fs::write(&path, sample(100_000)).unwrap();
        app.register("second", &path).await;
        let second = row(&app, "second").await;
        assert!(second.crc32.is_some());
        let archive = archive(&app, &[("first", &first), ("second", &second)]);
        let two = TwoFiles { app, archive };
        let read = two.read(transport, async || {
            std::fs::write(&path, sample(99_999)).unwrap();
        });
        two.assert_broken_off(&read.await);
    }
}

/// The tag of what is left is another, so nobody goes on with the old one.
#[tokio::test]
async fn without_the_file_it_is_another_archive() {
    let two = TwoFiles::start().await;
    let first = row(&two.app, "first").await;
    let rest = archive(&two.app, &[("first", &first)]);
    let old = two.archive.layout().etag().unwrap();
    assert_ne!(rest.layout().etag().unwrap(), old);
    let server = ArchiveServer::start(&two.app.gateway, &rest, Transport::Sendfile).await;
    let headers = [("Range", "bytes=100-"), ("If-Range", old.as_str())];
    assert_eq!(server.get(&headers).await.status, 200);
}

pub(super) async fn row(app: &TestApp, id: &str) -> FileRecord {
    let outside = app.catalogue_from_outside().await;
    let of = new_file("org_123", id, "x");
    let row = outside.file(&of.organization, &of.id.unwrap()).await;
    row.unwrap().unwrap()
}
