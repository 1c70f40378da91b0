//! The end of a connection on which the client may still be sending.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;

use super::SCRATCH;

/// For how long.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many bytes are read and thrown away.
const DRAIN: usize = 64 * 1024;

/// Writes the last answer, closes this side, and reads on for a while: a socket that is closed with unread bytes resets the
/// connection, and the client may lose the answer (RFC 9112 section 9.6).
pub(super) struct Farewell {
    answer: Vec<u8>,
    written: usize,
    shut: bool,
    drained: usize,
    /// Nothing more will come.
    ended: bool,
    patience: Pin<Box<Sleep>>,
}

impl Farewell {
    /// `ended` says that the client sends no more.
    pub(super) fn new(answer: Vec<u8>, ended: bool) -> Self {
        Self { answer, written: 0, shut: false, drained: 0, ended, patience: Box::pin(tokio::time::sleep(PATIENCE)) }
    }

    /// Ready when there is nothing left to do, or no time. How it went does not matter: the connection ends.
    pub(super) fn poll<IO: AsyncRead + AsyncWrite + Unpin>(&mut self, context: &mut Context<'_>, io: &mut IO) -> Poll<()> {
        match self.poll_parts(context, io) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => self.patience.as_mut().poll(context),
        }
    }

    fn poll_parts<IO: AsyncRead + AsyncWrite + Unpin>(&mut self, context: &mut Context<'_>, io: &mut IO) -> Poll<io::Result<()>> {
        while let Some(rest) = self.answer.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut *io).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written = self.written.saturating_add(written),
            }
        }
        if !self.shut {
            ready!(Pin::new(&mut *io).poll_flush(context))?;
            ready!(Pin::new(&mut *io).poll_shutdown(context))?;
            self.shut = true;
        }
        while !self.ended && self.drained < DRAIN {
            let read = SCRATCH.with_borrow_mut(|scratch| {
                let mut read = tokio::io::ReadBuf::new(scratch);
                ready!(Pin::new(&mut *io).poll_read(context, &mut read))?;
                Poll::Ready(io::Result::Ok(read.filled().len()))
            });
            let read = ready!(read)?;
            self.ended = read == 0;
            self.drained = self.drained.saturating_add(read);
        }
        Poll::Ready(Ok(()))
    }
}
