//! Clients, their keys, admin keys, and the keys that sign access tokens.

use std::collections::HashMap;

use countersign_core::audit::AuditEvent;
use countersign_core::directory::{AdminKey, AdminScope, ApiKey, Client, Directory, KeySecret, SigningKey, TokenKey};
use countersign_core::id::{AdminKeyId, ApiKeyId, ClientId, KeyId, SecretId};
use countersign_core::now::UnixMillis;
use sqlx::sqlite::SqliteRow;
use sqlx::{Sqlite, SqlitePool, Transaction};

use super::act::{Act, Query, Switch, statements};
use super::allow_lists::{self, FORGET_USES};
use super::failed;
use crate::rows::{self, Columns as _};
use crate::{Added, Changed, Result};

statements! {
    LOAD_CLIENTS = "SELECT id, name, scopes, enabled, created FROM clients ORDER BY name";
    LOAD_SIGNING_KEYS = "SELECT id, client, profile, enabled, created, diagnose_until FROM signing_keys ORDER BY created, id";
    LOAD_SECRETS = "SELECT id, key, sealed, created, ends FROM key_secrets ORDER BY created, id";
    LOAD_API_KEYS = "SELECT id, client, label, hash, enabled, created, expires FROM api_keys ORDER BY created, id";
    LOAD_ADMIN_KEYS = "SELECT id, label, hash, scopes, enabled, created, expires FROM admin_keys ORDER BY created, id";
    LOAD_TOKEN_KEYS = "SELECT id, algorithm, private, public, created, signs_from, signs_until, ends FROM token_keys ORDER BY created, id";

    SIGNS_AT = "SELECT 1 FROM token_keys WHERE signs_from <= ?1 AND (signs_until IS NULL OR signs_until > ?1)";
    INSERT_TOKEN_KEY = "INSERT INTO token_keys (id, algorithm, private, public, created, signs_from, signs_until, ends)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING";

    INSERT_CLIENT = "INSERT INTO clients (id, name, scopes, enabled, created) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
    FIND_CLIENT = "SELECT enabled FROM clients WHERE id = ?1";
    ENABLE_CLIENT = "UPDATE clients SET enabled = ?2 WHERE id = ?1";
    DELETE_CLIENT = "DELETE FROM clients WHERE id = ?1";
    FORGET_USES_OF_CLIENT = "DELETE FROM uses WHERE id IN (SELECT id FROM api_keys WHERE client = ?1)
        OR id IN (SELECT s.id FROM key_secrets AS s JOIN signing_keys AS k ON s.key = k.id WHERE k.client = ?1)";

    INSERT_SIGNING_KEY = "INSERT INTO signing_keys (id, client, profile, enabled, created, diagnose_until) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    FIND_SIGNING_KEY = "SELECT enabled FROM signing_keys WHERE id = ?1";
    ENABLE_SIGNING_KEY = "UPDATE signing_keys SET enabled = ?2 WHERE id = ?1";
    DIAGNOSE_SIGNING_KEY = "UPDATE signing_keys SET diagnose_until = ?2 WHERE id = ?1";
    DELETE_SIGNING_KEY = "DELETE FROM signing_keys WHERE id = ?1";
    FORGET_USES_OF_SIGNING_KEY = "DELETE FROM uses WHERE id IN (SELECT id FROM key_secrets WHERE key = ?1)";
    INSERT_SECRET = "INSERT INTO key_secrets (id, key, sealed, created, ends) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
    SECRETS_OF_KEY = "SELECT id, key, sealed, created, ends FROM key_secrets WHERE key = ?1 ORDER BY created, id";
    PLAN_END = "UPDATE key_secrets SET ends = ?2 WHERE id = ?1";
    DELETE_SECRET = "DELETE FROM key_secrets WHERE id = ?1";

    INSERT_API_KEY = "INSERT INTO api_keys (id, client, label, hash, enabled, created, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
        ON CONFLICT DO NOTHING";
    FIND_API_KEY = "SELECT enabled FROM api_keys WHERE id = ?1";
    ENABLE_API_KEY = "UPDATE api_keys SET enabled = ?2 WHERE id = ?1";
    DELETE_API_KEY = "DELETE FROM api_keys WHERE id = ?1";

    INSERT_ADMIN_KEY = "INSERT INTO admin_keys (id, label, hash, scopes, enabled, created, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
        ON CONFLICT DO NOTHING";
    FIND_ADMIN_KEY = "SELECT enabled FROM admin_keys WHERE id = ?1";
    ENABLE_ADMIN_KEY = "UPDATE admin_keys SET enabled = ?2 WHERE id = ?1";
    DELETE_ADMIN_KEY = "DELETE FROM admin_keys WHERE id = ?1";
}

pub(super) const CLIENT_SWITCH: Switch = Switch { find: FIND_CLIENT, set: ENABLE_CLIENT };
pub(super) const SIGNING_KEY_SWITCH: Switch = Switch { find: FIND_SIGNING_KEY, set: ENABLE_SIGNING_KEY };
pub(super) const API_KEY_SWITCH: Switch = Switch { find: FIND_API_KEY, set: ENABLE_API_KEY };
pub(super) const ADMIN_KEY_SWITCH: Switch = Switch { find: FIND_ADMIN_KEY, set: ENABLE_ADMIN_KEY };

pub(super) async fn load(readers: &SqlitePool) -> Result<Directory> {
    // One snapshot, or a key could come without its client.
    let mut reading = readers.begin().await.map_err(failed)?;
    let clients = all(&mut reading, LOAD_CLIENTS, rows::client).await?;
    let mut signing_keys = all(&mut reading, LOAD_SIGNING_KEYS, rows::signing_key).await?;
    let secrets = all(&mut reading, LOAD_SECRETS, |row| Ok((row.parsed::<KeyId>("key")?, rows::key_secret(row)?))).await?;
    let api_keys = all(&mut reading, LOAD_API_KEYS, rows::api_key).await?;
    let admin_keys = all(&mut reading, LOAD_ADMIN_KEYS, rows::admin_key).await?;
    let place: HashMap<KeyId, usize> = signing_keys.iter().enumerate().map(|(place, key)| (key.id.clone(), place)).collect();
    for (key, secret) in secrets {
        let key = place.get(&key).and_then(|place| signing_keys.get_mut(*place));
        key.ok_or_else(|| rows::corrupt("key", "names no key"))?.secrets.push(secret);
    }
    Ok(Directory { clients, signing_keys, api_keys, admin_keys })
}

async fn all<T>(
    reading: &mut Transaction<'static, Sqlite>,
    statement: &'static str,
    read: impl Fn(&SqliteRow) -> Result<T>,
) -> Result<Vec<T>> {
    sqlx::query(statement).fetch_all(&mut **reading).await.map_err(failed)?.iter().map(read).collect()
}

pub(super) async fn load_token_keys(readers: &SqlitePool) -> Result<Vec<TokenKey>> {
    sqlx::query(LOAD_TOKEN_KEYS).fetch_all(readers).await.map_err(failed)?.iter().map(rows::token_key).collect()
}

pub(super) async fn add_token_key(mut act: Act, key: &TokenKey, audit: &AuditEvent) -> Result<Added> {
    if act.find(sqlx::query(SIGNS_AT).bind(key.signs_from.millis())).await?.is_some() {
        return act.undone(Added::AlreadyExists).await;
    }
    let insert = sqlx::query(INSERT_TOKEN_KEY).bind(key.id.as_str().to_owned()).bind(key.algorithm.as_str());
    let insert = insert.bind(key.private.0.clone()).bind(key.public.clone()).bind(key.created.millis()).bind(key.signs_from.millis());
    insert_one(act, insert.bind(key.signs_until.map(UnixMillis::millis)).bind(key.ends.map(UnixMillis::millis)), audit).await
}

/// Ends an act that adds one row.
async fn insert_one(mut act: Act, insert: Query, audit: &AuditEvent) -> Result<Added> {
    if act.run(insert).await? == 0 {
        return act.undone(Added::AlreadyExists).await;
    }
    Ok(Added::Added(act.changed(audit).await?))
}

/// Ends an act that removes one row.
async fn delete_one(mut act: Act, delete: Query, audit: &AuditEvent) -> Result<Changed> {
    if act.run(delete).await? == 0 {
        return act.undone(Changed::NotFound).await;
    }
    Ok(Changed::Changed(act.changed(audit).await?))
}

pub(super) async fn add_client(act: Act, client: &Client, audit: &AuditEvent) -> Result<Added> {
    let insert = sqlx::query(INSERT_CLIENT).bind(client.id.as_str().to_owned()).bind(client.name.to_string());
    insert_one(act, insert.bind(client.scopes.to_string()).bind(client.enabled).bind(client.created.millis()), audit).await
}

pub(super) async fn remove_client(mut act: Act, id: &ClientId, audit: &AuditEvent) -> Result<Changed> {
    act.run(sqlx::query(FORGET_USES_OF_CLIENT).bind(id.as_str().to_owned())).await?;
    allow_lists::disable_entries_of(&mut act, id.as_str()).await?;
    delete_one(act, sqlx::query(DELETE_CLIENT).bind(id.as_str().to_owned()), audit).await
}

async fn client_is_there(act: &mut Act, id: &ClientId) -> Result<bool> {
    Ok(act.find(sqlx::query(FIND_CLIENT).bind(id.as_str().to_owned())).await?.is_some())
}

pub(super) async fn diagnose_signing_key(mut act: Act, id: &KeyId, until: Option<UnixMillis>, audit: &AuditEvent) -> Result<Changed> {
    let set = sqlx::query(DIAGNOSE_SIGNING_KEY).bind(id.to_string()).bind(until.map(UnixMillis::millis));
    if act.run(set).await? == 0 {
        return act.undone(Changed::NotFound).await;
    }
    Ok(Changed::Changed(act.changed(audit).await?))
}

pub(super) async fn add_signing_key(mut act: Act, key: &SigningKey, audit: &AuditEvent) -> Result<Added> {
    if !client_is_there(&mut act, &key.client).await? {
        return act.undone(Added::NotFound).await;
    }
    let insert = sqlx::query(INSERT_SIGNING_KEY).bind(key.id.to_string()).bind(key.client.as_str().to_owned());
    let insert = insert.bind(key.profile.to_string()).bind(key.enabled).bind(key.created.millis());
    if act.run(insert.bind(key.diagnose_until.map(UnixMillis::millis))).await? == 0 {
        return act.undone(Added::AlreadyExists).await;
    }
    for secret in &key.secrets {
        if act.run(insert_secret(&key.id, secret)).await? == 0 {
            return act.undone(Added::AlreadyExists).await;
        }
    }
    Ok(Added::Added(act.changed(audit).await?))
}

fn insert_secret(key: &KeyId, secret: &KeySecret) -> Query {
    let insert = sqlx::query(INSERT_SECRET).bind(secret.id.as_str().to_owned()).bind(key.to_string()).bind(secret.sealed.0.clone());
    insert.bind(secret.created.millis()).bind(secret.ends.map(UnixMillis::millis))
}

async fn secrets_of(act: &mut Act, key: &KeyId) -> Result<Vec<KeySecret>> {
    act.load(sqlx::query(SECRETS_OF_KEY).bind(key.to_string())).await?.iter().map(rows::key_secret).collect()
}

pub(super) async fn add_secret(
    mut act: Act,
    key: &KeyId,
    secret: &KeySecret,
    first_ends: Option<UnixMillis>,
    audit: &AuditEvent,
) -> Result<Changed> {
    if act.find(sqlx::query(FIND_SIGNING_KEY).bind(key.to_string())).await?.is_none() {
        return act.undone(Changed::NotFound).await;
    }
    let (live, over): (Vec<_>, Vec<_>) =
        secrets_of(&mut act, key).await?.into_iter().partition(|secret_of_key| secret_of_key.ends.is_none_or(|ends| ends > secret.created));
    if live.len() >= SigningKey::MOST_SECRETS {
        return act.undone(Changed::Stale).await;
    }
    for ended in over {
        remove_with_uses(&mut act, &ended.id).await?;
    }
    if let (Some(first), Some(ends)) = (live.first(), first_ends) {
        act.run(sqlx::query(PLAN_END).bind(first.id.as_str().to_owned()).bind(ends.millis())).await?;
    }
    if act.run(insert_secret(key, secret)).await? == 0 {
        return act.undone(Changed::Stale).await;
    }
    Ok(Changed::Changed(act.changed(audit).await?))
}

async fn remove_with_uses(act: &mut Act, id: &SecretId) -> Result<()> {
    act.run(sqlx::query(FORGET_USES).bind(id.as_str().to_owned())).await?;
    act.run(sqlx::query(DELETE_SECRET).bind(id.as_str().to_owned())).await?;
    Ok(())
}

pub(super) async fn remove_secret(mut act: Act, key: &KeyId, secret: &SecretId, audit: &AuditEvent) -> Result<Changed> {
    let secrets = secrets_of(&mut act, key).await?;
    if !secrets.iter().any(|stored| stored.id == *secret) {
        return act.undone(Changed::NotFound).await;
    }
    if secrets.len() == 1 {
        return act.undone(Changed::Stale).await;
    }
    remove_with_uses(&mut act, secret).await?;
    Ok(Changed::Changed(act.changed(audit).await?))
}

pub(super) async fn remove_signing_key(mut act: Act, id: &KeyId, audit: &AuditEvent) -> Result<Changed> {
    act.run(sqlx::query(FORGET_USES_OF_SIGNING_KEY).bind(id.to_string())).await?;
    delete_one(act, sqlx::query(DELETE_SIGNING_KEY).bind(id.to_string()), audit).await
}

pub(super) async fn add_api_key(mut act: Act, key: &ApiKey, audit: &AuditEvent) -> Result<Added> {
    if !client_is_there(&mut act, &key.client).await? {
        return act.undone(Added::NotFound).await;
    }
    let insert = sqlx::query(INSERT_API_KEY).bind(key.id.as_str().to_owned()).bind(key.client.as_str().to_owned());
    let insert = insert.bind(key.label.clone()).bind(key.hash.0.to_vec()).bind(key.enabled).bind(key.created.millis());
    insert_one(act, insert.bind(key.expires.map(UnixMillis::millis)), audit).await
}

pub(super) async fn remove_api_key(mut act: Act, id: &ApiKeyId, audit: &AuditEvent) -> Result<Changed> {
    act.run(sqlx::query(FORGET_USES).bind(id.as_str().to_owned())).await?;
    delete_one(act, sqlx::query(DELETE_API_KEY).bind(id.as_str().to_owned()), audit).await
}

pub(super) async fn add_admin_key(act: Act, key: &AdminKey, audit: &AuditEvent) -> Result<Added> {
    let scopes = key.scopes.iter().map(|scope: &AdminScope| scope.as_str()).collect::<Vec<_>>().join(" ");
    let insert = sqlx::query(INSERT_ADMIN_KEY).bind(key.id.as_str().to_owned()).bind(key.label.clone());
    let insert = insert.bind(key.hash.0.to_vec()).bind(scopes).bind(key.enabled).bind(key.created.millis());
    insert_one(act, insert.bind(key.expires.map(UnixMillis::millis)), audit).await
}

pub(super) async fn remove_admin_key(act: Act, id: &AdminKeyId, audit: &AuditEvent) -> Result<Changed> {
    delete_one(act, sqlx::query(DELETE_ADMIN_KEY).bind(id.as_str().to_owned()), audit).await
}
