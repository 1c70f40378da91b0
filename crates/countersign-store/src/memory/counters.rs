//! Counters: the highest number that was accepted from each secret. Kept without end, and logged, synced, before the answer.
//!
//! The log is carried forward: when it has become long, a new segment gets what is in memory, and the older ones go. Records may
//! stand in it in any order and more than once, as the highest one counts.
//!
//! Why each one is synced, and no mark runs ahead as it does for timestamps: a counter is not a clock. A mark ahead of it would
//! refuse what clients that count 1, 2, 3 send after a crash, and where those that send microseconds would stand after it
//! depends on a unit that nobody told. A sync costs such a request some milliseconds; others do not wait for it.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_core::replay::Fingerprint;

use super::segment::Segment;
use super::shards::Inserted;

/// All counters.
pub(super) struct Counters {
    state: Mutex<State>,
    most: u32,
    /// Records in the log, about.
    logged: AtomicU64,
    /// Whether counters that were accepted are unknown, and the file that says so.
    lost: AtomicBool,
    note: PathBuf,
}

struct State {
    highest: HashMap<Fingerprint, u64>,
    /// Where they are written; none once closed.
    segment: Option<Arc<Segment>>,
}

/// Fewer records than this are not worth a new segment.
const SHORT: u64 = 4096;

impl Counters {
    /// No counters yet, at most this many. Whether some were lost is told by the directory.
    pub fn new(directory: &Path, most: u32) -> io::Result<Self> {
        let note = directory.join("counters-lost");
        let lost = note.try_exists()?;
        let state = State { highest: HashMap::new(), segment: None };
        Ok(Self { state: Mutex::new(state), most, logged: AtomicU64::new(0), lost: AtomicBool::new(lost), note })
    }

    /// Counts, if the number is higher and `insert` gets the claim in, all in one step. With the segment that the counter is to
    /// be written to.
    pub fn count(&self, fingerprint: Fingerprint, counter: u64, insert: impl FnOnce() -> Inserted) -> (Inserted, Option<Arc<Segment>>) {
        if self.is_lost() {
            return (Inserted::CounterLost, None);
        }
        let mut state = self.state();
        let Some(segment) = state.segment.clone() else { return (Inserted::Closed, None) };
        if segment.is_broken() {
            return (Inserted::Broken, None);
        }
        match state.highest.get(&fingerprint) {
            Some(highest) if counter <= *highest => return (Inserted::Seen, None),
            None if state.highest.len() >= self.most as usize => return (Inserted::Full, None),
            _ => {}
        }
        let inserted = insert();
        if !matches!(inserted, Inserted::First(_)) {
            return (inserted, None);
        }
        state.highest.insert(fingerprint, counter);
        self.logged.fetch_add(1, Ordering::Relaxed);
        (inserted, Some(segment))
    }

    /// Takes over a counter that was read from the log.
    pub fn restore(&self, (fingerprint, counter): (Fingerprint, u64)) {
        let mut state = self.state();
        let highest = state.highest.entry(fingerprint).or_insert(counter);
        *highest = counter.max(*highest);
        self.logged.fetch_add(1, Ordering::Relaxed);
    }

    /// From now on counters go to this segment, or nowhere. Returns those that were counted before.
    pub fn write_to(&self, segment: Option<&Arc<Segment>>) -> Vec<(Fingerprint, u64)> {
        let mut state = self.state();
        state.segment = segment.cloned();
        state.highest.iter().map(|(fingerprint, counter)| (*fingerprint, *counter)).collect()
    }

    /// Whether the log has so many records that it should be carried forward.
    pub fn is_long(&self) -> bool {
        let logged = self.logged.load(Ordering::Relaxed);
        logged >= SHORT && logged / 4 >= self.len()
    }

    /// The log was carried forward with this many records, or is to be left alone for a while.
    pub fn carried(&self, records: u64) {
        self.logged.store(records, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.state().highest.len() as u64
    }

    /// Writes down, durably, that counters were lost. Those that are known stay known.
    pub fn lose(&self) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.note)?;
        file.write_all(LOST.as_bytes())?;
        file.sync_all()?;
        if let Some(directory) = self.note.parent() {
            File::open(directory)?.sync_all()?;
        }
        self.lost.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether counters were lost, and the operator has not said that they may be forgotten.
    fn is_lost(&self) -> bool {
        if !self.lost.load(Ordering::Acquire) {
            return false;
        }
        // When it cannot be told it is there.
        let gone = fs::metadata(&self.note).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        if gone && self.lost.swap(false, Ordering::AcqRel) {
            tracing::warn!("counters of signed requests begin anew, as {} was removed", self.note.display());
        }
        !gone
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A thread that panicked while it held the lock left whole values behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const LOST: &str = "\
The gateway does not know all counters that were used in signed requests: it lost them, or a scheme goes by a counter now
that did not before. So it cannot tell a new request from one that was used before, and requests of schemes with a counter
are refused (counter_lost) while this file is here.

Replace the secrets of all keys that sign with a counter: what was signed with the old ones is then worth nothing. Remove
this file afterwards; the gateway need not be restarted. Without new secrets, each request that was ever sent can be sent
once more.
";
