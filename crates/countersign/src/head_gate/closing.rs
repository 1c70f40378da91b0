//! The end of a connection: the refusal if there is one, then our end, then a short wait for the client's.
//!
//! To close a socket with unread input makes the kernel reset the connection, and a reset can overtake an answer that the
//! client has not read (RFC 9112 section 9.6). So what still comes is read and dropped, within bounds.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;

/// How many bytes are read and dropped at most.
const DRAIN: usize = 64 * 1024;
/// How long the client is waited for at most.
const LINGER: Duration = Duration::from_secs(1);

/// How far it is.
pub(super) enum Closing {
    /// Not begun.
    Open,
    /// Writing what is left of a refusal. `linger`: the client may still be sending.
    Refusing { rest: Vec<u8>, written: usize, linger: bool },
    /// Ending our side.
    Ending { linger: bool },
    /// Waiting for the end of the client's side.
    Draining { left: usize, until: Pin<Box<Sleep>> },
    /// Over.
    Closed,
}

impl Closing {
    pub(super) fn begin(refusal: Vec<u8>, linger: bool) -> Self {
        if refusal.is_empty() { Self::Ending { linger } } else { Self::Refusing { rest: refusal, written: 0, linger } }
    }

    pub(super) fn poll<IO: AsyncRead + AsyncWrite + Unpin>(&mut self, io: &mut IO, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self {
                Self::Open => *self = Self::Ending { linger: false },
                Self::Refusing { rest, written, linger } => match rest.get(*written..) {
                    Some(bytes) if !bytes.is_empty() => match ready!(Pin::new(&mut *io).poll_write(cx, bytes))? {
                        0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                        more => *written = written.saturating_add(more),
                    },
                    _ => *self = Self::Ending { linger: *linger },
                },
                Self::Ending { linger } => {
                    ready!(Pin::new(&mut *io).poll_shutdown(cx))?;
                    *self =
                        if *linger { Self::Draining { left: DRAIN, until: Box::pin(tokio::time::sleep(LINGER)) } } else { Self::Closed };
                }
                Self::Draining { left, until } => {
                    if until.as_mut().poll(cx).is_ready() {
                        *self = Self::Closed;
                        continue;
                    }
                    match ready!(super::poll_read(io, cx, *left, |_| ())) {
                        Ok(read @ 1..) => *left = left.saturating_sub(read),
                        // The end, a reset, or enough: a read of at most nothing reads nothing.
                        Ok(0) | Err(_) => *self = Self::Closed,
                    }
                }
                Self::Closed => return Poll::Ready(Ok(())),
            }
        }
    }
}
