//! The gate between a client's socket and hyper: no request head reaches hyper before `countersign_core::head` has passed it.
//!
//! One exchange at a time: the gate releases a head and exactly the body that belongs to it, and looks at what follows only
//! when that exchange is over. So hyper never holds a byte of a request that has not been judged, and a refusal can be written
//! by the gate itself, in its place behind all earlier answers. After a chunked request nothing follows on the connection;
//! behind an upgrade bytes wait until the edge knows whether they are requests.
//!
//! What must be known of hyper: it flushes whenever the connection is polled, and it could read ahead to notice that the client
//! has gone, which costs it a buffer for each request. [`server`] tells it not to. The gate does that itself, from the flush,
//! for the few answers that take long (`GateState::watch_client`), and then fails, which makes hyper drop the answer. An end of
//! input that is not real is shown to hyper only between exchanges. `Answer` tells the gate that the answer is complete; the
//! flush behind it tells that it is written, and then hyper is between exchanges or closing.

#[cfg(test)]
mod agreement;
mod chunks;
mod closing;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod sockets;
mod state;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use countersign_core::code::Code;
use countersign_core::head::{BodyLength, Head, HeadLimits, HeadScanner, Scan};
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::chunks::Chunks;
use self::closing::Closing;
pub use self::state::{Answer, GateState, Wait};

/// How much one read takes from the socket.
const READ: usize = 32 * 1024;
/// Up to so many bytes a list of slices is copied into one buffer and written from there: a list costs the kernel more than that.
const GATHER: usize = 4 * 1024;
/// The largest buffer that a connection keeps while it holds nothing.
const KEEP: usize = 4 * 1024;

thread_local! {
    // One for all connections of a thread, for reads and for writes: a connection that waits holds no buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

/// A socket as hyper may see it.
pub struct HeadGate<IO> {
    io: IO,
    render: Box<dyn Fn(Code) -> Vec<u8> + Send>,
    state: Arc<GateState>,
    limits: HeadLimits,
    scanner: HeadScanner,
    /// What was read and is not released yet. Never more than the limit of a head and one read.
    kept: BytesMut,
    stage: Stage,
    /// Whether the last answer is not only complete but handed to the socket.
    flushed: bool,
    /// Whether the client has ended its side.
    ended: bool,
    closing: Closing,
}

/// Hyper as it must be set up behind a gate.
pub fn server() -> http1::Builder {
    let mut server = http1::Builder::new();
    server.half_close(true);
    server
}

/// What the next byte for hyper belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// A head that is not judged yet. Hyper is between exchanges.
    Head,
    /// A judged head and a body of known length, of which so many bytes are not released yet, or the head of a chunked one.
    Message { left: u64, chunked: bool },
    /// A chunked body, and whatever follows: no request does.
    Stream(Chunks),
    /// Nothing, until the answer is written.
    Answer,
    /// What is not HTTP any more.
    Tunnel,
    /// Nothing, until this refusal is written and the socket is shut down. Hyper is between exchanges.
    Refuse(Code),
    /// An end, whatever the socket says.
    End,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> HeadGate<IO> {
    /// A gate in front of `io`.
    ///
    /// `render` writes a refusal as a complete HTTP/1.1 response that ends the connection. Hyper must be set up by [`server`], and
    /// must allow `limits.headers` headers.
    pub fn new(io: IO, limits: HeadLimits, state: Arc<GateState>, render: impl Fn(Code) -> Vec<u8> + Send + 'static) -> Self {
        Self {
            io,
            // A plain function takes no memory here.
            render: Box::new(render),
            state,
            limits,
            scanner: HeadScanner::new(limits),
            kept: BytesMut::new(),
            stage: Stage::Head,
            flushed: false,
            ended: false,
            closing: Closing::Open,
        }
    }

    /// Gives hyper what it may see next; nothing means the end.
    fn poll_release(&mut self, cx: &mut Context<'_>, to: &mut ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.stage {
                Stage::Head if self.kept.is_empty() && self.state.is_last() => self.stage = Stage::End,
                Stage::Head => {
                    if ready!(self.poll_head(cx, to))? {
                        return Poll::Ready(Ok(()));
                    }
                }
                Stage::Message { left, chunked } => {
                    let given = ready!(self.poll_give(cx, to, usize::try_from(left).unwrap_or(usize::MAX), Wait::Body))?;
                    self.given(left, given, chunked);
                    return Poll::Ready(Ok(()));
                }
                Stage::Stream(_) if self.flushed => self.stage = Stage::End,
                Stage::Stream(chunks) => {
                    let wait = if chunks.is_over() { Wait::Answer } else { Wait::Stream };
                    ready!(self.poll_give(cx, to, usize::MAX, wait))?;
                    return Poll::Ready(Ok(()));
                }
                Stage::Answer if self.state.is_upgraded() => {
                    self.stage = Stage::Tunnel;
                    self.state.wait_for(Wait::Tunnel);
                }
                Stage::Answer if self.flushed => self.begin(),
                Stage::Answer => {
                    ready!(self.poll_ahead(cx))?;
                    return Poll::Ready(Ok(()));
                }
                Stage::Tunnel => return self.poll_give(cx, to, usize::MAX, Wait::Tunnel).map_ok(|_| ()),
                Stage::Refuse(code) => {
                    if matches!(self.closing, Closing::Open) {
                        self.state.wait_for(Wait::Close);
                        self.closing = Closing::begin((self.render)(code), !self.ended);
                    }
                    // Hyper has nothing to write, and not always shuts the socket down by itself: so the refusal is written here.
                    // A client that does not take it has gone.
                    let _gone = ready!(self.closing.poll(&mut self.io, cx));
                    self.stage = Stage::End;
                }
                Stage::End => return Poll::Ready(Ok(())),
            }
        }
    }

    fn begin(&mut self) {
        self.flushed = false;
        self.state.begin();
        self.scanner = HeadScanner::new(self.limits);
        self.stage = Stage::Head;
    }

    /// So many bytes of a message of which `left` were left have been given.
    fn given(&mut self, left: u64, given: u64, chunked: bool) {
        self.stage = match left.saturating_sub(given) {
            0 if chunked => Stage::Stream(Chunks::default()),
            0 => Stage::Answer,
            left => Stage::Message { left, chunked },
        };
    }

    /// Reads until a head can be judged, and judges it. Says whether it gave hyper some of the message: nearly all heads come
    /// whole, and are given as they came.
    fn poll_head(&mut self, cx: &mut Context<'_>, to: &mut ReadBufCursor<'_>) -> Poll<io::Result<bool>> {
        if self.state.is_overdue() {
            // Who has sent nothing of a request gets no answer to it.
            self.stage = if self.kept.is_empty() { Stage::End } else { Stage::Refuse(Code::HeadTimeout) };
            return Poll::Ready(Ok(false));
        }
        let mut scanned = self.scanner.scan(&self.kept);
        let mut given = 0;
        loop {
            match scanned {
                Scan::Complete(head) => {
                    self.state.release(&head);
                    self.given(message_length(&head), given, head.body == BodyLength::Chunked);
                    return Poll::Ready(Ok(given > 0));
                }
                Scan::Refuse(code) => {
                    self.stage = Stage::Refuse(code);
                    return Poll::Ready(Ok(false));
                }
                Scan::Partial => {}
            }
            self.state.wait_for(if self.kept.is_empty() { Wait::Idle } else { Wait::Head });
            let (io, kept, scanner) = (&mut self.io, &mut self.kept, &mut self.scanner);
            let read = ready!(poll_read(io, cx, READ, |bytes| {
                let mut rest = bytes;
                if kept.is_empty() {
                    scanned = scanner.scan(bytes);
                    if let Scan::Complete(head) = scanned {
                        let most = to.remaining().min(usize::try_from(message_length(&head)).unwrap_or(usize::MAX));
                        let now;
                        (now, rest) = bytes.split_at_checked(most).unwrap_or((bytes, &[]));
                        to.put_slice(now);
                        given = now.len() as u64;
                    }
                    kept.extend_from_slice(rest);
                } else {
                    kept.extend_from_slice(rest);
                    scanned = scanner.scan(kept);
                }
            }))?;
            if read == 0 {
                // A head that is never finished is a request that was never made.
                self.ended = true;
                self.stage = Stage::End;
                return Poll::Ready(Ok(false));
            }
        }
    }

    /// Gives hyper at most `most` bytes and says how many; none at the end.
    fn poll_give(&mut self, cx: &mut Context<'_>, to: &mut ReadBufCursor<'_>, most: usize, wait: Wait) -> Poll<io::Result<u64>> {
        let most = most.min(to.remaining());
        if !self.kept.is_empty() {
            let bytes = self.kept.get(..most).unwrap_or(&self.kept);
            to.put_slice(bytes);
            if let Stage::Stream(chunks) = &mut self.stage {
                chunks.pass(bytes);
            }
            let given = bytes.len();
            // Not split off: that would make the buffer a shared one, which costs an allocation.
            self.kept.advance(given);
            if self.kept.is_empty() && self.kept.capacity() > KEEP {
                self.kept = BytesMut::new();
            }
            return Poll::Ready(Ok(given as u64));
        }
        if self.state.is_overdue() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let stage = &mut self.stage;
        let read = poll_read(&mut self.io, cx, most, |bytes| {
            to.put_slice(bytes);
            if let Stage::Stream(chunks) = stage {
                chunks.pass(bytes);
            }
        });
        // Between two pieces it is the edge that takes its time, not the client.
        self.state.wait_for(if read.is_pending() || wait == Wait::Tunnel { wait } else { Wait::Answer });
        let read = ready!(read)?;
        self.ended |= read == 0;
        Poll::Ready(Ok(read as u64))
    }

    /// Fails when the client has gone while its answer is under way.
    fn check_client(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.may_read_ahead()
            && let Poll::Ready(ended) = self.poll_ahead(cx)
        {
            return ended.and(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }

    /// Whether what comes next belongs to no exchange that is under way.
    fn may_read_ahead(&self) -> bool {
        match self.stage {
            Stage::Head => true,
            Stage::Answer => !self.state.is_upgraded(),
            Stage::Stream(chunks) => chunks.is_over(),
            Stage::Message { .. } | Stage::Tunnel | Stage::Refuse(_) | Stage::End => false,
        }
    }

    /// Looks for the end of input while an answer is under way. Ready when there is one; what comes instead is kept.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.kept.is_empty() {
            let (io, kept) = (&mut self.io, &mut self.kept);
            if ready!(poll_read(io, cx, READ, |bytes| kept.extend_from_slice(bytes)))? == 0 {
                self.ended = true;
                self.stage = Stage::End;
                return Poll::Ready(Ok(()));
            }
        }
        // The flush behind the answer wakes us; until then more input would only take memory.
        Poll::Pending
    }

    /// Whether the client may still be sending: closing now could take an answer away from it that it has not read yet.
    fn may_be_sending(&self) -> bool {
        let unread = match self.stage {
            Stage::Head | Stage::Answer => !self.kept.is_empty(),
            Stage::Message { .. } => true,
            Stage::Stream(chunks) => !chunks.is_over() || !self.kept.is_empty(),
            Stage::Tunnel | Stage::Refuse(_) | Stage::End => false,
        };
        unread && !self.ended
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> hyper::rt::Read for HeadGate<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut to: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        let polled = gate.poll_release(cx, &mut to);
        if polled.is_pending() {
            gate.state.remember(cx.waker());
        }
        polled
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> hyper::rt::Write for HeadGate<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let gate = self.get_mut();
        let written = Pin::new(&mut gate.io).poll_write(cx, bytes);
        gate.state.wait_for_reader(written.is_pending());
        written
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let gate = self.get_mut();
        let length = slices.iter().fold(0usize, |sum, slice| sum.saturating_add(slice.len()));
        let written =
            if length <= GATHER { poll_gathered(&mut gate.io, cx, slices) } else { Pin::new(&mut gate.io).poll_write_vectored(cx, slices) };
        gate.state.wait_for_reader(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        ready!(Pin::new(&mut gate.io).poll_flush(cx))?;
        // Hyper flushes only when it has written all it has.
        if !gate.flushed && !gate.state.is_answered() && gate.state.is_client_watched() {
            gate.check_client(cx)?;
        } else if !gate.flushed && gate.state.is_answered() {
            gate.flushed = true;
            if gate.stage == Stage::Answer && !gate.state.is_upgraded() {
                gate.begin();
            }
            if !gate.kept.is_empty() || gate.state.is_last() {
                // Hyper believes that there is nothing to read.
                cx.waker().wake_by_ref();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        if matches!(gate.closing, Closing::Open) {
            gate.state.wait_for(Wait::Close);
            // What came while the answer was made is still in the socket. A client that has gone is not waited for either way.
            let _ = gate.may_read_ahead().then(|| gate.poll_ahead(cx));
            gate.closing = Closing::begin(Vec::new(), gate.may_be_sending());
        }
        gate.closing.poll(&mut gate.io, cx)
    }
}

/// The bytes of a head and of the body that belongs to it; of a chunked one only the head.
const fn message_length(head: &Head) -> u64 {
    let body = if let BodyLength::Known(length) = head.body { length } else { 0 };
    body.saturating_add(head.length as u64)
}

/// Reads at most `most` bytes; 0 is the end.
fn poll_read<IO: AsyncRead + Unpin>(io: &mut IO, cx: &mut Context<'_>, most: usize, take: impl FnOnce(&[u8])) -> Poll<io::Result<usize>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let most = most.min(scratch.len());
        let mut buffer = ReadBuf::new(scratch.get_mut(..most).unwrap_or_default());
        ready!(Pin::new(io).poll_read(cx, &mut buffer))?;
        take(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    })
}

/// Writes the slices, which are at most [`GATHER`] bytes, as one.
fn poll_gathered<IO: AsyncWrite + Unpin>(io: &mut IO, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut length = 0usize;
        for slice in slices {
            let end = length.saturating_add(slice.len());
            let Some(to) = scratch.get_mut(length..end) else { break };
            to.copy_from_slice(slice);
            length = end;
        }
        Pin::new(io).poll_write(cx, scratch.get(..length).unwrap_or_default())
    })
}
