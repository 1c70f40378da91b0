//! Users: people who log in.

use countersign_core::code::Code;
use countersign_core::directory::{PasswordHash, User, Username};
use countersign_core::id::UserId;
use countersign_store::UserChange;
use serde_json::json;

use super::call::{Answer, Call, Failure, FieldErrors};
use crate::passwords::{self, NotHashed};
use crate::publish::Parts;
use crate::wire::{NewUser, Page, SecretIn, UserOut, UserPatch};

/// `GET /users`
pub async fn list(call: Call) -> Result<Answer, Failure> {
    let (after, limit) = call.page()?;
    let after: Option<Username> = after.map(str::parse).transpose().map_err(|bad| Failure::field("after", bad))?;
    let wanted = u32::try_from(limit.saturating_add(1)).unwrap_or(u32::MAX);
    let mut users = call.control.store.list_users(after.as_ref(), wanted).await?;
    let more = users.len() > limit;
    users.truncate(limit);
    let next = users.last().filter(|_| more).map(|user| user.username.to_string());
    Answer::ok(&Page { items: users.iter().map(UserOut::from).collect(), next })
}

/// `POST /users`
pub async fn add(call: Call) -> Result<Answer, Failure> {
    let given: NewUser = call.json()?;
    let mut errors = FieldErrors::default();
    let username: Option<Username> = errors.parse("username", &given.username);
    let scopes = errors.scopes("scopes", &given.scopes);
    let (Some(username), Some(scopes)) = (username, scopes) else { return Err(errors.into_failure()) };
    let password = hash_new(&call, &username, &given.password).await?;
    let id = UserId::new(call.control.fresh()?);
    let user = User { id, username, password, scopes, enabled: true, created: call.now };
    let detail = json!({"username": user.username.as_str(), "scopes": user.scopes.to_string()});
    let outcome = call.control.store.add_user(&user, &call.audit("user.added", &user.id, detail)).await?;
    call.added(outcome, Parts::NONE).await?;
    Answer::created(&UserOut::from(&user), format!("/admin/v1/users/{}", encoded(user.username.as_str())))
}

/// `GET /users/{username}`
pub async fn read(call: Call) -> Result<Answer, Failure> {
    Answer::ok(&UserOut::from(&find(&call).await?))
}

/// `PATCH /users/{username}`: enables or disables, sets a new password, or sets the scopes. One at a time, since each is one act.
pub async fn change(call: Call) -> Result<Answer, Failure> {
    let user = find(&call).await?;
    let UserPatch { enabled, password, scopes } = call.json()?;
    let (change, detail) = match (enabled, password, scopes) {
        (Some(enabled), None, None) => (UserChange::Enable(enabled), json!({"enabled": enabled})),
        (None, Some(password), None) => {
            let hash = hash_new(&call, &user.username, &password).await?;
            (UserChange::Password(hash), json!({"password": "changed"}))
        }
        (None, None, Some(given)) => {
            let mut errors = FieldErrors::default();
            let Some(scopes) = errors.scopes("scopes", &given) else { return Err(errors.into_failure()) };
            let detail = json!({"scopes": scopes.to_string(), "before": user.scopes.to_string()});
            (UserChange::Scopes(scopes), detail)
        }
        _ => return Err(Failure::field("", "change one of enabled, password and scopes")),
    };
    let audit = call.audit("user.changed", &user.id, detail);
    let outcome = call.control.store.change_user(&user.id, &change, &audit).await?;
    call.changed(outcome, Code::Stale, Parts::ENDED).await?;
    Answer::ok(&UserOut::from(&find(&call).await?))
}

/// `DELETE /users/{username}`
pub async fn remove(call: Call) -> Result<Answer, Failure> {
    let user = find(&call).await?;
    let audit = call.audit("user.removed", &user.id, json!({"username": user.username.as_str()}));
    let outcome = call.control.store.remove_user(&user.id, &audit).await?;
    // Entries that were bound to the user are disabled in the same act.
    call.changed(outcome, Code::Stale, Parts::ENDED.and(Parts::LISTS)).await?;
    Ok(Answer::done())
}

async fn hash_new(call: &Call, username: &Username, password: &SecretIn) -> Result<PasswordHash, Failure> {
    passwords::hash_new(&call.control, username, &password.0).await.map_err(|error| match error {
        NotHashed::Bad(bad) => Failure::field("password", bad),
        NotHashed::Refused(refusal) => refusal.into(),
    })
}

async fn find(call: &Call) -> Result<User, Failure> {
    let username = call.param("username")?;
    call.control.store.find_user(&username).await?.ok_or_else(|| Code::NotFound.into())
}

/// A name as one segment of a path.
pub(super) fn encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push('%');
            countersign_core::secret::push_hex(&mut text, &[byte]);
        }
    }
    text
}
