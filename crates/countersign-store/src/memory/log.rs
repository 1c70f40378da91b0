//! The logs: one for the claims of each tier, one for the counters. Which segments each has, and which are no longer needed.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use countersign_core::now::UnixMillis;
use countersign_core::replay::Tier;

use super::mark::LogNote;
use super::segment::{Id, Segment};

/// Which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Claims(Tier),
    Counters,
}

impl Kind {
    /// All there are, in the order of the mark.
    pub const ALL: [Self; 5] =
        [Self::Claims(Tier::Minutes), Self::Claims(Tier::Hours), Self::Claims(Tier::Week), Self::Claims(Tier::Untimed), Self::Counters];

    /// Whether what is logged is on the disk before it is answered. Where a timestamp is signed the mark does that for all of
    /// them at once; where none is, nothing else would tell after a crash of the machine what was accepted before.
    pub const fn is_synced(self) -> bool {
        matches!(self, Self::Claims(Tier::Untimed) | Self::Counters)
    }

    pub const fn code(self) -> u64 {
        match self {
            Self::Claims(Tier::Minutes) => 1,
            Self::Claims(Tier::Hours) => 2,
            Self::Claims(Tier::Week) => 3,
            Self::Claims(Tier::Untimed) => 4,
            Self::Counters => 5,
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Claims(Tier::Minutes) => "claims-minutes-",
            Self::Claims(Tier::Hours) => "claims-hours-",
            Self::Claims(Tier::Week) => "claims-week-",
            Self::Claims(Tier::Untimed) => "claims-untimed-",
            Self::Counters => "counters-",
        }
    }

    pub fn file_name(self, number: u64) -> String {
        format!("{}{number:012}.log", self.prefix())
    }

    /// The segments in a directory, by number.
    pub fn find(self, directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let number = name.strip_prefix(self.prefix()).and_then(|name| name.strip_suffix(".log")).and_then(|digits| digits.parse().ok());
            found.extend(number.map(|number| (number, path)));
        }
        found.sort();
        Ok(found)
    }
}

/// One log.
pub(super) struct Log {
    pub kind: Kind,
    pub epoch: u64,
    /// Claims kept until this or less are perhaps forgotten.
    pub forgotten: UnixMillis,
    /// Oldest first; the last one is written to.
    entries: VecDeque<Entry>,
    /// No longer needed; removed once the mark says so.
    pub obsolete: Vec<PathBuf>,
    /// A new segment is not tried for more often than once a second.
    retry_at: UnixMillis,
}

/// A segment, and until when the claims in it are kept; `MAX` while that is not known.
pub(super) struct Entry {
    pub segment: Arc<Segment>,
    pub keep: UnixMillis,
}

/// How long after a failure a new segment is tried for again.
pub(super) const RETRY: Duration = Duration::from_secs(1);

impl Log {
    /// A log that goes on with these segments.
    pub fn new(kind: Kind, note: &LogNote, entries: VecDeque<Entry>, obsolete: Vec<PathBuf>) -> Self {
        Self { kind, epoch: note.epoch, forgotten: note.forgotten, entries, obsolete, retry_at: UnixMillis::MIN }
    }

    /// All segments that are needed, oldest first.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = &Arc<Segment>> {
        self.entries.iter().map(|entry| &entry.segment)
    }

    /// The one that is written to.
    pub fn current(&self) -> Option<&Arc<Segment>> {
        self.segments().last()
    }

    /// Makes the next segment, which is written to from now on: tell those who write.
    pub fn begin_segment(&mut self, directory: &Path, now: UnixMillis) -> io::Result<Arc<Segment>> {
        let number = self.current().map_or(0, |segment| segment.id.number.saturating_add(1));
        let segment = Arc::new(Segment::create(directory, Id { kind: self.kind, epoch: self.epoch, number }, now)?);
        self.entries.push_back(Entry { segment: Arc::clone(&segment), keep: UnixMillis::MAX });
        Ok(segment)
    }

    /// Makes the next segment if a write to the current one failed; `None` if none did. Not more often than once a second.
    pub fn repair(&mut self, directory: &Path, now: UnixMillis) -> io::Result<Option<Arc<Segment>>> {
        if self.current().is_some_and(|segment| !segment.is_broken()) {
            return Ok(None);
        }
        if now < self.retry_at && self.retry_at.since(now) <= RETRY {
            return Err(io::Error::other("the log cannot be written; it is tried again in a second"));
        }
        self.retry_at = now.plus(RETRY);
        self.begin_segment(directory, now).map(Some)
    }

    /// All claims in the segments before the current one are kept until `keep` at most.
    pub fn close_generation(&mut self, keep: UnixMillis) {
        let before = self.entries.len().saturating_sub(1);
        for entry in self.entries.iter_mut().take(before).filter(|entry| entry.keep == UnixMillis::MAX) {
            entry.keep = keep;
        }
    }

    /// Claims kept until `forgotten` or less are no longer in memory: the segments that have no others go, from the oldest on.
    pub fn forget(&mut self, forgotten: UnixMillis) {
        self.forgotten = self.forgotten.max(forgotten);
        while self.entries.len() > 1
            && let Some(entry) = self.entries.pop_front_if(|entry| entry.keep <= self.forgotten)
        {
            self.obsolete.push(entry.segment.path.clone());
        }
    }

    /// All that was in the segments before this one is in it too.
    pub fn go_on_from(&mut self, segment: &Segment) {
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.segment.id.number < segment.id.number) {
            self.obsolete.push(entry.segment.path.clone());
        }
    }

    /// What the mark is to say: what must be found after a crash.
    pub fn note(&self) -> io::Result<LogNote> {
        let mut note = LogNote::new(self.epoch, self.forgotten);
        for (place, segment) in self.segments().enumerate() {
            if place == 0 {
                note.oldest = segment.id.number;
            }
            note.bytes_before = note.bytes_before.saturating_add(note.bytes_current);
            note.current = segment.id.number;
            note.bytes_current = if self.kind.is_synced() { segment.synced() } else { segment.length()? };
        }
        Ok(note)
    }
}
