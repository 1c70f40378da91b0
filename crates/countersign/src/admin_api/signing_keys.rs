//! Keys that sign requests, and their secrets. A secret is shown once, when it is made.

use std::time::Duration;

use countersign_core::code::{Code, Refusal};
use countersign_core::directory::{KeySecret, SigningKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::id::{KeyId, ProfileName, SecretId};
use countersign_core::secret::{MadeSecret, SecretText, push_hex};
use countersign_core::signature::LiveSecret;
use serde_json::json;

use super::call::{Answer, Call, Failure, FieldErrors, paged};
use super::clients;
use super::users::encoded;
use crate::publish::Parts;
use crate::wire::{NewSecret, NewSigningKey, SecretIn, Shown, SigningKeyOut, SigningKeyPatch};

/// The profile of a key that names none.
const NATIVE: &str = "v3.0";
/// How long an old secret goes on working when nothing else is said, and at most.
const OVERLAP: Duration = Duration::from_secs(24 * 3600);
/// How long refusals may say what was done wrong: it ends by itself.
const LONGEST_DIAGNOSIS: Duration = Duration::from_secs(24 * 3600);
const LONGEST_OVERLAP: Duration = Duration::from_secs(90 * 24 * 3600);

/// `GET /signing-keys`
pub async fn list(call: Call) -> Result<Answer, Failure> {
    let keys = call.control.store.load_directory().await?.signing_keys;
    page_of(&call, keys).await
}

/// `GET /clients/{client}/signing-keys`
pub async fn list_of_client(call: Call) -> Result<Answer, Failure> {
    let (client, directory) = clients::find(&call).await?;
    let keys = directory.signing_keys.into_iter().filter(|key| key.client == client.id).collect();
    page_of(&call, keys).await
}

async fn page_of(call: &Call, mut keys: Vec<SigningKey>) -> Result<Answer, Failure> {
    let (after, limit) = call.page()?;
    let counted = call.control.store.load_uses().await?;
    keys.sort_by(|a, b| a.id.cmp(&b.id));
    Answer::ok(&paged(keys, |key| key.id.to_string(), after, limit, |key| SigningKeyOut::of(key, &counted)))
}

/// `POST /clients/{client}/signing-keys`
pub async fn add(call: Call) -> Result<Answer, Failure> {
    let (client, _) = clients::find(&call).await?;
    let given: NewSigningKey = call.json_or_empty()?;
    let mut errors = FieldErrors::default();
    let profile = errors.parse("profile", given.profile.as_deref().unwrap_or(NATIVE));
    let id = match &given.id {
        Some(id) => errors.parse("id", id),
        None => Some(KeyId::new(call.control.fresh()?)),
    };
    let (Some(profile), Some(id)) = (profile, id) else { return Err(errors.into_failure()) };
    let (secret, text) = secret_for(&call, &profile, given.secret)?;
    let key = SigningKey { id, client: client.id.clone(), profile, enabled: true, created: call.now, diagnose_until: None, secrets: vec![secret] };
    let detail = json!({"client": client.name.as_str(), "profile": key.profile.as_str()});
    let outcome = call.control.store.add_signing_key(&key, &call.audit("signing_key.added", &key.id, detail)).await?;
    call.added(outcome, Parts::DIRECTORY).await?;
    let shown = Shown { made: SigningKeyOut::of(&key, &[]), secret: text.as_ref().map(SecretText::expose), key: None };
    Answer::created(&shown, location(&key.id))
}

/// `GET /signing-keys/{id}`
pub async fn read(call: Call) -> Result<Answer, Failure> {
    let key = find(&call).await?;
    let counted = call.control.store.load_uses().await?;
    Answer::ok(&SigningKeyOut::of(&key, &counted))
}

/// `PATCH /signing-keys/{id}`: enables or disables, or sets for how long refusals say what was done wrong. One at a time, since
/// each is one act.
pub async fn change(call: Call) -> Result<Answer, Failure> {
    let key = find(&call).await?;
    let SigningKeyPatch { enabled, diagnose_seconds } = call.json()?;
    let store = &call.control.store;
    let (outcome, key) = match (enabled, diagnose_seconds) {
        (Some(enabled), None) => {
            let audit = call.audit("signing_key.changed", &key.id, json!({"enabled": enabled}));
            (store.enable_signing_key(&key.id, enabled, &audit).await?, SigningKey { enabled, ..key })
        }
        (None, Some(seconds)) => {
            let time = Duration::from_secs(seconds);
            if time > LONGEST_DIAGNOSIS {
                return Err(Failure::field("diagnose_seconds", format!("at most {} seconds", LONGEST_DIAGNOSIS.as_secs())));
            }
            let until = (seconds > 0).then(|| call.now.plus(time));
            let audit = call.audit("signing_key.changed", &key.id, json!({"diagnose_until": until.map(crate::wire::time)}));
            (store.diagnose_signing_key(&key.id, until, &audit).await?, SigningKey { diagnose_until: until, ..key })
        }
        _ => return Err(Failure::field("", "change one of enabled and diagnose_seconds")),
    };
    call.changed(outcome, Code::Stale, Parts::DIRECTORY).await?;
    Answer::ok(&SigningKeyOut::of(&key, &[]))
}

/// `DELETE /signing-keys/{id}`
pub async fn remove(call: Call) -> Result<Answer, Failure> {
    let id: KeyId = call.param("id")?;
    let outcome = call.control.store.remove_signing_key(&id, &call.audit("signing_key.removed", &id, json!({}))).await?;
    call.changed(outcome, Code::Stale, Parts::DIRECTORY).await?;
    Ok(Answer::done())
}

/// `POST /signing-keys/{id}/secrets`: the second secret; the first goes on working for the overlap. A second roll while two
/// are live is refused, since it would end the one that is still in use.
pub async fn add_secret(call: Call) -> Result<Answer, Failure> {
    let key = find(&call).await?;
    let given: NewSecret = call.json_or_empty()?;
    let overlap = given.overlap_seconds.map_or(OVERLAP, Duration::from_secs);
    if overlap > LONGEST_OVERLAP {
        return Err(Failure::field("overlap_seconds", format!("at most {} seconds", LONGEST_OVERLAP.as_secs())));
    }
    let (secret, text) = secret_for(&call, &key.profile, given.secret)?;
    let first_ends = call.now.plus(overlap);
    let detail = json!({"secret": secret.id.as_str(), "first_ends": crate::wire::time(first_ends)});
    let audit = call.audit("signing_key.secret_added", &key.id, detail);
    let outcome = call.control.store.add_secret(&key.id, &secret, Some(first_ends), &audit).await?;
    call.changed(outcome, Code::OverlapOpen, Parts::DIRECTORY).await?;
    let counted = call.control.store.load_uses().await?;
    let shown = Shown { made: SigningKeyOut::of(&find(&call).await?, &counted), secret: text.as_ref().map(SecretText::expose), key: None };
    Answer::created(&shown, location(&key.id))
}

/// `DELETE /signing-keys/{id}/secrets/{secret}`
pub async fn remove_secret(call: Call) -> Result<Answer, Failure> {
    let (id, secret): (KeyId, SecretId) = (call.param("id")?, call.param("secret")?);
    let audit = call.audit("signing_key.secret_removed", &id, json!({"secret": secret.as_str()}));
    let outcome = call.control.store.remove_secret(&id, &secret, &audit).await?;
    call.changed(outcome, Code::LastSecret, Parts::DIRECTORY).await?;
    Ok(Answer::done())
}

/// The secret of a key, sealed for its row: the one that was given, or one that is made, with its text to be shown once.
fn secret_for(call: &Call, profile: &ProfileName, given: Option<SecretIn>) -> Result<(KeySecret, Option<SecretText>), Failure> {
    let live = call.control.publisher.live();
    let Some(profile) = live.profiles.iter().find(|known| known.name() == profile) else {
        let help = format!("no route asks for hmac({profile}): add one and start the gateway again, or correct the name");
        return Err(Failure::field("profile", help));
    };
    let id = SecretId::new(call.control.fresh()?);
    if let Some(SecretIn(text)) = given {
        LiveSecret::new(profile, id.clone(), &text, None).map_err(|bad| Failure::field("secret", bad))?;
        return Ok((seal(call, id, &text)?, None));
    }
    // The text of a secret has to be of the form that its profile makes a key of: ours, or random bytes in base64 or hexadecimal.
    let ours = MadeSecret::SigningSecret.make(call.control.fresh()?);
    let random = call.control.fresh::<32>()?;
    let others = [STANDARD.encode(random.bytes()), hex(random.bytes())].map(SecretText::new);
    let fits = |text: &SecretText| LiveSecret::new(profile, id.clone(), text, None).is_ok();
    let made = std::iter::once(ours).chain(others).find(fits);
    let made = made.ok_or_else(|| Failure::field("secret", "secrets of this profile are made by the other side: give the one you got"))?;
    Ok((seal(call, id, &made)?, Some(made)))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    push_hex(&mut text, bytes);
    text
}

fn seal(call: &Call, id: SecretId, text: &SecretText) -> Result<KeySecret, Failure> {
    let control = &call.control;
    let sealed = control.master.seal(text.expose().as_bytes(), id.as_str(), control.fresh()?).map_err(|error| {
        tracing::error!(%error, "a secret could not be sealed");
        Refusal::from(Code::Internal)
    })?;
    Ok(KeySecret { id, sealed, created: call.now, ends: None })
}

async fn find(call: &Call) -> Result<SigningKey, Failure> {
    let id: KeyId = call.param("id")?;
    let keys = call.control.store.load_directory().await?.signing_keys;
    keys.into_iter().find(|key| key.id == id).ok_or_else(|| Code::NotFound.into())
}

fn location(id: &KeyId) -> String {
    format!("/admin/v1/signing-keys/{}", encoded(id.as_str()))
}
