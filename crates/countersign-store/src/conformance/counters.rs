//! Replay caches: a counter only grows, whatever happens.

use std::time::Duration;

use super::ReplayBackend;
use super::replay::{SETTINGS, WINDOWS, bystanders, bystanders_stay, claim, one_is_first, open, restart};
use super::world::{NOW, seconds};
use crate::SharedReplay;
use countersign_core::now::UnixMillis;
use countersign_core::replay::{Claim, NewClaim};

/// A request whose counter is its nonce; `n` tells its message from others.
fn counted(secret: u32, counter: u64, n: u32, now: UnixMillis) -> NewClaim {
    let nonce = counter as u32 ^ (counter >> 32) as u32;
    NewClaim { counter: Some(counter), ..claim(secret, nonce, n, now) }
}

async fn answers(cache: &SharedReplay, now: UnixMillis, secret: u32, counters: &[(u64, u32, Claim)]) {
    for (counter, n, answer) in counters {
        assert_eq!(cache.claim(&counted(secret, *counter, *n, now), now).await.unwrap(), *answer, "{secret} {counter} {n} at {now}");
    }
}

pub async fn a_counter_must_grow(backend: &impl ReplayBackend) {
    use Claim::{First, Seen};
    let cache = open(backend, NOW).await;
    bystanders(&cache, NOW).await;
    answers(&cache, NOW, 1, &[(0, 0, First), (0, 1, Seen), (7, 2, First), (7, 2, Seen), (7, 3, Seen), (6, 4, Seen), (8, 5, First)]).await;
    // Each secret counts for itself, and as far as there are numbers.
    answers(&cache, NOW, 2, &[(3, 0, First), (2, 1, Seen), (u64::MAX, 2, First), (u64::MAX, 3, Seen), (5, 4, Seen), (4, 5, Seen)]).await;
    answers(&cache, NOW, 1, &[(8, 6, Seen), (1 << 40, 7, First)]).await;
    // Claims without a counter are another matter.
    assert_eq!(cache.claim(&claim(1, 500, 500, NOW), NOW).await.unwrap(), First);
    bystanders_stay(&cache, NOW).await;
}

pub async fn a_counter_is_refused_together_with_its_claim(backend: &impl ReplayBackend) {
    use Claim::{First, Full, Seen};
    let cache = open(backend, NOW).await;
    answers(&cache, NOW, 1, &[(10, 1, First)]).await;
    // The message was seen, so the counter that came with it counts for nothing; and the other way round.
    answers(&cache, NOW, 1, &[(20, 1, Seen), (15, 2, First), (15, 3, Seen), (16, 3, First)]).await;
    for n in 0..17 {
        answers(&cache, NOW, 1, &[(u64::from(n) + 17, n + 4, First)]).await;
    }
    answers(&cache, NOW, 1, &[(100, 100, Full)]).await;
    let later = seconds(2 * WINDOWS + 2);
    answers(&cache, later, 1, &[(33, 100, Seen), (34, 100, First)]).await;
}

pub async fn of_parallel_claims_with_one_counter_one_is_first(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    for round in 0..10 {
        // Messages of their own, so that only the counter is in the way.
        let one = |n| NewClaim { nonce: claim(1, 1000 + n, 0, NOW).nonce, ..counted(1, round + 1, round as u32 * 100 + n, NOW) };
        one_is_first(&cache, (0..50).map(one)).await;
    }
}

pub async fn counters_have_no_end(backend: &impl ReplayBackend) {
    use Claim::{First, Seen};
    let mut cache = open(backend, NOW).await;
    answers(&cache, NOW, 1, &[(1_000_000, 0, First)]).await;
    // Everything else is forgotten over and over; whoever counts on is far ahead.
    for day in 1..40 {
        let now = seconds(day * 86_400 / 2);
        answers(&cache, now, 2, &[(day, day as u32, First), (day, 1000, Seen)]).await;
        assert_eq!(cache.claim(&claim(3, day as u32, day as u32, now), now).await.unwrap(), First);
        if day % 7 == 0 {
            drop(cache);
            cache = open(backend, now).await;
        }
        answers(&cache, now, 1, &[(1_000_000, 0, Seen), (999_999, 1, Seen)]).await;
    }
    let now = seconds(30 * 86_400);
    answers(&cache, now, 1, &[(1_000_001, 2, First)]).await;
}

pub async fn counters_survive_kills_and_a_planned_stop(backend: &impl ReplayBackend) {
    use Claim::{First, Seen};
    let mut cache = open(backend, NOW).await;
    bystanders(&cache, NOW).await;
    for n in 0..10 {
        answers(&cache, NOW, 1, &[(u64::from(n) * 5 + 5, n, First)]).await;
        cache = restart(backend, cache, SETTINGS, NOW, n == 5).await;
        answers(&cache, NOW, 1, &[(u64::from(n) * 5 + 5, 100, Seen), (u64::from(n) * 5, 101, Seen)]).await;
    }
    bystanders_stay(&cache, NOW).await;
}

pub async fn a_lost_memory_lets_no_counter_in_again(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    for n in 0..10 {
        answers(&cache, NOW, 1 + n % 2, &[(u64::from(n), n, Claim::First)]).await;
    }
    drop(cache);
    backend.lose_memory().await;
    let cache = open(backend, NOW).await;
    for now in [NOW, NOW.plus(SETTINGS.window_past), seconds(3600), seconds(30 * 86_400)] {
        for n in 0..10 {
            let answer = cache.claim(&counted(1 + n % 2, n.into(), n, now), now).await.unwrap();
            assert!(matches!(answer, Claim::Seen | Claim::BeforeFence | Claim::CounterLost), "{n}: {answer:?}");
        }
    }
    // Others do not suffer from it for longer than they must.
    let later = NOW.plus(Duration::from_secs(30 * 86_400 + 60));
    assert_eq!(cache.claim(&claim(3, 1, 1, later), later).await.unwrap(), Claim::First);
}

pub async fn a_bounded_number_of_secrets_has_a_counter(backend: &impl ReplayBackend) {
    use Claim::{First, Full, Seen};
    let mut cache = open(backend, NOW).await;
    for secret in 0..5 {
        answers(&cache, NOW, secret, &[(9, 0, First)]).await;
    }
    answers(&cache, NOW, 5, &[(9, 0, Full)]).await;
    assert_eq!(cache.claim(&claim(5, 9, 0, NOW), NOW).await.unwrap(), First, "only the counter was too much");
    drop(cache);
    cache = open(backend, NOW).await;
    for secret in 0..5 {
        answers(&cache, NOW, secret, &[(9, 1, Seen), (10, 1, First)]).await;
    }
    answers(&cache, NOW, 5, &[(10, 1, Full)]).await;
}
