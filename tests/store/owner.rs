//! Two catalogues that are given one prefix.

use std::process::{Command, Output};

use hallpass::blob::BlobStore as _;
use hallpass::gateway::clock::ManualClock;

use super::processes::Installed;
use super::{found, prefix};
use crate::cli::support::{Place, Serving, open, until};
use crate::support::store::Store;

/// An hour and more, after which a blob without a row is swept.
const LATER_SECONDS: u64 = 4_000;

fn installed(store: &Store, prefix: &str) -> Installed {
    let (place, settings) = (Place::new(), store.settings(prefix));
    Installed { place, settings }
}

fn outcome(output: &Output) -> (Option<i32>, String) {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    (output.status.code(), said)
}

/// Removes the object that says whose a prefix is, as an operator would.
fn remove_mark(store: &Store, prefix: &str) {
    let said = |name: &str| std::fs::read_to_string(store.directory.join(name)).unwrap();
    let done = Command::new("curl")
        .args(["-sS", "-f", "-X", "DELETE"])
        .args(["--aws-sigv4", "aws:amz:us-east-1:s3"])
        .args(["-H", "x-amz-content-sha256:UNSIGNED-PAYLOAD"])
        .args([
            "-u",
            &format!("{}:{}", said("access_key_id"), said("secret")),
        ])
        .arg(format!(
            "{}/{}/{prefix}/installation",
            store.endpoint, store.bucket
        ))
        .status();
    assert!(done.unwrap().success());
}

#[test]
fn two_catalogues_on_one_prefix_never_sweep_each_others_bytes() {
    let Some(store) = Store::needed() else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let shared = prefix("shared");
    let (first, mut second) = (
        installed(&store, &shared),
        installed(&store, &prefix("own")),
    );
    let file = first.add("a.bin", b"bytes of the first");
    second.add("b.bin", b"bytes of the second");
    second.settings = store.settings(&shared);

    let refused = second
        .command(&["serve", "--listen", "127.0.0.1:0"])
        .output();
    let (code, said) = outcome(&refused.unwrap());
    assert_eq!(code, Some(2), "{said}");
    let mark = format!("s3://{}/{shared}/installation", store.bucket);
    for words in [
        &*mark,
        "give this one a prefix of its own",
        "remove the object",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    let added = second.place.file("c.bin", b"more");
    for words in [
        &["add", added.to_str().unwrap()][..],
        &["doctor"],
        &["doctor", "--mend"],
    ] {
        let (code, said) = outcome(&second.command(words).output().unwrap());
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains("says that these bytes are of the installation"),
            "{said}"
        );
    }
    // What asks for no bytes works on.
    assert_eq!(second.json(&["ls"]).as_array().unwrap().len(), 1);

    let behind = store.behind(&shared);
    let (_, at) = runtime.block_on(behind.list(None, 9)).unwrap()[0];
    let later = || ManualClock::at((at.get() + LATER_SECONDS) * 1000);
    let gateway = runtime.block_on(second.gateway(later()));
    let swept = runtime.block_on(gateway.sweep()).unwrap_err().to_string();
    assert!(swept.contains(&mark), "{swept}");
    assert_eq!(runtime.block_on(found(&behind)), (0, 1));
    let (serving, base) = first.serve();
    assert_eq!(open(&first.link(&base, &file)).0, 200);
    serving.stop("TERM");

    // The first one is gone for good, says its operator: the second one takes over.
    remove_mark(&store, &shared);
    let (serving, _) = second.serve();
    serving.stop("TERM");
    let (code, said) = outcome(&first.command(&["doctor"]).output().unwrap());
    assert_eq!(code, Some(1), "{said}");
    let gateway = runtime.block_on(second.gateway(later()));
    assert_eq!(runtime.block_on(gateway.sweep()).unwrap().orphans, 1);
    assert_eq!(runtime.block_on(found(&behind)), (0, 0));
}

#[test]
fn an_empty_catalogue_does_not_begin_on_a_prefix_that_is_another_ones() {
    let Some(store) = Store::needed() else {
        return;
    };
    let shared = prefix("empty");
    let first = installed(&store, &shared);
    let (serving, _) = first.serve();
    serving.stop("TERM");
    let second = installed(&store, &shared);
    let (code, said) = outcome(&second.command(&["serve"]).output().unwrap());
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("says that these bytes are of the installation"),
        "{said}"
    );
    let (serving, _) = first.serve();
    serving.stop("TERM");
}

#[test]
fn a_gateway_whose_store_is_away_at_the_start_asks_whose_it_is_before_it_writes() {
    let Some(store) = Store::needed() else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let shared = prefix("away");
    let (first, mut second) = (
        installed(&store, &shared),
        installed(&store, &prefix("own")),
    );
    first.add("a.bin", b"bytes of the first");
    second.add("b.bin", b"bytes of the second");
    let proxy = runtime.block_on(super::proxy::Proxy::before(&store.endpoint));
    proxy.plan(|_| super::proxy::Fault::Close);
    second.settings = store.settings(&shared);
    second.settings[1].1 = proxy.url.clone();
    let key = second.json(&["apikey", "create"])["api_key"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut serving = Serving::of(second.command(&["serve", "--listen", "127.0.0.1:0"]));
    let base = serving.url();
    proxy.plan(|_| super::proxy::Fault::None);
    let put = || super::processes::upload(&base, &key, 1 << 20, || 0).0;
    until("a refusal", || put().starts_with("HTTP/1.1 503"));
    let behind = store.behind(&shared);
    assert_eq!(runtime.block_on(found(&behind)), (0, 1));
    let (_, _, log) = serving.stop("TERM");
    assert!(log.contains("the store cannot be looked at yet"), "{log}");
    assert!(
        log.contains("says that these bytes are of the installation"),
        "{log}"
    );
}
