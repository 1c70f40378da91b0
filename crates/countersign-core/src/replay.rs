//! Used once: what a signed request claims, and what a claim can come to.

use std::time::Duration;

use crate::now::UnixMillis;

/// Which secret signed, as 16 bytes of a hash of it. One secret may have two key ids; it has one fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Fingerprint(pub [u8; 16]);

/// What a verified request claims in one step: its nonce and the hash of its string to sign, both under the fingerprint, and
/// its counter where the scheme has one.
///
/// `nonce` and `message` must look random (parts of a SHA-256 value do) and be the same whenever the same request comes. They
/// are told apart by their place, so equal values do not meet. A scheme without a nonce puts the two halves of one hash over the
/// string to sign there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewClaim {
    /// The secret that signed.
    pub fingerprint: Fingerprint,
    /// The first 16 bytes of SHA-256 over the nonce; without a nonce, the last 16 bytes of the hash that `message` begins.
    pub nonce: [u8; 16],
    /// The first 16 bytes of SHA-256 over the string to sign.
    pub message: [u8; 16],
    /// The signed timestamp. Where only an end is signed: the end minus the longest validity that the profile accepts. Where no
    /// time is signed ([`Tier::Untimed`], or a counter): the time of receipt.
    pub signed_at: UnixMillis,
    /// Until when the same request would pass the time check: the claim is kept at least as long. No further ahead of now than
    /// the tier reaches.
    pub keep_until: UnixMillis,
    /// Where it is kept. A request that comes again must name the same one, so the profile decides and not the request.
    pub tier: Tier,
    /// The number that must be greater than every one accepted before from this secret. Remembered without end, so the rest of
    /// the claim needs only a short tier: [`Tier::Minutes`].
    pub counter: Option<u64>,
}

/// What is kept for about the same time is forgotten together. A profile has one tier, by the kind of its time and by how far
/// ahead of now its `keep_until` can be at most.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Tier {
    /// Signed times, up to 15 minutes: windows of some minutes, as most schemes have them.
    Minutes,
    /// Signed times, up to 2 hours: windows of 15 minutes both ways, links that are good for an hour.
    Hours,
    /// Signed times, up to 8 days: links that are good for a week.
    Week,
    /// No signed time, up to 8 days: kept for a fixed span from receipt. A lost memory of these cannot be fenced off by a
    /// timestamp, so they must outlast a crash of the machine.
    Untimed,
}

impl Tier {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Minutes, Self::Hours, Self::Week, Self::Untimed];

    /// How far ahead of now a claim may be kept.
    pub const fn reach(self) -> Duration {
        match self {
            Self::Minutes => Duration::from_secs(15 * 60),
            Self::Hours => Duration::from_secs(2 * 3600),
            Self::Week | Self::Untimed => Duration::from_secs(8 * 86_400),
        }
    }

    /// The tier of a profile with a signed time: the shortest that reaches as far as `reach`, the greatest span that can be
    /// between now and `keep_until`. `None` when no tier reaches as far.
    pub fn timed(reach: Duration) -> Option<Self> {
        [Self::Minutes, Self::Hours, Self::Week].into_iter().find(|tier| reach <= tier.reach())
    }
}

/// What became of a claim. Only `First` lets the request go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Never seen: it is remembered now and is not released again.
    First,
    /// The nonce or the string to sign was used before, or the counter is not greater than one that was accepted.
    Seen,
    /// The secret has as many live claims as it may have, or there are as many counters as there may be.
    Full,
    /// Signed at or before the fence: it may have been seen by a memory that was lost. Without a signed time: it may have been
    /// received before the fence within the time for which it is kept.
    BeforeFence,
    /// The clock is behind what was accepted by more than the window.
    ClockBehind,
    /// The accepted counters were lost, so that none can be told to be greater, until the operator says otherwise.
    CounterLost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_gets_the_shortest_tier_that_reaches_far_enough() {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        let reaches =
            [(0, Tier::Minutes), (15, Tier::Minutes), (16, Tier::Hours), (31, Tier::Hours), (120, Tier::Hours), (121, Tier::Week)];
        for (reach, tier) in reaches {
            assert_eq!(Tier::timed(minutes(reach)), Some(tier), "{reach}");
        }
        assert_eq!(Tier::timed(Duration::from_secs(8 * 86_400)), Some(Tier::Week));
        assert_eq!(Tier::timed(Duration::from_millis(8 * 86_400_000 + 1)), None);
    }
}
