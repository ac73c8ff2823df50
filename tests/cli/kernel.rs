//! What the kernel is asked for, as strace sees it: little for what is in memory, and nothing that others
//! wait for where a disk is slow.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};
use rustix::net::sockopt::set_socket_linger;

use super::support::{Place, may_look_into_processes, open, signal, status, text, until};

/// How long each read from the slow disk takes, and how many files lie there.
const READ: Duration = Duration::from_millis(200);
const FILES: usize = 8;

/// How many read from it at once: more than there are threads that may wait for a disk.
const READERS: usize = 100;

/// How much is read from a disk at once, and how long the slow files are.
const READ_BYTES: usize = 128 * 1024;
const FILE_BYTES: usize = 12 * READ_BYTES;

/// How often a hot file is asked for.
const HOT: usize = 20;

/// The files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Takes a file out of the page cache, as if nobody had read it for long.
fn forget(path: &Path) {
    let file = File::open(path).unwrap();
    file.sync_all().unwrap();
    fadvise(&file, 0, None, Advice::DontNeed).unwrap();
}

/// What strace says of each thread: its calls in the order in which they ended, each with its name and what
/// comes behind it.
fn calls_by_thread(log: &str) -> BTreeMap<&str, Vec<(&str, &str)>> {
    let mut threads = BTreeMap::<_, Vec<_>>::new();
    for line in log
        .lines()
        .filter(|line| !line.ends_with("<unfinished ...>"))
    {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        let resumed = call.strip_prefix("<... ");
        let named =
            resumed.map_or_else(|| call.split_once('('), |call| call.split_once(" resumed>"));
        threads.entry(thread).or_default().extend(named);
    }
    threads
}

/// What a thread called from the receiving of each GET on until all of the answer was sent, but for waiting.
fn calls_of_answers<'a>(calls: &[(&'a str, &'a str)], length: usize) -> Vec<Vec<&'a str>> {
    let is_get = |(name, rest): &(&str, &str)| *name == "recvfrom" && rest.contains("\"GET ");
    let starts = (0..calls.len()).filter(|&at| is_get(&calls[at]));
    let answers = starts.map(|start| {
        let (mut sent, mut names) = (0, Vec::new());
        for (name, rest) in &calls[start..] {
            if *name != "epoll_wait" {
                names.push(*name);
            }
            let result = rest.rsplit_once(" = ").map(|(_, result)| result);
            let result = result.and_then(|result| result.parse::<usize>().ok());
            if *name != "recvfrom" {
                sent += result.unwrap_or_default();
            }
            if sent >= length {
                break;
            }
        }
        names.dedup();
        names
    });
    answers.collect()
}

#[test]
fn a_hot_file_is_received_for_and_sent_and_nothing_else() {
    let place = Place::new();
    let (small, large) = (vec![1; 1024], vec![2; 1024 * 1024]);
    let (small_id, large_id) = (
        place.add("small.bin", &small),
        place.add("large.bin", &large),
    );
    let log = place.path("calls");
    let strace = [
        "strace",
        "-f",
        "-qq",
        "-s8",
        "-o",
        log.to_str().unwrap(),
        // A line in the log wakes the thread that writes it.
        "env",
        "HALLPASS_LOG_LEVEL=warn",
    ];
    let mut serving = place.start_under(&strace, &["serve", "--listen", "127.0.0.1:0"]);
    let url = serving.url();
    let host = url.strip_prefix("http://").unwrap();
    for (id, body, expected) in [
        (small_id, small, &["recvfrom", "sendto"][..]),
        (large_id, large, &["recvfrom", "sendto", "sendfile"]),
    ] {
        let before = fs::read_to_string(&log).unwrap().len();
        let link = text(&place.sign(&url, &id, &[]), "download_url");
        let path = link.strip_prefix(&url).unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let mut length = 0;
        for _ in 0..HOT {
            write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            assert!(head.starts_with(b"HTTP/1.1 200 "), "{head:?}");
            let mut answered = vec![0; body.len()];
            stream.read_exact(&mut answered).unwrap();
            assert!(answered == body);
            length = head.len() + body.len();
        }
        let logged = fs::read_to_string(&log).unwrap();
        let mut answers = Vec::new();
        for calls in calls_by_thread(&logged[before..]).values() {
            answers.extend(calls_of_answers(calls, length));
        }
        // A thread may look after something else in between, the more so on a busy machine, and the first answer
        // is not hot. One answer without any other call shows that none is needed: a call more in each would
        // leave none.
        let plain = answers.iter().filter(|calls| *calls == expected).count();
        println!(
            "{plain} of {} answers of {} bytes: {expected:?}",
            answers.len(),
            body.len()
        );
        assert!(plain > 0, "{answers:?}");
    }
    signal(serving.inner_pid(), "TERM");
    until("the end", || !serving.is_running());
}

#[test]
fn a_slow_disk_holds_up_its_own_readers_alone() {
    let place = Place::new();
    let hot = place.add("hot.bin", &[1; 1024]);
    let names: Vec<String> = (0..FILES)
        .map(|number| format!("cold{number}.bin"))
        .collect();
    let cold: Vec<String> = names
        .iter()
        .map(|name| place.add(name, &vec![2; FILE_BYTES]))
        .collect();
    let is_cold = |path: &PathBuf| path.metadata().unwrap().len() == FILE_BYTES as u64;
    let mut blobs = files(&place.data("blobs"));
    blobs.retain(is_cold);
    assert_eq!(blobs.len(), FILES);
    let delay = format!("inject=pread64:delay_enter={}", READ.as_micros());
    // Only what is read from the slow files is looked at, so that the rest is as fast as ever.
    let mut strace = vec!["strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null"];
    strace.extend(["-e", "trace=pread64", "-e", &delay]);
    for blob in &blobs {
        strace.extend(["-P", blob.to_str().unwrap()]);
    }
    let mut serving = place.start_under(&strace, &["serve", "--listen", "127.0.0.1:0"]);
    let url = serving.url();
    let link = |file: &String| text(&place.sign(&url, file, &[]), "download_url");
    let (hot, cold): (_, Vec<String>) = (link(&hot), cold.iter().map(link).collect());
    assert_eq!(status(&hot), 200);
    blobs.iter().for_each(|blob| forget(blob));
    let slow_done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let begun = Instant::now();
        for link in cold.iter().cycle().take(READERS) {
            let slow_done = &slow_done;
            scope.spawn(move || {
                let (status, bytes) = open(link);
                assert!(status == 200 && bytes == vec![2; FILE_BYTES]);
                slow_done.fetch_add(1, Ordering::Relaxed);
            });
        }
        let (mut answered, mut longest) = (0, Duration::ZERO);
        while slow_done.load(Ordering::Relaxed) < READERS {
            let asked = Instant::now();
            assert_eq!(status(&hot), 200);
            longest = longest.max(asked.elapsed());
            answered += 1;
        }
        let slow = begun.elapsed();
        println!(
            "the slow downloads took {slow:?}; meanwhile {answered} others, the longest {longest:?}"
        );
        assert!(
            slow >= READ,
            "nothing was slow: the disk was not read where it may be"
        );
        assert!(answered > 20, "others waited for the disk, too");
    });
    signal(serving.inner_pid(), "TERM");
    until("the end", || !serving.is_running());
}

#[test]
fn clients_that_go_away_in_the_midst_leave_nothing_behind() {
    if !may_look_into_processes() {
        return;
    }
    let place = Place::new();
    let large = place.add("large.bin", &vec![7; 20_000_000]);
    let mut serving = place.serve();
    let url = serving.url();
    let link = text(&place.sign(&url, &large, &[]), "download_url");
    let host = url.strip_prefix("http://").unwrap();
    let path = link.strip_prefix(&url).unwrap();
    let descriptors = || {
        fs::read_dir(format!("/proc/{}/fd", serving.pid()))
            .unwrap()
            .count()
    };
    assert_eq!(status(&link), 200);
    let before = descriptors();
    for with_reset in [false, true] {
        let mut streams = Vec::new();
        for _ in 0..200 {
            let mut stream = TcpStream::connect(host).unwrap();
            if with_reset {
                set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
            }
            write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
            stream.read_exact(&mut [0; 100]).unwrap();
            streams.push(stream);
        }
        // The file itself is open once for all of them; one of before may be closed by now.
        assert!(
            descriptors() >= before + 198,
            "each has its connection open"
        );
        drop(streams);
        until("everything was given back", || descriptors() <= before + 2);
    }
    assert!(serving.is_running());
}
