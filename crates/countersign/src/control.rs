//! What the control side works with: the store, the clock, the dice, and the way from the store to the rules in force.

use std::sync::Arc;

use arc_swap::ArcSwap;
use countersign_core::audit::{Actor, AuditEvent};
use countersign_core::code::{Code, Refusal};
use countersign_core::fresh::Fresh;
use countersign_core::id::RequestId;
use countersign_core::now::UnixMillis;
use countersign_core::sealed::MasterKey;
use countersign_store::{SharedStore, StoreError};

use crate::ambient::{Clock, Entropy};
use crate::config::{Config, Tokens};
use crate::decision_log::DecisionLog;
use crate::explain::Allowance;
use crate::hashing::HashingPool;
use crate::publish::{Parts, Publisher};
use crate::snapshot::Snapshot;
use crate::token_keys;

/// The state of the token endpoints and of the admin API.
pub struct Control {
    /// What is remembered.
    pub store: SharedStore,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The dice.
    pub entropy: Arc<dyn Entropy>,
    /// What secrets at rest are encrypted under.
    pub master: Arc<MasterKey>,
    /// The way to the rules in force.
    pub publisher: Publisher,
    /// Where passwords are hashed.
    pub hashing: HashingPool,
    /// The rules in force, as the data path sees them.
    pub live: Arc<ArcSwap<Snapshot>>,
    /// The life cycle of tokens and where their endpoints are.
    pub tokens: Tokens,
    /// The last refusals of signed requests.
    pub decisions: Arc<DecisionLog>,
    /// How often refusals are explained.
    pub explanations: Arc<Allowance>,
}

impl Control {
    /// The control side of a gateway: reads everything that is stored, makes the first token key if there is none, and puts
    /// it all in force. `start` has what comes from the configuration; the rest of it is replaced.
    ///
    /// # Errors
    /// When the store does not answer, or holds what the master key does not open.
    pub async fn start(
        config: &Config,
        store: SharedStore,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        master: MasterKey,
        start: Snapshot,
    ) -> Result<Arc<Self>, CannotStart> {
        let hashing = HashingPool::new(config.limits.hashing_threads, config.limits.hashing_queue);
        let control = Self::of(store, clock, entropy, master, hashing, config.tokens.clone(), start);
        control.publisher.begin().await.map_err(|error| CannotStart(format!("what is stored cannot be put in force: {}", error.0)))?;
        token_keys::ensure(&control).await.map_err(|refusal| CannotStart(format!("the first token key could not be made: {refusal}")))?;
        Ok(control)
    }

    /// Its parts put together. Nothing is in force yet but `start`.
    pub(crate) fn of(
        store: SharedStore,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        master: MasterKey,
        hashing: HashingPool,
        tokens: Tokens,
        start: Snapshot,
    ) -> Arc<Self> {
        let (master, live) = (Arc::new(master), Arc::new(ArcSwap::from_pointee(start)));
        let publisher = Publisher::new(store.clone(), clock.clone(), Arc::clone(&master), tokens.clone(), Arc::clone(&live));
        let (decisions, explanations) = (Arc::default(), Arc::default());
        Arc::new(Self { store, clock, entropy, master, publisher, hashing, live, tokens, decisions, explanations })
    }

    /// The time.
    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// `N` bytes that are used once.
    ///
    /// # Errors
    /// `CouldNotDecide` when the dice fail: nothing is made from them then.
    pub fn fresh<const N: usize>(&self) -> Result<Fresh<N>, Refusal> {
        self.entropy.fresh().map_err(|error| {
            tracing::error!(%error, "no random bytes");
            could_not()
        })
    }

    /// Puts a stored change in force.
    ///
    /// # Errors
    /// `NotYetInForce` when that did not work; it is tried again in the background.
    pub async fn publish(&self, parts: Parts) -> Result<(), Refusal> {
        self.publisher.publish(parts).await.map_err(|_logged| Refusal::from(Code::NotYetInForce).after(RETRY))
    }
}

/// Why the control side did not start.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CannotStart(String);

const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

fn could_not() -> Refusal {
    Refusal::from(Code::CouldNotDecide).after(RETRY)
}

/// What is answered when the store could not: the cause goes to the log, not to the caller.
pub fn store_failed(error: StoreError) -> Refusal {
    tracing::error!(%error, "the store could not do it");
    could_not()
}

/// An audit row for a change that a request asks for.
pub fn audit_event(
    at: UnixMillis,
    actor: Actor,
    action: &'static str,
    target: impl ToString,
    detail: serde_json::Value,
    request: &RequestId,
) -> AuditEvent {
    AuditEvent { at, actor, action, target: target.to_string(), detail, request: Some(request.clone()) }
}

/// Runs `work` to its end, whatever becomes of who waits for it: a client that goes away must not stop a change half-way.
///
/// # Errors
/// `Internal` when the work panicked.
pub async fn to_the_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, Refusal> {
    tokio::spawn(work).await.map_err(|_panicked| Code::Internal.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_goes_away_does_not_stop_the_work() {
        let (go_on, waits) = tokio::sync::oneshot::channel::<()>();
        let (done, is_done) = tokio::sync::oneshot::channel();
        let mut asked = Box::pin(to_the_end(async move {
            waits.await.unwrap();
            done.send("stored").unwrap();
        }));
        assert!(std::future::poll_fn(|context| std::task::Poll::Ready(asked.as_mut().poll(context))).await.is_pending());
        drop(asked);
        go_on.send(()).unwrap();
        assert_eq!(is_done.await.unwrap(), "stored");
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error_and_not_the_end() {
        assert_eq!(to_the_end(async { panic!("as a test wants") }).await.unwrap_err(), Code::Internal.into());
    }
}
