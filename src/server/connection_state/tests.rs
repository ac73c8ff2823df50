//! Tests of the deadlines of a connection, on a clock of its own.

use super::*;

const DEADLINES: Deadlines = Deadlines {
    head: Duration::from_secs(10),
    idle: Duration::from_secs(75),
    write: Duration::from_secs(30),
    written_min: 1024,
    linger: Duration::from_secs(5),
    lingered_max: 1,
    first: Duration::from_secs(1),
};

/// A connection, and a way to let time go by.
fn pace() -> (Arc<Pace>, impl Fn(u64)) {
    let ticks = Arc::new(Ticks::new(DEADLINES));
    let pace = Arc::new(Pace::new(Arc::clone(&ticks)));
    let wait = move |seconds| ticks.move_to(Duration::from_millis(ticks.now() + seconds * 1000));
    (pace, wait)
}

#[test]
fn each_phase_has_its_own_time() {
    let (pace, wait) = pace();
    wait(10);
    assert!(!pace.is_overdue(), "the first head is due");
    wait(1);
    assert!(pace.is_overdue());
    let open = pace.begin();
    wait(1_000);
    assert!(!pace.is_overdue(), "we may take our time");
    let second = pace.begin();
    drop(open);
    assert_eq!(pace.idle_since(), None, "another answer is open");
    drop(second);
    wait(75);
    assert!(!pace.is_overdue() && pace.idle_since().is_some());
    pace.note_read();
    wait(10);
    assert!(!pace.is_overdue(), "a head has begun");
    pace.note_read();
    wait(1);
    assert!(pace.is_overdue(), "from its first byte on");
    pace.enter(Phase::Lingering);
    wait(5);
    assert!(!pace.is_overdue());
    wait(1);
    assert!(pace.is_overdue());
}

#[test]
fn a_reader_must_take_so_much_in_its_time() {
    let (pace, wait) = pace();
    let _open = pace.begin();
    let write = |written: Poll<io::Result<usize>>| pace.note_written(&written);
    for bytes in [1024, 5_000] {
        write(Poll::Pending);
        wait(30);
        assert!(!pace.is_overdue());
        write(Poll::Ready(Ok(bytes)));
        wait(1_000);
        assert!(
            !pace.is_overdue(),
            "it took enough, and nothing waits for it"
        );
    }
    write(Poll::Pending);
    wait(20);
    write(Poll::Ready(Ok(1_000)));
    write(Poll::Pending);
    wait(11);
    assert!(pace.is_overdue(), "it took too little");
    write(Poll::Ready(Ok(24)));
    assert!(!pace.is_overdue());
}

/// In HTTP/2 a client reads off its socket and still takes nothing, where it grants no window.
#[test]
fn a_client_must_take_so_much_of_what_is_due() {
    let (pace, wait) = pace();
    pace.multiplex();
    let open = pace.begin();
    let (first, second) = (open.piece(), open.piece());
    wait(30);
    assert!(!pace.is_overdue());
    second.note_taken(1_024);
    wait(30);
    assert!(!pace.is_overdue(), "it took enough of one of them");
    second.note_taken(1_000);
    wait(1);
    assert!(pace.is_overdue(), "it took too little");
    second.note_taken(24);
    assert!(!pace.is_overdue());
    drop((first, second));
    wait(1_000);
    assert!(
        !pace.is_overdue(),
        "nothing is due, and we may take our time"
    );
}

#[test]
fn one_that_multiplexes_is_idle_whatever_it_says_and_is_told_before_it_is_ended() {
    let (pace, wait) = pace();
    pace.multiplex();
    let open = pace.begin();
    let piece = open.piece();
    drop(open);
    assert_eq!(pace.idle_since(), None, "a piece of its answer is not out");
    drop(piece);
    wait(70);
    pace.note_read();
    wait(5);
    assert!(!pace.is_to_be_told());
    wait(1);
    assert!(pace.is_to_be_told());
    pace.end();
    assert!(!pace.is_to_be_told() && !pace.is_overdue());
    wait(5);
    // It may have sent a request before it was told.
    let open = pace.begin();
    wait(100);
    assert!(!pace.is_overdue());
    drop(open);
    wait(5);
    assert!(!pace.is_overdue());
    wait(1);
    assert!(pace.is_overdue());
}
