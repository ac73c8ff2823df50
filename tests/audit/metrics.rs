//! `/metrics` and `/readyz` on the private listener.

use std::process::{Command, Stdio};

use super::*;

#[track_caller]
fn assert_says(numbers: &str, line: &str) {
    assert!(
        numbers.lines().any(|said| said == line),
        "{line} in\n{numbers}"
    );
}

#[test]
fn after_known_traffic_the_numbers_are_known() {
    let at = Audited::start();
    let file = at.upload(b"0123456789");
    let link = at.link(&file);
    for _ in 0..3 {
        assert_eq!(get(&link).0, 200);
    }
    assert_eq!(request("GET", &link, "Range: bytes=0-3\r\n", b"").0, 206);
    assert_eq!(get(&link.replace("expires=", "expires=1")).0, 401);
    assert_eq!(get(&format!("{}/metrics", at.base)).0, 404, "publicly");
    assert_eq!(get(&format!("{}/nowhere", at.base)).0, 404);
    let none = request("GET", &format!("{}/content", at.url_of(&file)), "", b"");
    assert_eq!(none.0, 401);
    until("all connections are closed", || {
        at.numbers()
            .contains("hallpass_connections_open{listener=\"public\"} 0")
    });
    let numbers = at.numbers();
    for line in [
        "hallpass_requests_total{route=\"download\",style=\"none\",status=\"200\"} 3",
        "hallpass_requests_total{route=\"download\",style=\"none\",status=\"206\"} 1",
        "hallpass_requests_total{route=\"download\",style=\"none\",status=\"401\"} 1",
        "hallpass_requests_total{route=\"none\",style=\"none\",status=\"404\"} 2",
        "hallpass_requests_total{route=\"aitronos_upload\",style=\"aitronos\",status=\"201\"} 1",
        "hallpass_requests_total{route=\"aitronos_content\",style=\"aitronos\",status=\"200\"} 1",
        "hallpass_requests_total{route=\"aitronos_content\",style=\"aitronos\",status=\"401\"} 1",
        "hallpass_request_duration_seconds_count{route=\"download\"} 5",
        "hallpass_time_to_first_byte_seconds_count{route=\"download\"} 5",
        "hallpass_downloads_total{outcome=\"whole\"} 3",
        "hallpass_downloads_total{outcome=\"part\"} 1",
        "hallpass_downloads_total{outcome=\"aborted\"} 0",
        "hallpass_downloads_in_flight 0",
        "hallpass_upload_bytes_total 10",
        "hallpass_mints_total{style=\"aitronos\"} 1",
        "hallpass_mints_total{style=\"qoder\"} 0",
        "hallpass_verify_refusals_total{reason=\"mac_mismatch\"} 1",
        "hallpass_connections_accepted_total{listener=\"public\"} 10",
        "hallpass_connections_refused_total{reason=\"address_limit\"} 0",
        "hallpass_catalogue_errors_total{kind=\"unavailable\"} 0",
        "hallpass_uncounted_downloads_total 0",
        "hallpass_audit_lines_dropped_total 0",
        "hallpass_audit_failures_total 0",
        "hallpass_log_lines_dropped_total 0",
        "hallpass_signing_keys{state=\"active\"} 1",
        "hallpass_signing_keys{state=\"retired\"} 0",
        "hallpass_revocations{kind=\"link_revisions\"} 0",
        "hallpass_cache_entries{cache=\"small_files\"} 1",
        "hallpass_cache_hits_total{cache=\"small_files\"} 3",
        "hallpass_cache_misses_total{cache=\"small_files\"} 1",
    ] {
        assert_says(&numbers, line);
    }
    let version = concat!(
        "hallpass_build_info{version=\"",
        env!("CARGO_PKG_VERSION"),
        "\"} 1"
    );
    assert_says(&numbers, version);
    assert!(numbers.contains("process_start_time_seconds 1"));
    for name in [&file, "org_default", "127.0.0.1", "/v1/"] {
        assert!(!numbers.contains(name), "{name} is in\n{numbers}");
    }
    secrets::assert_silent("the numbers", &numbers);
    check(&numbers);
    let accept = "Accept: application/openmetrics-text;version=1.0.0\r\n";
    let (_, open) = request("GET", &format!("{}/metrics", at.admin), accept, b"");
    assert!(open.ends_with(b"# EOF\n"));
    at.serving.stop("TERM");
}

/// A download may take hours: what was sent of it so far is in the numbers while it goes on.
#[test]
fn what_was_sent_of_a_download_is_counted_while_it_goes_on() {
    let at = Audited::start();
    let size = 50_000_000;
    let file = at.place.add("large.bin", &vec![7; size]);
    let stream = send("GET", &at.link(&file), "", b"");
    let sent = || {
        let numbers = at.numbers();
        let name = "hallpass_bytes_sent_total{route=\"download\"} ";
        let line = numbers.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |number| number.parse::<usize>().unwrap())
    };
    let took = until("some bytes are counted", || sent() > 0);
    assert!(took.as_secs() < 20 && sent() < size, "{took:?}");
    assert_says(&at.numbers(), "hallpass_downloads_in_flight 1");
    assert_eq!(rest_of_body(stream), size as u64);
    let whole = format!("hallpass_bytes_sent_total{{route=\"download\"}} {size}");
    until("all are, and once", || {
        at.numbers().lines().any(|line| line == whole)
    });
    at.serving.stop("TERM");
}

/// Holds the numbers against Prometheus' own checker, where it is on this machine.
fn check(numbers: &str) {
    let mut words = Command::new("promtool");
    let checker = words
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut checker) = checker else {
        println!("promtool is not on this machine");
        return;
    };
    let mut input = checker.stdin.take().unwrap();
    input.write_all(numbers.as_bytes()).unwrap();
    drop(input);
    let output = checker.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        crate::cli::support::said(&output)
    );
}

#[test]
fn a_gateway_without_its_bytes_or_its_catalogue_is_not_ready() {
    let at = Audited::start();
    let ready = || get(&format!("{}/readyz", at.admin)).0;
    assert_eq!(ready(), 200);
    std::fs::remove_dir_all(at.place.path("data/blobs")).unwrap();
    assert_eq!(ready(), 503, "the bytes are gone");
    assert_eq!(get(&format!("{}/livez", at.admin)).0, 200);
    at.serving.stop("TERM");

    let at = Audited::start();
    let ready = || get(&format!("{}/readyz", at.admin)).0;
    let path = at.place.path("data/catalogue.sqlite3");
    let script = "ALTER TABLE change RENAME TO gone";
    let patient = ["-cmd", ".timeout 5000"];
    let done = Command::new("sqlite3")
        .args(patient)
        .arg(&path)
        .arg(script)
        .status();
    assert!(done.unwrap().success());
    until("the catalogue is damaged", || ready() == 503);
    let failed = at.numbers();
    let failed = failed
        .lines()
        .filter(|line| line.starts_with("hallpass_catalogue_errors_total"));
    assert!(failed.into_iter().any(|line| !line.ends_with(" 0")));
    at.serving.stop("KILL");
}

/// An answer to HEAD is the one to GET without its content (RFC 9110, §9.3.2), on the private listener, too.
#[test]
fn the_private_listener_answers_head_with_the_head_of_get() {
    let at = Audited::start();
    for (path, status) in [
        ("/livez", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/nowhere", 404),
    ] {
        let [get, head] = ["GET", "HEAD"].map(|method| {
            let mut answer = String::new();
            let mut stream = send(method, &format!("{}{path}", at.admin), "", b"");
            stream.read_to_string(&mut answer).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            // Numbers differ from one look to the next, and so may how long they are.
            let own = |line: &&str| !line.starts_with("Date: ") && path != "/metrics";
            let mut lines: Vec<_> = head.lines().filter(own).map(str::to_owned).collect();
            lines.sort();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "));
            let length: usize = length.unwrap().parse().unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            (lines, length, body.len())
        });
        assert_eq!(get.0, head.0, "{path}");
        assert_eq!((get.1, head.2), (get.2, 0), "{path}");
        assert!(head.1 > 0, "{path}");
    }
    assert_eq!(
        request("POST", &format!("{}/livez", at.admin), "", b"").0,
        405
    );
}

/// A page whose name was made to lead to the private address (DNS rebinding) has its browser send that name.
#[test]
fn the_numbers_are_for_who_names_the_private_listener() {
    let place = Place::with(&[("HALLPASS_SERVER_ADMIN_HOSTS", "gateway.example.com")]);
    let at = Audited::start_in(place, "audit.jsonl");
    let authority = at.admin.strip_prefix("http://").unwrap();
    let port = authority.rsplit_once(':').unwrap().1;
    let status = |path: &str, target: &str, host: &str| {
        let mut stream = TcpStream::connect(authority).unwrap();
        let head =
            format!("GET {target}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer[9..12].to_owned()
    };
    for host in [
        authority,
        "127.0.0.1",
        "[::1]:9090",
        "localhost",
        "hallpass-1:9090",
        "gateway.example.com",
        &format!("Gateway.Example.COM.:{port}"),
    ] {
        assert_eq!(status("/metrics", "", host), "200", "{host}");
    }
    for host in [
        "rebound.example.com",
        "rebound.example.com:9090",
        "127.0.0.1.nip.example",
        "a.gateway.example.com",
        "user@127.0.0.1.example",
        ".",
    ] {
        assert_eq!(status("/metrics", "", host), "421", "{host}");
        assert_eq!(status("/livez", "", host), "200", "{host}");
    }
    // The authority of a target that is a whole URL counts instead of the Host (RFC 9112, §3.2.2).
    let whole = "http://rebound.example.com";
    assert_eq!(status("/metrics", whole, "localhost"), "421");
    assert_eq!(
        status("/metrics", "http://localhost", "rebound.example.com"),
        "200"
    );
    for path in ["/metrics#x", "/livez#", "/readyz#/x"] {
        assert_eq!(status(path, "", "localhost"), "400", "{path}");
    }
}
