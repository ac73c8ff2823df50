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
fn state() -> (Arc<ConnectionState>, impl Fn(u64)) {
    let clock = Arc::new(CoarseClock::new(DEADLINES));
    let state = Arc::new(ConnectionState::new(Arc::clone(&clock)));
    let wait = move |seconds| clock.advance_to(Duration::from_millis(clock.now() + seconds * 1000));
    (state, wait)
}

#[test]
fn each_phase_has_its_own_time() {
    let (state, wait) = state();
    wait(10);
    assert!(!state.is_past_deadline(), "the first head is due");
    wait(1);
    assert!(state.is_past_deadline());
    let open = state.begin();
    wait(1_000);
    assert!(!state.is_past_deadline(), "we may take our time");
    let second = state.begin();
    drop(open);
    assert_eq!(state.idle_since(), None, "another answer is open");
    drop(second);
    wait(75);
    assert!(!state.is_past_deadline() && state.idle_since().is_some());
    state.note_read();
    wait(10);
    assert!(!state.is_past_deadline(), "a head has begun");
    state.note_read();
    wait(1);
    assert!(state.is_past_deadline(), "from its first byte on");
    state.enter(Phase::Lingering);
    wait(5);
    assert!(!state.is_past_deadline());
    wait(1);
    assert!(state.is_past_deadline());
}

#[test]
fn a_reader_must_take_so_much_in_its_time() {
    let (state, wait) = state();
    let _open = state.begin();
    let write = |written: Poll<io::Result<usize>>| state.note_written(&written);
    for bytes in [1024, 5_000] {
        write(Poll::Pending);
        wait(30);
        assert!(!state.is_past_deadline());
        write(Poll::Ready(Ok(bytes)));
        wait(1_000);
        assert!(
            !state.is_past_deadline(),
            "it took enough, and nothing waits for it"
        );
    }
    write(Poll::Pending);
    wait(20);
    write(Poll::Ready(Ok(1_000)));
    write(Poll::Pending);
    wait(11);
    assert!(state.is_past_deadline(), "it took too little");
    write(Poll::Ready(Ok(24)));
    assert!(!state.is_past_deadline());
}

/// In HTTP/2 a client reads off its socket and still takes nothing, where it grants no window.
#[test]
fn a_client_must_take_so_much_of_what_is_due() {
    let (state, wait) = state();
    state.multiplex();
    let open = state.begin();
    let (first, second) = (open.piece(), open.piece());
    wait(30);
    assert!(!state.is_past_deadline());
    second.note_taken(1_024);
    wait(30);
    assert!(!state.is_past_deadline(), "it took enough of one of them");
    second.note_taken(1_000);
    wait(1);
    assert!(state.is_past_deadline(), "it took too little");
    second.note_taken(24);
    assert!(!state.is_past_deadline());
    drop((first, second));
    wait(1_000);
    assert!(
        !state.is_past_deadline(),
        "nothing is due, and we may take our time"
    );
}

#[test]
fn an_http2_connection_is_idle_whatever_it_says_and_is_asked_to_stop_before_it_is_ended() {
    let (state, wait) = state();
    state.multiplex();
    let open = state.begin();
    let piece = open.piece();
    drop(open);
    assert_eq!(state.idle_since(), None, "a piece of its answer is not out");
    drop(piece);
    wait(70);
    state.note_read();
    wait(5);
    assert!(!state.is_to_be_warned());
    wait(1);
    assert!(state.is_to_be_warned());
    state.end();
    assert!(!state.is_to_be_warned() && !state.is_past_deadline());
    wait(5);
    // It may have sent a request before it was told.
    let open = state.begin();
    wait(100);
    assert!(!state.is_past_deadline());
    drop(open);
    wait(5);
    assert!(!state.is_past_deadline());
    wait(1);
    assert!(state.is_past_deadline());
}
