//! `hallpass share` of files where they lie: nothing is copied, and nothing is left.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::process::Command;

use serde_json::json;

use super::support::{
    AS_NOBODY, PATIENCE, Place, Serving, call, mode, one_line_of_json, open, said, set_mode,
    status, text, until,
};

mod pages;
mod terminal;

/// So large that no machine reads it while a test waits. It takes no room.
const ENDLESS: u64 = 1 << 40;

/// More than the buffers of a connection have.
const LARGE: u64 = 64 << 20;

fn share(place: &Place, words: &[&str]) -> Serving {
    place.start(&[&["share", "--listen", "127.0.0.1:0"], words].concat())
}

/// The head of the answer to a GET with these headers, in lower case.
fn head(url: &str, headers: &[&str]) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "10", "-o", "/dev/null", "-D", "-"]);
    for header in headers {
        curl.args(["-H", header]);
    }
    let output = curl.arg(url).output().unwrap();
    String::from_utf8(output.stdout).unwrap().to_lowercase()
}

#[test]
fn a_file_is_served_where_it_lies_and_nothing_is_left() {
    for (signal, code) in [("INT", 0), ("TERM", 0), ("HUP", 0)] {
        let place = Place::new();
        place.file("a.txt", b"bytes");
        let mut sharing = share(&place, &["a.txt"]);
        let link = sharing.line();
        assert_eq!(open(&link), (200, b"bytes".to_vec()));
        let temporary = place.temporary();
        assert_eq!(temporary.len(), 1);
        assert_eq!(mode(&temporary[0]), 0o700);
        let (ended, rest, errors) = sharing.stop(signal);
        assert_eq!(ended.code(), Some(code), "{signal}: {errors}");
        assert_eq!((rest.as_str(), errors.as_str()), ("", ""), "{signal}");
        assert!(place.temporary().is_empty(), "{signal}");
        assert!(!place.path("data").exists());
        assert_eq!(fs::read(place.path("a.txt")).unwrap(), b"bytes");
    }
}

#[test]
fn what_a_killed_share_left_goes_with_the_next_one() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    let mut killed = share(&place, &["a.txt"]);
    killed.line();
    let mut living = share(&place, &["a.txt"]);
    living.line();
    killed.signal("KILL");
    until("its end", || !killed.is_running());
    assert_eq!(place.temporary().len(), 2);
    let mut next = share(&place, &["a.txt"]);
    next.line();
    assert_eq!(place.temporary().len(), 2, "the dead one's is gone");
    living.stop("INT");
    next.stop("INT");
    assert!(place.temporary().is_empty());
}

/// A terminal that is closed ends it, unless it was started to live on (nohup).
#[test]
fn whoever_ignores_the_end_of_the_terminal_is_not_ended_by_it() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    let under = ["sh", "-c", "trap '' HUP && exec \"$@\"", "sh"];
    let words = ["share", "--listen", "127.0.0.1:0", "a.txt"];
    let mut sharing = place.start_under(&under, &words);
    let link = sharing.line();
    sharing.signal("HUP");
    assert_eq!(status(&link), 200);
    assert!(sharing.is_running());
    sharing.stop("TERM");
}

#[test]
fn a_file_of_any_size_has_its_link_at_once_and_no_digest() {
    let place = Place::new();
    let file = File::create(place.path("film.mp4")).unwrap();
    file.set_len(ENDLESS).unwrap();
    let mut sharing = share(&place, &["film.mp4"]);
    let link = sharing.line();
    let asked = head(&link, &["Range: bytes=7-16", "Want-Repr-Digest: sha-256=9"]);
    assert!(asked.starts_with("http/1.1 206"), "{asked}");
    assert!(asked.contains("\r\netag: \"m-"), "{asked}");
    assert!(asked.contains(&format!("bytes 7-16/{ENDLESS}")), "{asked}");
    assert!(asked.contains("content-type: video/mp4"), "{asked}");
    assert!(!asked.contains("\r\nrepr-digest"), "{asked}");
    let tag = asked
        .split("etag: ")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap();
    let again = head(&link, &[&format!("If-None-Match: {tag}")]);
    assert!(again.starts_with("http/1.1 304"), "{again}");
    sharing.stop("INT");
}

/// Begins to read a large file slowly, and returns the length that the answer promises.
fn begun(link: &str) -> (TcpStream, u64) {
    let rest = link.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap());
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap();
    (stream, length.lines().next().unwrap().parse().unwrap())
}

/// Reads what is left, up to an end of any kind.
fn left(mut stream: TcpStream) -> u64 {
    let mut left = Vec::new();
    let _ = stream.read_to_end(&mut left);
    left.len() as u64
}

#[test]
fn an_answer_is_aborted_and_never_padded_where_its_file_changes() {
    type Change = fn(&Place);
    let changes: [(&str, Change); 3] = [
        ("changed", |place| {
            let file = File::options().write(true).open(place.path("big"));
            file.unwrap().write_all_at(b"other", LARGE / 2).unwrap();
        }),
        ("cut", |place| {
            let file = File::options().write(true).open(place.path("big"));
            file.unwrap().set_len(LARGE / 2).unwrap();
        }),
        ("removed", |place| {
            fs::remove_file(place.path("big")).unwrap()
        }),
    ];
    for (what, change) in changes {
        let place = Place::new();
        place.file("big", &[]);
        let file = File::options().write(true).open(place.path("big"));
        file.unwrap().set_len(LARGE).unwrap();
        let mut sharing = share(&place, &["big"]);
        let link = sharing.line();
        let (stream, length) = begun(&link);
        assert_eq!(length, LARGE, "{what}");
        change(&place);
        assert!(left(stream) < LARGE, "{what}");
        // What it was when it was shared is gone.
        assert_eq!(status(&link), 500, "{what}");
        let (ended, _, errors) = sharing.stop("INT");
        assert_eq!(ended.code(), Some(0), "{what}");
        assert!(
            errors.contains("a download was aborted"),
            "{what}: {errors}"
        );
    }
}

#[test]
fn ctrl_c_lets_downloads_finish_and_says_how_many() {
    let place = Place::new();
    let file = File::create(place.path("big")).unwrap();
    file.set_len(LARGE).unwrap();
    let mut sharing = share(&place, &["big"]);
    let link = sharing.line();
    let (stream, length) = begun(&link);
    sharing.signal("INT");
    let port = link.split(':').nth(2).unwrap().split('/').next().unwrap();
    until("no connection being taken any more", || {
        TcpStream::connect(format!("127.0.0.1:{port}")).is_err()
    });
    assert!(sharing.is_running());
    assert_eq!(left(stream), length);
    let (ended, _, errors) = sharing.stop("CONT");
    assert_eq!(ended.code(), Some(0), "{errors}");
    let said = "hallpass: 1 download is running, and may finish: Ctrl-C again ends it at once\n";
    assert!(errors.contains(said), "{errors}");
    assert!(place.temporary().is_empty());
}

#[test]
fn a_second_ctrl_c_ends_them() {
    let place = Place::new();
    let file = File::create(place.path("big")).unwrap();
    file.set_len(LARGE).unwrap();
    let mut sharing = share(&place, &["big"]);
    let link = sharing.line();
    let (first, length) = begun(&link);
    let (second, _) = begun(&link);
    sharing.signal("INT");
    let port = link.split(':').nth(2).unwrap().split('/').next().unwrap();
    until("no connection being taken any more", || {
        TcpStream::connect(format!("127.0.0.1:{port}")).is_err()
    });
    let (ended, _, errors) = sharing.stop("INT");
    assert_eq!(ended.code(), Some(0), "{errors}");
    assert!(errors.contains("2 downloads are running"), "{errors}");
    assert!(left(first) < length && left(second) < length);
    assert!(place.temporary().is_empty());
}

#[test]
fn it_ends_by_itself_when_nothing_opens_any_more() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    let mut sharing = share(&place, &["a.txt", "--expires-in", "1s"]);
    sharing.line();
    until("its end", || !sharing.is_running());
    let (ended, _, errors) = sharing.stop_ended();
    assert_eq!(ended.code(), Some(0), "{errors}");
    assert!(errors.contains("its time is over"), "{errors}");
    assert!(place.temporary().is_empty());
}

#[test]
fn what_comes_on_standard_input_is_shared_under_its_name() {
    let place = Place::new();
    let words = ["share", "--listen", "127.0.0.1:0", "-"];
    let command = place.command(&[&words[..], &["--filename", "log.txt"]].concat());
    let (mut sharing, mut input) = Serving::with_input(command);
    input.write_all(&b"line\n".repeat(100_000)).unwrap();
    drop(input);
    let link = sharing.line();
    assert!(link.contains("/download/log.txt?"), "{link}");
    let (code, body) = open(&link);
    assert_eq!((code, body.len()), (200, 500_000));
    // All of it was read, so its digest is known.
    assert!(head(&link, &["Want-Repr-Digest: sha-256=9"]).contains("sha-256=:"));
    sharing.stop("INT");
    assert!(!place.path("data").exists());

    place.file("a.txt", b"bytes");
    for (words, part) in [
        (&["-"][..], "--filename says what it is called"),
        (&["-", "a.txt", "--filename", "b"], "shared alone"),
        (&["a.txt", "--filename", "b"], "share - --filename"),
    ] {
        let errors = place.bad(2, &[&["share"], words].concat());
        assert!(errors.contains(part), "{errors}");
    }
}

#[test]
fn beside_a_gateway_what_is_kept_is_served_by_it() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    place.file("docs/b.txt", b"more");
    let mut serve = place.serve();
    let base = serve.url();
    let output = place.run(&["share", "--keep", "--delete-after", "1d", "a.txt"]);
    assert!(output.status.success(), "{}", said(&output));
    let link = String::from_utf8(output.stdout).unwrap();
    assert!(link.starts_with(&format!("{base}/v1/")), "{link}");
    assert_eq!(open(link.trim_end()), (200, b"bytes".to_vec()));
    assert!(place.json(&["ls"])[0]["expires_at"].is_string());
    let page = place.json(&["share", "--keep", "docs"]);
    let url = text(&page[0], "share_url");
    assert!(url.starts_with(&format!("{base}/s/")), "{url}");
    until("the page being known", || {
        String::from_utf8_lossy(&page_of(&url)).contains("b.txt")
    });
    assert_eq!(place.json(&["ls"]).as_array().unwrap().len(), 2);
    // One that is only for now has a server of its own.
    let mut sharing = share(&place, &["a.txt"]);
    let other = sharing.line();
    assert!(!other.starts_with(&base), "{other}");
    assert_eq!(status(&other), 200);
    assert_eq!(place.json(&["ls"]).as_array().unwrap().len(), 2);
    sharing.stop("INT");
    serve.stop("TERM");
}

/// What a browser is shown.
fn page_of(url: &str) -> Vec<u8> {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "10", "-H", "Accept: text/html", url]);
    curl.output().unwrap().stdout
}

#[test]
fn what_is_no_file_is_refused_by_name() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    let made = Command::new("mkfifo").arg(place.path("pipe")).status();
    assert!(made.unwrap().success());
    for path in ["pipe", "/dev/null"] {
        let errors = place.bad(1, &["share", "--listen", "127.0.0.1:0", path]);
        assert!(
            errors.contains("neither a file nor a directory"),
            "{errors}"
        );
    }
    let errors = place.bad(1, &["share", "missing"]);
    assert!(
        errors.contains("cannot read missing: there is no such file"),
        "{errors}"
    );
    // A page goes without what cannot be on it, and the command says so at its end.
    std::os::unix::fs::symlink("a.txt", place.path("link")).unwrap();
    let mut sharing = share(&place, &["a.txt", "pipe", "link"]);
    let page = page_of(&sharing.line());
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("a.txt") && page.contains("link"), "{page}");
    let (ended, _, errors) = sharing.stop("INT");
    assert_eq!(ended.code(), Some(1), "{errors}");
    assert!(errors.contains("cannot read pipe"), "{errors}");
    assert!(place.temporary().is_empty());
}

#[test]
fn a_file_that_this_user_may_not_read_is_named() {
    if !rustix::process::geteuid().is_root() {
        return println!("NOT TESTED: another user");
    }
    let place = Place::new();
    let secret = place.file("secret.txt", b"bytes");
    set_mode(&secret, 0o600);
    set_mode(&place.path(""), 0o755);
    let under = [&AS_NOBODY[..], &["env", "XDG_RUNTIME_DIR="]].concat();
    let words = ["share", "--listen", "127.0.0.1:0", "secret.txt"];
    let output = place.run_under(&under, &words);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("cannot read secret.txt: this user may not read it"),
        "{errors}"
    );
}

/// A gateway may run there, beside which a second one would be started.
#[test]
fn a_data_directory_that_cannot_be_looked_into_is_no_free_one() {
    if !rustix::process::geteuid().is_root() {
        println!("NOT TESTED: a directory of another user");
        return;
    }
    let place = Place::new();
    place.file("a.txt", b"bytes");
    set_mode(&place.path(""), 0o755);
    place.add("b.txt", b"bytes");
    set_mode(&place.path("data"), 0o700);
    let output = place.run_under(&AS_NOBODY, &["share", "--keep", "a.txt"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let errors = String::from_utf8(output.stderr).unwrap();
    let doing = "looking which gateways run on the data directory";
    assert!(errors.contains(doing), "{errors}");
}

#[test]
fn a_name_that_is_no_utf_8_is_shared_with_a_mark_in_it() {
    let place = Place::new();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.txt");
    fs::write(place.path("").join(name), b"bytes").unwrap();
    let words = ["share", "--json", "--listen", "127.0.0.1:0"].map(std::ffi::OsStr::new);
    let mut sharing = place.start(&[&words[..], &[name]].concat());
    let links = one_line_of_json(&format!("{}\n", sharing.line()));
    assert_eq!(links[0]["filename"], "caf\u{fffd}.txt");
    assert_eq!(open(&text(&links[0], "download_url")).1, b"bytes");
    sharing.stop("INT");
}

#[test]
fn words_that_do_not_go_together_are_refused() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    place.file("p", b"secret");
    for words in [
        &["--password", "--password-file", "p"][..],
        &["--once", "--max-downloads", "2"],
        &["--each", "--password-file", "p"],
        &["--each", "--title", "x"],
        &["--delete-after", "1d"],
    ] {
        place.bad(2, &[&["share", "a.txt"], words].concat());
    }
    assert!(place.temporary().is_empty());
}

#[test]
fn once_is_one_download() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    let mut sharing = share(&place, &["a.txt", "--once"]);
    let link = sharing.line();
    assert_eq!(status(&link), 403, "looking spends nothing");
    let (code, started) = call("POST", &link, "nobody", "");
    assert_eq!((code, &started["downloads_left"]), (303, &json!(0)));
    let ticket = text(&started, "download_url");
    assert_eq!(open(&ticket), (200, b"bytes".to_vec()));
    until("it being spent", || {
        call("POST", &link, "nobody", "").0 == 410
    });
    sharing.stop("INT");
}
