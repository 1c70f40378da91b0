//! How often entries and credentials are used. Counted on each data thread without sharing, handed to the control side now and
//! then, and stored there: up to a second of counts is lost when the process is killed, never a decision.

use std::collections::HashMap;
use std::time::Duration;

use countersign_core::now::UnixMillis;
use countersign_store::{SharedStore, Use};
use tokio::sync::mpsc;

/// How often counts are stored.
const STORE_EVERY: Duration = Duration::from_secs(1);

/// The counts of one data thread.
pub struct UseTally {
    counts: foldhash::HashMap<String, (u64, UnixMillis)>,
    sender: mpsc::Sender<Vec<Use>>,
}

impl UseTally {
    /// Nothing counted yet.
    pub fn new(sender: mpsc::Sender<Vec<Use>>) -> Self {
        Self { counts: foldhash::HashMap::default(), sender }
    }

    /// Counts one use of the entry, API key or secret `id`.
    pub fn count(&mut self, id: &str, now: UnixMillis) {
        match self.counts.get_mut(id) {
            Some((count, last)) => {
                *count = count.saturating_add(1);
                *last = now;
            }
            None => {
                self.counts.insert(id.to_owned(), (1, now));
            }
        }
    }

    /// Hands the counts over, unless the control side is behind: then they are kept.
    pub fn hand_over(&mut self) {
        if self.counts.is_empty() {
            return;
        }
        if let Ok(place) = self.sender.try_reserve() {
            place.send(self.counts.drain().map(|(id, (count, last))| Use { id, count, last }).collect());
        }
    }
}

/// The way from the data threads to the store.
pub fn channel() -> (mpsc::Sender<Vec<Use>>, mpsc::Receiver<Vec<Use>>) {
    mpsc::channel(64)
}

/// Stores what is handed over until all data threads are gone.
pub async fn store(mut inbox: mpsc::Receiver<Vec<Use>>, store: SharedStore) {
    let mut together: HashMap<String, Use> = HashMap::new();
    while let Some(first) = inbox.recv().await {
        let mut next = Some(first);
        while let Some(uses) = next {
            for one in uses {
                match together.get_mut(&one.id) {
                    Some(sum) => {
                        sum.count = sum.count.saturating_add(one.count);
                        sum.last = sum.last.max(one.last);
                    }
                    None => {
                        together.insert(one.id.clone(), one);
                    }
                }
            }
            next = inbox.try_recv().ok();
        }
        let uses: Vec<Use> = together.values().cloned().collect();
        match store.record_uses(&uses).await {
            Ok(()) => together.clear(),
            // Kept and tried again with the next ones.
            Err(error) => tracing::warn!(%error, "uses could not be stored"),
        }
        tokio::time::sleep(STORE_EVERY).await;
    }
}
