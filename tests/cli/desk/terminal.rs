//! What a person sees who shares something from a terminal.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use super::{Place, Serving, open};
use crate::cli::sharing::{NETWORK, fetched, share_in};
use crate::cli::support::{one_line_of_json, unshare, until};

/// Starts it on a terminal, in a network with these addresses if `network`.
fn on_terminal(place: &Place, network: Option<&str>, words: &[&str]) -> Serving {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/docs/on_terminal.py");
    let mut under = Vec::new();
    if let Some(network) = network {
        under.extend([unshare("-n"), vec!["sh", "-c", network, "sh"]].concat());
    }
    under.extend(["python3", script]);
    place.start_under(&under, &[&["share"], words].concat())
}

#[test]
fn a_person_reads_name_size_addresses_and_end_and_a_line_for_each_download() {
    let place = Place::new();
    place.file("holiday video.mp4", &[7; 1_234_567]);
    let words = ["holiday video.mp4"];
    let mut sharing = on_terminal(&place, Some(NETWORK), &words);
    assert_eq!(sharing.line(), "holiday video.mp4   1.2 MB");
    let link = sharing.line();
    assert!(link.starts_with("http://192.0.2.7:8080/v1/"), "{link}");
    assert_eq!(sharing.line(), "also at http://198.51.100.7:8080/…");
    let last = sharing.line();
    let (at, rest) = last.split_once("…").unwrap();
    assert_eq!(at, "also at http://127.0.0.1:8080/");
    let rest = rest.trim_start();
    assert!(rest.starts_with("open until "), "{last}");
    assert!(
        rest.ends_with(" (1 h) · Ctrl-C stops it") || rest.ends_with(" (59 min) · Ctrl-C stops it"),
        "{last}"
    );
    for url in [&link, &link.replacen("192.0.2.7", "198.51.100.7", 1)] {
        assert_eq!(fetched(sharing.pid(), url).len(), 1_234_567);
    }
    for _ in 0..2 {
        let told = sharing.line();
        let words: Vec<&str> = told.split("  ").collect();
        assert_eq!(words[0].len(), "19:02".len(), "{told}");
        assert!(words[1].parse::<std::net::IpAddr>().is_ok(), "{told}");
        assert_eq!(words[2], "holiday video.mp4", "{told}");
        assert!(words[3].starts_with("whole, 1.2 MB in "), "{told}");
    }
    let (_, rest, _) = sharing.stop("INT");
    assert_eq!(rest, "");
}

/// Every listener is said, not only the first, and links open at each.
#[test]
fn all_addresses_that_it_listens_on_are_said() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    let listen = [
        "--listen",
        "127.0.0.1:0",
        "--listen",
        "127.0.0.2:0",
        "--listen",
        "127.0.0.3:0",
    ];
    let mut sharing = on_terminal(&place, None, &[&listen[..], &["a.txt"]].concat());
    assert_eq!(sharing.line(), "a.txt   5 bytes");
    let link = sharing.line();
    let path = link.split_once("/v1/").unwrap().1.to_owned();
    // Each download has a line of its own.
    let lines = [(); 2].map(|()| sharing.line());
    assert_eq!(open(&link).1, b"bytes");
    for (host, line) in ["127.0.0.2", "127.0.0.3"].into_iter().zip(lines) {
        let base = line
            .strip_prefix("also at ")
            .unwrap()
            .split_once("/…")
            .unwrap()
            .0;
        assert!(base.starts_with(&format!("http://{host}:")), "{line}");
        assert_eq!(open(&format!("{base}/v1/{path}")).1, b"bytes");
    }
    sharing.stop("INT");
    // Where nobody looks on, too; and of the wildcard address each one once.
    let words = ["--json", "--listen", ":8080", "--listen", "[::]:8081"];
    let mut sharing = share_in(&place, NETWORK, &words);
    let links = one_line_of_json(&format!("{}\n", sharing.line()));
    let all: Vec<&str> = links[0]["other_urls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|url| url.as_str().unwrap().split_once("/v1/").unwrap().0)
        .collect();
    assert_eq!(
        all,
        [
            "http://198.51.100.7:8080",
            "http://192.0.2.7:8081",
            "http://198.51.100.7:8081",
            "http://[2001:db8::7]:8081",
            "http://127.0.0.1:8080",
            "http://127.0.0.1:8081"
        ]
    );
    sharing.stop("INT");
}

/// Types lines at the questions of a command on its terminal, and passes on what is shown there.
const TYPE: &str = r#"
import ctypes, os, pty, signal, sys
typed = sys.argv[1].split("/")
pid, terminal = pty.fork()
if pid == 0:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    os.environ["NO_COLOR"] = "1"
    os.execvp(sys.argv[2], sys.argv[2:])
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: os.kill(pid, number))
shown = b""
questions = [b"Password: ", b"The same again: "]
while True:
    try:
        some = os.read(terminal, 65536)
    except OSError:
        break
    shown += some
    os.write(1, some.replace(b"\r\n", b"\n"))
    if questions and shown.endswith(questions[0]):
        questions.pop(0)
        os.write(terminal, typed.pop(0).encode() + b"\n")
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.exit(128 - code if code < 0 else code)
"#;

#[test]
fn a_password_is_typed_where_nobody_sees_it_and_asked_for_by_the_page() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    let under = ["python3", "-c", TYPE, "hunter-2/hunter-2"];
    let words = ["share", "--listen", "127.0.0.1:0", "--password", "a.txt"];
    let mut sharing = place.start_under(&under, &words);
    let mut shown = vec![sharing.line()];
    while !shown.last().unwrap().starts_with("http://") {
        shown.push(sharing.line());
    }
    assert_eq!(shown[..2], ["Password:", "The same again:"]);
    assert!(!shown.concat().contains("hunter"), "{shown:?}");
    let page = shown.pop().unwrap();
    let asks = Command::new("curl")
        .args(["-s", "-H", "Accept: text/html", &page])
        .output();
    let asks = String::from_utf8(asks.unwrap().stdout).unwrap();
    assert!(
        asks.contains("type=\"password\"") && !asks.contains("a.txt"),
        "{asks}"
    );
    let started = |password: &str| {
        let form = format!("password={password}&start=1");
        let mut curl = Command::new("curl");
        curl.args([
            "-sL",
            "-w",
            " %{http_code}",
            "-d",
            &form,
            &format!("{page}/open"),
        ]);
        String::from_utf8(curl.output().unwrap().stdout).unwrap()
    };
    assert!(started("hunter-3").ends_with(" 401"));
    assert_eq!(started("hunter-2"), "bytes 200");
    let (ended, _, _) = sharing.stop("INT");
    assert_eq!(ended.code(), Some(0));
    // Two that differ make no share.
    let under = ["python3", "-c", TYPE, "hunter-2/hunter-3"];
    let output = place.run_under(&under, &words);
    assert_eq!(output.status.code(), Some(2));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("the two passwords differ"), "{shown}");
    assert!(
        !shown.contains("hunter") && !shown.contains("http"),
        "{shown}"
    );
}

#[test]
fn a_part_and_one_that_breaks_off_are_told_as_such() {
    let place = Place::new();
    place.file("docs/a.txt", &[b'x'; 2_000]);
    let words = ["--listen", "127.0.0.1:0", "docs"];
    let mut sharing = on_terminal(&place, None, &words);
    assert_eq!(sharing.line(), "docs   1 file, 2 kB");
    let page = sharing.line();
    assert!(sharing.line().starts_with("open until "));
    let link = format!("{page}/files/1/a.txt");
    let part = Command::new("curl")
        .args(["-s", "-r", "0-99", &link])
        .output();
    assert_eq!(part.unwrap().stdout.len(), 100);
    assert!(
        sharing
            .line()
            .contains("  127.0.0.1  a.txt  part, 100 bytes in ")
    );
    // Looking is no download.
    let head = Command::new("curl").args(["-sI", &link]).status();
    assert!(head.unwrap().success());
    assert_eq!(open(&link).1.len(), 2_000);
    assert!(sharing.line().contains("whole, 2 kB in "));
    sharing.stop("INT");
}

/// A program of this name that notes what it is given.
fn noting(place: &Place, name: &str) -> PathBuf {
    let noted = place.path(&format!("{name}.noted"));
    let script = format!("#!/bin/sh\n{{ echo \"$@\"; cat; }} > {}\n", noted.display());
    let path = place.file(&format!("bin/{name}"), script.as_bytes());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    noted
}

#[test]
fn the_address_is_handed_to_a_browser_and_the_clipboard() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    let words = ["share", "--listen", "127.0.0.1:0", "a.txt"];
    let without = |flag: &str, name: &str| {
        let mut command = place.command(&[&words[..], &[flag]].concat());
        let output = command.env("PATH", place.path("bin")).env("DISPLAY", ":0");
        let output = output.env_remove("WAYLAND_DISPLAY").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{flag}");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains(name), "{errors}");
    };
    without("--open", "xdg-open");
    without("--copy", "wl-copy, xclip or xsel");
    let (opened, copied) = (noting(&place, "xdg-open"), noting(&place, "xclip"));
    let mut command = place.command(&[&words[..], &["--open", "--copy"]].concat());
    let path = format!("{}:/usr/bin:/bin", place.path("bin").display());
    command.env("PATH", path).env("DISPLAY", ":0");
    command.env_remove("WAYLAND_DISPLAY");
    let mut sharing = Serving::of(command);
    let link = sharing.line();
    let noted = |path: &PathBuf| fs::read_to_string(path).unwrap_or_default();
    until("a browser being opened", || {
        noted(&opened) == format!("{link}\n")
    });
    let wanted = format!("-selection clipboard\n{link}");
    until("it being on the clipboard", || noted(&copied) == wanted);
    sharing.stop("INT");
}

#[test]
fn the_address_is_drawn_for_a_telephone() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    let words = ["--listen", "127.0.0.1:0", "--qr", "a.txt"];
    let mut sharing = on_terminal(&place, None, &words);
    for begin in ["a.txt   5 bytes", "http://127.0.0.1:", "open until "] {
        let line = sharing.line();
        assert!(line.starts_with(begin), "{line}");
    }
    let drawn: Vec<String> = (0..10).map(|_| sharing.line()).collect();
    assert!(
        drawn
            .iter()
            .all(|line| line.starts_with("\u{1b}[38;5;16;48;5;231m"))
    );
    assert!(
        drawn.iter().any(|line| line.contains('\u{2588}')),
        "{drawn:?}"
    );
    sharing.stop("INT");
}
