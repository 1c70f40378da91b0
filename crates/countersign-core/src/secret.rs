//! Secrets have types of their own: no `Debug`, no `==`, no `Clone`, no serde, wiped when dropped.
//! Becoming public is a method with a name.

use std::fmt;

use aws_lc_rs::digest;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use crate::fresh::Fresh;

/// Secret text: a password, a shared secret, a token that was just made.
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes text over. The caller keeps no copy.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text. Every caller is a place where the secret could leak: keep them few.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Secret bytes: key material, a decrypted private key.
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes bytes over. The caller keeps no copy.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes. Every caller is a place where the secret could leak: keep them few.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// The SHA-256 of a credential with 256 random bits: what is stored and looked up in its place.
/// It opens nothing by itself and may be compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CredentialHash(pub [u8; 32]);

impl CredentialHash {
    /// The hash of a credential as it is shown, prefix and checksum included.
    pub fn of(shown: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, shown.as_bytes()).as_ref());
        Self(hash)
    }
}

impl fmt::Debug for CredentialHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialHash(..)")
    }
}

/// Compares in constant time. Lengths are not secret.
pub fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    let ((some, rest), (others, other_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let number = |eight: &[u8; 8]| u64::from_ne_bytes(*eight);
    // Eight at a time: a MAC has thirty-two and more.
    let same = some.iter().zip(others).fold(rest.ct_eq(other_rest), |same, (a, b)| same & number(a).ct_eq(&number(b)));
    a.len() == b.len() && same.into()
}

/// The kinds of credential that we make: a prefix, 256 random bits, a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MadeSecret {
    /// `csk_`: an API key.
    ApiKey,
    /// `csa_`: an admin key.
    AdminKey,
    /// `css_`: a secret for signing requests.
    SigningSecret,
    /// `csr_`: a refresh token.
    RefreshToken,
}

impl MadeSecret {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::ApiKey, Self::AdminKey, Self::SigningSecret, Self::RefreshToken];

    /// What the credential starts with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::ApiKey => "csk_",
            Self::AdminKey => "csa_",
            Self::SigningSecret => "css_",
            Self::RefreshToken => "csr_",
        }
    }

    /// A new credential: the prefix, 64 hexadecimal digits, and 8 more that check the rest.
    pub fn make(self, fresh: Fresh<32>) -> SecretText {
        let mut random = fresh.take();
        let mut text = String::with_capacity(76);
        text.push_str(self.prefix());
        push_hex(&mut text, &random);
        random.zeroize();
        let check = checksum(&text);
        push_hex(&mut text, &check);
        SecretText::new(text)
    }

    /// Whether `shown` is of this kind and was not mistyped. Says nothing about whether we know it.
    pub fn is_well_formed(self, shown: &str) -> bool {
        let Some((body, check)) = shown.split_at_checked(self.prefix().len() + 64) else { return false };
        let mut expected = String::with_capacity(8);
        push_hex(&mut expected, &checksum(body));
        body.starts_with(self.prefix()) && same_bytes(check.as_bytes(), expected.as_bytes())
    }
}

fn checksum(text: &str) -> [u8; 4] {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let mut check = [0; 4];
    for (to, from) in check.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    check
}

/// Appends `bytes` in lower-case hexadecimal.
pub fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_credential_checks_itself() {
        let key = MadeSecret::ApiKey.make(Fresh::new([0xab; 32]));
        assert_eq!(key.expose().len(), 76);
        assert!(key.expose().starts_with("csk_abab"));
        assert!(MadeSecret::ApiKey.is_well_formed(key.expose()));
        assert!(!MadeSecret::AdminKey.is_well_formed(key.expose()));
        for (i, c) in key.expose().char_indices() {
            let other = if c == 'a' { "b" } else { "a" };
            let mut typo = key.expose().to_owned();
            typo.replace_range(i..=i, other);
            assert!(!MadeSecret::ApiKey.is_well_formed(&typo), "position {i}");
        }
        for cut in 0..76 {
            assert!(!MadeSecret::ApiKey.is_well_formed(key.expose().split_at(cut).0));
        }
        assert!(!MadeSecret::ApiKey.is_well_formed(&format!("{}0", key.expose())));
    }

    #[test]
    fn bytes_are_the_same_only_if_each_is() {
        for length in 0..40 {
            let bytes: Vec<u8> = (0..length).collect();
            assert!(same_bytes(&bytes, &bytes));
            for at in 0..bytes.len() {
                let mut other = bytes.clone();
                other[at] ^= 0x80;
                assert!(!same_bytes(&bytes, &other), "{length} {at}");
                assert!(!same_bytes(&bytes, bytes.split_at(at).0) && !same_bytes(bytes.split_at(at).0, &bytes));
            }
        }
    }
}
