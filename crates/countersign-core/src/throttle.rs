//! How fast logins may be tried. An attempt is reserved before the password is hashed, so that parallel guesses count too;
//! waits grow but end, so that nobody can lock an account for good.

use std::time::Duration;

use crate::now::UnixMillis;

/// What a counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// One account from one network.
    AccountAndNetwork,
    /// Everything from one network (an IPv4 address, an IPv6 /64).
    Network,
    /// One account from all networks from which it never succeeded.
    Account,
}

impl Lane {
    /// All lanes.
    pub const ALL: [Self; 3] = [Self::AccountAndNetwork, Self::Network, Self::Account];

    /// How many attempts are free, the first wait after them, and the longest wait. Waits double.
    const fn allowance(self) -> (u32, Duration, Duration) {
        match self {
            Self::AccountAndNetwork => (5, Duration::from_secs(1), Duration::from_secs(15 * 60)),
            Self::Network => (50, Duration::from_secs(1), Duration::from_secs(15 * 60)),
            Self::Account => (10, Duration::from_secs(5), Duration::from_secs(60 * 60)),
        }
    }
}

/// Attempts that did not succeed, and the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// How many, since the last success or the last day of quiet.
    pub failures: u32,
    /// When the last one was reserved.
    pub last: UnixMillis,
}

/// A day without attempts clears a counter.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether one lane lets another attempt in at `now`: `Ok` with the counter to store, or `Err` with the moment from which it does.
///
/// An attempt that is turned away is not counted, so that knocking does not lengthen the wait.
pub fn reserve(lane: Lane, so_far: Option<Attempts>, now: UnixMillis) -> Result<Attempts, UnixMillis> {
    let so_far = so_far.filter(|a| now.since(a.last) < FORGOTTEN_AFTER);
    let Some(attempts) = so_far else { return Ok(Attempts { failures: 1, last: now }) };
    let (free, first, longest) = lane.allowance();
    if let Some(over) = attempts.failures.checked_sub(free) {
        let wait = first.saturating_mul(2u32.saturating_pow(over)).min(longest);
        let until = attempts.last.plus(wait);
        // A clock that was set back must not make the wait longer than it ever was.
        if now < until && attempts.last <= now {
            return Err(until);
        }
    }
    Ok(Attempts { failures: attempts.failures.saturating_add(1), last: now })
}

/// Which lanes an attempt must pass. From a network where the account succeeded before, the account's own lane does not
/// count, so that a stranger's guesses do not keep its owner out.
pub fn lanes(known_network: bool) -> &'static [Lane] {
    if known_network { &[Lane::AccountAndNetwork, Lane::Network] } else { &Lane::ALL }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Knocks once a second for `hours` and counts how often it was let in.
    fn attempts_let_in(lane: Lane, hours: u32) -> u32 {
        let mut counter = None;
        let mut let_in = 0;
        for second in 0..hours * 3600 {
            if let Ok(next) = reserve(lane, counter, UnixMillis::from_seconds(second.into())) {
                counter = Some(next);
                let_in += 1;
            }
        }
        let_in
    }

    #[test]
    fn guessing_slows_down_and_never_stops_for_good() {
        let first_hour = attempts_let_in(Lane::Account, 1);
        let first_day = attempts_let_in(Lane::Account, 24);
        assert!((15..=25).contains(&first_hour), "{first_hour}");
        assert!((35..=50).contains(&first_day), "{first_day}");
    }

    #[test]
    fn a_turned_away_attempt_does_not_lengthen_the_wait() {
        let counter = Some(Attempts { failures: 20, last: UnixMillis::from_seconds(0) });
        let first = reserve(Lane::Account, counter, UnixMillis::from_seconds(10)).unwrap_err();
        let second = reserve(Lane::Account, counter, UnixMillis::from_seconds(20)).unwrap_err();
        assert_eq!(first, second);
        assert!(reserve(Lane::Account, counter, first).is_ok());
    }

    #[test]
    fn a_clock_set_back_does_not_lock_anybody_out() {
        let counter = Some(Attempts { failures: 1000, last: UnixMillis::from_seconds(1_000_000) });
        assert!(reserve(Lane::Account, counter, UnixMillis::from_seconds(0)).is_ok());
    }

    #[test]
    fn a_day_of_quiet_clears_the_counter() {
        let counter = Some(Attempts { failures: 1000, last: UnixMillis::from_seconds(0) });
        assert_eq!(reserve(Lane::Network, counter, UnixMillis::from_seconds(86_400)).unwrap().failures, 1);
    }
}
