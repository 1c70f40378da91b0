//! Allow-lists, without their entries (`entries.rs`).

use countersign_core::allow_list::AllowList;
use countersign_core::code::Code;
use countersign_core::id::ListName;
use serde_json::json;

use super::call::{Answer, Call, Failure, FieldErrors, paged};
use crate::publish::Parts;
use crate::wire::{ListOut, NewList};

/// `GET /allow-lists`
pub async fn list(call: Call) -> Result<Answer, Failure> {
    let (after, limit) = call.page()?;
    let lists = call.control.store.load_allow_lists().await?;
    Answer::ok(&paged(lists, |list| list.name.to_string(), after, limit, |list| ListOut::from(list)))
}

/// `POST /allow-lists`
pub async fn add(call: Call) -> Result<Answer, Failure> {
    let given: NewList = call.json()?;
    let mut errors = FieldErrors::default();
    let Some(name) = errors.parse::<ListName>("name", &given.name) else { return Err(errors.into_failure()) };
    let outcome = call.control.store.add_allow_list(&name, call.now, &call.audit("allow_list.added", &name, json!({}))).await?;
    call.added(outcome, Parts::LISTS).await?;
    let list = find(&call, &name).await?;
    Ok(Answer::created(&ListOut::from(&list), format!("/admin/v1/allow-lists/{name}"))?.version(list.version))
}

/// `GET /allow-lists/{list}`
pub async fn read(call: Call) -> Result<Answer, Failure> {
    let list = find(&call, &call.param("list")?).await?;
    Ok(Answer::ok(&ListOut::from(&list))?.version(list.version))
}

/// `DELETE /allow-lists/{list}`, with `If-Match`: a list takes its entries with it.
pub async fn remove(call: Call) -> Result<Answer, Failure> {
    let if_match = call.if_match()?;
    let list = find(&call, &call.param("list")?).await?;
    let expected = if_match.expected(list.version)?;
    let audit = call.audit("allow_list.removed", &list.name, json!({"entries": list.entries.len()}));
    let outcome = call.control.store.remove_allow_list(&list.name, expected, &audit).await?;
    call.changed(outcome, Code::Stale, Parts::LISTS).await?;
    Ok(Answer::done())
}

/// A list with its entries.
pub(super) async fn find(call: &Call, name: &ListName) -> Result<AllowList, Failure> {
    let lists = call.control.store.load_allow_lists().await?;
    lists.into_iter().find(|list| list.name == *name).ok_or_else(|| Code::NotFound.into())
}
