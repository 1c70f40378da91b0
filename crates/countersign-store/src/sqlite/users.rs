//! Users.

use countersign_core::audit::AuditEvent;
use countersign_core::directory::{User, Username};
use countersign_core::id::UserId;
use sqlx::SqlitePool;

use super::act::{Act, statements};
use super::{allow_lists, failed, sessions};
use crate::{Added, Changed, Result, UserChange, rows};

statements! {
    INSERT_USER = "INSERT INTO users (id, username, password, scopes, enabled, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    FIND_USER_BY_ID = "SELECT id, username, password, scopes, enabled, created FROM users WHERE id = ?1";
    FIND_USER_BY_NAME = "SELECT id, username, password, scopes, enabled, created FROM users WHERE username = ?1";
    LIST_USERS = "SELECT id, username, password, scopes, enabled, created FROM users WHERE username > ?1 ORDER BY username LIMIT ?2";
    ENABLE_USER = "UPDATE users SET enabled = ?2 WHERE id = ?1";
    SET_PASSWORD = "UPDATE users SET password = ?2 WHERE id = ?1";
    SET_USER_SCOPES = "UPDATE users SET scopes = ?2 WHERE id = ?1";
    DELETE_USER = "DELETE FROM users WHERE id = ?1";
}

pub(super) async fn add(mut act: Act, user: &User, audit: &AuditEvent) -> Result<Added> {
    let insert = sqlx::query(INSERT_USER).bind(user.id.as_str().to_owned()).bind(user.username.to_string());
    let insert = insert.bind(user.password.0.to_string()).bind(user.scopes.to_string());
    if act.run(insert.bind(user.enabled).bind(user.created.millis())).await? == 0 {
        return act.undone(Added::AlreadyExists).await;
    }
    Ok(Added::Added(act.changed(audit).await?))
}

pub(super) async fn find(readers: &SqlitePool, username: &Username) -> Result<Option<User>> {
    let query = sqlx::query(FIND_USER_BY_NAME).bind(username.to_string());
    query.fetch_optional(readers).await.map_err(failed)?.as_ref().map(rows::user).transpose()
}

pub(super) async fn list(readers: &SqlitePool, after: Option<&Username>, limit: u32) -> Result<Vec<User>> {
    // No username is empty, so all come after the empty text.
    let query = sqlx::query(LIST_USERS).bind(after.map(ToString::to_string).unwrap_or_default()).bind(limit);
    query.fetch_all(readers).await.map_err(failed)?.iter().map(rows::user).collect()
}

pub(super) async fn change(mut act: Act, id: &UserId, change: &UserChange, audit: &AuditEvent) -> Result<Changed> {
    let Some(row) = act.find(sqlx::query(FIND_USER_BY_ID).bind(id.as_str().to_owned())).await? else {
        return act.undone(Changed::NotFound).await;
    };
    let user = rows::user(&row)?;
    let same = match change {
        UserChange::Enable(enabled) => user.enabled == *enabled,
        UserChange::Password(password) => user.password == *password,
        UserChange::Scopes(scopes) => user.scopes == *scopes,
    };
    if same {
        return act.undone(Changed::NoChange).await;
    }
    let key = id.as_str().to_owned();
    act.run(match change {
        UserChange::Enable(enabled) => sqlx::query(ENABLE_USER).bind(key).bind(*enabled),
        UserChange::Password(password) => sqlx::query(SET_PASSWORD).bind(key).bind(password.0.to_string()),
        UserChange::Scopes(scopes) => sqlx::query(SET_USER_SCOPES).bind(key).bind(scopes.to_string()),
    })
    .await?;
    if matches!(change, UserChange::Enable(false) | UserChange::Password(_)) {
        sessions::end_all_of(&mut act, id, audit.at).await?;
    }
    Ok(Changed::Changed(act.changed(audit).await?))
}

pub(super) async fn remove(mut act: Act, id: &UserId, audit: &AuditEvent) -> Result<Changed> {
    if act.run(sqlx::query(DELETE_USER).bind(id.as_str().to_owned())).await? == 0 {
        return act.undone(Changed::NotFound).await;
    }
    sessions::end_all_of(&mut act, id, audit.at).await?;
    allow_lists::disable_entries_of(&mut act, id.as_str()).await?;
    Ok(Changed::Changed(act.changed(audit).await?))
}
