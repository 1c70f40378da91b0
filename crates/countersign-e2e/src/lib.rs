//! The harness of the end-to-end tests: the real program on real sockets, an upstream that records every byte, and a client that
//! sends exactly the bytes it is told to. Threads and blocking sockets: what happens here has to be obvious.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that finds something else than it expects ends there"
)]

mod connection;
mod gateway;
mod relay;
mod scene;
mod sign;
mod upstream;

pub use connection::{Answer, Connection, DEADLINE, raw};
pub use gateway::{Gateway, program};
pub use relay::RecordingRelay;
pub use scene::{ADMIN_SCOPES, PASSWORD, Scene, Tokens, USERNAME, admin_call, login, try_admin_call};
pub use sign::{Signed, Signer, hex, hmac_hex, sha256_hex};
pub use upstream::{Received, RecordingUpstream, Reply};

use std::time::{Duration, Instant};

/// How often a test repeats: `small` by default, `full` with `COUNTERSIGN_E2E_SCALE=full`, as the promises say.
pub fn times(small: usize, full: usize) -> usize {
    match std::env::var("COUNTERSIGN_E2E_SCALE").as_deref() {
        Ok("full") => full,
        Ok("small") | Err(_) => small,
        Ok(other) => panic!("COUNTERSIGN_E2E_SCALE is {other:?}; it may be small or full"),
    }
}

/// Looks again and again until something is so. Fails when it is not so before the deadline.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < DEADLINE, "not so within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Seconds since 1970-01-01T00:00:00Z, by this machine's clock.
pub fn unix_seconds() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("the clock is after 1970");
    i64::try_from(now.as_secs()).expect("the clock is sane")
}
