//! The durable mark M: never below the highest signed timestamp that was accepted, and what must be found beside it.
//!
//! Two slots in one file, written in turn and synced: whatever a crash tears, the other slot stays.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use countersign_core::now::UnixMillis;
use countersign_core::replay::Tier;

use super::log::Kind;

const MAGIC: u64 = u64::from_le_bytes(*b"CSMARK02");
/// Slots are a page apart, so that one torn page is one torn slot.
const SLOT: u64 = 4096;
const LOGS: usize = Kind::ALL.len();
const WORDS: usize = 9 + 6 * LOGS;
const BYTES: usize = (WORDS + 4) * 8;

/// What a slot says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// Grows with each write; tells which slot is newer.
    pub sequence: u64,
    /// M.
    pub highest: UnixMillis,
    /// Requests signed at or before this were perhaps claimed in a memory that was lost.
    pub fence: UnixMillis,
    /// Requests without a timestamp that were received at or before this were perhaps claimed in a memory that was lost.
    pub untimed_fence: UnixMillis,
    /// The boot of the machine during which it was written, as 16 bytes of a hash.
    pub boot: [u8; 16],
    /// Whether the logs were synced and closed.
    pub closed: bool,
    /// Whether a counter was ever accepted.
    pub counters: bool,
    /// What there must be of each log, in the order of [`Kind::ALL`].
    pub logs: [LogNote; LOGS],
}

/// Which segments a log has, and how long they are at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogNote {
    /// Which unbroken memory the log is of.
    pub epoch: u64,
    /// Claims kept until this or less are perhaps forgotten.
    pub forgotten: UnixMillis,
    /// The oldest segment that is needed.
    pub oldest: u64,
    /// The one that is written to.
    pub current: u64,
    /// Bytes in the segments before the current one.
    pub bytes_before: u64,
    /// Bytes in the current one.
    pub bytes_current: u64,
}

impl LogNote {
    /// A log that nothing was written to.
    pub const fn new(epoch: u64, forgotten: UnixMillis) -> Self {
        Self { epoch, forgotten, oldest: 0, current: 0, bytes_before: 0, bytes_current: 0 }
    }
}

impl Mark {
    /// What there must be of a log.
    pub const fn note(&self, kind: Kind) -> LogNote {
        let [minutes, hours, week, untimed, counters] = self.logs;
        match kind {
            Kind::Claims(Tier::Minutes) => minutes,
            Kind::Claims(Tier::Hours) => hours,
            Kind::Claims(Tier::Week) => week,
            Kind::Claims(Tier::Untimed) => untimed,
            Kind::Counters => counters,
        }
    }
}

/// What was found of the mark.
pub(super) enum Found {
    /// No file.
    Missing,
    /// A file without a slot that checks.
    Damaged,
    /// The newest slot that checks.
    Mark(Box<Mark>),
}

/// The open file.
pub(super) struct MarkFile(File);

/// Looks for the mark.
pub(super) fn find(directory: &Path) -> io::Result<Found> {
    let bytes = match fs::read(directory.join("mark")) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
        Err(error) => return Err(error),
    };
    let slots = [0, SLOT as usize].into_iter().filter_map(|at| decode(bytes.get(at..)?));
    Ok(slots.max_by_key(|mark| mark.sequence).map_or(Found::Damaged, |mark| Found::Mark(Box::new(mark))))
}

impl MarkFile {
    /// Replaces the file by one that says `mark` in both slots, durably.
    pub fn replace(directory: &Path, mark: &Mark) -> io::Result<Self> {
        let unfinished = directory.join("mark.new");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        for slot in [0, SLOT] {
            file.write_all_at(&encode(mark), slot)?;
        }
        file.sync_all()?;
        fs::rename(&unfinished, directory.join("mark"))?;
        File::open(directory)?.sync_all()?;
        Ok(Self(file))
    }

    /// Writes the next slot and waits until it is on the disk.
    pub fn write(&self, mark: &Mark) -> io::Result<()> {
        let slot = if mark.sequence.is_multiple_of(2) { 0 } else { SLOT };
        self.0.write_all_at(&encode(mark), slot)?;
        self.0.sync_data()
    }
}

fn encode(mark: &Mark) -> [u8; BYTES] {
    let (first, second) = mark.boot.split_at(8);
    let word = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let moment = |moment: UnixMillis| moment.millis().cast_unsigned();
    let own = [
        MAGIC,
        mark.sequence,
        moment(mark.highest),
        moment(mark.fence),
        moment(mark.untimed_fence),
        word(first),
        word(second),
        mark.closed.into(),
        mark.counters.into(),
    ];
    let logs =
        mark.logs.iter().flat_map(|log| [log.epoch, moment(log.forgotten), log.oldest, log.current, log.bytes_before, log.bytes_current]);
    let mut bytes = [0; BYTES];
    for (to, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(own.into_iter().chain(logs)) {
        *to = word.to_le_bytes();
    }
    let (content, check) = bytes.split_at_mut(WORDS * 8);
    for (to, from) in check.iter_mut().zip(digest(&SHA256, content).as_ref()) {
        *to = *from;
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<Mark> {
    let bytes: &[u8; BYTES] = bytes.first_chunk()?;
    let (words, _) = bytes.as_chunks::<8>();
    let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
    let mut next = || words.next();
    let moment = |word: u64| UnixMillis::from_millis(word.cast_signed());
    (next()? == MAGIC).then_some(())?;
    let (sequence, highest, fence, untimed_fence) = (next()?, moment(next()?), moment(next()?), moment(next()?));
    let mut boot = [0; 16];
    for to in boot.as_chunks_mut::<8>().0 {
        *to = next()?.to_le_bytes();
    }
    let (closed, counters) = (next()? == 1, next()? == 1);
    let mut logs = [LogNote::new(0, UnixMillis::MIN); LOGS];
    for log in &mut logs {
        let (epoch, forgotten) = (next()?, moment(next()?));
        *log = LogNote { epoch, forgotten, oldest: next()?, current: next()?, bytes_before: next()?, bytes_current: next()? };
    }
    let mark = Mark { sequence, highest, fence, untimed_fence, boot, closed, counters, logs };
    (encode(&mark) == *bytes).then_some(mark)
}
