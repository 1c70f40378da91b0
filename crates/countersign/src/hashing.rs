//! Where passwords are hashed: a bounded number at a time and a bounded number waiting, so that a flood of logins costs the
//! data path nothing but these threads.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::code::{Code, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places for hashing.
#[derive(Clone)]
pub struct HashingPool {
    /// Those that hash and those that wait.
    inside: Arc<Semaphore>,
    /// Those that hash.
    working: Arc<Semaphore>,
}

/// A place in the pool, taken before anything is counted or looked up.
pub struct HashingPlace {
    inside: OwnedSemaphorePermit,
    working: Arc<Semaphore>,
}

impl HashingPool {
    /// A pool that hashes `threads` passwords at once and lets `queue` more wait.
    pub fn new(threads: NonZeroUsize, queue: usize) -> Self {
        let threads = threads.get().min(Semaphore::MAX_PERMITS / 2);
        let inside = threads.saturating_add(queue.min(Semaphore::MAX_PERMITS / 2));
        Self { inside: Arc::new(Semaphore::new(inside)), working: Arc::new(Semaphore::new(threads)) }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// `TooManyAttempts` at once when all are taken.
    pub fn enter(&self) -> Result<HashingPlace, Refusal> {
        match Arc::clone(&self.inside).try_acquire_owned() {
            Ok(inside) => Ok(HashingPlace { inside, working: Arc::clone(&self.working) }),
            Err(_full) => Err(Refusal::from(Code::TooManyAttempts).after(Duration::from_secs(1))),
        }
    }
}

impl HashingPlace {
    /// Waits for a thread and hashes. The place is given back when the work is done, also when nobody waits for it any more.
    ///
    /// # Errors
    /// `Internal` when the work panicked.
    pub async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
        let Self { inside, working } = self;
        let working = working.acquire_owned().await.map_err(|_closed| Refusal::from(Code::Internal))?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop((working, inside));
            result
        });
        done.await.map_err(|_panicked| Code::Internal.into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_full_pool_answers_at_once_and_empties_again() {
        let pool = HashingPool::new(NonZeroUsize::MIN, 1);
        let (release, wait) = mpsc::channel::<()>();
        let first = tokio::spawn(pool.enter().unwrap().run(move || wait.recv().unwrap()));
        let second = pool.enter().unwrap();
        let third = pool.enter().err().unwrap();
        assert_eq!((third.code, third.retry_after), (Code::TooManyAttempts, Some(Duration::from_secs(1))));
        release.send(()).unwrap();
        first.await.unwrap().unwrap();
        assert_eq!(second.run(|| 7).await.unwrap(), 7);
        assert!(pool.enter().is_ok());
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_keeps_its_place_until_the_work_is_done() {
        let pool = HashingPool::new(NonZeroUsize::MIN, 0);
        let (release, wait) = mpsc::channel::<()>();
        let (started, has_started) = tokio::sync::oneshot::channel();
        let caller = tokio::spawn(pool.enter().unwrap().run(move || {
            started.send(()).unwrap();
            wait.recv().unwrap();
        }));
        has_started.await.unwrap();
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        assert!(pool.enter().is_err(), "the thread is still hashing");
        release.send(()).unwrap();
        // Comes back when the work ends; waiting for the permit is waiting for that.
        let _permit = pool.inside.acquire().await.unwrap();
    }
}
