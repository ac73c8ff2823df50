//! The adapter against a real store: the one whose directory HALLPASS_TEST_BLOBS names (tests/store/ceph).

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::blob::contract;

mod ownership_marker;
mod retry;

/// The longest wait of a test.
const PATIENCE: Duration = Duration::from_secs(20);

/// An empty place in the store, or `None` where there is no store to test with.
fn place(name: &str) -> Option<StoreSettings> {
    let Some(directory) = std::env::var_os("HALLPASS_TEST_BLOBS").map(PathBuf::from) else {
        println!("NOT TESTED: HALLPASS_TEST_BLOBS names no store");
        return None;
    };
    let said = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    let mut random = [0; 8];
    getrandom::fill(&mut random).unwrap();
    let prefix = format!("{name}-{}", u64::from_le_bytes(random));
    Some(StoreSettings {
        bucket: Bucket::parse(&format!("s3://{}/{prefix}", said("bucket"))).unwrap(),
        endpoint: Some(said("endpoint")),
        region: None,
        path_style: true,
        key: Some((said("access_key_id"), directory.join("secret"))),
        ambient: Ambient::default(),
        size_max: 1 << 30,
        memory_max: 1 << 29,
        owner: None,
    })
}

/// A store whose time is this.
fn open_at(settings: &StoreSettings, now: u64) -> S3 {
    S3::open(settings, move || UnixSeconds::EPOCH.plus(now)).unwrap()
}

fn open(settings: &StoreSettings) -> S3 {
    open_at(settings, 0)
}

/// Returns the number of uploads that nobody finished: by a clock years ahead, all are old.
async fn uploads(settings: &StoreSettings) -> usize {
    let later = open_at(settings, 4_000_000_000);
    later.abandoned_stages().await.unwrap()
}

async fn until_no_uploads(settings: &StoreSettings) {
    let none = async {
        while uploads(settings).await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, none).await.unwrap();
}

/// Bytes for so many parts and some more.
fn parts(whole: usize, rest: usize) -> Bytes {
    contract::sample(whole * 5 * 1024 * 1024 + rest).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_conforms() {
    let Some(settings) = place("conforms") else {
        return;
    };
    contract::all(&open(&settings)).await;
    assert_eq!(uploads(&settings).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_of_several_parts_reads_back() {
    let Some(settings) = place("parts") else {
        return;
    };
    let store = open(&settings);
    for (number, (whole, rest)) in [(1, 0), (1, 1), (2, 0), (3, 777)].into_iter().enumerate() {
        let key = contract::key(3, u8::try_from(number).unwrap());
        let bytes = parts(whole, rest);
        let mut stage = store.stage(key).await.unwrap();
        for chunk in bytes.chunks(1_000_003) {
            stage.write(Bytes::copy_from_slice(chunk)).await.unwrap();
        }
        let stored = stage.commit().await.unwrap();
        assert_eq!(stored.size, bytes.len() as u64);
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        assert_eq!(stored.sha256.as_bytes(), &digest);
        let blob = store.open(&BlobLocation::Stored(key), stored.size).await;
        let blob = blob.unwrap();
        assert!(contract::read(&blob).await == bytes, "{whole} and {rest}");
        let (start, end) = (5 * 1024 * 1024 - 10, bytes.len() as u64);
        let mut stream = blob.stream(start, end, usize::MAX).unwrap();
        let mut tail = Vec::new();
        while let Some(bytes) = stream.next().await.unwrap() {
            tail.extend_from_slice(&bytes);
        }
        assert!(tail == bytes[usize::try_from(start).unwrap()..]);
        store.remove(key).await.unwrap();
    }
    assert_eq!(uploads(&settings).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_blob_whose_key_is_taken_stays_what_it_was() {
    let Some(settings) = place("taken") else {
        return;
    };
    let (store, key) = (open(&settings), contract::key(4, 0));
    contract::put(&store, key, &[b"first"]).await;
    let mut stage = store.stage(key).await.unwrap();
    stage.write(parts(1, 1)).await.unwrap();
    let refused = stage.commit().await;
    assert!(matches!(refused, Err(BlobError::Io { .. })), "{refused:?}");
    let blob = store.open(&BlobLocation::Stored(key), 5).await.unwrap();
    assert_eq!(contract::read(&blob).await, "first");
    until_no_uploads(&settings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_given_up_leaves_nothing_in_the_store() {
    let Some(settings) = place("given-up") else {
        return;
    };
    let (store, key) = (open(&settings), contract::key(5, 0));
    for (whole, rest) in [(1, 1), (2, 1), (3, 5)] {
        let mut stage = store.stage(key).await.unwrap();
        stage.write(parts(whole, rest)).await.unwrap();
        assert_eq!(uploads(&settings).await, 1);
        drop(stage);
        until_no_uploads(&settings).await;
    }
    // Given up in the middle of a call.
    let mut stage = store.stage(key).await.unwrap();
    let writing = stage.write(parts(3, 0));
    let stopped = timeout(Duration::from_millis(2), writing).await;
    let again = stage.write(Bytes::from_static(b"x")).await;
    assert_eq!(stopped.is_ok(), again.is_ok());
    drop(stage);
    until_no_uploads(&settings).await;
    assert_eq!(store.list(None, 9).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_uploads_that_nobody_can_be_at_are_swept() {
    let Some(settings) = place("swept") else {
        return;
    };
    let store = open(&settings);
    let mut stage = store.stage(contract::key(6, 0)).await.unwrap();
    stage.write(parts(1, 1)).await.unwrap();
    let begun = store.shared.unfinished_since().await;
    for (later, found) in [(0, 0), (86_400, 0), (2 * 86_400 - 1, 0), (2 * 86_400, 1)] {
        let other = open_at(&settings, begun + later);
        assert_eq!(other.abandoned_stages().await.unwrap(), found, "{later}");
    }
    let later = open_at(&settings, begun + 2 * 86_400);
    assert_eq!(later.sweep_stages(0).await.unwrap(), 0);
    assert_eq!(later.sweep_stages(9).await.unwrap(), 1);
    assert_eq!(later.sweep_stages(9).await.unwrap(), 0);
    let refused = stage.commit().await;
    assert!(
        matches!(refused, Err(BlobError::Unavailable { .. })),
        "{refused:?}"
    );
    assert_eq!(store.list(None, 9).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_object_under_the_name_is_never_read() {
    let Some(settings) = place("another") else {
        return;
    };
    let (store, key) = (open(&settings), contract::key(7, 0));
    contract::put(&store, key, &[b"four"]).await;
    let location = BlobLocation::Stored(key);
    let blob = store.open(&location, 4).await.unwrap();
    store.remove(key).await.unwrap();
    contract::put(&store, key, &[b"FOUR"]).await;
    contract::damage(blob.read_at(0, 4).await);
    contract::damage(blob.check().await);
    let mut stream = blob.stream(1, 3, usize::MAX).unwrap();
    contract::damage(stream.next().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_refuses_is_unavailable_and_names_no_secret() {
    let Some(settings) = place("refused") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let wrong = directory.path().join("secret");
    std::fs::copy(&settings.key.as_ref().unwrap().1, &wrong).unwrap();
    std::fs::write(&wrong, "wrong-secret").unwrap();
    let mut others = [settings.clone(), settings.clone(), settings.clone()];
    others[0].key = Some(("tests".into(), wrong));
    others[1].bucket = Bucket::parse("s3://no-such-bucket").unwrap();
    others[2].endpoint = Some("http://127.0.0.1:9".into());
    for other in others {
        let store = open(&other);
        let key = contract::key(8, 0);
        let mut stage = store.stage(key).await.unwrap();
        stage.write(Bytes::from_static(b"x")).await.unwrap();
        let location = BlobLocation::Stored(key);
        for error in [
            stage.commit().await.unwrap_err(),
            store.open(&location, 1).await.unwrap_err(),
            store.list(None, 1).await.unwrap_err(),
            store.is_reachable(key).await.unwrap_err(),
            store.sweep_stages(1).await.unwrap_err(),
        ] {
            let said = format!("{error} {error:?}");
            assert!(matches!(error, BlobError::Unavailable { .. }), "{said}");
            assert!(!said.contains("Signature="), "{said}");
            assert!(!said.contains("wrong-secret"), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_kept_take_no_room_of_downloads() {
    let Some(settings) = place("kept") else {
        return;
    };
    let memory_max = 4 << 20;
    let store = open(&StoreSettings {
        memory_max,
        ..settings
    });
    let key = contract::key(11, 0);
    contract::put(&store, key, &[b"small"]).await;
    let blob = store.open(&BlobLocation::Stored(key), 5).await.unwrap();
    let mut kept = Vec::new();
    // Each would take 16 KiB of the half of it that is for downloads.
    for _ in 0..memory_max / 2 / (16 << 10) {
        kept.push(blob.read_at(0, 5).await.unwrap());
    }
    assert!(kept.iter().all(|bytes| bytes == "small"));
    assert_eq!(store.shared.memory.window(1 << 20).unwrap().0, 1 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_the_same_bytes_by_another_hand_is_not_our_own() {
    let Some(settings) = place("hands") else {
        return;
    };
    let store = open(&settings);
    for (number, bytes) in [(0, parts(0, 5)), (1, parts(1, 5))] {
        let key = contract::key(10, number);
        contract::put(&store, key, &[&bytes]).await;
        let mut stage = store.stage(key).await.unwrap();
        stage.write(bytes).await.unwrap();
        let refused = stage.commit().await;
        assert!(matches!(refused, Err(BlobError::Io { .. })), "{refused:?}");
    }
}

/// A server in the store's place. Dropped, it answers no more.
pub(super) struct Server {
    running: tokio::task::JoinHandle<()>,
    asked: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Server {
    /// The first line of each request.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// Answers every request with this, for what no real store says.
async fn always(status: &'static str, answer: &'static str) -> (StoreSettings, Server) {
    answering(move |_| response(status, "", answer)).await
}

/// The text of a response. Each of the further header lines has its end.
pub(super) fn response(status: &str, lines: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\nETag: \"a\"\r\n\
         Last-Modified: Mon, 18 May 2026 15:34:52 GMT\r\n{lines}\r\n{body}"
    )
}

/// Answers each request with what `answer` makes of its first line. Where that is nothing, the connection ends.
pub(super) async fn answering(
    answer: impl Fn(&str) -> String + Send + Sync + 'static,
) -> (StoreSettings, Server) {
    use tokio::io::AsyncWriteExt as _;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (lines, answer) = (Arc::clone(&asked), Arc::new(answer));
    let running = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (lines, answer) = (Arc::clone(&lines), Arc::clone(&answer));
            tokio::spawn(async move {
                let line = request_line(&mut client).await;
                let text = answer(&line);
                lines.lock().unwrap().push(line);
                let _ = client.write_all(text.as_bytes()).await;
            });
        }
    });
    let mut ambient = Ambient::default();
    ambient.keep("AWS_ACCESS_KEY_ID", "id");
    ambient.keep("AWS_SECRET_ACCESS_KEY", "secret");
    let settings = StoreSettings {
        bucket: Bucket::parse("s3://files").unwrap(),
        endpoint: Some(endpoint),
        region: None,
        path_style: true,
        key: None,
        ambient,
        size_max: 1,
        memory_max: 1 << 29,
        owner: None,
    };
    (settings, Server { running, asked })
}

/// Reads a request to its end, and returns its first line.
async fn request_line(client: &mut tokio::net::TcpStream) -> String {
    use tokio::io::AsyncReadExt as _;
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                break;
            }
        }
        if client.read_buf(&mut request).await.unwrap_or(0) == 0 {
            break;
        }
    }
    let text = String::from_utf8_lossy(&request);
    text.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_never_gets_on_is_an_error_and_no_loop() {
    let blobs = "<ListBucketResult><IsTruncated>true</IsTruncated>\
        <NextContinuationToken>again</NextContinuationToken><Contents>\
        <Key>blobs/05a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5</Key><Size>1</Size>\
        <LastModified>2026-05-18T15:34:52.000Z</LastModified><ETag>a</ETag></Contents></ListBucketResult>";
    let nothing = "<ListBucketResult><IsTruncated>true</IsTruncated>\
        <NextContinuationToken>again</NextContinuationToken></ListBucketResult>";
    for answer in [blobs, nothing] {
        let (settings, running) = always("200 OK", answer).await;
        let listed = timeout(PATIENCE, open(&settings).list(None, 5))
            .await
            .unwrap();
        let said = listed.unwrap_err().to_string();
        assert!(said.contains("does not go on"), "{said}");
        drop(running);
    }
    let uploads = "<ListMultipartUploadsResult><NextKeyMarker>blobs/a</NextKeyMarker>\
        <NextUploadIdMarker>1</NextUploadIdMarker><IsTruncated>true</IsTruncated></ListMultipartUploadsResult>";
    let (settings, running) = always("200 OK", uploads).await;
    let store = open(&settings);
    for listed in [store.abandoned_stages(), store.sweep_stages(9)] {
        let listed = timeout(PATIENCE, listed).await.unwrap();
        let said = listed.unwrap_err().to_string();
        assert!(said.contains("has no end"), "{said}");
    }
    drop(running);
}
