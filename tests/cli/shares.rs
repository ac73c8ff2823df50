//! `hallpass share create`, `ls`, `show`, `edit`, `rotate` and `revoke`, beside no gateway and beside a running one.

use serde_json::{Value, json};

use super::support::{Place, text};
use crate::support::secrets;

const BASE: &str = "https://files.example.com";

/// A command on shares, whose address must be in no line of the log.
fn share(place: &Place, words: &[&str]) -> Value {
    let mut all = vec!["share"];
    all.extend(words);
    all.extend(["--public-base-url", BASE]);
    let said = place.json(&all);
    if let Some(url) = said["share_url"].as_str() {
        let code = url.strip_prefix(&format!("{BASE}/s/")).unwrap();
        assert_eq!(code.len(), 22);
        secrets::keep(code);
    }
    said
}

#[test]
fn a_share_is_made_shown_and_changed() {
    let place = Place::new();
    let (one, other) = (place.add("a.txt", b"bytes"), place.add("b.txt", b"more"));
    let made = share(
        &place,
        &[
            "create",
            &one,
            "--title",
            "Q3",
            "--max-downloads",
            "5",
            "--expires-in",
            "2d",
            "--zip",
            "false",
        ],
    );
    let id = text(&made, "share_id");
    assert_eq!(
        (&made["state"], &made["title"]),
        (&json!("active"), &json!("Q3"))
    );
    assert_eq!(
        (&made["max_downloads"], &made["zip"]),
        (&json!(5), &json!(false))
    );
    assert_eq!(made["created_by_api_key_id"], json!(null));
    assert_eq!(made["files"][0]["path"], "a.txt");
    assert_eq!(share(&place, &["show", &id]), made);

    let edited = share(
        &place,
        &[
            "edit",
            &id,
            "--add",
            &other,
            "--max-downloads",
            "any",
            "--no-wait",
            "--title",
            "",
        ],
    );
    assert_eq!(edited["share_url"], made["share_url"], "its address stays");
    assert_eq!(
        (&edited["max_downloads"], &edited["title"]),
        (&json!(null), &json!(""))
    );
    assert_eq!(edited["files"][1]["n"], 2);
    let edited = share(
        &place,
        &["edit", &id, "--remove", &one, "--pause", "--no-wait"],
    );
    assert_eq!(
        (&edited["file_count"], &edited["state"]),
        (&json!(1), &json!("paused"))
    );
    let resumed = share(&place, &["edit", &id, "--resume", "--no-wait"]);
    assert_eq!(resumed["state"], "active");
}

#[test]
fn a_share_is_rotated_listed_and_revoked() {
    let place = Place::new();
    let made = share(&place, &["create", &place.add("a.txt", b"bytes")]);
    let id = text(&made, "share_id");
    let rotated = share(&place, &["rotate", &id, "--no-wait"]);
    assert_ne!(rotated["share_url"], made["share_url"]);
    let listed = share(&place, &["ls"]);
    assert_eq!(listed[0]["share_url"], rotated["share_url"]);
    assert_eq!(listed[0].get("files"), None);
    let lines = place.good(&["share", "ls"]);
    assert!(
        lines.starts_with(&format!("{id}  active  1 file  0 downloads  until ")),
        "{lines}"
    );

    let revoked = share(&place, &["revoke", &id, "--no-wait"]);
    assert_eq!(revoked["state"], "revoked");
    let again = place.bad(1, &["share", "rotate", &id, "--no-wait"]);
    assert!(again.contains("has been revoked"), "{again}");
    let again = place.bad(1, &["share", "edit", &id, "--resume", "--no-wait"]);
    assert!(again.contains("has been revoked"), "{again}");
}

#[test]
fn what_is_wrong_is_said_of_its_flag() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let made = share(&place, &["create", &file]);
    let id = text(&made, "share_id");
    for (words, part) in [
        (&["create"][..], "<FILE>"),
        (
            &["create", "file_missing"],
            "file_missing is no file of this organization",
        ),
        (&["create", &file, &file], "must not be given twice"),
        (
            &["create", &file, "--expires-in", "31d"],
            "--expires-in must be 1 to 2592000 seconds",
        ),
        (
            &["create", &file, "--expires-in", "never"],
            "shares.lifetime_max is not \"never\"",
        ),
        (
            &["create", &file, "--max-downloads", "0"],
            "must be a whole number from 1 to 1000000",
        ),
        (
            &["create", &file, "--ip", "1.2.3.4/8"],
            "--ip must be an IP address",
        ),
        (
            &["create", &file, "--title", "a\nb"],
            "--title must be at most 200 characters",
        ),
        (
            &["create", "--folder", "none"],
            "--folder is no folder of this organization",
        ),
        (
            &["edit", &id, "--remove", "file_missing"],
            "--remove file_missing is not in the share",
        ),
        (
            &["edit", &id, "--remove", &file],
            "FILE must be 1 to 10000 files",
        ),
        (&["edit", &id, "--pause", "--resume"], "cannot be used with"),
        (&["show"], "<SHARE>"),
        (&["show", "a.b"], "an id is 1 to 128 characters"),
        (&["revoke"], "<SHARE>"),
    ] {
        let all = [&["share"], words].concat();
        let said = place.bad(2, &all);
        assert!(said.contains(part), "{words:?}: {said}");
    }
    for words in [
        &["show", "share_none"][..],
        &["edit", "share_none", "--pause"],
        &["rotate", "share_none"],
        &["revoke", "share_none"],
    ] {
        let said = place.bad(1, &[&["share"], words].concat());
        assert!(
            said.contains("organization org_default has no share share_none"),
            "{said}"
        );
    }
    let said = place.bad(1, &["share", "ls", "--organization", "org_none"]);
    assert!(said.contains("there is no organization org_none"), "{said}");
    assert_eq!(share(&place, &["show", &id]), made, "nothing was changed");
}

/// Each is in the audit stream, as what a call does is.
#[test]
fn commands_on_shares_are_in_the_audit_stream() {
    let place = Place::with(&[("HALLPASS_AUDIT_FILE", "audit.jsonl")]);
    let file = place.add("a.txt", b"bytes");
    let id = text(&share(&place, &["create", &file]), "share_id");
    share(&place, &["edit", &id, "--pause", "--no-wait"]);
    share(&place, &["rotate", &id, "--no-wait"]);
    share(&place, &["revoke", &id, "--no-wait"]);
    let stream = std::fs::read_to_string(place.path("audit.jsonl")).unwrap();
    let lines = stream
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines
        .filter(|line: &Value| line["share_id"] == id.as_str())
        .collect();
    let said = |name: &str| {
        let all = lines.iter().map(|line| line[name].as_str().unwrap());
        all.collect::<Vec<_>>()
    };
    assert_eq!(
        said("event"),
        ["share_create", "share_edit", "share_rotate", "share_revoke"]
    );
    let commands = ["share create", "share edit", "share rotate", "share revoke"];
    assert_eq!(said("command"), commands);
    assert_eq!(said("state"), ["active", "paused", "paused", "revoked"]);
}

/// A signing key that is retired takes its shares with it, until they are rotated.
#[test]
fn a_retired_key_leaves_shares_without_an_address() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let made = share(&place, &["create", &file]);
    let id = text(&made, "share_id");
    let kid = text(&place.json(&["key", "list"])[0], "kid");
    place.good(&["key", "rotate"]);
    let kept = share(&place, &["show", &id]);
    assert_eq!(kept["share_url"], made["share_url"], "it verifies still");
    place.good(&["key", "retire", &kid]);
    let stale = share(&place, &["show", &id]);
    assert_eq!(
        (&stale["state"], &stale["share_url"]),
        (&json!("stale"), &json!(null))
    );
    let shown = place.good(&["share", "show", &id]);
    assert!(
        shown.contains("`hallpass share rotate` gives it one"),
        "{shown}"
    );
    let rotated = share(&place, &["rotate", &id, "--no-wait"]);
    assert_eq!(rotated["state"], "active");
    assert_ne!(rotated["share_url"], made["share_url"]);
}

/// The words are commands; a path of that name is written with its directory.
#[test]
fn a_path_that_has_a_command_s_name_is_shared_as_a_path() {
    let place = Place::new();
    place.file("ls", b"bytes");
    let listed = place.bad(1, &["share", "ls"]);
    assert!(
        !listed.contains("cannot read"),
        "it is the command: {listed}"
    );
    let (mut running, mut out) = {
        let mut child = place
            .command(&["share", "--listen", "127.0.0.1:0", "./ls"])
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        (child, std::io::BufReader::new(out))
    };
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert!(line.contains("/download/ls?"), "{line}");
    running.kill().unwrap();
    running.wait().unwrap();
}

#[test]
fn a_password_comes_from_a_file_or_a_terminal() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let password = place.file("password", b"correct horse\nanother line\n");
    let password = password.to_str().unwrap();
    let made = share(&place, &["create", &file, "--password-file", password]);
    assert_eq!(made["has_password"], true);
    let id = text(&made, "share_id");
    let open = share(&place, &["edit", &id, "--no-password", "--no-wait"]);
    assert_eq!(open["has_password"], false);
    let shut = share(
        &place,
        &["edit", &id, "--password-file", password, "--no-wait"],
    );
    assert_eq!(shut["has_password"], true);
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("line", b"\nx".to_vec()),
        ("long", vec![b'p'; 129]),
        ("nul", b"a\0b".to_vec()),
    ] {
        let path = place.file(name, &bytes);
        let words = [
            "share",
            "create",
            &file,
            "--password-file",
            path.to_str().unwrap(),
        ];
        let said = place.bad(2, &words);
        assert!(
            said.contains("--password-file: the password must have 1 to 128 bytes"),
            "{said}"
        );
    }
    let missing = place.bad(1, &["share", "create", &file, "--password-file", "nowhere"]);
    assert!(missing.contains("nowhere"), "{missing}");
    let both = [
        "share",
        "create",
        &file,
        "--password-file",
        password,
        "--ask-password",
    ];
    place.bad(2, &both);
    // Without a terminal nobody can be asked.
    let mut alone = std::process::Command::new("setsid");
    let command = place.command(&["share", "create", &file, "--ask-password"]);
    let said = alone
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(command.get_current_dir().unwrap())
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .output()
        .unwrap();
    assert_eq!(said.status.code(), Some(2));
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains("--ask-password needs a terminal"), "{said}");
}

/// Types on a terminal, where nothing of it is shown.
#[test]
fn a_password_that_is_asked_for_is_not_shown() {
    const TYPE: &str = r#"
import os, pty, sys
typed = sys.argv[1].split("/")
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
shown = b""
def read_until(end):
    global shown
    while end is None or not shown.endswith(end):
        try:
            some = os.read(terminal, 4096)
        except OSError:
            return
        if not some:
            return
        shown += some
for question, line in zip([b"Password: ", b"The same again: "], typed):
    read_until(question)
    os.write(terminal, b"\x03" if line == "^C" else line.encode() + b"\n")
read_until(None)
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let typed = |lines: &str, under: &[&str]| {
        let command = place.command(&["share", "create", &file, "--ask-password", "--json"]);
        let mut python = std::process::Command::new("python3");
        let output = python
            .args(["-c", TYPE, lines])
            .args(under)
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(command.get_current_dir().unwrap())
            .envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .output()
            .unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), shown)
    };
    let (code, shown) = typed("hunter-2/hunter-2", &[]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("\"has_password\":true"), "{shown}");
    assert!(!shown.contains("hunter"), "{shown}");
    let (code, shown) = typed("hunter-2/hunter-3", &[]);
    assert_eq!(code, Some(2), "{shown}");
    assert!(shown.contains("the two passwords differ"), "{shown}");
    // Ctrl-C leaves the terminal as it was, so that what is typed next is shown again.
    let under = [
        "sh",
        "-c",
        "trap : INT; \"$@\"; echo left $?; stty -a",
        "sh",
    ];
    for lines in ["^C", "hunter-2/^C"] {
        let (code, shown) = typed(lines, &under);
        assert_eq!(code, Some(0), "{shown}");
        assert!(shown.contains("no password was given"), "{shown}");
        assert!(shown.contains("left 130"), "{shown}");
        assert!(shown.contains(" echo "), "{shown}");
    }
}

/// The drawing is read back as a telephone would, from its half blocks.
#[test]
fn the_address_of_a_share_is_drawn_on_a_terminal() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let base = ["--public-base-url", BASE];
    let drawn = |words: &[&str]| {
        let said = place.good(&[&["share"], words, &base].concat());
        let url = said
            .lines()
            .find_map(|line| line.strip_prefix("share_url: "));
        let url = url.unwrap().to_owned();
        secrets::keep(url.rsplit('/').next().unwrap());
        let half_blocks = said.lines().filter(|line| line.starts_with('\u{1b}'));
        (url, half_blocks.map(str::to_owned).collect::<Vec<_>>())
    };
    let (url, lines) = drawn(&["create", &file, "--qr"]);
    let code = qrcodegen::QrCode::encode_text(&url, qrcodegen::QrCodeEcc::Low).unwrap();
    // Four light modules on each side, and two modules a line.
    let side = usize::try_from(code.size() + 8).unwrap();
    assert_eq!(lines.len(), side.div_ceil(2));
    for (y, line) in (-4..).step_by(2).zip(&lines) {
        let line = line
            .split_once('m')
            .unwrap()
            .1
            .split_once('\u{1b}')
            .unwrap()
            .0;
        assert_eq!(line.chars().count(), side);
        for (x, c) in (-4..).zip(line.chars()) {
            let dark = [code.get_module(x, y), code.get_module(x, y + 1)];
            let drawn = [matches!(c, '█' | '▀'), matches!(c, '█' | '▄')];
            assert_eq!(drawn, dark, "{x} {y}");
        }
    }
    let listed = share(&place, &["ls"]);
    let id = text(&listed[0], "share_id");
    assert_eq!(drawn(&["show", &id, "--qr"]), (url, lines));
    let said = place.bad(2, &["share", "create", &file, "--qr", "--json"]);
    assert!(said.contains("--qr draws for people"), "{said}");
    assert_eq!(share(&place, &["ls"]), listed, "none was made");
}
