//! Bytes a second.

use super::*;
use crate::support::client::{exchange_over, parse};
use crate::support::store::Store;
use crate::transport::{Http2, Pair};

const RATE: usize = 1 << 20;

/// Holds what was read to the bytes and to the rate: whatever is more than a second's worth takes its time.
#[track_caller]
fn is_paced(what: &str, begun: Instant, got: &[u8], wanted: &[u8], rate: usize) {
    let took = begun.elapsed();
    assert!(got == wanted, "{what}: {} bytes", got.len());
    let least = Duration::from_secs_f64((wanted.len() - rate) as f64 / rate as f64);
    println!("{what}: {took:?}, at least {least:?}");
    assert!(took >= least, "{what}: {took:?}, not {least:?}");
}

/// What HTTP/1 over TLS answers.
async fn over_tls(pair: &Pair, address: std::net::SocketAddr, link: &str) -> Reply {
    let stream = pair.connect(address, &["http/1.1"]).await.unwrap();
    let request = format!("GET {link} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    parse(
        &exchange_over(stream, request.as_bytes(), false).await,
        false,
    )
}

/// A file that stays on disk and one that is kept in memory, over each way that bodies go.
#[tokio::test]
async fn every_way_of_a_body_is_paced() {
    for (size, rate) in [(RATE * 5 / 2, RATE), (14_000, 5_600)] {
        let pair = Pair::new();
        let text = rate.to_string();
        let (app, tls) = pair.app(&[("limits.link_bytes_per_second", &text)]).await;
        let whole = bytes(size);
        let mut links = Vec::new();
        for id in ["plain", "parts", "tls", "h2", "head"] {
            app.add(id, "paced.bin", &whole).await;
            links.push(quiet_link(&app, id).await);
        }
        let begun = Instant::now();
        let [plain, parts, over, h2, head] = links.as_slice() else {
            panic!("{links:?}")
        };
        let plain = async {
            let reply = app.client.get(plain, &[]).await;
            is_paced("HTTP/1", begun, &reply.body, &whole, rate);
        };
        let parts = async {
            let half = size / 2;
            let ranges = format!("bytes=0-{},{half}-", half - 2);
            let reply = app.client.get(parts, &[("Range", &ranges)]).await;
            assert_eq!(reply.status, 206);
            let has = |part: &[u8]| reply.body.windows(part.len()).any(|window| window == part);
            assert!(has(&whole[half..half + 100]) && has(&whole[half - 101..half - 1]));
            is_paced("parts", begun, &whole, &whole, rate);
        };
        let over = async {
            let reply = over_tls(&pair, tls, over).await;
            is_paced("HTTP/1 over TLS", begun, &reply.body, &whole, rate);
        };
        let h2 = async {
            let stream = pair.connect(tls, &["h2"]).await.unwrap();
            let reply = Http2::over(stream).await.get(h2, &[]).await;
            is_paced("HTTP/2", begun, &reply.body, &whole, rate);
        };
        let head = async {
            for _ in 0..20 {
                let reply = app.client.request("HEAD", head, &[], b"").await;
                assert_eq!(
                    reply.header("content-length"),
                    Some(size.to_string().as_str())
                );
            }
        };
        tokio::join!(plain, parts, over, h2, head);
    }
}

#[tokio::test]
async fn all_connections_of_a_link_an_address_and_an_organization_share_its_bytes() {
    for key in [
        "limits.link_bytes_per_second",
        "limits.address_bytes_per_second",
        "limits.organization_bytes_per_second",
    ] {
        let app = start(&[(key, "1MiB")]).await;
        let whole = bytes(RATE);
        app.add("f", "f.bin", &whole).await;
        let link = quiet_link(&app, "f").await;
        let begun = Instant::now();
        let one = async || {
            let reply = app.client.get(&link, &[]).await;
            assert!(reply.body == whole);
            begun.elapsed()
        };
        let (a, b, c) = tokio::join!(one(), one(), one());
        println!("{key}: {a:?} {b:?} {c:?}");
        let last = a.max(b).max(c);
        assert!(last >= Duration::from_secs(2), "{key}: {last:?}");
        // They take turns: none is through long before the others. A store may answer one of them sooner.
        let first = a.min(b).min(c);
        let is_at_once = first < Duration::from_secs(1);
        assert!(
            !is_at_once || Store::running().is_some(),
            "{key}: {first:?}"
        );
    }
}

#[tokio::test]
async fn connections_that_are_gone_no_longer_share_the_bytes() {
    let app = start(&[("limits.link_bytes_per_second", "64KiB")]).await;
    let whole = bytes(4 << 20);
    app.add("f", "f.bin", &whole).await;
    let link = quiet_link(&app, "f").await;
    // The first second's worth is gone, and twenty more wait for a turn.
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(begun(&app, &link, "").await.1);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(streams);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let begun = Instant::now();
    let reply = app.client.get(&link, &[("Range", "bytes=0-65535")]).await;
    assert!(reply.body == whole[..65_536]);
    println!("a second's worth after 20 went away: {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// The wait for a turn is longer than a client may take over what it is sent: that is not its fault.
#[tokio::test]
async fn a_wait_for_a_turn_is_no_client_that_does_not_read() {
    let whole = bytes(2_040);
    for_each_way(&whole, async |what, begun, got| {
        assert!(got == whole, "{what}: {} bytes", got.len());
        println!("{what}: {:?}, the second piece after 50 s", begun.elapsed());
        assert!(begun.elapsed() > Duration::from_secs(40), "{what}");
    })
    .await;
}

/// 20 bytes a second: the first 1,024 go at once, the rest 50 seconds later.
async fn for_each_way(whole: &[u8], check: impl AsyncFn(&str, Instant, Vec<u8>)) {
    let in_memory = run_slowly("in memory", "16MiB", whole, &check);
    let on_disk = run_slowly("on disk", "0", whole, &check);
    tokio::join!(in_memory, on_disk);
}

async fn run_slowly(
    what: &str,
    small_files: &str,
    whole: &[u8],
    check: &impl AsyncFn(&str, Instant, Vec<u8>),
) {
    let pair = Pair::new();
    let settings = [
        ("limits.link_bytes_per_second", "20"),
        ("cache.small_files_bytes", small_files),
    ];
    let (app, tls) = pair.app(&settings).await;
    let mut links = Vec::new();
    for id in ["plain", "tls", "h2"] {
        app.add(id, "slow.bin", whole).await;
        links.push(quiet_link(&app, id).await);
    }
    let begun = Instant::now();
    let plain = async {
        let (status, mut stream) = super::begun(&app, &links[0], "Connection: close\r\n").await;
        assert_eq!(status, 200);
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
        check(&format!("{what}, HTTP/1"), begun, got).await;
    };
    let over = async {
        let mut stream = pair.connect(tls, &["http/1.1"]).await.unwrap();
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            links[1]
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
        let body = parse(&got, false).body;
        check(&format!("{what}, HTTP/1 over TLS"), begun, body).await;
    };
    let h2 = async {
        let stream = pair.connect(tls, &["h2"]).await.unwrap();
        let reply = Http2::over(stream).await.get(&links[2], &[]).await;
        check(&format!("{what}, HTTP/2"), begun, reply.body).await;
    };
    tokio::join!(plain, over, h2);
}
