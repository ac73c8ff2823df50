//! The signers printed in `config/docs/sign-in-your-app.md` make the links of the good vectors,
//! counted or not.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::vectors::{list, vectors_of};

const PAGE: &str = include_str!("../../config/docs/sign-in-your-app.md");

const PYTHON: &str = r#"
import json, sys
for call in json.load(sys.stdin):
    print(sign(*call))
"#;

const JAVASCRIPT: &str = r#"
for (const call of JSON.parse(require("node:fs").readFileSync(0, "utf8"))) {
  console.log(sign(...call));
}
"#;

const GO: &str = r#"package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	var calls [][]json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&calls); err != nil {
		panic(err)
	}
	for _, call := range calls {
		var text [5]string
		var expires int64
		var revision uint64
		var claims map[string]string
		for index := range text {
			json.Unmarshal(call[index], &text[index])
		}
		json.Unmarshal(call[5], &expires)
		json.Unmarshal(call[6], &revision)
		json.Unmarshal(call[7], &claims)
		link, err := Sign(text[0], text[1], text[2], text[3], text[4], expires, revision, claims)
		if err != nil {
			panic(err)
		}
		fmt.Println(link)
	}
}
"#;

const PHP: &str = r#"
foreach (json_decode(file_get_contents('php://stdin'), true) as $call) {
    echo sign(...$call), "\n";
}
"#;

/// The code block of this language under "The function".
fn code(language: &str) -> &'static str {
    let (_, section) = PAGE.split_once("\n## The function\n").unwrap();
    let (_, code) = section.split_once(&format!("\n```{language}\n")).unwrap();
    code.split_once("\n```\n").unwrap().0
}

/// Writes the files, runs the program there with the good vectors, and compares what it prints.
#[track_caller]
fn signer_agrees(program: &str, arguments: &[&str], files: &[(&str, String)]) {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let (links, counted) = (vectors_of("links"), vectors_of("counted"));
    let good = list(&links, "good").iter().chain(list(&counted, "good"));
    let good: Vec<&Value> = good.collect();
    let call = |vector: &Value| {
        let text = [
            "base_url",
            "organization_key",
            "kid",
            "organization",
            "file",
        ];
        let rest = ["expires", "link_revision", "claims"];
        let names = text.iter().chain(&rest);
        names.map(|name| vector[name].clone()).collect::<Vec<_>>()
    };
    let calls = json!(good.iter().map(|vector| call(vector)).collect::<Vec<_>>());
    let printed = run(program, arguments, directory.path(), &calls.to_string());
    let expected: Vec<_> = good
        .iter()
        .map(|vector| vector["url"].as_str().unwrap())
        .collect();
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
}

fn run(program: &str, arguments: &[&str], directory: &Path, input: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    // The input is small enough for the pipe, and each program reads it whole before it prints.
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} failed");
    String::from_utf8(output.stdout).unwrap()
}

/// Says plainly, also where the test harness keeps what a passing test prints, that nothing was run.
fn is_missing(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = !std::env::split_paths(&path).any(|place| place.join(program).is_file());
    if missing {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: the page's signer for {program}, which is not installed"
        );
    }
    missing
}

#[test]
fn python_signs_the_same_links() {
    let file = ("sign.py", format!("{}\n{PYTHON}", code("python")));
    signer_agrees("python3", &["sign.py"], &[file]);
}

#[test]
fn javascript_signs_the_same_links() {
    let file = ("sign.js", format!("{}\n{JAVASCRIPT}", code("javascript")));
    signer_agrees("node", &["sign.js"], &[file]);
}

#[test]
fn go_signs_the_same_links() {
    if is_missing("go") {
        return;
    }
    let files = [
        ("sign.go", code("go").to_owned()),
        ("main.go", GO.to_owned()),
    ];
    signer_agrees("go", &["run", "sign.go", "main.go"], &files);
}

#[test]
fn php_signs_the_same_links() {
    if is_missing("php") {
        return;
    }
    let file = ("sign.php", format!("{}\n{PHP}", code("php")));
    signer_agrees("php", &["sign.php"], &[file]);
}

#[test]
fn the_page_shows_one_vector_of_each_other_kind() {
    for (kind, key) in [("counted", "organization_key"), ("ticket", "gateway_key")] {
        let vectors = vectors_of(kind);
        let vector = &list(&vectors, "good")[0];
        let text = |name: &str| vector[name].as_str().unwrap();
        let shown = |text: &str| PAGE.contains(&format!("\n```text\n{text}\n```\n"));
        assert!(shown(text("message").trim_end()), "{kind}: the message");
        assert!(shown(text("url")), "{kind}: the URL");
        assert!(
            PAGE.contains(&format!("`{}`", text(key))),
            "{kind}: the key"
        );
    }
}
