//! The answer to the first use of a refresh token, kept for a second use within the grace.
//!
//! It is encrypted under a key that only the presented token yields: the store holds the token's hash, which is worth
//! nothing here, so a copy of the database holds no usable token.

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

use crate::directory::Sealed;
use crate::fresh::Fresh;
use crate::sealed::{CannotOpen, CannotSeal, SealingKey};
use crate::secret::{CredentialHash, SecretBytes};

/// Encrypts an answer for whoever shows `presented` again.
pub fn seal(answer: &[u8], presented: &str, fresh: Fresh<12>) -> Result<Sealed, CannotSeal> {
    key(presented).ok_or(CannotSeal)?.seal(answer, &bound_to(presented), fresh)
}

/// Decrypts the answer that was given when `presented` was first used.
pub fn open(sealed: &Sealed, presented: &str) -> Result<SecretBytes, CannotOpen> {
    key(presented).ok_or(CannotOpen)?.open(sealed, &bound_to(presented))
}

fn key(presented: &str) -> Option<SealingKey> {
    // A refresh token has 256 random bits, so no salt is needed to spread it (RFC 5869 section 3.1); this one names the use.
    SealingKey::derive(&Salt::new(HKDF_SHA256, b"countersign refresh token").extract(presented.as_bytes()), "refresh answer")
}

/// The row that it lies in is found by this hash.
fn bound_to(presented: &str) -> String {
    let mut text = String::with_capacity(64);
    crate::secret::push_hex(&mut text, &CredentialHash::of(presented).0);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_presented_token_opens_the_answer() {
        let sealed = seal(b"{}", "csr_one", Fresh::new([1; 12])).unwrap();
        assert_eq!(open(&sealed, "csr_one").ok().unwrap().expose(), b"{}");
        assert!(open(&sealed, "csr_two").is_err());
        let mut hash = String::new();
        crate::secret::push_hex(&mut hash, &CredentialHash::of("csr_one").0);
        assert!(open(&sealed, &hash).is_err(), "the stored hash must not open it");
    }
}
