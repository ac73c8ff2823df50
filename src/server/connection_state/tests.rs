//! Tests of the deadlines of a connection, on a clock of its own.

use std::task::Waker;

use hyper::rt::Executor as _;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::*;
use crate::web::response_memory::{ConnectionMemory, ResponseMemory};

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

/// The socket takes nothing now.
fn block(state: &ConnectionState) {
    let context = Context::from_waker(Waker::noop());
    let (now, min) = (state.clock.now(), DEADLINES.written_min);
    state.blocked.note_blocked(&context, now, min, || None);
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
    let take = |bytes| state.blocked.note_taken(bytes, DEADLINES.written_min);
    for bytes in [1024, 5_000] {
        block(&state);
        wait(30);
        assert!(!state.is_past_deadline());
        take(bytes);
        wait(1_000);
        assert!(
            !state.is_past_deadline(),
            "it took enough, and nothing waits for it"
        );
    }
    block(&state);
    wait(20);
    take(1_000);
    block(&state);
    wait(11);
    assert!(state.is_past_deadline(), "it took too little");
    take(24);
    assert!(!state.is_past_deadline());
}

#[test]
fn a_client_must_take_so_much_of_what_is_due() {
    let (state, wait) = state();
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

/// An HTTP/2 connection, and its streams.
struct Multiplexed {
    state: Arc<ConnectionState>,
    memory: ConnectionMemory,
    streams: Streams,
}

/// A stream with a piece that waits for the client, and its task's end.
struct Begun {
    piece: OpenRequest,
    _open: OpenRequest,
    task: oneshot::Receiver<()>,
}

impl Multiplexed {
    fn new() -> (Self, impl Fn(u64)) {
        let (state, wait) = state();
        state.multiplex();
        let memory = Arc::new(ResponseMemory::new(1 << 20)).connection(1 << 19, 0);
        let streams = Streams::default();
        state.watch_streams(streams.executor());
        let multiplexed = Self {
            state,
            memory,
            streams,
        };
        (multiplexed, wait)
    }

    fn begin(&self) -> Begun {
        self.begin_with(std::future::pending())
    }

    fn begin_with(&self, work: impl Future<Output = ()> + Send + 'static) -> Begun {
        let held = self.memory.open_stream().unwrap();
        let open = self.state.begin_stream(&self.streams, held);
        let (sender, task) = oneshot::channel::<()>();
        self.streams.executor().execute(async move {
            let _sender = sender;
            work.await;
        });
        Begun {
            piece: open.piece(),
            _open: open,
            task,
        }
    }

    /// The numbers of streams that are reset now, and that cannot be.
    fn check(&self) -> (usize, usize) {
        let checked = self.state.end_stalled_streams();
        (checked.reset, checked.stuck)
    }
}

impl Begun {
    fn take(&self, bytes: usize) {
        self.piece.note_taken(bytes);
    }

    fn is_over(&mut self) -> bool {
        self.task.try_recv() == Err(TryRecvError::Closed)
    }

    async fn over(&mut self) {
        while !self.is_over() {
            task::yield_now().await;
        }
    }
}

/// One that takes much of one stream and leaves another waiting keeps the first alone.
#[tokio::test]
async fn a_stream_of_which_too_little_is_taken_ends_whatever_is_taken_of_others() {
    let (connection, wait) = Multiplexed::new();
    let (mut read, mut trickled) = (connection.begin(), connection.begin());
    for _ in 0..3 {
        wait(10);
        read.take(400_000);
        trickled.take(341);
        assert_eq!(connection.check(), (0, 0));
    }
    wait(1);
    assert_eq!(connection.check(), (1, 0));
    trickled.over().await;
    assert_eq!(connection.check(), (0, 0), "once");
    assert!(!read.is_over() && !connection.state.is_past_deadline());
    // None is waited for of which no piece is due.
    let Begun {
        piece,
        _open,
        mut task,
    } = read;
    drop((piece, trickled.piece));
    wait(1_000);
    assert_eq!(connection.check(), (0, 0));
    assert_eq!(task.try_recv(), Err(TryRecvError::Empty));
}

/// A slow client takes of its streams in turn, and each of them waits for all the others.
#[tokio::test]
async fn one_that_reads_slowly_all_the_while_keeps_all_of_its_streams() {
    let (connection, wait) = Multiplexed::new();
    let mut streams: Vec<_> = (0..30).map(|_| connection.begin()).collect();
    for _ in 0..3 {
        for stream in &streams {
            wait(3);
            stream.take(16_000);
            assert_eq!(connection.check(), (0, 0));
        }
    }
    // Each waits for 90 seconds in between; for several deadlines none does.
    let mut left = streams.split_off(1).into_iter();
    while left.len() > 0 {
        wait(3);
        streams[0].take(1_024);
        let (reset, stuck) = connection.check();
        assert_eq!(stuck, 0);
        // The one that has waited for longest first; the HTTP library drops its pieces.
        for mut stream in left.by_ref().take(reset) {
            stream.over().await;
        }
    }
    assert!(!streams[0].is_over());
}

/// A task that hands its last piece over while it is ended leaves a stream that nobody can reset.
#[tokio::test]
async fn one_whose_pieces_stay_after_its_reset_is_stuck() {
    let (connection, wait) = Multiplexed::new();
    let mut stream = connection.begin();
    wait(31);
    assert_eq!(connection.check(), (1, 0));
    stream.over().await;
    wait(30);
    assert_eq!(connection.check(), (0, 0));
    wait(1);
    assert_eq!(connection.check(), (0, 1));
}

#[tokio::test]
async fn where_nothing_at_all_is_taken_all_streams_end_after_one_deadline_and_the_connection_does_not()
 {
    let (connection, wait) = Multiplexed::new();
    let mut streams = [connection.begin(), connection.begin()];
    wait(30);
    assert_eq!(connection.check(), (0, 0));
    wait(1);
    assert!(!connection.state.is_past_deadline());
    assert_eq!(connection.check(), (2, 0));
    for stream in &mut streams {
        stream.over().await;
    }
    // Its socket takes nothing: that is another thing.
    block(&connection.state);
    wait(31);
    assert!(connection.state.is_past_deadline());
}

#[tokio::test]
async fn a_stream_that_cannot_be_reset_counts_as_stuck() {
    let (connection, wait) = Multiplexed::new();
    let mut stuck = connection.begin_with(std::future::ready(()));
    stuck.over().await;
    task::yield_now().await;
    let upload = connection.begin();
    drop(upload.piece);
    assert_eq!(connection.state.stalled_since(), None, "an upload goes on");
    wait(31);
    let checked = connection.state.end_stalled_streams();
    assert_eq!((checked.open, checked.reset, checked.stuck), (2, 0, 1));
    drop(upload._open);
    assert!(connection.state.stalled_since().is_some());
    let checked = connection.state.end_stalled_streams();
    assert_eq!((checked.open, checked.reset, checked.stuck), (1, 0, 1));
    drop(stuck);
    assert_eq!(connection.streams.count(), 0, "none is left in the table");
}
