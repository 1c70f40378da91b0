//! Replay caches: at most once, whatever happens. What schemes without a short signed time need is in `tiers` and `counters`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::now::UnixMillis;
use countersign_core::replay::{Claim, Fingerprint, NewClaim, Tier};

use tokio::sync::Barrier;

use super::ReplayBackend;
use super::world::{NOW, seconds};
use crate::SharedReplay;
use crate::memory::{ChangedTerms, ReplaySettings};

/// 300 s and 60 s; 20 claims of one secret, 50 in all, 5 counters.
pub(super) const SETTINGS: ReplaySettings = ReplaySettings {
    window_past: Duration::from_secs(300),
    window_future: Duration::from_secs(60),
    claims_per_secret: 20,
    claims_in_all: 50,
    counters_in_all: 5,
    changed: ChangedTerms { timed: false, untimed: false, counted: false },
    started_before: false,
};
/// Both windows together.
pub(super) const WINDOWS: u64 = 360;

/// 16 bytes that look like a part of a hash.
pub(super) fn mixed(kind: u8, n: u32) -> [u8; 16] {
    let n = (u128::from(n) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) ^ (u128::from(kind) << 77);
    n.rotate_left(31).wrapping_mul(0xc2b2_ae3d_27d4_eb4f_1656_67b1_9e37_79f9).to_le_bytes()
}

pub(super) fn claim(secret: u32, nonce: u32, message: u32, signed_at: UnixMillis) -> NewClaim {
    NewClaim {
        fingerprint: Fingerprint(mixed(1, secret)),
        nonce: mixed(2, nonce),
        message: mixed(3, message),
        signed_at,
        keep_until: signed_at.plus(SETTINGS.window_past),
        tier: Tier::Minutes,
        counter: None,
    }
}

pub(super) async fn open(backend: &impl ReplayBackend, now: UnixMillis) -> SharedReplay {
    backend.open(SETTINGS, now).await.unwrap()
}

/// Ends the process and starts it again. After a planned stop the machine goes down as well: nothing may be lost by that.
pub(super) async fn restart(
    backend: &impl ReplayBackend,
    cache: SharedReplay,
    settings: ReplaySettings,
    now: UnixMillis,
    planned: bool,
) -> SharedReplay {
    if planned {
        cache.close().await.unwrap();
    }
    drop(cache);
    if planned {
        backend.lose_memory().await;
    }
    backend.open(settings, now).await.unwrap()
}

/// Makes all of these claims at once. One of them comes first, and no other.
pub(super) async fn one_is_first(cache: &SharedReplay, claims: impl ExactSizeIterator<Item = NewClaim>) {
    let barrier = Arc::new(Barrier::new(claims.len()));
    let claims: Vec<_> = claims
        .map(|one| {
            let (cache, barrier) = (cache.clone(), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                cache.claim(&one, NOW).await.unwrap()
            })
        })
        .collect();
    let mut first = 0;
    for claim in claims {
        match claim.await.unwrap() {
            Claim::First => first += 1,
            other => assert_eq!(other, Claim::Seen),
        }
    }
    assert_eq!(first, 1);
}

/// Claims of others, which must not matter.
pub(super) async fn bystanders(cache: &SharedReplay, now: UnixMillis) {
    for n in 0..3 {
        assert_eq!(cache.claim(&claim(90 + n, 1, 1, now), now).await.unwrap(), Claim::First);
    }
}

/// The claims of others are still there.
pub(super) async fn bystanders_stay(cache: &SharedReplay, now: UnixMillis) {
    for n in 0..3 {
        assert_eq!(cache.claim(&claim(90 + n, 1, 1, NOW), now).await.unwrap(), Claim::Seen);
    }
}

pub async fn a_claim_is_first_once(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    bystanders(&cache, NOW).await;
    assert_eq!(cache.fence(), UnixMillis::MIN);
    // As old and as far ahead as the windows allow.
    for (n, signed_at) in [(1, NOW), (2, NOW.minus(SETTINGS.window_past)), (3, NOW.plus(SETTINGS.window_future))] {
        assert_eq!(cache.claim(&claim(1, n, n, signed_at), NOW).await.unwrap(), Claim::First);
        for _ in 0..3 {
            assert_eq!(cache.claim(&claim(1, n, n, signed_at), NOW).await.unwrap(), Claim::Seen);
        }
    }
    bystanders_stay(&cache, NOW).await;
}

pub async fn the_nonce_and_the_message_are_each_claimed(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    bystanders(&cache, NOW).await;
    assert_eq!(cache.claim(&claim(1, 1, 1, NOW), NOW).await.unwrap(), Claim::First);
    assert_eq!(cache.claim(&claim(1, 1, 2, NOW), NOW).await.unwrap(), Claim::Seen);
    assert_eq!(cache.claim(&claim(1, 2, 1, NOW), NOW).await.unwrap(), Claim::Seen);
    // What was seen took nothing with it: the halves that were new are still free.
    assert_eq!(cache.claim(&claim(1, 2, 2, NOW), NOW).await.unwrap(), Claim::First);
    bystanders_stay(&cache, NOW).await;
}

pub async fn another_secret_is_another_matter(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    for secret in 1..40 {
        assert_eq!(cache.claim(&claim(secret, 7, 7, NOW), NOW).await.unwrap(), Claim::First, "{secret}");
    }
    for secret in 1..40 {
        assert_eq!(cache.claim(&claim(secret, 7, 7, NOW), NOW).await.unwrap(), Claim::Seen, "{secret}");
    }
}

pub async fn a_nonce_is_not_a_message(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    let (a, b) = (mixed(5, 1), mixed(5, 2));
    let crossed = |nonce, message| NewClaim { nonce, message, ..claim(1, 0, 0, NOW) };
    assert_eq!(cache.claim(&crossed(a, b), NOW).await.unwrap(), Claim::First);
    assert_eq!(cache.claim(&crossed(b, a), NOW).await.unwrap(), Claim::First);
    assert_eq!(cache.claim(&crossed(a, a), NOW).await.unwrap(), Claim::Seen);
}

pub async fn a_secret_has_a_bounded_number_of_claims(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    bystanders(&cache, NOW).await;
    for n in 0..20 {
        assert_eq!(cache.claim(&claim(1, n, n, NOW), NOW).await.unwrap(), Claim::First);
    }
    assert_eq!(cache.claim(&claim(1, 20, 20, NOW), NOW).await.unwrap(), Claim::Full);
    assert_eq!(cache.claim(&claim(1, 3, 3, NOW), NOW).await.unwrap(), Claim::Seen, "what was seen is known also when full");
    assert_eq!(cache.claim(&claim(2, 20, 20, NOW), NOW).await.unwrap(), Claim::First, "others are not kept out");
    bystanders_stay(&cache, NOW).await;
}

pub async fn all_secrets_have_a_bounded_number_of_claims(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    for n in 0..50 {
        assert_eq!(cache.claim(&claim(n % 5, n, n, NOW), NOW).await.unwrap(), Claim::First, "{n}");
    }
    assert_eq!(cache.claim(&claim(7, 50, 50, NOW), NOW).await.unwrap(), Claim::Full);
    assert_eq!(cache.claim(&claim(4, 49, 49, NOW), NOW).await.unwrap(), Claim::Seen);
}

pub async fn a_claim_is_kept_as_long_as_it_must_be(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    // Every half minute one with the longest life there is; each is asked for until the last moment.
    let far = |n: u32| seconds(u64::from(n) * 30).plus(SETTINGS.window_future);
    for n in 0..200u32 {
        let now = seconds(u64::from(n) * 30);
        assert_eq!(cache.claim(&claim(n / 10, n, n, far(n)), now).await.unwrap(), Claim::First, "{n}");
        for old in n.saturating_sub(12)..=n {
            assert!(now <= claim(0, 0, 0, far(old)).keep_until);
            assert_eq!(cache.claim(&claim(old / 10, old, old, far(old)), now).await.unwrap(), Claim::Seen, "{old} at {n}");
        }
    }
}

pub async fn room_comes_back_when_claims_are_over(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    for n in 0..20 {
        assert_eq!(cache.claim(&claim(1, n, n, NOW), NOW).await.unwrap(), Claim::First);
    }
    assert_eq!(cache.claim(&claim(1, 20, 20, NOW), NOW).await.unwrap(), Claim::Full);
    let later = seconds(2 * WINDOWS + 2);
    for n in 0..20 {
        assert_eq!(cache.claim(&claim(1, n + 100, n + 100, later), later).await.unwrap(), Claim::First);
    }
}

pub async fn of_parallel_claims_one_is_first(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    for round in 0..10 {
        // Half of them share the nonce, half the message.
        let one = |n| claim(1, round, round, if n % 2 == 0 { NOW } else { NOW.plus(SETTINGS.window_future) });
        one_is_first(&cache, (0..100).map(one)).await;
    }
}

pub async fn claims_survive_a_kill(backend: &impl ReplayBackend) {
    let mut cache = open(backend, NOW).await;
    bystanders(&cache, NOW).await;
    let ahead = NOW.plus(Duration::from_secs(59));
    for n in 0..10 {
        assert_eq!(cache.claim(&claim(1, n, n, ahead), NOW).await.unwrap(), Claim::First);
        drop(cache);
        cache = open(backend, NOW).await;
        assert_eq!(cache.fence(), UnixMillis::MIN, "nothing was lost");
        for old in 0..=n {
            assert_eq!(cache.claim(&claim(1, old, old, ahead), NOW).await.unwrap(), Claim::Seen);
        }
    }
    bystanders_stay(&cache, NOW).await;
}

pub async fn claims_survive_a_planned_stop(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    bystanders(&cache, NOW).await;
    assert_eq!(cache.claim(&claim(1, 1, 1, NOW), NOW).await.unwrap(), Claim::First);
    cache.close().await.unwrap();
    drop(cache);
    // Also when the machine goes down afterwards.
    backend.lose_memory().await;
    let cache = open(backend, seconds(30)).await;
    assert_eq!(cache.fence(), UnixMillis::MIN);
    assert_eq!(cache.claim(&claim(1, 1, 1, NOW), seconds(30)).await.unwrap(), Claim::Seen);
    assert_eq!(cache.claim(&claim(1, 2, 2, NOW), seconds(30)).await.unwrap(), Claim::First);
    bystanders_stay(&cache, seconds(30)).await;
}

pub async fn a_closed_cache_claims_nothing(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    cache.close().await.unwrap();
    for now in [NOW, seconds(3 * WINDOWS)] {
        cache.claim(&claim(1, 1, 1, now), now).await.unwrap_err();
    }
}

pub async fn what_may_have_been_forgotten_is_behind_the_fence(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    let ahead = NOW.plus(Duration::from_secs(59));
    for (n, signed_at) in [(1, NOW), (2, ahead), (3, NOW.minus(SETTINGS.window_past))] {
        assert_eq!(cache.claim(&claim(1, n, n, signed_at), NOW).await.unwrap(), Claim::First);
    }
    drop(cache);
    backend.lose_memory().await;
    let cache = open(backend, seconds(1)).await;
    let fence = cache.fence();
    assert!(fence >= ahead, "{fence} is not below the highest accepted");
    assert!(fence <= ahead.plus(Duration::from_secs(30)), "{fence} does not keep people out for longer than it must");
    for (n, signed_at) in [(1, NOW), (2, ahead), (3, NOW.minus(SETTINGS.window_past)), (4, fence)] {
        assert_eq!(cache.claim(&claim(1, n, n, signed_at), seconds(1)).await.unwrap(), Claim::BeforeFence);
    }
    let after = fence.plus(Duration::from_millis(1));
    assert_eq!(cache.claim(&claim(1, 5, 5, after), after).await.unwrap(), Claim::First);
}

pub async fn the_fence_survives_a_kill(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    assert_eq!(cache.claim(&claim(1, 1, 1, NOW), NOW).await.unwrap(), Claim::First);
    drop(cache);
    backend.lose_memory().await;
    let cache = open(backend, seconds(1)).await;
    let fence = cache.fence();
    let after = fence.plus(Duration::from_secs(1));
    assert_eq!(cache.claim(&claim(1, 2, 2, after), after).await.unwrap(), Claim::First);
    drop(cache);
    let cache = open(backend, after).await;
    assert_eq!(cache.fence(), fence);
    assert_eq!(cache.claim(&claim(1, 1, 1, NOW), after).await.unwrap(), Claim::BeforeFence);
    assert_eq!(cache.claim(&claim(1, 2, 2, after), after).await.unwrap(), Claim::Seen);
}

pub async fn a_clock_set_back_reopens_nothing(backend: &impl ReplayBackend) {
    // Once, just far enough for everything to be forgotten, and often.
    let jumps = [(365, 1), (310, 3), (300, 3), (400, 3), (720, 3), (5000, 3)];
    for (round, ((step, turns), killed)) in jumps.into_iter().flat_map(|jump| [(jump, false), (jump, true)]).enumerate() {
        let start = seconds((round as u64 + 1) * 100_000);
        let mut cache = open(backend, start).await;
        assert_eq!(cache.claim(&claim(round as u32, 1, 1, start), start).await.unwrap(), Claim::First, "{step}");
        // The clock jumps ahead, as often as it takes for generations to turn, and back.
        for turn in 1..=turns {
            let ahead = start.plus(Duration::from_secs(step * turn));
            let oldest = ahead.minus(SETTINGS.window_past);
            let claimed = cache.claim(&claim(round as u32, 100 + turn as u32, 100 + turn as u32, oldest), ahead).await.unwrap();
            assert_eq!(claimed, Claim::First, "{step} {turn}");
        }
        if killed {
            drop(cache);
            cache = open(backend, start).await;
        }
        for after in [0, 1, 299] {
            let back = start.plus(Duration::from_secs(after));
            let again = cache.claim(&claim(round as u32, 1, 1, start), back).await.unwrap();
            assert!(matches!(again, Claim::Seen | Claim::ClockBehind), "{step} {after}: {again:?}");
        }
        drop(cache);
    }
}

pub async fn a_clock_far_behind_is_told(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    let ahead = seconds(10_000);
    assert_eq!(cache.claim(&claim(1, 1, 1, ahead), ahead).await.unwrap(), Claim::First);
    assert_eq!(cache.claim(&claim(1, 2, 2, NOW), NOW).await.unwrap(), Claim::ClockBehind);
    drop(cache);
    let cache = open(backend, NOW).await;
    assert_eq!(cache.claim(&claim(1, 3, 3, NOW), NOW).await.unwrap(), Claim::ClockBehind);
    let close = ahead.minus(SETTINGS.window_past);
    assert_eq!(cache.claim(&claim(1, 4, 4, close), close).await.unwrap(), Claim::First, "a step that the windows cover is none");
}

/// Compares with a memory that forgets nothing, over many random histories in one.
pub async fn it_answers_as_a_memory_without_end_would(backend: &impl ReplayBackend) {
    let settings = ReplaySettings { claims_per_secret: 100_000, claims_in_all: 100_000, ..SETTINGS };
    let mut dice = Dice(0x1234_5678_9abc_def1);
    let mut cache = backend.open(settings, NOW).await.unwrap();
    // Until when what was claimed is kept, by secret, kind and value.
    let mut seen: HashMap<(u32, bool, u32), UnixMillis> = HashMap::new();
    let mut now = NOW;
    let (mut first, mut again) = (0, 0);
    for step in 0..20_000 {
        match dice.below(100) {
            0 => now = now.plus(Duration::from_secs(dice.below(200).into())),
            1 if dice.below(10) == 0 => {
                cache = restart(backend, cache, settings, now, dice.below(2) == 0).await;
            }
            _ => now = now.plus(Duration::from_millis(dice.below(300).into())),
        }
        let signed_at = now.minus(SETTINGS.window_past).plus(Duration::from_millis(dice.below(360_001).into()));
        let (secret, nonce, message) = (dice.below(3), dice.below(4000), dice.below(4000));
        let new = claim(secret, nonce, message, signed_at);
        let keys = [(secret, false, nonce), (secret, true, message)];
        let kept = |key| seen.get(key).copied();
        let answer = cache.claim(&new, now).await.unwrap();
        let must_be_seen = keys.iter().filter_map(kept).any(|until| now <= until);
        match answer {
            Claim::First => {
                assert!(!must_be_seen, "step {step}: claimed twice within its time");
                for key in keys {
                    seen.insert(key, new.keep_until);
                }
                first += 1;
            }
            Claim::Seen => {
                assert!(keys.iter().any(|key| seen.contains_key(key)), "step {step}: never claimed before");
                again += 1;
            }
            other => panic!("step {step}: {other:?}"),
        }
    }
    assert!(first > 1000 && again > 1000, "{first} {again}: both were tried");
}

/// xorshift64.
pub(super) struct Dice(pub u64);

impl Dice {
    pub(super) fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) % u64::from(end)) as u32
    }
}
