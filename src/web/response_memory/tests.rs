//! Tests of the budget: what it bounds, and in which order.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Wake};

use super::*;

const KIB: usize = 1024;

#[derive(Default)]
struct WakeFlag(AtomicBool);

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

/// A wait for memory, and whether it was woken.
struct Waiting(Grant, Arc<WakeFlag>);

impl Waiting {
    fn on(memory: &ConnectionMemory, most: usize) -> Self {
        Self(memory.grant(most), Arc::default())
    }

    fn answer(memory: &ConnectionMemory) -> Self {
        Self(memory.grant_answer(), Arc::default())
    }

    fn poll(&mut self) -> Option<HeldBytes> {
        self.1.0.store(false, Relaxed);
        let waker = Arc::clone(&self.1).into();
        match Pin::new(&mut self.0).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(held) => Some(held),
            Poll::Pending => None,
        }
    }

    fn is_woken(&self) -> bool {
        self.1.0.load(Relaxed)
    }
}

/// Takes all that a connection of HTTP/1, or a stream, gets, in pieces of at most so many bytes.
fn take_all(memory: &ConnectionMemory, most: usize) -> Vec<HeldBytes> {
    std::iter::from_fn(|| Waiting::on(memory, most).poll()).collect()
}

/// Opens so many streams as there may be of a hundred, none for HTTP/1, and has each take all that it gets.
fn take_all_of_streams(
    memory: &ConnectionMemory,
    most: usize,
    streams: usize,
) -> (Vec<HeldBytes>, Vec<HeldBytes>) {
    if streams == 0 {
        return (Vec::new(), take_all(memory, most));
    }
    let open: Vec<_> = (0..streams).map_while(|_| memory.open_stream()).collect();
    let take = |_: &HeldBytes| take_all(&memory.of_stream(), most);
    let pieces = open.iter().flat_map(take).collect();
    (open, pieces)
}

fn sum(held: &[HeldBytes]) -> usize {
    held.iter().map(HeldBytes::bytes).sum()
}

fn budget(mib: u64) -> Arc<ResponseMemory> {
    Arc::new(ResponseMemory::new(mib << 20))
}

#[test]
fn one_connection_has_as_much_as_its_transport_may_hold_and_no_more() {
    for (most, piece, streams) in [
        (HTTP1_BYTES_MAX, 128 * KIB, 0),
        (HTTP2_BYTES_MAX, 16 * KIB, 100),
    ] {
        let budget = budget(128);
        let memory = budget.connection(most, 0);
        let (open, pieces) = take_all_of_streams(&memory, piece, streams);
        assert_eq!(open.len(), streams);
        let streams = open;
        let held = sum(&pieces) + sum(&streams);
        assert_eq!(budget.held(), held as u64);
        assert!(held <= most && held > most / 2, "{held} of {most}");
        drop((pieces, streams));
        assert_eq!(budget.held(), 0);
    }
}

#[test]
fn however_many_take_all_that_they_get_the_budget_holds_and_the_next_one_has_a_share() {
    for (most, piece, streams) in [
        (HTTP1_BYTES_MAX, 128 * KIB, 0),
        (HTTP2_BYTES_MAX, 16 * KIB, 100),
    ] {
        let budget = budget(128);
        let mut all = Vec::new();
        for _ in 0..2_000 {
            let memory = budget.connection(most, 0);
            let (streams, pieces) = take_all_of_streams(&memory, piece, streams);
            assert!(sum(&pieces) >= PIECE_BYTES_MIN.max(streams.len() * STREAM_PIECE_BYTES));
            all.push((memory, pieces, streams));
        }
        let held = |(_, pieces, streams): &(_, Vec<_>, Vec<_>)| sum(pieces) + sum(streams);
        let total: usize = all.iter().map(held).sum();
        assert_eq!(budget.held(), total as u64);
        // Each new connection has its least of a budget that is used up: 36 KiB over HTTP/2.
        let most_in_all = if streams == 0 { 128 } else { 160 };
        assert!(total <= most_in_all << 20, "{} MiB", total >> 20);
        let newcomer = budget.connection(most, 0);
        assert!(newcomer.share() > 0 || streams > 0);
        let first = Waiting::on(&newcomer, piece).poll().unwrap();
        assert!(first.bytes() >= PIECE_BYTES_MIN);
        drop(first);
        // Whoever came first has more, but keeps it only for as long as its client takes nothing.
        let last = held(&all[1_999]);
        assert!(last >= PIECE_BYTES_MIN && held(&all[0]) > last);
        drop(all);
        assert_eq!((budget.held(), newcomer.share()), (0, most));
    }
}

#[test]
fn a_connection_that_holds_nothing_gets_a_small_piece_of_a_budget_that_is_used_up() {
    let budget = budget(1);
    let other = budget.connection(4 << 20, 0);
    let all = other.hold(Bytes::from(vec![0; 2 << 20]));
    let memory = budget.connection(HTTP1_BYTES_MAX, 0);
    assert_eq!(memory.share(), 0);
    let first = Waiting::on(&memory, 128 * KIB).poll().unwrap();
    assert_eq!(first.bytes(), PIECE_BYTES_MIN);
    let mut second = Waiting::on(&memory, 100);
    assert!(second.poll().is_none());
    drop(first);
    assert!(second.is_woken());
    assert_eq!(second.poll().unwrap().bytes(), 100, "a small one is enough");
    drop(all);
    assert_eq!(budget.held(), 0);
}

#[test]
fn bodies_of_a_connection_get_memory_in_order_and_nobody_is_forgotten() {
    let budget = budget(128);
    let connection = budget.connection(64 * KIB, 0);
    let _stream = connection.open_stream().unwrap();
    let memory = connection.of_stream();
    let mut pieces = take_all(&memory, 16 * KIB);
    let mut waiting: Vec<_> = (0..4).map(|_| Waiting::on(&memory, 16 * KIB)).collect();
    for one in &mut waiting {
        assert!(one.poll().is_none());
    }
    pieces.remove(0);
    assert!(waiting[0].is_woken() && !waiting[1].is_woken());
    assert!(waiting[1].poll().is_none(), "the first one comes first");
    assert!(
        Waiting::on(&memory, KIB).poll().is_none(),
        "nobody comes between"
    );
    // One that gives up wakes the next one.
    drop(waiting.remove(0));
    assert!(waiting[0].is_woken());
    let got = waiting[0].poll().unwrap();
    assert!(waiting[1].is_woken(), "there may be memory for it, too");
    drop(waiting);
    drop((pieces, got));
    assert!(Waiting::on(&memory, 16 * KIB).poll().is_some());
}

/// The answers that may be made at once where the share is spent.
fn a_few_answers(memory: &ConnectionMemory) -> Vec<HeldBytes> {
    let few: Vec<_> = (0..STREAMS_MIN)
        .map_while(|_| Waiting::answer(memory).poll())
        .collect();
    assert_eq!(few.len(), STREAMS_MIN);
    assert!(Waiting::answer(memory).poll().is_none());
    few
}

#[test]
fn an_answer_counts_until_the_last_of_its_bytes_is_gone_and_holds_others_back() {
    let budget = budget(128);
    let memory = budget.connection(HTTP2_BYTES_MAX, 0).of_stream();
    let answer = memory.hold(Bytes::from(vec![1; HTTP2_BYTES_MAX]));
    assert_eq!(budget.held(), HTTP2_BYTES_MAX as u64);
    let mut in_making = a_few_answers(&memory);
    let mut body = Waiting::on(&memory, KIB);
    let mut handler = Waiting::answer(&memory);
    assert!(body.poll().is_none() && handler.poll().is_none());
    let last = answer.slice(HTTP2_BYTES_MAX - 1..);
    drop(answer);
    assert!(!handler.is_woken());
    assert_eq!(last[..], [1]);
    drop(in_making.pop());
    assert!(handler.is_woken() && !body.is_woken(), "answers come first");
    assert!(handler.poll().is_some() && body.is_woken());
    drop((last, in_making));
    assert!(body.poll().is_some());
    drop((handler, body));
    assert_eq!(budget.held(), 0);
    assert!(memory.hold(Bytes::new()).is_empty());
}

#[test]
fn bodies_that_are_not_read_hold_up_no_other_answer() {
    let budget = budget(128);
    let memory = budget.connection(HTTP2_BYTES_MAX, 0);
    let (open, mut pieces) = take_all_of_streams(&memory, 16 * KIB, 100);
    let reader = memory.of_stream();
    pieces.extend(take_all(&reader, 16 * KIB));
    let mut body = Waiting::on(&reader, 16 * KIB);
    assert!(body.poll().is_none());
    let full = memory.hold(Bytes::from(vec![0; HTTP2_BYTES_MAX]));
    let mut few = a_few_answers(&memory);
    let mut next = Waiting::answer(&memory);
    assert!(next.poll().is_none());
    drop(few.pop());
    assert!(next.is_woken() && next.poll().is_some());
    drop((full, open, pieces, few));
    assert!(body.is_woken() && body.poll().is_some());
    // Where there is memory, many are made at once.
    let many: Vec<_> = (0..20)
        .map_while(|_| Waiting::answer(&memory).poll())
        .collect();
    assert_eq!(many.len(), 20);
}

#[test]
fn a_stream_that_holds_no_piece_waits_for_no_other_one_and_is_woken_by_its_own_last_piece() {
    let budget = budget(128);
    let memory = budget.connection(HTTP2_BYTES_MAX, 0);
    let _open: Vec<_> = (0..40).map_while(|_| memory.open_stream()).collect();
    let slow: Vec<_> = (0..39).map(|_| memory.of_stream()).collect();
    let pieces: Vec<_> = slow.iter().map(|one| take_all(one, 16 * KIB)).collect();
    assert!(pieces.iter().all(|pieces| !pieces.is_empty()));
    // One that has some left something for others: a quarter of the share, of which each takes an eighth.
    let sizes = pieces.iter().map(|pieces| sum(pieces));
    assert!(sizes.max().unwrap() < HTTP2_BYTES_MAX * 3 / 4);
    let mut waiting: Vec<_> = slow.iter().map(|one| Waiting::on(one, 16 * KIB)).collect();
    assert!(waiting.iter_mut().all(|one| one.poll().is_none()));
    let other = memory.of_stream();
    for _ in 0..3 {
        let piece = Waiting::on(&other, 16 * KIB).poll().unwrap();
        assert!(piece.bytes() >= STREAM_PIECE_BYTES);
        let mut next = Waiting::on(&other, 16 * KIB);
        assert!(next.poll().is_none() && !next.is_woken());
        drop(piece);
        assert!(next.is_woken(), "though others came before it");
        assert!(next.poll().is_some());
    }
    // With all of them the connection is within what it may hold.
    assert!(budget.held() <= HTTP2_BYTES_MAX as u64);
    // Answers are made, too, a few at once where the share is spent.
    let full = memory.hold(Bytes::from(vec![0; HTTP2_BYTES_MAX]));
    drop(a_few_answers(&memory));
    drop((a_few_answers(&memory), full));
}

#[test]
fn of_a_budget_that_is_used_up_a_connection_has_one_answer_at_a_time() {
    let budget = budget(1);
    let other = budget.connection(4 << 20, 0);
    let _all = other.hold(Bytes::from(vec![0; 2 << 20]));
    let memory = budget.connection(HTTP2_BYTES_MAX, 0);
    assert!(Waiting::answer(&memory).poll().is_some());
    let answer = memory.of_stream().hold(Bytes::from(vec![0; ANSWER_BYTES]));
    let mut second = Waiting::answer(&memory);
    assert!(second.poll().is_none());
    // A file is another thing: each stream has a piece.
    for _ in 0..STREAMS_MIN {
        let piece = Waiting::on(&memory.of_stream(), 16 * KIB).poll();
        assert_eq!(piece.unwrap().bytes(), STREAM_PIECE_BYTES);
    }
    drop(answer);
    assert!(second.is_woken() && second.poll().is_some());
}

#[test]
fn streams_are_fewer_where_the_budget_is_short_and_some_there_always_are() {
    let budget = budget(64);
    let memory = budget.connection(HTTP2_BYTES_MAX, 0);
    assert_eq!((memory.streams_max(100), memory.streams_max(3)), (100, 3));
    let hundred: Vec<_> = (0..100).map_while(|_| memory.open_stream()).collect();
    assert_eq!(hundred.len(), 100);
    let full = budget.connection(64 << 20, 0);
    let all = full.hold(Bytes::from(vec![0; 60 << 20]));
    let late = budget.connection(HTTP2_BYTES_MAX, 0);
    assert_eq!((late.streams_max(100), late.streams_max(3)), (8, 3));
    let few: Vec<_> = (0..100).map_while(|_| late.open_stream()).collect();
    assert_eq!(few.len(), STREAMS_MIN);
    assert!(memory.open_stream().is_none(), "it has enough");
    drop(few);
    assert!(late.open_stream().is_some());
    drop((all, hundred));
    assert!(late.streams_max(100) > 90);
}

#[test]
fn the_buffers_of_a_connection_count_as_long_as_it_holds_something() {
    let budget = budget(128);
    let memory = budget.connection(HTTP2_BYTES_MAX, 40 * KIB);
    let mut sealed = memory.sealed();
    assert_eq!(budget.held(), 0, "it is idle");
    let stream = memory.open_stream().unwrap();
    assert_eq!(budget.held(), (STREAM_BYTES + 40 * KIB) as u64);
    sealed.resize(KIB);
    drop(stream);
    assert_eq!(budget.held(), 41 * KIB as u64, "once");
    sealed.resize(0);
    assert_eq!(budget.held(), 0);
}
