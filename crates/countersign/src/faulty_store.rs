//! A store that fails when a test tells it to, before or after the real one has acted.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use countersign_core::allow_list::{AllowList, Entry};
use countersign_core::audit::{AuditEvent, AuditRow};
use countersign_core::directory::{AdminKey, ApiKey, Client, Directory, KeySecret, SigningKey, TokenKey, User, Username};
use countersign_core::id::{AdminKeyId, ApiKeyId, ClientId, EntryId, KeyId, ListName, Revision, SecretId, SessionId, UserId};
use countersign_core::network::Network;
use countersign_core::now::UnixMillis;
use countersign_core::refresh::Session;
use countersign_core::secret::CredentialHash;
use countersign_store::{
    Added, AuditVerdict, Changed, FoundRefresh, LoginReservation, NewSession, OpenOutcome, Result, RotateOutcome, Rotation, SharedStore,
    Store, StoreError, Use, UserChange,
};

/// When a failing act fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Nothing has happened.
    Before,
    /// It has happened, but the answer is lost.
    After,
}

/// A store around another.
pub struct FaultyStore {
    inner: SharedStore,
    fault: Mutex<Option<(&'static str, When)>>,
}

impl FaultyStore {
    pub fn new(inner: SharedStore) -> Self {
        Self { inner, fault: Mutex::new(None) }
    }

    /// Lets the act of this name fail from now on.
    pub fn fail(&self, act: &'static str, when: When) {
        *self.fault.lock().unwrap() = Some((act, when));
    }

    /// Lets nothing fail any more.
    pub fn heal(&self) {
        *self.fault.lock().unwrap() = None;
    }

    fn check(&self, act: &str, when: When) -> Result<()> {
        match *self.fault.lock().unwrap() {
            Some((failing, at)) if failing == act && at == when => Err(StoreError::Unavailable("a test says so".into())),
            _ => Ok(()),
        }
    }
}

macro_rules! pass_on {
    ($(fn $act:ident($($name:ident: $kind:ty),*) -> $outcome:ty;)*) => {
        #[async_trait]
        impl Store for FaultyStore {
            $(async fn $act(&self, $($name: $kind),*) -> Result<$outcome> {
                self.check(stringify!($act), When::Before)?;
                let outcome = self.inner.$act($($name),*).await?;
                self.check(stringify!($act), When::After)?;
                Ok(outcome)
            })*
        }
    };
}

pass_on! {
    fn revision() -> Revision;
    fn load_directory() -> Directory;
    fn load_allow_lists() -> Vec<AllowList>;
    fn load_ended_sessions(now: UnixMillis, token_life: Duration) -> Vec<SessionId>;
    fn load_token_keys() -> Vec<TokenKey>;
    fn add_token_key(key: &TokenKey, audit: &AuditEvent) -> Added;
    fn reserve_login(username: &Username, network: Network, now: UnixMillis) -> LoginReservation;
    fn open_session(opened: &NewSession, audit: &AuditEvent) -> OpenOutcome;
    fn find_refresh(hash: CredentialHash) -> Option<FoundRefresh>;
    fn rotate_refresh(rotation: &Rotation, audit: &AuditEvent) -> RotateOutcome;
    fn end_session(id: &SessionId, audit: &AuditEvent) -> Changed;
    fn list_sessions(user: Option<&UserId>, now: UnixMillis, limit: u32) -> Vec<Session>;
    fn add_user(user: &User, audit: &AuditEvent) -> Added;
    fn find_user(username: &Username) -> Option<User>;
    fn list_users(after: Option<&Username>, limit: u32) -> Vec<User>;
    fn change_user(id: &UserId, change: &UserChange, audit: &AuditEvent) -> Changed;
    fn remove_user(id: &UserId, audit: &AuditEvent) -> Changed;
    fn add_client(client: &Client, audit: &AuditEvent) -> Added;
    fn enable_client(id: &ClientId, enabled: bool, audit: &AuditEvent) -> Changed;
    fn remove_client(id: &ClientId, audit: &AuditEvent) -> Changed;
    fn add_signing_key(key: &SigningKey, audit: &AuditEvent) -> Added;
    fn add_secret(key: &KeyId, secret: &KeySecret, first_ends: Option<UnixMillis>, audit: &AuditEvent) -> Changed;
    fn remove_secret(key: &KeyId, secret: &SecretId, audit: &AuditEvent) -> Changed;
    fn diagnose_signing_key(id: &KeyId, until: Option<UnixMillis>, audit: &AuditEvent) -> Changed;
    fn enable_signing_key(id: &KeyId, enabled: bool, audit: &AuditEvent) -> Changed;
    fn remove_signing_key(id: &KeyId, audit: &AuditEvent) -> Changed;
    fn add_api_key(key: &ApiKey, audit: &AuditEvent) -> Added;
    fn enable_api_key(id: &ApiKeyId, enabled: bool, audit: &AuditEvent) -> Changed;
    fn remove_api_key(id: &ApiKeyId, audit: &AuditEvent) -> Changed;
    fn add_admin_key(key: &AdminKey, audit: &AuditEvent) -> Added;
    fn enable_admin_key(id: &AdminKeyId, enabled: bool, audit: &AuditEvent) -> Changed;
    fn remove_admin_key(id: &AdminKeyId, audit: &AuditEvent) -> Changed;
    fn add_allow_list(name: &ListName, at: UnixMillis, audit: &AuditEvent) -> Added;
    fn remove_allow_list(name: &ListName, expected: Option<u64>, audit: &AuditEvent) -> Changed;
    fn add_entry(entry: &Entry, audit: &AuditEvent) -> Added;
    fn save_entry(entry: &Entry, expected: Option<u64>, audit: &AuditEvent) -> Changed;
    fn remove_entry(list: &ListName, id: &EntryId, expected: Option<u64>, audit: &AuditEvent) -> Changed;
    fn record_uses(uses: &[Use]) -> ();
    fn load_uses() -> Vec<Use>;
    fn list_audit(after: u64, limit: u32) -> Vec<AuditRow>;
    fn verify_audit() -> AuditVerdict;
}
