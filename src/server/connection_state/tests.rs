//! Tests of the deadlines of a connection, on a clock of its own.

use hyper::rt::Executor as _;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::*;
use crate::web::response_memory::ResponseMemory;

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

/// Who takes of one stream and leaves another waiting keeps the first alone.
#[tokio::test]
async fn a_stream_of_which_too_little_is_taken_ends_whatever_is_taken_of_others() {
    let (state, wait) = state();
    state.multiplex();
    let memory = Arc::new(ResponseMemory::new(1 << 20)).connection(1 << 19);
    let streams = Streams::default();
    state.watch_streams(streams.executor());
    let begin = || {
        let open = state.begin_stream(&streams, memory.open_stream().unwrap());
        let (task, mut is_over) = oneshot::channel::<()>();
        streams.executor().execute(async move {
            let _task = task;
            std::future::pending::<()>().await;
        });
        let is_over = move || is_over.try_recv() == Err(TryRecvError::Closed);
        (open.piece(), open, is_over)
    };
    let (read, _open, mut read_is_over) = begin();
    let (trickled, _open_too, mut trickled_is_over) = begin();
    for _ in 0..3 {
        wait(10);
        read.note_taken(1_000);
        trickled.note_taken(341);
        assert_eq!(state.end_stalled_streams(), 0);
    }
    wait(1);
    read.note_taken(1_000);
    assert_eq!(state.end_stalled_streams(), 1);
    while !trickled_is_over() {
        task::yield_now().await;
    }
    assert_eq!(state.end_stalled_streams(), 0, "once");
    assert!(!read_is_over() && !state.is_past_deadline());
    // None is waited for of which no piece is due.
    drop((read, trickled));
    wait(1_000);
    assert_eq!(state.end_stalled_streams(), 0);
    assert!(!read_is_over());
}
