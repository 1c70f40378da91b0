//! The rules as of one revision: what the data path decides by. Immutable; replaced whole, never patched.

use std::collections::HashMap as StdMap;
use std::sync::Arc;

use countersign_core::access_token::{Expected, TokenRing};
use countersign_core::allow_list::AllowLists;
use countersign_core::api_key::LiveApiKey;
use countersign_core::decide::Permit;
use countersign_core::directory::{AdminKey, Directory};
use countersign_core::id::{KeyId, Revision, SecretId, SessionId};
use countersign_core::identity_headers::IdentityHeaderNames;
use countersign_core::now::UnixMillis;
use countersign_core::routes::RouteTable;
use countersign_core::rule::Kind;
use countersign_core::sealed::{CannotOpen, MasterKey};
use countersign_core::secret::{CredentialHash, SecretText};
use countersign_core::signature::{LiveKey, LiveSecret, Profile};
use countersign_core::verified::Identity;
// Fast ones will do: what is in them was given out by us or entered by an administrator, not chosen by who sends requests.
use foldhash::{HashMap, HashSet};

use crate::config::Tokens;

/// What decisions are made by. Its parts are shared between snapshots, so that a change costs what it changes.
#[derive(Clone)]
pub struct Snapshot {
    /// The state of the store that it was made from.
    pub revision: Revision,
    /// The routes, from the configuration.
    pub routes: Arc<RouteTable>,
    /// The signature profiles that rules can name.
    pub profiles: Arc<[Profile]>,
    /// How the upstream is told who came.
    pub identity_headers: Arc<IdentityHeaderNames>,
    /// The allow-lists.
    pub lists: Arc<AllowLists>,
    /// The keys of clients and admins.
    pub keys: Arc<LiveKeys>,
    /// What access tokens are verified with.
    pub tokens: Arc<TokenTrust>,
    /// Sessions that were ended while their access tokens could still be shown.
    pub ended: Arc<HashSet<SessionId>>,
}

impl Snapshot {
    /// Whether what let a request in still would: none of its credentials has expired, been revoked or been disabled. For
    /// streams that go on after the decision.
    pub fn still_lets_in(&self, permit: &Permit, now: UnixMillis) -> bool {
        let stands = |identity: &Identity| match identity.kind {
            Kind::Jwt => identity.session.as_ref().is_some_and(|session| !self.ended.contains(session)),
            Kind::Hmac => self.keys.signing.contains_key(&*identity.credential),
            Kind::ApiKey => self.keys.api_ids.contains(&*identity.credential),
            Kind::Mtls => true,
        };
        permit.expires().is_none_or(|expires| now < expires) && permit.identities().all(stands)
    }
}

/// Which access tokens are taken. A new one whenever a key, the issuer or the audience changes: what was verified under an
/// older one is forgotten.
pub struct TokenTrust {
    /// The keys.
    pub ring: TokenRing,
    /// The issuer and the audience.
    pub expected: Expected,
}

impl TokenTrust {
    /// No keys yet: every access token is refused.
    pub fn of_nobody(tokens: &Tokens) -> Self {
        let expected = Expected { issuer: tokens.issuer.as_str().into(), audience: tokens.audience.as_str().into() };
        Self { ring: TokenRing::default(), expected }
    }
}

/// Keys that are known, ready to verify with.
#[derive(Default)]
pub struct LiveKeys {
    signing: HashMap<KeyId, LiveKey>,
    api: HashMap<CredentialHash, LiveApiKey>,
    api_ids: HashSet<String>,
    admin: HashMap<CredentialHash, AdminKey>,
}

impl LiveKeys {
    /// Decrypts the secrets of a directory. Keys that are disabled, or whose client is, or whose profile is not among
    /// `profiles`, are left out.
    ///
    /// # Errors
    /// When a secret cannot be decrypted: the master key is not the one it was sealed with.
    pub fn build(directory: Directory, master: &MasterKey, profiles: &[Profile]) -> Result<Self, BadDirectory> {
        let clients: StdMap<_, _> = directory
            .clients
            .into_iter()
            .filter(|client| client.enabled)
            .map(|client| (client.id.clone(), (Arc::new(client.principal()), Arc::new(client.scopes))))
            .collect();
        let mut live = Self::default();
        for key in directory.signing_keys.into_iter().filter(|key| key.enabled) {
            let Some((principal, scopes)) = clients.get(&key.client) else { continue };
            let Some(profile) = profiles.iter().find(|profile| *profile.name() == key.profile) else {
                tracing::warn!(key = %key.id, profile = %key.profile, "a signing key is for a profile that is not there");
                continue;
            };
            let mut secrets = Vec::with_capacity(key.secrets.len());
            for secret in key.secrets {
                let opened = master.open(&secret.sealed, secret.id.as_str())?;
                let text = String::from_utf8(opened.expose().to_vec()).map_err(|_not_text| BadDirectory::Secret(secret.id.clone()))?;
                let made = LiveSecret::new(profile, secret.id.clone(), &SecretText::new(text), secret.ends);
                match made {
                    Ok(live) => secrets.push(live),
                    // The profile has changed since the secret was taken: it signs nothing, and the rest goes on.
                    Err(bad) => {
                        tracing::warn!(key = %key.id, secret = %secret.id, error = %bad, "a secret cannot be used with its profile");
                    }
                }
            }
            let live_key =
                LiveKey::new(key.id.clone(), Arc::clone(principal), Arc::clone(scopes), key.profile, secrets).diagnosed(key.diagnose_until);
            live.signing.insert(key.id, live_key);
        }
        for key in directory.api_keys.into_iter().filter(|key| key.enabled) {
            let Some((principal, scopes)) = clients.get(&key.client) else { continue };
            let live_key = LiveApiKey::new(&key.id, key.hash, Arc::clone(principal), Arc::clone(scopes), key.expires);
            live.api.insert(key.hash, live_key);
            live.api_ids.insert(key.id.to_string());
        }
        live.admin = directory.admin_keys.into_iter().filter(|key| key.enabled).map(|key| (key.hash, key)).collect();
        Ok(live)
    }

    /// A signing key by its id.
    pub fn find_signing_key(&self, id: &str) -> Option<&LiveKey> {
        self.signing.get(id)
    }

    /// The other signing keys of the same client, in the same scheme.
    pub fn others_of<'s>(&'s self, key: &'s LiveKey) -> impl Iterator<Item = &'s LiveKey> {
        let same = move |other: &&LiveKey| {
            other.id() != key.id() && other.principal().id == key.principal().id && other.profile() == key.profile()
        };
        self.signing.values().filter(same)
    }

    /// An API key by the hash of what was shown.
    pub fn find_api_key(&self, hash: &CredentialHash) -> Option<&LiveApiKey> {
        self.api.get(hash)
    }

    /// An admin key by the hash of what was shown. Whether it has expired is for the caller to see.
    pub fn find_admin_key(&self, hash: &CredentialHash) -> Option<&AdminKey> {
        self.admin.get(hash)
    }
}

/// A directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadDirectory {
    /// A secret does not decrypt.
    #[error("{0}; is the master key the one that the data was made with?")]
    Sealed(#[from] CannotOpen),
    /// A secret that was not stored by us.
    #[error("the secret {0} is not text")]
    Secret(SecretId),
}
