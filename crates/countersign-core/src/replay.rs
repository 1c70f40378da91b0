//! Used once: what a signed request claims, and what a claim can come to.

use crate::now::UnixMillis;

/// Which secret signed, as 16 bytes of a hash of it. One secret may have two key ids; it has one fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Fingerprint(pub [u8; 16]);

/// What a verified request claims in one step: its nonce and the hash of its string to sign, both under the fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewClaim {
    /// The secret that signed.
    pub fingerprint: Fingerprint,
    /// The first 16 bytes of SHA-256 over the nonce.
    pub nonce: [u8; 16],
    /// The first 16 bytes of SHA-256 over the string to sign.
    pub message: [u8; 16],
    /// The signed timestamp.
    pub signed_at: UnixMillis,
    /// Until when the same request would pass the time check: the claim is kept at least as long.
    pub keep_until: UnixMillis,
}

/// What became of a claim. Only `First` lets the request go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Never seen: it is remembered now and is not released again.
    First,
    /// The nonce or the string to sign was used before.
    Seen,
    /// The secret has as many live claims as it may have.
    Full,
    /// Signed at or before the fence: it may have been seen by a memory that was lost.
    BeforeFence,
    /// The clock is behind what was accepted by more than the window.
    ClockBehind,
}
