//! Keys that change under load: no link is refused that must open, and none opens that must not.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::support::{Place, call, pause, status, text, until};

const CLIENTS: usize = 4;

/// How long a link of the load lives, in seconds: each is opened at once.
const SHORT: u64 = 8;

/// Three times as long as a gateway may take to learn of a changed keyring.
const LEARNED: Duration = Duration::from_secs(3);

fn wait(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        pause();
    }
}

/// What the clients saw.
#[derive(Default)]
struct Seen {
    done: AtomicBool,
    opened: AtomicUsize,
    /// What should have been 200 and was not.
    wrong: Mutex<Vec<String>>,
    kids: Mutex<Vec<String>>,
}

impl Seen {
    /// Mints on one gateway and opens on the other, until it is told to stop.
    fn load(&self, mint_at: &str, open_at: &str, file: &str, key: &str) {
        let mint = format!(
            "{mint_at}/v1/organizations/org_default/files/{file}/content?expires_in={SHORT}"
        );
        while !self.done.load(Ordering::Relaxed) {
            let (minted, answer) = call("GET", &mint, key, "");
            if minted != 200 {
                self.wrong.lock().unwrap().push(format!("mint: {minted}"));
                continue;
            }
            let kid = text(&answer, "token").split_once('.').unwrap().0.to_owned();
            let link = text(&answer, "download_url").replace(mint_at, open_at);
            match status(&link) {
                200 => _ = self.opened.fetch_add(1, Ordering::Relaxed),
                other => self.wrong.lock().unwrap().push(format!("{kid}: {other}")),
            }
            let mut kids = self.kids.lock().unwrap();
            if kids.last() != Some(&kid) {
                kids.push(kid);
            }
        }
    }

    fn signs_with(&self, kid: &str) -> bool {
        self.kids
            .lock()
            .unwrap()
            .last()
            .is_some_and(|last| last == kid)
    }
}

/// A link that a tenant made with its organization's key of `kid`.
fn offline(place: &Place, base: &str, file: &str, kid: &str) -> String {
    let words = [
        "sign",
        "--organization-key",
        kid,
        "--kid",
        kid,
        "--file",
        file,
    ];
    let signed = place.json(&[&words[..], &["--public-base-url", base]].concat());
    text(&signed, "download_url")
}

/// Derives the organization's key of the active signing key, and answers its kid.
fn derive(place: &Place) -> String {
    let derived = place.json(&["key", "derive", "--organization", "org_default"]);
    let kid = text(&derived, "kid");
    place.file(&kid, text(&derived, "organization_key").as_bytes());
    kid
}

#[test]
fn no_link_is_refused_that_must_open_while_keys_come_and_go_under_load() {
    let place = Place::new();
    let mut serve = place.serve();
    let base = serve.url();
    let key = serve.first_api_key();
    let key = key.as_str();
    let mut second = place.serve();
    let other = second.url();
    let file = place.add("a.txt", b"bytes");
    let first = derive(&place);
    let old = text(&place.sign(&base, &file, &[]), "download_url");
    let seen = Seen::default();
    std::thread::scope(|threads| {
        for client in 0..CLIENTS {
            let (seen, file) = (&seen, &file);
            let (mint_at, open_at) = if client % 2 == 0 {
                (&base, &other)
            } else {
                (&other, &base)
            };
            threads.spawn(move || seen.load(mint_at, open_at, file, key));
        }
        // A panic of this thread must not keep the others.
        let _stop = Stop(&seen);
        let hang_up = || {
            serve.signal("HUP");
            second.signal("HUP");
        };
        until("signing with the first key", || seen.signs_with(&first));
        let mut kid = first.clone();
        for _ in 0..2 {
            // In two steps, so that every gateway knows a key before any signs with it.
            let next = text(&place.json(&["key", "generate"]), "kid");
            wait(LEARNED);
            hang_up();
            place.good(&["key", "rotate", "--to", &next]);
            until("signing with the next key", || seen.signs_with(&next));
            hang_up();
            wait(LEARNED);
            assert_eq!(
                [status(&old), status(&offline(&place, &base, &file, &first))],
                [200; 2]
            );
            if kid != first {
                // No link is made with it any more.
                wait(Duration::from_secs(SHORT));
                place.good(&["key", "retire", &kid]);
                hang_up();
            }
            kid = next;
        }
        let third = derive(&place);
        assert_eq!(third, kid);
        place.good(&["key", "retire", &first]);
        until("refusing a retired key", || status(&old) == 401);
        assert_eq!(status(&offline(&place, &base, &file, &first)), 401);
        assert_eq!(status(&offline(&place, &base, &file, &third)), 200);
    });
    let (opened, wrong) = (seen.opened.into_inner(), seen.wrong.into_inner().unwrap());
    println!(
        "opened {opened} links; signed with {:?}",
        seen.kids.into_inner().unwrap()
    );
    assert_eq!(wrong, [""; 0]);
    assert!(opened > 100, "only {opened} links were opened");
    for serving in [serve, second] {
        assert_eq!(serving.stop("TERM").0.code(), Some(0));
    }
}

struct Stop<'a>(&'a Seen);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.done.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_keyring_that_cannot_be_used_keeps_the_old_one_and_is_said_once() {
    let place = Place::new();
    let mut serve = place.serve();
    let base = serve.url();
    let file = place.add("a.txt", b"bytes");
    let link = text(&place.sign(&base, &file, &[]), "download_url");
    let keyring = place.data("keyring.toml");
    let good = fs::read(&keyring).unwrap();
    fs::write(&keyring, "[[key]]\nkid = \"broken").unwrap();
    serve.signal("HUP");
    for _ in 0..20 {
        wait(Duration::from_millis(100));
        assert_eq!(status(&link), 200);
    }
    fs::write(&keyring, good).unwrap();
    wait(Duration::from_secs(1));
    let (ended, _, log) = serve.stop("TERM");
    assert_eq!(ended.code(), Some(0), "{log}");
    let said = log.matches("the old one stays").count();
    // Once for the change, and once for who asked, where the change was seen first.
    assert!((1..=2).contains(&said), "{log}");
    assert!(log.contains("the keyring was read again"), "{log}");
}

#[test]
fn on_a_hang_up_the_log_says_what_a_restart_would_make_of_the_configuration() {
    let place = Place::new();
    let path = place.file("h.toml", b"[links]\nlifetime = \"1h\"\n");
    let words = ["serve", "--listen", "127.0.0.1:0", "--config", "h.toml"];
    let mut serve = place.start(&words);
    let base = serve.url();
    let file = place.add("a.txt", b"bytes");
    let link = text(&place.sign(&base, &file, &[]), "download_url");
    // Signals of one kind that follow each other at once may arrive as one.
    let hang_up = || {
        serve.signal("HUP");
        wait(Duration::from_secs(1));
        assert_eq!(status(&link), 200);
    };
    hang_up();
    fs::write(&path, "[links]\nlifetime = \"2h\"\nexpiry_window = 60\n").unwrap();
    hang_up();
    fs::write(&path, "[links]\nlifetime = \"soon\"\n[servers]\nx = 1\n").unwrap();
    hang_up();
    let (ended, _, log) = serve.stop("TERM");
    assert_eq!(ended.code(), Some(0), "{log}");
    for said in [
        "the configuration is good, and the one that is used",
        "links.lifetime, links.expiry_window",
        "was changed: the old one stays until a restart",
        "a restart would fail",
        "servers",
    ] {
        assert!(log.contains(said), "{said}: {log}");
    }
    assert!(!log.contains("soon"), "no value is said: {log}");
    place.bad(2, &words);
}
