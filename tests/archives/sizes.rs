//! Archives of many files, and of a file of more than four gibibytes.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// Where a field of 32 bits ends.
const FOUR_GIB: u64 = 1 << 32;

#[tokio::test]
async fn ten_thousand_empty_files_are_in_one_archive() {
    let app = TestApp::start().await.with_org_123().await;
    let empty = app.add("empty", "x", b"").await;
    let paths: Vec<String> = (0..10_000)
        .map(|number| format!("d{}/{number}", number % 7))
        .collect();
    let files: Vec<_> = paths.iter().map(|path| (path.as_str(), &empty)).collect();
    let archive = archive(&app, &files);
    let place = tempfile::tempdir().unwrap();
    for transport in TRANSPORTS {
        let server = ArchiveServer::start(&app.gateway, &archive, transport).await;
        let whole = server.get(&[]).await.body;
        assert_eq!(unzipped(&whole).len(), 10_000);
        std::fs::write(place.path().join("all.zip"), &whole).unwrap();
    }
    assert_all_read(place.path(), 10_000);
}

/// Copies an archive from the socket to a file, with holes where there are zeros.
async fn save(server: &ArchiveServer, path: &Path) -> u64 {
    let mut stream = TcpStream::connect(server.client.0).await.unwrap();
    let request = "GET /all.zip HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut file = File::create(path).unwrap();
    let (mut head, mut buffer) = (Vec::new(), vec![0; 1 << 20]);
    let mut length = 0;
    loop {
        let read = stream.read(&mut buffer).await.unwrap();
        if read == 0 {
            break;
        }
        let mut bytes = &buffer[..read];
        if length == 0 {
            head.extend_from_slice(bytes);
            let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") else {
                continue;
            };
            head.drain(..end + 4);
            bytes = &head;
        }
        length += bytes.len() as u64;
        if bytes.iter().all(|byte| *byte == 0) {
            file.seek(SeekFrom::Start(length)).unwrap();
        } else {
            file.write_all(bytes).unwrap();
        }
    }
    length
}

/// A file of five gibibytes, and one behind it whose offset needs 64 bits.
#[tokio::test]
async fn a_file_behind_five_gibibytes_is_found() {
    const SIZE: u64 = 5 << 30;
    let place = tempfile::tempdir().unwrap();
    let root = place.path().canonicalize().unwrap();
    let path = root.join("sparse");
    let sparse = File::create(&path).unwrap();
    sparse.set_len(SIZE).unwrap();
    sparse.write_all_at(b"end", SIZE - 3).unwrap();
    // Files in place are for gateways whose own blobs are on a disk.
    let settings = [
        ("blobs.in_place_roots", root.to_str().unwrap()),
        ("blobs.mode", "0600"),
    ];
    let app = TestApp::start_with(&settings).await;
    let app = app.with_org_123().await;
    app.register("sparse", &path).await;
    let sparse = broken::row(&app, "sparse").await;
    let behind = app.add("behind", "x.txt", b"behind it all").await;
    let archive = archive(&app, &[("sparse", &sparse), ("behind.txt", &behind)]);
    let server = ArchiveServer::start(&app.gateway, &archive, Transport::Sendfile).await;
    let length = archive.layout().length();
    // The last bytes over each transport.
    let start = SIZE - 3;
    let range = format!("bytes={start}-");
    for transport in TRANSPORTS {
        let server = ArchiveServer::start(&app.gateway, &archive, transport).await;
        let tail = server.get(&[("Range", &range)]).await;
        assert_eq!(tail.status, 206);
        assert_eq!(tail.body.len() as u64, length - start);
        assert!(memchr::memmem::find(&tail.body, b"behind it all").is_some());
    }
    let saved = root.join("all.zip");
    assert_eq!(save(&server, &saved).await, length);
    let mut read = zip::ZipArchive::new(File::open(&saved).unwrap()).unwrap();
    let found = read.by_name("behind.txt").unwrap();
    assert!(found.header_start() > FOUR_GIB);
    drop(found);
    let says = |output: Output| String::from_utf8(output.stdout).unwrap();
    let tested = says(run(program("unzip", &root).args(["-t", "all.zip"])));
    assert!(tested.contains("No errors detected"), "{tested}");
    let tested = says(run(program("7z", &root).args(["t", "all.zip"])));
    assert!(tested.contains("Everything is Ok"), "{tested}");
    let behind = says(run(program("bsdtar", &root).args([
        "-xOf",
        "all.zip",
        "behind.txt",
    ])));
    assert_eq!(behind, "behind it all");
    let script = "import zipfile; z = zipfile.ZipFile('all.zip'); print(z.getinfo('sparse').file_size, z.read('behind.txt'))";
    let behind = says(run(program("python3", &root).args(["-c", script])));
    assert_eq!(behind, format!("{SIZE} b'behind it all'\n"));
    for read in readers::read_by_java(&root) {
        let read = says(read);
        for line in [
            format!("file sparse {SIZE}"),
            format!("stream sparse {SIZE}"),
            "file behind.txt 13".to_owned(),
        ] {
            assert!(read.contains(&line), "{read}");
        }
    }
}
