//! Tests between processes, and between a process and the kernel.
//!
//! A child is this very binary, running one test named `child_…` in a directory that holds the file
//! [`CHILD`]; anywhere else such a test has nothing to do.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use super::*;

const CHILD: &str = "child-of-a-test";

/// `program` (with words of its own, if any) and the words that run the test `name` in `root`.
fn child(root: &Path, name: &str, program: &[&str]) -> Command {
    fs::write(root.join(CHILD), "").unwrap();
    let this = std::env::current_exe().unwrap();
    let mut words = program.iter().map(Path::new).chain([this.as_path()]);
    let mut command = Command::new(words.next().unwrap());
    let (_, module) = module_path!().split_once("::").unwrap();
    command
        .args(words)
        .args(["--nocapture", "--test-threads=1", "--exact"])
        .arg(format!("{module}::{name}"))
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

fn is_child() -> bool {
    Path::new(CHILD).exists()
}

#[tokio::test]
async fn child_holds_a_stage() {
    if is_child() {
        let disk = Disk::open(Path::new("."), &[], Readers::Owner).unwrap();
        let mut staged = disk.stage(key(1, 1)).await.unwrap();
        staged.write(sample(1_000_000).into()).await.unwrap();
        println!("staged");
        io::stdin().read_exact(&mut [0]).unwrap();
    }
}

#[tokio::test]
async fn the_stage_of_a_killed_process_is_swept() {
    let fixture = Fixture::new();
    let mut child = child(fixture.root.path(), "child_holds_a_stage", &[])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("staged")));
    assert_eq!(fixture.disk.sweep_stages(10).await.unwrap(), 0);
    assert_eq!(fixture.stages(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fixture.disk.sweep_stages(10).await.unwrap(), 1);
    assert_eq!(fixture.stages(), 0);
}

#[tokio::test]
async fn child_writes_past_its_limit() {
    if is_child() {
        let disk = Disk::open(Path::new("."), &[], Readers::Owner).unwrap();
        // In the background, so at the call after it; and in the commit itself.
        let mut staged = disk.stage(key(1, 1)).await.unwrap();
        let written = staged.write(sample(1_000_000).into()).await;
        assert!(
            matches!(written, Err(BlobError::NoSpace { .. })),
            "{written:?}"
        );
        assert!(staged.write(Bytes::from_static(b"more")).await.is_err());
        assert!(staged.commit().await.is_err());
        let mut staged = disk.stage(key(1, 2)).await.unwrap();
        staged.write(sample(100_000).into()).await.unwrap();
        let committed = staged.commit().await;
        assert!(
            matches!(committed, Err(BlobError::NoSpace { .. })),
            "{committed:?}"
        );
        put(&disk, key(1, 3), &[b"small"]).await;
    }
}

#[tokio::test]
async fn a_full_disk_is_no_space() {
    let fixture = Fixture::new();
    let limited = r#"trap "" XFSZ; ulimit -f 8; exec "$0" "$@""#;
    let name = "child_writes_past_its_limit";
    let child = child(fixture.root.path(), name, &["sh", "-c", limited])
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
    assert_eq!(fixture.stages(), 0);
    let listed = fixture.disk.list(None, 9).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].0, key(1, 3));
}

#[tokio::test]
async fn child_commits_a_blob() {
    if is_child() {
        let disk = Disk::open(Path::new("."), &[], Readers::Owner).unwrap();
        put(&disk, key(0xab, 0xcd), &[b"bytes"]).await;
        fs::create_dir("answered").unwrap();
    }
}

/// The order of system calls is the proof: a rename before the sync of the file, or an answer before
/// the sync of the directory, would lose an acknowledged blob.
#[test]
fn a_commit_survives_a_power_loss() {
    let root = TempDir::new().unwrap();
    let calls = "trace=fsync,fdatasync,rename,renameat,renameat2,mkdir,mkdirat,write";
    let strace = ["strace", "-f", "-y", "-o", "trace", "-e", calls];
    let child = match child(root.path(), "child_commits_a_blob", &strace).output() {
        Ok(child) => child,
        Err(error) => {
            return eprintln!("the order of system calls was not checked: strace: {error}");
        }
    };
    let trace = fs::read_to_string(root.path().join("trace")).unwrap_or_default();
    if trace.is_empty() || trace.contains("PTRACE") {
        return eprintln!("the order of system calls was not checked: {child:?}");
    }
    assert!(child.status.success(), "{child:?}");
    let name = key(0xab, 0xcd).to_string();
    let (staged, placed) = (format!("blobs/stage/{name}>"), format!("\"{name}\""));
    let steps = [
        ("mkdir", "/blobs\""),
        ("fsync", ">"),
        ("mkdir", "/blobs/stage\""),
        ("fsync", ">"),
        ("write", &staged),
        ("fsync", &staged),
        ("renameat2", &placed),
        ("fsync", "/blobs/ab/cd>"),
        ("fsync", "/blobs/ab>"),
        ("fsync", "/blobs>"),
        ("mkdir", "\"answered\""),
    ];
    let mut lines = trace.lines();
    for (call, operand) in steps {
        let found = lines.any(|line| line.contains(&format!(" {call}")) && line.contains(operand));
        assert!(found, "no {call} of {operand} in its turn:\n{trace}");
    }
}
