//! What happened, for the audit log: who changed what, when, through which door.

use crate::id::{AdminKeyId, RequestId};
use crate::now::UnixMillis;
use crate::principal::PrincipalId;

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Somebody with an admin key.
    AdminKey(AdminKeyId),
    /// A process of this machine, over the local socket, with this user id.
    LocalUser(u32),
    /// A user or client, about its own credentials.
    Principal(PrincipalId),
    /// The gateway itself: a first start, a planned rotation.
    Gateway,
}

impl Actor {
    /// One line of text: `admin_key ad_...`, `uid 1000`, `us_...`, `gateway`.
    pub fn render(&self) -> String {
        match self {
            Self::AdminKey(id) => format!("admin_key {id}"),
            Self::LocalUser(uid) => format!("uid {uid}"),
            Self::Principal(id) => id.to_string(),
            Self::Gateway => "gateway".to_owned(),
        }
    }
}

/// One row of the audit log, written in the same transaction as the change it tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// When.
    pub at: UnixMillis,
    /// Who.
    pub actor: Actor,
    /// What: a noun and a verb, `entry.removed`, `session.opened`.
    pub action: &'static str,
    /// To what: an identifier or name.
    pub target: String,
    /// The rest as a JSON object, never with a credential in it.
    pub detail: serde_json::Value,
    /// The request that did it, if one did.
    pub request: Option<RequestId>,
}

/// A row as it is read back. Each row's hash covers the one before, so that an edit, a removal and a reordering show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its place: 1, 2, 3, ... without gaps.
    pub number: u64,
    /// When.
    pub at: UnixMillis,
    /// Who, as rendered.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub target: String,
    /// The rest.
    pub detail: serde_json::Value,
    /// The request that did it.
    pub request: Option<String>,
    /// SHA-256 over the previous row's hash and this row's content.
    pub hash: [u8; 32],
}
