//! What an earlier process left: its claims and counters, if nothing of them can be missing, and the fence otherwise.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use countersign_core::now::UnixMillis;
use countersign_core::replay::{Fingerprint, Tier};

use super::counters::Counters;
use super::log::{Entry, Kind, Log};
use super::mark::{self, Found, LogNote, Mark};
use super::segment::{Content, Id, Segment, Tail};
use super::shards::Shards;
use super::tiers::{self, TierLog};
use super::{BLOCK, Memory, ReplaySettings, record};
use crate::ReplayUnavailable;

/// What to go on with.
pub(super) struct Recovered {
    pub directory: PathBuf,
    pub memory: Arc<Memory>,
    /// What the mark must say from now on; not written yet. What it says of the logs is not in it.
    pub mark: Mark,
    pub tiers: Vec<TierLog>,
    pub counters: Log,
}

/// Reads the mark and the logs.
pub(super) fn recover(
    directory: &Path,
    settings: &ReplaySettings,
    held_before: bool,
    now: UnixMillis,
    boot: &str,
) -> Result<Recovered, ReplayUnavailable> {
    let failed = |error: io::Error| ReplayUnavailable(format!("{}: {error}", directory.display()));
    let counters = Counters::new(directory, settings.counters_in_all).map_err(failed)?;
    let start = Start { directory, settings, now, boot: boot_hash(boot), counters };
    let mut left = Vec::new();
    for kind in Kind::ALL {
        left.extend(kind.find(directory).map_err(failed)?);
    }
    let why = match mark::find(directory).map_err(failed)? {
        Found::Mark(mark) => return start.go_on(&mark).map_err(failed),
        Found::Missing if left.is_empty() && !held_before && !settings.started_before => return start.first().map_err(failed),
        Found::Missing => "the mark is missing",
        Found::Damaged => "the mark is damaged",
    };
    start.without_a_mark(why).map_err(failed)
}

fn boot_hash(boot: &str) -> [u8; 16] {
    let mut hash = [0; 16];
    for (to, from) in hash.iter_mut().zip(digest(&SHA256, boot.as_bytes()).as_ref()) {
        *to = *from;
    }
    hash
}

/// What a start goes by.
struct Start<'a> {
    directory: &'a Path,
    settings: &'a ReplaySettings,
    now: UnixMillis,
    boot: [u8; 16],
    counters: Counters,
}

/// A log that was read, with what it has in memory.
struct Loaded {
    log: Log,
    shards: Shards,
    places: Vec<UnixMillis>,
    /// The highest signed timestamp in it.
    highest: UnixMillis,
    /// Until when the claims in it are kept.
    latest: UnixMillis,
}

impl Start<'_> {
    fn first(self) -> io::Result<Recovered> {
        let mark = self.new_mark(UnixMillis::MIN);
        self.start_with(mark, Vec::new(), None)
    }

    /// Without a mark nothing tells what was accepted; no signature further ahead than this was.
    fn without_a_mark(self, why: &str) -> io::Result<Recovered> {
        let fence = self.now.plus(self.settings.window_future.saturating_add(BLOCK));
        tracing::warn!(%fence, "the replay memory is lost, and everything signed up to the fence is refused: {why}");
        self.lose_counters(why)?;
        let mark = Mark { untimed_fence: fence, ..self.new_mark(fence) };
        self.start_over(&mark, &Kind::ALL)?;
        self.start_with(mark, Vec::new(), None)
    }

    /// Goes on with what the logs have. Those with timestamps are lost together, as they have one fence.
    fn go_on(self, old: &Mark) -> io::Result<Recovered> {
        let same_boot = old.boot == self.boot || old.closed;
        let tail = if same_boot { Tail::Refuse } else { Tail::CutOff };
        let mut mark = Mark { boot: self.boot, closed: false, ..old.clone() };
        let mut lost = Vec::new();
        self.fence_other_terms(old.highest, &mut mark)?;

        let timed = if same_boot {
            [Tier::Minutes, Tier::Hours, Tier::Week].into_iter().map(|tier| self.load(tier, old, tail)).collect()
        } else {
            Err("the machine was started again without a clean stop before".to_owned())
        };
        let mut loaded: Vec<Loaded> = timed.unwrap_or_else(|why| {
            tracing::warn!(fence = %old.highest, "the replay memory is lost, and everything signed up to the mark is refused: {why}");
            mark.fence = mark.fence.max(old.highest);
            lost.extend([Tier::Minutes, Tier::Hours, Tier::Week].map(Kind::Claims));
            Vec::new()
        });
        match self.load(Tier::Untimed, old, tail) {
            Ok(untimed) => loaded.push(untimed),
            Err(why) => {
                let fence = old.highest;
                tracing::warn!(%fence, "claims without a timestamp are lost, and each is refused for as long as it would be kept: {why}");
                mark.untimed_fence = mark.untimed_fence.max(fence);
                lost.push(Kind::Claims(Tier::Untimed));
            }
        }
        let counters = match self.load_counters(old, tail) {
            Ok(log) => Some(log),
            Err(why) => {
                // Where none was accepted, none is lost.
                if old.counters {
                    self.lose_counters(&why)?;
                }
                mark.counters = false;
                lost.push(Kind::Counters);
                None
            }
        };

        mark.highest = loaded.iter().map(|loaded| loaded.highest).fold(mark.highest, UnixMillis::max);
        if !lost.is_empty() {
            let epoch = self.new_epoch(Some(old));
            for (kind, note) in Kind::ALL.iter().zip(&mut mark.logs) {
                if lost.contains(kind) {
                    *note = LogNote::new(epoch, note.forgotten);
                }
            }
            self.start_over(&mark, &lost)?;
        }
        let claims: u64 = loaded.iter().map(|loaded| loaded.shards.live()).sum();
        tracing::info!(claims, counters = self.counters.len(), now = %self.now, "replay claims read back");
        self.start_with(mark, loaded, counters)
    }

    /// What was claimed under other terms is refused like what was lost.
    fn fence_other_terms(&self, highest: UnixMillis, mark: &mut Mark) -> io::Result<()> {
        let changed = self.settings.changed;
        if changed.timed {
            tracing::warn!(fence = %highest, "a scheme keeps its claims in another way than before: everything with a timestamp that was signed up to the mark is refused");
            mark.fence = mark.fence.max(highest);
        }
        if changed.untimed {
            // A timestamp that counted until now can be older than its receipt.
            let fence = highest.max(self.now);
            tracing::warn!(%fence, "a scheme without a timestamp, or with a counter, keeps its claims in another way than before: requests without a timestamp are refused for as long as they would be kept");
            mark.untimed_fence = mark.untimed_fence.max(fence);
        }
        if changed.counted {
            self.lose_counters("a scheme goes by a counter now that did not before")?;
        }
        Ok(())
    }

    /// Says durably that what is lost is lost, and then removes what is left of it: a crash in between must not look like a
    /// first start.
    fn start_over(&self, mark: &Mark, lost: &[Kind]) -> io::Result<()> {
        let mark = Mark { sequence: mark.sequence.saturating_add(1), ..mark.clone() };
        mark::MarkFile::replace(self.directory, &mark)?;
        for kind in lost {
            for (_, path) in kind.find(self.directory)? {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn lose_counters(&self, why: &str) -> io::Result<()> {
        tracing::warn!(
            "counters of signed requests are unknown, and requests with a counter are refused; the file counters-lost says what to do: {why}"
        );
        self.counters.lose()
    }

    fn new_mark(&self, fence: UnixMillis) -> Mark {
        let log = LogNote::new(self.new_epoch(None), UnixMillis::MIN);
        Mark {
            sequence: 0,
            highest: fence,
            fence,
            untimed_fence: UnixMillis::MIN,
            boot: self.boot,
            closed: false,
            counters: false,
            logs: [log; Kind::ALL.len()],
        }
    }

    /// Past every epoch that left a segment behind, also when the mark that knew of it is gone.
    fn new_epoch(&self, old: Option<&Mark>) -> u64 {
        let epochs = old.into_iter().flat_map(|old| &old.logs).map(|note| note.epoch);
        epochs.max().unwrap_or(0).saturating_add(1).max(self.now.millis().unsigned_abs())
    }

    /// What was loaded, and empty memory for what was not.
    fn start_with(self, mark: Mark, mut loaded: Vec<Loaded>, counters: Option<Log>) -> io::Result<Recovered> {
        let windows = self.settings.windows();
        let (mut shards, mut tiers) = (Vec::new(), Vec::new());
        for tier in Tier::ALL {
            let kind = Kind::Claims(tier);
            let place = loaded.iter().position(|loaded| loaded.log.kind == kind);
            let loaded = place.map_or_else(|| Loaded::nothing(tier, mark.note(kind)), |place| loaded.swap_remove(place));
            shards.push(loaded.shards);
            tiers.push(TierLog::new(tier, loaded.log, loaded.places, loaded.latest.since(self.now), windows));
        }
        let shards = shards.try_into().map_err(|_| io::Error::other("one memory for each tier"))?;
        let counters = counters.unwrap_or_else(|| Log::new(Kind::Counters, &mark.note(Kind::Counters), VecDeque::new(), Vec::new()));
        let memory = Arc::new(Memory { tiers: shards, counters: self.counters });
        Ok(Recovered { directory: self.directory.to_owned(), memory, mark, tiers, counters })
    }

    /// Loads every claim of a tier, or says why some may be missing.
    fn load(&self, tier: Tier, mark: &Mark, tail: Tail) -> Result<Loaded, String> {
        let kind = Kind::Claims(tier);
        let Loaded { shards, mut places, mut highest, .. } = Loaded::nothing(tier, mark.note(kind));
        let mut keeps = Vec::new();
        let read = |segments_after: usize, content: &Content| {
            let claim = record::claim(content, tier);
            highest = highest.max(claim.signed_at);
            if keeps.len() <= segments_after {
                keeps.resize(segments_after.saturating_add(1), UnixMillis::MIN);
            }
            if let Some(keep) = keeps.get_mut(segments_after) {
                *keep = claim.keep_until.max(*keep);
            }
            shards.restore(&claim, place_of(segments_after, &places));
        };
        let (segments, obsolete) = read_log(self.directory, kind, &mark.note(kind), tail, read)?;
        let keep_of = |segments_after: usize| keeps.get(segments_after).copied().unwrap_or(UnixMillis::MIN);
        let mut entries = VecDeque::new();
        for (segments_after, segment) in (0..segments.len()).rev().zip(segments) {
            let place = place_of(segments_after, &places).and_then(|place| places.get_mut(place));
            let keep = match place {
                Some(place) => {
                    *place = keep_of(segments_after).max(*place);
                    keep_of(segments_after)
                }
                None => UnixMillis::MAX,
            };
            entries.push_back(Entry { segment, keep });
        }
        let latest = keeps.into_iter().max().unwrap_or(UnixMillis::MIN);
        Ok(Loaded { log: Log::new(kind, &mark.note(kind), entries, obsolete), shards, places, highest, latest })
    }

    fn load_counters(&self, mark: &Mark, tail: Tail) -> Result<Log, String> {
        let note = mark.note(Kind::Counters);
        let mut read: Vec<(Fingerprint, u64)> = Vec::new();
        let (segments, obsolete) = read_log(self.directory, Kind::Counters, &note, tail, |_, content| read.push(record::counter(content)))?;
        for counter in read {
            self.counters.restore(counter);
        }
        let entries = segments.into_iter().map(|segment| Entry { segment, keep: UnixMillis::MAX }).collect();
        Ok(Log::new(Kind::Counters, &note, entries, obsolete))
    }
}

impl Loaded {
    fn nothing(tier: Tier, note: LogNote) -> Self {
        let places = vec![UnixMillis::MIN; tiers::places(tier)];
        let shards = Shards::new(note.forgotten, places.len());
        let log = Log::new(Kind::Claims(tier), &note, VecDeque::new(), Vec::new());
        Self { log, shards, places, highest: UnixMillis::MIN, latest: UnixMillis::MIN }
    }
}

/// Where claims of a segment go that so many others follow: those of the last one are current, and go on in it.
fn place_of(segments_after: usize, places: &[UnixMillis]) -> Option<usize> {
    let before = segments_after.checked_sub(1)?;
    Some(before.min(places.len().saturating_sub(1)))
}

/// Gives every record of a log to `each`, with how many segments follow its own, or says why some may be missing. Returns the
/// segments, and the files that are over and were not removed yet.
fn read_log(
    directory: &Path,
    kind: Kind,
    note: &LogNote,
    tail: Tail,
    mut each: impl FnMut(usize, &Content),
) -> Result<(Vec<Arc<Segment>>, Vec<PathBuf>), String> {
    // Older ones were about to be removed: all that was in them is over.
    let found = kind.find(directory).map_err(|error| error.to_string())?;
    let (found, over): (Vec<_>, Vec<_>) = found.into_iter().partition(|(number, _)| *number >= note.oldest);
    let mut segments = Vec::new();
    let (mut bytes_before, mut bytes_current) = (0u64, 0u64);
    for (place, (number, path)) in found.iter().enumerate() {
        if *number != note.oldest.saturating_add(place as u64) {
            return Err(format!("a part of the log before {} is missing", path.display()));
        }
        let id = Id { kind, epoch: note.epoch, number: *number };
        let after = found.len().saturating_sub(place).saturating_sub(1);
        let segment = Segment::read(path, id, tail, |content| each(after, content)).map_err(|error| error.to_string())?;
        let length = segment.length().map_err(|error| error.to_string())?;
        match number.cmp(&note.current) {
            std::cmp::Ordering::Less => bytes_before = bytes_before.saturating_add(length),
            std::cmp::Ordering::Equal => bytes_current = length,
            std::cmp::Ordering::Greater => {}
        }
        segments.push(Arc::new(segment));
    }
    if segments.last().is_none_or(|last| last.id.number < note.current) {
        return Err(format!("the log {}, or its end, is missing", kind.file_name(note.current)));
    }
    if bytes_before < note.bytes_before || bytes_current < note.bytes_current {
        return Err("the log is shorter than it was".into());
    }
    Ok((segments, over.into_iter().map(|(_, path)| path).collect()))
}
