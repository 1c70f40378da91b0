//! State in one SQLite file: the default, nothing else to install.
//!
//! One connection writes, so that acts queue up in our process and not in SQLite's busy handler; a few read. Each act is one
//! `BEGIN IMMEDIATE` transaction. A future that is dropped half-way rolls back. `synchronous=FULL`: what was acknowledged
//! survives a power cut.

mod act;
mod allow_lists;
mod audit;
mod directory;
mod login;
mod sessions;
mod users;

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
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
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{Row as _, SqlSafeStr as _, SqlitePool};

use crate::rows::Columns;
use crate::{
    Added, AuditVerdict, Changed, FoundRefresh, LoginReservation, NewSession, OpenOutcome, Result, RotateOutcome, Rotation, Store,
    StoreError, Use, UserChange,
};
use act::Act;

/// State in one SQLite file.
pub struct SqliteStore {
    /// Exactly one connection.
    writer: SqlitePool,
    /// Connections that cannot write.
    readers: SqlitePool,
}

/// How long an act waits for the ones before it, or for another process that holds the file, until it is "unavailable".
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Reads are short; more connections than this only take memory.
const READERS: u32 = 4;
/// Older ones can corrupt the file when a checkpoint meets a commit (the WAL-reset bug, fixed in 3.51.3).
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

impl SqliteStore {
    /// Opens the file, and makes it (mode 0600) and its directory (mode 0700) when they are not there; brings its tables up to date.
    ///
    /// # Errors
    /// When the file cannot be opened or is not ours, or when the SQLite that was built in is too old to be safe.
    pub async fn open(path: &Path) -> Result<Self> {
        create_private(path).map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display())))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(LONGEST_WAIT);
        let pool =
            || SqlitePoolOptions::new().acquire_timeout(LONGEST_WAIT).idle_timeout(None).max_lifetime(None).test_before_acquire(false);
        let writer = pool().max_connections(1).connect_with(options.clone()).await.map_err(failed)?;
        let version: String = sqlx::query_scalar(act::SQLITE_VERSION).fetch_one(&writer).await.map_err(failed)?;
        if !is_new_enough(&version) {
            let (major, minor, patch) = OLDEST_SQLITE;
            return Err(StoreError::Unavailable(format!(
                "SQLite {version} can corrupt its file; at least {major}.{minor}.{patch} is needed"
            )));
        }
        migrator().run(&writer).await.map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display())))?;
        let readers = pool().max_connections(READERS).connect_with(options.pragma("query_only", "on")).await.map_err(failed)?;
        Ok(Self { writer, readers })
    }

    /// Waits for the acts under way and closes the file; what comes after is refused. Dropping the store is as safe, only less tidy.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn migrator() -> Migrator {
    let first = include_str!("../migrations/sqlite/0001_state.sql").into_sql_str();
    let second = include_str!("../migrations/sqlite/0002_diagnose.sql").into_sql_str();
    Migrator::with_migrations(vec![
        Migration::new(1, "state".into(), MigrationType::Simple, first, false),
        Migration::new(2, "diagnose".into(), MigrationType::Simple, second, false),
    ])
}

/// Makes the file before SQLite does, which would make it readable to everybody. The files beside it get its mode.
fn create_private(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    std::fs::OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path).map(drop)
}

fn is_new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next()) >= OLDEST_SQLITE
}

/// SQLite's result codes for a file that is damaged or no database at all.
const UNREADABLE: [&str; 2] = ["11", "26"];

fn failed(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(database) if database.code().is_some_and(|code| UNREADABLE.contains(&&*code)) => {
            StoreError::Corrupt(error.to_string())
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
            StoreError::Corrupt(error.to_string())
        }
        _ => StoreError::Unavailable(error.to_string()),
    }
}

impl Columns for SqliteRow {
    fn maybe_text(&self, column: &'static str) -> Result<Option<String>> {
        self.try_get(column).map_err(failed)
    }
    fn maybe_number(&self, column: &'static str) -> Result<Option<i64>> {
        self.try_get(column).map_err(failed)
    }
    fn maybe_bytes(&self, column: &'static str) -> Result<Option<Vec<u8>>> {
        self.try_get(column).map_err(failed)
    }
}

/// Each act in a line; the files under `sqlite/` hold them by subject.
#[async_trait]
impl Store for SqliteStore {
    async fn revision(&self) -> Result<Revision> {
        act::revision(&self.readers).await
    }
    async fn load_directory(&self) -> Result<Directory> {
        directory::load(&self.readers).await
    }
    async fn load_allow_lists(&self) -> Result<Vec<AllowList>> {
        allow_lists::load(&self.readers).await
    }
    async fn load_ended_sessions(&self, now: UnixMillis, token_life: Duration) -> Result<Vec<SessionId>> {
        sessions::load_ended(&self.readers, now, token_life).await
    }
    async fn load_token_keys(&self) -> Result<Vec<TokenKey>> {
        directory::load_token_keys(&self.readers).await
    }
    async fn add_token_key(&self, key: &TokenKey, audit: &AuditEvent) -> Result<Added> {
        directory::add_token_key(Act::begin(&self.writer).await?, key, audit).await
    }

    async fn reserve_login(&self, username: &Username, network: Network, now: UnixMillis) -> Result<LoginReservation> {
        login::reserve(Act::begin(&self.writer).await?, username, network, now).await
    }
    async fn open_session(&self, opened: &NewSession, audit: &AuditEvent) -> Result<OpenOutcome> {
        login::open_session(Act::begin(&self.writer).await?, opened, audit).await
    }
    async fn find_refresh(&self, hash: CredentialHash) -> Result<Option<FoundRefresh>> {
        sessions::find_refresh(&self.readers, hash).await
    }
    async fn rotate_refresh(&self, rotation: &Rotation, audit: &AuditEvent) -> Result<RotateOutcome> {
        sessions::rotate(Act::begin(&self.writer).await?, rotation, audit).await
    }
    async fn end_session(&self, id: &SessionId, audit: &AuditEvent) -> Result<Changed> {
        sessions::end(Act::begin(&self.writer).await?, id, audit).await
    }
    async fn list_sessions(&self, user: Option<&UserId>, now: UnixMillis, limit: u32) -> Result<Vec<Session>> {
        sessions::list(&self.readers, user, now, limit).await
    }

    async fn add_user(&self, user: &User, audit: &AuditEvent) -> Result<Added> {
        users::add(Act::begin(&self.writer).await?, user, audit).await
    }
    async fn find_user(&self, username: &Username) -> Result<Option<User>> {
        users::find(&self.readers, username).await
    }
    async fn list_users(&self, after: Option<&Username>, limit: u32) -> Result<Vec<User>> {
        users::list(&self.readers, after, limit).await
    }
    async fn change_user(&self, id: &UserId, change: &UserChange, audit: &AuditEvent) -> Result<Changed> {
        users::change(Act::begin(&self.writer).await?, id, change, audit).await
    }
    async fn remove_user(&self, id: &UserId, audit: &AuditEvent) -> Result<Changed> {
        users::remove(Act::begin(&self.writer).await?, id, audit).await
    }

    async fn add_client(&self, client: &Client, audit: &AuditEvent) -> Result<Added> {
        directory::add_client(Act::begin(&self.writer).await?, client, audit).await
    }
    async fn enable_client(&self, id: &ClientId, enabled: bool, audit: &AuditEvent) -> Result<Changed> {
        Act::begin(&self.writer).await?.enable(directory::CLIENT_SWITCH, id.as_str(), enabled, audit).await
    }
    async fn remove_client(&self, id: &ClientId, audit: &AuditEvent) -> Result<Changed> {
        directory::remove_client(Act::begin(&self.writer).await?, id, audit).await
    }
    async fn add_signing_key(&self, key: &SigningKey, audit: &AuditEvent) -> Result<Added> {
        directory::add_signing_key(Act::begin(&self.writer).await?, key, audit).await
    }
    async fn add_secret(&self, key: &KeyId, secret: &KeySecret, first_ends: Option<UnixMillis>, audit: &AuditEvent) -> Result<Changed> {
        directory::add_secret(Act::begin(&self.writer).await?, key, secret, first_ends, audit).await
    }
    async fn remove_secret(&self, key: &KeyId, secret: &SecretId, audit: &AuditEvent) -> Result<Changed> {
        directory::remove_secret(Act::begin(&self.writer).await?, key, secret, audit).await
    }
    async fn enable_signing_key(&self, id: &KeyId, enabled: bool, audit: &AuditEvent) -> Result<Changed> {
        Act::begin(&self.writer).await?.enable(directory::SIGNING_KEY_SWITCH, id.as_str(), enabled, audit).await
    }
    async fn diagnose_signing_key(&self, id: &KeyId, until: Option<UnixMillis>, audit: &AuditEvent) -> Result<Changed> {
        directory::diagnose_signing_key(Act::begin(&self.writer).await?, id, until, audit).await
    }
    async fn remove_signing_key(&self, id: &KeyId, audit: &AuditEvent) -> Result<Changed> {
        directory::remove_signing_key(Act::begin(&self.writer).await?, id, audit).await
    }
    async fn add_api_key(&self, key: &ApiKey, audit: &AuditEvent) -> Result<Added> {
        directory::add_api_key(Act::begin(&self.writer).await?, key, audit).await
    }
    async fn enable_api_key(&self, id: &ApiKeyId, enabled: bool, audit: &AuditEvent) -> Result<Changed> {
        Act::begin(&self.writer).await?.enable(directory::API_KEY_SWITCH, id.as_str(), enabled, audit).await
    }
    async fn remove_api_key(&self, id: &ApiKeyId, audit: &AuditEvent) -> Result<Changed> {
        directory::remove_api_key(Act::begin(&self.writer).await?, id, audit).await
    }
    async fn add_admin_key(&self, key: &AdminKey, audit: &AuditEvent) -> Result<Added> {
        directory::add_admin_key(Act::begin(&self.writer).await?, key, audit).await
    }
    async fn enable_admin_key(&self, id: &AdminKeyId, enabled: bool, audit: &AuditEvent) -> Result<Changed> {
        Act::begin(&self.writer).await?.enable(directory::ADMIN_KEY_SWITCH, id.as_str(), enabled, audit).await
    }
    async fn remove_admin_key(&self, id: &AdminKeyId, audit: &AuditEvent) -> Result<Changed> {
        directory::remove_admin_key(Act::begin(&self.writer).await?, id, audit).await
    }

    async fn add_allow_list(&self, name: &ListName, at: UnixMillis, audit: &AuditEvent) -> Result<Added> {
        allow_lists::add(Act::begin(&self.writer).await?, name, at, audit).await
    }
    async fn remove_allow_list(&self, name: &ListName, expected: Option<u64>, audit: &AuditEvent) -> Result<Changed> {
        allow_lists::remove(Act::begin(&self.writer).await?, name, expected, audit).await
    }
    async fn add_entry(&self, entry: &Entry, audit: &AuditEvent) -> Result<Added> {
        allow_lists::add_entry(Act::begin(&self.writer).await?, entry, audit).await
    }
    async fn save_entry(&self, entry: &Entry, expected: Option<u64>, audit: &AuditEvent) -> Result<Changed> {
        allow_lists::save_entry(Act::begin(&self.writer).await?, entry, expected, audit).await
    }
    async fn remove_entry(&self, list: &ListName, id: &EntryId, expected: Option<u64>, audit: &AuditEvent) -> Result<Changed> {
        allow_lists::remove_entry(Act::begin(&self.writer).await?, list, id, expected, audit).await
    }

    async fn record_uses(&self, uses: &[Use]) -> Result<()> {
        audit::record_uses(Act::begin(&self.writer).await?, uses).await
    }
    async fn load_uses(&self) -> Result<Vec<Use>> {
        audit::load_uses(&self.readers).await
    }
    async fn list_audit(&self, after: u64, limit: u32) -> Result<Vec<AuditRow>> {
        audit::list(&self.readers, after, limit).await
    }
    async fn verify_audit(&self) -> Result<AuditVerdict> {
        audit::verify(&self.readers).await
    }
}

#[cfg(test)]
mod tests;
