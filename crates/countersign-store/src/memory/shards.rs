//! Claims of one tier in memory: shards by fingerprint, each with generations of sets, which are forgotten whole. Both keys of a
//! claim are in one shard, so that one lock makes them one step.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_core::now::UnixMillis;
use countersign_core::replay::{NewClaim, Tier};

use super::segment::Segment;

const SHARDS: usize = 64;

/// All shards of a tier.
pub(super) struct Shards {
    shards: [Mutex<Shard>; SHARDS],
    /// Claims in memory.
    live: AtomicU64,
    mix: Mix,
}

struct Shard {
    /// Claims kept until this or less are perhaps forgotten.
    forgotten: UnixMillis,
    current: Generation,
    /// As many as the tier has places for; those that are over are empty.
    previous: Vec<Generation>,
    /// Where claims are written; none once closed.
    segment: Option<Arc<Segment>>,
}

struct Generation {
    /// The keys of claims, mixed. Of two that are not equal 64 bits are the same once in 2^64 pairs: then a good request is
    /// refused, and never a bad one let in.
    keys: HashSet<u64, Mix>,
    /// Claims by fingerprint.
    by_secret: HashMap<u128, u32, Mix>,
    latest_keep: UnixMillis,
}

/// How much may be kept.
pub(super) struct Limits {
    pub per_secret: u32,
    pub in_all: u64,
}

/// What trying to insert came to.
pub(super) enum Inserted {
    /// It is in, and is to be written to this segment.
    First(Arc<Segment>),
    /// One of its keys, or its counter, was there.
    Seen,
    Full,
    /// It was kept for a time that is over and perhaps forgotten.
    Forgotten,
    /// Which counters were accepted is unknown.
    CounterLost,
    /// The segment takes no more; nothing was inserted.
    Broken,
    /// Nothing is taken any more.
    Closed,
}

impl Shards {
    /// Shards with places for this many generations beside the current one.
    pub fn new(forgotten: UnixMillis, places: usize) -> Self {
        let mix = Mix::new();
        let previous = || (0..places).map(|_| Generation::new(mix, 0)).collect();
        let shard = |_| Mutex::new(Shard { forgotten, current: Generation::new(mix, 0), previous: previous(), segment: None });
        Self { shards: std::array::from_fn(shard), live: AtomicU64::new(0), mix }
    }

    /// Inserts a claim if neither of its keys is there.
    pub fn insert(&self, claim: &NewClaim, limits: &Limits) -> Inserted {
        let (secret, nonce, message) = self.keys(claim);
        let mut shard = self.of(secret);
        let Some(segment) = &shard.segment else { return Inserted::Closed };
        if segment.is_broken() {
            return Inserted::Broken;
        }
        if last_moment(claim) <= shard.forgotten {
            return Inserted::Forgotten;
        }
        if shard.has(nonce) || shard.has(message) {
            return Inserted::Seen;
        }
        if shard.count(secret) >= limits.per_secret || self.live() >= limits.in_all {
            return Inserted::Full;
        }
        let segment = Arc::clone(segment);
        shard.current.insert(secret, nonce, message, claim.keep_until);
        self.live.fetch_add(1, Ordering::Relaxed);
        Inserted::First(segment)
    }

    /// Whether one of its keys is there.
    pub fn has(&self, claim: &NewClaim) -> bool {
        if self.live() == 0 {
            return false;
        }
        let (secret, nonce, message) = self.keys(claim);
        let shard = self.of(secret);
        shard.has(nonce) || shard.has(message)
    }

    /// Takes over a claim that was read from the log, into a previous generation or the current one.
    pub fn restore(&self, claim: &NewClaim, place: Option<usize>) {
        let (secret, nonce, message) = self.keys(claim);
        let mut shard = self.of(secret);
        if shard.has(nonce) || claim.keep_until <= shard.forgotten {
            return;
        }
        let Shard { current, previous, .. } = &mut *shard;
        place.and_then(|place| previous.get_mut(place)).unwrap_or(current).insert(secret, nonce, message, claim.keep_until);
        self.live.fetch_add(1, Ordering::Relaxed);
    }

    /// From now on claims go to this segment, or nowhere.
    pub fn write_to(&self, segment: Option<&Arc<Segment>>) {
        for shard in &self.shards {
            lock(shard).segment = segment.cloned();
        }
    }

    /// Whether the current generation has no claims.
    pub fn is_quiet(&self) -> bool {
        self.shards.iter().all(|shard| lock(shard).current.by_secret.is_empty())
    }

    /// Puts the current generation into a place that is empty, and begins a new one that is written to `segment`. Returns until
    /// when the claims of the generation that was put away are kept.
    pub fn turn(&self, place: usize, segment: &Arc<Segment>) -> UnixMillis {
        let mut latest = UnixMillis::MIN;
        for shard in &self.shards {
            let mut shard = lock(shard);
            let Shard { current, previous, segment: written, .. } = &mut *shard;
            let Some(previous) = previous.get_mut(place) else { continue };
            // Sized like the last one, so that it does not have to grow under load.
            let next = Generation::new(self.mix, current.keys.len());
            *previous = std::mem::replace(current, next);
            latest = latest.max(previous.latest_keep);
            *written = Some(Arc::clone(segment));
        }
        latest
    }

    /// Forgets a previous generation, whose claims are all over.
    pub fn forget(&self, place: usize, forgotten: UnixMillis) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            let empty = Generation::new(self.mix, 0);
            shard.forgotten = shard.forgotten.max(forgotten);
            let over = shard.previous.get_mut(place).map(|previous| std::mem::replace(previous, empty));
            drop(shard);
            self.live.fetch_sub(over.map_or(0, |over| over.claims()), Ordering::Relaxed);
        }
    }

    /// How many claims are in memory.
    pub fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }

    /// The secret, and the keys of the nonce and of the message under it. The inputs are parts of SHA-256 values, so combining
    /// them loses nothing; the last bit tells the kinds apart, so that a nonce is never taken for a message.
    fn keys(&self, claim: &NewClaim) -> (u128, u64, u64) {
        let secret = u128::from_le_bytes(claim.fingerprint.0);
        let turned = secret.rotate_left(67);
        let nonce = (u128::from_le_bytes(claim.nonce) ^ turned) & !1;
        let message = (u128::from_le_bytes(claim.message) ^ turned) | 1;
        (secret, self.mix.of(nonce), self.mix.of(message))
    }

    fn of(&self, secret: u128) -> MutexGuard<'_, Shard> {
        let [first, .., last] = &self.shards;
        let place = (secret >> 64) as usize % SHARDS;
        lock(self.shards.get(place).unwrap_or(if place == 0 { first } else { last }))
    }
}

/// A thread that panicked while it held the lock left whole values behind.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    fn has(&self, key: u64) -> bool {
        self.current.keys.contains(&key) || self.previous.iter().any(|generation| generation.keys.contains(&key))
    }

    fn count(&self, secret: u128) -> u32 {
        let count = |generation: &Generation| generation.by_secret.get(&secret).copied().unwrap_or(0);
        self.previous.iter().map(count).fold(count(&self.current), u32::saturating_add)
    }
}

impl Generation {
    fn new(mix: Mix, expected: usize) -> Self {
        Self { keys: HashSet::with_capacity_and_hasher(expected, mix), by_secret: HashMap::with_hasher(mix), latest_keep: UnixMillis::MIN }
    }

    fn insert(&mut self, secret: u128, nonce: u64, message: u64, keep_until: UnixMillis) {
        self.keys.insert(nonce);
        self.keys.insert(message);
        let count = self.by_secret.entry(secret).or_insert(0);
        *count = count.saturating_add(1);
        self.latest_keep = self.latest_keep.max(keep_until);
    }

    fn claims(&self) -> u64 {
        self.by_secret.values().copied().map(u64::from).sum()
    }
}

/// If something was forgotten that was kept until this or later, an equal claim may be among it, before its time. An equal claim
/// is kept until the same moment as this one; without a signed time it is only known to be kept until now, if it matters.
fn last_moment(claim: &NewClaim) -> UnixMillis {
    if claim.tier == Tier::Untimed { claim.signed_at } else { claim.keep_until }
}

/// Keys are spread well already; what is added is a secret of the process, so that nobody can choose nonces that share a place.
#[derive(Clone, Copy)]
struct Mix(u64, u64);

impl Mix {
    fn new() -> Self {
        let random = RandomState::new();
        Self(random.hash_one(1u8), random.hash_one(2u8) | 1)
    }

    fn of(self, key: u128) -> u64 {
        let (low, high) = (key as u64 ^ self.0, (key >> 64) as u64 ^ self.1);
        let product = u128::from(low).wrapping_mul(u128::from(high));
        (product as u64) ^ ((product >> 64) as u64)
    }
}

impl BuildHasher for Mix {
    type Hasher = Mixed;

    fn build_hasher(&self) -> Mixed {
        Mixed { secret: *self, state: 0 }
    }
}

/// One key being hashed.
struct Mixed {
    secret: Mix,
    state: u64,
}

impl Hasher for Mixed {
    fn write_u128(&mut self, key: u128) {
        self.state = self.secret.of(key);
    }

    fn write_u64(&mut self, mixed: u64) {
        self.state = mixed;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.state = (self.state ^ u64::from(*byte)).wrapping_mul(self.secret.1);
        }
    }

    fn finish(&self) -> u64 {
        self.state
    }
}
