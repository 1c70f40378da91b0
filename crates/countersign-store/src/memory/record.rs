//! What records say: a claim, or a counter that was accepted.

use countersign_core::now::UnixMillis;
use countersign_core::replay::{Fingerprint, NewClaim, Tier};

use super::segment::{CONTENT, Content};

/// Fingerprint, nonce, message, signed at, keep until. The tier is that of the log, and the counter has a log of its own.
pub(super) fn of_claim(claim: &NewClaim) -> Content {
    let [signed, keep] = [claim.signed_at, claim.keep_until].map(|moment| u128::from(moment.millis().cast_unsigned()));
    let moments = (signed | keep << 64).to_le_bytes();
    let mut content = [0; CONTENT];
    for (to, from) in content.as_chunks_mut::<16>().0.iter_mut().zip([claim.fingerprint.0, claim.nonce, claim.message, moments]) {
        *to = from;
    }
    content
}

/// The claim of such a record.
pub(super) fn claim(content: &Content, tier: Tier) -> NewClaim {
    let [fingerprint, nonce, message, moments] = parts(content);
    let moments = u128::from_le_bytes(moments);
    let moment = |word: u128| UnixMillis::from_millis((word as u64).cast_signed());
    NewClaim {
        fingerprint: Fingerprint(fingerprint),
        nonce,
        message,
        signed_at: moment(moments),
        keep_until: moment(moments >> 64),
        tier,
        counter: None,
    }
}

/// Fingerprint, counter, and nothing.
pub(super) fn of_counter((fingerprint, counter): (Fingerprint, u64)) -> Content {
    let mut content = [0; CONTENT];
    for (to, from) in content.as_chunks_mut::<16>().0.iter_mut().zip([fingerprint.0, u128::from(counter).to_le_bytes()]) {
        *to = from;
    }
    content
}

/// The counter of such a record.
pub(super) fn counter(content: &Content) -> (Fingerprint, u64) {
    let [fingerprint, counter, ..] = parts(content);
    (Fingerprint(fingerprint), u128::from_le_bytes(counter) as u64)
}

fn parts(content: &Content) -> [[u8; 16]; 4] {
    let mut parts = [[0; 16]; 4];
    for (to, from) in parts.iter_mut().zip(content.as_chunks::<16>().0) {
        *to = *from;
    }
    parts
}
