//! Replay claims in the memory of one process, logged so that they survive its end.
//!
//! A claim is one lock, two lookups in sets and one `write`. What a cache forgets must not come back, so there are five guards:
//!
//! - The *logs* survive kill -9. Each tier has one of its own, and generations of sets of its own.
//! - The *mark* M, synced and never below the highest signed timestamp accepted, becomes the *fence* when a log of claims with
//!   timestamps is lost, as it is by every crash of the machine: they are not synced.
//! - What no timestamp tells the age of is *synced* before the answer: claims of [`Tier::Untimed`], and counters. A crash of the
//!   machine takes none of it. When such a log is lost all the same, a claim without a timestamp is refused for as long as an
//!   equal one from before would have been kept; and counters are lost (`counters.rs`), which ends only when an operator who has
//!   replaced the secrets removes the file `counters-lost`.
//! - Under other *terms* than at the last start ([`ChangedTerms`]) the fences are raised as if the memory was lost; and for as long
//!   as something from before is kept, it is looked for in all tiers, as a time that is read in another way can be after a fence.
//! - Claims whose time was over when older ones were *forgotten* are refused, so that a clock that is set back reopens nothing.

mod counters;
mod directory_lock;
mod log;
mod mark;
mod raiser;
mod record;
mod recovery;
mod segment;
mod shards;
mod tiers;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use countersign_core::now::UnixMillis;
use countersign_core::replay::{Claim, NewClaim, Tier};

use crate::{ReplayCache, ReplayUnavailable};
use counters::Counters;
use directory_lock::DirectoryLock;
use raiser::{Raiser, Raising};
use segment::{Segment, Unwritten};
use shards::{Inserted, Limits, Shards};

/// How the cache is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplaySettings {
    /// How old a signature may be, at most, over all schemes of [`Tier::Minutes`].
    pub window_past: Duration,
    /// How far ahead of our clock a signature may be, at most, over all schemes. What is further ahead is refused: it would
    /// raise the mark beyond what others can sign.
    pub window_future: Duration,
    /// How many claims of one secret are kept at once in each tier, but never more than half of `claims_in_all`, so that one
    /// secret leaves room for others. In [`Tier::Minutes`] a claim stays for up to twice both windows together, elsewhere for
    /// up to an eighth longer than it must.
    pub claims_per_secret: u32,
    /// How many claims are kept at once in each tier in all. One takes about 50 bytes.
    pub claims_in_all: u64,
    /// How many secrets can have a counter. They are never forgotten. One takes about 40 bytes.
    pub counters_in_all: u32,
    /// Which schemes keep their claims in another way than at the last start. What was claimed before may then be forgotten
    /// before its time, and what came before is refused as after a lost memory.
    pub changed: ChangedTerms,
    /// Whether there was an earlier start, as far as the caller can tell from other state. An empty directory is then a memory
    /// that was lost, and not a first start.
    pub started_before: bool,
}

impl Default for ReplaySettings {
    /// 300 s and 60 s; a million claims of one secret and four million in all; 100 000 counters; nothing changed, and no earlier
    /// start is known of.
    fn default() -> Self {
        Self {
            window_past: Duration::from_secs(300),
            window_future: Duration::from_secs(60),
            claims_per_secret: 1_000_000,
            claims_in_all: 4_000_000,
            counters_in_all: 100_000,
            changed: ChangedTerms::default(),
            started_before: false,
        }
    }
}

impl ReplaySettings {
    /// Both windows together.
    fn windows(&self) -> Duration {
        self.window_past.saturating_add(self.window_future)
    }
}

/// Which kinds of schemes keep their claims in another way than before, by what they are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChangedTerms {
    /// One with a signed time.
    pub timed: bool,
    /// One without, or one with a counter.
    pub untimed: bool,
    /// One that goes by its counter alone and did not before: which numbers its secrets have used is then unknown.
    pub counted: bool,
}

/// Numbers for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayStats {
    /// Claims in memory, of all tiers.
    pub live: u64,
    /// Secrets with a counter.
    pub counters: u64,
    /// The fence; `UnixMillis::MIN` when there is none.
    pub fence: UnixMillis,
    /// The durable mark.
    pub mark: UnixMillis,
    /// Segments of the logs that are needed.
    pub segments: u64,
}

/// Replay claims in memory and in a log. Dropped without [`ReplayCache::close`] it leaves behind what kill -9 would.
pub struct MemoryReplay {
    memory: Arc<Memory>,
    fence: UnixMillis,
    untimed_fence: UnixMillis,
    /// Until then something is perhaps kept in another tier than where it would be looked for now.
    elsewhere_until: UnixMillis,
    /// A clock that is behind the mark by more is told.
    behind: Duration,
    window_future: Duration,
    limits: Limits,
    raiser: Raiser,
    /// Last, so that it is released when everything else has stopped.
    _lock: DirectoryLock,
}

/// What is remembered.
struct Memory {
    /// In the order of [`Tier::ALL`].
    tiers: [Shards; 4],
    counters: Counters,
}

impl Memory {
    const fn tier(&self, tier: Tier) -> &Shards {
        let [minutes, hours, week, untimed] = &self.tiers;
        match tier {
            Tier::Minutes => minutes,
            Tier::Hours => hours,
            Tier::Week => week,
            Tier::Untimed => untimed,
        }
    }

    /// Whether a tier that is not its own has it, as its scheme was kept there under other terms.
    fn has_elsewhere(&self, claim: &NewClaim) -> bool {
        Tier::ALL.into_iter().any(|tier| tier != claim.tier && self.tier(tier).has(claim))
    }
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
        let recovered = recovery::recover(directory, &settings, lock.held_before, now, boot)?;
        let (memory, fence, untimed_fence) = (Arc::clone(&recovered.memory), recovered.mark.fence, recovered.mark.untimed_fence);
        let raiser = Raiser::start(recovered, now)?;
        let half = u32::try_from(settings.claims_in_all / 2).unwrap_or(u32::MAX);
        let limits = Limits { per_secret: settings.claims_per_secret.min(half), in_all: settings.claims_in_all };
        // The mark runs ahead of the newest signature by up to a block and a rounded second.
        let behind = settings.windows().saturating_add(BLOCK).saturating_add(Duration::from_secs(1));
        // Only where there is a fence were there perhaps other terms, and no tier keeps what came before it for longer.
        let elsewhere_until = fence.max(untimed_fence).plus(Tier::Week.reach());
        let window_future = settings.window_future;
        Ok(Self { memory, fence, untimed_fence, elsewhere_until, behind, window_future, limits, raiser, _lock: lock })
    }

    /// Numbers for metrics.
    pub fn stats(&self) -> ReplayStats {
        ReplayStats {
            live: self.memory.tiers.iter().map(Shards::live).sum(),
            counters: self.memory.counters.len(),
            fence: self.fence,
            mark: self.raiser.mark(),
            segments: self.raiser.segments(),
        }
    }

    /// Everything that does not wait: the answer, or what the answer `First` still waits for.
    fn claim_now(&self, claim: &NewClaim, now: UnixMillis) -> Result<Claimed, ReplayUnavailable> {
        if now.plus(self.behind) < self.raiser.mark() {
            return Ok(Claimed::Answer(Claim::ClockBehind));
        }
        if self.is_before_fence(claim) {
            return Ok(Claimed::Answer(Claim::BeforeFence));
        }
        if claim.keep_until > now.plus(claim.tier.reach()) {
            return Err(ReplayUnavailable("the claim would have to be kept for longer than its tier keeps any".into()));
        }
        if claim.signed_at > now.plus(self.window_future) {
            return Err(ReplayUnavailable("the claim is further ahead than the replay memory was told that any would be".into()));
        }
        if now <= self.elsewhere_until && self.memory.has_elsewhere(claim) {
            return Ok(Claimed::Answer(Claim::Seen));
        }
        let turn = self.raiser.is_turn_due(now);
        if turn {
            self.raiser.try_turn(now);
        }
        let mut inserted = self.insert(claim);
        if matches!(inserted, (Inserted::Broken, _)) {
            self.raiser.repair(now)?;
            inserted = self.insert(claim);
        }
        if turn && matches!(inserted, (Inserted::Full, _)) {
            // Somebody else may have been about to make room.
            self.raiser.turn(now);
            inserted = self.insert(claim);
        }
        let answer = match inserted {
            (Inserted::First(segment), counted) => return self.write(claim, &segment, counted.as_ref()),
            (Inserted::Seen, _) => Claim::Seen,
            (Inserted::Full, _) => Claim::Full,
            (Inserted::Forgotten, _) => Claim::ClockBehind,
            (Inserted::CounterLost, _) => Claim::CounterLost,
            (Inserted::Broken, _) => return Err(ReplayUnavailable("the claim log cannot be written".into())),
            (Inserted::Closed, _) => return Err(ReplayUnavailable("it is closed".into())),
        };
        Ok(Claimed::Answer(answer))
    }

    /// Whether a memory that was lost may have had it.
    fn is_before_fence(&self, claim: &NewClaim) -> bool {
        if claim.counter.is_some() {
            // The counters know, but not of what came while its scheme had none.
            claim.signed_at <= self.untimed_fence
        } else if claim.tier == Tier::Untimed {
            // It may have come as early as this, and would still be kept.
            claim.signed_at.minus(claim.keep_until.since(claim.signed_at)) <= self.untimed_fence
        } else {
            claim.signed_at <= self.fence
        }
    }

    /// Inserts the claim, and counts if it has a counter. With the segment for the counter.
    fn insert(&self, claim: &NewClaim) -> (Inserted, Option<Arc<Segment>>) {
        let insert = || self.memory.tier(claim.tier).insert(claim, &self.limits);
        match claim.counter {
            None => (insert(), None),
            Some(counter) => self.memory.counters.count(claim.fingerprint, counter, insert),
        }
    }

    /// Writes down what was inserted. It was inserted first and is never taken out: when a write fails, the request is refused
    /// and stays refused.
    fn write(&self, claim: &NewClaim, segment: &Arc<Segment>, counted: Option<&Arc<Segment>>) -> Result<Claimed, ReplayUnavailable> {
        if counted.is_none() && !segment.id.kind.is_synced() {
            return Ok(Claimed::Taken(segment.take(&record::of_claim(claim))));
        }
        let failed = |segment: &Segment, error| ReplayUnavailable(format!("{}: {error}", segment.path.display()));
        segment.append(&record::of_claim(claim)).map_err(|error| failed(segment, error))?;
        if let (Some(counted), Some(counter)) = (counted, claim.counter) {
            let record = record::of_counter((claim.fingerprint, counter));
            counted.append(&record).map_err(|error| failed(counted, error))?;
        }
        Ok(Claimed::Written(self.raiser.raise_and_sync(claim.signed_at, segment, counted)))
    }
}

/// How far a claim came without waiting.
enum Claimed {
    /// It is answered.
    Answer(Claim),
    /// It came first and is to be written.
    Taken(Unwritten),
    /// It came first and is written; it waits for the disk.
    Written(Raising),
}

#[async_trait]
impl ReplayCache for MemoryReplay {
    async fn claim(&self, claim: &NewClaim, now: UnixMillis) -> Result<Claim, ReplayUnavailable> {
        let raising = match self.claim_now(claim, now)? {
            Claimed::Answer(answer) => return Ok(answer),
            Claimed::Written(raising) => Some(raising),
            Claimed::Taken(unwritten) => {
                after_others().await;
                unwritten.write()?;
                self.raiser.raise_for(claim.signed_at)
            }
        };
        if let Some(raising) = raising {
            // Boxed: few claims wait, and all would carry what waiting takes.
            Box::pin(raising.done()).await?;
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
