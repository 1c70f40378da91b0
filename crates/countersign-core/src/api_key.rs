//! API keys: 256 random bits, found by their hash, never by comparing the key itself.

use std::sync::Arc;

use crate::code::{Code, Refusal};
use crate::id::ApiKeyId;
use crate::now::UnixMillis;
use crate::principal::{Principal, Scopes};
use crate::rule::Kind;
use crate::secret::{CredentialHash, MadeSecret, same_bytes};
use crate::verified::{Identity, Verified};

/// An API key as it was shown. Made only from text that is whole and was not mistyped.
pub struct ShownApiKey(CredentialHash);

impl ShownApiKey {
    /// Reads what stands in `X-API-Key`. A mistyped key is refused before anything is looked up.
    pub fn parse(shown: &str) -> Result<Self, Refusal> {
        if MadeSecret::ApiKey.is_well_formed(shown) { Ok(Self(CredentialHash::of(shown))) } else { Err(Code::InvalidApiKey.into()) }
    }

    /// What to look it up by.
    pub const fn hash(&self) -> &CredentialHash {
        &self.0
    }
}

/// An API key that works, as a snapshot holds it. Disabled keys and keys of disabled clients are not made into one.
#[derive(Debug, Clone)]
pub struct LiveApiKey {
    hash: CredentialHash,
    credential: Arc<str>,
    principal: Arc<Principal>,
    scopes: Arc<Scopes>,
    expires: Option<UnixMillis>,
}

impl LiveApiKey {
    /// The key of `principal`.
    pub fn new(id: &ApiKeyId, hash: CredentialHash, principal: Arc<Principal>, scopes: Arc<Scopes>, expires: Option<UnixMillis>) -> Self {
        Self { hash, credential: id.as_str().into(), principal, scopes, expires }
    }

    /// How it is found.
    pub const fn hash(&self) -> &CredentialHash {
        &self.hash
    }
}

/// Verifies a key against what was found under its hash.
pub fn verify(shown: &ShownApiKey, found: Option<&LiveApiKey>, now: UnixMillis) -> Result<Verified<Identity>, Refusal> {
    // Unknown, wrongly looked up and expired all say the same.
    let live = found
        .filter(|key| same_bytes(&key.hash.0, &shown.0.0))
        .filter(|key| key.expires.is_none_or(|expires| now < expires))
        .ok_or(Code::InvalidApiKey)?;
    Ok(Verified::new(Identity {
        kind: Kind::ApiKey,
        principal: Arc::clone(&live.principal),
        credential: Arc::clone(&live.credential),
        scopes: Arc::clone(&live.scopes),
        session: None,
        expires: live.expires,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fresh::Fresh;

    fn live(shown: &str, expires: Option<i64>) -> LiveApiKey {
        let principal = Principal { id: "cl_0000000000000001".parse().unwrap(), name: "acme".into() };
        let id = "ak_0000000000000001".parse().unwrap();
        let expires = expires.map(UnixMillis::from_seconds);
        LiveApiKey::new(&id, CredentialHash::of(shown), principal.into(), Scopes::default().into(), expires)
    }

    #[test]
    fn a_known_key_says_who_until_it_expires() {
        let made = MadeSecret::ApiKey.make(Fresh::new([1; 32]));
        let shown = ShownApiKey::parse(made.expose()).unwrap();
        let key = live(made.expose(), Some(100));
        let good = verify(&shown, Some(&key), UnixMillis::from_millis(99_999)).unwrap();
        assert_eq!(good.get().credential.as_ref(), "ak_0000000000000001");
        assert_eq!(good.get().kind, Kind::ApiKey);
        assert_eq!(verify(&shown, Some(&key), UnixMillis::from_seconds(100)).unwrap_err().code, Code::InvalidApiKey);
        assert!(verify(&shown, Some(&live(made.expose(), None)), UnixMillis::MAX).is_ok());
    }

    #[test]
    fn unknown_mistyped_and_wrongly_found_keys_say_the_same() {
        let made = MadeSecret::ApiKey.make(Fresh::new([1; 32]));
        let other = MadeSecret::ApiKey.make(Fresh::new([2; 32]));
        let shown = ShownApiKey::parse(made.expose()).unwrap();
        let now = UnixMillis::from_seconds(0);
        assert_eq!(verify(&shown, None, now).unwrap_err(), Code::InvalidApiKey.into());
        assert_eq!(verify(&shown, Some(&live(other.expose(), None)), now).unwrap_err(), Code::InvalidApiKey.into());
        for bad in [
            "",
            "csk_",
            made.expose().split_at(75).0,
            &made.expose().to_uppercase(),
            MadeSecret::AdminKey.make(Fresh::new([1; 32])).expose(),
        ] {
            assert_eq!(ShownApiKey::parse(bad).err().unwrap(), Code::InvalidApiKey.into(), "{bad:?}");
        }
    }
}
