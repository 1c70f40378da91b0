//! The thread that raises and syncs the mark, and the turn of generations and segments.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use countersign_core::now::UnixMillis;
use tokio::sync::{oneshot, watch};

use super::claim_log::Segment;
use super::mark::{LogExtent, Mark, MarkFile};
use super::recovery::Recovered;
use super::shards::Shards;
use super::{HEADROOM, ORDER, raised};
use crate::ReplayUnavailable;

/// Raises the mark on a thread of its own, because a sync blocks.
pub(super) struct Raiser {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    shards: Arc<Shards>,
    log: Mutex<Log>,
    windows: Duration,
    /// When generations turn next.
    next_turn: AtomicI64,
    /// The mark that is on the disk.
    synced: AtomicI64,
    /// The mark that was asked for.
    wanted: AtomicI64,
    /// Asks for a write of the mark that only tells of the log.
    note: AtomicBool,
    stop: AtomicBool,
    close: Mutex<Option<oneshot::Sender<Result<(), ReplayUnavailable>>>>,
    progress: watch::Sender<Progress>,
    segments: AtomicU64,
}

#[derive(Clone, Copy)]
struct Progress {
    synced: UnixMillis,
    failures: u64,
}

/// The segments, by what they are needed for.
struct Log {
    directory: PathBuf,
    mark: Mark,
    previous: Vec<Arc<Segment>>,
    current: Vec<Arc<Segment>>,
    /// No longer needed; removed once the mark says so.
    obsolete: Vec<PathBuf>,
    /// Until when the claims of the previous generation are kept.
    previous_keep: UnixMillis,
    /// A new segment is not tried for more often than once a second.
    retry_at: UnixMillis,
    /// Closing has begun: there will be no more segments.
    stopped: bool,
}

/// A mark that is being raised.
pub(super) struct Raising {
    until: UnixMillis,
    failures: u64,
    progress: watch::Receiver<Progress>,
}

impl Raiser {
    /// Starts the log and the thread. When this returns, the mark on the disk tells of both.
    pub fn start(recovered: Recovered, windows: Duration, now: UnixMillis) -> Result<Self, ReplayUnavailable> {
        let Recovered { directory, shards, mut mark, segments, obsolete, latest_keep } = recovered;
        let failed = |error: io::Error| ReplayUnavailable(format!("{}: {error}", directory.display()));
        let next = segments.last().map_or(0, |segment| segment.number.saturating_add(1));
        let segment = Arc::new(Segment::create(&directory, mark.epoch, next).map_err(failed)?);
        let (previous, current) = (segments, vec![segment]);
        mark.sequence = mark.sequence.saturating_add(1);
        mark.log = extent(&previous, &current).map_err(failed)?;
        let file = MarkFile::replace(&directory, &mark).map_err(failed)?;
        shards.write_to(current.last());
        let progress = watch::Sender::new(Progress { synced: mark.highest, failures: 0 });
        let shared = Arc::new(Shared {
            windows,
            next_turn: AtomicI64::new(now.plus(windows).max(latest_keep).millis()),
            synced: AtomicI64::new(mark.highest.millis()),
            wanted: AtomicI64::new(mark.highest.millis()),
            note: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            close: Mutex::new(None),
            progress,
            segments: AtomicU64::new((previous.len() as u64).saturating_add(1)),
            log: Mutex::new(Log {
                directory: directory.clone(),
                mark,
                previous,
                current,
                obsolete,
                previous_keep: latest_keep,
                retry_at: UnixMillis::MIN,
                stopped: false,
            }),
            shards,
        });
        let of_thread = Arc::clone(&shared);
        let run = move || of_thread.run(&file);
        let thread = thread::Builder::new().name("replay-mark".into()).spawn(run).map_err(failed)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The mark that is on the disk.
    pub fn mark(&self) -> UnixMillis {
        UnixMillis::from_millis(self.shared.synced.load(ORDER))
    }

    pub fn segments(&self) -> u64 {
        self.shared.segments.load(ORDER)
    }

    /// Asks for a higher mark when `signed_at` comes near it; gives something to wait for when it is above.
    pub fn raise_for(&self, signed_at: UnixMillis) -> Option<Raising> {
        let synced = self.mark();
        if signed_at.plus(HEADROOM) <= synced {
            return None;
        }
        // Taken before asking: a failure from now on may be ours.
        let progress = (signed_at > synced).then(|| self.shared.progress.subscribe());
        let failures = progress.as_ref().map_or(0, |progress| progress.borrow().failures);
        let target = raised(signed_at).millis();
        if self.shared.wanted.fetch_max(target, ORDER) < target {
            self.wake();
        }
        progress.map(|progress| Raising { until: signed_at, failures, progress })
    }

    /// Turns the generations when the time has come. Whoever comes meanwhile goes on with the old ones.
    pub fn turn_if_due(&self, now: UnixMillis) {
        if now.millis() < self.shared.next_turn.load(ORDER) {
            return;
        }
        let Ok(mut log) = self.shared.log.try_lock() else { return };
        if now.millis() >= self.shared.next_turn.load(ORDER) && !log.stopped {
            let next = self.shared.turn(&mut log, now);
            self.shared.next_turn.store(next.millis(), ORDER);
            drop(log);
            self.note();
        }
    }

    /// Goes on in a new segment after a failed write.
    pub fn repair(&self, now: UnixMillis) -> Result<(), ReplayUnavailable> {
        let mut log = self.shared.log();
        if log.stopped || log.current.last().is_some_and(|segment| !segment.is_broken()) {
            return Ok(());
        }
        if now < log.retry_at && log.retry_at.since(now) <= RETRY {
            return Err(ReplayUnavailable("the claim log cannot be written; it is tried again in a second".into()));
        }
        log.retry_at = now.plus(RETRY);
        let segment = log.next_segment().map_err(|error| ReplayUnavailable(format!("{}: {error}", log.directory.display())))?;
        self.shared.shards.write_to(Some(&segment));
        log.current.push(segment);
        drop(log);
        tracing::warn!("the claim log failed and goes on in a new segment");
        self.note();
        Ok(())
    }

    /// Takes no more claims, and syncs those that were taken.
    pub async fn close(&self) -> Result<(), ReplayUnavailable> {
        let (done, closed) = oneshot::channel();
        *self.shared.close.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
        self.wake();
        closed.await.map_err(|_| ReplayUnavailable("it was closed already".into()))?
    }

    #[cfg(test)]
    pub fn break_current(&self) {
        if let Some(segment) = self.shared.log().current.last() {
            segment.break_it();
            self.shared.shards.write_to(Some(segment));
        }
    }

    fn note(&self) {
        self.shared.note.store(true, ORDER);
        self.wake();
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

const RETRY: Duration = Duration::from_secs(1);

impl Drop for Raiser {
    fn drop(&mut self) {
        self.shared.stop.store(true, ORDER);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // It only fails if the thread panicked, and then there is nothing left to do.
            let _ = thread.join();
        }
    }
}

impl Raising {
    /// Waits until the mark is high enough and on the disk.
    pub async fn done(mut self) -> Result<(), ReplayUnavailable> {
        let (until, failures) = (self.until, self.failures);
        let reached = self.progress.wait_for(|progress| progress.synced >= until || progress.failures != failures).await;
        match reached {
            Ok(progress) if progress.synced >= until => Ok(()),
            _ => Err(ReplayUnavailable("the mark cannot be written".into())),
        }
    }
}

impl Shared {
    fn run(&self, file: &MarkFile) {
        while !self.stop.load(ORDER) {
            let asked = self.close.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(done) = asked {
                // The caller may have gone; the log is closed all the same.
                let _ = done.send(self.close(file));
                continue;
            }
            let wanted = self.wanted.load(ORDER);
            if self.note.swap(false, ORDER) || wanted > self.synced.load(ORDER) {
                self.raise(file, UnixMillis::from_millis(wanted));
            } else {
                thread::park();
            }
        }
    }

    fn raise(&self, file: &MarkFile, wanted: UnixMillis) {
        match self.write(file, wanted) {
            Ok(()) => {
                self.synced.fetch_max(wanted.millis(), ORDER);
                self.progress.send_modify(|progress| progress.synced = progress.synced.max(wanted));
            }
            Err(error) => {
                tracing::error!(%error, "the replay mark cannot be written: signed requests are refused");
                // Asked for anew by the next claim; those that wait are told.
                self.wanted.store(self.synced.load(ORDER), ORDER);
                self.progress.send_modify(|progress| progress.failures = progress.failures.wrapping_add(1));
            }
        }
    }

    /// Writes the mark with what the log has now, and removes what it no longer names.
    fn write(&self, file: &MarkFile, wanted: UnixMillis) -> io::Result<()> {
        let (mark, obsolete) = {
            let mut log = self.log();
            log.mark.highest = log.mark.highest.max(wanted);
            log.mark.log = extent(&log.previous, &log.current)?;
            self.segments.store(log.previous.len().saturating_add(log.current.len()) as u64, ORDER);
            (Mark { sequence: log.mark.sequence.saturating_add(1), ..log.mark.clone() }, std::mem::take(&mut log.obsolete))
        };
        let written = file.write(&mark);
        let mut log = self.log();
        match written {
            // Only now: after a failure the same slot is tried again, and the other one stays whole.
            Ok(()) => log.mark.sequence = mark.sequence,
            Err(error) => {
                log.obsolete.extend(obsolete);
                return Err(error);
            }
        }
        drop(log);
        for path in obsolete {
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "a segment that is over could not be removed");
            }
        }
        Ok(())
    }

    /// Begins a generation. Returns when the next one is due.
    fn turn(&self, log: &mut Log, now: UnixMillis) -> UnixMillis {
        if now <= log.previous_keep {
            return log.previous_keep.plus(Duration::from_millis(1));
        }
        let segment = match log.next_segment() {
            Ok(segment) => segment,
            Err(error) => {
                tracing::error!(%error, "the claim log cannot turn to a new segment");
                return now.plus(RETRY);
            }
        };
        log.forget_previous();
        let mut keep = self.shards.turn(log.mark.forgotten, &segment);
        log.previous = std::mem::replace(&mut log.current, vec![segment]);
        log.previous_keep = keep;
        if keep < now {
            // Nothing of the last generation is needed either: it was quiet for a while.
            log.forget_previous();
            self.shards.forget_previous(log.mark.forgotten);
            keep = UnixMillis::MIN;
        }
        keep.plus(Duration::from_millis(1)).max(now.plus(self.windows))
    }

    fn close(&self, file: &MarkFile) -> Result<(), ReplayUnavailable> {
        let (segments, directory) = {
            let mut log = self.log();
            log.stopped = true;
            self.shards.write_to(None);
            (log.previous.iter().chain(&log.current).cloned().collect::<Vec<_>>(), log.directory.clone())
        };
        // Whoever is between inserting and writing holds the segment: one count is the log's, one ours.
        for _ in 0..LONGEST_WRITE.as_millis() {
            if segments.iter().all(|segment| Arc::strong_count(segment) <= 2) {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let sync = || {
            if segments.iter().any(|segment| Arc::strong_count(segment) > 2) {
                return Err(io::Error::other("a claim is still being written"));
            }
            for segment in &segments {
                segment.file.sync_all()?;
            }
            fs::File::open(&directory)?.sync_all()?;
            self.log().mark.closed = true;
            self.write(file, UnixMillis::from_millis(self.wanted.load(ORDER)))
        };
        sync().map_err(|error| ReplayUnavailable(format!("{}: {error}", directory.display())))
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long closing waits for writes under way.
const LONGEST_WRITE: Duration = Duration::from_secs(5);

impl Log {
    fn next_segment(&self) -> io::Result<Arc<Segment>> {
        let last = self.current.last().or(self.previous.last());
        let number = last.map_or(0, |segment| segment.number.saturating_add(1));
        Segment::create(&self.directory, self.mark.epoch, number).map(Arc::new)
    }

    /// The claims of the previous generation are all over.
    fn forget_previous(&mut self) {
        self.mark.forgotten = self.mark.forgotten.max(self.previous_keep);
        self.obsolete.extend(self.previous.drain(..).map(|segment| segment.path.clone()));
        self.previous_keep = UnixMillis::MIN;
    }
}

fn extent(previous: &[Arc<Segment>], current: &[Arc<Segment>]) -> io::Result<LogExtent> {
    let mut extent = LogExtent::default();
    let mut all = previous.iter().chain(current);
    if let Some(first) = all.next() {
        (extent.oldest, extent.current, extent.bytes_current) = (first.number, first.number, first.length()?);
    }
    for segment in all {
        extent.bytes_before = extent.bytes_before.saturating_add(extent.bytes_current);
        (extent.current, extent.bytes_current) = (segment.number, segment.length()?);
    }
    Ok(extent)
}
