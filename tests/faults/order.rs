//! Power loss: what was not synced is gone, so the order of the calls is the proof.

use std::fs;
use std::time::Duration;

use crate::rig::{Ledger, Site};

const CALLS: &str =
    "trace=fsync,fdatasync,renameat2,pwrite64,write,writev,sendto,sendmsg,unlink,ftruncate";

#[test]
fn an_upload_is_acknowledged_after_its_bytes_their_name_and_its_row_are_on_the_disk() {
    let (site, ledger) = (Site::new(), Ledger::default());
    let trace = site.path("trace");
    let strace = [
        "strace",
        "-f",
        "-y",
        "-s",
        "16",
        "-o",
        trace.to_str().unwrap(),
        "-e",
        CALLS,
    ];
    let server = site.serve_under(&strace);
    for _ in 0..5 {
        site.put(&server, &ledger, 200_000);
    }
    std::thread::sleep(Duration::from_millis(300));
    server.stop();
    let log = fs::read_to_string(&trace).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    let answers = |line: &&str| line.contains("HTTP/1.1 201");
    assert_eq!(
        lines.iter().copied().filter(|line| answers(line)).count(),
        5,
        "{log}"
    );
    let mut from = 0;
    for _ in 0..5 {
        let next = |from: usize, what: &str, is_it: &dyn Fn(&str) -> bool| {
            let at = lines[from..].iter().position(|line| is_it(line));
            from + at.unwrap_or_else(|| panic!("{what} is missing behind line {from}:\n{log}"))
        };
        let answer = next(from, "the answer", &|line| line.contains("HTTP/1.1 201"));
        let rename = next(from, "the rename", &|line| line.contains("renameat2("));
        let path = lines[rename].rsplit_once("/blobs/").unwrap().1;
        let directory = format!("/blobs/{}", path.split_once('>').unwrap().0);
        let has = |between: &[&str], call: &str, path: &str| {
            let found = |line: &&str| line.contains(call) && line.contains(path);
            between.iter().any(found)
        };
        assert!(
            has(&lines[from..rename], "fsync(", "/blobs/stage/"),
            "the bytes, before the name\n{log}"
        );
        let row = next(rename, "the row", &|line| {
            line.contains("pwrite64(") && line.contains("catalogue.sqlite3-wal>")
        });
        assert!(
            has(&lines[rename..row], "fsync(", &directory),
            "the name, before the row\n{log}"
        );
        let last_row = lines[..answer].iter().rposition(|line| {
            line.contains("pwrite64(") && line.contains("catalogue.sqlite3-wal>")
        });
        let last_row = last_row.unwrap();
        assert!(
            row <= last_row && last_row < answer,
            "the row, before the answer\n{log}"
        );
        assert!(
            has(&lines[last_row..answer], "sync(", "catalogue.sqlite3-wal>"),
            "the row on the disk, before the answer\n{log}"
        );
        from = answer + 1;
    }
}
