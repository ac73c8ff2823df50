//! A wait for memory of a connection's share.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use super::{ConnectionMemory, HeldBytes, Kind, Waiting};

/// A wait for memory. Dropping it leaves the queue.
#[derive(Debug)]
pub struct Grant {
    pub(super) memory: ConnectionMemory,
    pub(super) most: usize,
    pub(super) is_answer: bool,
    /// Its id in the queue.
    pub(super) id: Option<u64>,
}

impl Future for Grant {
    type Output = HeldBytes;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<HeldBytes> {
        let memory = self.memory.clone();
        let share = memory.share();
        let mut state = memory.lock();
        let position = match self.id {
            Some(mine) => state.waiting.iter().position(|one| one.id == mine),
            None => Some(state.position(self.is_answer)),
        };
        let stream = memory.stream.as_ref();
        let own = stream.map(|stream| stream.load(Relaxed));
        let (kind, bytes) = match self.is_answer {
            true => (Kind::InMaking, state.may_answer(share).then_some(self.most)),
            false => (Kind::Piece, state.grantable(share, self.most, own)),
        };
        let waits_for_nobody = !self.is_answer && own == Some(0);
        if (position == Some(0) || waits_for_nobody)
            && let Some(bytes) = bytes
        {
            if self.id.take().is_some()
                && let Some(position) = position
            {
                state.waiting.remove(position);
            }
            let held = memory.take_locked(&mut state, kind, bytes);
            let next = state.next();
            drop(state);
            // There may be memory for it, too.
            if let Some(next) = next {
                next.wake();
            }
            return Poll::Ready(held);
        }
        if self.id.is_some() {
            let mine = position.and_then(|at| state.waiting.get_mut(at));
            if let Some(mine) = mine {
                mine.waker.clone_from(context.waker());
            }
        } else {
            let (id, is_answer) = (state.next_id, self.is_answer);
            state.next_id += 1;
            let waker = context.waker().clone();
            let position = state.position(is_answer);
            let waiting = Waiting {
                id,
                is_answer,
                stream: stream.cloned(),
                waker,
            };
            state.waiting.insert(position, waiting);
            self.id = Some(id);
        }
        Poll::Pending
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        let Some(mine) = self.id else {
            return;
        };
        let mut state = self.memory.lock();
        state.waiting.retain(|waiting| waiting.id != mine);
        let next = state.next();
        drop(state);
        if let Some(next) = next {
            next.wake();
        }
    }
}
