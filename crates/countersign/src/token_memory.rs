//! Access tokens that were verified a moment ago, so that the next request with the same token costs a hash and not a signature.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use countersign_core::fresh::Fresh;
use countersign_core::now::UnixMillis;
use countersign_core::verified::{Identity, Verified};
use quick_cache::unsync::Cache;

use crate::snapshot::TokenTrust;

/// Verified tokens of one data thread: bounded, least valuable out first.
pub struct TokenMemory {
    /// By their place. Of two tokens with one place the later one has it.
    verified: Cache<u64, Remembered>,
    places: foldhash::fast::RandomState,
    key: Option<LessSafeKey>,
}

struct Remembered {
    hash: TokenHash,
    identity: Verified<Identity>,
    /// The keys, issuer and audience under which it was verified: a token is never remembered across them.
    trust: Arc<TokenTrust>,
}

/// A token, and where it would be in the memory.
#[derive(Clone, Copy)]
pub struct TokenName<'t> {
    token: &'t [u8],
    place: u64,
}

/// A hash of a whole token, under a key of this process.
///
/// It is the tag of AES-GCM over nothing but associated data (GMAC, NIST SP 800-38D section 3), which takes a third of the time of
/// SHA-256. Nobody who does not know the key can make another token with the same tag, and tags never leave this memory: then it
/// does not matter that the nonce is always the same.
#[derive(PartialEq, Eq)]
struct TokenHash([u8; 16]);

/// How many bytes at the end of a token tell its place: most of the signature, which differs from token to token.
const TELLING: usize = 64;

impl TokenMemory {
    /// A memory for `most` tokens, under a key of this process, so that nobody outside can aim at a place in it.
    pub fn new(most: usize, key: Fresh<32>) -> Self {
        // The key has the length that the algorithm takes. Without one nothing would be remembered.
        let key = UnboundKey::new(&AES_256_GCM, key.bytes()).ok().map(LessSafeKey::new);
        Self { verified: Cache::new(most), places: foldhash::fast::RandomState::default(), key }
    }

    /// The name of a token. Cheap: what was never verified is not worth hashing.
    pub fn name<'t>(&self, token: &'t [u8]) -> TokenName<'t> {
        let telling = token.get(token.len().saturating_sub(TELLING)..).unwrap_or(token);
        TokenName { token, place: self.places.hash_one(telling) }
    }

    /// What the token says, if it was verified under the same trust and has not expired.
    pub fn find(&self, name: TokenName<'_>, trust: &Arc<TokenTrust>, now: UnixMillis) -> Option<Verified<Identity>> {
        let remembered = self.verified.get(&name.place)?;
        let current = Arc::ptr_eq(&remembered.trust, trust) && remembered.identity.get().expires.is_some_and(|expires| now < expires);
        (current && self.hash(name.token)? == remembered.hash).then(|| remembered.identity.clone())
    }

    /// Remembers a token.
    pub fn remember(&mut self, name: TokenName<'_>, trust: &Arc<TokenTrust>, identity: &Verified<Identity>) {
        if let Some(hash) = self.hash(name.token) {
            self.verified.insert(name.place, Remembered { hash, identity: identity.clone(), trust: Arc::clone(trust) });
        }
    }

    fn hash(&self, token: &[u8]) -> Option<TokenHash> {
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let tag = self.key.as_ref()?.seal_in_place_separate_tag(nonce, Aad::from(token), &mut []).ok()?;
        tag.as_ref().try_into().ok().map(TokenHash)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    use countersign_core::access_token::{self, AccessClaims, Expected, TokenRing, TokenSigner, VerifyingKey};
    use countersign_core::directory::TokenAlgorithm;
    use countersign_core::principal::Principal;
    use countersign_core::secret::SecretBytes;

    use super::*;

    const NOW: UnixMillis = UnixMillis::from_seconds(1_800_000_000);
    const LATER: UnixMillis = UnixMillis::from_seconds(1_800_000_900);

    fn trust(signer: &TokenSigner) -> Arc<TokenTrust> {
        let ring = TokenRing::new(vec![VerifyingKey::new("tk_1".parse().unwrap(), TokenAlgorithm::Es256, signer.public(), None).unwrap()]);
        Arc::new(TokenTrust { ring, expected: Expected { issuer: "http://a".into(), audience: "http://a".into() } })
    }

    fn signer() -> TokenSigner {
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        TokenSigner::new(&"tk_1".parse().unwrap(), &SecretBytes::new(pair.as_ref().to_vec())).unwrap()
    }

    fn token(signer: &TokenSigner) -> Vec<u8> {
        let claims = AccessClaims {
            issuer: "http://a".into(),
            audience: "http://a".into(),
            principal: Principal { id: "us_0000000000000001".parse().unwrap(), name: "ada".into() },
            client: "first-party".parse().unwrap(),
            session: "si_0000000000000001".parse().unwrap(),
            id: "1".into(),
            issued: NOW,
            expires: LATER,
            scopes: "read".parse().unwrap(),
        };
        signer.sign(&claims).unwrap().expose().as_bytes().to_vec()
    }

    #[test]
    fn only_the_very_token_that_was_verified_is_remembered() {
        let signer = signer();
        let (token, trust) = (token(&signer), trust(&signer));
        let verified = access_token::verify(&token, &trust.ring, &trust.expected, NOW).unwrap();
        let mut memory = TokenMemory::new(8, Fresh::new([7; 32]));
        assert!(memory.find(memory.name(&token), &trust, NOW).is_none());
        memory.remember(memory.name(&token), &trust, &verified);
        assert_eq!(&*memory.find(memory.name(&token), &trust, NOW).unwrap().get().principal.name, "ada");
        // Not one that differs anywhere: also in front of what tells its place.
        for at in 0..token.len() {
            let mut other = token.clone();
            other[at] ^= 1;
            assert!(memory.find(memory.name(&other), &trust, NOW).is_none(), "byte {at}");
        }
        let (long, longer) = ([&token, &b"A"[..]].concat(), [&b"A"[..], &token].concat());
        for other in [&token[1..], &token[..token.len() - 1], &long, &longer, b""] {
            assert!(memory.find(memory.name(other), &trust, NOW).is_none(), "{}", other.escape_ascii());
        }
    }

    #[test]
    fn what_was_verified_under_other_keys_or_is_too_old_is_not_remembered() {
        let signer = signer();
        let (token, known) = (token(&signer), trust(&signer));
        let verified = access_token::verify(&token, &known.ring, &known.expected, NOW).unwrap();
        let mut memory = TokenMemory::new(8, Fresh::new([7; 32]));
        memory.remember(memory.name(&token), &known, &verified);
        assert!(memory.find(memory.name(&token), &trust(&signer), NOW).is_none(), "alike is not the same");
        assert!(memory.find(memory.name(&token), &known, LATER).is_none());
        assert!(memory.find(memory.name(&token), &known, NOW).is_some());
    }
}
