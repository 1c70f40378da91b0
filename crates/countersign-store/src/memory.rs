//! Replay claims in the memory of one process, logged so that they survive its end.
//!
//! A claim is one lock, two set lookups and a part of a `write`. What a cache forgets must not come back, so there are three guards:
//! the *log* survives kill -9; the *mark* M, synced and never below the highest signed timestamp accepted, becomes the *fence*
//! when the log is lost; and claims whose time was over when older ones were dropped are refused, so that a clock that is set
//! back reopens nothing.

mod claim_log;
mod directory_lock;
mod mark;
mod raiser;
mod recovery;
mod shards;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use countersign_core::now::UnixMillis;
use countersign_core::replay::{Claim, NewClaim};

use crate::{ReplayCache, ReplayUnavailable};
use claim_log::Unwritten;
use directory_lock::DirectoryLock;
use raiser::Raiser;
use shards::{Inserted, Limits, Shards};

/// How the cache is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplaySettings {
    /// How old a signature may be, at most, over all schemes.
    pub window_past: Duration,
    /// How far ahead of our clock a signature may be, at most, over all schemes.
    pub window_future: Duration,
    /// How many claims of one secret are kept at once. A claim stays for up to twice both windows together.
    pub claims_per_secret: u32,
    /// How many claims are kept at once in all. One takes about 100 bytes.
    pub claims_in_all: u64,
    /// Whether there was an earlier start, as far as the caller can tell from other state. An empty directory is then a memory
    /// that was lost, and not a first start.
    pub started_before: bool,
}

impl Default for ReplaySettings {
    /// 300 s and 60 s; a million claims of one secret, four million in all; no earlier start is known of.
    fn default() -> Self {
        Self {
            window_past: Duration::from_secs(300),
            window_future: Duration::from_secs(60),
            claims_per_secret: 1_000_000,
            claims_in_all: 4_000_000,
            started_before: false,
        }
    }
}

/// Numbers for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayStats {
    /// Claims in memory.
    pub live: u64,
    /// The fence; `UnixMillis::MIN` when there is none.
    pub fence: UnixMillis,
    /// The durable mark.
    pub mark: UnixMillis,
    /// Segments of the log that are needed.
    pub segments: u64,
}

/// Replay claims in memory and in a log. Dropped without [`ReplayCache::close`] it leaves behind what kill -9 would.
pub struct MemoryReplay {
    shards: Arc<Shards>,
    fence: UnixMillis,
    windows: Duration,
    limits: Limits,
    raiser: Raiser,
    /// Last, so that it is released when everything else has stopped.
    _lock: DirectoryLock,
}

/// How far the mark is raised ahead of what is signed.
const BLOCK: Duration = Duration::from_secs(4);
/// The mark is raised when a signature comes this close to it, so that steady traffic does not wait.
const HEADROOM: Duration = Duration::from_secs(2);

impl MemoryReplay {
    /// Locks the directory (made with mode 0700 if it is not there), reads what an earlier process left in it, and decides on
    /// the fence. `boot` tells one boot of the machine from the next (`/proc/sys/kernel/random/boot_id`): what was written
    /// without a sync is trusted only within one boot, or after a clean close.
    ///
    /// # Errors
    /// When another process has the directory, or it cannot be read or written.
    pub fn open(directory: &Path, settings: ReplaySettings, now: UnixMillis, boot: &str) -> Result<Self, ReplayUnavailable> {
        let lock = directory_lock::take(directory)?;
        let windows = settings.window_past.saturating_add(settings.window_future);
        let started_before = lock.held_before || settings.started_before;
        let recovered = recovery::recover(directory, started_before, settings.window_future.saturating_add(BLOCK), now, boot)?;
        let (shards, fence) = (Arc::clone(&recovered.shards), recovered.mark.fence);
        let raiser = Raiser::start(recovered, windows, now)?;
        let limits = Limits { per_secret: settings.claims_per_secret, in_all: settings.claims_in_all };
        Ok(Self { shards, fence, windows, limits, raiser, _lock: lock })
    }

    /// Numbers for metrics.
    pub fn stats(&self) -> ReplayStats {
        ReplayStats { live: self.shards.live(), fence: self.fence, mark: self.raiser.mark(), segments: self.raiser.segments() }
    }

    /// Claims in memory, for good: what is left is to write it.
    fn insert(&self, claim: &NewClaim, now: UnixMillis) -> Result<Result<Unwritten, Claim>, ReplayUnavailable> {
        // The mark runs ahead of the newest signature by up to a block and a rounded second.
        let behind = self.windows.saturating_add(BLOCK).saturating_add(Duration::from_secs(1));
        if now.plus(behind) < self.raiser.mark() {
            return Ok(Err(Claim::ClockBehind));
        }
        if claim.signed_at <= self.fence {
            return Ok(Err(Claim::BeforeFence));
        }
        self.raiser.turn_if_due(now);
        let mut inserted = self.shards.insert(claim, &self.limits);
        if matches!(inserted, Inserted::Broken) {
            self.raiser.repair(now)?;
            inserted = self.shards.insert(claim, &self.limits);
        }
        match inserted {
            Inserted::First(segment) => Ok(Ok(segment.take(claim))),
            Inserted::Seen => Ok(Err(Claim::Seen)),
            Inserted::Full => Ok(Err(Claim::Full)),
            Inserted::Forgotten => Ok(Err(Claim::ClockBehind)),
            Inserted::Broken => Err(ReplayUnavailable("the claim log cannot be written".into())),
            Inserted::Closed => Err(ReplayUnavailable("it is closed".into())),
        }
    }
}

#[async_trait]
impl ReplayCache for MemoryReplay {
    async fn claim(&self, claim: &NewClaim, now: UnixMillis) -> Result<Claim, ReplayUnavailable> {
        let unwritten = match self.insert(claim, now)? {
            Ok(unwritten) => unwritten,
            Err(answer) => return Ok(answer),
        };
        after_others().await;
        unwritten.write()?;
        if let Some(raising) = self.raiser.raise_for(claim.signed_at) {
            raising.done().await?;
        }
        Ok(Claim::First)
    }

    fn fence(&self) -> UnixMillis {
        self.fence
    }

    async fn close(&self) -> Result<(), ReplayUnavailable> {
        self.raiser.close().await
    }
}

/// Lets those go first that can go on now, so that what they claim is written together with this claim. A `write` costs more
/// than coming back.
async fn after_others() {
    let mut waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The smallest moment on a whole second that is `BLOCK` or more after `signed_at`. Whole seconds, so that of many claims one asks.
fn raised(signed_at: UnixMillis) -> UnixMillis {
    UnixMillis::from_seconds(signed_at.plus(BLOCK).seconds().saturating_add(1))
}

/// Relaxed would do for single values; what is read here decides what is forwarded.
const ORDER: Ordering = Ordering::SeqCst;

#[cfg(test)]
mod tests;
