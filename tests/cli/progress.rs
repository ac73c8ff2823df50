//! The bar of `add`: of all files together, on a terminal alone.

use super::support::{Place, said};

/// Runs a program on a terminal of its own, and passes on what it is sent there.
const ON_TERMINAL: &str = include_str!("../docs/on_terminal.py");

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
    let script = place.file("on_terminal.py", ON_TERMINAL.as_bytes());
    let run = format!("exec python3 {} \"$0\" \"$@\" 2>&1", script.display());
    let output = place.run_under(&["sh", "-c", &run], words);
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_terminal_shows_one_bar_of_the_whole_with_its_speed_and_the_time_that_is_left() {
    let place = place();
    let shown = on_terminal(&place, &["add", "docs"]);
    let frames: Vec<&str> = shown
        .split('\r')
        .filter(|frame| frame.contains("MiB"))
        .collect();
    assert!(!frames.is_empty(), "{shown:?}");
    for frame in frames {
        assert!(
            frame.contains("/48.00 MiB "),
            "the whole from the first on: {frame:?}"
        );
        assert!(
            frame.contains("/s ") && frame.contains(" left "),
            "{frame:?}"
        );
        assert_eq!(frame.matches("MiB ").count(), 1, "one bar: {frame:?}");
    }
    let hints = shown
        .matches("1 name that begins with a dot was left out")
        .count();
    assert_eq!(hints, 1, "the files are counted without a word: {shown:?}");
    assert_eq!(
        shown.matches("application/octet-stream").count(),
        3,
        "{shown:?}"
    );
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
