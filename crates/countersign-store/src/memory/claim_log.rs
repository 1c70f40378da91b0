//! Claims on disk: appended without a sync. What was written survives the end of the process, not of the machine.
//!
//! Claims that come at the same time are written together: each is taken first, and whoever goes on first writes all that were
//! taken by then. Nobody goes on before its own claim is written.
//!
//! A segment is a header and records of 72 bytes: fingerprint, nonce, message, signed at, keep until, check. All numbers are
//! little-endian. Segments are numbered without gaps within an epoch; an epoch is one unbroken memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use countersign_core::now::UnixMillis;
use countersign_core::replay::{Fingerprint, NewClaim};

use crate::ReplayUnavailable;

/// Bytes of a record, and of the header.
pub(super) const RECORD: usize = 72;
const CHECKED: usize = 64;
const MAGIC: &[u8; 8] = b"CSCLAIM1";

/// One file of the log.
pub(super) struct Segment {
    /// Its place in the epoch.
    pub number: u64,
    pub path: PathBuf,
    pub file: File,
    epoch: u64,
    broken: AtomicBool,
    waiting: Mutex<Waiting>,
}

/// Claims that were taken and are not written yet.
#[derive(Default)]
struct Waiting {
    records: Vec<u8>,
    /// How many claims were taken since the segment was opened, and how many of them are written.
    taken: u64,
    written: u64,
}

/// A claim that does not count before it is written. Dropped, it is written all the same: a request that is given up meanwhile
/// does not take its claim back.
#[must_use]
pub(super) struct Unwritten {
    segment: Option<Arc<Segment>>,
    place: u64,
}

impl Unwritten {
    /// Writes it, unless that was done together with another.
    ///
    /// # Errors
    /// When it cannot be written. The claim stays in memory, so its request is refused and stays refused.
    pub fn write(mut self) -> Result<(), ReplayUnavailable> {
        let Some(segment) = self.segment.take() else { return Ok(()) };
        segment.write_up_to(self.place).map_err(|error| ReplayUnavailable(format!("{}: {error}", segment.path.display())))
    }
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        if let Some(segment) = self.segment.take() {
            // A failure breaks the segment, which the next claim finds.
            let _ = segment.write_up_to(self.place);
        }
    }
}

/// Why a segment was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the claim log is damaged at byte {0} of {1}")]
    Damaged(u64, PathBuf),
}

impl Segment {
    /// Starts a segment. It gets its name when its header is whole.
    pub fn create(directory: &Path, epoch: u64, number: u64) -> io::Result<Self> {
        let path = directory.join(format!("claims-{number:012}.log"));
        let unfinished = path.with_extension("new");
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).mode(0o600).open(&unfinished)?;
        file.set_len(0)?;
        let made = file.write_all(&header(epoch, number)).and_then(|()| fs::rename(&unfinished, &path));
        if let Err(error) = made {
            // Nothing was promised about it.
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        Ok(Self::new(number, path, file, epoch))
    }

    fn new(number: u64, path: PathBuf, file: File, epoch: u64) -> Self {
        Self { number, path, file, epoch, broken: AtomicBool::new(false), waiting: Mutex::default() }
    }

    /// Takes a claim into the next write.
    pub fn take(self: &Arc<Self>, claim: &NewClaim) -> Unwritten {
        let record = encode(claim, seed(self.epoch, self.number));
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.records.extend_from_slice(&record);
        waiting.taken = waiting.taken.saturating_add(1);
        Unwritten { segment: Some(Arc::clone(self)), place: waiting.taken }
    }

    /// Writes what was taken, in one `write`, unless the first `place` claims are written. After a failure the segment takes no
    /// more: bytes of half a record may be in it.
    fn write_up_to(&self, place: u64) -> io::Result<()> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if place <= waiting.written {
            return Ok(());
        }
        if self.is_broken() {
            return Err(io::Error::other("an earlier write failed"));
        }
        loop {
            let error = match (&self.file).write(&waiting.records) {
                Ok(length) if length == waiting.records.len() => {
                    waiting.written = waiting.taken;
                    waiting.records.clear();
                    return Ok(());
                }
                Ok(_) => io::Error::from(io::ErrorKind::StorageFull),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            self.broken.store(true, Ordering::Release);
            waiting.records = Vec::new();
            return Err(error);
        }
    }

    /// Whether a write failed.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// How many bytes it has.
    pub fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Opens a segment and gives every claim in it to `each`. Half a record, left by a write that failed and was refused, is
    /// passed over; anything else that does not check is damage.
    pub fn read(path: &Path, epoch: u64, number: u64, mut each: impl FnMut(NewClaim)) -> Result<Self, Unreadable> {
        let file = OpenOptions::new().read(true).append(true).open(path)?;
        let damaged = |at: u64| Unreadable::Damaged(at, path.to_owned());
        let mut bytes = Vec::with_capacity(CHUNK + RECORD * 2);
        let (mut done, mut at, mut ended) = (0usize, 0u64, false);
        let seed = seed(epoch, number);
        let mut expect_header = true;
        loop {
            if !ended && bytes.len().saturating_sub(done) < RECORD * 2 {
                bytes.drain(..done.min(bytes.len()));
                done = 0;
                ended = (&file).take(CHUNK as u64).read_to_end(&mut bytes)? == 0;
                continue;
            }
            let rest = bytes.get(done..).unwrap_or_default();
            if expect_header {
                if rest.first_chunk::<RECORD>() != Some(&header(epoch, number)) {
                    return Err(damaged(0));
                }
                expect_header = false;
                (done, at) = (RECORD, RECORD as u64);
                continue;
            }
            if rest.is_empty() {
                break;
            }
            let skip = match decode(rest, seed) {
                Some(claim) => {
                    each(claim);
                    RECORD
                }
                None => match (1..RECORD).find(|skip| rest.get(*skip..).is_some_and(|rest| decode(rest, seed).is_some())) {
                    Some(skip) => skip,
                    None if rest.len() < RECORD => break,
                    None => return Err(damaged(at)),
                },
            };
            done = done.saturating_add(skip);
            at = at.saturating_add(skip as u64);
        }
        Ok(Self::new(number, path.to_owned(), file, epoch))
    }

    #[cfg(test)]
    pub fn break_it(&self) {
        self.broken.store(true, Ordering::Release);
    }

    #[cfg(test)]
    pub fn onto(file: File, path: &Path) -> Self {
        Self::new(0, path.to_owned(), file, 0)
    }
}

const CHUNK: usize = 1 << 20;

/// The segments in a directory, by number.
pub(super) fn find(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix("claims-").and_then(|name| name.strip_suffix(".log")).and_then(|digits| digits.parse().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort();
    Ok(found)
}

fn header(epoch: u64, number: u64) -> [u8; RECORD] {
    let mut header = [0; RECORD];
    let fields = [u64::from_le_bytes(*MAGIC), epoch, number];
    for (to, field) in header.as_chunks_mut::<8>().0.iter_mut().zip(fields) {
        *to = field.to_le_bytes();
    }
    with_check(header, 0)
}

/// Records of one segment do not check in another, so that a stale block of a file system does not pass for a record.
const fn seed(epoch: u64, number: u64) -> u64 {
    epoch.rotate_left(32) ^ number ^ 0x5bd1_e995_c0de_c1a1
}

fn encode(claim: &NewClaim, seed: u64) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    let (signed, keep) = (claim.signed_at.millis().to_le_bytes(), claim.keep_until.millis().to_le_bytes());
    let mut rest = record.as_mut_slice();
    for field in [&claim.fingerprint.0[..], &claim.nonce, &claim.message, &signed, &keep] {
        if let Some((to, after)) = std::mem::take(&mut rest).split_at_mut_checked(field.len()) {
            to.copy_from_slice(field);
            rest = after;
        }
    }
    with_check(record, seed)
}

fn decode(bytes: &[u8], seed: u64) -> Option<NewClaim> {
    let record: &[u8; RECORD] = bytes.first_chunk()?;
    if with_check(*record, seed) != *record {
        return None;
    }
    let (fingerprint, rest) = record.split_first_chunk::<16>()?;
    let (nonce, rest) = rest.split_first_chunk::<16>()?;
    let (message, rest) = rest.split_first_chunk::<16>()?;
    let (signed_at, rest) = rest.split_first_chunk::<8>()?;
    let (keep_until, _) = rest.split_first_chunk::<8>()?;
    Some(NewClaim {
        fingerprint: Fingerprint(*fingerprint),
        nonce: *nonce,
        message: *message,
        signed_at: UnixMillis::from_millis(i64::from_le_bytes(*signed_at)),
        keep_until: UnixMillis::from_millis(i64::from_le_bytes(*keep_until)),
    })
}

/// Sets the last 8 bytes. Finds torn and stale records; whoever can write the file on purpose is inside already.
fn with_check(mut record: [u8; RECORD], seed: u64) -> [u8; RECORD] {
    let mut check = seed;
    let (words, _) = record.as_chunks_mut::<8>();
    for (i, word) in words.iter_mut().enumerate() {
        if i == CHECKED / 8 {
            *word = (check ^ (check >> 29)).to_le_bytes();
        } else {
            check = (check ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
        }
    }
    record
}
