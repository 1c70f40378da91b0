//! What only a log on a disk can get wrong. What every replay cache must do is in `conformance`.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::task::{Context, Waker};

use countersign_core::replay::Fingerprint;
use proptest::prelude::*;

use super::log::Kind;
use super::segment::{Id, RECORD, Segment, Tail};
use super::*;
use crate::SharedReplay;
use crate::conformance::ReplayBackend;

mod synced;

const NOW: UnixMillis = UnixMillis::from_seconds(1_800_000_000);
const SETTINGS: ReplaySettings = ReplaySettings {
    window_past: Duration::from_secs(300),
    window_future: Duration::from_secs(60),
    claims_per_secret: 1000,
    claims_in_all: 2000,
    counters_in_all: 100,
    changed: ChangedTerms { timed: false, untimed: false, counted: false },
    started_before: false,
};

const MINUTES: Kind = Kind::Claims(Tier::Minutes);
const UNTIMED: Kind = Kind::Claims(Tier::Untimed);

struct MemoryBackend {
    directory: tempfile::TempDir,
    boots: AtomicU32,
}

impl MemoryBackend {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), boots: AtomicU32::new(0) }
    }

    fn boot(&self) -> String {
        format!("boot {}", self.boots.load(ORDER))
    }

    fn start(&self, now: UnixMillis) -> MemoryReplay {
        MemoryReplay::open(self.directory.path(), SETTINGS, now, &self.boot()).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The segments of claims of the shortest tier, oldest first.
    fn segments(&self) -> Vec<PathBuf> {
        self.log(MINUTES)
    }

    fn log(&self, kind: Kind) -> Vec<PathBuf> {
        kind.find(self.directory.path()).unwrap().into_iter().map(|(_, path)| path).collect()
    }
}

impl ReplayBackend for MemoryBackend {
    async fn open(&self, settings: ReplaySettings, now: UnixMillis) -> Result<SharedReplay, ReplayUnavailable> {
        Ok(Arc::new(MemoryReplay::open(self.directory.path(), settings, now, &self.boot())?))
    }

    async fn lose_memory(&self) {
        self.boots.fetch_add(1, ORDER);
    }
}

crate::replay_suite!(memory, MemoryBackend::new());

fn claim(n: u8) -> NewClaim {
    NewClaim {
        fingerprint: Fingerprint([n % 3; 16]),
        nonce: [n; 16],
        message: [n ^ 0x80; 16],
        signed_at: NOW,
        keep_until: NOW.plus(SETTINGS.window_past),
        tier: Tier::Minutes,
        counter: None,
    }
}

async fn first(cache: &MemoryReplay, n: u8) {
    assert_eq!(cache.claim(&claim(n), NOW).await.unwrap(), Claim::First, "{n}");
}

async fn seen(cache: &MemoryReplay, n: u8) {
    assert_eq!(cache.claim(&claim(n), NOW).await.unwrap(), Claim::Seen, "{n}");
}

/// Everything that was accepted is refused, by the fence at the mark.
async fn is_fenced(cache: &MemoryReplay, mark: UnixMillis) {
    assert_eq!(cache.fence(), mark);
    for n in 0..5 {
        assert_eq!(cache.claim(&claim(n), NOW).await.unwrap(), Claim::BeforeFence, "{n}");
    }
}

/// Claims 0 to 4, with a mark that has noted them.
async fn five(backend: &MemoryBackend) -> UnixMillis {
    let cache = backend.start(NOW);
    for n in 0..5 {
        first(&cache, n).await;
    }
    // The next claim is above the mark and so waits for one that notes the log.
    let ahead = NewClaim { signed_at: NOW.plus(Duration::from_secs(30)), nonce: [200; 16], message: [201; 16], ..claim(0) };
    assert_eq!(cache.claim(&ahead, NOW).await.unwrap(), Claim::First);
    let mark = cache.stats().mark;
    assert!(mark >= ahead.signed_at);
    mark
}

#[tokio::test]
async fn a_removed_log_raises_the_fence() {
    let backend = MemoryBackend::new();
    let mark = five(&backend).await;
    for path in backend.segments() {
        fs::remove_file(path).unwrap();
    }
    is_fenced(&backend.start(NOW), mark).await;
    is_fenced(&backend.start(NOW), mark).await;
}

#[tokio::test]
async fn a_truncated_log_raises_the_fence() {
    for kept in [0, RECORD - 1, RECORD, RECORD * 3, RECORD * 3 + 5] {
        let backend = MemoryBackend::new();
        let mark = five(&backend).await;
        let log = OpenOptions::new().write(true).open(&backend.segments()[0]).unwrap();
        log.set_len(kept as u64).unwrap();
        is_fenced(&backend.start(NOW), mark).await;
    }
}

#[tokio::test]
async fn a_damaged_record_raises_the_fence() {
    for at in [0, 9, 17, RECORD, RECORD * 2 + 40, RECORD * 5 - 1] {
        let backend = MemoryBackend::new();
        let mark = five(&backend).await;
        let log = OpenOptions::new().read(true).write(true).open(&backend.segments()[0]).unwrap();
        let mut byte = [0];
        log.read_exact_at(&mut byte, at as u64).unwrap();
        log.write_all_at(&[byte[0] ^ 1], at as u64).unwrap();
        is_fenced(&backend.start(NOW), mark).await;
    }
}

#[tokio::test]
async fn another_boot_raises_the_fence() {
    let backend = MemoryBackend::new();
    let mark = five(&backend).await;
    backend.lose_memory().await;
    is_fenced(&backend.start(NOW), mark).await;
    assert_eq!(backend.segments().len(), 1, "the old log is gone, a new one begun");
}

#[tokio::test]
async fn a_log_of_another_epoch_is_not_taken_for_ours() {
    let (backend, other) = (MemoryBackend::new(), MemoryBackend::new());
    let mark = five(&backend).await;
    drop(MemoryReplay::open(other.directory.path(), SETTINGS, NOW.plus(Duration::from_secs(1)), "boot 0").unwrap());
    fs::copy(&other.segments()[0], &backend.segments()[0]).unwrap();
    is_fenced(&backend.start(NOW), mark).await;
}

#[tokio::test]
async fn half_a_record_at_the_end_was_never_accepted() {
    for length in [1, 16, RECORD - 1] {
        let backend = MemoryBackend::new();
        five(&backend).await;
        let mut log = OpenOptions::new().append(true).open(&backend.segments()[0]).unwrap();
        log.write_all(&vec![7; length]).unwrap();
        for _ in 0..2 {
            let cache = backend.start(NOW);
            assert_eq!(cache.fence(), UnixMillis::MIN);
            for n in 0..5 {
                seen(&cache, n).await;
            }
        }
    }
}

#[tokio::test]
async fn a_missing_mark_raises_the_fence_to_the_end_of_the_window() {
    for damage in [true, false] {
        let backend = MemoryBackend::new();
        five(&backend).await;
        if damage {
            fs::write(backend.path("mark"), [0x55; 5000]).unwrap();
        } else {
            fs::remove_file(backend.path("mark")).unwrap();
        }
        let cache = backend.start(NOW);
        assert!(cache.fence() >= NOW.plus(SETTINGS.window_future));
        is_fenced(&cache, cache.fence()).await;
    }
}

#[tokio::test]
async fn a_directory_that_was_emptied_but_for_its_lock_is_not_new() {
    let backend = MemoryBackend::new();
    five(&backend).await;
    fs::remove_file(backend.path("mark")).unwrap();
    for path in backend.segments() {
        fs::remove_file(path).unwrap();
    }
    let cache = backend.start(NOW);
    is_fenced(&cache, cache.fence()).await;
}

#[tokio::test]
async fn a_directory_that_was_removed_is_not_new_to_who_knows_better() {
    let backend = MemoryBackend::new();
    let fence_of = |name: &str, started_before| {
        let settings = ReplaySettings { started_before, ..SETTINGS };
        MemoryReplay::open(&backend.path(name), settings, NOW, "boot 0").unwrap().fence()
    };
    assert_eq!(fence_of("first", false), UnixMillis::MIN);
    assert!(fence_of("removed", true) >= NOW.plus(SETTINGS.window_future));
    // Knowing of an earlier start says nothing against what is there.
    assert_eq!(fence_of("first", true), UnixMillis::MIN);
}

#[tokio::test]
async fn a_torn_slot_of_the_mark_leaves_the_other() {
    let backend = MemoryBackend::new();
    five(&backend).await;
    let file = OpenOptions::new().read(true).write(true).open(backend.path("mark")).unwrap();
    let mut older = [0; 300];
    let slots = [0, 4096].map(|at| {
        let mut slot = [0; 300];
        file.read_exact_at(&mut slot, at).unwrap();
        (u64::from_le_bytes(slot[8..16].try_into().unwrap()), at, slot)
    });
    let newest = slots.iter().max_by_key(|slot| slot.0).unwrap();
    older.copy_from_slice(&slots.iter().min_by_key(|slot| slot.0).unwrap().2);
    assert!(newest.0 > u64::from_le_bytes(older[8..16].try_into().unwrap()), "the slots are written in turn");
    file.write_all_at(&[0xff; 60], newest.1 + 30).unwrap();
    let mark::Found::Mark(found) = mark::find(backend.directory.path()).unwrap() else { panic!("the other slot is whole") };
    assert_eq!(found.sequence + 1, newest.0);
}

#[tokio::test]
async fn a_claim_that_could_not_be_written_is_refused_and_stays_refused() {
    let backend = MemoryBackend::new();
    let cache = backend.start(NOW);
    first(&cache, 0).await;
    // A disk that is full.
    let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
    cache.memory.tier(Tier::Minutes).write_to(Some(&Arc::new(Segment::onto(full, &backend.path("full"), MINUTES))));
    cache.claim(&claim(1), NOW).await.unwrap_err();
    // The segment is broken, but a new one can be had: the next claim goes on there.
    cache.raiser.break_current(MINUTES);
    first(&cache, 2).await;
    seen(&cache, 1).await;
    assert_eq!(backend.segments().len(), 2);
    drop(cache);
    let cache = backend.start(NOW);
    for n in [0, 2] {
        seen(&cache, n).await;
    }
}

#[tokio::test]
async fn while_no_segment_can_be_made_every_claim_is_refused() {
    let backend = MemoryBackend::new();
    let cache = backend.start(NOW);
    first(&cache, 0).await;
    cache.raiser.break_current(MINUTES);
    // A directory in the way of the next segment's first name.
    let in_the_way = backend.path("claims-minutes-000000000001.new");
    fs::create_dir(&in_the_way).unwrap();
    cache.claim(&claim(1), NOW).await.unwrap_err();
    fs::remove_dir(&in_the_way).unwrap();
    cache.claim(&claim(2), NOW).await.unwrap_err();
    let later = NOW.plus(Duration::from_secs(1));
    assert_eq!(cache.claim(&claim(1), later).await.unwrap(), Claim::First, "refused before it was claimed");
    seen(&cache, 0).await;
}

#[tokio::test]
async fn old_segments_go_and_claims_stay() {
    let backend = MemoryBackend::new();
    let mut cache = backend.start(NOW);
    for n in 0..40u8 {
        let now = NOW.plus(Duration::from_secs(u64::from(n) * 100));
        let one = NewClaim { signed_at: now, keep_until: now.plus(SETTINGS.window_past), ..claim(n) };
        assert_eq!(cache.claim(&one, now).await.unwrap(), Claim::First);
        if n % 7 == 3 {
            drop(cache);
            cache = backend.start(now);
            assert_eq!(cache.fence(), UnixMillis::MIN);
        }
        assert_eq!(cache.claim(&one, now).await.unwrap(), Claim::Seen);
    }
    drop(cache);
    assert!(backend.segments().len() <= 6, "{:?}", backend.segments());
    assert!(backend.start(NOW.plus(Duration::from_secs(3900))).stats().live <= 12);
}

#[tokio::test]
async fn claims_of_several_segments_stay_until_the_last_is_over() {
    let backend = MemoryBackend::new();
    let minutes = |n: u64| NOW.plus(Duration::from_secs(n * 60));
    // More segments than there are places, and the latest claims in the oldest.
    let claims = [15, 3, 2, 1].map(|kept| NewClaim { keep_until: minutes(kept), ..claim(kept as u8) });
    let mut cache = backend.start(NOW);
    for (seconds, one) in claims.iter().enumerate() {
        let now = NOW.plus(Duration::from_secs(seconds as u64 * 2));
        assert_eq!(cache.claim(one, now).await.unwrap(), Claim::First);
        cache.raiser.break_current(MINUTES);
    }
    for minute in [0, 7, 14, 15] {
        drop(cache);
        cache = backend.start(minutes(minute));
        let new = NewClaim { signed_at: minutes(minute), keep_until: minutes(minute + 1), ..claim(100 + minute as u8) };
        assert_eq!(cache.claim(&new, minutes(minute)).await.unwrap(), Claim::First);
        assert_eq!(cache.claim(&claims[0], minutes(minute)).await.unwrap(), Claim::Seen, "after {minute} minutes");
    }
}

#[tokio::test]
async fn a_process_that_ran_for_long_leaves_what_is_not_over() {
    let backend = MemoryBackend::new();
    let cache = backend.start(NOW);
    let at = |n: u8| NOW.plus(Duration::from_secs(u64::from(n) * 6 * 3600));
    let week = |n: u8| NewClaim { signed_at: at(n), keep_until: at(n).plus(Duration::from_secs(7 * 86_400)), tier: Tier::Week, ..claim(n) };
    for n in 0..150 {
        assert_eq!(cache.claim(&week(n), at(n)).await.unwrap(), Claim::First);
    }
    let stats = cache.stats();
    assert!(stats.live <= 4 * 10, "{stats:?}");
    drop(cache);
    let cache = backend.start(at(149));
    assert_eq!(cache.stats().live, stats.live);
    for n in 122..150 {
        assert_eq!(cache.claim(&week(n), at(149)).await.unwrap(), Claim::Seen, "{n}");
    }
}

#[tokio::test]
async fn a_process_that_is_started_often_forgets_all_the_same() {
    let backend = MemoryBackend::new();
    let day = Duration::from_secs(86_400);
    for n in 0..40u8 {
        let now = NOW.plus(day * u32::from(n));
        let week = |n: u8, at: UnixMillis| NewClaim { signed_at: at, keep_until: at.plus(day * 7), tier: Tier::Week, ..claim(n) };
        for hour in 0..4 {
            let now = now.plus(Duration::from_secs(hour * 3600));
            let cache = backend.start(now);
            let one = week(n * 4 + hour as u8, now);
            assert_eq!(cache.claim(&one, now).await.unwrap(), Claim::First);
            for old in n.saturating_sub(6)..n {
                let at = NOW.plus(day * u32::from(old));
                assert_eq!(cache.claim(&week(old * 4, at), now).await.unwrap(), Claim::Seen, "{old} on day {n}");
            }
            // Seven days of it, and an eighth more.
            assert!(cache.stats().live <= 4 * 10, "{} on day {n}", cache.stats().live);
        }
    }
    let segments = backend.log(Kind::Claims(Tier::Week));
    assert!(segments.len() <= 11, "{segments:?}");
}

#[tokio::test]
async fn a_start_by_itself_leaves_nothing_behind() {
    let backend = MemoryBackend::new();
    five(&backend).await;
    let files = || fs::read_dir(backend.directory.path()).unwrap().count();
    let before = files();
    for _ in 0..20 {
        let cache = backend.start(NOW);
        seen(&cache, 3).await;
    }
    assert_eq!(files(), before);
}

#[tokio::test]
async fn what_is_lost_of_one_tier_with_timestamps_is_lost_of_all_and_of_no_others() {
    for tier in [Tier::Minutes, Tier::Hours, Tier::Week] {
        let backend = MemoryBackend::new();
        let mark = five(&backend).await;
        fs::remove_file(&backend.log(Kind::Claims(tier))[0]).unwrap();
        let cache = backend.start(NOW);
        is_fenced(&cache, mark).await;
        for tier in [Tier::Hours, Tier::Week] {
            assert_eq!(cache.claim(&NewClaim { tier, ..claim(1) }, NOW).await.unwrap(), Claim::BeforeFence);
        }
        assert_eq!(cache.claim(&NewClaim { tier: Tier::Untimed, ..claim(1) }, NOW).await.unwrap(), Claim::First);
    }
}

#[tokio::test]
async fn two_processes_do_not_share_a_directory() {
    let backend = MemoryBackend::new();
    let cache = backend.start(NOW);
    let error = MemoryReplay::open(backend.directory.path(), SETTINGS, NOW, "boot 0").map(drop).unwrap_err().to_string();
    assert!(error.contains(&format!("process {}", std::process::id())) && error.contains("stop it first"), "{error}");
    drop(cache);
    drop(backend.start(NOW));
}

#[tokio::test]
async fn nobody_else_can_read_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let inside = directory.path().join("replay");
    let cache = MemoryReplay::open(&inside, SETTINGS, NOW, "boot 0").unwrap();
    first(&cache, 1).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&inside), 0o700);
    for entry in fs::read_dir(&inside).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

/// A claim as far as it comes without waiting, and what it would wait for.
fn claim_without_waiting(cache: &MemoryReplay, claim: &NewClaim, now: UnixMillis) -> (Claim, Option<Raising>) {
    match cache.claim_now(claim, now).unwrap() {
        Claimed::Answer(answer) => (answer, None),
        Claimed::Written(raising) => (Claim::First, Some(raising)),
        Claimed::Taken(unwritten) => {
            unwritten.write().unwrap();
            (Claim::First, cache.raiser.raise_for(claim.signed_at))
        }
    }
}

#[tokio::test]
async fn a_request_that_is_given_up_leaves_its_claim_in_the_log() {
    let backend = MemoryBackend::new();
    let cache = backend.start(NOW);
    let given_up = claim(1);
    let mut claiming = cache.claim(&given_up, NOW);
    assert!(claiming.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(claiming);
    seen(&cache, 1).await;
    drop(cache);
    seen(&backend.start(NOW), 1).await;
}

#[test]
fn claims_that_come_together_are_written_together() {
    let directory = tempfile::tempdir().unwrap();
    let id = Id { kind: Kind::Claims(Tier::Minutes), epoch: 9, number: 5 };
    let segment = Arc::new(Segment::create(directory.path(), id, NOW).unwrap());
    let records = || segment.length().unwrap() / RECORD as u64 - 1;
    let [first, second, third] = [1, 2, 3].map(|n| segment.take(&record::of_claim(&claim(n))));
    assert_eq!(records(), 0, "taken is not written");
    second.write().unwrap();
    assert_eq!(records(), 3);
    first.write().unwrap();
    drop(third);
    assert_eq!(records(), 3, "once each");
    segment.take(&record::of_claim(&claim(4))).write().unwrap();
    assert_eq!(records(), 4);
}

#[test]
fn when_a_write_fails_nobody_who_was_in_it_goes_on() {
    let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
    let segment = Arc::new(Segment::onto(full, Path::new("full"), Kind::Claims(Tier::Minutes)));
    let taken = [1, 2].map(|n| segment.take(&record::of_claim(&claim(n))));
    for unwritten in taken {
        unwritten.write().unwrap_err();
    }
    assert!(segment.is_broken());
}

#[test]
fn steady_traffic_does_not_wait() {
    let backend = MemoryBackend::new();
    let cache = backend.start(NOW);
    // No runtime: a future that would wait is never woken. Each claim is given a moment in which the thread can raise the mark.
    let mut waited = 0;
    for n in 0..200u16 {
        let now = NOW.plus(Duration::from_millis(u64::from(n) * 500));
        let [high, low] = n.to_be_bytes();
        let mut one = NewClaim { signed_at: now, keep_until: now.plus(SETTINGS.window_past), ..claim(low) };
        one.nonce[0] = high;
        one.message[0] = high;
        let (answer, raising) = claim_without_waiting(&cache, &one, now);
        assert_eq!(answer, Claim::First);
        waited += u32::from(raising.is_some());
        while cache.stats().mark < now.plus(HEADROOM) {
            std::thread::yield_now();
        }
    }
    assert_eq!(waited, 1, "only the first");
}

proptest! {
    #[test]
    fn every_claim_reads_back_from_the_log(claims in prop::collection::vec(any::<([u8; 16], [u8; 16], [u8; 16], i64, i64)>(), 0..50), torn in 0..RECORD) {
        let directory = tempfile::tempdir().unwrap();
        let id = Id { kind: MINUTES, epoch: 5, number: 9 };
        let segment = Segment::create(directory.path(), id, NOW).unwrap();
        let claims: Vec<NewClaim> = claims
            .into_iter()
            .map(|(fingerprint, nonce, message, signed, keep)| NewClaim {
                fingerprint: Fingerprint(fingerprint),
                nonce,
                message,
                signed_at: UnixMillis::from_millis(signed),
                keep_until: UnixMillis::from_millis(keep),
                tier: Tier::Minutes,
                counter: None,
            })
            .collect();
        let half = claims.len() / 2;
        for claim in &claims[..half] {
            segment.append(&record::of_claim(claim)).unwrap();
        }
        // Half a record, as a full disk leaves it, and then others go on.
        (&segment.file).write_all(&vec![0xa5; torn]).unwrap();
        for claim in &claims[half..] {
            segment.append(&record::of_claim(claim)).unwrap();
        }
        let mut read = Vec::new();
        let again = Segment::read(&segment.path, id, Tail::Refuse, |content| read.push(record::claim(content, Tier::Minutes))).unwrap();
        prop_assert_eq!(read, claims);
        prop_assert_eq!(again.begun, NOW);
        for other in [Id { epoch: 6, ..id }, Id { number: 8, ..id }, Id { kind: UNTIMED, ..id }] {
            prop_assert!(Segment::read(&segment.path, other, Tail::CutOff, |_| ()).is_err());
        }
    }

    #[test]
    fn every_counter_reads_back_from_its_record(fingerprint: [u8; 16], counter: u64) {
        let counted = (Fingerprint(fingerprint), counter);
        prop_assert_eq!(record::counter(&record::of_counter(counted)), counted);
    }
}
