//! API keys. The key is shown once, when it is made.

use countersign_core::code::Code;
use countersign_core::directory::ApiKey;
use countersign_core::id::ApiKeyId;
use countersign_core::secret::{CredentialHash, MadeSecret};
use serde_json::json;

use super::call::{Answer, Call, Failure, FieldErrors, paged};
use super::clients;
use crate::publish::Parts;
use crate::wire::{ApiKeyOut, EnabledPatch, NewApiKey, Shown};

/// `GET /api-keys`
pub async fn list(call: Call) -> Result<Answer, Failure> {
    let keys = call.control.store.load_directory().await?.api_keys;
    page_of(&call, keys).await
}

/// `GET /clients/{client}/api-keys`
pub async fn list_of_client(call: Call) -> Result<Answer, Failure> {
    let (client, directory) = clients::find(&call).await?;
    let keys = directory.api_keys.into_iter().filter(|key| key.client == client.id).collect();
    page_of(&call, keys).await
}

async fn page_of(call: &Call, mut keys: Vec<ApiKey>) -> Result<Answer, Failure> {
    let (after, limit) = call.page()?;
    let counted = call.control.store.load_uses().await?;
    keys.sort_by(|a, b| a.id.cmp(&b.id));
    Answer::ok(&paged(keys, |key| key.id.to_string(), after, limit, |key| ApiKeyOut::of(key, &counted)))
}

/// `POST /clients/{client}/api-keys`
pub async fn add(call: Call) -> Result<Answer, Failure> {
    let (client, _) = clients::find(&call).await?;
    let given: NewApiKey = call.json_or_empty()?;
    let mut errors = FieldErrors::default();
    errors.label("label", &given.label);
    let expires = errors.time("expires", given.expires.as_deref());
    if expires.is_some_and(|expires| expires <= call.now) {
        errors.add("expires", "the end has already passed");
    }
    errors.finish()?;
    let text = MadeSecret::ApiKey.make(call.control.fresh()?);
    let key = ApiKey {
        id: ApiKeyId::new(call.control.fresh()?),
        client: client.id.clone(),
        label: given.label,
        hash: CredentialHash::of(text.expose()),
        enabled: true,
        created: call.now,
        expires,
    };
    let detail = json!({"client": client.name.as_str(), "label": key.label, "expires": key.expires.map(crate::wire::time)});
    let outcome = call.control.store.add_api_key(&key, &call.audit("api_key.added", &key.id, detail)).await?;
    call.added(outcome, Parts::DIRECTORY).await?;
    let shown = Shown { made: ApiKeyOut::of(&key, &[]), secret: None, key: Some(text.expose()) };
    Answer::created(&shown, format!("/admin/v1/api-keys/{}", key.id))
}

/// `GET /api-keys/{id}`
pub async fn read(call: Call) -> Result<Answer, Failure> {
    let key = find(&call).await?;
    let counted = call.control.store.load_uses().await?;
    Answer::ok(&ApiKeyOut::of(&key, &counted))
}

/// `PATCH /api-keys/{id}`: enables or disables.
pub async fn change(call: Call) -> Result<Answer, Failure> {
    let key = find(&call).await?;
    let EnabledPatch { enabled } = call.json()?;
    let audit = call.audit("api_key.changed", &key.id, json!({"enabled": enabled}));
    let outcome = call.control.store.enable_api_key(&key.id, enabled, &audit).await?;
    call.changed(outcome, Code::Stale, Parts::DIRECTORY).await?;
    Answer::ok(&ApiKeyOut::of(&ApiKey { enabled, ..key }, &[]))
}

/// `DELETE /api-keys/{id}`
pub async fn remove(call: Call) -> Result<Answer, Failure> {
    let id: ApiKeyId = call.param("id")?;
    let outcome = call.control.store.remove_api_key(&id, &call.audit("api_key.removed", &id, json!({}))).await?;
    call.changed(outcome, Code::Stale, Parts::DIRECTORY).await?;
    Ok(Answer::done())
}

async fn find(call: &Call) -> Result<ApiKey, Failure> {
    let id: ApiKeyId = call.param("id")?;
    let keys = call.control.store.load_directory().await?.api_keys;
    keys.into_iter().find(|key| key.id == id).ok_or_else(|| Code::NotFound.into())
}
