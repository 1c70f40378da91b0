//! Large signed bodies without a declared digest wait in a temporary file until they are checked.
//! The files have no name, and all file work happens on the control runtime, never on a data thread.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use countersign_core::code::{Code, Refusal};
use countersign_core::signature::{BodyDigest, BodyHasher};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::body::{Budget, Buffered, RequestBody, Share};

/// How much is read from a file at once.
const PIECE: usize = 64 * 1024;

/// Where bodies are spooled, and how much.
#[derive(Clone)]
pub struct Spool {
    /// Does the file work.
    pub control: Handle,
    /// A directory that only we can read.
    pub directory: PathBuf,
    /// The largest body, in bytes.
    pub per_request: u64,
    /// For all bodies together.
    pub total: Arc<Budget>,
}

/// A body in a file.
pub struct Spooled {
    file: File,
    length: u64,
    share: Share,
    control: Handle,
}

impl Spool {
    /// Reads the rest of a body into a file, behind what was read already, and hashes it.
    ///
    /// # Errors
    /// `BodyDigestRequired` when it is larger than a spooled body may be; `BodyBuffersFull`, `BadBody`, `CouldNotDecide`.
    pub async fn fill(&self, start: Buffered, mut hasher: BodyHasher, body: &mut RequestBody) -> Result<(Spooled, BodyDigest), Refusal> {
        let mut share = Share::none(&self.total);
        let (pieces, inbox) = mpsc::channel::<Bytes>(4);
        let (done, file) = oneshot::channel();
        let directory = self.directory.clone();
        self.control.spawn(async move {
            let _ = done.send(write(directory, inbox).await);
        });
        let mut length = 0u64;
        let mut next = Some(Ok(start.into_bytes()));
        let mut first = true;
        while let Some(data) = next {
            let data = data?;
            if !first {
                hasher.update(&data);
            }
            first = false;
            length = length.saturating_add(data.len() as u64);
            if length > self.per_request {
                return Err(Code::BodyDigestRequired.into());
            }
            share.grow_to(usize::try_from(length).unwrap_or(usize::MAX))?;
            if pieces.send(data).await.is_err() {
                break;
            }
            next = body.next().await;
        }
        drop(pieces);
        match file.await {
            Ok(Ok(file)) => Ok((Spooled { file, length, share, control: self.control.clone() }, hasher.finish())),
            Ok(Err(error)) => {
                tracing::error!(%error, "cannot write a spooled body");
                Err(Code::CouldNotDecide.into())
            }
            Err(_gone) => Err(Code::Internal.into()),
        }
    }
}

/// Writes everything that arrives into a file without a name and rewinds it.
async fn write(directory: PathBuf, mut inbox: mpsc::Receiver<Bytes>) -> io::Result<File> {
    let mut file = File::from_std(
        tokio::task::spawn_blocking(move || {
            let flags = rustix::fs::OFlags::TMPFILE | rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
            rustix::fs::open(&directory, flags, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).map(std::fs::File::from)
        })
        .await
        .map_err(io::Error::other)??,
    );
    while let Some(bytes) = inbox.recv().await {
        file.write_all(&bytes).await?;
    }
    file.flush().await?;
    file.rewind().await?;
    Ok(file)
}

impl Spooled {
    /// Its length in bytes.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Starts reading it back.
    pub fn into_body(self) -> SpooledBody {
        let (pieces, outbox) = mpsc::channel(2);
        let Self { mut file, length, share, control } = self;
        control.spawn(async move {
            loop {
                let mut piece = BytesMut::with_capacity(PIECE);
                let read = file.read_buf(&mut piece).await;
                let end = !matches!(read, Ok(n) if n > 0);
                let outcome = read.map(|_| piece.freeze());
                if matches!(&outcome, Ok(piece) if piece.is_empty()) || pieces.send(outcome).await.is_err() || end {
                    break;
                }
            }
        });
        SpooledBody { pieces: outbox, remaining: length, _share: share }
    }
}

/// A spooled body on its way to the upstream.
pub struct SpooledBody {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    remaining: u64,
    _share: Share,
}

impl SpooledBody {
    /// How many bytes are still to come.
    pub const fn remaining(&self) -> u64 {
        self.remaining
    }

    pub(crate) fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Refusal>>> {
        Poll::Ready(match ready!(self.pieces.poll_recv(context)) {
            Some(Ok(bytes)) => {
                self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
                Some(Ok(bytes))
            }
            Some(Err(error)) => {
                tracing::error!(%error, "cannot read a spooled body back");
                Some(Err(Code::Internal.into()))
            }
            // The reader was stopped: the message must not look complete.
            None if self.remaining > 0 => Some(Err(Code::Internal.into())),
            None => None,
        })
    }
}
