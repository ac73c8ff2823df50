//! The file: one that takes nothing, one that is renamed, one that several write.

use std::fs;
use std::process::Command;

use super::*;
use hallpass::telemetry::audit::QUEUE_BYTES_MAX;

/// So many links that open nothing, on one connection. All of them are answered.
fn flood(base: &str, count: usize) {
    let host = base.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let request = "HEAD /v1/organizations/o/files/f/download?expires=1 HTTP/1.1\r\nHost: x\r\n\r\n";
    let sending = std::thread::spawn(move || {
        for _ in 0..count {
            writer.write_all(request.as_bytes()).unwrap();
        }
    });
    let mut answered = 0;
    for line in BufReader::new(stream).lines() {
        if line.unwrap().starts_with("HTTP/1.1 401") {
            answered += 1;
        }
        if answered == count {
            break;
        }
    }
    sending.join().unwrap();
    assert_eq!(answered, count);
}

fn dropped(numbers: &str) -> u64 {
    let name = "hallpass_audit_lines_dropped_total ";
    let line = numbers.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().parse().unwrap()
}

#[test]
fn a_pipe_that_nobody_reads_holds_no_request_up_and_says_what_it_missed() {
    let place = Place::new();
    let pipe = place.path("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let at = Audited::start_in(place, "pipe");
    // More than the pipe and the queue take, at some two hundred bytes each.
    let count = QUEUE_BYTES_MAX / 100;
    flood(&at.base, count);
    let missed = dropped(&at.numbers());
    assert!(missed > 0);
    let reader = BufReader::new(fs::File::open(&pipe).unwrap());
    let mut refused = 0;
    for line in reader.lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        match line["event"].as_str().unwrap() {
            "refused" => refused += 1,
            "dropped" => {
                assert_eq!(line["count"], missed);
                break;
            }
            "api_key" => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(refused + missed, count as u64);
    let (_, _, log) = at.serving.stop("TERM");
    assert_eq!(log.matches("lines are dropped").count(), 1, "{log}");
}

#[test]
fn a_pipe_whose_reader_pauses_is_no_broken_one() {
    let place = Place::new();
    let pipe = place.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let at = Audited::start_in(place, "pipe");
    // More than the pipe takes, and less than the queue does.
    let count = 2_000;
    flood(&at.base, count);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Several times as long as the writer waits where a file has failed.
            let begun = std::time::Instant::now();
            until("a pause", || begun.elapsed().as_secs() >= 2);
            let reader = BufReader::new(fs::File::open(&pipe).unwrap());
            let lines = reader.lines().take(count + 1);
            let lines = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap());
            let all: Vec<Value> = lines.collect();
            assert_eq!(of_event(&all, "refused").len(), count);
        });
    });
    let numbers = at.numbers();
    assert!(
        numbers.contains("\nhallpass_audit_failures_total 0\n"),
        "{numbers}"
    );
    assert_eq!(dropped(&numbers), 0);
    let (_, _, log) = at.serving.stop("TERM");
    assert!(!log.contains("audit file"), "{log}");
}

#[test]
fn a_line_that_was_left_in_the_midst_swallows_no_other() {
    let place = Place::new();
    place.file("audit.jsonl", b"{\"time\":\"2026-01-01T00:00:0");
    let at = Audited::start_in(place, "audit.jsonl");
    flood(&at.base, 3);
    let path = at.place.path("audit.jsonl");
    let refused = || {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text
            .lines()
            .skip(1)
            .map(|line| serde_json::from_str(line).unwrap());
        let lines: Vec<Value> = lines.collect();
        of_event(&lines, "refused").len()
    };
    until("three lines", || refused() == 3);
    let (_, _, log) = at.serving.stop("TERM");
    assert_eq!(
        log.matches("ended in the midst of a line").count(),
        1,
        "{log}"
    );
}

#[test]
fn a_full_disk_holds_no_request_up_and_is_said_once() {
    let place = Place::new();
    std::os::unix::fs::symlink("/dev/full", place.path("full")).unwrap();
    let at = Audited::start_in(place, "full");
    flood(&at.base, QUEUE_BYTES_MAX / 100);
    assert!(dropped(&at.numbers()) > 0);
    // It gets room again: what was kept is written, and how much was not.
    fs::remove_file(at.place.path("full")).unwrap();
    let path = at.place.path("full");
    until("the file takes lines", || {
        // What is being written may be seen in part.
        let text = fs::read_to_string(&path).unwrap_or_default();
        text.ends_with('\n') && text.contains("\"dropped\"")
    });
    let missed = dropped(&at.numbers());
    let written = lines(&path);
    assert_eq!(of_event(&written, "dropped")[0]["count"], missed);
    let refused = of_event(&written, "refused").len() as u64;
    assert_eq!(refused + missed, QUEUE_BYTES_MAX as u64 / 100);
    let (_, _, log) = at.serving.stop("TERM");
    for said in ["takes no lines", "lines are dropped", "takes lines again"] {
        assert_eq!(log.matches(said).count(), 1, "{said}: {log}");
    }
}

#[test]
fn a_file_that_is_renamed_away_is_made_anew_and_no_line_is_lost() {
    let at = Audited::start();
    let (path, away) = (at.place.path("audit.jsonl"), at.place.path("away"));
    flood(&at.base, 10);
    // The start of the process has a line, too.
    until("ten refusals in the file", || {
        of_event(&at.lines(), "refused").len() >= 10
    });
    fs::rename(&path, &away).unwrap();
    let took = until("a new file", || path.exists());
    assert!(took.as_secs() < 10);
    flood(&at.base, 10);
    fs::rename(&path, at.place.path("again")).unwrap();
    at.serving.signal("HUP");
    until("a new file after the signal", || path.exists());
    flood(&at.base, 10);
    at.serving.stop("TERM");
    let files = [away, at.place.path("again"), path];
    let counts = files.map(|file| of_event(&lines(&file), "refused").len());
    // A line that waits in the queue while the file is renamed may go into either file. No line is lost, and a
    // line that is recorded once the new file is there goes into the new file.
    assert_eq!(counts.iter().sum::<usize>(), 30, "{counts:?}");
    assert!(counts[0] >= 10 && counts[2] >= 10, "{counts:?}");
}

#[test]
fn two_processes_write_one_stream_of_whole_lines() {
    let at = Audited::start();
    let (other, said) = serve(&at.place, "audit.jsonl");
    let bases = [at.base.clone(), text_of(&said["listeners"][0])];
    let flooding = bases.map(|base| std::thread::spawn(move || flood(&base, 2_000)));
    for flood in flooding {
        flood.join().unwrap();
    }
    other.stop("TERM");
    at.serving.stop("TERM");
    let lines = lines(&at.place.path("audit.jsonl"));
    assert_eq!(of_event(&lines, "refused").len(), 4_000);
}

#[test]
fn a_file_that_cannot_be_opened_is_a_wrong_configuration() {
    let place = Place::new();
    place.add("a.txt", b"abc");
    for (file, why) in [("none/audit.jsonl", "No such file"), ("data", "directory")] {
        for words in [&["serve", "--listen", "127.0.0.1:0"][..], &["add", "a.txt"]] {
            let mut command = place.command(words);
            command.env("HALLPASS_AUDIT_FILE", place.path(file));
            let output = command.output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains("audit.file") && said.contains(why), "{said}");
        }
    }
}
