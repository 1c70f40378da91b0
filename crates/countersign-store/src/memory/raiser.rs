//! The thread that waits for the disk: it raises and syncs the mark, syncs the logs that must be, and carries counters forward.
//! And the turn of generations and segments, by whoever comes when it is due.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use countersign_core::now::UnixMillis;
use tokio::sync::{oneshot, watch};

use super::log::Log;
use super::mark::{Mark, MarkFile};
use super::recovery::Recovered;
use super::segment::Segment;
use super::tiers::TierLog;
use super::{HEADROOM, Memory, ORDER, raised, record};
use crate::ReplayUnavailable;

/// Raises the mark on a thread of its own, because a sync blocks.
pub(super) struct Raiser {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    memory: Arc<Memory>,
    logs: Mutex<Logs>,
    /// When a generation turns next.
    next_turn: AtomicI64,
    /// The mark that is on the disk.
    synced: AtomicI64,
    /// The mark that was asked for.
    wanted: AtomicI64,
    /// How often a sync of the logs was asked for.
    asked: AtomicU64,
    /// Asks for a write of the mark that only tells of the logs.
    note: AtomicBool,
    stop: AtomicBool,
    close: Mutex<Option<oneshot::Sender<Result<(), ReplayUnavailable>>>>,
    progress: watch::Sender<Progress>,
    segments: AtomicU64,
}

#[derive(Clone, Copy)]
struct Progress {
    synced: UnixMillis,
    /// How often the mark could not be written.
    failures: u64,
    /// As many requests for a sync of the logs are done, well or badly: the segments tell.
    answered: u64,
    /// Whether the mark on the disk says that counters were accepted.
    counters: bool,
}

/// All logs.
struct Logs {
    directory: PathBuf,
    mark: Mark,
    tiers: Vec<TierLog>,
    counters: Log,
    /// Closing has begun: there will be no more segments.
    stopped: bool,
}

/// What is on its way to the disk.
pub(super) struct Raising {
    /// The mark must reach this.
    until: UnixMillis,
    failures: u64,
    /// The logs must be synced as asked for by this.
    ticket: u64,
    /// The mark must say that counters were accepted.
    counter: bool,
    /// What must have been synced. Not held: closing waits for whoever holds one.
    written: Vec<Weak<Segment>>,
    progress: watch::Receiver<Progress>,
}

impl Raiser {
    /// Starts the logs and the thread. When this returns, the mark on the disk tells of both.
    pub fn start(recovered: Recovered, now: UnixMillis) -> Result<Self, ReplayUnavailable> {
        let Recovered { directory, memory, mark, tiers, counters } = recovered;
        let failed = |error: io::Error| ReplayUnavailable(format!("{}: {error}", directory.display()));
        let mut logs = Logs { directory: directory.clone(), mark, tiers, counters, stopped: false };
        for log in logs.all_mut() {
            if log.current().is_none() {
                log.begin_segment(&directory, now).map_err(failed)?;
            }
            if log.kind.is_synced() {
                log.segments().try_for_each(|segment| segment.sync()).map_err(failed)?;
            }
        }
        logs.mark.sequence = logs.mark.sequence.saturating_add(1);
        logs.take_notes().map_err(failed)?;
        let file = MarkFile::replace(&directory, &logs.mark).map_err(failed)?;
        for tier in &logs.tiers {
            memory.tier(tier.tier).write_to(tier.log.current());
        }
        memory.counters.write_to(logs.counters.current());
        let (highest, counters) = (logs.mark.highest, logs.mark.counters);
        let shared = Arc::new(Shared {
            memory,
            next_turn: AtomicI64::new(logs.due().millis()),
            synced: AtomicI64::new(highest.millis()),
            wanted: AtomicI64::new(highest.millis()),
            asked: AtomicU64::new(0),
            note: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            close: Mutex::new(None),
            progress: watch::Sender::new(Progress { synced: highest, failures: 0, answered: 0, counters }),
            segments: AtomicU64::new(logs.segments()),
            logs: Mutex::new(logs),
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
        progress.map(|progress| Raising { until: signed_at, failures, ticket: 0, counter: false, written: Vec::new(), progress })
    }

    /// The same, and asks for what was written to these segments to be synced: of the claim, and of its counter if it has one.
    pub fn raise_and_sync(&self, signed_at: UnixMillis, claim: &Arc<Segment>, counter: Option<&Arc<Segment>>) -> Raising {
        let progress = self.shared.progress.subscribe();
        let Progress { failures, counters: noted, .. } = *progress.borrow();
        let above = self.raise_for(signed_at).is_some();
        if counter.is_some() && !noted {
            self.shared.note.store(true, ORDER);
        }
        let ticket = self.shared.asked.fetch_add(1, ORDER).saturating_add(1);
        self.wake();
        Raising {
            until: if above { signed_at } else { UnixMillis::MIN },
            failures,
            ticket,
            counter: counter.is_some(),
            written: [Some(claim), counter].into_iter().flatten().map(Arc::downgrade).collect(),
            progress,
        }
    }

    /// Turns generations when the time has come. Whoever comes meanwhile goes on with the old ones.
    pub fn turn_if_due(&self, now: UnixMillis) {
        if now.millis() < self.shared.next_turn.load(ORDER) {
            return;
        }
        let Ok(mut logs) = self.shared.logs.try_lock() else { return };
        if now < logs.due() || logs.stopped {
            return;
        }
        let Logs { directory, tiers, .. } = &mut *logs;
        for tier in tiers.iter_mut().filter(|tier| tier.due <= now) {
            tier.turn(self.shared.memory.tier(tier.tier), directory, now);
        }
        self.shared.next_turn.store(logs.due().millis(), ORDER);
        drop(logs);
        self.note();
    }

    /// Goes on in new segments after a failed write.
    pub fn repair(&self, now: UnixMillis) -> Result<(), ReplayUnavailable> {
        let mut logs = self.shared.logs();
        if logs.stopped {
            return Ok(());
        }
        let Logs { directory, tiers, counters, .. } = &mut *logs;
        let failed = |error: io::Error| ReplayUnavailable(format!("{}: {error}", directory.display()));
        let mut repaired = false;
        for tier in tiers {
            if let Some(segment) = tier.log.repair(directory, now).map_err(failed)? {
                self.shared.memory.tier(tier.tier).write_to(Some(&segment));
                repaired = true;
            }
        }
        if let Some(segment) = counters.repair(directory, now).map_err(failed)? {
            self.shared.memory.counters.write_to(Some(&segment));
            repaired = true;
        }
        drop(logs);
        if repaired {
            tracing::warn!("the claim log failed and goes on in a new segment");
            self.note();
        }
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
    pub fn break_current(&self, kind: super::log::Kind) {
        let logs = self.shared.logs();
        for log in logs.all().filter(|log| log.kind == kind) {
            log.current().unwrap().break_it();
        }
        for tier in &logs.tiers {
            self.shared.memory.tier(tier.tier).write_to(tier.log.current());
        }
        self.shared.memory.counters.write_to(logs.counters.current());
    }

    /// How many bytes of a log may not be on the disk.
    #[cfg(test)]
    pub fn unsynced(&self, kind: super::log::Kind) -> u64 {
        let logs = self.shared.logs();
        let segments = logs.all().filter(|log| log.kind == kind).flat_map(Log::segments);
        segments.map(|segment| segment.length().unwrap() - segment.synced()).sum()
    }

    #[cfg(test)]
    pub fn fail_to_sync(&self, kind: super::log::Kind) {
        let logs = self.shared.logs();
        logs.all().filter(|log| log.kind == kind).for_each(|log| log.current().unwrap().fail_to_sync());
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
    /// Waits until the mark is high enough, and what was written is synced.
    pub async fn done(mut self) -> Result<(), ReplayUnavailable> {
        let Self { until, failures, ticket, counter, .. } = self;
        let is_marked = |progress: &Progress| progress.synced >= until && (progress.counters || !counter);
        let is_done = |progress: &Progress| is_marked(progress) && progress.answered >= ticket;
        let has_failed = |progress: &Progress| !is_marked(progress) && progress.failures != failures;
        match self.progress.wait_for(|progress| is_done(progress) || has_failed(progress)).await {
            Ok(progress) if is_done(&progress) => {}
            _ => return Err(ReplayUnavailable("the mark cannot be written".into())),
        }
        // A segment that is gone was over, or another one holds what was in it.
        if self.written.iter().filter_map(Weak::upgrade).any(|segment| segment.failed_to_sync()) {
            return Err(ReplayUnavailable("the log cannot be synced".into()));
        }
        Ok(())
    }
}

impl Shared {
    fn run(&self, file: &MarkFile) {
        let mut answered = 0;
        while !self.stop.load(ORDER) {
            let asked = self.close.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(done) = asked {
                // The caller may have gone; the log is closed all the same.
                let _ = done.send(self.close(file));
                continue;
            }
            let asked = self.asked.load(ORDER);
            if asked != answered {
                self.sync();
                answered = asked;
                self.progress.send_modify(|progress| progress.answered = asked);
                self.carry_counters();
            }
            let wanted = self.wanted.load(ORDER);
            if self.note.swap(false, ORDER) || wanted > self.synced.load(ORDER) {
                self.raise(file, UnixMillis::from_millis(wanted));
            } else {
                thread::park();
            }
        }
    }

    /// Syncs the logs that are to outlast the machine. What fails is known by its segment.
    fn sync(&self) {
        let segments: Vec<_> = self.logs().all().filter(|log| log.kind.is_synced()).flat_map(Log::segments).cloned().collect();
        for segment in segments {
            if let Err(error) = segment.sync() {
                tracing::error!(%error, path = %segment.path.display(), "a log cannot be synced: what was claimed in it last is refused");
            }
        }
    }

    /// Lets the log of the counters begin anew with what is in memory, when it has become long.
    fn carry_counters(&self) {
        if !self.memory.counters.is_long() {
            return;
        }
        let mut logs = self.logs();
        if logs.stopped {
            return;
        }
        let Logs { directory, counters, .. } = &mut *logs;
        let carried = counters.begin_segment(directory, UnixMillis::MIN).and_then(|segment| {
            let all = self.memory.counters.write_to(Some(&segment));
            // Also when it fails, so that it is not tried again at once.
            self.memory.counters.carried(all.len() as u64);
            drop(logs);
            segment.append_many(all.into_iter().map(record::of_counter))?;
            segment.sync()?;
            self.logs().counters.go_on_from(&segment);
            Ok(())
        });
        match carried {
            Ok(()) => self.note.store(true, ORDER),
            Err(error) => tracing::error!(%error, "the log of counters cannot be carried forward and goes on growing"),
        }
    }

    fn raise(&self, file: &MarkFile, wanted: UnixMillis) {
        match self.write(file, wanted) {
            Ok(counters) => {
                self.synced.fetch_max(wanted.millis(), ORDER);
                self.progress.send_modify(|progress| {
                    progress.synced = progress.synced.max(wanted);
                    progress.counters |= counters;
                });
            }
            Err(error) => {
                tracing::error!(%error, "the replay mark cannot be written: signed requests are refused");
                // Asked for anew by the next claim; those that wait are told.
                self.wanted.store(self.synced.load(ORDER), ORDER);
                self.progress.send_modify(|progress| progress.failures = progress.failures.wrapping_add(1));
            }
        }
    }

    /// Writes the mark with what the logs have now, and removes what it no longer names. Returns whether it tells of counters.
    fn write(&self, file: &MarkFile, wanted: UnixMillis) -> io::Result<bool> {
        let (mark, obsolete) = {
            let mut logs = self.logs();
            logs.mark.highest = logs.mark.highest.max(wanted);
            logs.mark.counters |= self.memory.counters.len() > 0;
            logs.take_notes()?;
            self.segments.store(logs.segments(), ORDER);
            let obsolete: Vec<Vec<PathBuf>> = logs.all_mut().map(|log| std::mem::take(&mut log.obsolete)).collect();
            (Mark { sequence: logs.mark.sequence.saturating_add(1), ..logs.mark.clone() }, obsolete)
        };
        let written = file.write(&mark);
        let mut logs = self.logs();
        match written {
            // Only now: after a failure the same slot is tried again, and the other one stays whole.
            Ok(()) => logs.mark.sequence = mark.sequence,
            Err(error) => {
                logs.all_mut().zip(obsolete).for_each(|(log, obsolete)| log.obsolete.extend(obsolete));
                return Err(error);
            }
        }
        drop(logs);
        for path in obsolete.into_iter().flatten() {
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "a segment that is over could not be removed");
            }
        }
        Ok(mark.counters)
    }

    fn close(&self, file: &MarkFile) -> Result<(), ReplayUnavailable> {
        let (segments, directory) = {
            let mut logs = self.logs();
            logs.stopped = true;
            for tier in &logs.tiers {
                self.memory.tier(tier.tier).write_to(None);
            }
            self.memory.counters.write_to(None);
            (logs.all().flat_map(Log::segments).cloned().collect::<Vec<_>>(), logs.directory.clone())
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
                segment.sync()?;
                if segment.failed_to_sync() {
                    return Err(io::Error::other("a segment could not be synced"));
                }
            }
            fs::File::open(&directory)?.sync_all()?;
            self.logs().mark.closed = true;
            self.write(file, UnixMillis::from_millis(self.wanted.load(ORDER))).map(|_| ())
        };
        sync().map_err(|error| ReplayUnavailable(format!("{}: {error}", directory.display())))
    }

    fn logs(&self) -> MutexGuard<'_, Logs> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long closing waits for writes under way.
const LONGEST_WRITE: Duration = Duration::from_secs(5);

impl Logs {
    /// In the order of the mark.
    fn all(&self) -> impl Iterator<Item = &Log> {
        self.tiers.iter().map(|tier| &tier.log).chain([&self.counters])
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Log> {
        self.tiers.iter_mut().map(|tier| &mut tier.log).chain([&mut self.counters])
    }

    fn due(&self) -> UnixMillis {
        self.tiers.iter().map(|tier| tier.due).min().unwrap_or(UnixMillis::MAX)
    }

    fn segments(&self) -> u64 {
        self.all().map(|log| log.segments().len() as u64).sum()
    }

    /// Lets the mark say what there is of the logs.
    fn take_notes(&mut self) -> io::Result<()> {
        let notes = self.all().map(Log::note).collect::<io::Result<Vec<_>>>()?;
        for (to, note) in self.mark.logs.iter_mut().zip(notes) {
            *to = note;
        }
        Ok(())
    }
}
