//! Access tokens that were verified a moment ago, so that the next request with the same token costs a hash and not a signature.

use std::sync::Arc;

use aws_lc_rs::digest;
use countersign_core::fresh::Fresh;
use countersign_core::now::UnixMillis;
use countersign_core::verified::{Identity, Verified};
use quick_cache::unsync::Cache;

use crate::snapshot::TokenTrust;

/// Verified tokens of one data thread: bounded, least valuable out first.
pub struct TokenMemory {
    verified: Cache<[u8; 32], Remembered>,
    key: [u8; 32],
}

struct Remembered {
    identity: Verified<Identity>,
    /// The keys, issuer and audience under which it was verified: a token is never remembered across them.
    trust: Arc<TokenTrust>,
}

/// A token's name in the memory.
#[derive(Clone, Copy)]
pub struct TokenName([u8; 32]);

impl TokenMemory {
    /// A memory for `most` tokens, under a key of this process, so that nobody outside can aim at a place in it.
    pub fn new(most: usize, key: Fresh<32>) -> Self {
        Self { verified: Cache::new(most), key: key.take() }
    }

    /// The name of a token: a hash of the whole of it.
    pub fn name(&self, token: &str) -> TokenName {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&self.key);
        context.update(token.as_bytes());
        let mut name = [0; 32];
        name.copy_from_slice(context.finish().as_ref());
        TokenName(name)
    }

    /// What the token says, if it was verified under the same trust and has not expired.
    pub fn find(&self, name: TokenName, trust: &Arc<TokenTrust>, now: UnixMillis) -> Option<Verified<Identity>> {
        let remembered = self.verified.get(&name.0)?;
        let current = Arc::ptr_eq(&remembered.trust, trust) && remembered.identity.get().expires.is_some_and(|expires| now < expires);
        current.then(|| remembered.identity.clone())
    }

    /// Remembers a token.
    pub fn remember(&mut self, name: TokenName, trust: &Arc<TokenTrust>, identity: &Verified<Identity>) {
        self.verified.insert(name.0, Remembered { identity: identity.clone(), trust: Arc::clone(trust) });
    }
}
