//! Archives as programs of others read them, and the rules of one that is not to be had here.

use super::*;

/// Reads every entry of an archive twice, by its directory and from its beginning, and says how long each is.
const JAVA_READER: &str = r#"
import java.io.*;
import java.util.*;
import java.util.zip.*;

class Read {
    static long length(InputStream in) throws IOException {
        byte[] buffer = new byte[1 << 20];
        long all = 0;
        for (int read; (read = in.read(buffer)) >= 0; ) all += read;
        return all;
    }

    public static void main(String[] arguments) throws IOException {
        try (ZipFile file = new ZipFile(arguments[0])) {
            for (ZipEntry entry : Collections.list(file.entries()))
                System.out.println("file " + entry.getName() + " " + length(file.getInputStream(entry)));
        }
        try (ZipInputStream in = new ZipInputStream(new BufferedInputStream(new FileInputStream(arguments[0])))) {
            for (ZipEntry entry; (entry = in.getNextEntry()) != null; )
                System.out.println("stream " + entry.getName() + " " + length(in));
        }
    }
}
"#;

/// Has every reader test `all.zip` in this directory, which has so many files.
pub(crate) fn assert_all_read(place: &Path, files: usize) {
    let says = |output: Output| String::from_utf8(output.stdout).unwrap();
    let tested = says(run(program("unzip", place).args(["-t", "all.zip"])));
    assert!(tested.contains("No errors detected"), "{tested}");
    let tested = says(run(program("7z", place).args(["t", "all.zip"])));
    assert!(tested.contains("Everything is Ok"), "{tested}");
    assert!(!tested.contains("WARNING"), "{tested}");
    let listed = says(run(program("bsdtar", place).args(["-tf", "all.zip"])));
    assert_eq!(listed.lines().count(), files);
    let script =
        "import zipfile; z = zipfile.ZipFile('all.zip'); print(z.testzip(), len(z.namelist()))";
    let tested = says(run(program("python3", place).args(["-c", script])));
    assert_eq!(tested, format!("None {files}\n"));
    for read in read_by_java(place) {
        let read = says(read);
        let of = |word: &str| read.lines().filter(|line| line.starts_with(word)).count();
        assert_eq!((of("file "), of("stream ")), (files, files), "{read}");
    }
}

/// Debian's Java, and a newer one, which `tests/run` installs.
pub(super) fn javas() -> Vec<String> {
    let newer = std::env::var_os("ARCHIVES_JAVA").map(|java| java.into_string().unwrap());
    if newer.is_none() {
        println!("NOT TESTED: ARCHIVES_JAVA names no newer Java");
    }
    ["java".to_owned()].into_iter().chain(newer).collect()
}

/// Reads `all.zip` in this directory with each Java.
pub(super) fn read_by_java(place: &Path) -> Vec<Output> {
    compile_reader(place);
    let read = |java: &String| {
        let arguments = ["-Dstdout.encoding=UTF-8", "-cp", ".", "Read", "all.zip"];
        run(program(java, place).args(arguments))
    };
    javas().iter().map(read).collect()
}

fn compile_reader(place: &Path) {
    std::fs::write(place.join("Read.java"), JAVA_READER).unwrap();
    run(program("javac", place).args(["--release", "17", "Read.java"]));
}

#[tokio::test]
async fn every_reader_reads_files_of_all_kinds() {
    let app = TestApp::start().await.with_org_123().await;
    let archive = archive_of_all_kinds(&app).await;
    let server = ArchiveServer::start(&app.gateway, &archive, Transport::Sendfile).await;
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("all.zip"), server.get(&[]).await.body).unwrap();
    assert_all_read(place.path(), all_kinds().len());
    for (program_, arguments) in [
        ("unzip", ["-q", "all.zip", "-d", "by_unzip"].as_slice()),
        ("7z", &["x", "-bd", "-oby_7z", "all.zip"]),
        ("bsdtar", &["-xf", "all.zip", "--one-top-level=by_bsdtar"]),
        ("python3", &["-m", "zipfile", "-e", "all.zip", "by_python3"]),
    ] {
        let into = place.path().join(format!("by_{program_}"));
        std::fs::create_dir(&into).unwrap();
        if program_ == "bsdtar" {
            run(program("bsdtar", &into).args(["-xf", "../all.zip"]));
        } else {
            run(program(program_, place.path()).args(arguments));
        }
        for (path, bytes) in all_kinds() {
            let read = std::fs::read(into.join(path));
            assert!(read.unwrap() == bytes, "{program_} {path}");
        }
        // The time of the last change, whatever zone the reader is in.
        let changed = std::fs::metadata(into.join("a.txt"))
            .unwrap()
            .modified()
            .unwrap();
        let since = changed
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        if program_ != "python3" {
            assert_eq!(since, crate::support::app::T0, "{program_}");
        }
    }
}

/// From a pipe, where nobody can look at the directory first.
#[tokio::test]
async fn a_stream_of_it_is_read_as_it_comes() {
    let app = TestApp::start().await.with_org_123().await;
    let archive = archive_of_all_kinds(&app).await;
    let server = ArchiveServer::start(&app.gateway, &archive, Transport::Sendfile).await;
    let place = tempfile::tempdir().unwrap();
    let script = format!("curl -sSf {} | bsdtar -xf -", server.url());
    let path = place.path().to_owned();
    let piped = move || run(program("sh", &path).args(["-c", &script]));
    tokio::task::spawn_blocking(piped).await.unwrap();
    for (path, bytes) in all_kinds() {
        let read = std::fs::read(place.path().join(path));
        assert!(read.unwrap() == bytes, "{path}");
    }
}

/// Java's `ZipInputStream` takes no stored entry whose CRC-32 follows it; all others do.
#[tokio::test]
async fn a_crc32_that_follows_its_file_is_read_by_all_but_one() {
    let app = TestApp::start().await.with_org_123().await;
    let mut file = app.add("unknown", "x.bin", &sample(200_000)).await;
    file.crc32 = None;
    let archive = archive(&app, &[("a", &file)]);
    let server = ArchiveServer::start(&app.gateway, &archive, Transport::Sendfile).await;
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("all.zip"), server.get(&[]).await.body).unwrap();
    let says = |output: Output| String::from_utf8(output.stdout).unwrap();
    let tested = says(run(program("unzip", place.path()).args(["-t", "all.zip"])));
    assert!(tested.contains("No errors detected"), "{tested}");
    let tested = says(run(program("7z", place.path()).args(["t", "all.zip"])));
    assert!(tested.contains("Everything is Ok"), "{tested}");
    run(program("bsdtar", place.path()).args(["-xf", "all.zip"]));
    assert!(std::fs::read(place.path().join("a")).unwrap() == sample(200_000));
    let script = "import zipfile; print(zipfile.ZipFile('all.zip').testzip())";
    let tested = says(run(program("python3", place.path()).args(["-c", script])));
    assert_eq!(tested, "None\n");
    compile_reader(place.path());
    for java in javas() {
        let mut java = program(&java, place.path());
        let read = java.args(["-cp", ".", "Read", "all.zip"]).output().unwrap();
        let (said, complained) = (
            String::from_utf8_lossy(&read.stdout),
            String::from_utf8_lossy(&read.stderr),
        );
        assert!(said.contains("file a 200000"), "{said}");
        let why = "only DEFLATED entries can have EXT descriptor";
        assert!(complained.contains(why), "{complained}");
    }
}

/// A head of an entry in the directory, as Windows' own unpacker looks at it.
struct Seen {
    name: String,
    flags: u16,
    method: u16,
    version: u16,
}

fn directory(archive: &[u8]) -> Vec<Seen> {
    let number = |at: usize| u16::from_le_bytes([archive[at], archive[at + 1]]);
    let mut seen = Vec::new();
    let starts = memchr::memmem::find_iter(archive, b"PK\x01\x02");
    for at in starts {
        let name = &archive[at + 46..at + 46 + usize::from(number(at + 28))];
        seen.push(Seen {
            name: String::from_utf8(name.to_vec()).unwrap(),
            version: number(at + 6),
            flags: number(at + 8),
            method: number(at + 10),
        });
    }
    seen
}

/// Windows Explorer is not to be had here. These are its rules, as Microsoft's "Naming Files, Paths, and Namespaces"
/// has them for names, and as reports about archives that it refused have them for the rest: no method but stored and
/// deflated, no encryption, no version above 2.0 without ZIP64, no CRC-32 behind the bytes; names in UTF-8 by flag 11, with
/// `/` between segments, none of which is empty, `.`, `..` or a device, has a character that no name may have, or ends
/// with a dot or a blank; no two names that differ by case alone.
#[tokio::test]
async fn windows_explorer_finds_nothing_to_refuse() {
    let app = TestApp::start().await.with_org_123().await;
    let file = app.add("f", "x", b"x").await;
    let paths = [
        "/etc/passwd",
        "..\\..\\a",
        "C:\\b",
        "a/../../c",
        "con",
        "Aux.txt",
        "d.",
        "e ",
        "what?",
        "a:b",
        "\"q\"",
        "<x>|*",
        "same",
        "SAME",
        "same/in",
        "Same",
        "\u{202e}txt.exe",
        "tab\tname",
        "lpt1.log",
        "com\u{b9}",
    ];
    let files: Vec<_> = paths.iter().map(|path| (*path, &file)).collect();
    let archive = archive(&app, &files);
    let server = ArchiveServer::start(&app.gateway, &archive, Transport::Sendfile).await;
    let bytes = server.get(&[]).await.body;
    let seen = directory(&bytes);
    assert_eq!(seen.len(), paths.len());
    let mut names = std::collections::HashSet::new();
    for Seen {
        name,
        flags,
        method,
        version,
    } in &seen
    {
        assert_eq!((*flags, *method, *version), (1 << 11, 0, 20), "{name}");
        assert!(names.insert(name.to_lowercase()), "{name}");
        for segment in name.split('/') {
            assert!(!matches!(segment, "" | "." | ".."), "{name}");
            assert!(!segment.ends_with(['.', ' ']), "{name}");
            let forbidden = |c: char| c.is_control() || "<>:\"|?*\\".contains(c);
            assert!(!segment.contains(forbidden), "{name}");
            let stem = segment.split('.').next().unwrap().to_lowercase();
            let is_numbered = ["com", "lpt"].iter().any(|device| {
                let digit = stem.strip_prefix(device).unwrap_or_default();
                ["1", "\u{b9}"].contains(&digit)
            });
            assert!(
                !is_numbered && !["con", "aux"].contains(&stem.as_str()),
                "{name}"
            );
        }
    }
    let lower: Vec<String> = names.into_iter().collect();
    for name in &lower {
        let within = format!("{name}/");
        assert!(
            !lower.iter().any(|other| other.starts_with(&within)),
            "{name}"
        );
    }
}
