//! What an earlier process left: its claims, if nothing of them can be missing, and the fence otherwise.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use countersign_core::now::UnixMillis;

use super::claim_log::{self, Segment};
use super::mark::{self, Found, LogExtent, Mark};
use super::shards::Shards;
use crate::ReplayUnavailable;

/// What to go on with.
pub(super) struct Recovered {
    pub directory: std::path::PathBuf,
    pub shards: Arc<Shards>,
    /// What the mark must say from now on; not written yet.
    pub mark: Mark,
    /// Segments whose claims are in memory.
    pub segments: Vec<Arc<Segment>>,
    /// Segments that are over and were not removed yet.
    pub obsolete: Vec<std::path::PathBuf>,
    /// Until when the claims in the segments are kept.
    pub latest_keep: UnixMillis,
}

/// Reads the mark and the log. `ahead` is how far in front of `now` a signature may have been accepted.
pub(super) fn recover(
    directory: &Path,
    started_before: bool,
    ahead: Duration,
    now: UnixMillis,
    boot: &str,
) -> Result<Recovered, ReplayUnavailable> {
    let failed = |error: std::io::Error| ReplayUnavailable(format!("{}: {error}", directory.display()));
    let boot = boot_hash(boot);
    let found = mark::find(directory).map_err(failed)?;
    let segments = claim_log::find(directory).map_err(failed)?;
    let why = match found {
        Found::Missing if segments.is_empty() && !started_before => return fresh(directory, boot, None, UnixMillis::MIN, now),
        Found::Missing => "the mark is missing".to_owned(),
        Found::Damaged => "the mark is damaged".to_owned(),
        Found::Mark(mark) => match load(directory, &mark, boot, now) {
            Ok(recovered) => return Ok(recovered),
            Err(why) => {
                tracing::warn!(fence = %mark.highest, "the replay memory is lost, and everything signed up to the mark is refused: {why}");
                let fence = mark.fence.max(mark.highest);
                return start_over(directory, boot, Some(&mark), fence, now).map_err(failed);
            }
        },
    };
    // Without a mark nothing tells what was accepted; no signature further ahead than this was.
    let fence = now.plus(ahead);
    tracing::warn!(%fence, "the replay memory is lost, and everything signed up to the fence is refused: {why}");
    start_over(directory, boot, None, fence, now).map_err(failed)
}

fn boot_hash(boot: &str) -> [u8; 16] {
    let mut hash = [0; 16];
    for (to, from) in hash.iter_mut().zip(digest(&SHA256, boot.as_bytes()).as_ref()) {
        *to = *from;
    }
    hash
}

/// Loads every claim, or says why some may be missing.
fn load(directory: &Path, mark: &Mark, boot: [u8; 16], now: UnixMillis) -> Result<Recovered, String> {
    if mark.boot != boot && !mark.closed {
        return Err("the machine was started again without a clean stop before".into());
    }
    // Older ones were about to be removed: all that was in them is over.
    let found = claim_log::find(directory).map_err(|error| error.to_string())?;
    let (found, over): (Vec<_>, Vec<_>) = found.into_iter().partition(|(number, _)| *number >= mark.log.oldest);
    let obsolete = over.into_iter().map(|(_, path)| path).collect();
    let shards = Shards::new(mark.forgotten);
    let (mut highest, mut latest_keep) = (mark.highest, UnixMillis::MIN);
    let mut segments = Vec::new();
    let mut extent = LogExtent { oldest: mark.log.oldest, current: mark.log.current, ..LogExtent::default() };
    for (place, (number, path)) in found.iter().enumerate() {
        if *number != mark.log.oldest.saturating_add(place as u64) {
            return Err(format!("a part of the claim log before {} is missing", path.display()));
        }
        let segment = Segment::read(path, mark.epoch, *number, |claim| {
            highest = highest.max(claim.signed_at);
            latest_keep = latest_keep.max(claim.keep_until);
            shards.restore(&claim);
        })
        .map_err(|error| error.to_string())?;
        let length = segment.length().map_err(|error| error.to_string())?;
        match number.cmp(&mark.log.current) {
            std::cmp::Ordering::Less => extent.bytes_before = extent.bytes_before.saturating_add(length),
            std::cmp::Ordering::Equal => extent.bytes_current = length,
            std::cmp::Ordering::Greater => {}
        }
        segments.push(Arc::new(segment));
    }
    let last = segments.last().map(|segment| segment.number);
    if last.is_none_or(|last| last < mark.log.current) {
        return Err("the claim log is missing, or its end is".into());
    }
    if extent.bytes_before < mark.log.bytes_before || extent.bytes_current < mark.log.bytes_current {
        return Err("the claim log is shorter than it was".into());
    }
    tracing::info!(claims = shards.live(), %now, "replay claims read back");
    let mark = Mark { highest, boot, closed: false, ..mark.clone() };
    Ok(Recovered { directory: directory.to_owned(), shards: Arc::new(shards), mark, segments, obsolete, latest_keep })
}

fn start_over(directory: &Path, boot: [u8; 16], old: Option<&Mark>, fence: UnixMillis, now: UnixMillis) -> std::io::Result<Recovered> {
    let recovered = fresh(directory, boot, old, fence, now).map_err(|error| std::io::Error::other(error.0))?;
    // The fence must be on the disk before the log goes: a crash in between must not look like a first start.
    mark::MarkFile::replace(directory, &recovered.mark)?;
    for (_, path) in claim_log::find(directory)? {
        fs::remove_file(path)?;
    }
    Ok(recovered)
}

/// An empty memory in a new epoch.
fn fresh(directory: &Path, boot: [u8; 16], old: Option<&Mark>, fence: UnixMillis, now: UnixMillis) -> Result<Recovered, ReplayUnavailable> {
    let (sequence, epoch) = old.map_or((0, 0), |old| (old.sequence, old.epoch));
    let mark = Mark {
        sequence: sequence.saturating_add(1),
        highest: fence,
        fence,
        forgotten: old.map_or(UnixMillis::MIN, |old| old.forgotten),
        // Past every epoch that left a segment behind, also when the mark that knew of it is gone.
        epoch: epoch.saturating_add(1).max(now.millis().unsigned_abs()),
        boot,
        closed: false,
        log: LogExtent::default(),
    };
    let shards = Arc::new(Shards::new(mark.forgotten));
    Ok(Recovered {
        directory: directory.to_owned(),
        shards,
        mark,
        segments: Vec::new(),
        obsolete: Vec::new(),
        latest_keep: UnixMillis::MIN,
    })
}
