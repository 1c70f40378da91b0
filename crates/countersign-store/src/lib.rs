//! What Countersign remembers. Two seams: [`Store`] for state that must last, [`ReplayCache`] for what was used once.
//!
//! Each method of [`Store`] is one act: one transaction with one outcome, its audit row written inside it. No closure and no
//! transaction crosses the line. Every backend passes the whole of `conformance`.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod memory;
mod rows;
pub mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use countersign_core::allow_list::{AllowList, Entry};
use countersign_core::audit::{AuditEvent, AuditRow};
use countersign_core::directory::{
    AdminKey, ApiKey, Client, Directory, KeySecret, PasswordHash, Sealed, SigningKey, TokenKey, User, Username,
};
use countersign_core::id::{AdminKeyId, ApiKeyId, ClientId, ClientName, EntryId, KeyId, ListName, Revision, SecretId, SessionId, UserId};
use countersign_core::network::Network;
use countersign_core::now::UnixMillis;
use countersign_core::principal::Scopes;
use countersign_core::refresh::{RefreshToken, Session};
use countersign_core::replay::{Claim, NewClaim};
use countersign_core::secret::CredentialHash;

/// State that must last. Shared as `Arc<dyn Store>`.
///
/// A method that answers has happened: what it acknowledged survives the end of the process. A method that fails with
/// [`StoreError`] may or may not have happened, and the caller says "could not".
#[async_trait]
pub trait Store: Send + Sync + 'static {
    // What snapshots are made of.

    /// How often that has changed which snapshots are made of: everything this trait loads. Opening a session and rotating a
    /// token are no such changes.
    async fn revision(&self) -> Result<Revision>;
    /// All clients and their keys, all admin keys.
    async fn load_directory(&self) -> Result<Directory>;
    /// All allow-lists with their entries, sorted by name; entries oldest first.
    async fn load_allow_lists(&self) -> Result<Vec<AllowList>>;
    /// Sessions that were ended and whose access tokens could still be shown: those that end after `now`, and those ended
    /// less than `token_life` ago.
    async fn load_ended_sessions(&self, now: UnixMillis, token_life: Duration) -> Result<Vec<SessionId>>;
    /// All keys that sign access tokens, oldest first.
    async fn load_token_keys(&self) -> Result<Vec<TokenKey>>;
    /// Keeps a new token key. Two nodes that start at once keep one: `AlreadyExists` when there is one that signs at
    /// `key.signs_from`.
    async fn add_token_key(&self, key: &TokenKey, audit: &AuditEvent) -> Result<Added>;

    // Logging in.

    /// Counts an attempt in every lane that applies (`countersign_core::throttle`) before the password is looked at, and
    /// gives the account if there is one. An unknown username is counted and costs the same.
    async fn reserve_login(&self, username: &Username, network: Network, now: UnixMillis) -> Result<LoginReservation>;
    /// Opens a session with its first refresh token, clears the account's counter for this network, gives the attempt back to
    /// each lane that others' guesses count in too, and remembers that the account succeeded from here. The revision stays.
    /// Refuses when the user was disabled, removed or got another password since `opened.password` was read.
    async fn open_session(&self, opened: &NewSession, audit: &AuditEvent) -> Result<OpenOutcome>;
    /// A refresh token and its session, by the token's hash. Changes nothing.
    async fn find_refresh(&self, hash: CredentialHash) -> Result<Option<FoundRefresh>>;
    /// Uses a refresh token, as `countersign_core::refresh::judge` says. Rotating gives it its one successor; a replay ends the
    /// session. Of any number of calls at once for one token, one is `Rotated`. `audit` is written only when a replay ends the
    /// session: everyday refreshes would bury what an auditor looks for.
    async fn rotate_refresh(&self, rotation: &Rotation, audit: &AuditEvent) -> Result<RotateOutcome>;
    /// Ends a session.
    async fn end_session(&self, id: &SessionId, audit: &AuditEvent) -> Result<Changed>;
    /// The sessions that are open at `now`, newest first, at most `limit`; of one user if given.
    async fn list_sessions(&self, user: Option<&UserId>, now: UnixMillis, limit: u32) -> Result<Vec<Session>>;

    // Users.

    /// Adds a user. The username must be free.
    async fn add_user(&self, user: &User, audit: &AuditEvent) -> Result<Added>;
    /// A user by name.
    async fn find_user(&self, username: &Username) -> Result<Option<User>>;
    /// Users in order of their names, after `after`, at most `limit`.
    async fn list_users(&self, after: Option<&Username>, limit: u32) -> Result<Vec<User>>;
    /// Changes a user. Disabling, and a new password, end all sessions of the user in the same act.
    async fn change_user(&self, id: &UserId, change: &UserChange, audit: &AuditEvent) -> Result<Changed>;
    /// Removes a user, ends all sessions, and disables allow-list entries bound to it.
    async fn remove_user(&self, id: &UserId, audit: &AuditEvent) -> Result<Changed>;

    // Clients and their keys.

    /// Adds a client. The name must be free.
    async fn add_client(&self, client: &Client, audit: &AuditEvent) -> Result<Added>;
    /// Enables or disables a client and so all its keys.
    async fn enable_client(&self, id: &ClientId, enabled: bool, audit: &AuditEvent) -> Result<Changed>;
    /// Removes a client with all its keys and disables allow-list entries bound to it.
    async fn remove_client(&self, id: &ClientId, audit: &AuditEvent) -> Result<Changed>;
    /// Adds a signing key with its first secret. The client must exist (`NotFound` otherwise).
    async fn add_signing_key(&self, key: &SigningKey, audit: &AuditEvent) -> Result<Added>;
    /// Adds the second secret of a key and plans the end of the first. `Stale` when there are two that have not ended at `secret.created`.
    async fn add_secret(&self, key: &KeyId, secret: &KeySecret, first_ends: Option<UnixMillis>, audit: &AuditEvent) -> Result<Changed>;
    /// Removes one secret of a key. The last one stays: `Stale`.
    async fn remove_secret(&self, key: &KeyId, secret: &SecretId, audit: &AuditEvent) -> Result<Changed>;
    /// Enables or disables a signing key.
    async fn diagnose_signing_key(&self, id: &KeyId, until: Option<UnixMillis>, audit: &AuditEvent) -> Result<Changed>;
    async fn enable_signing_key(&self, id: &KeyId, enabled: bool, audit: &AuditEvent) -> Result<Changed>;
    /// Removes a signing key.
    async fn remove_signing_key(&self, id: &KeyId, audit: &AuditEvent) -> Result<Changed>;
    /// Adds an API key. The client must exist (`NotFound` otherwise).
    async fn add_api_key(&self, key: &ApiKey, audit: &AuditEvent) -> Result<Added>;
    /// Enables or disables an API key.
    async fn enable_api_key(&self, id: &ApiKeyId, enabled: bool, audit: &AuditEvent) -> Result<Changed>;
    /// Removes an API key.
    async fn remove_api_key(&self, id: &ApiKeyId, audit: &AuditEvent) -> Result<Changed>;
    /// Adds an admin key.
    async fn add_admin_key(&self, key: &AdminKey, audit: &AuditEvent) -> Result<Added>;
    /// Enables or disables an admin key.
    async fn enable_admin_key(&self, id: &AdminKeyId, enabled: bool, audit: &AuditEvent) -> Result<Changed>;
    /// Removes an admin key.
    async fn remove_admin_key(&self, id: &AdminKeyId, audit: &AuditEvent) -> Result<Changed>;

    // Allow-lists.

    /// Adds an empty list.
    async fn add_allow_list(&self, name: &ListName, at: UnixMillis, audit: &AuditEvent) -> Result<Added>;
    /// Removes a list with its entries. `Stale` when its version is not `expected`; `None` means whatever it is.
    async fn remove_allow_list(&self, name: &ListName, expected: Option<u64>, audit: &AuditEvent) -> Result<Changed>;
    /// Adds an entry with version 1. The list must exist (`NotFound` otherwise).
    async fn add_entry(&self, entry: &Entry, audit: &AuditEvent) -> Result<Added>;
    /// Saves a changed entry: everything but its id, list, creator and creation time. Its version becomes one more than the
    /// stored one. `Stale` when the stored version is not `expected`; `None` means whatever it is. `NoChange` when it says the same.
    async fn save_entry(&self, entry: &Entry, expected: Option<u64>, audit: &AuditEvent) -> Result<Changed>;
    /// Removes an entry. `Stale` as for `save_entry`.
    async fn remove_entry(&self, list: &ListName, id: &EntryId, expected: Option<u64>, audit: &AuditEvent) -> Result<Changed>;

    // What happened.

    /// Adds what the data path counted since the last time. Not a change: the revision stays, and no audit row is written.
    async fn record_uses(&self, uses: &[Use]) -> Result<()>;
    /// How often and when things were last used, for the ids that were ever used.
    async fn load_uses(&self) -> Result<Vec<Use>>;
    /// Audit rows after `after`, oldest first, at most `limit`.
    async fn list_audit(&self, after: u64, limit: u32) -> Result<Vec<AuditRow>>;
    /// Recomputes the chain of hashes: how many rows there are, or the number of the first that does not fit.
    async fn verify_audit(&self) -> Result<AuditVerdict>;
}

/// What was used once, and must not be used again. Shared as `Arc<dyn ReplayCache>`.
#[async_trait]
pub trait ReplayCache: Send + Sync + 'static {
    /// Claims nonce and string to sign in one atomic step, under the fingerprint of the secret. A claim that came first is
    /// remembered when this returns, in a way that survives the end of the process. Never released.
    ///
    /// # Errors
    /// When it cannot be known or remembered: the request is refused.
    async fn claim(&self, claim: &NewClaim, now: UnixMillis) -> std::result::Result<Claim, ReplayUnavailable>;

    /// The fence: a request signed at or before it is refused before its body is read. `UnixMillis::MIN` when there is none.
    fn fence(&self) -> UnixMillis;

    /// Makes everything claimed so far durable and says so, for a planned stop.
    async fn close(&self) -> std::result::Result<(), ReplayUnavailable>;
}

/// What the store's methods give.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The store could not do it. Never means "no such thing": that is an outcome.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It does not answer, is full, or is read-only. Trying again may help.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What is stored cannot be read. Trying again does not help.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
}

/// The replay cache could not answer.
#[derive(Debug, thiserror::Error)]
#[error("the replay cache is unavailable: {0}")]
pub struct ReplayUnavailable(pub String);

/// What became of adding something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is there now, as of this revision.
    Added(Revision),
    /// There was one with that name or id; nothing was changed.
    AlreadyExists,
    /// What it belongs to is not there; nothing was changed.
    NotFound,
}

/// What became of changing or removing something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It is changed, as of this revision.
    Changed(Revision),
    /// It said so already; nothing was changed and no audit row written.
    NoChange,
    /// It is not as expected; nothing was changed.
    Stale,
    /// It is not there.
    NotFound,
}

/// Whether a login may be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginReservation {
    /// It is counted. The account, if there is one; disabled ones too.
    Reserved(Option<User>),
    /// Not before this moment. Not counted.
    Wait(UnixMillis),
}

/// A session to open.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The session.
    pub session: Session,
    /// Its first refresh token.
    pub token: RefreshToken,
    /// The password hash that was verified.
    pub password: PasswordHash,
    /// The network the login came from.
    pub network: Network,
    /// A better hash of the same password, when its parameters have changed since it was stored.
    pub rehashed: Option<PasswordHash>,
}

/// What became of opening a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenOutcome {
    /// It is open.
    Opened(Revision),
    /// The user is not the one that was verified any more; nothing was changed.
    UserChanged,
}

/// A refresh token that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRefresh {
    /// The token.
    pub token: RefreshToken,
    /// Its session.
    pub session: Session,
    /// Whether the user is there and enabled.
    pub user: Option<User>,
}

/// The use of a refresh token.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The token that was shown.
    pub presented: CredentialHash,
    /// Which application shows it.
    pub client: ClientName,
    /// The session that the access token beside it names, where one is asked for.
    pub session: Option<SessionId>,
    /// The hash of the successor, if this use is the first.
    pub successor: CredentialHash,
    /// Until when the successor is good.
    pub successor_expires: UnixMillis,
    /// The answer, encrypted under a key that only the presented token yields.
    pub answer: Sealed,
    /// Now.
    pub now: UnixMillis,
    /// How long the presented token may be shown again.
    pub grace: Duration,
}

/// What became of the use of a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RotateOutcome {
    /// It was the first use; the successor is stored.
    Rotated,
    /// It was used a moment ago: this is the answer that was given then.
    Again(Sealed),
    /// It was used before. The session has been ended by this act.
    Replayed(Revision),
    /// It is too old, its session or its user is gone, or it is another application's. Nothing was changed.
    Refused(countersign_core::refresh::Judgement),
    /// There is no such token, or it is not of the session that was named. Nothing was changed.
    Unknown,
}

/// A change of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserChange {
    /// Enables or disables.
    Enable(bool),
    /// Sets a new password.
    Password(PasswordHash),
    /// Sets what a login gives.
    Scopes(Scopes),
}

/// How often something was used, and when last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The id of an entry, an API key or a signing key's secret.
    pub id: String,
    /// How often; since the last `record_uses` when recorded, in all when loaded.
    pub count: u64,
    /// When last.
    pub last: UnixMillis,
}

/// What recomputing the audit chain found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditVerdict {
    /// Every row fits; this many.
    Intact(u64),
    /// This row is the first that is missing or does not fit.
    Broken(u64),
}

/// A store that can be shared.
pub type SharedStore = Arc<dyn Store>;
/// A replay cache that can be shared.
pub type SharedReplay = Arc<dyn ReplayCache>;
