//! Bodies on their way in and out: passed through, read ahead under a budget, or compared with a declared digest while they pass.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use countersign_core::code::{Code, Refusal};
use countersign_core::signature::{BodyDigest, BodyHasher};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::oneshot;

use crate::spool::SpooledBody;
use crate::upstream::{Progress, UpstreamBody};

/// The body of a forwarded request, and where its progress is noted.
pub struct ForwardBody {
    source: Source,
    progress: Progress,
}

impl ForwardBody {
    /// A body from `source`.
    pub fn new(source: Source, progress: Progress) -> Self {
        Self { source, progress }
    }
}

/// Hyper drops a body when it has sent all of it, or gives up.
impl Drop for ForwardBody {
    fn drop(&mut self) {
        self.progress.finish();
    }
}

/// Where the body of a forwarded request comes from. Trailers are dropped: nothing has judged them.
pub enum Source {
    /// There is none.
    Empty,
    /// As it comes.
    Passing(RequestBody),
    /// Read and checked before forwarding.
    Buffered(Option<Buffered>),
    /// Compared with its declared digest while it passes. Boxed because it is rare and large, and each request is moved often.
    Checked(Box<CheckedBody>),
    /// Read into a temporary file and checked before forwarding.
    Spooled(SpooledBody),
}

impl Body for ForwardBody {
    type Data = Bytes;
    type Error = Refusal;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Refusal>>> {
        let Self { source, progress } = self.get_mut();
        let data = match source {
            Source::Empty => None,
            Source::Passing(body) => ready!(body.poll_data(context)),
            Source::Buffered(buffered) => buffered.take().map(|buffered| Ok(buffered.into_bytes())),
            Source::Checked(body) => ready!(body.poll_data(context)),
            Source::Spooled(body) => ready!(body.poll_data(context)),
        };
        progress.step();
        Poll::Ready(data.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Passing(body) => body.is_end(),
            Source::Buffered(buffered) => buffered.is_none(),
            Source::Checked(_) | Source::Spooled(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Passing(body) => body.size_hint(),
            Source::Buffered(buffered) => SizeHint::with_exact(buffered.as_ref().map_or(0, |b| b.bytes.len() as u64)),
            Source::Checked(body) => body.size_hint,
            Source::Spooled(body) => SizeHint::with_exact(body.remaining()),
        }
    }
}

/// The body of a request as it comes in, and how much of it may still come.
pub struct RequestBody {
    incoming: Incoming,
    left: u64,
}

impl RequestBody {
    /// A body of at most `most` bytes.
    ///
    /// # Errors
    /// `BodyTooLarge` when more is announced.
    pub fn new(incoming: Incoming, most: u64) -> Result<Self, Refusal> {
        if incoming.size_hint().lower() > most { Err(Code::BodyTooLarge.into()) } else { Ok(Self { incoming, left: most }) }
    }

    /// Whether nothing more comes.
    pub fn is_end(&self) -> bool {
        self.incoming.is_end_stream()
    }

    /// How much is announced.
    pub fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }

    /// The next piece of data.
    pub async fn next(&mut self) -> Option<Result<Bytes, Refusal>> {
        std::future::poll_fn(|context| self.poll_data(context)).await
    }

    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Refusal>>> {
        loop {
            return Poll::Ready(match ready!(Pin::new(&mut self.incoming).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => match self.left.checked_sub(data.len() as u64) {
                        Some(left) => {
                            self.left = left;
                            Some(Ok(data))
                        }
                        None => Some(Err(Code::BodyTooLarge.into())),
                    },
                    Err(_trailers) => continue,
                },
                Some(Err(error)) => Some(Err(broken(&error))),
                None => None,
            });
        }
    }
}

fn broken(error: &hyper::Error) -> Refusal {
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    let late = io.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
    if late { Code::BodyTimeout.into() } else { Code::BadBody.into() }
}

/// How many bytes of bodies may be held in memory at once, over all threads.
pub struct Budget {
    used: AtomicUsize,
    most: usize,
}

impl Budget {
    /// A budget of `most` bytes.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), most })
    }

    fn take(&self, bytes: usize) -> Result<(), Refusal> {
        let enough = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.most);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough) {
            Ok(_) => Ok(()),
            Err(_) => Err(Refusal::from(Code::BodyBuffersFull).after(std::time::Duration::from_secs(1))),
        }
    }
}

/// A part of the budget, given back when dropped.
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    /// Nothing of it yet.
    pub(crate) fn none(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), bytes: 0 }
    }

    /// Takes more of the budget, until the share is `bytes`.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), Refusal> {
        let more = bytes.saturating_sub(self.bytes);
        self.budget.take(more)?;
        self.bytes = self.bytes.saturating_add(more);
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A body that was read to its end.
pub struct Buffered {
    bytes: Bytes,
    _share: Share,
}

/// What reading ahead came to.
pub enum ReadAhead {
    /// All of it, and its SHA-256.
    Whole(Buffered, BodyDigest),
    /// More than the limit: what was read so far, hashed so far.
    More(Buffered, BodyHasher),
}

/// Reads a body of up to `limit` bytes into memory and hashes it.
///
/// The budget is charged for what has arrived, not for what was announced: announcing costs an attacker nothing.
///
/// # Errors
/// `BodyBuffersFull`, `BadBody`.
pub async fn read_ahead(body: &mut RequestBody, limit: usize, budget: &Arc<Budget>) -> Result<ReadAhead, Refusal> {
    let mut share = Share::none(budget);
    let mut hasher = BodyHasher::new();
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(data) = body.next().await {
        let data = data?;
        hasher.update(&data);
        // Most bodies arrive in one piece, which need not be copied.
        if first.is_empty() && all.is_empty() {
            share.grow_to(data.len())?;
            first = data;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            share.grow_to(all.len().saturating_add(data.len()))?;
            all.extend_from_slice(&data);
        }
        if first.len().max(all.len()) > limit {
            let bytes = if all.is_empty() { first } else { all.freeze() };
            return Ok(ReadAhead::More(Buffered { bytes, _share: share }, hasher));
        }
    }
    let bytes = if all.is_empty() { first } else { all.freeze() };
    Ok(ReadAhead::Whole(Buffered { bytes, _share: share }, hasher.finish()))
}

impl Buffered {
    /// The bytes, which stay charged to the budget until the last of them is gone.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffered {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A body that is compared with the digest its head declared. The last piece is held back until all of it matched, so that
/// an upstream never gets a complete message that does not match.
pub struct CheckedBody {
    body: RequestBody,
    size_hint: SizeHint,
    hasher: Option<BodyHasher>,
    declared: [u8; 32],
    held: Option<Bytes>,
    outcome: Option<oneshot::Sender<Result<(), Refusal>>>,
}

impl CheckedBody {
    /// Wraps a body; the receiver learns how the comparison came out, or an error when the body was dropped before its end.
    /// `start` is what was read of it already, and its hash so far.
    pub fn new(
        start: Option<(Buffered, BodyHasher)>,
        body: RequestBody,
        declared: [u8; 32],
    ) -> (Box<Self>, oneshot::Receiver<Result<(), Refusal>>) {
        let (outcome, told) = oneshot::channel();
        // Unknown when a part was read already: then the length was not declared.
        let size_hint = if start.is_some() { SizeHint::default() } else { body.size_hint() };
        let (held, hasher) = match start {
            Some((buffered, hasher)) => (Some(buffered.into_bytes()), hasher),
            None => (None, BodyHasher::new()),
        };
        (Box::new(Self { body, size_hint, hasher: Some(hasher), declared, held, outcome: Some(outcome) }), told)
    }

    fn tell(&mut self, outcome: Result<(), Refusal>) {
        if let Some(sender) = self.outcome.take() {
            // Nobody listens when the request was given up already.
            let _ = sender.send(outcome);
        }
    }

    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Refusal>>> {
        loop {
            let Some(hasher) = &mut self.hasher else { return Poll::Ready(None) };
            match ready!(self.body.poll_data(context)) {
                Some(Ok(data)) => {
                    hasher.update(&data);
                    if let Some(earlier) = self.held.replace(data).filter(|earlier| !earlier.is_empty()) {
                        return Poll::Ready(Some(Ok(earlier)));
                    }
                }
                Some(Err(refusal)) => {
                    self.hasher = None;
                    self.tell(Err(refusal.clone()));
                    return Poll::Ready(Some(Err(refusal)));
                }
                None => {
                    let compared = self.hasher.take().map_or(Ok(()), |hasher| hasher.check(&self.declared));
                    self.tell(compared.clone());
                    return Poll::Ready(match compared {
                        Ok(()) => self.held.take().map(Ok),
                        Err(refusal) => Some(Err(refusal)),
                    });
                }
            }
        }
    }
}

/// The body of an answer.
pub enum AnswerBody {
    /// Bytes at hand: a refusal, an answer of the control side.
    Bytes(Option<Bytes>),
    /// What the upstream says.
    Upstream(UpstreamBody),
}

impl AnswerBody {
    /// No body.
    pub const fn empty() -> Self {
        Self::Bytes(None)
    }
}

impl From<Bytes> for AnswerBody {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Bytes(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Upstream(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_none(),
            Self::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Bytes(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Upstream(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffered_body_is_charged_until_its_bytes_are_gone() {
        let budget = Budget::new(10);
        let mut share = Share::none(&budget);
        share.grow_to(10).unwrap();
        let buffered = Buffered { bytes: Bytes::from_static(b"0123456789"), _share: share };
        let mut body = ForwardBody::new(Source::Buffered(Some(buffered)), Progress::begin());
        let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut Context::from_waker(std::task::Waker::noop())) else {
            panic!("the body is at hand")
        };
        let bytes = frame.into_data().unwrap();
        assert!(budget.take(1).is_err(), "the bytes wait to be written and are in memory still");
        assert_eq!(bytes, "0123456789");
        drop(bytes);
        assert!(budget.take(10).is_ok());
    }
}
