//! How the claims of each tier are forgotten. A tier has memory and a log of its own: what lives long in one keeps nothing of
//! another, and fills only its own limits.
//!
//! New claims go into the current generation. It is put away after a while, and forgotten when the last of its claims is over,
//! never claim by claim. The tier of most requests has one place for a generation that was put away, so that a claim looks in
//! two sets; claims then stay for up to twice as long as they must. Tiers whose claims live long have eight, and keep them an
//! eighth longer than they must.

use std::path::Path;
use std::time::Duration;

use countersign_core::now::UnixMillis;
use countersign_core::replay::Tier;

use super::log::{Log, RETRY};
use super::shards::Shards;

/// How many generations that were put away a tier keeps at most.
pub(super) const fn places(tier: Tier) -> usize {
    match tier {
        Tier::Minutes => 1,
        Tier::Hours | Tier::Week | Tier::Untimed => 8,
    }
}

/// How long a generation takes claims at least. In a tier with more places it is an eighth of what its claims need, if they
/// need more than this.
const fn least(tier: Tier, windows: Duration) -> Duration {
    match tier {
        Tier::Minutes => windows,
        Tier::Hours => Duration::from_secs(15 * 60),
        Tier::Week | Tier::Untimed => Duration::from_secs(3600),
    }
}

/// The log of a tier, and when its generations turn.
pub(super) struct TierLog {
    pub tier: Tier,
    pub log: Log,
    /// Until when the claims of each generation that was put away are kept; `MIN` where the place is empty.
    places: Vec<UnixMillis>,
    least: Duration,
    /// When there is something to do next.
    pub due: UnixMillis,
}

impl TierLog {
    /// Goes on with what is in memory, of which some is kept for `longest` from now. `windows` is how long claims of the shortest
    /// tier are kept.
    pub fn new(tier: Tier, log: Log, places: Vec<UnixMillis>, longest: Duration, windows: Duration) -> Self {
        let mut tier = Self { tier, log, places, least: least(tier, windows), due: UnixMillis::MIN };
        if let Some(segment) = tier.log.current() {
            // A process that is started often must turn all the same.
            tier.due = segment.begun.plus(tier.pace(longest));
        }
        tier
    }

    /// How long a generation takes claims, when some are kept for `longest`.
    fn pace(&self, longest: Duration) -> Duration {
        let share = longest / u32::try_from(self.places.len()).unwrap_or(u32::MAX).max(1);
        self.least.max(share)
    }

    /// Forgets what is over, and puts the current generation away.
    pub fn turn(&mut self, shards: &Shards, directory: &Path, now: UnixMillis) {
        self.forget_what_is_over(shards, now);
        self.due = now.plus(self.least);
        if shards.is_quiet() {
            return;
        }
        let Some(place) = self.places.iter().position(|keep| *keep == UnixMillis::MIN) else {
            self.due = self.places.iter().min().map_or(now, |keep| keep.plus(Duration::from_millis(1)));
            return;
        };
        let segment = match self.log.begin_segment(directory, now) {
            Ok(segment) => segment,
            Err(error) => {
                tracing::error!(%error, "the claim log cannot turn to a new segment");
                self.due = now.plus(RETRY);
                return;
            }
        };
        let keep = shards.turn(place, &segment);
        if let Some(place) = self.places.get_mut(place) {
            *place = keep;
        }
        self.log.close_generation(keep);
        self.due = now.plus(self.pace(keep.since(now)));
        // It was quiet for a while, and nothing of that generation is needed either.
        self.forget_what_is_over(shards, now);
    }

    fn forget_what_is_over(&mut self, shards: &Shards, now: UnixMillis) {
        for (place, keep) in self.places.iter_mut().enumerate() {
            if *keep != UnixMillis::MIN && *keep < now {
                self.log.forget(*keep);
                shards.forget(place, self.log.forgotten);
                *keep = UnixMillis::MIN;
            }
        }
    }
}
