//! What a gate, the edge and the listener tell each other about one connection.
//!
//! All of them run in one thread at a time; the atomics only let the socket travel to where hyper wants to send it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use countersign_core::head::{BodyLength, Head};
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Wait {
    /// The first byte of a request.
    Idle,
    /// The rest of a head.
    Head,
    /// The rest of a body of known length.
    Body,
    /// The rest of a chunked body.
    Stream,
    /// The edge: for an answer, or until it takes more of the body.
    Answer,
    /// The client, to read more of an answer.
    Reader,
    /// Nothing that the gate knows of: the connection is upgraded.
    Tunnel,
    /// The client's end of a connection that is closing.
    Close,
}

/// Shared by the gate of one connection, the edge and the listener.
#[derive(Debug, Default)]
pub struct GateState {
    wait: AtomicU8,
    /// Grows whenever a wait begins.
    mark: AtomicU32,
    released: AtomicU32,
    answered: AtomicBool,
    watched: AtomicBool,
    last: AtomicBool,
    asks_upgrade: AtomicBool,
    upgraded: AtomicBool,
    overdue: AtomicBool,
    /// The connection's task, when it waits for input.
    reader: Mutex<Option<Waker>>,
}

impl GateState {
    /// The state of a new connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether no request may follow the present one: it is chunked, or the connection was told to stop.
    pub fn ends_after_this(&self) -> bool {
        self.is_last()
    }

    /// Ties an answer to its exchange. The last thing done to a response before hyper gets it: the gate releases nothing
    /// further until the body of the answer has been dropped and what hyper made of it is written.
    ///
    /// Also says `Connection: close` where no request may follow. A 101 to a request that asked for an upgrade makes the gate
    /// let everything through from there on; after any other answer, what follows is a request.
    pub fn answer<B>(self: &Arc<Self>, mut response: Response<B>) -> Response<Answer<B>> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS && self.asks_upgrade.load(Relaxed) {
            self.upgraded.store(true, Relaxed);
            return response.map(|body| Answer { body, exchange: Exchange(Arc::clone(self)) });
        }
        if self.is_last() {
            response.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("close"));
        }
        response.map(|body| Answer { body, exchange: Exchange(Arc::clone(self)) })
    }

    /// No request may follow the present one; an idle connection ends.
    pub fn stop_keep_alive(&self) {
        self.last.store(true, Relaxed);
        self.wake();
    }

    /// The client has taken too long: an idle connection ends without a word, a head is refused with `head_timeout`, reading
    /// a body fails with `TimedOut`, which the edge answers.
    pub fn time_out(&self) {
        self.overdue.store(true, Relaxed);
        self.wake();
    }

    /// The answer takes a while: until it is written, the gate notices when the client has gone, from the next time on that the
    /// connection is polled. Whether that is new.
    pub fn watch_client(&self) -> bool {
        let is_new = !self.is_client_watched();
        self.watched.store(true, Relaxed);
        is_new
    }

    /// What the connection waits for.
    pub fn waits_for(&self) -> Wait {
        match self.wait.load(Relaxed) {
            0 => Wait::Idle,
            1 => Wait::Head,
            2 => Wait::Body,
            3 => Wait::Stream,
            4 => Wait::Answer,
            5 => Wait::Reader,
            6 => Wait::Tunnel,
            _ => Wait::Close,
        }
    }

    /// Changes whenever a wait begins; each piece of a body ends one. Who looks from time to time and finds it the same knows
    /// that [`Self::waits_for`] has lasted since; so the gate needs no clock.
    pub fn mark(&self) -> u32 {
        self.mark.load(Relaxed)
    }

    /// How many requests were released to hyper.
    pub fn released(&self) -> u32 {
        self.released.load(Relaxed)
    }

    fn wake(&self) {
        if let Ok(Some(reader)) = self.reader.lock().map(|mut reader| reader.take()) {
            reader.wake();
        }
    }

    pub(super) fn remember(&self, waker: &Waker) {
        // Nobody panics while holding it; and who did would have ended the connection.
        if let Ok(mut reader) = self.reader.lock()
            && !reader.as_ref().is_some_and(|reader| reader.will_wake(waker))
        {
            *reader = Some(waker.clone());
        }
    }

    pub(super) fn wait_for(&self, wait: Wait) {
        // A load and a store, as nobody else changes it: a swap would be a locked instruction.
        if self.wait.load(Relaxed) != wait as u8 {
            self.wait.store(wait as u8, Relaxed);
            self.mark.store(self.mark.load(Relaxed).wrapping_add(1), Relaxed);
        }
    }

    /// Notes whether the client has left no room for what there is to write.
    pub(super) fn wait_for_reader(&self, waits: bool) {
        match (waits, self.waits_for()) {
            (true, Wait::Tunnel) => {}
            (true, _) => self.wait_for(Wait::Reader),
            (false, Wait::Reader) => self.wait_for(Wait::Answer),
            (false, _) => {}
        }
    }

    pub(super) fn begin(&self) {
        self.answered.store(false, Relaxed);
        self.watched.store(false, Relaxed);
        self.wait_for(Wait::Idle);
    }

    pub(super) fn release(&self, head: &Head) {
        self.released.store(self.released.load(Relaxed).wrapping_add(1), Relaxed);
        if head.body == BodyLength::Chunked {
            self.last.store(true, Relaxed);
        }
        self.asks_upgrade.store(head.upgrade, Relaxed);
        self.wait_for(Wait::Answer);
    }

    pub(super) fn is_answered(&self) -> bool {
        self.answered.load(Relaxed)
    }

    pub(super) fn is_client_watched(&self) -> bool {
        self.watched.load(Relaxed)
    }

    pub(super) fn is_last(&self) -> bool {
        self.last.load(Relaxed)
    }

    pub(super) fn is_upgraded(&self) -> bool {
        self.upgraded.load(Relaxed)
    }

    /// Whether [`Self::time_out`] was called.
    pub fn is_overdue(&self) -> bool {
        self.overdue.load(Relaxed)
    }
}

/// The body of an answer. Hyper drops it when it has taken all of it, which ends the exchange.
pub struct Answer<B> {
    body: B,
    // Behind the body: dropped after it.
    #[expect(dead_code, reason = "held for what its drop does")]
    exchange: Exchange,
}

struct Exchange(Arc<GateState>);

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.answered.store(true, Relaxed);
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
