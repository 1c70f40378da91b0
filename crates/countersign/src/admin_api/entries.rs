//! Entries of allow-lists. `countersign_core::allow_list` judges each change; the ETag is the entry's version.

use countersign_core::allow_list::{self, BadField, Draft, Entry, Methods};
use countersign_core::code::Code;
use countersign_core::id::{EntryId, ListName};
use countersign_store::Changed;
use serde_json::{Value, json};

use super::allow_lists;
use super::call::{Answer, Call, Failure, FieldErrors, IfMatch, from_json, paged};
use crate::publish::Parts;
use crate::wire::{EntryIn, EntryOut};

/// How often a patch that takes whatever is there is tried against other editors.
const TRIES: u32 = 5;

/// `GET /allow-lists/{list}/entries`, oldest first.
pub async fn list(call: Call) -> Result<Answer, Failure> {
    let (after, limit) = call.page()?;
    let mut entries = allow_lists::find(&call, &call.param("list")?).await?.entries;
    let counted = call.control.store.load_uses().await?;
    // The cursor of a page sorts as the entries do, so it leads on even when its entry is gone.
    let key = |entry: &Entry| format!("{:020}.{}", entry.created.millis().max(0), entry.id);
    entries.sort_by_cached_key(key);
    Answer::ok(&paged(entries, key, after, limit, |entry| EntryOut::of(entry, &counted)))
}

/// `POST /allow-lists/{list}/entries`
pub async fn add(call: Call) -> Result<Answer, Failure> {
    let list: ListName = call.param("list")?;
    let draft = draft(&call, call.json()?).await?;
    let id = EntryId::new(call.control.fresh()?);
    let entry = allow_list::add(draft, id, list, call.caller.actor.render(), call.now).map_err(bad_fields)?;
    let detail = json!({"list": entry.list.as_str(), "after": EntryIn::of(&entry)});
    let outcome = call.control.store.add_entry(&entry, &call.audit("entry.added", &entry.id, detail)).await?;
    call.added(outcome, Parts::LISTS).await?;
    let location = format!("/admin/v1/allow-lists/{}/entries/{}", entry.list, entry.id);
    Ok(Answer::created(&EntryOut::of(&entry, &[]), location)?.version(entry.version))
}

/// `GET /allow-lists/{list}/entries/{id}`
pub async fn read(call: Call) -> Result<Answer, Failure> {
    let entry = find(&call).await?;
    let counted = call.control.store.load_uses().await?;
    Ok(Answer::ok(&EntryOut::of(&entry, &counted))?.version(entry.version))
}

/// `PUT`: what is not sent goes back to its default.
pub async fn replace(call: Call) -> Result<Answer, Failure> {
    let if_match = call.if_match()?;
    let given: EntryIn = call.json()?;
    let current = find(&call).await?;
    let expected = if_match.expected(current.version)?;
    let draft = draft(&call, given).await?;
    let entry = save(&call, &current, draft, expected).await?.ok_or(Code::Stale)?;
    answer(&entry)
}

/// `PATCH` (RFC 7396): what is not sent stays, null goes back to its default.
pub async fn patch(call: Call) -> Result<Answer, Failure> {
    let if_match = call.if_match()?;
    let patch = call.merge_patch()?;
    // A patch builds on what it was applied to. `*` means whatever is there, not "undo what others do meanwhile".
    let tries = if matches!(if_match, IfMatch::Any) { TRIES } else { 1 };
    for _ in 0..tries {
        let current = find(&call).await?;
        if_match.expected(current.version)?;
        let mut merged = json!(EntryIn::of(&current));
        merge(&mut merged, &patch);
        if let Some(members) = merged.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        let draft = draft(&call, from_json(merged.to_string().as_bytes())?).await?;
        if let Some(entry) = save(&call, &current, draft, Some(current.version)).await? {
            return answer(&entry);
        }
    }
    Err(Code::Stale.into())
}

/// `DELETE /allow-lists/{list}/entries/{id}`
pub async fn remove(call: Call) -> Result<Answer, Failure> {
    let if_match = call.if_match()?;
    let current = find(&call).await?;
    let expected = if_match.expected(current.version)?;
    let audit = call.audit("entry.removed", &current.id, json!({"list": current.list.as_str(), "before": EntryIn::of(&current)}));
    let outcome = call.control.store.remove_entry(&current.list, &current.id, expected, &audit).await?;
    call.changed(outcome, Code::Stale, Parts::LISTS).await?;
    Ok(Answer::done())
}

/// The entry as it is stored now; none when somebody else changed it first.
async fn save(call: &Call, current: &Entry, draft: Draft, expected: Option<u64>) -> Result<Option<Entry>, Failure> {
    let next = allow_list::apply(current, draft).map_err(bad_fields)?;
    let detail = json!({"list": next.list.as_str(), "before": EntryIn::of(current), "after": EntryIn::of(&next)});
    let outcome = call.control.store.save_entry(&next, expected, &call.audit("entry.changed", &next.id, detail)).await?;
    if outcome == Changed::Stale {
        return Ok(None);
    }
    call.changed(outcome, Code::Stale, Parts::LISTS).await?;
    // As it is stored: the version is the store's to count.
    find(call).await.map(Some)
}

fn answer(entry: &Entry) -> Result<Answer, Failure> {
    Ok(Answer::ok(&EntryOut::of(entry, &[]))?.version(entry.version))
}

async fn find(call: &Call) -> Result<Entry, Failure> {
    let id: EntryId = call.param("id")?;
    let list = allow_lists::find(call, &call.param("list")?).await?;
    list.entries.into_iter().find(|entry| entry.id == id).ok_or_else(|| Code::NotFound.into())
}

/// What the body says, in the types of the core; everything that is wrong with it at once.
async fn draft(call: &Call, given: EntryIn) -> Result<Draft, Failure> {
    let mut errors = FieldErrors::default();
    let network = errors.parse("network", &given.network);
    let methods = Methods::try_from(given.methods).map_err(|bad| errors.add("methods", bad)).ok();
    let path = given.path.as_deref().map(|path| errors.parse("path", path));
    let principal = match given.principal.as_deref() {
        None => None,
        Some(named) => Some(principal(call, &mut errors, named).await?),
    };
    let valid_from = errors.time("valid_from", given.valid_from.as_deref());
    let valid_until = errors.time("valid_until", given.valid_until.as_deref());
    match (network, methods) {
        (Some(network), Some(methods)) if errors.0.is_empty() => Ok(Draft {
            network,
            wide: given.wide,
            methods,
            path: path.flatten(),
            principal: principal.flatten(),
            note: given.note,
            valid_from,
            valid_until,
            enabled: given.enabled,
        }),
        _ => Err(errors.into_failure()),
    }
}

/// A principal by its id, or a client by its name. A client must be there: an entry for nobody is a mistake.
async fn principal(
    call: &Call,
    errors: &mut FieldErrors,
    named: &str,
) -> Result<Option<countersign_core::principal::PrincipalId>, Failure> {
    use countersign_core::principal::PrincipalId;
    if let Ok(PrincipalId::User(id)) = named.parse() {
        return Ok(Some(PrincipalId::User(id)));
    }
    let clients = call.control.store.load_directory().await?.clients;
    let found = clients.into_iter().find(|client| client.id.as_str() == named || client.name.as_str() == named);
    if found.is_none() {
        errors.add("principal", "there is no such client; write the id of a user (us_...), or the id or name of a client");
    }
    Ok(found.map(|client| PrincipalId::Client(client.id)))
}

fn bad_fields(bad: Vec<BadField>) -> Failure {
    let mut errors = FieldErrors::default();
    for BadField { field, message } in bad {
        errors.add(field, message);
    }
    errors.into_failure()
}

/// RFC 7396 section 2.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(members) = target.as_object_mut() else { return };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_follows_the_examples_of_the_rfc() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": "foo"}), json!(null), json!(null)),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, &patch);
            assert_eq!(merged, result, "{target} with {patch}");
        }
    }
}
