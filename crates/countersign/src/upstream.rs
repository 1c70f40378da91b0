//! Connections to upstreams. Each data thread has its own, so that a request never crosses a thread.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use countersign_core::code::{Code, Refusal};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::body::ForwardBody;
use crate::config;
use crate::listen::SWEEP;

/// An upstream as one data thread knows it.
pub struct Upstream {
    settings: config::Upstream,
    /// Idle connections, the most recently used one last: the others age and are closed.
    idle: RefCell<Vec<Idle>>,
}

struct Idle {
    connection: SendRequest<ForwardBody>,
    /// When the sweep first found it idle: a connection that is used all the time costs no look at the clock.
    found: Option<Instant>,
}

impl Idle {
    /// Whether it has surely not been idle for `most`.
    fn is_fresh(&self, most: Duration) -> bool {
        !self.connection.is_closed() && self.found.is_none_or(|found| found.elapsed().saturating_add(SWEEP) < most)
    }
}

impl Upstream {
    /// An upstream without connections yet.
    pub fn new(settings: config::Upstream) -> Rc<Self> {
        Rc::new(Self { settings, idle: RefCell::new(Vec::new()) })
    }

    /// Sends a request and waits for the head of the answer.
    ///
    /// Tried again on another connection only while no byte of it was taken: whatever was taken may have been acted on.
    /// `progress` is moved on by the request's body: an upload may take as long as it goes on.
    ///
    /// # Errors
    /// `UpstreamUnreachable`: it has seen nothing. `UpstreamTimeout`, `UpstreamOutcomeUnknown`: it may have.
    pub async fn send(self: &Rc<Self>, mut request: Request<ForwardBody>, progress: &Progress) -> Result<Response<UpstreamBody>, Refusal> {
        loop {
            let (mut connection, reused) = match self.take_idle() {
                Some(connection) => (connection, true),
                // Boxed: few requests need a new connection, and all would carry what making one takes.
                None => (Box::pin(self.connect()).await?, false),
            };
            // Pinned here, because it is large and would be moved otherwise.
            let answer = progress.within(self.settings.response_time, pin!(connection.try_send_request(request))).await;
            match answer {
                Some(Ok(response)) => {
                    let lease = Lease { upstream: Rc::clone(self), connection: Some(connection), progress: progress.clone() };
                    return Ok(response.map(|body| UpstreamBody::new(body, lease)));
                }
                Some(Err(mut failed)) => match failed.take_message() {
                    Some(untaken) if reused => request = untaken,
                    Some(_) => return Err(Code::UpstreamUnreachable.into()),
                    None => {
                        tracing::debug!(upstream = %self.settings.authority, error = %failed.error(), "the upstream failed");
                        return Err(refusal_behind(failed.error()).unwrap_or_else(|| Code::UpstreamOutcomeUnknown.into()));
                    }
                },
                None => return Err(Code::UpstreamTimeout.into()),
            }
        }
    }

    /// How long the head of an answer may take.
    pub const fn response_time(&self) -> Duration {
        self.settings.response_time
    }

    /// Closes idle connections that are too old. Called every [`SWEEP`].
    pub fn sweep(&self, now: Instant) {
        self.idle.borrow_mut().retain_mut(|idle| {
            idle.found.get_or_insert(now);
            idle.is_fresh(self.settings.idle_time)
        });
    }

    fn take_idle(&self) -> Option<SendRequest<ForwardBody>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(found) = idle.pop() {
            if found.is_fresh(self.settings.idle_time) {
                return Some(found.connection);
            }
        }
        None
    }

    fn give_back(&self, connection: SendRequest<ForwardBody>) {
        let mut idle = self.idle.borrow_mut();
        if !connection.is_closed() && idle.len() < self.settings.idle_connections {
            idle.push(Idle { connection, found: None });
        }
    }

    async fn connect(&self) -> Result<SendRequest<ForwardBody>, Refusal> {
        let unreachable = |error: &dyn std::fmt::Display| {
            tracing::warn!(upstream = %self.settings.authority, %error, "cannot connect to the upstream");
            Refusal::from(Code::UpstreamUnreachable)
        };
        let stream = match tokio::time::timeout(self.settings.connect_time, TcpStream::connect(self.settings.authority.as_str())).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unreachable(&error)),
            Err(_elapsed) => return Err(unreachable(&"no answer within connect_seconds")),
        };
        stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
        // Nearly every request is a head alone: one buffer costs the kernel less than a list of one.
        let (sender, connection) =
            http1::Builder::new().writev(false).handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
        tokio::task::spawn_local(async move {
            // Its end is seen by whoever holds the sender.
            let _ = connection.with_upgrades().await;
        });
        Ok(sender)
    }
}

/// How a request gets on: when its head or a piece of its body was last taken, and whether that is too long ago.
///
/// It has no timer of its own and looks at no clock: who sweeps the connections looks at it and wakes the request. A timer for
/// each request would cost more than its authentication.
#[derive(Clone)]
pub struct Progress(Rc<Steps>);

struct Steps {
    /// Whether it got on since the last look.
    moved: Cell<bool>,
    /// The look that first found it where it is now.
    found: Cell<Option<Instant>>,
    /// How long the upstream may take from the last step on.
    most: Cell<Duration>,
    late: Cell<bool>,
    /// The request's body is out, or given up.
    sent: Cell<bool>,
}

impl Progress {
    /// It begins now.
    pub fn begin() -> Self {
        Self(Rc::new(Steps {
            moved: Cell::new(true),
            found: Cell::new(None),
            most: Cell::new(Duration::MAX),
            late: Cell::new(false),
            sent: Cell::new(false),
        }))
    }

    /// It got on.
    pub fn step(&self) {
        self.0.moved.set(true);
    }

    /// Nothing of the request's body is left to send.
    pub fn finish(&self) {
        self.0.sent.set(true);
    }

    /// Looks at it, and says whether the last step is too long ago. Once it is, it stays so. Never too early; too late by up to
    /// the time between two looks, and by as much again because the first of them is taken for the step.
    pub fn is_late(&self, now: Instant) -> bool {
        let steps = &*self.0;
        match steps.found.get().filter(|_| !steps.moved.get()) {
            Some(found) if now.saturating_duration_since(found) >= steps.most.get() => steps.late.set(true),
            Some(_) => {}
            None => {
                steps.moved.set(false);
                steps.found.set(Some(now));
            }
        }
        steps.late.get()
    }

    /// What `work` comes to, or nothing when there was no progress for `most`.
    pub async fn within<T>(&self, most: Duration, work: impl Future<Output = T>) -> Option<T> {
        self.0.most.set(most);
        let mut work = pin!(work);
        std::future::poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if self.0.late.get() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}

/// The refusal that one of our own request bodies failed with, if that is why sending failed.
fn refusal_behind(error: &hyper::Error) -> Option<Refusal> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return Some(refusal.clone());
        }
        source = error.source();
    }
    None
}

/// A connection in use; goes back to the idle ones when its answer has been read to the end.
struct Lease {
    upstream: Rc<Upstream>,
    connection: Option<SendRequest<ForwardBody>>,
    progress: Progress,
}

impl Lease {
    fn give_back(&mut self) {
        // An upstream may answer before it has the whole request: what is left of it must not meet the next one.
        if let Some(connection) = self.connection.take().filter(|_| self.progress.0.sent.get()) {
            self.upstream.give_back(connection);
        }
    }
}

/// The body of an upstream's answer, without trailers.
pub struct UpstreamBody {
    body: Incoming,
    lease: Lease,
}

impl UpstreamBody {
    fn new(body: Incoming, mut lease: Lease) -> Self {
        if body.is_end_stream() {
            lease.give_back();
        }
        Self { body, lease }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            return Poll::Ready(match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) if frame.is_data() => {
                    if self.body.is_end_stream() {
                        self.lease.give_back();
                    }
                    Some(Ok(frame))
                }
                Some(Ok(_trailers)) => continue,
                Some(Err(error)) => Some(Err(io::Error::other(error))),
                None => {
                    self.lease.give_back();
                    None
                }
            });
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
