//! The gate between a socket and hyper: no head of a request reaches hyper before [`HeadScanner`] has judged it.
//!
//! It follows requests by Content-Length to the next head. Behind a chunked body it cannot see where the next request begins,
//! so there is none: [`GateState::answer`] ends the connection. Behind a head that asks for an upgrade nothing passes until the
//! answer is known. A refused head is answered here, because hyper never learns of it.
//!
//! hyper reads ahead while it answers, to notice that the client has gone, and an end of the stream makes it forget the answer.
//! So while a request is under way the gate shows it the end only if the client did end the stream: never a refusal, and never
//! the next head, which makes "the request under way" one request for everybody.

mod farewell;
mod state;

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, BytesMut};
use countersign_core::code::Code;
use countersign_core::head::{BodyLength, Head, HeadLimits, HeadScanner, Scan};
use hyper::rt::ReadBufCursor;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::farewell::Farewell;
use self::state::Stage;
pub use self::state::{Answer, GateState, Phase};

/// Bytes that are read at once, at most.
const READ: usize = 16 * 1024;

thread_local! {
    /// Where bytes are looked at that need not be kept: most heads come whole and leave at once, so a connection that waits
    /// for one owns no memory for it.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// A socket as hyper may see it.
pub struct HeadGate<IO> {
    io: TokioIo<IO>,
    limits: HeadLimits,
    state: Arc<GateState>,
    render: Box<dyn Fn(Code) -> Vec<u8> + Send>,
    scanner: HeadScanner,
    /// What was read and not let through; at most `limits.bytes`, or what one read brought.
    held: BytesMut,
    mode: Mode,
    turn: Turn,
    /// The client sends no more.
    ended: bool,
    /// This side sends no more.
    shut: bool,
    /// hyper asked in vain before its last answer was flushed.
    wants_flush: bool,
    /// The waker that the state has.
    known: Option<Waker>,
}

/// What the next byte from the client belongs to.
enum Mode {
    /// The head of a request.
    Head,
    /// A request that was let through, so many bytes of it.
    Pass(u64),
    /// Whatever the two sides make of it.
    Open,
    /// Nothing: the head was bad. Answered when the answers before it are out.
    Refused(Code),
    /// Nothing: this side has said its last word.
    Over(Box<Farewell>),
    /// Nothing: hyper is shown the end.
    End,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The client's; all answers are out.
    Client,
    /// The server's.
    Server,
    /// The client's, but the last answer may not be out yet.
    Flushing,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> HeadGate<IO> {
    /// A gate in front of `io`. `render` makes the whole answer, from status line to body, of a refused head.
    pub fn new(io: IO, limits: HeadLimits, state: Arc<GateState>, render: impl Fn(Code) -> Vec<u8> + Send + 'static) -> Self {
        Self {
            io: TokioIo::new(io),
            limits,
            state,
            render: Box::new(render),
            scanner: HeadScanner::new(limits),
            held: BytesMut::new(),
            mode: Mode::Head,
            turn: Turn::Client,
            ended: false,
            shut: false,
            wants_flush: false,
            known: None,
        }
    }

    /// Keeps the waker that [`GateState`] wakes up to date; without a lock when it has not changed.
    fn know(&mut self, waker: &Waker) {
        if !self.known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.known = Some(waker.clone());
            self.state.set_waker(waker);
        }
    }

    /// Lets a head through that has been found good, with what follows it.
    fn admit(&mut self, head: Head) {
        let length = head.length as u64;
        self.mode = match head.body {
            BodyLength::None => Mode::Pass(length),
            BodyLength::Known(body) => Mode::Pass(length.saturating_add(body)),
            BodyLength::Chunked => Mode::Open,
        };
        self.scanner = HeadScanner::new(self.limits);
        self.turn = Turn::Server;
        self.state.set_stage(Stage::Quiet);
        self.state.begin(head.body == BodyLength::Chunked, head.upgrade);
    }

    /// Judges `bytes`, which begin with the head; says whether hyper can have something.
    fn judge(&mut self, bytes: &[u8]) -> bool {
        match self.scanner.scan(bytes) {
            Scan::Partial => {
                self.state.set_stage(Stage::Head);
                return false;
            }
            Scan::Complete(head) => self.admit(head),
            Scan::Refuse(code) => self.mode = Mode::Refused(code),
        }
        true
    }

    /// Waits for a head. `Ready(false)` means that the mode has changed.
    fn poll_head(&mut self, context: &mut Context<'_>, cursor: &mut ReadBufCursor<'_>) -> Poll<io::Result<bool>> {
        if self.turn == Turn::Server {
            if self.state.is_granted() {
                self.mode = Mode::Open;
                return Poll::Ready(Ok(false));
            }
            if !self.state.is_busy() {
                self.turn = Turn::Flushing;
            }
        }
        if self.turn != Turn::Client {
            return self.poll_ahead(context);
        }
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            let judged = self.judge(&held);
            self.held = held;
            if judged {
                return Poll::Ready(Ok(false));
            }
        }
        if self.ended {
            self.mode = Mode::End;
            return Poll::Ready(Ok(false));
        }
        let room = cursor.remaining().min(if self.held.is_empty() { READ } else { self.limits.bytes.saturating_sub(self.held.len()) });
        let read = self.poll_scratch(context, room, |gate, bytes| {
            if bytes.is_empty() {
                gate.ended = true;
            } else if gate.held.is_empty() && gate.judge(bytes) {
                let passed = gate.pass(bytes, cursor);
                gate.held.extend_from_slice(bytes.get(passed..).unwrap_or_default());
                return passed > 0;
            } else {
                gate.held.extend_from_slice(bytes);
            }
            false
        });
        // What has come in time is looked at before the order to wait no longer.
        if read.is_pending()
            && let Some(code) = self.state.take_order()
        {
            self.mode = if self.held.is_empty() { Mode::End } else { Mode::Refused(code) };
            return Poll::Ready(Ok(false));
        }
        read
    }

    /// While a request is under way: notices whether the client has gone, and keeps what else comes.
    fn poll_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.turn == Turn::Flushing && self.state.take_order().is_some() {
            self.mode = Mode::End;
            return Poll::Ready(Ok(false));
        }
        if self.held.is_empty() {
            if self.ended {
                self.mode = Mode::End;
                return Poll::Ready(Ok(false));
            }
            return self.poll_scratch(context, self.limits.bytes, |gate, bytes| {
                gate.ended = bytes.is_empty();
                gate.held.extend_from_slice(bytes);
                false
            });
        }
        self.state.set_stage(Stage::Head);
        self.wants_flush = true;
        Poll::Pending
    }

    /// Hands over what belongs to the request under way.
    fn poll_pass(&mut self, context: &mut Context<'_>, cursor: &mut ReadBufCursor<'_>, left: u64) -> Poll<io::Result<bool>> {
        if !self.held.is_empty() {
            let mut held = std::mem::take(&mut self.held);
            let passed = self.pass(&held, cursor);
            held.advance(passed);
            // Nothing is kept for a connection that holds nothing back.
            self.held = if held.is_empty() { BytesMut::new() } else { held };
            return Poll::Ready(Ok(true));
        }
        if let Some(code) = self.state.take_order() {
            return Poll::Ready(Err(too_slow(code)));
        }
        let room = cursor.remaining().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.poll_scratch(context, room, |gate, bytes| {
            gate.ended = bytes.is_empty();
            gate.pass(bytes, cursor);
            true
        });
        self.state.set_stage(if read.is_pending() { Stage::Body } else { Stage::Quiet });
        read
    }

    /// Hands over what follows a chunked head or an upgrade.
    fn poll_open(&mut self, context: &mut Context<'_>, mut cursor: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if !self.held.is_empty() {
            let passed = self.held.len().min(cursor.remaining());
            cursor.put_slice(self.held.get(..passed).unwrap_or_default());
            self.held.advance(passed);
            if self.held.is_empty() {
                self.held = BytesMut::new();
            }
            return Poll::Ready(Ok(()));
        }
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        if let Some(code) = self.state.take_order() {
            return Poll::Ready(Err(too_slow(code)));
        }
        // The answer to a chunked request is complete. hyper closes now, because the answer said so; if it did not, what
        // follows must not become a request.
        if !self.state.is_granted() && !self.state.is_busy() {
            return self.poll_flushed();
        }
        let read = hyper::rt::Read::poll_read(Pin::new(&mut self.io), context, cursor);
        if read.is_ready() {
            self.state.advance();
            self.state.set_stage(Stage::Quiet);
        } else if self.turn == Turn::Server && !self.state.is_body_over() {
            self.state.set_stage(Stage::Body);
        }
        read
    }

    /// Ready when the last answer is out.
    fn poll_flushed(&mut self) -> Poll<io::Result<()>> {
        if self.turn == Turn::Client {
            return Poll::Ready(Ok(()));
        }
        self.wants_flush = true;
        Poll::Pending
    }

    /// Copies the beginning of `bytes` to hyper, as far as the mode and the space allow; says how many.
    fn pass(&mut self, bytes: &[u8], cursor: &mut ReadBufCursor<'_>) -> usize {
        let most = match self.mode {
            Mode::Pass(left) => usize::try_from(left).unwrap_or(usize::MAX),
            Mode::Open => usize::MAX,
            _ => 0,
        };
        let passed = bytes.len().min(most).min(cursor.remaining());
        cursor.put_slice(bytes.get(..passed).unwrap_or_default());
        if let Mode::Pass(left) = &mut self.mode {
            *left = left.saturating_sub(passed as u64);
            if *left == 0 {
                self.mode = Mode::Head;
            }
        }
        passed
    }

    /// Reads up to `room` bytes, at least one, and shows them; none at the end.
    fn poll_scratch<R>(&mut self, context: &mut Context<'_>, room: usize, mut seen: impl FnMut(&mut Self, &[u8]) -> R) -> Poll<io::Result<R>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let room = room.clamp(1, scratch.len());
            let mut read = ReadBuf::new(scratch.get_mut(..room).unwrap_or_default());
            ready!(Pin::new(self.io.inner_mut()).poll_read(context, &mut read))?;
            self.state.advance();
            Poll::Ready(Ok(seen(self, read.filled())))
        })
    }

    /// Whether the client may still be sending what nobody will read; closing then would tear the answer from its hands.
    fn leaves_something(&self) -> bool {
        !self.ended && (!self.held.is_empty() || matches!(self.mode, Mode::Pass(_) | Mode::Refused(_)) || (matches!(self.mode, Mode::Open) && !self.state.is_granted()))
    }
}

fn too_slow(code: Code) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, code.title())
}

impl<IO: AsyncRead + AsyncWrite + Unpin> hyper::rt::Read for HeadGate<IO> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, mut cursor: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        gate.know(context.waker());
        loop {
            let has_something = match &mut gate.mode {
                Mode::Head => ready!(gate.poll_head(context, &mut cursor))?,
                Mode::Pass(left) => {
                    let left = *left;
                    ready!(gate.poll_pass(context, &mut cursor, left))?
                }
                Mode::Open => return gate.poll_open(context, cursor),
                Mode::Refused(code) => {
                    let code = *code;
                    // Told again, it has waited long enough for a client that does not read.
                    if gate.state.take_order().is_some() {
                        gate.mode = Mode::End;
                        continue;
                    }
                    ready!(gate.poll_flushed())?;
                    gate.held = BytesMut::new();
                    gate.mode = Mode::Over(Box::new(Farewell::new((gate.render)(code), gate.ended)));
                    false
                }
                Mode::Over(farewell) => {
                    ready!(farewell.poll(context, gate.io.inner_mut()));
                    gate.shut = true;
                    gate.mode = Mode::End;
                    true
                }
                Mode::End => true,
            };
            if has_something {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> hyper::rt::Write for HeadGate<IO> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.io.inner_mut()).poll_write(context, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(self.io.inner_mut()).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.inner().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        ready!(Pin::new(gate.io.inner_mut()).poll_flush(context))?;
        // hyper flushes when it has handed over all that it had to write: an answer that is complete is out now.
        if gate.turn != Turn::Client && !gate.state.is_busy() {
            gate.turn = Turn::Client;
            if std::mem::take(&mut gate.wants_flush) {
                context.waker().wake_by_ref();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        loop {
            if let Mode::Over(farewell) = &mut gate.mode {
                ready!(farewell.poll(context, gate.io.inner_mut()));
                gate.shut = true;
                gate.mode = Mode::End;
            }
            if gate.shut {
                return Poll::Ready(Ok(()));
            }
            if !gate.leaves_something() {
                return Pin::new(gate.io.inner_mut()).poll_shutdown(context);
            }
            gate.held = BytesMut::new();
            gate.mode = Mode::Over(Box::new(Farewell::new(Vec::new(), false)));
        }
    }
}

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod tests;
