//! Secrets at rest: AES-256-GCM under keys derived from one master key.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize as _, Zeroizing};

pub use crate::directory::Sealed;
use crate::fresh::Fresh;
use crate::secret::SecretBytes;

/// The first byte of everything sealed: which construction follows. A new construction gets a new number.
const VERSION: u8 = 1;
/// Bytes of an AES-GCM nonce.
const NONCE: usize = 12;
/// Bytes of an AES-GCM tag.
const TAG: usize = 16;

/// What secrets at rest are encrypted under. Not kept itself: only the key derived from it for this one purpose.
pub struct MasterKey(SealingKey);

impl MasterKey {
    /// Reads a master key from a file, the environment or a command: 64 hexadecimal digits, base64 of 32 bytes, or 32 raw
    /// bytes. White space around the text is ignored.
    pub fn parse(given: &SecretBytes) -> Result<Self, BadMasterKey> {
        let given = given.expose();
        let mut key = if given.len() == 32 { Zeroizing::new(given.to_vec()) } else { decode(given).ok_or(BadMasterKey)? };
        let made = <[u8; 32]>::try_from(key.as_slice()).map_err(|_| BadMasterKey).map(Zeroizing::new);
        key.zeroize();
        let made = made?;
        // Bytes that are all the same are a placeholder, and text is a key of half the length or a pass phrase.
        if made.iter().all(|byte| Some(byte) == made.first()) || made.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(BadMasterKey);
        }
        let salt = Salt::new(HKDF_SHA256, b"countersign master key");
        SealingKey::derive(&salt.extract(made.as_slice()), "secrets at rest").map(Self).ok_or(BadMasterKey)
    }

    /// Encrypts `plain`. `bound_to` names the row it is for; it opens nowhere else.
    pub fn seal(&self, plain: &[u8], bound_to: &str, fresh: Fresh<12>) -> Result<Sealed, CannotSeal> {
        self.0.seal(plain, bound_to, fresh)
    }

    /// Decrypts what was sealed for `bound_to`.
    pub fn open(&self, sealed: &Sealed, bound_to: &str) -> Result<SecretBytes, CannotOpen> {
        self.0.open(sealed, bound_to)
    }
}

/// The master key cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the master key must be 32 random bytes: raw, as 64 hexadecimal digits or as base64 (make one with: openssl rand -hex 32)")]
pub struct BadMasterKey;

/// The cipher refused to encrypt; it never does for the sizes that we seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot encrypt")]
pub struct CannotSeal;

/// Something sealed does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot decrypt: the master key is another one, or the stored bytes were changed or moved to another row")]
pub struct CannotOpen;

fn decode(given: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = given.trim_ascii();
    if text.len() == 64
        && let Some(bytes) = from_hex(text)
    {
        return Some(Zeroizing::new(bytes));
    }
    STANDARD.decode(text).ok().map(Zeroizing::new)
}

/// Hexadecimal of either case.
fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    text.chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

/// One AES-256-GCM key: a version byte, the nonce, the ciphertext and its tag make what is sealed.
pub(crate) struct SealingKey(LessSafeKey);

impl SealingKey {
    /// The key for one purpose (RFC 5869): keys for different purposes have nothing to do with each other.
    pub(crate) fn derive(from: &Prk, purpose: &str) -> Option<Self> {
        struct Aes256;
        impl KeyType for Aes256 {
            fn len(&self) -> usize {
                32
            }
        }
        let mut key = Zeroizing::new([0; 32]);
        from.expand(&[purpose.as_bytes()], Aes256).ok()?.fill(key.as_mut_slice()).ok()?;
        UnboundKey::new(&AES_256_GCM, key.as_slice()).ok().map(|key| Self(LessSafeKey::new(key)))
    }

    pub(crate) fn seal(&self, plain: &[u8], bound_to: &str, fresh: Fresh<12>) -> Result<Sealed, CannotSeal> {
        let nonce = fresh.take();
        let mut sealed = Vec::with_capacity(1 + NONCE + plain.len() + TAG);
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        // The copy is encrypted where it lies; if that fails it is wiped.
        let mut text = Zeroizing::new(Vec::with_capacity(plain.len() + TAG));
        text.extend_from_slice(plain);
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound_to.as_bytes()), &mut *text)
            .map_err(|_| CannotSeal)?;
        sealed.extend_from_slice(&text);
        Ok(Sealed(sealed))
    }

    pub(crate) fn open(&self, sealed: &Sealed, bound_to: &str) -> Result<SecretBytes, CannotOpen> {
        let (&version, rest) = sealed.0.split_first().ok_or(CannotOpen)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE>().ok_or(CannotOpen)?;
        if version != VERSION || text.len() < TAG {
            return Err(CannotOpen);
        }
        let mut text = Zeroizing::new(text.to_vec());
        let plain = self
            .0
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(bound_to.as_bytes()), text.as_mut_slice())
            .map_err(|_| CannotOpen)?;
        Ok(SecretBytes::new(plain.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> MasterKey {
        let mut bytes = vec![byte; 32];
        bytes[0] ^= 1;
        MasterKey::parse(&SecretBytes::new(bytes)).ok().unwrap()
    }

    #[test]
    fn what_was_sealed_opens_under_the_same_key_for_the_same_row_only() {
        let sealed = key(1).seal(b"css_secret", "se_1", Fresh::new([9; 12])).unwrap();
        assert_eq!(key(1).open(&sealed, "se_1").ok().unwrap().expose(), b"css_secret");
        assert!(key(2).open(&sealed, "se_1").is_err());
        assert!(key(1).open(&sealed, "se_2").is_err());
        assert!(!sealed.0.windows(10).any(|w| w == b"css_secret"));
    }

    #[test]
    fn no_changed_or_cut_byte_goes_unnoticed() {
        let sealed = key(1).seal(b"css_secret", "se_1", Fresh::new([9; 12])).unwrap();
        for at in 0..sealed.0.len() {
            let mut changed = sealed.clone();
            changed.0[at] ^= 1;
            assert!(key(1).open(&changed, "se_1").is_err(), "byte {at}");
            assert!(key(1).open(&Sealed(sealed.0[..at].to_vec()), "se_1").is_err(), "cut to {at}");
        }
    }

    #[test]
    fn a_master_key_is_read_from_hex_base64_and_raw_bytes() {
        let raw: Vec<u8> = (0..32).collect();
        let mut hex = String::new();
        crate::secret::push_hex(&mut hex, &raw);
        let sealed = MasterKey::parse(&SecretBytes::new(raw.clone())).ok().unwrap().seal(b"x", "row", Fresh::new([0; 12])).unwrap();
        for text in [hex.clone(), hex.to_uppercase(), format!(" {hex}\n"), STANDARD.encode(&raw), STANDARD.encode(&raw) + "\n"] {
            let same = MasterKey::parse(&SecretBytes::new(text.clone().into_bytes())).ok().unwrap();
            assert!(same.open(&sealed, "row").is_ok(), "{text:?}");
        }
        for bad in [&b""[..], b"short", &[0; 32], &[b'a'; 64], &[7; 33], b"zz", b"0123456789abcdef0123456789abcdef"] {
            assert!(MasterKey::parse(&SecretBytes::new(bad.to_vec())).is_err(), "{bad:?}");
        }
    }
}
