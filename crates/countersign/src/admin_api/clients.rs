//! Clients: programs and partners. Named by id or by name.

use countersign_core::code::Code;
use countersign_core::directory::{Client, Directory};
use countersign_core::id::ClientId;
use serde_json::json;

use super::call::{Answer, Call, Failure, FieldErrors, paged};
use crate::publish::Parts;
use crate::wire::{ClientOut, EnabledPatch, NewClient};

/// `GET /clients`
pub async fn list(call: Call) -> Result<Answer, Failure> {
    let (after, limit) = call.page()?;
    let mut clients = call.control.store.load_directory().await?.clients;
    clients.sort_by(|a, b| a.name.cmp(&b.name));
    Answer::ok(&paged(clients, |client| client.name.to_string(), after, limit, |client| ClientOut::from(client)))
}

/// `POST /clients`
pub async fn add(call: Call) -> Result<Answer, Failure> {
    let given: NewClient = call.json()?;
    let mut errors = FieldErrors::default();
    let (name, scopes) = (errors.parse("name", &given.name), errors.scopes("scopes", &given.scopes));
    let (Some(name), Some(scopes)) = (name, scopes) else { return Err(errors.into_failure()) };
    let client = Client { id: ClientId::new(call.control.fresh()?), name, scopes, enabled: true, created: call.now };
    let detail = json!({"name": client.name.as_str(), "scopes": client.scopes.to_string()});
    let outcome = call.control.store.add_client(&client, &call.audit("client.added", &client.id, detail)).await?;
    call.added(outcome, Parts::DIRECTORY).await?;
    Answer::created(&ClientOut::from(&client), format!("/admin/v1/clients/{}", client.id))
}

/// `GET /clients/{client}`
pub async fn read(call: Call) -> Result<Answer, Failure> {
    Answer::ok(&ClientOut::from(&find(&call).await?.0))
}

/// `PATCH /clients/{client}`: enables or disables all its keys.
pub async fn change(call: Call) -> Result<Answer, Failure> {
    let (client, _) = find(&call).await?;
    let EnabledPatch { enabled } = call.json()?;
    let audit = call.audit("client.changed", &client.id, json!({"name": client.name.as_str(), "enabled": enabled}));
    let outcome = call.control.store.enable_client(&client.id, enabled, &audit).await?;
    call.changed(outcome, Code::Stale, Parts::DIRECTORY).await?;
    Answer::ok(&ClientOut::from(&Client { enabled, ..client }))
}

/// `DELETE /clients/{client}`: with all its keys.
pub async fn remove(call: Call) -> Result<Answer, Failure> {
    let (client, _) = find(&call).await?;
    let audit = call.audit("client.removed", &client.id, json!({"name": client.name.as_str()}));
    let outcome = call.control.store.remove_client(&client.id, &audit).await?;
    // Entries that were bound to the client are disabled in the same act.
    call.changed(outcome, Code::Stale, Parts::DIRECTORY.and(Parts::LISTS)).await?;
    Ok(Answer::done())
}

/// The client that the path names, and the directory that it is in.
pub(super) async fn find(call: &Call) -> Result<(Client, Directory), Failure> {
    let named: String = call.param("client")?;
    let directory = call.control.store.load_directory().await?;
    let client = directory.clients.iter().find(|client| client.id.as_str() == named || client.name.as_str() == named);
    Ok((client.cloned().ok_or(Code::NotFound)?, directory))
}
