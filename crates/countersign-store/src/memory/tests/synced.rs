//! What must outlast the machine: claims without a timestamp, and counters. And what happens when it did not.

use super::*;

fn untimed(n: u8, now: UnixMillis) -> NewClaim {
    NewClaim { signed_at: now, keep_until: now.plus(DAY), tier: Tier::Untimed, ..claim(n) }
}

fn counted(secret: u8, counter: u64, now: UnixMillis) -> NewClaim {
    let mut one = NewClaim { fingerprint: Fingerprint([secret; 16]), signed_at: now, counter: Some(counter), ..claim(0) };
    one.keep_until = now.plus(SETTINGS.window_past);
    (one.nonce, one.message) = ((u128::from(counter) << 8).to_le_bytes(), (u128::from(counter) << 9).to_le_bytes());
    one
}

const DAY: Duration = Duration::from_secs(86_400);

async fn answer(cache: &MemoryReplay, claim: &NewClaim, now: UnixMillis) -> Claim {
    cache.claim(claim, now).await.unwrap()
}

/// Three claims of each kind, and then the process is killed.
async fn three(backend: &MemoryBackend) {
    let cache = backend.start(NOW);
    for n in 0..3 {
        assert_eq!(answer(&cache, &untimed(n, NOW), NOW).await, Claim::First);
        assert_eq!(answer(&cache, &counted(n, 10, NOW), NOW).await, Claim::First);
    }
}

/// All of it is known, and nothing else is refused.
async fn nothing_is_lost(cache: &MemoryReplay, now: UnixMillis) {
    for n in 0..3 {
        assert_eq!(answer(cache, &untimed(n, now), now).await, Claim::Seen);
        assert_eq!(answer(cache, &counted(n, 10, now), now).await, Claim::Seen);
        assert_eq!(answer(cache, &counted(n, 9, now), now).await, Claim::Seen);
    }
    assert_eq!(cache.stats().counters, 3);
    assert_eq!(answer(cache, &untimed(100, now), now).await, Claim::First);
    assert_eq!(answer(cache, &counted(50, 1, now), now).await, Claim::First);
}

#[tokio::test]
async fn a_crash_of_the_machine_takes_neither_counters_nor_claims_without_a_timestamp() {
    let backend = MemoryBackend::new();
    three(&backend).await;
    backend.lose_memory().await;
    let cache = backend.start(NOW);
    assert!(cache.fence() > NOW, "claims with a timestamp are lost");
    nothing_is_lost(&cache, NOW).await;
    assert!(!backend.path("counters-lost").exists());
}

#[tokio::test]
async fn what_is_answered_is_on_the_disk() {
    let backend = MemoryBackend::new();
    let cache = backend.start(NOW);
    let on_disk = || [UNTIMED, Kind::Counters].map(|kind| cache.raiser.unsynced(kind)) == [0, 0];
    for n in 0..50 {
        assert_eq!(answer(&cache, &untimed(n, NOW), NOW).await, Claim::First);
        assert!(on_disk(), "claim {n}");
        assert_eq!(answer(&cache, &counted(7, n.into(), NOW), NOW).await, Claim::First);
        assert!(on_disk(), "counter {n}");
    }
}

#[tokio::test]
async fn what_a_crash_leaves_after_the_last_sync_is_cut_off() {
    for left in [vec![0; 5], vec![0; 4096], vec![0xa5; RECORD * 3 + 7]] {
        let backend = MemoryBackend::new();
        three(&backend).await;
        for kind in [UNTIMED, Kind::Counters] {
            let log = backend.log(kind).pop().unwrap();
            OpenOptions::new().append(true).open(log).unwrap().write_all(&left).unwrap();
        }
        backend.lose_memory().await;
        drop(backend.start(NOW));
        // And what comes after goes on where it was cut.
        let now = NOW.plus(Duration::from_secs(60));
        nothing_is_lost(&backend.start(now), now).await;
        backend.lose_memory().await;
        let cache = backend.start(now);
        assert_eq!(answer(&cache, &untimed(100, now), now).await, Claim::Seen);
        assert_eq!(cache.stats().counters, 4);
    }
}

#[tokio::test]
async fn a_lost_log_of_claims_without_a_timestamp_refuses_them_for_as_long_as_they_were_kept() {
    for crash in [false, true] {
        let backend = MemoryBackend::new();
        three(&backend).await;
        fs::remove_file(backend.log(UNTIMED).pop().unwrap()).unwrap();
        if crash {
            backend.lose_memory().await;
        }
        let mut cache = backend.start(NOW);
        for hours in [0, 1, 12, 24] {
            let now = NOW.plus(Duration::from_secs(hours * 3600));
            for n in 0..4 {
                assert_eq!(answer(&cache, &untimed(n, now), now).await, Claim::BeforeFence, "{n} after {hours}");
            }
            // Not what is kept for an hour only, when that has passed; nor others.
            let short = NewClaim { keep_until: now.plus(Duration::from_secs(3600)), ..untimed(hours as u8 + 10, now) };
            assert_eq!(answer(&cache, &short, now).await, if hours < 2 { Claim::BeforeFence } else { Claim::First });
            // A counter waits until the clock is past the fence, as its scheme may have had none before.
            assert_eq!(answer(&cache, &counted(0, 10, now), now).await, if hours == 0 { Claim::BeforeFence } else { Claim::Seen });
            drop(cache);
            cache = backend.start(now);
        }
        assert_eq!(cache.fence() == UnixMillis::MIN, !crash, "claims with a timestamp were lost by the crash only");
        let now = NOW.plus(DAY).plus(Duration::from_secs(60));
        assert_eq!(answer(&cache, &untimed(1, now), now).await, Claim::First);
    }
}

#[tokio::test]
async fn lost_counters_are_refused_until_the_operator_says_otherwise() {
    let damages: [fn(&MemoryBackend); 5] = [
        |backend| fs::remove_file(backend.log(Kind::Counters).pop().unwrap()).unwrap(),
        |backend| OpenOptions::new().write(true).open(&backend.log(Kind::Counters)[0]).unwrap().set_len(RECORD as u64 * 2).unwrap(),
        |backend| OpenOptions::new().write(true).open(&backend.log(Kind::Counters)[0]).unwrap().write_all_at(&[7], 100).unwrap(),
        |backend| fs::remove_file(backend.path("mark")).unwrap(),
        |backend| fs::write(backend.path("mark"), [0x55; 9000]).unwrap(),
    ];
    for (number, damage) in damages.iter().enumerate() {
        let backend = MemoryBackend::new();
        three(&backend).await;
        // The mark has noted the counters when the next one is accepted.
        let cache = backend.start(NOW);
        damage(&backend);
        drop(cache);
        // After every fence.
        let now = NOW.plus(Duration::from_secs(300));
        for _ in 0..2 {
            let cache = backend.start(NOW);
            for counter in [9, 10, 11, u64::MAX] {
                assert_eq!(answer(&cache, &counted(1, counter, now), now).await, Claim::CounterLost, "{number}");
            }
            let other = NewClaim { signed_at: now, keep_until: now.plus(SETTINGS.window_past), ..claim(77) };
            assert!(matches!(answer(&cache, &other, now).await, Claim::First | Claim::Seen), "{number}: others go on");
        }
        let cache = backend.start(NOW);
        let says = fs::read_to_string(backend.path("counters-lost")).unwrap();
        assert!(says.contains("Replace the secrets") && says.contains("counter_lost"), "{says}");
        fs::remove_file(backend.path("counters-lost")).unwrap();
        // With another message, as that of before may still be known.
        let anew = NewClaim { nonce: [0xe0; 16], message: [0xe1; 16], ..counted(1, 10, now) };
        assert_eq!(answer(&cache, &anew, now).await, Claim::First, "{number}");
        drop(cache);
        let cache = backend.start(NOW);
        let again = NewClaim { nonce: [0xe2; 16], message: [0xe3; 16], ..counted(1, 10, now) };
        assert_eq!(answer(&cache, &again, now).await, Claim::Seen, "{number}");
        assert_eq!(answer(&cache, &counted(1, 11, now), now).await, Claim::First, "{number}");
    }
}

#[tokio::test]
async fn where_no_counter_was_accepted_none_is_lost() {
    let backend = MemoryBackend::new();
    drop(backend.start(NOW));
    for path in backend.log(Kind::Counters) {
        fs::remove_file(path).unwrap();
    }
    let cache = backend.start(NOW);
    assert!(!backend.path("counters-lost").exists());
    assert_eq!(answer(&cache, &counted(1, 1, NOW), NOW).await, Claim::First);
}

#[tokio::test]
async fn the_log_of_counters_is_carried_forward() {
    let backend = MemoryBackend::new();
    let settings = ReplaySettings { claims_per_secret: 100_000, claims_in_all: 1_000_000, ..SETTINGS };
    let open = || MemoryReplay::open(backend.directory.path(), settings, NOW, &backend.boot()).unwrap();
    let cache = open();
    assert_eq!(answer(&cache, &counted(9, 5, NOW), NOW).await, Claim::First);
    for counter in 1..=20_000 {
        // Not waited for, as a sync each would take long.
        assert_eq!(claim_without_waiting(&cache, &counted((counter % 7) as u8, counter, NOW), NOW).0, Claim::First);
        if counter % 1000 == 0 {
            assert_eq!(answer(&cache, &counted(8, counter, NOW), NOW).await, Claim::First);
        }
    }
    cache.close().await.unwrap();
    drop(cache);
    let log = backend.log(Kind::Counters);
    let bytes: u64 = log.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(log.len() <= 2 && bytes < 10_000 * RECORD as u64, "{log:?} {bytes}");
    let cache = open();
    assert_eq!(cache.stats().counters, 9);
    let of_long_ago = NewClaim { message: [9; 16], ..counted(9, 5, NOW) };
    assert_eq!(answer(&cache, &of_long_ago, NOW).await, Claim::Seen);
    for counter in 19_994..=20_000 {
        let secret = (counter % 7) as u8;
        for (counter, expected) in [(counter, Claim::Seen), (counter + 7, Claim::First)] {
            let one = NewClaim { message: [secret ^ 0x33; 16], ..counted(secret, counter, NOW) };
            assert_eq!(answer(&cache, &one, NOW).await, expected, "{secret} {counter}");
        }
    }
}

#[tokio::test]
async fn counters_that_could_not_be_carried_forward_are_all_there() {
    let backend = MemoryBackend::new();
    let cache = backend.start(NOW);
    // A directory in the way of the next segment's first name.
    fs::create_dir(backend.path("counters-000000000001.new")).unwrap();
    for counter in 1..=4500u64 {
        let now = NOW.plus(Duration::from_secs(counter));
        assert_eq!(claim_without_waiting(&cache, &counted(1 + (counter % 2) as u8, counter, now), now).0, Claim::First);
    }
    let now = NOW.plus(Duration::from_secs(4501));
    assert_eq!(answer(&cache, &counted(3, 1, now), now).await, Claim::First);
    drop(cache);
    assert_eq!(backend.log(Kind::Counters).len(), 1);
    let cache = backend.start(now);
    for (secret, highest) in [(1, 4500), (2, 4499), (3, 1)] {
        assert_eq!(answer(&cache, &counted(secret, highest, now), now).await, Claim::Seen);
        assert_eq!(answer(&cache, &counted(secret, highest + 10_000, now), now).await, Claim::First);
    }
}

#[tokio::test]
async fn a_counter_that_could_not_be_written_is_refused_and_stays_refused() {
    let backend = MemoryBackend::new();
    let cache = backend.start(NOW);
    let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
    cache.memory.counters.write_to(Some(&Arc::new(Segment::onto(full, &backend.path("full"), Kind::Counters))));
    cache.claim(&counted(1, 5, NOW), NOW).await.unwrap_err();
    cache.raiser.break_current(Kind::Counters);
    assert_eq!(answer(&cache, &counted(1, 5, NOW), NOW).await, Claim::Seen);
    assert_eq!(answer(&cache, &counted(1, 6, NOW), NOW).await, Claim::First);
    assert_eq!(backend.log(Kind::Counters).len(), 2);
    drop(cache);
    assert_eq!(answer(&backend.start(NOW), &counted(1, 6, NOW), NOW).await, Claim::Seen);
}

#[tokio::test]
async fn what_could_not_be_synced_is_refused() {
    for kind in [UNTIMED, Kind::Counters] {
        let backend = MemoryBackend::new();
        let cache = backend.start(NOW);
        let one = if kind == UNTIMED { untimed(1, NOW) } else { counted(1, 1, NOW) };
        let (answered, raising) = claim_without_waiting(&cache, &one, NOW);
        assert_eq!(answered, Claim::First);
        cache.raiser.fail_to_sync(kind);
        raising.unwrap().done().await.unwrap_err();
        assert_eq!(answer(&cache, &one, NOW).await, Claim::Seen, "it stays claimed");
        // Others go on in a new segment.
        let other = if kind == UNTIMED { untimed(2, NOW) } else { counted(1, 2, NOW) };
        assert_eq!(answer(&cache, &other, NOW).await, Claim::First);
        assert_eq!(backend.log(kind).len(), 2);
        cache.close().await.unwrap_err();
    }
}
