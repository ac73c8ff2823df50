//! A store that lets us read and not write.

use super::prefix;
use super::processes::{Installed, free_address, make_user, radosgw_admin, upload};
use crate::cli::support::{Place, open, set_mode, status, text, until};
use crate::support::store::Store;

#[test]
fn a_gateway_that_may_not_write_is_not_ready() {
    let Some(store) = Store::needed() else {
        return;
    };
    let user = prefix("rights");
    make_user(&store, &user, "first");
    let place = Place::new();
    let secret = place.file("secret", b"first\n");
    set_mode(&secret, 0o600);
    let admin = free_address();
    let settings = vec![
        ("blobs.url", format!("s3://{user}")),
        ("blobs.endpoint", store.endpoint.clone()),
        ("blobs.access_key_id", user.clone()),
        ("blobs.secret_access_key_file", secret.display().to_string()),
        ("server.admin_listen", admin.clone()),
    ];
    let installed = Installed { place, settings };
    let bytes = vec![3; 200_000];
    let file = installed.add("a.bin", &bytes);
    let key = text(&installed.json(&["apikey", "create"]), "api_key");
    let may = |words: &str| {
        let (uid, mask) = (format!("--uid={user}"), format!("--op-mask={words}"));
        radosgw_admin(&store, &["user", "modify", &uid, &mask]);
    };
    let readyz = format!("http://{admin}/readyz");

    // One that never wrote finds out.
    may("read");
    let (serving, base) = installed.serve();
    let link = installed.link(&base, &file);
    until("reading", || open(&link) == (200, bytes.clone()));
    until("not ready", || status(&readyz) == 503);
    may("read, write, delete");
    until("ready", || status(&readyz) == 200);
    // One that wrote hears of it with the next write.
    let put = || upload(&base, &key, 1 << 20, || 0).0;
    assert!(put().starts_with("HTTP/1.1 20"));
    may("read");
    until("writes refused", || put().starts_with("HTTP/1.1 503"));
    until("not ready again", || status(&readyz) == 503);
    assert_eq!(open(&link).0, 200);
    may("read, write, delete");
    until("ready again", || status(&readyz) == 200);
    let (_, _, log) = serving.stop("TERM");
    assert!(log.contains("AccessDenied"), "{log}");
}
