//! What the core may not touch: the clock and the dice. Seams, so that tests say what time it is and what was rolled.

use std::time::{SystemTime, UNIX_EPOCH};

use countersign_core::fresh::Fresh;
use countersign_core::now::UnixMillis;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> UnixMillis;
}

/// Rolls the dice.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes` with what nobody can guess.
    ///
    /// # Errors
    /// When the source fails. Nothing may then be made from `bytes`.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy>;
}

impl dyn Entropy {
    /// `N` bytes that are used once.
    ///
    /// # Errors
    /// When the source fails.
    pub fn fresh<const N: usize>(&self) -> Result<Fresh<N>, NoEntropy> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(Fresh::new(bytes))
    }
}

/// The system has no random bytes. Whatever asked for them must not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoEntropy;

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixMillis {
        let millis = |span: std::time::Duration| {
            i64::try_from(span.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000).saturating_add(span.subsec_millis().into())
        };
        UnixMillis::from_millis(match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => millis(after),
            Err(before) => millis(before.duration()).saturating_neg(),
        })
    }
}

/// The random source of the cryptography library, seeded by the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        aws_lc_rs::rand::fill(bytes).map_err(|_unspecified| NoEntropy)
    }
}

#[cfg(test)]
pub mod fixed {
    //! A clock that stands still and dice that are known, for tests.

    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

    use super::{Clock, Entropy, NoEntropy, UnixMillis};

    /// A clock that is moved by hand.
    pub struct FixedClock(AtomicI64);

    impl FixedClock {
        /// A clock that stands at `seconds` since 1970.
        pub const fn at(seconds: i64) -> Self {
            Self(AtomicI64::new(seconds * 1000))
        }

        /// Moves it on.
        pub fn forward(&self, span: std::time::Duration) {
            self.0.fetch_add(i64::try_from(span.as_millis()).unwrap(), Ordering::SeqCst);
        }
    }

    impl Clock for FixedClock {
        fn now(&self) -> UnixMillis {
            UnixMillis::from_millis(self.0.load(Ordering::SeqCst))
        }
    }

    /// Dice that count: never the same bytes twice. They can be told to fail after so many rolls.
    pub struct CountingEntropy {
        rolled: AtomicU64,
        fail_at: AtomicU64,
    }

    impl Default for CountingEntropy {
        /// Dice that never fail.
        fn default() -> Self {
            Self { rolled: AtomicU64::new(0), fail_at: AtomicU64::new(u64::MAX) }
        }
    }

    impl CountingEntropy {
        /// Lets `more` rolls succeed and none after them.
        pub fn fail_after(&self, more: u64) {
            self.fail_at.store(self.rolled.load(Ordering::SeqCst).saturating_add(more), Ordering::SeqCst);
        }
    }

    impl Entropy for CountingEntropy {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
            let roll = self.rolled.fetch_add(1, Ordering::SeqCst);
            if roll >= self.fail_at.load(Ordering::SeqCst) {
                return Err(NoEntropy);
            }
            bytes.fill(0xa5);
            for (to, from) in bytes.iter_mut().zip(roll.to_le_bytes()) {
                *to = from;
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_a_time_after_this_was_written_and_never_rolls_the_same() {
        assert!(SystemClock.now() > UnixMillis::from_seconds(1_700_000_000));
        let dice: &dyn Entropy = &SystemEntropy;
        assert_ne!(dice.fresh::<32>().unwrap().take(), dice.fresh::<32>().unwrap().take());
    }
}
