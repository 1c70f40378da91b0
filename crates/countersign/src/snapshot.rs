//! The rules as of one revision: what the data path decides by. Immutable; replaced whole, never patched.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use countersign_core::access_token::TokenVerifier;
use countersign_core::allow_list::AllowLists;
use countersign_core::api_key::LiveApiKey;
use countersign_core::directory::{AdminKey, Directory};
use countersign_core::id::{ClientId, KeyId, Revision, SessionId};
use countersign_core::identity_headers::IdentityHeaderNames;
use countersign_core::routes::RouteTable;
use countersign_core::sealed::{CannotOpen, MasterKey};
use countersign_core::secret::CredentialHash;
use countersign_core::signature::{LiveKey, LiveSecret, Profile};

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
    pub tokens: Arc<TokenRing>,
    /// Sessions that were ended while their access tokens could still be shown.
    pub ended: Arc<HashSet<SessionId>>,
}

/// The keys, issuer and audience of access tokens. A new one whenever any of them changes.
pub type TokenRing = TokenVerifier;

/// Keys that are known, ready to verify with.
#[derive(Default)]
pub struct LiveKeys {
    signing: HashMap<KeyId, LiveKey>,
    api: HashMap<CredentialHash, LiveApiKey>,
    admin: HashMap<CredentialHash, AdminKey>,
}

impl LiveKeys {
    /// Decrypts the secrets of a directory. Keys that are disabled, or whose client is, are left out.
    ///
    /// # Errors
    /// When a secret cannot be decrypted: the master key is not the one it was sealed with.
    pub fn build(directory: Directory, master: &MasterKey) -> Result<Self, CannotOpen> {
        let clients: HashMap<ClientId, _> =
            directory.clients.into_iter().filter(|client| client.enabled).map(|client| (client.id.clone(), client)).collect();
        let mut live = Self::default();
        for key in directory.signing_keys.into_iter().filter(|key| key.enabled) {
            let Some(client) = clients.get(&key.client) else { continue };
            let secrets = key
                .secrets
                .iter()
                .map(|secret| Ok(LiveSecret::new(secret.id.clone(), &master.open(&secret.sealed, secret.id.as_str())?, secret.ends)))
                .collect::<Result<_, CannotOpen>>()?;
            live.signing.insert(key.id.clone(), LiveKey::new(key.id, key.profile, client, secrets));
        }
        for key in directory.api_keys.into_iter().filter(|key| key.enabled) {
            let Some(client) = clients.get(&key.client) else { continue };
            live.api.insert(key.hash, LiveApiKey::new(&key, client));
        }
        live.admin = directory.admin_keys.into_iter().filter(|key| key.enabled).map(|key| (key.hash, key)).collect();
        Ok(live)
    }

    /// A signing key by its id.
    pub fn find_signing_key(&self, id: &str) -> Option<&LiveKey> {
        self.signing.get(id)
    }

    /// An API key as it is shown.
    pub fn find_api_key(&self, shown: &str) -> Option<&LiveApiKey> {
        self.api.get(&CredentialHash::of(shown))
    }

    /// An admin key as it is shown. Whether it has expired is for the caller to see.
    pub fn find_admin_key(&self, shown: &str) -> Option<&AdminKey> {
        self.admin.get(&CredentialHash::of(shown))
    }
}
