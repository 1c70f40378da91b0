//! Sessions: logins that are open.

use countersign_core::code::Code;
use countersign_core::directory::Username;
use countersign_core::id::SessionId;
use serde_json::json;

use super::call::{Answer, Call, Failure};
use crate::publish::Parts;
use crate::wire::{Page, SessionOut};

/// `GET /sessions`, with `?user=name` those of one user. The newest, at most `limit`.
pub async fn list(call: Call) -> Result<Answer, Failure> {
    let (_, limit) = call.page()?;
    let user = match call.query("user") {
        None => None,
        Some(name) => {
            let name: Username = name.parse().map_err(|bad| Failure::field("user", bad))?;
            Some(call.control.store.find_user(&name).await?.ok_or(Code::NotFound)?.id)
        }
    };
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let sessions = call.control.store.list_sessions(user.as_ref(), call.now, limit).await?;
    Answer::ok(&Page { items: sessions.iter().map(SessionOut::from).collect(), next: None })
}

/// `DELETE /sessions/{id}`: its access tokens are refused from now on.
pub async fn end(call: Call) -> Result<Answer, Failure> {
    let id: SessionId = call.param("id")?;
    let outcome = call.control.store.end_session(&id, &call.audit("session.ended", &id, json!({"by": "admin"}))).await?;
    call.changed(outcome, Code::Stale, Parts::ENDED).await?;
    Ok(Answer::done())
}
