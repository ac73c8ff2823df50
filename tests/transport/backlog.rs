//! The queue of connections that wait to be accepted: on every listener it is as long as the machine lets it.

use std::process::Command;

use crate::cli::support::{Place, Serving};

use super::Pair;

/// The most that the kernel lets wait on any socket of this network.
fn somaxconn() -> u32 {
    let text = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    text.trim().parse().unwrap()
}

/// The queues of the listening sockets of a process: of each its kind and local address, and how many may wait.
fn queues(pid: u32) -> Vec<(String, u32)> {
    let output = Command::new("ss")
        .args(["-H", "-l", "-n", "-p", "-t", "-x"])
        .output();
    let output = output.expect("it is installed; tests/run does that");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let own = format!("pid={pid},");
    let lines = text.lines().filter(|line| line.contains(&own));
    lines
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            // The kind, LISTEN, how many wait, how many may.
            (
                format!("{} {}", words[0], words[4]),
                words[3].parse().unwrap(),
            )
        })
        .collect()
}

#[test]
fn every_listener_has_a_queue_as_long_as_the_machine_lets_it() {
    for reuse_port in ["false", "true"] {
        let (place, pair) = (Place::new(), Pair::new());
        let socket = place.path("h.sock");
        let listen = format!(
            "127.0.0.1:0,tls:127.0.0.1:0,[::1]:0,unix:{}",
            socket.display()
        );
        let mut command = place.command(&["serve", "--admin-listen", "127.0.0.1:0"]);
        command
            .env("HALLPASS_SERVER_LISTEN", listen)
            .env("HALLPASS_SERVER_REUSE_PORT", reuse_port)
            .env("HALLPASS_SERVER_TLS_CERTIFICATE", pair.certificate())
            .env("HALLPASS_SERVER_TLS_KEY", pair.key());
        let mut serving = Serving::of(command);
        serving.url();
        let queues = queues(serving.pid());
        println!("{queues:?}");
        assert_eq!(queues.len(), 5, "{queues:?}");
        let expected = somaxconn().min(65_535);
        for (socket, length) in &queues {
            assert_eq!(*length, expected, "{socket}");
        }
        assert_eq!(serving.stop("TERM").0.code(), Some(0));
    }
}
