//! Allow-lists and their entries.

use std::collections::HashMap;

use countersign_core::allow_list::{AllowList, Entry};
use countersign_core::audit::AuditEvent;
use countersign_core::id::{EntryId, ListName};
use countersign_core::now::UnixMillis;
use sqlx::SqlitePool;

use super::act::{Act, statements};
use super::failed;
use crate::rows::{self, Columns as _};
use crate::{Added, Changed, Result};

statements! {
    LOAD_LISTS = "SELECT name, version, created FROM allow_lists ORDER BY name";
    LOAD_ENTRIES = "SELECT id, list, version, network, methods, path, principal, note, created_by, created, valid_from, valid_until, enabled
        FROM entries ORDER BY created, id";
    INSERT_LIST = "INSERT INTO allow_lists (name, version, created) VALUES (?1, 1, ?2) ON CONFLICT DO NOTHING";
    FIND_LIST = "SELECT version FROM allow_lists WHERE name = ?1";
    LIST_CHANGED = "UPDATE allow_lists SET version = version + 1 WHERE name = ?1";
    DELETE_LIST = "DELETE FROM allow_lists WHERE name = ?1";
    FORGET_USES_OF_LIST = "DELETE FROM uses WHERE id IN (SELECT id FROM entries WHERE list = ?1)";
    INSERT_ENTRY = "INSERT INTO entries
        (id, list, version, network, methods, path, principal, note, created_by, created, valid_from, valid_until, enabled)
        VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING";
    FIND_ENTRY = "SELECT id, list, version, network, methods, path, principal, note, created_by, created, valid_from, valid_until, enabled
        FROM entries WHERE id = ?1 AND list = ?2";
    SAVE_ENTRY = "UPDATE entries SET version = version + 1, network = ?3, methods = ?4, path = ?5, principal = ?6, note = ?7,
        valid_from = ?8, valid_until = ?9, enabled = ?10 WHERE id = ?1 AND list = ?2";
    DELETE_ENTRY = "DELETE FROM entries WHERE id = ?1 AND list = ?2";
    FORGET_USES = "DELETE FROM uses WHERE id = ?1";
    LISTS_NAMING = "UPDATE allow_lists SET version = version + 1 WHERE name IN (SELECT list FROM entries WHERE principal = ?1 AND enabled = 1)";
    DISABLE_ENTRIES_NAMING = "UPDATE entries SET enabled = 0, version = version + 1 WHERE principal = ?1 AND enabled = 1";
}

pub(super) async fn load(readers: &SqlitePool) -> Result<Vec<AllowList>> {
    let mut reading = readers.begin().await.map_err(failed)?;
    let lists = sqlx::query(LOAD_LISTS).fetch_all(&mut *reading).await.map_err(failed)?;
    let mut lists = lists.iter().map(rows::allow_list).collect::<Result<Vec<_>>>()?;
    let place: HashMap<ListName, usize> = lists.iter().enumerate().map(|(place, list)| (list.name.clone(), place)).collect();
    for row in &sqlx::query(LOAD_ENTRIES).fetch_all(&mut *reading).await.map_err(failed)? {
        let entry = rows::entry(row)?;
        let list = place.get(&entry.list).and_then(|place| lists.get_mut(*place));
        list.ok_or_else(|| rows::corrupt("list", "names no list"))?.entries.push(entry);
    }
    Ok(lists)
}

pub(super) async fn add(mut act: Act, name: &ListName, at: UnixMillis, audit: &AuditEvent) -> Result<Added> {
    if act.run(sqlx::query(INSERT_LIST).bind(name.to_string()).bind(at.millis())).await? == 0 {
        return act.undone(Added::AlreadyExists).await;
    }
    Ok(Added::Added(act.changed(audit).await?))
}

pub(super) async fn remove(mut act: Act, name: &ListName, expected: Option<u64>, audit: &AuditEvent) -> Result<Changed> {
    let Some(row) = act.find(sqlx::query(FIND_LIST).bind(name.to_string())).await? else { return act.undone(Changed::NotFound).await };
    let version = row.count("version")?;
    if expected.is_some_and(|expected| expected != version) {
        return act.undone(Changed::Stale).await;
    }
    act.run(sqlx::query(FORGET_USES_OF_LIST).bind(name.to_string())).await?;
    act.run(sqlx::query(DELETE_LIST).bind(name.to_string())).await?;
    Ok(Changed::Changed(act.changed(audit).await?))
}

pub(super) async fn add_entry(mut act: Act, entry: &Entry, audit: &AuditEvent) -> Result<Added> {
    if act.run(sqlx::query(LIST_CHANGED).bind(entry.list.to_string())).await? == 0 {
        return act.undone(Added::NotFound).await;
    }
    let insert = sqlx::query(INSERT_ENTRY).bind(entry.id.as_str().to_owned()).bind(entry.list.to_string());
    let insert = insert.bind(entry.network.to_string()).bind(entry.methods.to_string());
    let insert = insert.bind(entry.path.as_ref().map(ToString::to_string)).bind(entry.principal.as_ref().map(ToString::to_string));
    let insert = insert.bind(entry.note.clone()).bind(entry.created_by.clone()).bind(entry.created.millis());
    let insert = insert.bind(entry.valid_from.map(UnixMillis::millis)).bind(entry.valid_until.map(UnixMillis::millis));
    if act.run(insert.bind(entry.enabled)).await? == 0 {
        return act.undone(Added::AlreadyExists).await;
    }
    Ok(Added::Added(act.changed(audit).await?))
}

pub(super) async fn save_entry(mut act: Act, entry: &Entry, expected: Option<u64>, audit: &AuditEvent) -> Result<Changed> {
    let stored = match find_entry(&mut act, &entry.list, &entry.id, expected).await? {
        Ok(stored) => stored,
        Err(outcome) => return act.undone(outcome).await,
    };
    // What cannot be changed is taken from what is stored, so that only the rest is compared.
    let kept = (stored.version, stored.created_by.clone(), stored.created);
    let (version, created_by, created) = kept;
    if (Entry { version, created_by, created, ..entry.clone() }) == stored {
        return act.undone(Changed::NoChange).await;
    }
    let save = sqlx::query(SAVE_ENTRY).bind(entry.id.as_str().to_owned()).bind(entry.list.to_string());
    let save = save.bind(entry.network.to_string()).bind(entry.methods.to_string());
    let save = save.bind(entry.path.as_ref().map(ToString::to_string)).bind(entry.principal.as_ref().map(ToString::to_string));
    let save = save.bind(entry.note.clone()).bind(entry.valid_from.map(UnixMillis::millis));
    act.run(save.bind(entry.valid_until.map(UnixMillis::millis)).bind(entry.enabled)).await?;
    act.run(sqlx::query(LIST_CHANGED).bind(entry.list.to_string())).await?;
    Ok(Changed::Changed(act.changed(audit).await?))
}

pub(super) async fn remove_entry(
    mut act: Act,
    list: &ListName,
    id: &EntryId,
    expected: Option<u64>,
    audit: &AuditEvent,
) -> Result<Changed> {
    if let Err(outcome) = find_entry(&mut act, list, id, expected).await? {
        return act.undone(outcome).await;
    }
    act.run(sqlx::query(DELETE_ENTRY).bind(id.as_str().to_owned()).bind(list.to_string())).await?;
    act.run(sqlx::query(FORGET_USES).bind(id.as_str().to_owned())).await?;
    act.run(sqlx::query(LIST_CHANGED).bind(list.to_string())).await?;
    Ok(Changed::Changed(act.changed(audit).await?))
}

/// The stored entry, or why it may not be changed.
async fn find_entry(act: &mut Act, list: &ListName, id: &EntryId, expected: Option<u64>) -> Result<std::result::Result<Entry, Changed>> {
    let row = act.find(sqlx::query(FIND_ENTRY).bind(id.as_str().to_owned()).bind(list.to_string())).await?;
    let Some(stored) = row.as_ref().map(rows::entry).transpose()? else { return Ok(Err(Changed::NotFound)) };
    Ok(if expected.is_some_and(|expected| expected != stored.version) { Err(Changed::Stale) } else { Ok(stored) })
}

/// Disables the entries that are bound to somebody who is gone. Left enabled they would never match, but look as if they did.
pub(super) async fn disable_entries_of(act: &mut Act, principal: &str) -> Result<()> {
    act.run(sqlx::query(LISTS_NAMING).bind(principal.to_owned())).await?;
    act.run(sqlx::query(DISABLE_ENTRIES_NAMING).bind(principal.to_owned())).await?;
    Ok(())
}
