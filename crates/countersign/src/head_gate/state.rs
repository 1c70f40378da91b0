//! What the gate of a connection and those who serve the connection tell each other.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use countersign_core::code::Code;
use http::header::CONNECTION;
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

/// What a connection is doing, as far as its gate can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Between requests, and nothing of the next one has come.
    Idle,
    /// A part of a head has come. The time since it began counts, not progress: see [`GateState::heads`].
    ReadingHead,
    /// A request is under way and the gate waits for the client to send more of its body.
    ReadingBody,
    /// A request is under way and nothing is asked of the client, except perhaps to read.
    Busy,
    /// The connection has been upgraded.
    Tunnel,
}

/// The part of a gate that is shared with who serves the connection and with who watches its time.
///
/// One request is under way at a time: the gate lets a head through only when the answer before it is complete. So what is
/// said here is always about that one request.
#[derive(Debug, Default)]
pub struct GateState {
    /// A head was let through and its answer is not complete.
    busy: AtomicBool,
    /// The request under way is the last one.
    ends: AtomicBool,
    /// The body of the request under way was read.
    body_over: AtomicBool,
    /// `NOT_ASKED`, `ASKED` or `GRANTED`.
    upgrade: AtomicU8,
    /// A `Stage`.
    stage: AtomicU8,
    progress: AtomicU64,
    heads: AtomicU64,
    /// One more than the place in `Code::ALL`; 0 is no order.
    order: AtomicU16,
    waker: Mutex<Option<Waker>>,
}

const NOT_ASKED: u8 = 0;
const ASKED: u8 = 1;
const GRANTED: u8 = 2;

/// What the gate last saw of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing of the next head has come, or the gate is not asked for anything.
    Quiet = 0,
    /// A part of the next head has come.
    Head = 1,
    /// The gate waits for more of a body.
    Body = 2,
}

impl GateState {
    /// The state of a new connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the connection is doing.
    pub fn phase(&self) -> Phase {
        let stage = self.stage.load(Ordering::Relaxed);
        if self.upgrade.load(Ordering::Relaxed) == GRANTED {
            Phase::Tunnel
        } else if stage == Stage::Body as u8 {
            Phase::ReadingBody
        } else if self.busy.load(Ordering::Relaxed) {
            Phase::Busy
        } else if stage == Stage::Head as u8 {
            Phase::ReadingHead
        } else {
            Phase::Idle
        }
    }

    /// A number that has changed if anything came from the client since it was last asked for.
    pub fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    /// How many heads were let through. While it stays the same, `Phase::ReadingHead` is about the same head.
    pub fn heads(&self) -> u64 {
        self.heads.load(Ordering::Relaxed)
    }

    /// Ends what takes too long. Between requests the connection ends without a word; in a head the gate answers with `code`
    /// and ends the connection; in a body or a tunnel reading fails with [`std::io::ErrorKind::TimedOut`]. Nothing happens
    /// while the connection is busy with an answer. To be told twice is to be cut off even from a last word that the client
    /// does not read.
    pub fn refuse(&self, code: Code) {
        if self.phase() == Phase::Busy {
            return;
        }
        self.order.store((code as u16).saturating_add(1), Ordering::Release);
        self.wake();
    }

    /// Whether no request may follow the one under way: behind a chunked body the gate does not know where the next begins.
    pub fn ends_after_this(&self) -> bool {
        self.ends.load(Ordering::Acquire)
    }

    /// The protocol is switched: everything passes from now on. Without a request for it, nothing happens.
    pub fn upgraded(&self) {
        let asked = self.upgrade.compare_exchange(ASKED, GRANTED, Ordering::AcqRel, Ordering::Acquire);
        if asked.is_ok() {
            self.wake();
        }
    }

    /// The protocol is not switched: what follows is the head of a request, looked at when this answer is complete. An answer
    /// that completes without [`upgraded`](Self::upgraded) says the same.
    pub fn not_upgraded(&self) {
        let _ = self.upgrade.compare_exchange(ASKED, NOT_ASKED, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The whole body was read. Only a chunked body needs this: the gate follows the others itself.
    pub fn body_ended(&self) {
        self.body_over.store(true, Ordering::Relaxed);
        self.set_stage(Stage::Quiet);
    }

    /// The last word on the request under way. Every answer must go through here: says `Connection: close` if no request may
    /// follow, settles an upgrade by the status, and tells the gate when the answer is complete.
    pub fn answer<B>(self: &Arc<Self>, mut response: Response<B>) -> Response<Answer<B>> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.upgraded();
        } else {
            self.not_upgraded();
            if self.ends_after_this() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
        }
        response.map(|body| Answer { body, state: Arc::clone(self) })
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    pub(super) fn is_body_over(&self) -> bool {
        self.body_over.load(Ordering::Relaxed)
    }

    pub(super) fn is_granted(&self) -> bool {
        self.upgrade.load(Ordering::Acquire) == GRANTED
    }

    /// A head is let through.
    pub(super) fn begin(&self, ends: bool, asks_upgrade: bool) {
        // Only the gate writes these two while nothing is under way: no read-modify-write is needed.
        self.heads.store(self.heads.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        self.ends.store(ends, Ordering::Release);
        self.body_over.store(false, Ordering::Relaxed);
        self.upgrade.store(if asks_upgrade { ASKED } else { NOT_ASKED }, Ordering::Release);
        self.busy.store(true, Ordering::Release);
        if self.order.load(Ordering::Relaxed) != 0 {
            // It was about what came before.
            self.order.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// Something came.
    pub(super) fn advance(&self) {
        self.progress.store(self.progress.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// What [`refuse`](Self::refuse) was last told, once.
    pub(super) fn take_order(&self) -> Option<Code> {
        if self.order.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let order = self.order.swap(0, Ordering::AcqRel);
        Code::ALL.get(usize::from(order.checked_sub(1)?)).copied()
    }

    pub(super) fn set_waker(&self, waker: &Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            waker.wake_by_ref();
        }
    }
}

/// The body of an answer. The answer is complete when it is dropped, and it is dropped when it has been handed over.
#[derive(Debug)]
pub struct Answer<B> {
    body: B,
    state: Arc<GateState>,
}

impl<B> Drop for Answer<B> {
    fn drop(&mut self) {
        // hyper drops it in the turn in which it writes the end of it, and flushes after that, which is when the gate looks.
        self.state.busy.store(false, Ordering::Release);
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
