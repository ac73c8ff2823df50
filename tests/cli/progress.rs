//! The bar of `add` and `share --keep`: of all files together, on a terminal alone.

use super::support::{Place, said};

/// The words that run a program on a terminal of its own, and pass on what both of its streams are sent there.
const TERMINAL: [&str; 4] = ["sh", "-c", "exec python3 \"$0\" \"$@\" 2>&1", SCRIPT];

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/docs/on_terminal.py");

/// Three files, 48 MiB together.
fn place() -> Place {
    let place = Place::new();
    for (name, size) in [("a", 1), ("b", 31), ("c", 16)] {
        place.file(&format!("docs/{name}"), &vec![7; size << 20]);
    }
    place.file("docs/.hidden", b"hidden");
    place
}

/// What the command sends a terminal.
fn on_terminal(place: &Place, words: &[&str]) -> String {
    let output = place.run_under(&TERMINAL, words);
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Asserts that there is a bar, and that it is of the whole each time that it is drawn.
#[track_caller]
fn is_bar_of_the_whole(shown: &str) {
    let frames = shown.split('\r').filter(|frame| frame.contains("MiB"));
    let frames: Vec<&str> = frames.collect();
    assert!(!frames.is_empty(), "{shown:?}");
    for frame in frames {
        let is_whole = frame.contains("/48.00 MiB ");
        assert!(is_whole, "the whole from the first on: {frame:?}");
        let has_speed = frame.contains("/s ") && frame.contains(" left ");
        assert!(has_speed, "{frame:?}");
        assert_eq!(frame.matches("MiB ").count(), 1, "one bar: {frame:?}");
    }
    let hint = "1 name that begins with a dot was left out";
    let hints = shown.matches(hint).count();
    assert_eq!(hints, 1, "the files are counted without a word: {shown:?}");
}

#[test]
fn a_terminal_shows_one_bar_of_the_whole_with_its_speed_and_the_time_that_is_left() {
    let place = place();
    let shown = on_terminal(&place, &["add", "docs"]);
    is_bar_of_the_whole(&shown);
    assert_eq!(
        shown.matches("application/octet-stream").count(),
        3,
        "{shown:?}"
    );
}

#[test]
fn a_share_that_keeps_its_files_has_the_same_bar() {
    let place = place();
    let words = ["share", "--keep", "--listen", "127.0.0.1:0", "docs"];
    let mut sharing = place.start_under(&TERMINAL, &words);
    let mut shown = String::new();
    // The last line of what a person is told.
    while !shown.contains("open until ") {
        shown.push_str(&sharing.line());
    }
    is_bar_of_the_whole(&shown);
    sharing.stop("INT");
}

#[test]
fn neither_a_pipe_nor_a_reader_of_json_is_shown_a_bar() {
    let place = place();
    let output = place.run(&["add", "docs"]);
    let said = String::from_utf8(output.stderr).unwrap();
    let hint = "1 name that begins with a dot was left out: --hidden takes them in, too\n";
    assert!(
        said.ends_with(hint) && said.lines().count() == 1,
        "{said:?}"
    );
    let shown = on_terminal(&place, &["add", "--json", "docs"]);
    assert!(!shown.contains('\r') && !shown.contains("MiB"), "{shown:?}");
}
