//! From the store to the rules in force: after a change, the part that changed is read again and swapped in before the change
//! is answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use countersign_core::sealed::MasterKey;
use countersign_store::SharedStore;

use crate::ambient::Clock;
use crate::config::Tokens;
use crate::snapshot::{LiveKeys, Snapshot};
use crate::token_keys::TokenKeys;

/// Renews the rules in force. The only writer of the live snapshot.
#[derive(Clone)]
pub struct Publisher(Arc<Inner>);

struct Inner {
    store: SharedStore,
    clock: Arc<dyn Clock>,
    master: Arc<MasterKey>,
    tokens: Tokens,
    live: Arc<ArcSwap<Snapshot>>,
    token_keys: ArcSwap<TokenKeys>,
    /// What has changed and was not read again yet.
    wanted: Mutex<Parts>,
    /// One reading at a time, so that an older one never replaces a newer one.
    turn: tokio::sync::Mutex<()>,
    retrying: AtomicBool,
}

/// Parts of the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parts {
    /// Clients, their keys, admin keys.
    pub directory: bool,
    /// Allow-lists.
    pub lists: bool,
    /// Ended sessions.
    pub ended: bool,
    /// Keys that sign access tokens.
    pub token_keys: bool,
}

impl Parts {
    /// Nothing.
    pub const NONE: Self = Self { directory: false, lists: false, ended: false, token_keys: false };
    /// Clients, their keys, admin keys.
    pub const DIRECTORY: Self = Self { directory: true, ..Self::NONE };
    /// Allow-lists.
    pub const LISTS: Self = Self { lists: true, ..Self::NONE };
    /// Ended sessions.
    pub const ENDED: Self = Self { ended: true, ..Self::NONE };
    /// Keys that sign access tokens.
    pub const TOKEN_KEYS: Self = Self { token_keys: true, ..Self::NONE };
    /// Everything.
    pub const ALL: Self = Self { directory: true, lists: true, ended: true, token_keys: true };

    /// These parts and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            directory: self.directory || other.directory,
            lists: self.lists || other.lists,
            ended: self.ended || other.ended,
            token_keys: self.token_keys || other.token_keys,
        }
    }
}

/// The rules in force could not be renewed. The publisher keeps trying.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rules in force could not be renewed: {0}")]
pub struct NotPublished(pub String);

/// The pause before the first new attempt; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Publisher {
    /// A publisher for `live`. Nothing is read yet: see [`Publisher::publish`] with [`Parts::ALL`].
    pub fn new(store: SharedStore, clock: Arc<dyn Clock>, master: Arc<MasterKey>, tokens: Tokens, live: Arc<ArcSwap<Snapshot>>) -> Self {
        let token_keys = TokenKeys::none(&tokens);
        Self(Arc::new(Inner {
            store,
            clock,
            master,
            tokens,
            live,
            token_keys: ArcSwap::from_pointee(token_keys),
            wanted: Mutex::new(Parts::NONE),
            turn: tokio::sync::Mutex::new(()),
            retrying: AtomicBool::new(false),
        }))
    }

    /// The rules in force.
    pub fn live(&self) -> Arc<Snapshot> {
        self.0.live.load_full()
    }

    /// The keys that sign access tokens, ready to sign.
    pub fn token_keys(&self) -> Arc<TokenKeys> {
        self.0.token_keys.load_full()
    }

    /// Puts everything that the store says in force for the first time.
    ///
    /// # Errors
    /// As [`Publisher::publish`], but no change waits for it and nothing is tried again: there is no start without it.
    pub async fn begin(&self) -> Result<(), NotPublished> {
        self.catch_up(Parts::ALL).await
    }

    /// Puts what the store says about `parts` in force. When this returns well, the next decision knows it.
    ///
    /// # Errors
    /// When the store does not answer or holds something unreadable. What was in force stays so, and the publisher keeps
    /// trying in the background.
    pub async fn publish(&self, parts: Parts) -> Result<(), NotPublished> {
        let outcome = self.catch_up(parts).await;
        if let Err(error) = &outcome {
            tracing::error!(%error, "a change is stored but not yet in force");
            if !self.0.retrying.swap(true, Ordering::AcqRel) {
                tokio::spawn(self.clone().keep_trying());
            }
        }
        outcome
    }

    /// Reads what is wanted, unless somebody who began after the change was stored has done so already.
    async fn catch_up(&self, parts: Parts) -> Result<(), NotPublished> {
        self.want(parts);
        let _turn = self.0.turn.lock().await;
        let wanted = std::mem::take(&mut *self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner));
        if wanted == Parts::NONE {
            return Ok(());
        }
        let outcome = self.0.renew(wanted).await;
        if outcome.is_err() {
            self.want(wanted);
        }
        outcome
    }

    fn want(&self, parts: Parts) {
        let mut wanted = self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        *wanted = wanted.and(parts);
    }

    async fn keep_trying(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            // Before the attempt: a failure that comes after it starts the next round.
            self.0.retrying.store(false, Ordering::Release);
            if self.catch_up(Parts::NONE).await.is_ok() {
                tracing::info!("the rules in force are up to date again");
                return;
            }
            if self.0.retrying.swap(true, Ordering::AcqRel) {
                // Somebody else has begun to try.
                return;
            }
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }
}

impl Inner {
    async fn renew(&self, parts: Parts) -> Result<(), NotPublished> {
        let failed = |error: &dyn std::fmt::Display| NotPublished(error.to_string());
        let mut next = Snapshot::clone(&self.live.load());
        // Read first: a change that comes in between is then read too and published again, never missed.
        next.revision = self.store.revision().await.map_err(|e| failed(&e))?;
        if parts.directory {
            let directory = self.store.load_directory().await.map_err(|e| failed(&e))?;
            next.keys = Arc::new(LiveKeys::build(directory, &self.master, &next.profiles).map_err(|e| failed(&e))?);
        }
        if parts.lists {
            let lists = self.store.load_allow_lists().await.map_err(|e| failed(&e))?;
            next.lists = Arc::new(next.lists.updated(&lists));
        }
        if parts.ended {
            let ended = self.store.load_ended_sessions(self.clock.now(), self.tokens.access_time).await.map_err(|e| failed(&e))?;
            next.ended = Arc::new(ended.into_iter().collect());
        }
        if parts.token_keys {
            let stored = self.store.load_token_keys().await.map_err(|e| failed(&e))?;
            let keys = TokenKeys::build(&stored, &self.master, &self.tokens).map_err(|e| failed(&e))?;
            next.tokens = Arc::clone(keys.trust());
            self.token_keys.store(Arc::new(keys));
        }
        self.live.store(Arc::new(next));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::control_tests::Bench;
    use crate::faulty_store::When;

    #[tokio::test]
    async fn what_could_not_be_put_in_force_is_tried_again_until_it_is() {
        let bench = Bench::new().await;
        bench.faults.fail("load_allow_lists", When::Before);
        let added = bench.local("POST", "/allow-lists", &json!({"name": "partners"})).await;
        assert_eq!(added.code(), "not_yet_in_force");
        bench.faults.heal();
        let in_force = || bench.control.publisher.live().lists.contains(&"partners".parse().unwrap());
        let caught_up = async {
            while !in_force() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), caught_up).await.unwrap();
    }

    #[tokio::test]
    async fn a_key_that_does_not_open_leaves_what_was_in_force() {
        let bench = Bench::new().await;
        let before = bench.control.publisher.live();
        let mut other = vec![9; 32];
        other[0] = 1;
        let master = Arc::new(MasterKey::parse(&countersign_core::secret::SecretBytes::new(other)).ok().unwrap());
        let control = &bench.control;
        let stranger =
            Publisher::new(control.store.clone(), control.clock.clone(), master, control.tokens.clone(), Arc::clone(&control.live));
        assert!(stranger.catch_up(Parts::TOKEN_KEYS).await.unwrap_err().0.contains("master key"));
        assert!(Arc::ptr_eq(&before, &bench.control.publisher.live()));
    }

    #[tokio::test]
    async fn many_changes_at_once_are_all_in_force_when_they_are_answered() {
        let bench = Arc::new(Bench::new().await);
        let adds: Vec<_> = (0..16)
            .map(|n| {
                let bench = Arc::clone(&bench);
                tokio::spawn(async move {
                    let name = format!("list-{n}");
                    assert_eq!(bench.local("POST", "/allow-lists", &json!({"name": name})).await.status, 201);
                    assert!(bench.control.publisher.live().lists.contains(&name.parse().unwrap()), "{name}");
                })
            })
            .collect();
        for add in adds {
            add.await.unwrap();
        }
    }
}
