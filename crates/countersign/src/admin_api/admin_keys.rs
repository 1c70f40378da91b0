//! Admin keys. The key is shown once, when it is made.

use countersign_core::code::Code;
use countersign_core::directory::{AdminKey, AdminScope};
use countersign_core::id::AdminKeyId;
use countersign_core::secret::{CredentialHash, MadeSecret};
use serde_json::json;

use super::call::{Answer, Call, Failure, FieldErrors, paged};
use crate::publish::Parts;
use crate::wire::{AdminKeyOut, EnabledPatch, NewAdminKey, Shown};

/// `GET /admin-keys`
pub async fn list(call: Call) -> Result<Answer, Failure> {
    let (after, limit) = call.page()?;
    let mut keys = call.control.store.load_directory().await?.admin_keys;
    keys.sort_by(|a, b| a.id.cmp(&b.id));
    Answer::ok(&paged(keys, |key| key.id.to_string(), after, limit, |key| AdminKeyOut::from(key)))
}

/// `POST /admin-keys`. Nobody gives more than they have.
pub async fn add(call: Call) -> Result<Answer, Failure> {
    let given: NewAdminKey = call.json()?;
    let mut errors = FieldErrors::default();
    errors.label("label", &given.label);
    let expires = errors.time("expires", given.expires.as_deref());
    if expires.is_some_and(|expires| expires <= call.now) {
        errors.add("expires", "the end has already passed");
    }
    let mut scopes: Vec<AdminScope> = given.scopes.iter().filter_map(|scope| errors.parse("scopes", scope)).collect();
    if given.scopes.is_empty() {
        errors.add("scopes", "a key without a scope can do nothing");
    }
    errors.finish()?;
    scopes.sort_unstable();
    scopes.dedup();
    for scope in &scopes {
        call.caller.may(*scope)?;
    }
    let text = MadeSecret::AdminKey.make(call.control.fresh()?);
    let key = AdminKey {
        id: AdminKeyId::new(call.control.fresh()?),
        label: given.label,
        hash: CredentialHash::of(text.expose()),
        scopes,
        enabled: true,
        created: call.now,
        expires,
    };
    let out = AdminKeyOut::from(&key);
    let detail = json!({"label": key.label, "scopes": out.scopes, "expires": out.expires});
    let outcome = call.control.store.add_admin_key(&key, &call.audit("admin_key.added", &key.id, detail)).await?;
    call.added(outcome, Parts::DIRECTORY).await?;
    Answer::created(&Shown { made: out, secret: None, key: Some(text.expose()) }, format!("/admin/v1/admin-keys/{}", key.id))
}

/// `GET /admin-keys/{id}`
pub async fn read(call: Call) -> Result<Answer, Failure> {
    Answer::ok(&AdminKeyOut::from(&find(&call).await?))
}

/// `PATCH /admin-keys/{id}`: enables or disables.
pub async fn change(call: Call) -> Result<Answer, Failure> {
    let key = find(&call).await?;
    let EnabledPatch { enabled } = call.json()?;
    if enabled {
        // Switching a key on gives its scopes as much as making it does.
        for scope in &key.scopes {
            call.caller.may(*scope)?;
        }
    }
    let audit = call.audit("admin_key.changed", &key.id, json!({"enabled": enabled}));
    let outcome = call.control.store.enable_admin_key(&key.id, enabled, &audit).await?;
    call.changed(outcome, Code::Stale, Parts::DIRECTORY).await?;
    Answer::ok(&AdminKeyOut::from(&AdminKey { enabled, ..key }))
}

/// `DELETE /admin-keys/{id}`
pub async fn remove(call: Call) -> Result<Answer, Failure> {
    let id: AdminKeyId = call.param("id")?;
    let outcome = call.control.store.remove_admin_key(&id, &call.audit("admin_key.removed", &id, json!({}))).await?;
    call.changed(outcome, Code::Stale, Parts::DIRECTORY).await?;
    Ok(Answer::done())
}

async fn find(call: &Call) -> Result<AdminKey, Failure> {
    let id: AdminKeyId = call.param("id")?;
    let keys = call.control.store.load_directory().await?.admin_keys;
    keys.into_iter().find(|key| key.id == id).ok_or_else(|| Code::NotFound.into())
}
