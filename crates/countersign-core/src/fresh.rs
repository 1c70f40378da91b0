//! Randomness as a value. The core rolls no dice; whoever calls it passes fresh bytes in.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// `N` bytes that came from the system's random source and were used for nothing else.
///
/// Not `Clone` and taken by value, so that the same bytes are not used twice.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Fresh<const N: usize>([u8; N]);

impl<const N: usize> Fresh<N> {
    /// Takes bytes that the caller vouches for. Only the `Entropy` seam of the binary and tests call this.
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// Gives the bytes away.
    pub fn take(self) -> [u8; N]
    where
        [u8; N]: Copy,
    {
        self.0
    }

    /// The bytes, for functions that only read them.
    pub const fn bytes(&self) -> &[u8; N] {
        &self.0
    }
}
