//! The connection's writer and reader.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::sendfile;
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};

use super::socket::Socket;
use super::tcp_info::TcpInfo;
use super::unsent::{UnsentBound, UnsentBudget};
use super::{Beginning, PAGE_BYTES, RegionQueue, Regions};

#[cfg(test)]
mod tests;

/// The most slices that a head is sent with, but for the beginning of a region: its own three and the ones behind it.
const HEAD_SLICES_MAX: usize = 8;

/// The longest write whose slices are copied into one: up to here the kernel takes longer to go through several than it
/// takes to copy them.
const JOINED_BYTES_MAX: usize = 8 * 1024;

thread_local! {
    /// The slices of one write behind one another.
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The two ends of a plain connection, as hyper wants them. It sends the [`super::BodyPiece`]s of its own
/// [`Regions`], adds their lines to heads, and ends with an error rather than write one in any other way.
///
/// hyper must hand the buffers of bodies through as they are: `http1::Builder` with `writev(true)` and
/// without `pipeline_flush`.
#[derive(Debug)]
pub struct Wire {
    stream: TokioIo<Socket>,
    regions: Regions,
    /// Bytes that were read before the wire was there, to be given out first.
    begun: Bytes,
    unsent: UnsentBound,
}

impl Wire {
    /// Wraps this socket. `begun` holds the bytes that were already read from it. The kernel takes at most
    /// [`super::UNSENT_BYTES`] before it can send them.
    pub fn new(socket: Socket, begun: Bytes, regions: Regions) -> Self {
        socket.set_unsent_max(super::UNSENT_BYTES);
        Self {
            stream: TokioIo::new(socket),
            regions,
            begun,
            unsent: UnsentBound::default(),
        }
    }

    /// Lets the kernel take more of large answers, as much as the budget has for each.
    pub fn with_budget(self, budget: Arc<UnsentBudget>) -> Self {
        Self {
            unsent: UnsentBound::of(budget),
            ..self
        }
    }

    /// Asks the kernel how far the connection is. `None` for a Unix socket, and where the kernel does not say it.
    pub fn tcp_info(&self) -> Option<TcpInfo> {
        self.stream.inner().tcp_info()
    }

    /// Returns whether the connection is broken for good: the client reset it, or answers no more. A client that merely
    /// closed its own side, having said all, is still there.
    pub fn is_broken(&self) -> bool {
        let mut looked_at = [PollFd::new(self.stream.inner(), PollFlags::empty())];
        let at_once = Timespec::default();
        let found = poll(&mut looked_at, Some(&at_once));
        let [end] = &looked_at;
        let broken = PollFlags::ERR | PollFlags::HUP;
        found.is_ok_and(|found| found > 0) && end.revents().intersects(broken)
    }

    /// Sends plain slices, short ones as one; the kernel holds them back where more follows at once.
    fn poll_send_plain(
        &self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        more_follows: bool,
    ) -> Poll<io::Result<usize>> {
        let mut flags = SendFlags::NOSIGNAL;
        flags.set(SendFlags::MORE, more_follows);
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if slices.len() > 1 && length <= JOINED_BYTES_MAX {
            return JOINED.with_borrow_mut(|joined| {
                joined.clear();
                for slice in slices {
                    joined.extend_from_slice(slice);
                }
                let socket = self.stream.inner();
                socket.poll_send(context, |socket| send(socket, joined, flags))
            });
        }
        self.stream
            .inner()
            .poll_send(context, |socket| match slices {
                [one] => send(socket, one, flags),
                _ => sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), flags),
            })
    }

    /// Sends a head with the lines that wait for it, and what follows it: of a region that does not begin where a page of
    /// its file does, what is before the next one. Says how much of the slices, and of the region behind them, went out.
    #[expect(
        clippy::expect_used,
        reason = "the checks before it bound the place in the first slice, and the loop the count"
    )]
    fn poll_send_head(
        &self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        place: usize,
        queue: &mut RegionQueue,
        is_followed: bool,
    ) -> Poll<io::Result<usize>> {
        loop {
            let first: &[u8] = slices.first().map(Deref::deref).expect("a head");
            let split = first.split_at_checked(place);
            let (before, behind) = split.expect("a place in the head");
            let lines = queue.lines.left.clone();
            let mut all = [IoSlice::new(&[]); HEAD_SLICES_MAX + 1];
            let own = [before, &lines, behind].map(IoSlice::new);
            let following = slices.iter().skip(1).copied();
            // Cleared where a region follows alone.
            let mut page: [u8; PAGE_BYTES];
            let is_cut = slices.len() + 2 > HEAD_SLICES_MAX;
            let beginning = match is_followed && !is_cut {
                true => {
                    page = [0; PAGE_BYTES];
                    queue.beginning(&mut page)
                }
                false => Beginning::default(),
            };
            let plain = own.into_iter().chain(following).take(HEAD_SLICES_MAX);
            let of_region = Some(IoSlice::new(beginning.bytes));
            let mut count = 0;
            for (room, slice) in all.iter_mut().zip(plain.chain(of_region)) {
                *room = slice;
                count += 1;
            }
            let all = all.get(..count).expect("as many as were filled");
            let more_follows = beginning.is_followed || is_cut;
            let sent = ready!(self.poll_send_plain(context, all, more_follows))?;
            let of_hyper = queue.lines.advance(sent, first, place);
            let of_slices: usize = slices.iter().map(|slice| slice.len()).sum();
            queue.advance(of_hyper.saturating_sub(of_slices));
            // To say that nothing of its own went out would mean to hyper that nothing ever will.
            if of_hyper > 0 || sent == 0 {
                return Poll::Ready(Ok(of_hyper));
            }
        }
    }

    /// Sends from the first region that waits.
    fn poll_send_region(
        &self,
        context: &mut Context<'_>,
        queue: &mut RegionQueue,
    ) -> Poll<io::Result<usize>> {
        let Some(region) = queue.waiting.front() else {
            return Poll::Ready(Err(super::unclaimed()));
        };
        let sent = self.stream.inner().poll_send(context, |socket| {
            let mut offset = region.offset;
            sendfile(socket, &region.file, Some(&mut offset), region.left)
        });
        let fault = match ready!(sent) {
            Ok(0) => io::Error::new(io::ErrorKind::UnexpectedEof, "the file ended early"),
            Ok(sent) => {
                queue.advance(sent);
                return Poll::Ready(Ok(sent));
            }
            Err(error) if is_of_the_client(&error) => return Poll::Ready(Err(error)),
            Err(error) => error,
        };
        region.owner.note_fault(&fault);
        Poll::Ready(Err(fault))
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, TimedOut};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | TimedOut
    )
}

impl Write for Wire {
    #[expect(
        clippy::expect_used,
        reason = "the queue counts slices among those that it is shown"
    )]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut queue = this.regions.lock();
        let before = queue.check(slices)?;
        let plain = slices.get(..before).expect("some of the slices");
        let is_followed = before < slices.len();
        let region = queue.waiting.front().map(|region| region.left);
        this.unsent.note_write(this.stream.inner(), region);
        if let Some(first) = slices.first()
            && let Some(place) = queue.lines.place_in(first)?
        {
            return this.poll_send_head(context, plain, place, &mut queue, is_followed);
        }
        match before {
            0 if !slices.is_empty() => this.poll_send_region(context, &mut queue),
            _ if is_followed => {
                let more_follows = queue.begins_with_a_page();
                this.poll_send_plain(context, plain, more_follows)
            }
            _ => this.poll_send_plain(context, slices, false),
        }
    }

    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

impl Read for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.begun.is_empty() {
            let read = Pin::new(&mut this.stream).poll_read(context, buffer);
            if read.is_pending() {
                this.unsent.note_waiting(this.stream.inner());
            }
            return read;
        }
        let length = this.begun.len().min(buffer.remaining());
        buffer.put_slice(&this.begun.split_to(length));
        Poll::Ready(Ok(()))
    }
}
