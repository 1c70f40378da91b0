//! Replay claims that live for minutes, hours and days, with and without a signed time.

use std::collections::HashMap;
use std::time::Duration;

use countersign_core::now::UnixMillis;
use countersign_core::replay::{Claim, NewClaim, Tier};

use super::ReplayBackend;
use super::replay::{Dice, SETTINGS, WINDOWS, bystanders, bystanders_stay, claim, open, restart};
use super::world::{NOW, seconds};
use crate::SharedReplay;
use crate::memory::ReplaySettings;

/// How long claims are kept here.
fn span(tier: Tier) -> Duration {
    match tier {
        Tier::Minutes => SETTINGS.window_past,
        Tier::Hours => Duration::from_secs(3600),
        Tier::Week => Duration::from_secs(7 * 86_400),
        Tier::Untimed => Duration::from_secs(86_400),
    }
}

/// A request that was first sent at `at`, as it comes `now`.
fn request(tier: Tier, secret: u32, n: u32, at: UnixMillis, now: UnixMillis) -> NewClaim {
    kept(span(tier), tier, secret, n, at, now)
}

fn kept(span: Duration, tier: Tier, secret: u32, n: u32, at: UnixMillis, now: UnixMillis) -> NewClaim {
    let signed_at = if tier == Tier::Untimed { now } else { at };
    NewClaim { keep_until: signed_at.plus(span), tier, ..claim(secret, n, n, signed_at) }
}

async fn first(cache: &SharedReplay, claim: &NewClaim, now: UnixMillis) {
    assert_eq!(cache.claim(claim, now).await.unwrap(), Claim::First, "{claim:?} at {now}");
}

async fn seen(cache: &SharedReplay, claim: &NewClaim, now: UnixMillis) {
    assert_eq!(cache.claim(claim, now).await.unwrap(), Claim::Seen, "{claim:?} at {now}");
}

pub async fn a_claim_of_any_tier_is_kept_as_long_as_it_must_be(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    for (round, tier) in Tier::ALL.into_iter().enumerate() {
        let start = seconds(round as u64 * 100 * 86_400);
        let time = |n: u32| start.plus(span(tier) / 12 * n);
        for n in 0..60 {
            let now = time(n);
            first(&cache, &request(tier, n / 10, n, now, now), now).await;
            for old in n.saturating_sub(12)..=n {
                seen(&cache, &request(tier, old / 10, old, time(old), now), now).await;
            }
        }
    }
}

pub async fn a_claim_beyond_what_is_kept_is_refused(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    for tier in Tier::ALL {
        let last = NOW.plus(tier.reach());
        let until = |keep_until| NewClaim { keep_until, ..request(tier, 1, 1, NOW, NOW) };
        cache.claim(&until(last.plus(Duration::from_millis(1))), NOW).await.unwrap_err();
        first(&cache, &until(last), NOW).await;
        let far = NOW.plus(SETTINGS.window_future);
        let signed_at = |signed_at| NewClaim { signed_at, ..request(tier, 1, 2, NOW, NOW) };
        cache.claim(&signed_at(far.plus(Duration::from_millis(1))), NOW).await.unwrap_err();
        first(&cache, &signed_at(far), NOW).await;
    }
    // What is not taken does not become the newest that was accepted.
    let cache_goes_on = claim(1, 3, 3, NOW.minus(SETTINGS.window_past));
    first(&cache, &cache_goes_on, NOW).await;
}

pub async fn room_comes_back_in_every_tier(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    for (round, tier) in Tier::ALL.into_iter().enumerate() {
        let start = seconds(round as u64 * 100 * 86_400);
        let later = start.plus(span(tier) * 2).plus(Duration::from_secs(3600));
        for (now, base) in [(start, 0), (later, 100)] {
            for n in base..base + 20 {
                first(&cache, &request(tier, 1, n, now, now), now).await;
            }
            assert_eq!(cache.claim(&request(tier, 1, base + 20, now, now), now).await.unwrap(), Claim::Full);
            seen(&cache, &request(tier, 1, base, now, now), now).await;
        }
    }
}

pub async fn claims_that_live_long_keep_no_others(backend: &impl ReplayBackend) {
    let cache = open(backend, NOW).await;
    let long = [Tier::Hours, Tier::Week, Tier::Untimed];
    for tier in long {
        for n in 0..20 {
            first(&cache, &request(tier, 1, n, NOW, NOW), NOW).await;
        }
        assert_eq!(cache.claim(&request(tier, 1, 20, NOW, NOW), NOW).await.unwrap(), Claim::Full);
    }
    // The same secret has room among the short ones, and has it again and again.
    for round in 0..4 {
        let now = seconds(round * (2 * WINDOWS + 2));
        for n in 0..20 {
            first(&cache, &request(Tier::Minutes, 1, round as u32 * 20 + n, now, now), now).await;
        }
        assert_eq!(cache.claim(&request(Tier::Minutes, 1, 1000, now, now), now).await.unwrap(), Claim::Full);
        for tier in long {
            seen(&cache, &request(tier, 1, 7, NOW, now), now).await;
        }
    }
}

pub async fn one_secret_leaves_room_in_every_tier(backend: &impl ReplayBackend) {
    let settings = ReplaySettings { claims_per_secret: 1000, ..SETTINGS };
    let cache = backend.open(settings, NOW).await.unwrap();
    for tier in Tier::ALL {
        let mut n = 0;
        while cache.claim(&request(tier, 1, n, NOW, NOW), NOW).await.unwrap() == Claim::First {
            n += 1;
        }
        assert!((10..50).contains(&n), "{tier:?} {n}");
        first(&cache, &request(tier, 2, n, NOW, NOW), NOW).await;
    }
}

pub async fn claims_of_any_tier_survive_kills_and_a_planned_stop(backend: &impl ReplayBackend) {
    let mut cache = open(backend, NOW).await;
    bystanders(&cache, NOW).await;
    for n in 0..10 {
        for tier in Tier::ALL {
            first(&cache, &request(tier, 1, n, NOW, NOW), NOW).await;
        }
        cache = restart(backend, cache, SETTINGS, NOW, n == 5).await;
        assert_eq!(cache.fence(), UnixMillis::MIN, "nothing was lost");
        for old in 0..=n {
            for tier in Tier::ALL {
                seen(&cache, &request(tier, 1, old, NOW, NOW), NOW).await;
            }
        }
    }
    bystanders_stay(&cache, NOW).await;
}

pub async fn a_lost_memory_lets_nothing_in_again(backend: &impl ReplayBackend) {
    for tier in Tier::ALL {
        let start = seconds(tier as u64 * 100 * 86_400);
        let cache = open(backend, start).await;
        for n in 0..10 {
            first(&cache, &request(tier, 1, n, start, start), start).await;
        }
        drop(cache);
        backend.lose_memory().await;
        let cache = open(backend, start).await;
        // As it would come again, from at once to its last moment, whatever else comes meanwhile.
        for moment in 0..=12 {
            let now = start.plus(span(tier) / 12 * moment);
            for n in 0..10 {
                let answer = cache.claim(&request(tier, 1, n, start, now), now).await.unwrap();
                assert!(matches!(answer, Claim::Seen | Claim::BeforeFence), "{tier:?} {n} at {moment}: {answer:?}");
            }
            cache.claim(&request(tier, 2, 100 + moment, now, now), now).await.unwrap();
        }
        // And what is new gets in, at the latest when all that was lost is over.
        let after = start.plus(span(tier) * 2);
        first(&cache, &request(tier, 1, 200, after, after), after).await;
        cache.close().await.unwrap();
    }
}

pub async fn a_clock_set_back_reopens_nothing_in_any_tier(backend: &impl ReplayBackend) {
    for (number, tier) in Tier::ALL.into_iter().enumerate() {
        let span = span(tier);
        // Just far enough for the claim to be over, for generations to turn, and further.
        let jumps = [(span * 5 / 4, 1), (span + Duration::from_secs(10), 3), (span, 3), (span / 4, 9), (span * 12 / 5, 3), (span * 17, 3)];
        let mut start = seconds(number as u64 * 10_000 * 86_400);
        for (round, ((step, turns), killed)) in jumps.into_iter().flat_map(|jump| [(jump, false), (jump, true)]).enumerate() {
            let secret = round as u32;
            let mut cache = open(backend, start).await;
            first(&cache, &request(tier, secret, 1, start, start), start).await;
            for turn in 1..=turns {
                let ahead = start.plus(step * turn);
                first(&cache, &request(tier, secret, 100 + turn, ahead, ahead), ahead).await;
            }
            if killed {
                drop(cache);
                cache = open(backend, start).await;
            }
            for eighths in [0, 1, 7] {
                let back = start.plus(span / 8 * eighths);
                let again = cache.claim(&request(tier, secret, 1, start, back), back).await.unwrap();
                assert!(matches!(again, Claim::Seen | Claim::ClockBehind), "{tier:?} {step:?} {turns} {eighths}: {again:?}");
            }
            drop(cache);
            start = start.plus(step * (turns + 3));
        }
    }
}

pub async fn a_clock_set_back_a_little_reopens_nothing(backend: &impl ReplayBackend) {
    // Too little to be told by what was accepted; over hours, as what is forgotten must be forgotten just while it is ahead.
    let span = Duration::from_secs(100);
    let settings = ReplaySettings { claims_in_all: 1000, ..SETTINGS };
    for tier in Tier::ALL {
        let cache = backend.open(settings, seconds(tier as u64 * 86_400)).await.unwrap();
        for round in 0..150 {
            let start = seconds(tier as u64 * 86_400 + u64::from(round) * 113);
            first(&cache, &kept(span, tier, round, 1, start, start), start).await;
            let ahead = start.plus(span).plus(Duration::from_secs(10));
            first(&cache, &kept(span, tier, round, 2, ahead, ahead), ahead).await;
            let back = start.plus(Duration::from_secs(10));
            let again = cache.claim(&kept(span, tier, round, 1, start, back), back).await.unwrap();
            assert!(matches!(again, Claim::Seen | Claim::ClockBehind), "{tier:?} {round}: {again:?}");
        }
    }
}

/// Compares with a memory that forgets nothing, over months with kills, stops and losses of nothing.
pub async fn every_tier_answers_as_a_memory_without_end_would(backend: &impl ReplayBackend) {
    let settings = ReplaySettings { claims_per_secret: 100_000, claims_in_all: 200_000, ..SETTINGS };
    let mut dice = Dice(0x0dd5_eed5_1234_5678);
    let mut cache = backend.open(settings, NOW).await.unwrap();
    // Until when what was claimed is kept, by tier, secret, kind and value.
    let mut known: HashMap<(Tier, u32, bool, u32), UnixMillis> = HashMap::new();
    let mut now = NOW;
    let mut answers: HashMap<(Tier, bool), u32> = HashMap::new();
    for step in 0..5000 {
        match dice.below(100) {
            0 => now = now.plus(Duration::from_secs(dice.below(20_000).into())),
            1 if dice.below(2) == 0 => {
                cache = restart(backend, cache, settings, now, dice.below(2) == 0).await;
            }
            _ => now = now.plus(Duration::from_millis(dice.below(10_000).into())),
        }
        // The rarer a request, the longer it lives.
        let (tier, values) = match dice.below(8) {
            0..4 => (Tier::Minutes, 60),
            4..6 => (Tier::Hours, 200),
            6 => (Tier::Week, 600),
            _ => (Tier::Untimed, 300),
        };
        let age = Duration::from_millis(u64::from(dice.below(1000)) * (span(tier).as_millis() as u64 / 1000));
        let (secret, nonce, message) = (dice.below(3), dice.below(values), dice.below(values));
        let new = NewClaim { nonce: claim(0, nonce, 0, now).nonce, ..request(tier, secret, message, now.minus(age), now) };
        let keys = [(tier, secret, false, nonce), (tier, secret, true, message)];
        let must_be_seen = keys.iter().filter_map(|key| known.get(key)).any(|until| now <= *until);
        let answer = cache.claim(&new, now).await.unwrap();
        match answer {
            Claim::First => {
                assert!(!must_be_seen, "step {step}: {tier:?} claimed twice within its time");
                for key in keys {
                    let until = known.entry(key).or_insert(new.keep_until);
                    *until = new.keep_until.max(*until);
                }
            }
            Claim::Seen => assert!(keys.iter().any(|key| known.contains_key(key)), "step {step}: never claimed before"),
            other => panic!("step {step}: {other:?}"),
        }
        *answers.entry((tier, answer == Claim::First)).or_default() += 1;
    }
    for tier in Tier::ALL {
        for answer in [true, false] {
            assert!(answers.get(&(tier, answer)).is_some_and(|times| *times > 50), "{tier:?} {answer}: both were tried; {answers:?}");
        }
    }
}
