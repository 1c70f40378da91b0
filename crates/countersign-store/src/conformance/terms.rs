//! Replay caches: what was claimed before a scheme was changed is not let in after it, whatever it was and has become.

use std::time::Duration;

use countersign_core::now::UnixMillis;
use countersign_core::replay::{Claim, NewClaim, Tier};

use super::ReplayBackend;
use super::replay::{SETTINGS, claim, open, restart};
use super::world::{NOW, seconds};
use crate::memory::{ChangedTerms, ReplaySettings};

/// What a scheme goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Timed(Tier),
    Untimed,
    Counter,
    CounterAndTime,
}

const KINDS: [Kind; 6] =
    [Kind::Timed(Tier::Minutes), Kind::Timed(Tier::Hours), Kind::Timed(Tier::Week), Kind::Untimed, Kind::Counter, Kind::CounterAndTime];

impl Kind {
    /// How long its requests are good.
    const fn span(self) -> Duration {
        Duration::from_secs(match self {
            Self::Timed(Tier::Minutes) | Self::Counter => 300,
            Self::Timed(Tier::Hours) | Self::CounterAndTime => 3600,
            Self::Timed(_) => 7 * 86_400,
            Self::Untimed => 86_400,
        })
    }

    /// A request that was signed and first sent at `at`, as it comes `now`, under terms that keep it for `span`.
    fn request(self, span: Duration, secret: u32, n: u32, at: UnixMillis, now: UnixMillis) -> NewClaim {
        let (signed_at, tier) = match self {
            Self::Timed(tier) => (at, tier),
            Self::Untimed => (now, Tier::Untimed),
            Self::Counter => (now, Tier::Minutes),
            Self::CounterAndTime => (at, Tier::Minutes),
        };
        let counter = matches!(self, Self::Counter | Self::CounterAndTime).then_some(u64::from(n) + 1);
        let keep_until = signed_at.plus(span).min(now.plus(tier.reach()));
        NewClaim { keep_until, tier, counter, ..claim(secret, n, n, signed_at) }
    }

    /// What the next start is told when a scheme has become this.
    fn change(self, from: Self) -> ReplaySettings {
        let changed = ChangedTerms {
            timed: matches!(self, Self::Timed(_) | Self::CounterAndTime),
            untimed: !matches!(self, Self::Timed(_)),
            counted: self == Self::Counter && from != Self::Counter,
        };
        ReplaySettings { changed, ..ROOMY }
    }
}

const ROOMY: ReplaySettings = ReplaySettings { counters_in_all: 1000, ..SETTINGS };

pub async fn what_was_claimed_under_other_terms_is_not_let_in_again(backend: &impl ReplayBackend) {
    let mut changes: Vec<_> = KINDS.into_iter().flat_map(|from| KINDS.into_iter().map(move |to| (from, to))).collect();
    // At last those that make all counters unknown, which no backend gets over by itself.
    changes.sort_by_key(|(from, to)| to.change(*from).changed.counted);
    for (round, (from, to)) in changes.into_iter().enumerate() {
        let start = seconds(round as u64 * 100 * 86_400);
        let secret = round as u32 + 1;
        // Where the kind stays the same the window has become longer.
        let span = if from == to { from.span() / 4 } else { from.span() };
        let mut cache = backend.open(ROOMY, start).await.unwrap();
        // One is as old as it may be: the newest timestamp is then older than its receipt.
        let signed = |n: u32| if n == 0 { start.minus(span.min(to.span()) / 2) } else { start };
        for n in 0..5 {
            let first = cache.claim(&from.request(span, secret, n, signed(n), start), start).await.unwrap();
            let is_lost = from == Kind::CounterAndTime && to == Kind::Counter && first == Claim::CounterLost;
            assert!(first == Claim::First || is_lost, "{from:?}: {first:?}");
        }
        cache = restart(backend, cache, to.change(from), start, round % 2 == 0).await;
        for moment in 0..=24 {
            let now = start.plus(to.span() / 24 * moment);
            for n in 0..5 {
                let answer = cache.claim(&to.request(to.span(), secret, n, signed(n), now), now).await.unwrap();
                assert_ne!(answer, Claim::First, "{from:?} became {to:?}: {n} at {moment}");
            }
            if moment == 2 {
                cache = restart(backend, cache, ROOMY, now, false).await;
            }
        }
        // What is new gets in, but for counters of which nobody knows whether they are.
        let after = start.plus(to.span() * 2);
        let answer = cache.claim(&to.request(to.span(), 1000 + secret, 10, after, after), after).await.unwrap();
        let is_lost = to.change(from).changed.counted;
        assert_eq!(answer, if is_lost { Claim::CounterLost } else { Claim::First }, "{from:?} became {to:?}");
    }
}

pub async fn a_time_that_is_read_in_another_way_lets_nothing_in_again(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    // A link that says when it ends was counted as signed a day before that, and is now as signed an hour before.
    let end = seconds(5 * 3600);
    let link = |ahead: u64, tier| NewClaim { keep_until: end, tier, ..claim(1, 1, 1, end.minus(Duration::from_secs(ahead * 3600))) };
    assert_eq!(cache.claim(&link(24, Tier::Week), NOW).await.unwrap(), Claim::First);
    let changed = Kind::Timed(Tier::Hours).change(Kind::Timed(Tier::Week));
    let mut cache = restart(backend, cache, changed, NOW, false).await;
    for minutes in [245, 290] {
        let now = seconds(minutes * 60);
        assert!(cache.fence() < link(1, Tier::Hours).signed_at);
        assert_eq!(cache.claim(&link(1, Tier::Hours), now).await.unwrap(), Claim::Seen);
        cache = restart(backend, cache, ROOMY, now, true).await;
        assert_eq!(cache.claim(&link(1, Tier::Hours), now).await.unwrap(), Claim::Seen);
    }
}

pub async fn other_terms_of_one_kind_keep_out_no_other(backend: &impl ReplayBackend) {
    let (timed, untimed) = (Kind::Timed(Tier::Minutes), Kind::Untimed);
    let mut cache = open(backend, NOW).await;
    for kind in [timed, untimed] {
        assert_eq!(cache.claim(&kind.request(kind.span(), 1, 1, NOW, NOW), NOW).await.unwrap(), Claim::First);
    }
    for (changed, other) in [(untimed, timed), (timed, untimed)] {
        let fence = cache.fence();
        cache = restart(backend, cache, changed.change(timed), NOW, true).await;
        let n = 10 + u32::from(changed == timed);
        assert_eq!(cache.claim(&changed.request(changed.span(), 2, n, NOW, NOW), NOW).await.unwrap(), Claim::BeforeFence);
        if changed == untimed {
            assert_eq!(cache.fence(), fence);
            assert_eq!(cache.claim(&other.request(other.span(), 2, n, NOW, NOW), NOW).await.unwrap(), Claim::First);
        }
    }
    // And a counter waits no longer than for the clock to pass the fence.
    let later = seconds(120);
    let counter = Kind::CounterAndTime.request(Kind::CounterAndTime.span(), 3, 20, later, later);
    assert_eq!(cache.claim(&counter, later).await.unwrap(), Claim::First);
}
