//! The hash functions that schemes sign with. MD5 and SHA-1 are here because some schemes put them into what they sign; the
//! strength of a signature is that of its MAC.

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512};
use md5::Digest as _;

use super::bytes::Bytes;

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// The digest, which is at most 64 bytes long.
    pub(super) fn digest(self, bytes: &[u8]) -> Bytes<'static> {
        let algorithm = match self {
            Self::Md5 => return Bytes::from_slice(&md5::Md5::digest(bytes)),
            Self::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
            Self::Sha512 => &SHA512,
        };
        Bytes::from_slice(digest::digest(algorithm, bytes).as_ref())
    }

    /// The length of a digest in bytes.
    pub(super) const fn length(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::encoding::hex;
    use super::*;

    #[test]
    fn digests_are_those_of_the_standards() {
        // Of no bytes (RFC 1321 appendix A.5, FIPS 180-4).
        for (hash, empty) in [
            (Hash::Md5, "d41d8cd98f00b204e9800998ecf8427e"),
            (Hash::Sha1, "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            (Hash::Sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (Hash::Sha384, "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b"),
            (
                Hash::Sha512,
                "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
            ),
        ] {
            let digest = hash.digest(b"");
            assert_eq!(hex(digest.as_slice()).as_slice(), empty.as_bytes(), "{hash:?}");
            assert_eq!(digest.as_slice().len(), hash.length());
        }
        assert_eq!(hex(Hash::Md5.digest(b"message digest").as_slice()).as_slice(), b"f96b697d7cb7938d525a2f31aaf161d0");
    }
}
