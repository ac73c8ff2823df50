//! Other people's clients.

use super::Pair;
use crate::support::secrets::logged;

/// What a command prints, which must succeed.
pub(super) async fn output(program: &str, words: &[&str]) -> Vec<u8> {
    let output = tokio::process::Command::new(program)
        .args(words)
        .output()
        .await
        .expect("it is installed; tests/run does that");
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_gets_the_bytes_by_every_protocol() {
    let pair = Pair::new();
    let (app, tls) = pair.app(&[("server.http2", "on")]).await;
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|i| i.to_le_bytes()[1]).collect();
    app.add("file_big", "big.bin", &bytes).await;
    let link = app.link("file_big", "").await;
    let certificate = pair.certificate();
    let plain = format!("http://{}{link}", app.client.0);
    let secure = format!("https://localhost:{}{link}", tls.port());
    for (way, url, version) in [
        ("--http2-prior-knowledge", &plain, "2"),
        // An offer to change to HTTP/2 is not taken up.
        ("--http2", &plain, "1.1"),
        ("--http1.1", &plain, "1.1"),
        ("--http2", &secure, "2"),
        ("--http1.1", &secure, "1.1"),
    ] {
        let ca = ["--cacert", certificate.to_str().unwrap()];
        let words = [
            "-sS",
            "--ipv4",
            way,
            ca[0],
            ca[1],
            "-w",
            "%{http_version}",
            url,
        ];
        let printed = output("curl", &words).await;
        let (body, spoken) = printed.split_at(bytes.len());
        assert!(body == bytes, "{way} {url}");
        assert_eq!(spoken, version.as_bytes(), "{way} {url}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h2load_fails_no_request() {
    let pair = Pair::new();
    let (app, tls) = pair.app(&[("server.http2", "on")]).await;
    app.add("file_some", "some.bin", &[7; 50_000]).await;
    let link = app.link("file_some", "").await;
    for url in [
        format!("http://{}{link}", app.client.0),
        format!("https://{tls}{link}"),
    ] {
        let words = ["-n", "2000", "-c", "10", "-m", "20", url.as_str()];
        let printed = String::from_utf8(output("h2load", &words).await).unwrap();
        let line = |begin: &str| {
            printed
                .lines()
                .find(|line| line.starts_with(begin))
                .unwrap()
        };
        println!("{}", line("requests: "));
        // Why requests failed, if any did.
        let why = || format!("{printed}\n{}", logged("error=").concat());
        let all = "2000 succeeded, 0 failed, 0 errored, 0 timeout";
        assert!(line("requests: ").ends_with(all), "{}", why());
        assert!(
            line("status codes: ").starts_with("status codes: 2000 2xx"),
            "{}",
            why()
        );
        assert!(line("Application protocol: ").contains("h2"), "{printed}");
    }
}

/// HEAD as other people's clients send it: none of them waits for a body, and each takes one for an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_is_content_with_the_answer_to_head() {
    let pair = Pair::new();
    let (app, tls) = pair.app(&[("server.http2", "on")]).await;
    app.add("file_large", "large.bin", &[7; 1 << 20]).await;
    let link = app.link("file_large", "").await;
    let certificate = pair.certificate();
    let plain = format!("http://{}", app.client.0);
    let secure = format!("https://localhost:{}", tls.port());
    for (way, base) in [
        ("--http1.1", &plain),
        ("--http2-prior-knowledge", &plain),
        ("--http1.1", &secure),
        ("--http2", &secure),
    ] {
        for (target, length) in [(link.as_str(), Some(1 << 20)), ("/nowhere", None)] {
            let (ca, url) = (certificate.to_str().unwrap(), format!("{base}{target}"));
            let words = ["-sS", "--ipv4", "-I", way, "--cacert", ca, url.as_str()];
            let head = String::from_utf8(output("curl", &words).await).unwrap();
            let told = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                let is_length = name.eq_ignore_ascii_case("content-length");
                is_length.then(|| value.trim().parse::<u64>().unwrap())
            });
            assert!(told > Some(0), "{way} {base}: {head}");
            assert!(
                length.is_none_or(|length| told == Some(length)),
                "{way} {base}: {head}"
            );
        }
    }
    for base in [&plain, &secure] {
        let url = format!("{base}{link}");
        let words = ["-nv", "-H:method: HEAD", url.as_str()];
        let told = String::from_utf8(output("nghttp", &words).await).unwrap();
        assert!(told.contains(":status: 200"), "{told}");
        assert!(!told.contains("recv DATA frame"), "{told}");
        let words = [
            "-n",
            "500",
            "-c",
            "5",
            "-m",
            "20",
            "-H",
            ":method: HEAD",
            url.as_str(),
        ];
        let told = String::from_utf8(output("h2load", &words).await).unwrap();
        let line = |begin: &str| told.lines().find(|line| line.starts_with(begin)).unwrap();
        let all = "500 succeeded, 0 failed, 0 errored, 0 timeout";
        assert!(line("requests: ").ends_with(all), "{told}");
        assert!(line("traffic: ").ends_with(" 0B (0) data"), "{told}");
    }
}
