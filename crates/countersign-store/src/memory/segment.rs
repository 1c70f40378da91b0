//! One file of a log: what is claimed, one append each, before the answer. What was written survives the end of the process;
//! what was synced as well, the end of the machine.
//!
//! A segment is a header and records of 72 bytes: 64 of content and a check. All numbers are little-endian. Segments are
//! numbered without gaps within an epoch; an epoch is one unbroken memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use countersign_core::now::UnixMillis;

use super::log::Kind;

/// Bytes of a record, and of the header.
pub(super) const RECORD: usize = 72;
/// Bytes of what a record says.
pub(super) const CONTENT: usize = 64;
const MAGIC: &[u8; 8] = b"CSCLAIM2";

/// What a record says.
pub(super) type Content = [u8; CONTENT];

/// Which segment it is. Records of one do not check in another, so that neither a file in the wrong place nor a stale block of
/// a file system passes for one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id {
    pub kind: Kind,
    pub epoch: u64,
    /// Its place in the epoch.
    pub number: u64,
}

/// One file of the log.
pub(super) struct Segment {
    pub id: Id,
    pub path: PathBuf,
    pub file: File,
    /// When it was begun.
    pub begun: UnixMillis,
    broken: AtomicBool,
    /// Whether a sync failed: what had been appended since the one before may never reach the disk.
    unsynced: AtomicBool,
    /// How many bytes are on the disk for certain.
    synced: AtomicU64,
}

/// Why a segment was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the log is damaged at byte {0} of {1}")]
    Damaged(u64, PathBuf),
}

/// What is done with a segment that ends in bytes that are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// It is damaged.
    Refuse,
    /// They are cut off: a crash of the machine left them where nothing had been synced.
    CutOff,
}

impl Segment {
    /// Starts a segment. It gets its name when its header is whole; where the log is synced, both are on the disk when this
    /// returns.
    pub fn create(directory: &Path, id: Id, now: UnixMillis) -> io::Result<Self> {
        let path = directory.join(id.kind.file_name(id.number));
        let unfinished = path.with_extension("new");
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).mode(0o600).open(&unfinished)?;
        file.set_len(0)?;
        let made = file.write_all(&header(id, now)).and_then(|()| {
            if id.kind.is_synced() {
                file.sync_all()?;
            }
            fs::rename(&unfinished, &path)?;
            if id.kind.is_synced() { File::open(directory)?.sync_all() } else { Ok(()) }
        });
        if let Err(error) = made {
            // Nothing was promised about it.
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        let synced = if id.kind.is_synced() { RECORD } else { 0 };
        Ok(Self::over(id, path, file, now, synced))
    }

    /// Appends a record in one `write`. After a failure the segment takes no more: bytes of half a record may be in it.
    pub fn append(&self, content: &Content) -> io::Result<()> {
        self.append_all(&with_check(content, seed(self.id)))
    }

    /// Appends records, in one `write` too.
    pub fn append_many(&self, contents: impl Iterator<Item = Content>) -> io::Result<()> {
        let records: Vec<u8> = contents.flat_map(|content| with_check(&content, seed(self.id))).collect();
        self.append_all(&records)
    }

    fn append_all(&self, bytes: &[u8]) -> io::Result<()> {
        if self.is_broken() {
            return Err(io::Error::other("an earlier write failed"));
        }
        loop {
            let error = match (&self.file).write(bytes) {
                Ok(written) if written == bytes.len() => return Ok(()),
                Ok(_) => io::Error::from(io::ErrorKind::StorageFull),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            self.broken.store(true, Ordering::Release);
            return Err(error);
        }
    }

    /// Waits until everything appended so far is on the disk. After a failure it takes no more, and is not synced again: the
    /// system may think of what it could not write as written.
    pub fn sync(&self) -> io::Result<()> {
        if self.failed_to_sync() {
            return Ok(());
        }
        let synced = self.length().and_then(|length| {
            if length > self.synced() {
                self.file.sync_data()?;
                self.synced.fetch_max(length, Ordering::AcqRel);
            }
            Ok(())
        });
        if synced.is_err() {
            self.fail_to_sync();
        }
        synced
    }

    pub(super) fn fail_to_sync(&self) {
        self.unsynced.store(true, Ordering::Release);
        self.broken.store(true, Ordering::Release);
    }

    /// Whether a sync failed. What was appended and not known to be synced before is to be refused.
    pub fn failed_to_sync(&self) -> bool {
        self.unsynced.load(Ordering::Acquire)
    }

    /// Whether a write or a sync failed.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// How many bytes it has.
    pub fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// How many bytes of it a crash of the machine leaves there.
    pub fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Opens a segment and gives every record in it to `each`. It can be appended to. Half a record, left by a write that failed
    /// and was refused, is passed over; about anything else that does not check, `tail` says what it is.
    pub fn read(path: &Path, id: Id, tail: Tail, mut each: impl FnMut(&Content)) -> Result<Self, Unreadable> {
        let file = OpenOptions::new().read(true).append(true).open(path)?;
        let damaged = |at: u64| Unreadable::Damaged(at, path.to_owned());
        let mut bytes = Vec::with_capacity(CHUNK + RECORD * 2);
        let (mut done, mut at, mut ended) = (0usize, 0u64, false);
        let seed = seed(id);
        let mut begun = None;
        loop {
            if !ended && bytes.len().saturating_sub(done) < RECORD * 2 {
                bytes.drain(..done.min(bytes.len()));
                done = 0;
                ended = (&file).take(CHUNK as u64).read_to_end(&mut bytes)? == 0;
                continue;
            }
            let rest = bytes.get(done..).unwrap_or_default();
            if begun.is_none() {
                begun = Some(begun_in(rest, id).ok_or_else(|| damaged(0))?);
                (done, at) = (RECORD, RECORD as u64);
                continue;
            }
            if rest.is_empty() {
                break;
            }
            let skip = match content(rest, seed) {
                Some(content) => {
                    each(&content);
                    RECORD
                }
                None => match (1..RECORD).find(|skip| rest.get(*skip..).is_some_and(|rest| content(rest, seed).is_some())) {
                    Some(skip) => skip,
                    None if rest.len() < RECORD => break,
                    None if tail == Tail::CutOff => {
                        file.set_len(at)?;
                        break;
                    }
                    None => return Err(damaged(at)),
                },
            };
            done = done.saturating_add(skip);
            at = at.saturating_add(skip as u64);
        }
        let begun = begun.ok_or_else(|| damaged(0))?;
        Ok(Self::over(id, path.to_owned(), file, begun, 0))
    }

    fn over(id: Id, path: PathBuf, file: File, begun: UnixMillis, synced: usize) -> Self {
        let (broken, unsynced) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { id, path, file, begun, broken, unsynced, synced: AtomicU64::new(synced as u64) }
    }

    #[cfg(test)]
    pub fn break_it(&self) {
        self.broken.store(true, Ordering::Release);
    }

    #[cfg(test)]
    pub fn onto(file: File, path: &Path, kind: Kind) -> Self {
        Self::over(Id { kind, epoch: 0, number: 0 }, path.to_owned(), file, UnixMillis::MIN, 0)
    }
}

const CHUNK: usize = 1 << 20;

fn header(id: Id, begun: UnixMillis) -> [u8; RECORD] {
    let mut header = [0; CONTENT];
    let fields = [u64::from_le_bytes(*MAGIC), id.kind.code(), id.epoch, id.number, begun.millis().cast_unsigned()];
    for (to, field) in header.as_chunks_mut::<8>().0.iter_mut().zip(fields) {
        *to = field.to_le_bytes();
    }
    with_check(&header, 0)
}

/// When the segment was begun, if this is the header of the one that it should be.
fn begun_in(bytes: &[u8], id: Id) -> Option<UnixMillis> {
    let content = content(bytes, 0)?;
    let begun = content.as_chunks::<8>().0.get(4).map(|word| UnixMillis::from_millis(i64::from_le_bytes(*word)))?;
    bytes.starts_with(&header(id, begun)).then_some(begun)
}

const fn seed(id: Id) -> u64 {
    id.epoch.rotate_left(32) ^ id.kind.code().rotate_left(56) ^ id.number ^ 0x5bd1_e995_c0de_c1a1
}

fn content(bytes: &[u8], seed: u64) -> Option<Content> {
    let record: &[u8; RECORD] = bytes.first_chunk()?;
    let content: &Content = record.first_chunk()?;
    (with_check(content, seed) == *record).then_some(*content)
}

/// Adds the last 8 bytes. Finds torn and stale records; whoever can write the file on purpose is inside already.
fn with_check(content: &Content, seed: u64) -> [u8; RECORD] {
    let mut check = seed;
    for word in content.as_chunks::<8>().0 {
        check = (check ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
    }
    let check = (check ^ (check >> 29)).to_le_bytes();
    let mut record = [0; RECORD];
    if let Some(to) = record.first_chunk_mut() {
        *to = *content;
    }
    if let Some(to) = record.last_chunk_mut() {
        *to = check;
    }
    record
}
