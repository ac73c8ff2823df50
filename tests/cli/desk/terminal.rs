//! What a person sees who shares something from a terminal.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use super::{Place, Serving, open};
use crate::cli::sharing::{NETWORK, fetched};
use crate::cli::support::{unshare, until};

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
