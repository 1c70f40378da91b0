//! The keys that sign access tokens: made at the first start, opened once per change, and published as a JWK set.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::access_token::{AccessClaims, TokenRing, TokenSigner, VerifyingKey};
use countersign_core::audit::{Actor, AuditEvent};
use countersign_core::code::{Code, Refusal};
use countersign_core::directory::{TokenAlgorithm, TokenKey};
use countersign_core::fresh::Fresh;
use countersign_core::id::TokenKeyId;
use countersign_core::now::UnixMillis;
use countersign_core::principal::{Principal, Scopes};
use countersign_core::refresh::Session;
use countersign_core::sealed::MasterKey;
use countersign_core::secret::{SecretBytes, SecretText};
use countersign_store::Added;

use crate::config::Tokens;
use crate::control::{Control, store_failed};
use crate::publish::Parts;
use crate::snapshot::TokenTrust;

/// The keys of access tokens as of one reading of the store.
pub struct TokenKeys {
    signers: Vec<Signer>,
    trust: Arc<TokenTrust>,
}

struct Signer {
    signer: TokenSigner,
    from: UnixMillis,
    until: Option<UnixMillis>,
}

/// Why stored token keys cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("token key {id}: {why}")]
pub struct UnusableKey {
    id: TokenKeyId,
    why: String,
}

impl TokenKeys {
    /// No keys: nothing is signed and nothing verifies.
    pub fn none(tokens: &Tokens) -> Self {
        Self { signers: Vec::new(), trust: Arc::new(TokenTrust::of_nobody(tokens)) }
    }

    /// Opens stored keys.
    ///
    /// # Errors
    /// When one does not open or is not what it says it is. Leaving it out would refuse tokens that are good.
    pub fn build(stored: &[TokenKey], master: &MasterKey, tokens: &Tokens) -> Result<Self, UnusableKey> {
        let mut signers = Vec::with_capacity(stored.len());
        let mut ring = Vec::with_capacity(stored.len());
        for key in stored {
            let unusable = |why: &dyn std::fmt::Display| UnusableKey { id: key.id.clone(), why: why.to_string() };
            let private = master.open(&key.private, key.id.as_str()).map_err(|e| unusable(&e))?;
            let signer = TokenSigner::new(&key.id, &private).map_err(|e| unusable(&e))?;
            if signer.public() != key.public {
                return Err(unusable(&"its public and its private part do not belong together"));
            }
            ring.push(VerifyingKey::new(key.id.clone(), key.algorithm, &key.public, key.ends).map_err(|e| unusable(&e))?);
            signers.push(Signer { signer, from: key.signs_from, until: key.signs_until });
        }
        Ok(Self { signers, trust: Arc::new(TokenTrust { ring: TokenRing::new(ring), ..TokenTrust::of_nobody(tokens) }) })
    }

    /// Signs an access token of a session. `id` becomes its `jti`.
    ///
    /// # Errors
    /// `CouldNotDecide` when no key signs at `now`.
    pub fn sign(
        &self,
        session: &Session,
        principal: Principal,
        scopes: &Scopes,
        expires: UnixMillis,
        now: UnixMillis,
        id: Fresh<16>,
    ) -> Result<SecretText, Refusal> {
        let signs = |signer: &&Signer| signer.from <= now && signer.until.is_none_or(|until| now < until);
        let Some(signer) = self.signers.iter().filter(signs).max_by_key(|signer| signer.from) else {
            tracing::error!("no token key signs now");
            return Err(Code::CouldNotDecide.into());
        };
        let claims = AccessClaims {
            issuer: Arc::clone(&self.trust.expected.issuer),
            audience: Arc::clone(&self.trust.expected.audience),
            principal,
            client: session.client.clone(),
            session: session.id.clone(),
            id: URL_SAFE_NO_PAD.encode(id.take()),
            issued: now,
            expires,
            scopes: scopes.clone(),
        };
        signer.signer.sign(&claims).map_err(|error| {
            tracing::error!(%error, "an access token could not be signed");
            Code::Internal.into()
        })
    }

    /// What access tokens are verified with.
    pub const fn trust(&self) -> &Arc<TokenTrust> {
        &self.trust
    }

    /// The public keys as a JWK set (RFC 7517 section 5).
    pub fn jwks(&self) -> serde_json::Value {
        serde_json::json!({ "keys": self.trust.ring.keys().iter().map(VerifyingKey::jwk).collect::<Vec<_>>() })
    }
}

/// Makes the first token key, unless there is one that signs, and puts the keys in force. Two nodes that start at once keep one.
///
/// # Errors
/// When the store, the dice or the keys fail.
pub async fn ensure(control: &Control) -> Result<(), Refusal> {
    let now = control.now();
    let keys = control.store.load_token_keys().await.map_err(store_failed)?;
    if !keys.iter().any(|key| key.signs_from <= now && key.signs_until.is_none_or(|until| now < until)) {
        let id = TokenKeyId::new(control.fresh()?);
        let (private, public) = generate()?;
        let sealed = control.master.seal(private.expose(), id.as_str(), control.fresh()?).map_err(|error| {
            tracing::error!(%error, "a token key could not be sealed");
            Refusal::from(Code::Internal)
        })?;
        let key = TokenKey {
            id,
            algorithm: TokenAlgorithm::Es256,
            private: sealed,
            public,
            created: now,
            signs_from: now,
            signs_until: None,
            ends: None,
        };
        let audit = AuditEvent {
            at: now,
            actor: Actor::Gateway,
            action: "token_key.added",
            target: key.id.to_string(),
            detail: serde_json::json!({"algorithm": key.algorithm.as_str()}),
            request: None,
        };
        match control.store.add_token_key(&key, &audit).await.map_err(store_failed)? {
            // Another node was faster: its key is read below.
            Added::Added(_) | Added::AlreadyExists => {}
            Added::NotFound => return Err(Code::Internal.into()),
        }
    }
    control.publish(Parts::TOKEN_KEYS).await
}

/// A new P-256 key pair. The library rolls its own dice here: it offers no other way.
fn generate() -> Result<(SecretBytes, Vec<u8>), Refusal> {
    let failed = || {
        tracing::error!("a token key could not be generated");
        Refusal::from(Code::CouldNotDecide)
    };
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).map_err(|_unspecified| failed())?;
    let private = SecretBytes::new(document.as_ref().to_vec());
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private.expose()).map_err(|_rejected| failed())?;
    Ok((private, pair.public_key().as_ref().to_vec()))
}
