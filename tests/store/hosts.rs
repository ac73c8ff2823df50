//! A bucket that is named in the host.

use super::prefix;
use super::processes::{Installed, Radosgw};
use super::proxy::Proxy;
use crate::cli::support::{Place, open};
use crate::support::store::Store;

/// A name that is only known to whoever asks our proxy for it.
const NAME: &str = "s3.test";

#[test]
fn a_bucket_in_the_host_is_not_lost_whoever_says_where_the_store_is() {
    let Some(store) = Store::needed() else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_radosgw, url) = Radosgw::start_with(&store, None, &["--rgw-dns-name", NAME]);
    let proxy = runtime.block_on(Proxy::before(&url));
    let by_name = format!("http://{NAME}:{}", url.rsplit(':').next().unwrap());
    for key in ["blobs.endpoint", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"] {
        let mut settings = store.settings(&prefix("hosts"));
        settings[1] = (key, by_name.clone());
        settings.push(("blobs.path_style", "false".to_owned()));
        settings.push(("http_proxy", proxy.url.clone()));
        let installed = Installed {
            place: Place::new(),
            settings,
        };
        let bytes = vec![8; 100_000];
        let file = installed.add("a.bin", &bytes);
        let (serving, base) = installed.serve();
        assert_eq!(open(&installed.link(&base, &file)), (200, bytes));
        let (_, _, log) = serving.stop("TERM");
        // And it is said that others can read that, and who may be beside a catalogue in a file.
        assert!(
            log.contains("whoever is on the way can read all bytes"),
            "{log}"
        );
        assert!(log.contains("this must be the only gateway"), "{log}");
    }
    let seen = proxy.seen();
    let host = format!("http://{}.{NAME}:", store.bucket);
    assert!(
        seen.len() > 10 && seen.iter().all(|head| head.contains(&host)),
        "{seen:?}"
    );
}

#[test]
fn a_bucket_cannot_stand_in_front_of_an_address() {
    let Some(store) = Store::needed() else {
        return;
    };
    for key in ["blobs.endpoint", "AWS_ENDPOINT_URL"] {
        let mut settings = store.settings(&prefix("address"));
        settings[1].0 = key;
        settings.push(("blobs.path_style", "false".to_owned()));
        let place = Place::new();
        let installed = Installed { place, settings };
        let refused = installed.command(&["serve"]).output().unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains("blobs.path_style: must be true"), "{said}");
    }
}
