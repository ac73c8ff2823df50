//! A crowd of clients that connect at once, while nobody accepts.

use std::fs;
use std::process::{Command, Stdio};

use tokio::net::UnixStream;

use crate::rig::{Ledger, Site, until};
use crate::server::Server;

/// The number of clients that come at once.
const CROWD: usize = 2_000;

/// Reads a counter of the network that a process is in: names stand in one line, values in the next one.
fn counter(pid: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/net/netstat")).unwrap();
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let rows = lines.chunks(2).find_map(|rows| {
        let at = rows[0].iter().position(|known| *known == name)?;
        Some(rows[1][at])
    });
    rows.unwrap().parse().unwrap()
}

/// Counts the connections that wait to be accepted in the network that a process is in.
fn waiting(pid: u32) -> usize {
    let text = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
    let sockets = text.lines().skip(1).map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // Its state, and the bytes or connections that wait to be taken.
        let (_, waiting) = words[4].split_once(':').unwrap();
        (
            words[3] == "0A",
            usize::from_str_radix(waiting, 16).unwrap(),
        )
    });
    sockets
        .filter(|(is_listening, _)| *is_listening)
        .map(|(_, waiting)| waiting)
        .sum()
}

/// In a network of its own, where its counters are nobody else's.
#[test]
fn two_thousand_clients_that_come_at_once_all_find_a_place() {
    let is_root = rustix::process::geteuid().is_root();
    let (site, ledger) = (Site::new(), Ledger::default());
    let socket = site.path("h.sock");
    let own = "ip link set lo up && exec \"$@\"";
    let mut command = site.serve_command(&["unshare", "-n", "sh", "-c", own, "sh"]);
    command.args(["--listen", &format!("unix:{}", socket.display())]);
    let server = match Server::start(command) {
        Ok(server) => server,
        Err((_, why)) => {
            eprintln!("NOT TESTED: no network of its own: {why}");
            let is_known = !is_root || std::env::var_os("FAULTS_WITHOUT_MOUNTS").is_some();
            assert!(is_known, "{why}");
            return;
        }
    };
    let pid = server.pid;
    let beside = site.serve();
    let id = site.put(&beside, &ledger, 1_000);
    let link = site.mint(&beside, &id);
    beside.stop();

    // Nobody accepts: whoever finds no place in the queue is seen by the kernel's counters.
    server.signal("STOP");
    let url = format!("http://{}{link}", server.host);
    let crowd = format!("ulimit -n 8192; exec h2load --h1 -n {CROWD} -c {CROWD} '{url}'");
    let clients = Command::new("nsenter")
        .args(["-t", &pid.to_string(), "-n", "sh", "-c", &crowd])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    until("all of them to wait", || waiting(pid) >= CROWD);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let connected = runtime.block_on(async {
        let mut connected = Vec::new();
        for _ in 0..CROWD {
            connected.push(UnixStream::connect(&socket).await);
        }
        connected
    });
    let refused: Vec<_> = connected
        .iter()
        .filter_map(|one| one.as_ref().err())
        .collect();
    assert!(
        refused.is_empty(),
        "{} on the Unix socket: {:?}",
        refused.len(),
        refused[0]
    );
    drop(connected);
    server.signal("CONT");
    let clients = clients.wait_with_output().unwrap();
    let said = String::from_utf8(clients.stdout).unwrap();
    let all = format!("{CROWD} succeeded, 0 failed, 0 errored, 0 timeout");
    assert!(said.contains(&all), "{said}\n{}", server.log());
    assert!(
        said.contains(&format!("status codes: {CROWD} 2xx")),
        "{said}"
    );
    let lost = ["ListenOverflows", "ListenDrops"].map(|name| counter(pid, name));
    println!("of {CROWD} at once: {lost:?} overflows and drops");
    assert_eq!(lost, [0, 0]);
    server.stop();
}
